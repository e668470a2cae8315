//! The drivers on networks as they are: narrow, slow, buffered, and gone.

mod buffered;
mod elsewhere;
mod gone;
mod identify;
mod link;
mod session;
mod streams;
mod tls;

use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use self::streams::Inner;

/// Longer than anything takes that moves.
const LONG: Duration = Duration::from_secs(7200);

const CAPACITIES: [usize; 3] = [1, 1 << 10, 64 << 10];
const INNERS: [Inner; 5] = [
    Inner::Nothing,
    Inner::Buffer(64 << 10),
    Inner::Flushed(1),
    Inner::Flushed(64 << 10),
    Inner::Eager(64 << 10),
];

/// Time does not pass by itself.
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}

fn inners() -> impl Strategy<Value = Inner> {
    let size = 1_usize..100_000;
    prop_oneof![
        Just(Inner::Nothing),
        size.clone().prop_map(Inner::Buffer),
        size.clone().prop_map(Inner::Flushed),
        size.prop_map(Inner::Eager),
    ]
}
