//! Sequences of operations on a store of tokens, against the model that remembers everything.
//!
//! The model and the form of a sequence are those of the tests: `console-token/tests/naive/mod.rs`. The
//! first byte says how many records the store holds at most, the rest is the sequence.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use console_token::MemoryStore;

#[path = "../../console-token/tests/naive/mod.rs"]
mod naive;

/// Runs a sequence: store and model give the same, and what is refused leaves no trace.
pub fn check(data: &[u8]) {
    let Some((limit, operations)) = data.split_first() else { return };
    // The model is quadratic in the length.
    let operations = &operations[..operations.len().min(2000)];
    let limit = usize::from(*limit) % (naive::TOKENS + 1);
    let store = MemoryStore::new(limit);
    let sequence = pin!(naive::run(&store, limit, [0; 8], operations));
    // A store in memory never waits.
    let done = sequence.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(done, Poll::Ready(()));
}
