//! A connection that is read and written at once.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rfb_proto::handshake::Buffers;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// Room for one read; left to itself, a buffer that is full grows by a few bytes.
pub(super) const READ: usize = 16 << 10;

/// A stream and its two buffers.
///
/// A program that writes to its end before it reads again waits for ever where its peer does the same: both send
/// buffers are full, and each side waits for the other to read. So what is in `buffers.tx` is sent while the next bytes
/// are waited for.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// `rx`: what has come and was not taken yet. `tx`: what is to be sent.
    pub buffers: Buffers,
    /// What was written is not flushed yet.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// `buffers` may hold bytes of both directions already.
    pub fn new(stream: S, buffers: Buffers) -> Self {
        Self {
            stream,
            buffers,
            unflushed: false,
        }
    }

    /// Reads what comes next into `buffers.rx`, and sends what is in `buffers.tx` meanwhile. `false`: the peer has hung up.
    ///
    /// A call that is given up has lost nothing.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn receive(&mut self) -> io::Result<bool> {
        poll_fn(|cx| {
            // Which of the two goes on does not matter to the other.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            self.buffers.rx.reserve(READ);
            let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.buffers.rx))?;
            Poll::Ready(Ok(read != 0))
        })
        .await
    }

    /// Sends what is in `buffers.tx`, to its end.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffers.tx.is_empty() {
            let sent = ready!(poll_write_buf(Pin::new(&mut self.stream), cx, &mut self.buffers.tx))?;
            if sent == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use spice_proto::BufferedStream;
    use tokio::io::duplex;
    use tokio::time::{sleep, timeout};

    use crate::stream::Stream;

    /// Sends these bytes and receives as many, and rests between the reads.
    async fn exchange(stream: Stream, bytes: &[u8], rest: Duration) -> Vec<u8> {
        let mut buffers = Buffers::default();
        buffers.tx.extend_from_slice(bytes);
        let mut connection = Connection::new(stream, buffers);
        while connection.buffers.rx.len() < bytes.len() {
            assert!(connection.receive().await.unwrap(), "the other end hung up");
            sleep(rest).await;
        }
        connection.send().await.unwrap();
        connection.buffers.rx.to_vec()
    }

    /// Both ends send all that they have at once, over streams that hold less. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn bytes_pass_in_both_directions_over_narrow_streams() {
        let slow = Duration::from_millis(10);
        for capacity in [1, 1 << 10, 64 << 10] {
            let bytes: Vec<u8> = (0..251_u8).cycle().take(3_000.max(3 * capacity)).collect();
            for buffered in [false, true] {
                for rests in [
                    [Duration::ZERO; 2],
                    [slow, Duration::ZERO],
                    [Duration::ZERO, slow],
                    [slow; 2],
                ] {
                    let (near, far) = duplex(capacity);
                    let [near, far] = [near, far].map(|end| -> Stream {
                        if buffered {
                            Box::new(BufferedStream::new(end))
                        } else {
                            Box::new(end)
                        }
                    });
                    let both =
                        async { tokio::join!(exchange(near, &bytes, rests[0]), exchange(far, &bytes, rests[1])) };
                    let both = timeout(Duration::from_secs(3600), both).await;
                    let (one, other) =
                        both.unwrap_or_else(|_| panic!("{capacity} {buffered} {rests:?}: it stands still"));
                    assert!(one == bytes && other == bytes, "{capacity} {buffered} {rests:?}");
                }
            }
        }
    }
}
