//! The session: the picture where it is asked for, and nothing else, since it never changes.

use std::io::ErrorKind;
use std::time::Duration;

use bytes::Buf;
use examples::vnc::Connection;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::message::{ClientMessage, Extensions, FramebufferUpdate, FramebufferUpdateRequest};
use rfb_proto::{Limits, PixelFormat, Policy};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::Result;
use crate::login::FORMAT;
use crate::picture::Picture;

/// So many bytes wait to be sent before no more requests are looked at. A viewer that reads slowly is sent the picture
/// slowly, and one that asks faster than it reads takes no more memory than this and one picture.
const BACKLOG: usize = 64 << 10;
/// For what a viewer asked for before it hung up.
const LAST: Duration = Duration::from_secs(5);

/// Answers a viewer until it hangs up.
pub(crate) async fn show<S>(picture: &Picture, mut connection: Connection<S>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut viewer = Viewer::new(picture);
    loop {
        while connection.buffers.tx.len() < BACKLOG && viewer.take(&mut connection)? {}
        if BACKLOG <= connection.buffers.tx.len() {
            connection.send().await?;
        } else if !connection.receive().await? {
            let _ = timeout(LAST, connection.send()).await;
            return match connection.buffers.rx.is_empty() {
                true => Ok(()),
                false => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
            };
        }
    }
}

/// What a viewer wants.
struct Viewer<'a> {
    picture: &'a Picture,
    format: PixelFormat,
    limits: Limits,
}

impl<'a> Viewer<'a> {
    fn new(picture: &'a Picture) -> Self {
        Self {
            picture,
            format: FORMAT,
            limits: Limits::default(),
        }
    }

    /// Takes a message and answers it; `false` if there is no whole one.
    fn take<S>(&mut self, connection: &mut Connection<S>) -> Result<bool> {
        // Nothing is announced, so nothing is agreed on.
        let extensions = Extensions::NONE;
        let buffers = &mut connection.buffers;
        if ClientMessage::missing(&buffers.rx, &extensions, &self.limits)? != 0 {
            return Ok(false);
        }
        let message = ClientMessage::decode_slice(&buffers.rx, &extensions, &self.limits)?;
        buffers.rx.advance(message.encoded_len());
        match message {
            ClientMessage::SetPixelFormat(set) => {
                set.format.validate(Policy::Lenient)?;
                if !set.format.is_true_colour() {
                    return Err("the viewer wants a colour map".into());
                }
                self.format = set.format;
            }
            // What has not changed is not sent.
            ClientMessage::FramebufferUpdateRequest(request) if request.incremental == 0 => {
                let area = inside(&request, self.picture.size);
                let head = FramebufferUpdate {
                    padding: 0,
                    rectangles: 1,
                };
                head.encode(&mut buffers.tx)?;
                area.encode(&mut buffers.tx)?;
                self.picture.put(&area, &self.format, &mut buffers.tx)?;
            }
            // Raw may always be used; keys, the mouse and the clipboard have no effect.
            _ => {}
        }
        Ok(true)
    }
}

/// The part of the area that there is.
fn inside(request: &FramebufferUpdateRequest, (width, height): (u16, u16)) -> Rectangle {
    let (x, y) = (request.x.min(width), request.y.min(height));
    Rectangle {
        x,
        y,
        width: request.width.min(width - x),
        height: request.height.min(height - y),
        encoding: Encoding::RAW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use bytes::BytesMut;
    use examples::vnc::Stream;
    use rfb_proto::handshake::Buffers;
    use spice_proto::BufferedStream;
    use tokio::io::duplex;
    use tokio::time::sleep;

    const REQUESTS: usize = 9;

    /// Asks for the whole picture again and again, all at once, and takes so many bytes.
    async fn view(stream: Stream, bytes: usize, rest: Duration) -> Vec<u8> {
        let mut buffers = Buffers::default();
        for _ in 0..REQUESTS {
            let request = FramebufferUpdateRequest {
                incremental: 0,
                x: 0,
                y: 0,
                width: u16::MAX,
                height: u16::MAX,
            };
            ClientMessage::from(request).encode(&mut buffers.tx).unwrap();
        }
        let mut connection = Connection::new(stream, buffers);
        while connection.buffers.rx.len() < bytes {
            sleep(rest).await;
            assert!(connection.receive().await.unwrap(), "the server hung up");
        }
        connection.buffers.rx.to_vec()
    }

    /// Every picture that was asked for comes, over streams that hold less. Time does not pass by itself.
    #[tokio::test(start_paused = true)]
    async fn the_pictures_come_over_narrow_streams() {
        let picture = Picture {
            size: (40, 50),
            rgb: (0..250_u8).cycle().take(40 * 50 * 3).collect(),
        };
        let mut one = BytesMut::from(&b"\0\0\0\x01"[..]);
        let area = Rectangle {
            x: 0,
            y: 0,
            width: 40,
            height: 50,
            encoding: Encoding::RAW,
        };
        area.encode(&mut one).unwrap();
        picture.put(&area, &FORMAT, &mut one).unwrap();
        let all = one.repeat(REQUESTS);
        assert!(BACKLOG < all.len());
        for capacity in [1, 1 << 10, 64 << 10] {
            for (buffered, rest) in [(false, 0), (true, 10)] {
                let (near, far) = duplex(capacity);
                let [near, far] = [near, far].map(|end| -> Stream {
                    if buffered {
                        Box::new(BufferedStream::new(end))
                    } else {
                        Box::new(end)
                    }
                });
                let serve = show(&picture, Connection::new(near, Buffers::default()));
                let view = view(far, all.len(), Duration::from_millis(rest));
                let both = async { tokio::join!(serve, view) };
                let (served, seen) = timeout(Duration::from_secs(36_000), both)
                    .await
                    .expect("it stands still");
                served.unwrap();
                assert!(seen == all, "{capacity} {buffered} {rest}");
            }
        }
    }
}
