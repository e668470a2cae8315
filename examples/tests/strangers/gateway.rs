//! Strangers at the gateway's SPICE listener and at its API.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::attack::{ATTACK, Attack, asking, saying, silent, soon};
use crate::http;
use crate::program::{Folder, Service, configuration};
use crate::scene::{Open, Picture, view};

/// A link message for a main channel, without capabilities: 16 + 18 bytes.
const LINK: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x12\0\0\0";
/// What comes back at most: header, error, key, counts; capabilities follow.
const REPLY: usize = 16 + 178;

/// Ten viewers one after the other, while something goes on.
fn ten_viewers(service: &Service, attacks: Vec<Attack>, soon: Duration) {
    let open = Open::start(service.plain(), &http::token(service.api()));
    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for turn in 1..=10 {
        let took = view(service);
        assert!(took < soon, "viewer {turn} was in after {took:?}");
        slowest = slowest.max(took);
        sleep((ATTACK / 10 * turn).saturating_sub(began.elapsed()));
    }
    let connections: u64 = attacks.into_iter().map(Attack::stop).sum();
    let (answers, wait) = open.end();
    println!(
        "{connections} hostile connections; ten viewers were in within {slowest:?}; {answers} answers within {wait:?}"
    );
    assert!(
        200 < answers && wait < soon,
        "{answers} answers, the slowest after {wait:?}"
    );
}

fn attacked(attacks: impl FnOnce(&Service) -> Vec<Attack>) {
    let _ = examples::descriptors::raise_limit();
    let folder = Folder::new();
    let picture = Picture::start(&folder);
    let service = Service::start_in(folder, &configuration(picture.port));
    let soon = soon();
    let attacks = attacks(&service);
    sleep(Duration::from_secs(1));
    ten_viewers(&service, attacks, soon);
}

#[test]
#[ignore = "needs half a minute of attack"]
fn silent_connections_lock_no_user_out() {
    attacked(|service| {
        vec![
            Attack::start((1, 200), service.plain(), (400, 4000), silent),
            Attack::start((2, 1), service.plain(), (100, 1000), saying(&LINK[..20])),
        ]
    });
}

#[test]
#[ignore = "needs half a minute of attack"]
fn link_messages_cost_no_keys_of_others() {
    attacked(|service| {
        let ticket = vec![0x5a; 128];
        vec![
            Attack::start((1, 20), service.plain(), (100, 1000), saying(LINK)),
            Attack::start((2, 200), service.plain(), (40, 0), asking(LINK, REPLY, Vec::new())),
            Attack::start((3, 20), service.plain(), (20, 0), asking(LINK, REPLY, ticket)),
        ]
    });
}

#[test]
#[ignore = "needs half a minute of attack"]
fn idle_requests_lock_no_user_out() {
    attacked(|service| {
        vec![
            Attack::start((1, 20), service.api(), (200, 1000), silent),
            Attack::start(
                (2, 20),
                service.api(),
                (50, 300),
                saying(b"POST /v1/consoles HTTP/1.1\r\nHost: x\r\n"),
            ),
            Attack::start(
                (3, 20),
                service.api(),
                (50, 0),
                asking(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 100, Vec::new()),
            ),
        ]
    });
}

#[test]
#[ignore = "needs half a minute of attack"]
fn few_descriptors_are_enough() {
    let folder = Folder::new();
    let picture = Picture::start(&folder);
    let service = Service::start_with_descriptors(folder, &configuration(picture.port), 256);
    let soon = soon();
    let attacks = vec![
        Attack::start((1, 8), service.plain(), (100, 300), silent),
        Attack::start((1, 8), service.api(), (100, 300), silent),
    ];
    sleep(Duration::from_secs(1));
    ten_viewers(&service, attacks, soon);
}

/// So that a connection that is closed while it is opened is not taken for one that was let in.
#[test]
fn the_link_message_is_one() {
    let service = Service::start(&configuration(1));
    let mut stream = TcpStream::connect(service.plain()).unwrap();
    stream.write_all(LINK).unwrap();
    let mut reply = [0; REPLY];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply[..4], *b"REDQ");
    assert_eq!(reply[16..20], [0; 4], "accepted");
}
