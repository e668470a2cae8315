//! A console is asked for.

use console_token::nova::{CreateAnswer, CreateRequest, MAX_LEN, Microversion, NovaError};
use console_token::{AccessUrl, ConsoleType, JsonError, Protocol, Secret};

use super::{SCHEMA, VERSIONS};

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

fn read(version: u16, json: &str) -> Result<(String, String), NovaError> {
    let request = CreateRequest::from_json(Microversion(version), json.as_bytes())?;
    Ok((request.protocol.to_string(), request.console_type.to_string()))
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
