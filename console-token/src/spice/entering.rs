//! How a connection enters a session: claim, join and reopen.

use alloc::sync::Arc;
use core::num::NonZeroU32;

use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;
use spice_proto::session::tracker::Reason;
use spice_proto::session::{Entry, SessionKey};

use super::books::{Entered, Open, Presented};
use super::{Denial, TokenSessions};
use crate::gate::Taken;
use crate::{
    Admitted, AttemptId, BackendError, Grant, Refusal, SessionId, StoreError, TokenHash, Transition, UnixSeconds,
};

/// For how many seconds a session can be reopened, once its viewer is there again: longer than a store is asked.
const REOPEN: u64 = 30;

impl TokenSessions {
    /// The session that a connection with this token opens or belongs to. Whether it may join is for the tracker to say.
    pub(super) async fn enter(&self, presented: Presented, request: &LinkMess) -> Result<Entered, Denial> {
        let entered = if (request.channel_type, request.connection_id) == (ChannelType::MAIN, 0) {
            match self.again(&presented).await? {
                Some(entered) => Ok(entered),
                None => self.claim(&presented).await,
            }
        } else {
            self.join(&presented, request.connection_id).await
        };
        match presented.flaw {
            None => entered,
            Some(flaw) => Err(flaw),
        }
    }

    /// The main channel of a session that is there comes again: spends nothing.
    async fn again(&self, presented: &Presented) -> Result<Option<Entered>, Denial> {
        if let Some(entered) = self.reopen(presented).await? {
            return Ok(Some(entered));
        }
        if let Some(entered) = self.reopen_elsewhere(presented).await? {
            return Ok(Some(entered));
        }
        self.resume(presented).await
    }

    /// The main channel of a new session: spends a use.
    async fn claim(&self, presented: &Presented) -> Result<Entered, Denial> {
        let attempt = AttemptId(self.gate.random_bytes());
        for hash in &presented.hashes {
            match self.take(hash, Transition::Claim(attempt), None).await {
                Err(Denial::Token(Refusal::Unknown)) => {}
                answer => return answer,
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// A session that begins here, in the store's books too.
    ///
    /// It stands in our books before the store is asked. If the answer is lost, or this future is dropped, the claim is
    /// given back and [`run`](Self::run) settles with the store what became of it.
    async fn take(&self, hash: &TokenHash, by: Transition, until: Option<UnixSeconds>) -> Result<Entered, Denial> {
        let claim = self.hub.claim();
        let key = claim.key();
        let taken = Taken::new(&self.gate, hash, by);
        self.lock().insert(key, Open::new(taken, until));
        match self.gate.ask(hash, by).await {
            Ok(admitted) => {
                if let Some(open) = self.lock().get_mut(&key) {
                    open.begins(&admitted);
                }
                Ok(Entered::here(Entry::Open(claim), admitted.grant))
            }
            Err(error) => {
                // If it was refused, nothing was taken.
                if !matches!(error, StoreError::Backend(_)) {
                    self.lock().remove(&key);
                }
                Err(error.into())
            }
        }
    }

    /// The main channel of a session that broke off comes again: spends nothing. Of several viewers one gets it.
    async fn resume(&self, presented: &Presented) -> Result<Option<Entered>, Denial> {
        if self.settings.reconnect.is_zero() {
            return Ok(None);
        }
        for hash in &presented.hashes {
            let record = self.gate.record(hash).await?.filter(|record| !record.is_revoked());
            let Some(record) = record else { continue };
            for (session, until) in self.gate.suspended(&record) {
                let attempt = AttemptId(self.gate.random_bytes());
                match self
                    .take(hash, Transition::Resume { attempt, session }, Some(until))
                    .await
                {
                    // Another viewer was there before, or it has ended.
                    Err(Denial::Token(
                        Refusal::NotSuspended
                        | Refusal::NoSuchSession
                        | Refusal::SessionClosed
                        | Refusal::SessionExpired,
                    )) => {}
                    answer => return answer.map(Some),
                }
            }
        }
        Ok(None)
    }

    /// A further channel of an open session: spends nothing.
    async fn join(&self, presented: &Presented, connection_id: u32) -> Result<Entered, Denial> {
        for hash in &presented.hashes {
            match self.joined(hash, connection_id).await {
                Ok(admitted) => {
                    let shown = hash;
                    let hash = admitted.replaced_by.unwrap_or(*shown);
                    if let Some(entered) = self.opened(&hash, admitted.session) {
                        return Ok(entered);
                    }
                    if let Some(gateway) = self.owner([shown, &hash], admitted.session).await? {
                        return Ok(Entered::elsewhere(gateway, admitted.grant));
                    }
                    // Its token may have been replaced since it was last asked for.
                    let number = Some(admitted.session);
                    self.attend_some(&|_| {}, |open| open.taken.session == number).await;
                    let entered = self.opened(&hash, admitted.session);
                    return entered.ok_or(Denial::Session(Reason::Ended));
                }
                Err(StoreError::Refused(Refusal::Unknown)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Unknown.into())
    }

    async fn joined(&self, hash: &TokenHash, connection_id: u32) -> Result<Admitted, StoreError<BackendError>> {
        let join = Transition::Join { connection_id };
        let answer = self.gate.ask(hash, join).await;
        let is_late = matches!(answer, Err(StoreError::Refused(Refusal::SessionExpired)));
        if !is_late || !self.lock().values().any(|open| open.is_of(hash)) {
            return answer;
        }
        // The store had failed for longer than the session's lease, and does not know that the session is held.
        self.attend_some(&|_| {}, |open| open.is_of(hash)).await;
        self.gate.ask(hash, join).await
    }

    /// The session that a use of a token was taken for.
    fn opened(&self, hash: &TokenHash, session: SessionId) -> Option<Entered> {
        let open = self.lock();
        open.iter().find_map(|(key, open)| {
            let grant = open.grant.clone()?;
            let entry = Entry::Join(*key);
            (open.is_of(hash) && open.taken.session == Some(session)).then_some(Entered::here(entry, grant))
        })
    }

    /// The main channel of a session that was sent to another host comes again: spends nothing. `None`: this token has no
    /// such session here.
    ///
    /// A store takes the connection id 0 for the one session that is migrating. So that it is one, also when several
    /// viewers with one token are sent to another host, the store learns of the migration here, of one session after the
    /// other.
    async fn reopen(&self, presented: &Presented) -> Result<Option<Entered>, Denial> {
        if self.switching(presented).is_none() {
            return Ok(None);
        }
        let _one = self.reopening.lock().await;
        let Some((key, open, attempt)) = self.switching(presented) else {
            return Ok(None);
        };
        let (Some((hash, session)), Some(grant)) = (open.session(), open.grant) else {
            return Ok(None);
        };
        match self.reopened(&hash, session, attempt).await {
            Ok(()) => {}
            Err(StoreError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if let Some(open) = self.lock().get_mut(&key) {
            (open.switching, open.connection_id) = (None, None);
        }
        self.withdraw_switch(key).await;
        Ok(Some(Entered::here(Entry::Join(key), grant)))
    }

    /// The same, where another gateway has the session. Which one of several it is, that one decides.
    async fn reopen_elsewhere(&self, presented: &Presented) -> Result<Option<Entered>, Denial> {
        for hash in &presented.hashes {
            let Some(gateway) = self.switched(hash).await? else {
                continue;
            };
            let record = self.gate.record(hash).await?.filter(|record| !record.is_revoked());
            return Ok(record.map(|record| Entered::elsewhere(gateway, record.grant().clone())));
        }
        Ok(None)
    }

    async fn reopened(
        &self,
        hash: &TokenHash,
        session: SessionId,
        attempt: AttemptId,
    ) -> Result<(), StoreError<BackendError>> {
        let until = self.gate.now().saturating_add(REOPEN);
        let again = Transition::Reopen {
            attempt,
            connection_id: 0,
        };
        match self.gate.ask(hash, Transition::Migrate { session, until }).await {
            // An earlier answer to this attempt was lost: the session has no number any more.
            Ok(_) | Err(StoreError::Refused(Refusal::NotBound)) => self.gate.ask(hash, again).await.map(drop),
            Err(error) => Err(error),
        }
    }

    /// A session of this token whose viewer was sent to another host; the oldest.
    fn switching(&self, presented: &Presented) -> Option<(SessionKey, Open, AttemptId)> {
        let open = self.lock();
        let is_mine = |open: &Open| presented.hashes.iter().any(|hash| open.is_of(hash));
        let mine = open.iter().filter(|(_, open)| is_mine(open));
        let switching = mine.filter_map(|(key, open)| Some((*key, open.clone(), open.switching?)));
        switching.min_by_key(|(key, ..)| *key)
    }

    /// The hypervisor has named the session. Before the viewer learns the name: its next connections follow at once.
    pub(super) async fn bind(&self, key: SessionKey, connection_id: u32) -> Result<(), Denial> {
        // What is not held any more may be another viewer's, whose session this must not name.
        self.hold(key).await?;
        let (hash, session) = self.claimed(key).ok_or(Refusal::NoSuchSession)?;
        let step = Transition::Bind { session, connection_id };
        let admitted = self.gate.ask(&hash, step).await?;
        if let Some(open) = self.lock().get_mut(&key) {
            open.renamed(&admitted);
            open.connection_id = NonZeroU32::new(connection_id);
        }
        self.publish(key).await;
        Ok(())
    }

    fn claimed(&self, key: SessionKey) -> Option<(TokenHash, SessionId)> {
        self.lock().get(&key)?.session()
    }

    /// What the session's token allows now: it may have been retargeted, or revoked, since the session began.
    pub(super) async fn current(&self, key: SessionKey) -> Result<Arc<Grant>, Denial> {
        let bound = self.lock().get(&key).map(|open| (open.taken.hash, open.connection_id));
        let (hash, id) = bound.ok_or(Refusal::NoSuchSession)?;
        let connection_id = id.ok_or(Refusal::NotBound)?.get();
        let admitted = self.gate.ask(&hash, Transition::Join { connection_id }).await?;
        Ok(admitted.grant)
    }

    /// The viewer will be told to come again as a new session, which costs no use.
    pub(super) async fn switch(&self, key: SessionKey) {
        let attempt = AttemptId(self.gate.random_bytes());
        if let Some(open) = self.lock().get_mut(&key) {
            open.switching = Some(attempt);
        }
        self.publish_switch(key).await;
    }

    /// The grant of a session, as it was when it began.
    pub(super) fn grant(&self, key: SessionKey) -> Option<Arc<Grant>> {
        self.lock().get(&key)?.grant.clone()
    }
}
