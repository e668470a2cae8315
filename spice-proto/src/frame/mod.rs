//! Frames of the data stage: a header and a body.
//!
//! ```text
//! mini   | type u16 | size u32 | body: size bytes                                      6 bytes
//! full   | serial u64 | type u16 | size u32 | sub_list u32 | body: size bytes         18 bytes
//! ```
//!
//! Little-endian. The mini form is used in both directions when both sides announced
//! [`MINI_HEADER`](crate::caps::common::MINI_HEADER); the form never changes on a connection.
//!
//! Ways to look at a stream, from the cheapest: [`FrameReader::frames`] walks over the whole frames
//! that lie in a buffer without taking anything; [`FrameReader::split`] takes them off as [`Frame`]s, and
//! [`FrameReader::decode`] one at a time, in the form that `tokio_util::codec` has; [`FrameForwarder`] moves a stream
//! from one connection to another and asks about each frame as it goes by.

mod flow;
mod forward;
mod header;
mod list;
mod reader;
mod record;
mod writer;

pub use flow::{AckCounter, AckWindow, Acknowledge};
pub use forward::{Forwarded, FrameDecision, FrameForwarder};
pub use header::{Frame, FrameRef, Header, HeaderForm};
pub use list::{SubMessage, SubMessages};
pub use reader::{FrameReader, Frames, OwnedFrames};
pub use record::RecordSplitter;
pub use writer::{Body, Writer};
