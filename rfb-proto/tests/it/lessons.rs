//! What went wrong in other programs.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, HandshakeError, Machine, Misbehaviour, Misuse, ServerConfig, ServerHandshake,
    TlsKind, TlsRole,
};
use rfb_proto::message::pseudo::Pseudo;
use rfb_proto::message::{
    Bell, ClientMessage, Extensions, FenceFlags, ServerCutText, ServerFence, ServerMessage, SetEncodings,
    SetPixelFormat,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::{DecodeErrorKind, Limits, PixelFormat, Policy};

use crate::pair::{V38, anything, client, connect, everything, server};
use crate::play::{NOW, Now, Player, Role};

/// CVE-2006-2369 (RealVNC), CVE-2006-2450 (LibVNCServer), CVE-2024-42458 (neatvnc): the client says None, which was
/// not offered, and is let in.
#[test]
fn cve_2006_2369_choice_not_offered() {
    for number in (0..=255_u8).filter(|&number| number != 2) {
        for (version, told) in [(V38, 4 + 4 + 34), (b"RFB 003.007\n", 4)] {
            let mut server = server(ServerConfig::new(&[SecurityType::VNC]));
            server.feed(version);
            server.feed(&[number, 0, 0, 0, 0]);
            let error = HandshakeError::PeerMisbehaved(Misbehaviour::TypeNotOffered(SecurityType(number)));
            assert_eq!(server.now, Now::Failed(error));
            assert_eq!(server.sent[14..18], [0, 0, 0, 1], "a failed result");
            assert_eq!(server.sent.len() - 14, told);
        }
    }
    // The same inside VeNCrypt, in the second list of TLS, and in the lists of Tight.
    for subtype in (0..300).filter(|&subtype| subtype != 262) {
        let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_PLAIN]);
        let mut server = server(config);
        server.feed(b"RFB 003.008\n\x13\x00\x02");
        server.feed(&u32::to_be_bytes(subtype));
        let error = HandshakeError::PeerMisbehaved(Misbehaviour::SubtypeNotOffered(Subtype(subtype)));
        assert_eq!(server.now, Now::Failed(error));
        assert_eq!(server.sent.last(), Some(&0));
    }
    for number in (0..=255).filter(|&number| number != 2) {
        let mut server = server(ServerConfig::new(&[SecurityType::TLS]).with_tls_types(&[SecurityType::VNC]));
        server.feed(b"RFB 003.008\n\x12");
        server.tls_is_up();
        server.feed(&[number]);
        let error = HandshakeError::PeerMisbehaved(Misbehaviour::TypeNotOffered(SecurityType(number)));
        assert_eq!(server.now, Now::Failed(error));
    }
}

/// CVE-2011-0011 (QEMU): an empty password turned authentication off. Here it is a password as any other, and the
/// caller is asked about it.
#[test]
fn cve_2011_0011_an_empty_password_is_a_password() {
    let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::PLAIN]);
    let mut machine = ServerHandshake::new(NOW, config);
    let mut buffers = Buffers::default();
    buffers
        .rx
        .extend_from_slice(b"RFB 003.008\n\x13\x00\x02\0\0\x01\0\0\0\0\0\0\0\0\0");
    let Ok(Action::Ask(ServerQuestion::Admit(ClientCredentials::Plain(shown)))) = machine.step(NOW, &mut buffers)
    else {
        panic!();
    };
    assert_eq!((&shown.user[..], shown.password.expose()), (&b""[..], &b""[..]));
    // And a server that has no type to offer lets no client in, in Tight as well.
    let mut server = server(ServerConfig::new(&[
        SecurityType::TIGHT,
        SecurityType::VENCRYPT,
        SecurityType::TLS,
    ]));
    server.feed(V38);
    assert_eq!(server.sent[12..], [0], "an empty list");
}

/// CVE-2013-5745 (vino): requests of a client that was still to authenticate made an endless loop. CVE-2016-10207
/// (TigerVNC): the end of a stream in the TLS handshake. In every state a step makes progress or says what it needs,
/// and the end of the stream and more bytes than are due do no harm.
#[test]
fn cve_2013_5745_and_2016_10207_the_end_and_more_bytes_in_every_state() {
    let mut stages = BTreeSet::new();
    let mut look = |mut player: Player, extra: &[u8]| {
        let stage = match &player.role {
            Role::Client(machine) => machine.stage(),
            Role::Server(machine) => machine.stage(),
        };
        stages.insert(format!("{stage:?}"));
        player.feed(extra);
        let ended = matches!(player.now, Now::Failed(_) | Now::Done(_));
        player.eof();
        assert!(
            ended || matches!(player.now, Now::Failed(_)),
            "{stage}: {:?}",
            player.now
        );
        let before = player.now.clone();
        player.feed(&[0; 100]);
        assert_eq!(player.now, before, "the end is the end");
        let step = match &mut player.role {
            Role::Client(machine) => machine.step(NOW, &mut player.buffers).map(drop),
            Role::Server(machine) => machine.step(NOW, &mut player.buffers).map(drop),
        };
        match before {
            Now::Failed(error) => assert_eq!(step, Err(error)),
            _ => assert_eq!(step, Err(HandshakeError::Misuse(Misuse::Ended))),
        }
    };
    let floods = [&[][..], &[0; 5000], &[0xff; 5000], &[1; 5000]];
    let ways = [
        (1, 0, 1),
        (2, 0, 1),
        (20, 0, 1),
        (16, 0, 2),
        (18, 0, 2),
        (19, 261, 1),
        (19, 262, 1),
        (19, 267, 1),
        (19, 263, 1),
    ];
    for (first, subtype, inner) in ways {
        let wanted = || anything(SecurityType(first), Subtype(subtype), SecurityType(inner));
        let (mut whole_server, mut whole_client) = (server(everything()), client(wanted()));
        connect(&mut whole_server, &mut whole_client, 1);
        let (down, up) = (whole_server.sent, whole_client.sent);
        for flood in floods {
            // Both, each cut at every byte; TLS is up at once where it is asked for.
            for (stream, is_server) in [(&up, true), (&down, false)] {
                for end in 0..stream.len() {
                    for tls_is_up in [true, false] {
                        let mut player = if is_server {
                            server(everything())
                        } else {
                            client(wanted())
                        };
                        for byte in &stream[..end] {
                            if tls_is_up && matches!(player.now, Now::Tls(_)) {
                                player.tls_is_up();
                            }
                            player.feed(&[*byte]);
                        }
                        look(player, flood);
                    }
                }
            }
        }
    }
    // Questions are answered at once, and a reason is not due in these.
    let expected = [
        "ClientInit",
        "Credentials",
        "Sasl",
        "SecurityChoice",
        "SecurityResult",
        "SecurityTypes",
        "ServerInit",
        "Tight",
        "Tls",
        "VeNCrypt",
        "Version",
        "Vnc",
    ];
    for stage in expected {
        assert!(stages.contains(stage), "{stage} was not reached: {stages:?}");
    }
}

/// neatvnc PR 151, CVE-2023-3354 (QEMU): a connection that had failed was gone on with. An error is the end.
#[test]
fn cve_2023_3354_an_error_is_the_end() {
    let mut server = server(ServerConfig::new(&[SecurityType::VNC]));
    server.feed(b"RFB 003.008\n\x4d");
    let (now, sent) = (server.now.clone(), server.sent.clone());
    server.feed(b"\x02");
    server.run();
    server.eof();
    assert_eq!((server.now, server.sent), (now, sent), "nothing more is said");
}

/// LibVNC issue 247 (CVE-2018-20748 and others): a length of 0xffffffff, to which 1 was added. CVE-2008-0610: signed
/// lengths. Nothing is allocated for a length, whatever it says, and limits are held before the bytes are there.
#[test]
fn cve_2018_20748_lengths_are_held_against_their_limits_first() {
    let limit = |error: &HandshakeError| match error {
        HandshakeError::Decode(error) => match error.kind {
            DecodeErrorKind::TooLarge { limit, .. } => (error.field, limit),
            _ => panic!("{error}"),
        },
        other => panic!("{other}"),
    };
    let limits = Limits::default();
    // The servers' lengths.
    let to_server_init =
        b"RFB 003.008\n\x01\x01\0\0\0\0\x02\x80\x01\xe0\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0";
    for (types, prefix, field, limit_is) in [
        (20, &b"RFB 003.008\n\x01\x14"[..], "length", limits.sasl_mechanisms),
        (20, b"RFB 003.008\n\x01\x14\0\0\0\x05PLAIN", "length", limits.sasl_data),
        (16, b"RFB 003.008\n\x01\x10", "count", limits.tight_capabilities),
        (16, b"RFB 003.008\n\x01\x10\0\0\0\0", "count", limits.tight_capabilities),
        (1, to_server_init, "name_length", limits.name),
    ] {
        for value in [limit_is, limit_is + 1, i32::MAX as u32, u32::MAX] {
            let mut player = client(anything(SecurityType(types), Subtype::PLAIN, SecurityType::VNC));
            player.feed(prefix);
            let allocated = allocation_counter::measure(|| player.feed(&value.to_be_bytes()));
            assert!(
                allocated.bytes_max < 2000,
                "{types} {field} {value}: {}",
                allocated.bytes_max
            );
            match &player.now {
                Now::Needs(_) => assert_eq!(value, limit_is),
                Now::Failed(error) => assert_eq!(limit(error), (field, limit_is.into()), "{value}"),
                other => panic!("{other:?}"),
            }
        }
    }
    // The clients'.
    for (prefix, after, field, limit_is) in [
        (
            &b"RFB 003.008\n\x13\0\x02\0\0\x01\0"[..],
            &[][..],
            "user_length",
            limits.user,
        ),
        (
            b"RFB 003.008\n\x13\0\x02\0\0\x01\0\0\0\0\0",
            &[],
            "password_length",
            limits.password,
        ),
        (b"RFB 003.008\n\x13\0\x02\0\0\x01\x09", &[], "length", limits.user),
        (b"RFB 003.008\n\x14", &[], "length", limits.sasl_mechanism),
        (b"RFB 003.008\n\x14\0\0\0\x05PLAIN", &[], "length", limits.sasl_data),
    ] {
        for value in [limit_is, limit_is + 1, i32::MAX as u32, u32::MAX] {
            let mut player = server(everything());
            player.feed(prefix);
            let bytes = [&value.to_be_bytes()[..], after].concat();
            let allocated = allocation_counter::measure(|| player.feed(&bytes));
            assert!(allocated.bytes_max < 2000, "{field} {value}: {}", allocated.bytes_max);
            match &player.now {
                Now::Needs(_) => assert_eq!(value, limit_is),
                Now::Failed(error) => assert_eq!(limit(error), (field, limit_is.into()), "{value}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// CVE-2018-20023, CVE-2019-15681 (LibVNC): memory that was never written went out, in a repeater's 250 bytes and in
/// padding. The bytes of each message are those of the scripts; the 250 are zero behind the text.
#[test]
fn cve_2018_20023_what_is_sent_was_written() {
    let mut client = client(ClientConfig::default().with_repeater(b"ID:7"));
    client.feed(b"RFB 000.000\n");
    assert_eq!(client.sent, [&b"ID:7"[..], &[0; 246]].concat());
}

/// The STARTTLS injections: what stands behind the last byte in clear text is never read as part of what is inside.
#[test]
fn bytes_in_front_of_tls_are_not_read_as_what_is_inside() {
    let config = || ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]);
    let mut client = client(config());
    client.feed(b"RFB 003.008\n\x01\x13\0\x02\0\x01\0\0\x01\x04\x01\0\0\0\0");
    assert_eq!(
        client.now,
        Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::BytesBeforeTls))
    );
    let mut client = self::client(ClientConfig::new(&[SecurityType::TLS]).with_tls_types(&[SecurityType::NONE]));
    client.feed(b"RFB 003.008\n\x01\x12\x01");
    assert_eq!(
        client.now,
        Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::BytesBeforeTls))
    );
    // A client may send its hello at once: it is left, whatever it is.
    let mut server = server(everything());
    server.feed(b"RFB 003.008\n\x13\0\x02\0\0\x01\x04\x16\x03\x01");
    assert!(matches!(server.now, Now::Tls(_)));
    assert_eq!(server.tls_is_up(), [0x16, 3, 1]);
    assert_eq!(server.now, Now::Needs(1));
}

/// CVE-2020-26117 (TigerVNC): the verifier of a certificate has to know the name that it must be for.
#[test]
fn cve_2020_26117_the_name_goes_with_the_request_for_tls() {
    let config = ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]);
    let mut client = client(config.with_server_name("host.example"));
    client.feed(b"RFB 003.008\n\x01\x13\0\x02\0\x01\0\0\x01\x04\x01");
    let Now::Tls(tls) = &client.now else { panic!() };
    assert_eq!(tls.server_name.as_deref(), Some("host.example"));
    assert_eq!((tls.role, tls.kind), (TlsRole::Client, TlsKind::X509));
}

/// CVE-2019-15683 (TurboVNC): the payload of a fence was copied into 64 bytes, whatever its length said. A longer one
/// is read, so that the stream goes on, and not answered.
#[test]
fn cve_2019_15683_a_fence_longer_than_64_bytes_is_skipped() {
    for len in [0, 1, 64, 65, 255] {
        let fence = ServerFence::new(FenceFlags(0x8000_0007), vec![7; len].into());
        let mut stream = BytesMut::new();
        fence.encode(&mut stream).unwrap();
        stream.extend_from_slice(&[2]);
        let (extensions, limits) = (Extensions::ALL, Limits::default());
        let read = ServerMessage::take(&mut stream, &extensions, &limits).unwrap();
        assert_eq!(read, Some(fence.clone().into()));
        assert_eq!(
            ServerMessage::take(&mut stream, &extensions, &limits),
            Ok(Some(Bell {}.into()))
        );
        let answer = fence.answer();
        assert_eq!(answer.is_some(), len <= 64);
        if let Some(answer) = answer {
            assert_eq!((answer.flags, answer.payload.len()), (FenceFlags(7), len));
            assert_eq!(answer.answer(), None, "an answer is not answered");
        }
        // A flag that is not known is not sent back.
        let strange = ServerFence::new(FenceFlags(0xc000_0008), Bytes::new())
            .answer()
            .unwrap();
        assert_eq!(strange.flags, FenceFlags(0));
    }
}

/// CVE-2018-7225 (LibVNC), CVE-2015-5239 (QEMU): the length of a cut text was believed, and looped over.
/// CVE-2022-3165 (QEMU): 4 was taken from the length of an extended clipboard that has less.
#[test]
fn cve_2018_7225_and_2022_3165_cut_texts_have_a_largest_and_a_smallest_length() {
    let limits = Limits::default();
    for (length, is_fine) in [
        (0_i32, true),
        (1 << 20, true),
        ((1 << 20) + 1, false),
        (i32::MAX, false),
        (-1, false),
        (-3, false),
        (-4, true),
        (-(1 << 20), true),
        (-(1 << 20) - 1, false),
        (i32::MIN, false),
    ] {
        for number in [6, 3] {
            let bytes = [&[number, 0, 0, 0][..], &length.to_be_bytes()].concat();
            let mut missing = None;
            let allocated = allocation_counter::measure(|| {
                missing = Some(match number {
                    6 => ClientMessage::missing(&bytes, &Extensions::ALL, &limits),
                    _ => ServerMessage::missing(&bytes, &Extensions::ALL, &limits),
                });
            });
            assert_eq!(allocated.bytes_max, 0);
            match missing.unwrap() {
                Ok(missing) => assert_eq!((missing, is_fine), (length.unsigned_abs() as usize, true)),
                Err(error) => assert_eq!((error.field, error.offset, is_fine), ("length", 4, false)),
            }
        }
    }
}

/// CVE-2019-15681 (LibVNC): the padding of a cut text was what lay on the stack. Ours is zero, unless a peer's message
/// is passed on as it came.
#[test]
fn cve_2019_15681_padding_is_zero() {
    let mut bytes = BytesMut::new();
    ServerCutText::new(Bytes::new()).encode(&mut bytes).unwrap();
    ServerFence::new(FenceFlags(0), Bytes::new())
        .encode(&mut bytes)
        .unwrap();
    SetEncodings::new(&[]).encode(&mut bytes).unwrap();
    assert_eq!(bytes, b"\x03\0\0\0\0\0\0\0\xf8\0\0\0\0\0\0\0\0\x02\0\0\0"[..]);
}

/// CVE-2019-15690, CVE-2019-20788 (LibVNC): width times height of a cursor in 32 bits.
#[test]
fn cve_2019_15690_sizes_of_cursors_do_not_wrap() {
    let format = PixelFormat::RGB888;
    for encoding in [Encoding::CURSOR, Encoding::X_CURSOR, Encoding::VMWARE_CURSOR] {
        for (width, height) in [(0xffff, 0xffff), (0x8000, 0x8000), (0x4000, 0x10), (0xffff, 1)] {
            let head = Rectangle {
                x: 0,
                y: 0,
                width,
                height,
                encoding,
            };
            let payload = Bytes::from_static(&[0; 16]);
            let mut result = None;
            let allocated = allocation_counter::measure(|| {
                result = Some(Pseudo::decode(&head, &payload, &format, &Limits::default()));
            });
            assert!(result.unwrap().is_err(), "{width}x{height}");
            assert_eq!(allocated.bytes_max, 0);
        }
    }
}

/// CVE-2014-7815, CVE-2015-8504 (QEMU): any number of bits, and maxima of zero, in a client's format.
#[test]
fn cve_2014_7815_formats_of_clients_are_looked_at() {
    let set = |format: PixelFormat| {
        let mut bytes = BytesMut::new();
        SetPixelFormat::new(format).encode(&mut bytes).unwrap();
        match ClientMessage::decode_slice(&bytes, &Extensions::NONE, &Limits::default()) {
            Ok(ClientMessage::SetPixelFormat(set)) => set.format,
            other => panic!("{other:?}"),
        }
    };
    for bits_per_pixel in (0..=255).filter(|bits| ![8, 16, 32].contains(bits)) {
        let format = set(PixelFormat {
            bits_per_pixel,
            ..PixelFormat::RGB888
        });
        assert!(format.bytes_per_pixel().is_err() && format.validate(Policy::Lenient).is_err());
    }
    let format = set(PixelFormat {
        red_max: 0,
        ..PixelFormat::RGB888
    });
    assert!(format.validate(Policy::Lenient).is_err());
    assert_eq!(format.rgb(&[1, 2, 3, 4]), None);
}
