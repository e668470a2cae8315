//! What a store does with many tokens, with consoles, and with the time.

use core::num::{NonZeroU16, NonZeroU32};

use console_token::{
    AttemptId, ConsoleType, Grant, LeaseRules, LeaseTransition, Refusal, Store, Target, TokenSelector, Transition,
    UnixSeconds, WhenFull,
};

use super::{Fresh, context, grant, refused};

const ALL: NonZeroU32 = NonZeroU32::MAX;

/// A session without an end keeps its record, by whatever clock.
pub(super) async fn endless(store: &dyn Store, fresh: &mut Fresh) {
    for console in [ConsoleType::SpiceDirect, ConsoleType::NoVnc] {
        let hash = fresh.hash();
        store.insert(&hash, &grant(console)).await.unwrap();
        let step = match console {
            ConsoleType::SpiceDirect => Transition::Claim(fresh.attempt()),
            _ => Transition::Open(fresh.attempt()),
        };
        let session = store.apply(&hash, context(1000), step).await.unwrap().session;
        for now in [1600, 1 << 40, 1 << 62, i64::MAX as u64, u64::MAX - 1, u64::MAX] {
            store.sweep(UnixSeconds(now), ALL).await.unwrap();
            store
                .apply(&hash, context(now), Transition::Attend(session))
                .await
                .unwrap();
        }
        store
            .apply(&hash, context(1600), Transition::Close(session))
            .await
            .unwrap();
    }
}

pub(super) async fn owners(store: &dyn Store, fresh: &mut Fresh) {
    let (vm, user, issuer) = (fresh.name(), fresh.name(), fresh.name());
    let mut hashes = Vec::new();
    for number in 0..8_u8 {
        let mut grant = grant(if number < 6 {
            ConsoleType::SpiceDirect
        } else {
            ConsoleType::Serial
        });
        if number % 2 == 0 {
            grant = grant.with_vm(&vm);
        }
        if number < 4 {
            grant = grant.with_user(&user);
        }
        hashes.push(fresh.hash());
        store
            .insert(&hashes[usize::from(number)], &grant.with_issuer(&issuer))
            .await
            .unwrap();
    }
    let moved = Target::Unix {
        path: "/run/moved".into(),
    };
    let retarget = store
        .retarget(TokenSelector::Vm(&vm), ConsoleType::SpiceDirect, &moved)
        .await;
    assert_eq!(retarget.unwrap(), 3, "0, 2, 4; 6 is a serial port");
    assert_eq!(store.check(&hashes[4], context(1000)).await.unwrap().target, moved);
    assert_ne!(store.check(&hashes[6], context(1000)).await.unwrap().target, moved);

    assert_eq!(store.revoke(TokenSelector::Token(&hashes[0])).await.unwrap(), 1);
    assert_eq!(store.revoke(TokenSelector::Token(&hashes[0])).await.unwrap(), 0);
    assert_eq!(
        store.revoke(TokenSelector::User(&user)).await.unwrap(),
        3,
        "0 was revoked before"
    );
    for (number, hash) in hashes.iter().enumerate() {
        let checked = store.check(hash, context(1000)).await;
        assert_eq!(checked.is_err(), number < 4);
        if number < 4 {
            refused(
                store
                    .apply(hash, context(1000), Transition::Claim(fresh.attempt()))
                    .await,
                Refusal::Revoked,
            );
        }
    }
    assert_eq!(store.revoke(TokenSelector::Vm(&vm)).await.unwrap(), 2);
    assert_eq!(store.revoke(TokenSelector::Issuer(&issuer)).await.unwrap(), 2);
    assert_eq!(store.revoke(TokenSelector::Issuer(&issuer)).await.unwrap(), 0);
}

pub(super) async fn leases(store: &dyn Store, fresh: &mut Fresh) {
    let (serial, vm) = (fresh.name(), fresh.name());
    let holders: [AttemptId; 3] = core::array::from_fn(|_| fresh.attempt());
    let [one, two, three] = holders;
    let exclusive = LeaseRules::EXCLUSIVE;
    let at = UnixSeconds;
    assert_eq!(
        store
            .leases(&serial, at(0), &exclusive, LeaseTransition::Clear)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store
            .leases(&serial, at(0), &exclusive, LeaseTransition::Take(one))
            .await
            .unwrap(),
        []
    );
    refused(
        store
            .leases(&serial, at(0), &exclusive, LeaseTransition::Take(two))
            .await,
        Refusal::Busy,
    );
    assert_eq!(
        store
            .leases(&serial, at(0), &exclusive, LeaseTransition::Take(one))
            .await
            .unwrap(),
        []
    );
    let keep = LeaseTransition::Keep {
        holder: one,
        active: false,
    };
    store.leases(&serial, at(59), &exclusive, keep).await.unwrap();
    refused(
        store
            .leases(&serial, at(118), &exclusive, LeaseTransition::Take(two))
            .await,
        Refusal::Busy,
    );
    let taken = store
        .leases(&serial, at(119), &exclusive, LeaseTransition::Take(two))
        .await;
    assert_eq!(taken.unwrap(), [one], "hung");
    refused(
        store.leases(&serial, at(119), &exclusive, keep).await,
        Refusal::LeaseLost,
    );
    let kick = LeaseRules {
        when_full: WhenFull::Kick,
        ..exclusive
    };
    assert_eq!(
        store
            .leases(&serial, at(119), &kick, LeaseTransition::Take(three))
            .await
            .unwrap(),
        [two]
    );
    assert_eq!(
        store
            .leases(&serial, at(119), &kick, LeaseTransition::Leave(three))
            .await
            .unwrap(),
        [three]
    );
    assert_eq!(
        store
            .leases(&serial, at(119), &exclusive, LeaseTransition::Take(one))
            .await
            .unwrap(),
        []
    );

    // Sessions of a virtual machine; a gateway that is gone for good keeps its leases until they are cleared.
    let rules = LeaseRules {
        leases: NonZeroU16::new(2).unwrap(),
        when_full: WhenFull::Refuse,
        idle: None,
        hung: None,
    };
    for holder in [one, two] {
        store
            .leases(&vm, at(0), &rules, LeaseTransition::Take(holder))
            .await
            .unwrap();
    }
    refused(
        store
            .leases(&vm, at(u64::MAX), &rules, LeaseTransition::Take(three))
            .await,
        Refusal::Busy,
    );
    store.sweep(at(100_000), ALL).await.unwrap();
    refused(
        store.leases(&vm, at(0), &rules, LeaseTransition::Take(three)).await,
        Refusal::Busy,
    );
    assert_eq!(
        store.leases(&vm, at(0), &rules, LeaseTransition::Clear).await.unwrap(),
        [one, two]
    );
    assert_eq!(
        store
            .leases(&vm, at(0), &rules, LeaseTransition::Take(three))
            .await
            .unwrap(),
        []
    );
}

pub(super) async fn sweeps(store: &dyn Store, fresh: &mut Fresh) {
    // What the cases before have left.
    while store.sweep(UnixSeconds(1700), ALL).await.unwrap() != 0 {}
    let mut hashes = Vec::new();
    for _ in 0..20 {
        hashes.push(fresh.hash());
        store
            .insert(hashes.last().unwrap(), &grant(ConsoleType::NoVnc).with_vm("swept"))
            .await
            .unwrap();
    }
    let (open, limited, ended) = (fresh.hash(), fresh.hash(), fresh.hash());
    store.insert(&open, &grant(ConsoleType::SpiceDirect)).await.unwrap();
    store
        .insert(&limited, &grant(ConsoleType::SpiceDirect).with_session_limit(500))
        .await
        .unwrap();
    let session = store
        .apply(&open, context(1500), Transition::Claim(fresh.attempt()))
        .await
        .unwrap()
        .session;
    let with_end = grant(ConsoleType::SpiceDirect).with_session_limit(500);
    let with_end = with_end.with_session_end(UnixSeconds(1800));
    store.insert(&ended, &with_end).await.unwrap();
    for hash in [&limited, &ended] {
        store
            .apply(hash, context(1500), Transition::Claim(fresh.attempt()))
            .await
            .unwrap();
    }
    store
        .apply(&hashes[0], context(1500), Transition::Redeem(fresh.attempt()))
        .await
        .unwrap();

    assert_eq!(store.sweep(UnixSeconds(1599), ALL).await.unwrap(), 0);
    let batch = NonZeroU32::new(6).unwrap();
    let mut swept = 0;
    loop {
        let now = store.sweep(UnixSeconds(1600), batch).await.unwrap();
        swept += now;
        if now < 6 {
            break;
        }
    }
    assert_eq!(swept, 20);
    assert_eq!(
        store.revoke(TokenSelector::Vm("swept")).await.unwrap(),
        0,
        "nor is any found by its name"
    );
    refused(store.check(&hashes[0], context(1500)).await, Refusal::Unknown);
    assert_eq!(
        store.sweep(UnixSeconds(1799), ALL).await.unwrap(),
        0,
        "three have open sessions"
    );
    assert_eq!(store.sweep(UnixSeconds(1999), ALL).await.unwrap(), 1);
    assert!(store.record(&ended).await.unwrap().is_none());
    assert_eq!(store.sweep(UnixSeconds(2000), ALL).await.unwrap(), 1);
    assert!(store.record(&limited).await.unwrap().is_none());
    store
        .apply(&open, context(9999), Transition::Close(session))
        .await
        .unwrap();
    assert_eq!(store.sweep(UnixSeconds(2000), ALL).await.unwrap(), 1);
}

/// More tokens of one name than an engine takes at once are revoked, and swept in batches.
pub(super) async fn many_of_a_name(store: &dyn Store, fresh: &mut Fresh) {
    const MANY: usize = 1200;
    let issuer = fresh.name();
    let grant = grant(ConsoleType::NoVnc).with_issuer(&issuer);
    for _ in 0..MANY {
        store.insert(&fresh.hash(), &grant).await.unwrap();
    }
    assert_eq!(store.revoke(TokenSelector::Issuer(&issuer)).await.unwrap(), MANY);
    assert_eq!(store.revoke(TokenSelector::Issuer(&issuer)).await.unwrap(), 0);
    let batch = NonZeroU32::new(500).unwrap();
    let mut swept = Vec::new();
    while swept.last() != Some(&0) {
        swept.push(store.sweep(UnixSeconds(1600), batch).await.unwrap());
    }
    assert_eq!(swept.iter().sum::<usize>(), MANY);
    // What a store takes beside a batch is small, like a shard of the store in memory.
    assert!(swept.iter().all(|swept| *swept < 600), "{swept:?}");
}

/// Clocks that are hours off: no token passes outside of its time by the clock that is asked, and one that
/// was swept does not come back.
pub(super) async fn jumping_clocks(store: &dyn Store, fresh: &mut Fresh) {
    const HOUR: u64 = 3600;
    let start = 1_800_000_000;
    for hours in 1..6 {
        for now in [start - hours * HOUR, start + 600 + hours * HOUR] {
            let unix = Target::Unix {
                path: "/run/console".into(),
            };
            let hash = fresh.hash();
            store
                .insert(&hash, &Grant::new(unix, ConsoleType::Serial, UnixSeconds(start), 600))
                .await
                .unwrap();
            let redeem = Transition::Redeem(fresh.attempt());
            let why = if now < start {
                Refusal::NotYetValid
            } else {
                Refusal::Expired
            };
            refused(store.apply(&hash, context(now), redeem).await, why);
            store.apply(&hash, context(start), redeem).await.unwrap();
            refused(
                store
                    .apply(&hash, context(start), Transition::Redeem(fresh.attempt()))
                    .await,
                Refusal::Spent,
            );
        }
    }
    while store.sweep(UnixSeconds(start + 600), ALL).await.unwrap() != 0 {}
    let name = fresh.name();
    assert_eq!(store.revoke(TokenSelector::Vm(&name)).await.unwrap(), 0);
}
