//! Sequences of operations on a store of tokens, against the model that remembers everything.
//!
//! The model and the form of a sequence are those of the tests: `console-token/tests/naive/mod.rs`. The
//! first byte says how many records the store holds at most, the rest is the sequence.

use core::pin::pin;
use core::task::{Context, Poll, Waker};
use std::collections::BTreeSet;

use console_token::{MemoryStore, Transition};
use naive::{Gave, Op};

#[path = "../../console-token/tests/naive/mod.rs"]
mod naive;

/// Runs a sequence: store and model give the same, and what is refused leaves no trace.
pub fn check(data: &[u8]) {
    run(data, |_, _| ());
}

/// Runs a sequence, and names each operation with what it gave: `claim: Spent`.
pub fn outcomes(data: &[u8]) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    run(data, |op, gave| {
        let gave = match gave {
            Gave::Refused(refusal) => format!("{refusal:?}"),
            Gave::Count(count) => format!("{count}"),
            Gave::Full => "Full".to_owned(),
            Gave::Duplicate => "Duplicate".to_owned(),
            Gave::Nothing | Gave::Grant(_) | Gave::Session(..) => "done".to_owned(),
        };
        reached.insert(format!("{}: {gave}", name(op)));
    });
    reached
}

fn run(data: &[u8], seen: impl FnMut(&Op, &Gave)) {
    let Some((limit, operations)) = data.split_first() else {
        return;
    };
    // The model is quadratic in the length.
    let operations = &operations[..operations.len().min(2000)];
    let limit = usize::from(*limit) % (naive::TOKENS + 1);
    let store = MemoryStore::new(limit);
    let sequence = pin!(naive::run(&store, limit, [0; 8], operations, seen));
    // A store in memory never waits.
    let done = sequence.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(done, Poll::Ready(()));
}

fn name(op: &Op) -> &'static str {
    match op {
        Op::Insert { .. } => "insert",
        Op::Check { .. } => "check",
        Op::Transition { transition, .. } => match transition {
            Transition::Redeem(_) => "redeem",
            Transition::Claim(_) => "claim",
            Transition::Open(_) => "open",
            Transition::Bind { .. } => "bind",
            Transition::Release(_) => "release",
            Transition::Join { .. } => "join",
            Transition::Migrate { .. } => "migrate",
            Transition::Settle(_) => "settle",
            Transition::Reopen { .. } => "reopen",
            Transition::Suspend { .. } => "suspend",
            Transition::Resume { .. } => "resume",
            Transition::Close(_) => "close",
            Transition::Attend(_) => "attend",
        },
        Op::Exchange { .. } => "exchange",
        Op::Revoke { .. } => "revoke",
        Op::Retarget { .. } => "retarget",
        Op::Sweep { .. } => "sweep",
    }
}
