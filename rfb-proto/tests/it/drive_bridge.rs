//! The bridge's driver loop, over streams in memory.

use core::time::Duration;

use expect_test::expect;
use rfb_proto::handshake::bridge::{BridgeError, BridgeOutcome, BridgeQuestion};
use rfb_proto::handshake::server::{self, ClientCredentials};
use rfb_proto::handshake::{
    Bridge, BridgeConfig, Buffers, ClientConfig, ClientHandshake, HandshakeError, Refusal, ServerConfig,
    ServerHandshake, Side, SideBuffers, TlsRole, client,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::{BridgeDriven, Clock, DriveError, Driven, Limits, drive, drive_bridge};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::chain::{OWN_PASSWORD, OWN_USER, PASSWORD, TENANT_CHALLENGE, USER, WRONG, upstream};
use crate::play::server_init;

/// Where TLS would be: the client's hello, then the server's, and both go on in plaintext.
async fn tls(stream: &mut DuplexStream, buffers: &mut Buffers, role: TlsRole) {
    if role == TlsRole::Client {
        stream.write_all(b"client hello").await.unwrap();
    }
    let early = buffers.rx.split();
    let mut hello = early.to_vec();
    hello.resize(12, 0);
    stream.read_exact(&mut hello[early.len()..]).await.unwrap();
    if role == TlsRole::Server {
        stream.write_all(b"server hello").await.unwrap();
    }
    let peer = if role == TlsRole::Client { b"server" } else { b"client" };
    assert_eq!(&hello[..6], peer);
}

async fn view(mut stream: DuplexStream, password: &[u8]) -> Result<client::ClientOutcome, DriveError<HandshakeError>> {
    let clock = Clock::start();
    let mut machine = ClientHandshake::new(clock.now(), ClientConfig::new(&[SecurityType::VNC]));
    let mut buffers = Buffers::default();
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await? {
            Driven::Ask(client::ClientQuestion::Vnc { challenge }) => {
                let response = Password::new(password).respond(&challenge);
                machine.respond(&mut buffers, response).unwrap();
            }
            Driven::Done(outcome) => return Ok(outcome),
            other => panic!("{other:?}"),
        }
    }
}

async fn serve(mut stream: DuplexStream) -> Result<(), DriveError<HandshakeError>> {
    let clock = Clock::start();
    let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_PLAIN]);
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await? {
            Driven::StartTls(begin) => tls(&mut stream, &mut buffers, begin.role).await,
            Driven::Ask(server::ServerQuestion::Admit(ClientCredentials::Plain(shown))) => {
                match shown.user == OWN_USER && shown.password.expose() == OWN_PASSWORD {
                    true => machine.accept(&mut buffers).unwrap(),
                    false => machine.refuse(&mut buffers, Refusal::default()).unwrap(),
                }
            }
            Driven::Ask(server::ServerQuestion::Init(_)) => machine.init(&mut buffers, &server_init()).unwrap(),
            Driven::Done(_) => return Ok(()),
            other => panic!("{other:?}"),
        }
    }
}

/// Between the two; copies ClientInit and ServerInit in the end.
async fn bridge(
    mut tenant: DuplexStream,
    mut hypervisor: DuplexStream,
    own: &[u8],
) -> Result<BridgeOutcome, DriveError<BridgeError>> {
    let clock = Clock::start();
    let (mut bridge, mut sides) = (
        Bridge::new(clock.now(), BridgeConfig::default()),
        SideBuffers::default(),
    );
    let mut connected = false;
    let outcome = loop {
        let upper = connected.then_some(&mut hypervisor);
        match drive_bridge(&mut bridge, &mut sides, &mut tenant, upper, clock).await? {
            BridgeDriven::Ask(BridgeQuestion::Challenge) => bridge.challenge(&mut sides, TENANT_CHALLENGE).unwrap(),
            BridgeDriven::Ask(BridgeQuestion::Admit(ClientCredentials::Vnc { challenge, response })) => {
                match Password::new(PASSWORD).verify(&challenge, &response) {
                    true => bridge.admit(&mut sides).unwrap(),
                    false => bridge.refuse(&mut sides, Refusal::default()).unwrap(),
                }
            }
            BridgeDriven::Ask(BridgeQuestion::Connect) => {
                connected = true;
                bridge.connect(upstream(OWN_USER, own)).unwrap();
            }
            BridgeDriven::StartTls { side, tls: begin } => {
                assert_eq!(side, Side::Hypervisor);
                tls(&mut hypervisor, sides.side(side), begin.role).await;
            }
            BridgeDriven::Done(outcome) => break outcome,
            other => panic!("{other:?}"),
        }
    };
    hypervisor.write_all(&sides.tenant.rx).await.unwrap();
    tenant.write_all(&sides.hypervisor.rx).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut tenant, &mut hypervisor).await;
    Ok(outcome)
}

#[tokio::test]
async fn from_end_to_end() {
    for (entered, own) in [(PASSWORD, OWN_PASSWORD), (WRONG, OWN_PASSWORD), (PASSWORD, WRONG)] {
        // Three bytes a time.
        let ((viewer, tenant), (upper, server)) = (duplex(3), duplex(3));
        let both = async { tokio::join!(view(viewer, entered), bridge(tenant, upper, own), serve(server)) };
        let (viewer, bridge, server) = tokio::time::timeout(Duration::from_secs(5), both).await.unwrap();
        match (entered == PASSWORD, own == OWN_PASSWORD) {
            (true, true) => {
                assert_eq!(viewer.unwrap().init, Some(server_init()));
                assert_eq!(bridge.unwrap().hypervisor.security.subtype, Some(Subtype::X509_PLAIN));
                server.unwrap();
            }
            (false, _) => {
                let expected = expect!["authentication failed: Authentication failed"];
                expected.assert_eq(&viewer.unwrap_err().to_string());
                expect!["tenant: refused: Authentication failed"].assert_eq(&bridge.unwrap_err().to_string());
                server.unwrap_err();
            }
            (true, false) => {
                let expected = expect!["authentication failed: Authentication with the console failed"];
                expected.assert_eq(&viewer.unwrap_err().to_string());
                expect!["hypervisor: authentication failed: Authentication failed"]
                    .assert_eq(&bridge.unwrap_err().to_string());
            }
        }
    }
}

/// The tenant gets a reason when the hypervisor hangs up, or is not there at all.
#[tokio::test]
async fn a_hypervisor_that_is_gone() {
    for with_stream in [true, false] {
        let clock = Clock::start();
        let (mut bridge, mut sides) = (
            Bridge::new(clock.now(), BridgeConfig::passthrough()),
            SideBuffers::default(),
        );
        let ((mut viewer, mut tenant), (mut upper, server)) = (duplex(100), duplex(100));
        drop(server);
        viewer.write_all(b"RFB 003.008\n").await.unwrap();
        let asked = drive_bridge::<_, DuplexStream>(&mut bridge, &mut sides, &mut tenant, None, clock);
        assert_eq!(asked.await.unwrap(), BridgeDriven::Ask(BridgeQuestion::Connect));
        bridge.connect(upstream(USER, PASSWORD)).unwrap();
        let upper = with_stream.then_some(&mut upper);
        let error = drive_bridge(&mut bridge, &mut sides, &mut tenant, upper, clock)
            .await
            .unwrap_err();
        expect!["hypervisor: closed by the peer while waiting for the version line"].assert_eq(&error.to_string());
        drop(tenant);
        let mut told = Vec::new();
        viewer.read_to_end(&mut told).await.unwrap();
        assert!(told.ends_with(b"Authentication with the console failed"), "{told:?}");
    }
}

/// The deadline holds while an answer is due, while a side is waited for, and while one does not take what it is sent.
#[tokio::test(start_paused = true)]
async fn deadlines() {
    let config =
        || BridgeConfig::default().with_limits(Limits::default().with_handshake_timeout(Duration::from_secs(7)));
    for (says, room) in [(&b""[..], 100), (b"", 1), (b"RFB 003.008\n\x02", 100)] {
        let clock = Clock::start();
        let (mut bridge, mut sides) = (Bridge::new(clock.now(), config()), SideBuffers::default());
        let (mut viewer, mut tenant) = duplex(room);
        viewer.write_all(says).await.unwrap();
        let error = loop {
            match drive_bridge::<_, DuplexStream>(&mut bridge, &mut sides, &mut tenant, None, clock).await {
                Ok(BridgeDriven::Ask(BridgeQuestion::Challenge)) => {}
                Ok(other) => panic!("{other:?}"),
                Err(error) => break error,
            }
        };
        assert!(error.to_string().starts_with("tenant: timed out"), "{error}");
        assert_eq!(clock.now().as_secs(), 7);
    }
}

#[test]
fn drivers_are_send() {
    fn assert_send<T: Send>(_: T) {}
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let clock = runtime.unwrap().block_on(async { Clock::start() });
    let (mut near, mut far) = duplex(1);
    let mut bridge = Bridge::new(Duration::ZERO, BridgeConfig::default());
    assert_send(drive_bridge(
        &mut bridge,
        &mut SideBuffers::default(),
        &mut near,
        Some(&mut far),
        clock,
    ));
}
