//! Load balancers in front, and several gateways on one store.

use std::io::{Read as _, Write as _};

use super::fakes::Serial;
use super::*;
use crate::program::Folder;

const SERIAL: &str = r#"{"guest":"vm1","protocol":"serial"}"#;

fn place(port: u16) -> String {
    format!("host = \"127.0.0.1\"\nport = {port}")
}

/// A request behind a header of the PROXY protocol.
fn behind(web: SocketAddr, header: &[u8], line: &str) -> String {
    let mut stream = std::net::TcpStream::connect(web).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n");
    stream.write_all(&[header, request.as_bytes()].concat()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_load_balancer_says_whose_connection_it_is() {
    let serial = Serial::start();
    let sections = "proxy_protocol = [\"127.0.0.0/8\"]\nforwarded = [\"192.0.2.0/24\"]";
    let service = Service::start(&with(sections, &guest("vm1", "serial", &place(serial.port))));
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    binary.extend([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x16, 0xe2]);
    let text = b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 5858\r\n";
    for header in [&text[..], &binary] {
        let answer = behind(service.web(), header, "GET /serial.html");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for header in [&b""[..], b"PROXY TCP4 x\r\n"] {
        let answer = behind(service.web(), header, "GET /serial.html");
        assert_eq!(answer, "", "{}", header.escape_ascii());
    }
    let (_, _, log) = service.stop("TERM");
    assert!(log.contains("does not begin with a header"), "{log}");
}

#[tokio::test]
async fn a_reverse_proxy_says_whose_request_it_is() {
    let serial = Serial::start();
    let sections = "forwarded = [\"127.0.0.1\"]\n[public]\nurl = \"https://console.example.org\"";
    let second = Serial::start();
    let guests = [
        guest("vm1", "serial", &place(serial.port)),
        guest("vm2", "serial", &place(second.port)),
    ];
    let service = Service::start(&with(sections, &guests.concat()));
    let created = created(&service, SERIAL);
    assert!(
        created
            .json("url")
            .starts_with("https://console.example.org/serial.html?token="),
        "{created:?}"
    );
    let target = format!("/?token={}", created.json("token"));
    let headers = [
        ("origin", "https://console.example.org"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
    ];
    let _socket = websocket_with(service.web(), &target, &headers).await.unwrap();
    // A host that only the proxy was asked for is our own, too; without the proxy's word it is not.
    let other = token(&service, r#"{"guest":"vm2","protocol":"serial"}"#);
    let target = format!("/?token={other}");
    let refused = [
        ("origin", "https://other.example.org"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    assert_eq!(websocket_with(service.web(), &target, &refused).await.err(), Some(403));
    let headers = [
        ("origin", "https://other.example.org"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "other.example.org"),
    ];
    let _other = websocket_with(service.web(), &target, &headers)
        .await
        .expect("the same origin");
    let peer = sessions(&service)[0]["peer"].as_str().unwrap().to_owned();
    assert!(peer.starts_with("203.0.113.9"), "{peer}");
}

/// Two gateways share a file: tokens are spent once among them, operators see and end what the other one has, and a gateway
/// that comes back still honours its tokens.
#[tokio::test]
async fn gateways_share_a_store() {
    let serial = Serial::start();
    let folder = Folder::new();
    let database = folder.write("gateway.db", "");
    let make = |id: &str| {
        let folder = Folder::new();
        folder.write("pepper", "pepper-of-this-test-pepper-of-this-test");
        let store = format!(
            "[store]\nurl = \"sqlite:{}\"\npepper_file = \"pepper\"\ngateway_id = \"{id}\"",
            database.display()
        );
        Service::start_in(folder, &with(&store, &guest("vm1", "serial", &place(serial.port))))
    };
    let (one, two) = (make("one"), make("two"));
    let made_at_one = token(&one, SERIAL);
    let mut socket = websocket(two.web(), &made_at_one)
        .await
        .expect("a token of the other gateway");
    assert_eq!(websocket(one.web(), &made_at_one).await.err(), Some(403));
    assert_eq!(
        websocket(one.web(), &token(&one, SERIAL)).await.err(),
        Some(409),
        "the seat is taken at the other"
    );
    soon("the session in both lists", || {
        sessions(&one).iter().any(|session| session["gateway"] == "two")
    })
    .await;
    let id = sessions(&one)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&one, &format!("DELETE /v1/sessions/{id}"), "").status, 204);
    assert_eq!(close_code(&mut socket).await, Some(1008));

    let kept = token(&one, SERIAL);
    let (status, ..) = one.stop("KILL");
    assert!(!status.success());
    let again = make("one");
    soon("a free seat", || sessions(&again).is_empty()).await;
    websocket(again.web(), &kept).await.expect("it is still good");
}
