#![cfg_attr(fuzzing, no_main)]
//! The messages of both sides through tokio's codecs.
//!
//! ```text
//! | bit 0: a server's stream, bits 1 and 2: format | chunk u8 | what a server's peer has asked for: length u8 | stream |
//! ```
//!
//! Any pieces give the same messages, rectangles and errors; what was read is written as it was; a stream that ends inside
//! of a message is not whole.
//!
//! Not searched in CI: see LAWS.md.

use bytes::{Bytes, BytesMut};
use fuzz::Input;
use rfb_proto::codec::{ClientCodec, CodecError, ServerCodec, ServerItem};
use rfb_proto::message::{ClientMessage, ClientMessages, Extensions};
use rfb_proto::{Limits, PixelFormat, ServerInit};
use tokio_util::codec::{Decoder, Encoder};

fuzz::target!(check);

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default()
        .with_cut_text(64)
        .with_clipboard(256)
        .with_rectangle(1 << 14)
        .with_name(32)
}

/// All that a decoder gives, the error as text, and what is left.
fn decoded<D>(codec: &mut D, stream: &[u8], chunk: usize) -> (Vec<D::Item>, Option<String>, Vec<u8>)
where
    D: Decoder<Error = CodecError>,
{
    let (mut rx, mut items) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(chunk) {
        rx.extend_from_slice(piece);
        loop {
            match codec.decode(&mut rx) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error.to_string()), Vec::new()),
            }
        }
    }
    (items, None, rx.to_vec())
}

fn of_client(stream: &[u8], chunk: usize) {
    let server = || ServerCodec::new(&limits());
    let (mut own, mut other) = (server(), server());
    let whole = decoded(&mut own, stream, stream.len().max(1));
    assert_eq!(decoded(&mut other, stream, chunk), whole);
    assert_eq!(own.extensions(), other.extensions());
    // One by one, as an iterator over the same bytes.
    let (mut extensions, limits) = (Extensions::NONE, limits());
    let mut messages = ClientMessages::new(stream, &mut extensions, &limits);
    let found: Vec<ClientMessage> = messages.by_ref().collect();
    assert_eq!(found, whole.0);
    match messages.finish() {
        Ok(taken) => assert_eq!((stream.len() - taken, None), (whole.2.len(), whole.1)),
        Err(error) => assert_eq!(Some(error.to_string()), whole.1),
    }
    // A client of the crate says the same.
    let mut client = ClientCodec::new(&init(0), &limits);
    let mut tx = BytesMut::new();
    for message in found {
        let before = tx.len();
        if client.encode(message, &mut tx).is_err() {
            // The framer of a client's own words follows fewer of them.
            tx.truncate(before);
            break;
        }
    }
    assert!(stream.starts_with(&tx));
}

fn init(bits: u8) -> ServerInit {
    let depths = [32, 16, 8, 24];
    ServerInit {
        width: 64,
        height: 64,
        format: PixelFormat {
            bits_per_pixel: depths[usize::from(bits & 3)],
            ..PixelFormat::RGB888
        },
        name: Bytes::new(),
    }
}

fn of_server(bits: u8, chunk: usize, asked: &[u8], stream: &[u8]) {
    let client = || {
        let mut codec = ClientCodec::new(&init(bits), &limits());
        // What a client has asked for decides what its server may say.
        let mut messages = BytesMut::new();
        let mut extensions = Extensions::ALL;
        for message in ClientMessages::new(asked, &mut extensions, &limits()) {
            if codec.encode(message, &mut messages).is_err() {
                break;
            }
        }
        codec
    };
    let (mut one, mut other) = (client(), client());
    let whole = decoded(&mut one, stream, stream.len().max(1));
    let parts = decoded(&mut other, stream, chunk);
    assert_eq!(parts.1, whole.1, "the same error");
    let written = |items: Vec<ServerItem>| {
        let (mut server, mut tx) = (ServerCodec::new(&limits()), BytesMut::new());
        for item in items {
            server.encode(item, &mut tx).expect("it was read");
        }
        tx
    };
    let eof = |codec: &mut ClientCodec, left: &[u8]| {
        let ended = codec.decode_eof(&mut BytesMut::from(left));
        matches!(ended, Ok(None))
    };
    if whole.1.is_none() {
        assert_eq!(one.framer().taken(), other.framer().taken());
        let ended = eof(&mut one, &whole.2);
        assert_eq!(ended, eof(&mut other, &parts.2));
        let (out, again) = (written(whole.0), written(parts.0));
        assert_eq!(out, again);
        assert!(stream.starts_with(&out));
        // Pieces of a message are held until it is whole.
        assert!(!ended || out.len() == stream.len());
    } else {
        let (out, again) = (written(whole.0), written(parts.0));
        assert!(again.starts_with(&out) && stream.starts_with(&again));
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (bits, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    match bits & 1 {
        0 => of_client(input.rest(), chunk),
        _ => {
            let asked = input.short_blob();
            of_server(bits >> 1, chunk, asked, input.rest());
        }
    }
}
