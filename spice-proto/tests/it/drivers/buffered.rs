//! The buffers below TLS.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use spice_proto::BufferedStream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::streams::{Inner, Pace, line, receive, send};
use super::tls::identity;
use crate::link_values::random_bytes;

const CAPACITY: usize = BufferedStream::<tokio::io::DuplexStream>::CAPACITY;
const SOON: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_written_leaves_when_it_is_flushed() {
    let (near, mut far) = duplex(1 << 20);
    let mut near = BufferedStream::new(near);
    near.write_all(b"one").await.unwrap();
    near.write_all(b"two").await.unwrap();
    assert_eq!(near.unsent(), 6);
    let mut heard = [0; 6];
    assert!(timeout(SOON, far.read_exact(&mut heard)).await.is_err(), "not flushed");
    near.flush().await.unwrap();
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!((&heard, near.unsent()), (b"onetwo", 0));
    // A shutdown sends what is left, and ends.
    near.write_all(b"three").await.unwrap();
    near.shutdown().await.unwrap();
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"three");
}

/// With a full buffer and a full line a writer waits; a reader does not.
#[tokio::test(start_paused = true)]
async fn a_full_buffer_holds_the_writer_and_nobody_else() {
    let (near, mut far) = duplex(100);
    let mut near = BufferedStream::new(near);
    near.write_all(&vec![7; CAPACITY]).await.unwrap();
    assert_eq!(near.unsent(), CAPACITY, "as much as that is taken without a flush");
    near.write_all(&[7; 100]).await.unwrap();
    assert!(timeout(SOON, near.write_all(&[7])).await.is_err());
    assert!(timeout(SOON, near.flush()).await.is_err());
    far.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    timeout(SOON, near.read_exact(&mut heard)).await.unwrap().unwrap();
    assert_eq!(&heard, b"hello");
    let (flushed, (got, _)) = tokio::join!(near.flush(), receive(&mut far, CAPACITY + 100, Pace::FAST));
    flushed.unwrap();
    assert!(got.iter().all(|byte| *byte == 7));
    assert_eq!(near.unsent(), 0);
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_in_both_directions() {
    let bytes = random_bytes(1, 300_000);
    for capacity in [1, 1000, 100_000] {
        for piece in [1, 999, 100_000] {
            let volume = if capacity == 1 || piece == 1 { 9000 } else { bytes.len() };
            let bytes = &bytes[..volume];
            let (near, far) = line(capacity, Inner::Nothing);
            let (read, write) = split(BufferedStream::new(near));
            let (far_read, far_write) = split(far);
            let pace = Pace::new(piece, 0);
            let ((one, _), (other, _), (), ()) = tokio::join!(
                receive(read, volume, pace),
                receive(far_read, volume, Pace::FAST),
                send(write, bytes, pace),
                send(far_write, bytes, Pace::FAST)
            );
            assert!(one == bytes && other == bytes, "{capacity} {piece}");
        }
    }
}

/// A handshake that fails ends with an alert, although TLS does not flush it.
#[tokio::test]
async fn alerts_are_not_lost() {
    let (acceptor, _) = identity();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let strangers = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let (near, far) = duplex(1 << 16);
    let connector = TlsConnector::from(Arc::new(strangers));
    let name = ServerName::try_from("proxy.example").unwrap();
    let (accepted, connected) = tokio::join!(
        acceptor.accept(BufferedStream::new(near)),
        connector.connect(name, BufferedStream::new(far))
    );
    assert!(connected.is_err());
    let error = accepted.err().unwrap();
    assert!(error.to_string().contains("UnknownCA"), "{error}");
    // What is no TLS is answered with one as well.
    let (near, mut far) = duplex(1 << 16);
    let (accepted, ()) = tokio::join!(acceptor.accept(BufferedStream::new(near)), async {
        far.write_all(b"REDQ\x02\0\0\0\x02\0\0\0").await.unwrap();
    });
    assert!(accepted.is_err());
    let mut answer = Vec::new();
    far.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21), "an alert: {answer:?}");
}

#[test]
fn what_is_in_it_is_not_shown() {
    let mut stream = BufferedStream::new(tokio::io::empty());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(stream.write_all(b"secret")).unwrap();
    let shown = format!("{stream:?}");
    assert!(shown.contains("unsent: 6") && !shown.contains("115"), "{shown}");
}
