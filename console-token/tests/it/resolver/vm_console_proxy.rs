//! The answers of KubeVirt's vm-console-proxy.

use kubevirt::{Answer, path};

use super::*;

fn read(token: &str, end: &str) -> Result<u64, ResolverError> {
    let json = format!(r#"{{"token": "{token}", "expirationTimestamp": "{end}"}}"#);
    Answer::from_json(json.as_bytes()).map(|answer| answer.expires.0)
}

#[test]
fn answers() {
    const TOKEN: &str = "eyJh.e30.c2ln";
    let json = br#"{"token":"eyJh.e30.c2ln","expirationTimestamp":"2027-01-15T08:00:00Z"}"#;
    let answer = Answer::from_json(json).unwrap();
    // `date -u -d 2027-01-15T08:00:00 +%s`.
    assert_eq!(answer.expires, UnixSeconds(1_800_000_000));
    assert_eq!(answer.token, SignedToken::presented(TOKEN.as_bytes()).unwrap());
    assert!(!format!("{answer:?}").contains("eyJh"));
    assert_eq!(answer.to_json().unwrap().as_bytes(), json);
    assert_eq!(read(TOKEN, "2027-01-15T10:00:00.999+02:00"), Ok(1_800_000_000));
    assert_eq!(read(TOKEN, "1970-01-01T00:00:00Z"), Ok(0));
    assert_eq!(read(TOKEN, "9999-12-30T22:00:00Z"), Ok(253_402_207_200));
    for end in [
        "",
        "1969-12-31T23:59:59Z",
        "0000-01-01T00:00:00Z",
        "-000001-01-01T00:00:00Z",
        "2027-01-15T08:00:00",
        "2027-13-15T08:00:00Z",
        "2027-02-29T08:00:00Z",
        "2027-01-15T24:00:00Z",
        "2027-01-15T08:00:00+99:00",
        "99999-01-01T00:00:00Z",
        "1800000000",
        "2027-01-15",
        "x",
    ] {
        assert_eq!(read(TOKEN, end), Err(MEMBER("expirationTimestamp")), "{end}");
    }
    for token in ["", "a", "a.b", "a.b.", "a.b.c.d", "a.b.c=", "a b.c.d", "a.\\n.b"] {
        assert_eq!(read(token, "2027-01-15T08:00:00Z"), Err(MEMBER("token")), "{token}");
    }
    for json in [
        "",
        "{}",
        r#"{"token": "a.b.c"}"#,
        r#"{"token": "a.b.c", "expirationTimestamp": 1}"#,
        "[]",
    ] {
        assert!(
            matches!(Answer::from_json(json.as_bytes()), Err(ResolverError::Json(_))),
            "{json}"
        );
    }
    for end in [253_402_300_800, u64::MAX] {
        let answer = Answer {
            token: SignedToken::presented(TOKEN.as_bytes()).unwrap(),
            expires: UnixSeconds(end),
        };
        assert_eq!(answer.to_json().unwrap_err(), MEMBER("expirationTimestamp"));
    }
}

#[test]
fn paths() {
    assert_eq!(
        path("ns-1", "vm.a-1", 600).as_deref(),
        Some("apis/token.kubevirt.io/v1/namespaces/ns-1/virtualmachines/vm.a-1/vnc?duration=600s")
    );
    let long = "a".repeat(64);
    for (namespace, name, seconds) in [
        ("", "vm", 600),
        ("ns", "", 600),
        ("ns", "vm", 599),
        ("n/s", "vm", 600),
        ("ns", "../x", 600),
        ("ns", "vm/vnc?x", 600),
        ("Ns", "vm", 600),
        ("a.b", "vm", 600),
        ("-a", "vm", 600),
        ("a-", "vm", 600),
        ("ns", "a..b", 600),
        (&long, "vm", 600),
        ("ns", &long, 600),
        ("ns", "vm%2f", 600),
        ("ns", "vm ", 600),
    ] {
        assert_eq!(path(namespace, name, seconds), None, "{namespace} {name} {seconds}");
    }
}
