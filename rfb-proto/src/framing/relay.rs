//! Both directions of a connection, kept in step.

use bytes::{Buf, Bytes, BytesMut};

use super::{AmbiguousFormat, ClientFramer, FramingError, Message, Part, Piece, ServerFramer};
use crate::init::ServerInit;
use crate::limits::Limits;
use crate::message::{Extensions, FramebufferUpdate, SetEncodings, SetPixelFormat};
use crate::pixel_rules::PixelRules;
use crate::version::Policy;

/// What becomes of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It does not.
    Withhold,
    /// This one goes in its place.
    Replace(Bytes),
}

/// Sees everything that goes by, and may hold messages back. All methods do nothing by default.
///
/// Of a message that goes in pieces every piece is shown, and the verdict on the first holds for all of it. Updates go
/// on whatever is thought of them: what a viewer shall not get is taken out of its `SetEncodings`.
pub trait Watch {
    /// A message of the client, or a piece of one, as it came.
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        let _ = message;
        Verdict::Pass
    }

    /// A message of the server, or a piece of one.
    fn server(&mut self, message: &Message<'_>) -> Verdict {
        let _ = message;
        Verdict::Pass
    }

    /// The head of an update.
    fn update(&mut self, head: FramebufferUpdate) {
        let _ = head;
    }

    /// A rectangle, or a piece of one.
    fn rectangle(&mut self, piece: &Piece<'_>) {
        let _ = piece;
    }
}

/// Sees nothing.
impl Watch for () {}

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
    /// What the client itself has asked for, whatever of it the server was shown: it may send messages of these.
    wanted: Extensions,
    /// The message that goes in pieces is held back, from the client and from the server.
    client_withheld: bool,
    server_withheld: bool,
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
            wanted: Extensions::NONE,
            client_withheld: false,
            server_withheld: false,
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
        let result = loop {
            let extensions = self.server.extensions().wanted_as(&self.wanted);
            let message = match self.client.next_message(&mut left, &extensions) {
                Ok(Some(message)) => message,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            self.hears(&message);
            let verdict = judge(watch.client(&message), &message, self.client_withheld);
            self.client_withheld = verdict != Verdict::Pass && !message.is_last();
            let len = message.bytes.len();
            if verdict == Verdict::Withhold || message.whole().is_none() {
                run.judge(len, verdict, src, dst);
                continue;
            }
            let verdict = match self.sent(&message, verdict) {
                Ok(verdict) => verdict,
                Err(error) => break Err(error),
            };
            run.judge(len, verdict, src, dst);
        };
        run.finish(src, dst);
        result
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
        let mut run = Run::default();
        let mut left = &src[..];
        let result = loop {
            let before = left.len();
            let part = match self.server.next_part(&mut left) {
                Ok(Some(part)) => part,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            let taken = before.saturating_sub(left.len());
            match part {
                Part::Message(message) => {
                    let verdict = judge(watch.server(&message), &message, self.server_withheld);
                    self.server_withheld = verdict != Verdict::Pass && !message.is_last();
                    run.judge(taken, verdict, src, dst);
                }
                Part::Update(head) => {
                    watch.update(head);
                    run.pass(taken);
                }
                Part::Rectangle(piece) => {
                    watch.rectangle(&piece);
                    run.pass(taken);
                }
            }
        };
        run.finish(src, dst);
        result
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

/// Bytes at the front of a buffer: those up to `from` are done with, those from there to `at` go on unchanged.
#[derive(Debug, Default)]
struct Run {
    from: usize,
    at: usize,
}

impl Run {
    fn pass(&mut self, len: usize) {
        self.at = self.at.saturating_add(len);
    }

    fn judge(&mut self, len: usize, verdict: Verdict, src: &[u8], dst: &mut BytesMut) {
        if verdict == Verdict::Pass {
            return self.pass(len);
        }
        dst.extend_from_slice(src.get(self.from..self.at).unwrap_or_default());
        if let Verdict::Replace(bytes) = verdict {
            dst.extend_from_slice(&bytes);
        }
        self.pass(len);
        self.from = self.at;
    }

    /// Takes the bytes off; into an empty `dst` without a copy.
    fn finish(self, src: &mut BytesMut, dst: &mut BytesMut) {
        if self.from == self.at {
            src.advance(self.at);
            return;
        }
        let mut front = src.split_to(self.at);
        front.advance(self.from);
        if dst.is_empty() {
            *dst = front;
        } else {
            dst.extend_from_slice(&front);
        }
    }
}
