#![cfg_attr(fuzzing, no_main)]
//! What feature `arbitrary` makes of bytes: each message has a wire form, comes back from it, and is framed as one.
//!
//! ```text
//! | bit 0: of a server u8 | draws, from which messages are made |
//! ```
//!
//! Not searched in CI: see LAWS.md.

use arbitrary::{Arbitrary, Unstructured};
use bytes::BytesMut;
use fuzz::Input;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::framing::ClientFramer;
use rfb_proto::message::{ClientMessage, Extensions, ServerMessage};
use rfb_proto::{Limits, PixelFormat, ServerInit};

fuzz::target!(check);

/// What an input costs is bounded.
const MESSAGES: usize = 50;

fn client(draws: &mut Unstructured<'_>) {
    let (mut stream, limits) = (BytesMut::new(), Limits::default());
    let mut messages = Vec::new();
    while let (Ok(message), true) = (ClientMessage::arbitrary(draws), messages.len() < MESSAGES) {
        let before = stream.len();
        message.encode(&mut stream).expect("it has a wire form");
        assert_eq!(stream.len() - before, message.encoded_len());
        messages.push(message);
    }
    let mut framer = ClientFramer::new(&limits);
    let framed = stream.clone();
    let mut left = &framed[..];
    for message in messages {
        let mut len = 0;
        while let Ok(Some(part)) = framer.next_message(&mut left, &Extensions::ALL) {
            len += part.bytes.len();
            if part.is_last() {
                break;
            }
        }
        assert_eq!(len, message.encoded_len(), "it is framed where it ends");
        let taken = ClientMessage::take(&mut stream, &Extensions::ALL, &limits);
        assert_eq!(taken, Ok(Some(message)));
    }
    assert!(stream.is_empty() && left.is_empty());
}

fn server(draws: &mut Unstructured<'_>) {
    let limits = Limits::default();
    for _ in 0..MESSAGES {
        let Ok(message) = ServerMessage::arbitrary(draws) else {
            break;
        };
        let mut wire = BytesMut::new();
        message.encode(&mut wire).expect("it has a wire form");
        assert_eq!(wire.len(), message.encoded_len());
        assert_eq!(
            ServerMessage::decode(&wire.freeze(), &Extensions::ALL, &limits),
            Ok(message)
        );
    }
    if let Ok(init) = ServerInit::arbitrary(draws) {
        let mut wire = BytesMut::new();
        init.encode(&mut wire).expect("it has a wire form");
        assert_eq!(ServerInit::decode(&wire.freeze(), &limits), Ok(init));
    }
    if let (Ok(rectangle), Ok(format)) = (Rectangle::arbitrary(draws), PixelFormat::arbitrary(draws)) {
        let mut wire = BytesMut::new();
        rectangle.encode(&mut wire).expect("it has a wire form");
        format.encode(&mut wire).expect("it has a wire form");
        let format_bytes = wire.split_off(wire.len() - 16);
        assert_eq!(Rectangle::decode(&wire.freeze(), &limits), Ok(rectangle));
        assert_eq!(PixelFormat::decode(&format_bytes.freeze(), &limits), Ok(format));
        assert!(!Encoding(rectangle.encoding.0).to_string().is_empty());
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let bits = input.byte();
    let mut draws = Unstructured::new(input.rest());
    match bits & 1 {
        0 => client(&mut draws),
        _ => server(&mut draws),
    }
}
