//! SPICE sessions as sequences of operations: the tracker, a session that moves, and what may pass.
//!
//! ```text
//! | what u8 | operations ... |
//! ```
//!
//! What: 0 the tracker against the table of its tests; 1 a tracker that goes on with a snapshot of any bytes; 2 a
//! session that moves, with a policy in the path of its messages; 3 a policy alone.

mod migration;
mod policy;
mod tracker;

use std::collections::BTreeSet;

use spice_proto::frame::{FrameRef, Header};

use crate::Input;

/// Checks one input.
pub fn check(data: &[u8]) {
    stages(data);
}

/// Checks one input, and names what it reached.
pub fn stages(data: &[u8]) -> BTreeSet<String> {
    let mut input = Input::new(data);
    match input.byte() % 4 {
        0 => tracker::sequence(input),
        1 => tracker::restored(input),
        2 => migration::sequence(input),
        _ => policy::sequence(input),
    }
}

/// The lines of the table of a session that moves, as [`stages`] names them.
pub fn moves() -> impl Iterator<Item = String> {
    let lines = migration::TABLE.iter();
    lines.map(|(from, event, to)| format!("move: {from}, {event}: {to}"))
}

/// A message, with the size that it has.
fn frame(number: u16, sub_list: u32, body: &[u8]) -> FrameRef<'_> {
    let size = u32::try_from(body.len()).expect("bodies are small");
    FrameRef {
        header: Header {
            serial: 0,
            number,
            size,
            sub_list,
        },
        body,
    }
}

/// The name of a variant, without what is in it.
fn name(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}
