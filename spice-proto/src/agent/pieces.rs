//! Cutting a message into bodies of `AGENT_DATA`.

use core::fmt;

use bytes::{Bytes, BytesMut};

use super::{Frame, MAX_DATA, Message};
use crate::error::EncodeError;
use crate::fields::Unseen;

/// One message as the bodies of the `AGENT_DATA` that carry it: of 2048 bytes, and the last of what is left.
/// The head counts as data. Every receiver accepts that.
///
/// Each body costs a token ([`super::Tokens`]): take the next one when there is one to spend. No other
/// message may come in between.
#[derive(Clone)]
pub struct Pieces {
    left: Bytes,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("left", &Unseen(&self.left)).finish()
    }
}

impl Pieces {
    /// Of a message, with protocol 1.
    ///
    /// # Errors
    /// A value that its field cannot hold.
    pub fn new(message: &Message) -> Result<Self, EncodeError> {
        Self::of(&message.to_frame()?)
    }

    /// Of a frame as it is.
    ///
    /// # Errors
    /// More data than the size field can say.
    pub fn of(frame: &Frame) -> Result<Self, EncodeError> {
        let mut bytes = BytesMut::with_capacity(frame.encoded_len());
        frame.encode(&mut bytes)?;
        let left = bytes.freeze();
        Ok(Self { left })
    }
}

impl Iterator for Pieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let piece = self.left.split_to(self.left.len().min(MAX_DATA));
        (!piece.is_empty()).then_some(piece)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.left.len().div_ceil(MAX_DATA);
        (count, Some(count))
    }
}

impl ExactSizeIterator for Pieces {}
