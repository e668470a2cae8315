#![cfg_attr(fuzzing, no_main)]
//! Operators' and issuers' requests to a store in memory, and the lines of an audit log about all of them.
//!
//! ```text
//! | records u8 | steps, each | what u8 | which u8 | | then draws, from which grants and places are made |
//! ```
//!
//! Grants and places are drawn from the end of the input. The laws: what is asked of several tokens is done to exactly those that
//! the selector names; each line is one line, and says nothing of a token or of where it leads; what was refused has changed
//! nothing; a swept store has no token that is over.
//!
//! Not searched in CI: see LAWS.md.

use std::num::NonZeroU32;

use arbitrary::{Arbitrary as _, Unstructured};
use console_token::{
    AttemptId, BackendError, ConsoleType, Event, Grant, LeaseRules, LeaseTransition, MemoryStore, Pepper, Peppers,
    Record, Scope, Secret, StoreError, Target, TokenHash, TokenSelector, Transition, UnixSeconds, VerifyContext,
};
use fuzz::Input;

fuzz::target!(check);

const STEPS: usize = 100;
const TOKENS: usize = 6;
/// Names that could forge a line.
const NAMES: [&str; 4] = ["vm1", "a\nb", "\"x\" token 0", "\u{1b}[2J"];
const PLACE: &str = "a-place-that-no-log-has";

struct World {
    store: MemoryStore,
    secrets: Vec<Secret>,
    hashes: Vec<TokenHash>,
    now: UnixSeconds,
}

fn place(draws: &mut Unstructured<'_>) -> Target {
    let drawn = Target::arbitrary(draws).ok();
    drawn.unwrap_or(Target::Unix { path: PLACE.into() })
}

fn grant(draws: &mut Unstructured<'_>, which: u8, now: UnixSeconds) -> Grant {
    if which & 128 != 0
        && let Ok(drawn) = Grant::arbitrary(draws)
    {
        return drawn;
    }
    let console = [ConsoleType::NoVnc, ConsoleType::SpiceDirect][usize::from(which & 1)];
    let name = NAMES[usize::from(which >> 1 & 3)];
    let grant = Grant::new(
        Target::Unix { path: PLACE.into() },
        console,
        now,
        u64::from(which >> 3 & 7) * 10,
    )
    .with_vm(name)
    .with_user(NAMES[usize::from(which >> 3 & 3)])
    .with_skew(u32::from(which & 3))
    .with_context(PLACE);
    match which >> 5 & 3 {
        0 => grant.with_issuer(name),
        1 => grant.with_scope(Scope::Exchange),
        2 => grant.with_session_end(now.saturating_add(5)).with_session_limit(3),
        _ => grant,
    }
}

impl World {
    fn line(&self, event: &Event) {
        for text in [event.to_string(), format!("{event:?}")] {
            assert!(!text.contains(['\n', '\u{1b}']), "{text}");
            assert!(!text.contains(PLACE), "where it leads: {text}");
            assert!(
                !self.secrets.iter().any(|secret| text.contains(secret.expose())),
                "{text}"
            );
        }
        let seconds = event.at.0.to_string();
        assert!(event.to_string().starts_with(&seconds));
    }

    fn records(&self) -> Vec<Option<Record>> {
        self.hashes.iter().map(|hash| self.store.record(hash)).collect()
    }

    /// Those that a selector names.
    fn named(&self, selector: &TokenSelector<'_>) -> Vec<usize> {
        let records = self.records().into_iter().enumerate();
        let named = records.filter_map(|(at, record)| {
            let (record, hash) = (record?, &self.hashes[at]);
            let grant = record.grant();
            let is_named = match *selector {
                TokenSelector::Token(wanted) => wanted == hash,
                TokenSelector::Fingerprint(wanted) => *wanted == hash.fingerprint(),
                TokenSelector::Vm(name) => grant.vm.as_deref() == Some(name),
                TokenSelector::User(name) => grant.user.as_deref() == Some(name),
                TokenSelector::Issuer(name) => grant.issuer.as_deref() == Some(name),
            };
            is_named.then_some(at)
        });
        named.collect()
    }
}

/// Whether only these have changed.
fn others_stayed(before: &[Option<Record>], after: &[Option<Record>], named: &[usize]) {
    for (at, (before, after)) in before.iter().zip(after).enumerate() {
        assert!(named.contains(&at) || before == after, "another one has changed");
    }
}

fn step(world: &mut World, draws: &mut Unstructured<'_>, what: u8, which: u8) {
    let at = usize::from(which) % TOKENS;
    let (hash, other) = (world.hashes[at], world.hashes[(at + 1) % TOKENS]);
    let (fingerprint, name) = (hash.fingerprint(), NAMES[usize::from(which >> 4 & 3)]);
    let selector = match which >> 5 {
        0 | 1 => TokenSelector::Token(&hash),
        2 => TokenSelector::Fingerprint(&fingerprint),
        3 | 4 => TokenSelector::Vm(name),
        5 => TokenSelector::User(name),
        _ => TokenSelector::Issuer(name),
    };
    let context = VerifyContext::at(world.now);
    let (before, now) = (world.records(), world.now);
    let event = match what % 10 {
        0 | 1 => {
            let made = grant(draws, which, now);
            let inserted = world.store.insert(&hash, &made);
            assert!(inserted.is_ok() || before == world.records());
            Event::insert(now, &hash, &made, &inserted)
        }
        2 => {
            let checked = world.store.check(&hash, &context);
            let find = world.store.find(&fingerprint);
            assert_eq!(find.map(|(_, record)| record), before[at]);
            Event::check(&hash, &context, &checked)
        }
        3 => {
            let transition = Transition::arbitrary(draws).unwrap_or(Transition::Open(AttemptId([which; 16])));
            let applied = world.store.apply(&hash, &context, transition);
            assert!(applied.is_ok() || before == world.records());
            world.line(&Event::transition::<BackendError>(
                &hash,
                &context,
                transition,
                &Err(StoreError::Backend(BackendError::new(PLACE))),
            ));
            Event::transition(&hash, &context, transition, &applied)
        }
        4 => {
            let exchanged = world.store.exchange(&hash, &context, &other, 60);
            assert!(exchanged.is_ok() || before == world.records());
            Event::exchange(&hash, &context, &other, &exchanged)
        }
        5 => {
            let replaced = world.store.replace(&hash, &other, now);
            assert!(replaced.is_ok() || before == world.records());
            // The same again gets the first answer, though the new token may be gone meanwhile.
            let is_first = before[at].as_ref().is_some_and(|record| record.replaced_by().is_none());
            if let (Ok(grant), true) = (&replaced, is_first) {
                let record = world.store.record(&hash).expect("it is kept");
                assert!(record.is_revoked() && record.replaced_by() == Some(&other));
                assert_eq!(world.store.record(&other).as_ref().map(Record::grant), Some(grant));
            }
            Event::replace(now, &hash, &other, &replaced)
        }
        6 => {
            let named = world.named(&selector);
            let fresh = named
                .iter()
                .filter(|at| before[**at].as_ref().is_some_and(|record| !record.is_revoked()));
            let fresh = fresh.count();
            let revoked = world.store.revoke(&selector);
            assert_eq!(revoked, fresh);
            others_stayed(&before, &world.records(), &named);
            Event::revoke::<BackendError>(now, &selector, &Ok(revoked))
        }
        7 => {
            let (place, console) = (place(draws), ConsoleType::NoVnc);
            let mut named = world.named(&selector);
            named.retain(|at| {
                before[*at]
                    .as_ref()
                    .is_some_and(|record| record.grant().console == console)
            });
            let retargeted = world.store.retarget(&selector, console, &place);
            assert_eq!(retargeted, named.len());
            let after = world.records();
            others_stayed(&before, &after, &named);
            let is_there = |at: &usize| after[*at].as_ref().is_some_and(|record| record.grant().target == place);
            assert!(named.iter().all(is_there));
            Event::retarget::<BackendError>(now, &selector, &Ok(retargeted))
        }
        8 => {
            let swept = world.store.sweep(now, NonZeroU32::MAX);
            let is_over = |record: &&Option<Record>| record.as_ref().is_some_and(|record| record.is_over(now));
            assert_eq!(world.records().iter().filter(is_over).count(), 0);
            let gone = before.iter().filter(is_over).count();
            assert!(gone <= swept, "{gone} of {swept}");
            Event::sweep::<BackendError>(now, &Ok(swept))
        }
        _ => {
            world.now = now.saturating_add(u64::from(which));
            let lease = LeaseTransition::Take(AttemptId([which; 16]));
            let leased = world.store.leases(name, now, &LeaseRules::EXCLUSIVE, lease);
            Event::leases(now, name, lease, &leased)
        }
    };
    world.line(&event);
    assert!(world.store.len() <= TOKENS);
    assert!(!format!("{:?}", world.store).contains(PLACE));
}

fn check(data: &[u8]) {
    let (steps, draws) = data.split_at(data.len().min(2 * STEPS + 1).min(data.len() / 2 + 1).min(data.len()));
    let mut input = Input::new(steps);
    let secrets: Vec<Secret> = (0..TOKENS)
        .map(|at| Secret::uuid4(&[u8::try_from(at).expect("few"); 16]))
        .collect();
    let peppers = Peppers::new(Pepper::new(&[1; 32]).expect("long enough"));
    let mut world = World {
        store: MemoryStore::new(usize::from(input.byte()) % (TOKENS + 1)),
        hashes: secrets.iter().map(|secret| peppers.hash(secret)).collect(),
        secrets,
        now: UnixSeconds(1000),
    };
    let mut draws = Unstructured::new(draws);
    while !input.is_empty() {
        let (what, which) = (input.byte(), input.byte());
        step(&mut world, &mut draws, what, which);
    }
}
