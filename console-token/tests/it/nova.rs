//! The bodies of Nova's API.

use console_token::nova::{
    CreateAnswer, CreateRequest, Fault, MAX_LEN, Microversion, NovaError, ShowAnswer, VersionError, check_show,
    show_path,
};
use console_token::{AccessPath, AccessUrl, ConsoleType, JsonError, Protocol, Secret, Target};
use expect_test::expect;
use proptest::prelude::*;

use crate::{grant, spice};

const UUID: &str = "b48316c5-71e8-45e4-9884-6c78055b9b13";

/// Each version at which something changes, and the ones around it.
const VERSIONS: [u16; 13] = [1, 2, 5, 6, 7, 8, 9, 30, 31, 32, 98, 99, 104];

const PROTOCOLS: [&str; 5] = ["vnc", "spice", "serial", "rdp", "mks"];

const TYPES: [&str; 7] = [
    "novnc",
    "xvpvnc",
    "spice-html5",
    "spice-direct",
    "serial",
    "rdp-html5",
    "webmks",
];

const SCHEMA: NovaError = NovaError::Body(JsonError::Schema);

fn read(version: u16, json: &str) -> Result<(String, String), NovaError> {
    let request = CreateRequest::from_json(Microversion(version), json.as_bytes())?;
    Ok((request.protocol.to_string(), request.console_type.to_string()))
}

#[test]
fn versions() {
    for minor in VERSIONS {
        let text = format!("2.{minor}");
        assert_eq!(text.parse(), Ok(Microversion(minor)));
        assert_eq!(Microversion(minor).to_string(), text);
        let requested = |header: &str| Microversion::requested(header, Microversion(104));
        assert_eq!(requested(&format!("compute {text}")), Ok(Microversion(minor)));
        assert_eq!(
            requested(&format!("identity 3.14, compute {text},volume latest")),
            Ok(Microversion(minor))
        );
    }
    let requested = |header| Microversion::requested(header, Microversion(99));
    assert_eq!(requested("compute latest"), Ok(Microversion::V2_99));
    assert_eq!(requested("volume 3.5"), Ok(Microversion::V2_1));
    for text in [
        "", "2", "2.", ".99", "2.0", "2.01", "2.65536", "02.1", "3.1", "2.1.1", " 2.1", "2.1 ", "2.-1", "2.+1",
        "latest", "2.१",
    ] {
        assert_eq!(text.parse::<Microversion>(), Err(VersionError), "{text:?}");
    }
    for header in [
        "",
        "compute",
        "compute 2.1, compute 2.2",
        "compute 2.x",
        "2.1",
        "compute  2.1",
        "compute 2.1,",
        "compute 3.1",
    ] {
        assert_eq!(requested(header), Err(VersionError), "{header:?}");
    }
    assert_eq!(VersionError.to_string(), "not a microversion");
}

/// Every pair at every version, against Nova's schemas and checks written down once more.
#[test]
fn pairs() {
    let mut accepted = 0;
    for version in VERSIONS {
        for protocol in PROTOCOLS {
            for console_type in TYPES {
                let body = format!(r#"{{"remote_console": {{"type": "{console_type}", "protocol": "{protocol}"}}}}"#);
                let mut listed = vec!["novnc", "xvpvnc", "spice-html5", "serial", "rdp-html5"];
                let mut protocols = vec!["vnc", "spice", "serial", "rdp"];
                if 8 <= version {
                    listed.push("webmks");
                    protocols.push("mks");
                }
                if 99 <= version {
                    listed.push("spice-direct");
                }
                let of_protocol: &[&str] = match protocol {
                    "vnc" => &["novnc"],
                    "spice" => &["spice-html5", "spice-direct"],
                    "mks" => &["webmks"],
                    _ => &TYPES,
                };
                let expected = if version < 6 {
                    Err(SCHEMA)
                } else if !listed.contains(&console_type) || !protocols.contains(&protocol) {
                    Err(NovaError::Unknown)
                } else if protocol == "rdp" {
                    Err(NovaError::Removed(Protocol::Rdp))
                } else if !of_protocol.contains(&console_type) {
                    Err(NovaError::TypeInvalid(console_type.parse().unwrap()))
                } else {
                    Ok((protocol.to_owned(), console_type.to_owned()))
                };
                assert_eq!(read(version, &body), expected, "2.{version} {body}");
                let request = CreateRequest {
                    protocol: protocol.parse().unwrap(),
                    console_type: console_type.parse().unwrap(),
                };
                if 6 <= version {
                    let written = request.to_json(Microversion(version));
                    assert_eq!(written.as_ref().err(), expected.as_ref().err());
                    if let Ok(written) = written {
                        accepted += 1;
                        assert_eq!(
                            CreateRequest::from_json(Microversion(version), written.as_bytes()),
                            Ok(request)
                        );
                        let kind = if protocol == "serial" {
                            ConsoleType::Serial
                        } else {
                            request.console_type
                        };
                        assert_eq!(request.console(), kind);
                    }
                }
            }
        }
    }
    // novnc, spice-html5 and serial with its five; webmks and serial's sixth; spice-direct and serial's seventh.
    assert_eq!(accepted, 2 * 7 + 6 * 9 + 2 * 11);
}

#[test]
fn actions() {
    for version in VERSIONS {
        for (action, console_type, expected) in [
            ("os-getVNCConsole", "novnc", Ok("vnc")),
            (
                "os-getVNCConsole",
                "xvpvnc",
                Err(NovaError::TypeInvalid(ConsoleType::XvpVnc)),
            ),
            ("os-getVNCConsole", "spice-html5", Err(NovaError::Unknown)),
            ("os-getSPICEConsole", "spice-html5", Ok("spice")),
            ("os-getSPICEConsole", "spice-direct", Err(NovaError::Unknown)),
            ("os-getSerialConsole", "serial", Ok("serial")),
            ("os-getSerialConsole", "novnc", Err(NovaError::Unknown)),
            ("os-getRDPConsole", "rdp-html5", Err(NovaError::Removed(Protocol::Rdp))),
            ("os-getRDPConsole", "anything", Err(NovaError::Removed(Protocol::Rdp))),
            ("os-getMKSConsole", "webmks", Err(SCHEMA)),
            ("os-getvncconsole", "novnc", Err(SCHEMA)),
        ] {
            let body = format!(r#"{{"{action}": {{"type": "{console_type}"}}}}"#);
            let expected = expected.map(|protocol| (protocol.to_owned(), console_type.to_owned()));
            let expected = if version < 6 { expected } else { Err(SCHEMA) };
            assert_eq!(read(version, &body), expected, "2.{version} {body}");
            if let Ok((_, console_type)) = expected {
                let request = CreateRequest::new(console_type.parse().unwrap());
                let written = request.to_json(Microversion(version)).unwrap();
                assert_eq!(written.as_str(), body.replace(": ", ":"));
                assert_eq!(CreateRequest::path(Microversion(version)), "action");
            } else if 6 <= version {
                assert_eq!(CreateRequest::path(Microversion(version)), "remote-consoles");
            }
        }
    }
    // There are no words for these.
    for (protocol, console_type, error) in [
        (Protocol::Mks, ConsoleType::WebMks, NovaError::Unknown),
        (Protocol::Serial, ConsoleType::NoVnc, NovaError::Version),
        (Protocol::Spice, ConsoleType::SpiceDirect, NovaError::Unknown),
    ] {
        let request = CreateRequest { protocol, console_type };
        assert_eq!(request.to_json(Microversion::V2_1).unwrap_err(), error);
    }
}

/// What the schemas do not admit; a password among it (its specification was never merged).
#[test]
fn bodies_that_are_none() {
    for body in [
        "{}",
        "[]",
        "null",
        "1",
        r#""novnc""#,
        r#"{"remote_console": null}"#,
        r#"{"remote_console": []}"#,
        r#"{"remote_console": {}}"#,
        r#"{"remote_console": {"protocol": "vnc"}}"#,
        r#"{"remote_console": {"type": "novnc"}}"#,
        r#"{"remote_console": {"protocol": null, "type": "novnc"}}"#,
        r#"{"remote_console": {"protocol": "vnc", "type": 1}}"#,
        r#"{"remote_console": {"protocol": ["vnc"], "type": "novnc"}}"#,
        r#"{"remote_console": {"protocol": "vnc", "type": "novnc", "password": "x"}}"#,
        r#"{"remote_console": {"protocol": "vnc", "type": "novnc", "type": "novnc"}}"#,
        r#"{"remote_console": {"protocol": "vnc", "type": "novnc"}, "x": 1}"#,
        r#"{"Remote_Console": {"protocol": "vnc", "type": "novnc"}}"#,
    ] {
        assert_eq!(read(99, body), Err(SCHEMA), "{body}");
    }
    for body in [
        r#"{"os-getVNCConsole": {}}"#,
        r#"{"os-getVNCConsole": null}"#,
        r#"{"os-getVNCConsole": {"type": "novnc", "x": 1}}"#,
        r#"{"os-getVNCConsole": {"type": 1}}"#,
    ] {
        assert_eq!(read(1, body), Err(SCHEMA), "{body}");
    }
    let twice = r#"{"os-getVNCConsole": {"type": "novnc"}, "os-getSPICEConsole": {"type": "spice-html5"}}"#;
    assert!(matches!(read(1, twice), Err(NovaError::Body(_))));
    for body in [
        "",
        " ",
        "{",
        "nul",
        "{'a': 1}",
        "{} {}",
        "\u{feff}{}",
        r#"{"a": 01}"#,
        r#"{"remote_console": {"protocol": "vnc", "type": "novnc"},}"#,
    ] {
        assert!(
            matches!(
                read(99, body),
                Err(NovaError::Body(JsonError::Syntax | JsonError::Schema))
            ),
            "{body}"
        );
    }
    for protocol in ["VNC", "vnc ", "", "vn\\u0063x"] {
        let body = format!(r#"{{"remote_console": {{"protocol": "{protocol}", "type": "novnc"}}}}"#);
        assert_eq!(read(99, &body), Err(NovaError::Unknown), "{body}");
    }
    let escaped = r#"{"remote_\u0063onsole": {"pr\u006ftocol": "vn\u0063", "type": "n\u006fvnc"}}"#;
    assert_eq!(read(99, escaped), Ok(("vnc".into(), "novnc".into())));
    assert_eq!(
        CreateRequest::from_json(Microversion(99), b"{\"remote_console\": {\"protocol\": \"\xff\"}}"),
        Err(NovaError::Body(JsonError::Syntax))
    );
}

#[test]
fn limits() {
    let body = r#"{"remote_console": {"protocol": "vnc", "type": "novnc"}}"#;
    let padded = |len: usize| format!("{body}{}", " ".repeat(len - body.len()));
    assert!(read(99, &padded(MAX_LEN)).is_ok());
    let too_long = NovaError::Body(JsonError::TooLong { limit: MAX_LEN });
    assert_eq!(read(99, &padded(MAX_LEN + 1)), Err(too_long));
    let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(read(99, &deep(16)), Err(SCHEMA));
    let too_deep = Err(NovaError::Body(JsonError::TooDeep { limit: 16 }));
    assert_eq!(read(99, &deep(17)), too_deep);
    assert_eq!(read(99, &deep(8000)), too_deep);
    assert_eq!(
        read(1, &format!(r#"{{"os-getRDPConsole": {}}}"#, deep(15))),
        Err(NovaError::Removed(Protocol::Rdp))
    );
    assert_eq!(read(1, &format!(r#"{{"os-getRDPConsole": {}}}"#, deep(16))), too_deep);
    // Brackets in strings are none.
    let text = format!(r#"{{"os-getRDPConsole": "\"{}"}}"#, "[".repeat(100));
    assert_eq!(read(1, &text), Err(NovaError::Removed(Protocol::Rdp)));
}

#[test]
fn create_answers() {
    let token = Secret::uuid4(&[0x5a; 16]);
    for (console, base) in [
        (ConsoleType::NoVnc, "http://gw.example:6080/vnc_auto.html"),
        (ConsoleType::SpiceHtml5, "http://gw.example:6082/spice_auto.html"),
        (ConsoleType::SpiceDirect, "http://gw.example:13002/nova"),
        (ConsoleType::Serial, "ws://gw.example:6083/"),
        (ConsoleType::WebMks, "http://gw.example:6090/mks.html"),
    ] {
        for version in VERSIONS.map(Microversion) {
            let url = AccessUrl::new(console, base, &token).unwrap();
            let text = url.expose().to_owned();
            let answer = CreateAnswer {
                request: CreateRequest::new(console),
                url,
            };
            assert!(!format!("{answer:?}").contains("5a5a"));
            let json = answer.to_json(version);
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            let expected = if version.0 < 6 {
                serde_json::json!({ "console": { "type": console.as_str(), "url": text } })
            } else {
                let protocol = console.protocol().as_str();
                serde_json::json!({ "remote_console": { "protocol": protocol, "type": console.as_str(), "url": text } })
            };
            assert_eq!(value, expected);
            let read = CreateAnswer::from_json(version, json.as_bytes()).unwrap();
            assert_eq!(
                (read.request, read.url.expose()),
                (CreateRequest::new(console), text.as_str())
            );
        }
    }
    let read = |version, json: &str| {
        CreateAnswer::from_json(Microversion(version), json.as_bytes()).map(|answer| answer.request.protocol)
    };
    // Members of other versions are not looked at.
    assert_eq!(
        read(
            1,
            r#"{"console": {"type": "novnc", "url": "http://h/", "x": [1]}, "y": {}}"#
        ),
        Ok(Protocol::Vnc)
    );
    assert_eq!(
        read(
            6,
            r#"{"remote_console": {"protocol": "serial", "type": "novnc", "url": "ws://h/"}}"#
        ),
        Ok(Protocol::Serial)
    );
    for (version, json, error) in [
        (6, r#"{"console": {"type": "novnc", "url": "http://h/"}}"#, SCHEMA),
        (
            6,
            r#"{"remote_console": {"type": "novnc", "url": "http://h/"}}"#,
            NovaError::Member("protocol"),
        ),
        (
            6,
            r#"{"remote_console": {"protocol": "x", "type": "novnc", "url": "http://h/"}}"#,
            NovaError::Unknown,
        ),
        (
            1,
            r#"{"console": {"type": "x", "url": "http://h/"}}"#,
            NovaError::Unknown,
        ),
        (
            1,
            r#"{"console": {"type": "novnc", "url": "javascript:alert(1)"}}"#,
            NovaError::Member("url"),
        ),
        (
            1,
            r#"{"console": {"type": "novnc", "url": "http://h/\r\n"}}"#,
            NovaError::Member("url"),
        ),
        (
            1,
            r#"{"console": {"type": "novnc", "url": ""}}"#,
            NovaError::Member("url"),
        ),
        (1, r#"{"console": {"type": "novnc", "url": 1}}"#, SCHEMA),
        (1, r#"{"console": {"type": "novnc"}}"#, SCHEMA),
    ] {
        assert_eq!(read(version, json), Err(error), "{json}");
    }
}

fn shown(version: u16, members: &str) -> Result<ShowAnswer, NovaError> {
    let json = format!(r#"{{"console": {{{members}}}}}"#);
    ShowAnswer::from_json(Microversion(version), json.as_bytes())
}

#[test]
fn what_a_token_leads_to() {
    let members = format!(r#""instance_uuid": "{UUID}", "host": "hv1", "port": 5900, "internal_access_path": null"#);
    let answer = shown(31, &members).unwrap();
    let host = |port, tls_port| Target::Host {
        host: "hv1".into(),
        port: Some(port),
        tls_port,
    };
    assert_eq!((answer.instance_uuid.as_str(), answer.tls_port), (UUID, None));
    assert_eq!(answer.target(), Ok(host(5900, None)));

    let direct = format!(r#"{members}, "tls_port": 5901, "more": [{{}}]"#);
    assert_eq!(shown(99, &direct).unwrap().target(), Ok(host(5900, Some(5901))));
    assert_eq!(shown(98, &direct).unwrap().target(), Ok(host(5900, None)));
    let null = shown(99, &format!(r#"{members}, "tls_port": null"#)).unwrap();
    assert_eq!((null.tls_port, null.target()), (Some(None), Ok(host(5900, None))));

    // The schema says uuid; for webmks it is JSON with a ticket.
    let path = r#"{\"ticket\": \"abc\"}"#;
    let internal = shown(31, &members.replace("path\": null", &format!("path\": \"{path}\""))).unwrap();
    assert!(!format!("{internal:?}").contains("abc"));
    let expected = Target::Internal {
        host: "hv1".into(),
        port: 5900,
        path: AccessPath::new(r#"{"ticket": "abc"}"#),
    };
    assert_eq!(internal.target(), Ok(expected));
    let empty = shown(31, &members.replace("path\": null", "path\": \"\"")).unwrap();
    assert_eq!(empty.target(), Ok(host(5900, None)));
    for (from, to, error) in [
        ("\"hv1\"", "null", NovaError::Member("host")),
        ("\"hv1\"", "\"\"", NovaError::Member("host")),
        ("5900", "0", NovaError::Member("port")),
    ] {
        assert_eq!(shown(31, &members.replace(from, to)).unwrap().target(), Err(error));
    }
    let zero = shown(99, &format!(r#"{members}, "tls_port": 0"#)).unwrap();
    assert_eq!(zero.target(), Err(NovaError::Member("port")));

    for version in 1..=30 {
        assert_eq!(shown(version, &members), Err(NovaError::Version));
        assert_eq!(answer.to_json(Microversion(version)).unwrap_err(), NovaError::Version);
    }
}

/// Integers at the edges, and members that are missing or of another type.
#[test]
fn answers_that_are_none() {
    let members = format!(r#""instance_uuid": "{UUID}", "host": "hv1", "port": 5900, "internal_access_path": null"#);
    for port in [
        "-1",
        "65536",
        "4294967296",
        "18446744073709551616",
        "-9223372036854775809",
        "1e3",
        "5900.0",
        "1e999999",
        "\"5900\"",
        "null",
        "true",
        "[]",
        "{}",
    ] {
        let body = members.replace("5900", port);
        assert!(matches!(shown(31, &body), Err(NovaError::Body(_))), "{body}");
        let tls = format!(r#"{members}, "tls_port": {port}"#);
        assert_eq!(shown(99, &tls).is_ok(), port == "null", "{tls}");
    }
    for port in ["1", "65535"] {
        assert_eq!(
            shown(31, &members.replace("5900", port)).unwrap().port.to_string(),
            port
        );
    }
    for name in ["instance_uuid", "host", "port", "internal_access_path"] {
        let missing = members.replace(name, "other");
        assert_eq!(shown(31, &missing), Err(SCHEMA), "{missing}");
        let twice = format!("{members}, \"{name}\": 1");
        assert_eq!(shown(31, &twice), Err(SCHEMA), "{twice}");
    }
    for uuid in [
        "",
        "x",
        &UUID[1..],
        &UUID.replace('-', "_"),
        &UUID.replace('b', "g"),
        &format!("{UUID} "),
    ] {
        assert_eq!(
            shown(31, &members.replace(UUID, uuid)),
            Err(NovaError::Member("instance_uuid")),
            "{uuid}"
        );
    }
}

#[test]
fn of_grants() {
    let mut grant = spice().with_vm(UUID);
    grant.target = Target::Host {
        host: "hv1".into(),
        port: Some(5900),
        tls_port: Some(5901),
    };
    let answer = ShowAnswer::of(&grant).unwrap();
    let json = |version| answer.to_json(Microversion(version)).unwrap().to_string();
    let common = format!(r#""instance_uuid":"{UUID}","host":"hv1","port":5900,"internal_access_path":null"#);
    assert_eq!(json(31), format!(r#"{{"console":{{{common}}}}}"#));
    assert_eq!(json(99), format!(r#"{{"console":{{{common},"tls_port":5901}}}}"#));
    assert_eq!(
        ShowAnswer::from_json(Microversion::V2_99, json(99).as_bytes()),
        Ok(answer.clone())
    );
    grant.target = Target::Host {
        host: "hv1".into(),
        port: Some(5900),
        tls_port: None,
    };
    let plain = ShowAnswer::of(&grant).unwrap().to_json(Microversion::V2_99).unwrap();
    assert_eq!(*plain, format!(r#"{{"console":{{{common},"tls_port":null}}}}"#));

    let mut other = self::grant(ConsoleType::WebMks).with_vm(UUID);
    other.target = Target::Internal {
        host: "h".into(),
        port: 902,
        path: AccessPath::new("a\"b\\\n"),
    };
    let answer = ShowAnswer::of(&other).unwrap();
    let json = answer.to_json(Microversion::V2_99).unwrap();
    assert!(
        json.ends_with("\"internal_access_path\":\"a\\\"b\\\\\\u000a\"}}"),
        "{}",
        *json
    );
    assert_eq!(
        ShowAnswer::from_json(Microversion::V2_31, json.as_bytes())
            .unwrap()
            .target(),
        Ok(other.target.clone())
    );

    assert_eq!(ShowAnswer::of(&spice()), Err(NovaError::Member("instance_uuid")));
    grant.target = Target::Host {
        host: "h".into(),
        port: None,
        tls_port: Some(1),
    };
    assert_eq!(ShowAnswer::of(&grant), Err(NovaError::Member("port")));
    grant.target = Target::Unix { path: "/x".into() };
    assert_eq!(ShowAnswer::of(&grant), Err(NovaError::Member("host")));
    let vm = ShowAnswer::of(&self::grant(ConsoleType::Serial).with_vm("web-1")).unwrap();
    assert_eq!(
        vm.to_json(Microversion::V2_31).unwrap_err(),
        NovaError::Member("instance_uuid")
    );
}

#[test]
fn requests_for_tokens() {
    let token = Secret::presented(b"a/b?c#d%").unwrap();
    assert_eq!(show_path(&token).as_str(), "os-console-auth-tokens/a%2Fb%3Fc%23d%25");
    for version in VERSIONS {
        let check = |query| check_show(Microversion(version), query);
        let expected = if version < 31 { Err(NovaError::Version) } else { Ok(()) };
        assert_eq!(check(""), expected);
        let expected = if 99 <= version { Err(NovaError::Query) } else { expected };
        assert_eq!(check("a=b"), expected);
    }
}

#[test]
fn faults() {
    let errors = [
        NovaError::Body(JsonError::TooLong { limit: 16384 }),
        NovaError::Body(JsonError::TooDeep { limit: 16 }),
        NovaError::Body(JsonError::Syntax),
        NovaError::Body(JsonError::Schema),
        NovaError::Unknown,
        NovaError::Removed(Protocol::Rdp),
        NovaError::TypeInvalid(ConsoleType::XvpVnc),
        NovaError::TypeUnavailable(ConsoleType::NoVnc),
        NovaError::SerialPort,
        NovaError::InstanceNotFound,
        NovaError::InstanceNotReady,
        NovaError::NotImplemented,
        NovaError::Version,
        NovaError::Query,
        NovaError::TokenNotFound,
        NovaError::Member("port"),
    ];
    for error in errors {
        let fault = error.fault();
        let json = fault.to_json();
        assert_eq!(Fault::from_json(json.as_bytes()), Ok(fault));
    }
    expect![[r#"
        {"badRequest":{"code":400,"message":"invalid body: more than 16384 bytes"}}
        {"badRequest":{"code":400,"message":"invalid body: more than 16 levels"}}
        {"badRequest":{"code":400,"message":"invalid body: not JSON"}}
        {"badRequest":{"code":400,"message":"invalid body: not the members that are expected"}}
        {"badRequest":{"code":400,"message":"invalid input for protocol or type"}}
        {"badRequest":{"code":400,"message":"Unavailable console type rdp."}}
        {"badRequest":{"code":400,"message":"Invalid console type xvpvnc"}}
        {"badRequest":{"code":400,"message":"Unavailable console type novnc."}}
        {"badRequest":{"code":400,"message":"no serial port can be had"}}
        {"itemNotFound":{"code":404,"message":"Instance could not be found."}}
        {"conflictingRequest":{"code":409,"message":"Instance not yet ready"}}
        {"notImplemented":{"code":501,"message":"Unable to support requested functionality"}}
        {"badRequest":{"code":400,"message":"not in this microversion"}}
        {"badRequest":{"code":400,"message":"additional properties are not allowed"}}
        {"itemNotFound":{"code":404,"message":"Token not found"}}
        {"badRequest":{"code":400,"message":"invalid port"}}"#]]
    .assert_eq(&errors.map(|error| error.fault().to_json().to_string()).join("\n"));

    for (code, name) in [
        (400, "badRequest"),
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "itemNotFound"),
        (405, "badMethod"),
        (409, "conflictingRequest"),
        (413, "overLimit"),
        (415, "badMediaType"),
        (429, "overLimit"),
        (500, "computeFault"),
        (501, "notImplemented"),
        (503, "serviceUnavailable"),
        (599, "computeFault"),
    ] {
        let fault = Fault {
            code,
            message: "a\"b".into(),
        };
        assert_eq!(fault.name(), name);
        assert_eq!(Fault::from_json(fault.to_json().as_bytes()), Ok(fault));
    }
    // More members are not looked at; of the name and the code, one of two would have to be right.
    let json = br#"{"overLimit": {"code": 429, "message": "", "retryAfter": "1"}}"#;
    assert_eq!(Fault::from_json(json).unwrap().code, 429);
    let json = br#"{"badRequest": {"code": 404, "message": ""}}"#;
    assert_eq!(Fault::from_json(json), Err(NovaError::Member("code")));
    for json in [
        r#"{"x": {"code": 404, "message": ""}}"#,
        r#"{"badRequest": {"code": 70000, "message": ""}}"#,
        r#"{"badRequest": {"code": 400}}"#,
        "{}",
    ] {
        assert!(
            matches!(Fault::from_json(json.as_bytes()), Err(NovaError::Body(_))),
            "{json}"
        );
    }
}

proptest! {
    /// No bytes can do harm, and what is read is written so that it reads as the same again.
    #[test]
    fn any_bytes(minor in 0..200_u16, bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[ -~]{0,80}") {
        let version = Microversion(minor);
        for json in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(request) = CreateRequest::from_json(version, json) {
                let written = request.to_json(version).unwrap();
                prop_assert_eq!(CreateRequest::from_json(version, written.as_bytes()), Ok(request));
            }
            prop_assert!(CreateAnswer::from_json(version, json).is_err());
            prop_assert!(ShowAnswer::from_json(version, json).is_err());
            prop_assert!(Fault::from_json(json).is_err());
        }
    }

    #[test]
    fn any_answer(host in proptest::option::of("\\PC{0,20}"), port: u16, tls_port: Option<Option<u16>>, path in proptest::option::of("\\PC{0,40}")) {
        let answer = ShowAnswer { instance_uuid: UUID.into(), host, port, tls_port, internal_access_path: path.map(AccessPath::new) };
        let json = answer.to_json(Microversion::V2_99).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(value["console"]["port"].as_u64(), Some(port.into()));
        prop_assert_eq!(value["console"]["host"].as_str(), answer.host.as_deref());
        prop_assert_eq!(value["console"].get("tls_port").is_some(), tls_port.is_some());
        prop_assert_eq!(ShowAnswer::from_json(Microversion::V2_99, json.as_bytes()), Ok(answer));
    }
}
