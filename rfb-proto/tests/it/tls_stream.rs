//! [`TlsStream`] over networks as they are, alone and in a session with TLS on both sides.

use core::time::Duration;
use std::io;
use std::sync::{Arc, Mutex};

use rfb_proto::handshake::bridge::Upstream;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    BridgeConfig, Buffers, ClientConfig, ClientHandshake, Refusal, ServerConfig, ServerHandshake, Side, Tls, TlsKind,
    TlsRole,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Config, Dial, End};
use rfb_proto::tls::{ClientTls, ServerTls, TlsError};
use rfb_proto::{Clock, Connection, Driven, Limits, NotDialled, ProxyHandler, TlsStream, drive, drive_session};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex};
use tokio::time::timeout;

use crate::certificates::{Authority, HOST};
use crate::chain::{HYPERVISOR_CHALLENGE, OWN_PASSWORD};
use crate::play::server_init;
use crate::slow::{CAPACITIES, Shape, Slow, connection, counted};

const FOR_EVER: Duration = Duration::from_secs(3600);

struct Ends {
    client: ClientTls,
    server: ServerTls,
}

impl Ends {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            client: ClientTls::new(authority.pem.as_bytes(), None).unwrap(),
            server: ServerTls::new(authority.server().identity(), None).unwrap(),
        }
    }
}

fn tls() -> Tls {
    Tls {
        role: TlsRole::Client,
        kind: TlsKind::X509,
        server_name: Some(HOST.into()),
    }
}

/// Sends and receives at once, through split halves.
async fn exchange(stream: TlsStream<Slow>, says: &[u8], expected: usize) -> (Vec<u8>, TlsStream<Slow>) {
    let (mut read, mut write) = tokio::io::split(stream);
    let send = async {
        write.write_all(says).await.unwrap();
        write.flush().await.unwrap();
    };
    let mut heard = vec![0; expected];
    let (read_all, ()) = tokio::join!(read.read_exact(&mut heard), send);
    read_all.unwrap();
    (heard, read.unsplit(write))
}

#[tokio::test(start_paused = true)]
async fn bytes_over_slow_networks() {
    let ends = Ends::new();
    for capacity in CAPACITIES {
        for buffered in [false, true] {
            let size = if capacity == 1 { 3000 } else { 200_000 };
            let (up, down) = (counted(size, 1), counted(size, 2));
            let shape = Shape::new(buffered, capacity == 1 << 10);
            let (near, far) = connection(capacity, shape, shape);
            let client = async {
                let mut buffers = Buffers::default();
                let stream = TlsStream::connect(near, &tls(), &ends.client, &mut buffers)
                    .await
                    .unwrap();
                let (heard, mut stream) = exchange(stream, &up, size).await;
                stream.shutdown().await.unwrap();
                heard
            };
            let server = async {
                let mut buffers = Buffers::default();
                let stream = TlsStream::accept(far, &ends.server, &mut buffers).await.unwrap();
                let (heard, mut stream) = exchange(stream, &down, size).await;
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the other's farewell");
                heard
            };
            let both = timeout(FOR_EVER, async { tokio::join!(client, server) }).await;
            let heard = both.unwrap_or_else(|_| panic!("waits: {capacity} {buffered}"));
            assert!(heard == (down, up), "{capacity} {buffered}");
        }
    }
}

/// What was read already is the beginning, and what was not sent yet goes in front.
#[tokio::test]
async fn it_begins_with_what_the_machine_left() {
    let ends = Ends::new();
    for early in [1, 5, 100] {
        let (near, mut far) = duplex(4096);
        let server = async {
            let mut buffers = Buffers::default();
            let mut front = vec![0; 3 + early];
            far.read_exact(&mut front).await.unwrap();
            assert_eq!(&front[..3], b"ack");
            buffers.rx.extend_from_slice(&front[3..]);
            let mut stream = TlsStream::accept(far, &ends.server, &mut buffers).await.unwrap();
            assert!(buffers.rx.is_empty());
            stream.write_all(b"inside").await.unwrap();
            stream.flush().await.unwrap();
        };
        let client = async {
            let mut buffers = Buffers::default();
            buffers.tx.extend_from_slice(b"ack");
            let mut stream = TlsStream::connect(near, &tls(), &ends.client, &mut buffers)
                .await
                .unwrap();
            let mut heard = [0; 6];
            stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(&heard, b"inside");
            // The server drops it without a farewell.
            stream.read(&mut heard).await.unwrap_err()
        };
        let ((), error) = tokio::join!(server, client);
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}

/// While it waits, also for the rest of a record, in the handshake or behind it, a stream holds no more than what has come.
#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_holds_little() {
    let ends = Ends::new();
    let (near, mut far) = duplex(4096);
    let session = ends.server.accept(&mut Buffers::default()).unwrap();
    let mut stream = TlsStream::new(near, session);
    far.write_all(&[0x16, 3, 1]).await.unwrap();
    timeout(Duration::from_secs(1), stream.handshake()).await.unwrap_err();
    let held = |stream: &TlsStream<_>| {
        let Buffers { rx, tx } = &stream.session().socket;
        (rx.len(), rx.capacity() + tx.capacity())
    };
    let (len, held_in_handshake) = held(&stream);
    assert!(len == 3 && held_in_handshake < 100, "{held_in_handshake}");

    let (near, far) = duplex(1 << 20);
    let (mut one, mut two) = (Buffers::default(), Buffers::default());
    let tls = tls();
    let ends = tokio::join!(
        TlsStream::connect(near, &tls, &ends.client, &mut one),
        TlsStream::accept(far, &ends.server, &mut two)
    );
    let (mut client, mut server) = (ends.0.unwrap(), ends.1.unwrap());
    client.write_all(&counted(100_000, 1)).await.unwrap();
    client.flush().await.unwrap();
    let mut heard = vec![0; 100_000];
    server.read_exact(&mut heard).await.unwrap();
    assert!(heard == counted(100_000, 1));
    // Three bytes of the head of a record.
    let (mut bare, _) = client.into_parts();
    bare.write_all(&[0x17, 3, 3]).await.unwrap();
    timeout(Duration::from_secs(1), server.read_u8()).await.unwrap_err();
    let (len, held) = held(&server);
    assert!(len == 3 && held < 100, "{held}");
}

#[tokio::test]
async fn a_server_that_is_not_trusted() {
    let (ends, others) = (Ends::new(), Ends::new());
    let (near, far) = duplex(64);
    let (mut one, mut two) = (Buffers::default(), Buffers::default());
    let tls = tls();
    let connecting = TlsStream::connect(near, &tls, &others.client, &mut one);
    let accepting = TlsStream::accept(far, &ends.server, &mut two);
    let (client, server) = tokio::join!(connecting, accepting);
    let error = client.unwrap_err();
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    assert!(matches!(inner, Some(TlsError::Rustls(_))), "{error}");
    // It was told.
    let told = server.unwrap_err().to_string();
    assert!(told.contains("received fatal alert"), "{told}");
}

/// The answers of a proxy with TLS on both sides.
struct Guest<H> {
    hypervisor: Option<H>,
    failures: Arc<Mutex<Vec<Side>>>,
}

impl<H: AsyncRead + AsyncWrite + Send + Unpin> ProxyHandler for Guest<H> {
    type Hypervisor = H;

    fn challenge(&mut self) -> [u8; 16] {
        [1; 16]
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        assert_eq!(shown, ClientCredentials::None);
        Ok(())
    }

    async fn dial(&mut self, _: Dial) -> Result<(H, Upstream), NotDialled> {
        let upstream = Upstream::default()
            .with_server_name(HOST)
            .with_password(Password::new(OWN_PASSWORD));
        let hypervisor = self.hypervisor.take().ok_or(NotDialled::Unreachable)?;
        Ok((hypervisor, upstream))
    }

    fn tls_failed(&mut self, side: Side, _: &io::Error) {
        self.failures.lock().unwrap().push(side);
    }
}

fn config() -> Arc<Config> {
    let bridge = BridgeConfig::default()
        .with_tenant_types(&[SecurityType::VENCRYPT])
        .with_tenant_subtypes(&[Subtype::X509_NONE])
        .with_hypervisor_subtypes(&[Subtype::X509_VNC])
        .with_limits(Limits::default().with_handshake_timeout(FOR_EVER));
    Arc::new(Config::new(bridge))
}

/// A viewer with TLS, up to its ServerInit.
async fn viewer(stream: Slow, tls: &ClientTls) -> (TlsStream<Slow>, Buffers) {
    let clock = Clock::start();
    let config = ClientConfig::new(&[SecurityType::VENCRYPT])
        .with_subtypes(&[Subtype::X509_NONE])
        .with_server_name(HOST)
        .with_limits(Limits::default().with_handshake_timeout(FOR_EVER));
    let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
    let mut stream = stream;
    let mut secured = match drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap() {
        Driven::StartTls(wanted) => TlsStream::connect(stream, &wanted, tls, &mut buffers).await.unwrap(),
        other => panic!("{other:?}"),
    };
    match drive(&mut machine, &mut buffers, &mut secured, clock).await.unwrap() {
        Driven::Done(outcome) => assert_eq!(outcome.init, Some(server_init())),
        other => panic!("{other:?}"),
    }
    (secured, buffers)
}

/// A hypervisor with TLS and a password, up to its ServerInit.
async fn hypervisor(stream: Slow, tls: &ServerTls) -> (TlsStream<Slow>, Buffers) {
    let clock = Clock::start();
    let config = ServerConfig::new(&[SecurityType::VENCRYPT])
        .with_subtypes(&[Subtype::X509_VNC])
        .with_limits(Limits::default().with_handshake_timeout(FOR_EVER));
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
    let mut stream = stream;
    let mut secured = match drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap() {
        Driven::StartTls(_) => TlsStream::accept(stream, tls, &mut buffers).await.unwrap(),
        other => panic!("{other:?}"),
    };
    loop {
        match drive(&mut machine, &mut buffers, &mut secured, clock).await.unwrap() {
            Driven::Ask(ServerQuestion::Challenge) => machine.challenge(&mut buffers, HYPERVISOR_CHALLENGE).unwrap(),
            Driven::Ask(ServerQuestion::Admit(ClientCredentials::Vnc { challenge, response })) => {
                assert!(Password::new(OWN_PASSWORD).verify(&challenge, &response));
                machine.accept(&mut buffers).unwrap();
            }
            Driven::Ask(ServerQuestion::Init(_)) => machine.init(&mut buffers, &server_init()).unwrap(),
            Driven::Done(_) => return (secured, buffers),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_with_tls_on_both_sides() {
    let (near, far) = (Ends::new(), Ends::new());
    for capacity in CAPACITIES {
        for buffered in [false, true] {
            let shape = Shape::new(buffered, false);
            let (tenant, own_tenant) = connection(capacity, shape, shape);
            let (own_upper, upper) = connection(capacity, shape, shape);
            let guest = Guest {
                hypervisor: Some(own_upper),
                failures: Arc::default(),
            };
            let connection = Connection::new(config())
                .with_tenant_tls(near.server.clone())
                .with_hypervisor_tls(far.client.clone());
            let counts = connection.counts();
            let keys = b"\x04\x01\0\0\0\0\0\x61".repeat(500);
            let bells = b"\x02".repeat(5000);
            let tenants = async {
                let (stream, buffers) = viewer(tenant, &near.client).await;
                assert_eq!(buffers.rx.len(), bells.len().min(buffers.rx.len()));
                let (heard, stream) = exchange(stream, &keys, bells.len() - buffers.rx.len()).await;
                assert!(buffers.rx.iter().chain(&heard).all(|byte| *byte == 2));
                drop(stream);
            };
            let hypervisors = async {
                let (stream, buffers) = hypervisor(upper, &far.server).await;
                let (heard, stream) = exchange(stream, &bells, keys.len() - buffers.rx.len()).await;
                assert_eq!([&buffers.rx[..], &heard].concat(), keys);
                stream
            };
            let driven = drive_session(connection, own_tenant, guest);
            let all = timeout(FOR_EVER, async { tokio::join!(tenants, hypervisors, driven) }).await;
            let ((), _, (end, _)) = all.unwrap_or_else(|_| panic!("waits: {capacity} {buffered}"));
            assert_eq!(end, End::Viewer, "{capacity} {buffered}");
            assert_eq!((counts.to_viewer(), counts.to_hypervisor()), (5000, 4000));
        }
    }
}

/// Without certificates, or with those of another authority, the tenant is refused: there is no console.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_without_tls_is_none() {
    let (far, others) = (Ends::new(), Ends::new());
    for trusted in [None, Some(others.client.clone())] {
        let (mut tenant, own_tenant) = duplex(1024);
        let (own_upper, upper) = connection(1024, Shape::default(), Shape::default());
        let failures: Arc<Mutex<Vec<Side>>> = Arc::default();
        let guest = Guest {
            hypervisor: Some(own_upper),
            failures: failures.clone(),
        };
        let bridge = config().bridge.clone().with_tenant_types(&[SecurityType::NONE]);
        let mut connection = Connection::new(Arc::new(Config::new(bridge)));
        if let Some(tls) = trusted {
            connection = connection.with_hypervisor_tls(tls);
        }
        let server = far.server.clone();
        let upper = tokio::spawn(async move {
            let clock = Clock::start();
            let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_VNC]);
            let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), config), Buffers::default());
            let mut stream = upper;
            if let Ok(Driven::StartTls(_)) = drive(&mut machine, &mut buffers, &mut stream, clock).await {
                let _ = TlsStream::accept(stream, &server, &mut buffers).await;
            }
        });
        let driven = tokio::spawn(drive_session(connection, own_tenant, guest));
        tenant.write_all(b"RFB 003.008\n\x01").await.unwrap();
        let mut heard = Vec::new();
        tenant.read_to_end(&mut heard).await.unwrap();
        assert!(heard.ends_with(b"\0\0\0\x26Authentication with the console failed"));
        drop(tenant);
        let (end, _) = driven.await.unwrap();
        assert!(matches!(end, End::Handshake(error) if error.side == Side::Hypervisor));
        assert_eq!(*failures.lock().unwrap(), [Side::Hypervisor]);
        upper.await.unwrap();
    }
}
