//! Hosts, ports and ranges of addresses.

use console_token::web::origin::{Origin, OriginError};
use console_token::web::target::{Connect, ConnectError};
use console_token::web::{Authority, Host, HostError, Network, NetworkError};
use expect_test::expect;
use proptest::prelude::*;

/// What is read in one way only, and how it is written.
const HOSTS: [(&str, &str); 16] = [
    ("192.0.2.7", "192.0.2.7"),
    ("0.0.0.0", "0.0.0.0"),
    ("[2001:DB8::7]", "[2001:db8::7]"),
    ("[2001:0db8:0:0:0:0:0:0007]", "[2001:db8::7]"),
    ("[::ffff:192.0.2.7]", "[::ffff:192.0.2.7]"),
    ("[::]", "[::]"),
    ("localhost", "localhost"),
    ("GW.Example", "gw.example"),
    ("a", "a"),
    ("a-b.c_d.e1", "a-b.c_d.e1"),
    ("_x.example", "_x.example"),
    ("xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("1.2.3.example", "1.2.3.example"),
    ("127.0.0.1.example", "127.0.0.1.example"),
    ("0x7f.example", "0x7f.example"),
    ("pve-1", "pve-1"),
];

/// What somebody reads in another way, or cannot be resolved.
const NO_HOSTS: [&str; 51] = [
    "",
    ".",
    "..",
    "a.",
    ".a",
    "a..b",
    "example.com.",
    "192.0.2.7.",
    // What inet_aton takes for an address.
    "1",
    "0",
    "127.1",
    "127.0.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.01",
    "00.0.0.0",
    "0x7f000001",
    "0x7f.0.0.1",
    "127.0.0.0x1",
    "0X7F.1",
    "0x",
    "a.0x",
    "256.0.0.1",
    "1.2.3.4.5",
    "192.0.2",
    "a.1",
    // Brackets.
    "[192.0.2.7]",
    "[a]",
    "[]",
    "[::1",
    "::1]",
    "[::1]]",
    "[[::1]]",
    "[fe80::1%eth0]",
    "[fe80::1%25eth0]",
    "[v1.a]",
    "x[::1]",
    // What URLs have around hosts.
    "user@a",
    "a/b",
    "a?b",
    "a#b",
    "a\\b",
    "%61",
    "a b",
    " a",
    "a\n",
    "a\0",
    "-a",
    "a-",
    "bücher.example",
];

#[test]
fn hosts() {
    for (text, written) in HOSTS {
        let host: Host = text.parse().unwrap();
        assert_eq!(host.to_string(), written, "{text}");
        assert_eq!(written.parse(), Ok(host), "{text}");
    }
    // Alone, IPv6 needs no brackets.
    assert_eq!("::1".parse::<Host>(), "[::1]".parse());
    for text in NO_HOSTS {
        assert!(text.parse::<Host>().is_err(), "{text:?}");
        assert!(text.parse::<Authority>().is_err(), "{text:?}");
        assert!(format!("{text}:80").parse::<Authority>().is_err(), "{text:?}");
    }
    for dot in ["\u{3002}", "\u{ff0e}", "\u{ff61}"] {
        assert_eq!(
            format!("127{dot}0{dot}0{dot}1").parse::<Host>(),
            Err(HostError::NotAscii)
        );
    }
    assert_eq!("\u{2460}27.0.0.1".parse::<Host>(), Err(HostError::NotAscii));
}

#[test]
fn lengths_of_names() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
    assert_eq!(longest.len(), 253);
    for name in [&label, &longest] {
        assert!(name.parse::<Host>().is_ok());
        assert_eq!(format!("{name}a").parse::<Host>(), Err(HostError::Malformed));
    }
}

#[test]
fn ports() {
    for (text, host) in HOSTS {
        for (port, number) in [("1", 1), ("80", 80), ("65535", 65535), ("00443", 443)] {
            let authority: Authority = format!("{text}:{port}").parse().unwrap();
            assert_eq!(authority.host, text.parse().unwrap());
            assert_eq!(authority.port.unwrap().get(), number);
            assert_eq!(authority.to_string(), format!("{host}:{number}"));
        }
        assert_eq!(text.parse::<Authority>().unwrap().port, None);
        for port in [
            "", "0", "65536", "99999", "000443", "-1", "+1", "1 ", " 1", "0x50", "8a", "80:80", "८०",
        ] {
            assert_eq!(
                format!("{text}:{port}").parse::<Authority>(),
                Err(if port.contains(':') {
                    HostError::Malformed
                } else {
                    HostError::Port
                }),
                "{text}:{port}"
            );
        }
    }
    // Without brackets it cannot be told where the port begins.
    for text in ["::1", "2001:db8::7:80", "fe80::1", "::ffff:192.0.2.7:80"] {
        let without = text.parse::<Host>().is_ok();
        let expected = if without {
            HostError::Brackets
        } else {
            HostError::Malformed
        };
        assert_eq!(text.parse::<Authority>(), Err(expected), "{text}");
    }
}

/// What is wrong, and what to write instead.
#[test]
fn errors_name_the_remedy() {
    use HostError as E;
    for (text, error) in [
        ("", E::Empty),
        ("hv1.example.", E::TrailingDot),
        ("hv1.", E::TrailingDot),
        ("192.0.2.7.", E::TrailingDot),
        ("HV1.Example.", E::TrailingDot),
        ("hv1..", E::Malformed),
        (".", E::Malformed),
        ("fe80::1%eth0", E::Zone),
        ("[fe80::1%eth0]", E::Zone),
        ("[fe80::1%25eth0]", E::Zone),
        ("fe80::1%", E::Zone),
        ("2001:db8::7%2", E::Zone),
        ("hv1%eth0", E::Malformed),
        ("bücher.example", E::NotAscii),
        ("hv1.例え", E::NotAscii),
        ("hv1\u{3002}example", E::NotAscii),
        ("xn--bücher", E::NotAscii),
        ("127.1", E::Number),
        ("0x7f000001", E::Number),
        ("192.0.2.256", E::Number),
        ("a.0X1", E::Number),
        ("user@hv1", E::Malformed),
    ] {
        assert_eq!(text.parse::<Host>(), Err(error), "{text}");
        let with_port = format!("{text}:5900").parse::<Authority>();
        // Without brackets, what is behind the last colon may belong to the address.
        assert_eq!(with_port, Err(error), "{text}");
        let origin = format!("https://{text}").parse::<Origin>();
        let expected = match error {
            E::Malformed => OriginError::Malformed,
            error => OriginError::InvalidHost(error),
        };
        assert_eq!(origin, Err(expected), "{text}");
        if text.is_ascii() && !text.is_empty() && !text.contains('@') {
            let head = format!("CONNECT {text}:5900 HTTP/1.1\r\n\r\n");
            let connect = Connect::parse(head.as_bytes()).unwrap().unwrap();
            assert_eq!(connect.target(), Err(ConnectError::Host(error)), "{text}");
        }
    }
    for (text, error) in [
        ("hv1:", E::Port),
        ("hv1:0", E::Port),
        ("[::1]:65536", E::Port),
        ("::1", E::Brackets),
        ("2001:db8::7:80", E::Brackets),
    ] {
        assert_eq!(text.parse::<Authority>(), Err(error), "{text}");
    }
    let all = [
        E::Empty,
        E::TrailingDot,
        E::Zone,
        E::NotAscii,
        E::Number,
        E::Brackets,
        E::Port,
        E::Malformed,
    ];
    expect![[r#"
        no host
        a host with a dot at its end: it has to be written without
        an IPv6 address with a zone: zones are not supported
        a name with letters other than ASCII: it has to be written in its xn-- form
        a number that is not an IPv4 address in dotted decimal form
        an IPv6 address without brackets where a port can follow
        no port of 1 to 65535
        not a host"#]]
    .assert_eq(&all.map(|error| error.to_string()).join("\n"));
}

#[test]
fn networks() {
    let contains = |network: &str, address: &str| {
        let network: Network = network.parse().unwrap();
        network.contains(address.parse().unwrap())
    };
    for (network, inside, outside) in [
        ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.6"),
        ("0.0.0.0/0", "255.255.255.255", "::1"),
        ("::/0", "2001:db8::1", "192.0.2.1"),
        ("fd00::/8", "fdff::", "fe00::"),
        ("::1", "::1", "::2"),
        ("::ffff:192.0.2.7", "192.0.2.7", "::192.0.2.7"),
    ] {
        assert!(contains(network, inside), "{network} {inside}");
        assert!(!contains(network, outside), "{network} {outside}");
        let parsed: Network = network.parse().unwrap();
        assert_eq!(parsed.to_string().parse(), Ok(parsed));
    }
    for text in [
        "",
        "/",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/",
        "10/8",
        "::1/64",
        "::/129",
        "::ffff:0:0/96",
        "::ffff:10.0.0.0/104",
        "localhost",
        "010.0.0.0/8",
        "10.0.0.0 /8",
        "[::1]",
        "fe80::%eth0/64",
    ] {
        assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
    }
}

proptest! {
    /// What is read is written so that it reads as the same again.
    #[test]
    fn one_form(text in "[A-Za-z0-9.:_%@\\[\\]-]{0,24}") {
        if let Ok(authority) = text.parse::<Authority>() {
            let written = authority.to_string();
            prop_assert_eq!(written.parse(), Ok(authority));
            prop_assert!(!written.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
        if let Ok(host) = text.parse::<Host>() {
            prop_assert_eq!(host.to_string().parse(), Ok(host));
        }
    }
}
