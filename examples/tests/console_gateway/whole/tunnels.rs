//! HTTP CONNECT (seed 003).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::fakes::{self, Monitor, Serial};
use super::*;
use crate::http::follow;
use crate::program::Folder;

const VNC: &str = r#"{"guest":"vm1","protocol":"vnc"}"#;

fn place(port: u16) -> String {
    format!("host = \"127.0.0.1\"\nannounced = [\"node1\"]\nport = {port}\nauth = [\"none\"]")
}

/// A tunnel, or the status in its place.
pub(super) async fn connect(web: SocketAddr, authority: &str, credential: Option<String>) -> Result<TcpStream, u16> {
    let mut stream = TcpStream::connect(web).await.unwrap();
    let credential = credential
        .map(|value| format!("Proxy-Authorization: {value}\r\n"))
        .unwrap_or_default();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credential}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    match head.split(' ').nth(1).unwrap() {
        "200" => Ok(stream),
        status => Err(status.parse().unwrap()),
    }
}

pub(super) fn bearer(token: &str) -> Option<String> {
    Some(format!("Bearer {token}"))
}

fn basic(token: &str) -> Option<String> {
    Some(format!("Basic {}", STANDARD.encode(format!("user:{token}"))))
}

async fn greeting(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

#[tokio::test]
async fn a_tunnel_leads_to_the_console_of_its_token_only() {
    let (own, other) = (fakes::vnc("own"), fakes::vnc("other"));
    let guests = [guest("vm1", "vnc", &place(own)), guest("vm2", "vnc", &place(other))].concat();
    let service = Service::start(&with_guests(&guests));
    let web = service.web();
    let unused = token(&service, VNC);
    for (authority, credential, status) in [
        (format!("127.0.0.1:{own}"), None, 407),
        (
            format!("127.0.0.1:{own}"),
            bearer("00000000-0000-4000-8000-000000000000"),
            403,
        ),
        (format!("127.0.0.1:{other}"), bearer(&unused), 403),
        ("127.0.0.1:22".to_owned(), bearer(&unused), 403),
        (format!("{}", service.api()), basic(&unused), 403),
        (format!("node2:{own}"), bearer(&unused), 403),
        (format!("{unused}:{other}"), None, 403),
    ] {
        assert_eq!(
            connect(web, &authority, credential.clone()).await.err(),
            Some(status),
            "{authority} {credential:?}"
        );
    }
    // None of them has taken the use.
    let mut stream = connect(web, &format!("127.0.0.1:{own}"), bearer(&unused))
        .await
        .expect("a tunnel");
    assert_eq!(greeting(&mut stream).await, b"RFB 003.008\n");
    assert_eq!(sessions(&service)[0]["protocol"], "vnc");
    assert_eq!(
        connect(web, &format!("127.0.0.1:{own}"), bearer(&unused)).await.err(),
        Some(403)
    );

    let by_name = token(&service, VNC);
    let mut stream = connect(web, &format!("node1:{own}"), basic(&by_name))
        .await
        .expect("another name of the place");
    greeting(&mut stream).await;
    let as_host = token(&service, VNC);
    let mut stream = connect(web, &format!("{}:{own}", as_host.to_uppercase()), None)
        .await
        .expect("the token as host");
    greeting(&mut stream).await;
}

#[tokio::test]
async fn a_narrow_policy_has_no_tunnel() {
    let own = fakes::vnc("own");
    let service = Service::start(&with_guests(&guest("vm1", "vnc", &place(own))));
    let wanted = r#"{"guest":"vm1","protocol":"vnc","policy":{"clipboard":"none"}}"#;
    let token = token(&service, wanted);
    let refused = connect(service.web(), &format!("127.0.0.1:{own}"), bearer(&token)).await;
    assert_eq!(refused.err(), Some(403));
    websocket(service.web(), &token).await.expect("the use is left");
}

#[tokio::test]
async fn tunnels_to_one_spice_console_are_one_use() {
    // Any listener will do: what passes is not looked at.
    let own = fakes::vnc("spice");
    let place = format!("host = \"127.0.0.1\"\nport = {own}\nticket_file = \"vm1.ticket\"");
    let service = Service::start(&with_guests(&guest("vm1", "spice", &place)));
    let token = token(&service, r#"{"guest":"vm1","protocol":"spice","type":"spice-html5"}"#);
    let web = service.web();
    let authority = format!("127.0.0.1:{own}");
    let mut first = connect(web, &authority, bearer(&token)).await.unwrap();
    let mut second = connect(web, &authority, bearer(&token)).await.expect("it joins");
    greeting(&mut first).await;
    greeting(&mut second).await;
    let open = sessions(&service);
    assert_eq!((open.len(), &open[0]["channels"]), (1, &2.into()), "{open:?}");
    drop((first, second));
    soon("the end", || sessions(&service).is_empty()).await;
    assert_eq!(connect(web, &authority, bearer(&token)).await.err(), Some(403));
}

#[tokio::test]
async fn a_tunnel_to_a_serial_port_takes_its_seat() {
    let serial = Serial::start();
    let place = format!("host = \"127.0.0.1\"\nport = {}", serial.port);
    let service = Service::start(&with_guests(&guest("vm1", "serial", &place)));
    let wanted = r#"{"guest":"vm1","protocol":"serial"}"#;
    let authority = format!("127.0.0.1:{}", serial.port);
    let mut tunnel = connect(service.web(), &authority, bearer(&token(&service, wanted)))
        .await
        .unwrap();
    tunnel.write_all(b"x").await.unwrap();
    let mut echo = [0; 2];
    tunnel.read_exact(&mut echo).await.unwrap();
    assert_eq!(
        websocket(service.web(), &token(&service, wanted)).await.err(),
        Some(409)
    );
}

#[tokio::test]
async fn a_file_can_lead_through_a_tunnel() {
    let folder = Folder::new();
    let path = folder.write("unused", "").with_file_name("qmp.sock");
    let monitor = Monitor::start(&path);
    let own = fakes::vnc("spice");
    let place = format!("host = \"127.0.0.1\"\nport = {own}\nqmp = \"unix:qmp.sock\"");
    let without = "host = \"127.0.0.1\"\nport = 1\nticket_file = \"vm1.ticket\"";
    let guests = [guest("vm1", "spice", &place), guest("vm2", "spice", without)].concat();
    let service = Service::start_in(folder, &with_guests(&guests));
    let wanted = r#"{"guest":"vm1","protocol":"spice","type":"spice-tunnel"}"#;
    assert_eq!(
        call(&service, "POST /v1/consoles", &wanted.replace("vm1", "vm2")).status,
        400
    );
    let file = follow(service.web(), &created(&service, wanted));
    assert_eq!(file.status, 200, "{file:?}");
    assert_eq!(
        (file.vv("host"), file.vv("port")),
        (Some("127.0.0.1"), Some(own.to_string().as_str()))
    );
    assert_eq!(monitor.passwords("spice"), [file.vv("password").unwrap()]);
    let proxy = file.vv("proxy").unwrap();
    let (credential, at) = proxy.strip_prefix("http://token:").unwrap().split_once('@').unwrap();
    assert_eq!(at, format!("127.0.0.1:{}", service.web().port()));
    let mut tunnel = connect(service.web(), &format!("127.0.0.1:{own}"), basic(credential))
        .await
        .expect("a tunnel");
    greeting(&mut tunnel).await;
}

/// An operator's order right behind the answer finds the session.
#[tokio::test]
async fn a_tunnel_is_in_the_book_before_its_answer() {
    let own = fakes::vnc("own");
    let service = Service::start(&with_guests(&guest("vm1", "vnc", &place(own))));
    for _ in 0..20 {
        let mut tunnel = connect(
            service.web(),
            &format!("127.0.0.1:{own}"),
            bearer(&token(&service, VNC)),
        )
        .await
        .unwrap();
        let open = sessions(&service);
        assert_eq!((open.len(), &open[0]["channels"]), (1, &1.into()), "{open:?}");
        let id = open[0]["id"].as_str().unwrap();
        assert_eq!(call(&service, &format!("DELETE /v1/sessions/{id}"), "").status, 204);
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, tunnel.read_to_end(&mut rest)).await.expect("its end");
        soon("the end", || sessions(&service).is_empty()).await;
    }
}
