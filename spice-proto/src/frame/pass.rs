//! Moving a stream from one connection to another, with a change of header form where they differ.

use bytes::{Buf, BytesMut};

use super::list::SubMessages;
use super::{FrameRef, Header, HeaderForm, Splitter};
use crate::channel::common::List;
use crate::channel::display::{GlScanout2Unix, GlScanoutUnix};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::limits::Limits;

/// Frames above this size are not held: their bodies are passed on as they come.
pub(crate) const HELD: u64 = 64 << 10;

/// Passes the frames of one direction from one connection to another and shows each on its way.
///
/// When both connections use the same headers, bytes move unchanged and without a copy. When they differ,
/// headers are rewritten and **one message stays one message**, because both ends count them: a full
/// frame with sub-messages becomes one LIST in which the frame's own message is the last entry.
/// Mini headers become full ones with serials counted from 1.
///
/// What [`Passer::pass`] puts into `dst` has not left yet: a caller that must act first - store a session
/// id before the client learns it - does so before it sends `dst`.
#[derive(Debug)]
pub struct Passer {
    from: HeaderForm,
    to: HeaderForm,
    splitter: Splitter,
    /// Bytes of an announced body that are still to come.
    body_left: u64,
    passed: u64,
}

impl Passer {
    /// From a connection with headers of one form to one with headers of another, or the same.
    #[must_use]
    pub fn new(from: HeaderForm, to: HeaderForm, limits: &Limits) -> Self {
        Self {
            from,
            to,
            splitter: Splitter::new(from, limits),
            body_left: 0,
            passed: 0,
        }
    }

    /// As [`Splitter::with_descriptors`]. [`Passer::pass`] then stops behind each byte that carries file
    /// descriptors, so that it is the last one in `dst`: send that with the descriptors, and call again.
    #[must_use]
    pub fn with_descriptors(mut self) -> Self {
        self.splitter = self.splitter.with_descriptors();
        self
    }

    /// Messages passed on so far; one that is passed on in parts counts when its header goes.
    #[must_use]
    pub const fn passed(&self) -> u64 {
        self.passed
    }

    /// Moves what can go from `src` to `dst` and shows `see` every frame. A body that is not held is shown
    /// empty, with its size in the header. What stays in `src` is the beginning of a frame.
    ///
    /// # Errors
    /// A size above its limit, or a list of sub-messages that does not fit: the stream cannot go on. Frames
    /// in front of it are in `dst`.
    pub fn pass(
        &mut self,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        mut see: impl FnMut(FrameRef<'_>),
    ) -> Result<(), DecodeError> {
        loop {
            self.pass_body(src, dst);
            if self.body_left > 0 {
                return Ok(());
            }
            let mut frames = self.splitter.frames(src);
            let mut seen: u64 = 0;
            if self.from == self.to {
                for frame in &mut frames {
                    seen = seen.saturating_add(1);
                    see(frame);
                }
            } else {
                for frame in &mut frames {
                    seen = seen.saturating_add(1);
                    see(frame);
                    rewrite(frame, self.to, self.passed.saturating_add(seen), dst)?;
                }
                if frames.descriptor() {
                    let end = frames.taken();
                    dst.extend_from_slice(src.get(end.saturating_sub(1)..end).unwrap_or_default());
                }
            }
            let (taken, next) = (frames.taken(), frames.next_header());
            self.passed = self.passed.saturating_add(seen);
            if self.from == self.to {
                move_front(src, taken, dst);
            } else {
                src.advance(taken);
            }
            let Some(header) = next? else {
                return Ok(());
            };
            if header.frame_len(self.from) <= HELD {
                return Ok(());
            }
            if self.must_hold(&header) {
                // The list lies behind the body, so the whole frame has to be there.
                return header.check(self.from, self.splitter.frame_body);
            }
            self.passed = self.passed.saturating_add(1);
            see(FrameRef { header, body: &[] });
            if self.from == self.to {
                move_front(src, self.from.len(), dst);
            } else {
                src.advance(self.from.len());
                Header {
                    serial: self.passed,
                    ..header
                }
                .write(self.to, dst);
            }
            self.body_left = header.size.into();
        }
    }

    fn must_hold(&self, header: &Header) -> bool {
        // What does not decode as a scanout has no byte behind it, so this one is looked at, too.
        let scanout = [GlScanoutUnix::NUMBER, GlScanout2Unix::NUMBER].contains(&header.number);
        self.splitter.descriptors && scanout
            || self.from == HeaderForm::Full && self.to == HeaderForm::Mini && header.sub_list != 0
    }

    fn pass_body(&mut self, src: &mut BytesMut, dst: &mut BytesMut) {
        let here = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(src.len());
        move_front(src, here, dst);
        self.body_left = self.body_left.saturating_sub(here as u64);
    }
}

/// Moves `count` bytes; into an empty `dst`, and behind what lay in front of them, without a copy.
pub(crate) fn move_front(src: &mut BytesMut, count: usize, dst: &mut BytesMut) {
    if count == 0 {
        return;
    }
    let front = src.split_to(count);
    if dst.is_empty() {
        *dst = front
    } else {
        dst.unsplit(front);
    }
}

/// Writes one frame with the other header.
pub(crate) fn rewrite(frame: FrameRef<'_>, to: HeaderForm, serial: u64, dst: &mut BytesMut) -> Result<(), DecodeError> {
    let FrameRef { header, body } = frame;
    if header.sub_list != 0 && to == HeaderForm::Mini {
        return flatten(header, body, dst);
    }
    Header { serial, ..header }.write(to, dst);
    dst.extend_from_slice(body);
    Ok(())
}

/// A full frame with sub-messages as one LIST with mini header. The frame's own message comes last, as it
/// would be processed last; offsets in it count from its own data, so it needs no change.
fn flatten(header: Header, body: &[u8], dst: &mut BytesMut) -> Result<(), DecodeError> {
    let list = SubMessages::new(body, header.sub_list)?;
    let mut count: usize = 0;
    let mut size: usize = 0;
    // The sub-messages and their list lie behind the frame's own message.
    let mut own_end = list.offset();
    for sub in list.clone() {
        let sub = sub?;
        own_end = own_end.min(sub.offset);
        count = count.saturating_add(1);
        size = size.saturating_add(6).saturating_add(sub.exact_data().len());
    }
    let own = (header.number != List::NUMBER).then(|| body.get(..own_end).unwrap_or_default());
    if let Some(own) = own {
        count = count.saturating_add(1);
        size = size.saturating_add(6).saturating_add(own.len());
    }
    let head = count.saturating_mul(4).saturating_add(2);
    // A list may name the same bytes many times over; the copy must not grow beyond what was received.
    let size = size.saturating_add(head);
    let limit = body.len().saturating_add(head).saturating_add(6);
    let too_large = DecodeErrorKind::TooLarge {
        value: size as u64,
        limit: limit as u64,
    };
    let error = DecodeError {
        message: "SubMessageList",
        field: "offsets",
        offset: list.offset(),
        kind: too_large,
    };
    let (Ok(count), Ok(total)) = (u16::try_from(count), u32::try_from(size)) else {
        return Err(error);
    };
    if limit < size {
        return Err(error);
    }
    Header {
        serial: 0,
        number: List::NUMBER,
        size: total,
        sub_list: 0,
    }
    .write(HeaderForm::Mini, dst);
    dst.extend_from_slice(&count.to_le_bytes());
    let mut offset = head;
    let entries = || {
        let subs = list.clone().flatten().map(|sub| (sub.number, sub.exact_data()));
        subs.chain(own.map(|own| (header.number, own)))
    };
    for (_, data) in entries() {
        // INVARIANT: offset and lengths are at most `total`, which fits.
        dst.extend_from_slice(&u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes());
        offset = offset.saturating_add(6).saturating_add(data.len());
    }
    for (number, data) in entries() {
        dst.extend_from_slice(&number.to_le_bytes());
        dst.extend_from_slice(&u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
        dst.extend_from_slice(data);
    }
    Ok(())
}
