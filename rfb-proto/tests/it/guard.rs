//! A guard in a relay: clipboards that go in pieces, messages that do not decode, and what an announced length costs.

use bytes::{Bytes, BytesMut};
use rfb_proto::filter::{Clipboard, Filter, Guard};
use rfb_proto::framing::{HELD, Message, Relay, Verdict, Watch};
use rfb_proto::message::{
    ClientCutText, ClientMessage, ClipboardFlags, ExtendedClipboard, Extension, Provide, ServerCutText, ServerMessage,
    SetEncodings,
};
use rfb_proto::{DecodeErrorKind, Limits, PixelFormat, ServerInit};

/// What a decompressor takes, whatever it is given.
const STATE: u64 = 60_000;

/// Rules of one direction.
const RULES: [Clipboard; 5] = [
    Clipboard::Pass,
    Clipboard::AtMost(u32::MAX),
    Clipboard::AtMost(LEN as u32),
    Clipboard::AtMost(LEN as u32 - 1),
    Clipboard::Withhold,
];

/// A text that goes in pieces, packed or not.
const LEN: usize = HELD + 40_000;

/// Bytes that deflate makes no shorter.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_be_bytes()[0] & 0x7f
    };
    core::iter::repeat_with(next).take(len).collect()
}

fn packed(data: &[u8]) -> ExtendedClipboard {
    ExtendedClipboard::Provide(Provide::pack(&[(ClipboardFlags::TEXT, data)]).unwrap())
}

/// The message of either direction, and whether it goes in pieces.
fn messages(is_client: bool, is_packed: bool) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let text = noise(LEN + LEN / 2 * usize::from(is_packed));
    match (is_client, is_packed) {
        (true, false) => ClientMessage::from(ClientCutText::new(text.into())).encode(&mut bytes),
        (false, false) => ServerMessage::from(ServerCutText::new(text.into())).encode(&mut bytes),
        (true, true) => ClientMessage::from(ClientCutText::from_extended(&packed(&text)).unwrap()).encode(&mut bytes),
        (false, true) => ServerMessage::from(ServerCutText::from_extended(&packed(&text)).unwrap()).encode(&mut bytes),
    }
    .unwrap();
    assert!(HELD < bytes.len());
    bytes.to_vec()
}

/// What of the bytes goes on, in chunks, in front of a message that always passes.
fn relayed(filter: &Filter, is_client: bool, bytes: &[u8], chunk: usize) -> (Vec<u8>, u64) {
    let init = ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::RGB888,
        name: Bytes::new(),
    };
    let limits = Limits::default();
    let mut relay = Relay::new(&init, &limits);
    let mut guard = Guard::new(filter.clone(), &limits);
    let (mut src, mut dst) = (BytesMut::new(), BytesMut::new());
    let asks = SetEncodings::new(&[Extension::ExtendedClipboard.encoding()]);
    ClientMessage::from(asks).encode(&mut src).unwrap();
    relay.from_client(&mut src, &mut dst, &mut guard).unwrap();
    dst.clear();
    let end: &[u8] = if is_client {
        b"\x03\x01\0\0\0\0\x02\x80\x01\xe0"
    } else {
        b"\x02"
    };
    for bytes in [bytes, end].concat().chunks(chunk) {
        src.extend_from_slice(bytes);
        match is_client {
            true => relay.from_client(&mut src, &mut dst, &mut guard),
            false => relay.from_server(&mut src, &mut dst, &mut guard),
        }
        .unwrap();
    }
    assert!(src.is_empty());
    let passed = dst.strip_suffix(end).expect("what always passes");
    (passed.to_vec(), guard.withheld())
}

/// A packed clipboard of which a piece is there can be anything: it passes where both directions pass everything. The
/// length of a plain one is known.
#[test]
fn clipboards_in_pieces() {
    for (is_client, is_packed) in [(true, true), (true, false), (false, true), (false, false)] {
        let bytes = messages(is_client, is_packed);
        for (to_server, to_client) in RULES.iter().flat_map(|a| RULES.iter().map(move |b| (*a, *b))) {
            let filter = Filter::default()
                .with_clipboard_to_server(to_server)
                .with_clipboard_to_client(to_client);
            let own = if is_client { to_server } else { to_client };
            let passes = match is_packed {
                true => (to_server, to_client) == (Clipboard::Pass, Clipboard::Pass),
                false => own.takes(LEN as u64),
            };
            for chunk in [1000, usize::MAX] {
                let (passed, withheld) = relayed(&filter, is_client, &bytes, chunk);
                let of = format!("client: {is_client}, packed: {is_packed}, {to_server:?}, {to_client:?}, by {chunk}");
                assert!(passed == if passes { &bytes[..] } else { &[] }, "{of}");
                assert_eq!(withheld, u64::from(!passes), "{of}");
            }
        }
    }
}

/// A message that the relay has cut but that does not decode goes nowhere, whatever the filter lets through.
#[test]
fn messages_that_do_not_decode() {
    let mut guard = Guard::new(Filter::default().with_files(true), &Limits::default());
    // Shorter than their number says, a number that nothing has, and none at all.
    let from_client: [&[u8]; 5] = [b"\x04\x01\0\0\0", b"\x05\0\0", b"\xff\x09\0\0", b"\x7f\0\0\0", b""];
    let from_server: [&[u8]; 4] = [b"\x03\0\0\0\0\0\0\x02a", b"\0\0", b"\x7f\0\0\0", b""];
    for (count, bytes) in from_client.iter().enumerate() {
        let (number, len) = (bytes.first().copied().unwrap_or_default(), bytes.len() as u64);
        let message = Message {
            number,
            len,
            offset: 0,
            bytes,
        };
        assert_eq!(guard.client(&message), Verdict::Withhold, "{bytes:02x?}");
        assert_eq!(guard.withheld(), count as u64 + 1);
    }
    let before = guard.withheld();
    for (count, bytes) in from_server.iter().enumerate() {
        let (number, len) = (bytes.first().copied().unwrap_or_default(), bytes.len() as u64);
        let message = Message {
            number,
            len,
            offset: 0,
            bytes,
        };
        assert_eq!(guard.server(&message), Verdict::Withhold, "{bytes:02x?}");
        assert_eq!(guard.withheld(), before + count as u64 + 1);
    }
}

/// Memory follows the bytes that have come, not the size that is announced for them.
#[test]
fn an_announced_size_takes_no_memory() {
    let limits = Limits::default().with_clipboard(64 << 20);
    let flags = ClipboardFlags::PROVIDE.with(ClipboardFlags::TEXT);
    for (announced, there) in [(60_u32 << 20, 0), (60 << 20, 1), (60 << 20, 200), (1 << 20, 4096)] {
        let plain = [&announced.to_be_bytes()[..], &noise(there)].concat();
        let data = Bytes::from(miniz_oxide::deflate::compress_to_vec_zlib(&plain, 6));
        let provide = Provide { flags, data };
        let mut result = None;
        let allocated = allocation_counter::measure(|| result = Some(provide.unpack(&limits)));
        let error = result.unwrap().unwrap_err();
        assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
        let most = STATE + 4 * there as u64;
        assert!(
            allocated.bytes_max < most,
            "{announced}, {there} there: {}",
            allocated.bytes_max
        );
    }
}

/// A packed clipboard above the rule is refused by the size that stands in front of it: what follows is not unpacked,
/// though the limit on all clipboards would let it.
#[test]
fn too_long_a_clipboard_is_refused_before_it_is_unpacked() {
    let limits = Limits::default().with_clipboard(64 << 20);
    let zeros = vec![0; 16 << 20];
    let long = Provide::pack(&[(ClipboardFlags::TEXT, &zeros)]).unwrap();
    let second = Provide::pack(&[(ClipboardFlags::TEXT, b"a"), (ClipboardFlags::HTML, &zeros)]).unwrap();
    for provide in [long, second] {
        let provide = ExtendedClipboard::Provide(provide);
        let from_client = ClientMessage::from(ClientCutText::from_extended(&provide).unwrap());
        let from_server = ServerMessage::from(ServerCutText::from_extended(&provide).unwrap());
        for limit in [0, 1, 1000, 1 << 20, (16 << 20) - 1] {
            let rule = Clipboard::AtMost(limit);
            let filter = Filter::default()
                .with_clipboard_to_server(rule)
                .with_clipboard_to_client(rule);
            let mut verdicts = Vec::with_capacity(2);
            let allocated = allocation_counter::measure(|| {
                verdicts.push(filter.client(&from_client, &limits));
                verdicts.push(filter.server(&from_server, &limits));
            });
            assert_eq!(verdicts, [Verdict::Withhold, Verdict::Withhold], "{limit}");
            assert!(allocated.bytes_max < STATE, "{limit}: {}", allocated.bytes_max);
        }
        let all = Filter::default().with_clipboard_to_server(Clipboard::AtMost((16 << 20) + 1));
        assert_eq!(all.client(&from_client, &limits), Verdict::Pass);
    }
}
