//! The data stage: the picture on the display, and as little as a viewer needs on the other channels.

use bytes::{Bytes, BytesMut};
use examples::picture::Picture;
use examples::spice::Talk;
use spice_proto::Limits;
use spice_proto::caps::main::NAME_AND_UUID;
use spice_proto::channel::display::draw::{DisplayBase, DrawCopy, QMask};
use spice_proto::channel::display::image::{BitmapData, Image, ImageDescriptor, PaletteSource, Payload};
use spice_proto::channel::display::shape::{Clip, Point, Rect};
use spice_proto::channel::main::{ChannelId, ChannelsList, Init, Name};
use spice_proto::channel::{ClientMessage, ServerMessage, cursor, display, inputs, main};
use spice_proto::codec::MessageCodec;
use spice_proto::ids::{
    BitmapFlags, BitmapFormat, ChannelType, ClipType, CursorFlags, ImageFlags, ImageScaleMode, ImageType,
    KeyboardModifiers, MaskFlags, MouseModes, RopDescriptor, SurfaceFlags, SurfaceFormat,
};
use spice_proto::link::LinkMess;
use spice_proto::link::server::ServerOutcome;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Result;
use crate::link::{OFFERED, PictureServer};

/// A channel whose link stands.
pub(crate) struct Channel<S> {
    request: LinkMess,
    talk: Talk<S, MessageCodec<ClientMessage, ServerMessage>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    /// `rx`: what came together with the end of the link stage.
    pub(crate) fn new(stream: S, rx: BytesMut, outcome: ServerOutcome) -> Self {
        let codec = MessageCodec::server(outcome.request.channel_type, outcome.header_form, &Limits::default());
        Self {
            request: outcome.request,
            talk: Talk::new::<ServerMessage>(stream, codec, rx),
        }
    }

    pub(crate) fn name(&self) -> ChannelType {
        self.request.channel_type
    }

    /// Speaks until the viewer hangs up.
    pub(crate) async fn show(mut self, server: &PictureServer) -> Result<()> {
        match self.request.channel_type {
            ChannelType::MAIN => {
                let session = server.begin();
                let shown = self.main(server, session).await;
                server.end(session);
                shown
            }
            ChannelType::DISPLAY => self.display(server).await,
            ChannelType::INPUTS => {
                let keyboard_modifiers = KeyboardModifiers(0);
                let init = inputs::ServerMessage::Init(inputs::Init { keyboard_modifiers });
                self.say(ServerMessage::Inputs(init)).await?;
                self.listen(|_| false).await.map(drop)
            }
            _ => {
                let init = cursor::ServerMessage::Init(cursor::Init {
                    position: cursor::Point16 { x: 0, y: 0 },
                    trail_length: 0,
                    trail_frequency: 0,
                    visible: 0,
                    cursor: cursor::Cursor {
                        flags: CursorFlags::NONE,
                        header: None,
                        data: Bytes::new(),
                    },
                });
                self.say(ServerMessage::Cursor(init)).await?;
                self.listen(|_| false).await.map(drop)
            }
        }
    }

    async fn main(&mut self, server: &PictureServer, session_id: u32) -> Result<()> {
        let init = main::ServerMessage::Init(Init {
            session_id,
            display_channels_hint: 1,
            supported_mouse_modes: MouseModes::SERVER,
            current_mouse_mode: MouseModes::SERVER,
            agent_connected: 0,
            agent_tokens: 0,
            multi_media_time: 0,
            ram_hint: 0,
        });
        self.say(ServerMessage::Main(init)).await?;
        if self.request.capabilities.has(NAME_AND_UUID) {
            let name = Bytes::from([server.title.as_bytes(), &[0]].concat());
            let name = main::ServerMessage::Name(Name { name });
            self.say(ServerMessage::Main(name)).await?;
        }
        let asks =
            |message: &ClientMessage| matches!(message, ClientMessage::Main(main::ClientMessage::AttachChannels));
        while self.listen(asks).await? {
            let others = OFFERED.into_iter().filter(|kind| *kind != ChannelType::MAIN);
            let channels = others.map(|channel_type| ChannelId { channel_type, id: 0 }).collect();
            let list = main::ServerMessage::ChannelsList(ChannelsList { channels });
            self.say(ServerMessage::Main(list)).await?;
        }
        Ok(())
    }

    async fn display(&mut self, server: &PictureServer) -> Result<()> {
        let begins =
            |message: &ClientMessage| matches!(message, ClientMessage::Display(display::ClientMessage::Init(_)));
        // Nothing is drawn for a viewer that has not said what it keeps.
        if self.listen(begins).await? {
            for message in &server.drawing {
                self.say(message.clone()).await?;
            }
        }
        self.listen(|_| false).await.map(drop)
    }

    async fn say(&mut self, message: ServerMessage) -> Result<()> {
        Ok(self.talk.send(message).await?)
    }

    /// Waits for a message. `false`: the viewer hung up. The others, keys and acknowledgements, go by.
    async fn listen(&mut self, wanted: impl Fn(&ClientMessage) -> bool) -> Result<bool> {
        while let Some(message) = self.talk.next().await {
            if wanted(&message?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What shows a picture: a surface of its size, and one drawing with all of it.
pub(crate) fn drawing(picture: &Picture) -> Result<Vec<ServerMessage>> {
    let Picture { width, height, ref rgb } = *picture;
    let create = display::ServerMessage::SurfaceCreate(display::SurfaceCreate {
        surface_id: 0,
        width,
        height,
        format: SurfaceFormat::XRGB_32,
        flags: SurfaceFlags::PRIMARY,
    });
    let whole = || -> Result<Rect> {
        let (right, bottom) = (i32::try_from(width)?, i32::try_from(height)?);
        Ok(Rect {
            top: 0,
            left: 0,
            bottom,
            right,
        })
    };
    // Blue, green, red and a byte without a meaning.
    let data: Vec<u8> = rgb
        .chunks_exact(3)
        .flat_map(|pixel| [pixel[2], pixel[1], pixel[0], 0])
        .collect();
    let image = Image {
        descriptor: ImageDescriptor {
            id: 1,
            r#type: ImageType::BITMAP,
            flags: ImageFlags(0),
            width,
            height,
        },
        payload: Payload::Bitmap(BitmapData {
            format: BitmapFormat::BITS_32,
            flags: BitmapFlags::TOP_DOWN,
            x: width,
            y: height,
            stride: width.checked_mul(4).ok_or("too wide")?,
            palette: PaletteSource::Here(None),
            data: data.into(),
        }),
    };
    let copy = display::ServerMessage::DrawCopy(DrawCopy {
        base: DisplayBase {
            surface_id: 0,
            r#box: whole()?,
            clip: Clip::Whole(ClipType::NONE),
        },
        src_bitmap: Some(image),
        src_area: whole()?,
        rop_descriptor: RopDescriptor::OP_PUT,
        scale_mode: ImageScaleMode::INTERPOLATE,
        mask: QMask {
            flags: MaskFlags(0),
            pos: Point { x: 0, y: 0 },
            bitmap: None,
        },
    });
    let messages = [create, copy, display::ServerMessage::Mark];
    Ok(messages.map(ServerMessage::Display).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use examples::spice::Stream;
    use spice_proto::caps::{Capabilities, CapabilityWords, common};
    use spice_proto::link::ticket::OAEP_SEED_LEN;
    use spice_proto::link::{Buffers, ClientConfig, ClientLink, Secret};
    use spice_proto::{BufferedStream, Clock, Driven, drive};
    use tokio::io::duplex;
    use tokio::time::{sleep, timeout};

    /// A viewer of the display channel: says many small things, and takes the drawing, with a rest before each message.
    async fn view(mut stream: Stream, session: u32, rest: Duration) -> Vec<ServerMessage> {
        let bits = [common::PROTOCOL_AUTH_SELECTION, common::AUTH_SPICE, common::MINI_HEADER];
        let request = LinkMess {
            connection_id: session,
            channel_type: ChannelType::DISPLAY,
            channel_id: 0,
            capabilities: Capabilities {
                common: CapabilityWords::of(&bits),
                channel: CapabilityWords::default(),
            },
        };
        let (clock, mut buffers) = (Clock::start(), Buffers::default());
        let config = ClientConfig::new(request);
        let mut link = ClientLink::new(clock.now(), config, Secret::new(b""), [7; OAEP_SEED_LEN]);
        let Driven::Done(outcome) = drive(&mut link, &mut buffers, &mut stream, clock).await.unwrap() else {
            panic!("the server asks something");
        };
        let codec = MessageCodec::client(ChannelType::DISPLAY, outcome.header_form, &Limits::default());
        let mut talk = Talk::new::<ClientMessage>(stream, codec, buffers.rx);
        let init = display::Init {
            pixmap_cache_id: 1,
            pixmap_cache_size: 0,
            glz_dictionary_id: 1,
            glz_dictionary_window_size: 0,
        };
        let init = ClientMessage::Display(display::ClientMessage::Init(init));
        // The first begins the drawing; the others come while it is on its way.
        for _ in 0..50 {
            talk.send(init.clone()).await.unwrap();
        }
        let mut seen = Vec::new();
        while seen.len() < 3 {
            sleep(rest).await;
            seen.push(talk.next().await.expect("the server hung up").unwrap());
        }
        talk.close::<ClientMessage>().await.unwrap();
        seen
    }

    /// The whole drawing comes, over streams that hold less. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn the_picture_comes_over_narrow_streams() {
        let picture = Picture {
            width: 50,
            height: 40,
            rgb: (0..250_u8).cycle().take(50 * 40 * 3).collect(),
        };
        let server = PictureServer::new(&picture, None, "title".to_owned()).unwrap();
        for capacity in [1, 1 << 10, 64 << 10] {
            for (buffered, rest) in [(false, 0), (false, 1), (true, 0), (true, 1)] {
                let (near, far) = duplex(capacity);
                let [near, far] = [near, far].map(|end| -> Stream {
                    if buffered {
                        Box::new(BufferedStream::new(end))
                    } else {
                        Box::new(end)
                    }
                });
                let session = server.begin();
                let serve = async { server.link(near).await.unwrap().show(&server).await };
                let both = async { tokio::join!(serve, view(far, session, Duration::from_secs(rest))) };
                let (served, seen) = timeout(Duration::from_secs(3600), both).await.expect("it stands still");
                served.unwrap();
                assert_eq!(seen, server.drawing, "{capacity} {buffered} {rest}");
                server.end(session);
            }
        }
    }
}
