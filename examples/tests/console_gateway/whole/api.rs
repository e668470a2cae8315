//! The API: Nova's calls (seeds 000 and 002), and what operators ask.

use super::fakes::{self, Monitor, Serial};
use super::*;
use crate::http::follow;
use crate::program::{Folder, TICKET};

/// A guest with all kinds of consoles.
fn all() -> String {
    let serial = Serial::start();
    let spice = "host = \"127.0.0.1\"\nport = 5999\nticket_file = \"vm1.ticket\"";
    let vnc = "host = \"127.0.0.1\"\nport = 5998\nauth = [\"none\"]";
    let serial = format!("host = \"127.0.0.1\"\nport = {}", serial.port);
    let consoles = [console("spice", spice), console("vnc", vnc), console("serial", &serial)].concat();
    let id = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b";
    format!("[[guest]]\nid = \"{id}\"\nname = \"db-7\"\n{consoles}")
}

fn spice_section() -> &'static str {
    "spice = \"127.0.0.1:0\"\n[public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\""
}

fn nova(service: &Service, version: Option<&str>, line: &str, body: &str) -> Answer {
    let mut headers = vec![format!("X-Auth-Token: {BEARER}")];
    headers.extend(version.map(|version| format!("OpenStack-API-Version: compute {version}")));
    request(service.api(), line, &headers, body)
}

fn fault(answer: &Answer) -> (u16, String) {
    let body = json(answer);
    let (name, fault) = body.as_object().unwrap().iter().next().unwrap();
    assert_eq!(fault["code"], answer.status, "{answer:?}");
    (answer.status, name.clone())
}

#[test]
fn a_console_is_created_and_shown_as_by_nova() {
    let service = Service::start(&with(spice_section(), &all()));
    for server in ["db-7", "52b2e44e-e561-464c-88f3-2fc6a1ecea2b"] {
        let line = format!("POST /v2.1/servers/{server}/remote-consoles");
        let wanted = r#"{"remote_console": {"protocol": "spice", "type": "spice-direct"}}"#;
        let created = nova(&service, Some("2.99"), &line, wanted);
        assert_eq!(created.status, 200, "{created:?}");
        assert_eq!(created.header("openstack-api-version"), Some("compute 2.99"));
        assert_eq!(created.header("cache-control"), Some("no-store"));
        let console = &json(&created)["remote_console"];
        assert_eq!(
            (&console["protocol"], &console["type"]),
            (&"spice".into(), &"spice-direct".into())
        );
        let url = console["url"].as_str().unwrap();
        let (base, token) = url.split_once("/nova?token=").unwrap();
        assert_eq!(base, format!("http://127.0.0.1:{}", service.web().port()));
        let show = format!("GET /v2.1/os-console-auth-tokens/{token}");
        // As often as one likes: it costs nothing.
        for version in ["2.99", "2.31", "2.99"] {
            let shown = nova(&service, Some(version), &show, "");
            let shown = json(&shown)["console"].clone();
            assert_eq!(shown["instance_uuid"], "52b2e44e-e561-464c-88f3-2fc6a1ecea2b");
            assert_eq!((&shown["host"], &shown["port"]), (&"127.0.0.1".into(), &5999.into()));
            assert_eq!(shown.get("tls_port").is_some(), version == "2.99", "{shown}");
        }
        assert_eq!(fault(&nova(&service, None, &show, "")), (400, "badRequest".to_owned()));
        let file = request(service.web(), &format!("GET /nova?token={token}"), &[], "");
        assert_eq!(file.status, 200, "{file:?}");
        assert_eq!(file.header("content-type"), Some("application/x-virt-viewer"));
        assert_eq!(
            file.header("content-disposition"),
            Some("attachment; filename=\"db-7.vv\"")
        );
        assert_ne!(file.vv("password").unwrap(), TICKET);
        assert_eq!(
            request(service.web(), &format!("GET /nova?token={token}"), &[], "").status,
            403
        );
        assert_eq!(
            fault(&nova(&service, Some("2.99"), &show, "")),
            (404, "itemNotFound".to_owned())
        );
    }
    for token in ["x", "00000000-0000-4000-8000-000000000000", "%20"] {
        let shown = nova(
            &service,
            Some("2.99"),
            &format!("GET /v2.1/os-console-auth-tokens/{token}"),
            "",
        );
        assert_eq!(fault(&shown), (404, "itemNotFound".to_owned()));
    }
}

#[test]
fn versions_and_faults_are_novas() {
    let service = Service::start(&with(spice_section(), &all()));
    let create = "POST /v2.1/servers/db-7/remote-consoles";
    let action = "POST /v2.1/servers/db-7/action";
    let vnc = r#"{"remote_console": {"protocol": "vnc", "type": "novnc"}}"#;
    let direct = r#"{"remote_console": {"protocol": "spice", "type": "spice-direct"}}"#;
    let old = r#"{"os-getVNCConsole": {"type": "novnc"}}"#;
    for (version, line, body, status) in [
        (Some("2.6"), create, vnc, 200),
        (Some("2.98"), create, direct, 400),
        (Some("2.100"), create, vnc, 406),
        (Some("3.0"), create, vnc, 406),
        (Some("nonsense"), create, vnc, 400),
        (Some("2.5"), create, vnc, 404),
        (Some("2.6"), action, old, 404),
        (Some("2.1"), action, old, 200),
        (None, action, old, 200),
        (None, action, r#"{"os-getSerialConsole": {"type": "serial"}}"#, 200),
        (None, action, r#"{"os-getRDPConsole": {"type": "rdp-html5"}}"#, 400),
        (
            Some("2.99"),
            create,
            r#"{"remote_console": {"protocol": "mks", "type": "webmks"}}"#,
            400,
        ),
        (
            Some("2.99"),
            create,
            r#"{"remote_console": {"protocol": "vnc", "type": "xvpvnc"}}"#,
            400,
        ),
        (
            Some("2.99"),
            create,
            r#"{"remote_console": {"protocol": "vnc", "type": "novnc", "password": "x"}}"#,
            400,
        ),
        (Some("2.99"), create, "{}", 400),
        (Some("2.99"), "POST /v2.1/servers/none/remote-consoles", vnc, 404),
        (Some("latest"), "GET /v2.1/servers/db-7", "", 200),
        (Some("2.99"), "GET /v2.1/servers/none", "", 404),
        (None, "GET /v2.1/", "", 200),
        (None, "GET /v2.1", "", 200),
        (None, "GET /elsewhere", "", 404),
        (None, "PUT /v2.1/", "", 405),
    ] {
        let answer = nova(&service, version, line, body);
        assert_eq!(answer.status, status, "{version:?} {line} {body}: {answer:?}");
        if status != 200 {
            fault(&answer);
        }
    }
    let server = nova(&service, None, "GET /v2.1/servers/db-7", "");
    let server = json(&server)["server"].clone();
    assert_eq!((&server["name"], &server["status"]), (&"db-7".into(), &"ACTIVE".into()));
    let by_other_header = [
        format!("X-Auth-Token: {BEARER}"),
        "X-OpenStack-Nova-API-Version: 2.6".to_owned(),
    ];
    assert_eq!(request(service.api(), create, &by_other_header, vnc).status, 200);
}

#[test]
fn a_password_is_set_at_the_hypervisor() {
    let folder = Folder::new();
    let path = folder.write("unused", "").with_file_name("qmp.sock");
    let monitor = Monitor::start(&path);
    let spice = "host = \"127.0.0.1\"\nport = 5999\nqmp = \"unix:qmp.sock\"";
    let vnc = "host = \"127.0.0.1\"\nport = 5998\nauth = [\"vnc\"]\nqmp = \"unix:qmp.sock\"";
    let serial = "host = \"127.0.0.1\"\nport = 5997";
    let consoles = [console("spice", spice), console("vnc", vnc), console("serial", serial)].concat();
    let service = Service::start_in(
        folder,
        &with(spice_section(), &format!("[[guest]]\nid = \"vm1\"\n{consoles}")),
    );
    let create = |protocol: &str, kind: &str, password: &str| {
        let headers = [
            format!("X-Auth-Token: {BEARER}"),
            "OpenStack-API-Version: compute 2.99".to_owned(),
            "X-Console-Gateway: 1".to_owned(),
        ];
        let body = format!(
            r#"{{"remote_console": {{"protocol": "{protocol}", "type": "{kind}", "password": "{password}"}}}}"#
        );
        request(service.api(), "POST /v2.1/servers/vm1/remote-consoles", &headers, &body)
    };
    let created = create("vnc", "novnc", "newpass");
    assert_eq!(created.status, 200, "{created:?}");
    assert!(!created.body.contains("newpass"));
    assert_eq!(monitor.passwords("vnc"), ["newpass"]);
    assert_eq!(create("spice", "spice-direct", "other").status, 200);
    assert_eq!(monitor.passwords("spice"), ["other"]);
    for (protocol, kind, password) in [
        ("serial", "serial", "x"),
        ("vnc", "novnc", "nine-long"),
        ("vnc", "novnc", ""),
        ("spice", "spice-direct", "nine-long"),
        ("vnc", "novnc", "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}"),
    ] {
        let answer = create(protocol, kind, password);
        assert_eq!(fault(&answer), (400, "badRequest".to_owned()), "{password}");
    }
    assert_eq!(monitor.passwords("vnc").len() + monitor.passwords("spice").len(), 2);
    let (_, _, log) = service.stop("TERM");
    assert!(!log.contains("newpass"), "{log}");
}

#[test]
fn a_replaced_token_stands_for_the_old_one() {
    let service = Service::start(&with(spice_section(), &all()));
    let old = created(&service, r#"{"guest":"db-7","protocol":"spice"}"#);
    let line = format!("POST /v1/tokens/{}/replace", old.json("fingerprint"));
    let new = call(&service, &line, "");
    assert_eq!(new.status, 201, "{new:?}");
    assert_ne!(new.json("token"), old.json("token"));
    assert_eq!(follow(service.web(), &old).status, 403);
    assert_eq!(follow(service.web(), &new).status, 200);
    assert_eq!(call(&service, &line, "").status, 404);
}

#[test]
fn health_and_figures_need_no_token_here() {
    let service = Service::start(&with(spice_section(), &all()));
    let health = request(service.api(), "GET /healthz", &[], "");
    assert_eq!((health.status, json(&health)["status"].as_str()), (200, Some("ok")));
    let metrics = request(service.api(), "GET /metrics", &[], "");
    assert!(
        metrics.body.contains("# HELP console_gateway_refusals_total "),
        "{metrics:?}"
    );
    assert_eq!(request(service.api(), "POST /metrics", &[], "").status, 401);
}

#[test]
fn the_status_page_is_for_operators() {
    let service = Service::start(&with(spice_section(), &all()));
    assert_eq!(request(service.web(), "GET /status", &[], "").status, 401);
    use base64::Engine as _;
    let basic = |password: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("operator:{password}"));
        [format!("Authorization: Basic {pair}")]
    };
    assert_eq!(request(service.web(), "GET /status", &basic("wrong"), "").status, 401);
    let page = request(service.web(), "GET /status", &basic(BEARER), "");
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Open consoles: 0"), "{page:?}");
}

/// Pages and files, and nothing beside them.
#[test]
fn pages_are_served_and_nothing_else() {
    let folder = Folder::new();
    let root = folder.write("unused", "").parent().unwrap().to_owned();
    std::fs::create_dir_all(root.join("pages/core")).unwrap();
    std::fs::write(root.join("pages/vnc_lite.html"), "<html>lite").unwrap();
    std::fs::write(root.join("pages/core/rfb.js"), "export 1").unwrap();
    let sections = format!("{}\n[pages]\nnovnc = \"pages\"", spice_section());
    let service = Service::start_in(folder, &with(&sections, &all()));
    let get = |path: &str| request(service.web(), &format!("GET {path}"), &[], "");
    assert_eq!(get("/vnc_lite.html?path=%3Ftoken%3Dx").body, "<html>lite");
    assert_eq!(
        get("/core/rfb.js").header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert!(get("/serial.html?token=x").body.contains("xterm"));
    assert!(get("/mks.html").status == 200);
    assert_eq!(get("/serial.html").header("referrer-policy"), Some("no-referrer"));
    for path in [
        "/../api.token",
        "/core/../../api.token",
        "/api.token",
        "//api.token",
        "/",
        "/pages",
        "/%2e%2e/api.token",
    ] {
        assert_eq!(get(path).status, 404, "{path}");
    }
    assert_eq!(request(service.web(), "POST /vnc_lite.html", &[], "").status, 405);
    let _ = fakes::vnc("unused");
}

/// A bad configuration changes nothing, a good one is taken without an end.
#[test]
fn a_signal_reloads_the_configuration() {
    let folder = Folder::new();
    let path = folder.write("gateway.toml", "");
    let audit = path.with_file_name("audit.jsonl");
    let text = with(
        &format!("{}\n[operate]\naudit = \"audit.jsonl\"", spice_section()),
        &all(),
    );
    let service = Service::start_in(folder, &text);
    let status = |guest: &str| {
        let body = format!(r#"{{"guest":"{guest}","protocol":"serial"}}"#);
        call(&service, "POST /v1/consoles", &body).status
    };
    assert_eq!((status("db-7"), status("db-8")), (201, 404));
    std::fs::write(&path, "[nonsense]").unwrap();
    service.signal("HUP");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!((status("db-7"), status("db-8")), (201, 404));
    std::fs::rename(&audit, audit.with_extension("old")).unwrap();
    std::fs::write(&path, text.replace("db-7", "db-8")).unwrap();
    service.signal("HUP");
    let began = std::time::Instant::now();
    while status("db-8") != 201 {
        assert!(began.elapsed() < PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    assert_eq!(status("db-7"), 404);
    let lines = std::fs::read_to_string(&audit).unwrap();
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(line["event"].is_string() && line["at"].is_string(), "{line}");
    }
    assert!(
        lines.contains("\"what\":\"insert\"") || lines.contains("insert"),
        "{lines}"
    );
}
