//! [`drive`] over networks as they are: nothing waits for ever, all bytes arrive once and in order.

use core::future::{Future, pending};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io::{Error, ErrorKind, Result};

use bytes::BytesMut;
use expect_test::expect;
use proptest::prelude::*;
use rfb_proto::handshake::server::{self, ClientCredentials};
use rfb_proto::handshake::{
    Buffers, ClientConfig, ClientHandshake, HandshakeError, Machine, Misuse, ServerConfig, ServerHandshake, Stage,
    client,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::{Clock, DriveError, Driven, Limits, PixelFormat, ServerInit, drive, while_connected};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::time::{sleep, timeout};

use crate::slow::{CAPACITIES, Shape, Slow, connection, counted, says_all_first, talk};

/// As long as they may be, so that they fill small networks.
const USER: &[u8] = &[b'u'; 1000];
const PASSWORD: &[u8] = &[b'p'; 1000];
const CHALLENGE: [u8; 16] = *b"0123456789abcdef";
/// More than any test needs, in the time of the tests.
const FOR_EVER: Duration = Duration::from_secs(3600);
/// Bytes that each side says behind the handshake.
const TAIL: usize = 5000;

fn patient() -> Limits {
    Limits::default().with_handshake_timeout(FOR_EVER)
}

fn init() -> ServerInit {
    ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::RGB888,
        name: vec![b'n'; 4000].into(),
    }
}

/// A server with a password and a second one; gives what it heard behind the handshake.
async fn serve(mut stream: Slow, offer: ServerConfig, think: Duration) -> Vec<u8> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (
        ServerHandshake::new(clock.now(), offer.with_limits(patient())),
        Buffers::default(),
    );
    loop {
        let driven = drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap();
        let question = match driven {
            Driven::Ask(question) => question,
            Driven::Done(_) => return talk(&mut stream, &buffers.rx, &counted(TAIL, 1), TAIL).await,
            other => panic!("{other:?}"),
        };
        let is_right = async {
            sleep(think).await;
            match &question {
                server::ServerQuestion::Admit(ClientCredentials::Plain(shown)) => {
                    shown.user == USER && shown.password.expose() == PASSWORD
                }
                server::ServerQuestion::Admit(ClientCredentials::Vnc { challenge, response }) => {
                    Password::new(PASSWORD).verify(challenge, response)
                }
                _ => true,
            }
        };
        let asking = while_connected(&mut machine, &mut buffers, &mut stream, clock, is_right);
        assert!(asking.await.unwrap(), "every byte of it came");
        match question {
            server::ServerQuestion::Challenge => machine.challenge(&mut buffers, CHALLENGE).unwrap(),
            server::ServerQuestion::Admit(_) => machine.accept(&mut buffers).unwrap(),
            server::ServerQuestion::Init(_) => machine.init(&mut buffers, &init()).unwrap(),
            other => panic!("{other:?}"),
        }
    }
}

/// A client of either server; gives what it heard behind the handshake.
async fn connect(mut stream: Slow, think: Duration) -> Vec<u8> {
    let clock = Clock::start();
    let config = ClientConfig::new(&[SecurityType::VENCRYPT, SecurityType::VNC])
        .with_subtypes(&[Subtype::PLAIN])
        .with_cleartext(true)
        .with_limits(patient());
    let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
    loop {
        let driven = drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap();
        let question = match driven {
            Driven::Ask(question) => question,
            Driven::Done(outcome) => {
                assert_eq!(outcome.init, Some(init()));
                return talk(&mut stream, &buffers.rx, &counted(TAIL, 2), TAIL).await;
            }
            other => panic!("{other:?}"),
        };
        let asking = while_connected(&mut machine, &mut buffers, &mut stream, clock, sleep(think));
        asking.await.unwrap();
        match question {
            client::ClientQuestion::Plain => machine.plain(&mut buffers, USER, PASSWORD).unwrap(),
            client::ClientQuestion::Vnc { challenge } => {
                let response = Password::new(PASSWORD).respond(&challenge);
                machine.respond(&mut buffers, response).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
}

fn plain() -> ServerConfig {
    ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::PLAIN])
}

fn vnc() -> ServerConfig {
    ServerConfig::new(&[SecurityType::VNC])
}

/// Two machines with a network between them.
async fn both(capacity: usize, near: Shape, far: Shape, think: Duration) {
    let (near, far) = connection(capacity, near, far);
    let both = async { tokio::join!(connect(near, think), serve(far, plain(), think)) };
    let (heard, served) = timeout(FOR_EVER, both).await.unwrap();
    assert_eq!((heard, served), (counted(TAIL, 1), counted(TAIL, 2)));
}

/// A client, then a server, that say everything before they read anything.
async fn pushy(capacity: usize, near: Shape, far: Shape, think: Duration) {
    let mut shown = BytesMut::new();
    init().encode(&mut shown).unwrap();
    let response = Password::new(PASSWORD).respond(&CHALLENGE);
    let client = [b"RFB 003.008\n\x02", &response[..], b"\x01", &counted(TAIL, 2)].concat();
    let greeting = [
        b"RFB 003.008\n\x01\x02",
        &CHALLENGE[..],
        &[0; 4],
        &shown,
        &counted(TAIL, 1),
    ]
    .concat();

    let (mut peer, own) = connection(capacity, near, far);
    let both = async {
        tokio::join!(
            says_all_first(&mut peer, &client, greeting.len()),
            serve(own, vnc(), think)
        )
    };
    let (heard, served) = timeout(FOR_EVER, both).await.expect("a client that writes first");
    assert_eq!((heard, served), (greeting.clone(), counted(TAIL, 2)));

    let (mut peer, own) = connection(capacity, near, far);
    let both = async { tokio::join!(says_all_first(&mut peer, &greeting, client.len()), connect(own, think)) };
    let (heard, connected) = timeout(FOR_EVER, both).await.expect("a server that writes first");
    assert_eq!((heard, connected), (client, counted(TAIL, 1)));
}

#[tokio::test(start_paused = true)]
async fn slow_networks() {
    for capacity in CAPACITIES {
        for buffered in [false, true] {
            for (near, far) in [(false, false), (true, false), (false, true), (true, true)] {
                let (near, far) = (Shape::new(buffered, near), Shape::new(buffered, far));
                both(capacity, near, far, Duration::from_millis(7)).await;
                pushy(capacity, near, far, Duration::ZERO).await;
            }
        }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let pause = || prop_oneof![Just(0), 1..20_u64];
    (any::<bool>(), pause(), pause()).prop_map(|(buffered, read, write)| Shape {
        buffered,
        read: Duration::from_millis(read),
        write: Duration::from_millis(write),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any capacity, any pauses.
    #[test]
    fn any_network(capacity in prop_oneof![1..40_usize, 1..70_000_usize], near in shape(), far in shape(), think in 0..50_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let think = Duration::from_millis(think);
        runtime.unwrap().block_on(async {
            both(capacity, near, far, think).await;
            pushy(capacity, near, far, think).await;
        });
    }
}

/// A driver that is dropped goes on where it was: nothing is lost, nothing is said twice.
#[tokio::test(start_paused = true)]
async fn dropped_and_called_again() {
    for buffered in [false, true] {
        let (near, mut far) = connection(1, Shape::new(false, true), Shape::new(buffered, true));
        let clock = Clock::start();
        let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), vnc()), Buffers::default());
        let (mut read, mut write) = tokio::io::split(near);
        let peer = async {
            let mut greeting = [0; 12];
            read.read_exact(&mut greeting).await.unwrap();
            write.write_all(b"RFB 003.008\n").await.unwrap();
            let mut types = [0; 2];
            read.read_exact(&mut types).await.unwrap();
            write.write_all(&[2]).await.unwrap();
            (greeting, types)
        };
        let mut dropped = 0;
        let own = async {
            loop {
                let driven = drive(&mut machine, &mut buffers, &mut far, clock);
                match timeout(Duration::from_millis(5), driven).await {
                    Ok(driven) => return driven.unwrap(),
                    Err(_) => dropped += 1,
                }
            }
        };
        let (said, driven) = timeout(FOR_EVER, async { tokio::join!(peer, own) }).await.unwrap();
        assert_eq!(said, (*b"RFB 003.008\n", [1, 2]));
        assert_eq!(driven, Driven::Ask(server::ServerQuestion::Challenge));
        assert!(5 < dropped);
    }
}

fn protocol(error: DriveError<HandshakeError>) -> HandshakeError {
    match error {
        DriveError::Protocol(error) => error,
        other => panic!("{other:?}"),
    }
}

/// How a peer goes.
#[derive(Debug, Clone, Copy)]
enum Goes {
    /// Its connection is closed.
    Closes,
    /// It says that it will say no more.
    Ends,
    /// It is cut off, and TLS says so.
    Cut,
    /// It says something that has to wait, and closes.
    SaysMore,
}

/// A connection inside of TLS: an end without a farewell is an error.
struct Tls(DuplexStream);

impl AsyncRead for Tls {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        match read {
            Poll::Ready(Ok(())) if buf.filled().len() == before => Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
            read => read,
        }
    }
}

impl AsyncWrite for Tls {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

async fn leave(mut near: DuplexStream, goes: Goes) {
    sleep(Duration::from_secs(1)).await;
    match goes {
        Goes::Closes | Goes::Cut => drop(near),
        Goes::Ends => {
            near.shutdown().await.unwrap();
            pending::<()>().await;
        }
        Goes::SaysMore => near.write_all(&[1; 40]).await.unwrap(),
    }
}

async fn gone<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, peer: impl Future<Output = ()>, asking: bool) {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), vnc()), Buffers::default());
    let driven = drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap();
    assert_eq!(driven, Driven::Ask(server::ServerQuestion::Challenge));
    let waiting = async {
        match asking {
            true => while_connected(&mut machine, &mut buffers, &mut stream, clock, pending::<()>()).await,
            false => drive(&mut machine, &mut buffers, &mut stream, clock).await.map(|_| ()),
        }
    };
    let error = tokio::select! {
        error = waiting => error.unwrap_err(),
        () = async { peer.await; pending().await } => unreachable!(),
    };
    assert_eq!(protocol(error), HandshakeError::Closed(Stage::Answer));
    assert_eq!(clock.now(), Duration::from_secs(1), "at once");
}

/// A peer that goes while a question is open is noticed at once, not when the answer is there.
#[tokio::test(start_paused = true)]
async fn gone_while_a_question_is_open() {
    for goes in [Goes::Closes, Goes::Ends, Goes::Cut, Goes::SaysMore] {
        for asking in [true, false] {
            let (mut near, far) = duplex(100);
            near.write_all(b"RFB 003.008\n\x02").await.unwrap();
            match goes {
                Goes::Cut => gone(Tls(far), leave(near, goes), asking).await,
                _ => gone(far, leave(near, goes), asking).await,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time() {
    let (mut near, mut far) = duplex(100);
    near.write_all(b"RFB 003.008\n\x02").await.unwrap();
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), vnc()), Buffers::default());
    drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap();
    let answer = async {
        sleep(Duration::from_secs(5)).await;
        CHALLENGE
    };
    // What comes while it is looked for is not lost.
    near.write_all(&Password::new(PASSWORD).respond(&CHALLENGE))
        .await
        .unwrap();
    let answer = while_connected(&mut machine, &mut buffers, &mut far, clock, answer).await;
    machine.challenge(&mut buffers, answer.unwrap()).unwrap();
    let driven = drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap();
    assert!(matches!(
        driven,
        Driven::Ask(server::ServerQuestion::Admit(ClientCredentials::Vnc { .. }))
    ));
    // The answer comes too late.
    let late = while_connected(&mut machine, &mut buffers, &mut far, clock, sleep(FOR_EVER)).await;
    assert_eq!(protocol(late.unwrap_err()), HandshakeError::TimedOut(Stage::Answer));
    assert_eq!(clock.now(), Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn no_question_is_open() {
    let (mut near, mut far) = duplex(100);
    near.write_all(b"RFB 003.008\n\x02").await.unwrap();
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), vnc()), Buffers::default());
    let error = while_connected(&mut machine, &mut buffers, &mut far, clock, pending::<()>()).await;
    assert_eq!(protocol(error.unwrap_err()), HandshakeError::Misuse(Misuse::NotAsked));
}

/// Takes nothing: each write fails with a broken pipe.
struct Deaf(DuplexStream);

impl AsyncRead for Deaf {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Deaf {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
        Poll::Ready(Err(ErrorKind::BrokenPipe.into()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A server that refuses and closes has said why, though it did not take what it was sent.
#[tokio::test(start_paused = true)]
async fn a_refusal_in_front_of_a_broken_pipe() {
    for (says, stays, expected) in [
        (
            &b"RFB 003.008\n\x00\x00\x00\x00\x04busy"[..],
            false,
            expect!["connection refused: busy"],
        ),
        (b"RFB 003.003\n\x00\x00\x00\x00", false, expect!["connection refused"]),
        // The server has said nothing of use, so the error is the broken pipe.
        (b"RFB 003.008\n", false, expect!["connection failed: broken pipe"]),
        (b"RFB 003.008\n", true, expect!["connection failed: broken pipe"]),
    ] {
        let (mut near, far) = duplex(100);
        near.write_all(says).await.unwrap();
        let near = stays.then_some(near);
        let clock = Clock::start();
        let config = ClientConfig::new(&[SecurityType::VNC]);
        let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
        let error = drive(&mut machine, &mut buffers, &mut Deaf(far), clock)
            .await
            .unwrap_err();
        expected.assert_eq(&error.to_string());
        assert_eq!(clock.now(), Duration::ZERO);
        drop(near);
    }
}

/// A peer that takes nothing of the end of the handshake.
#[tokio::test(start_paused = true)]
async fn the_last_words_are_not_taken() {
    let (mut near, mut far) = duplex(40);
    let clock = Clock::start();
    let offer = ServerConfig::new(&[SecurityType::NONE]);
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), offer), Buffers::default());
    near.write_all(b"RFB 003.008\n\x01\x01").await.unwrap();
    let error = loop {
        match drive(&mut machine, &mut buffers, &mut far, clock).await {
            Ok(Driven::Ask(server::ServerQuestion::Init(_))) => machine.init(&mut buffers, &init()).unwrap(),
            Ok(Driven::Ask(server::ServerQuestion::Admit(_))) => machine.accept(&mut buffers).unwrap(),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    expect!["connection failed: timed out"].assert_eq(&error.to_string());
    assert_eq!(clock.now(), machine.deadline());
    drop(near);
}

/// A peer that is refused gets the reason, also if it writes before it reads; and its flood is not kept.
#[tokio::test(start_paused = true)]
async fn a_refused_peer_that_writes_before_it_reads() {
    let (mut near, mut far) = connection(1, Shape::new(false, true), Shape::new(true, true));
    let says = [&b"RFB 002.000\n"[..], &[b'x'; 3000]].concat();
    let told = b"RFB 003.008\n\x00\x00\x00\x00\x1cUnsupported protocol version";
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), vnc()), Buffers::default());
    let own = drive(&mut machine, &mut buffers, &mut far, clock);
    let both = async { tokio::join!(says_all_first(&mut near, &says, told.len()), own) };
    let (heard, own) = timeout(FOR_EVER, both).await.unwrap();
    expect!["peer incompatible: version 2.0 is not supported"].assert_eq(&own.unwrap_err().to_string());
    assert_eq!(heard, told);
    assert!(buffers.rx.len() < 4096, "{}", buffers.rx.len());
}

/// The reading half has failed in another way than by ending.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_reset() {
    struct Reset;
    impl AsyncRead for Reset {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<Result<()>> {
            Poll::Ready(Err(Error::from(ErrorKind::ConnectionReset)))
        }
    }
    impl AsyncWrite for Reset {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
            Poll::Ready(Ok(buf.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerHandshake::new(clock.now(), vnc()), Buffers::default());
    let error = drive(&mut machine, &mut buffers, &mut Reset, clock).await.unwrap_err();
    expect!["connection failed: connection reset"].assert_eq(&error.to_string());
    assert_eq!(clock.now(), Duration::ZERO);
}
