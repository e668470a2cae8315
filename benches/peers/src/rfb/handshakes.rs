//! Handshakes up to the ServerInit, recorded ones of Xtigervnc.

use std::time::Duration;

use benches::rfb::{self, PASSWORD};
use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::{Action, Buffers, ClientConfig, ClientHandshake, Machine as _};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vnc::Password;

use super::{RFB, TCP_ONLY, VNC_RS, by_vnc_rs};
use crate::contest::{Contest, Peer, keep, run};
use crate::digest::Digest;
use crate::program::{LIBVNCCLIENT, LIBVNCSERVER, sample};

const NOW: Duration = Duration::ZERO;

pub fn contests() -> Vec<Contest> {
    vec![server(), viewer()]
}

fn server() -> Contest {
    let (client, init) = (rfb::client_to_init(), rfb::server_init());
    let file = sample("client-and-init", &[client, init].concat());
    Contest {
        operation: "RFB handshake, server's side, VNC authentication without DES, to the ServerInit",
        sample: "recorded, vncviewer with Xtigervnc".into(),
        bytes: client.len() + init.len(),
        count: 1,
        unit: "handshake",
        // It asserts that as many bytes are sent as Xtigervnc has sent, of which the last are its ServerInit.
        ours: run(rfb::server(true, true)),
        limit: Some((
            "the same bytes, copied in and out and compared",
            run(rfb::server_by_hand()),
        )),
        peers: vec![
            LIBVNCSERVER.peer("libvncserver", &["handshake", &file], &Digest::of(init)),
            Peer::cannot(RFB, TCP_ONLY),
            Peer::cannot(VNC_RS, "is a viewer"),
        ],
    }
}

/// A server that offers VNC authentication alone: vnc-rs would take None where that is offered.
fn server_bytes() -> Vec<u8> {
    [
        b"RFB 003.008\n\x01\x02",
        &rfb::challenge()[..],
        &[0; 4],
        rfb::server_init(),
    ]
    .concat()
}

fn viewer() -> Contest {
    let server = server_bytes();
    let file = sample("password-and-server", &[&PASSWORD[..], &server].concat());
    let mut buffers = Buffers::default();
    let sent = connect(&server, &mut buffers);
    let expected = [
        b"RFB 003.008\n\x02",
        &Password::new(PASSWORD).respond(&rfb::challenge())[..],
        b"\x01",
    ]
    .concat();
    assert_eq!(sent, expected);
    Contest {
        operation: "RFB handshake, viewer's side, VNC authentication with DES, to the ServerInit",
        sample: "recorded, Xtigervnc, offering that alone".into(),
        bytes: server.len() + sent.len(),
        count: 1,
        unit: "handshake",
        limit: Some(("bare DES", run(rfb::des()))),
        peers: vec![
            LIBVNCCLIENT.peer("libvncclient", &["handshake", &file], &Digest::of(&sent)),
            by_vnc_rs::handshake(&server, &sent),
            Peer::cannot(RFB, "is a server"),
        ],
        ours: run(move || keep(connect(&server, &mut buffers))),
    }
}

/// Gives what was sent.
fn connect(server: &[u8], buffers: &mut Buffers) -> Vec<u8> {
    buffers.rx.clear();
    buffers.tx.clear();
    buffers.rx.extend_from_slice(server);
    let mut machine = ClientHandshake::new(NOW, ClientConfig::new(&[SecurityType::VNC]));
    loop {
        match machine.step(NOW, buffers).expect("a recorded server") {
            Action::Ask(ClientQuestion::Vnc { challenge, .. }) => {
                let response = Password::new(PASSWORD).respond(&challenge);
                machine.respond(buffers, response).expect("it was asked");
            }
            Action::Done(outcome) => {
                keep(outcome);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    buffers.tx.to_vec()
}
