#![cfg_attr(fuzzing, no_main)]
//! Records as SQL and Redis keep them: what is read from a row is what was written, and a row that is damaged is refused.
//!
//! ```text
//! 0 | revoked u8 | spent u32 | next session u64 | grant, attempts, sessions, replaced: length u16, text each |
//! 1 | leases: text |
//! 2 | draws, from which a grant and transitions are made |
//! ```
//!
//! A row that can be read makes a record on which every question and every transition has an answer.
//!
//! Not searched in CI: see LAWS.md.

use arbitrary::{Arbitrary, Result, Unstructured};
use console_token::rows::{self, RowText};
use console_token::{
    AttemptId, Grant, LeaseRules, LeaseTransition, MAX_ATTEMPTS, MAX_OPEN_SESSIONS, Record, SessionId, TokenHash,
    Transition, UnixSeconds, VerifyContext,
};
use fuzz::Input;

fuzz::target!(check);

const TRANSITIONS: usize = 40;

/// What was read is written, and read again, as it is.
fn again(record: &Record) {
    let written = RowText::of(record).expect("its grant was read");
    let read = written.clone().record().expect("it was written");
    assert_eq!(&read, record);
    assert_eq!(RowText::of(&read), Some(written));
    let (scope, audience, [opens, lapses], uses, busy) = rows::terms(record);
    assert!(["connection", "spice", "exchange"].contains(&scope));
    let grant = record.grant();
    assert_eq!(audience.strip_prefix('='), grant.audience.as_deref());
    assert_eq!((UnixSeconds(opens), UnixSeconds(lapses)), grant.window());
    assert_eq!(uses < 0, record.uses_left().is_none());
    // Engines forget a record by the two moments of its row, the store in memory by the record itself.
    for now in [0, opens, lapses, busy, busy.saturating_sub(1), busy.saturating_add(1)] {
        if now < u64::MAX {
            assert_eq!(
                record.is_over(UnixSeconds(now)),
                lapses <= now && busy <= now,
                "{now}: {record:?}"
            );
        }
    }
}

/// Every question has an answer.
fn asked(record: &Record, now: u64) {
    let context = VerifyContext::at(UnixSeconds(now)).with_audience("a");
    let _ = (record.check(&context), record.is_over(context.now), record.is_revoked());
    let open: Vec<_> = record.sessions().collect();
    assert!(open.len() <= usize::from(MAX_OPEN_SESSIONS.get()));
    let first = open.first().map_or(SessionId::new(0), |(session, _)| *session);
    let attempt = AttemptId([7; 16]);
    let (from, until) = (UnixSeconds(now), UnixSeconds(now.saturating_add(9)));
    let hash = TokenHash::from_bytes([3; 32]);
    let all = [
        Transition::Redeem(attempt),
        Transition::Claim(attempt),
        Transition::Open(attempt),
        Transition::Bind {
            session: first,
            connection_id: 1,
        },
        Transition::Release(first),
        Transition::Join { connection_id: 1 },
        Transition::Migrate { session: first, until },
        Transition::Settle(first),
        Transition::Reopen {
            attempt,
            connection_id: 0,
        },
        Transition::Suspend {
            session: first,
            resumed: None,
            from,
            until,
        },
        Transition::Resume {
            attempt,
            session: first,
        },
        Transition::Close(first),
        Transition::Attend(first),
    ];
    for transition in all {
        let mut after = record.clone();
        match after.apply(&context, transition) {
            Ok(_) => again(&after),
            Err(_) => assert_eq!(&after, record, "what is refused changes nothing"),
        }
    }
    let mut replaced = record.clone();
    if let Ok(successor) = replaced.replace(&hash, UnixSeconds(now)) {
        again(&replaced);
        again(&successor);
    }
}

fn row(mut input: Input<'_>) {
    let revoked = input.byte() & 1 == 1;
    let spent = u32::from_le_bytes(std::array::from_fn(|_| input.byte()));
    let next_session = u64::from_le_bytes(std::array::from_fn(|_| input.byte()));
    let [grant, attempts, sessions, replaced] =
        std::array::from_fn(|_| String::from_utf8_lossy(input.blob()).into_owned());
    let (lengths, now) = ([attempts.len(), sessions.len()], u64::from(input.byte()));
    let row = RowText {
        grant,
        revoked,
        spent,
        next_session,
        attempts,
        sessions,
        replaced,
    };
    let Some(record) = row.record() else { return };
    // An entry has at least so many characters.
    assert!(lengths[0] / 35 <= MAX_ATTEMPTS && lengths[1] / 9 <= 64 * usize::from(MAX_OPEN_SESSIONS.get()));
    again(&record);
    asked(&record, now);
    asked(&record, u64::MAX);
}

fn leases(text: &str) {
    let Some(mut read) = rows::leases(text) else { return };
    let (written, end) = rows::leases_text(&read);
    assert_eq!(rows::leases(&written).as_ref(), Some(&read));
    assert!(read.holders().count() <= text.len() / 35);
    let holder = AttemptId([7; 16]);
    for transition in [LeaseTransition::Take(holder), LeaseTransition::Clear] {
        let _ = read.apply(UnixSeconds(end), &LeaseRules::EXCLUSIVE, transition);
    }
    assert_eq!(rows::leases_text(&read), (String::new(), 0));
}

/// A record that has seen some transitions.
fn made(draws: &mut Unstructured<'_>) -> Result<()> {
    let mut record = Record::new(Grant::arbitrary(draws)?);
    let mut now = record.grant().not_before;
    for _ in 0..TRANSITIONS {
        now = now.saturating_add(u64::from(u8::arbitrary(draws)?));
        let context = VerifyContext::at(now);
        let audience = record.grant().audience.clone();
        let context = match &audience {
            Some(audience) => context.with_audience(audience),
            None => context,
        };
        let _ = record.apply(&context, Transition::arbitrary(draws)?);
        again(&record);
    }
    Ok(())
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => row(input),
        1 => leases(&String::from_utf8_lossy(input.rest())),
        _ => {
            let _ = made(&mut Unstructured::new(input.rest()));
        }
    }
}
