//! WebMKS (seed 001), in front of a stand-in of authd.

use console_token::webmks::Thumbprint;

use super::*;
use crate::authd::Authd;
use crate::program::Folder;

fn service(authd: &Authd, thumbprint: Thumbprint, ticket: &str) -> Service {
    let folder = Folder::new();
    folder.write("mks.json", authd.access_path(&thumbprint, ticket));
    let place = format!(
        "host = \"127.0.0.1\"\nport = {}\ninternal_access_path_file = \"mks.json\"",
        authd.port
    );
    Service::start_in(folder, &with_guests(&guest("vm1", "mks", &place)))
}

const MKS: &str = r#"{"guest":"vm1","protocol":"mks"}"#;

#[tokio::test]
async fn a_browser_reaches_the_console_behind_authd() {
    let authd = Authd::start(true);
    let service = service(&authd, authd.thumbprint, "the-ticket");
    let created = created(&service, MKS);
    let token = created.json("token");
    let headers = [
        format!("X-Auth-Token: {BEARER}"),
        "OpenStack-API-Version: compute 2.99".to_owned(),
    ];
    let shown = request(
        service.api(),
        &format!("GET /v2.1/os-console-auth-tokens/{token}"),
        &headers,
        "",
    );
    let shown = json(&shown)["console"].clone();
    assert_eq!(
        (&shown["host"], &shown["port"]),
        (&"127.0.0.1".into(), &authd.port.into())
    );
    assert!(
        shown["internal_access_path"].as_str().unwrap().contains("the-ticket"),
        "{shown}"
    );
    let mut socket = websocket(service.web(), &token).await.unwrap();
    assert_eq!(receive(&mut socket, 8).await, b"mks here");
    send(&mut socket, b"keys").await;
    assert_eq!(receive(&mut socket, 4).await, b"keys");
    drop(socket);
    let (_, _, log) = service.stop("TERM");
    assert!(!log.contains("the-ticket"), "{log}");
}

#[tokio::test]
async fn certificates_that_were_not_named_cost_no_use() {
    let authd = Authd::start(true);
    for (authd, thumbprint, ticket) in [
        (&authd, Thumbprint::of(b"another"), "the-ticket"),
        (&Authd::start(false), Thumbprint::of(b"x"), "the-ticket"),
        (&authd, authd.thumbprint, "another-ticket"),
    ] {
        // The second stand-in names a certificate that its console does not have.
        let thumbprint = if thumbprint == Thumbprint::of(b"x") {
            authd.thumbprint
        } else {
            thumbprint
        };
        let service = service(authd, thumbprint, ticket);
        let token = token(&service, MKS);
        for _ in 0..2 {
            assert_eq!(websocket(service.web(), &token).await.err(), Some(502));
        }
    }
}
