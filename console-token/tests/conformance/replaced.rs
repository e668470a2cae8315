//! A token that takes the place of another one, and tokens that are found by their fingerprint.

use core::num::NonZeroU32;

use console_token::{ConsoleType, Refusal, Store, StoreError, Target, TokenSelector, Transition, UnixSeconds, Uses};
use futures_util::future::join_all;

use super::{Fresh, context, grant, refused};

const ALL: NonZeroU32 = NonZeroU32::MAX;

pub(super) async fn found_by_fingerprint(store: &dyn Store, fresh: &mut Fresh) {
    let (one, other) = (fresh.hash(), fresh.hash());
    assert!(store.find(&one.fingerprint()).await.unwrap().is_none());
    for hash in [&one, &other] {
        store.insert(hash, &grant(ConsoleType::SpiceDirect)).await.unwrap();
    }
    let claim = Transition::Claim(fresh.attempt());
    store.apply(&one, context(1000), claim).await.unwrap();
    let (hash, record) = store.find(&one.fingerprint()).await.unwrap().unwrap();
    assert_eq!(hash, one);
    assert_eq!(record, store.record(&one).await.unwrap().unwrap());
    assert_eq!(record.sessions().count(), 1);

    let moved = Target::Unix {
        path: "/run/moved".into(),
    };
    let fingerprint = one.fingerprint();
    let which = TokenSelector::Fingerprint(&fingerprint);
    let retargeted = store.retarget(which, ConsoleType::SpiceDirect, &moved).await;
    assert_eq!(retargeted.unwrap(), 1);
    assert_eq!(store.revoke(which).await.unwrap(), 1);
    assert_eq!(store.revoke(which).await.unwrap(), 0);
    assert!(store.record(&one).await.unwrap().unwrap().is_revoked());
    assert!(!store.record(&other).await.unwrap().unwrap().is_revoked());
    assert_eq!(store.record(&one).await.unwrap().unwrap().grant().target, moved);

    // What was exchanged or swept.
    let (url, new) = (fresh.hash(), fresh.hash());
    let exchange = grant(ConsoleType::NoVnc).with_scope(console_token::Scope::Exchange);
    store.insert(&url, &exchange).await.unwrap();
    store.exchange(&url, context(1000), &new, 20).await.unwrap();
    assert_eq!(store.find(&new.fingerprint()).await.unwrap().unwrap().0, new);
    store.sweep(UnixSeconds(1020), ALL).await.unwrap();
    assert!(store.find(&new.fingerprint()).await.unwrap().is_none());
}

pub(super) async fn sessions_go_on(store: &dyn Store, fresh: &mut Fresh) {
    let (old, new, third) = (fresh.hash(), fresh.hash(), fresh.hash());
    let vm = fresh.name();
    let thrice = Uses::Limited(NonZeroU32::new(3).unwrap());
    let grant = grant(ConsoleType::SpiceDirect).with_uses(thrice).with_vm(&vm);
    store.insert(&old, &grant).await.unwrap();
    let first = fresh.attempt();
    let session = store
        .apply(&old, context(1000), Transition::Claim(first))
        .await
        .unwrap();
    assert_eq!(session.replaced_by, None);
    let session = session.session;
    let bind = |session, connection_id| Transition::Bind { session, connection_id };
    store.apply(&old, context(1000), bind(session, 7)).await.unwrap();
    let waits = Transition::Claim(fresh.attempt());
    let waiting = store.apply(&old, context(1000), waits).await.unwrap().session;

    for _ in 0..2 {
        let replaced = store.replace(&old, &new, UnixSeconds(1000)).await.unwrap();
        assert_eq!(*replaced, grant, "and again the same");
    }
    let (was, is) = (
        store.record(&old).await.unwrap().unwrap(),
        store.record(&new).await.unwrap().unwrap(),
    );
    assert_eq!(
        (was.is_revoked(), was.replaced_by(), was.sessions().count()),
        (true, Some(&new), 0)
    );
    assert_eq!(
        (is.is_revoked(), is.uses_left(), is.sessions().count()),
        (false, Some(1), 2)
    );
    assert_eq!(store.find(&new.fingerprint()).await.unwrap().unwrap().1, is);

    // Nothing is opened with the old one; an attempt that was answered is answered again.
    refused(store.check(&old, context(1000)).await, Refusal::Revoked);
    let another = Transition::Claim(fresh.attempt());
    refused(store.apply(&old, context(1000), another).await, Refusal::Revoked);
    let again = store.apply(&old, context(1000), waits).await.unwrap();
    assert_eq!((again.session, again.replaced_by), (waiting, Some(new)));

    // Its sessions go on, and each answer names the new one.
    for transition in [
        Transition::Attend(session),
        bind(waiting, 8),
        Transition::Join { connection_id: 7 },
        Transition::Settle(session),
    ] {
        for (hash, named) in [(&old, Some(new)), (&new, None)] {
            let done = store.apply(hash, context(5000), transition).await.unwrap();
            assert_eq!(done.replaced_by, named, "{transition}");
        }
    }
    // One that was opened under the new token is not the old one's.
    let later = store.apply(&new, context(1000), another).await.unwrap().session;
    store.apply(&new, context(1000), bind(later, 9)).await.unwrap();
    let joins = Transition::Join { connection_id: 9 };
    refused(store.apply(&old, context(1000), joins).await, Refusal::NoSuchSession);
    for transition in [Transition::Attend(later), Transition::Close(later)] {
        refused(
            store.apply(&old, context(1000), transition).await,
            Refusal::NoSuchSession,
        );
        store
            .apply(&new, context(1000), Transition::Attend(later))
            .await
            .unwrap();
    }
    refused(
        store
            .apply(&new, context(1000), Transition::Claim(fresh.attempt()))
            .await,
        Refusal::Spent,
    );

    // A token that was replaced twice leads on.
    store.replace(&new, &third, UnixSeconds(1000)).await.unwrap();
    let moved = Transition::Migrate {
        session,
        until: UnixSeconds(3000),
    };
    let done = store.apply(&old, context(2000), moved).await.unwrap();
    assert_eq!(done.replaced_by, Some(third));
    let reopen = Transition::Reopen {
        attempt: fresh.attempt(),
        connection_id: 0,
    };
    assert_eq!(store.apply(&old, context(2000), reopen).await.unwrap().session, session);
    store
        .apply(&new, context(2000), Transition::Close(later))
        .await
        .unwrap();
    store
        .apply(&old, context(2000), Transition::Close(waiting))
        .await
        .unwrap();
    assert_eq!(store.record(&third).await.unwrap().unwrap().sessions().count(), 1);

    // Revoked, with the machine or by itself, all of them are.
    assert_eq!(store.revoke(TokenSelector::Vm(&vm)).await.unwrap(), 1);
    for hash in [&old, &new, &third] {
        refused(
            store.apply(hash, context(2000), Transition::Attend(session)).await,
            Refusal::Revoked,
        );
    }
    store
        .apply(&old, context(2000), Transition::Close(session))
        .await
        .unwrap();

    // A replaced token leads on for a day, and is then swept.
    store.sweep(UnixSeconds(1000 + 86_399), ALL).await.unwrap();
    assert!(store.record(&old).await.unwrap().is_some());
    assert!(store.record(&third).await.unwrap().is_none());
    refused(
        store.apply(&old, context(2000), Transition::Attend(session)).await,
        Refusal::Unknown,
    );
    store.sweep(UnixSeconds(1000 + 86_400), ALL).await.unwrap();
    assert!(store.record(&old).await.unwrap().is_none());
}

pub(super) async fn refusals(store: &dyn Store, fresh: &mut Fresh) {
    let (old, new, other) = (fresh.hash(), fresh.hash(), fresh.hash());
    let at = UnixSeconds(1000);
    refused(store.replace(&old, &new, at).await, Refusal::Unknown);
    for hash in [&old, &other] {
        store.insert(hash, &grant(ConsoleType::NoVnc)).await.unwrap();
    }
    for taken in [&old, &other] {
        assert!(matches!(
            store.replace(&old, taken, at).await,
            Err(StoreError::Duplicate)
        ));
    }
    refused(store.replace(&old, &new, UnixSeconds(1600)).await, Refusal::Expired);
    assert!(!store.record(&old).await.unwrap().unwrap().is_revoked());

    // Of many at once one is the first.
    let hashes: Vec<_> = (0..16).map(|_| fresh.hash()).collect();
    let calls = hashes.iter().map(|hash| store.replace(&old, hash, at));
    let done: Vec<bool> = join_all(calls).await.into_iter().map(|done| done.is_ok()).collect();
    assert_eq!(done.iter().filter(|done| **done).count(), 1);
    for (hash, done) in hashes.iter().zip(done) {
        assert_eq!(store.record(hash).await.unwrap().is_some(), done);
        let redeem = Transition::Redeem(fresh.attempt());
        assert_eq!(store.apply(hash, context(1000), redeem).await.is_ok(), done);
    }
    refused(store.replace(&old, &new, at).await, Refusal::Revoked);
    store.revoke(TokenSelector::Token(&other)).await.unwrap();
    refused(store.replace(&other, &new, at).await, Refusal::Revoked);
    refused(
        store
            .apply(&old, context(1000), Transition::Redeem(fresh.attempt()))
            .await,
        Refusal::Revoked,
    );
}
