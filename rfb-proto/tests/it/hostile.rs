//! Bad input: every prefix of the scripts and recordings, every byte of them changed, and random changes.
//!
//! Nothing may panic, and no step may go on without progress ([`Player::run`] counts them, and holds what is asked
//! for against what the machine says it needs at most). Nothing is allocated beyond what the input gives reason to.

use rfb_proto::Policy;
use rfb_proto::handshake::{ClientConfig, ServerConfig};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;

use crate::data::{each, own, text};
use crate::play::{Answers, Now, Player, Start, server_init};
use crate::recordings;
use crate::scripts::Script;

/// Per machine.
const RANDOM_MUTATIONS: usize = 100_000;
/// Of log-ins with large numbers, each of which takes a millisecond or more: a search changes them further (target
/// `rfb_logins`).
const RANDOM_MUTATIONS_OF_LOGINS: usize = 10_000;

/// What the player itself takes for an input of this length, and what the machine may take. Log-ins with large numbers
/// count with them, here with up to 2048 bits, and their callers do.
fn allowed(course: &str, len: usize) -> u64 {
    let numbers = if course.starts_with("vnc-login") { 24 << 10 } else { 0 };
    8192 + numbers + 16 * len as u64
}

/// A handshake that went well or not: how to begin it, and what the peer said, part by part, with TLS between.
struct Course {
    name: String,
    start: Box<dyn Fn() -> Player>,
    parts: Vec<Vec<u8>>,
    /// Whether the machine chooses as its peer's peer did, so that TLS begins where the parts say.
    same_choice: bool,
}

/// The scripts, with the machines that they are for, and the recordings, with machines that take everything.
fn courses(is_server: bool) -> Vec<Course> {
    let vectors = own("rfb-vectors.toml");
    let mut courses = Vec::new();
    for table in each(&vectors, "transcript") {
        if text(table, "role") != if is_server { "server" } else { "client" } {
            continue;
        }
        let script = Script::new(table);
        let (start, answers) = script.start(Policy::Lenient);
        courses.push(Course {
            name: script.id.to_owned(),
            parts: script.peer_streams(),
            same_choice: true,
            start: Box::new(move || start.player(&answers)),
        });
    }
    #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
    for login in crate::login_vectors::all() {
        if login.is_server == is_server {
            courses.push(Course {
                name: format!("vnc-login-{}", login.name),
                parts: vec![login.peer.clone()],
                same_choice: true,
                start: Box::new(move || login.player()),
            });
        }
    }
    let (start, answers) = anything(is_server);
    let own_copy = std::env::var_os(recordings::SOURCE).is_none();
    for connection in recordings::all() {
        let (stream, at) = match is_server {
            true => (&connection.c2s, connection.tls_at.map(|at| at.0)),
            false => (&connection.s2c, connection.tls_at.map(|at| at.1)),
        };
        let stream = &stream[..stream.len().min(300)];
        let parts = match at {
            Some(at) => vec![
                stream[..at.min(stream.len())].to_vec(),
                stream[at.min(stream.len())..].to_vec(),
            ],
            None => vec![stream.to_vec()],
        };
        let (start, answers) = (start.clone(), answers.clone());
        courses.push(Course {
            name: connection.name,
            parts,
            same_choice: own_copy,
            start: Box::new(move || start.player(&answers)),
        });
    }
    courses
}

/// A machine that takes whatever the peer may want.
fn anything(is_server: bool) -> (Start, Answers) {
    let types = [16, 19, 18, 20, 2, 1].map(SecurityType);
    let inside = [20, 2, 1].map(SecurityType);
    let subtypes: Vec<_> = (256..=267).chain([20, 2, 1]).map(Subtype).collect();
    let start = if is_server {
        let config = ServerConfig::new(&types)
            .with_subtypes(&subtypes)
            .with_tight_types(&[19, 20, 2, 1].map(SecurityType))
            .with_tls_types(&inside)
            .with_sasl_mechanisms(b"DIGEST-MD5,PLAIN");
        Start::Server(config)
    } else {
        let config = ClientConfig::new(&types)
            .with_subtypes(&subtypes)
            .with_tight_types(&[19, 20, 2, 1].map(SecurityType))
            .with_tls_types(&inside)
            .with_cleartext(true)
            .with_repeater(b"ID:1");
        Start::Client(config)
    };
    let answers = Answers {
        password: Some(b"secret".to_vec()),
        verdict: Some(true),
        server_init: Some(server_init()),
        ..Answers::default()
    };
    (start, answers)
}

/// Feeds the parts; gives the length of what was sent when it was over.
fn play(player: &mut Player, parts: &[Vec<u8>]) {
    for (index, part) in parts.iter().enumerate() {
        if 0 < index {
            let Now::Tls(_) = player.now else { return };
            player.tls_is_up();
        }
        player.feed(part);
    }
}

/// Runs changed parts and holds it against the rules. Gives whether the handshake went to its end.
fn judge(course: &Course, what: &str, parts: &[Vec<u8>]) -> bool {
    let len = parts.iter().map(Vec::len).sum();
    let mut ended = false;
    let allocated = allocation_counter::measure(|| {
        let mut player = (course.start)();
        play(&mut player, parts);
        ended = matches!(player.now, Now::Done(_));
        if !ended {
            player.eof();
            assert!(
                matches!(player.now, Now::Failed(_)),
                "{}: {:?}",
                course.name,
                player.now
            );
        }
    });
    assert!(
        allocated.bytes_max <= allowed(&course.name, len),
        "{} {what}: {} bytes for {len}",
        course.name,
        allocated.bytes_max
    );
    ended
}

fn random(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize
    }
}

/// A script that goes well asks for more at every byte but the last; one that does not asks until it knows.
#[test]
fn every_prefix_needs_more() {
    let (mut prefixes, mut needing) = (0, 0);
    for is_server in [false, true] {
        for course in courses(is_server) {
            let mut known: Option<Now> = None;
            for (index, part) in course.parts.iter().enumerate() {
                for end in 0..=part.len() {
                    let mut parts = course.parts[..index].to_vec();
                    parts.push(part[..end].to_vec());
                    let mut player = (course.start)();
                    play(&mut player, &parts);
                    prefixes += 1;
                    match &player.now {
                        Now::Needs(_) => {
                            assert!(known.is_none(), "{}: {known:?} was known", course.name);
                            needing += 1;
                        }
                        Now::Tls(_) => assert!(end == part.len() || !course.same_choice, "{}", course.name),
                        Now::Unanswered(_) => {}
                        now @ (Now::Failed(_) | Now::Done(_)) => {
                            // Once it is known how it ends, more bytes do not change it.
                            assert!(known.as_ref().is_none_or(|known| known == now), "{}", course.name);
                            known = Some(now.clone());
                        }
                    }
                    judge(&course, "prefix", &parts);
                }
            }
        }
    }
    println!("{prefixes} prefixes, {needing} of them need more");
    assert!(0 < needing);
}

fn hostile(is_server: bool) -> (usize, usize) {
    let courses = courses(is_server);
    let (mut runs, mut stood) = (0, 0);
    for course in &courses {
        let mut parts = course.parts.clone();
        for index in 0..parts.len() {
            for at in 0..parts[index].len() {
                let byte = parts[index][at];
                // Scripts in every value, recordings in every bit; of log-ins, most of which is random or sealed, the
                // lowest and the highest.
                let deltas: Vec<u8> = match course.name.starts_with("vnc-") {
                    true if course.name.starts_with("vnc-login") => vec![1, 0x80],
                    true => (0..8).map(|bit| 1 << bit).collect(),
                    false => (1..=255).collect(),
                };
                for delta in deltas {
                    parts[index][at] = byte ^ delta;
                    runs += 1;
                    stood += usize::from(judge(course, "mutation", &parts));
                }
                parts[index][at] = byte;
            }
        }
    }
    let is_login = |course: &Course| course.name.starts_with("vnc-login");
    let logins = courses.iter().filter(|course| is_login(course)).count();
    for course in &courses {
        let (mutations, alike) = if is_login(course) {
            (RANDOM_MUTATIONS_OF_LOGINS, logins)
        } else {
            (RANDOM_MUTATIONS, courses.len() - logins)
        };
        let each = mutations.div_ceil(alike);
        let mut draw = random(course.parts.iter().map(Vec::len).sum::<usize>() as u64);
        for _ in 0..each {
            let mut parts = course.parts.clone();
            for _ in 0..=draw() % 6 {
                let index = draw() % parts.len();
                let part = &mut parts[index];
                let at = draw() % (part.len() + 1);
                match draw() % 5 {
                    0 => part.insert(at, draw() as u8),
                    1 if at < part.len() => drop(part.remove(at)),
                    2 if at < part.len() => part[at] = [0, 1, 2, 16, 19, 0x7f, 0x80, 0xff][draw() % 8],
                    3 if at < part.len() => part[at] = draw() as u8,
                    _ => part.truncate(draw() % (part.len() + 1)),
                }
            }
            runs += 1;
            stood += usize::from(judge(course, "random", &parts));
        }
    }
    (runs, stood)
}

#[test]
fn hostile_servers() {
    let (runs, stood) = hostile(false);
    println!("{runs} hostile servers at the client, {stood} handshakes stood");
    assert!(RANDOM_MUTATIONS < runs && 0 < stood);
}

#[test]
fn hostile_clients() {
    let (runs, stood) = hostile(true);
    println!("{runs} hostile clients at the server, {stood} handshakes stood");
    assert!(RANDOM_MUTATIONS < runs && 0 < stood);
}
