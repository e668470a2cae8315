//! TLS inside of a connection, by tokio-rustls: over bytes that were read already, with an end that is an end, and
//! with words for a peer that does not speak it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, join, split};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::io::InspectReader;

use crate::stream::{Stream, protocol, read_ahead};

/// As many first bytes as tell a protocol.
const FIRST: usize = 16;

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
    let connected = TlsConnector::from(config).connect(name, stream).await;
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
    let accepted = TlsAcceptor::from(config).accept(stream).await;
    accepted.map(whole).map_err(|error| heard.explain(error))
}

/// The first bytes of a peer.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
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
) -> (impl AsyncRead + AsyncWrite + Send + Unpin, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    (
        InspectReader::new(read_ahead(early, stream), move |bytes: &[u8]| hears.hear(bytes)),
        heard,
    )
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
