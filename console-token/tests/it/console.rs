//! The names of consoles.

use console_token::{AccessPath, ConsoleType, Protocol, Target, UnknownConsole};

/// The pairs that Nova's API accepts or once accepted.
const PAIRS: [(&str, &str, ConsoleType, Protocol); 7] = [
    ("vnc", "novnc", ConsoleType::NoVnc, Protocol::Vnc),
    ("vnc", "xvpvnc", ConsoleType::XvpVnc, Protocol::Vnc),
    ("spice", "spice-html5", ConsoleType::SpiceHtml5, Protocol::Spice),
    ("spice", "spice-direct", ConsoleType::SpiceDirect, Protocol::Spice),
    ("rdp", "rdp-html5", ConsoleType::RdpHtml5, Protocol::Rdp),
    ("serial", "serial", ConsoleType::Serial, Protocol::Serial),
    ("mks", "webmks", ConsoleType::WebMks, Protocol::Mks),
];

#[test]
fn names_both_ways() {
    for (protocol_text, type_text, console, protocol) in PAIRS {
        assert_eq!(type_text.parse(), Ok(console));
        assert_eq!(console.as_str(), type_text);
        assert_eq!(console.to_string(), type_text);
        assert_eq!(console.protocol(), protocol);
        assert_eq!(protocol_text.parse(), Ok(protocol));
        assert_eq!(protocol.as_str(), protocol_text);
        assert_eq!(protocol.to_string(), protocol_text);
    }
}

#[test]
fn only_the_listed_pairs() {
    for (protocol, ..) in PAIRS {
        for (own, console_type, console, _) in PAIRS {
            let expected = if protocol == own {
                Ok(console)
            } else {
                Err(UnknownConsole)
            };
            assert_eq!(ConsoleType::from_pair(protocol, console_type), expected);
        }
    }
}

#[test]
fn unknown_names() {
    for text in ["", "NoVNC", "novnc ", "vnc", "spice", "console"] {
        assert_eq!(text.parse::<ConsoleType>(), Err(UnknownConsole), "{text:?}");
    }
    for text in ["", "VNC", "vnc ", "novnc", "ssh"] {
        assert_eq!(text.parse::<Protocol>(), Err(UnknownConsole), "{text:?}");
    }
}

/// A shared endpoint's path may be a ticket: a target in a log shows nothing of it.
#[test]
fn an_access_path_is_opaque() {
    let text = r#"{"ticket": "52b5ae81", "n": "\u00e9"} \r\n"#;
    let target = Target::Internal {
        host: "esx1.example".into(),
        port: 902,
        path: AccessPath::new(text),
    };
    assert_eq!(
        format!("{target:?}"),
        r#"Internal { host: "esx1.example", port: 902, path: AccessPath(redacted) }"#
    );
    let Target::Internal { path, .. } = target.clone() else {
        unreachable!()
    };
    assert_eq!(path.expose(), text);
    assert_eq!(path, AccessPath::new(text));
    assert_ne!(path, AccessPath::new(""));
    #[cfg(feature = "serde")]
    {
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<AccessPath>(&json).unwrap(), path);
    }
}
