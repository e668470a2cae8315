//! TLS inside of a connection, by rfb-proto's [`TlsStream`]; for programs, over bytes that were read already, with an end
//! that is an end, and with words for a peer that does not speak it.
//!
//! Not tokio-rustls: it keeps 4 KiB for a connection at rest, writes to the system once for each record, and in version 0.26
//! its handshake stops for good over a stream that takes a few bytes at a time, since a flush that has to wait is not tried
//! again once the stream has room.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use rfb_proto::handshake::Buffers;
use rfb_proto::tls::{TlsConnection, TlsSession};
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, join, split};
use tokio_util::io::InspectReader;

pub use rfb_proto::TlsStream;

use crate::stream::{Stream, protocol, read_ahead};

/// As many first bytes as tell a protocol.
const FIRST: usize = 16;

/// The client's side of TLS, with its handshake done.
///
/// # Errors
/// The handshake failed: the server's certificate, most likely.
pub async fn client<S>(stream: S, config: Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = UnbufferedClientConnection::new(config, name).map_err(io::Error::other)?;
    handshake(stream, session.into()).await
}

/// The server's side of TLS, with its handshake done.
///
/// # Errors
/// The handshake failed.
pub async fn server<S>(stream: S, config: Arc<ServerConfig>) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = UnbufferedServerConnection::new(config).map_err(io::Error::other)?;
    handshake(stream, session.into()).await
}

async fn handshake<S>(stream: S, session: TlsConnection) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = TlsStream::new(stream, TlsSession::new(session, &mut Buffers::default()));
    stream.handshake().await?;
    Ok(stream)
}

/// Speaks TLS on a connection, as a client. `early`: bytes of the server that were read already.
///
/// # Errors
/// The handshake failed: the server's certificate, most likely, or it does not speak TLS, which is then said.
pub async fn connect<S>(
    stream: S,
    early: Bytes,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
) -> io::Result<Stream>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, heard) = listened(stream, early);
    let connected = client(stream, config, name).await;
    connected.map(whole).map_err(|error| heard.explain(error))
}

/// Speaks TLS on a connection, as a server. `early`: bytes of the client that were read already, the beginning of its
/// hello.
///
/// # Errors
/// The handshake failed, or the client does not speak TLS, which is then said.
pub async fn accept<S>(stream: S, early: Bytes, config: Arc<ServerConfig>) -> io::Result<Stream>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (stream, heard) = listened(stream, early);
    let accepted = server(stream, config).await;
    accepted.map(whole).map_err(|error| heard.explain(error))
}

/// The first bytes of a peer.
#[derive(Clone, Default)]
struct FirstBytes(Arc<Mutex<Vec<u8>>>);

impl FirstBytes {
    fn hear(&self, bytes: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FIRST.saturating_sub(first.len()).min(bytes.len());
        first.extend_from_slice(&bytes[..room]);
    }

    /// What the error means, if the peer does not speak TLS at all.
    fn explain(&self, error: io::Error) -> io::Error {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = error.kind() == ErrorKind::InvalidData && !first.is_empty();
        match protocol(&first) {
            Some("TLS") => error,
            Some(spoken) if is_other => io::Error::new(error.kind(), format!("the peer speaks {spoken}, not TLS")),
            None if is_other && first.first() != Some(&0x16) && first.first() != Some(&0x15) => {
                let bytes = first.escape_ascii();
                io::Error::new(
                    error.kind(),
                    format!("the peer does not speak TLS: it says \"{bytes}\""),
                )
            }
            _ => error,
        }
    }
}

fn listened<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    early: Bytes,
) -> (impl AsyncRead + AsyncWrite + Send + Unpin, FirstBytes) {
    let heard = FirstBytes::default();
    let hears = heard.clone();
    let ahead = read_ahead([early], stream);
    (InspectReader::new(ahead, move |bytes: &[u8]| hears.hear(bytes)), heard)
}

/// The plaintext, to its end.
fn whole<S>(stream: S) -> Stream
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (read, write) = split(stream);
    Box::new(join(ToTheEnd(read), write))
}

/// A peer that hangs up without TLS's farewell is at its end as well: SPICE and VNC say themselves when they are over,
/// and QEMU and others send none.
struct ToTheEnd<R>(R);

impl<R: AsyncRead + Unpin> AsyncRead for ToTheEnd<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.0).poll_read(cx, buf) {
            Poll::Ready(Err(error)) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
            read => read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls::RootCertStore;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::timeout;

    const NAME: &str = "server.example";
    /// Longer than anything takes that goes on at all.
    const LONG: Duration = Duration::from_secs(3600);

    /// A server with a certificate of its own, and a client that knows it. `versions`: of TLS.
    fn configs(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }

    /// Both sides send this at once, read what comes, and close.
    async fn exchange(stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let (mut read, mut write) = split(stream);
        let send = async {
            write.write_all(bytes).await.unwrap();
            write.flush().await.unwrap();
            write.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let (read, ()) = tokio::join!(read.read_to_end(&mut received), send);
        read.unwrap();
        received
    }

    fn name() -> ServerName<'static> {
        NAME.try_into().unwrap()
    }

    /// A handshake, and bytes in both directions at once, over streams that hold few bytes. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn handshakes_and_bytes_pass_over_narrow_streams() {
        for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13]] {
            let (server, client) = configs(versions);
            for capacity in [1, 2, 3, 1024, 65536] {
                let sent: Vec<u8> = (0..100_u8).cycle().take(capacity.clamp(5_000, 200_000)).collect();
                let (near, far) = duplex(capacity);
                let passed = timeout(LONG, async {
                    let ends = tokio::join!(
                        async { exchange(accept(near, Bytes::new(), server.clone()).await.unwrap(), &sent).await },
                        async {
                            exchange(connect(far, Bytes::new(), client.clone(), name()).await.unwrap(), &sent).await
                        }
                    );
                    assert!(ends.0 == sent && ends.1 == sent, "{versions:?}, {capacity} bytes");
                });
                let passed = passed.await;
                passed.unwrap_or_else(|_| panic!("{versions:?}, {capacity} bytes: it stands still"));
            }
        }
    }

    /// Bytes of the hello that were read before TLS began, each number of them.
    #[tokio::test(start_paused = true)]
    async fn hellos_that_were_begun_are_read_on() {
        let (server, client) = configs(&[&rustls::version::TLS13]);
        for early in [1, 5, 16, 17, 100] {
            let (mut near, far) = duplex(3);
            let accepting = async {
                let mut begun = vec![0; early];
                near.read_exact(&mut begun).await.unwrap();
                exchange(accept(near, begun.into(), server.clone()).await.unwrap(), b"server").await
            };
            let connecting = async {
                exchange(
                    connect(far, Bytes::new(), client.clone(), name()).await.unwrap(),
                    b"client",
                )
                .await
            };
            let ends = timeout(LONG, async { tokio::join!(accepting, connecting) }).await;
            assert_eq!(ends.unwrap(), (b"client".to_vec(), b"server".to_vec()), "{early}");
        }
    }

    /// A peer of another protocol is named, over a stream of any width.
    #[tokio::test(start_paused = true)]
    async fn peers_of_other_protocols_are_named() {
        let (server, client) = configs(&[&rustls::version::TLS13]);
        let says = |mut far: DuplexStream| async move {
            let _ = far.write_all(b"RFB 003.008\nand so on").await;
            far
        };
        for capacity in [1, 5, 1024] {
            let (near, far) = duplex(capacity);
            let far = tokio::spawn(says(far));
            let error = accept(near, Bytes::new(), server.clone()).await.map(drop).unwrap_err();
            let told = error.to_string();
            // With one byte at a time no more than its beginning was read.
            assert!(
                told.starts_with("the peer ") && told.contains("TLS"),
                "{capacity}: {told}"
            );
            drop(far);
            let (near, far) = duplex(1024);
            let far = tokio::spawn(says(far));
            let error = connect(near, Bytes::new(), client.clone(), name())
                .await
                .map(drop)
                .unwrap_err();
            assert_eq!(error.to_string(), "the peer speaks RFB (VNC), not TLS");
            drop(far);
        }
    }
}
