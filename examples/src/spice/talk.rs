//! Messages in both directions at once.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::{Sink, Stream as _, StreamExt as _};
use spice_proto::codec::CodecError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::codec::{Decoder, Encoder, Framed, FramedParts};

/// Messages that wait to be looked at before no more are read.
const WAITING: usize = 64;

/// The data stage of a connection.
///
/// What comes is read while something is sent: a program that writes to its end before it reads again waits for ever
/// where its peer does the same.
pub struct Talk<S, C: Decoder> {
    framed: Framed<S, C>,
    /// What came while something was sent.
    waiting: VecDeque<Result<C::Item, CodecError>>,
    /// Nothing more comes.
    ended: bool,
}

impl<S, C> Talk<S, C>
where
    S: AsyncRead + AsyncWrite + Unpin,
    C: Decoder<Error = CodecError>,
{
    /// `rx`: what came together with the end of the link stage.
    pub fn new<Out>(stream: S, codec: C, rx: BytesMut) -> Self
    where
        C: Encoder<Out, Error = CodecError>,
    {
        let mut parts = FramedParts::new::<Out>(stream, codec);
        parts.read_buf = rx;
        Self {
            framed: Framed::from_parts(parts),
            waiting: VecDeque::new(),
            ended: false,
        }
    }

    /// Sends a message, to its last byte.
    ///
    /// # Errors
    /// The connection failed, or the message has no wire form.
    pub async fn send<Out>(&mut self, message: Out) -> Result<(), CodecError>
    where
        C: Encoder<Out, Error = CodecError>,
    {
        poll_fn(|cx| self.poll_with_reads(cx, |framed, cx| Sink::<Out>::poll_ready(framed, cx))).await?;
        Pin::new(&mut self.framed).start_send(message)?;
        poll_fn(|cx| self.poll_with_reads(cx, |framed, cx| Sink::<Out>::poll_flush(framed, cx))).await
    }

    /// The next message. `None`: the peer hung up.
    ///
    /// # Errors
    /// The connection failed, or a message cannot be read.
    pub async fn next(&mut self) -> Option<Result<C::Item, CodecError>> {
        match self.waiting.pop_front() {
            None if self.ended => None,
            None => self.framed.next().await,
            waiting => waiting,
        }
    }

    /// Goes on with sending, and reads as long as that has to wait.
    fn poll_with_reads<T>(
        &mut self,
        cx: &mut Context<'_>,
        send: impl FnOnce(Pin<&mut Framed<S, C>>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        let sent = send(Pin::new(&mut self.framed), cx);
        if sent.is_pending() {
            let _ = self.poll_read(cx);
        }
        sent
    }

    /// Reads until nothing more is there, or there is no room for it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && self.waiting.len() < WAITING {
            match ready!(Pin::new(&mut self.framed).poll_next(cx)) {
                Some(message) => {
                    self.ended = message.is_err();
                    self.waiting.push_back(message);
                }
                None => self.ended = true,
            }
        }
        Poll::Ready(())
    }
}
