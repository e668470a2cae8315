//! Serial ports (seed 004).

use std::sync::atomic::Ordering;

use super::fakes::{self, Serial};
use super::*;
use crate::program::Folder;

const SERIAL: &str = r#"{"guest":"vm1","protocol":"serial"}"#;

fn place(port: u16) -> String {
    format!("host = \"127.0.0.1\"\nport = {port}")
}

#[tokio::test]
async fn bytes_pass_both_ways_and_are_seen_by_operators() {
    let serial = Serial::start();
    let service = Service::start(&with_guests(&guest("vm1", "serial", &place(serial.port))));
    let created = created(&service, r#"{"guest":"vm1","protocol":"serial","user":"alice"}"#);
    assert!(created.json("url").contains("/serial.html?token="), "{created:?}");
    let token = created.json("token");
    let mut socket = websocket(service.web(), &token).await.unwrap();
    send(&mut socket, b"login\r").await;
    assert_eq!(receive(&mut socket, 7).await, b">login\r");
    // The counts follow the bytes.
    soon("the counts", || {
        sessions(&service)
            .first()
            .is_some_and(|session| session["bytes_from_guest"] == 7)
    })
    .await;
    let open = sessions(&service);
    assert_eq!(open.len(), 1, "{open:?}");
    let session = &open[0];
    for (key, value) in [
        ("guest", "vm1"),
        ("name", "vm1"),
        ("protocol", "serial"),
        ("user", "alice"),
    ] {
        assert_eq!(session[key], value, "{session}");
    }
    assert_eq!(session["fingerprint"], created.json("fingerprint"));
    assert_eq!(
        (&session["bytes_to_guest"], &session["bytes_from_guest"]),
        (&6.into(), &7.into()),
        "{session}"
    );
    assert_eq!(session["channels"], 1);
    assert_eq!(session["place"], format!("127.0.0.1:{}", serial.port));
    // The use is spent, and its session ends with the viewer.
    assert_eq!(websocket(service.web(), &token).await.err(), Some(403));
    socket.close(None).await.unwrap();
    soon("the end of the session", || sessions(&service).is_empty()).await;
}

#[tokio::test]
async fn a_second_user_is_refused_and_keeps_the_use() {
    let serial = Serial::start();
    let service = Service::start(&with_guests(&guest("vm1", "serial", &place(serial.port))));
    let mut first = websocket(service.web(), &token(&service, SERIAL)).await.unwrap();
    let second = token(&service, SERIAL);
    for _ in 0..2 {
        assert_eq!(websocket(service.web(), &second).await.err(), Some(409));
    }
    assert_eq!(serial.connections.load(Ordering::SeqCst), 1);
    first.close(None).await.unwrap();
    soon("a free port", || sessions(&service).is_empty()).await;
    let mut second = websocket(service.web(), &second)
        .await
        .expect("the use is left, and the port is free");
    send(&mut second, b"x").await;
    receive(&mut second, 2).await;
}

#[tokio::test]
async fn a_user_with_force_displaces_the_one_before() {
    let serial = Serial::start();
    let service = Service::start(&with_guests(&guest("vm1", "serial", &place(serial.port))));
    let mut first = websocket(service.web(), &token(&service, SERIAL)).await.unwrap();
    let forced = token(&service, r#"{"guest":"vm1","protocol":"serial","force":true}"#);
    let mut second = websocket(service.web(), &forced).await.unwrap();
    assert_eq!(close_code(&mut first).await, Some(4409));
    send(&mut second, b"x").await;
    assert_eq!(receive(&mut second, 2).await, b">x");
    // The gateway reads its own orders back from the store, within a second. This one must not end the viewer that gave it.
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    send(&mut second, b"y").await;
    assert_eq!(receive(&mut second, 2).await, b">y");
}

#[tokio::test]
async fn operators_end_sessions_and_revoke_tokens() {
    let serial = Serial::start();
    let service = Service::start(&with_guests(&guest("vm1", "serial", &place(serial.port))));
    let mut socket = websocket(service.web(), &token(&service, SERIAL)).await.unwrap();
    let id = sessions(&service)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&service, &format!("DELETE /v1/sessions/{id}"), "").status, 204);
    assert_eq!(close_code(&mut socket).await, Some(1008));
    soon("the end", || sessions(&service).is_empty()).await;
    assert_eq!(call(&service, &format!("DELETE /v1/sessions/{id}"), "").status, 404);

    for by in ["token", "guest"] {
        let created = created(&service, SERIAL);
        let unused = token(&service, SERIAL);
        let mut socket = websocket(service.web(), &created.json("token")).await.unwrap();
        let line = match by {
            "token" => format!("DELETE /v1/tokens/{}", created.json("fingerprint")),
            _ => "DELETE /v1/guests/vm1/tokens".to_owned(),
        };
        assert_eq!(call(&service, &line, "").status, 204, "{line}");
        assert_eq!(close_code(&mut socket).await, Some(1008), "{line}");
        soon("the end", || sessions(&service).is_empty()).await;
        // The seat was given up before the viewer was told.
        let left = websocket(service.web(), &unused).await.err();
        assert_eq!(left, if by == "guest" { Some(403) } else { None }, "{line}");
        soon("the end", || sessions(&service).is_empty()).await;
    }
    for line in [
        "DELETE /v1/tokens/0011223344556677",
        "DELETE /v1/tokens/x",
        "DELETE /v1/guests/vm2/tokens",
    ] {
        assert_eq!(call(&service, line, "").status, 404, "{line}");
    }
}

#[tokio::test]
async fn a_port_that_is_not_there_costs_no_use() {
    let serial = Serial::start();
    let closed = crate::ports::free_port().port();
    let folder = Folder::new();
    let path = folder.write("unused", "").with_file_name("serial.sock");
    let consoles = [
        console("serial", &place(closed)),
        console("serial", &place(serial.port)),
        console("serial", "unix = \"serial.sock\""),
    ];
    let service = Service::start_in(
        folder,
        &with_guests(&format!("[[guest]]\nid = \"vm1\"\n{}", consoles.concat())),
    );
    let down = token(&service, SERIAL);
    for _ in 0..2 {
        assert_eq!(websocket(service.web(), &down).await.err(), Some(502));
    }
    let second = token(&service, r#"{"guest":"vm1","protocol":"serial","number":1}"#);
    websocket(service.web(), &second).await.expect("the second port");
    fakes::unix_serial(&path);
    let third = token(&service, r#"{"guest":"vm1","protocol":"serial","number":2}"#);
    let mut socket = websocket(service.web(), &third).await.expect("the third port");
    send(&mut socket, b"unix").await;
    assert_eq!(receive(&mut socket, 5).await, b">unix");
}

#[tokio::test]
async fn a_guest_that_moves_ends_the_session_and_its_token_opens_the_new_place() {
    let (here, there) = (Serial::start(), Serial::start());
    let places = format!("{}\n[[guest.console.place]]\n{}", place(here.port), place(there.port));
    let sections = "[tokens]\nreconnect_seconds = 30";
    let service = Service::start(&with(sections, &guest("vm1", "serial", &places)));
    let token = token(&service, SERIAL);
    let mut socket = websocket(service.web(), &token).await.unwrap();
    assert_eq!(call(&service, "PUT /v1/guests/vm1/place", r#"{"place":2}"#).status, 400);
    assert_eq!(call(&service, "PUT /v1/guests/vm1/place", r#"{"place":1}"#).status, 204);
    assert_eq!(close_code(&mut socket).await, Some(4410));
    soon("the end", || sessions(&service).is_empty()).await;
    let mut socket = loop {
        match websocket(service.web(), &token).await {
            Ok(socket) => break socket,
            Err(403) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Err(status) => panic!("{status}"),
        }
    };
    send(&mut socket, b"x").await;
    receive(&mut socket, 2).await;
    assert_eq!(
        (
            here.connections.load(Ordering::SeqCst),
            there.connections.load(Ordering::SeqCst)
        ),
        (1, 1)
    );
    // Once at a time.
    assert_eq!(websocket(service.web(), &token).await.err(), Some(403));
}

/// Ports for guests that are yet to be started are handed out once.
#[test]
fn ports_are_handed_out_once() {
    let serial = Serial::start();
    let sections = "[operate]\nserial_ports = \"10000:10003\"";
    let service = Service::start(&with(sections, &guest("vm1", "serial", &place(serial.port))));
    let acquire = |body: &str| {
        let answer = call(&service, "POST /v1/serial-ports", body);
        (answer.status, json(&answer)["ports"].clone())
    };
    assert_eq!(
        acquire(r#"{"guest":"a","count":2}"#),
        (201, serde_json::json!([10000, 10001]))
    );
    assert_eq!(acquire(r#"{"guest":"b","count":2}"#).0, 400);
    assert_eq!(acquire(r#"{"guest":"b","count":1}"#), (201, serde_json::json!([10002])));
    assert_eq!(call(&service, "DELETE /v1/serial-ports/a", "").status, 204);
    assert_eq!(call(&service, "DELETE /v1/serial-ports/a", "").status, 404);
    assert_eq!(
        acquire(r#"{"guest":"c","count":2}"#),
        (201, serde_json::json!([10000, 10001]))
    );
    for body in ["{}", r#"{"guest":"c","count":0}"#, r#"{"guest":"","count":1}"#] {
        assert_eq!(acquire(body).0, 400, "{body}");
    }
}
