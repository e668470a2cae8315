//! A filter in a relay.

use core::time::Duration;

use super::{Clipboard, Filter, InputRate};
use crate::framing::{Bypass, HELD, Message, Verdict, Watch};
use crate::limits::Limits;
use crate::message::{ClientMessage, Extensions, FileTransfer, ServerMessage, TextChat};

/// Bytes in front of a cut text.
const CUT_TEXT_HEADER: u64 = 8;
/// Bytes of the messages that come most.
const REQUEST_LEN: usize = 10;
const KEY_LEN: usize = 8;
const POINTER_LEN: usize = 6;

/// A [`Filter`], and perhaps an [`InputRate`], over what goes through a [`Relay`](crate::framing::Relay).
///
/// Messages of more than [`HELD`] bytes may go in pieces, so they are judged by their length alone: a packed clipboard
/// of that length passes only where [`Clipboard::Pass`] holds in both directions.
///
/// ```
/// use bytes::BytesMut;
/// use rfb_proto::filter::{Filter, Guard};
/// use rfb_proto::framing::Relay;
/// use rfb_proto::{Limits, PixelFormat, ServerInit};
///
/// let init = ServerInit { width: 640, height: 480, format: PixelFormat::RGB888, name: Default::default() };
/// let mut relay = Relay::new(&init, &Limits::default());
/// let mut guard = Guard::new(Filter::view_only(), &Limits::default());
/// // A key, and a request for a picture.
/// let request = b"\x03\x01\0\0\0\0\x02\x80\x01\xe0";
/// let mut from_client = BytesMut::from(&[&b"\x04\x01\0\0\0\0\0\x61"[..], request].concat()[..]);
/// let mut to_server = BytesMut::new();
/// relay.from_client(&mut from_client, &mut to_server, &mut guard)?;
/// assert_eq!(to_server, request[..]);
/// assert_eq!(guard.withheld(), 1);
/// # Ok::<(), rfb_proto::framing::FramingError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Guard {
    filter: Filter,
    rate: Option<InputRate>,
    now: Duration,
    limits: Limits,
    withheld: u64,
    resize_refused: bool,
}

impl Guard {
    /// With this filter. The limits are those of the relay.
    #[must_use]
    pub fn new(filter: Filter, limits: &Limits) -> Self {
        Self {
            filter,
            rate: None,
            now: Duration::ZERO,
            limits: limits.clone(),
            withheld: 0,
            resize_refused: false,
        }
    }

    /// With a bound on how fast input may come.
    #[must_use]
    pub fn with_rate(mut self, rate: InputRate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// What time it is, since any fixed moment; asked for before bytes of the client are relayed. Only a rate needs it.
    pub fn at(&mut self, now: Duration) -> &mut Self {
        self.now = now;
        self
    }

    /// Messages that were withheld, or replaced, in both directions.
    #[must_use]
    pub fn withheld(&self) -> u64 {
        self.withheld
    }

    /// Whether a change of the desktop's size was withheld since the last call: the client should be told
    /// ([`resize_refused`](super::resize_refused)).
    #[must_use]
    pub fn take_resize_refused(&mut self) -> bool {
        core::mem::take(&mut self.resize_refused)
    }

    /// Of a message that goes in pieces the first counts.
    fn count(&mut self, message: &Message<'_>, verdict: &Verdict) {
        let withheld = *verdict != Verdict::Pass && message.offset == 0;
        self.withheld = self.withheld.saturating_add(withheld.into());
    }

    /// Whether a message passes of the types that come most, which alone decide.
    #[inline]
    fn passes_by_type(&self, message: &Message<'_>) -> Option<bool> {
        if self.rate.is_some() {
            return None;
        }
        Some(match (message.number, message.bytes.len()) {
            (ClientMessage::FRAMEBUFFER_UPDATE_REQUEST, REQUEST_LEN) => true,
            (ClientMessage::KEY_EVENT, KEY_LEN) => self.filter.keyboard,
            // Not the long form, which is an extension's.
            (ClientMessage::POINTER_EVENT, POINTER_LEN) => self.filter.pointer,
            _ => return None,
        })
    }

    fn judge_client(&mut self, message: &Message<'_>) -> Verdict {
        if let Some(passes) = self.passes_by_type(message) {
            return Verdict::of(passes);
        }
        let Some(bytes) = short(message) else {
            return self.long(message, ClientMessage::CLIENT_CUT_TEXT, self.filter.clipboard_to_server);
        };
        // The relay knows what was agreed on, and cut the message so. A short event is not to be taken for a long one.
        let extensions = match message.number {
            ClientMessage::POINTER_EVENT if message.len == 6 => Extensions::NONE,
            _ => Extensions::ALL,
        };
        let Ok(message) = ClientMessage::decode_slice(bytes, &extensions, &self.limits) else {
            return Verdict::Withhold;
        };
        let verdict = self.filter.client(&message, &self.limits);
        self.resize_refused |= verdict == Verdict::Withhold && matches!(message, ClientMessage::SetDesktopSize(_));
        match (&mut self.rate, verdict) {
            (Some(rate), Verdict::Pass) => rate.judge(self.now, &message),
            (_, verdict) => verdict,
        }
    }

    fn judge_server(&self, message: &Message<'_>) -> Verdict {
        let Some(bytes) = short(message) else {
            return self.long(message, ServerMessage::SERVER_CUT_TEXT, self.filter.clipboard_to_client);
        };
        match ServerMessage::decode_slice(bytes, &Extensions::ALL, &self.limits) {
            Ok(message) => self.filter.server(&message, &self.limits),
            Err(_) => Verdict::Withhold,
        }
    }

    /// A message that may go in pieces: of a clipboard only the length is known.
    fn long(&self, message: &Message<'_>, cut_text: u8, clipboard: Clipboard) -> Verdict {
        let both = [self.filter.clipboard_to_server, self.filter.clipboard_to_client];
        let passes = match message.number {
            FileTransfer::NUMBER => self.filter.files,
            TextChat::NUMBER => self.filter.chat,
            number if number != cut_text => true,
            // Packed data can be anything.
            _ if message.bytes.get(4).is_none_or(|high| 0x80 <= *high) => both == [Clipboard::Pass; 2],
            _ => clipboard.takes(message.len.saturating_sub(CUT_TEXT_HEADER)),
        };
        Verdict::of(passes)
    }
}

/// The bytes of a message that never goes in pieces. Whether a longer one is here as a whole depends on how it was read,
/// and the verdict must not.
fn short<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    message.whole().filter(|bytes| bytes.len() <= HELD)
}

impl Watch for Guard {
    #[inline]
    fn bypass(&self) -> Bypass {
        let counts = self.rate.is_some();
        Bypass {
            requests: true,
            keys: self.filter.keyboard && !counts,
            pointer: self.filter.pointer && !counts,
            pictures: true,
        }
    }

    #[inline]
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        if let Some(true) = self.passes_by_type(message) {
            return Verdict::Pass;
        }
        let verdict = self.judge_client(message);
        self.count(message, &verdict);
        verdict
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        let verdict = self.judge_server(message);
        self.count(message, &verdict);
        verdict
    }
}
