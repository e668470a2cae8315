//! Writing frames.

use bytes::BytesMut;

use super::{Frame, Header, HeaderForm};
use crate::error::EncodeError;

/// A message that can be written in a frame: the `Message` enums of [`crate::channel`], and whatever else has a number
/// and a body.
///
/// ```
/// use bytes::BytesMut;
/// use spice_proto::EncodeError;
/// use spice_proto::frame::{Body, HeaderForm, Writer};
///
/// /// A message that this crate has no layout for.
/// struct Beep { hertz: u16 }
///
/// impl Body for Beep {
///     fn number(&self) -> u16 {
///         1000
///     }
///     fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
///         dst.extend_from_slice(&self.hertz.to_le_bytes());
///         Ok(())
///     }
///     fn encoded_len(&self) -> usize {
///         2
///     }
/// }
///
/// let mut tx = BytesMut::new();
/// Writer::new(HeaderForm::Mini).write(&Beep { hertz: 440 }, &mut tx)?;
/// assert_eq!(tx[..], [0xe8, 3, 2, 0, 0, 0, 0xb8, 1]);
/// # Ok::<(), EncodeError>(())
/// ```
pub trait Body {
    /// The message number.
    fn number(&self) -> u16;
    /// Appends the body.
    ///
    /// # Errors
    /// A value that its field cannot hold; `dst` is then as it was.
    fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError>;
    /// Bytes that `encode` appends.
    fn encoded_len(&self) -> usize;
}

/// A body that is longer than the header can say.
#[cold]
fn too_long(size: usize) -> EncodeError {
    EncodeError {
        message: "Header",
        field: "size",
        value: size as u64,
        limit: u32::MAX.into(),
    }
}

/// Writes frames, and numbers them.
#[derive(Debug, Clone)]
pub struct Writer {
    form: HeaderForm,
    serial: u64,
}

impl Writer {
    /// For a new connection: the first frame has serial 1.
    #[must_use]
    pub const fn new(form: HeaderForm) -> Self {
        Self { form, serial: 0 }
    }

    /// Frames written so far: the serial of the last one, which mini headers only imply.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Appends a message as one frame.
    ///
    /// # Errors
    /// A value that its field cannot hold; `dst` is then as it was, and no serial is used.
    #[inline]
    pub fn write(&mut self, message: &impl Body, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let before = dst.len();
        let serial = self.serial.saturating_add(1);
        Header {
            serial,
            number: message.number(),
            size: 0,
            sub_list: 0,
        }
        .write(self.form, dst);
        let body = dst.len();
        message
            .encode(dst)
            .and_then(|()| {
                // The size is known now, and costs no walk through the message in front of it.
                let size = dst.len().saturating_sub(body);
                match (u32::try_from(size), dst.get_mut(before..)) {
                    (Ok(size), Some(header)) => {
                        Header::put_size(self.form, size, header);
                        Ok(())
                    }
                    _ => Err(too_long(size)),
                }
            })
            .inspect_err(|_| dst.truncate(before))?;
        self.serial = serial;
        Ok(())
    }

    /// Appends a frame, with a serial of this connection.
    ///
    /// # Errors
    /// A list of sub-messages, for which mini headers have no place: [`FrameForwarder`](super::FrameForwarder) knows
    /// what to do with it. `dst` is then as it was, and no serial is used.
    pub fn write_frame(&mut self, frame: &Frame, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let sub_list = frame.header.sub_list;
        if self.form == HeaderForm::Mini && sub_list != 0 {
            return Err(EncodeError {
                message: "Header",
                field: "sub_list",
                value: sub_list.into(),
                limit: 0,
            });
        }
        let size = crate::fields::length(frame.body.len(), "Header", "size", u32::MAX)?;
        self.serial = self.serial.saturating_add(1);
        Header {
            serial: self.serial,
            number: frame.header.number,
            size,
            sub_list,
        }
        .write(self.form, dst);
        dst.extend_from_slice(&frame.body);
        Ok(())
    }
}
