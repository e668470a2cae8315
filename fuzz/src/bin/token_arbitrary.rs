#![cfg_attr(fuzzing, no_main)]
//! What feature `arbitrary` makes of bytes: grants that come back from JSON, and a gateway that asks for anything.
//!
//! ```text
//! | draws, from which a grant, a token and transitions are made |
//! ```
//!
//! A refused transition changes nothing; an audit line is one line, and says nothing of the token or of where it leads.
//!
//! Not searched in CI: see LAWS.md.

use arbitrary::{Arbitrary, Result, Unstructured};
use console_token::{
    Event, Grant, LeaseTransition, MemoryStore, Pepper, Peppers, Secret, StoreError, Target, Transition, UnixSeconds,
    VerifyContext,
};

fuzz::target!(check);

const TRANSITIONS: usize = 40;

fn grant(grant: &Grant) {
    let text = serde_json::to_string(grant).expect("it can be written");
    assert_eq!(&serde_json::from_str::<Grant>(&text).expect("it was written"), grant);
    if let Target::Internal { path, .. } = &grant.target
        && 8 <= path.expose().len()
    {
        assert!(!format!("{grant:?}").contains(path.expose()), "a path is a secret");
    }
}

/// Numbers that meet each other, and so transitions that are about the same session.
fn near(transition: Transition) -> Transition {
    let small = |session: console_token::SessionId| console_token::SessionId::new(session.get() % 4);
    match transition {
        Transition::Bind { session, connection_id } => Transition::Bind {
            session: small(session),
            connection_id: connection_id % 3,
        },
        Transition::Join { connection_id } => Transition::Join {
            connection_id: connection_id % 3,
        },
        Transition::Release(session) => Transition::Release(small(session)),
        Transition::Settle(session) => Transition::Settle(small(session)),
        Transition::Close(session) => Transition::Close(small(session)),
        Transition::Attend(session) => Transition::Attend(small(session)),
        other => other,
    }
}

fn run(draws: &mut Unstructured<'_>) -> Result<()> {
    let made = Grant::arbitrary(draws)?;
    grant(&made);
    let secret = Secret::arbitrary(draws)?;
    let pepper = Pepper::new(&[1; 32]).expect("32 bytes");
    let hash = Peppers::new(pepper).hash(&secret);
    let store = MemoryStore::new(1);
    let inserted = store.insert(&hash, &made);
    line(&Event::insert(UnixSeconds(0), &hash, &made, &inserted), &secret);
    let mut now = made.not_before;
    for _ in 0..TRANSITIONS {
        now = now.saturating_add(u64::from(u8::arbitrary(draws)?));
        let transition = near(Transition::arbitrary(draws)?);
        let context = VerifyContext::at(now);
        let context = match &made.audience {
            Some(audience) => context.with_audience(audience),
            None => context,
        };
        let before = store.record(&hash);
        let result = store.apply(&hash, &context, transition);
        if let Err(StoreError::Refused(_)) = &result {
            assert_eq!(
                store.record(&hash),
                before,
                "what is refused changes nothing: {transition:?}"
            );
        }
        line(&Event::transition(&hash, &context, transition, &result), &secret);
        let lease = LeaseTransition::arbitrary(draws)?;
        let leased = store.leases("console", now, &console_token::LeaseRules::EXCLUSIVE, lease);
        line(&Event::leases(now, "console", lease, &leased), &secret);
    }
    Ok(())
}

fn line(event: &Event, secret: &Secret) {
    let line = event.to_string();
    assert!(!line.contains('\n'), "{line}");
    assert!(secret.expose().len() < 12 || !line.contains(secret.expose()), "{line}");
}

fn check(data: &[u8]) {
    // When the bytes are used up, all is drawn that can be.
    let _ = run(&mut Unstructured::new(data));
}
