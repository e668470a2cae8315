//! The screen, from Raw rectangles.

use bytes::{Buf, BytesMut};
use examples::vnc::{Stream, receive, whole};
use rfb_proto::encoding::{Encoding, Raw, Rectangle};
use rfb_proto::message::{
    ClientMessage, Extensions, FramebufferUpdateRequest, ServerMessage, SetEncodings, SetPixelFormat,
};
use rfb_proto::{Limits, PixelFormat};
use tokio::io::AsyncWriteExt;

use crate::Result;
use crate::login::Session;

/// What is asked for, whatever the server has itself.
const FORMAT: PixelFormat = PixelFormat::RGB888;
/// Bytes of a pixel in the PNG.
const RGB: usize = 3;

/// The screen so far.
struct Picture {
    size: (u16, u16),
    rgb: Vec<u8>,
    /// Which pixels have come.
    seen: Vec<bool>,
}

/// Asks for the whole screen until every pixel of it has come once. Returns a PNG.
pub(crate) async fn take(session: Session) -> Result<Vec<u8>> {
    let Session {
        mut stream,
        mut rx,
        init,
    } = session;
    let limits = Limits::default();
    let mut picture = Picture::new((init.width, init.height), &limits)?;
    let wishes = [
        SetPixelFormat::new(FORMAT).into(),
        SetEncodings::new(&[Encoding::RAW]).into(),
    ];
    let whole_screen = FramebufferUpdateRequest {
        incremental: 0,
        x: 0,
        y: 0,
        width: init.width,
        height: init.height,
    };
    send(&mut stream, &wishes).await?;
    while !picture.is_whole() {
        send(&mut stream, &[whole_screen.into()]).await?;
        update(&mut stream, &mut rx, &mut picture, &limits).await?;
    }
    picture.png()
}

async fn send(stream: &mut Stream, messages: &[ClientMessage]) -> Result<()> {
    let mut bytes = BytesMut::new();
    for message in messages {
        message.encode(&mut bytes)?;
    }
    stream.write_all(&bytes).await?;
    Ok(stream.flush().await?)
}

/// Waits for an update and paints it. Sounds, colours and the clipboard go by.
async fn update(stream: &mut Stream, rx: &mut BytesMut, picture: &mut Picture, limits: &Limits) -> Result<()> {
    let rectangles = loop {
        if !whole(stream, rx, |bytes| {
            ServerMessage::missing(bytes, &Extensions::NONE, limits)
        })
        .await?
        {
            return Err("the server hung up".into());
        }
        let message = ServerMessage::decode_slice(rx, &Extensions::NONE, limits)?;
        rx.advance(message.encoded_len());
        if let ServerMessage::FramebufferUpdate(update) = message {
            break update.rectangles;
        }
    };
    for _ in 0..rectangles {
        if !whole(stream, rx, |bytes| Rectangle::missing(bytes, limits)).await? {
            return Err("the server hung up".into());
        }
        let rectangle = Rectangle::decode_slice(rx, limits)?;
        rx.advance(rectangle.encoded_len());
        if rectangle.encoding != Encoding::RAW {
            return Err(format!("the server sends {}, which it was not asked for", rectangle.encoding).into());
        }
        let mut raw = Raw::new(&rectangle, &FORMAT, picture.size, limits)?;
        let mut pixels = BytesMut::new();
        loop {
            pixels.extend_from_slice(&raw.take(rx));
            if raw.left() == 0 {
                break;
            }
            if !receive(stream, rx).await? {
                return Err("the server hung up".into());
            }
        }
        picture.paint(&rectangle, &pixels)?;
    }
    Ok(())
}

impl Picture {
    /// Nothing yet. A server can say any size: one that is too large is refused before memory is taken for it.
    fn new(size: (u16, u16), limits: &Limits) -> Result<Self> {
        let (width, height) = size;
        let all = Rectangle {
            x: 0,
            y: 0,
            width,
            height,
            encoding: Encoding::RAW,
        };
        Raw::new(&all, &FORMAT, size, limits)?;
        let pixels = usize::from(width) * usize::from(height);
        Ok(Self {
            size,
            rgb: vec![0; pixels * RGB],
            seen: vec![false; pixels],
        })
    }

    fn is_whole(&self) -> bool {
        self.seen.iter().all(|seen| *seen)
    }

    fn paint(&mut self, rectangle: &Rectangle, pixels: &[u8]) -> Result<()> {
        let width = usize::from(rectangle.width);
        for (number, pixel) in pixels.chunks_exact(FORMAT.bytes_per_pixel()?.into()).enumerate() {
            let x = usize::from(rectangle.x) + number % width;
            let y = usize::from(rectangle.y) + number / width;
            let place = y * usize::from(self.size.0) + x;
            let colour = FORMAT.rgb(pixel).ok_or("a pixel that is none")?;
            self.rgb[place * RGB..][..RGB].copy_from_slice(&colour);
            self.seen[place] = true;
        }
        Ok(())
    }

    fn png(&self) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut encoder = png::Encoder::new(&mut data, self.size.0.into(), self.size.1.into());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(data)
    }
}
