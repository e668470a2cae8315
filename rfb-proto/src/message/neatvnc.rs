//! Messages of neatvnc, the server of wayvnc.

use crate::fields::{codec, layout};

layout! {
    /// The clocks of both sides compared, in both directions; 20 bytes. All times are in microseconds, of a clock that
    /// has no date, and cut to 32 bits; 0: not yet.
    ///
    /// A client asks with its own time; the server adds two of its own; the client sends that back with another one.
    /// Pictures then tell when they were taken ([`Encoding::PTS`](crate::encoding::Encoding::PTS)).
    #[derive(Copy)]
    pub struct Ntp = NUMBER {
        /// Zero, or what the peer left there.
        padding: [u8; 3],
        /// When the client sent its question.
        asked: u32,
        /// When the question came.
        received: u32,
        /// When the answer was sent.
        answered: u32,
        /// When the answer came.
        returned: u32,
    }
}
