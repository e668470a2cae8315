//! The session: the picture where it is asked for, and nothing else, since it never changes.

use bytes::{Buf, BytesMut};
use examples::vnc::whole;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::message::{ClientMessage, Extensions, FramebufferUpdate, FramebufferUpdateRequest};
use rfb_proto::{Limits, Policy};
use tokio::io::AsyncWriteExt;

use crate::Result;
use crate::login::{FORMAT, Session};
use crate::picture::Picture;

/// Answers a viewer until it hangs up.
pub(crate) async fn show(picture: &Picture, session: Session) -> Result<()> {
    let Session { mut stream, mut rx, .. } = session;
    let limits = Limits::default();
    let mut format = FORMAT;
    // Nothing is announced, so nothing is agreed on.
    let extensions = Extensions::NONE;
    let missing = |bytes: &[u8]| ClientMessage::missing(bytes, &extensions, &limits);
    while whole(&mut stream, &mut rx, missing).await? {
        let message = ClientMessage::decode_slice(&rx, &extensions, &limits)?;
        rx.advance(message.encoded_len());
        match message {
            ClientMessage::SetPixelFormat(set) => {
                set.format.validate(Policy::Lenient)?;
                if !set.format.is_true_colour() {
                    return Err("the viewer wants a colour map".into());
                }
                format = set.format;
            }
            // What has not changed is not sent.
            ClientMessage::FramebufferUpdateRequest(request) if request.incremental == 0 => {
                let area = inside(&request, picture.size);
                let mut update = BytesMut::new();
                FramebufferUpdate {
                    padding: 0,
                    rectangles: 1,
                }
                .encode(&mut update)?;
                area.encode(&mut update)?;
                picture.put(&area, &format, &mut update)?;
                stream.write_all(&update).await?;
                stream.flush().await?;
            }
            // Raw may always be used, and nobody looks at keys, the mouse and the clipboard.
            _ => {}
        }
    }
    Ok(())
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
