//! The machines, put in the place of one of the programs of a recording, say what that program said.

use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::common;
use spice_proto::ids::{AuthMechanism, LinkErrorCode};
use spice_proto::link::messages::PUBLIC_KEY_LEN;
use spice_proto::link::sasl::MechList;
use spice_proto::link::server::{Announcement, SaslAnnouncement, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply,
    Machine, PublicKey, Refusal, Secret, ServerLink,
};

use crate::recordings::{self, Connection, LateReply, Linked, Rows, link_message};

/// A chunking of a stream.
type Cut = fn(usize) -> usize;

/// Where the key is in a link reply.
const KEY: std::ops::Range<usize> = LinkHeader::LEN + 4..LinkHeader::LEN + 4 + PUBLIC_KEY_LEN;

const CUTS: [Cut; 3] = [|_| usize::MAX, |_| 1, |n| n % 7 + 1];

#[test]
fn server_link_answers_as_spice_server() {
    let mut rows = Rows::new();
    for connection in recordings::all() {
        rows.row(&connection.name, || as_server(&connection));
    }
    rows.end();
}

/// Plays the server of a recording, in every chunking. `None`: with SASL, which is another test's.
pub(crate) fn as_server(connection: &Connection) -> Option<Result<(), HandshakeError>> {
    if connection.linked().is_some_and(|linked| linked.sasl) {
        return None;
    }
    let [whole, others @ ..] = CUTS.map(|cut| serve(connection, cut));
    for other in others {
        assert_eq!(other, whole);
    }
    Some(whole)
}

/// What the recorded server does, as an answer to the link message.
fn answer(machine: &mut ServerLink, buffers: &mut Buffers, connection: &Connection, linked: Option<&Linked>) {
    let Some(linked) = linked else {
        let code = link_message(&connection.s2c).and_then(|(_, body)| body.first_chunk());
        let why = code.map_or(Refusal::Close, |code| {
            Refusal::Code(LinkErrorCode(u32::from_le_bytes(*code)))
        });
        return machine.refuse(buffers, why).unwrap();
    };
    let capabilities = linked.reply.capabilities.clone();
    if capabilities.has_common(common::AUTH_SASL) {
        let mechanisms = MechList::of(&[]);
        let shown = SaslAnnouncement {
            mechanisms,
            capabilities,
        };
        return machine.announce_sasl(buffers, shown).unwrap();
    }
    let shown = Announcement {
        public_key: PublicKey::from_der(linked.reply.pub_key),
        capabilities,
    };
    machine.announce(buffers, shown).unwrap();
}

/// Plays the server of a recording: all that it sends must be what the recorded one sent.
fn serve(connection: &Connection, cut: Cut) -> Result<(), HandshakeError> {
    let linked = connection.linked();
    let mut machine = ServerLink::new(Duration::ZERO, Limits::default());
    let mut buffers = Buffers::default();
    let mut input = connection.c2s.as_slice();
    let mut turn = 0;
    let ended = loop {
        match machine.step(Duration::ZERO, &mut buffers) {
            Ok(Action::Receive { .. }) => {
                turn += 1;
                let (chunk, rest) = input.split_at(cut(turn).min(input.len()));
                if chunk.is_empty() {
                    break machine.eof().map(drop);
                }
                buffers.rx.extend_from_slice(chunk);
                input = rest;
            }
            Ok(Action::Ask(ServerQuestion::Link(request))) => {
                if let Some(linked) = &linked {
                    assert_eq!(request, linked.request);
                }
                answer(&mut machine, &mut buffers, connection, linked.as_ref());
            }
            Ok(Action::Ask(ServerQuestion::Ticket { sealed, .. })) => {
                let linked = linked.as_ref().unwrap();
                assert_eq!(sealed.0, connection.c2s[linked.c2s_at - 128..linked.c2s_at]);
                match linked.result {
                    Some(Ok(LinkErrorCode::OK)) => machine.accept(&mut buffers).unwrap(),
                    Some(Ok(code)) => machine.refuse(&mut buffers, Refusal::Code(code)).unwrap(),
                    // The recording ends before its server has said so.
                    _ => machine.refuse(&mut buffers, Refusal::Close).unwrap(),
                }
            }
            Ok(Action::Done(outcome)) => {
                let linked = linked.as_ref().unwrap();
                assert_eq!(outcome.header_form, linked.form);
                let left = [&buffers.rx[..], input].concat();
                assert_eq!(left, connection.c2s[linked.c2s_at..], "the data stage is left");
                break Ok(());
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => break Err(error),
        }
    };
    check_answer(connection, &buffers, ended);
    ended
}

fn check_answer(connection: &Connection, buffers: &Buffers, ended: Result<(), HandshakeError>) {
    let stage = connection
        .data()
        .map_or(connection.s2c.len(), |data| data.linked.s2c_at);
    let said = &connection.s2c[..stage];
    let mut told = buffers.tx.to_vec();
    // A server with SASL shows a key all the same to a client that does not announce SASL; here it is all zero.
    let sasl = connection
        .linked()
        .is_some_and(|linked| linked.reply.capabilities.has_common(common::AUTH_SASL));
    if sasl && KEY.end <= told.len() {
        told[KEY].copy_from_slice(&said[KEY]);
    }
    match ended {
        // The client said nothing more; what the server would have said to that is not known.
        Err(HandshakeError::Closed(_)) => assert!(said.starts_with(&told)),
        // spice-server looks itself whether that is a WebSocket, and refuses what is none. Here it is the caller's.
        Err(HandshakeError::PeerIncompatible(Incompatibility::WebSocket)) => {
            assert!(buffers.tx.is_empty() && connection.c2s.starts_with(&buffers.rx));
        }
        // What cannot become SPICE is refused here as soon as that is seen.
        Err(_) if connection.c2s.len() < 4 && said.is_empty() => {}
        _ => assert_eq!(told, said),
    }
}

#[test]
fn client_link_asks_as_the_real_clients() {
    let mut rows = Rows::new();
    for connection in recordings::all() {
        if request(&connection).is_some() {
            rows.row(&connection.name, || as_client(&connection));
        }
    }
    rows.end();
}

/// The request of a client that is to be played: a whole link message, and no SASL.
fn request(connection: &Connection) -> Option<(usize, LinkMess)> {
    let (len, body) = link_message(&connection.c2s)?;
    let request = LinkMess::decode_slice(body, &Limits::default()).ok()?;
    // Another test plays the clients that have no ticket to send, or whose capabilities say so.
    let sasl = connection.linked().is_some_and(|linked| {
        let both = |bit| request.capabilities.has_common(bit) && linked.reply.capabilities.has_common(bit);
        linked.sasl || (both(common::AUTH_SASL) && both(common::PROTOCOL_AUTH_SELECTION))
    });
    (!sasl).then_some((len, request))
}

/// Plays the client of a recording: all that it sends must be what the recorded one sent, but for what is sealed.
pub(crate) fn as_client(connection: &Connection) -> Result<(), HandshakeError> {
    let (len, request) = request(connection).unwrap();
    let mut own = BytesMut::new();
    request.encode(&mut own).unwrap();
    let mut machine = ClientLink::new(
        Duration::ZERO,
        ClientConfig::new(request.clone()),
        Secret::new(b"ticket"),
        [7; 20],
    );
    let mut buffers = Buffers::default();
    let mut input = connection.s2c.as_slice();
    let ended = loop {
        match machine.step(Duration::ZERO, &mut buffers) {
            Ok(Action::Receive { at_least }) => {
                let (chunk, rest) = input.split_at(at_least.min(input.len()));
                if chunk.is_empty() {
                    break machine.eof();
                }
                buffers.rx.extend_from_slice(chunk);
                input = rest;
            }
            Ok(Action::Done(outcome)) => break Ok(outcome),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break Err(error),
        }
    };
    let linked = connection.linked();
    // Versions, and places of capability words, are the recorded client's own; so is a wrong mechanism.
    assert!(buffers.tx.starts_with(&own));
    let (said, recorded) = (&buffers.tx[own.len()..], &connection.c2s[len..]);
    if linked
        .as_ref()
        .is_none_or(|linked| linked.mechanism == Some(AuthMechanism::SPICE))
    {
        let clear = said.len().saturating_sub(128).min(recorded.len());
        assert_eq!(said[..clear], recorded[..clear]);
    }
    let Some(linked) = linked else {
        let code =
            link_message(&connection.s2c).and_then(|(_, body)| LinkReply::decode_slice(body, &Limits::default()).ok());
        match code {
            Some(reply) => assert_eq!(ended, Err(HandshakeError::Rejected(reply.error))),
            None => assert!(ended.is_err()),
        }
        return ended.map(drop);
    };
    if !linked.reply.capabilities.has_common(common::AUTH_SPICE) && said.is_empty() {
        // The server has SASL only, and no key.
        let no_ticket = [
            Err(HandshakeError::PeerIncompatible(Incompatibility::NoTickets)),
            Err(HandshakeError::Crypto(spice_proto::CryptoError)),
        ];
        assert!(no_ticket.contains(&ended), "{ended:?}");
        return ended.map(drop);
    }
    match (linked.result, &ended) {
        (Some(Ok(LinkErrorCode::OK)), Ok(outcome)) => {
            assert_eq!(outcome.capabilities, linked.reply.capabilities);
            assert_eq!(outcome.header_form, linked.form);
            assert_eq!(input, &connection.s2c[linked.s2c_at..], "the data stage is left");
        }
        (Some(Ok(code) | Err(LateReply { code: Some(code) })), ended) => {
            assert_eq!(*ended, Err(HandshakeError::Rejected(code)));
        }
        (Some(Err(LateReply { code: None })) | None, ended) => {
            assert!(matches!(ended, Err(HandshakeError::Closed(_))), "{ended:?}");
        }
    }
    ended.map(drop)
}
