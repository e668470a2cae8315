//! A model that remembers everything, and sequences of operations on a store and on the model.
//!
//! The crate keeps a state: counters, flags, and the open sessions. The model keeps none. It keeps the
//! history of each token, every transition that was ever accepted, and answers each question by reading
//! the history from the start. Times are `u128`, so that nothing can overflow.
//!
//! A sequence is read from bytes (when they are used up every byte is 0):
//!
//! ```text
//! | operation u8 | token u8 | its arguments, a byte each |   and so on
//! ```
//!
//! Used by the property tests, by the suite that each store passes, and by the fuzz target `token_grants`.

mod history;
mod ops;

use std::sync::Arc;

use console_token::{
    Admitted, ConsoleType, Grant, Record, Refusal, SessionId, Store, StoreError, Target, TokenHash, TokenSelector,
    UnixSeconds,
};
use history::{Done, Token};
pub(crate) use ops::{Op, read};

/// How many tokens the operations are about.
pub(crate) const TOKENS: usize = 4;

/// Up to this moment a sweep takes everything that is over: see [`Store::sweep`].
const FAR: u64 = 1 << 52;

/// A store under test and the model, side by side.
pub(crate) struct Both<'a> {
    store: &'a dyn Store,
    /// How many records the store holds at most.
    limit: usize,
    /// Tokens of this sequence: distinct from those of others in the same store.
    salt: [u8; 8],
    model: [Option<Token>; TOKENS],
}

/// What an operation gave, in the same words for both.
#[derive(Debug, PartialEq)]
pub(crate) enum Gave {
    Nothing,
    Count(usize),
    Grant(Arc<Grant>),
    Session(SessionId, Arc<Grant>),
    Refused(Refusal),
    Full,
    Duplicate,
}

fn gave<T, B: core::fmt::Debug>(result: Result<T, StoreError<B>>, done: impl FnOnce(T) -> Gave) -> Gave {
    match result {
        Ok(value) => done(value),
        Err(StoreError::Refused(refusal)) => Gave::Refused(refusal),
        Err(StoreError::Full { .. }) => Gave::Full,
        Err(StoreError::Duplicate) => Gave::Duplicate,
        Err(other) => panic!("the store failed: {other:?}"),
    }
}

/// Runs a sequence against a store that holds at most `limit` records and nothing of this salt. `seen` is
/// told of each operation and of what it gave.
///
/// # Panics
///
/// Where store and model differ, and where a refused operation leaves a trace.
pub(crate) async fn run(store: &dyn Store, limit: usize, salt: [u8; 8], data: &[u8], mut seen: impl FnMut(&Op, &Gave)) {
    let mut both = Both {
        store,
        limit,
        salt,
        model: [const { None }; TOKENS],
    };
    for op in read(data) {
        let before = both.records().await;
        let (got, expected) = (both.on_store(&op).await, both.on_model(&op));
        assert_eq!(got, expected, "{op:?}");
        let after = both.records().await;
        both.swept(&op, &after);
        if matches!(got, Gave::Refused(_) | Gave::Full | Gave::Duplicate) {
            assert_eq!(after, before, "{op:?} was refused and left a trace");
        }
        both.compare(&after, &op);
        seen(&op, &got);
    }
}

impl Both<'_> {
    /// The tokens 0 and 1 have the same fingerprint and the same shard, 2 and 3 differ.
    fn hash(&self, token: usize) -> TokenHash {
        let mut bytes = [u8::try_from(token / 2 * token).unwrap(); 32];
        bytes[..8].copy_from_slice(&self.salt);
        bytes[0] ^= u8::try_from(token / 2).unwrap();
        bytes[8] = u8::try_from(token % 2).unwrap();
        TokenHash::from_bytes(bytes)
    }

    /// The name of the salt, so that no other sequence's tokens are revoked.
    fn name(&self, name: u8) -> String {
        format!("{}-{name}", u64::from_le_bytes(self.salt))
    }

    fn grant(&self, op: &ops::NewGrant) -> Grant {
        let mut grant = Grant::new(target(0), ConsoleType::SpiceHtml5, UnixSeconds(op.not_before), op.ttl);
        grant.uses = op.uses;
        grant.scope = op.scope;
        grant.skew = op.skew;
        grant.max_sessions = op.max_sessions;
        grant.session_limit = op.session_limit;
        grant.session_end = op.session_end.map(UnixSeconds);
        grant.audience = op.audience.then(|| ops::AUDIENCE.into());
        grant.vm = Some(self.name(op.owner % 2).into());
        grant.user = Some(self.name(op.owner / 2 % 2).into());
        grant.issuer = (op.owner / 4 % 2 == 1).then(|| self.name(0).into());
        grant
    }

    async fn on_store(&self, op: &Op) -> Gave {
        let store = self.store;
        match op {
            Op::Insert { token, grant } => {
                let done = store.insert(&self.hash(*token), &self.grant(grant)).await;
                gave(done, |()| Gave::Nothing)
            }
            Op::Check { token, context } => gave(store.check(&self.hash(*token), *context).await, Gave::Grant),
            Op::Transition {
                token,
                context,
                transition,
            } => {
                let done = store.apply(&self.hash(*token), *context, *transition).await;
                gave(done, |Admitted { session, grant, .. }| Gave::Session(session, grant))
            }
            Op::Exchange {
                token,
                context,
                new,
                ttl,
            } => {
                let (old, new) = (self.hash(*token), self.hash(*new));
                gave(store.exchange(&old, *context, &new, *ttl).await, Gave::Grant)
            }
            Op::Revoke { which } => {
                let (hash, name) = (self.hash(which.token), self.name(which.name));
                gave(store.revoke(which.of(&hash, &name)).await, Gave::Count)
            }
            Op::Retarget { which, console, to } => {
                let (hash, name) = (self.hash(which.token), self.name(which.name));
                let done = store.retarget(which.of(&hash, &name), *console, &target(*to)).await;
                gave(done, Gave::Count)
            }
            Op::Sweep { now } => {
                let done = store.sweep(UnixSeconds(*now), core::num::NonZeroU32::MAX).await;
                gave(done, |_| Gave::Nothing)
            }
        }
    }

    fn on_model(&mut self, op: &Op) -> Gave {
        match op {
            Op::Insert { token, grant } => {
                let grant = self.grant(grant);
                let full = self.model.iter().flatten().count() == self.limit;
                match &mut self.model[*token] {
                    Some(_) => Gave::Duplicate,
                    None if full => Gave::Full,
                    slot => {
                        *slot = Some(Token::new(grant));
                        Gave::Nothing
                    }
                }
            }
            Op::Check { token, context } => self.ask(*token, |token| {
                token.check(context)?;
                Ok(Gave::Grant(token.grant().into()))
            }),
            Op::Transition {
                token,
                context,
                transition,
            } => self.ask(*token, |token| {
                let session = token.transition(context, *transition)?;
                Ok(Gave::Session(session, token.grant().into()))
            }),
            Op::Exchange {
                token,
                context,
                new,
                ttl,
            } => self.exchange(*token, context, *new, *ttl),
            Op::Revoke { which } => self.each(which, |token| {
                let first = !token.revoked();
                token.history.push(Done::Revoke);
                first
            }),
            Op::Retarget { which, console, to } => self.each(which, |token| {
                let fits = token.grant().console == *console;
                if fits {
                    token.history.push(Done::Retarget { to: *to });
                }
                fits
            }),
            Op::Sweep { now } => {
                for slot in &mut self.model {
                    slot.take_if(|token| token.over(*now) && *now <= FAR);
                }
                Gave::Nothing
            }
        }
    }

    /// By a clock so far ahead a store may keep what is over, as long as it keeps what is not.
    fn swept(&mut self, op: &Op, records: &[Option<Record>; TOKENS]) {
        let Op::Sweep { now } = op else { return };
        for (slot, record) in self.model.iter_mut().zip(records) {
            slot.take_if(|token| token.over(*now) && record.is_none());
        }
    }

    fn ask(&mut self, token: usize, transition: impl FnOnce(&mut Token) -> Result<Gave, Refusal>) -> Gave {
        let token = self.model[token].as_mut().ok_or(Refusal::Unknown);
        token.and_then(transition).unwrap_or_else(Gave::Refused)
    }

    fn exchange(&mut self, token: usize, context: &console_token::VerifyContext<'_>, new: usize, ttl: u64) -> Gave {
        let mut attempt = [0; 16];
        attempt.copy_from_slice(&self.hash(new).as_bytes()[..16]);
        let attempt = console_token::AttemptId(attempt);
        let known = self.model[new].as_ref().map(|token| Arc::new(token.grant()));
        let full = self.model.iter().flatten().count() == self.limit;
        let Some(old) = &mut self.model[token] else {
            return Gave::Refused(Refusal::Unknown);
        };
        match (known, old.answered(attempt)) {
            (Some(_), None) => return Gave::Duplicate,
            (None, Some(_)) => return Gave::Refused(Refusal::Spent),
            (Some(known), Some(_)) => {
                return match old.exchange(context, attempt) {
                    Ok(()) => Gave::Grant(known),
                    Err(refusal) => Gave::Refused(refusal),
                };
            }
            (None, None) => {}
        }
        let transitions = old.history.len();
        if let Err(refusal) = old.exchange(context, attempt) {
            return Gave::Refused(refusal);
        }
        if full {
            old.history.truncate(transitions);
            return Gave::Full;
        }
        let mut grant = old.grant();
        grant.not_before = context.now;
        grant.expires = UnixSeconds(context.now.0.saturating_add(ttl));
        grant.uses = console_token::Uses::ONCE;
        grant.scope = console_token::Scope::SpiceSession;
        self.model[new] = Some(Token::new(grant.clone()));
        Gave::Grant(grant.into())
    }

    fn each(&mut self, which: &ops::WhichOf, mut change: impl FnMut(&mut Token) -> bool) -> Gave {
        let name = self.name(which.name);
        let (hash, hashes) = (self.hash(which.token), [0, 1, 2, 3].map(|token| self.hash(token)));
        let mut count = 0;
        for (slot, own) in self.model.iter_mut().zip(hashes) {
            let Some(token) = slot else { continue };
            let named = match which.of(&hash, &name) {
                TokenSelector::Token(hash) => own == *hash,
                TokenSelector::Fingerprint(fingerprint) => own.fingerprint() == *fingerprint,
                TokenSelector::Vm(name) => token.grant().vm.as_deref() == Some(name),
                TokenSelector::User(name) => token.grant().user.as_deref() == Some(name),
                TokenSelector::Issuer(name) => token.grant().issuer.as_deref() == Some(name),
            };
            count += usize::from(named && change(token));
        }
        Gave::Count(count)
    }

    async fn records(&self) -> [Option<Record>; TOKENS] {
        let mut records = [const { None }; TOKENS];
        for (token, record) in records.iter_mut().enumerate() {
            *record = self.store.record(&self.hash(token)).await.expect("a working store");
        }
        records
    }

    /// What can be seen of the store must be what the model says.
    fn compare(&self, records: &[Option<Record>; TOKENS], op: &Op) {
        for (record, model) in records.iter().zip(&self.model) {
            let (Some(record), Some(model)) = (record, model) else {
                assert!(record.is_none() && model.is_none(), "{op:?}");
                continue;
            };
            assert_eq!(**record.grant(), model.grant(), "{op:?}");
            assert_eq!(record.is_revoked(), model.revoked(), "{op:?}");
            let left = record.uses_left().map(|left| usize::try_from(left).unwrap());
            assert_eq!(left, model.uses_left(), "{op:?}");
            let open: Vec<_> = model
                .open()
                .map(|id| (SessionId::new(id), model.connection_id(id)))
                .collect();
            assert_eq!(record.sessions().collect::<Vec<_>>(), open, "{op:?}");
        }
    }
}

/// Targets that differ in what they lead to, and in their form.
fn target(number: u8) -> Target {
    match number {
        0 => Target::Unix {
            path: "/run/console".into(),
        },
        _ => Target::Host {
            host: format!("h{number}\u{e9}\"\\"),
            port: (number < 3).then_some(5900),
            tls_port: Some(u16::from(number)),
        },
    }
}
