//! Guesses are slowed by where they come from and by the token behind which they are; places are what the machine can hold.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener};
use std::thread;
use std::time::Duration;

use rfb_proto::security::vnc::Password;
use socket2::{Domain, Protocol, Socket as Tcp, Type};

use super::fakes::{Monitor, Serial};
use super::*;
use crate::program::Folder;

const SERIAL: &str = r#"{"guest":"vm1","protocol":"serial"}"#;
const UNKNOWN: &str = "00000000-0000-4000-8000-000000000000";

fn serial(service: Serial) -> String {
    guest(
        "vm1",
        "serial",
        &format!("host = \"127.0.0.1\"\nport = {}", service.port),
    )
}

fn from(from: IpAddr, target: SocketAddr) -> std::net::TcpStream {
    let socket = Tcp::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&target.into()).unwrap();
    let stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The status of a request for a WebSocket with this token; the connection stays open.
fn asks(address: [u8; 4], web: SocketAddr, token: &str) -> (std::net::TcpStream, u16) {
    let mut stream = from(address.into(), web);
    write!(
        stream,
        "GET /?token={token} HTTP/1.1\r\nHost: {web}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    let status = std::str::from_utf8(&head[9..]).unwrap().parse().unwrap();
    (stream, status)
}

fn figure(service: &Service, name: &str) -> f64 {
    let text = call(service, "GET /metrics", "").body;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    line.unwrap_or(0.0)
}

/// After a hundred wrong tokens of one address its tokens are not looked at for a while. Others are not kept waiting, and neither
/// is one that has a console open.
#[test]
fn wrong_tokens_are_slowed_by_where_they_come_from() {
    let service = Service::start(&with_guests(&serial(Serial::start())));
    let web = service.web();
    let status = |last: u8, token: &str| asks([127, 9, 0, last], web, token).1;
    for _ in 0..300 {
        assert_eq!(status(1, UNKNOWN), 403);
    }
    let looked = figure(&service, "console_gateway_refusals_total{reason=\"token\"}");
    assert!((100.0..150.0).contains(&looked), "{looked}");
    let kept = token(&service, SERIAL);
    assert_eq!(status(1, &kept), 403, "it is not looked at");
    let (open, admitted) = asks([127, 9, 0, 2], web, &kept);
    assert_eq!(admitted, 101, "and keeps its use");
    for _ in 0..150 {
        assert_eq!(status(2, UNKNOWN), 403);
    }
    // Its seat is taken: what it shows is looked at.
    assert_eq!(status(2, &token(&service, SERIAL)), 409);
    drop(open);
    thread::sleep(Duration::from_millis(2100));
    assert_eq!(
        asks([127, 9, 0, 1], web, &token(&service, SERIAL)).1,
        101,
        "one comes back each second"
    );
}

/// The same for links of SPICE, and for the page of operators.
#[test]
fn a_source_is_slowed_wherever_it_shows_tokens() {
    let service = Service::start(&crate::program::configuration(9));
    let basic = |password: &str| {
        let line = [format!("Authorization: Basic {password}")];
        request(service.web(), "GET /status", &line, "").status
    };
    // `x:` and a wrong password.
    for _ in 0..120 {
        assert_eq!(basic("eDp3cm9uZy1wYXNzd29yZC0wMDA="), 401);
    }
    let right = "eDpiZWFyZXItb2YtdGhpcy10ZXN0";
    assert_eq!(basic(right), 401, "not even the right one is looked at");
    let denied = crate::spice::Link::Refused(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED);
    let good = crate::http::token(service.api());
    assert_eq!(crate::spice::connect(service.plain(), &good), denied);
    assert!(1.0 <= figure(&service, "console_gateway_refusals_total{reason=\"guesses\"}"));
    thread::sleep(Duration::from_millis(2100));
    assert_eq!(basic(right), 200);
    assert_eq!(
        crate::spice::connect(service.plain(), &good),
        crate::spice::Link::Closed,
        "nothing is there, and it is dialled"
    );
}

/// A VNC server with a password, which the gateway does not know.
fn locked() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                stream.write_all(b"RFB 003.008\n").ok()?;
                stream.read_exact(&mut [0; 12]).ok()?;
                stream.write_all(&[1, 2]).ok()?;
                stream.read_exact(&mut [0; 1]).ok()?;
                stream.write_all(&[7; 16]).ok()?;
                let mut response = [0; 16];
                stream.read_exact(&mut response).ok()?;
                match response == Password::new(b"right").respond(&[7; 16]) {
                    true => stream.write_all(&[0; 4]).ok()?,
                    false => stream.write_all(b"\0\0\0\x01\0\0\0\x05wrong").ok()?,
                }
                stream.read_exact(&mut [0; 1]).ok()?;
                Some(())
            });
        }
    });
    port
}

/// The result for a browser that answers the challenge with this password: 0 if it is let in.
async fn answers(web: SocketAddr, token: &str, password: &[u8]) -> Result<u32, u16> {
    let mut socket = websocket(web, token).await?;
    receive(&mut socket, 12).await;
    send(&mut socket, b"RFB 003.008\n").await;
    assert_eq!(receive(&mut socket, 2).await, [1, 2]);
    send(&mut socket, &[2]).await;
    let challenge: [u8; 16] = receive(&mut socket, 16).await.try_into().unwrap();
    send(&mut socket, &Password::new(password).respond(&challenge)).await;
    let result = receive(&mut socket, 4).await;
    Ok(u32::from_be_bytes(result[..4].try_into().unwrap()))
}

/// The password of a console is short. Behind one token ten can be tried, from whatever addresses.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_slowed_by_the_token_behind_which_they_are() {
    let folder = Folder::new();
    let _monitor = Monitor::start(&folder.path("vm1.qmp"));
    let place = format!(
        "host = \"127.0.0.1\"\nport = {}\nauth = [\"vnc\"]\nqmp = \"unix:vm1.qmp\"",
        locked()
    );
    let service = Service::start_in(folder, &with_guests(&guest("vm1", "vnc", &place)));
    let wanted = r#"{"guest":"vm1","protocol":"vnc","uses":50}"#;
    let (guessed, other) = (token(&service, wanted), token(&service, wanted));
    assert_eq!(answers(service.web(), &guessed, b"right").await, Ok(0));
    for _ in 0..10 {
        assert_eq!(answers(service.web(), &guessed, b"wrong").await, Ok(1));
    }
    // The last one counts when its connection is over.
    let mut refused = Ok(0);
    for _ in 0..30 {
        refused = answers(service.web(), &guessed, b"right").await;
        if refused != Ok(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(refused, Err(403));
    assert_eq!(
        answers(service.web(), &other, b"right").await,
        Ok(0),
        "others are not kept waiting"
    );
}

/// More connections than the process can have descriptors for: it does not start, and says what it needs.
#[test]
fn limits_that_the_machine_cannot_hold_are_refused() {
    let serial = serial(Serial::start());
    let limits = |text: &str| with(&format!("[limits]\n{text}"), &serial);
    let start = |text: &str, descriptors| {
        let service = Service::start_with_descriptors(Folder::new(), text, descriptors);
        let started = !service.line.is_empty();
        (started, service.ended())
    };
    let (started, said) = start(&limits("open = 1000"), 2048);
    assert!(
        !started && said.contains("[limits]: ") && said.contains("this process may have 2048"),
        "{said}"
    );
    let (started, said) = start(&with_guests(&serial), 100);
    assert!(!started && said.contains("128 file descriptors are needed"), "{said}");
    let text = limits("accepted = 40\nlinked = 30\nopen = 50\napi = 8");
    let service = Service::start_with_descriptors(Folder::new(), &text, 512);
    for (name, most) in [
        ("waiting_limit{kind=\"web\",stage=\"accepted\"}", 40.0),
        ("waiting_limit{kind=\"consoles\",stage=\"linked\"}", 30.0),
        ("waiting_limit{kind=\"api\",stage=\"accepted\"}", 8.0),
        ("connections_limit{state=\"open\"}", 50.0),
        ("waiting{kind=\"api\",stage=\"linked\"}", 1.0),
    ] {
        assert_eq!(figure(&service, &format!("console_gateway_{name}")), most, "{name}");
    }
}

/// Requests without the API's token take no place from one that has it, however long its body takes.
#[test]
fn a_portal_keeps_its_place_at_the_api() {
    let service = Service::start(&with("[limits]\napi = 4", &serial(Serial::start())));
    let api = service.api();
    let mut portal = std::net::TcpStream::connect(api).unwrap();
    portal.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = SERIAL.len();
    write!(
        portal,
        "POST /v1/consoles HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {BEARER}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    let waiting = "console_gateway_waiting{kind=\"api\",stage=\"linked\"}";
    while figure(&service, waiting) < 2.0 {
        thread::sleep(Duration::from_millis(10));
    }
    let strangers: Vec<_> = (0..50).map(|_| std::net::TcpStream::connect(api).unwrap()).collect();
    thread::sleep(Duration::from_millis(200));
    portal.write_all(SERIAL.as_bytes()).unwrap();
    let mut answer = String::new();
    portal.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    drop(strangers);
}
