//! Laws over all seeds of all targets, and mutations that are the same in each run: what a decoder may allocate.
//!
//! `LAWS.md` has all laws. This one needs an allocator that counts, which a search has not.

use bytes::{Bytes, BytesMut};
use fuzz::seeds;
use rfb_proto::framing::{ClientFramer, ServerFramer};
use rfb_proto::message::{ClientMessage, Extensions, ServerMessage};
use spice_proto::channel;
use spice_proto::frame::{Frame, FrameReader, Header, HeaderForm, SubMessages};
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkMess, LinkReply};
use spice_proto::session::Snapshot;

/// A decoder, and how many bytes it may hold for each byte that it is given: entries of lists are larger in memory than on
/// the wire.
type Decoder = (&'static str, u64, fn(&[u8]));

const DECODERS: [Decoder; 14] = [
    ("spice link message", 8, |bytes| {
        drop(LinkMess::decode_slice(bytes, &spice()))
    }),
    ("spice link reply", 8, |bytes| {
        drop(LinkReply::decode_slice(bytes, &spice()))
    }),
    ("spice frames", 8, |bytes| {
        for form in [HeaderForm::Mini, HeaderForm::Full] {
            let (mut reader, mut rx) = (FrameReader::new(form, &spice()), BytesMut::from(bytes));
            while let Ok(Some(frame)) = reader.decode(&mut rx) {
                let _ = SubMessages::new(&frame.body, frame.header.sub_list).map(Iterator::count);
            }
        }
    }),
    ("spice server messages", 32, |bytes| {
        messages(bytes, |kind, frame| drop(channel::ServerMessage::decode(kind, frame)));
    }),
    ("spice client messages", 32, |bytes| {
        messages(bytes, |kind, frame| drop(channel::ClientMessage::decode(kind, frame)));
    }),
    ("spice agent", 32, |bytes| {
        use spice_proto::agent::{Frame, Message, MessageHeader, caps::Agreed};
        let data = Bytes::copy_from_slice(bytes);
        for number in 1..17 {
            let header = MessageHeader {
                protocol: 1,
                r#type: spice_proto::ids::AgentMessageType(number),
                opaque: 0,
                size: u32::try_from(data.len()).expect("inputs are small"),
            };
            let data = data.clone();
            let _ = Message::decode(&Frame { header, data }, Agreed::NOTHING);
        }
    }),
    ("spice snapshot", 16, |bytes| drop(Snapshot::decode_slice(bytes))),
    ("rfb client messages", 16, |bytes| {
        let (mut framer, mut left) = (ClientFramer::new(&rfb()), bytes);
        while let Ok(Some(_)) = framer.next_message(&mut left, &Extensions::ALL) {}
        let mut rx = BytesMut::from(bytes);
        while let Ok(Some(_)) = ClientMessage::take(&mut rx, &Extensions::ALL, &rfb()) {}
    }),
    ("rfb server messages", 16, |bytes| {
        let init = rfb_proto::ServerInit {
            width: 64,
            height: 64,
            format: rfb_proto::PixelFormat::RGB888,
            name: Bytes::new(),
        };
        let (mut framer, mut left) = (ServerFramer::new(&init, &rfb()), bytes);
        while let Ok(Some(_)) = framer.next_part(&mut left) {}
        let mut rx = BytesMut::from(bytes);
        while let Ok(Some(_)) = ServerMessage::take(&mut rx, &Extensions::ALL, &rfb()) {}
    }),
    ("tokens in requests", 16, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = console_token::web::place::query(&text);
        let _ = console_token::web::place::nova(&text, Some(&text));
    }),
    ("Nova's JSON", 16, |bytes| {
        use console_token::nova::{CreateAnswer, CreateRequest, Fault, Microversion, ShowAnswer};
        let version = Microversion::V2_99;
        let _ = (
            CreateRequest::from_json(version, bytes),
            CreateAnswer::from_json(version, bytes),
        );
        let _ = (ShowAnswer::from_json(version, bytes), Fault::from_json(bytes));
    }),
    ("key files", 128, |bytes| drop(vv_file::KeyFile::parse(bytes))),
    ("connection files", 256, |bytes| {
        drop(vv_file::ConnectionFile::parse(bytes))
    }),
    ("lint", 512, |bytes| drop(vv_file::lint(bytes))),
];

/// A reader makes room for the frame that it waits for, up to its limit.
fn spice() -> spice_proto::Limits {
    spice_proto::Limits::default().with_frame_body(1 << 12)
}

/// What is unpacked is bounded by its own limit, not by what it was packed into.
fn rfb() -> rfb_proto::Limits {
    rfb_proto::Limits::default().with_clipboard(1024)
}

fn messages(bytes: &[u8], decode: fn(ChannelType, &Frame)) {
    let body = Bytes::copy_from_slice(bytes.get(4..).unwrap_or_default());
    let number = bytes
        .get(2..4)
        .map_or(0, |number| u16::from_le_bytes([number[0], number[1]]));
    let header = Header {
        serial: 0,
        number,
        size: u32::try_from(body.len()).expect("inputs are small"),
        sub_list: 0,
    };
    let frame = Frame { header, body };
    for kind in 1..12 {
        decode(ChannelType(kind), &frame);
    }
}

/// For the text of errors, and what a decoder keeps of its own.
const ALWAYS: u64 = 16 << 10;

#[test]
fn what_is_held_is_bounded_by_what_came() {
    let targets = seeds::make().expect("recipes");
    let names: Vec<&str> = targets.keys().map(String::as_str).collect();
    let mut cases = laws::of(&names);
    println!("{} cases of {} targets", cases.len(), names.len());
    assert!(700 <= cases.len());
    let count = 4 * cases.len();
    laws::mutate(&mut cases, count);
    for (name, factor, decode) in DECODERS {
        let (mut most, mut worst) = (0.0_f64, 0);
        for case in &cases {
            let held = allocation_counter::measure(|| decode(case)).bytes_max;
            let bound = factor * case.len() as u64 + ALWAYS;
            assert!(
                held <= bound,
                "{name}: {held} bytes for {}: {}",
                case.len(),
                case.escape_ascii()
            );
            if 64 <= case.len() {
                most = most.max(held as f64 / case.len() as f64);
            }
            worst = worst.max(held);
        }
        println!("{name}: {most:.1} bytes held for each, at most {worst}, of {factor}");
    }
}

/// A length in a message takes no memory until its bytes are there: any four bytes of a case say that much follows.
#[test]
fn lengths_take_no_memory() {
    let mut cases = laws::of(&[
        "spice_messages",
        "spice_agent",
        "rfb_messages",
        "rfb_stream",
        "spice_link",
    ]);
    cases.retain(|case| case.len() <= 200);
    for (name, factor, decode) in &DECODERS[..9] {
        for case in &cases {
            for at in (0..case.len().saturating_sub(4)).step_by(5) {
                let mut large = case.clone();
                for (value, len) in [(0x7f, 4), (0xff, 4), (0xff, 2)] {
                    large[at..at + len].fill(value);
                    let held = allocation_counter::measure(|| decode(&large)).bytes_max;
                    let bound = factor * large.len() as u64 + ALWAYS;
                    assert!(held <= bound, "{name}: {held} bytes at {at} of {}", case.escape_ascii());
                }
            }
        }
    }
}
