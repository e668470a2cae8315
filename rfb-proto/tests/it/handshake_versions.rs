//! The machines and the version lines of their peers.

use rfb_proto::handshake::{ClientConfig, ServerConfig};
use rfb_proto::security::SecurityType;
use rfb_proto::{ClientInit, Policy, ProtocolVersion, Version};

use crate::pair::{V33, V38, client, server};
use crate::play::{Now, Outcome, server_init};

#[test]
fn versions_of_servers() {
    for (line, lenient, strict) in [
        ("003.003", Some("003"), Some("003")),
        ("003.004", Some("003"), None),
        ("003.006", Some("003"), None),
        ("003.007", Some("007"), Some("007")),
        ("003.008", Some("008"), Some("008")),
        ("003.014", Some("003"), None),
        ("003.016", Some("003"), None),
        ("003.889", Some("008"), None),
        ("004.000", Some("008"), None),
        ("004.001", Some("008"), None),
        ("005.000", Some("008"), None),
        ("002.000", None, None),
        ("003.002", None, None),
    ] {
        for (policy, expected) in [(Policy::Lenient, lenient), (Policy::Strict, strict)] {
            let mut client = client(ClientConfig::new(&[SecurityType::VNC]).with_policy(policy));
            client.feed(format!("RFB {line}\n").as_bytes());
            let answer = expected.map(|minor| format!("RFB 003.{minor}\n")).unwrap_or_default();
            assert_eq!(client.sent, answer.as_bytes(), "{line} {policy:?}");
            assert_eq!(matches!(client.now, Now::Failed(_)), expected.is_none());
        }
    }
    // And one that wants no more than it says.
    let mut client = client(ClientConfig::new(&[SecurityType::VNC]).with_version(Version::V3_3));
    client.feed(V38);
    assert_eq!(client.sent, V33);
}

#[test]
fn versions_of_clients() {
    // The server's answer begins with a list (3.7 and 3.8), the type VNC as a word (3.3), or a refusal.
    for (greeting, line, lenient, strict) in [
        (Version::V3_8, "003.003", Some(Version::V3_3), Some(Version::V3_3)),
        (Version::V3_8, "003.005", Some(Version::V3_3), None),
        (Version::V3_8, "003.006", Some(Version::V3_3), None),
        (Version::V3_8, "003.007", Some(Version::V3_7), Some(Version::V3_7)),
        (Version::V3_8, "003.889", Some(Version::V3_8), None),
        (Version::V3_8, "004.000", None, None),
        (Version::V3_8, "002.000", None, None),
        (Version::V3_7, "003.008", None, None),
        (Version::V3_3, "003.008", None, None),
        (Version::V3_3, "003.003", Some(Version::V3_3), Some(Version::V3_3)),
    ] {
        for (policy, expected) in [(Policy::Lenient, lenient), (Policy::Strict, strict)] {
            let config = ServerConfig::new(&[SecurityType::VNC])
                .with_version(greeting)
                .with_policy(policy);
            let mut server = server(config);
            server.feed(format!("RFB {line}\n").as_bytes());
            let told = &server.sent[12..];
            match (expected, greeting) {
                (Some(Version::V3_3), _) => assert_eq!(told[..4], [0, 0, 0, 2], "{line}"),
                (Some(_), _) => assert_eq!(told, [1, 2], "{line}"),
                (None, Version::V3_3) => assert_eq!(told[..7], [0; 7], "{line}"),
                (None, _) => assert_eq!(told[..4], [0; 4], "{line}"),
            }
            assert_eq!(matches!(server.now, Now::Failed(_)), expected.is_none(), "{line}");
        }
    }
}

/// macOS clients that answer 3.889 and choose None expect no result and send no ClientInit.
#[test]
fn the_quirk_of_macos_is_for_none_alone() {
    for (types, line, apple, sent) in [
        (SecurityType::NONE, "003.889", true, server_init().encoded_len()),
        (SecurityType::NONE, "003.889", false, 4),
        (SecurityType::NONE, "003.008", true, 4),
        (SecurityType::VNC, "003.889", true, 16),
    ] {
        let mut server = server(ServerConfig::new(&[types]).with_apple(apple));
        server.feed(format!("RFB {line}\n").as_bytes());
        server.feed(&[types.0]);
        assert_eq!(server.sent.len() - 14, sent, "{types} {line} {apple}");
        if let Now::Done(Outcome::Server(outcome)) = &server.now {
            assert_eq!(outcome.init, Some(ClientInit::SHARED));
            assert_eq!(outcome.client_version, ProtocolVersion::APPLE);
        }
    }
}
