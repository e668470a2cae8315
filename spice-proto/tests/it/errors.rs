//! What errors say: names, reasons, and nothing twice.

use std::error::Error;

use expect_test::expect;
use spice_proto::agent::{ConversationError, TokenError};
use spice_proto::caps::CapabilitySet;
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::relay::RelayError;
use spice_proto::link::ticket::TicketError;
use spice_proto::link::{
    FirstBytes, HandshakeError, Incompatibility, Misbehaviour, Misuse, Protocol, Refusal, Side, Stage,
};
use spice_proto::session::relay::End;
use spice_proto::{CryptoError, DecodeError, DecodeErrorKind, EncodeError};

fn decode(kind: DecodeErrorKind) -> DecodeError {
    DecodeError {
        message: "LinkHeader",
        field: "size",
        offset: 12,
        kind,
    }
}

/// Every way in which a link fails.
fn handshakes() -> Vec<HandshakeError> {
    let kinds = [
        DecodeErrorKind::Truncated { needed: 4, left: 2 },
        DecodeErrorKind::TooLarge { value: 5, limit: 4 },
        DecodeErrorKind::TooSmall { value: 3, minimum: 4 },
        DecodeErrorKind::OutOfBounds { value: 9, len: 8 },
        DecodeErrorKind::OtherProtocol(FirstBytes::of(b"HEAD")),
        DecodeErrorKind::Invalid("expected 0 or 1"),
    ];
    let mut all: Vec<_> = kinds.map(|kind| HandshakeError::Decode(decode(kind))).to_vec();
    let incompatible = [
        Incompatibility::Version { major: 3, minor: 0 },
        Incompatibility::NoTickets,
        Incompatibility::NoMechanism,
        Incompatibility::WebSocket,
        Incompatibility::MissingCapability {
            set: CapabilitySet::Common,
            bit: 3,
        },
    ];
    all.extend(incompatible.map(HandshakeError::PeerIncompatible));
    let misbehaved = [
        Misbehaviour::MechanismNotOffered(7),
        Misbehaviour::SaslMechanismNotOffered,
        Misbehaviour::SecondReply,
    ];
    all.extend(misbehaved.map(HandshakeError::PeerMisbehaved));
    let misused = [
        Misuse::NotAsked,
        Misuse::NotOffered,
        Misuse::TooLong,
        Misuse::NotComplete,
        Misuse::RefusalSaysOk,
        Misuse::Ended,
    ];
    all.extend(misused.map(HandshakeError::Misuse));
    all.extend([
        HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED),
        HandshakeError::Refused(Refusal::Code(LinkErrorCode::NEED_SECURED)),
        HandshakeError::Refused(Refusal::Close),
        HandshakeError::TimedOut(Stage::Ticket),
        HandshakeError::Closed(Stage::LinkReply),
        HandshakeError::Crypto(CryptoError),
    ]);
    all
}

/// One of every error of the crate that holds another, and of every one that has no other.
fn all() -> Vec<Box<dyn Error>> {
    let mut all: Vec<Box<dyn Error>> = Vec::new();
    for error in handshakes() {
        let side = Side::Hypervisor;
        all.push(Box::new(error));
        all.push(Box::new(RelayError { side, error }));
        all.push(Box::new(End::Link(RelayError { side, error })));
        #[cfg(feature = "tokio")]
        {
            all.push(Box::new(spice_proto::DriveError::Protocol(error)));
            all.push(Box::new(spice_proto::DriveError::Protocol(RelayError { side, error })));
        }
    }
    let wrong = decode(DecodeErrorKind::Invalid("wrong"));
    let wide = EncodeError {
        message: "Header",
        field: "size",
        value: 1,
        limit: 0,
    };
    all.push(Box::new(wrong));
    all.push(Box::new(wide));
    all.push(Box::new(TicketError::Undecryptable));
    all.push(Box::new(ConversationError::Stream(wrong)));
    all.push(Box::new(ConversationError::Token(TokenError::NotStarted)));
    all.extend([End::Viewer, End::Session, End::Unreachable].map(|end| Box::new(end) as Box<dyn Error>));
    #[cfg(feature = "tokio")]
    {
        let io = || std::io::Error::other(wrong);
        all.push(Box::new(spice_proto::DriveError::<HandshakeError>::Io(io())));
        all.push(Box::new(spice_proto::codec::CodecError::Io(io())));
        all.push(Box::new(spice_proto::codec::CodecError::Decode(wrong)));
        all.push(Box::new(spice_proto::codec::CodecError::Encode(wide)));
    }
    #[cfg(feature = "rustls")]
    {
        use spice_proto::tls::{SubjectError, TlsError};
        all.push(Box::new(TlsError::Subject(SubjectError::UnknownKey { entry: 2 })));
        all.push(Box::new(TlsError::Rustls(rustls::Error::DecryptError)));
        all.push(Box::new(TlsError::BadName));
    }
    all
}

/// A program that prints an error and then its sources, as `anyhow` does, prints nothing twice.
#[test]
fn no_error_repeats_its_source() {
    for error in all() {
        let mut said = vec![error.to_string()];
        let mut source = error.source();
        while let Some(next) = source {
            let text = next.to_string();
            assert!(
                said.iter().all(|said| !said.contains(&text)),
                "{text:?} again, in {said:?}"
            );
            said.push(text);
            source = next.source();
        }
        let own = &said[0];
        let first = own.chars().next().unwrap();
        assert!(own.len() < 200 && !own.ends_with('.'), "{own}");
        assert!(!own.contains("Error(") && !own.contains("Err("), "{own}");
        // Lower case, but for names.
        let name = own.split([' ', ':']).next().unwrap();
        assert!(
            first.is_lowercase() || name.contains('.') || name.contains("TLS"),
            "{own}"
        );
    }
}

/// The text of a source is in the error, or the source is there to be asked: no reason is lost.
#[test]
fn no_reason_is_lost() {
    for error in handshakes() {
        let reason = error.to_string();
        let relayed = RelayError {
            side: Side::Tenant,
            error,
        };
        assert_eq!(relayed.to_string(), format!("tenant: {reason}"));
        assert_eq!(End::Link(relayed).to_string(), relayed.to_string());
        #[cfg(feature = "tokio")]
        assert_eq!(spice_proto::DriveError::Protocol(error).to_string(), reason);
    }
    #[cfg(feature = "tokio")]
    {
        let io = std::io::Error::other("cable cut");
        let error = spice_proto::DriveError::<HandshakeError>::from(io);
        assert_eq!(error.to_string(), "connection failed: cable cut");
    }
}

#[test]
fn capabilities_have_names() {
    let text = |set, bit| Incompatibility::MissingCapability { set, bit }.to_string();
    let common = |bit| text(CapabilitySet::Common, bit);
    let channel = |bit| text(CapabilitySet::Channel, bit);
    expect!["lacks capability 3 of the common set (MINI_HEADER)"].assert_eq(&common(3));
    expect!["lacks capability 31 of the common set"].assert_eq(&common(31));
    expect!["lacks capability 6 of the channel's set (display PREF_COMPRESSION)"].assert_eq(&channel(6));
    expect!["lacks capability 3 of the channel's set (main SEAMLESS_MIGRATE, display A8_SURFACE, playback OPUS)"]
        .assert_eq(&channel(3));
    assert_eq!(
        channel(0),
        "lacks capability 0 of the channel's set (main SEMI_SEAMLESS_MIGRATE, display SIZED_STREAM, inputs KEY_SCANCODE, \
        playback CELT_0_5_1, record CELT_0_5_1, usbredir DATA_COMPRESS_LZ4)"
    );
    expect!["lacks capability 40 of the channel's set"].assert_eq(&channel(40));
}

#[test]
fn refusals_say_what_was_told() {
    let text = |why| HandshakeError::Refused(why).to_string();
    expect!["refused (told PERMISSION_DENIED)"].assert_eq(&text(Refusal::Code(LinkErrorCode::PERMISSION_DENIED)));
    expect!["refused (told 77)"].assert_eq(&text(Refusal::Code(LinkErrorCode(77))));
    expect!["refused (told nothing)"].assert_eq(&text(Refusal::Close));
}

#[test]
fn first_bytes_name_a_protocol() {
    let known: [(&[u8], Option<Protocol>); 24] = [
        (&[0x16, 3, 1, 2, 0, 1], Some(Protocol::Tls)),
        (&[0x16, 3, 3], Some(Protocol::Tls)),
        (&[0x15, 3, 3, 0, 2, 2, 0x46], Some(Protocol::Tls)),
        (&[0x16], Some(Protocol::Tls)),
        (&[0x16, 1, 1], None),
        (b"RFB 003.008\n", Some(Protocol::Rfb)),
        (b"RF", Some(Protocol::Rfb)),
        (b"HTTP/1.1 400 Bad Request", Some(Protocol::Http)),
        (b"HEAD / HTTP/1.1", Some(Protocol::Http)),
        (b"POST /", Some(Protocol::Http)),
        (b"PUT /", Some(Protocol::Http)),
        (b"OPTIONS *", Some(Protocol::Http)),
        (b"CONNECT a:1", Some(Protocol::Http)),
        (b"PRI * HTTP/2.0", Some(Protocol::Http)),
        (b"PROXY TCP4 ", Some(Protocol::ProxyProtocol)),
        (b"PRO", Some(Protocol::ProxyProtocol)),
        (b"\r\n\r\n\0\r\nQUIT\n", Some(Protocol::ProxyProtocol)),
        (b"SSH-2.0-OpenSSH_9.2", Some(Protocol::Ssh)),
        (b"REDQ\x02\0\0\0", Some(Protocol::Spice)),
        // Of more than one, or of none.
        (b"P", None),
        (b"PR", None),
        (b"HELLO\r\n", None),
        (b"USER x", None),
        (b"", None),
    ];
    for (bytes, protocol) in known {
        assert_eq!(FirstBytes::of(bytes).protocol(), protocol, "{bytes:?}");
    }
    let text = |bytes: &[u8]| FirstBytes::of(bytes).to_string();
    expect!["15 03 03 00: TLS"].assert_eq(&text(&[0x15, 3, 3, 0, 2]));
    expect![[r#""HELL""#]].assert_eq(&text(b"HELLO secret"));
    expect![[r#""\r\n\r\n": the PROXY protocol of a load balancer"#]].assert_eq(&text(b"\r\n\r\n\0\r\nQUIT\n"));
    expect!["ff 00"].assert_eq(&text(&[0xff, 0]));
    expect![[r#"FirstBytes("POST": HTTP)"#]].assert_eq(&format!("{:?}", FirstBytes::of(b"POST /password")));
}

/// However a stream is cut, its first bytes are equal to themselves; those that leave SPICE otherwise are not.
#[test]
fn first_bytes_are_equal_in_any_chunking() {
    for bytes in [&b"RFB 003.008\n"[..], &[0x16, 3, 1, 2], b"HEAD", b"REDX"] {
        let differs = bytes
            .iter()
            .zip(b"REDQ")
            .take_while(|(one, other)| one == other)
            .count()
            + 1;
        for end in differs..=bytes.len() {
            assert_eq!(FirstBytes::of(&bytes[..end]), FirstBytes::of(bytes));
        }
        for end in 0..differs {
            assert_ne!(FirstBytes::of(&bytes[..end]), FirstBytes::of(bytes));
        }
    }
    assert_ne!(FirstBytes::of(b"RFB "), FirstBytes::of(b"REX"));
}
