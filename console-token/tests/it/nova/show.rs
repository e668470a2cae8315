//! A proxy asks what a token leads to.

use console_token::nova::{Microversion, NovaError, ShowAnswer, check_show, show_path};
use console_token::{AccessPath, ConsoleType, Secret, Target};

use super::{SCHEMA, UUID, VERSIONS};
use crate::spice;

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

    let mut other = crate::grant(ConsoleType::WebMks).with_vm(UUID);
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
    let vm = ShowAnswer::of(&crate::grant(ConsoleType::Serial).with_vm("web-1")).unwrap();
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
