//! Finding frames in a byte stream.

use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

use super::{Frame, FrameRef, Header, HeaderForm};
use crate::channel::display::{GlScanout2Unix, GlScanoutUnix};
use crate::error::DecodeError;
use crate::fields::Unseen;
use crate::limits::Limits;

/// Finds frames in a byte stream.
#[derive(Debug, Clone)]
pub struct FrameReader {
    form: HeaderForm,
    pub(super) frame_body: u32,
    passed_body: u32,
    pub(super) descriptors: bool,
}

impl FrameReader {
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
    /// counts it. It is taken together with the frame, and [`FrameReader::frames`] and
    /// [`FrameReader::split`] end behind it: send or use what came before, with the descriptors, and call again.
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
            left: src,
            descriptor: false,
        };
        if self.descriptors {
            frames.until_descriptor()
        } else {
            frames
        }
    }

    /// Takes all whole frames off the front at once, which costs less a frame than [`FrameReader::decode`]. Room for
    /// what the next frame lacks is then reserved.
    ///
    /// # Errors
    /// The first frame is one that [`FrameReader::decode`] refuses: frames in front of it are given out first.
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
        if self.descriptors && end <= src.len() {
            return Ok(self.decode_with_descriptor(header, end, src));
        }
        if src.len() < end {
            src.reserve(end.saturating_sub(src.len()));
            return Ok(None);
        }
        // One split, and the header is then dropped from the finished `Bytes`, where that is cheap.
        let mut body = src.split_to(end).freeze();
        body.advance(head);
        Ok(Some(Frame { header, body }))
    }

    /// The whole frame that ends there, with the byte behind it that carries descriptors, if there is to be one. Out of the
    /// way of those that have none.
    #[cold]
    fn decode_with_descriptor(&self, header: Header, end: usize, src: &mut BytesMut) -> Option<Frame> {
        let head = self.form.len();
        let body = src.get(head..end)?;
        let descriptor = descriptor_follows(&FrameRef { header, body });
        if descriptor && src.len() == end {
            src.reserve(1);
            return None;
        }
        let mut body = src.split_to(end).freeze();
        body.advance(head);
        src.advance(usize::from(descriptor));
        Some(Frame { header, body })
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

/// The whole frames that were taken off a buffer: see [`FrameReader::split`].
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

impl OwnedFrames {
    /// The frames that are left, as slices of the one piece that they were taken off in: for a caller that looks at
    /// each and keeps few. As an iterator each gives a [`Frame`] that can be kept, whose body counts as another user of
    /// that piece: about four times the cost.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use spice_proto::Limits;
    /// use spice_proto::frame::{FrameReader, HeaderForm};
    ///
    /// # fn main() -> Result<(), spice_proto::DecodeError> {
    /// let mut rx = BytesMut::from(&[2, 0, 0, 0, 0, 0, 7, 0, 1, 0, 0, 0, 42][..]);
    /// let run = FrameReader::new(HeaderForm::Mini, &Limits::default()).split(&mut rx)?;
    /// let numbers: Vec<u16> = run.frames().map(|frame| frame.header.number).collect();
    /// assert_eq!((numbers, run.count(), rx.len()), (vec![2, 7], 2, 0));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    #[must_use]
    pub fn frames(&self) -> Frames<'_> {
        let src = self.run.get(self.at..).unwrap_or_default();
        Frames {
            form: self.form,
            // `split` has looked at each size.
            limit: u32::MAX,
            src,
            left: src,
            descriptor: false,
        }
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

/// The whole frames that lie in a buffer: see [`FrameReader::frames`].
#[derive(Clone)]
pub struct Frames<'a> {
    form: HeaderForm,
    limit: u32,
    src: &'a [u8],
    /// The end of `src` that was not given out.
    left: &'a [u8],
    /// A byte that carries descriptors follows `src`.
    descriptor: bool,
}

impl fmt::Debug for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("form", &self.form)
            .field("limit", &self.limit)
            .field("src", &Unseen(self.src))
            .field("at", &self.at())
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
                let descriptor = !frames.left.is_empty();
                // Without that byte the frame is not whole.
                let end = if descriptor { frames.at() } else { frames.before(&frame) };
                let src = self.src.get(..end).unwrap_or_default();
                return Self {
                    src,
                    left: src,
                    descriptor,
                    ..self
                };
            }
        }
        self
    }

    /// Where the first frame begins that was not given out.
    const fn at(&self) -> usize {
        self.src.len().saturating_sub(self.left.len())
    }

    /// Where the frame begins that was given out last.
    pub(super) const fn before(&self, frame: &FrameRef<'_>) -> usize {
        self.at()
            .saturating_sub(frame.body.len())
            .saturating_sub(self.form.len())
    }

    /// Whether the last frame was given out and a byte that carries descriptors follows it.
    pub(super) fn descriptor(&self) -> bool {
        self.descriptor && self.left.is_empty()
    }

    /// Bytes of the frames that were given out.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.at().saturating_add(usize::from(self.descriptor()))
    }

    /// When the iterator has ended: the header of the frame that is not complete, if the header is.
    ///
    /// # Errors
    /// A body above [`Limits::passed_body`], or a list of sub-messages outside of its body.
    pub fn next_header(&self) -> Result<Option<Header>, DecodeError> {
        let header = Header::read(self.form, self.left);
        header
            .map(|header| header.check(self.form, self.limit).map(|()| header))
            .transpose()
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = FrameRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<FrameRef<'a>> {
        let (head, rest) = self.left.split_at_checked(self.form.len())?;
        let header = Header::read(self.form, head)?;
        let (body, left) = rest.split_at_checked(header.size as usize)?;
        if self.form == HeaderForm::Full && header.sub_list > header.size || header.size > self.limit {
            return None;
        }
        self.left = left;
        Some(FrameRef { header, body })
    }
}
