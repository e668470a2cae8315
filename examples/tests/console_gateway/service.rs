//! `serve`: the API, what a viewer gets, limits, logs and the end.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::LinkMess;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use vv_file::ConnectionFile;

use crate::http::{create, follow, request, token};
use crate::ports::free_port;
use crate::program::{BEARER, Folder, PATIENCE, Service, TICKET, configuration};
use crate::spice::{Link, connect};

/// What a client says first.
fn link_message() -> BytesMut {
    let request = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::MINI_HEADER]),
            channel: CapabilityWords::new(),
        },
    };
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn nothing_is_answered_without_the_bearer_token() {
    let service = Service::start(&configuration(free_port().port()));
    let wanted = r#"{"guest":"vm1","protocol":"spice"}"#;
    let headers = [
        None,
        Some("Authorization: Bearer".to_owned()),
        Some("Authorization: Bearer ".to_owned()),
        Some("Authorization: Bearer wrong-token-of-some-length".to_owned()),
        Some(format!("Authorization: Bearer {BEARER}x")),
        Some(format!("Authorization: Bearer {}", &BEARER[1..])),
        Some(format!("Authorization: Basic {BEARER}")),
        Some(format!("Authorization: {BEARER}")),
        Some(format!("X-Authorization: Bearer {BEARER}")),
    ];
    for header in headers {
        let header: Vec<_> = header.into_iter().collect();
        let huge = "x".repeat(100_000);
        for (line, body) in [
            ("POST /v1/consoles", wanted),
            ("POST /v1/consoles", "no json"),
            ("POST /v1/consoles", &*huge),
            ("GET /v1/consoles", ""),
            ("GET /elsewhere", ""),
        ] {
            let answer = request(service.api(), line, &header, body);
            assert_eq!(answer.status, 401, "{line} {header:?}");
            assert_eq!(
                answer.body, r#"{"unauthorized":{"code":401,"message":"the token of the API is needed"}}"#,
                "{line} {header:?}"
            );
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
}

#[test]
fn a_console_is_a_connection_file() {
    let service = Service::start(&configuration(free_port().port()));
    let body = r#"{"guest":"vm1","protocol":"spice","ttl_seconds":60,"uses":1,"title":"of \\ \"mine\""}"#;
    let created = create(service.api(), body);
    assert_eq!(created.status, 201, "{created:?}");
    let answer = follow(service.web(), &created);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/x-virt-viewer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"vm1.vv\"")
    );

    let file = ConnectionFile::parse(answer.body.as_bytes()).unwrap().virt_viewer;
    assert_eq!(file.connection_type.unwrap().name(), "spice");
    assert_eq!(file.host.as_deref(), Some("127.0.0.1"));
    assert_eq!(file.port, Some(service.plain().port().into()));
    assert_eq!(file.tls_port, None);
    assert_eq!(file.title.as_deref(), Some("of \\ \"mine\""));
    assert_eq!(file.delete_this_file, Some(true));
    assert_eq!(file.password.unwrap().expose().len(), 36);
    assert_eq!(follow(service.web(), &created).status, 403, "the use is spent");
    assert_ne!(token(service.api()), token(service.api()));
}

#[test]
fn names_of_targets_make_safe_file_names() {
    let text = configuration(free_port().port()).replace("\"vm1\"", r#""../\"x\"""#);
    let service = Service::start(&text);
    let created = create(service.api(), r#"{"guest":"../\"x\"","protocol":"spice"}"#);
    let answer = follow(service.web(), &created);
    assert_eq!(
        answer.header("content-disposition"),
        Some("attachment; filename=\"x.vv\""),
        "{answer:?}"
    );
}

#[test]
fn what_cannot_be_had_is_told_apart() {
    let service = Service::start(&configuration(free_port().port()));
    let long = format!(
        r#"{{"guest":"vm1","protocol":"spice","title":"{}"}}"#,
        "x".repeat(20_000)
    );
    for (body, status) in [
        ("", 400),
        ("vm1", 400),
        (r#"{"guest":"vm1","protocol":"spice""#, 400),
        ("{}", 400),
        (r#"["vm1"]"#, 400),
        (r#"{"guest":1}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","port":1}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","uses":0}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","uses":1001}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","ttl_seconds":0}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","ttl_seconds":86401}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","ttl_seconds":-1}"#, 400),
        (r#"{"guest":"vm1","protocol":"spice","title":"two\nlines"}"#, 400),
        (r#"{"guest":"vm2","protocol":"spice"}"#, 404),
        (r#"{"guest":"","protocol":"spice"}"#, 404),
        (&long, 413),
    ] {
        let answer = create(service.api(), body);
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let bearer = [format!("Authorization: bearer {BEARER}")];
    assert_eq!(request(service.api(), "GET /v1/consoles", &bearer, "").status, 405);
    assert_eq!(request(service.api(), "POST /v2/consoles", &bearer, "").status, 404);
}

#[test]
fn a_target_that_is_not_there_costs_no_use() {
    let hypervisor = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = hypervisor.local_addr().unwrap();
    drop(hypervisor);
    let service = Service::start(&configuration(address.port()));
    let token = token(service.api());
    // Not "permission denied", which a viewer would show as a wrong password.
    assert_eq!(connect(service.plain(), &token), Link::Closed);
    assert_eq!(connect(service.plain(), &token), Link::Closed);

    let hypervisor = TcpListener::bind(address).unwrap();
    let (gateway, viewer) = (service.plain(), token.clone());
    let viewer = std::thread::spawn(move || connect(gateway, &viewer));
    let (mut dialled, _) = hypervisor.accept().unwrap();
    dialled.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut magic = [0; 4];
    dialled.read_exact(&mut magic).unwrap();
    assert_eq!(&magic, b"REDQ", "the third attempt reaches the target");
    // Meanwhile the token is in use.
    assert_eq!(
        connect(service.plain(), &token),
        Link::Refused(LinkErrorCode::PERMISSION_DENIED)
    );
    drop(dialled);
    assert_eq!(viewer.join().unwrap(), Link::Closed);
}

#[test]
fn the_last_connection_is_served_however_many_wait() {
    let service = Service::start(&configuration(free_port().port()));
    let silent: Vec<_> = (0..40).map(|_| TcpStream::connect(service.plain()).unwrap()).collect();
    let denied = Link::Refused(LinkErrorCode::PERMISSION_DENIED);
    assert_eq!(connect(service.plain(), "never issued"), denied);
    drop(silent);
}

/// A link message is short, and the key that answers it takes long to make. Strangers who send a hundred a second, and leave
/// before or behind the reply, delay no other connection.
#[test]
fn strangers_use_up_no_keys() {
    let service = Service::start(&configuration(free_port().port()));
    let gateway = service.plain();
    let stop = AtomicBool::new(false);
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for stranger in 0..4_u8 {
            let (stop, sent) = (&stop, &sent);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    while !stop.load(Ordering::Relaxed) {
                        let socket = tokio::net::TcpSocket::new_v4().unwrap();
                        socket.bind(([127, 0, 1, stranger + 1], 0).into()).unwrap();
                        if let Ok(mut stream) = socket.connect(gateway).await {
                            let _ = stream.write_all(&link_message()).await;
                            if stranger % 2 == 0 {
                                let _ = stream.read(&mut [0; 512]).await;
                            }
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                        tokio::time::sleep(Duration::from_millis(40)).await;
                    }
                });
            });
        }
        // What was in stock is gone after this.
        std::thread::sleep(Duration::from_secs(2));
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            let link = connect(gateway, "never issued");
            longest = longest.max(began.elapsed());
            assert_eq!(link, Link::Refused(LinkErrorCode::PERMISSION_DENIED));
        }
        stop.store(true, Ordering::Relaxed);
        let sent = sent.load(Ordering::Relaxed);
        println!("{sent} link messages of strangers; the longest link took {longest:?}");
        assert!(longest < Duration::from_secs(2), "{longest:?} beside {sent} strangers");
        assert!(40 < sent, "{sent} strangers are no pressure");
    });
}

#[test]
fn it_stops_when_it_is_told_to() {
    for signal in ["TERM", "INT"] {
        let service = Service::start(&configuration(free_port().port()));
        let idle_viewer = TcpStream::connect(service.plain()).unwrap();
        let idle_portal = TcpStream::connect(service.api()).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let (status, took, log) = service.stop(signal);
        assert_eq!(status.code(), Some(0), "{signal}: {log}");
        assert!(took < Duration::from_secs(6), "{signal}: {took:?}");
        assert!(log.contains(&format!("\"signal\":\"SIG{signal}\"")), "{log}");
        assert!(
            log.trim_end().ends_with('}') && log.contains("\"message\":\"stopped\""),
            "{log}"
        );
        drop((idle_viewer, idle_portal));
    }
}

#[test]
fn the_log_tells_what_happened_and_no_secret() {
    let service = Service::start(&configuration(free_port().port()));
    let (good, spent) = (token(service.api()), "a-password-never-issued");
    assert_eq!(
        request(
            service.api(),
            "POST /v1/consoles",
            &["Authorization: Bearer my-wrong-bearer".into()],
            ""
        )
        .status,
        401
    );
    assert_eq!(
        connect(service.plain(), spent),
        Link::Refused(LinkErrorCode::PERMISSION_DENIED)
    );
    assert_eq!(
        connect(service.plain(), "with space"),
        Link::Refused(LinkErrorCode::PERMISSION_DENIED)
    );
    assert_eq!(
        connect(service.plain(), TICKET),
        Link::Refused(LinkErrorCode::PERMISSION_DENIED)
    );
    assert_eq!(connect(service.plain(), &good), Link::Closed);
    let (_, _, log) = service.stop("TERM");

    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let find = |message: &str| {
        let mut found = lines.iter().filter(|line| line["message"] == message);
        found.next().unwrap_or_else(|| panic!("no {message:?} in {log}"))
    };
    assert_eq!(find("console created")["guest"], "vm1");
    let refused = find("refused");
    assert_eq!(refused["reason"], "token: unknown token");
    assert_eq!(refused["span"]["channel"], "MAIN");
    assert_eq!(refused["span"]["connection_id"], 0);
    assert!(refused["span"]["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(refused["span"]["token"].as_str().unwrap().len(), 16);
    assert!(log.contains("token: not the form of a token"));
    let dial = find("no link");
    assert!(
        dial["reason"]
            .as_str()
            .unwrap()
            .starts_with("hypervisor not reached: cannot connect"),
        "{dial}"
    );
    assert_eq!(dial["span"]["guest"], "vm1");
    assert_eq!(dial["span"]["token"], find("console created")["token"]);

    for secret in [&*good, spent, "with space", TICKET, BEARER, "my-wrong-bearer"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

/// A viewer without TLS is refused a console that requires it, and its token keeps its use.
#[test]
fn a_console_for_viewers_with_tls_costs_no_use_without() {
    let folder = Folder::new();
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    folder.write("server.pem", own.cert.pem());
    folder.write("server.key", own.signing_key.serialize_pem());
    let of_all = configuration(free_port().port())
        .replace(
            "spice_port = \"bound\"\n",
            "spice_port = \"bound\"\nspice_tls_port = \"bound\"\nca = \"server.pem\"\n",
        )
        .replace(
            "spice = \"127.0.0.1:0\"\n",
            "spice = \"127.0.0.1:0\"\nspice_tls = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\n",
        );
    // The second guest is for all viewers, else none without TLS would get as far as its token.
    let (head, guest) = of_all.split_once("[[guest]]").unwrap();
    let protocol = "protocol = \"spice\"\n";
    let strict = guest.replace(protocol, &format!("{protocol}require_tls = true\n"));
    let port = free_port().port();
    let other = guest
        .replace("vm1\"", "vm2\"")
        .replace("port = ", &format!("port = {port} #"));
    let service = Service::start_in(folder, &format!("{head}[[guest]]{strict}[[guest]]{other}"));
    let token = token(service.api());
    let denied = Link::Refused(LinkErrorCode::PERMISSION_DENIED);
    for _ in 0..2 {
        assert_eq!(connect(service.plain(), &token), denied);
    }
    let (_, _, log) = service.stop("TERM");
    let of = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(of("the console is for viewers with TLS only"), 2, "{log}");
    assert_eq!(of("all uses are spent"), 0, "{log}");
}
