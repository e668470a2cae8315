//! The answers and files of libvirt-console-proxy.

use super::*;

fn answer(kind: Kind, target: Target) -> Answer {
    Answer {
        kind,
        target,
        insecure: false,
        password: None,
    }
}

#[test]
fn answers() {
    let with_password = Answer {
        password: Some(Zeroizing::new("hunter\"2".into())),
        ..answer(Kind::Spice, tls("2001:db8::7", 5901))
    };
    let insecure = Answer {
        insecure: true,
        ..answer(Kind::Serial, host("hv1.example", 1))
    };
    assert!(!format!("{with_password:?}").contains("hunter"));
    assert!(format!("{with_password:?}").contains("redacted"));
    for (answer, json) in [
        (
            answer(Kind::Vnc, host("192.0.2.7", 5900)),
            r#"{"type":"vnc","address":"192.0.2.7:5900","insecure":false,"tlsTunnel":false}"#,
        ),
        (
            with_password,
            r#"{"type":"spice","address":"[2001:db8::7]:5901","insecure":false,"tlsTunnel":true,"password":"hunter\"2"}"#,
        ),
        (
            insecure,
            r#"{"type":"serial","address":"hv1.example:1","insecure":true,"tlsTunnel":false}"#,
        ),
    ] {
        assert_eq!(*answer.to_json().unwrap(), json);
        assert_eq!(Answer::from_json(json.as_bytes()), Ok(answer));
    }
    // As in Go: what is missing is empty, and more is not looked at.
    let read = |json: &str| Answer::from_json(json.as_bytes());
    let short = read(r#"{"type": "vnc", "address": "a:1", "password": "", "x": {"y": []}}"#);
    assert_eq!(short, Ok(answer(Kind::Vnc, host("a", 1))));
    for (json, error) in [
        (r#"{"type": "console", "address": "a:1"}"#, MEMBER("type")),
        (r#"{"type": "VNC", "address": "a:1"}"#, MEMBER("type")),
        (
            r#"{"type": "vnc", "address": "a:1", "insecure": true, "tlsTunnel": true}"#,
            MEMBER("tlsTunnel"),
        ),
        (r#"{"type": "vnc", "address": "a"}"#, MEMBER("port")),
        (r#"{"type": "vnc", "address": "a:0"}"#, MEMBER("port")),
        (r#"{"type": "vnc", "address": "a:65536"}"#, MEMBER("port")),
        (r#"{"type": "vnc", "address": "::1:5900"}"#, HOST(HostError::Brackets)),
        (
            r#"{"type": "vnc", "address": "2130706433:5900"}"#,
            HOST(HostError::Number),
        ),
        (r#"{"type": "vnc", "address": "u@a:5900"}"#, HOST(HostError::Malformed)),
        (r#"{"type": "vnc", "address": ""}"#, HOST(HostError::Empty)),
        (r#"{"type": "vnc"}"#, ResolverError::Json(JsonError::Schema)),
        (r#"{"address": "a:1"}"#, ResolverError::Json(JsonError::Schema)),
        (
            r#"{"type": "vnc", "address": "a:1", "address": "b:1"}"#,
            ResolverError::Json(JsonError::Schema),
        ),
        (
            r#"{"type": "vnc", "address": "a:1", "insecure": 1}"#,
            ResolverError::Json(JsonError::Schema),
        ),
        (
            r#"{"type": "vnc", "address": "a:1", "insecure": "true"}"#,
            ResolverError::Json(JsonError::Schema),
        ),
        ("[]", ResolverError::Json(JsonError::Schema)),
        ("No token found", ResolverError::Json(JsonError::Syntax)),
        ("", ResolverError::Json(JsonError::Syntax)),
    ] {
        assert_eq!(read(json), Err(error), "{json}");
    }
    let long = |len| {
        format!(
            r#"{{"type": "vnc", "address": "a:1", "password": "{}"}}"#,
            "x".repeat(len)
        )
    };
    assert!(read(&long(60)).is_ok());
    assert_eq!(read(&long(61)), Err(MEMBER("password")));
    assert_eq!(
        read(&long(4096)),
        Err(ResolverError::Json(JsonError::TooLong { limit: 4096 }))
    );
    assert_eq!(libvirt::NOT_FOUND, (404, "No token found"));
    assert_eq!(libvirt::path(&secret("a/../b?c")).as_str(), "token/a%2F..%2Fb%3Fc");
}

#[test]
fn what_has_no_place() {
    for target in [
        Target::Unix { path: "/x".into() },
        Target::Host {
            host: "a".into(),
            port: None,
            tls_port: None,
        },
        Target::Host {
            host: "a".into(),
            port: Some(1),
            tls_port: Some(2),
        },
        host("a b", 1),
        host("", 1),
        host("a", 0),
    ] {
        assert_eq!(
            answer(Kind::Vnc, target.clone()).to_json().unwrap_err(),
            ResolverError::Target,
            "{target:?}"
        );
    }
    let both = Answer {
        insecure: true,
        ..answer(Kind::Vnc, tls("a", 1))
    };
    assert_eq!(both.to_json().unwrap_err(), ResolverError::Target);
    let long = Answer {
        password: Some(Zeroizing::new("x".repeat(61))),
        ..answer(Kind::Vnc, host("a", 1))
    };
    assert_eq!(long.to_json().unwrap_err(), MEMBER("password"));
}

#[test]
fn files() {
    let entries = [
        (secret("one"), answer(Kind::Vnc, host("a", 1))),
        (secret("t\"w\\o"), answer(Kind::Spice, tls("::1", 2))),
    ];
    let file = libvirt::write_file(entries.iter().map(|(token, answer)| (token, answer))).unwrap();
    expect![[r#"
        {
          "one": {"type":"vnc","address":"a:1","insecure":false,"tlsTunnel":false},
          "t\"w\\o": {"type":"spice","address":"[::1]:2","insecure":false,"tlsTunnel":true}
        }
    "#]]
    .assert_eq(&file);
    for (token, answer) in &entries {
        assert_eq!(libvirt::lookup(file.as_bytes(), token), Ok(Some(answer.clone())));
    }
    assert_eq!(libvirt::lookup(file.as_bytes(), &secret("three")), Ok(None));
    assert_eq!(
        libvirt::lookup(libvirt::write_file([]).unwrap().as_bytes(), &secret("one")),
        Ok(None)
    );
    let (token, answer) = &entries[0];
    assert_eq!(
        libvirt::write_file([(token, answer); 2]).unwrap_err(),
        ResolverError::Token
    );

    let twice = r#"{"a": {"type": "vnc", "address": "a:1"}, "\u0061": {"type": "vnc", "address": "b:1"}}"#;
    assert_eq!(
        libvirt::lookup(twice.as_bytes(), &secret("a")),
        Err(ResolverError::Token)
    );
    // What is wrong with another entry's values is not this one's fault.
    let other = r#"{"a": {"type": "x", "address": ""}, "b": {"type": "vnc", "address": "b:1"}}"#;
    assert!(libvirt::lookup(other.as_bytes(), &secret("b")).unwrap().is_some());
    assert_eq!(libvirt::lookup(other.as_bytes(), &secret("a")), Err(MEMBER("type")));
    for file in ["", "[]", "{\"a\": 1}", "{\"a\": {}}", "{"] {
        assert!(
            matches!(
                libvirt::lookup(file.as_bytes(), &secret("a")),
                Err(ResolverError::Json(_))
            ),
            "{file}"
        );
    }
    let long = format!("{{}}{}", " ".repeat(1 << 20));
    let too_long = ResolverError::Json(JsonError::TooLong { limit: 1 << 20 });
    assert_eq!(libvirt::lookup(long.as_bytes(), &secret("a")), Err(too_long));
}
