//! The transitions, one rule at a time.

use core::num::NonZeroU32;

use console_token::{ConsoleType, MAX_OPEN_SESSIONS, Record, Refusal, Scope, SessionId, Target, UnixSeconds, Uses};

use crate::{at, attempt, context, spice, vnc};

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

/// Each call is an attempt of its own, at a gateway without a name.
trait At {
    fn check_at(&self, now: u64) -> Result<(), Refusal>;
    fn redeem_at(&mut self, now: u64) -> Result<SessionId, Refusal>;
    fn claim_at(&mut self, now: u64) -> Result<SessionId, Refusal>;
    fn join_at(&self, now: u64, connection_id: u32) -> Result<SessionId, Refusal>;
}

impl At for Record {
    fn check_at(&self, now: u64) -> Result<(), Refusal> {
        self.check(&context(now))
    }
    fn redeem_at(&mut self, now: u64) -> Result<SessionId, Refusal> {
        self.redeem(&context(now), attempt())
    }
    fn claim_at(&mut self, now: u64) -> Result<SessionId, Refusal> {
        self.claim(&context(now), attempt())
    }
    fn join_at(&self, now: u64, connection_id: u32) -> Result<SessionId, Refusal> {
        self.join(&context(now), connection_id)
    }
}

fn times(n: u32) -> Uses {
    Uses::Limited(NonZeroU32::new(n).unwrap())
}

#[test]
fn a_connection_token_counts_connections() {
    let mut record = Record::new(vnc().with_uses(times(2)));
    assert_eq!(record.uses_left(), Some(2));
    record.redeem_at(1000).unwrap();
    record.redeem_at(1000).unwrap();
    assert_eq!(record.uses_left(), Some(0));
    refused(&mut record, Refusal::Spent, |record| record.redeem_at(1000));
    assert_eq!(record.check_at(1000), Err(Refusal::Spent));
}

#[test]
fn an_unlimited_token_is_never_spent() {
    let mut record = Record::new(vnc().with_uses(Uses::Unlimited));
    for number in 0..1000 {
        assert_eq!(record.redeem_at(1000), Ok(SessionId::new(number)));
    }
    assert_eq!(record.uses_left(), None);
}

#[test]
fn the_most_uses_there_are() {
    let mut record = Record::new(vnc().with_uses(times(u32::MAX)));
    record.redeem_at(1000).unwrap();
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
            assert_eq!(record.check_at(now), expected, "{now}");
            let spent = match grant.scope {
                Scope::SpiceSession => record.claim_at(now).map(|_| ()),
                _ => record.redeem_at(now).map(|_| ()),
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
    refused(&mut record, Refusal::Expired, |record| record.claim_at(u64::MAX));
    let session = record.claim_at(u64::MAX - 1).unwrap();
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join_at(u64::MAX - 1, INIT), Ok(session));
    assert_eq!(record.join_at(u64::MAX, INIT), Err(Refusal::SessionExpired));
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
        refused(&mut record, Refusal::WrongScope, |record| record.redeem_at(now));
        let mut record = Record::new(vnc());
        refused(&mut record, Refusal::WrongScope, |record| record.claim_at(now));
        refused(&mut record, Refusal::WrongScope, |record| record.join_at(now, 0));
        refused(&mut record, Refusal::NoSuchSession, |record| record.bind(id, 1));
        refused(&mut record, Refusal::NoSuchSession, |record| record.release(id));
        refused(&mut record, Refusal::NoSuchSession, |record| record.close(id));
    }
}

#[test]
fn one_use_is_one_session() {
    let mut record = Record::new(spice());
    refused(&mut record, Refusal::NotBound, |record| record.join_at(1000, INIT));

    let session = record.claim_at(1000).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.claim_at(1000));
    refused(&mut record, Refusal::NotBound, |record| record.join_at(1000, INIT));

    record.bind(session, INIT).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.claim_at(1000));
    assert_eq!(record.join_at(1000, INIT), Ok(session));
    assert_eq!(record.join_at(1000, INIT), Ok(session), "every channel but main joins");
    refused(&mut record, Refusal::NoSuchSession, |record| {
        record.join_at(1000, INIT + 1)
    });
    refused(&mut record, Refusal::ZeroConnectionId, |record| record.join_at(1000, 0));
    assert_eq!(
        record.sessions().collect::<Vec<_>>(),
        [(session, NonZeroU32::new(INIT))]
    );

    record.close(session).unwrap();
    refused(&mut record, Refusal::SessionClosed, |record| record.join_at(1000, INIT));
    refused(&mut record, Refusal::SessionClosed, |record| record.close(session));
    refused(&mut record, Refusal::SessionClosed, |record| record.bind(session, INIT));
    refused(&mut record, Refusal::SessionClosed, |record| record.release(session));
    refused(&mut record, Refusal::Spent, |record| record.claim_at(1000));
}

#[test]
fn an_open_session_outlives_the_token() {
    let mut record = Record::new(spice());
    let session = record.claim_at(1599).unwrap();
    record.bind(session, INIT).unwrap();
    for now in [1600, 100_000, u64::MAX] {
        assert_eq!(record.join_at(now, INIT), Ok(session));
        assert!(!record.is_over(at(now)));
    }
    record.close(session).unwrap();
    assert!(!record.is_over(at(1599)));
    assert!(record.is_over(at(1600)));
}

#[test]
fn a_session_limit_ends_joins() {
    let mut record = Record::new(spice().with_uses(times(2)).with_session_limit(100));
    let session = record.claim_at(1500).unwrap();
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join_at(1599, INIT), Ok(session));
    assert_eq!(record.join_at(1600, INIT), Err(Refusal::SessionExpired));
    assert!(
        record.is_over(at(1600)),
        "a session that its gateway forgot does not keep the record"
    );

    // The next claim forgets the session, so that it does not count any more.
    let mut record = Record::new(spice().with_uses(times(2)).with_session_limit(100));
    let first = record.claim_at(1000).unwrap();
    record.bind(first, INIT).unwrap();
    let second = record.claim_at(1100).unwrap();
    assert_eq!(record.sessions().collect::<Vec<_>>(), [(second, None)]);
    refused(&mut record, Refusal::SessionClosed, |record| record.close(first));
}

#[test]
fn a_released_claim_gives_the_use_back() {
    let mut record = Record::new(spice());
    let first = record.claim_at(1000).unwrap();
    record.release(first).unwrap();
    assert_eq!(record.uses_left(), Some(1));
    refused(&mut record, Refusal::SessionClosed, |record| record.release(first));

    let second = record.claim_at(1001).unwrap();
    assert_ne!(first, second, "numbers are not used again");
    refused(&mut record, Refusal::SessionClosed, |record| record.bind(first, INIT));
    record.bind(second, INIT).unwrap();
    refused(&mut record, Refusal::AlreadyBound, |record| record.release(second));
    assert_eq!(record.uses_left(), Some(0));
}

#[test]
fn a_use_that_came_back_late_is_worth_nothing() {
    let mut record = Record::new(spice());
    let session = record.claim_at(1599).unwrap();
    record.release(session).unwrap();
    refused(&mut record, Refusal::Expired, |record| record.claim_at(1600));
}

/// A main channel that ends before INIT has been let in: only `release` says that it has not.
#[test]
fn closing_a_claim_returns_nothing() {
    let mut record = Record::new(spice());
    let session = record.claim_at(1000).unwrap();
    record.close(session).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.claim_at(1000));
}

#[test]
fn a_session_has_one_number() {
    let mut record = Record::new(spice().with_uses(times(3)));
    let first = record.claim_at(1000).unwrap();
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

    let second = record.claim_at(1000).unwrap();
    refused(&mut record, Refusal::ConnectionIdInUse, |record| {
        record.bind(second, INIT)
    });
    record.bind(second, INIT + 1).unwrap();
    refused(&mut record, Refusal::AlreadyBound, |record| record.bind(second, INIT));
    assert_eq!(record.join_at(1000, INIT), Ok(first));
    assert_eq!(record.join_at(1000, INIT + 1), Ok(second));

    // Servers before 0.15.1 repeat their numbers: a closed session does not block its own.
    record.close(first).unwrap();
    let third = record.claim_at(1000).unwrap();
    record.bind(third, INIT).unwrap();
    assert_eq!(record.join_at(1000, INIT), Ok(third));
}

#[test]
fn bind_may_come_after_the_expiry() {
    let mut record = Record::new(spice());
    let session = record.claim_at(1599).unwrap();
    assert!(!record.is_over(at(1600)));
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join_at(1700, INIT), Ok(session));
}

#[test]
fn open_sessions_are_bounded() {
    let mut record = Record::new(spice().with_uses(Uses::Unlimited).with_session_limit(100));
    let sessions: Vec<_> = (0..MAX_OPEN_SESSIONS.get())
        .map(|_| record.claim_at(1000).unwrap())
        .collect();
    refused(&mut record, Refusal::TooManySessions, |record| record.claim_at(1000));
    assert_eq!(record.check_at(1000), Err(Refusal::TooManySessions));

    record.close(sessions[3]).unwrap();
    record.claim_at(1000).unwrap();
    refused(&mut record, Refusal::TooManySessions, |record| record.claim_at(1099));

    // Sessions past their limit do not count, and are gone after the next claim.
    record.claim_at(1100).unwrap();
    assert_eq!(record.sessions().count(), 1);
}

#[test]
fn session_ids_travel() {
    let mut record = Record::new(spice().with_uses(Uses::Unlimited));
    let ids: Vec<_> = (0..3).map(|_| record.claim_at(1000).unwrap()).collect();
    for (number, id) in (0..3).zip(ids) {
        assert_eq!(id.get(), number);
        assert_eq!(SessionId::new(number), id);
        assert_eq!(id.to_string(), number.to_string());
    }
}

#[test]
fn an_attempt_gets_its_first_answer_again() {
    for grant in [vnc(), vnc().with_uses(times(2)), vnc().with_uses(Uses::Unlimited)] {
        let mut record = Record::new(grant);
        let first = attempt();
        let id = record.redeem(&context(1000), first).unwrap();
        let left = record.uses_left();
        // Also when the token has expired, or is not yet valid by a clock that was set back.
        for now in [0, 1000, 1599, 1600, u64::MAX] {
            assert_eq!(record.redeem(&context(now), first), Ok(id));
            assert_eq!(record.uses_left(), left);
        }
    }
    let mut record = Record::new(vnc());
    let first = attempt();
    record.redeem(&context(1000), first).unwrap();
    refused(&mut record, Refusal::Spent, |record| record.redeem_at(1000));
    record.revoke();
    refused(&mut record, Refusal::Revoked, |record| {
        record.redeem(&context(1000), first)
    });
}

#[test]
fn an_attempt_opens_no_session_twice() {
    let mut record = Record::new(spice().with_uses(times(2)));
    let first = attempt();
    let session = record.claim(&context(1000), first).unwrap();
    assert_eq!(record.claim(&context(1600), first), Ok(session));
    assert_eq!(record.sessions().count(), 1);
    record.release(session).unwrap();
    refused(&mut record, Refusal::SessionClosed, |record| {
        record.claim(&context(1000), first)
    });
    assert_eq!(record.uses_left(), Some(2));
}

#[test]
fn an_audience_is_compared_byte_by_byte() {
    let grant = spice().with_audience("https://gateway.example/");
    let mut record = Record::new(grant);
    for audience in [
        "",
        "https://gateway.example",
        "https://gateway.example/a",
        "https://Gateway.example/",
    ] {
        let context = context(1000).with_audience(audience);
        refused(&mut record, Refusal::WrongAudience, |record| {
            record.claim(&context, attempt())
        });
    }
    refused(&mut record, Refusal::WrongAudience, |record| record.claim_at(1000));
    let right = context(1000).with_audience("https://gateway.example/");
    let session = record.claim(&right, attempt()).unwrap();
    record.bind(session, INIT).unwrap();
    assert_eq!(record.join(&right, INIT), Ok(session));
    assert_eq!(record.join_at(1000, INIT), Err(Refusal::WrongAudience));

    let mut record = Record::new(vnc());
    record
        .redeem(&right, attempt())
        .expect("a grant without audience is for all");
}

#[test]
fn skew_widens_both_ends() {
    let grant = vnc().with_skew(5).with_uses(Uses::Unlimited);
    let mut record = Record::new(grant.clone());
    refused(&mut record, Refusal::NotYetValid, |record| record.redeem_at(994));
    record.redeem_at(995).unwrap();
    record.redeem_at(1604).unwrap();
    refused(&mut record, Refusal::Expired, |record| record.redeem_at(1605));
    assert!(!record.is_over(at(1604)));
    assert!(record.is_over(at(1605)));

    let never = |seconds| {
        let mut never = grant.clone().with_skew(seconds);
        never.expires = never.not_before;
        (990..1010).all(|now| never.admits(at(now)).is_err())
    };
    assert!(never(0) && never(5) && never(u32::MAX));
    let mut all = grant.with_skew(u32::MAX);
    all.expires = UnixSeconds(u64::MAX - 1);
    assert_eq!(all.window(), (at(0), at(u64::MAX)));
}

#[test]
fn a_revoked_token_is_refused_everywhere() {
    let mut record = Record::new(spice().with_uses(times(3)));
    let session = record.claim_at(1000).unwrap();
    record.bind(session, INIT).unwrap();
    let unbound = record.claim_at(1000).unwrap();
    assert_eq!(record.attend(at(1000), session), Ok(()));
    assert!(record.revoke());
    assert!(!record.revoke());
    refused(&mut record, Refusal::Revoked, |record| record.claim_at(1000));
    refused(&mut record, Refusal::Revoked, |record| record.join_at(1000, INIT));
    refused(&mut record, Refusal::Revoked, |record| record.bind(unbound, 5));
    refused(&mut record, Refusal::Revoked, |record| {
        record.migrate(session, at(1060))
    });
    refused(&mut record, Refusal::Revoked, |record| {
        record.reopen(&context(1000), attempt(), INIT)
    });
    assert_eq!(
        record.attend(at(1000), session),
        Err(Refusal::Revoked),
        "its gateway ends it"
    );
    record.close(session).unwrap();
    record.release(unbound).unwrap();
    assert!(record.is_over(at(1600)));
}

#[test]
fn sessions_end_with_the_token_if_that_is_wanted() {
    let grant = spice().with_session_end(at(1600)).with_session_limit(100);
    assert_eq!(grant.session_ends(at(1000)), Some(at(1100)));
    assert_eq!(grant.session_ends(at(1550)), Some(at(1600)));
    let mut record = Record::new(grant);
    let session = record.claim_at(1550).unwrap();
    record.bind(session, INIT).unwrap();
    assert_eq!(record.attend(at(1599), session), Ok(()));
    assert_eq!(record.attend(at(1600), session), Err(Refusal::SessionExpired));
    assert_eq!(record.join_at(1600, INIT), Err(Refusal::SessionExpired));
    assert!(record.is_over(at(1600)));
}

#[test]
fn a_main_channel_comes_again_only_for_a_migration() {
    let mut record = Record::new(spice());
    let session = record.claim_at(1000).unwrap();
    refused(&mut record, Refusal::NotBound, |record| {
        record.migrate(session, at(1060))
    });
    record.bind(session, INIT).unwrap();
    for connection_id in [0, INIT] {
        refused(&mut record, Refusal::NotMigrating, |record| {
            record.reopen(&context(1000), attempt(), connection_id)
        });
    }

    // With its number, which it keeps; after the token's expiry; once.
    record.migrate(session, at(2000)).unwrap();
    refused(&mut record, Refusal::NotMigrating, |record| {
        record.reopen(&context(1700), attempt(), INIT + 1)
    });
    refused(&mut record, Refusal::NotMigrating, |record| {
        record.reopen(&context(2000), attempt(), INIT)
    });
    let second = attempt();
    assert_eq!(record.reopen(&context(1999), second, INIT), Ok(session));
    assert_eq!(
        record.reopen(&context(1999), second, INIT),
        Ok(session),
        "the answer again"
    );
    refused(&mut record, Refusal::NotMigrating, |record| {
        record.reopen(&context(1999), attempt(), INIT)
    });
    assert_eq!(record.join_at(1999, INIT), Ok(session));

    // Without a number: it gets one from the new hypervisor.
    record.migrate(session, at(3000)).unwrap();
    assert_eq!(record.reopen(&context(2500), attempt(), 0), Ok(session));
    refused(&mut record, Refusal::NotBound, |record| record.join_at(2500, INIT));
    refused(&mut record, Refusal::AlreadyBound, |record| record.release(session));
    record.bind(session, INIT + 9).unwrap();
    assert_eq!(record.join_at(2500, INIT + 9), Ok(session));

    // Given up.
    record.migrate(session, at(4000)).unwrap();
    record.settle(session).unwrap();
    record.settle(session).unwrap();
    refused(&mut record, Refusal::NotMigrating, |record| {
        record.reopen(&context(2500), attempt(), 0)
    });
    assert_eq!(record.uses_left(), Some(0));
}

#[test]
fn without_a_number_it_must_be_clear_which_session_moves() {
    let mut record = Record::new(spice().with_uses(times(2)));
    let sessions = [INIT, INIT + 1].map(|connection_id| {
        let session = record.claim_at(1000).unwrap();
        record.bind(session, connection_id).unwrap();
        record.migrate(session, at(1060)).unwrap();
        session
    });
    refused(&mut record, Refusal::NotMigrating, |record| {
        record.reopen(&context(1000), attempt(), 0)
    });
    assert_eq!(record.reopen(&context(1000), attempt(), INIT), Ok(sessions[0]));
    assert_eq!(record.reopen(&context(1000), attempt(), 0), Ok(sessions[1]));
}

#[test]
fn later_channels_follow_the_target() {
    let mut record = Record::new(spice());
    let shared = record.grant().clone();
    let moved = Target::Unix {
        path: "/run/moved".into(),
    };
    record.retarget(moved.clone());
    assert_eq!(record.grant().target, moved);
    assert_eq!(*shared, spice(), "what was handed out before is as it was");
}

#[test]
fn an_exchange_gives_a_token_for_the_connection() {
    for console in [ConsoleType::NoVnc, ConsoleType::SpiceDirect] {
        let url = crate::grant(console)
            .with_scope(Scope::Exchange)
            .with_vm("vm1")
            .with_audience("a");
        let mut record = Record::new(url.clone());
        let context = context(1000).with_audience("a");
        refused(&mut record, Refusal::WrongScope, |record| {
            record.redeem(&context, attempt())
        });
        refused(&mut record, Refusal::WrongScope, |record| {
            record.claim(&context, attempt())
        });
        record.exchange(&context, attempt()).unwrap();
        refused(&mut record, Refusal::Spent, |record| {
            record.exchange(&context, attempt())
        });

        let mut connection = url.exchanged(at(1000), 20);
        let expected = crate::grant(console).with_vm("vm1").with_audience("a");
        assert_eq!(connection.expires, at(1020));
        connection.expires = expected.expires;
        assert_eq!(connection, expected);
    }
    let mut record = Record::new(vnc());
    refused(&mut record, Refusal::WrongScope, |record| {
        record.exchange(&context(1000), attempt())
    });
}

/// A clock that is hours off, on some of the calls.
#[test]
fn clocks_that_jump() {
    const HOUR: u64 = 3600;
    let (start, path) = (100 * HOUR, "/run/console".into());
    let target = Target::Unix { path };
    for hours in 1..12 {
        for now in [start - hours * HOUR, start + 600 + hours * HOUR] {
            let grant = console_token::Grant::new(target.clone(), ConsoleType::SpiceDirect, at(start), 600);
            let mut record = Record::new(grant.with_session_limit(HOUR));
            assert!(record.claim_at(now).is_err(), "outside of its time");
            let session = record.claim_at(start).unwrap();
            record.bind(session, INIT).unwrap();
            // A session of the future is open; one of hours ago has ended.
            assert_eq!(record.join_at(now, INIT).is_ok(), now < start + HOUR);
            assert_eq!(record.is_over(at(now)), start + HOUR <= now);
        }
    }
}
