//! Random sequences of operations against a model that remembers everything.
//!
//! The crate keeps a state: a counter and the open sessions. The model keeps none. It keeps the
//! history of each token, every step that was ever accepted, and answers each question by
//! reading the history from the start. Times are `u128`, so that nothing can overflow.

use console_token::{
    ConsoleType, Grant, MAX_OPEN_SESSIONS, MemoryStore, Record, Refusal, Scope, SessionId, Store as _, StoreError,
    Target, TokenHash, UnixSeconds, Uses,
};
use core::num::NonZeroU32;
use proptest::{collection::vec, prelude::*};

const TOKENS: usize = 4;
/// One less than there are tokens, so that the store is full now and then.
const LIMIT: usize = 3;

#[derive(Clone, Debug)]
enum Op {
    Insert {
        token: usize,
        grant: Grant,
    },
    Check {
        token: usize,
        now: u64,
    },
    Redeem {
        token: usize,
        now: u64,
    },
    Claim {
        token: usize,
        now: u64,
    },
    /// `nth`: the session of the nth claim of this token.
    Bind {
        token: usize,
        nth: usize,
        connection_id: u32,
    },
    Release {
        token: usize,
        nth: usize,
    },
    Join {
        token: usize,
        now: u64,
        connection_id: u32,
    },
    Close {
        token: usize,
        nth: usize,
    },
    Purge {
        now: u64,
    },
}

/// What was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Redeem,
    Claim { now: u64 },
    Bind { nth: usize, connection_id: u32 },
    Release { nth: usize },
    Close { nth: usize },
}

struct Token {
    grant: Grant,
    history: Vec<Step>,
}

impl Token {
    fn claims(&self) -> usize {
        self.history
            .iter()
            .filter(|step| matches!(step, Step::Claim { .. }))
            .count()
    }

    /// Where in the history the nth claim stands, and when it was.
    fn claim(&self, nth: usize) -> (usize, u64) {
        let mut claims = self.history.iter().enumerate().filter_map(|(index, step)| match step {
            Step::Claim { now } => Some((index, *now)),
            _ => None,
        });
        claims.nth(nth).unwrap()
    }

    fn overdue(&self, nth: usize, now: u64) -> bool {
        let end = |limit| u128::from(self.claim(nth).1) + u128::from(limit);
        let last = u128::from(u64::MAX);
        self.grant
            .session_limit
            .is_some_and(|limit| end(limit).min(last) <= u128::from(now))
    }

    /// Released, closed, or overdue when a later claim came.
    fn ended(&self, nth: usize) -> bool {
        let later = &self.history[self.claim(nth).0 + 1..];
        later.iter().any(|step| match *step {
            Step::Release { nth: other } | Step::Close { nth: other } => other == nth,
            Step::Claim { now } => self.overdue(nth, now),
            Step::Redeem | Step::Bind { .. } => false,
        })
    }

    fn open(&self) -> impl Iterator<Item = usize> {
        (0..self.claims()).filter(|nth| !self.ended(*nth))
    }

    fn live(&self, now: u64) -> usize {
        self.open().filter(|nth| !self.overdue(*nth, now)).count()
    }

    fn connection_id(&self, nth: usize) -> Option<u32> {
        self.history.iter().find_map(|step| match *step {
            Step::Bind {
                nth: other,
                connection_id,
            } if other == nth => Some(connection_id),
            _ => None,
        })
    }

    fn uses_left(&self) -> Option<usize> {
        let Uses::Limited(uses) = self.grant.uses else {
            return None;
        };
        let count = |wanted: fn(&Step) -> bool| self.history.iter().filter(|step| wanted(step)).count();
        let spent = count(|step| matches!(step, Step::Redeem | Step::Claim { .. }));
        let returned = count(|step| matches!(step, Step::Release { .. }));
        Some(usize::try_from(uses.get()).unwrap() + returned - spent)
    }

    fn over(&self, now: u64) -> bool {
        self.grant.expires.0 <= now && self.live(now) == 0
    }

    fn scope(&self, scope: Scope) -> Result<(), Refusal> {
        if self.grant.scope == scope {
            Ok(())
        } else {
            Err(Refusal::WrongScope)
        }
    }

    fn check(&self, now: u64) -> Result<(), Refusal> {
        if now < self.grant.not_before.0 {
            Err(Refusal::NotYetValid)
        } else if now >= self.grant.expires.0 {
            Err(Refusal::Expired)
        } else if self.uses_left() == Some(0) {
            Err(Refusal::Spent)
        } else if self.live(now) >= MAX_OPEN_SESSIONS {
            Err(Refusal::TooManySessions)
        } else {
            Ok(())
        }
    }

    fn redeem(&mut self, now: u64) -> Result<(), Refusal> {
        self.scope(Scope::Connection)?;
        self.check(now)?;
        self.history.push(Step::Redeem);
        Ok(())
    }

    fn claim_now(&mut self, now: u64) -> Result<usize, Refusal> {
        self.scope(Scope::SpiceSession)?;
        self.check(now)?;
        self.history.push(Step::Claim { now });
        Ok(self.claims() - 1)
    }

    fn session(&self, nth: usize) -> Result<(), Refusal> {
        match nth < self.claims() {
            true if self.ended(nth) => Err(Refusal::SessionClosed),
            true => Ok(()),
            false => Err(Refusal::NoSuchSession),
        }
    }

    fn bind(&mut self, nth: usize, connection_id: u32) -> Result<(), Refusal> {
        self.scope(Scope::SpiceSession)?;
        if connection_id == 0 {
            return Err(Refusal::ZeroConnectionId);
        }
        self.session(nth)?;
        if let Some(bound) = self.connection_id(nth) {
            return if bound == connection_id {
                Ok(())
            } else {
                Err(Refusal::AlreadyBound)
            };
        }
        if self
            .open()
            .any(|other| self.connection_id(other) == Some(connection_id))
        {
            return Err(Refusal::ConnectionIdInUse);
        }
        self.history.push(Step::Bind { nth, connection_id });
        Ok(())
    }

    fn release(&mut self, nth: usize) -> Result<(), Refusal> {
        self.scope(Scope::SpiceSession)?;
        self.session(nth)?;
        if self.connection_id(nth).is_some() {
            return Err(Refusal::AlreadyBound);
        }
        self.history.push(Step::Release { nth });
        Ok(())
    }

    fn join(&self, now: u64, connection_id: u32) -> Result<usize, Refusal> {
        self.scope(Scope::SpiceSession)?;
        if connection_id == 0 {
            return Err(Refusal::ZeroConnectionId);
        }
        if let Some(nth) = self.open().find(|nth| self.connection_id(*nth) == Some(connection_id)) {
            return if self.overdue(nth, now) {
                Err(Refusal::SessionExpired)
            } else {
                Ok(nth)
            };
        }
        if self.claims() > 0 && self.open().count() == 0 {
            Err(Refusal::SessionClosed)
        } else if self.open().all(|nth| self.connection_id(nth).is_none()) {
            Err(Refusal::NotBound)
        } else {
            Err(Refusal::NoSuchSession)
        }
    }

    fn close(&mut self, nth: usize) -> Result<(), Refusal> {
        self.scope(Scope::SpiceSession)?;
        self.session(nth)?;
        self.history.push(Step::Close { nth });
        Ok(())
    }
}

/// The store under test and the model, side by side.
struct Both {
    store: MemoryStore,
    model: [Option<Token>; TOKENS],
    /// The id that the store gave for each claim of each token.
    ids: [Vec<SessionId>; TOKENS],
}

/// What an operation gave: the number of the claim, where there is one.
type Outcome = Result<Option<usize>, StoreError>;

impl Both {
    fn new() -> Self {
        Self {
            store: MemoryStore::new(LIMIT),
            model: [const { None }; TOKENS],
            ids: [const { Vec::new() }; TOKENS],
        }
    }

    /// The tokens 0 and 1 have the same fingerprint.
    fn hash(token: usize) -> TokenHash {
        let mut bytes = [u8::try_from(token / 2).unwrap(); 32];
        bytes[31] = u8::try_from(token % 2).unwrap();
        TokenHash::from_bytes(bytes)
    }

    fn id(&self, token: usize, nth: usize) -> SessionId {
        self.ids[token].get(nth).copied().unwrap_or(SessionId::new(1 << 40))
    }

    /// The claim that an id belongs to; a new id is that of the next claim.
    fn nth(&mut self, token: usize, id: SessionId) -> usize {
        let ids = &mut self.ids[token];
        ids.iter().position(|known| *known == id).unwrap_or_else(|| {
            ids.push(id);
            ids.len() - 1
        })
    }

    fn on_model<T>(
        &mut self,
        token: usize,
        step: impl FnOnce(&mut Token) -> Result<T, Refusal>,
    ) -> Result<T, StoreError> {
        let token = self.model[token].as_mut().ok_or(Refusal::Unknown)?;
        Ok(step(token)?)
    }

    /// Applies the operation to both; what the store and what the model gave.
    fn apply(&mut self, op: &Op) -> (Outcome, Outcome) {
        let store = &mut self.store;
        match *op {
            Op::Insert { token, ref grant } => {
                let got = store.insert(Self::hash(token), grant.clone());
                let count = self.model.iter().flatten().count();
                let expected = match self.model[token] {
                    Some(_) => Err(StoreError::Duplicate),
                    None if count == LIMIT => Err(StoreError::Full { limit: LIMIT }),
                    None => {
                        self.model[token] = Some(Token {
                            grant: grant.clone(),
                            history: Vec::new(),
                        });
                        self.ids[token].clear();
                        Ok(None)
                    }
                };
                (got.map(|()| None), expected)
            }
            Op::Check { token, now } => {
                let got = store.check(&Self::hash(token), UnixSeconds(now));
                let expected = self.on_model(token, |model| model.check(now));
                (got.map(|_| None), expected.map(|()| None))
            }
            Op::Redeem { token, now } => {
                let got = store.redeem(&Self::hash(token), UnixSeconds(now));
                let expected = self.on_model(token, |model| model.redeem(now));
                (got.map(|_| None), expected.map(|()| None))
            }
            Op::Claim { token, now } => {
                let got = store.claim(&Self::hash(token), UnixSeconds(now));
                let expected = self.on_model(token, |model| model.claim_now(now));
                (got.map(|got| Some(self.nth(token, got.session))), expected.map(Some))
            }
            Op::Bind {
                token,
                nth,
                connection_id,
            } => {
                let id = self.id(token, nth);
                let got = self.store.bind(&Self::hash(token), id, connection_id);
                let expected = self.on_model(token, |model| model.bind(nth, connection_id));
                (got.map(|()| None), expected.map(|()| None))
            }
            Op::Release { token, nth } => {
                let id = self.id(token, nth);
                let got = self.store.release(&Self::hash(token), id);
                let expected = self.on_model(token, |model| model.release(nth));
                (got.map(|()| None), expected.map(|()| None))
            }
            Op::Join {
                token,
                now,
                connection_id,
            } => {
                let got = store.join(&Self::hash(token), UnixSeconds(now), connection_id);
                let expected = self.on_model(token, |model| model.join(now, connection_id));
                (got.map(|got| Some(self.nth(token, got.session))), expected.map(Some))
            }
            Op::Close { token, nth } => {
                let id = self.id(token, nth);
                let got = self.store.close(&Self::hash(token), id);
                let expected = self.on_model(token, |model| model.close(nth));
                (got.map(|()| None), expected.map(|()| None))
            }
            Op::Purge { now } => {
                let got = store.purge(UnixSeconds(now));
                let mut dropped = 0;
                for slot in &mut self.model {
                    if slot.take_if(|token| token.over(now)).is_some() {
                        dropped += 1;
                    }
                }
                (Ok(Some(got)), Ok(Some(dropped)))
            }
        }
    }

    fn records(&self) -> Vec<Option<Record>> {
        (0..TOKENS)
            .map(|token| self.store.record(&Self::hash(token)).cloned())
            .collect()
    }

    /// What can be seen of the store must be what the model says.
    fn compare(&self) -> Result<(), TestCaseError> {
        prop_assert_eq!(self.store.len(), self.model.iter().flatten().count());
        prop_assert_eq!(self.store.is_empty(), self.model.iter().all(Option::is_none));
        for (index, (record, model)) in self.records().iter().zip(&self.model).enumerate() {
            let (Some(record), Some(model)) = (record, model) else {
                prop_assert!(record.is_none() && model.is_none());
                continue;
            };
            prop_assert_eq!(record.grant(), &model.grant);
            let left = record.uses_left().map(|left| usize::try_from(left).unwrap());
            prop_assert_eq!(left, model.uses_left());
            let open: Vec<_> = model
                .open()
                .map(|nth| (self.ids[index][nth], model.connection_id(nth).and_then(NonZeroU32::new)))
                .collect();
            prop_assert_eq!(record.sessions().collect::<Vec<_>>(), open);
        }
        Ok(())
    }
}

/// Near the start or the end of time, so that the ends of grants and sessions are met often.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..16_u64, 1 => u64::MAX - 2..=u64::MAX]
}

fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..16_u64, 1 => u64::MAX - 16..=u64::MAX]
}

fn grant() -> impl Strategy<Value = Grant> {
    let uses = prop_oneof![
        1 => Just(Uses::Unlimited),
        3 => (1..4_u32).prop_map(|n| Uses::Limited(NonZeroU32::new(n).unwrap())),
    ];
    let scope = prop_oneof![1 => Just(Scope::Connection), 3 => Just(Scope::SpiceSession)];
    (time(), seconds(), uses, scope, proptest::option::of(seconds())).prop_map(
        |(not_before, ttl, uses, scope, session_limit)| {
            let target = Target::Unix {
                path: "/run/console".into(),
            };
            let grant = Grant::new(target, ConsoleType::SpiceHtml5, UnixSeconds(not_before), ttl);
            let mut grant = grant.with_uses(uses).with_scope(scope);
            grant.session_limit = session_limit;
            grant
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let token = || 0..TOKENS;
    let nth = || 0..5_usize;
    let connection_id = || 0..4_u32;
    prop_oneof![
        3 => (token(), grant()).prop_map(|(token, grant)| Op::Insert { token, grant }),
        1 => (token(), time()).prop_map(|(token, now)| Op::Check { token, now }),
        3 => (token(), time()).prop_map(|(token, now)| Op::Redeem { token, now }),
        6 => (token(), time()).prop_map(|(token, now)| Op::Claim { token, now }),
        5 => (token(), nth(), connection_id())
            .prop_map(|(token, nth, connection_id)| Op::Bind { token, nth, connection_id }),
        2 => (token(), nth()).prop_map(|(token, nth)| Op::Release { token, nth }),
        5 => (token(), time(), connection_id())
            .prop_map(|(token, now, connection_id)| Op::Join { token, now, connection_id }),
        2 => (token(), nth()).prop_map(|(token, nth)| Op::Close { token, nth }),
        1 => time().prop_map(|now| Op::Purge { now }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_store_does_what_the_model_does(ops in vec(op(), 0..100)) {
        let mut both = Both::new();
        for op in &ops {
            let before = both.records();
            let (got, expected) = both.apply(op);
            prop_assert_eq!(got, expected, "{:?}", op);
            if got.is_err() {
                prop_assert_eq!(both.records(), before, "{:?} was refused and left a trace", op);
            }
            both.compare()?;
        }
    }
}
