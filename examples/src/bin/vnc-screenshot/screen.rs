//! Asking for the screen until all of it has come.
//!
//! The server's own format of pixels is used, whatever it is, as long as a pixel is a colour: Intel AMT and others hang
//! up when a client sets another one.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use examples::vnc::{Connection, Stream};
use rfb_proto::encoding::{Encoding, Raw, Rectangle};
use rfb_proto::framing::{Ends, Part, Piece, ServerFramer};
use rfb_proto::handshake::Buffers;
use rfb_proto::message::{ClientMessage, SetEncodings, SetPixelFormat};
use rfb_proto::{Limits, PixelFormat, Policy};
use tokio::time::{Instant, timeout_at};

use crate::Result;
use crate::login::Session;
use crate::picture::Picture;

/// What is asked for where the server's own format has a colour map, or is none.
const FORMAT: PixelFormat = PixelFormat::RGB888;
/// What the server may use. It may always use Raw; a screen that changes its size is not a part that never comes.
const ENCODINGS: [Encoding; 2] = [Encoding::RAW, Encoding::DESKTOP_SIZE];
/// How long to wait before the same is asked for again, if an update brought nothing of it. Twice as long each time.
const PATIENCE: Duration = Duration::from_millis(100);
/// And how long at most.
const MOST_PATIENCE: Duration = Duration::from_secs(1);

/// Takes the picture, in this time. Returns a PNG.
///
/// # Errors
/// It did not come: the reason, and what of it.
pub(crate) async fn take(session: Session, seconds: u64, until: Instant) -> Result<Vec<u8>> {
    let mut screen = Screen::new(session)?;
    match timeout_at(until, screen.complete()).await {
        Ok(Ok(())) => screen.picture.png(),
        Ok(Err(error)) => Err(format!("{error}; {}", screen.picture.shortfall()).into()),
        Err(_) => Err(format!("no picture within {seconds} s: {}", screen.picture.shortfall()).into()),
    }
}

struct Screen {
    connection: Connection<Stream>,
    framer: ServerFramer,
    limits: Limits,
    picture: Picture,
    /// Bytes of a pixel that is cut, of the rectangle that is being painted.
    cut: BytesMut,
    patience: Duration,
    /// What is missing is asked for again then.
    again: Option<Instant>,
    /// Pixels that were missing when they were asked for.
    asked: usize,
}

impl Screen {
    fn new(session: Session) -> Result<Self> {
        let Session { stream, rx, init } = session;
        let limits = Limits::default();
        let own = init.format.validate(Policy::Lenient).is_ok() && init.format.is_true_colour();
        let format = if own { init.format } else { FORMAT };
        let buffers = Buffers {
            rx,
            tx: BytesMut::new(),
        };
        let mut screen = Self {
            connection: Connection::new(stream, buffers),
            framer: ServerFramer::new(&init, &limits),
            picture: Picture::new((init.width, init.height), &format, &limits)?,
            limits,
            cut: BytesMut::new(),
            patience: PATIENCE,
            again: None,
            asked: 0,
        };
        if !own {
            screen.say(SetPixelFormat::new(format).into())?;
        }
        screen.say(SetEncodings::new(&ENCODINGS).into())?;
        Ok(screen)
    }

    fn say(&mut self, message: ClientMessage) -> Result<()> {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes)?;
        self.framer.client_sent(&bytes)?;
        self.connection.buffers.tx.extend_from_slice(&bytes);
        Ok(())
    }

    /// Asks for what is missing.
    fn ask(&mut self) -> Result<()> {
        self.asked = self.picture.missing();
        self.again = None;
        self.say(self.picture.gap().request().into())
    }

    /// Goes on until nothing is missing.
    async fn complete(&mut self) -> Result<()> {
        self.ask()?;
        while 0 < self.picture.missing() {
            let received = match self.again {
                Some(again) => timeout_at(again, self.connection.receive()).await,
                None => Ok(self.connection.receive().await),
            };
            match received {
                Ok(Ok(true)) => self.take_parts()?,
                Ok(Ok(false)) => return Err("the server hung up".into()),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => self.ask()?,
            }
        }
        Ok(())
    }

    /// Takes what has come. Sounds, colours, the clipboard and what is no picture go by.
    fn take_parts(&mut self) -> Result<()> {
        let rx = self.connection.buffers.rx.split();
        let mut rest = &rx[..];
        while let Some(part) = self.framer.next_part(&mut rest)? {
            let is_over = match part {
                Part::Message(_) => false,
                Part::Update(head) => head.rectangles == 0,
                Part::Rectangle(piece) => {
                    self.piece(&piece)?;
                    piece.ends == Ends::Update
                }
            };
            if is_over {
                self.updated()?;
            }
        }
        let taken = rx.len() - rest.len();
        let mut left = rx;
        left.advance(taken);
        left.unsplit(std::mem::take(&mut self.connection.buffers.rx));
        self.connection.buffers.rx = left;
        Ok(())
    }

    /// A rectangle, or a piece of one.
    fn piece(&mut self, piece: &Piece<'_>) -> Result<()> {
        let Piece {
            rectangle,
            first,
            offset,
            payload,
            ..
        } = piece;
        let size = self.framer.framebuffer();
        if size != self.picture.size() {
            self.picture = Picture::new(size, self.framer.format(), &self.limits)?;
            self.asked = 0;
        }
        if rectangle.encoding != Encoding::RAW {
            return match rectangle.encoding.is_picture() {
                true => Err(format!("the server sends {}, which it was not asked for", rectangle.encoding).into()),
                false => Ok(()),
            };
        }
        if *first {
            Raw::new(rectangle, self.framer.format(), size, &self.limits)?;
            self.cut.clear();
        }
        self.paint(rectangle, *offset, payload)
    }

    /// Paints the whole pixels of a piece; what is cut waits for the next.
    fn paint(&mut self, rectangle: &Rectangle, offset: u64, payload: &[u8]) -> Result<()> {
        let format = *self.framer.format();
        let bytes = usize::from(format.bytes_per_pixel()?);
        // INVARIANT: no more than the limit of a rectangle.
        let before = offset as usize - self.cut.len();
        self.cut.extend_from_slice(payload);
        let whole = self.cut.split_to(self.cut.len() / bytes * bytes);
        self.picture.paint(rectangle, before / bytes, &whole, &format)
    }

    /// An update is over. What is still missing is asked for, but not for ever as fast as the server can answer.
    fn updated(&mut self) -> Result<()> {
        let missing = self.picture.missing();
        if missing == 0 {
            return Ok(());
        }
        if missing != self.asked {
            self.patience = PATIENCE;
            return self.ask();
        }
        if self.again.is_none() {
            self.again = Some(Instant::now() + self.patience);
            self.patience = (self.patience * 2).min(MOST_PATIENCE);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::Bytes;
    use rfb_proto::ServerInit;
    use rfb_proto::handshake::Buffers;
    use rfb_proto::message::{Extensions, FramebufferUpdate};
    use spice_proto::BufferedStream;
    use tokio::io::duplex;
    use tokio::time::sleep;

    const SIZE: (u16, u16) = (60, 40);

    /// A server that answers the first request with its whole screen, row by row, with a rest before each, and goes on
    /// to read.
    async fn serve(stream: Stream, pixels: &[u8], rest: Duration) {
        let mut connection = Connection::new(stream, Buffers::default());
        loop {
            let rx = &mut connection.buffers.rx;
            let (extensions, limits) = (Extensions::NONE, Limits::default());
            if ClientMessage::missing(rx, &extensions, &limits).unwrap() != 0 {
                assert!(connection.receive().await.unwrap());
                continue;
            }
            let message = ClientMessage::decode_slice(rx, &extensions, &limits).unwrap();
            rx.advance(message.encoded_len());
            if matches!(message, ClientMessage::FramebufferUpdateRequest(_)) {
                break;
            }
        }
        let head = FramebufferUpdate {
            padding: 0,
            rectangles: SIZE.1,
        };
        head.encode(&mut connection.buffers.tx).unwrap();
        for (y, row) in (0..).zip(pixels.chunks(usize::from(SIZE.0) * 4)) {
            sleep(rest).await;
            let area = Rectangle {
                x: 0,
                y,
                width: SIZE.0,
                height: 1,
                encoding: Encoding::RAW,
            };
            area.encode(&mut connection.buffers.tx).unwrap();
            connection.buffers.tx.extend_from_slice(row);
            connection.send().await.unwrap();
        }
        while connection.receive().await.unwrap() {}
    }

    /// The whole screen comes, over streams that hold less. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn the_screen_comes_over_narrow_streams() {
        let pixels: Vec<u8> = (0..250_u8).cycle().take(60 * 40 * 4).collect();
        let mut pictures = Vec::new();
        for capacity in [1, 1 << 10, 64 << 10] {
            for (buffered, rest) in [(false, 0), (false, 300), (true, 0), (true, 300)] {
                let (near, far) = duplex(capacity);
                let [near, far] = [near, far].map(|end| -> Stream {
                    if buffered {
                        Box::new(BufferedStream::new(end))
                    } else {
                        Box::new(end)
                    }
                });
                let session = Session {
                    stream: near,
                    rx: BytesMut::new(),
                    init: ServerInit {
                        width: SIZE.0,
                        height: SIZE.1,
                        format: FORMAT,
                        name: Bytes::new(),
                    },
                };
                let until = Instant::now() + Duration::from_secs(3600);
                let both = async {
                    tokio::join!(
                        take(session, 3600, until),
                        serve(far, &pixels, Duration::from_millis(rest))
                    )
                };
                pictures.push(both.await.0.unwrap());
            }
        }
        assert!(pictures.iter().all(|picture| *picture == pictures[0]));
        let mut reader = png::Decoder::new(std::io::Cursor::new(&pictures[0]))
            .read_info()
            .unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut rgb).unwrap();
        let blue_first = pixels.chunks(4).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]);
        assert!(blue_first.eq(rgb));
    }
}
