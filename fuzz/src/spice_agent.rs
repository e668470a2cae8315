//! The agent's conversation inside of `AGENT_DATA`, its serial port, and the heads of packed pictures.
//!
//! ```text
//! | 0 | operations: number u8, then what it takes |             both directions, with tokens
//! | 1 | receiver u8 | agreed u8 | size of bodies u8 | stream |   one direction
//! | 2 | stream |                                              chunks on the serial port
//! | 3 | image type u8 | flags u8 | width u8 | height u8 | size u8 | packed bytes |
//! ```

use bytes::{Bytes, BytesMut};
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{
    Agreed, Announced, Assembler, Delivery, Filter, Frame, MAX_DATA, Message, Passage, Pieces, Receiver, Stream,
    TokenError, Tokens, Verdict, caps,
};
use spice_proto::channel::display::image::{Image, ImageDescriptor, LzPltData, PaletteSource, Payload};
use spice_proto::ids::{BitmapFlags, ImageFlags, ImageType, JpegAlphaFlags};
use spice_proto::{DecodeError, Limits};

use crate::Input;

/// Largest message held and passed: small enough to be reached.
const HELD: u32 = 300;
const PASSED: u32 = 5000;

fn limits() -> Limits {
    Limits::default().with_agent_message(HELD).with_passed_body(PASSED)
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => converse(input),
        1 => stream(input),
        2 => port(input.rest()),
        _ => head(input),
    }
}

/// One direction of a conversation: whole messages, and the same stream behind a filter.
struct Direction {
    assembler: Assembler,
    filter: Filter,
    receiver: Receiver,
}

impl Direction {
    fn new(receiver: Receiver) -> Self {
        Self {
            assembler: Assembler::new(receiver, &limits()),
            filter: Filter::new(receiver, &limits()),
            receiver,
        }
    }

    fn reset(&mut self) {
        self.assembler.reset();
        self.filter.reset();
    }

    /// One `AGENT_DATA` that is delivered.
    fn deliver(&mut self, body: &[u8], announced: &mut Announced) {
        let mut passed = BytesMut::new();
        let judged = self.filter.pass(body, &mut passed, |header| match header.r#type.0 {
            1..=9 => Verdict::Pass,
            _ => Verdict::Drop,
        });
        match judged {
            Ok(Passage::Whole | Passage::Nothing) | Err(_) => assert!(passed.is_empty()),
            Ok(Passage::Part) => {
                assert!(self.receiver == Receiver::Client && !passed.is_empty());
                assert!(passed.len() < body.len() + 20, "no more goes on than came, and a head");
            }
        }
        for frame in self.assembler.frames(&Bytes::copy_from_slice(body)) {
            let Ok(frame) = frame else { return };
            assert!(frame.data.len() <= HELD as usize);
            if let Some(Message::AnnounceCapabilities(message)) = hold(&frame, announced.agreed()) {
                match self.receiver {
                    Receiver::Client => announced.by_agent(&message),
                    Receiver::Server | Receiver::Guest => announced.by_client(&message),
                }
            }
        }
    }
}

/// What decodes encodes, to bytes that decode to the same; what is sent in pieces comes back.
fn hold(frame: &Frame, agreed: Agreed) -> Option<Message> {
    let message = match Message::decode(frame, agreed) {
        Ok(message) => message,
        Err(error) => {
            assert!(error.offset <= frame.data.len(), "{error}");
            return None;
        }
    };
    let again = message.to_frame().expect("what was decoded fits");
    assert_eq!(again.data.len(), message.encoded_len(), "the length is exact");
    assert!(again.data.len() <= frame.data.len(), "nothing is added");
    assert_eq!(Message::decode(&again, agreed).as_ref(), Ok(&message));
    if let Message::FileXferStatus(status) = &message {
        if let Ok(Some(detail)) = status.detail(agreed) {
            let made = spice_proto::agent::FileXferStatus::with_detail(status.id, detail, agreed);
            assert!(status.data.starts_with(&made.data) && made.result == status.result);
        }
    }
    if again.header.protocol == 1 {
        let mut assembler = Assembler::new(Receiver::Server, &Limits::default());
        let mut found = Vec::new();
        for body in Pieces::of(&again).expect("it fits") {
            assert!(body.len() <= MAX_DATA);
            found.extend(
                assembler
                    .frames(&body)
                    .map(|frame| frame.expect("a strict receiver takes it")),
            );
        }
        assert_eq!(found, [again]);
    }
    Some(message)
}

/// Operations of both sides, in any order. The account is held against sums.
fn converse(mut input: Input<'_>) {
    let (mut client, mut server) = (Direction::new(Receiver::Server), Direction::new(Receiver::Client));
    let mut announced = Announced::new();
    let mut tokens = Tokens::new();
    // Given and spent since the number was set.
    let (mut of_client, mut of_server) = (0_u64, 0_u64);
    for _ in 0..1000 {
        let (operation, number) = (input.byte(), input.byte());
        if operation == 0 && number == 0 {
            break;
        }
        match operation % 8 {
            0 => {
                tokens.connect(Some(number.into()));
                of_client = number.into();
                client.reset();
                server.reset();
            }
            1 => {
                tokens.connect(None);
                client.reset();
                server.reset();
            }
            2 => {
                tokens.disconnect();
                announced.agent_gone();
                client.reset();
                server.reset();
            }
            3 => {
                tokens.server_gives(number.into());
                of_client += u64::from(number);
            }
            4 => {
                tokens.start(number.into());
                if tokens.is_connected() {
                    assert!(tokens.is_started());
                    of_server = number.into();
                }
            }
            5 => match tokens.client_gives(number.into()) {
                Ok(()) => of_server += if tokens.is_started() { number.into() } else { 0 },
                Err(error) => {
                    assert_eq!(error, TokenError::NotStarted);
                    assert!(tokens.is_connected() && !tokens.is_started());
                }
            },
            6 => match tokens.client_data() {
                Ok(Delivery::Delivered) => {
                    of_client = of_client.checked_sub(1).expect("no token is spent twice");
                    client.deliver(input.blob(), &mut announced);
                }
                Ok(Delivery::Discarded) => assert!(!tokens.is_started()),
                Err(error) => assert_eq!((error, of_client), (TokenError::ClientHasNone, 0)),
            },
            _ => match tokens.server_data() {
                Ok(Delivery::Delivered) => {
                    of_server = of_server.checked_sub(1).expect("no token is spent twice");
                    server.deliver(input.blob(), &mut announced);
                }
                Ok(Delivery::Discarded) => assert!(!tokens.is_started()),
                Err(error) => assert_eq!((error, of_server), (TokenError::ServerHasNone, 0)),
            },
        }
        assert_eq!((tokens.client(), tokens.server()), (of_client, of_server));
    }
}

/// What a receiver made of a stream.
#[derive(Debug, PartialEq)]
struct Read {
    frames: Vec<Frame>,
    error: Option<DecodeError>,
}

fn read<'a>(receiver: Receiver, bodies: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut assembler = Assembler::new(receiver, &limits());
    let mut parts = Stream::new(receiver, &limits());
    let (mut frames, mut error) = (Vec::new(), None);
    let mut seen = 0;
    for body in bodies {
        let passed = parts
            .parts(body)
            .filter(|part| part.is_ok_and(|part| part.missing() == 0))
            .count();
        seen += passed;
        for frame in assembler.frames(&Bytes::copy_from_slice(body)) {
            match (frame, error) {
                (Ok(frame), None) => frames.push(frame),
                (Err(found), None) => error = Some(found),
                (again, Some(first)) => assert_eq!(again, Err(first), "an error is terminal"),
            }
        }
    }
    // Parts have the larger limit.
    assert!(frames.len() <= seen, "both ways find the same messages");
    assert!(error.is_some() || frames.len() == seen);
    Read { frames, error }
}

fn stream(mut input: Input<'_>) {
    let receivers = [Receiver::Server, Receiver::Client, Receiver::Guest];
    let receiver = receivers[usize::from(input.byte() % 3)];
    let bits = input.byte();
    let agreed = [
        caps::CLIPBOARD_SELECTION,
        caps::CLIPBOARD_GRAB_SERIAL,
        caps::FILE_XFER_DETAILED_ERRORS,
    ];
    let agreed: Vec<u32> = agreed
        .into_iter()
        .enumerate()
        .filter(|(n, _)| bits >> n & 1 == 1)
        .map(|(_, bit)| bit)
        .collect();
    let agreed = Agreed::of(&agreed);
    let size = usize::from(input.byte()).max(1);
    let bytes = input.rest();

    let in_parts = read(receiver, bytes.chunks(size));
    for frame in &in_parts.frames {
        hold(frame, agreed);
    }
    let lenient = read(Receiver::Client, core::iter::once(bytes));
    if receiver == Receiver::Client {
        assert_eq!(in_parts.frames, lenient.frames, "any bodies give the same messages");
        assert_eq!(
            in_parts.error.map(|error| error.kind),
            lenient.error.map(|error| error.kind)
        );
    } else {
        assert!(
            lenient.frames.starts_with(&in_parts.frames),
            "strict receivers read no other messages"
        );
    }
}

fn port(bytes: &[u8]) {
    let mut src = BytesMut::from(bytes);
    let mut again = BytesMut::new();
    let mut guest = [(); 3].map(|()| Assembler::new(Receiver::Guest, &limits()));
    while let Ok(Some(chunk)) = Chunk::decode(&mut src) {
        chunk.encode(&mut again).expect("what was decoded fits");
        if let Some(assembler) = guest.get_mut(chunk.port.0 as usize) {
            for frame in assembler.frames(&chunk.data) {
                let Ok(frame) = frame else { break };
                hold(&frame, Agreed::NOTHING);
            }
        }
    }
    assert_eq!([&again[..], &src].concat(), bytes);
}

fn head(mut input: Input<'_>) {
    let kind = ImageType(input.byte());
    let (flags, width, height, size) = (input.byte(), input.byte(), input.byte(), input.byte());
    let data = Bytes::copy_from_slice(input.rest());
    let len = data.len();
    let payload = match kind {
        ImageType::LZ_PLT => Payload::LzPlt(LzPltData {
            flags: BitmapFlags(flags),
            palette: PaletteSource::Cached(1),
            data,
        }),
        ImageType::ZLIB_GLZ_RGB => Payload::ZlibGlz {
            glz_data_size: size.into(),
            data,
        },
        ImageType::JPEG_ALPHA => Payload::JpegAlpha {
            flags: JpegAlphaFlags(flags),
            jpeg_size: size.into(),
            data,
        },
        ImageType::SURFACE => Payload::Surface(size.into()),
        ImageType::QUIC | ImageType::LZ_RGB | ImageType::GLZ_RGB | ImageType::JPEG | ImageType::LZ4 => {
            Payload::Packed(data)
        }
        _ => Payload::Nothing,
    };
    let image = Image {
        descriptor: ImageDescriptor {
            id: 1,
            r#type: kind,
            flags: ImageFlags(0),
            width: width.into(),
            height: height.into(),
        },
        payload,
    };
    match image.head() {
        Err(error) => assert!(error.offset <= len, "{error}"),
        Ok(None) => assert!(matches!(image.payload, Payload::Nothing | Payload::Surface(_))),
        Ok(Some(head)) => match head.check(&image) {
            Ok(()) => {
                let size = head.size().unwrap_or((width.into(), height.into()));
                assert_eq!(size, (width.into(), height.into()));
            }
            Err(mismatch) => assert!(!mismatch.to_string().is_empty()),
        },
    }
}
