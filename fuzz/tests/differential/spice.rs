//! SPICE messages against the published crate `shakenfist-spice-protocol`: where both have a message, both read the same bodies,
//! and write the same bytes of them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use shakenfist_spice_protocol::link::{SpiceLinkMess, SpiceLinkReply};
use shakenfist_spice_protocol::messages::{self as theirs, WireType};
use spice_proto::Limits;
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::frame::{Body as _, Frame, Header};
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkMess, LinkReply};

use super::inputs;

/// What a body becomes when it is read and written again. `None`: it is refused.
type Reads = fn(&[u8]) -> Option<Vec<u8>>;

fn again<T: WireType>(body: &[u8]) -> Option<Vec<u8>> {
    let mut written = Vec::new();
    T::decode(body).ok()?.write(&mut written);
    Some(written)
}

/// Channel, whether the client says it, number, and how they read it.
const MESSAGES: [(u8, bool, u16, Reads); 36] = [
    (1, false, 3, again::<theirs::SetAck>),
    (1, false, 4, again::<theirs::Ping>),
    (1, false, 6, again::<theirs::Disconnecting>),
    (1, false, 7, again::<theirs::Notify>),
    (1, false, 103, again::<theirs::MainInit>),
    (1, false, 104, again::<theirs::ChannelsList>),
    (1, false, 105, again::<theirs::MainMouseMode>),
    (1, false, 106, again::<theirs::MultiMediaTime>),
    (1, false, 108, again::<theirs::AgentDisconnected>),
    (1, false, 110, again::<theirs::AgentTokens>),
    (1, true, 1, again::<theirs::AckSync>),
    (1, true, 3, again::<theirs::Pong>),
    (1, true, 105, again::<theirs::MouseModeRequest>),
    (2, false, 122, again::<theirs::StreamCreate>),
    (2, false, 123, again::<theirs::StreamData>),
    (2, false, 124, again::<theirs::StreamClip>),
    (2, false, 125, again::<theirs::StreamDestroy>),
    (2, false, 314, again::<theirs::SurfaceCreate>),
    (2, false, 315, again::<theirs::SurfaceDestroy>),
    (2, false, 316, again::<theirs::StreamDataSized>),
    (2, false, 317, again::<theirs::DisplayMonitorsConfig>),
    (2, false, 319, again::<theirs::StreamActivateReport>),
    (2, true, 101, again::<theirs::DisplayInit>),
    (2, true, 102, again::<theirs::StreamReport>),
    (2, true, 103, again::<theirs::PreferredCompression>),
    (2, true, 105, again::<theirs::PreferredVideoCodecType>),
    (3, false, 101, again::<theirs::InputsInit>),
    (3, false, 102, again::<theirs::KeyModifiers>),
    (3, true, 101, again::<theirs::KeyEvent>),
    (3, true, 103, again::<theirs::KeyModifiers>),
    (3, true, 104, again::<theirs::KeyScancode>),
    (3, true, 111, again::<theirs::MouseMotion>),
    (3, true, 112, again::<theirs::MousePosition>),
    (3, true, 113, again::<theirs::MouseButton>),
    (4, false, 104, again::<theirs::CursorMove>),
    (4, false, 107, again::<theirs::CursorInvalOne>),
];

/// Where the two differ, and why that is no fault here.
const KNOWN: [(&str, &str); 0] = [];

fn ours(kind: u8, is_client: bool, number: u16, body: &[u8]) -> Option<Vec<u8>> {
    let header = Header {
        serial: 0,
        number,
        size: u32::try_from(body.len()).expect("inputs are small"),
        sub_list: 0,
    };
    let body = Bytes::copy_from_slice(body);
    let (frame, mut written) = (Frame { header, body }, BytesMut::new());
    let kind = ChannelType(kind);
    if is_client {
        ClientMessage::decode(kind, &frame).ok()?.encode(&mut written).ok()?;
    } else {
        ServerMessage::decode(kind, &frame).ok()?.encode(&mut written).ok()?;
    }
    Some(written.to_vec())
}

#[test]
#[ignore = "needs shakenfist-spice-protocol"]
fn spice_messages_are_read_alike() {
    let mut cases = inputs::of(&["spice_messages"]);
    inputs::mutate(&mut cases, 20_000);
    let mut differences: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut read = BTreeMap::new();
    for case in &cases {
        let Some((head, body)) = case.split_at_checked(4) else {
            continue;
        };
        // Any body is tried as each message of its channel: a length fits by chance.
        for (kind, is_client, number, reads) in MESSAGES {
            let own = u16::from_le_bytes([head[2], head[3]]);
            if (head[0] % 12, head[1] & 1 == 1) != (kind, is_client) || own != number && body.len() > 40 {
                continue;
            }
            let (theirs, ours) = (reads(body), ours(kind, is_client, number, body));
            *read.entry((kind, is_client, number)).or_insert(0) += usize::from(ours.is_some() && theirs.is_some());
            if ours != theirs {
                let what = format!("{kind} {} {number}", if is_client { "client" } else { "server" });
                let example = format!("{}: ours {ours:?}, theirs {theirs:?}", body.escape_ascii());
                differences.entry(what).or_insert((0, example)).0 += 1;
            }
        }
    }
    println!("{read:?}");
    differences.retain(|what, _| !KNOWN.iter().any(|(known, _)| known == what));
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(read.len(), MESSAGES.len());
    assert!(read.values().all(|count| 3 <= *count), "{read:?}");
}

#[test]
#[ignore = "needs shakenfist-spice-protocol"]
fn link_messages_are_read_alike() {
    let limits = Limits::default();
    let mut cases = inputs::of(&["spice_link"]);
    inputs::mutate(&mut cases, 20_000);
    let (mut requests, mut replies, mut differences) = (0, 0, Vec::new());
    for case in &cases {
        for (at, _) in case.windows(4).enumerate().filter(|(_, window)| *window == b"REDQ") {
            let bytes = &case[at..];
            // What follows is the next message.
            let size = bytes
                .get(12..16)
                .map(|size| u32::from_le_bytes(size.try_into().expect("4 bytes")));
            let whole = size.and_then(|size| bytes.get(..usize::try_from(size).ok()?.checked_add(16)?));
            let Some(whole) = whole else { continue };
            if let (Ok(ours), Ok(theirs)) = (LinkMess::decode_slice(whole, &limits), SpiceLinkMess::parse(whole)) {
                requests += 1;
                let mut written = BytesMut::new();
                ours.encode(&mut written).expect("it was decoded");
                let words = |caps: &spice_proto::caps::Capabilities| format!("{caps:?}");
                let same = (ours.connection_id, ours.channel_type.0, ours.channel_id)
                    == (theirs.connection_id, theirs.channel_type, theirs.channel_id);
                let again = SpiceLinkMess::parse(&written).expect("they read what we write");
                let caps = (
                    again.common_caps == theirs.common_caps,
                    again.channel_caps == theirs.channel_caps,
                );
                if !same || caps != (true, true) {
                    differences.push(format!("{} {}", whole.escape_ascii(), words(&ours.capabilities)));
                }
            }
            if let (Ok(ours), Ok(theirs)) = (LinkReply::decode_slice(whole, &limits), SpiceLinkReply::parse(whole)) {
                replies += 1;
                let known = theirs.error.to_u32() == ours.error.0 || theirs.error.to_u32() == 1;
                if !known || theirs.pub_key != ours.pub_key {
                    differences.push(whole.escape_ascii().to_string());
                }
            }
        }
    }
    println!("{requests} requests and {replies} replies are read by both");
    assert!(100 <= requests && 100 <= replies, "{requests} {replies}");
    assert!(
        differences.is_empty(),
        "{}: {:#?}",
        differences.len(),
        differences.first()
    );
}
