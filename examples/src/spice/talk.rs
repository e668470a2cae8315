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

    /// Hangs up, once what was sent has left.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn close<Out>(mut self) -> Result<(), CodecError>
    where
        C: Encoder<Out, Error = CodecError>,
    {
        poll_fn(|cx| Sink::<Out>::poll_close(Pin::new(&mut self.framed), cx)).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use bytes::Bytes;
    use spice_proto::codec::FrameCodec;
    use spice_proto::frame::{Frame, Header, HeaderForm};
    use spice_proto::{BufferedStream, Limits};
    use tokio::io::duplex;
    use tokio::time::{sleep, timeout};

    use crate::stream::Stream;

    /// Less than what may wait to be looked at.
    const MESSAGES: u16 = 60;

    fn frame(number: u16, size: u16) -> Frame {
        let body: Bytes = (0..size).map(|at| (at ^ number).to_le_bytes()[0]).collect();
        let header = Header {
            serial: 0,
            number,
            size: size.into(),
            sub_list: 0,
        };
        Frame { header, body }
    }

    /// Two ends over a stream that holds so many bytes; `buffered`: under it are buffers that only a flush empties.
    fn ends(capacity: usize, buffered: bool) -> [Talk<Stream, FrameCodec>; 2] {
        let (near, far) = duplex(capacity);
        [near, far].map(|end| {
            let stream: Stream = if buffered {
                Box::new(BufferedStream::new(end))
            } else {
                Box::new(end)
            };
            let codec = FrameCodec::new(HeaderForm::Mini, &Limits::default());
            Talk::new::<Frame>(stream, codec, BytesMut::new())
        })
    }

    /// Sends all messages, `at_once` or taking one after each, and takes as many; rests before each that it takes.
    async fn converse(mut talk: Talk<Stream, FrameCodec>, size: u16, at_once: bool, rest: Duration) {
        let mut taken = 0;
        for number in 1..=MESSAGES {
            talk.send(frame(number, size)).await.unwrap();
            let until = if at_once && number < MESSAGES { 0 } else { number };
            while taken < until {
                sleep(rest).await;
                taken += 1;
                assert_eq!(talk.next().await.unwrap().unwrap(), frame(taken, size));
            }
        }
        talk.close::<Frame>().await.unwrap();
    }

    /// All messages pass in order and nothing waits for ever, whichever side is slow. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn messages_pass_in_both_directions_over_narrow_streams() {
        let slow = Duration::from_secs(1);
        for capacity in [1, 1 << 10, 64 << 10] {
            for buffered in [false, true] {
                // One byte at a time takes a while.
                let large = if capacity == 1 { 100 } else { 3000 };
                for (size, at_once) in [(0, true), (50, false), (large, true)] {
                    for rests in [
                        [Duration::ZERO; 2],
                        [slow, Duration::ZERO],
                        [Duration::ZERO, slow],
                        [slow; 2],
                    ] {
                        let [near, far] = ends(capacity, buffered);
                        let talks = async {
                            tokio::join!(
                                converse(near, size, at_once, rests[0]),
                                converse(far, size, at_once, rests[1])
                            )
                        };
                        let ended = timeout(Duration::from_secs(3600), talks).await;
                        assert!(ended.is_ok(), "{capacity} {buffered} {size} {rests:?}: it stands still");
                    }
                }
            }
        }
    }
}
