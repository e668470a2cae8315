//! Forwarding the frames of one connection to another, with a change of header form where they differ.

use bytes::{Buf, BytesMut};

use super::list::SubMessages;
use super::{FrameReader, FrameRef, Frames, Header, HeaderForm};
use crate::channel::common::List;
use crate::channel::display::{GlScanout2Unix, GlScanoutUnix};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::ids::ChannelType;
use crate::limits::Limits;

/// Frames above this size are not held: their bodies are passed on as they come.
const HELD: u64 = 64 << 10;

/// What becomes of a frame, for [`FrameForwarder::forward`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameDecision {
    /// It goes on as it came.
    Forward,
    /// It has to be shown with its whole body: it is shown again when that is there.
    Whole,
    /// Forwarding stops in front of it, until the caller has called [`FrameForwarder::forward_front`],
    /// [`FrameForwarder::replace`] or [`FrameForwarder::discard`], or decides otherwise.
    Hold,
}

/// Why [`FrameForwarder::forward`] has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Forwarded {
    /// More bytes are needed in `src`. What is there is the beginning of a frame.
    NeedsInput,
    /// `dst` holds as many bytes as it may, and has to be sent first.
    Full,
    /// A frame is held: [`FrameDecision::Hold`].
    Held,
}

/// What a walk over the frames that are there came to.
struct Walk {
    /// Frames that go on.
    count: u64,
    /// Their bytes.
    taken: usize,
    /// The last of them is a byte that carries descriptors.
    descriptor: bool,
    /// The header of a large frame that is not whole.
    partial: Option<Header>,
    /// Why nothing more goes on; `None`: the parts of that frame do.
    stopped: Result<Option<Forwarded>, DecodeError>,
}

/// Forwards the frames of one direction from one connection to another, and asks about each on its way.
///
/// When both connections use the same headers, bytes move unchanged and without a copy. When they differ,
/// headers are rewritten and **one message stays one message**, because both ends count them: a full
/// frame with sub-messages becomes one LIST in which the frame's own message is the last entry.
/// Mini headers become full ones with serials counted from 1. Serials are also rewritten behind a message that was
/// inserted or discarded.
///
/// What [`FrameForwarder::forward`] puts into `dst` has not left yet: a caller that must act first - store a session
/// id before the client learns it - does so before it sends `dst`, or holds the frame.
///
/// ```
/// use bytes::BytesMut;
/// use spice_proto::Limits;
/// use spice_proto::channel::main;
/// use spice_proto::frame::{Forwarded, FrameDecision, FrameForwarder, HeaderForm, Writer};
/// use spice_proto::ids::ChannelType;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (from, to) = (HeaderForm::Mini, HeaderForm::Full);
/// let mut forwarder = FrameForwarder::new(ChannelType::MAIN, from, to, &Limits::default());
/// let (mut src, mut dst) = (BytesMut::new(), BytesMut::new());
/// Writer::new(HeaderForm::Mini).write(&main::ServerMessage::AgentConnected, &mut src)?;
/// let stopped = forwarder.forward(&mut src, &mut dst, |frame| match frame.header.number {
///     main::ServerMessage::INIT => FrameDecision::Hold,
///     _ => FrameDecision::Forward,
/// })?;
/// assert_eq!((stopped, forwarder.forwarded(), dst.len()), (Forwarded::NeedsInput, 1, 18));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FrameForwarder {
    channel: ChannelType,
    from: HeaderForm,
    to: HeaderForm,
    splitter: FrameReader,
    high_water: usize,
    /// Bytes of an announced body that are still to come, and are forwarded or discarded as they do.
    body_left: u64,
    discarding: bool,
    /// A message was inserted or discarded: serials have to be rewritten.
    shifted: bool,
    forwarded: u64,
}

impl FrameForwarder {
    /// From a connection with headers of one form to one with headers of another, or the same. The channel tells what
    /// the messages in a list are.
    #[must_use]
    pub fn new(channel: ChannelType, from: HeaderForm, to: HeaderForm, limits: &Limits) -> Self {
        Self {
            channel,
            from,
            to,
            splitter: FrameReader::new(from, limits),
            high_water: usize::MAX,
            body_left: 0,
            discarding: false,
            shifted: false,
            forwarded: 0,
        }
    }

    /// As [`FrameReader::with_descriptors`]. [`FrameForwarder::forward`] then stops behind each byte that carries file
    /// descriptors, so that it is the last one in `dst`: send that with the descriptors, and call again.
    #[must_use]
    pub fn with_descriptors(mut self) -> Self {
        self.splitter = self.splitter.with_descriptors();
        self
    }

    /// Nothing more is forwarded while `dst` holds as many bytes as this. Without it there is no bound but that of
    /// `src`.
    #[must_use]
    pub const fn with_high_water(mut self, bytes: usize) -> Self {
        self.high_water = bytes;
        self
    }

    /// Messages in `dst` so far, those that were inserted included; one that is forwarded in parts counts when its
    /// header goes.
    #[must_use]
    pub const fn forwarded(&self) -> u64 {
        self.forwarded
    }

    /// Whether a message can be inserted: `dst` ends with a whole one, as far as the stream has been forwarded.
    #[must_use]
    pub const fn is_between_frames(&self) -> bool {
        self.body_left == 0
    }

    /// The headers of what is received.
    pub(crate) const fn from(&self) -> HeaderForm {
        self.from
    }

    /// Whether bytes go on as they came.
    fn as_it_is(&self) -> bool {
        self.from == self.to && (self.to == HeaderForm::Mini || !self.shifted)
    }

    /// Moves what can go from `src` to `dst` and asks `decide` about every frame. A body of more than 64 KiB that is
    /// not whole in `src` is shown empty, with its size in the header, and forwarded in the parts that it comes in.
    ///
    /// # Errors
    /// A size above its limit ([`Limits::frame_body`] for a frame that has to be whole, [`Limits::passed_body`] for all
    /// others), or a list of sub-messages that does not fit: the stream cannot go on. Frames in front of it are in
    /// `dst`.
    #[inline]
    pub fn forward(
        &mut self,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        mut decide: impl FnMut(FrameRef<'_>) -> FrameDecision,
    ) -> Result<Forwarded, DecodeError> {
        loop {
            // Also in the middle of a body: a picture may be as large as its limit.
            if self.high_water <= dst.len() {
                return Ok(Forwarded::Full);
            }
            if self.body_left > 0 {
                self.forward_body(src, dst);
            }
            if self.body_left > 0 || src.is_empty() {
                return Ok(Forwarded::NeedsInput);
            }
            let as_it_is = self.as_it_is();
            let walk = if as_it_is {
                self.walk(src, &mut decide, |_, _| Ok(()))
            } else {
                let (channel, to, forwarded) = (self.channel, self.to, self.forwarded);
                self.walk(src, &mut decide, |frame, count| {
                    rewrite(channel, frame, to, forwarded.saturating_add(count), dst)
                })
            };
            let Walk {
                count,
                taken,
                descriptor,
                partial,
                stopped,
            } = walk?;
            self.forwarded = self.forwarded.saturating_add(count);
            if as_it_is {
                move_front(src, taken, dst);
            } else {
                if descriptor {
                    dst.extend_from_slice(src.get(taken.saturating_sub(1)..taken).unwrap_or_default());
                }
                src.advance(taken);
            }
            match (stopped?, partial) {
                (Some(stopped), _) => return Ok(stopped),
                (None, Some(header)) => self.forward_header(&header, src, dst),
                (None, None) => {}
            }
        }
    }

    /// Walks over the frames that are there, up to one that does not go on. `put`: what is done with each that does,
    /// and with how many there were.
    #[inline(always)]
    fn walk<'a>(
        &self,
        src: &'a [u8],
        mut decide: impl FnMut(FrameRef<'_>) -> FrameDecision,
        mut put: impl FnMut(FrameRef<'a>, u64) -> Result<(), DecodeError>,
    ) -> Result<Walk, DecodeError> {
        let mut frames = self.splitter.frames(src);
        let (mut count, mut held) = (0_u64, None);
        for frame in frames.by_ref() {
            // INVARIANT: a frame has a header, so that there are fewer frames than bytes in memory.
            count = count.wrapping_add(1);
            if decide(frame) != FrameDecision::Forward {
                held = Some(frame);
                break;
            }
            put(frame, count)?;
        }
        let mut walk = Walk {
            count,
            taken: frames.taken(),
            // The byte that carries descriptors lies behind the last frame.
            descriptor: frames.descriptor(),
            partial: None,
            stopped: Ok(Some(Forwarded::NeedsInput)),
        };
        if let Some(frame) = held {
            walk.count = count.saturating_sub(1);
            (walk.taken, walk.descriptor) = (frames.before(&frame), false);
            walk.stopped = Ok(Some(Forwarded::Held));
            return Ok(walk);
        }
        match self.partial(&frames) {
            Ok(Some(header)) => {
                walk.partial = Some(header);
                walk.stopped = match decide(FrameRef { header, body: &[] }) {
                    FrameDecision::Forward => Ok(None),
                    FrameDecision::Whole => self.wait_for(&header),
                    FrameDecision::Hold => Ok(Some(Forwarded::Held)),
                };
            }
            Ok(None) => {}
            Err(error) => walk.stopped = Err(error),
        }
        Ok(walk)
    }

    /// The header of the frame that is not whole, if it is not waited for.
    fn partial(&self, frames: &Frames<'_>) -> Result<Option<Header>, DecodeError> {
        match frames
            .next_header()?
            .filter(|header| HELD < header.frame_len(self.from))
        {
            Some(header) if self.must_be_whole(&header) => self.wait_for(&header).map(|_| None),
            header => Ok(header),
        }
    }

    /// A frame that has to be whole is not.
    fn wait_for(&self, header: &Header) -> Result<Option<Forwarded>, DecodeError> {
        let whole = header.check(self.from, self.splitter.frame_body);
        whole.map(|()| Some(Forwarded::NeedsInput))
    }

    /// Whether a frame cannot be forwarded in parts.
    fn must_be_whole(&self, header: &Header) -> bool {
        // What does not decode as a scanout has no byte behind it, so this one is looked at, too.
        let scanout = [GlScanoutUnix::NUMBER, GlScanout2Unix::NUMBER].contains(&header.number);
        // The list lies behind the body.
        self.splitter.descriptors && scanout
            || self.from == HeaderForm::Full && self.to == HeaderForm::Mini && header.sub_list != 0
    }

    /// The whole frame at the front of `src`, if it is there.
    #[must_use]
    pub fn front<'a>(&self, src: &'a [u8]) -> Option<FrameRef<'a>> {
        let here = self.body_left == 0;
        here.then(|| self.splitter.frames(src).next()).flatten()
    }

    /// Forwards the frame that is held, if it is whole.
    ///
    /// # Errors
    /// A list of sub-messages that does not fit the other form of headers: the stream cannot go on.
    pub fn forward_front(&mut self, src: &mut BytesMut, dst: &mut BytesMut) -> Result<(), DecodeError> {
        let mut frames = self.splitter.frames(src);
        let Some(frame) = frames.next() else { return Ok(()) };
        let taken = frames.taken();
        self.forwarded = self.forwarded.saturating_add(1);
        if self.as_it_is() {
            move_front(src, taken, dst);
        } else {
            rewrite(self.channel, frame, self.to, self.forwarded, dst)?;
            src.advance(taken);
        }
        Ok(())
    }

    /// Writes another message in the place of the frame that is held.
    ///
    /// # Errors
    /// A body that is too long for the size in its header; nothing was done.
    pub fn replace(
        &mut self,
        number: u16,
        body: &[u8],
        src: &mut BytesMut,
        dst: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        // Once for all that may follow it: what lies behind another message is copied.
        dst.reserve(
            HeaderForm::Full
                .len()
                .saturating_add(body.len())
                .saturating_add(src.len()),
        );
        self.write(number, body, dst)?;
        self.leave_out(src);
        Ok(())
    }

    /// Leaves out the frame that is held; nothing takes its place.
    pub fn discard(&mut self, src: &mut BytesMut) {
        self.shifted = true;
        self.leave_out(src);
    }

    /// Leaves out the frame at the front, or its header, and then its body as it comes.
    fn leave_out(&mut self, src: &mut BytesMut) {
        let mut frames = self.splitter.frames(src);
        if frames.next().is_some() {
            let taken = frames.taken();
            src.advance(taken);
        } else if let Some(header) = Header::read(self.from, src) {
            src.advance(self.from.len());
            (self.body_left, self.discarding) = (header.size.into(), true);
        }
    }

    /// Writes a message of the caller's own. It has to go between two others: see
    /// [`FrameForwarder::is_between_frames`].
    ///
    /// # Errors
    /// A body that is too long for the size in its header; nothing was done.
    pub fn insert(&mut self, number: u16, body: &[u8], dst: &mut BytesMut) -> Result<(), EncodeError> {
        self.write(number, body, dst)?;
        self.shifted = true;
        Ok(())
    }

    fn write(&mut self, number: u16, body: &[u8], dst: &mut BytesMut) -> Result<(), EncodeError> {
        let size = crate::fields::length(body.len(), "Header", "size", u32::MAX)?;
        self.forwarded = self.forwarded.saturating_add(1);
        let header = Header {
            serial: self.forwarded,
            number,
            size,
            sub_list: 0,
        };
        header.write(self.to, dst);
        dst.extend_from_slice(body);
        Ok(())
    }

    fn forward_header(&mut self, header: &Header, src: &mut BytesMut, dst: &mut BytesMut) {
        self.forwarded = self.forwarded.saturating_add(1);
        if self.as_it_is() {
            move_front(src, self.from.len(), dst);
        } else {
            src.advance(self.from.len());
            Header {
                serial: self.forwarded,
                ..*header
            }
            .write(self.to, dst);
        }
        (self.body_left, self.discarding) = (header.size.into(), false);
    }

    fn forward_body(&mut self, src: &mut BytesMut, dst: &mut BytesMut) {
        let here = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(src.len());
        if self.discarding {
            src.advance(here);
        } else {
            move_front(src, here, dst);
        }
        self.body_left = self.body_left.saturating_sub(here as u64);
    }
}

/// Moves `count` bytes; into an empty `dst`, and behind what lay in front of them, without a copy.
fn move_front(src: &mut BytesMut, count: usize, dst: &mut BytesMut) {
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
#[inline]
fn rewrite(
    channel: ChannelType,
    frame: FrameRef<'_>,
    to: HeaderForm,
    serial: u64,
    dst: &mut BytesMut,
) -> Result<(), DecodeError> {
    let FrameRef { header, body } = frame;
    if header.sub_list != 0 && to == HeaderForm::Mini {
        return flatten(channel, header, body, dst);
    }
    Header { serial, ..header }.write(to, dst);
    dst.extend_from_slice(body);
    Ok(())
}

/// A full frame with sub-messages as one LIST with mini header. The frame's own message comes last, as it
/// would be processed last; offsets in it count from its own data, so it needs no change.
fn flatten(channel: ChannelType, header: Header, body: &[u8], dst: &mut BytesMut) -> Result<(), DecodeError> {
    let list = SubMessages::new(body, header.sub_list)?;
    let mut count: usize = 0;
    let mut size: usize = 0;
    // The sub-messages and their list lie behind the frame's own message.
    let mut own_end = list.offset();
    for sub in list.clone() {
        let sub = sub?;
        own_end = own_end.min(sub.offset);
        count = count.saturating_add(1);
        size = size.saturating_add(6).saturating_add(sub.exact_data(channel).len());
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
        let subs = list.clone().flatten().map(|sub| (sub.number, sub.exact_data(channel)));
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
