//! The messages of both sides behind the handshake.
//!
//! ```text
//! | bit 0: from the server, bit 1: nothing is agreed on | chunk u8 | stream |
//! ```

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use rfb_proto::framing::{ClientFramer, FramingError, HELD};
use rfb_proto::message::{ClientMessage, ExtendedClipboard, Extensions, ServerMessage};
use rfb_proto::{DecodeError, Limits};

use crate::Input;
use crate::shown::shown;

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default().with_cut_text(64).with_clipboard(256)
}

/// Checks one input.
pub fn check(data: &[u8]) {
    reached(data);
}

/// Checks one input, and gives the types of the messages in it: those of the server above 255.
pub fn reached(data: &[u8]) -> BTreeSet<u16> {
    let mut input = Input::new(data);
    let (bits, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    let extensions = if bits & 2 == 0 {
        Extensions::ALL
    } else {
        Extensions::NONE
    };
    let stream = input.rest();
    match bits & 1 {
        0 => client(stream, chunk, extensions),
        _ => server(stream, extensions),
    }
}

/// A client's stream is framed alike in any pieces, and each message encodes to the bytes that it was decoded from.
fn client(stream: &[u8], chunk: usize, extensions: Extensions) -> BTreeSet<u16> {
    let frame = |chunk: usize| -> (Vec<(u64, Vec<u8>)>, Option<FramingError>) {
        let mut framer = ClientFramer::new(&limits());
        let (mut found, mut rx) = (Vec::new(), Vec::new());
        for piece in stream.chunks(chunk) {
            rx.extend_from_slice(piece);
            let mut left = &rx[..];
            loop {
                match framer.next_message(&mut left, &extensions) {
                    Ok(Some(message)) if message.offset == 0 => found.push((message.len, message.bytes.to_vec())),
                    Ok(Some(message)) => found
                        .last_mut()
                        .expect("its beginning")
                        .1
                        .extend_from_slice(message.bytes),
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(
                            framer.next_message(&mut left, &extensions),
                            Err(error),
                            "an error is terminal"
                        );
                        return (found, Some(error));
                    }
                }
            }
            let taken = rx.len() - left.len();
            rx.drain(..taken);
            assert!(0 < framer.missing().bytes && rx.len() <= HELD);
        }
        (found, None)
    };
    let whole = frame(stream.len().max(1));
    assert_eq!(frame(chunk), whole);
    let bytes: Vec<u8> = whole.0.iter().flat_map(|(_, bytes)| bytes).copied().collect();
    assert!(stream.starts_with(&bytes));
    let mut types = BTreeSet::new();
    for (len, message) in whole.0 {
        // The last one may be a piece.
        if message.len() as u64 == len {
            types.insert(message[0].into());
            hold(&message, |bytes| {
                let decoded = ClientMessage::decode(bytes, &extensions, &limits())?;
                shown(&decoded, bytes.len());
                if let ClientMessage::ClientCutText(text) = &decoded {
                    clipboard(text.extended, &text.text);
                }
                Ok((
                    decoded.number(),
                    encoded(|dst| decoded.encode(dst).expect("it was decoded")),
                    decoded.encoded_len(),
                ))
            });
        }
    }
    types
}

/// The messages of a server, up to an update.
fn server(stream: &[u8], extensions: Extensions) -> BTreeSet<u16> {
    let mut types = BTreeSet::new();
    let mut rx = BytesMut::from(stream);
    loop {
        let before = rx.clone();
        let Ok(Some(message)) = ServerMessage::take(&mut rx, &extensions, &limits()) else {
            break;
        };
        let bytes = &before[..before.len() - rx.len()];
        assert!(!bytes.is_empty(), "progress");
        types.insert(256 + u16::from(message.number()));
        hold(bytes, |bytes| {
            let decoded = ServerMessage::decode(bytes, &extensions, &limits())?;
            shown(&decoded, bytes.len());
            assert_eq!(decoded, message);
            if let ServerMessage::ServerCutText(text) = &decoded {
                clipboard(text.extended, &text.text);
            }
            Ok((
                decoded.number(),
                encoded(|dst| decoded.encode(dst).expect("it was decoded")),
                decoded.encoded_len(),
            ))
        });
    }
    types
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut dst = BytesMut::from(&b"in front"[..]);
    encode(&mut dst);
    dst[8..].to_vec()
}

/// A whole message: what it decodes to has its number, its bytes and its length.
fn hold(message: &[u8], decode: impl Fn(&Bytes) -> Result<(u8, Vec<u8>, usize), DecodeError>) {
    let bytes = Bytes::copy_from_slice(message);
    let (number, again, len) = decode(&bytes).expect("it was framed");
    assert_eq!((number, &again[..], len), (message[0], message, message.len()));
    for cut in [0, 1, message.len() / 2, message.len() - 1] {
        let error = decode(&bytes.slice(..cut.min(message.len() - 1))).expect_err("it is not whole");
        assert!(error.offset <= message.len());
    }
}

/// What an extended cut text holds: decoded, encoded, and unpacked within the limits.
fn clipboard(extended: bool, text: &Bytes) {
    if !extended {
        return;
    }
    let Ok(message) = ExtendedClipboard::decode(text, &limits()) else {
        return;
    };
    let again = encoded(|dst| message.encode(dst).expect("it was decoded"));
    assert_eq!(
        ExtendedClipboard::decode(&again.into(), &limits()).as_ref(),
        Ok(&message)
    );
    if let ExtendedClipboard::Provide(provide) = &message
        && let Ok(data) = provide.unpack(&limits())
    {
        assert!(data.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() <= 256);
    }
}
