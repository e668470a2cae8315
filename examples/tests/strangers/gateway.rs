//! Strangers at the gateway's SPICE listener and at its API.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::main::ServerMessage;
use spice_proto::frame::{FrameReader, HeaderForm};
use spice_proto::ids::ChannelType;

use crate::attack::{ATTACK, Attack, asking, saying, silent, soon};
use crate::program::{Folder, Service, TICKET, configuration};
use crate::{http, spice};

/// A link message for a main channel, without capabilities: 16 + 18 bytes.
const LINK: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x12\0\0\0";
/// What comes back at most: header, error, key, counts; capabilities follow.
const REPLY: usize = 16 + 178;

/// `spice-picture`: a hypervisor that is real enough, and small.
struct Picture {
    child: Child,
    port: u16,
}

impl Picture {
    fn start(folder: &Folder) -> Self {
        let picture = folder.write("picture.png", png());
        let mut command = Command::new(env!("CARGO_BIN_EXE_spice-picture"));
        command
            .arg("--listen=127.0.0.1:0")
            .arg(picture)
            .env("SPICE_PASSWORD", TICKET);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("spice-picture");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output");
        BufReader::new(stdout).read_line(&mut line).expect("an address");
        let address: SocketAddr = line.trim_end().parse().expect("an address");
        Self {
            child,
            port: address.port(),
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[0x55; 3 * 64 * 64]).expect("an image");
    writer.finish().expect("an end");
    bytes
}

/// A console that is open, asks for the list of channels all the time, and gets it.
struct Open {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Open {
    fn start(gateway: SocketAddr, token: &str) -> Self {
        let (mut stream, mut rx) = spice::open(gateway, token, ChannelType::MAIN, 0).expect("a main channel");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = spawn(move || {
            let mut reader = FrameReader::new(HeaderForm::Mini, &Limits::default());
            let (mut asked, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                stream
                    .write_all(&[104, 0, 0, 0, 0, 0])
                    .expect("the open console takes a question");
                // INIT may come in one read with the first answer.
                while !answered(&mut reader, &mut rx) {
                    let mut bytes = [0; 4096];
                    let n = stream.read(&mut bytes).expect("the open console answers");
                    assert_ne!(n, 0, "the open console was ended");
                    rx.extend_from_slice(&bytes[..n]);
                }
                (asked, slowest) = (asked + 1, slowest.max(began.elapsed()));
                sleep(Duration::from_millis(50));
            }
            (asked, slowest)
        });
        Self { stop, thread }
    }

    fn end(self) -> (u32, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the open console")
    }
}

/// Takes all messages that are there. `true`: one of them is a list of channels.
fn answered(reader: &mut FrameReader, rx: &mut BytesMut) -> bool {
    std::iter::from_fn(|| reader.decode(rx).expect("frames"))
        .any(|frame| frame.header.number == ServerMessage::CHANNELS_LIST)
}

/// Opens all channels of a session, as a viewer does, and leaves: how long that took.
fn view(service: &Service) -> Duration {
    let token = http::token(service.api());
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_spice-probe"))
        .args(["--watch=0", &service.plain().to_string()])
        .env("SPICE_PASSWORD", token)
        .output()
        .expect("spice-probe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed()
}

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
