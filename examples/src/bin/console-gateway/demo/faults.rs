//! The rules that the demo can switch off one at a time, to show that it would notice. The gateway itself keeps all: what
//! breaks one is put around its store, in the place of its refusal, or into what stands behind it.

use std::sync::Arc;

use console_token::spice::Denial;
use console_token::{
    Admitted, AttemptId, ConsoleType, Grant, LeaseRules, LeaseTransition, Refusal, StoreError, Target, TokenHash,
    Transition, UnixSeconds, VerifyContext, WhenFull,
};
use spice_proto::ids::LinkErrorCode;
use spice_proto::link;

use super::store::Faulty;
use crate::cli::Break;
use crate::random::random_bytes;
use crate::sync::lock;

/// What a refused viewer of SPICE gets: the same for all reasons, or what gives the reason away.
pub(super) fn refuses_with(broken: Option<Break>) -> fn(&Denial) -> link::Refusal {
    match broken {
        Some(Break::LeakReason) => leak,
        _ => |_| link::Refusal::DENIED,
    }
}

/// A refusal that shows its reason.
fn leak(denial: &Denial) -> link::Refusal {
    link::Refusal::Code(match denial {
        Denial::Token(Refusal::Expired) => LinkErrorCode::ERROR,
        Denial::Token(Refusal::Spent) => LinkErrorCode::INVALID_DATA,
        _ => LinkErrorCode::PERMISSION_DENIED,
    })
}

impl Faulty {
    /// The grant as it is kept: of one whose policy is forgotten, without it.
    pub(super) fn kept(&self, grant: &Grant) -> Grant {
        let mut grant = grant.clone();
        let context = grant.context.as_deref().filter(|_| self.breaks(Break::ForgetPolicy));
        if let Some(serde_json::Value::Object(mut context)) = context.and_then(|text| serde_json::from_str(text).ok()) {
            context.remove("rules");
            grant = grant.with_context(&serde_json::Value::from(context).to_string());
        }
        grant
    }

    pub(super) fn applied(
        &self,
        hash: &TokenHash,
        context: VerifyContext<'_>,
        transition: Transition,
    ) -> Result<Admitted, StoreError> {
        let newest = self.newest(hash);
        if let (Transition::Release(session), true) = (transition, self.breaks(Break::KeepUse)) {
            // The session is over, and its use is not given back.
            return self.memory.apply(&newest, &context, Transition::Close(session));
        }
        match (self.memory.apply(&newest, &context, transition), transition) {
            (Err(StoreError::Refused(refusal)), Transition::Claim(_)) => {
                let let_in = self.let_in(hash, context, transition, refusal);
                let_in.ok_or(StoreError::Refused(refusal))
            }
            (applied, _) => applied,
        }
    }

    /// The record that stands for this one now.
    fn newest(&self, hash: &TokenHash) -> TokenHash {
        let again = lock(&self.again);
        let newest = again.iter().rev().find(|(old, _)| old == hash);
        newest.map_or(*hash, |(_, new)| *new)
    }

    /// Lets a refused token in, as if it had just been made.
    fn let_in(
        &self,
        hash: &TokenHash,
        context: VerifyContext<'_>,
        transition: Transition,
        refusal: Refusal,
    ) -> Option<Admitted> {
        let grant = self.memory.record(hash).map(|record| Grant::clone(record.grant()));
        match refusal {
            Refusal::Expired if self.breaks(Break::AcceptExpired) => {
                let context = VerifyContext::at(grant?.not_before);
                return self.memory.apply(hash, &context, transition).ok();
            }
            Refusal::Spent if self.breaks(Break::AcceptReplay) => {
                let new = TokenHash::from_bytes(random_bytes());
                self.memory.insert(&new, &grant?).ok()?;
                lock(&self.again).push((*hash, new));
                return self.memory.apply(&new, &context, transition).ok();
            }
            Refusal::Unknown if self.breaks(Break::AcceptWrong) => {}
            _ => return None,
        }
        let target = Target::Host {
            host: self.guest.clone(),
            port: None,
            tls_port: None,
        };
        let grant = Grant::new(target, ConsoleType::SpiceDirect, context.now, 60).with_vm(&self.guest);
        self.memory.insert(hash, &grant).ok()?;
        self.memory.apply(hash, &context, transition).ok()
    }

    /// An exchange that takes no use, and so can be had again. `None`: the rule is kept.
    pub(super) fn exchanged_again(
        &self,
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        new: &TokenHash,
        ttl: u64,
    ) -> Option<Result<Arc<Grant>, StoreError>> {
        let record = self.memory.record(hash).filter(|_| self.breaks(Break::ExchangeTwice))?;
        let grant = record.grant().exchanged(context.now, ttl);
        let inserted = self.memory.insert(new, &grant);
        Some(inserted.map(|()| Arc::new(grant)))
    }

    /// A replacement that leaves the old token as it was. `None`: the rule is kept.
    pub(super) fn copied(&self, old: &TokenHash, new: &TokenHash) -> Option<Result<Arc<Grant>, StoreError>> {
        let record = self.memory.record(old).filter(|_| self.breaks(Break::KeepReplaced))?;
        let grant = record.grant().clone();
        Some(self.memory.insert(new, &grant).map(|()| grant))
    }

    pub(super) fn leased(
        &self,
        console: &str,
        now: UnixSeconds,
        rules: &LeaseRules,
        transition: LeaseTransition,
    ) -> Result<Vec<AttemptId>, StoreError> {
        let mut rules = *rules;
        if self.breaks(Break::IgnoreForce) {
            rules.when_full = WhenFull::Refuse;
        }
        if self.breaks(Break::KeepSeat) {
            rules.hung = None;
        }
        let leased = self.memory.leases(console, now, &rules, transition);
        match leased {
            Err(StoreError::Refused(Refusal::Busy)) if self.breaks(Break::SeatTwice) => Ok(Vec::new()),
            leased => leased,
        }
    }

    /// The time that a note is looked at by: one before all time, where tickets are kept for ever.
    pub(super) fn note_time(&self, name: &str, now: UnixSeconds) -> UnixSeconds {
        if self.breaks(Break::KeepTicket) && name.starts_with("ticket/") {
            return UnixSeconds(0);
        }
        now
    }
}
