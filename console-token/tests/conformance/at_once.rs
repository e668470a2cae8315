//! Calls that are on their way at the same moment: each sees what the others have done.
//!
//! One process and one store; `engines/race.rs` has many of both.

use core::num::NonZeroU32;
use std::collections::BTreeSet;

use console_token::{
    Answer, ConsoleType, LeaseRules, LeaseTransition, MAX_OPEN_SESSIONS, Refusal, Scope, Store, StoreError,
    TokenSelector, Transition, UnixSeconds, Uses,
};
use futures_util::future::join_all;

use super::{Fresh, context, grant, refused};

const CALLS: usize = 16;

/// The one answer; all others were refused for this reason.
async fn one_of<T: core::fmt::Debug>(calls: Vec<Answer<'_, T>>, why: Refusal) -> (usize, T) {
    let mut one = None;
    for (number, answer) in join_all(calls).await.into_iter().enumerate() {
        match answer {
            Ok(answer) => assert!(one.replace((number, answer)).is_none(), "two were let in"),
            other => refused(other, why),
        }
    }
    one.expect("one was let in")
}

pub(super) async fn at_once(store: &dyn Store, fresh: &mut Fresh) {
    // One attempt that is asked many times is one attempt.
    let (hash, redeem) = (fresh.hash(), Transition::Redeem(fresh.attempt()));
    let twice = Uses::Limited(NonZeroU32::new(2).unwrap());
    store
        .insert(&hash, &grant(ConsoleType::NoVnc).with_uses(twice))
        .await
        .unwrap();
    let answers = join_all((0..CALLS).map(|_| store.apply(&hash, context(1000), redeem))).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().session.get() == 0));
    assert_eq!(store.record(&hash).await.unwrap().unwrap().uses_left(), Some(1));

    // Another use is left: of many attempts one gets it.
    let transitions: Vec<_> = (0..CALLS).map(|_| Transition::Redeem(fresh.attempt())).collect();
    let calls = transitions
        .iter()
        .map(|transition| store.apply(&hash, context(1000), *transition));
    one_of(calls.collect(), Refusal::Spent).await;

    // As many sessions as can be open at once get a number each.
    let hash = fresh.hash();
    let unlimited = grant(ConsoleType::SpiceDirect).with_uses(Uses::Unlimited);
    store.insert(&hash, &unlimited).await.unwrap();
    let most = usize::from(MAX_OPEN_SESSIONS.get());
    let transitions: Vec<_> = (0..most).map(|_| Transition::Claim(fresh.attempt())).collect();
    let answers = join_all(
        transitions
            .iter()
            .map(|transition| store.apply(&hash, context(1000), *transition)),
    )
    .await;
    let numbers: BTreeSet<u64> = answers
        .into_iter()
        .map(|answer| answer.unwrap().session.get())
        .collect();
    assert!(numbers.into_iter().eq(0..most as u64));

    // An exchange leaves one new token, or none.
    let url = fresh.hash();
    let exchange = grant(ConsoleType::NoVnc).with_scope(Scope::Exchange);
    store.insert(&url, &exchange).await.unwrap();
    let new: Vec<_> = (0..CALLS).map(|_| fresh.hash()).collect();
    let calls = new.iter().map(|new| store.exchange(&url, context(1000), new, 20));
    let (winner, _) = one_of(calls.collect(), Refusal::Spent).await;
    for (number, new) in new.iter().enumerate() {
        assert_eq!(store.record(new).await.unwrap().is_some(), number == winner);
    }

    // The same new token from two sides: the second caller finds it there, and has spent nothing.
    let (one, other, new) = (fresh.hash(), fresh.hash(), fresh.hash());
    for url in [&one, &other] {
        store.insert(url, &exchange).await.unwrap();
    }
    let calls = [&one, &other].map(|url| store.exchange(url, context(1000), &new, 20));
    let answers = join_all(calls).await;
    let duplicates = answers
        .iter()
        .filter(|answer| matches!(answer, Err(StoreError::Duplicate)));
    assert_eq!(
        (
            duplicates.count(),
            answers.iter().filter(|answer| answer.is_ok()).count()
        ),
        (1, 1)
    );
    for (url, answer) in [&one, &other].into_iter().zip(&answers) {
        let left = store.record(url).await.unwrap().unwrap().uses_left();
        assert_eq!(left, Some(u32::from(answer.is_err())));
    }

    // One sits down; one revocation is the first.
    let console = fresh.name();
    let takes: Vec<_> = (0..CALLS).map(|_| LeaseTransition::Take(fresh.attempt())).collect();
    let calls = takes
        .iter()
        .map(|take| store.leases(&console, UnixSeconds(0), &LeaseRules::EXCLUSIVE, *take));
    one_of(calls.collect(), Refusal::Busy).await;
    let revoked = join_all((0..CALLS).map(|_| store.revoke(TokenSelector::Token(&hash)))).await;
    assert_eq!(revoked.into_iter().map(Result::unwrap).sum::<usize>(), 1);
}
