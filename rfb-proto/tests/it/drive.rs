//! The driver loop, over streams in memory.

use core::time::Duration;

use rfb_proto::handshake::server::{self, ClientCredentials};
use rfb_proto::handshake::{
    Buffers, ClientConfig, ClientHandshake, HandshakeError, Refusal, Rejected, Rejection, RejectionReason,
    ServerConfig, ServerHandshake, Stage, TlsRole, client,
};
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{Clock, DriveError, Driven, Limits, drive};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::play::server_init;

fn protocol(error: DriveError<HandshakeError>) -> HandshakeError {
    match error {
        DriveError::Protocol(error) => error,
        other => panic!("{other:?}"),
    }
}

/// A server that says hello behind the handshake.
async fn serve(mut stream: DuplexStream, config: ServerConfig) -> Result<DuplexStream, HandshakeError> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock)
            .await
            .map_err(protocol)?
        {
            Driven::Ask(server::ServerQuestion::Challenge) => machine.challenge(&mut buffers, [3; 16]).unwrap(),
            Driven::Ask(server::ServerQuestion::Admit(ClientCredentials::Vnc { challenge, response })) => {
                match Password::new(b"secret").verify(&challenge, &response) {
                    true => machine.accept(&mut buffers).unwrap(),
                    false => machine.refuse(&mut buffers, Refusal::default()).unwrap(),
                }
            }
            Driven::Ask(server::ServerQuestion::Init(_)) => machine.init(&mut buffers, &server_init()).unwrap(),
            Driven::Ask(other) => panic!("{other:?}"),
            // A TLS library stands in for: it takes what came early, and both go on with the plaintext.
            Driven::StartTls(tls) => {
                assert_eq!(tls.role, TlsRole::Server);
                let early = buffers.rx.split();
                let mut hello = early.to_vec();
                hello.resize(5, 0);
                stream.read_exact(&mut hello[early.len()..]).await.unwrap();
                assert_eq!(hello, b"hello");
                stream.write_all(b"HELLO").await.unwrap();
            }
            Driven::Done(_) => {
                stream.write_all(b"messages").await.unwrap();
                return Ok(stream);
            }
        }
    }
}

/// A client that reads what is said behind the handshake.
async fn connect(mut stream: DuplexStream, password: &[u8], config: ClientConfig) -> Result<Vec<u8>, HandshakeError> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock)
            .await
            .map_err(protocol)?
        {
            Driven::Ask(client::ClientQuestion::Vnc { challenge }) => {
                let response = Password::new(password).respond(&challenge);
                machine.respond(&mut buffers, response).unwrap();
            }
            Driven::Ask(other) => panic!("{other:?}"),
            Driven::StartTls(tls) => {
                assert_eq!(tls.server_name.as_deref(), Some("host"));
                stream.write_all(b"hello").await.unwrap();
                let mut hello = [0; 5];
                stream.read_exact(&mut hello).await.unwrap();
                assert_eq!(&hello, b"HELLO");
            }
            Driven::Done(outcome) => {
                assert_eq!(outcome.init, Some(server_init()));
                let mut messages = buffers.rx.to_vec();
                while messages.len() < 8 {
                    messages.push(stream.read_u8().await.unwrap());
                }
                return Ok(messages);
            }
        }
    }
}

#[tokio::test]
async fn client_and_server() {
    let vencrypt = [SecurityType::VENCRYPT];
    let offers = [
        ServerConfig::new(&[SecurityType::VNC]),
        ServerConfig::new(&vencrypt).with_subtypes(&[Subtype::X509_VNC]),
    ];
    for offer in offers {
        for buffer in [1, 7, 10_000] {
            for (password, is_right) in [(&b"secret"[..], true), (b"guess", false)] {
                let wanted = ClientConfig::new(&[SecurityType::VENCRYPT, SecurityType::VNC])
                    .with_subtypes(&[Subtype::X509_VNC])
                    .with_server_name("host");
                let (near, far) = duplex(buffer);
                let (served, connected) = tokio::join!(serve(far, offer.clone()), connect(near, password, wanted));
                if is_right {
                    served.unwrap();
                    assert_eq!(connected.unwrap(), b"messages");
                    continue;
                }
                assert_eq!(served.unwrap_err(), HandshakeError::Refused(Refusal::default()));
                let expected = HandshakeError::Rejected(Rejection {
                    of: Rejected::Authentication,
                    reason: RejectionReason::Reason(Reason::from_static("Authentication failed")),
                });
                assert_eq!(connected.unwrap_err(), expected, "the refusal was flushed");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_runs_out_of_time() {
    let limits = Limits::default().with_handshake_timeout(Duration::from_secs(5));
    let (near, far) = duplex(100);
    let started = tokio::time::Instant::now();
    let served = serve(far, ServerConfig::new(&[SecurityType::VNC]).with_limits(limits.clone())).await;
    assert_eq!(served.unwrap_err(), HandshakeError::TimedOut(Stage::Version));
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    drop(near);

    // One that takes nothing either.
    let (_near, far) = duplex(1);
    let served = serve(far, ServerConfig::new(&[SecurityType::VNC]).with_limits(limits.clone())).await;
    assert_eq!(served.unwrap_err(), HandshakeError::TimedOut(Stage::Version));

    // And a question that is not answered.
    let clock = Clock::start();
    let config = ServerConfig::new(&[SecurityType::VNC]).with_limits(limits);
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
    let (mut near, mut far) = duplex(100);
    near.write_all(b"RFB 003.008\n\x02").await.unwrap();
    let asked = drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap();
    assert_eq!(asked, Driven::Ask(server::ServerQuestion::Challenge));
    let error = drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap_err();
    assert_eq!(protocol(error), HandshakeError::TimedOut(Stage::Answer));
}

#[tokio::test]
async fn a_peer_that_hangs_up_has_closed() {
    // The peer is gone before the greeting.
    let (near, mut far) = duplex(100);
    drop(near);
    let clock = Clock::start();
    let config = ServerConfig::new(&[SecurityType::VNC]);
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
    let error = drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap_err();
    assert!(matches!(error, DriveError::Io(_)), "{error}");

    // A server that is gone in the middle of its reason.
    let (near, mut far) = duplex(100);
    let (mut read, _write) = tokio::io::split(near);
    far.write_all(b"RFB 003.008\n\x00\x00\x00").await.unwrap();
    far.shutdown().await.unwrap();
    let clock = Clock::start();
    let config = ClientConfig::new(&[SecurityType::VNC]);
    let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
    let mut both = tokio::io::join(&mut read, tokio::io::sink());
    let error = drive(&mut machine, &mut buffers, &mut both, clock).await.unwrap_err();
    let expected = Rejection {
        of: Rejected::Connection,
        reason: RejectionReason::Nothing,
    };
    assert_eq!(protocol(error), HandshakeError::Rejected(expected));
}
