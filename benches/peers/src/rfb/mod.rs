//! RFB beside libvncserver, libvncclient and vnc-rs. The crate rfb is named where it has the operation: it can only be run
//! over a TCP stream.

mod by_vnc_rs;
mod handshakes;
mod streams;

use benches::rfb::{self, PASSWORD};
use rfb_proto::security::vnc::Password;

use crate::contest::{Contest, Peer, keep, run};
use crate::digest::Digest;
use crate::program::{LIBVNCSERVER, OPENSSL, sample};

const VNC_RS: &str = "vnc-rs";
const RFB: &str = "rfb";
const TCP_ONLY: &str = "needs a TCP stream: it cannot be run in memory";

pub fn contests() -> Vec<Contest> {
    let mut contests = vec![response()];
    contests.extend(handshakes::contests());
    contests.extend(streams::contests());
    contests
}

fn response() -> Contest {
    let (challenge, password) = (rfb::challenge(), Password::new(PASSWORD));
    let response = password.respond(&challenge);
    let expected = Digest::of(&response);
    // Programs of VNC turn the bits of the password themselves.
    let input = |key: &[u8; 8]| [&key[..], &challenge].concat();
    let as_key = sample("key-and-challenge", &input(&PASSWORD.map(u8::reverse_bits)));
    let as_password = sample("password-and-challenge", &input(PASSWORD));
    Contest {
        operation: "VNC response to a challenge",
        sample: "recorded challenge of Xtigervnc".into(),
        bytes: challenge.len(),
        count: 1,
        unit: "response",
        ours: run(move || keep(password.respond(std::hint::black_box(&challenge)))),
        limit: Some(("bare DES: the des crate's key and two blocks", run(rfb::des()))),
        peers: vec![
            OPENSSL.peer("OpenSSL, bare DES", &["des", &as_key], &expected),
            LIBVNCSERVER.peer("libvncserver", &["encrypt", &as_password], &expected),
            Peer::cannot(VNC_RS, "keeps its DES to itself; see the viewer's handshake"),
            Peer::cannot(RFB, "has no VNC authentication"),
        ],
    }
}
