//! What costs a use, and what does not: the hypervisor refuses the ticket, is not reached, or does not answer.

use core::num::NonZeroU32;

use console_token::{
    AttemptId, ConsoleType, MAX_ATTEMPTS, Refusal, Scope, SessionId, Store, StoreError, TokenHash, Transition, Uses,
};
use futures_util::future::{join, join_all};

use super::{Fresh, context, grant, refused};

/// A new token of `uses` uses.
async fn token(store: &dyn Store, fresh: &mut Fresh, console: ConsoleType, uses: u32) -> TokenHash {
    let hash = fresh.hash();
    let uses = Uses::Limited(NonZeroU32::new(uses).unwrap());
    store.insert(&hash, &grant(console).with_uses(uses)).await.unwrap();
    hash
}

async fn left(store: &dyn Store, hash: &TokenHash) -> u32 {
    store.record(hash).await.unwrap().unwrap().uses_left().unwrap()
}

/// The transition of this kind of console that spends a use.
fn spend(console: ConsoleType, attempt: AttemptId) -> Transition {
    match console {
        ConsoleType::SpiceDirect => Transition::Claim(attempt),
        _ => Transition::Redeem(attempt),
    }
}

pub(super) async fn what_costs_a_use(store: &dyn Store, fresh: &mut Fresh) {
    for console in [ConsoleType::NoVnc, ConsoleType::SpiceDirect] {
        given_back(store, fresh, console).await;
        many_at_once(store, fresh, console).await;
        at_the_same_moment(store, fresh, console).await;
    }
    ticket_sent(store, fresh).await;
    scopes(store, fresh).await;
    forgotten(store, fresh).await;
}

/// The hypervisor is not reached, or refuses the ticket, again and again: the token is as good as before.
async fn given_back(store: &dyn Store, fresh: &mut Fresh, console: ConsoleType) {
    let hash = token(store, fresh, console, 1).await;
    let apply = |now, transition| store.apply(&hash, context(now), transition);
    for number in 0..5 {
        let attempt = fresh.attempt();
        let session = apply(1000, spend(console, attempt)).await.unwrap().session;
        assert_eq!(session, SessionId::new(number), "a number is not used again");
        refused(apply(1000, spend(console, fresh.attempt())).await, Refusal::Spent);
        assert_eq!(left(store, &hash).await, 0);
        apply(1000, Transition::Release(session)).await.unwrap();
        assert_eq!(left(store, &hash).await, 1);
        // Once; and the attempt that had it is over.
        refused(apply(1000, Transition::Release(session)).await, Refusal::SessionClosed);
        refused(apply(1000, spend(console, attempt)).await, Refusal::SessionClosed);
        assert_eq!(left(store, &hash).await, 1);
        store.check(&hash, context(1000)).await.unwrap();
    }
    // Also when the token has expired meanwhile, which makes it no better.
    let session = apply(1599, spend(console, fresh.attempt())).await.unwrap().session;
    apply(1700, Transition::Release(session)).await.unwrap();
    refused(apply(1700, spend(console, fresh.attempt())).await, Refusal::Expired);
    for number in [99, u64::MAX] {
        let never = Transition::Release(SessionId::new(number));
        refused(apply(1000, never).await, Refusal::NoSuchSession);
    }
}

/// The ticket was sent, and no answer came in time: the use stays spent, whatever is asked later.
async fn ticket_sent(store: &dyn Store, fresh: &mut Fresh) {
    let hash = token(store, fresh, ConsoleType::SpiceDirect, 1).await;
    let apply = |transition| store.apply(&hash, context(1000), transition);
    let attempt = fresh.attempt();
    let session = apply(Transition::Claim(attempt)).await.unwrap().session;
    apply(Transition::Close(session)).await.unwrap();
    for (transition, why) in [
        (Transition::Release(session), Refusal::SessionClosed),
        (Transition::Claim(attempt), Refusal::SessionClosed),
        (Transition::Claim(fresh.attempt()), Refusal::Spent),
        // The hypervisor answers after all.
        (
            Transition::Bind {
                session,
                connection_id: 7,
            },
            Refusal::SessionClosed,
        ),
        (Transition::Join { connection_id: 7 }, Refusal::SessionClosed),
    ] {
        refused(apply(transition).await, why);
    }
    assert_eq!(left(store, &hash).await, 0);

    // What was bound, or has come again after a migration, is not given back.
    let hash = token(store, fresh, ConsoleType::SpiceDirect, 1).await;
    let apply = |transition| store.apply(&hash, context(1000), transition);
    let session = apply(Transition::Claim(fresh.attempt())).await.unwrap().session;
    apply(Transition::Bind {
        session,
        connection_id: 7,
    })
    .await
    .unwrap();
    refused(apply(Transition::Release(session)).await, Refusal::AlreadyBound);
    let until = console_token::UnixSeconds(2000);
    apply(Transition::Migrate { session, until }).await.unwrap();
    let reopen = Transition::Reopen {
        attempt: fresh.attempt(),
        connection_id: 0,
    };
    apply(reopen).await.unwrap();
    refused(apply(Transition::Release(session)).await, Refusal::AlreadyBound);
    assert_eq!(left(store, &hash).await, 0);
}

/// Several uses of one token: what becomes of one is nothing to the others.
async fn many_at_once(store: &dyn Store, fresh: &mut Fresh, console: ConsoleType) {
    let is_spice = console == ConsoleType::SpiceDirect;
    let hash = token(store, fresh, console, 4).await;
    let apply = |transition| store.apply(&hash, context(1000), transition);
    let attempts: Vec<AttemptId> = (0..4).map(|_| fresh.attempt()).collect();
    let mut sessions = Vec::new();
    for attempt in &attempts {
        sessions.push(apply(spend(console, *attempt)).await.unwrap().session);
    }
    let bound = |at: usize| Transition::Bind {
        session: sessions[at],
        connection_id: 100 + u32::try_from(at).unwrap(),
    };
    let join = |at: u32| Transition::Join {
        connection_id: 100 + at,
    };
    if is_spice {
        apply(bound(0)).await.unwrap();
        apply(bound(3)).await.unwrap();
        apply(Transition::Close(sessions[3])).await.unwrap();
        assert_eq!(left(store, &hash).await, 0, "a session that ends gives no use back");
    }
    // One hypervisor is not reached: one use comes back, and the others have theirs.
    apply(Transition::Release(sessions[1])).await.unwrap();
    assert_eq!(left(store, &hash).await, 1);
    for _ in 0..3 {
        refused(apply(Transition::Release(sessions[1])).await, Refusal::SessionClosed);
    }
    assert_eq!(left(store, &hash).await, 1);
    for at in [0, 2] {
        let again = apply(spend(console, attempts[at])).await.unwrap();
        assert_eq!(again.session, sessions[at]);
    }
    if is_spice {
        apply(bound(2)).await.unwrap();
        for at in [0, 2] {
            let joined = apply(join(at)).await.unwrap();
            assert_eq!(joined.session, sessions[usize::try_from(at).unwrap()]);
            refused(apply(Transition::Release(joined.session)).await, Refusal::AlreadyBound);
        }
        apply(Transition::Close(sessions[0])).await.unwrap();
        refused(apply(join(0)).await, Refusal::NoSuchSession);
        assert_eq!(apply(join(2)).await.unwrap().session, sessions[2]);
    }
    let last = apply(spend(console, fresh.attempt())).await.unwrap().session;
    assert_eq!(last, SessionId::new(4));
    refused(apply(spend(console, fresh.attempt())).await, Refusal::Spent);
}

/// Many give the same use back, and many take it, all at the same moment: it comes back once, and goes once.
async fn at_the_same_moment(store: &dyn Store, fresh: &mut Fresh, console: ConsoleType) {
    const CALLS: usize = 12;
    let hash = token(store, fresh, console, 2).await;
    let apply = |transition| store.apply(&hash, context(1000), transition);
    let kept = apply(spend(console, fresh.attempt())).await.unwrap().session;
    let session = apply(spend(console, fresh.attempt())).await.unwrap().session;
    let takers: Vec<Transition> = (0..CALLS).map(|_| spend(console, fresh.attempt())).collect();
    let calls = (0..CALLS).map(|_| apply(Transition::Release(session)));
    let (released, taken) = join(
        join_all(calls),
        join_all(takers.iter().map(|transition| apply(*transition))),
    )
    .await;
    let done = released.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(done, 1, "{released:?}");
    for answer in released.into_iter().filter(Result::is_err) {
        refused(answer, Refusal::SessionClosed);
    }
    let taken: Vec<_> = taken.into_iter().filter_map(Result::ok).collect();
    assert!(taken.len() <= 1);
    let expected = 1 - u32::try_from(taken.len()).unwrap();
    assert_eq!(left(store, &hash).await, expected);
    assert!(
        taken
            .iter()
            .all(|admitted| admitted.session != kept && admitted.session != session)
    );
}

/// An exchange is final: its new token is out. Unlimited uses stay unlimited.
async fn scopes(store: &dyn Store, fresh: &mut Fresh) {
    let url = fresh.hash();
    let exchange = grant(ConsoleType::NoVnc).with_scope(Scope::Exchange);
    store.insert(&url, &exchange).await.unwrap();
    store.exchange(&url, context(1000), &fresh.hash(), 20).await.unwrap();
    let release = Transition::Release(SessionId::new(0));
    refused(store.apply(&url, context(1000), release).await, Refusal::WrongScope);
    assert_eq!(left(store, &url).await, 0);
    for console in [ConsoleType::NoVnc, ConsoleType::SpiceDirect] {
        let hash = fresh.hash();
        let unlimited = grant(console).with_uses(Uses::Unlimited);
        store.insert(&hash, &unlimited).await.unwrap();
        for _ in 0..3 {
            let spend = spend(console, fresh.attempt());
            let session = store.apply(&hash, context(1000), spend).await.unwrap().session;
            store
                .apply(&hash, context(1000), Transition::Release(session))
                .await
                .unwrap();
        }
        assert_eq!(store.record(&hash).await.unwrap().unwrap().uses_left(), None);
    }
}

/// A connection whose attempt is not remembered any more keeps its use.
async fn forgotten(store: &dyn Store, fresh: &mut Fresh) {
    let uses = u32::try_from(MAX_ATTEMPTS).unwrap() + 2;
    let hash = token(store, fresh, ConsoleType::NoVnc, uses).await;
    let apply = |transition| store.apply(&hash, context(1000), transition);
    for _ in 0..uses {
        apply(Transition::Redeem(fresh.attempt())).await.unwrap();
    }
    for number in 0..u64::from(uses) {
        let released = apply(Transition::Release(SessionId::new(number))).await;
        match number {
            0 | 1 => refused(released, Refusal::SessionClosed),
            _ => assert_eq!(released.unwrap().session.get(), number),
        }
    }
    assert_eq!(left(store, &hash).await, uses - 2);
    assert!(!matches!(
        apply(Transition::Redeem(fresh.attempt())).await,
        Err(StoreError::Refused(_))
    ));
}
