#![cfg_attr(fuzzing, no_main)]
//! What feature `arbitrary` makes of bytes: each message of each channel has a wire form, and comes back from it.
//!
//! ```text
//! | bit 0: of a client, bits 1 to 4: of all channels, or of the n-th of them u8 | draws, from which messages are made |
//! ```
//!
//! Not searched in CI: see LAWS.md.

use arbitrary::{Arbitrary, Unstructured};
use bytes::BytesMut;
use fuzz::Input;
use spice_proto::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
use spice_proto::frame::{Body, Frame, Header};
use spice_proto::{DecodeError, EncodeError};

fuzz::target!(check);

fn hold<'a, M>(draws: &mut Unstructured<'a>, decode: fn(&Frame) -> Result<M, DecodeError>)
where
    M: Arbitrary<'a> + Body + PartialEq + std::fmt::Debug,
{
    let Ok(message) = M::arbitrary(draws) else { return };
    let mut body = BytesMut::from(&b"in front"[..]);
    let encoded: Result<(), EncodeError> = message.encode(&mut body);
    encoded.expect("it has a wire form");
    let body = body.split_off(8).freeze();
    assert_eq!(body.len(), message.encoded_len(), "the length is exact");
    let header = Header {
        serial: 0,
        number: message.number(),
        size: u32::try_from(body.len()).expect("inputs are small"),
        sub_list: 0,
    };
    assert_eq!(decode(&Frame { header, body }).as_ref(), Ok(&message));
}

macro_rules! channels {
    ($draws:ident, $only:ident, $message:ident: $($channel:ident),*) => {
        {
            let mut at = 0;
            $(
                at += 1;
                if $only == 0 || $only == at {
                    hold($draws, $channel::$message::decode);
                }
            )*
            let _ = at;
        }
    };
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let bits = input.byte();
    let draws = &mut Unstructured::new(input.rest());
    let only = bits >> 1 & 15;
    let times = if only == 0 { 4 } else { 64 };
    for _ in 0..times {
        match bits & 1 {
            0 => {
                channels!(draws, only, ServerMessage: common, cursor, display, inputs, main, playback, port, record, smartcard, vmc)
            }
            _ => channels!(draws, only, ClientMessage: common, display, inputs, main, port, record, smartcard, vmc),
        }
        if draws.is_empty() {
            break;
        }
    }
}
