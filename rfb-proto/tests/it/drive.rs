//! The driver loops, over streams in memory.

use core::time::Duration;

use rfb_proto::handshake::bridge::{BridgeError, Question, Upstream};
use rfb_proto::handshake::server::{self, Claim};
use rfb_proto::handshake::{
    Bridge, BridgeConfig, ClientConfig, ClientHandshake, HandshakeError, Refusal, Rejected, Rejection, ServerConfig,
    ServerHandshake, Side, Stage, TlsRole, Told, Wire, Wires, client,
};
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{BridgeDriven, Clock, DriveError, Driven, Limits, drive, drive_bridge};
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
    let (mut machine, mut wire) = (ServerHandshake::new(clock.now(), config), Wire::default());
    loop {
        match drive(&mut machine, &mut wire, &mut stream, clock)
            .await
            .map_err(protocol)?
        {
            Driven::Ask(server::Question::Challenge) => machine.challenge(&mut wire, [3; 16]).unwrap(),
            Driven::Ask(server::Question::Admit(Claim::Vnc { challenge, response })) => {
                match Password::new(b"secret").verify(&challenge, &response) {
                    true => machine.accept(&mut wire).unwrap(),
                    false => machine.refuse(&mut wire, Refusal::default()).unwrap(),
                }
            }
            Driven::Ask(server::Question::Init(_)) => machine.init(&mut wire, &server_init()).unwrap(),
            Driven::Ask(other) => panic!("{other:?}"),
            // A TLS library stands in for: it takes what came early, and both go on with the plaintext.
            Driven::StartTls(tls) => {
                assert_eq!(tls.role, TlsRole::Server);
                let early = wire.rx.split();
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
    let (mut machine, mut wire) = (ClientHandshake::new(clock.now(), config), Wire::default());
    loop {
        match drive(&mut machine, &mut wire, &mut stream, clock)
            .await
            .map_err(protocol)?
        {
            Driven::Ask(client::Question::Vnc { challenge }) => {
                let response = Password::new(password).respond(&challenge);
                machine.respond(&mut wire, response).unwrap();
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
                let mut messages = wire.rx.to_vec();
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
                    reason: Told::Reason(Reason::from_static("Authentication failed")),
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
    let (mut machine, mut wire) = (ServerHandshake::new(clock.now(), config), Wire::default());
    let (mut near, mut far) = duplex(100);
    near.write_all(b"RFB 003.008\n\x02").await.unwrap();
    let asked = drive(&mut machine, &mut wire, &mut far, clock).await.unwrap();
    assert_eq!(asked, Driven::Ask(server::Question::Challenge));
    let error = drive(&mut machine, &mut wire, &mut far, clock).await.unwrap_err();
    assert_eq!(protocol(error), HandshakeError::TimedOut(Stage::Answer));
}

#[tokio::test]
async fn a_peer_that_hangs_up_has_closed() {
    // Nobody is there to be greeted.
    let (near, mut far) = duplex(100);
    drop(near);
    let clock = Clock::start();
    let config = ServerConfig::new(&[SecurityType::VNC]);
    let (mut machine, mut wire) = (ServerHandshake::new(clock.now(), config), Wire::default());
    let error = drive(&mut machine, &mut wire, &mut far, clock).await.unwrap_err();
    assert!(matches!(error, DriveError::Io(_)), "{error}");

    // A server that is gone in the middle of its reason.
    let (near, mut far) = duplex(100);
    let (mut read, _write) = tokio::io::split(near);
    far.write_all(b"RFB 003.008\n\x00\x00\x00").await.unwrap();
    far.shutdown().await.unwrap();
    let clock = Clock::start();
    let config = ClientConfig::new(&[SecurityType::VNC]);
    let (mut machine, mut wire) = (ClientHandshake::new(clock.now(), config), Wire::default());
    let mut both = tokio::io::join(&mut read, tokio::io::sink());
    let error = drive(&mut machine, &mut wire, &mut both, clock).await.unwrap_err();
    let expected = Rejection {
        of: Rejected::Connection,
        reason: Told::Nothing,
    };
    assert_eq!(protocol(error), HandshakeError::Rejected(expected));
}

/// The bridge, with a tenant's password and a hypervisor's, and then the bytes of both.
async fn couple(
    mut tenant: DuplexStream,
    mut hypervisor: DuplexStream,
    config: BridgeConfig,
    own: &[u8],
) -> Result<(), DriveError<BridgeError>> {
    let clock = Clock::start();
    let (mut bridge, mut wires) = (Bridge::new(clock.now(), config), Wires::default());
    let mut connected = None;
    loop {
        match drive_bridge(&mut bridge, &mut wires, &mut tenant, connected.as_deref_mut(), clock).await? {
            BridgeDriven::Ask(Question::Challenge) => bridge.challenge(&mut wires, [5; 16]).unwrap(),
            BridgeDriven::Ask(Question::Admit(Claim::Vnc { challenge, response })) => {
                match Password::new(b"tenant").verify(&challenge, &response) {
                    true => bridge.admit(&mut wires).unwrap(),
                    false => bridge.refuse(&mut wires, Refusal::default()).unwrap(),
                }
            }
            BridgeDriven::Ask(Question::Connect) => {
                connected = Some(&mut hypervisor);
                let upstream = Upstream::default().with_password(Password::new(own));
                bridge.connect(upstream.with_server_name("host")).unwrap();
            }
            BridgeDriven::Ask(other) => panic!("{other:?}"),
            BridgeDriven::StartTls { side, tls } => {
                // As in the roles above.
                let stream = match side {
                    Side::Tenant => &mut tenant,
                    Side::Hypervisor => connected.as_deref_mut().unwrap(),
                };
                let early = wires.side(side).rx.split();
                let mut hello = early.to_vec();
                hello.resize(5, 0);
                let (own, others): (&[u8], &[u8]) = match tls.role {
                    TlsRole::Client => (b"hello", b"HELLO"),
                    TlsRole::Server => (b"HELLO", b"hello"),
                };
                if tls.role == TlsRole::Client {
                    stream.write_all(own).await.unwrap();
                }
                stream.read_exact(&mut hello[early.len()..]).await.unwrap();
                assert_eq!(hello, others);
                if tls.role == TlsRole::Server {
                    stream.write_all(own).await.unwrap();
                }
            }
            BridgeDriven::Done(_) => break,
        }
    }
    hypervisor.write_all(&wires.tenant.rx).await?;
    tenant.write_all(&wires.hypervisor.rx).await?;
    tokio::io::copy_bidirectional(&mut tenant, &mut hypervisor).await?;
    Ok(())
}

/// What became of the bridge.
fn bridged(result: Result<(), DriveError<BridgeError>>) -> BridgeError {
    match result {
        Err(DriveError::Protocol(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn client_bridge_and_server() {
    let vencrypt = [SecurityType::VENCRYPT];
    let tenant_configs = [
        BridgeConfig::default(),
        BridgeConfig::default()
            .with_tenant_types(&vencrypt)
            .with_tenant_subtypes(&[Subtype::X509_VNC]),
    ];
    for config in tenant_configs {
        for buffer in [1, 7, 10_000] {
            for (password, own) in [
                (&b"tenant"[..], &b"secret"[..]),
                (b"guess", b"secret"),
                (b"tenant", b"guess"),
            ] {
                let offer = ServerConfig::new(&vencrypt).with_subtypes(&[Subtype::X509_VNC]);
                let wanted = ClientConfig::new(&[SecurityType::VENCRYPT, SecurityType::VNC])
                    .with_subtypes(&[Subtype::X509_VNC])
                    .with_server_name("host");
                let (viewer, tenant) = duplex(buffer);
                let (hypervisor, mut server) = duplex(buffer);
                let (connected, coupled, served) = tokio::join!(
                    connect(viewer, password, wanted),
                    couple(tenant, hypervisor, config.clone(), own),
                    async {
                        if password == b"tenant" {
                            // It hangs up once it has said all.
                            return serve(server, offer).await.map(drop);
                        }
                        let mut heard = Vec::new();
                        server.read_to_end(&mut heard).await.unwrap();
                        assert_eq!(heard, b"", "a hypervisor is not troubled before the tenant is known");
                        Ok(())
                    },
                );
                if (password, own) == (b"tenant", b"secret") {
                    assert_eq!(connected.unwrap(), b"messages");
                    served.unwrap();
                    coupled.unwrap();
                    continue;
                }
                let told = match own {
                    b"secret" => "Authentication failed",
                    _ => "Authentication with the console failed",
                };
                let expected = HandshakeError::Rejected(Rejection {
                    of: Rejected::Authentication,
                    reason: Told::Reason(Reason::from_static(told)),
                });
                assert_eq!(connected.unwrap_err(), expected);
                if own == b"secret" {
                    assert_eq!(bridged(coupled).error, HandshakeError::Refused(Refusal::default()));
                    served.unwrap();
                } else {
                    let BridgeError { side, error } = bridged(coupled);
                    assert_eq!(side, Side::Hypervisor);
                    assert!(matches!(error, HandshakeError::Rejected(_)), "{error}");
                    assert_eq!(served.unwrap_err(), HandshakeError::Refused(Refusal::default()));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_hypervisor_that_is_gone_is_told_to_the_tenant() {
    let (viewer, tenant) = duplex(100);
    let (hypervisor, server) = duplex(100);
    drop(server);
    let wanted = ClientConfig::new(&[SecurityType::VNC]);
    let (connected, coupled) = tokio::join!(
        connect(viewer, b"tenant", wanted),
        couple(tenant, hypervisor, BridgeConfig::default(), b"secret"),
    );
    let expected = HandshakeError::Rejected(Rejection {
        of: Rejected::Authentication,
        reason: Told::Reason(Reason::from_static("Authentication with the console failed")),
    });
    assert_eq!(connected.unwrap_err(), expected);
    let BridgeError { side, error } = bridged(coupled);
    assert_eq!(
        (side, error),
        (Side::Hypervisor, HandshakeError::Closed(Stage::Version))
    );
}

#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_says_nothing_runs_out_of_time() {
    let limits = Limits::default().with_handshake_timeout(Duration::from_secs(5));
    let (viewer, tenant) = duplex(100);
    let (hypervisor, _server) = duplex(100);
    let wanted = ClientConfig::new(&[SecurityType::VNC]);
    let (connected, coupled) = tokio::join!(
        connect(viewer, b"tenant", wanted),
        couple(
            tenant,
            hypervisor,
            BridgeConfig::default().with_limits(limits),
            b"secret"
        ),
    );
    assert!(matches!(connected.unwrap_err(), HandshakeError::Rejected(_)));
    let BridgeError { side, error } = bridged(coupled);
    assert_eq!(
        (side, error),
        (Side::Hypervisor, HandshakeError::TimedOut(Stage::Version))
    );
}
