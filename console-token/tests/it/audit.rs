//! Audit: what the log says of each transition, and what it never says.

use console_token::{
    Admitted, AttemptId, BackendError, Event, Grant, LeaseTransition, Refusal, SessionId, StoreError, TokenHash,
    TokenSelector, Transition, UnixSeconds, VerifyContext,
};
use expect_test::expect;

use crate::{at, context, spice};

const HASH: TokenHash = TokenHash::from_bytes(*b"fingerpr, and the rest is hidden");

fn grant() -> Grant {
    spice().with_vm("vm 1\n2").with_user("ann").with_issuer("nova")
}

fn events() -> Vec<Event> {
    let session = SessionId::new(3);
    let attempt = AttemptId(*b"attempt attempt!");
    let (now, context): (UnixSeconds, VerifyContext<'_>) = (at(1000), context(1000));
    let admitted = || {
        Ok::<_, StoreError<BackendError>>(Admitted {
            session,
            grant: grant().into(),
            replaced_by: None,
        })
    };
    let refused = |refusal: Refusal| Err::<Admitted, StoreError<BackendError>>(refusal.into());
    let failed = || StoreError::Backend(BackendError::new("password=secret"));
    let mut events = vec![
        Event::insert::<BackendError>(now, &HASH, &grant(), &Ok(())),
        Event::insert::<BackendError>(now, &HASH, &grant(), &Err(StoreError::Duplicate)),
        Event::insert::<BackendError>(now, &HASH, &grant(), &Err(StoreError::Full { limit: 3 })),
        Event::check::<BackendError>(&HASH, &context, &Ok(grant().into())),
        Event::check(&HASH, &context, &Err(failed())),
        Event::exchange::<BackendError>(&HASH, &context, &TokenHash::from_bytes([7; 32]), &Ok(grant().into())),
        Event::replace::<BackendError>(now, &HASH, &TokenHash::from_bytes([8; 32]), &Ok(grant().into())),
        Event::revoke::<BackendError>(now, &TokenSelector::Token(&HASH), &Ok(1)),
        Event::revoke::<BackendError>(now, &TokenSelector::Fingerprint(&HASH.fingerprint()), &Ok(1)),
        Event::revoke::<BackendError>(now, &TokenSelector::User("ann\u{1b}"), &Ok(2)),
        Event::retarget::<BackendError>(now, &TokenSelector::Vm("vm1"), &Ok(2)),
        Event::revoke::<BackendError>(now, &TokenSelector::Issuer("nova"), &Ok(0)),
        Event::sweep::<BackendError>(now, &Ok(7)),
    ];
    for transition in [
        Transition::Redeem(attempt),
        Transition::Claim(attempt),
        Transition::Bind {
            session,
            connection_id: 5,
        },
        Transition::Release(session),
        Transition::Join { connection_id: 5 },
        Transition::Migrate {
            session,
            until: at(1060),
        },
        Transition::Settle(session),
        Transition::Reopen {
            attempt,
            connection_id: 5,
        },
        Transition::Open(attempt),
        Transition::Suspend {
            session,
            resumed: None,
            from: at(1000),
            until: at(1030),
        },
        Transition::Resume { attempt, session },
        Transition::Close(session),
        Transition::Attend(session),
    ] {
        events.push(Event::transition(&HASH, &context, transition, &admitted()));
        events.push(Event::transition(
            &HASH,
            &context,
            transition,
            &refused(Refusal::Revoked),
        ));
    }
    for transition in [
        LeaseTransition::Take(attempt),
        LeaseTransition::Keep {
            holder: attempt,
            active: true,
        },
        LeaseTransition::Leave(attempt),
        LeaseTransition::Clear,
    ] {
        events.push(Event::leases::<BackendError>(
            now,
            "vm1/serial0",
            transition,
            &Ok(vec![attempt]),
        ));
    }
    events
}

#[test]
fn a_line_for_each() {
    let lines: Vec<_> = events().iter().map(ToString::to_string).collect();
    expect![[r#"
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" insert: done
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" insert: the store has it already
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" insert: the store is full
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" check: done
        1000 token 66696e6765727072 check: the store failed
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" exchange for 0707070707070707: done
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" replace by 0808080808080808: done
        1000 token 66696e6765727072 revoke: done, 1 tokens
        1000 token 66696e6765727072 revoke: done, 1 tokens
        1000 revoke by user "ann\u{1b}": done, 2 tokens
        1000 retarget by vm "vm1": done, 2 tokens
        1000 revoke by issuer "nova": done, 0 tokens
        1000 sweep: done, 7 tokens
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" redeem: done, use 3
        1000 token 66696e6765727072 redeem: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" claim: done, use 3
        1000 token 66696e6765727072 claim: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" bind 3 to 5: done, use 3
        1000 token 66696e6765727072 bind 3 to 5: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" release 3: done, use 3
        1000 token 66696e6765727072 release 3: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" join 5: done, use 3
        1000 token 66696e6765727072 join 5: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" migrate 3 until 1060: done, use 3
        1000 token 66696e6765727072 migrate 3 until 1060: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" settle 3: done, use 3
        1000 token 66696e6765727072 settle 3: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" reopen 5: done, use 3
        1000 token 66696e6765727072 reopen 5: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" open: done, use 3
        1000 token 66696e6765727072 open: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" suspend 3 from 1000 until 1030: done, use 3
        1000 token 66696e6765727072 suspend 3 from 1000 until 1030: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" resume 3: done, use 3
        1000 token 66696e6765727072 resume 3: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" close 3: done, use 3
        1000 token 66696e6765727072 close 3: revoked
        1000 token 66696e6765727072 vm "vm 1\n2" user "ann" issuer "nova" attend 3: done, use 3
        1000 token 66696e6765727072 attend 3: revoked
        1000 take a lease of "vm1/serial0": done, 1 ended
        1000 keep a lease of "vm1/serial0": done, 1 ended
        1000 end a lease of "vm1/serial0": done, 1 ended
        1000 clear the leases of "vm1/serial0": done, 1 ended"#]]
    .assert_eq(&lines.join("\n"));
}

#[test]
fn no_secret_in_any() {
    for event in events() {
        let text = format!("{event} {event:?}");
        for secret in ["192.0.2.7", "hidden", "password", "68696464656e", "104, 105, 100"] {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(
            !event.to_string().contains(['\n', '\u{1b}']),
            "a name has made a line: {event}"
        );
    }
}
