//! Both directions of a connection, kept in step.

use alloc::boxed::Box;

use bytes::{Buf, Bytes, BytesMut};

use super::moved::{Carried, Kept, MoveFault, fill};
use super::splice::Splice;
use super::watch::{Verdict, Watch};
use super::{AmbiguousFormat, ClientFramer, Ends, FramingError, Message, Part, Piece, ServerFramer};
use crate::encoding::{Encoding, Rectangle};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::{Decode as _, Fixed};
use crate::init::ServerInit;
use crate::limits::Limits;
use crate::message::{Extensions, SetEncodings, SetPixelFormat};
use crate::pixel_rules::PixelRules;
use crate::version::Policy;

/// Bytes of a rectangle's head.
const HEAD: usize = <Rectangle as Fixed>::SIZE;

/// Moves messages between a client and a server, and knows at any time what goes by.
///
/// It begins behind the handshake. Bytes move unchanged and, where everything in a buffer goes on, without a copy. What
/// has come of a rectangle goes on at once; at most [`HELD`](super::HELD) bytes wait, of a message. One thing it
/// changes by default ([`with_stripping`](Self::with_stripping)): a client's [`SetEncodings`] loses what a server could
/// answer with rectangles or messages whose end cannot be found
/// ([`Encoding::can_be_framed`](crate::encoding::Encoding::can_be_framed)).
///
/// ```
/// use bytes::BytesMut;
/// use rfb_proto::framing::Relay;
/// use rfb_proto::{Limits, PixelFormat, ServerInit};
///
/// let init = ServerInit { width: 640, height: 480, format: PixelFormat::RGB888, name: Default::default() };
/// let mut relay = Relay::new(&init, &Limits::default());
/// let mut from_client = BytesMut::from(&b"\x02\0\0\x02\0\0\0\x10\0\0\0\x16\x03\x01\0\0"[..]); // ZRLE, JRLE
/// let mut to_server = BytesMut::new();
/// relay.from_client(&mut from_client, &mut to_server, &mut ())?;
/// assert_eq!(to_server, b"\x02\0\0\x01\0\0\0\x10"[..]);
/// assert_eq!(from_client, b"\x03\x01\0\0"[..]); // the request is not whole
/// # Ok::<(), rfb_proto::framing::FramingError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Relay {
    client: ClientFramer,
    server: ServerFramer,
    strip: bool,
    depth_24: bool,
    /// How the server reads formats, if that was said.
    rules: Option<PixelRules>,
    /// What the client itself has asked for, whatever of it the server was shown: it may send messages of these.
    wanted: Extensions,
    /// The message that goes in pieces is held back, from the client and from the server.
    client_withheld: bool,
    server_withheld: bool,
    kept: Kept,
    limits: Limits,
}

impl Relay {
    /// For what both sides send behind `ClientInit` and this `ServerInit`.
    #[must_use]
    pub fn new(init: &ServerInit, limits: &Limits) -> Self {
        Self {
            client: ClientFramer::new(limits),
            server: ServerFramer::new(init, limits).with_extensions(Extensions::NONE),
            strip: true,
            depth_24: false,
            rules: None,
            wanted: Extensions::NONE,
            client_withheld: false,
            server_withheld: false,
            kept: None,
            limits: limits.clone(),
        }
    }

    /// As [`ServerFramer::with_policy`].
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.server = self.server.with_policy(policy);
        self
    }

    /// As [`ServerFramer::with_pixel_rules`].
    #[must_use]
    pub fn with_pixel_rules(mut self, rules: PixelRules) -> Self {
        self.server = self.server.with_pixel_rules(rules);
        self.rules = Some(rules);
        self
    }

    /// Whether depth 24 is written into formats of 32 bits a pixel whose maxima are 255: no, unless this is called.
    ///
    /// The pixels are the same, and with depth 24 all servers agree on the size of a TPIXEL, so the server need not be
    /// known ([`PixelRules`]). But a viewer that goes by the depth that it has set, as the specification wants it and
    /// UltraVNC's viewers do, then misreads what servers send that go by it as well: use this for viewers that do not.
    #[must_use]
    pub fn with_depth_24(mut self, write: bool) -> Self {
        self.depth_24 = write;
        self
    }

    /// As [`ServerFramer::with_ambiguous_format`].
    #[must_use]
    pub fn with_ambiguous_format(mut self, doubt: AmbiguousFormat) -> Self {
        self.server = self.server.with_ambiguous_format(doubt);
        self
    }

    /// Whether encodings that cannot be framed are taken out of what the client asks for: yes, unless this is called.
    #[must_use]
    pub fn with_stripping(mut self, strip: bool) -> Self {
        self.strip = strip;
        self
    }

    /// Whether what the client wants is remembered, so that it can go on with another server ([`Relay::moved`]): no,
    /// unless this is called.
    #[must_use]
    pub fn with_moves(mut self, moves: bool) -> Self {
        self.kept = moves.then(|| Box::new(Carried::new(*self.server.format())));
        self
    }

    /// The client's direction: how far it is.
    #[must_use]
    pub fn client(&self) -> &ClientFramer {
        &self.client
    }

    /// The server's direction: how far it is, and the formats, the framebuffer and the extensions as of now.
    #[must_use]
    pub fn server(&self) -> &ServerFramer {
        &self.server
    }

    /// Moves what can go from the client's bytes to those for the server. What stays in `src` is the beginning of a
    /// message.
    ///
    /// # Errors
    /// The stream cannot be followed any further. What stands in front of that is in `dst`.
    #[allow(clippy::wrong_self_convention, reason = "it says where bytes come from")]
    pub fn from_client(
        &mut self,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        watch: &mut impl Watch,
    ) -> Result<(), FramingError> {
        let mut run = Run::default();
        let mut left = &src[..];
        let mut extensions = self.client_extensions();
        let mut bypass = watch.bypass().of_client();
        let result = loop {
            if let Some(requests) = self.client.pass(&mut left, bypass) {
                self.server.client_sent_inputs(requests);
            }
            let message = match self.client.next_message(&mut left, &extensions) {
                Ok(Some(message)) => message,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let verdict = watch.client(&message);
            bypass = watch.bypass().of_client();
            if matches!(verdict, Verdict::Pass) && self.server.client_sent_input(message.number, message.len) {
                continue;
            }
            let verdict = match self.other_message(&message, verdict, &extensions) {
                Ok(verdict) => verdict,
                Err(error) => {
                    left = Run::last(left.len().saturating_add(message.bytes.len()), src, &[]);
                    break Err(error);
                }
            };
            run.judge(message.bytes.len(), verdict, src, left, dst);
            extensions = self.client_extensions();
        };
        let at = src.len().saturating_sub(left.len());
        run.finish(at, src, dst);
        result
    }

    /// What the client's messages are read with.
    fn client_extensions(&self) -> Extensions {
        let extensions = self.server.extensions().wanted_as(&self.wanted);
        match &self.kept {
            Some(kept) => extensions.announced_by(kept.announced()),
            None => extensions,
        }
    }

    /// A message that may change how others are read, or one that is not to go on as it is.
    #[inline(never)]
    fn other_message(
        &mut self,
        message: &Message<'_>,
        verdict: Verdict,
        extensions: &Extensions,
    ) -> Result<Verdict, FramingError> {
        self.hears(message);
        let verdict = judge(verdict, message, self.client_withheld);
        self.client_withheld = verdict != Verdict::Pass && !message.is_last();
        let verdict = match (&mut self.kept, message.whole()) {
            (Some(kept), Some(bytes)) if kept.has_moved() && verdict != Verdict::Withhold => {
                kept.translated(bytes, verdict, extensions, self.server.extensions(), &self.limits)
            }
            _ => verdict,
        };
        if verdict == Verdict::Withhold || message.whole().is_none() {
            return Ok(verdict);
        }
        self.sent(message, verdict)
    }

    /// Takes note of what the client asks for, which may be taken out on the way.
    fn hears(&mut self, message: &Message<'_>) {
        if let (SetEncodings::NUMBER, Some(message)) = (message.number, message.whole()) {
            if let Ok(set) = SetEncodings::decode_slice(message, &self.limits) {
                self.wanted.client_asked(&set.encodings);
            }
        }
    }

    /// A whole message goes on, as it is or another one in its place: strips it, and takes note of it.
    fn sent(&mut self, message: &Message<'_>, verdict: Verdict) -> Result<Verdict, FramingError> {
        let sent = match &verdict {
            Verdict::Replace(bytes) => bytes,
            _ => message.bytes,
        };
        if let Some(kept) = &mut self.kept {
            kept.client_sent(sent, &self.limits);
        }
        let stripped = self.changed(sent);
        let noted = self.server.client_sent(stripped.as_deref().unwrap_or(sent));
        noted.map_err(|error| {
            let start = self.client.taken().saturating_sub(message.len);
            let offset = start.saturating_add(error.offset as u64);
            FramingError { offset, error }
        })?;
        Ok(stripped.map_or(verdict, Verdict::Replace))
    }

    /// The message as it goes on, if that is not as it came.
    fn changed(&self, message: &[u8]) -> Option<Bytes> {
        match message.first() {
            Some(&SetEncodings::NUMBER) if self.strip => self.stripped(message),
            Some(&SetPixelFormat::NUMBER) if self.depth_24 => self.with_its_depth(message),
            _ => None,
        }
    }

    /// The format with depth 24, if it is one that needs it.
    fn with_its_depth(&self, message: &[u8]) -> Option<Bytes> {
        let mut set = SetPixelFormat::decode_slice(message, &self.limits).ok()?;
        let format = &mut set.format;
        let maxima = [format.red_max, format.green_max, format.blue_max];
        if format.bits_per_pixel != 32 || !format.is_true_colour() || format.depth == 24 || maxima != [255; 3] {
            return None;
        }
        format.depth = 24;
        let mut changed = BytesMut::with_capacity(set.encoded_len());
        set.encode(&mut changed).ok()?;
        Some(changed.freeze())
    }

    /// The message without encodings that cannot be framed. `None`: it has none.
    fn stripped(&self, message: &[u8]) -> Option<Bytes> {
        let mut set = SetEncodings::decode_slice(message, &self.limits).ok()?;
        let before = set.encodings.len();
        set.encodings.retain(|encoding| encoding.can_be_framed());
        if set.encodings.len() == before {
            return None;
        }
        let mut stripped = BytesMut::with_capacity(set.encoded_len());
        // INVARIANT: it has fewer encodings than it had on the wire.
        set.encode(&mut stripped).ok()?;
        Some(stripped.freeze())
    }

    /// Moves what can go from the server's bytes to those for the client. What stays in `src` is the beginning of a
    /// message, or control bytes.
    ///
    /// # Errors
    /// The stream cannot be followed any further. What stands in front of that is in `dst`.
    #[allow(clippy::wrong_self_convention, reason = "it says where bytes come from")]
    pub fn from_server(
        &mut self,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        watch: &mut impl Watch,
    ) -> Result<(), FramingError> {
        self.forward::<false>(src, dst, watch)
    }

    /// As [`from_server`](Self::from_server), but no further than to the end of the message or update that is under way.
    ///
    /// # Errors
    /// As [`from_server`](Self::from_server).
    pub fn finish_message(
        &mut self,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        watch: &mut impl Watch,
    ) -> Result<(), FramingError> {
        self.forward::<true>(src, dst, watch)
    }

    #[inline(always)]
    fn forward<const STOPS: bool>(
        &mut self,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        watch: &mut impl Watch,
    ) -> Result<(), FramingError> {
        let mut run = Run::default();
        let mut left = &src[..];
        let result = loop {
            if STOPS && self.server.is_between_messages() {
                break Ok(());
            }
            if watch.bypass().pictures {
                if self.pass_updates::<STOPS>(&mut left) {
                    self.update_ended();
                    continue;
                }
            } else if let Some(piece) = self.whole_rectangle(&mut left) {
                watch.rectangle(&piece);
                if let Ends::Update = piece.ends {
                    self.update_ended();
                }
                continue;
            }
            let cut = match self.splice(left) {
                Splice::Pass => None,
                Splice::Cut(cut) => Some(cut),
                Splice::Wait => break Ok(()),
                Splice::Fault => break Err(self.unspliced(left)),
            };
            let before = left;
            let part = match self.server.next_part(&mut left) {
                Ok(Some(part)) => part,
                Ok(None) => break Ok(()),
                Err(error) => {
                    left = before;
                    break Err(error);
                }
            };
            let taken = before.len().saturating_sub(left.len());
            match part {
                Part::Rectangle(piece) => {
                    watch.rectangle(&piece);
                    if let Some(cut) = cut {
                        let verdict = cut.apply(piece.rectangle.encoding, Run::last(taken, src, left));
                        run.judge(taken, verdict, src, left, dst);
                    }
                    if let Ends::Update = piece.ends {
                        self.update_ended();
                    }
                }
                Part::Message(message) => {
                    let verdict = judge(watch.server(&message), &message, self.server_withheld);
                    self.server_withheld = verdict != Verdict::Pass && !message.is_last();
                    let seen = match &mut self.kept {
                        Some(kept) if verdict == Verdict::Pass => kept.server_sent(&message),
                        _ => false,
                    };
                    let verdict = if seen { Verdict::Withhold } else { verdict };
                    run.judge(taken, verdict, src, left, dst);
                }
                Part::Update(head) => watch.update(head),
            }
        };
        let at = src.len().saturating_sub(left.len());
        run.finish(at, src, dst);
        result
    }

    /// Updates that are next, as far as their rectangles are whole and go on as they are. Gives whether one has ended.
    #[inline]
    fn pass_updates<const STOPS: bool>(&mut self, left: &mut &[u8]) -> bool {
        let kept = &mut self.kept;
        self.server.pass::<STOPS>(left, |rectangle, rest| match kept {
            Some(kept) => kept.streams.concern(rectangle, rest, &mut kept.used),
            None => false,
        })
    }

    /// The rectangle that is next, where it is whole and goes on as it is.
    #[inline(always)]
    fn whole_rectangle<'a>(&mut self, left: &mut &'a [u8]) -> Option<Piece<'a>> {
        let kept = &mut self.kept;
        self.server.whole_rectangle(left, |rectangle, rest| match kept {
            Some(kept) => kept.streams.concern(rectangle, rest, &mut kept.used),
            None => false,
        })
    }

    /// Looks at a rectangle that is next, where the client's streams have to go on with those of another server.
    #[inline(never)]
    fn splice(&mut self, left: &[u8]) -> Splice {
        let (Some(kept), Some((mut head, rest))) = (&mut self.kept, left.split_at_checked(HEAD)) else {
            return Splice::Pass;
        };
        let rectangle = Rectangle::get(&mut head);
        if !self.server.is_at_rectangle() || !kept.streams.concern(&rectangle, rest, &mut kept.used) {
            return Splice::Pass;
        }
        kept.streams.look(&rectangle, left, self.server.context_of(&rectangle))
    }

    fn update_ended(&mut self) {
        if let Some(kept) = &mut self.kept
            && kept.has_moved()
        {
            kept.update_ended(self.server.extensions());
        }
    }

    /// A stream of the new server that cannot follow the one before.
    #[cold]
    fn unspliced(&self, left: &[u8]) -> FramingError {
        let rectangle = Rectangle::decode_slice(left, &self.limits);
        let name = rectangle.ok().and_then(|rectangle| rectangle.encoding.name());
        FramingError {
            offset: self.server.taken(),
            error: DecodeError {
                message: name.unwrap_or(Rectangle::NAME),
                field: "data",
                offset: 0,
                kind: DecodeErrorKind::Invalid("its zlib stream cannot follow that of the server before"),
            },
        }
    }

    /// Appends what the relay has to say in its own name, behind what it has moved: after a move, answers to fences, and
    /// requests for updates. Where a message has not ended yet, it waits.
    ///
    /// # Errors
    /// As [`Relay::from_client`].
    pub fn own_words(&mut self, to_server: &mut BytesMut, to_client: &mut BytesMut) -> Result<(), FramingError> {
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        if self.server.is_between_messages() {
            to_client.extend_from_slice(&kept.to_client.split());
        }
        if !self.client.is_between_messages() && !self.client_withheld {
            return Ok(());
        }
        for message in core::mem::take(&mut kept.to_server).into_iter().flatten() {
            self.say(&message, to_server)?;
        }
        Ok(())
    }

    /// Sends a message in the client's place.
    fn say(&mut self, message: &[u8], to_server: &mut BytesMut) -> Result<(), FramingError> {
        let changed = self.changed(message);
        let message = changed.as_deref().unwrap_or(message);
        let noted = self.server.client_sent(message);
        let offset = self.client.taken();
        noted.map_err(|error| FramingError { offset, error })?;
        to_server.extend_from_slice(message);
        Ok(())
    }

    /// The server is gone: brings the client's stream to the end of a message, behind which another server can go on.
    /// An update of which rectangles are missing is filled up with empty ones.
    ///
    /// # Errors
    /// [`MoveFault::InsideRectangle`] or [`MoveFault::InsideMessage`]: what is missing cannot be made up.
    pub fn leave(&mut self, to_client: &mut BytesMut) -> Result<(), MoveFault> {
        if self.server.is_between_messages() {
            return Ok(());
        }
        let rectangles = self.server.open_rectangles().ok_or(match self.server.is_in_update() {
            true => MoveFault::InsideRectangle,
            false => MoveFault::InsideMessage,
        })?;
        let has_last = self.kept.as_ref().is_some_and(|kept| kept.asks(Encoding::LAST_RECT));
        fill(rectangles, has_last, to_client)?;
        self.server.end_here();
        Ok(())
    }

    /// The client goes on with another server, of which this is the `ServerInit`; the table below says what is
    /// carried over. What the new server has to be told first is put into `to_server`, what the client is to be told
    /// into `to_client`. The client's last bytes from the server before have to end a message: [`Relay::leave`].
    ///
    /// # Errors
    /// Why the client cannot go on. The relay is as it was.
    pub fn moved(
        &mut self,
        init: &ServerInit,
        to_server: &mut BytesMut,
        to_client: &mut BytesMut,
    ) -> Result<(), MoveFault> {
        let between = self.server.is_between_messages();
        let kept = self.kept.as_mut().ok_or(MoveFault::NotKept)?;
        if !between {
            return Err(MoveFault::InsideMessage);
        }
        let greeting = kept.moved(init, self.server.extensions(), self.server.framebuffer())?;
        self.server = self.server.for_server(init);
        if let Some(rules) = self.rules {
            self.server = self.server.clone().with_pixel_rules(rules);
        }
        // What is left of a message that goes in pieces means nothing to the new server.
        self.client_withheld = !self.client.is_between_messages();
        self.server_withheld = false;
        for message in &greeting.to_server {
            self.say(message, to_server).map_err(|error| error.error)?;
        }
        to_client.extend_from_slice(&greeting.to_client);
        Ok(())
    }
}

/// What becomes of a message, or of a piece of one of which the first piece was held back, or not.
fn judge(verdict: Verdict, message: &Message<'_>, withheld: bool) -> Verdict {
    match message.offset {
        0 => verdict,
        _ if withheld => Verdict::Withhold,
        _ => Verdict::Pass,
    }
}

/// Bytes at the front of a buffer: those up to `from` are done with, those behind go on unchanged as far as they were
/// looked at. What is left of the buffer tells how far that is.
#[derive(Debug, Default)]
struct Run {
    from: usize,
}

impl Run {
    /// The last `len` bytes that were looked at.
    fn last<'a>(len: usize, src: &'a [u8], left: &[u8]) -> &'a [u8] {
        let end = src.len().saturating_sub(left.len());
        src.get(end.saturating_sub(len)..end).unwrap_or_default()
    }

    /// What becomes of the last `len` bytes.
    #[inline]
    fn judge(&mut self, len: usize, verdict: Verdict, src: &[u8], left: &[u8], dst: &mut BytesMut) {
        if verdict != Verdict::Pass {
            self.cut(len, verdict, src, left, dst);
        }
    }

    fn cut(&mut self, len: usize, verdict: Verdict, src: &[u8], left: &[u8], dst: &mut BytesMut) {
        let end = src.len().saturating_sub(left.len());
        dst.extend_from_slice(src.get(self.from..end.saturating_sub(len)).unwrap_or_default());
        if let Verdict::Replace(bytes) = verdict {
            dst.extend_from_slice(&bytes);
        }
        self.from = end;
    }

    /// Takes the bytes off, up to `at`; into an empty `dst` without a copy.
    fn finish(self, at: usize, src: &mut BytesMut, dst: &mut BytesMut) {
        if self.from == at {
            src.advance(at);
            return;
        }
        let mut front = src.split_to(at);
        front.advance(self.from);
        if dst.is_empty() {
            *dst = front;
        } else {
            dst.extend_from_slice(&front);
        }
    }
}
