//! Letting messages pass or not, while they stream by.

use bytes::BytesMut;

use super::{MessageHeader, Receiver, Stream};
use crate::error::DecodeError;
use crate::fields::Encode;
use crate::limits::Limits;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FilterDecision {
    /// It goes on.
    Pass,
    /// It does not.
    Drop,
}

/// What becomes of the body of one `AGENT_DATA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Passage {
    /// It goes on as it came.
    Whole,
    /// Something else goes on in its place: what was put into the buffer.
    Part,
    /// Nothing goes on. If it cost the sender a token ([`Delivery::Delivered`](super::Delivery)), the receiver
    /// will never give that back, so the relay gives one in its place (`AGENT_TOKEN` with 1).
    Nothing,
}

/// Judges every message of a stream by its header, before its data has come, and holds none of them.
///
/// As spice-server filters where copy and paste, or file transfers, are switched off: what belongs to a
/// dropped message is left out, the rest goes on unchanged. It has to be shown every `AGENT_DATA`, also those
/// that are discarded because no agent is there: the receiver counts them too, and a filter that counts
/// otherwise could be led past a message.
#[derive(Debug, Clone)]
pub struct Filter {
    stream: Stream,
    passes: bool,
}

impl Filter {
    /// At the start of a conversation that `receiver` reads in the end. Messages may be as large as
    /// [`Limits::passed_body`].
    #[must_use]
    pub fn new(receiver: Receiver, limits: &Limits) -> Self {
        Self {
            stream: Stream::new(receiver, limits),
            passes: true,
        }
    }

    /// What was not over never will be: see [`Stream::reset`].
    pub fn reset(&mut self) {
        self.stream.reset();
    }

    /// Reads the body of one `AGENT_DATA`. Every message is shown to `judge` once, when its head is whole.
    /// Where the body does not go on as it is, what does is appended to `dst`; towards a strict
    /// receiver that is never needed.
    ///
    /// # Errors
    /// What the receiver would not accept; nothing of this body goes on then, and the stream is over.
    pub fn pass(
        &mut self,
        body: &[u8],
        dst: &mut BytesMut,
        mut judge: impl FnMut(&MessageHeader) -> FilterDecision,
    ) -> Result<Passage, DecodeError> {
        let before = dst.len();
        let held = 0 < self.stream.held();
        let passes = &mut self.passes;
        // Whether nothing was left out so far; then nothing needs to be copied before something is.
        let mut copied = held;
        let mut taken = 0;
        for part in self.stream.parts(body) {
            let part = part.inspect_err(|_| dst.truncate(before))?;
            if part.starts {
                *passes = judge(&part.header) == FilterDecision::Pass;
            }
            let end = part.at.saturating_add(part.data.len());
            if *passes && copied {
                if part.starts {
                    // INVARIANT: a fixed block always fits.
                    let _ = part.header.write(dst);
                }
                dst.extend_from_slice(part.data);
            }
            if !*passes && !copied {
                copied = true;
                dst.extend_from_slice(body.get(..taken).unwrap_or_default());
            }
            taken = end;
        }
        if !copied && self.stream.held() == 0 {
            return Ok(Passage::Whole);
        }
        if !copied {
            dst.extend_from_slice(body.get(..taken).unwrap_or_default());
        }
        Ok(if before < dst.len() {
            Passage::Part
        } else {
            Passage::Nothing
        })
    }
}
