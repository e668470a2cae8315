//! Sessions: one console in use, made of one main channel and any number of others.
//!
//! A token decides whether a session begins; which channels may come, which are there, when a session is over and whether a use is spent is
//! for [`spice_proto::session`] to know. Here the two are coupled: each use that is taken stands under the key of its own
//! session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use console_token::{Refusal, SessionId, TokenHash};
use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;
use spice_proto::session::relay::Counts;
use spice_proto::session::tracker::Reason;
use spice_proto::session::{Entry, SessionKey};
use spice_proto::{ManagedClaim, SessionManager};

use crate::guest::{Guest, PlaceAddress};
use crate::sync::lock;
use crate::tokens::{Accepted, Flaw, Presented, Tokens};

/// A channel by kind and number.
pub(crate) type Channel = (ChannelType, u8);

/// Why a connection is refused. For our own log: the tenant receives the same answer every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("token: {0}")]
    Token(#[from] Flaw),
    #[error(transparent)]
    Reason(#[from] Reason),
    #[error("the token is for a guest that is not configured")]
    NoGuest,
    #[error("the console is for viewers with TLS only")]
    NeedsTls,
}

/// One console in use.
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) hash: TokenHash,
    id: SessionId,
    /// Whose console it is.
    pub(crate) guest: Arc<Guest>,
    /// Where it began.
    pub(crate) first: PlaceAddress,
    state: Mutex<State>,
}

struct State {
    /// Where it is, or goes.
    at: PlaceAddress,
    /// As the hypervisor's INIT says.
    connection_id: Option<u32>,
    live: HashMap<Channel, Arc<Counts>>,
}

/// A session, and how its connection comes into it.
pub(crate) type Entered = (Arc<Session>, Entry<ManagedClaim>);

/// All open sessions, and the tokens that open them.
pub(crate) struct Sessions {
    pub(crate) tokens: Tokens,
    guests: Vec<Arc<Guest>>,
    open: Mutex<HashMap<SessionKey, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(tokens: Tokens, guests: Vec<Guest>) -> Self {
        Self {
            tokens,
            guests: guests.into_iter().map(Arc::new).collect(),
            open: Mutex::default(),
        }
    }

    /// The guest of this id or name.
    pub(crate) fn guest(&self, wanted: &str) -> Option<&Arc<Guest>> {
        let mut guests = self.guests.iter();
        guests.find(|guest| guest.id == wanted || guest.name == wanted)
    }

    /// Whether no viewer gets a console without TLS.
    pub(crate) fn all_require_tls(&self) -> bool {
        self.guests.iter().all(|guest| guest.console.require_tls)
    }

    /// How many sessions are open.
    pub(crate) fn len(&self) -> usize {
        lock(&self.open).len()
    }

    /// The session that a connection with this token opens or belongs to. Whether it may join is not decided here.
    pub(crate) fn enter(
        &self,
        hub: &Arc<SessionManager>,
        presented: &Presented,
        request: &LinkMess,
        secure: bool,
    ) -> Result<Entered, Refused> {
        if (request.channel_type, request.connection_id) == (ChannelType::MAIN, 0) {
            return self.open(hub, presented, secure);
        }
        // With id 0 this is refused: no session has that number.
        let accepted = self.tokens.join(presented, request.connection_id)?;
        self.opened_with(&accepted).ok_or(Refused::Reason(Reason::Ended))
    }

    /// The session that a use of a token was taken for.
    fn opened_with(&self, accepted: &Accepted) -> Option<Entered> {
        let open = lock(&self.open);
        let mut sessions = open.values();
        let session = sessions.find(|session| (session.hash, session.id) == (accepted.hash, accepted.session))?;
        Some((session.clone(), Entry::Join(session.key)))
    }

    /// A new session; or one that was sent to another host and comes again.
    fn open(&self, hub: &Arc<SessionManager>, presented: &Presented, secure: bool) -> Result<Entered, Refused> {
        let reopened = self.tokens.reopen(presented).ok();
        if let Some(entered) = reopened.and_then(|accepted| self.opened_with(&accepted)) {
            return Ok(entered);
        }
        let Accepted { hash, session, target } = self.tokens.claim(presented)?;
        let guest = if target.is_empty() {
            self.guests.first() // a token that was not issued: see `Rules::accept_wrong`
        } else {
            self.guest(&target)
        };
        let Some((guest, first)) = guest.and_then(|guest| Some((guest, guest.console.first()?))) else {
            let _ = self.tokens.release(&hash, session);
            return Err(Refused::NoGuest);
        };
        if guest.console.require_tls && !secure {
            let _ = self.tokens.release(&hash, session);
            return Err(Refused::NeedsTls);
        }
        let claim = hub.claim();
        let opened = Arc::new(Session {
            key: claim.key(),
            hash,
            id: session,
            guest: guest.clone(),
            first: first.clone(),
            state: Mutex::new(State {
                at: first,
                connection_id: None,
                live: HashMap::new(),
            }),
        });
        lock(&self.open).insert(claim.key(), opened.clone());
        Ok((opened, Entry::Open(claim)))
    }

    /// One that is open.
    pub(crate) fn session(&self, key: SessionKey) -> Option<Arc<Session>> {
        lock(&self.open).get(&key).cloned()
    }

    /// The hypervisor has named the session. To be called before the viewer learns the name: its next
    /// connections follow at once.
    pub(crate) fn bind(&self, session: &Session, connection_id: u32) -> Result<(), Refusal> {
        self.tokens.bind(&session.hash, session.id, connection_id)?;
        lock(&session.state).connection_id = Some(connection_id);
        Ok(())
    }

    /// The viewer will be told to come again as a new session, which costs no use. Whether it may.
    pub(crate) fn switches(&self, session: &Session) -> bool {
        self.tokens.migrate(&session.hash, session.id).is_ok()
    }

    /// A session is over, and has no connections any more. Its use can be had again unless it is spent.
    pub(crate) fn ended(&self, key: SessionKey, spent: bool) {
        let Some(session) = lock(&self.open).remove(&key) else {
            return;
        };
        let given_up = if spent {
            self.tokens.close(&session.hash, session.id)
        } else {
            self.tokens.release(&session.hash, session.id)
        };
        let token = session.hash.fingerprint();
        match given_up {
            Ok(()) => tracing::debug!(%token, "session closed"),
            Err(refusal) => tracing::error!(%refusal, %token, "session not closed"),
        }
    }

    /// Messages by channel of the session with this number: to the viewer, and to the hypervisor.
    pub(crate) fn counts(&self, connection_id: u32) -> Vec<(Channel, u64, u64)> {
        let Some(session) = self.by_connection_id(connection_id) else {
            return Vec::new();
        };
        let state = lock(&session.state);
        let counts = state.live.iter();
        let counts = counts.map(|(channel, counts)| (*channel, counts.to_viewer(), counts.to_hypervisor()));
        counts.collect()
    }

    /// The one session with this number; two hypervisors may have given the same, then it is none.
    fn by_connection_id(&self, connection_id: u32) -> Option<Arc<Session>> {
        let open = lock(&self.open);
        let mut found = open
            .values()
            .filter(|session| lock(&session.state).connection_id == Some(connection_id));
        found.next().filter(|_| found.next().is_none()).cloned()
    }
}

impl Session {
    /// A channel is connected there.
    pub(crate) fn joined(&self, channel: Channel, at: &PlaceAddress, counts: &Arc<Counts>) {
        let mut state = lock(&self.state);
        state.live.insert(channel, counts.clone());
        if channel.0 == ChannelType::MAIN {
            state.at = at.clone();
        }
    }

    /// A connection is gone; the channel may have another by now.
    pub(crate) fn left(&self, channel: Channel, counts: &Arc<Counts>) {
        let mut state = lock(&self.state);
        if state.live.get(&channel).is_some_and(|live| Arc::ptr_eq(live, counts)) {
            state.live.remove(&channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use spice_proto::caps::Capabilities;
    use spice_proto::link;

    use super::*;
    use crate::guest::{Console, Place};
    use crate::rules::Rules;

    const MAIN: Channel = (ChannelType::MAIN, 0);
    const INPUTS: Channel = (ChannelType::INPUTS, 0);

    fn sessions() -> Sessions {
        sessions_that(false)
    }

    fn sessions_that(require_tls: bool) -> Sessions {
        let place = |host: &str| {
            Arc::new(Place {
                host: host.to_owned(),
                announced: Vec::new(),
                port: Some(5900),
                tls: None,
                move_ports: None,
                ticket: link::Secret::new(b"ticket"),
                known: Mutex::default(),
            })
        };
        let guest = Guest {
            id: "vm1".to_owned(),
            name: "db-7".to_owned(),
            console: Console {
                require_tls,
                places: vec![place("127.0.0.1"), place("node2.example")],
            },
        };
        Sessions::new(Tokens::new(Rules::default()), vec![guest])
    }

    fn token(sessions: &Sessions) -> Presented {
        let minted = sessions.tokens.mint("vm1", 60, NonZeroU32::MIN);
        let token = minted.unwrap_or_else(|_| panic!("room for a token")).token;
        let opened = link::Secret::new(token.expose().as_bytes());
        sessions.tokens.presented(Ok(opened))
    }

    fn request((channel_type, channel_id): Channel, connection_id: u32) -> LinkMess {
        LinkMess {
            connection_id,
            channel_type,
            channel_id,
            capabilities: Capabilities::default(),
        }
    }

    fn hub() -> Arc<SessionManager> {
        Arc::new(SessionManager::new(Default::default(), [0; 16]))
    }

    fn main(hub: &Arc<SessionManager>, sessions: &Sessions, token: &Presented) -> Arc<Session> {
        let entered = sessions.enter(hub, token, &request(MAIN, 0), true);
        entered.unwrap_or_else(|refused| panic!("{refused}")).0
    }

    fn refused(refusal: Refusal) -> Option<Refused> {
        Some(Refused::Token(refusal.into()))
    }

    #[test]
    fn a_use_is_given_back_unless_it_is_spent() {
        let (hub, sessions) = (hub(), sessions());
        let token = token(&sessions);
        let again = |token| sessions.enter(&hub, token, &request(MAIN, 0), true).err();
        for _ in 0..3 {
            let session = main(&hub, &sessions, &token);
            assert_eq!(again(&token), refused(Refusal::Spent));
            sessions.ended(session.key, false);
            assert_eq!(sessions.len(), 0);
        }
        let session = main(&hub, &sessions, &token);
        sessions.ended(session.key, true);
        assert_eq!(again(&token), refused(Refusal::Spent));
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn a_session_belongs_to_its_token() {
        let (hub, sessions) = (hub(), sessions());
        let (one, other) = (token(&sessions), token(&sessions));
        let join = |token, id| {
            sessions
                .enter(&hub, token, &request(INPUTS, id), true)
                .map(|(session, _)| session.key)
        };
        assert_eq!(join(&one, 7).err(), refused(Refusal::NotBound));
        let session = main(&hub, &sessions, &one);
        assert_eq!(join(&one, 7).err(), refused(Refusal::NotBound));
        assert_eq!(sessions.bind(&session, 0), Err(Refusal::ZeroConnectionId));
        assert_eq!(sessions.bind(&session, 7), Ok(()));
        assert_eq!(sessions.bind(&session, 8), Err(Refusal::AlreadyBound));
        assert_eq!(join(&one, 7), Ok(session.key));
        assert_eq!(join(&one, 0).err(), refused(Refusal::ZeroConnectionId));
        assert_eq!(join(&one, 8).err(), refused(Refusal::NoSuchSession));
        assert_eq!(join(&other, 7).err(), refused(Refusal::NotBound));
        let unknown = sessions.tokens.presented(Ok(link::Secret::new(b"unknown")));
        assert_eq!(join(&unknown, 7).err(), refused(Refusal::Unknown));
        let nothing = sessions.tokens.presented(Ok(link::Secret::new(b"")));
        assert_eq!(join(&nothing, 7).err(), refused(Refusal::Malformed));
        sessions.ended(session.key, true);
        assert_eq!(join(&one, 7).err(), refused(Refusal::SessionClosed));
    }

    #[test]
    fn a_session_that_switches_hosts_comes_again_once() {
        let (hub, sessions) = (hub(), sessions());
        let token = token(&sessions);
        let session = main(&hub, &sessions, &token);
        let again = || {
            sessions
                .enter(&hub, &token, &request(MAIN, 0), true)
                .map(|(session, _)| session.key)
        };
        assert!(!sessions.switches(&session), "it has no number yet");
        assert_eq!(sessions.bind(&session, 7), Ok(()));
        assert_eq!(again().err(), refused(Refusal::Spent));
        assert!(sessions.switches(&session));
        assert_eq!(again(), Ok(session.key));
        assert_eq!(again().err(), refused(Refusal::Spent));
        assert_eq!(sessions.bind(&session, 9), Ok(()));
        let join = sessions
            .enter(&hub, &token, &request(INPUTS, 9), true)
            .map(|(session, _)| session.key);
        assert_eq!(join, Ok(session.key));
    }

    #[test]
    fn a_console_that_requires_tls_takes_no_use_without() {
        let (hub, sessions) = (hub(), sessions_that(true));
        let token = token(&sessions);
        let plain = || {
            sessions
                .enter(&hub, &token, &request(MAIN, 0), false)
                .map(|(session, _)| session.key)
        };
        assert_eq!(plain().err(), Some(Refused::NeedsTls));
        assert_eq!(plain().err(), Some(Refused::NeedsTls));
        assert!(sessions.enter(&hub, &token, &request(MAIN, 0), true).is_ok());
    }
}
