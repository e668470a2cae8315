//! Uses that are given back, on a record alone: what every store builds on.

use core::num::NonZeroU32;

use console_token::{MAX_ATTEMPTS, Record, Refusal, Scope, SessionId, Uses};

use crate::{attempt, context, spice, vnc};

fn times(uses: u32) -> Uses {
    Uses::Limited(NonZeroU32::new(uses).unwrap())
}

/// Refused, and the record is as it was.
fn refused(record: &mut Record, session: SessionId, why: Refusal) {
    let before = record.clone();
    assert_eq!(record.release(session), Err(why));
    assert_eq!(*record, before);
}

#[test]
fn a_connection_gives_its_use_back_once() {
    let mut record = Record::new(vnc().with_uses(times(2)));
    let (first, second) = (attempt(), attempt());
    let session = record.redeem(&context(1000), first).unwrap();
    let other = record.redeem(&context(1000), second).unwrap();
    record.release(session).unwrap();
    assert_eq!(record.uses_left(), Some(1));
    refused(&mut record, session, Refusal::SessionClosed);
    // The attempt is over, the other one has its use, and numbers are not used again.
    assert_eq!(record.redeem(&context(1000), first), Err(Refusal::SessionClosed));
    assert_eq!(record.redeem(&context(1000), second), Ok(other));
    let third = record.redeem(&context(1000), attempt()).unwrap();
    assert_eq!((third.get(), record.uses_left()), (2, Some(0)));
    record.release(other).unwrap();
    assert_eq!(record.uses_left(), Some(1));
    assert_eq!(record.redeem(&context(1000), second), Err(Refusal::SessionClosed));
    for number in [3, 99, u64::MAX] {
        refused(&mut record, SessionId::new(number), Refusal::NoSuchSession);
    }
}

#[test]
fn what_cannot_be_given_back() {
    let mut record = Record::new(vnc().with_scope(Scope::Exchange));
    let session = record.exchange(&context(1000), attempt()).unwrap();
    refused(&mut record, session, Refusal::WrongScope);
    // Not remembered.
    let mut record = Record::new(vnc().with_uses(Uses::Unlimited));
    for _ in 0..=MAX_ATTEMPTS {
        record.redeem(&context(1000), attempt()).unwrap();
    }
    refused(&mut record, SessionId::new(0), Refusal::SessionClosed);
    record.release(SessionId::new(1)).unwrap();
    assert_eq!(record.uses_left(), None);
}

/// A revoked token takes its uses back too: the order in which a gateway learns of both does not matter.
#[test]
fn a_revoked_token() {
    for grant in [vnc(), spice()] {
        let mut record = Record::new(grant);
        let session = match record.grant().scope {
            Scope::Connection => record.redeem(&context(1000), attempt()),
            _ => record.claim(&context(1000), attempt()),
        };
        assert!(record.revoke());
        record.release(session.unwrap()).unwrap();
        assert_eq!(record.uses_left(), Some(1));
        assert_eq!(record.check(&context(1000)), Err(Refusal::Revoked));
    }
}

/// Of exchanges nothing stays open.
#[test]
fn an_exchange_has_no_sessions() {
    use console_token::Transition;

    let mut record = Record::new(vnc().with_scope(Scope::Exchange));
    let (session, at) = (SessionId::new(0), crate::at);
    for transition in [
        Transition::Redeem(attempt()),
        Transition::Claim(attempt()),
        Transition::Open(attempt()),
        Transition::Bind {
            session,
            connection_id: 0,
        },
        Transition::Join { connection_id: 0 },
        Transition::Suspend {
            session,
            resumed: None,
            from: at(0),
            until: at(9),
        },
        Transition::Resume {
            attempt: attempt(),
            session,
        },
        Transition::Release(session),
        Transition::Close(session),
        Transition::Attend(session),
    ] {
        let refused = record.apply(&context(1000), transition);
        assert_eq!(refused, Err(Refusal::WrongScope), "{transition}");
    }
}
