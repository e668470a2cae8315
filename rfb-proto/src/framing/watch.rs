//! Who sees what goes by, and says what becomes of it.

use bytes::Bytes;

use super::{Message, Piece};
use crate::message::FramebufferUpdate;

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
