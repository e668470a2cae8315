//! A server's stream.

mod moved;
mod pass;
mod usual;

use super::formats::Formats;
use super::messages::Messages;
use super::{AmbiguousFormat, Ends, FramingError, Missing, Part, Piece};
use crate::encoding::walk::{self, Context, Fault, Need, PixelSizes, Progress, Walk};
use crate::encoding::{Encoding, Rectangle};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::Fixed;
use crate::init::ServerInit;
use crate::limits::Limits;
use crate::message::{
    ClientMessage, Extension, Extensions, FenceFlags, MAX_FENCE_PAYLOAD, ServerMessage, SetEncodings,
};
use crate::pixel_format::PixelFormat;
use crate::pixel_rules::PixelRules;
use crate::version::Policy;

/// Bytes of a rectangle's head, and of an update's.
const HEAD: usize = <Rectangle as Fixed>::SIZE;
const UPDATE_HEAD: usize = 4;

/// Finds messages and rectangles in what a server sends behind its ServerInit.
///
/// ```
/// use rfb_proto::framing::{Ends, Part, ServerFramer};
/// use rfb_proto::{Limits, PixelFormat, ServerInit};
///
/// let init = ServerInit { width: 2, height: 1, format: PixelFormat::RGB888, name: Default::default() };
/// let mut framer = ServerFramer::new(&init, &Limits::default());
/// // An update with a Raw rectangle of two pixels, of which five bytes have come.
/// let mut rx = &b"\0\0\0\x01\0\0\0\0\0\x02\0\x01\0\0\0\0\x01\x02\x03\0\x04"[..];
/// let Some(Part::Update(head)) = framer.next_part(&mut rx)? else { panic!() };
/// assert_eq!(head.rectangles, 1);
/// let Some(Part::Rectangle(piece)) = framer.next_part(&mut rx)? else { panic!() };
/// assert_eq!((piece.payload, piece.ends), (&b"\x01\x02\x03\0\x04"[..], Ends::Nothing));
/// assert_eq!((framer.next_part(&mut rx)?, framer.missing().bytes), (None, 3));
/// # Ok::<(), rfb_proto::framing::FramingError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ServerFramer {
    state: State,
    /// Rectangles of the update that are still to come.
    rectangles: u32,
    /// The update shows something.
    shows: bool,
    /// Nothing is to be checked before a rectangle: the format is known, and its place does not matter.
    plain: bool,
    context: Context,
    messages: Messages,
    framebuffer: (u16, u16),
    policy: Policy,
    doubt: AmbiguousFormat,
    rules: PixelRules,
    formats: Formats,
    extensions: Extensions,
    limits: Limits,
}

#[derive(Debug, Clone)]
enum State {
    /// Between messages, or in one that goes in pieces.
    Message,
    /// Between rectangles.
    Rectangle,
    /// In a payload, so many bytes behind its beginning.
    Payload {
        rectangle: Rectangle,
        walk: Walk,
        offset: u64,
    },
    Failed(FramingError),
}

impl ServerFramer {
    /// For the bytes behind this `ServerInit`, and behind the capabilities that follow it with security type Tight.
    #[must_use]
    pub fn new(init: &ServerInit, limits: &Limits) -> Self {
        let rules = PixelRules::recognised(&init.name);
        let context = Context::new(&init.format, rules, limits);
        Self {
            state: State::Message,
            rectangles: 0,
            shows: false,
            plain: context.sizes.pixel != 0,
            context,
            messages: Messages::new(),
            framebuffer: (init.width, init.height),
            policy: Policy::Lenient,
            doubt: AmbiguousFormat::default(),
            rules,
            formats: Formats::new(init.format),
            extensions: Extensions::ALL,
            limits: limits.clone(),
        }
    }

    /// With [`Policy::Strict`] it is an error if pixels lie outside of the framebuffer, or if a rectangle of Tight is
    /// wider than 2048 pixels, which those of one colour from TigerVNC before 1.16 can be. Lenient by default: where a
    /// rectangle ends does not depend on it.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self.context.strict = policy == Policy::Strict;
        self.formats_changed();
        self
    }

    /// How the server reads a pixel format. Without this, QEMU is recognised by the name of the desktop, and all others
    /// are taken to keep to the specification ([`PixelRules::recognised`]).
    #[must_use]
    pub fn with_pixel_rules(mut self, rules: PixelRules) -> Self {
        self.rules = rules;
        self.formats_changed();
        self
    }

    /// What is done with a rectangle of which it is in doubt where it ends.
    #[must_use]
    pub fn with_ambiguous_format(mut self, doubt: AmbiguousFormat) -> Self {
        self.doubt = doubt;
        self
    }

    /// What client and server have agreed on so far, if it is known. Without this, everything may come.
    #[must_use]
    pub fn with_extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Takes the next part off the front of `src`. `None`: more bytes are needed, of which [`missing`](Self::missing)
    /// tells; what is left in `src` is to stand in front of them.
    ///
    /// # Errors
    /// Where the stream cannot be followed any further. The same error comes from every call after it.
    #[inline]
    pub fn next_part<'a>(&mut self, src: &mut &'a [u8]) -> Result<Option<Part<'a>>, FramingError> {
        // What most of a stream is made of, if it is next and all there. The compiler puts it into the caller's loop.
        match self.state {
            State::Rectangle if self.plain => {
                if let Some(piece) = self.take_whole(src) {
                    return Ok(Some(Part::Rectangle(piece)));
                }
            }
            State::Message => {
                if let Some(head) = self.update_head(src) {
                    return Ok(Some(Part::Update(head)));
                }
            }
            _ => {}
        }
        self.any_part(src)
    }

    /// Any part, out of the way of the usual ones.
    #[inline(never)]
    fn any_part<'a>(&mut self, src: &mut &'a [u8]) -> Result<Option<Part<'a>>, FramingError> {
        match self.state {
            State::Rectangle => self.rectangle(src),
            State::Message => self.message(src),
            State::Payload { .. } => self.payload(src),
            State::Failed(error) => Err(error),
        }
    }

    /// What the last call of [`next_part`](Self::next_part) that gave nothing needs to go on.
    #[must_use]
    pub fn missing(&self) -> Missing {
        self.messages.missing
    }

    /// Whether the stream may end here: all messages are whole.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        matches!(self.state, State::Message) && !self.messages.is_inside()
    }

    /// Bytes that were taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.messages.taken
    }

    /// Width and height of the framebuffer, in pixels, as of the last rectangle that was given out.
    #[must_use]
    pub fn framebuffer(&self) -> (u16, u16) {
        self.framebuffer
    }

    /// What client and server have agreed on so far.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// How the server reads a pixel format.
    #[must_use]
    pub fn pixel_rules(&self) -> PixelRules {
        self.rules
    }

    /// The format in force, as the server has understood it.
    #[must_use]
    pub fn format(&self) -> &PixelFormat {
        self.formats.current()
    }

    /// The format that the client set last, if it is not yet known to be in force.
    #[must_use]
    pub fn pending_format(&self) -> Option<&PixelFormat> {
        self.formats.pending()
    }

    /// Says that the pending format is in force from the next rectangle on. For callers that know.
    pub fn switch_format(&mut self) {
        self.formats.switch();
        self.formats_changed();
    }

    /// Tells of a whole message that the client has sent, when it is on its way to the server.
    ///
    /// What matters are formats, encodings, requests, and fences; others may be left out.
    ///
    /// # Errors
    /// A client that sets formats faster than it can be known which one is in force.
    pub fn client_sent(&mut self, message: &[u8]) -> Result<(), DecodeError> {
        let (&number, body) = message.split_first().unwrap_or((&u8::MAX, &[]));
        let mut sync = false;
        match (number, body) {
            (ClientMessage::SET_PIXEL_FORMAT, [_, _, _, format @ ..]) => {
                let Some(mut format) = format.first_chunk::<16>().map(|format| &format[..]) else {
                    return Ok(());
                };
                let amid = !self.is_between_messages();
                let format = self.rules.understood(PixelFormat::get(&mut format));
                self.formats.client_set(format, amid)?;
                self.formats_changed();
            }
            (ClientMessage::SET_ENCODINGS, _) => {
                let SetEncodings { encodings, .. } = SetEncodings::decode_slice(message, &self.limits)?;
                self.extensions.client_asked(&encodings);
                // Rectangles of the encodings before may be on their way.
                self.context.without_zlib |= encodings.contains(&Encoding::TIGHT_WITHOUT_ZLIB);
            }
            (ClientMessage::FRAMEBUFFER_UPDATE_REQUEST, _) => self.formats.client_asked(1),
            (ClientMessage::ENABLE_CONTINUOUS_UPDATES, [enable, ..]) => self.formats.client_continues(*enable != 0),
            // A longer payload is not answered.
            (ClientMessage::CLIENT_FENCE, [_, _, _, a, b, c, d, length, ..])
                if usize::from(*length) <= MAX_FENCE_PAYLOAD =>
            {
                let flags = FenceFlags(u32::from_be_bytes([*a, *b, *c, *d]));
                if flags.contains(FenceFlags::REQUEST) {
                    self.formats.client_fenced();
                    sync = flags.contains(FenceFlags::SYNC_NEXT);
                }
            }
            _ => {}
        }
        self.formats.client_syncs(sync);
        Ok(())
    }

    fn formats_changed(&mut self) {
        self.context.sizes = PixelSizes::of(self.formats.current(), self.rules);
        let known = self.context.sizes.pixel != 0 && self.formats.pending().is_none();
        self.plain = known && self.policy == Policy::Lenient;
    }

    /// The head of any rectangle, and what there is of its payload.
    fn rectangle<'a>(&mut self, src: &mut &'a [u8]) -> Result<Option<Part<'a>>, FramingError> {
        let Some((mut head, rest)) = src.split_at_checked(HEAD) else {
            return Ok(self.needs(HEAD.saturating_sub(src.len()), "rectangle"));
        };
        let rectangle = Rectangle::get(&mut head);
        if !self.plain {
            self.check(&rectangle)?;
        } else if let Some(len) = walk::whole_tiles(&rectangle, rest, &self.context) {
            return Ok(self.take_piece(src, rectangle, rest, len).map(Part::Rectangle));
        }
        let walk = match Walk::start(&rectangle, &self.context) {
            Ok(walk) => walk,
            Err(fault) => return Err(self.fail(&rectangle, 0, fault)),
        };
        if rectangle.encoding.is_notice() && !self.notice(&rectangle, rest) {
            return Ok(self.needs(28_usize.saturating_sub(src.len()), "format"));
        }
        self.shows |= rectangle.encoding.is_picture();
        self.extensions.server_sent_rectangle(rectangle.encoding);
        *src = rest;
        self.messages.taken = self.messages.taken.saturating_add(HEAD as u64);
        self.piece(src, rectangle, walk, 0, true)
    }

    /// More of a payload.
    fn payload<'a>(&mut self, src: &mut &'a [u8]) -> Result<Option<Part<'a>>, FramingError> {
        match core::mem::replace(&mut self.state, State::Rectangle) {
            State::Payload {
                rectangle,
                walk,
                offset,
            } => self.piece(src, rectangle, walk, offset, false),
            // INVARIANT: the only caller has looked.
            state => {
                self.state = state;
                Ok(None)
            }
        }
    }

    /// What there is of a payload.
    fn piece<'a>(
        &mut self,
        src: &mut &'a [u8],
        rectangle: Rectangle,
        mut walk: Walk,
        offset: u64,
        first: bool,
    ) -> Result<Option<Part<'a>>, FramingError> {
        // Not further than a payload may reach, so that it does not matter in which pieces it comes.
        let limit = self.context.limit;
        let room = usize::try_from(u64::from(limit).saturating_sub(offset)).unwrap_or(usize::MAX);
        let (within, beyond) = src.split_at_checked(room).unwrap_or((src, &[]));
        let progress = match walk.run(within, &rectangle, &self.context) {
            Ok(Progress::Taken(..)) if !beyond.is_empty() => {
                let value = u64::from(limit).saturating_add(1);
                Err(Fault::too_large("payload", room, value, limit))
            }
            progress => progress,
        };
        let progress = match progress {
            Ok(progress) => progress,
            Err(fault) => return Err(self.fail(&rectangle, offset.saturating_add(HEAD as u64), fault)),
        };
        let taken = match progress {
            Progress::Ended(taken) | Progress::Taken(taken, _) => taken,
        };
        let payload = self.messages.take(src, taken);
        let reached = offset.saturating_add(taken as u64);
        let ends = match progress {
            Progress::Ended(_) => self.end_any_rectangle(&rectangle),
            Progress::Taken(_, Need { bytes, field }) => {
                self.messages.missing = Missing { bytes, field };
                self.state = State::Payload {
                    rectangle,
                    walk,
                    offset: reached,
                };
                if payload.is_empty() && !first {
                    return Ok(None);
                }
                Ends::Nothing
            }
        };
        Ok(Some(Part::Rectangle(Piece {
            rectangle,
            first,
            offset,
            payload,
            ends,
        })))
    }

    /// A rectangle has ended, perhaps one that says more about the update.
    fn end_any_rectangle(&mut self, rectangle: &Rectangle) -> Ends {
        if rectangle.encoding.counts_for_many() {
            let many = u32::from(rectangle.x) << 16 | u32::from(rectangle.y);
            // It is one itself.
            self.rectangles = self.rectangles.saturating_add(1).saturating_sub(many);
        }
        self.end_rectangle(rectangle.encoding == Encoding::LAST_RECT)
    }

    /// A rectangle has ended.
    #[inline(always)]
    fn end_rectangle(&mut self, last: bool) -> Ends {
        self.rectangles = self.rectangles.saturating_sub(1);
        if self.rectangles != 0 && !last {
            return Ends::Rectangle;
        }
        self.end_update();
        Ends::Update
    }

    fn end_update(&mut self) {
        self.state = State::Message;
        if self.shows {
            self.formats.server_updated();
            if !self.plain {
                self.formats_changed();
            }
        }
    }

    /// A rectangle that tells something: takes note of it, unless what it tells is not all there.
    #[cold]
    fn notice(&mut self, rectangle: &Rectangle, payload: &[u8]) -> bool {
        let size = (rectangle.width, rectangle.height);
        match rectangle.encoding {
            Encoding::DESKTOP_SIZE => self.framebuffer = size,
            // What became of the client's wish, if it was not fulfilled, is no new size.
            Encoding::EXTENDED_DESKTOP_SIZE if rectangle.x != 1 || rectangle.y == 0 => self.framebuffer = size,
            Encoding::VMWARE_DISPLAY_MODE => {
                let Some(mut format) = payload.get(..<PixelFormat as Fixed>::SIZE) else {
                    return false;
                };
                self.formats.set(PixelFormat::get(&mut format));
                self.formats_changed();
            }
            _ => {}
        }
        true
    }

    /// What is rarely to be checked: where it lies, and whether it is known how long a pixel is.
    #[cold]
    fn check(&mut self, rectangle: &Rectangle) -> Result<(), FramingError> {
        let encoding = rectangle.encoding;
        let (width, height) = self.framebuffer;
        let fits = |start: u16, len: u16, end: u16| start.checked_add(len).is_some_and(|reached| reached <= end);
        let inside = fits(rectangle.x, rectangle.width, width) && fits(rectangle.y, rectangle.height, height);
        if self.policy == Policy::Strict && encoding.is_picture() && !encoding.is_bulk() && !inside {
            let kind = DecodeErrorKind::Invalid("it lies outside of the framebuffer");
            return Err(self.fail(
                rectangle,
                0,
                Fault {
                    field: "place",
                    at: 0,
                    kind,
                },
            ));
        }
        let rules = self.rules;
        let size = |format: &PixelFormat| PixelSizes::of(format, rules).of_encoding(encoding);
        if self.formats.in_doubt(size) {
            match self.doubt {
                AmbiguousFormat::Pending => self.switch_format(),
                AmbiguousFormat::Current => {}
                AmbiguousFormat::Refuse => {
                    let kind = DecodeErrorKind::Invalid("the format of its pixels is in doubt");
                    return Err(self.fail(
                        rectangle,
                        0,
                        Fault {
                            field: "encoding",
                            at: 8,
                            kind,
                        },
                    ));
                }
            }
        }
        if self.context.sizes.pixel == 0 && PixelSizes::ANY.of_encoding(encoding) != 0 {
            let kind = DecodeErrorKind::Invalid("a pixel has neither 8, 16 nor 32 bits");
            return Err(self.fail(
                rectangle,
                0,
                Fault {
                    field: "encoding",
                    at: 8,
                    kind,
                },
            ));
        }
        Ok(())
    }

    /// A message that is no update.
    fn message<'a>(&mut self, src: &mut &'a [u8]) -> Result<Option<Part<'a>>, FramingError> {
        let next = self.messages.next::<ServerMessage>(src, self.extensions, &self.limits);
        let message = match next {
            Ok(Some(message)) => message,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.state = State::Failed(error);
                return Err(error);
            }
        };
        if let Some(message) = message.whole() {
            self.told(message);
        }
        Ok(Some(Part::Message(message)))
    }

    /// A whole message: takes note of what it tells.
    fn told(&mut self, message: &[u8]) {
        let announces = match *message {
            [ServerMessage::SERVER_CUT_TEXT, _, _, _, 0x80..=0xff, ..] => Some(Extension::ExtendedClipboard),
            [ServerMessage::END_OF_CONTINUOUS_UPDATES] => Some(Extension::ContinuousUpdates),
            [ServerMessage::SERVER_FENCE, ..] => Some(Extension::Fence),
            [ServerMessage::XVP, ..] => Some(Extension::Xvp),
            [ServerMessage::GII, ..] => Some(Extension::Gii),
            _ => None,
        };
        if announces.is_some_and(|extension| !self.extensions.announced(extension)) {
            if let Ok(message) = ServerMessage::decode_slice(message, &self.extensions, &self.limits) {
                self.extensions.server_sent(&message);
            }
        }
        match *message {
            [ServerMessage::RESIZE_FRAME_BUFFER, _, w1, w0, h1, h0] => {
                self.framebuffer = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
            }
            [
                ServerMessage::PALM_RESIZE_FRAME_BUFFER,
                _,
                _,
                _,
                _,
                _,
                w1,
                w0,
                h1,
                h0,
                ..,
            ] => {
                self.framebuffer = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
            }
            [ServerMessage::END_OF_CONTINUOUS_UPDATES] => self.formats.server_stopped(),
            [ServerMessage::SERVER_FENCE, _, _, _, a, b, c, d, ..] => {
                let flags = FenceFlags(u32::from_be_bytes([a, b, c, d]));
                if !flags.contains(FenceFlags::REQUEST) {
                    self.formats.server_fenced(flags.contains(FenceFlags::SYNC_NEXT));
                    self.formats_changed();
                }
            }
            _ => {}
        }
    }

    fn needs<'a>(&mut self, bytes: usize, field: &'static str) -> Option<Part<'a>> {
        let bytes = bytes as u64;
        self.messages.missing = Missing { bytes, field };
        None
    }

    /// `offset`: where `fault` counts from, in bytes from the head of the rectangle.
    #[cold]
    fn fail(&mut self, rectangle: &Rectangle, offset: u64, fault: Fault) -> FramingError {
        let Fault { field, at, kind } = fault;
        // The walk goes from the end of what was taken.
        let stream = self.messages.taken.saturating_add(at as u64);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(at);
        let error = FramingError {
            offset: stream,
            error: DecodeError {
                message: rectangle.encoding.name().unwrap_or("Rectangle"),
                field,
                offset,
                kind,
            },
        };
        self.state = State::Failed(error);
        error
    }
}
