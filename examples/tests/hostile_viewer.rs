//! What an authenticated viewer can do to a real QEMU, it cannot do through the gateway.
//!
//! Without the gateway these attacks end QEMU 7.2 with spice-server 0.15.1, and the guest in it; the fourth is a
//! way in which the gateway itself could have done so. The test prints which, and needs the packages of `debian-packages.txt`:
//! `cargo test -p examples --test hostile_viewer -- --ignored`.

#[path = "console_gateway/http.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod http;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "console_gateway/spice.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod spice;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use program::{PATIENCE, Service, TICKET, configuration};
use spice_proto::Limits;
use spice_proto::channel::main::Init;
use spice_proto::frame::{FrameReader, HeaderForm};
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkMess, LinkReply, PublicKey};

/// QEMU with an empty machine and a display.
struct Qemu {
    address: SocketAddr,
    child: Child,
}

impl Qemu {
    fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let spice = format!("addr=127.0.0.1,port={},password-secret=ticket", address.port());
        let child = Command::new("timeout")
            .args(["--kill-after=3", "120", "qemu-system-x86_64"])
            .args([
                "-nodefaults",
                "-machine",
                "pc,accel=tcg",
                "-m",
                "64",
                "-display",
                "none",
            ])
            .args(["-device", "qxl-vga", "-spice", &spice])
            .args(["-object", &format!("secret,id=ticket,data={TICKET}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("QEMU");
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "QEMU does not listen");
            sleep(Duration::from_millis(20));
        }
        Self { address, child }
    }

    /// Whether it still runs, a moment after something was done to it.
    fn survives(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(700) {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(20));
        }
        true
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        // The child is `timeout`, which passes the signal on.
        let mut kill = Command::new("kill");
        let _ = kill.arg(self.child.id().to_string()).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// A session: its main channel and its number.
fn session(server: SocketAddr, password: &str) -> (TcpStream, u32) {
    let (mut main, mut rx) = spice::open(server, password, ChannelType::MAIN, 0).expect("a main channel");
    let mut splitter = FrameReader::new(HeaderForm::Mini, &Limits::default());
    let init = loop {
        if let Some(frame) = splitter.decode(&mut rx).unwrap() {
            break frame;
        }
        let mut bytes = [0; 4096];
        let n = main.read(&mut bytes).unwrap();
        assert_ne!(n, 0, "the session ends before INIT");
        rx.extend_from_slice(&bytes[..n]);
    };
    let id = Init::decode(&init.body).unwrap().session_id;
    main.write_all(&[104, 0, 0, 0, 0, 0]).unwrap(); // ATTACH_CHANNELS
    // Everything up to CHANNELS_LIST, so that the gateway has seen it.
    let mut seen = rx.to_vec();
    while !seen
        .windows(6)
        .any(|window| window[..2] == [104, 0] && window[3..] == [0, 0, 0])
    {
        let mut bytes = [0; 4096];
        let n = main.read(&mut bytes).unwrap();
        assert_ne!(n, 0, "the session ends before CHANNELS_LIST");
        seen.extend_from_slice(&bytes[..n]);
    }
    (main, id)
}

fn display(server: SocketAddr, password: &str, id: u32) -> TcpStream {
    spice::open(server, password, ChannelType::DISPLAY, id)
        .expect("a display channel")
        .0
}

/// Sends a ticket for a display link and does not wait for its result.
fn display_and_gone(server: SocketAddr, password: &str, id: u32) {
    let mut stream = TcpStream::connect(server).unwrap();
    let request = LinkMess {
        connection_id: id,
        channel_type: ChannelType::DISPLAY,
        channel_id: 0,
        capabilities: Default::default(),
    };
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes).unwrap();
    stream.write_all(&bytes).unwrap();
    let mut header = [0; 16];
    stream.read_exact(&mut header).unwrap();
    let mut reply = vec![0; usize::from(header[12])];
    stream.read_exact(&mut reply).unwrap();
    let reply = LinkReply::decode_slice(&reply, &Limits::default()).unwrap();
    let sealed = PublicKey::from_der(reply.pub_key)
        .seal(password.as_bytes(), spice::seed())
        .unwrap();
    stream.write_all(&sealed.0).unwrap();
}

type Attack = fn(SocketAddr, &str);

const ATTACKS: &[(&str, Attack)] = &[
    ("a display link is closed before DISPLAY_INIT", |server, password| {
        let (_main, id) = session(server, password);
        drop(display(server, password, id));
        sleep(Duration::from_millis(300));
    }),
    ("a display link begins with another message", |server, password| {
        let (_main, id) = session(server, password);
        let _ = display(server, password, id).write_all(&[250, 0, 0, 0, 0, 0]);
        sleep(Duration::from_millis(300));
    }),
    ("a display link is closed behind its ticket", |server, password| {
        let (_main, id) = session(server, password);
        display_and_gone(server, password, id);
        sleep(Duration::from_millis(500));
    }),
    ("main ends while a display link has not begun", |server, password| {
        let (main, id) = session(server, password);
        let display = display(server, password, id);
        drop(main);
        sleep(Duration::from_millis(300));
        drop(display);
    }),
    ("MIGRATE_FLUSH_MARK on the main channel", |server, password| {
        let _ = session(server, password).0.write_all(&[4, 0, 0, 0, 0, 0]);
        sleep(Duration::from_millis(300));
    }),
    ("MIGRATE_DST_DO_SEAMLESS on the main channel", |server, password| {
        let _ = session(server, password).0.write_all(&[110, 0, 4, 0, 0, 0, 1, 0, 0, 0]);
        sleep(Duration::from_millis(300));
    }),
];

#[test]
#[ignore = "needs QEMU"]
fn qemu_survives_a_hostile_viewer_behind_the_gateway() {
    let mut qemu = Qemu::start();
    let service = Service::start(&configuration(qemu.address.port()));
    for (name, attack) in ATTACKS {
        attack(service.plain(), &http::token(service.api()));
        assert!(qemu.survives(), "{name}: QEMU has ended");
        // And it still serves.
        session(service.plain(), &http::token(service.api()));
    }
    // Without the gateway, so that it is known that these are attacks. Not asserted: it is QEMU's to mend.
    for (name, attack) in ATTACKS {
        let mut qemu = Qemu::start();
        attack(qemu.address, TICKET);
        let fate = if qemu.survives() { "survives" } else { "ends" };
        println!("without the gateway QEMU {fate}: {name}");
    }
}
