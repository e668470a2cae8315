//! Viewers with TLS, as it is: rustls, and a socket that takes little.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use spice_proto::BufferedStream;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex, split};
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::LONG;
use super::session::{DISPLAY, Proxy, frame, host, messages, view};
use super::streams::{Inner, Pace, Stream, line, receive, send};

/// ACK of the common messages, which a viewer sends every 20 messages.
const ACK: u16 = 2;

/// A server with its certificate, and a client that trusts it.
pub(super) fn identity() -> (TlsAcceptor, TlsConnector) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["proxy.example".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let der = CertificateDer::from(certificate.der().to_vec());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der).unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (
        TlsAcceptor::from(Arc::new(server)),
        TlsConnector::from(Arc::new(client)),
    )
}

/// A socket that counts what would be system calls, and the TLS records with application data that are written.
struct Socket {
    stream: DuplexStream,
    counts: Arc<SocketCounts>,
    /// Of the record that is being written: its header so far, and the bytes that are still to come.
    header: Vec<u8>,
    left: usize,
}

#[derive(Default)]
pub(super) struct SocketCounts {
    pub(super) writes: AtomicUsize,
    pub(super) records: AtomicUsize,
}

impl Socket {
    fn note(&mut self, mut bytes: &[u8]) {
        loop {
            let skipped = self.left.min(bytes.len());
            self.left -= skipped;
            let Some((byte, rest)) = bytes[skipped..].split_first() else {
                return;
            };
            self.header.push(*byte);
            bytes = rest;
            if let [kind, _, _, high, low] = self.header[..] {
                self.left = usize::from(high) << 8 | usize::from(low);
                self.header.clear();
                self.counts
                    .records
                    .fetch_add(usize::from(kind == 23), Ordering::Relaxed);
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(n)) = written {
            self.note(&buf[..n]);
            self.counts.writes.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A line with TLS whose socket takes this much: the proxy's end, and the viewer's.
pub(super) async fn secure(capacity: usize, buffered: bool) -> (Stream, Stream, Arc<SocketCounts>) {
    let (acceptor, connector) = identity();
    let (near, far) = duplex(capacity);
    let counts = Arc::new(SocketCounts::default());
    let socket = Socket {
        stream: near,
        counts: counts.clone(),
        header: Vec::new(),
        left: 0,
    };
    let name = ServerName::try_from("proxy.example").unwrap();
    let accept = async {
        match buffered {
            true => Box::new(acceptor.accept(BufferedStream::new(socket)).await.unwrap()) as Stream,
            false => Box::new(acceptor.accept(socket).await.unwrap()),
        }
    };
    let (tenant, viewer) = tokio::join!(accept, connector.connect(name, far));
    (tenant, Box::new(viewer.unwrap()), counts)
}

/// A display: the hypervisor sends a window of 40 messages and waits for an ACK of 20; the viewer reads at its pace.
/// Gives the longest time that the viewer waited, and how many writes and records there were.
async fn pictures(capacity: usize, buffered: bool, sizes: &[usize], pace: Pace) -> (Duration, usize, usize) {
    let proxy = Proxy::new();
    let _main = proxy.main().await;
    let (tenant, viewer, counts) = secure(capacity, buffered).await;
    let (near, far) = line(64 << 10, Inner::Nothing);
    proxy.notes.lock().unwrap().hypervisors.push_back(near);
    let _relayed = proxy.drive(tenant, true);
    let (viewer, hypervisor) = tokio::join!(view(viewer, DISPLAY, super::session::ID), host(far));
    let (view_in, mut view_out) = split(viewer.stream);
    let (mut host_in, mut host_out) = split(hypervisor.stream);
    view_out.write_all(&frame(101, &[0; 14])).await.unwrap();
    view_out.flush().await.unwrap();
    host_in.read_exact(&mut [0; 20]).await.unwrap();
    let before = [&counts.writes, &counts.records].map(|count| count.load(Ordering::Relaxed));
    let said = messages(304, sizes.iter().copied());
    let ends: Vec<usize> = sizes
        .iter()
        .scan(0, |end, size| {
            *end += 6 + size;
            Some(*end)
        })
        .collect();
    let speak = async {
        let (mut sent, mut acked) = (0, 0);
        while sent < ends.len() {
            if sent < acked + 40 {
                let start = if sent == 0 { 0 } else { ends[sent - 1] };
                host_out.write_all(&said[start..ends[sent]]).await.unwrap();
                sent += 1;
            } else {
                let mut ack = [0; 6];
                host_in.read_exact(&mut ack).await.unwrap();
                assert_eq!(ack, frame(ACK, &[])[..]);
                acked += 20;
            }
        }
    };
    let look = async {
        let (mut view_in, mut at, mut longest) = (view_in, 0, Duration::ZERO);
        for twenty in ends.chunks(20) {
            let end = twenty[twenty.len() - 1];
            let (got, waited) = receive(&mut view_in, end - at, pace).await;
            assert!(got == said[at..end]);
            (at, longest) = (end, longest.max(waited));
            send(&mut view_out, &frame(ACK, &[]), Pace::FAST).await;
        }
        longest
    };
    let both = timeout(LONG, async { tokio::join!(speak, look) }).await;
    let ((), longest) = both.expect("stands still");
    sleep(Duration::from_secs(1)).await;
    let after = [&counts.writes, &counts.records].map(|count| count.load(Ordering::Relaxed));
    (longest, after[0] - before[0], after[1] - before[1])
}

/// What stood still for good: QEMU's window, messages of 30 and 60 KB, a socket of 64 KiB, a viewer of 0.6 to 1 MB/s.
#[tokio::test(start_paused = true)]
async fn pictures_for_a_slow_viewer() {
    let sizes: Vec<usize> = (0..100).map(|n| 30_000 * (1 + n % 2)).collect();
    for capacity in [1 << 10, 64 << 10] {
        for buffered in [false, true] {
            for bytes in [12_000, 20_000] {
                let (longest, ..) = pictures(capacity, buffered, &sizes, Pace::new(bytes, 20)).await;
                assert!(longest < Duration::from_secs(2), "{longest:?} {capacity} {buffered}");
            }
        }
    }
}

/// Messages of 200 bytes as a flood: one record each, whatever is below TLS, and few writes where that collects them.
#[tokio::test(start_paused = true)]
async fn a_flood_of_small_messages() {
    let sizes = vec![200; 5000];
    let (_, writes, records) = pictures(64 << 10, false, &sizes, Pace::FAST).await;
    assert_eq!((writes, records), (5000, 5000));
    let (_, writes, records) = pictures(64 << 10, true, &sizes, Pace::FAST).await;
    assert_eq!(records, 5000);
    assert!(writes < 500, "{writes} writes");
    for buffered in [false, true] {
        let (longest, _, records) = pictures(4 << 10, buffered, &sizes, Pace::new(5000, 20)).await;
        assert!(
            longest < Duration::from_secs(2) && records == 5000,
            "{longest:?} {records}"
        );
    }
}
