//! VNC: browsers, and native viewers.

use super::fakes;
use super::*;

const VNC: &str = r#"{"guest":"vm1","protocol":"vnc"}"#;

fn place(port: u16) -> String {
    format!("host = \"127.0.0.1\"\nport = {port}\nauth = [\"none\"]")
}

/// A browser's side of the handshake, to the name of the desktop.
pub(super) async fn desktop(socket: &mut Socket) -> String {
    assert_eq!(receive(socket, 12).await, b"RFB 003.008\n");
    send(socket, b"RFB 003.008\n").await;
    assert_eq!(receive(socket, 2).await, [1, 1], "the token was shown already");
    send(socket, &[1]).await;
    assert_eq!(receive(socket, 4).await, [0; 4]);
    send(socket, &[1]).await;
    let init = receive(socket, 24).await;
    let length = u32::from_be_bytes(init[20..24].try_into().unwrap()) as usize;
    let name = match init.len() - 24 {
        0 => receive(socket, length).await,
        _ => init[24..].to_vec(),
    };
    String::from_utf8(name).unwrap()
}

#[tokio::test]
async fn a_browser_with_a_token_sees_the_guest() {
    let port = fakes::vnc("guest one");
    let service = Service::start(&with_guests(&guest("vm1", "vnc", &place(port))));
    let created = created(&service, VNC);
    assert!(
        created.json("url").contains("/vnc_lite.html?path=%3Ftoken%3D"),
        "{created:?}"
    );
    let token = created.json("token");
    let mut socket = websocket(service.web(), &token).await.unwrap();
    assert_eq!(desktop(&mut socket).await, "guest one");
    soon("the session", || sessions(&service).len() == 1).await;
    // A key passes.
    send(&mut socket, &[4, 1, 0, 0, 0, 0, 0, 0x61]).await;
    assert_eq!(receive(&mut socket, 1).await, [2]);
    assert_eq!(websocket(service.web(), &token).await.err(), Some(403));
    assert_eq!(
        websocket(service.web(), "00000000-0000-4000-8000-000000000000")
            .await
            .err(),
        Some(403)
    );
    assert_eq!(websocket_with(service.web(), "/", &[]).await.err(), Some(403));
}

#[tokio::test]
async fn a_viewer_that_may_only_look_presses_no_key() {
    let port = fakes::vnc("guest one");
    let service = Service::start(&with_guests(&guest("vm1", "vnc", &place(port))));
    let wanted = r#"{"guest":"vm1","protocol":"vnc","policy":{"view_only":true}}"#;
    let mut socket = websocket(service.web(), &token(&service, wanted)).await.unwrap();
    desktop(&mut socket).await;
    send(&mut socket, &[4, 1, 0, 0, 0, 0, 0, 0x61]).await;
    // A request for a picture does pass, behind it.
    send(&mut socket, &[3, 0, 0, 0, 0, 0, 0, 1, 0, 1]).await;
    assert_eq!(receive(&mut socket, 1).await, [2]);
    let more = timeout(std::time::Duration::from_millis(300), socket.next()).await;
    assert!(more.is_err(), "the key has passed as well: {more:?}");
}

#[tokio::test]
async fn pages_of_others_may_not_connect() {
    let port = fakes::vnc("guest one");
    let sections = "origins = [\"https://portal.example.org\"]";
    let service = Service::start(&with(sections, &guest("vm1", "vnc", &place(port))));
    let web = service.web();
    let token = token(&service, VNC);
    let target = format!("/websockify?token={token}");
    for origin in ["https://evil.example.org", "null", "http://portal.example.org"] {
        let refused = websocket_with(web, &target, &[("origin", origin)]).await;
        assert_eq!(refused.err(), Some(403), "{origin}");
    }
    let own = format!("http://{web}");
    let mut socket = websocket_with(web, &target, &[("origin", &own)])
        .await
        .expect("no use was taken");
    desktop(&mut socket).await;
    let other = self::token(&service, VNC);
    let cookie = format!("a=b; token={other}");
    let headers = [("origin", "https://portal.example.org"), ("cookie", cookie.as_str())];
    let mut socket = websocket_with(web, "/websockify?token=", &headers)
        .await
        .expect("the cookie's token");
    desktop(&mut socket).await;
}

#[tokio::test]
async fn a_console_follows_its_guest() {
    let (here, there) = (fakes::vnc("guest one"), fakes::vnc("guest one"));
    let places = format!("{}\n[[guest.console.place]]\n{}", place(here), place(there));
    let service = Service::start(&with_guests(&guest("vm1", "vnc", &places)));
    let mut socket = websocket(service.web(), &token(&service, VNC)).await.unwrap();
    desktop(&mut socket).await;
    soon("the session", || sessions(&service).len() == 1).await;
    assert_eq!(call(&service, "PUT /v1/guests/vm1/place", r#"{"place":1}"#).status, 204);
    let at = format!("127.0.0.1:{there}");
    soon("the new place", || {
        sessions(&service).iter().any(|session| session["place"] == at.as_str())
    })
    .await;
}

/// Native viewers speak VeNCrypt, and show the token as password or as user.
#[tokio::test]
async fn a_native_viewer_shows_its_token_as_password_or_as_user() {
    let port = fakes::vnc("guest one");
    let folder = crate::program::Folder::new();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let ca = folder.write("server.pem", own.cert.pem());
    folder.write("server.key", own.signing_key.serialize_pem());
    let sections = "vnc = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"";
    let service = Service::start_in(folder, &with(sections, &guest("vm1", "vnc", &place(port))));
    let listener = service.address("vnc").unwrap();
    for as_password in [true, false] {
        let token = token(&service, VNC);
        let (user, password) = if as_password {
            ("me", token.as_str())
        } else {
            (token.as_str(), "x")
        };
        let look = |user: &str, password: &str| {
            std::process::Command::new(env!("CARGO_BIN_EXE_vnc-screenshot"))
                .args(["--security", "x509-plain", "--user", user, "--ca"])
                .arg(&ca)
                .args(["--timeout", "3", &listener.to_string(), "/dev/null"])
                .env("VNC_PASSWORD", password)
                .output()
                .unwrap()
        };
        let output = look(user, password);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // The stand-in has no picture: what is seen is that the session began.
        assert!(!said.contains("refused") && !said.contains("Authentication"), "{said}");
        let answer = call(&service, "GET /metrics", "");
        let opened = if as_password { 1 } else { 2 };
        let line = format!("console_gateway_sessions_total{{protocol=\"vnc\"}} {opened}");
        assert!(answer.body.contains(&line), "{said}\n{}", answer.body);
        let again = look(user, password);
        assert!(!again.status.success());
    }
}

/// Where guests share ports for moves, a server that QEMU names after another guest is left, and the viewer has seen nothing
/// of it. Without a name, or where no other guest may be, it is as ever.
#[tokio::test]
async fn a_viewer_does_not_follow_to_another_guest() {
    for (desktop, shared, follows) in [
        ("QEMU (vm2)", true, false),
        ("QEMU (vm1)", true, true),
        ("QEMU", true, true),
        ("QEMU (vm2)", false, true),
    ] {
        let (here, there) = (fakes::vnc("QEMU (vm1)"), fakes::vnc(desktop));
        let range = format!("\nmove_ports = \"{there}-{there}\"");
        let places = format!("{}\n[[guest.console.place]]\n{}", place(here), place(there));
        let other = place(9) + if shared { &range } else { "" };
        let guests = guest("vm1", "vnc", &places) + &guest("vm2", "vnc", &other);
        let service = Service::start(&with_guests(&guests));
        let mut socket = websocket(service.web(), &token(&service, VNC)).await.unwrap();
        self::desktop(&mut socket).await;
        soon("the session", || sessions(&service).len() == 1).await;
        assert_eq!(call(&service, "PUT /v1/guests/vm1/place", r#"{"place":1}"#).status, 204);
        let metrics = || call(&service, "GET /metrics", "").body;
        if follows {
            let at = format!("127.0.0.1:{there}");
            soon("the new place", || {
                sessions(&service).iter().any(|session| session["place"] == at.as_str())
            })
            .await;
            // The new server answers with a bell; it may have answered what it was asked for by the gateway before.
            send(&mut socket, &[4, 1, 0, 0, 0, 0, 0, 0x61]).await;
            let answer = receive(&mut socket, 1).await;
            assert!(
                !answer.is_empty() && answer.iter().all(|byte| *byte == 2),
                "{desktop}: {answer:?}"
            );
            assert!(!metrics().contains("console_gateway_moves_total{outcome=\"refused\"} 1"));
        } else {
            assert_eq!(close_code(&mut socket).await, Some(4410), "{desktop}");
            assert!(metrics().contains("console_gateway_moves_total{outcome=\"refused\"} 1"));
        }
    }
}
