//! What operators see: figures, the page, the service manager.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::time::Instant;

use super::fakes::Serial;
use super::*;
use crate::program::{Folder, TICKET};

fn serial_guest() -> (Serial, String) {
    let serial = Serial::start();
    let place = format!("host = \"127.0.0.1\"\nport = {}", serial.port);
    (serial, guest("vm1", "serial", &place))
}

fn operator() -> [String; 1] {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("operator:{BEARER}"));
    [format!("Authorization: Basic {pair}")]
}

/// The value of a figure, with its labels.
fn figure(service: &Service, name: &str) -> Option<f64> {
    let text = request(service.api(), "GET /metrics", &[], "").body;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(line.parse().unwrap_or_else(|_| panic!("{line}")))
}

/// Waits until this holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Each family has a meaning and a kind; no row is of another family, and none is there twice.
#[test]
fn figures_are_in_the_form_of_prometheus() {
    let (_serial, guests) = serial_guest();
    let service = Service::start(&with_guests(&guests));
    created(&service, r#"{"guest":"vm1","protocol":"serial"}"#);
    let text = request(service.api(), "GET /metrics", &[], "").body;
    let (mut family, mut kind) = ("", "");
    let mut rows = BTreeSet::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, meaning) = help.split_once(' ').expect("a meaning");
            assert!(meaning.ends_with('.'), "{line}");
            let next = lines.next().expect("a kind");
            kind = next.strip_prefix(&format!("# TYPE {name} ")).expect("its kind");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{next}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            family = name;
            continue;
        }
        let (name, value) = line.rsplit_once(' ').expect("a value");
        let behind = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("{line} is not of {family}"));
        let suffix = behind.split('{').next().unwrap_or_default();
        let suffixes: &[&str] = match kind {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.contains(&suffix), "{line}");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(rows.insert(name.to_owned()), "{line} is there twice");
    }
    // What has been asked of the store is there.
    assert!(
        rows.contains("console_gateway_store_seconds_count{operation=\"insert\"}"),
        "{text}"
    );
}

/// The dashboard shows figures that there are, and all of them.
#[test]
fn the_dashboard_knows_the_figures() {
    let dashboard = include_str!("../../../deploy/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let (_serial, guests) = serial_guest();
    let service = Service::start(&with_guests(&guests));
    let text = request(service.api(), "GET /metrics", &[], "").body;
    let there: BTreeSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, kind)| match kind {
            "histogram" => format!("{name}_bucket"),
            _ => name.to_owned(),
        })
        .collect();
    let mut shown = BTreeSet::new();
    let mut see = |expression: &str| {
        for word in expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if word.starts_with("console_gateway_") {
                shown.insert(word.to_owned());
            }
        }
    };
    for panel in dashboard["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().expect("targets") {
            see(target["expr"].as_str().expect("an expression"));
        }
    }
    see(dashboard["templating"]["list"][1]["query"]["query"]
        .as_str()
        .expect("a query"));
    assert_eq!(shown, there);
}

/// What happens is counted.
#[tokio::test]
async fn figures_count() {
    let (_serial, guests) = serial_guest();
    let service = Service::start(&with_guests(&guests));
    assert_eq!(
        figure(&service, "console_gateway_sessions_total{protocol=\"serial\"}"),
        None
    );
    let token = token(&service, r#"{"guest":"vm1","protocol":"serial"}"#);
    let socket = websocket(service.web(), &token).await.expect("a console");
    until("an open session", || {
        figure(&service, "console_gateway_sessions{protocol=\"serial\"}") == Some(1.0)
    });
    assert_eq!(
        figure(&service, "console_gateway_sessions_total{protocol=\"serial\"}"),
        Some(1.0)
    );
    assert_eq!(
        figure(&service, "console_gateway_connections{state=\"open\"}"),
        Some(1.0)
    );
    assert!(figure(&service, "console_gateway_accepted_total{listener=\"web_plain\"}") >= Some(1.0));
    drop(socket);
    until("no session", || {
        figure(&service, "console_gateway_sessions{protocol=\"serial\"}").is_none()
    });
    assert_eq!(websocket(service.web(), "unknown").await.map(drop), Err(403));
    until("a refusal", || {
        figure(&service, "console_gateway_refusals_total{reason=\"token\"}") == Some(1.0)
    });
}

/// Refusals are on the page, with the peer and the reason; what a stranger sends is text there, and no markup.
#[tokio::test]
async fn the_page_shows_refusals() {
    let (_serial, guests) = serial_guest();
    let service = Service::start(&with("origins = [\"https://portal.example\"]", &guests));
    let token = token(&service, r#"{"guest":"vm1","protocol":"serial"}"#);
    let evil = ("origin", "https://<script>alert(1)</script>.example");
    let refused = websocket_with(service.web(), &format!("/?token={token}"), &[evil]).await;
    assert_eq!(refused.map(drop), Err(403));
    assert_eq!(websocket(service.web(), "unknown").await.map(drop), Err(403));
    let page = request(service.web(), "GET /status", &operator(), "");
    assert_eq!(page.status, 200);
    let (_, refusals) = page.body.split_once("<table id=\"refusals\">").expect("refusals");
    assert_eq!(refusals.matches("<tr><td>").count(), 2, "{refusals}");
    assert_eq!(refusals.matches("<td>127.0.0.1:").count(), 2, "{refusals}");
    assert!(!page.body.contains("<script"), "{}", page.body);
    assert!(!page.body.contains(&token) && !page.body.contains(TICKET));
}

/// The service manager learns when the gateway is ready, reads its configuration again, and stops; a load balancer that it
/// takes no more connections.
#[tokio::test]
async fn the_service_manager_is_told() {
    let folder = Folder::new();
    let path = folder.write("unused", "").with_file_name("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    let told = || {
        let mut text = [0; 256];
        let len = manager.recv(&mut text).expect("a message");
        String::from_utf8_lossy(&text[..len]).into_owned()
    };
    let (_serial, guests) = serial_guest();
    let service = Service::start_notifying(&with("[operate]\ndrain_seconds = 2", &guests), &path);
    assert_eq!(told(), "READY=1\n");
    service.signal("HUP");
    let reloading = told();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(), "READY=1\n");
    let token = token(&service, r#"{"guest":"vm1","protocol":"serial"}"#);
    let socket = websocket(service.web(), &token).await.expect("a console");
    let api = service.api();
    let stopped = std::thread::spawn(move || service.stop("TERM"));
    assert_eq!(told(), "STOPPING=1\n");
    let health = request(api, "GET /healthz", &[], "");
    assert_eq!(
        (health.status, json(&health)["status"].as_str()),
        (503, Some("stopping"))
    );
    drop(socket);
    let (status, took, _) = stopped.join().expect("it stops");
    assert!(status.success(), "{status}");
    assert!(took < PATIENCE);
}
