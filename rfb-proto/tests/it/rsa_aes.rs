//! RSA-AES by itself: keys that are taken and that are not, the layer, and streams inside of it.

use bytes::BytesMut;
use proptest::prelude::*;
use rfb_proto::handshake::{Action, Buffers, ClientConfig, Machine, ServerConfig};
use rfb_proto::security::rsa_aes::{Key, KeyError, Layer, LayerKeys, PublicKey, Strength};
use rfb_proto::security::{SecurityType, Seed};
use rfb_proto::{DecodeErrorKind, Limits};

use crate::logins::{CLIENT, SERVER};

/// The wire form of a key.
fn wire(bits: u32, modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let size = bits.div_ceil(8) as usize;
    let padded = |number: &[u8]| [&vec![0; size.saturating_sub(number.len())][..], number].concat();
    [&bits.to_be_bytes()[..], &padded(modulus), &padded(exponent)].concat()
}

fn odd(len: usize) -> Vec<u8> {
    vec![0xc5; len]
}

#[test]
fn keys_that_are_taken() {
    let take = |bytes: &[u8]| PublicKey::decode_slice(bytes, &Limits::default());
    for key in [
        wire(1024, &odd(128), &[3]),
        wire(2048, &odd(256), &[1, 0, 1]),
        wire(8192, &odd(1024), &[1, 255, 255, 255, 255]),
        // A length that is no number of bytes, and one of whole bytes for a modulus of a little less.
        wire(1030, &[&[0x3f][..], &odd(128)].concat(), &[3]),
        wire(1032, &[&[3][..], &odd(128)].concat(), &[3]),
    ] {
        let taken = take(&key).unwrap();
        let mut again = BytesMut::new();
        taken.encode(&mut again).unwrap();
        assert_eq!(again, key);
        assert_eq!(taken.encoded_len(), key.len());
    }
    let invalid = |field, offset| (field, offset);
    for (key, expected) in [
        (wire(1023, &odd(127), &[3]), invalid("bits", 0)),
        (wire(0, &[], &[]), invalid("bits", 0)),
        (wire(8193, &odd(1025), &[3]), invalid("bits", 0)),
        (wire(16_384, &odd(2048), &[3]), invalid("bits", 0)),
        (wire(u32::MAX, &[], &[])[..4].to_vec(), invalid("bits", 0)),
        // Shorter and longer than declared.
        (wire(2048, &odd(128), &[3]), invalid("modulus", 4)),
        (wire(1024, &[0; 128], &[3]), invalid("modulus", 4)),
        (wire(1024, &[1], &[3]), invalid("modulus", 4)),
        (
            wire(1025, &[&[0xff][..], &odd(128)].concat(), &[3]),
            invalid("modulus", 4),
        ),
        // Even.
        (wire(1024, &[0xc4; 128], &[3]), invalid("modulus", 4)),
        (wire(1024, &odd(128), &[0]), invalid("exponent", 132)),
        (wire(1024, &odd(128), &[1]), invalid("exponent", 132)),
        (wire(1024, &odd(128), &[1, 0, 0]), invalid("exponent", 132)),
        (wire(1024, &odd(128), &[3, 0, 0, 0, 1]), invalid("exponent", 132)),
        (wire(1024, &odd(128), &odd(128)), invalid("exponent", 132)),
    ] {
        let error = take(&key).unwrap_err();
        assert_eq!((error.field, error.offset), expected, "{error}");
        assert!(!matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
    }
    let limits = Limits::default().with_rsa_key(1024);
    assert!(PublicKey::decode_slice(&wire(1024, &odd(128), &[3]), &limits).is_ok());
    assert!(PublicKey::missing(&1025_u32.to_be_bytes(), &limits).is_err());
}

/// Keys as OpenSSL writes them. Both forms, and those that are no keys of RSA or too short.
#[test]
fn keys_from_files() {
    let file = |name: &str| {
        let path = format!("{}/tests/data/logins/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let one = Key::from_pem(&file("rsa-2048-pkcs8.pem")).unwrap();
    let other = Key::from_pem(&file("rsa-2048-pkcs1.pem")).unwrap();
    assert_eq!((one.public(), one.public().bits()), (other.public(), 2048));
    assert_eq!(Key::from_pem(&file("rsa-512.pem")).unwrap_err(), KeyError::Length(512));
    for text in [
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        &file("ec.pem"),
    ] {
        assert_eq!(Key::from_pem(text).unwrap_err(), KeyError::Unreadable);
    }
    assert_eq!(Key::from_der(b"\x30\x00").unwrap_err(), KeyError::Unreadable);
    for bits in [0, 1023, 8193, u32::MAX] {
        assert_eq!(
            Key::generate(bits, &Seed::new([0; 32])).unwrap_err(),
            KeyError::Length(bits)
        );
    }
    assert_eq!(format!("{one:?}"), "Key(..)");
}

/// What cannot be opened gives a number too: another one for each, and the same again for the same.
#[test]
fn a_wrong_padding_gives_another_number() {
    let (key, seed) = (&*SERVER.key, SERVER.seed());
    for strength in [Strength::Aes128, Strength::Aes256] {
        let mut numbers = Vec::new();
        for sealed in [
            vec![],
            vec![0; 128],
            vec![1; 128],
            vec![0xff; 128],
            vec![1; 127],
            vec![1; 4096],
        ] {
            let number = key.open(&sealed, strength, &seed);
            assert_eq!(number.expose().len(), strength.random_len());
            assert_eq!(number, key.open(&sealed, strength, &seed));
            assert!(!numbers.contains(&number.expose().to_vec()));
            numbers.push(number.expose().to_vec());
        }
    }
}

/// The layers of both sides, from a log-in in memory.
fn layers(security_type: SecurityType) -> (Layer, Layer) {
    let (server, client) = keys(security_type);
    (Layer::new(server), Layer::new(client))
}

fn keys(security_type: SecurityType) -> (LayerKeys, LayerKeys) {
    let (mut at_server, mut at_client) = (None, None);
    let mut server = rfb_proto::handshake::ServerHandshake::new(crate::play::NOW, ServerConfig::new(&[security_type]));
    let mut client = rfb_proto::handshake::ClientHandshake::new(crate::play::NOW, ClientConfig::new(&[security_type]));
    let (mut up, mut down) = (Buffers::default(), Buffers::default());
    for _ in 0..100 {
        if let Ok(Action::Ask(question)) = server.step(crate::play::NOW, &mut down) {
            let keys = crate::logins::answer_client(&mut server, &mut down, question, &SERVER).unwrap();
            at_server = at_server.or(keys);
        }
        up.rx.unsplit(down.tx.split());
        if let Ok(Action::Ask(question)) = client.step(crate::play::NOW, &mut up) {
            let shown = (&b"user"[..], &b"secret"[..]);
            let keys = crate::logins::answer_server(&mut client, &mut up, question, shown, &CLIENT).unwrap();
            at_client = at_client.or(keys);
        }
        down.rx.unsplit(up.tx.split());
    }
    (at_server.expect("a layer"), at_client.expect("a layer"))
}

/// What is sealed on one side is opened on the other, in any pieces; what was changed, doubled, left out or comes in another
/// order is not.
#[test]
fn a_layer_keeps_the_order() {
    for security_type in [SecurityType::RA2, SecurityType::RA2_256] {
        let (mut server, mut client) = layers(security_type);
        let mut messages = Vec::new();
        for length in [0_usize, 1, 16, 8192] {
            let mut socket = BytesMut::new();
            let mut plain = BytesMut::from(&vec![7; length][..]);
            server.seal(&mut plain, &mut socket);
            assert!(plain.is_empty());
            // Nothing makes no message.
            assert_eq!(socket.len(), if length == 0 { 0 } else { length + 18 });
            messages.push(socket);
        }
        let mut plain = BytesMut::new();
        assert_eq!(
            client.open(&mut messages[2].clone(), &mut plain).unwrap_err().field,
            "mac"
        );
        let (_, mut client) = layers(security_type);
        let mut socket = BytesMut::new();
        for (index, message) in messages.iter().enumerate() {
            for piece in message.chunks(1 + index * 100) {
                socket.extend_from_slice(piece);
                assert!(0 < client.open(&mut socket, &mut plain).unwrap());
            }
        }
        assert!(socket.is_empty());
        assert_eq!(plain, vec![7; 1 + 16 + 8192]);
        // The same once more.
        assert_eq!(
            client.open(&mut messages[3].clone(), &mut plain).unwrap_err().field,
            "mac"
        );
    }
}

/// Much is sealed in messages of at most 8192 bytes, the most that TigerVNC puts into one.
#[test]
fn long_content_is_many_messages() {
    let (mut server, mut client) = layers(SecurityType::RA2_256);
    let content: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    let (mut plain, mut socket, mut opened) = (BytesMut::from(&content[..]), BytesMut::new(), BytesMut::new());
    server.seal(&mut plain, &mut socket);
    assert_eq!(socket.len(), content.len() + 13 * 18);
    assert_eq!(socket[..2], [0x20, 0]);
    assert_eq!(client.open(&mut socket, &mut opened).unwrap(), 2);
    assert_eq!(opened, content);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A message with any byte changed is not opened, and the error names the field.
    #[test]
    fn no_byte_of_a_message_can_change(length in 1_usize..40, at in 0_usize..58, delta in 1_u8..) {
        let (mut server, mut client) = layers(SecurityType::RA2);
        let (mut plain, mut socket, mut opened) = (BytesMut::from(&vec![9; length][..]), BytesMut::new(), BytesMut::new());
        server.seal(&mut plain, &mut socket);
        let at = at % socket.len();
        socket[at] ^= delta;
        match client.open(&mut socket, &mut opened) {
            Err(error) => prop_assert_eq!((error.message, error.field), ("RsaAesMessage", "mac")),
            // A length that is now larger waits for more.
            Ok(missing) => prop_assert!(at < 2 && 0 < missing),
        }
        prop_assert!(opened.is_empty());
    }
}

/// Streams inside of the layer, over connections that hold little: nothing waits for ever, and all comes through.
#[cfg(feature = "tokio")]
mod streams {
    use std::sync::{Arc, LazyLock};

    use rfb_proto::handshake::bridge::Upstream;
    use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
    use rfb_proto::handshake::{BridgeConfig, ClientHandshake, Refusal, ServerHandshake};
    use rfb_proto::security::Secret;
    use rfb_proto::security::plain::Credentials;
    use rfb_proto::security::rsa_aes::{LayerStream, Pin};
    use rfb_proto::session::relay::{Config, Dial, End, Move};
    use rfb_proto::{Clock, Connection, Driven, NotDialled, ProxyHandler, drive, drive_session};
    use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn both<S>(security_type: SecurityType, near: S, far: S) -> (LayerStream<S>, LayerStream<S>) {
        let (server, client) = keys(security_type);
        let mut nothing = Buffers::default();
        (
            LayerStream::new(near, server, &mut nothing),
            LayerStream::new(far, client, &mut nothing),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn small_connections() {
        for security_type in [SecurityType::RA2, SecurityType::RA2_256] {
            for capacity in [1, 1024, 64 << 10] {
                let (near, far) = duplex(capacity);
                let (mut server, mut client) = both(security_type, near, far);
                let content: Vec<u8> = (0..200_000_u32).map(|number| (number % 253) as u8).collect();
                let sent = content.clone();
                let writer = tokio::spawn(async move {
                    for part in sent.chunks(7001) {
                        server.write_all(part).await.unwrap();
                    }
                    server.flush().await.unwrap();
                    let mut answer = [0; 5];
                    server.read_exact(&mut answer).await.unwrap();
                    assert_eq!(&answer, b"taken");
                    server.shutdown().await.unwrap();
                });
                let mut received = vec![0; content.len()];
                client.read_exact(&mut received).await.unwrap();
                assert!(received == content, "{capacity}");
                client.write_all(b"taken").await.unwrap();
                client.flush().await.unwrap();
                // The end of the stream.
                assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 0);
                writer.await.unwrap();
            }
        }
    }

    /// What had come before the layer began is the beginning of it; a message that is cut off, or changed, is an error.
    #[tokio::test(start_paused = true)]
    async fn what_came_before_and_what_is_cut_off() {
        let (server, client) = keys(SecurityType::RA2);
        let mut layer = Layer::new(server);
        let (mut plain, mut socket) = (BytesMut::from(&b"before"[..]), BytesMut::new());
        layer.seal(&mut plain, &mut socket);
        let (near, mut far) = duplex(1024);
        let mut buffers = Buffers {
            rx: socket.split(),
            tx: BytesMut::from(&b"last words"[..]),
        };
        let mut stream = LayerStream::new(near, client, &mut buffers);
        assert!(buffers.rx.is_empty() && buffers.tx.is_empty());
        stream.flush().await.unwrap();
        let mut words = [0; 10];
        far.read_exact(&mut words).await.unwrap();
        assert_eq!(&words, b"last words");
        let mut bytes = [0; 6];
        stream.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"before");
        plain.extend_from_slice(b"after");
        layer.seal(&mut plain, &mut socket);
        far.write_all(&socket[..20]).await.unwrap();
        drop(far);
        let error = stream.read(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);

        let (_, client) = keys(SecurityType::RA2);
        let (near, mut far) = duplex(1024);
        let mut stream = LayerStream::new(near, client, &mut Buffers::default());
        far.write_all(&[0; 40]).await.unwrap();
        for _ in 0..2 {
            let error = stream.read(&mut bytes).await.unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
        }
    }

    trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
    impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

    type Session = (Box<dyn Io>, Buffers);

    async fn serve(stream: DuplexStream, security_type: SecurityType) -> Session {
        let (clock, mut buffers) = (Clock::start(), Buffers::default());
        let mut stream: Box<dyn Io> = Box::new(stream);
        let mut machine = ServerHandshake::new(clock.now(), ServerConfig::new(&[security_type]));
        loop {
            match drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap() {
                Driven::Ask(ServerQuestion::Admit(ClientCredentials::Plain(shown))) => {
                    assert_eq!(
                        (&shown.user[..], shown.password.expose()),
                        (&b"user"[..], &b"secret"[..])
                    );
                    machine.accept(&mut buffers).unwrap();
                }
                Driven::Ask(ServerQuestion::Init(_)) => {
                    machine.init(&mut buffers, &crate::play::server_init()).unwrap();
                }
                Driven::Ask(question) => {
                    let keys = crate::logins::answer_client(&mut machine, &mut buffers, question, &SERVER).unwrap();
                    if let Some(keys) = keys {
                        stream = Box::new(LayerStream::new(stream, keys, &mut buffers));
                        machine.layered().unwrap();
                    }
                }
                Driven::StartTls(_) => unreachable!(),
                Driven::Done(outcome) => {
                    assert_eq!(outcome.security.security_type, security_type);
                    return (stream, buffers);
                }
            }
        }
    }

    async fn log_in(stream: DuplexStream, security_type: SecurityType) -> Session {
        let (clock, mut buffers) = (Clock::start(), Buffers::default());
        let mut stream: Box<dyn Io> = Box::new(stream);
        let mut machine = ClientHandshake::new(clock.now(), ClientConfig::new(&[security_type]));
        loop {
            match drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap() {
                Driven::Ask(question) => {
                    let shown = (&b"user"[..], &b"secret"[..]);
                    let keys = crate::logins::answer_server(&mut machine, &mut buffers, question, shown, &CLIENT);
                    if let Some(keys) = keys.unwrap() {
                        stream = Box::new(LayerStream::new(stream, keys, &mut buffers));
                        machine.layered().unwrap();
                    }
                }
                Driven::StartTls(_) => unreachable!(),
                Driven::Done(_) => return (stream, buffers),
            }
        }
    }

    /// The drivers of both roles, over connections that hold little, and a message each behind the handshake.
    #[tokio::test(start_paused = true)]
    async fn driven_log_ins() {
        let all = [
            SecurityType::RA2,
            SecurityType::RA2NE,
            SecurityType::RA2_256,
            SecurityType::RA2NE_256,
        ];
        for security_type in all {
            for capacity in [1, 64, 64 << 10] {
                let (near, far) = duplex(capacity);
                let server = tokio::spawn(async move {
                    let (mut stream, mut buffers) = serve(near, security_type).await;
                    stream.write_all(b"from the server").await.unwrap();
                    stream.flush().await.unwrap();
                    while buffers.rx.len() < 15 {
                        stream.read_buf(&mut buffers.rx).await.unwrap();
                    }
                    assert_eq!(buffers.rx, b"from the client"[..]);
                });
                let (mut stream, mut buffers) = log_in(far, security_type).await;
                while buffers.rx.len() < 15 {
                    stream.read_buf(&mut buffers.rx).await.unwrap();
                }
                assert_eq!(buffers.rx, b"from the server"[..]);
                stream.write_all(b"from the client").await.unwrap();
                stream.flush().await.unwrap();
                server.await.unwrap();
            }
        }
    }

    /// What the proxy shows tenants, and hypervisors.
    static KEYS: LazyLock<[Arc<Key>; 2]> =
        LazyLock::new(|| [5, 7].map(|byte| Key::generate(1024, &Seed::new([byte; 32])).unwrap().into()));

    /// Tenants and hypervisors with RSA-AES at a proxy, the next hypervisor last.
    struct Guest(Vec<DuplexStream>);

    impl ProxyHandler for Guest {
        type Hypervisor = DuplexStream;

        fn challenge(&mut self) -> [u8; 16] {
            [0; 16]
        }

        fn rsa_aes(&mut self) -> Option<(Arc<Key>, Seed)> {
            let [key, _] = &*KEYS;
            Some((key.clone(), Seed::new([6; 32])))
        }

        async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
            match shown {
                ClientCredentials::Plain(shown) if shown.password.expose() == b"secret" => Ok(()),
                _ => Err(Refusal::default()),
            }
        }

        async fn dial(&mut self, _: Dial) -> Result<(DuplexStream, Upstream), NotDialled> {
            let [_, key] = &*KEYS;
            let pin = Pin::Key(SERVER.key.public().clone());
            let upstream = Upstream::default()
                .with_credentials(Credentials {
                    user: "user".into(),
                    password: Secret::new(b"secret"),
                })
                .with_seed(Seed::new([8; 32]))
                .with_rsa_aes(key.clone(), pin);
            Ok((self.0.pop().ok_or(NotDialled::Unreachable)?, upstream))
        }
    }

    /// A whole console through [`drive_session`], whose layers are on one side, on both, or on none.
    #[tokio::test(start_paused = true)]
    async fn a_console_between_layers() {
        let pairs = [
            (SecurityType::RA2, SecurityType::RA2_256),
            (SecurityType::RA2_256, SecurityType::RA2NE),
            (SecurityType::RA2NE, SecurityType::RA2),
            (SecurityType::RA2NE_256, SecurityType::RA2NE_256),
        ];
        for (tenant, hypervisor) in pairs {
            for capacity in [1, 64 << 10] {
                let ((near, far), (own, other)) = (duplex(capacity), duplex(capacity));
                let server = tokio::spawn(async move {
                    let (mut stream, mut buffers) = serve(other, hypervisor).await;
                    stream.write_all(&[2; 1000]).await.unwrap(); // bells
                    stream.flush().await.unwrap();
                    while buffers.rx.len() < 8000 {
                        assert_ne!(stream.read_buf(&mut buffers.rx).await.unwrap(), 0);
                    }
                    assert_eq!(buffers.rx, b"\x04\x01\0\0\0\0\0\x61".repeat(1000)[..]);
                });
                let bridge = BridgeConfig::default()
                    .with_tenant_types(&[tenant])
                    .with_hypervisor_types(&[hypervisor]);
                let proxy = drive_session(Connection::new(Config::new(bridge)), near, Guest(vec![own]));
                let viewer = async move {
                    let (mut stream, mut buffers) = log_in(far, tenant).await;
                    let keys = b"\x04\x01\0\0\0\0\0\x61".repeat(1000);
                    stream.write_all(&keys).await.unwrap();
                    stream.flush().await.unwrap();
                    while buffers.rx.len() < 1000 {
                        assert_ne!(stream.read_buf(&mut buffers.rx).await.unwrap(), 0);
                    }
                    assert_eq!(buffers.rx, [2; 1000][..]);
                    server.await.unwrap();
                };
                let ((end, _), ()) = tokio::join!(proxy, viewer);
                assert!(
                    matches!(end, End::Viewer | End::Hypervisor),
                    "{tenant} {hypervisor} {capacity}: {end:?}"
                );
            }
        }
    }

    /// A guest that moves between hypervisors with a layer and without one: the log-in is repeated with what the handler
    /// gives for the new connection, and the tenant's own layer goes on.
    #[tokio::test(start_paused = true)]
    async fn a_guest_moves_between_layers() {
        let types = [SecurityType::RA2, SecurityType::RA2_256, SecurityType::RA2NE];
        let pairs = types.iter().flat_map(|first| types.map(|second| (*first, second)));
        for (first, second) in pairs {
            for (tenant, capacity) in [(SecurityType::RA2, 1), (SecurityType::RA2NE, 64 << 10)] {
                let (near, far) = duplex(capacity);
                let [(own, other), (own_second, other_second)] = [duplex(capacity), duplex(capacity)];
                let bridge = BridgeConfig::default()
                    .with_tenant_types(&[tenant])
                    .with_hypervisor_types(&[first, second]);
                let connection = Connection::new(Config::new(bridge));
                let mover = connection.mover();
                let proxy = drive_session(connection, near, Guest(vec![own_second, own]));
                let hypervisors = async {
                    let (mut stream, mut buffers) = serve(other, first).await;
                    stream.write_u8(2).await.unwrap();
                    stream.flush().await.unwrap();
                    while stream.read_buf(&mut buffers.rx).await.is_ok_and(|read| read != 0) {}
                    let (mut stream, mut buffers) = serve(other_second, second).await;
                    // SetPixelFormat, a request for the picture, and the key, if it came so late.
                    while buffers.rx.len() < 30 {
                        assert_ne!(stream.read_buf(&mut buffers.rx).await.unwrap(), 0);
                    }
                    assert_eq!((buffers.rx[0], &buffers.rx[20..22]), (0, &b"\x03\0"[..]));
                    stream.write_u8(2).await.unwrap();
                    stream.flush().await.unwrap();
                    while buffers.rx.len() < 38 {
                        assert_ne!(stream.read_buf(&mut buffers.rx).await.unwrap(), 0);
                    }
                    assert_eq!(buffers.rx[30..], b"\x04\x01\0\0\0\0\0\x61"[..]);
                };
                let viewer = async move {
                    let (mut stream, mut buffers) = log_in(far, tenant).await;
                    for bells in 1..=2 {
                        while buffers.rx.len() < bells {
                            assert_ne!(stream.read_buf(&mut buffers.rx).await.unwrap(), 0);
                        }
                        if bells == 1 {
                            mover.moved(Move::Follow);
                        }
                    }
                    assert_eq!(buffers.rx, [2; 2][..]);
                    stream.write_all(b"\x04\x01\0\0\0\0\0\x61").await.unwrap();
                    stream.flush().await.unwrap();
                    // The hypervisor has all of it before the tenant goes.
                    stream
                };
                let peers = async { tokio::join!(hypervisors, viewer) };
                let (end, _) = tokio::join!(proxy, async { drop(peers.await) }).0;
                assert!(
                    matches!(end, End::Viewer | End::Hypervisor),
                    "{tenant}, {first} to {second}, {capacity}: {end:?}"
                );
            }
        }
    }
}
