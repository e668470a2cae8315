//! Strangers at the bridge.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rfb_proto::security::vnc::Password;
use socket2::{Domain, Socket, Type};

use crate::attack::{ATTACK, Attack, connect_from, saying, silent, soon};
use crate::program::Folder;

/// `vnc-bridge`, until this is dropped.
struct Bridge {
    child: Child,
    address: SocketAddr,
}

impl Bridge {
    fn start(folder: &Folder, hypervisor: SocketAddr, more: &str) -> Self {
        folder.write("right", "s3cretpw");
        let configuration = folder.write(
            "bridge.toml",
            format!(
                "[tenant]\ntcp = \"127.0.0.1:0\"\nsecurity = [\"vnc\"]\npassword_file = \"right\"\n\
                 [hypervisor]\naddress = \"{hypervisor}\"\nsecurity = [\"none\"]\n{more}"
            ),
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_vnc-bridge"));
        command
            .arg("--config")
            .arg(configuration)
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("vnc-bridge");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output");
        BufReader::new(stdout).read_line(&mut line).expect("an address");
        let line: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
        let address = line["tcp"]
            .as_str()
            .and_then(|text| text.parse().ok())
            .expect("an address");
        Self { child, address }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the hypervisor shows: 16 by 16 pixels of 32 bits, named `echo`.
const SERVER_INIT: &[u8; 28] = b"\0\x10\0\x10\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\x04echo";

/// A clipboard, as the client tells it; the server's differs in its first byte.
const CUT_TEXT: &[u8; 13] = b"\x06\0\0\0\0\0\0\x05hello";

/// A hypervisor without a password that sends each clipboard text back.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || -> std::io::Result<()> {
                stream.write_all(b"RFB 003.008\n")?;
                stream.read_exact(&mut [0; 12])?;
                stream.write_all(&[1, 1])?; // None
                stream.read_exact(&mut [0; 1])?;
                stream.write_all(&[0; 4])?;
                stream.read_exact(&mut [0; 1])?; // ClientInit
                stream.write_all(SERVER_INIT)?;
                let mut text = [0; CUT_TEXT.len()];
                loop {
                    stream.read_exact(&mut text)?;
                    text[0] = 3; // ServerCutText
                    stream.write_all(&text)?;
                }
            });
        }
    });
    address
}

/// A hypervisor that can be dialled, and never takes the connection: its queue is full.
struct Hanging {
    address: SocketAddr,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl Hanging {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        listener
            .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
            .expect("a port");
        listener.listen(0).expect("a queue");
        let address = listener.local_addr().ok().and_then(|address| address.as_socket());
        let address = address.expect("an address");
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok();
        let queue: Vec<_> = std::iter::from_fn(connect).take(10).collect();
        assert!(queue.len() < 10, "the queue is never full");
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }
}

/// Logs in. `None`: the password was refused, or the connection ended.
fn log_in(mut stream: TcpStream, password: &[u8]) -> Option<TcpStream> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream.read_exact(&mut [0; 12]).ok()?;
    stream.write_all(b"RFB 003.008\n").ok()?;
    stream.read_exact(&mut [0; 2]).ok()?;
    stream.write_all(&[2]).ok()?; // VNC authentication
    let mut challenge = [0; 16];
    stream.read_exact(&mut challenge).ok()?;
    stream.write_all(&Password::new(password).respond(&challenge)).ok()?;
    let mut result = [0; 4];
    stream.read_exact(&mut result).ok()?;
    if result != [0; 4] {
        return None;
    }
    stream.write_all(&[1]).ok()?; // ClientInit: shared
    let mut init = *SERVER_INIT;
    stream.read_exact(&mut init).ok()?;
    (init == *SERVER_INIT).then_some(stream)
}

fn echoes(stream: &mut TcpStream) -> bool {
    let mut answer = *CUT_TEXT;
    stream.write_all(CUT_TEXT).is_ok() && stream.read_exact(&mut answer).is_ok() && answer[1..] == CUT_TEXT[1..]
}

#[test]
#[ignore = "needs half a minute of attack"]
fn nobody_is_locked_out_of_the_bridge() {
    let _ = examples::descriptors::raise_limit();
    let folder = Folder::new();
    let bridge = Bridge::start(&folder, echo(), "");
    let soon = soon();
    let attacks = [
        Attack::start((1, 200), bridge.address, (400, 4000), silent),
        Attack::start((2, 20), bridge.address, (100, 1000), saying(b"RFB 003.008\n\x02")),
        Attack::start((3, 20), bridge.address, (100, 0), |stream| log_in(stream, b"wr0ng-pw")),
    ];
    let mut open = log_in(TcpStream::connect(bridge.address).unwrap(), b"s3cretpw").expect("an open console");
    let began = Instant::now();
    for turn in 1..=10 {
        let tried = Instant::now();
        let mut viewer = log_in(TcpStream::connect(bridge.address).unwrap(), b"s3cretpw").expect("a viewer gets in");
        assert!(
            echoes(&mut viewer) && tried.elapsed() < soon,
            "{turn}: {:?}",
            tried.elapsed()
        );
        while began.elapsed() < ATTACK / 10 * turn {
            assert!(echoes(&mut open), "the open console loses nothing");
            sleep(Duration::from_millis(50));
        }
    }
    let connections: u64 = attacks.into_iter().map(Attack::stop).sum();
    println!("{connections} hostile connections");
}

#[test]
fn a_tenant_that_goes_while_the_hypervisor_is_dialled_frees_its_place() {
    const TENANTS: usize = 20;
    let soon = soon();
    let folder = Folder::new();
    let hypervisor = Hanging::new();
    let bridge = Bridge::start(&folder, hypervisor.address, "");
    let sockets = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", bridge.child.id())).expect("descriptors");
        open.count()
    };
    let before = sockets();
    let tenants: Vec<_> = (0..TENANTS)
        .map(|_| {
            let mut stream = TcpStream::connect(bridge.address).expect("a bridge");
            stream.read_exact(&mut [0; 12]).expect("a greeting");
            stream.write_all(b"RFB 003.008\n\x02").expect("VNC authentication");
            stream.read_exact(&mut [0; 2]).expect("a list");
            let mut challenge = [0; 16];
            stream.read_exact(&mut challenge).expect("a challenge");
            let response = Password::new(b"s3cretpw").respond(&challenge);
            stream.write_all(&response).expect("a response");
            stream
        })
        .collect();
    let until = |holds: &dyn Fn(usize) -> bool| {
        let began = Instant::now();
        while !holds(sockets()) {
            assert!(began.elapsed() < soon, "{} descriptors, {before} before", sockets());
            sleep(Duration::from_millis(10));
        }
    };
    // One towards each tenant, one that is dialled.
    until(&|open| before + 2 * TENANTS <= open);
    drop(tenants);
    until(&|open| open <= before);
}

#[test]
fn wrong_passwords_are_braked_by_where_they_come_from() {
    let folder = Folder::new();
    let bridge = Bridge::start(&folder, echo(), "");
    let try_from = |last: u8, password: &[u8]| {
        let stream = connect_from([127, 9, 0, last].into(), bridge.address).expect("a bridge");
        log_in(stream, password).is_some()
    };
    assert!(try_from(1, b"s3cretpw"));
    for _ in 0..20 {
        assert!(!try_from(1, b"wr0ng-pw"));
    }
    // Not even the right one is checked, and the answer does not show that.
    assert!(!try_from(1, b"s3cretpw"));
    assert!(try_from(2, b"s3cretpw"), "others are not kept waiting");
}

#[test]
fn a_console_on_which_nothing_happens_is_ended() {
    let folder = Folder::new();
    let bridge = Bridge::start(&folder, echo(), "[operate]\nidle_seconds = 1\n");
    let mut idle = log_in(TcpStream::connect(bridge.address).unwrap(), b"s3cretpw").expect("a console");
    let mut busy = log_in(TcpStream::connect(bridge.address).unwrap(), b"s3cretpw").expect("a console");
    for _ in 0..30 {
        assert!(echoes(&mut busy));
        sleep(Duration::from_millis(100));
    }
    assert!(!echoes(&mut idle));
}

#[test]
fn a_bridge_that_stops_waits_for_open_consoles() {
    let folder = Folder::new();
    for (drain, hang_up) in [(10, true), (1, false)] {
        let more = format!("[operate]\ndrain_seconds = {drain}\n");
        let mut bridge = Bridge::start(&folder, echo(), &more);
        let mut open = log_in(TcpStream::connect(bridge.address).unwrap(), b"s3cretpw").expect("a console");
        let began = Instant::now();
        let kill = Command::new("kill").arg(bridge.child.id().to_string()).status();
        assert!(kill.expect("kill").success());
        while TcpStream::connect(bridge.address).is_ok() {
            assert!(began.elapsed() < Duration::from_secs(5), "it still listens");
            sleep(Duration::from_millis(10));
        }
        assert!(echoes(&mut open), "the console goes on");
        if hang_up {
            drop(open);
        }
        assert_eq!(bridge.child.wait().expect("an end").code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
