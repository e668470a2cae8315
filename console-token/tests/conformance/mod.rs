//! What every store owes, whatever is behind it. Each store passes this, the engines as real ones.

use core::num::NonZeroU32;

use console_token::{
    AttemptId, ConsoleType, Grant, Refusal, SessionId, Store, StoreError, Target, TokenHash, TokenSelector, Transition,
    UnixSeconds, Uses, VerifyContext,
};

use crate::naive;

mod at_once;
mod many;
mod notes;
mod replaced;
mod uses;

/// Gives hashes, attempts and names that no other call gives, from a number that grows.
struct Fresh(u64);

impl Fresh {
    fn next(&mut self) -> u64 {
        self.0 += 1;
        // SplitMix64, so that the bytes are spread.
        let mut mixed = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn hash(&mut self) -> TokenHash {
        let mut bytes = [0; 32];
        bytes
            .chunks_mut(8)
            .for_each(|part| part.copy_from_slice(&self.next().to_le_bytes()));
        TokenHash::from_bytes(bytes)
    }

    fn attempt(&mut self) -> AttemptId {
        let mut id = [0; 16];
        id.chunks_mut(8)
            .for_each(|part| part.copy_from_slice(&self.next().to_le_bytes()));
        AttemptId(id)
    }

    fn name(&mut self) -> String {
        format!("name {:x}", self.next())
    }
}

fn context(now: u64) -> VerifyContext<'static> {
    VerifyContext::at(UnixSeconds(now))
}

/// Valid from 1000 to 1600, once.
fn grant(console: ConsoleType) -> Grant {
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    Grant::new(target, console, UnixSeconds(1000), 600)
}

fn refused<T: core::fmt::Debug, B: core::fmt::Debug>(result: Result<T, StoreError<B>>, why: Refusal) {
    match result {
        Err(StoreError::Refused(refusal)) => assert_eq!(refusal, why),
        other => panic!("{other:?} instead of {why:?}"),
    }
}

/// The byte by which a sequence of operations names one of the 30 transitions; of some there are several numbers.
pub(crate) fn byte_of(kind: u8) -> u8 {
    match kind % 30 {
        kind @ ..23 => 9 + kind,
        // Those that came later.
        kind => 224 + kind - 23,
    }
}

/// The whole suite. `sequences`: how many random sequences of operations are held against the model.
/// The store may hold other tokens, but none of an earlier run with the same `seed`.
pub(crate) async fn suite(store: &dyn Store, seed: u64, sequences: u64) {
    let mut fresh = Fresh(seed << 32);
    unknown(store, &mut fresh).await;
    connections(store, &mut fresh).await;
    attempts(store, &mut fresh).await;
    spice_sessions(store, &mut fresh).await;
    values_travel(store, &mut fresh).await;
    exchanges(store, &mut fresh).await;
    uses::what_costs_a_use(store, &mut fresh).await;
    notes::notes(store, &mut fresh).await;
    notes::many_notes(store, &mut fresh).await;
    replaced::found_by_fingerprint(store, &mut fresh).await;
    replaced::sessions_go_on(store, &mut fresh).await;
    replaced::refusals(store, &mut fresh).await;
    many::endless(store, &mut fresh).await;
    many::owners(store, &mut fresh).await;
    many::leases(store, &mut fresh).await;
    many::sweeps(store, &mut fresh).await;
    many::many_of_a_name(store, &mut fresh).await;
    many::jumping_clocks(store, &mut fresh).await;
    at_once::at_once(store, &mut fresh).await;
    for _ in 0..sequences {
        let length = fresh.next() % 400;
        let data: Vec<u8> = (0..length).map(|_| fresh.next().to_le_bytes()[0]).collect();
        naive::run(store, usize::MAX, fresh.next().to_le_bytes(), &data, |_, _| ()).await;
    }
    for _ in 0..sequences {
        // Many transitions on one token of a few uses: deeper into a session than chance gets.
        let [uses, sessions, ..] = fresh.next().to_le_bytes();
        let mut data = vec![0, 0, 0, 12, 0, uses % 5, 2, sessions % 4, 1, 1, 1, 0];
        for _ in 0..60 {
            let [kind, a, b, c, d, ..] = fresh.next().to_le_bytes();
            data.extend([byte_of(kind), 0, a, b, c, d]);
        }
        naive::run(store, usize::MAX, fresh.next().to_le_bytes(), &data, |_, _| ()).await;
    }
    for _ in 0..sequences {
        // Connections that take uses and give them back, or stay open for a while.
        let [uses, ..] = fresh.next().to_le_bytes();
        let mut data = vec![0, 0, 0, 12, 0, uses % 5, 0, 0, 1, 1, 1, 0];
        for _ in 0..60 {
            let [kind, a, b, c, d, ..] = fresh.next().to_le_bytes();
            data.extend([
                [9, 20, 224, 17, 227, 229, 29, 30][usize::from(kind % 8)],
                0,
                a % 14,
                b,
                c % 4,
                d,
            ]);
        }
        naive::run(store, usize::MAX, fresh.next().to_le_bytes(), &data, |_, _| ()).await;
    }
}

async fn unknown(store: &dyn Store, fresh: &mut Fresh) {
    let hash = fresh.hash();
    let session = SessionId::new(0);
    refused(store.check(&hash, context(1000)).await, Refusal::Unknown);
    for transition in [
        Transition::Redeem(fresh.attempt()),
        Transition::Claim(fresh.attempt()),
        Transition::Join { connection_id: 1 },
        Transition::Bind {
            session,
            connection_id: 1,
        },
        Transition::Close(session),
    ] {
        refused(store.apply(&hash, context(1000), transition).await, Refusal::Unknown);
    }
    refused(
        store.exchange(&hash, context(1000), &fresh.hash(), 20).await,
        Refusal::Unknown,
    );
    assert!(store.record(&hash).await.unwrap().is_none());
    assert_eq!(store.revoke(TokenSelector::Token(&hash)).await.unwrap(), 0);
    assert_eq!(store.revoke(TokenSelector::Vm(&fresh.name())).await.unwrap(), 0);
}

async fn connections(store: &dyn Store, fresh: &mut Fresh) {
    let hash = fresh.hash();
    let grant = grant(ConsoleType::NoVnc).with_uses(Uses::Limited(NonZeroU32::new(3).unwrap()));
    store.insert(&hash, &grant).await.unwrap();
    assert!(matches!(store.insert(&hash, &grant).await, Err(StoreError::Duplicate)));
    assert_eq!(*store.check(&hash, context(1000)).await.unwrap(), grant);
    for number in 0..3 {
        refused(
            store
                .apply(&hash, context(999), Transition::Redeem(fresh.attempt()))
                .await,
            Refusal::NotYetValid,
        );
        refused(
            store
                .apply(&hash, context(1600), Transition::Redeem(fresh.attempt()))
                .await,
            Refusal::Expired,
        );
        let done = store
            .apply(&hash, context(1599), Transition::Redeem(fresh.attempt()))
            .await
            .unwrap();
        assert_eq!((done.session, &*done.grant), (SessionId::new(number), &grant));
    }
    refused(
        store
            .apply(&hash, context(1000), Transition::Redeem(fresh.attempt()))
            .await,
        Refusal::Spent,
    );
    refused(
        store
            .apply(&hash, context(1000), Transition::Claim(fresh.attempt()))
            .await,
        Refusal::WrongScope,
    );
    refused(store.check(&hash, context(1000)).await, Refusal::Spent);
}

async fn attempts(store: &dyn Store, fresh: &mut Fresh) {
    // More than are remembered: the statement of a redeem has no room for them, and the record goes on.
    let hash = fresh.hash();
    let unlimited = grant(ConsoleType::NoVnc).with_uses(Uses::Unlimited);
    store.insert(&hash, &unlimited).await.unwrap();
    let mut last = Vec::new();
    for number in 0..100_u64 {
        let attempt = fresh.attempt();
        for _ in 0..2 {
            let done = store
                .apply(&hash, context(1000), Transition::Redeem(attempt))
                .await
                .unwrap();
            assert_eq!(done.session.get(), number);
        }
        last.push(attempt);
    }
    for (number, attempt) in last.iter().enumerate().skip(70) {
        let done = store
            .apply(&hash, context(9999), Transition::Redeem(*attempt))
            .await
            .unwrap();
        assert_eq!(
            usize::try_from(done.session.get()).unwrap(),
            number,
            "also after the expiry"
        );
    }
    // Ids that look alike where they are kept as text.
    let hash = fresh.hash();
    store.insert(&hash, &unlimited).await.unwrap();
    for (number, attempt) in [[0; 16], [0xff; 16], [0x25; 16], [0x5f; 16], [0x0a; 16], [0xa0; 16]]
        .into_iter()
        .enumerate()
    {
        let done = store
            .apply(&hash, context(1000), Transition::Redeem(AttemptId(attempt)))
            .await
            .unwrap();
        assert_eq!(usize::try_from(done.session.get()).unwrap(), number);
    }
}

async fn spice_sessions(store: &dyn Store, fresh: &mut Fresh) {
    let hash = fresh.hash();
    store.insert(&hash, &grant(ConsoleType::SpiceDirect)).await.unwrap();
    let first = fresh.attempt();
    let session = store
        .apply(&hash, context(1599), Transition::Claim(first))
        .await
        .unwrap()
        .session;
    let again = store
        .apply(&hash, context(1700), Transition::Claim(first))
        .await
        .unwrap()
        .session;
    assert_eq!(again, session);
    refused(
        store
            .apply(&hash, context(1000), Transition::Claim(fresh.attempt()))
            .await,
        Refusal::Spent,
    );
    let bind = Transition::Bind {
        session,
        connection_id: u32::MAX,
    };
    for _ in 0..2 {
        store.apply(&hash, context(1700), bind).await.unwrap();
    }
    let join = Transition::Join {
        connection_id: u32::MAX,
    };
    assert_eq!(
        store.apply(&hash, context(99_999), join).await.unwrap().session,
        session
    );

    let until = UnixSeconds(2000);
    store
        .apply(&hash, context(1800), Transition::Migrate { session, until })
        .await
        .unwrap();
    let moved = Target::Unix {
        path: "/run/moved".into(),
    };
    let retargeted = store
        .retarget(TokenSelector::Token(&hash), ConsoleType::SpiceDirect, &moved)
        .await;
    assert_eq!(retargeted.unwrap(), 1);
    let reopen = Transition::Reopen {
        attempt: fresh.attempt(),
        connection_id: 0,
    };
    for _ in 0..2 {
        let reopened = store.apply(&hash, context(1999), reopen).await.unwrap();
        assert_eq!((reopened.session, &reopened.grant.target), (session, &moved));
    }
    refused(store.apply(&hash, context(1999), join).await, Refusal::NotBound);
    store.apply(&hash, context(1999), bind).await.unwrap();
    store
        .apply(&hash, context(1999), Transition::Attend(session))
        .await
        .unwrap();
    store
        .apply(&hash, context(1999), Transition::Close(session))
        .await
        .unwrap();
    refused(store.apply(&hash, context(1999), join).await, Refusal::SessionClosed);

    // A released claim can be claimed again, and sessions of an unlimited token stand side by side.
    let hash = fresh.hash();
    store.insert(&hash, &grant(ConsoleType::SpiceDirect)).await.unwrap();
    for number in 0..3 {
        let claimed = store
            .apply(&hash, context(1000), Transition::Claim(fresh.attempt()))
            .await
            .unwrap();
        assert_eq!(claimed.session.get(), number);
        store
            .apply(&hash, context(1000), Transition::Release(claimed.session))
            .await
            .unwrap();
    }
    let hash = fresh.hash();
    store
        .insert(&hash, &grant(ConsoleType::SpiceDirect).with_uses(Uses::Unlimited))
        .await
        .unwrap();
    for _ in 0..console_token::MAX_OPEN_SESSIONS.get() {
        store
            .apply(&hash, context(1000), Transition::Claim(fresh.attempt()))
            .await
            .unwrap();
    }
    refused(
        store
            .apply(&hash, context(1000), Transition::Claim(fresh.attempt()))
            .await,
        Refusal::TooManySessions,
    );
}

/// Texts and numbers at their edges come back as they went in, and decide as they should.
async fn values_travel(store: &dyn Store, fresh: &mut Fresh) {
    let texts = [
        "",
        "=",
        "'; DROP TABLE console_token; --",
        "\u{1f5a5} \"\\{}%_:,\n",
        &"x".repeat(2000),
    ];
    for text in texts {
        for ttl in [1, u64::MAX] {
            let target = Target::Host {
                host: text.into(),
                port: Some(u16::MAX),
                tls_port: Some(0),
            };
            let grant = Grant::new(target, ConsoleType::WebMks, UnixSeconds(u64::MAX - 1), ttl)
                .with_audience(text)
                .with_vm(text)
                .with_user(text)
                .with_issuer(text)
                .with_session_limit(u64::MAX)
                .with_session_end(UnixSeconds(u64::MAX));
            let hash = fresh.hash();
            store.insert(&hash, &grant).await.unwrap();
            let here = context(u64::MAX - 1).with_audience(text);
            assert_eq!(*store.check(&hash, here).await.unwrap(), grant);
            let redeem = Transition::Redeem(fresh.attempt());
            refused(
                store.apply(&hash, context(u64::MAX - 1), redeem).await,
                Refusal::WrongAudience,
            );
            let elsewhere = here.with_audience("x");
            refused(store.apply(&hash, elsewhere, redeem).await, Refusal::WrongAudience);
            for (now, why) in [
                (0, Refusal::NotYetValid),
                (i64::MAX as u64, Refusal::NotYetValid),
                (u64::MAX, Refusal::Expired),
            ] {
                refused(store.apply(&hash, context(now).with_audience(text), redeem).await, why);
            }
            assert_eq!(*store.apply(&hash, here, redeem).await.unwrap().grant, grant);
        }
    }
    // Around the largest moment that a signed number holds.
    for start in [1 << 53, 1 << 61, (1 << 63) - 2, 1 << 63] {
        let unix = Target::Unix {
            path: "/run/console".into(),
        };
        let grant = Grant::new(unix, ConsoleType::SpiceHtml5, UnixSeconds(start), 2).with_session_limit(1);
        let hash = fresh.hash();
        store.insert(&hash, &grant).await.unwrap();
        let claim = |attempt| Transition::Claim(attempt);
        refused(
            store.apply(&hash, context(start - 1), claim(fresh.attempt())).await,
            Refusal::NotYetValid,
        );
        refused(
            store.apply(&hash, context(start + 2), claim(fresh.attempt())).await,
            Refusal::Expired,
        );
        let session = store
            .apply(&hash, context(start + 1), claim(fresh.attempt()))
            .await
            .unwrap()
            .session;
        store
            .apply(&hash, context(start + 1), Transition::Attend(session))
            .await
            .unwrap();
        refused(
            store
                .apply(&hash, context(start + 2), Transition::Attend(session))
                .await,
            Refusal::SessionExpired,
        );
    }
}

async fn exchanges(store: &dyn Store, fresh: &mut Fresh) {
    let vm = fresh.name();
    let (url, first, second) = (fresh.hash(), fresh.hash(), fresh.hash());
    let grant = grant(ConsoleType::NoVnc)
        .with_scope(console_token::Scope::Exchange)
        .with_vm(&vm);
    store.insert(&url, &grant).await.unwrap();
    refused(
        store
            .apply(&url, context(1000), Transition::Redeem(fresh.attempt()))
            .await,
        Refusal::WrongScope,
    );
    for _ in 0..2 {
        let new = store.exchange(&url, context(1500), &first, 20).await.unwrap();
        assert_eq!((new.expires, new.vm.as_deref()), (UnixSeconds(1520), Some(&*vm)));
    }
    refused(store.exchange(&url, context(1500), &second, 20).await, Refusal::Spent);
    assert!(store.record(&second).await.unwrap().is_none());
    refused(
        store
            .apply(&first, context(1520), Transition::Redeem(fresh.attempt()))
            .await,
        Refusal::Expired,
    );
    store
        .apply(&first, context(1519), Transition::Redeem(fresh.attempt()))
        .await
        .unwrap();
    assert!(matches!(
        store.exchange(&url, context(1500), &url, 20).await,
        Err(StoreError::Duplicate)
    ));
    assert_eq!(
        store.revoke(TokenSelector::Vm(&vm)).await.unwrap(),
        2,
        "the new token is the virtual machine's too"
    );
    refused(store.exchange(&url, context(1500), &first, 20).await, Refusal::Revoked);
}
