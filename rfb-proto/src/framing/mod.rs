//! Where messages and rectangles end, found without decoding a pixel.
//!
//! RFB has no frames: the next message begins where this one ends, so its length has to be known, and an update
//! of the picture is as long as its rectangles, each in an encoding of its own. [`ServerFramer`] takes a server's
//! stream apart, [`ClientFramer`] a client's. What they find lies in the caller's buffer: nothing is copied, nothing is
//! allocated, and payloads are not looked at, only the control bytes that tell how long the next run of them is. They
//! go on at any byte, so a rectangle of any size goes by in pieces as it comes in.
//!
//! ```text
//! server  | message | head of an update | rectangle: head, payload | rectangle | ... | message | ...
//!           Message   Update              Piece, Piece ...           Piece             Message
//! ```
//!
//! How long a rectangle is depends on what the client has asked for, above all on the format of pixels. [`Relay`] sees
//! both directions and keeps them in step; a program that has only the server's bytes shows the client's messages to a
//! [`ServerFramer`] with [`ServerFramer::client_sent`], as far as there are any that matter.
//!
//! # Which format is in force
//!
//! A server goes on with the format before until it has read [`SetPixelFormat`](crate::message::SetPixelFormat), and
//! does not say when that is. A framer keeps both, the one in force and those that are pending, and knows for sure:
//!
//! * no request was outstanding when the client sent it: the next update has the new one. RFB demands this of clients;
//! * a fence with SyncNext was sent right before it: what follows the server's answer to that has the new one;
//! * any fence that was sent behind it is answered, or more updates came than there were requests before it.
//!
//! In between it is in doubt. Most rectangles frame alike in both formats; for those that do not, [`AmbiguousFormat`]
//! decides.
//!
//! # Which server it is
//!
//! Servers differ in how they read a format ([`PixelRules`](crate::PixelRules)): at a depth other than 24 QEMU's
//! rectangles of Tight are shorter than those of all others. Nothing in the stream says which of the two it is. A
//! framer recognises QEMU by the name of the desktop; one that does not see the server's own `ServerInit`, or sees a
//! name that was changed, needs [`ServerFramer::with_pixel_rules`], or loses the stream at such a depth.

mod client;
mod formats;
mod messages;
mod moved;
mod relay;
mod server;
mod splice;
mod watch;

pub use client::ClientFramer;
pub use moved::MoveFault;
pub use relay::Relay;
pub use server::ServerFramer;
pub use watch::{Bypass, Verdict, Watch};

use crate::encoding::Rectangle;
use crate::error::DecodeError;
use crate::message::FramebufferUpdate;

/// Messages up to this size in bytes are given out whole, so at most so much waits in the caller's buffer; longer ones
/// go in pieces. It is that of the longest SetEncodings.
pub const HELD: usize = 256 << 10;

/// A part of a server's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A message that is no update of the picture.
    Message(Message<'a>),
    /// The head of an update. Its rectangles follow.
    Update(FramebufferUpdate),
    /// A rectangle of the update, or a piece of it.
    Rectangle(Piece<'a>),
}

/// A message, or a piece of one that is longer than [`HELD`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub number: u8,
    /// Bytes of the whole message.
    pub len: u64,
    /// Bytes of it that came before this piece.
    pub offset: u64,
    /// This piece, or the whole message.
    pub bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// The bytes of the message, if this is all of it.
    #[must_use]
    pub fn whole(&self) -> Option<&'a [u8]> {
        (self.bytes.len() as u64 == self.len).then_some(self.bytes)
    }

    /// Whether the message ends here.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.offset.saturating_add(self.bytes.len() as u64) == self.len
    }
}

/// A rectangle, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its head.
    pub rectangle: Rectangle,
    /// Whether this is the first piece, so that the bytes of the head stand in front of it.
    pub first: bool,
    /// Bytes of the payload that came before this piece.
    pub offset: u64,
    /// What there is of the payload. Pieces end anywhere.
    pub payload: &'a [u8],
    /// What ends with it.
    pub ends: Ends,
}

/// What ends with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// Nothing: the rectangle goes on.
    Nothing,
    /// The rectangle.
    Rectangle,
    /// The rectangle, and with it the update.
    Update,
}

/// What a framer needs to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// At least so many bytes behind those that are there.
    pub bytes: u64,
    /// What of: a field, or bytes that are not looked at.
    pub field: &'static str,
}

/// What is done with a rectangle that would end elsewhere in a pending format than in the one in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AmbiguousFormat {
    /// It is taken to have the format that was set last, as by the clients that set one with a request outstanding.
    #[default]
    Pending,
    /// It is taken to have the format in force.
    Current,
    /// It is an error.
    Refuse,
}

/// Where a stream cannot be followed any further.
///
/// ```text
/// byte 1260: H.264 (RealVNC).encoding at byte 8: nothing tells where H.264 (RealVNC) (20) ends
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {error}")]
pub struct FramingError {
    /// Where the field begins, in bytes from the first one of the stream.
    pub offset: u64,
    /// What is wrong. Its own offset counts from the first byte of the message, or of the rectangle.
    pub error: DecodeError,
}
