//! The messages of every SPICE channel, in both directions.
//!
//! ```text
//! | channel type u8 | 0 from the server, 1 from the client | message number u16 | body |
//! ```

use bytes::{Bytes, BytesMut};
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::frame::{Body, Frame, Header};
use spice_proto::ids::ChannelType;
use spice_proto::{DecodeError, EncodeError};

use crate::Input;
use crate::shown::shown;

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (kind, direction) = (ChannelType(input.byte() % 12), input.byte() & 1);
    let number = u16::from_le_bytes([input.byte(), input.byte()]);
    let frame = frame(number, Bytes::copy_from_slice(input.rest()));
    match direction {
        0 => {
            hold(&frame, |frame| ServerMessage::decode(kind, frame));
            if let Ok(message) = ServerMessage::decode(kind, &frame) {
                named(&frame, &message, message.name(), message.is_unknown());
                assert!(message.common().is_none_or(|common| common.number() == number));
            }
            if let Ok(ServerMessage::Display(drawing)) = ServerMessage::decode(kind, &frame) {
                assert!(drawing.images().count() <= 3, "source, brush and mask");
            }
        }
        _ => {
            hold(&frame, |frame| ClientMessage::decode(kind, frame));
            if let Ok(message) = ClientMessage::decode(kind, &frame) {
                named(&frame, &message, message.name(), message.is_unknown());
            }
        }
    }
}

/// A message without a layout passes as it came.
fn named(frame: &Frame, message: &impl Body, name: &str, is_unknown: bool) {
    assert!(!name.is_empty());
    if is_unknown {
        assert_eq!(bytes_of(message).as_ref(), Ok(&frame.body));
    }
}

fn frame(number: u16, body: Bytes) -> Frame {
    let size = u32::try_from(body.len()).expect("inputs are small");
    Frame {
        header: Header {
            serial: 0,
            number,
            size,
            sub_list: 0,
        },
        body,
    }
}

fn bytes_of(message: &impl Body) -> Result<Bytes, EncodeError> {
    let mut out = BytesMut::from(&b"in front"[..]);
    message.encode(&mut out)?;
    assert_eq!(out.len() - 8, message.encoded_len(), "the length is exact");
    Ok(out.split_off(8).freeze())
}

/// What decodes encodes, to bytes that decode to the same and encode to the same.
fn hold<M: Body + PartialEq + core::fmt::Debug + serde::Serialize>(
    frame: &Frame,
    decode: impl Fn(&Frame) -> Result<M, DecodeError>,
) {
    match decode(frame) {
        Err(error) => assert!(error.offset <= frame.body.len(), "{error}"),
        Ok(message) => {
            shown(&message, frame.body.len());
            let number = message.number();
            assert_eq!(number, frame.header.number);
            let bytes = bytes_of(&message).expect("what was decoded fits");
            let again = decode(&self::frame(number, bytes.clone())).expect("what was encoded decodes");
            assert_eq!(bytes_of(&again), Ok(bytes));
            // A message without a layout keeps its header, whose size is its own.
            assert_eq!(again, message);
        }
    }
}
