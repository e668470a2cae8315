//! The link stage: its messages, its RSA, and the whole of it as a server has it.

use std::rc::Rc;
use std::time::Duration;

use benches::links::{MAIN_CHANNEL_C2S, MAIN_CHANNEL_S2C};
use bytes::BytesMut;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _};
use rsa::{Oaep, RsaPrivateKey};
use sha1::Sha1;
use shakenfist_spice_protocol::SpiceError;
use shakenfist_spice_protocol::link::{
    SpiceLinkMess, SpiceLinkReply, decrypt_password, read_auth_ticket, read_link_mess, send_auth_result,
    send_link_reply,
};
use spice_proto::Limits;
use spice_proto::link::server::{Announcement, ServerLink, ServerQuestion};
use spice_proto::link::{Action, Buffers, Key, LinkMess, LinkReply, Machine as _, SealedTicket};

use super::frames::ready;
use super::{SHAKENFIST, SPICE_CLIENT};
use crate::contest::{Contest, Peer, keep, run};
use crate::digest::Digest;
use crate::program::{OPENSSL, sample};
use crate::random::Random;

const TICKET: &[u8] = b"a-token-of-the-length-that-they-really-have";
const NOW: Duration = Duration::ZERO;
/// Where the recorded message and the recorded reply end, and how long a header is.
const MESS_END: usize = 42;
const REPLY_END: usize = 202;
const HEADER: usize = 16;

pub fn contests() -> Vec<Contest> {
    let keys = Rc::new(Keys::new());
    vec![mess(), reply(), opened(&keys), linked(&keys)]
}

/// The same private key, for each library.
struct Keys {
    ours: Key,
    theirs: RsaPrivateKey,
    sealed: SealedTicket,
}

impl Keys {
    fn new() -> Self {
        let mut random = Random::new(1);
        let ours = Key::generate(&mut |out| random.fill(out)).expect("a key");
        let theirs = RsaPrivateKey::new(&mut Random::new(1), 1024).expect("a key");
        let public = theirs.to_public_key().to_public_key_der().expect("it has a form");
        assert_eq!(public.as_bytes(), ours.public().as_der());
        let sealed = ours.public().seal(TICKET, [7; 20]).expect("it fits");
        Self { ours, theirs, sealed }
    }
}

fn mess() -> Contest {
    let (bytes, limits) = (&MAIN_CHANNEL_C2S[..MESS_END], Limits::default());
    let ours = LinkMess::decode_slice(&bytes[HEADER..], &limits).expect("recorded");
    let mut again = BytesMut::new();
    ours.encode(&mut again).expect("it was decoded");
    let theirs = SpiceLinkMess::parse(bytes).expect("recorded");
    assert_eq!((&again[..], &theirs.serialize()[..]), (bytes, bytes));
    Contest {
        operation: "SPICE link message decoded",
        sample: "recorded, main channel of spicy".into(),
        bytes: bytes.len(),
        count: 1,
        unit: "message",
        ours: run(move || {
            keep(
                LinkMess::decode_slice(keep_slice(&bytes[HEADER..]), &limits)
                    .as_ref()
                    .expect("recorded"),
            )
        }),
        limit: None,
        peers: vec![
            Peer::new(SHAKENFIST, run(move || keep(&SpiceLinkMess::parse(keep_slice(bytes))))),
            Peer::cannot(SPICE_CLIENT, "has two bytes of padding in it that are not on the wire"),
        ],
    }
}

fn reply() -> Contest {
    let (bytes, limits) = (&MAIN_CHANNEL_S2C[..REPLY_END], Limits::default());
    let ours = LinkReply::decode_slice(&bytes[HEADER..], &limits).expect("recorded");
    let mut again = BytesMut::new();
    ours.encode(&mut again).expect("it was decoded");
    let theirs = SpiceLinkReply::parse(bytes)
        .expect("recorded")
        .serialize()
        .expect("it was parsed");
    assert_eq!((&again[..], &theirs[..]), (bytes, bytes));
    Contest {
        operation: "SPICE link reply decoded",
        sample: "recorded, main channel of QEMU".into(),
        bytes: bytes.len(),
        count: 1,
        unit: "message",
        ours: run(move || {
            keep(
                LinkReply::decode_slice(keep_slice(&bytes[HEADER..]), &limits)
                    .as_ref()
                    .expect("recorded"),
            )
        }),
        limit: None,
        peers: vec![
            Peer::new(SHAKENFIST, run(move || keep(&SpiceLinkReply::parse(keep_slice(bytes))))),
            Peer::cannot(
                SPICE_CLIENT,
                "leaves the capabilities behind it to its connection, which needs a socket",
            ),
        ],
    }
}

/// What the compiler knows nothing of.
fn keep_slice(bytes: &[u8]) -> &[u8] {
    std::hint::black_box(bytes)
}

fn opened(keys: &Rc<Keys>) -> Contest {
    let with_nul = [TICKET, b"\0"].concat();
    let key = keys.theirs.to_pkcs8_der().expect("it has a form");
    let files = [sample("key.der", key.as_bytes()), sample("ticket", &keys.sealed.0)];
    let [ours, bare, theirs] = [Rc::clone(keys), Rc::clone(keys), Rc::clone(keys)];
    let open = |keys: &Keys, random: &mut Random| {
        keys.ours
            .open(&keys.sealed, &mut |out| random.fill(out))
            .expect("sealed")
    };
    let mut random = Random::new(2);
    assert_eq!(open(keys, &mut random).expose(), TICKET);
    assert_eq!(
        decrypt_password(&keys.theirs, &keys.sealed.0)
            .expect("sealed")
            .as_bytes(),
        TICKET
    );
    Contest {
        operation: "SPICE ticket opened, blinded",
        sample: "43 characters, RSA of 1,024 bits".into(),
        bytes: keys.sealed.0.len(),
        count: 1,
        unit: "ticket",
        ours: run(move || keep(open(&ours, &mut random))),
        limit: Some((
            "the rsa crate, not blinded",
            run(move || {
                keep(
                    bare.theirs
                        .decrypt(Oaep::new::<Sha1>(), &bare.sealed.0)
                        .expect("sealed"),
                );
            }),
        )),
        peers: vec![
            OPENSSL.peer("OpenSSL", &["open", &files[0], &files[1]], &Digest::of(&with_nul)),
            Peer::new(
                "shakenfist-spice-protocol, not blinded",
                run(move || {
                    keep(decrypt_password(&theirs.theirs, &theirs.sealed.0).expect("sealed"));
                }),
            ),
            Peer::cannot(SPICE_CLIENT, "is a viewer: it seals tickets only"),
        ],
    }
}

/// What a viewer sends up to its ticket: the message and the mechanism are recorded.
fn viewer(keys: &Keys) -> Vec<u8> {
    [&MAIN_CHANNEL_C2S[..MESS_END + 4], &keys.sealed.0].concat()
}

fn linked(keys: &Rc<Keys>) -> Contest {
    let viewer: Rc<[u8]> = viewer(keys).into();
    let capabilities = LinkReply::decode_slice(&MAIN_CHANNEL_S2C[HEADER..REPLY_END], &Limits::default())
        .expect("recorded")
        .capabilities;
    let shown = Announcement {
        public_key: keys.ours.public(),
        capabilities,
    };
    let words = SpiceLinkReply::parse(&MAIN_CHANNEL_S2C[..REPLY_END]).expect("recorded");
    let reply = SpiceLinkReply {
        pub_key: keys.ours.public().as_der().to_vec(),
        ..words
    };
    let ours = link(keys, &viewer, &shown, &mut Buffers::default());
    assert_eq!(ours, ready(link_by_shakenfist(keys, &viewer, &reply)));
    let (our_keys, our_viewer, their_keys, their_viewer) =
        (Rc::clone(keys), Rc::clone(&viewer), Rc::clone(keys), Rc::clone(&viewer));
    let mut buffers = Buffers::default();
    Contest {
        operation: "SPICE link, server's side, to the accepted ticket",
        sample: "recorded, its ticket sealed anew".into(),
        bytes: viewer.len(),
        count: 1,
        unit: "link",
        ours: run(move || keep(link(&our_keys, &our_viewer, &shown, &mut buffers))),
        limit: None,
        peers: vec![
            Peer::new(
                "shakenfist-spice-protocol, not blinded",
                run(move || {
                    keep(ready(link_by_shakenfist(&their_keys, &their_viewer, &reply)));
                }),
            ),
            Peer::cannot(SPICE_CLIENT, "is a viewer"),
        ],
    }
}

/// Gives what was sent.
fn link(keys: &Keys, viewer: &[u8], shown: &Announcement, buffers: &mut Buffers) -> Vec<u8> {
    buffers.rx.clear();
    buffers.tx.clear();
    buffers.rx.extend_from_slice(viewer);
    let (mut link, mut random) = (ServerLink::new(NOW, Limits::default()), Random::new(3));
    loop {
        match link.step(NOW, buffers).expect("a recorded viewer") {
            Action::Ask(ServerQuestion::Link(_)) => link.announce(buffers, shown.clone()).expect("it was asked"),
            Action::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                let ticket = keys.ours.open(&sealed, &mut |out| random.fill(out)).expect("sealed");
                assert_eq!(ticket.expose(), TICKET);
                link.accept(buffers).expect("it was asked");
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

async fn link_by_shakenfist(keys: &Keys, viewer: &[u8], reply: &SpiceLinkReply) -> Vec<u8> {
    let mut stream = tokio::io::join(viewer, Vec::with_capacity(256));
    keep(read_link_mess(&mut stream).await.expect("a recorded viewer"));
    send_link_reply(&mut stream, reply).await.expect("memory takes all");
    let ticket = read_auth_ticket(&mut stream, &keys.theirs).await.expect("sealed");
    assert_eq!(ticket.as_bytes(), TICKET);
    send_auth_result(&mut stream, SpiceError::Ok)
        .await
        .expect("memory takes all");
    stream.into_inner().1
}
