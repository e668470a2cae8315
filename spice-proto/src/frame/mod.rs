//! Frames of the data stage: a header and a body.
//!
//! ```text
//! mini   | type u16 | size u32 | body: size bytes                                      6 bytes
//! full   | serial u64 | type u16 | size u32 | sub_list u32 | body: size bytes         18 bytes
//! ```
//!
//! Little-endian. The mini form is used in both directions when both sides announced
//! [`MINI_HEADER`](crate::caps::common::MINI_HEADER); the form never changes on a connection.
//!
//! Ways to look at a stream, from the cheapest: [`Splitter::frames`] walks over the whole frames
//! that lie in a buffer without taking anything; [`Splitter::split`] takes them off as [`Frame`]s, and
//! [`Splitter::decode`] one at a time, in the form that `tokio_util::codec` has; [`FrameForwarder`] moves a stream from one
//! connection to another and asks about each frame as it goes by.

mod cut;
mod flow;
mod forward;
mod list;

pub use cut::Cutter;
pub use flow::{AckCounter, AckWindow, Acknowledge};
pub use forward::{Forwarded, FrameDecision, FrameForwarder};
pub use list::{SubMessage, SubMessages};

use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

use crate::channel::display::{GlScanout2Unix, GlScanoutUnix};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::limits::Limits;
use crate::wire::{Fixed, Unseen, put_block};

/// Which of the two headers a connection uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderForm {
    /// 6 bytes: type and size.
    Mini,
    /// 18 bytes: serial, type, size, offset of a list of sub-messages.
    Full,
}

impl HeaderForm {
    /// The form that two sides use, from whether each announced `MINI_HEADER`.
    #[must_use]
    pub const fn agreed(client: bool, server: bool) -> Self {
        if client && server { Self::Mini } else { Self::Full }
    }

    /// Bytes in a header.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Mini => 6,
            Self::Full => 18,
        }
    }
}

/// The header of a frame, in either form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Header {
    /// Number of this message on its connection, from 1. 0 with mini headers, where both sides count.
    pub serial: u64,
    /// Message number.
    pub number: u16,
    /// Bytes in the body.
    pub size: u32,
    /// Offset of a list of sub-messages in the body; 0 = none. Always 0 with mini headers.
    pub sub_list: u32,
}

impl Header {
    /// Reads a header, if its bytes are there.
    #[inline]
    #[must_use]
    pub fn read(form: HeaderForm, src: &[u8]) -> Option<Self> {
        let mut block = src.get(..form.len())?;
        Some(match form {
            HeaderForm::Mini => Self {
                serial: 0,
                number: Fixed::get(&mut block),
                size: Fixed::get(&mut block),
                sub_list: 0,
            },
            HeaderForm::Full => Self {
                serial: Fixed::get(&mut block),
                number: Fixed::get(&mut block),
                size: Fixed::get(&mut block),
                sub_list: Fixed::get(&mut block),
            },
        })
    }

    /// Appends the header. The mini form leaves out the serial and the list's offset.
    #[inline]
    pub fn write(&self, form: HeaderForm, dst: &mut BytesMut) {
        match form {
            HeaderForm::Mini => put_block::<6>(dst, |block| {
                self.number.put(block);
                self.size.put(block);
            }),
            HeaderForm::Full => put_block::<18>(dst, |block| {
                self.serial.put(block);
                self.number.put(block);
                self.size.put(block);
                self.sub_list.put(block);
            }),
        }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_len(&self, form: HeaderForm) -> u64 {
        u64::from(self.size).saturating_add(form.len() as u64)
    }

    /// Refuses a body above the limit, and a list of sub-messages that begins behind the body.
    pub(crate) fn check(&self, form: HeaderForm, limit: u32) -> Result<(), DecodeError> {
        if self.size <= limit && self.sub_list <= self.size {
            return Ok(());
        }
        let (field, offset, kind) = if self.size <= limit {
            let kind = DecodeErrorKind::OutOfBounds {
                value: self.sub_list.into(),
                len: self.size as usize,
            };
            ("sub_list", 14, kind)
        } else {
            let offset = match form {
                HeaderForm::Mini => 2,
                HeaderForm::Full => 10,
            };
            (
                "size",
                offset,
                DecodeErrorKind::TooLarge {
                    value: self.size.into(),
                    limit: limit.into(),
                },
            )
        };
        Err(DecodeError {
            message: "Header",
            field,
            offset,
            kind,
        })
    }
}

/// A frame in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// Its header.
    pub header: Header,
    /// Its body; empty when [`FrameForwarder`] forwards the body on in parts.
    pub body: &'a [u8],
}

impl FrameRef<'_> {
    /// A frame of its own, with a copy of the body.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame {
            header: self.header,
            body: Bytes::copy_from_slice(self.body),
        }
    }
}

/// A frame on its own. The body is a slice of the buffer that it was received in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its body.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub body: Bytes,
}

/// Finds frames in a byte stream.
#[derive(Debug, Clone)]
pub struct Splitter {
    form: HeaderForm,
    frame_body: u32,
    passed_body: u32,
    descriptors: bool,
}

impl Splitter {
    /// For a connection with this form of headers. [`Limits::frame_body`] bounds what is held,
    /// [`Limits::passed_body`] what is announced.
    #[must_use]
    pub fn new(form: HeaderForm, limits: &Limits) -> Self {
        Self {
            form,
            frame_body: limits.frame_body,
            passed_body: limits.passed_body.max(limits.frame_body),
            descriptors: false,
        }
    }

    /// For what a server sends on a display channel over a UNIX socket: one byte, which carries file
    /// descriptors, follows the body of `GL_SCANOUT_UNIX` and `GL_SCANOUT2_UNIX` when there is a buffer. No size
    /// counts it. It is taken together with the frame, and [`Splitter::frames`] and
    /// [`Splitter::split`] end behind it: send or use what came before, with the descriptors, and call again.
    #[must_use]
    pub fn with_descriptors(mut self) -> Self {
        self.descriptors = true;
        self
    }

    /// The whole frames at the front of `src`.
    #[inline]
    #[must_use]
    pub fn frames<'a>(&self, src: &'a [u8]) -> Frames<'a> {
        self.frames_to(src, self.passed_body)
    }

    #[inline]
    fn frames_to<'a>(&self, src: &'a [u8], limit: u32) -> Frames<'a> {
        let frames = Frames {
            form: self.form,
            limit,
            src,
            at: 0,
            descriptor: false,
        };
        if self.descriptors {
            frames.until_descriptor()
        } else {
            frames
        }
    }

    /// Takes all whole frames off the front at once, which costs less a frame than [`Splitter::decode`]. Room for
    /// what the next frame lacks is then reserved.
    ///
    /// # Errors
    /// The first frame is one that [`Splitter::decode`] refuses: frames in front of it are given out first.
    #[inline]
    pub fn split(&mut self, src: &mut BytesMut) -> Result<OwnedFrames, DecodeError> {
        let mut frames = Frames {
            form: self.form,
            limit: self.frame_body,
            ..self.frames(src)
        };
        frames.by_ref().for_each(drop);
        let (whole, next) = (frames.taken(), frames.next_header());
        let run = src.split_to(whole).freeze();
        if run.is_empty() {
            next?;
        }
        if let Ok(Some(header)) = next {
            let whole = self.form.len().saturating_add(header.size as usize);
            src.reserve(whole.saturating_sub(src.len()));
        }
        Ok(OwnedFrames {
            form: self.form,
            run,
            at: 0,
        })
    }

    /// Takes one frame off the front. `Ok(None)`: more bytes are needed; room for them is then reserved.
    ///
    /// # Errors
    /// A body above [`Limits::frame_body`], or a list of sub-messages outside of its body. The stream
    /// cannot go on.
    #[inline]
    pub fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, DecodeError> {
        let Some(header) = Header::read(self.form, src) else {
            return Ok(None);
        };
        header.check(self.form, self.frame_body)?;
        let (head, size) = (self.form.len(), header.size as usize);
        let end = head.saturating_add(size);
        let mut missing = end.saturating_sub(src.len());
        let mut descriptor = false;
        if let (true, Some(body)) = (self.descriptors, src.get(head..end)) {
            descriptor = descriptor_follows(&FrameRef { header, body });
            missing = usize::from(descriptor && src.len() == end);
        }
        if missing > 0 {
            src.reserve(missing);
            return Ok(None);
        }
        // One split, and the header is then dropped from the finished `Bytes`, where that is cheap.
        let mut body = src.split_to(end).freeze();
        body.advance(head);
        src.advance(usize::from(descriptor));
        Ok(Some(Frame { header, body }))
    }
}

/// Whether a byte with file descriptors follows this frame of a display channel. What does not decode has none.
#[cold]
fn descriptor_follows(frame: &FrameRef<'_>) -> bool {
    match frame.header.number {
        GlScanoutUnix::NUMBER => {
            GlScanoutUnix::decode_slice(frame.body).is_ok_and(|scanout| scanout.descriptor_follows())
        }
        GlScanout2Unix::NUMBER => {
            GlScanout2Unix::decode_slice(frame.body).is_ok_and(|scanout| scanout.descriptor_follows())
        }
        _ => false,
    }
}

/// The whole frames that were taken off a buffer: see [`Splitter::split`].
#[derive(Clone)]
pub struct OwnedFrames {
    form: HeaderForm,
    /// Whole frames and nothing else.
    run: Bytes,
    at: usize,
}

impl fmt::Debug for OwnedFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedFrames")
            .field("form", &self.form)
            .field("run", &Unseen(&self.run))
            .field("at", &self.at)
            .finish()
    }
}

impl Iterator for OwnedFrames {
    type Item = Frame;

    #[inline]
    fn next(&mut self) -> Option<Frame> {
        let header = Header::read(self.form, self.run.get(self.at..)?)?;
        let start = self.at.checked_add(self.form.len())?;
        let end = start.checked_add(header.size as usize)?;
        // INVARIANT: `split` walked over these frames, so they are whole, and `slice` cannot panic.
        if self.run.len() < end {
            return None;
        }
        self.at = end;
        let body = self.run.slice(start..end);
        Some(Frame { header, body })
    }
}

/// The whole frames that lie in a buffer: see [`Splitter::frames`].
#[derive(Clone)]
pub struct Frames<'a> {
    form: HeaderForm,
    limit: u32,
    src: &'a [u8],
    at: usize,
    /// A byte that carries descriptors follows `src`.
    descriptor: bool,
}

impl fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("form", &self.form)
            .field("limit", &self.limit)
            .field("src", &Unseen(self.src))
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'a> Frames<'a> {
    /// The same, up to the first byte that carries descriptors. Out of the way of those that have none.
    #[cold]
    fn until_descriptor(self) -> Self {
        let mut frames = self.clone();
        while let Some(frame) = frames.next() {
            if descriptor_follows(&frame) {
                let descriptor = frames.src.len() != frames.at;
                // Without that byte the frame is not whole.
                let end = if descriptor { frames.at } else { frames.before(&frame) };
                let src = self.src.get(..end).unwrap_or_default();
                return Self {
                    src,
                    descriptor,
                    ..self
                };
            }
        }
        self
    }

    /// Where the frame begins that was given out last.
    const fn before(&self, frame: &FrameRef<'_>) -> usize {
        self.at.saturating_sub(frame.body.len()).saturating_sub(self.form.len())
    }

    /// Whether the last frame was given out and a byte that carries descriptors follows it.
    fn descriptor(&self) -> bool {
        self.descriptor && self.at == self.src.len()
    }

    /// Bytes of the frames that were given out.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.at.saturating_add(usize::from(self.descriptor()))
    }

    /// When the iterator has ended: the header of the frame that is not complete, if the header is.
    ///
    /// # Errors
    /// A body above [`Limits::passed_body`], or a list of sub-messages outside of its body.
    pub fn next_header(&self) -> Result<Option<Header>, DecodeError> {
        let header = self.src.get(self.at..).and_then(|left| Header::read(self.form, left));
        header
            .map(|header| header.check(self.form, self.limit).map(|()| header))
            .transpose()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = FrameRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<FrameRef<'a>> {
        let left = self.src.get(self.at..)?;
        let header = Header::read(self.form, left)?;
        let end = self.form.len().checked_add(header.size as usize)?;
        let body = left.get(self.form.len()..end)?;
        if self.form == HeaderForm::Full && header.sub_list > header.size || header.size > self.limit {
            return None;
        }
        self.at = self.at.saturating_add(end);
        Some(FrameRef { header, body })
    }
}

/// A message that can be written in a frame: the `Message` enums of [`crate::channel`].
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
    pub fn write(&mut self, message: &impl Body, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let size = crate::wire::length(message.encoded_len(), "Header", "size", u32::MAX)?;
        let before = dst.len();
        let serial = self.serial.saturating_add(1);
        Header {
            serial,
            number: message.number(),
            size,
            sub_list: 0,
        }
        .write(self.form, dst);
        message.encode(dst).inspect_err(|_| dst.truncate(before))?;
        self.serial = serial;
        Ok(())
    }
    /// Appends a frame, with a serial of this connection.
    ///
    /// # Errors
    /// A list of sub-messages, for which mini headers have no place: [`FrameForwarder`] knows what to do with it.
    /// `dst` is then as it was, and no serial is used.
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
        let size = crate::wire::length(frame.body.len(), "Header", "size", u32::MAX)?;
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
