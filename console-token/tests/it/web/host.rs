//! Hosts, ports and ranges of addresses.

use console_token::web::{Authority, Host, HostError, Network, NetworkError};
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
        assert_eq!(text.parse::<Host>(), Err(HostError), "{text:?}");
        assert_eq!(text.parse::<Authority>(), Err(HostError), "{text:?}");
        assert_eq!(format!("{text}:80").parse::<Authority>(), Err(HostError), "{text:?}");
    }
    for dot in ["\u{3002}", "\u{ff0e}", "\u{ff61}"] {
        assert_eq!(format!("127{dot}0{dot}0{dot}1").parse::<Host>(), Err(HostError));
    }
    assert_eq!("\u{2460}27.0.0.1".parse::<Host>(), Err(HostError));
}

#[test]
fn lengths_of_names() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", &label[..61]);
    assert_eq!(longest.len(), 253);
    for name in [&label, &longest] {
        assert!(name.parse::<Host>().is_ok());
        assert_eq!(format!("{name}a").parse::<Host>(), Err(HostError));
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
                Err(HostError),
                "{text}:{port}"
            );
        }
    }
    // Without brackets it cannot be told where the port begins.
    for text in ["::1", "2001:db8::7:80", "fe80::1", "::ffff:192.0.2.7:80"] {
        assert_eq!(text.parse::<Authority>(), Err(HostError), "{text}");
    }
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
