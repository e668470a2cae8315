//! Every seed and every regression of the grants, and what the seeds reach.

use std::collections::BTreeSet;

/// What each operation can give: the refusals are those that its documentation names.
const OUTCOMES: [(&str, &str); 19] = [
    ("insert", "done Duplicate Full"),
    (
        "check",
        "done Unknown WrongAudience Revoked NotYetValid Expired Spent TooManySessions",
    ),
    (
        "redeem",
        "done Unknown WrongScope WrongAudience Revoked NotYetValid Expired Spent TooManySessions SessionClosed",
    ),
    (
        "exchange",
        "done Unknown WrongScope WrongAudience Revoked NotYetValid Expired Spent Duplicate Full",
    ),
    (
        "claim",
        "done Unknown WrongScope WrongAudience Revoked NotYetValid Expired Spent TooManySessions SessionClosed",
    ),
    (
        "open",
        "done Unknown WrongScope WrongAudience Revoked NotYetValid Expired Spent TooManySessions SessionClosed",
    ),
    (
        "suspend",
        "done Unknown WrongScope Revoked NoSuchSession SessionClosed SessionExpired",
    ),
    (
        "resume",
        "done Unknown WrongScope WrongAudience Revoked NoSuchSession SessionClosed NotSuspended SessionExpired",
    ),
    (
        "bind",
        "done Unknown WrongScope Revoked ZeroConnectionId NoSuchSession SessionClosed AlreadyBound ConnectionIdInUse",
    ),
    (
        "release",
        "done Unknown WrongScope NoSuchSession SessionClosed AlreadyBound",
    ),
    (
        "join",
        "done Unknown WrongScope WrongAudience Revoked ZeroConnectionId SessionExpired NotBound SessionClosed \
         NoSuchSession",
    ),
    (
        "migrate",
        "done Unknown WrongScope Revoked NoSuchSession SessionClosed NotBound",
    ),
    ("settle", "done Unknown WrongScope NoSuchSession SessionClosed"),
    (
        "reopen",
        "done Unknown WrongScope WrongAudience Revoked SessionClosed NotMigrating SessionExpired",
    ),
    ("close", "done Unknown WrongScope NoSuchSession SessionClosed"),
    (
        "attend",
        "done Unknown WrongScope Revoked NoSuchSession SessionClosed SessionExpired",
    ),
    ("revoke", "0 1 2 3 4"),
    ("retarget", "0 1 2 3 4"),
    ("sweep", "done"),
];

fn replay(folder: &str) -> (usize, BTreeSet<String>) {
    let mut reached = BTreeSet::new();
    let count = crate::each_case(folder, "token_grants", |case| {
        reached.extend(crate::token_grants::outcomes(case))
    });
    (count, reached)
}

#[test]
fn token_grants() {
    replay("regressions");
    let (count, reached) = replay("seeds");
    assert!(9 <= count);
    let expected: BTreeSet<String> = OUTCOMES
        .iter()
        .flat_map(|(op, outcomes)| outcomes.split(' ').map(move |outcome| format!("{op}: {outcome}")))
        .collect();
    println!("token_grants: {count} inputs reach {} outcomes", reached.len());
    let missing: Vec<_> = expected.difference(&reached).collect();
    let unknown: Vec<_> = reached.difference(&expected).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "missing {missing:?}, unknown {unknown:?}"
    );
}
