//! What sees the messages that go by, and says what becomes of them.

use bytes::Bytes;

use super::{Message, Piece};
use crate::message::{ClientMessage, FramebufferUpdate};

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

/// What passes without being shown to a [`Watch`]: nothing by default.
///
/// A console is mostly made of these messages. Where the watch has nothing to say to them, a relay finds their ends and
/// does nothing else, for a whole buffer at a time.
///
/// ```
/// use rfb_proto::framing::Bypass;
///
/// // Keys are not looked at, and what the server draws is not looked at either.
/// let bypass = Bypass::NOTHING.with_keys(true).with_pictures(true);
/// assert!(!bypass.pointer);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct Bypass {
    /// FramebufferUpdateRequest.
    pub requests: bool,
    /// KeyEvent.
    pub keys: bool,
    /// PointerEvent, but for the long form of the extended mouse buttons.
    pub pointer: bool,
    /// FramebufferUpdate: its head, and rectangles of pixels. Pseudo-encodings are always shown.
    pub pictures: bool,
}

impl Bypass {
    /// Everything is shown.
    pub const NOTHING: Self = Self {
        requests: false,
        keys: false,
        pointer: false,
        pictures: false,
    };

    /// Nothing that can pass unseen is shown.
    pub const EVERYTHING: Self = Self {
        requests: true,
        keys: true,
        pointer: true,
        pictures: true,
    };

    /// Sets [`Bypass::requests`].
    #[must_use]
    pub const fn with_requests(mut self, passes: bool) -> Self {
        self.requests = passes;
        self
    }

    /// Sets [`Bypass::keys`].
    #[must_use]
    pub const fn with_keys(mut self, passes: bool) -> Self {
        self.keys = passes;
        self
    }

    /// Sets [`Bypass::pointer`].
    #[must_use]
    pub const fn with_pointer(mut self, passes: bool) -> Self {
        self.pointer = passes;
        self
    }

    /// Sets [`Bypass::pictures`].
    #[must_use]
    pub const fn with_pictures(mut self, passes: bool) -> Self {
        self.pictures = passes;
        self
    }

    /// The client's messages of it, a bit for each number.
    #[inline]
    pub(super) const fn of_client(self) -> u32 {
        (self.requests as u32) << ClientMessage::FRAMEBUFFER_UPDATE_REQUEST
            | (self.keys as u32) << ClientMessage::KEY_EVENT
            | (self.pointer as u32) << ClientMessage::POINTER_EVENT
    }
}

/// Sees everything that goes by, but for what [`Watch::bypass`] names, and may hold messages back. All methods do nothing by default.
///
/// Of a message that goes in pieces every piece is shown, and the verdict on the first holds for all of it. Updates go
/// on whatever is thought of them: what a viewer shall not get is taken out of its `SetEncodings`.
pub trait Watch {
    /// What need not be shown, and passes. Of it some may still be shown: what has not come as a whole. It is asked for
    /// again after each of the methods below, so it may change with what they saw.
    fn bypass(&self) -> Bypass {
        Bypass::NOTHING
    }

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
impl Watch for () {
    #[inline]
    fn bypass(&self) -> Bypass {
        Bypass::EVERYTHING
    }
}
