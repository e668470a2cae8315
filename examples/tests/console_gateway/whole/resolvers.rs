//! Consoles that others know: Nova, libvirt-console-proxy's resolver, websockify's token files.

use super::fakes::{self, Http, Serial};
use super::*;
use crate::program::Folder;

const TOKEN: &str = "bf2e6883-43a7-4b35-9a6a-22b4c7f5b7a1";

fn resolve(text: &str) -> String {
    format!("spice = \"127.0.0.1:0\"\n[public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\n[resolve]\n{text}")
}

fn nova(console: Value) -> Http {
    Http::start(
        move |head| match head.starts_with(&format!("GET /v2.1/os-console-auth-tokens/{TOKEN} ")) {
            true => (200, serde_json::json!({ "console": console }).to_string()),
            false => (404, "{}".to_owned()),
        },
    )
}

#[test]
fn a_token_of_novas_is_exchanged_once() {
    let console = serde_json::json!({
        "instance_uuid": "52b2e44e-e561-464c-88f3-2fc6a1ecea2b", "host": "127.0.0.1", "port": 5999, "tls_port": 6000, "internal_access_path": null,
    });
    let nova = nova(console);
    let text = format!(
        "nova = {{ url = \"http://{}/v2.1\", token_file = \"api.token\" }}\nallow = [\"127.0.0.1:5999-6000\"]",
        nova.address
    );
    let service = Service::start(&with(&resolve(&text), ""));
    let get = |token: &str| request(service.web(), &format!("GET /nova?token={token}"), &[], "");
    let file = get(TOKEN);
    assert_eq!(file.status, 200, "{file:?}");
    assert_eq!(file.header("content-type"), Some("application/x-virt-viewer"));
    assert_eq!(file.vv("host"), Some("127.0.0.1"));
    assert_eq!(get(TOKEN).status, 403);
    assert_eq!(get("11111111-43a7-4b35-9a6a-22b4c7f5b7a1").status, 403);
    let asked = nova.asked.lock().unwrap();
    assert!(asked[0].contains(&format!("x-auth-token: {BEARER}")), "{asked:?}");
    assert!(
        asked[0].to_lowercase().contains("openstack-api-version: compute 2.99"),
        "{asked:?}"
    );
}

#[tokio::test]
async fn an_answer_leads_only_where_consoles_may_be() {
    let port = fakes::vnc("resolved");
    for (host, at, allow, status) in [
        ("127.0.0.1", port, format!("127.0.0.0/8:{port}"), None),
        ("localhost", port, format!("127.0.0.1:{port}\", \"[::1]:{port}"), None),
        ("127.0.0.1", port, "0.0.0.0/0:1-65535".to_owned(), Some(403)),
        ("127.0.0.1", port, format!("127.0.0.1:{}", port ^ 1), Some(403)),
        ("169.254.169.254", 80, "0.0.0.0/0:1-65535".to_owned(), Some(403)),
        ("no.such.host.invalid", port, "0.0.0.0/0:1-65535".to_owned(), Some(403)),
    ] {
        let console = serde_json::json!({
            "instance_uuid": "52b2e44e-e561-464c-88f3-2fc6a1ecea2b", "host": host, "port": at, "tls_port": null, "internal_access_path": null,
        });
        let nova = nova(console);
        let text = format!(
            "nova = {{ url = \"http://{}/v2.1\", token_file = \"api.token\" }}\nallow = [\"{allow}\"]",
            nova.address
        );
        let service = Service::start(&with(&resolve(&text), ""));
        let opened = websocket(service.web(), TOKEN).await;
        assert_eq!(opened.err(), status, "{host} {allow}");
    }
}

#[tokio::test]
async fn odd_answers_are_refusals() {
    for (status, body) in [
        (200, "no json".to_owned()),
        (200, "x".repeat(100_000)),
        (200, r#"{"console": {"host": null, "port": 1}}"#.to_owned()),
        (
            200,
            r#"{"console": {"instance_uuid": "x", "host": "127.0.0.1", "port": 0}}"#.to_owned(),
        ),
        (500, String::new()),
        (302, String::new()),
        (401, String::new()),
    ] {
        let nova = Http::start({
            let body = body.clone();
            move |_| (status, body.clone())
        });
        let text = format!(
            "nova = {{ url = \"http://{}\", token_file = \"api.token\" }}\nallow = [\"127.0.0.1:1-65535\"]",
            nova.address
        );
        let service = Service::start(&with(&resolve(&text), ""));
        assert_eq!(
            websocket(service.web(), TOKEN).await.err(),
            Some(403),
            "{status} {body:.20}"
        );
    }
    let closed = crate::ports::free_port();
    let text = format!("nova = {{ url = \"http://{closed}\", token_file = \"api.token\" }}\nallow = [\"127.0.0.1:1\"]");
    let service = Service::start(&with(&resolve(&text), ""));
    assert_eq!(websocket(service.web(), TOKEN).await.err(), Some(403));
}

#[tokio::test]
async fn token_files_are_read_again_when_they_change() {
    let (one, two) = (Serial::start(), Serial::start());
    let folder = Folder::new();
    let path = folder.write("tokens.cfg", format!("first: 127.0.0.1:{}\n", one.port));
    let text = "websockify = { path = \"tokens.cfg\", protocol = \"serial\" }\nallow = [\"127.0.0.0/8:1-65535\"]";
    let service = Service::start_in(folder, &with(&resolve(text), ""));
    let mut socket = websocket(service.web(), "first").await.unwrap();
    send(&mut socket, b"x").await;
    receive(&mut socket, 2).await;
    assert_eq!(websocket(service.web(), "second").await.err(), Some(403));
    std::fs::write(
        path,
        format!("first: 127.0.0.1:{}\nsecond: 127.0.0.1:{}\n", one.port, two.port),
    )
    .unwrap();
    socket.close(None).await.unwrap();
    soon("the end", || sessions(&service).is_empty()).await;
    websocket(service.web(), "second").await.expect("a new line");
}

#[tokio::test]
async fn the_resolver_of_libvirt_console_proxy_is_asked() {
    let port = fakes::vnc("libvirt");
    let resolver = Http::start(move |head| match head.starts_with("GET /consoleresolver/token/abc ") {
        true => {
            let answer =
                format!(r#"{{"type": "vnc", "address": "127.0.0.1:{port}", "insecure": true, "tlsTunnel": false}}"#);
            (200, answer)
        }
        false => (404, "No token found".to_owned()),
    });
    let text = format!(
        "libvirt = {{ url = \"http://{}/consoleresolver/\" }}\nallow = [\"127.0.0.1:1-65535\"]",
        resolver.address
    );
    let service = Service::start(&with(&resolve(&text), ""));
    websocket(service.web(), "abc").await.expect("a console");
    assert_eq!(websocket(service.web(), "abd").await.err(), Some(403));
}
