//! A connection that may come to TLS.

extern crate std;

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, ErrorKind};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

#[cfg(feature = "rustls")]
use super::tls_stream::TlsStream;
use crate::handshake::{Buffers, Tls, TlsRole};
#[cfg(feature = "rsa-aes")]
use crate::security::rsa_aes::{LayerKeys, LayerStream};

/// What a driver has for TLS.
#[derive(Debug, Clone, Default)]
pub(super) struct Certificates {
    #[cfg(feature = "rustls")]
    pub(super) tenants: Option<crate::tls::ServerTls>,
    #[cfg(feature = "rustls")]
    pub(super) hypervisors: Option<crate::tls::ClientTls>,
}

/// A stream, or the same inside TLS.
pub(super) enum Wire<S> {
    Plain(S),
    #[cfg(feature = "rustls")]
    Tls(alloc::boxed::Box<TlsStream<S>>),
    #[cfg(feature = "rsa-aes")]
    Layered(alloc::boxed::Box<LayerStream<S>>),
    /// TLS could not begin on it.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Begins TLS.
    ///
    /// # Errors
    /// There are no certificates for it, or no TLS at all.
    pub(super) fn start_tls(&mut self, tls: &Tls, with: &Certificates, buffers: &mut Buffers) -> io::Result<()> {
        let Self::Plain(stream) = core::mem::replace(self, Self::Gone) else {
            return Err(ErrorKind::NotConnected.into());
        };
        *self = secured(stream, tls, with, buffers)?;
        Ok(())
    }

    /// Begins the messages of RSA-AES.
    ///
    /// # Errors
    /// The stream is inside of something else.
    #[cfg(feature = "rsa-aes")]
    pub(super) fn start_layer(&mut self, keys: LayerKeys, buffers: &mut Buffers) -> io::Result<()> {
        let Self::Plain(stream) = core::mem::replace(self, Self::Gone) else {
            return Err(ErrorKind::NotConnected.into());
        };
        *self = Self::Layered(alloc::boxed::Box::new(LayerStream::new(stream, keys, buffers)));
        Ok(())
    }

    /// Ready when the handshake of TLS is over.
    pub(super) fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => stream.poll_handshake(cx),
            _ => {
                let _ = cx;
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[cfg(feature = "rustls")]
fn secured<S>(stream: S, tls: &Tls, with: &Certificates, buffers: &mut Buffers) -> io::Result<Wire<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let missing = || io::Error::other("no certificates for TLS");
    let secured = match tls.role {
        TlsRole::Client => {
            let with = with.hypervisors.as_ref().ok_or_else(missing)?;
            TlsStream::connecting(stream, tls, with, buffers)?
        }
        TlsRole::Server => {
            let with = with.tenants.as_ref().ok_or_else(missing)?;
            TlsStream::accepting(stream, with, buffers)?
        }
    };
    Ok(Wire::Tls(alloc::boxed::Box::new(secured)))
}

#[cfg(not(feature = "rustls"))]
fn secured<S>(stream: S, tls: &Tls, with: &Certificates, buffers: &mut Buffers) -> io::Result<Wire<S>> {
    let _ = (stream, with, buffers);
    Err(io::Error::other(match tls.role {
        TlsRole::Client => "no TLS towards hypervisors",
        TlsRole::Server => "no TLS towards tenants",
    }))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            #[cfg(feature = "rsa-aes")]
            Self::Layered(stream) => Pin::new(&mut **stream).poll_read(cx, buf),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            #[cfg(feature = "rsa-aes")]
            Self::Layered(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
            Self::Gone => Poll::Ready(Ok(buf.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
            #[cfg(feature = "rsa-aes")]
            Self::Layered(stream) => Pin::new(&mut **stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(feature = "rustls")]
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            #[cfg(feature = "rsa-aes")]
            Self::Layered(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}
