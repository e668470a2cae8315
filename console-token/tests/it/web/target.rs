//! Where an HTTP CONNECT may go.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::num::NonZeroU16;

use console_token::web::place::PlaceError;
use console_token::web::target::{Connect, ConnectError, Special, TargetError, TargetRule};
use console_token::web::{Host, HostError};
use expect_test::expect;
use proptest::prelude::*;

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The target of a request line.
fn asked(target: &str) -> Result<(Host, NonZeroU16), ConnectError> {
    let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    Connect::parse(head.as_bytes())?.unwrap().target()
}

#[test]
fn heads() {
    // As GLib, curl and browsers send it.
    let head = b"CONNECT hv1.example:5901 HTTP/1.0\r\nHost: hv1.example:5901\r\nProxy-Connection: keep-alive\r\n\
        User-Agent: GLib/2.74\r\nproxy-authorization: Basic OmI=\r\n\r\n";
    let connect = Connect::parse(head).unwrap().unwrap();
    assert_eq!(connect.len(), head.len());
    assert_eq!(connect.target(), Ok(("hv1.example".parse().unwrap(), port(5901))));
    assert_eq!(connect.token().unwrap().unwrap().expose(), b"b");
    // Of bytes that come one by one, none is enough but the last; and what follows is not looked at.
    for len in 0..head.len() {
        assert!(Connect::parse(&head[..len]).unwrap().is_none());
    }
    let more = [head.as_slice(), b"REDQ\xff\0"].concat();
    assert_eq!(Connect::parse(&more).unwrap().unwrap().len(), head.len());

    let bare = b"CONNECT [2001:db8::7]:5901 HTTP/1.1\r\n\r\n";
    let connect = Connect::parse(bare).unwrap().unwrap();
    assert_eq!(
        connect.target(),
        Ok((Host::Address(address("2001:db8::7")), port(5901)))
    );
    assert!(connect.token().unwrap().is_none());

    // Blanks around a value do not belong to it (RFC 9110 section 5.5).
    let blanks = b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: \t Basic OmI=\t \r\n\r\n";
    let connect = Connect::parse(blanks).unwrap().unwrap();
    assert_eq!(connect.token().unwrap().unwrap().expose(), b"b");

    // As many fields as fit.
    let many = format!("CONNECT a:1 HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(2000));
    assert!(Connect::parse(many.as_bytes()).unwrap().is_some());

    let twice = b"CONNECT a:1 HTTP/1.1\r\nProxy-Authorization: Basic OmI=\r\nProxy-Authorization: Basic OmI=\r\n\r\n";
    let connect = Connect::parse(twice).unwrap().unwrap();
    assert_eq!(connect.token().unwrap_err(), PlaceError::Repeated);
    let token = b"CONNECT 5A5A5A5A-5a5a-4a5a-9a5a-5a5a5a5a5a5a:61000 HTTP/1.0\r\n\r\n";
    let (token, at) = Connect::parse(token).unwrap().unwrap().host_token().unwrap().unwrap();
    assert_eq!(
        (token.expose(), at),
        (&b"5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a"[..], port(61000))
    );
}

#[test]
fn broken_heads() {
    for (head, error) in [
        ("GET / HTTP/1.1\r\n\r\n", ConnectError::Method),
        ("connect a:1 HTTP/1.1\r\n\r\n", ConnectError::Method),
        ("CONNECTX a:1 HTTP/1.1\r\n\r\n", ConnectError::Method),
        ("\r\n\r\n", ConnectError::Malformed),
        (" CONNECT a:1 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT  a:1 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1  HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT\ta:1 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1 \r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.2\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/2\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 http/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 b:2 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\nHost: a\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\nHost : a\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\nX: a\r\n b\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\n X: a\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\nX\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\n: a\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\nX: a\0\r\n\r\n", ConnectError::Malformed),
        (
            "CONNECT a:1 HTTP/1.1\r\nX: a\nProxy-Authorization: Basic OmI=\r\n\r\n",
            ConnectError::Malformed,
        ),
        ("CONNECT é:1 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        // What lenient readers take.
        ("\r\nCONNECT a:1 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("\nCONNECT a:1 HTTP/1.1\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\nX: a\n\nY: b\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\n\r\n\r\n", ConnectError::Malformed),
        (
            "CONNECT a:1 HTTP/1.1\r\nX: a\r\r\nY: b\r\n\r\n",
            ConnectError::Malformed,
        ),
        ("CONNECT a:1 HTTP/1.1\r\nX: a\u{85}b\r\n\r\n", ConnectError::Malformed),
        ("CONNECT a:1 HTTP/1.1\r\nX: a\u{7f}b\r\n\r\n", ConnectError::Malformed),
        // Content, perhaps for the next request on a shared connection.
        (
            "CONNECT a:1 HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            ConnectError::Content,
        ),
        (
            "CONNECT a:1 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
            ConnectError::Content,
        ),
    ] {
        assert_eq!(Connect::parse(head.as_bytes()).unwrap_err(), error, "{head:?}");
    }
    assert_eq!(
        Connect::parse(b"CONNECT a:1 HTTP/1.1\r\nX: \xff\r\n\r\n").unwrap_err(),
        ConnectError::Malformed
    );
    let statuses = [
        ConnectError::Malformed,
        ConnectError::Host(HostError::Zone),
        ConnectError::Method,
        ConnectError::TooLong,
        ConnectError::Content,
    ];
    assert_eq!(statuses.map(ConnectError::status), [400, 400, 405, 431, 400]);
    expect![[r#"
        not an HTTP CONNECT
        not a CONNECT to a host and a port: an IPv6 address with a zone: zones are not supported
        another method than CONNECT
        a head of more than 8192 bytes
        a CONNECT with content"#]]
    .assert_eq(&statuses.map(|error| error.to_string()).join("\n"));
}

#[test]
fn heads_are_bounded() {
    let fit = |len: usize| {
        let frame = "CONNECT a:1 HTTP/1.1\r\nX: \r\n\r\n".len();
        format!("CONNECT a:1 HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(len - frame))
    };
    assert_eq!(Connect::parse(fit(8192).as_bytes()).unwrap().unwrap().len(), 8192);
    assert_eq!(Connect::parse(fit(8193).as_bytes()).unwrap_err(), ConnectError::TooLong);
    assert!(Connect::parse(&fit(8193).as_bytes()[..8191]).unwrap().is_none());
    assert_eq!(Connect::parse(&[b'a'; 8192]).unwrap_err(), ConnectError::TooLong);
}

#[test]
fn debug_shows_no_token() {
    let head =
        b"CONNECT 5a5a5a5a-5a5a-4a5a-9a5a-5a5a5a5a5a5a:61000 HTTP/1.1\r\nProxy-Authorization: Basic OmI=\r\n\r\n";
    let connect = Connect::parse(head).unwrap().unwrap();
    assert_eq!(format!("{connect:?}"), format!("Connect {{ len: {}, .. }}", head.len()));
    for text in [format!("{:?}", connect.host_token()), format!("{:?}", connect.token())] {
        assert!(
            text.contains("redacted") && !text.contains("5a5a5a5a") && !text.contains("OmI"),
            "{text}"
        );
    }
}

/// What others have taken for another target.
#[test]
fn targets_that_are_none() {
    for target in [
        "hv1.example",
        "hv1.example:",
        "hv1.example:0",
        "hv1.example:65536",
        "hv1.example:http",
        "hv1.example:5901:5901",
        ":5901",
        "hv1.example.:5901",
        "hv1%2eexample:5901",
        "user@hv1.example:5901",
        "hv1.example:5901@evil.example:80",
        "http://hv1.example:5901",
        "/hv1.example:5901",
        "hv1.example:5901/",
        "hv1.example:5901?x",
        "hv1.example:5901#",
        "hv1.example\\:5901",
        "::1:5901",
        "[::1%25lo]:5901",
        "[127.0.0.1]:5901",
        "127.1:5901",
        "0177.0.0.1:5901",
        "0x7f000001:5901",
        "2130706433:5901",
        "*:5901",
        "hv1.example,evil.example:5901",
    ] {
        let refused = asked(target).unwrap_err();
        assert!(
            matches!(refused, ConnectError::Malformed | ConnectError::Host(_)),
            "{target}: {refused}"
        );
        assert_eq!(refused.status(), 400);
    }
    assert_eq!(
        asked("HV1.Example:05901"),
        Ok(("hv1.example".parse().unwrap(), port(5901)))
    );
}

#[test]
fn known_consoles_only() {
    let mut rule = TargetRule::default();
    let host: Host = "hv1.example".parse().unwrap();
    assert!(rule.insert(host.clone(), port(5901)));
    assert!(!rule.insert(host.clone(), port(5901)));
    assert!(rule.insert("192.0.2.7".parse().unwrap(), port(5902)));
    let check = |rule: &TargetRule, target: &str| {
        let (host, port) = asked(target).unwrap();
        rule.check(&host, port).map(|console| console.host().clone())
    };
    assert_eq!(check(&rule, "hv1.example:5901"), Ok(host.clone()));
    assert_eq!(check(&rule, "HV1.EXAMPLE:5901"), Ok(host.clone()));
    for target in [
        "hv1.example:5902",
        "hv1.example:22",
        "hv2.example:5901",
        "x.hv1.example:5901",
        "hv1.example.evil.example:5901",
        "192.0.2.7:5901",
        "192.0.2.8:5902",
        "[::ffff:192.0.2.7]:5902",
        "127.0.0.1:5902",
    ] {
        assert_eq!(check(&rule, target), Err(TargetError::Unknown), "{target}");
    }
    assert!(rule.remove(&host, port(5901)));
    assert!(!rule.remove(&host, port(5901)));
    assert_eq!(check(&rule, "hv1.example:5901"), Err(TargetError::Unknown));
}

#[test]
fn addresses_after_resolution() {
    let mut rule = TargetRule::default();
    let name: Host = "hv1.example".parse().unwrap();
    rule.insert(name.clone(), port(5901));
    rule.insert("192.0.2.7".parse().unwrap(), port(5901));
    let console = rule.check(&name, port(5901)).unwrap();
    let good = [address("192.0.2.7"), address("2001:db8::7")];
    let expected = vec!["192.0.2.7:5901".parse().unwrap(), "[2001:db8::7]:5901".parse().unwrap()];
    assert_eq!(console.addresses(&good), Ok(expected));
    assert_eq!(console.addresses(&[]), Err(TargetError::Unresolved));
    // One is enough: a resolver that answers so for this name is not to be trusted.
    let mixed = [good[0], address("169.254.169.254")];
    assert_eq!(console.addresses(&mixed), Err(TargetError::Special(Special::LinkLocal)));
    let literal = rule.check(&"192.0.2.7".parse().unwrap(), port(5901)).unwrap();
    assert!(literal.addresses(&good[..1]).is_ok());
    assert_eq!(literal.addresses(&[address("192.0.2.8")]), Err(TargetError::Unresolved));
}

const SPECIAL: [(&str, Special); 48] = [
    ("0.0.0.0", Special::Unspecified),
    ("0.255.255.255", Special::Unspecified),
    ("127.0.0.1", Special::Loopback),
    ("127.255.255.254", Special::Loopback),
    ("169.254.0.0", Special::LinkLocal),
    ("169.254.169.254", Special::LinkLocal),
    ("169.254.255.255", Special::LinkLocal),
    ("100.100.100.200", Special::Metadata),
    ("168.63.129.16", Special::Metadata),
    ("192.0.0.192", Special::Metadata),
    ("192.0.0.1", Special::Reserved),
    ("224.0.0.1", Special::Multicast),
    ("239.255.255.255", Special::Multicast),
    ("240.0.0.1", Special::Reserved),
    ("255.255.255.255", Special::Reserved),
    ("::", Special::Unspecified),
    ("::1", Special::Loopback),
    ("fe80::1", Special::LinkLocal),
    ("febf:ffff::", Special::LinkLocal),
    ("fec0::1", Special::LinkLocal),
    ("fd00:ec2::254", Special::Metadata),
    ("fd20:ce::254", Special::Metadata),
    ("ff02::1", Special::Multicast),
    ("100::1", Special::Reserved),
    ("64:ff9b:1::7f00:1", Special::LocalTranslation),
    ("64:ff9b:1:7f00:0:100::", Special::LocalTranslation),
    // IPv4 in IPv6: mapped, compatible, translated, NAT64, 6to4, Teredo (server and client), ISATAP.
    ("::ffff:127.0.0.1", Special::Loopback),
    ("::ffff:a9fe:a9fe", Special::LinkLocal),
    ("::ffff:0.0.0.0", Special::Unspecified),
    ("::127.0.0.1", Special::Loopback),
    ("::169.254.169.254", Special::LinkLocal),
    ("::ffff:0:127.0.0.1", Special::Loopback),
    ("::ffff:0:100.100.100.200", Special::Metadata),
    ("64:ff9b::127.0.0.1", Special::Loopback),
    ("64:ff9b::a9fe:a9fe", Special::LinkLocal),
    ("64:ff9b::e000:1", Special::Multicast),
    ("2002:7f00:1::", Special::Loopback),
    ("2002:7f00:1::1", Special::Loopback),
    ("2002:a9fe:a9fe:1:2:3:4:5", Special::LinkLocal),
    ("2002::1", Special::Unspecified),
    ("2001:0:7f00:1::", Special::Loopback),
    ("2001:0:c000:207:0:0:80ff:fffe", Special::Loopback),
    ("2001:0:c000:207:0:0:5601:5601", Special::LinkLocal),
    ("2001:db8::5efe:127.0.0.1", Special::Loopback),
    ("2001:db8::200:5efe:169.254.169.254", Special::LinkLocal),
    ("fd00::5efe:7f00:1", Special::Loopback),
    ("::2", Special::Unspecified),
    ("::ffff:255.255.255.255", Special::Reserved),
];

#[test]
fn special_addresses() {
    let mut rule = TargetRule::default();
    let mut admitted = TargetRule::default()
        .with_exception("0.0.0.0/0".parse().unwrap())
        .with_exception("::/0".parse().unwrap());
    for (text, special) in SPECIAL {
        let address = address(text);
        assert_eq!(Special::of(address), Some(special), "{text}");
        // Also when it is a console: a configuration that can be written to makes it none.
        rule.insert(Host::Address(address), port(5901));
        let refused = rule.check(&Host::Address(address), port(5901)).map(|_| ());
        assert_eq!(refused, Err(TargetError::Special(special)), "{text}");
        admitted.insert(Host::Address(address), port(5901));
        assert!(admitted.check(&Host::Address(address), port(5901)).is_ok(), "{text}");
    }
    for text in [
        "1.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.199",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.16.0.1",
        "192.0.1.0",
        "192.0.2.7",
        "192.168.0.1",
        "198.18.0.1",
        "223.255.255.255",
        "2001:db8::7",
        "fd00::1",
        "fd00:ec1::254",
        "fe7f::1",
        "2600::1",
        "64:ff9b::c000:207",
        "2002:c000:207::1",
        "2001:0:c000:207::3fff:fdf8",
        "2001:db8::5efe:192.0.2.7",
        "::ffff:192.0.2.7",
        "101::1",
        "2001:1::1",
    ] {
        assert_eq!(Special::of(address(text)), None, "{text}");
    }
}

/// An exception is for what it says, not for what is around it.
#[test]
fn exceptions() {
    let rule = TargetRule::default().with_exception("127.0.0.1".parse().unwrap());
    for (text, admitted) in [
        ("127.0.0.1", true),
        ("::ffff:127.0.0.1", true),
        ("127.0.0.2", false),
        ("::1", false),
        ("64:ff9b::127.0.0.1", false),
        ("2002:7f00:1::", false),
        ("169.254.169.254", false),
    ] {
        assert_eq!(rule.admit(address(text)).is_ok(), admitted, "{text}");
    }
}

#[test]
fn texts() {
    let texts = [
        TargetError::Unknown,
        TargetError::Unresolved,
        TargetError::Special(Special::Loopback),
    ];
    expect![[r#"
        not a known console
        the host has no such address
        an address where no console is: Loopback"#]]
    .assert_eq(&texts.map(|error| error.to_string()).join("\n"));
}

proptest! {
    /// No way to write an IPv4 address that is refused gets around the refusal.
    #[test]
    fn no_disguise(special in 0..15_usize, filler: [u16; 4]) {
        let IpAddr::V4(v4) = address(SPECIAL[special].0) else { unreachable!() };
        let [a, b, c, d] = v4.octets();
        let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let [e, f, g, h] = filler;
        for segments in [
            [0, 0, 0, 0, 0, 0xffff, high, low],
            [0, 0, 0, 0, 0, 0, high, low],
            [0, 0, 0, 0, 0xffff, 0, high, low],
            [0x64, 0xff9b, 0, 0, 0, 0, high, low],
            [0x2002, high, low, e, f, g, h, e],
            [0x2001, 0, high, low, e, f, g, h],
            [0x2001, 0, e, f, g, h, !high, !low],
            [e, f, g, h, 0, 0x5efe, high, low],
            [e, f, g, h, 0x0200, 0x5efe, high, low],
        ] {
            prop_assert!(Special::of(Ipv6Addr::from(segments).into()).is_some(), "{:x?}", segments);
        }
    }

    /// Every IPv4 address of the ranges, by arithmetic of its own.
    #[test]
    fn ranges(number: u32) {
        let inside = |first: [u8; 4], prefix: u32| number >> (32 - prefix) == u32::from(Ipv4Addr::from(first)) >> (32 - prefix);
        let expected = inside([0, 0, 0, 0], 8) || inside([127, 0, 0, 0], 8) || inside([169, 254, 0, 0], 16)
            || inside([192, 0, 0, 0], 24) || inside([224, 0, 0, 0], 3) || inside([168, 63, 129, 16], 32)
            || inside([100, 100, 100, 200], 32);
        prop_assert_eq!(Special::of(Ipv4Addr::from(number).into()).is_some(), expected);
    }

    /// No bytes can do harm, and none before the end of the head are an answer.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..64_usize) {
        let _ = Connect::parse(&bytes);
        let head = [b"CONNECT a:1 HTTP/1.1\r\n", bytes.as_slice(), b"\r\n\r\n"].concat();
        if let Ok(Some(connect)) = Connect::parse(&head) {
            prop_assert!(connect.len() <= head.len());
            prop_assert_eq!(connect.target(), Ok(("a".parse().unwrap(), port(1))));
            let before = connect.len() - 1 - cut % connect.len();
            prop_assert!(Connect::parse(&head[..before]).unwrap().is_none());
        }
    }
}
