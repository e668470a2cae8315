//! Peers that speak something else are named in words, from the first byte on that is not SPICE, in every role.

use spice_proto::Limits;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::Sender;
#[cfg(feature = "tokio")]
use spice_proto::link::Stage;
use spice_proto::link::relay::{RelayAction, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::watch::WatchedLink;
use spice_proto::link::{
    Action, Buffers, HandshakeError, Incompatibility, LinkReply, Machine, RelayConfig, RelayLink, Secret, ServerLink,
    Side, SideBuffers,
};

use crate::pair::{NOW, TICKET, client, key, request};

/// What came, and the words that are in the error.
const OTHERS: &[(&[u8], &str)] = &[
    (b"RFB 003.008\n", r#"found "RFB ": RFB (VNC)"#),
    (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], "found 16 03 01 02: TLS"),
    (&[0x15, 3, 1, 0, 2, 2, 0x46], "found 15 03 01 00: TLS"),
    (b"HTTP/1.0 400 Bad request\r\n", r#"found "HTTP": HTTP"#),
    (b"POST / HTTP/1.1\r\n", r#"found "POST": HTTP"#),
    (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "the PROXY protocol of a load balancer",
    ),
    (b"SSH-2.0-OpenSSH_9.2\r\n", r#"found "SSH-": SSH"#),
    (b"HELLO\r\n", r#"found "HELL""#),
    (b"REDX", r#"found "REDX""#),
    (&[0, 0, 0, 0], "found 00 00 00 00"),
];

/// How many bytes it takes to see that this is not SPICE.
fn needed(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .zip(b"REDQ")
        .take_while(|(one, other)| one == other)
        .count()
        + 1
}

fn first_action<M: Machine>(mut machine: M, bytes: &[u8]) -> (Result<(), HandshakeError>, Buffers) {
    let mut buffers = Buffers::default();
    let _ = machine.step(NOW, &mut buffers);
    buffers.tx.clear();
    buffers.rx.extend_from_slice(bytes);
    let ended = match machine.step(NOW, &mut buffers) {
        Ok(Action::Receive { .. }) => Ok(()),
        Ok(_) => panic!("{bytes:?} were taken"),
        Err(error) => {
            assert_eq!(machine.step(NOW, &mut buffers).err(), Some(error), "an error stays");
            Err(error)
        }
    };
    (ended, buffers)
}

#[test]
fn every_role_names_what_came() {
    for (bytes, words) in OTHERS {
        let server = first_action(ServerLink::new(NOW, Limits::default()), bytes).0;
        let client = first_action(client(request(ChannelType::MAIN, 9, 0xf), TICKET), bytes).0;
        for ended in [server, client, Err(tenant(bytes)), Err(hypervisor(bytes))] {
            let text = ended.unwrap_err().to_string();
            assert!(
                text.starts_with(r#"LinkHeader.magic at byte 0: expected "REDQ", "#),
                "{text}"
            );
            assert!(text.ends_with(words), "{text}: not {words}");
        }
    }
}

/// A relay's tenant, when nothing was asked yet.
fn tenant(bytes: &[u8]) -> HandshakeError {
    let (mut relay, mut sides) = (RelayLink::new(NOW, RelayConfig::default()), SideBuffers::default());
    sides.tenant.rx.extend_from_slice(bytes);
    let error = relay.step(NOW, &mut sides).unwrap_err();
    assert_eq!(error.side, Side::Tenant);
    error.error
}

/// A relay's hypervisor, which does not wait for the link message.
fn hypervisor(bytes: &[u8]) -> HandshakeError {
    let (mut relay, mut sides) = (RelayLink::new(NOW, RelayConfig::default()), SideBuffers::default());
    request(ChannelType::MAIN, 9, 0xf).encode(&mut sides.tenant.rx).unwrap();
    relay.step(NOW, &mut sides).unwrap();
    let shown = Announcement {
        public_key: key().public(),
        capabilities: spice_proto::caps::Capabilities::spice_server(ChannelType::MAIN),
    };
    relay.tenant().announce(&mut sides.tenant, shown).unwrap();
    sides.tenant.rx.extend_from_slice(&[1, 0, 0, 0]);
    sides.tenant.rx.extend_from_slice(&[7; 128]);
    let ticket = relay.step(NOW, &mut sides);
    assert!(
        matches!(
            ticket,
            Ok(RelayAction::Ask(spice_proto::link::relay::RelayQuestion::Tenant(
                ServerQuestion::Ticket { .. }
            )))
        ),
        "{ticket:?}"
    );
    let upstream = Upstream {
        ticket: Secret::new(TICKET),
        oaep_seed: [1; 20],
    };
    relay.admit(&mut sides, upstream).unwrap();
    sides.hypervisor.rx.extend_from_slice(bytes);
    let error = relay.step(NOW, &mut sides).unwrap_err();
    assert_eq!(error.side, Side::Hypervisor);
    error.error
}

/// The first byte that cannot be SPICE is enough, and what is said to it is the same as to all of them.
#[test]
fn the_first_wrong_byte_ends_the_link() {
    let mut told = bytes::BytesMut::new();
    LinkReply::refusal(LinkErrorCode::INVALID_MAGIC)
        .encode(&mut told)
        .unwrap();
    for (bytes, _) in OTHERS {
        let whole = first_action(ServerLink::new(NOW, Limits::default()), bytes).0;
        for end in 0..=bytes.len() {
            let (server, buffers) = first_action(ServerLink::new(NOW, Limits::default()), &bytes[..end]);
            let (client, _) = first_action(client(request(ChannelType::MAIN, 9, 0xf), TICKET), &bytes[..end]);
            if end < needed(bytes) {
                assert_eq!((server, client), (Ok(()), Ok(())), "{bytes:?} to {end}");
                assert!(buffers.tx.is_empty());
            } else {
                assert_eq!((server, client), (whole, whole), "{bytes:?} to {end}");
                assert_eq!(buffers.tx, told);
            }
        }
    }
}

/// A watcher finds it in the same place: it is the server's to refuse it.
#[test]
fn a_watcher_names_what_came() {
    for (bytes, words) in OTHERS {
        for end in 0..=bytes.len() {
            let mut link = WatchedLink::new(Limits::default());
            assert_eq!(link.step(Sender::Client, &bytes[..end]), Ok(None));
            assert_eq!(link.unreadable().is_some(), needed(bytes) <= end, "{bytes:?} to {end}");
        }
        let mut link = WatchedLink::new(Limits::default());
        link.step(Sender::Client, bytes).unwrap();
        assert!(link.unreadable().unwrap().to_string().ends_with(words));
        let mut link = WatchedLink::new(Limits::default());
        let mut asked = bytes::BytesMut::new();
        request(ChannelType::MAIN, 9, 0xf).encode(&mut asked).unwrap();
        link.step(Sender::Client, &asked).unwrap();
        assert!(
            link.step(Sender::Server, bytes)
                .unwrap_err()
                .to_string()
                .ends_with(words)
        );
    }
}

/// What can still become a WebSocket, or SPICE, is waited for; a version that is not spoken is refused as soon as it is
/// there.
#[test]
fn what_may_be_spice_is_waited_for() {
    for beginning in [&b"G"[..], b"GE", b"GET", b"R", b"RE", b"RED", b"REDQ"] {
        let (server, _) = first_action(ServerLink::new(NOW, Limits::default()), beginning);
        assert_eq!(server, Ok(()), "{beginning:?}");
    }
    for (major, told) in [(3_u32, true), (1, true), (0, false)] {
        let bytes = [&b"REDQ"[..], &major.to_le_bytes(), &9_u32.to_le_bytes(), &[18, 0, 0, 0]].concat();
        for end in 4..=bytes.len() {
            let (server, buffers) = first_action(ServerLink::new(NOW, Limits::default()), &bytes[..end]);
            if end < 12 {
                assert_eq!(server, Ok(()), "{end}");
                continue;
            }
            let version = Incompatibility::Version { major, minor: 9 };
            assert_eq!(server, Err(HandshakeError::PeerIncompatible(version)));
            assert_eq!(buffers.tx.is_empty(), !told);
        }
    }
}

/// Through the drivers: a peer that says three bytes and then nothing is not waited for.
#[cfg(feature = "tokio")]
mod driven {
    use std::time::Duration;

    use spice_proto::{Clock, DriveError, drive, drive_relay};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fewer_bytes_than_a_header_are_enough() {
        for (bytes, words) in [
            (&b"RFB"[..], "RFB (VNC)"),
            (&[0x16], "TLS"),
            (b"HTT", "HTTP"),
            (&[0x15, 3], "TLS"),
        ] {
            let began = Instant::now();
            for role in 0..3 {
                let (mut near, mut far) = duplex(1024);
                far.write_all(bytes).await.unwrap();
                let clock = Clock::start();
                let error: HandshakeError = match role {
                    0 => {
                        let (mut machine, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
                        protocol(drive(&mut machine, &mut buffers, &mut near, clock).await)
                    }
                    1 => {
                        let mut machine = client(request(ChannelType::MAIN, 9, 0xf), TICKET);
                        protocol(drive(&mut machine, &mut Buffers::default(), &mut near, clock).await)
                    }
                    _ => {
                        let mut machine = RelayLink::new(NOW, RelayConfig::default());
                        let none = None::<&mut DuplexStream>;
                        let mut sides = SideBuffers::default();
                        protocol(drive_relay(&mut machine, &mut sides, &mut near, none, clock).await).error
                    }
                };
                assert!(error.to_string().ends_with(words), "{error}");
                assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
                drop(near);
                let mut told = Vec::new();
                far.read_to_end(&mut told).await.unwrap();
                assert_eq!(told.len(), [194, 42, 194][role], "it is answered, as spice-server does");
            }
        }
    }

    fn protocol<T: std::fmt::Debug, E: std::fmt::Debug>(ended: Result<T, DriveError<E>>) -> E {
        match ended.unwrap_err() {
            DriveError::Protocol(error) => error,
            other => panic!("{other:?}"),
        }
    }

    /// Over TLS many peers hang up without a farewell (`close_notify`): rustls then reports an unexpected end, which is
    /// an end like any other in the link stage.
    struct Cut(DuplexStream);

    impl tokio::io::AsyncRead for Cut {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            let before = buf.filled().len();
            let read = std::pin::Pin::new(&mut self.0).poll_read(cx, buf);
            if matches!(read, std::task::Poll::Ready(Ok(()))) && buf.filled().len() == before {
                return std::task::Poll::Ready(Err(std::io::ErrorKind::UnexpectedEof.into()));
            }
            read
        }
    }

    impl tokio::io::AsyncWrite for Cut {
        fn poll_write(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &[u8],
        ) -> std::task::Poll<std::io::Result<usize>> {
            std::pin::Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::pin::Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    /// A peer that has said this and will say no more.
    async fn ended(bytes: &[u8]) -> (Cut, DuplexStream) {
        let (near, mut far) = duplex(1024);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        (Cut(near), far)
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_of_tls_without_a_farewell_is_an_end() {
        let clock = Clock::start();
        let (mut near, _far) = ended(b"").await;
        let mut machine = ServerLink::new(NOW, Limits::default());
        let end = drive(&mut machine, &mut Buffers::default(), &mut near, clock).await;
        assert_eq!(protocol(end), HandshakeError::Closed(Stage::LinkMess));
        let (mut near, _far) = ended(b"REDQ\x02\0\0\0").await;
        let mut machine = client(request(ChannelType::MAIN, 9, 0xf), TICKET);
        let end = drive(&mut machine, &mut Buffers::default(), &mut near, clock).await;
        assert_eq!(protocol(end), HandshakeError::Closed(Stage::LinkReply));
        let (mut near, _far) = ended(b"").await;
        let mut machine = RelayLink::new(NOW, RelayConfig::default());
        let none = None::<&mut DuplexStream>;
        let end = drive_relay(&mut machine, &mut SideBuffers::default(), &mut near, none, clock).await;
        assert_eq!(protocol(end).error, HandshakeError::Closed(Stage::LinkMess));
    }
}
