//! Updates of a server, and messages of a client. rfb-proto finds where each ends and hands it out; a viewer's library draws
//! the pixels as well, and a server's acts on the messages.

use benches::rfb_mixes::{self, STREAMS};
use rfb_proto::framing::{Part, Piece, ServerFramer};
use rfb_proto::message::{ClientMessage, ClientMessages, Extensions};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use super::{RFB, TCP_ONLY, VNC_RS, by_vnc_rs};
use crate::contest::{Contest, Peer, run};
use crate::digest::Digest;
use crate::program::{LIBVNCCLIENT, LIBVNCSERVER, sample};

/// Where the ServerInit of x11vnc ends.
const RECORDED_AT: usize = 47;
const OPERATION: &str = "RFB updates of a server, each rectangle found";

pub fn contests() -> Vec<Contest> {
    let [raw, copy_rect, _, hextile] = STREAMS;
    vec![
        updates(raw.0, raw.1, raw.2(), rfb_mixes::by_hand),
        updates(copy_rect.0, copy_rect.1, from_inside(copy_rect.2()), rfb_mixes::by_hand),
        updates(hextile.0, hextile.1, hextile.2(), rfb_mixes::hextile_by_hand),
        recorded(),
        client(),
    ]
}

/// CopyRect rectangles with sources that lie in the screen, as viewers demand.
fn from_inside(mut stream: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < stream.len() {
        let rectangles = usize::from(stream[at + 3]);
        at += 4;
        for rectangle in stream[at..at + rectangles * 16].chunks_exact_mut(16) {
            let side = |at: usize| u16::from_be_bytes([rectangle[at], rectangle[at + 1]]);
            let x = side(12) % (screen().width - side(4));
            let y = side(14) % (screen().height - side(6));
            rectangle[12..14].copy_from_slice(&x.to_be_bytes());
            rectangle[14..].copy_from_slice(&y.to_be_bytes());
        }
        at += rectangles * 16;
    }
    stream
}

/// The screen that the updates are for.
pub fn screen() -> ServerInit {
    ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::RGB888,
        name: Default::default(),
    }
}

/// The places of all rectangles.
fn places(stream: &[u8]) -> (u32, Digest) {
    let (mut framer, mut left) = (ServerFramer::new(&screen(), &Limits::default()), stream);
    let (mut count, mut digest) = (0, Digest::new());
    while let Some(part) = framer.next_part(&mut left).expect("drawn updates") {
        // What shows no part of the picture, such as a cursor, has a negative number.
        if let Part::Rectangle(Piece {
            rectangle, first: true, ..
        }) = part
            && 0 <= rectangle.encoding.0
        {
            count += 1;
            for side in [rectangle.x, rectangle.y, rectangle.width, rectangle.height] {
                digest.add(&side.to_be_bytes());
            }
        }
    }
    assert!(left.is_empty());
    (count, digest)
}

fn updates(name: &str, count: u32, stream: Vec<u8>, by_hand: fn(Vec<u8>) -> Box<dyn FnMut()>) -> Contest {
    let is_hextile = name.contains("Hextile");
    let (rectangles, digest) = places(&stream);
    let file = sample(name, &stream);
    Contest {
        operation: OPERATION,
        sample: format!("mix, {name}"),
        bytes: stream.len(),
        count,
        unit: if is_hextile { "tile" } else { "rectangle" },
        limit: Some(("headers read by hand", run(by_hand(stream.clone())))),
        peers: vec![
            LIBVNCCLIENT.peer("libvncclient, drawing", &["updates", &file], &digest),
            match is_hextile {
                true => Peer::cannot(VNC_RS, "has no RRE, CoRRE and Hextile"),
                false => by_vnc_rs::updates(&stream, rectangles),
            },
            Peer::cannot(RFB, "writes updates only"),
        ],
        ours: run(rfb_mixes::frame(stream)),
    }
}

/// Sessions of x11vnc, from behind its ServerInit to the end; of 400 by 300 pixels.
fn recorded() -> Contest {
    let sessions: [&[u8]; 3] = [
        include_bytes!("../../../../rfb-proto/tests/data/captures/vnc-x11vnc-many-encodings/02.s2c.bin"),
        include_bytes!("../../../../rfb-proto/tests/data/captures/vnc-x11vnc-many-encodings/03.s2c.bin"),
        include_bytes!("../../../../rfb-proto/tests/data/captures/vnc-x11vnc-many-encodings/04.s2c.bin"),
    ];
    let stream = sessions.map(|session| &session[RECORDED_AT..]).concat();
    let (rectangles, digest) = places(&stream);
    let file = sample("recorded", &stream);
    Contest {
        operation: OPERATION,
        sample: "recorded, RRE, CoRRE and Hextile of x11vnc".into(),
        bytes: stream.len(),
        count: rectangles,
        unit: "rectangle",
        limit: None,
        peers: vec![
            LIBVNCCLIENT.peer("libvncclient, drawing", &["updates", &file], &digest),
            Peer::cannot(VNC_RS, "has no RRE, CoRRE and Hextile"),
            Peer::cannot(RFB, "writes updates only"),
        ],
        ours: run(rfb_mixes::frame(stream)),
    }
}

fn client() -> Contest {
    let stream = rfb_mixes::client();
    let file = sample("messages", &stream);
    Contest {
        operation: "RFB messages of a client, decoded",
        sample: "mix, 85 % of the pointer".into(),
        bytes: stream.len(),
        count: rfb_mixes::MESSAGES,
        unit: "message",
        ours: run(rfb_mixes::client_messages()),
        limit: Some(("read by hand", run(rfb_mixes::client_by_hand()))),
        peers: vec![
            LIBVNCSERVER.peer("libvncserver", &["messages", &file], &events(&stream)),
            Peer::cannot(RFB, TCP_ONLY),
            Peer::cannot(VNC_RS, "is a viewer"),
        ],
    }
}

/// Pointer and keys, as the program in C says them.
fn events(stream: &[u8]) -> Digest {
    let (mut extensions, limits, mut digest) = (Extensions::NONE, Limits::default(), Digest::new());
    let stream = bytes::Bytes::copy_from_slice(stream);
    for message in ClientMessages::new(&stream, &mut extensions, &limits) {
        match message {
            ClientMessage::PointerEvent(event) => {
                digest.add(&[5, event.buttons as u8]);
                digest.add(&event.x.to_be_bytes());
                digest.add(&event.y.to_be_bytes());
            }
            ClientMessage::KeyEvent(event) => {
                digest.add(&[4, event.down]);
                digest.add(&event.keysym.to_be_bytes());
            }
            _ => {}
        }
    }
    digest
}
