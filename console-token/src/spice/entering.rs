//! How a connection enters a session: claim, join and reopen.

use alloc::sync::Arc;
use core::num::NonZeroU32;

use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;
use spice_proto::session::tracker::Reason;
use spice_proto::session::{Entry, SessionKey};

use super::books::{Claimed, Entered, Open, Presented};
use super::{Denial, TokenSessions};
use crate::{AttemptId, BackendError, Grant, Refusal, SessionId, StoreError, TokenHash, Transition};

/// For how many seconds a session can be reopened, once its viewer is there again: longer than a store is asked.
const REOPEN: u64 = 30;

impl TokenSessions {
    /// The session that a connection with this token opens or belongs to. Whether it may join is for the tracker to say.
    pub(super) async fn enter(&self, presented: Presented, request: &LinkMess) -> Result<Entered, Denial> {
        let entered = if (request.channel_type, request.connection_id) == (ChannelType::MAIN, 0) {
            match self.reopen(&presented).await? {
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

    /// The main channel of a new session: spends a use.
    ///
    /// The claim stands in the books before the store is asked. If the answer is lost, or this future is dropped, the
    /// claim is given back and [`run`](Self::run) settles with the store what became of it.
    async fn claim(&self, presented: &Presented) -> Result<Entered, Denial> {
        let claim = self.hub.claim();
        let key = claim.key();
        let attempt = AttemptId(self.random_bytes());
        for hash in &presented.hashes {
            let asked = Open {
                hash: *hash,
                attempt,
                claimed: None,
                connection_id: None,
                switching: None,
            };
            self.lock().insert(key, asked);
            match self.ask(hash, Transition::Claim(attempt)).await {
                Ok(admitted) => {
                    let grant = admitted.grant.clone();
                    if let Some(open) = self.lock().get_mut(&key) {
                        open.claimed = Some(admitted.into());
                    }
                    let entry = Entry::Open(claim);
                    return Ok(Entered { entry, grant });
                }
                Err(StoreError::Refused(Refusal::Unknown)) => {}
                Err(StoreError::Refused(refusal)) => {
                    self.lock().remove(&key);
                    return Err(refusal.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.lock().remove(&key);
        Err(Refusal::Unknown.into())
    }

    /// A further channel of an open session: spends nothing.
    async fn join(&self, presented: &Presented, connection_id: u32) -> Result<Entered, Denial> {
        for hash in &presented.hashes {
            match self.ask(hash, Transition::Join { connection_id }).await {
                Ok(admitted) => {
                    // One that another gateway has opened is not here.
                    let entered = self.opened(hash, admitted.session);
                    return entered.ok_or(Denial::Session(Reason::Ended));
                }
                Err(StoreError::Refused(Refusal::Unknown)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// The session that a use of a token was taken for.
    fn opened(&self, hash: &TokenHash, session: SessionId) -> Option<Entered> {
        let open = self.lock();
        open.iter().find_map(|(key, open)| {
            let claimed = open.claimed.as_ref()?;
            ((open.hash, claimed.session) == (*hash, session)).then(|| Entered {
                entry: Entry::Join(*key),
                grant: claimed.grant.clone(),
            })
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
        let Some(Claimed { session, grant }) = open.claimed else {
            return Ok(None);
        };
        match self.reopened(&open.hash, session, attempt).await {
            Ok(()) => {}
            Err(StoreError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        if let Some(open) = self.lock().get_mut(&key) {
            (open.switching, open.connection_id) = (None, None);
        }
        let entry = Entry::Join(key);
        Ok(Some(Entered { entry, grant }))
    }

    async fn reopened(
        &self,
        hash: &TokenHash,
        session: SessionId,
        attempt: AttemptId,
    ) -> Result<(), StoreError<BackendError>> {
        let until = self.context().now.saturating_add(REOPEN);
        let again = Transition::Reopen {
            attempt,
            connection_id: 0,
        };
        match self.ask(hash, Transition::Migrate { session, until }).await {
            // An earlier answer to this attempt was lost: the session has no number any more.
            Ok(_) | Err(StoreError::Refused(Refusal::NotBound)) => self.ask(hash, again).await.map(drop),
            Err(error) => Err(error),
        }
    }

    /// A session of this token whose viewer was sent to another host; the oldest.
    fn switching(&self, presented: &Presented) -> Option<(SessionKey, Open, AttemptId)> {
        let open = self.lock();
        let mine = open.iter().filter(|(_, open)| presented.hashes.contains(&open.hash));
        let switching = mine.filter_map(|(key, open)| Some((*key, open.clone(), open.switching?)));
        switching.min_by_key(|(key, ..)| *key)
    }

    /// The hypervisor has named the session. Before the viewer learns the name: its next connections follow at once.
    pub(super) async fn bind(&self, key: SessionKey, connection_id: u32) -> Result<(), Denial> {
        let (hash, session) = self.claimed(key).ok_or(Refusal::NoSuchSession)?;
        let step = Transition::Bind { session, connection_id };
        self.ask(&hash, step).await?;
        if let Some(open) = self.lock().get_mut(&key) {
            open.connection_id = NonZeroU32::new(connection_id);
        }
        Ok(())
    }

    fn claimed(&self, key: SessionKey) -> Option<(TokenHash, SessionId)> {
        let open = self.lock();
        let open = open.get(&key)?;
        Some((open.hash, open.claimed.as_ref()?.session))
    }

    /// What the session's token allows now: it may have been retargeted, or revoked, since the session began.
    pub(super) async fn current(&self, key: SessionKey) -> Result<Arc<Grant>, Denial> {
        let bound = self.lock().get(&key).map(|open| (open.hash, open.connection_id));
        let (hash, id) = bound.ok_or(Refusal::NoSuchSession)?;
        let connection_id = id.ok_or(Refusal::NotBound)?.get();
        let admitted = self.ask(&hash, Transition::Join { connection_id }).await?;
        Ok(admitted.grant)
    }

    /// The viewer will be told to come again as a new session, which costs no use.
    pub(super) fn switch(&self, key: SessionKey) {
        let attempt = AttemptId(self.random_bytes());
        if let Some(open) = self.lock().get_mut(&key) {
            open.switching = Some(attempt);
        }
    }

    /// The grant of a session, as it was when it began.
    pub(super) fn grant(&self, key: SessionKey) -> Option<Arc<Grant>> {
        let open = self.lock();
        Some(open.get(&key)?.claimed.as_ref()?.grant.clone())
    }
}
