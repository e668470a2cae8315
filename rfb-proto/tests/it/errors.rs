//! The texts of all errors.

use core::error::Error;
use core::fmt::Debug;

use bytes::BytesMut;
use expect_test::{Expect, expect};
use rfb_proto::handshake::{ClientConfig, ServerConfig};
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::{Reason, SecurityChoice, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{Limits, Policy, ProtocolVersion, Version};

use crate::pair::{client, everything, server};
use crate::play::{Now, Player};

fn check<T: Debug>(result: Result<T, impl Error>, expected: Expect) {
    expected.assert_eq(&result.unwrap_err().to_string());
}

#[test]
fn version_lines() {
    let read = |line: &[u8; 12]| ProtocolVersion::from_bytes(line);
    check(
        read(b"HTTP/1.1 400"),
        expect!["ProtocolVersion.signature at byte 0: `RFB ` expected"],
    );
    check(
        read(b"RFB x03.008\n"),
        expect!["ProtocolVersion.major at byte 4: three decimal digits expected"],
    );
    check(
        read(b"RFB 003 008\n"),
        expect!["ProtocolVersion.point at byte 7: a point expected"],
    );
    check(
        read(b"RFB 003.0x8\n"),
        expect!["ProtocolVersion.minor at byte 8: three decimal digits expected"],
    );
    check(
        read(b"RFB 003.0081"),
        expect!["ProtocolVersion.end at byte 11: a line feed expected"],
    );
    check(
        ProtocolVersion::missing(b"SSH"),
        expect!["ProtocolVersion.signature at byte 0: `RFB ` expected"],
    );
}

#[test]
fn versions() {
    let version = |major, minor| ProtocolVersion { major, minor };
    check(
        version(2, 0).as_greeting(Policy::Lenient),
        expect!["version 2.0 is not supported"],
    );
    check(
        version(3, 889).as_greeting(Policy::Strict),
        expect!["version 3.889 is not supported"],
    );
    check(
        version(4, 0).as_answer(Version::V3_8, Policy::Lenient),
        expect!["version 4.0 is not supported"],
    );
    check(
        version(3, 8).as_answer(Version::V3_3, Policy::Lenient),
        expect!["version 3.8 is above the offered 3.3"],
    );
    check(
        version(1000, 0).to_bytes(),
        expect!["ProtocolVersion.major: 1000 does not fit its wire field (largest: 999)"],
    );
    check(
        version(0, 65535).to_bytes(),
        expect!["ProtocolVersion.minor: 65535 does not fit its wire field (largest: 999)"],
    );
}

#[test]
fn messages() {
    let limits = Limits::default();
    check(
        SecurityTypes::decode_slice(&[], &limits),
        expect!["SecurityTypes.count at byte 0: truncated: needs 1 bytes, 0 left"],
    );
    check(
        SecurityTypes::decode_slice(&[3, 1, 2], &limits),
        expect!["SecurityTypes.types at byte 1: truncated: needs 3 bytes, 2 left"],
    );
    check(
        SecurityChoice::decode_slice(&[], &limits),
        expect!["SecurityChoice.security_type at byte 0: truncated: needs 1 bytes, 0 left"],
    );
    check(
        SecurityTypeWord::decode_slice(&[0, 0, 1], &limits),
        expect!["SecurityTypeWord.number at byte 0: truncated: needs 4 bytes, 3 left"],
    );
    check(
        Reason::decode_slice(&[0, 0], &limits),
        expect!["Reason.length at byte 0: truncated: needs 4 bytes, 2 left"],
    );
    check(
        Reason::decode_slice(&[0, 0, 0, 3, b'n', b'o'], &limits),
        expect!["Reason.text at byte 4: truncated: needs 3 bytes, 2 left"],
    );
    check(
        Reason::decode_slice(&[0, 0, 0x10, 1], &limits),
        expect!["Reason.length at byte 0: 4097 is above the limit of 4096"],
    );
    check(
        Reason::missing(&[0xff; 4], &limits),
        expect!["Reason.length at byte 0: 4294967295 is above the limit of 4096"],
    );
    let types = vec![SecurityType::NONE; 300];
    check(
        SecurityTypes { types }.encode(&mut BytesMut::new()),
        expect!["SecurityTypes.count: 300 does not fit its wire field (largest: 255)"],
    );
}

#[test]
fn choices() {
    let offer = SecurityTypes::from(&[SecurityType::VNC][..]);
    let choice = |number| SecurityChoice {
        security_type: SecurityType(number),
    };
    check(
        offer.check(choice(1)),
        expect!["security type None (1) was not offered"],
    );
    check(offer.check(choice(77)), expect!["security type 77 was not offered"]);
}

#[test]
fn ids() {
    let expected = expect!["[SecurityType::VENCRYPT, SecurityType(77)] VeNCrypt (19) 77"];
    let types = [SecurityType::VENCRYPT, SecurityType(77)];
    expected.assert_eq(&format!("{types:?} {} {}", types[0], types[1]));
    let expected = expect!["UltraVNC MSLogon (4294967290), 258, VNC Authentication (2)"];
    let words = [
        SecurityTypeWord::MS_LOGON,
        SecurityTypeWord { number: 258 },
        SecurityType::VNC.into(),
    ];
    expected.assert_eq(&words.map(|word| word.to_string()).join(", "));
}

/// Of the machines.
#[test]
fn handshake_errors() {
    let mut texts = String::new();
    let mut say = |player: &Player| {
        let Now::Failed(error) = &player.now else {
            panic!("{:?}", player.now)
        };
        texts.push_str(&error.to_string());
        texts.push('\n');
    };
    let mut player = client(ClientConfig::default());
    player.feed(b"HTTP/1.1 400");
    say(&player);
    let mut player = client(ClientConfig::default());
    player.feed(b"RFB 003.003\n\0\0\0\x13");
    say(&player);
    let mut player = client(ClientConfig::default());
    player.feed(b"RFB 003.008\n\0\0\0\0\x13Too many connections\n");
    say(&player);
    let mut player = client(ClientConfig::default());
    player.feed(b"RFB 003.008\n\0\0\x10\0\0");
    say(&player);
    let mut player = client(ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]));
    player.feed(b"RFB 003.008\n\x01\x13\0\x02\0\x02\0\0\x01\x02\0\0\x02\0");
    say(&player);
    let mut player = client(ClientConfig::new(&[SecurityType::VNC]));
    player.feed(b"RFB 003.008\n\x01\x02sixteen  random!\0\0\0\x01\0\0\0\x16Authentication failed\0");
    say(&player);
    let mut player = client(ClientConfig::new(&[SecurityType::NONE]));
    player.feed(b"RFB 003.008\n\x01\x01\0\0\0\x07");
    say(&player);
    let mut player = server(ServerConfig::new(&[SecurityType::VNC]));
    player.feed(b"RFB 003.008\n\x01");
    say(&player);
    let mut player = server(everything());
    player.feed(b"RFB 003.008\n\x13\0\x01");
    say(&player);
    let mut player = server(everything());
    player.feed(b"RFB 002.000\n");
    say(&player);
    let mut player = server(everything());
    player.feed(b"RFB 003.008\n\x13\0\x02\0\0\x01\0\0\0\x04\x01");
    say(&player);
    let mut player = server(everything());
    player.eof();
    say(&player);
    expect![[r#"
        ProtocolVersion.signature at byte 0: `RFB ` expected
        peer misbehaved: security type VeNCrypt (19) is not one of 3.3
        connection refused: Too many connection
        connection refused, with a reason of 1048576 bytes
        peer incompatible: no common VeNCrypt subtype; offered: TLSVnc (258), 512
        authentication failed: Authentication failed
        peer misbehaved: security result 7
        peer misbehaved: security type None (1) was not offered
        peer incompatible: VeNCrypt 0.1
        peer incompatible: version 2.0 is not supported
        Credentials.user_length at byte 0: 1025 is above the limit of 1024
        closed by the peer while waiting for the version line
    "#]]
    .assert_eq(&texts);
}
