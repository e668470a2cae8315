//! The transitions, one rule at a time.

use core::num::NonZeroU32;

use console_token::{ConsoleType, MAX_OPEN_SESSIONS, Record, Refusal, Scope, SessionId, Target, UnixSeconds, Uses};

use crate::{at, spice, vnc};

const INIT: u32 = 0x6b8b_4567;

/// A refusal, after which the record must be what it was.
fn refused<T: core::fmt::Debug>(
    record: &mut Record,
    why: Refusal,
    transition: impl FnOnce(&mut Record) -> Result<T, Refusal>,
) {
    let before = record.clone();
    assert_eq!(transition(record).unwrap_err(), why);
    assert_eq!(*record, before, "a refused transition left a trace");
}

fn times(n: u32) -> Uses {
    Uses::Limited(NonZeroU32::new(n).unwrap())
}

#[test]
fn a_connection_token_counts_connections() {
    let mut record = Record::new(vnc().with_uses(times(2)));
    assert_eq!(record.uses_left(), Some(2));
    record.redeem(at(1000)).unwrap();
    record.redeem(at(1000)).unwrap();
    assert_eq!(record.uses_left(), Some(0));
    refused(&mut record, Refusal::Spent, |record| record.redeem(at(1000)));
    assert_eq!(record.check(at(1000)), Err(Refusal::Spent));
}

#[test]
fn an_unlimited_token_is_never_spent() {
    let mut record = Record::new(vnc().with_uses(Uses::Unlimited));
    let fresh = record.clone();
    for _ in 0..1000 {
        record.redeem(at(1000)).unwrap();
    }
    assert_eq!(record, fresh);
    assert_eq!(record.uses_left(), None);
}

#[test]
fn the_most_uses_there_are() {
    let mut record = Record::new(vnc().with_uses(times(u32::MAX)));
    record.redeem(at(1000)).unwrap();
    assert_eq!(record.uses_left(), Some(u32::MAX - 1));
}

#[test]
fn time_is_strict_at_both_ends() {
    for grant in [vnc(), spice()] {
        for (now, expected) in [
            (0, Err(Refusal::NotYetValid)),
            (999, Err(Refusal::NotYetValid)),
            (1000, Ok(())),
            (1001, Ok(())),
            (1599, Ok(())),
            (1600, Err(Refusal::Expired)),
            (1601, Err(Refusal::Expired)),
            (u64::MAX, Err(Refusal::Expired)),
        ] {
            let mut record = Record::new(grant.clone());
            assert_eq!(grant.admits(at(now)), expected, "{now}");
            assert_eq!(record.check(at(now)), expected, "{now}");
            let spent = match grant.scope {
                Scope::Connection => record.redeem(at(now)),
                Scope::SpiceSession => record.claim(at(now)).map(|_| ()),
            };
            assert_eq!(spent, expected, "{now}");
            assert_eq!(record.uses_left(), Some(u32::from(expected.is_err())), "{now}");
        }
    }
}

#[test]
fn a_ttl_of_zero_is_never_valid() {
    let mut grant = vnc();
    grant.expires = grant.not_before;
    assert_eq!(grant.admits(at(999)), Err(Refusal::NotYetValid));
    assert_eq!(grant.admits(at(1000)), Err(Refusal::Expired));
}

#[test]
fn the_end_of_time_does_not_overflow() {
    let target = || Target::Unix {
        path: "/run/vm/serial".into(),
    };
    let grant = |not_before, ttl| console_token::Grant::new(target(), ConsoleType::SpiceHtml5, at(not_before), ttl);
    for (not_before, ttl, expires) in [
        (u64::MAX, u64::MAX, u64::MAX),
        (u64::MAX, 1, u64::MAX),
        (u64::MAX - 1, 1, u64::MAX),
        (1, u64::MAX, u64::MAX),
        (0, u64::MAX, u64::MAX),
        (0, 0, 0),
    ] {
        assert_eq!(grant(not_before, ttl).expires, UnixSeconds(expires));
    }
    let mut record = Record::new(grant(0, u64::MAX).with_session_limit(u64::MAX));
    refused(&mut record, Refusal::Expired, |record| record.claim(at(u64::MAX)));
    let session = record.claim(at(u64::MAX - 1)).unwrap();
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join(at(u64::MAX - 1), INIT), Ok(session));
    assert_eq!(record.join(at(u64::MAX), INIT), Err(Refusal::SessionExpired));
    assert!(!record.is_over(at(u64::MAX - 1)));
    assert!(record.is_over(at(u64::MAX)));
}

#[test]
fn the_scope_fits_the_console() {
    for (console, scope) in [
        (ConsoleType::NoVnc, Scope::Connection),
        (ConsoleType::XvpVnc, Scope::Connection),
        (ConsoleType::SpiceHtml5, Scope::SpiceSession),
        (ConsoleType::SpiceDirect, Scope::SpiceSession),
        (ConsoleType::RdpHtml5, Scope::Connection),
        (ConsoleType::Serial, Scope::Connection),
        (ConsoleType::WebMks, Scope::Connection),
    ] {
        let grant = crate::grant(console);
        assert_eq!(grant.scope, scope);
        assert_eq!(grant.uses, Uses::ONCE);
        assert_eq!(grant.session_limit, None);
    }
    assert_eq!(spice().with_scope(Scope::Connection).scope, Scope::Connection);
}

/// The scope is looked at first: also when the token is expired, and for ids that mean nothing.
#[test]
fn a_token_for_another_scope() {
    let id = SessionId::new(0);
    for now in [0, 1000, 1600] {
        let mut record = Record::new(spice());
        refused(&mut record, Refusal::WrongScope, |record| record.redeem(at(now)));
        let mut record = Record::new(vnc());
        refused(&mut record, Refusal::WrongScope, |record| record.claim(at(now)));
        refused(&mut record, Refusal::WrongScope, |record| record.join(at(now), 0));
        refused(&mut record, Refusal::WrongScope, |record| record.bind(id, 0));
        refused(&mut record, Refusal::WrongScope, |record| record.release(id));
        refused(&mut record, Refusal::WrongScope, |record| record.close(id));
    }
}

#[test]
fn one_use_is_one_session() {
    let mut record = Record::new(spice());
    refused(&mut record, Refusal::NotBound, |record| record.join(at(1000), INIT));

    let session = record.claim(at(1000)).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.claim(at(1000)));
    refused(&mut record, Refusal::NotBound, |record| record.join(at(1000), INIT));

    record.bind(session, INIT).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.claim(at(1000)));
    assert_eq!(record.join(at(1000), INIT), Ok(session));
    assert_eq!(record.join(at(1000), INIT), Ok(session), "every channel but main joins");
    refused(&mut record, Refusal::NoSuchSession, |record| {
        record.join(at(1000), INIT + 1)
    });
    refused(&mut record, Refusal::ZeroConnectionId, |record| {
        record.join(at(1000), 0)
    });
    assert_eq!(
        record.sessions().collect::<Vec<_>>(),
        [(session, NonZeroU32::new(INIT))]
    );

    record.close(session).unwrap();
    refused(&mut record, Refusal::SessionClosed, |record| {
        record.join(at(1000), INIT)
    });
    refused(&mut record, Refusal::SessionClosed, |record| record.close(session));
    refused(&mut record, Refusal::SessionClosed, |record| record.bind(session, INIT));
    refused(&mut record, Refusal::SessionClosed, |record| record.release(session));
    refused(&mut record, Refusal::Spent, |record| record.claim(at(1000)));
}

#[test]
fn an_open_session_outlives_the_token() {
    let mut record = Record::new(spice());
    let session = record.claim(at(1599)).unwrap();
    record.bind(session, INIT).unwrap();
    for now in [1600, 100_000, u64::MAX] {
        assert_eq!(record.join(at(now), INIT), Ok(session));
        assert!(!record.is_over(at(now)));
    }
    record.close(session).unwrap();
    assert!(!record.is_over(at(1599)));
    assert!(record.is_over(at(1600)));
}

#[test]
fn a_session_limit_ends_joins() {
    let mut record = Record::new(spice().with_uses(times(2)).with_session_limit(100));
    let session = record.claim(at(1500)).unwrap();
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join(at(1599), INIT), Ok(session));
    assert_eq!(record.join(at(1600), INIT), Err(Refusal::SessionExpired));
    assert!(
        record.is_over(at(1600)),
        "a session that its gateway forgot does not keep the record"
    );

    // The next claim forgets the session, so that it does not count any more.
    let mut record = Record::new(spice().with_uses(times(2)).with_session_limit(100));
    let first = record.claim(at(1000)).unwrap();
    record.bind(first, INIT).unwrap();
    let second = record.claim(at(1100)).unwrap();
    assert_eq!(record.sessions().collect::<Vec<_>>(), [(second, None)]);
    refused(&mut record, Refusal::SessionClosed, |record| record.close(first));
}

#[test]
fn a_released_claim_gives_the_use_back() {
    let mut record = Record::new(spice());
    let first = record.claim(at(1000)).unwrap();
    record.release(first).unwrap();
    assert_eq!(record.uses_left(), Some(1));
    refused(&mut record, Refusal::SessionClosed, |record| record.release(first));

    let second = record.claim(at(1001)).unwrap();
    assert_ne!(first, second, "numbers are not used again");
    refused(&mut record, Refusal::SessionClosed, |record| record.bind(first, INIT));
    record.bind(second, INIT).unwrap();
    refused(&mut record, Refusal::AlreadyBound, |record| record.release(second));
    assert_eq!(record.uses_left(), Some(0));
}

#[test]
fn a_use_that_came_back_late_is_worth_nothing() {
    let mut record = Record::new(spice());
    let session = record.claim(at(1599)).unwrap();
    record.release(session).unwrap();
    refused(&mut record, Refusal::Expired, |record| record.claim(at(1600)));
}

/// A main channel that ends before INIT has been let in: only `release` says that it has not.
#[test]
fn closing_a_claim_returns_nothing() {
    let mut record = Record::new(spice());
    let session = record.claim(at(1000)).unwrap();
    record.close(session).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.claim(at(1000)));
}

#[test]
fn a_session_has_one_number() {
    let mut record = Record::new(spice().with_uses(times(3)));
    let first = record.claim(at(1000)).unwrap();
    refused(&mut record, Refusal::ZeroConnectionId, |record| record.bind(first, 0));
    let next = SessionId::new(first.get() + 1);
    refused(&mut record, Refusal::NoSuchSession, |record| record.bind(next, INIT));
    refused(&mut record, Refusal::NoSuchSession, |record| record.release(next));
    refused(&mut record, Refusal::NoSuchSession, |record| record.close(next));
    record.bind(first, INIT).unwrap();
    refused(&mut record, Refusal::AlreadyBound, |record| {
        record.bind(first, INIT + 1)
    });

    let bound = record.clone();
    record.bind(first, INIT).unwrap();
    assert_eq!(record, bound, "the same number again changes nothing");

    let second = record.claim(at(1000)).unwrap();
    refused(&mut record, Refusal::ConnectionIdInUse, |record| {
        record.bind(second, INIT)
    });
    record.bind(second, INIT + 1).unwrap();
    refused(&mut record, Refusal::AlreadyBound, |record| record.bind(second, INIT));
    assert_eq!(record.join(at(1000), INIT), Ok(first));
    assert_eq!(record.join(at(1000), INIT + 1), Ok(second));

    // Servers before 0.15.1 repeat their numbers: a closed session does not block its own.
    record.close(first).unwrap();
    let third = record.claim(at(1000)).unwrap();
    record.bind(third, INIT).unwrap();
    assert_eq!(record.join(at(1000), INIT), Ok(third));
}

#[test]
fn bind_may_come_after_the_expiry() {
    let mut record = Record::new(spice());
    let session = record.claim(at(1599)).unwrap();
    assert!(!record.is_over(at(1600)));
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join(at(1700), INIT), Ok(session));
}

#[test]
fn open_sessions_are_bounded() {
    let mut record = Record::new(spice().with_uses(Uses::Unlimited).with_session_limit(100));
    let sessions: Vec<_> = (0..MAX_OPEN_SESSIONS)
        .map(|_| record.claim(at(1000)).unwrap())
        .collect();
    refused(&mut record, Refusal::TooManySessions, |record| record.claim(at(1000)));
    assert_eq!(record.check(at(1000)), Err(Refusal::TooManySessions));

    record.close(sessions[3]).unwrap();
    record.claim(at(1000)).unwrap();
    refused(&mut record, Refusal::TooManySessions, |record| record.claim(at(1099)));

    // Sessions past their limit do not count, and are gone after the next claim.
    record.claim(at(1100)).unwrap();
    assert_eq!(record.sessions().count(), 1);
}

#[test]
fn session_ids_travel() {
    let mut record = Record::new(spice().with_uses(Uses::Unlimited));
    let ids: Vec<_> = (0..3).map(|_| record.claim(at(1000)).unwrap()).collect();
    for (number, id) in (0..3).zip(ids) {
        assert_eq!(id.get(), number);
        assert_eq!(SessionId::new(number), id);
        assert_eq!(id.to_string(), number.to_string());
    }
}
