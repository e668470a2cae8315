//! SPICE messages against the published crate `shakenfist-spice-protocol`: where both have a message, both read the same bodies,
//! and write the same bytes of them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use shakenfist_spice_protocol::link::{SpiceLinkMess, SpiceLinkReply};
use shakenfist_spice_protocol::messages::{self as theirs, WireType};
use spice_proto::Limits;
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::frame::{Frame, Header};
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkMess, LinkReply};

#[path = "../../../fuzz/laws/src/lib.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod inputs;

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

/// Of a link message's header.
const HEADER: usize = 16;
/// Of a ping in front of its padding.
const PING: usize = 12;

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
    // They keep the length of a ping's padding only.
    if (is_client, number) == (false, 4) {
        written[PING..].fill(0);
    }
    Some(written.to_vec())
}

#[test]
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
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(read.len(), MESSAGES.len());
    assert!(read.values().all(|count| 3 <= *count), "{read:?}");
}

/// The link messages that lie in a case, with their headers.
fn link_messages(case: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..case.len()).filter_map(|at| {
        let bytes = case[at..].strip_prefix(b"REDQ").map(|_| &case[at..])?;
        let size = u32::from_le_bytes(*bytes.get(12..16)?.first_chunk()?);
        bytes.get(..usize::try_from(size).ok()?.checked_add(HEADER)?)
    })
}

/// Whether both say the same of a request; what is written again has every word of capabilities.
fn is_same_request(ours: &LinkMess, theirs: &SpiceLinkMess) -> bool {
    let mut written = BytesMut::new();
    ours.encode(&mut written).expect("it was decoded");
    let again = SpiceLinkMess::parse(&written).expect("they read what we write");
    let ours = (ours.connection_id, ours.channel_type.0, ours.channel_id);
    ours == (theirs.connection_id, theirs.channel_type, theirs.channel_id)
        && again.common_caps == theirs.common_caps
        && again.channel_caps == theirs.channel_caps
}

/// The same of a reply. An error that they do not know is theirs of number 1.
fn is_same_reply(ours: &LinkReply, theirs: &SpiceLinkReply) -> bool {
    let mut written = BytesMut::new();
    ours.encode(&mut written).expect("it was decoded");
    let again = SpiceLinkReply::parse(&written).expect("they read what we write");
    (theirs.error.to_u32() == ours.error.0 || theirs.error.to_u32() == 1)
        && theirs.pub_key == ours.pub_key
        && again.common_caps == theirs.common_caps
        && again.channel_caps == theirs.channel_caps
}

#[test]
fn link_messages_are_read_alike() {
    let limits = Limits::default();
    let mut cases = inputs::of(&["spice_link"]);
    inputs::mutate(&mut cases, 20_000);
    let (mut requests, mut replies, mut differences) = (0, 0, Vec::new());
    for whole in cases.iter().flat_map(|case| link_messages(case)) {
        let body = &whole[HEADER..];
        if let (Ok(ours), Ok(theirs)) = (LinkMess::decode_slice(body, &limits), SpiceLinkMess::parse(whole)) {
            requests += 1;
            if !is_same_request(&ours, &theirs) {
                differences.push(format!("{}: {ours:?}, {theirs:?}", whole.escape_ascii()));
            }
        }
        if let (Ok(ours), Ok(theirs)) = (LinkReply::decode_slice(body, &limits), SpiceLinkReply::parse(whole)) {
            replies += 1;
            if !is_same_reply(&ours, &theirs) {
                differences.push(format!("{}: {ours:?}, {theirs:?}", whole.escape_ascii()));
            }
        }
    }
    println!("{requests} requests and {replies} replies are read by both");
    assert!(
        differences.is_empty(),
        "{}: {:#?}",
        differences.len(),
        differences.first()
    );
    assert!(1000 <= requests && 1000 <= replies);
}
