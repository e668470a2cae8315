//! Which page a WebSocket comes from.

use core::net::IpAddr;

use console_token::web::HostError;
use console_token::web::origin::{Caller, Origin, OriginError, OriginRule, Request};
use expect_test::expect;
use proptest::prelude::*;

const PEER: IpAddr = IpAddr::V4(core::net::Ipv4Addr::new(198, 51, 100, 7));

#[test]
fn origins() {
    for (text, written) in [
        ("https://gw.example", "https://gw.example"),
        ("https://gw.example:443", "https://gw.example"),
        ("http://gw.example:443", "http://gw.example:443"),
        ("HTTPS://GW.Example:8443", "https://gw.example:8443"),
        ("http://[2001:DB8::1]:80", "http://[2001:db8::1]"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://xn--bcher-kva.example", "http://xn--bcher-kva.example"),
    ] {
        let origin: Origin = text.parse().unwrap();
        assert_eq!(origin.to_string(), written);
        assert_eq!(written.parse(), Ok(origin));
    }
    for text in [
        "",
        "null",
        "https://",
        "https:",
        "gw.example",
        "//gw.example",
        "https://gw.example/",
        "https://gw.example/x",
        "https://gw.example?x",
        "https://gw.example#x",
        "https://u@gw.example",
        "https://u:p@gw.example",
        "https://gw.example:0",
        "https://gw.example:",
        "https://gw.example:65536",
        "https://gw.example:443:443",
        "https://gw.example.",
        "https://gw..example",
        "https://gw%2eexample",
        "https://bücher.example",
        "https://[::1",
        "https://::1",
        "https://[fe80::1%25eth0]",
        "https://2130706433",
        "https://0x7f.1",
        "ws://gw.example",
        "wss://gw.example",
        "ftp://gw.example",
        "file://",
        "chrome-extension://abc",
        "https:\\\\gw.example",
        " https://gw.example",
        "https://gw.example ",
        "https://gw.example https://evil.example",
        "https://gw.example, https://evil.example",
        "https://gw.example\0",
        "javascript://gw.example",
    ] {
        let refused = text.parse::<Origin>().unwrap_err();
        assert!(
            matches!(refused, OriginError::Malformed | OriginError::InvalidHost(_)),
            "{text:?}: {refused}"
        );
    }
}

/// Scheme, host and port are all looked at.
#[test]
fn same_origin() {
    use OriginError::{Foreign, Host, InvalidHost, Malformed, Opaque};
    let rule = OriginRule::default();
    for (tls, host, origin, refused) in [
        (true, "gw.example", "https://gw.example", None),
        (true, "gw.example:443", "https://gw.example", None),
        (true, "gw.example", "https://gw.example:443", None),
        (true, "GW.EXAMPLE", "https://gw.example", None),
        (true, "gw.example:8443", "https://gw.example:8443", None),
        (false, "gw.example", "http://gw.example", None),
        (false, "[2001:db8::1]:6080", "http://[2001:db8:0::1]:6080", None),
        (false, "127.0.0.1:6080", "http://127.0.0.1:6080", None),
        // Another scheme, port or host.
        (true, "gw.example", "http://gw.example", Some(Foreign)),
        (false, "gw.example", "https://gw.example", Some(Foreign)),
        (true, "gw.example", "https://gw.example:8443", Some(Foreign)),
        (true, "gw.example:8443", "https://gw.example", Some(Foreign)),
        (false, "gw.example:443", "https://gw.example", Some(Foreign)),
        (true, "gw.example", "https://evil.example", Some(Foreign)),
        (true, "gw.example", "https://gw.example.evil.example", Some(Foreign)),
        (true, "gw.example", "https://evilgw.example", Some(Foreign)),
        (true, "gw.example", "https://www.gw.example", Some(Foreign)),
        (true, "gw.example", "https://example", Some(Foreign)),
        (false, "localhost:6080", "http://127.0.0.1:6080", Some(Foreign)),
        (false, "[::ffff:127.0.0.1]", "http://127.0.0.1", Some(Foreign)),
        // What is no origin, or hides one.
        (true, "gw.example", "null", Some(Opaque)),
        (true, "gw.example", "NULL", Some(Malformed)),
        (true, "gw.example", "", Some(Malformed)),
        (true, "gw.example", "https://gw.example@evil.example", Some(Malformed)),
        (true, "gw.example", "https://evil.example#gw.example", Some(Malformed)),
        (true, "gw.example", "https://gw.example/", Some(Malformed)),
        (
            true,
            "gw.example",
            "https://gw.example.",
            Some(InvalidHost(HostError::TrailingDot)),
        ),
        (true, "gw.example", "wss://gw.example", Some(Malformed)),
        // A Host that tells nothing.
        (true, "", "https://gw.example", Some(Host)),
        (true, "gw.example:", "https://gw.example", Some(Host)),
        (true, "gw.example,gw.example", "https://gw.example", Some(Host)),
        (true, "u@gw.example", "https://gw.example", Some(Host)),
        (true, "gw.example:0", "https://gw.example", Some(Host)),
    ] {
        let request = [host];
        let result = rule.check(&Request::new(PEER, tls, &request, &[origin]));
        let expected = match refused {
            None => Ok(Caller::Page(origin.parse().unwrap())),
            Some(error) => Err(error),
        };
        assert_eq!(result, expected, "{host} {origin}");
    }
    let origin = ["https://gw.example"];
    let check = |host, origin| rule.check(&Request::new(PEER, true, host, origin));
    assert_eq!(check(&[], &origin), Err(Host));
    assert_eq!(check(&["gw.example", "gw.example"], &origin), Err(Host));
    assert_eq!(
        check(&["gw.example"], &["https://gw.example"; 2]),
        Err(OriginError::Ambiguous)
    );
}

#[test]
fn pages_that_are_listed() {
    let portal: Origin = "https://portal.example:8443".parse().unwrap();
    let rule = OriginRule::default()
        .with_page(portal.clone())
        .with_host("horizon.example".parse().unwrap())
        .with_host("[2001:db8::5]".parse().unwrap());
    let check = |tls, host: &[&str], origin| rule.check(&Request::new(PEER, tls, host, &[origin])).map(|_| ());
    let own = ["gw.example"];
    // A page that is listed may come whatever `Host` says.
    assert_eq!(check(true, &[], "https://portal.example:8443"), Ok(()));
    assert_eq!(check(false, &own, "https://portal.example:8443"), Ok(()));
    for foreign in [
        "https://portal.example",
        "http://portal.example:8443",
        "https://a.portal.example:8443",
    ] {
        assert_eq!(check(true, &own, foreign), Err(OriginError::Foreign), "{foreign}");
    }
    // A host that is listed has any port, but our scheme.
    assert_eq!(check(true, &own, "https://horizon.example"), Ok(()));
    assert_eq!(check(true, &own, "https://horizon.example:1"), Ok(()));
    assert_eq!(check(false, &own, "http://[2001:db8::5]:8080"), Ok(()));
    assert_eq!(check(true, &own, "http://horizon.example"), Err(OriginError::Foreign));
    assert_eq!(
        check(true, &own, "https://x.horizon.example"),
        Err(OriginError::Foreign)
    );
    assert_eq!(check(true, &[], "https://horizon.example"), Err(OriginError::Host));

    let strict = OriginRule::default()
        .with_page(portal.clone())
        .with_same_origin(false)
        .with_no_browser(false);
    let check = |origin: &[&str]| strict.check(&Request::new(PEER, true, &own, origin));
    assert_eq!(check(&["https://gw.example"]), Err(OriginError::Foreign));
    assert_eq!(check(&[]), Err(OriginError::Missing));
    let open = Request::new(PEER, true, &own, &[]);
    assert_eq!(strict.clone().with_no_browser(true).check(&open), Ok(Caller::NoBrowser));
    assert_eq!(check(&["https://portal.example:8443"]), Ok(Caller::Page(portal)));
}

/// Nova bug 2158919: a request changed which others were let in.
#[test]
fn no_request_changes_the_rule() {
    let rule = OriginRule::default();
    let before = format!("{rule:?}");
    for host in ["gw.example", "evil.example"] {
        let _ = rule.check(&Request::new(PEER, true, &[host], &["https://evil.example"]));
    }
    assert_eq!(format!("{rule:?}"), before);
    let request = Request::new(PEER, true, &["gw.example"], &["https://evil.example"]);
    assert_eq!(rule.check(&request), Err(OriginError::Foreign));
}

#[test]
fn proxies() {
    let rule = OriginRule::default()
        .with_proxy("10.0.0.0/8".parse().unwrap())
        .with_proxy("2001:db8:1::/48".parse().unwrap());
    struct Case(
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
        &'static [&'static str],
        Option<&'static str>,
    );
    let cases = [
        // From a proxy: its word for what it was asked.
        Case("10.0.0.1", &["https"], &["gw.example"], &[], Some("https://gw.example")),
        Case(
            "::ffff:10.0.0.1",
            &["https"],
            &["gw.example"],
            &[],
            Some("https://gw.example"),
        ),
        Case(
            "2001:db8:1::1",
            &["https"],
            &["gw.example"],
            &[],
            Some("https://gw.example"),
        ),
        Case(
            "10.0.0.1",
            &["HTTPS"],
            &["gw.example:8443"],
            &[],
            Some("https://gw.example:8443"),
        ),
        Case(
            "10.0.0.1",
            &["wss"],
            &["gw.example"],
            &["8443"],
            Some("https://gw.example:8443"),
        ),
        Case(
            "10.0.0.1",
            &["https"],
            &["gw.example:1"],
            &["8443"],
            Some("https://gw.example:1"),
        ),
        Case("10.0.0.1", &["https"], &[], &[], Some("https://inner.example:6080")),
        Case("10.0.0.1", &[], &["gw.example"], &[], Some("http://gw.example")),
        Case(
            "10.0.0.1",
            &["https, https"],
            &["gw.example", "gw.example"],
            &[],
            Some("https://gw.example"),
        ),
        Case("10.0.0.1", &["ws"], &["gw.example"], &["80"], Some("http://gw.example")),
        // What it says twice, it cannot mean.
        Case("10.0.0.1", &["https, http"], &["gw.example"], &[], None),
        Case("10.0.0.1", &["https", "http"], &["gw.example"], &[], None),
        Case("10.0.0.1", &["https"], &["evil.example, gw.example"], &[], None),
        Case("10.0.0.1", &["https"], &["evil.example", "gw.example"], &[], None),
        Case("10.0.0.1", &["ftp"], &["gw.example"], &[], None),
        Case("10.0.0.1", &[""], &["gw.example"], &[], None),
        Case("10.0.0.1", &["https"], &[""], &[], None),
        Case("10.0.0.1", &["https"], &["gw.example"], &["0"], None),
        Case("10.0.0.1", &["https"], &["gw.example"], &["+443"], None),
        Case("10.0.0.1", &["https"], &["gw.example"], &["443, 8443"], None),
        // From anybody else they are not looked at.
        Case(
            "11.0.0.1",
            &["https"],
            &["evil.example"],
            &["1"],
            Some("http://inner.example:6080"),
        ),
        Case(
            "11.0.0.1",
            &["ftp", ""],
            &["", "x"],
            &["y"],
            Some("http://inner.example:6080"),
        ),
        Case(
            "2001:db8:2::1",
            &["https"],
            &["evil.example"],
            &[],
            Some("http://inner.example:6080"),
        ),
    ];
    for Case(peer, proto, host, port, own) in cases {
        let request = Request::new(peer.parse().unwrap(), false, &["inner.example:6080"], &[])
            .with_forwarded_proto(proto)
            .with_forwarded_host(host)
            .with_forwarded_port(port);
        let expected = own.map(|own| own.parse().unwrap()).ok_or(OriginError::Host);
        assert_eq!(rule.own(&request), expected, "{peer} {proto:?} {host:?} {port:?}");
    }
    // A client that forges them gets a page of its own no further.
    let request = Request::new(
        "11.0.0.1".parse().unwrap(),
        true,
        &["gw.example"],
        &["https://evil.example"],
    )
    .with_forwarded_host(&["evil.example"]);
    assert_eq!(rule.check(&request), Err(OriginError::Foreign));
}

#[test]
fn clients() {
    let rule = OriginRule::default()
        .with_proxy("10.0.0.0/8".parse().unwrap())
        .with_proxy("::1".parse().unwrap());
    for (peer, told, client) in [
        ("198.51.100.1", "", "198.51.100.1"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9,10.0.0.2 ,\t10.0.0.3", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:1234", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::9]:1234", "2001:db8::9"),
        ("10.0.0.1", "[2001:db8::9]", "2001:db8::9"),
        ("10.0.0.1", "2001:db8::9", "2001:db8::9"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, _hidden, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "evil.example", "10.0.0.1"),
        ("10.0.0.1", "0xa000001", "10.0.0.1"),
    ] {
        let client: IpAddr = client.parse().unwrap();
        assert_eq!(rule.client(peer.parse().unwrap(), &[told]), client, "{peer} {told}");
        let lines: Vec<&str> = told.split(',').collect();
        assert_eq!(rule.client(peer.parse().unwrap(), &lines), client, "{peer} {told}");
    }
}

#[test]
fn texts() {
    let texts = [
        OriginError::Malformed,
        OriginError::InvalidHost(HostError::TrailingDot),
        OriginError::Opaque,
        OriginError::Ambiguous,
        OriginError::Missing,
        OriginError::Foreign,
        OriginError::Host,
    ];
    expect![[r#"
        not an origin
        not an origin: a host with a dot at its end: it has to be written without
        a page without an origin
        more than one origin
        no origin
        a page from elsewhere
        the request does not tell where it goes"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}

proptest! {
    /// Only an origin that is equal in all three parts is the same.
    #[test]
    fn equal_or_foreign(tls: bool, scheme in 0..2_usize, host in 0..4_usize, own in 0..4_usize, port in 0..4_usize, at in 0..4_usize) {
        const HOSTS: [&str; 4] = ["gw.example", "evil.example", "[::1]", "127.0.0.1"];
        const PORTS: [&str; 4] = ["", ":80", ":443", ":6080"];
        let host_header = format!("{}{}", HOSTS[own], PORTS[at]);
        let origin = format!("{}://{}{}", ["http", "https"][scheme], HOSTS[host], PORTS[port]);
        let number = |tls: bool, port: usize| match (port, tls) {
            (0 | 2, true) => 443,
            (0 | 1, false) | (1, true) => 80,
            (2, false) => 443,
            _ => 6080,
        };
        let same = (scheme == 1) == tls && own == host && number(tls, at) == number(scheme == 1, port);
        let hosts = [host_header.as_str()];
        let origins = [origin.as_str()];
        let result = OriginRule::default().check(&Request::new(PEER, tls, &hosts, &origins));
        prop_assert_eq!(result.is_ok(), same, "{} {}", host_header, origin);
    }
}
