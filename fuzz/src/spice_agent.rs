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
    Agreed, Assembler, Conversation, ConversationError, Delivery, Filter, FilterDecision, Frame, MAX_DATA, Message,
    Passage, Pieces, Receiver, Stream, TokenError, caps,
};
use spice_proto::channel::display::image::{Image, ImageDescriptor, LzPltData, PaletteSource, Payload};
use spice_proto::channel::main::{AgentData, AgentDisconnected, AgentToken, ClientMessage, ServerMessage};
use spice_proto::ids::{BitmapFlags, ImageFlags, ImageType, JpegAlphaFlags, LinkErrorCode};
use spice_proto::{DecodeError, Limits};

use crate::Input;
use crate::shown::{logged, shown};

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

/// One `AGENT_DATA` that is delivered, behind a filter.
fn filter(filter: &mut Filter, receiver: Receiver, body: &[u8]) {
    let mut passed = BytesMut::new();
    let judged = filter.pass(body, &mut passed, |header| match header.r#type.0 {
        1..=9 => FilterDecision::Pass,
        _ => FilterDecision::Drop,
    });
    match judged {
        Ok(Passage::Whole | Passage::Nothing) | Err(_) => assert!(passed.is_empty()),
        Ok(Passage::Part) => {
            assert!(receiver == Receiver::Client && !passed.is_empty());
            assert!(passed.len() < body.len() + 20, "no more goes on than came, and a head");
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
    shown(&message, frame.data.len());
    if let Message::FileXferStatus(status) = &message
        && let Ok(Some(detail)) = status.detail(agreed)
    {
        let made = spice_proto::agent::FileXferStatus::with_detail(status.id, detail, agreed);
        assert!(status.data.starts_with(&made.data) && made.result == status.result);
    }
    let is_unknown = matches!(message, Message::Unknown(_));
    assert!(!message.name().is_empty() && message.is_unknown() == is_unknown);
    if again.header.protocol == 1 {
        let pieces = Pieces::new(&message).expect("it fits");
        let (count, _) = pieces.size_hint();
        assert_eq!(count, pieces.count(), "the number of pieces is exact");
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

/// Operations of both sides, in any order. The accounts are held against sums.
fn converse(mut input: Input<'_>) {
    let mut conversation = Conversation::new(&limits());
    let [mut of_client, mut of_server] =
        [Receiver::Server, Receiver::Client].map(|receiver| Filter::new(receiver, &limits()));
    // Given and not spent.
    let (mut client, mut server) = (0_u64, 0_u64);
    for _ in 0..1000 {
        let (operation, number) = (input.byte(), input.byte());
        if operation == 0 && number == 0 {
            break;
        }
        let num_tokens = u32::from(number);
        let (connected, started) = (conversation.tokens().is_connected(), conversation.tokens().is_started());
        let agreed = conversation.agreed();
        let mut heard = Vec::new();
        let mut each = |frame: Frame, message: Result<Message, DecodeError>| heard.push((frame, message));
        let mut body = &[][..];
        let result = match operation % 8 {
            0 | 1 => {
                client = if operation % 8 == 0 { num_tokens.into() } else { client };
                of_client.reset();
                of_server.reset();
                let message = match operation % 8 {
                    0 => ServerMessage::AgentConnectedTokens(AgentToken { num_tokens }),
                    _ => ServerMessage::AgentConnected,
                };
                conversation.server_message(&message, &mut each)
            }
            2 => {
                of_client.reset();
                of_server.reset();
                let error_code = LinkErrorCode(num_tokens);
                let gone = ServerMessage::AgentDisconnected(AgentDisconnected { error_code });
                conversation.server_message(&gone, &mut each)
            }
            3 => {
                client += u64::from(number);
                conversation.server_message(&ServerMessage::AgentToken(AgentToken { num_tokens }), &mut each)
            }
            4 => {
                server = if connected { num_tokens.into() } else { server };
                conversation.client_message(&ClientMessage::AgentStart(AgentToken { num_tokens }), &mut each)
            }
            5 => {
                server += if started { num_tokens.into() } else { 0 };
                conversation.client_message(&ClientMessage::AgentToken(AgentToken { num_tokens }), &mut each)
            }
            6 => {
                body = input.blob();
                conversation.client_message(&ClientMessage::AgentData(agent_data(body)), &mut each)
            }
            _ => {
                body = input.blob();
                conversation.server_message(&ServerMessage::AgentData(agent_data(body)), &mut each)
            }
        };
        let from_client = operation % 8 == 6;
        match result {
            Ok(None) => assert!(operation % 8 < 6),
            Err(ConversationError::Token(TokenError::NotStarted)) => {
                assert!(operation % 8 == 5 && connected && !started);
            }
            Err(ConversationError::Token(_)) => {
                assert_eq!(if from_client { client } else { server }, 0);
            }
            Ok(Some(delivery)) => assert_eq!(delivery == Delivery::Delivered, started),
            // What is discarded has to keep to the rules too.
            Err(_) => assert!(from_client || operation % 8 == 7),
        }
        let is_data = matches!(result, Ok(Some(_)) | Err(ConversationError::Stream(_)));
        if is_data && started {
            let account = if from_client { &mut client } else { &mut server };
            *account = account.checked_sub(1).expect("no token is spent twice");
        } else {
            assert!(heard.is_empty());
        }
        match operation % 8 {
            6 if is_data => filter(&mut of_client, Receiver::Server, body),
            7 if is_data && started => filter(&mut of_server, Receiver::Client, body),
            _ => {}
        }
        for (n, (frame, message)) in heard.into_iter().enumerate() {
            assert!(frame.data.len() <= HELD as usize);
            if n == 0 {
                assert_eq!(hold(&frame, agreed), message.ok());
            }
        }
        let tokens = conversation.tokens();
        assert_eq!((tokens.client(), tokens.server()), (client, server));
    }
}

fn agent_data(data: &[u8]) -> AgentData {
    let data = Bytes::copy_from_slice(data);
    AgentData { data }
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
        let found = parts.parts(body);
        logged(&found, 0);
        let passed = found.filter(|part| part.is_ok_and(|part| part.missing() == 0)).count();
        seen += passed;
        // What the guest copies is not shown.
        let whole = Bytes::copy_from_slice(body);
        let found = assembler.frames(&whole);
        logged(&found, 0);
        for frame in found {
            match (frame, error) {
                (Ok(frame), None) => frames.push(frame),
                (Err(found), None) => error = Some(found),
                (again, Some(first)) => assert_eq!(again, Err(first), "an error is terminal"),
            }
        }
    }
    logged(&(&assembler, &parts), 0);
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
    let mut other = image.clone();
    other.descriptor.r#type = ImageType::SURFACE;
    other.payload = Payload::Surface(1);
    match image.head() {
        Err(error) => assert!(error.offset <= len, "{error}"),
        Ok(None) => assert!(matches!(image.payload, Payload::Nothing | Payload::Surface(_))),
        Ok(Some(head)) if head.check(&other).is_ok() => panic!("{head:?} is no head of {other:?}"),
        Ok(Some(head)) => match head.check(&image) {
            Ok(()) => {
                let size = head.size().unwrap_or((width.into(), height.into()));
                assert_eq!(size, (width.into(), height.into()));
            }
            Err(mismatch) => assert!(!mismatch.to_string().is_empty()),
        },
    }
}
