//! The link stage as an observer of both directions sees it.

use bytes::{Bytes, BytesMut};
use spice_proto::ids::{AuthMechanism, LinkErrorCode};
use spice_proto::link::Sender;
use spice_proto::link::sasl::{MechList, SaslResult, SealedPacket, StartClient, StepClient, StepServer};
use spice_proto::link::watch::{Part, WatchedLink, WatchedOutcome};
use spice_proto::link::{
    HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply, Misbehaviour, SealedTicket, Stage,
};
use spice_proto::{Limits, caps};

use crate::captures::is_spice;
use crate::link_values::request;
use crate::recordings::{self, Connection, Rows};

/// What was seen of a link stage.
#[derive(Debug, PartialEq)]
struct Seen {
    parts: Vec<Part>,
    /// Bytes that were taken of the client and of the server.
    taken: [usize; 2],
    due: (Sender, Stage),
    outcome: Option<WatchedOutcome>,
    error: Option<HandshakeError>,
}

/// Watches two streams, of which each call shows at most `chunk` bytes more: first those of the side that is due,
/// and of the other when that side has said all. Every part must come back as it was.
fn watch(client: &[u8], server: &[u8], chunk: usize) -> Seen {
    let mut link = WatchedLink::new(Limits::default());
    let streams = [client, server];
    let (mut taken, mut shown) = ([0, 0], [0, 0]);
    let (mut parts, mut error) = (Vec::new(), None);
    while link.outcome().is_none() && error.is_none() {
        let due = usize::from(link.due().0 == Sender::Server);
        let both = [due, 1 - due].into_iter();
        let mut progress = false;
        for side in both.take_while(|side| *side == due || shown[due] == streams[due].len()) {
            if link.outcome().is_some() {
                break;
            }
            let sender = [Sender::Client, Sender::Server][side];
            let rest = &streams[side][taken[side]..shown[side]];
            match link.step(sender, rest) {
                Ok(Some((part, len))) => {
                    let mut again = BytesMut::new();
                    part.encode(&mut again).unwrap();
                    assert!(
                        rest[..again.len()] == again || is_otherwise(&part, rest),
                        "{}",
                        part.name()
                    );
                    taken[side] += len;
                    parts.push(part);
                    progress = true;
                    break;
                }
                Ok(None) if shown[side] < streams[side].len() => {
                    shown[side] = shown[side].saturating_add(chunk).min(streams[side].len());
                    progress = true;
                    break;
                }
                // It may have found that the other side is due.
                Ok(None) => progress |= usize::from(link.due().0 == Sender::Server) != due,
                Err(wrong) => error = Some(wrong),
            }
        }
        if !progress {
            break;
        }
    }
    Seen {
        parts,
        taken,
        due: link.due(),
        outcome: link.outcome().cloned(),
        error,
    }
}

/// Whether a link message has its capability words elsewhere than right behind its fixed part.
fn is_otherwise(part: &Part, bytes: &[u8]) -> bool {
    let head = match part {
        Part::LinkMess(..) => LinkMess::MIN_LEN,
        Part::LinkReply(..) => LinkReply::MIN_LEN,
        _ => return false,
    };
    let end = LinkHeader::LEN + head;
    bytes[end - 4..end] != (head as u32).to_le_bytes()
}

#[test]
fn recorded_links_are_read() {
    let mut rows = Rows::new();
    for connection in recordings::all() {
        rows.row(&connection.name, || read(&connection));
    }
    rows.end();
}

/// Watches a recorded connection, in any chunking: gives how it ended.
pub(crate) fn read(connection: &Connection) -> Option<WatchedOutcome> {
    let seen = watch(&connection.c2s, &connection.s2c, usize::MAX);
    for chunk in [1, 7, 180] {
        assert_eq!(watch(&connection.c2s, &connection.s2c, chunk), seen);
    }
    // A server that answers in another protocol, or to one: what was said is not SPICE.
    assert!(seen.error.is_none() || !is_spice(&connection.s2c), "{:?}", seen.error);
    if let Some(WatchedOutcome::Linked(link)) = &seen.outcome {
        let known = connection.linked().unwrap();
        assert_eq!((&link.request, link.header_form), (&known.request, known.form));
        assert_eq!(link.capabilities, known.reply.capabilities);
        // A recording that does not say that TLS was ended in it has no place for the data behind SASL.
        if known.c2s_at != 0 {
            assert_eq!(seen.taken, [known.c2s_at, known.s2c_at]);
        }
    }
    seen.outcome
}

/// Both streams of a link with SASL, up to the word behind the verdict.
fn sasl(steps: usize, verdict: &SaslResult) -> [BytesMut; 2] {
    let bits = 1 << caps::common::PROTOCOL_AUTH_SELECTION | 1 << caps::common::AUTH_SASL;
    let message = request(spice_proto::ids::ChannelType::MAIN, bits, 0);
    let mut streams = [BytesMut::new(), BytesMut::new()];
    let [client, server] = &mut streams;
    message.encode(client).unwrap();
    LinkReply {
        capabilities: message.capabilities,
        ..LinkReply::refusal(LinkErrorCode::OK)
    }
    .encode(server)
    .unwrap();
    let mechlist = Bytes::from_static(b",PLAIN,");
    let data = Bytes::from_static(b"said\0");
    Part::AuthMechanism(AuthMechanism::SASL).encode(client).unwrap();
    MechList { mechlist }.encode(server).unwrap();
    StartClient {
        mechname: Bytes::from_static(b"PLAIN"),
        data: data.clone(),
    }
    .encode(client)
    .unwrap();
    for step in 0..=steps {
        let complete = u8::from(step == steps);
        StepServer {
            data: data.clone(),
            complete,
        }
        .encode(server)
        .unwrap();
        if complete == 0 {
            StepClient { data: data.clone() }.encode(client).unwrap();
        }
    }
    verdict.encode(server).unwrap();
    streams
}

#[test]
fn sasl_ends_in_clear_or_sealed() {
    let refused = |code| WatchedOutcome::Refused(LinkErrorCode(code));
    for steps in 0..3 {
        let [client, server] = sasl(steps, &SaslResult::Accept);
        let waiting = watch(&client, &server, usize::MAX);
        assert_eq!(waiting.parts.len(), 7 + 2 * steps);
        assert_eq!(waiting.due, (Sender::Server, Stage::LinkResult));
        let with = |word: u32| watch(&client, &[&server[..], &word.to_le_bytes()].concat(), 1);
        assert!(matches!(with(0).outcome, Some(WatchedOutcome::Linked(_))));
        assert_eq!(with(7).outcome, Some(refused(7)));

        let packet = SealedPacket { length: 20 };
        let mut sealed = server.clone();
        packet.encode(&mut sealed);
        let seen = watch(&client, &sealed, 1);
        assert!(matches!(seen.outcome, Some(WatchedOutcome::Sealed(_))));
        assert_eq!(seen.taken, [client.len(), server.len()], "the packet is left");
        assert_eq!(
            SealedPacket::decode(&sealed[server.len()..], &Limits::default()),
            Ok(Some(packet))
        );
    }
    let reason = Bytes::from_static(b"too weak\0");
    let [client, server] = sasl(1, &SaslResult::Reject { reason });
    assert_eq!(watch(&client, &server, 1).outcome, Some(refused(7)));
}

#[test]
fn sasl_lengths_are_held_against_their_limits() {
    let limits = Limits::default()
        .with_sasl_mechanisms(5)
        .with_sasl_data(4)
        .with_sasl_packet(3);
    let text = |error: spice_proto::DecodeError| error.to_string();
    let mut bytes = BytesMut::new();
    let mechname = Bytes::from_static(b"PLAIN");
    let data = Bytes::from_static(b"12345");
    StartClient { mechname, data }.encode(&mut bytes).unwrap();
    assert_eq!(
        text(StartClient::decode(&bytes, &limits).unwrap_err()),
        "SaslStartClient.data_len at byte 9: 5 is above the limit of 4"
    );
    // The limit is checked as soon as the length is there.
    assert_eq!(
        text(StepClient::decode(&[0xff; 4], &limits).unwrap_err()),
        "SaslStepClient.data_len at byte 0: 4294967295 is above the limit of 4"
    );
    assert_eq!(StepServer::decode(&[4, 0, 0, 0, 1, 2, 3, 4], &limits), Ok(None));
    assert_eq!(
        text(MechList::decode(&[6, 0, 0, 0], &limits).unwrap_err()),
        "SaslMechList.len at byte 0: 6 is above the limit of 5"
    );
    assert_eq!(
        text(SaslResult::decode(&[2, 0, 0, 0], &limits).unwrap_err()),
        "SaslVerdict.result at byte 0: expected 0 or 1"
    );
    assert_eq!(
        text(SealedPacket::decode(&[0, 0, 0, 4], &limits).unwrap_err()),
        "SealedPacket.length at byte 0: 4 is above the limit of 3"
    );
    assert_eq!(SealedPacket::decode(&[0, 0, 0], &limits), Ok(None));
}

#[test]
fn the_server_judges_what_the_client_sent() {
    let mut refusal = BytesMut::new();
    LinkReply::refusal(LinkErrorCode::INVALID_DATA)
        .encode(&mut refusal)
        .unwrap();
    let refused = Some(WatchedOutcome::Refused(LinkErrorCode::INVALID_DATA));
    // Another protocol: an error only if the server does not refuse it.
    let seen = watch(b"GET / HTTP/1.1\r\n\r\n", &refusal, 1);
    assert_eq!((seen.outcome, seen.taken), (refused.clone(), [0, refusal.len()]));
    let seen = watch(b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 101 \r\n\r\n", usize::MAX);
    assert_eq!(
        seen.error,
        Some(HandshakeError::PeerIncompatible(Incompatibility::WebSocket))
    );
    let [client, server] = sasl(1, &SaslResult::Accept);
    let mut accepting = BytesMut::new();
    LinkReply::refusal(LinkErrorCode::OK).encode(&mut accepting).unwrap();
    let request_len = 16 + 18 + 4 + 4;
    // A mechanism that does not exist, and a ticket behind it that is not read.
    let mechanism = [&client[..request_len], &7_u32.to_le_bytes(), &[0; 128]].concat();
    let reply_len = 16 + 178 + 8;
    let seen = watch(&mechanism, &[&server[..reply_len], &refusal].concat(), usize::MAX);
    assert_eq!((seen.outcome, seen.taken[0]), (refused.clone(), request_len + 4));
    let seen = watch(&mechanism, &[&server[..reply_len], &accepting].concat(), usize::MAX);
    assert_eq!(
        seen.error,
        Some(HandshakeError::PeerMisbehaved(Misbehaviour::MechanismNotOffered(7)))
    );
    // A second reply, before the client said more, and in the middle of the exchange.
    let seen = watch(&client[..request_len], &[&server[..reply_len], &refusal].concat(), 1);
    assert_eq!(seen.outcome, refused);
    let seen = watch(&client, &[&server[..reply_len + 11], &refusal].concat(), 1);
    assert_eq!(seen.outcome, refused);
    let seen = watch(&client, &[&server[..reply_len], &accepting].concat(), 1);
    assert_eq!(
        seen.error,
        Some(HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply))
    );
}

#[test]
fn without_selection_the_ticket_follows() {
    let mut client = BytesMut::new();
    request(spice_proto::ids::ChannelType::INPUTS, 1 << caps::common::MINI_HEADER, 0)
        .encode(&mut client)
        .unwrap();
    let mut server = BytesMut::new();
    LinkReply::refusal(LinkErrorCode::OK).encode(&mut server).unwrap();
    client.extend_from_slice(&[9; 128]);
    server.extend_from_slice(&[0; 4]);
    let seen = watch(&client, &server, 5);
    assert_eq!(seen.parts[2], Part::Ticket(SealedTicket([9; 128])));
    assert_eq!(seen.taken, [client.len(), server.len()]);
    assert!(matches!(seen.outcome, Some(WatchedOutcome::Linked(_))));
}

/// Every byte of a link stage changed in every bit, and every cut: nothing panics, and the chunks make no difference.
#[test]
fn damaged_links_are_errors_and_no_more() {
    let [client, server] = sasl(1, &SaslResult::Accept);
    let whole = [client.to_vec(), [&server[..], &[0; 4]].concat()];
    let mut tried = 0;
    for side in 0..2 {
        for at in 0..whole[side].len() {
            for bit in 0..8 {
                let mut streams = whole.clone();
                streams[side][at] ^= 1 << bit;
                let seen = watch(&streams[0], &streams[1], usize::MAX);
                assert!(seen.taken[0] <= streams[0].len() && seen.taken[1] <= streams[1].len());
                assert_eq!(
                    watch(&streams[0], &streams[1], 3),
                    seen,
                    "side {side}, byte {at}, bit {bit}"
                );
                tried += 1;
            }
            let mut streams = whole.clone();
            streams[side].truncate(at);
            let seen = watch(&streams[0], &streams[1], 1);
            assert_eq!((seen.outcome, seen.error), (None, None), "side {side}, cut at {at}");
        }
    }
    assert!(2000 < tried);
}
