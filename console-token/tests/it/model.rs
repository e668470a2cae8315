//! Random sequences of operations on the store in memory against a model that remembers everything.

use core::pin::pin;
use core::task::{Context, Poll, Waker};

use console_token::{AttemptId, MAX_ATTEMPTS, MemoryStore, Record, UnixSeconds, Uses, VerifyContext};
use proptest::{collection::vec, prelude::*};

use crate::conformance::suite::byte_of;
use crate::naive;

/// One less than there are tokens, so that the store is full now and then.
const LIMIT: usize = naive::TOKENS - 1;

/// The store in memory never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a store in memory waits"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_store_does_what_the_model_does(data in vec(any::<u8>(), 0..600)) {
        at_once(naive::run(&MemoryStore::new(LIMIT), LIMIT, [0; 8], &data, |_, _| ()));
    }

    /// Few operations on a token that was made for them: deeper into a session than chance gets.
    #[test]
    fn sessions_do_what_the_model_does(spice in any::<bool>(), uses in 0_u8..5, sessions in 0_u8..4, transitions in vec((0_u8..30, any::<[u8; 4]>()), 0..80)) {
        // Insert token 0: from 0 for 12 s, no skew, the uses, SPICE or connections, the sessions, no end, no audience, owner 0.
        let scope = if spice { 2 } else { 0 };
        let mut data = std::vec![0, 0, 0, 12, 0, uses, scope, sessions, 1, 1, 1, 0];
        for (kind, arguments) in transitions {
            data.extend([byte_of(kind), 0]);
            data.extend(arguments);
        }
        at_once(naive::run(&MemoryStore::new(LIMIT), LIMIT, [0; 8], &data, |_, _| ()));
    }
}

/// More attempts than are remembered: the oldest is forgotten, and is a new one when it comes again.
#[test]
fn attempts_are_forgotten_in_their_order() {
    let grant = crate::vnc().with_uses(Uses::Unlimited);
    let mut record = Record::new(grant);
    let context = VerifyContext::at(UnixSeconds(1000));
    let attempt = |number: usize| AttemptId([u8::try_from(number).unwrap(); 16]);
    let ids: Vec<_> = (0..MAX_ATTEMPTS)
        .map(|number| record.redeem(&context, attempt(number)).unwrap())
        .collect();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(record.redeem(&context, attempt(number)), Ok(*id));
    }
    let next = record.redeem(&context, attempt(MAX_ATTEMPTS)).unwrap();
    assert_eq!(record.redeem(&context, attempt(1)), Ok(ids[1]), "remembered");
    let again = record.redeem(&context, attempt(0)).unwrap();
    assert!(next < again, "forgotten");
}
