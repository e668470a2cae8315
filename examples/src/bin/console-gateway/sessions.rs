//! Sessions: one console in use, made of one main channel and any number of others.
//!
//! A token decides who gets in; which channels may come, which are there, when a session is over and whether a use is spent is
//! for [`spice_proto::session`] to know. Here the two are coupled: each use that is taken stands under the key of its own
//! session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use console_token::{Refusal, SessionId, TokenHash};
use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;
use spice_proto::session::relay::Counts;
use spice_proto::session::tracker::Reason;
use spice_proto::session::{Entry, SessionKey, migration};
use spice_proto::{Hub, HubClaim};

use crate::sync::lock;
use crate::target::Target;
use crate::tokens::{Accepted, Flaw, Presented, Tokens};

/// A channel by kind and number.
pub(crate) type Channel = (ChannelType, u8);

/// Why a connection does not get in. For our own log: the tenant is told the same every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("token: {0}")]
    Token(#[from] Flaw),
    #[error(transparent)]
    Reason(#[from] Reason),
    #[error("the token is for a target that is not configured")]
    NoTarget,
}

/// One console in use.
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) hash: TokenHash,
    id: SessionId,
    /// Where it began.
    pub(crate) first: Arc<Target>,
    state: Mutex<State>,
}

struct State {
    /// Where it is, or goes.
    target: Arc<Target>,
    /// As the hypervisor's INIT says.
    connection_id: Option<u32>,
    live: HashMap<Channel, Arc<Counts>>,
}

/// A session, and how its connection comes into it.
pub(crate) type Entered = (Arc<Session>, Entry<HubClaim>);

/// All open sessions, and the tokens that open them.
pub(crate) struct Sessions {
    pub(crate) tokens: Tokens,
    targets: Vec<Arc<Target>>,
    open: Mutex<HashMap<SessionKey, Arc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(tokens: Tokens, targets: Vec<Target>) -> Self {
        Self {
            tokens,
            targets: targets.into_iter().map(Arc::new).collect(),
            open: Mutex::default(),
        }
    }

    fn target(&self, name: &str) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.name == name)
    }

    /// Whether there is a target of this name.
    pub(crate) fn has_target(&self, name: &str) -> bool {
        self.target(name).is_some()
    }

    /// The target that a hypervisor means, if it is one of ours.
    pub(crate) fn target_at(&self, told: &migration::Target) -> Option<Arc<Target>> {
        self.targets.iter().find(|target| target.is_at(told)).cloned()
    }

    /// How many sessions are open.
    pub(crate) fn len(&self) -> usize {
        lock(&self.open).len()
    }

    /// The session that a connection with this token opens or belongs to. Whether it may join is not decided here.
    pub(crate) fn enter(&self, hub: &Arc<Hub>, presented: &Presented, request: &LinkMess) -> Result<Entered, Refused> {
        if (request.channel_type, request.connection_id) == (ChannelType::MAIN, 0) {
            return self.open(hub, presented);
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
    fn open(&self, hub: &Arc<Hub>, presented: &Presented) -> Result<Entered, Refused> {
        let reopened = self.tokens.reopen(presented).ok();
        if let Some(entered) = reopened.and_then(|accepted| self.opened_with(&accepted)) {
            return Ok(entered);
        }
        let Accepted { hash, session, target } = self.tokens.claim(presented)?;
        let target = if target.is_empty() {
            self.targets.first() // a token that nobody issued: see `Rules::accept_wrong`
        } else {
            self.target(&target)
        };
        let Some(target) = target else {
            let _ = self.tokens.release(&hash, session);
            return Err(Refused::NoTarget);
        };
        let claim = hub.claim();
        let opened = Arc::new(Session {
            key: claim.key(),
            hash,
            id: session,
            first: target.clone(),
            state: Mutex::new(State {
                target: target.clone(),
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
    /// A channel is connected to this target.
    pub(crate) fn joined(&self, channel: Channel, target: &Arc<Target>, counts: &Arc<Counts>) {
        let mut state = lock(&self.state);
        state.live.insert(channel, counts.clone());
        if channel.0 == ChannelType::MAIN {
            state.target = target.clone();
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

    use spice_proto::link;
    use spice_proto::session::migration::Kind;

    use super::*;
    use crate::rules::Rules;
    use crate::target::Place;

    const MAIN: Channel = (ChannelType::MAIN, 0);
    const INPUTS: Channel = (ChannelType::INPUTS, 0);

    fn sessions() -> Sessions {
        let target = |name: &str, host: &str| Target {
            name: name.to_owned(),
            host: host.to_owned(),
            place: Place::Plain { port: 5900 },
            ticket: link::Secret::new(b"ticket"),
            known: Mutex::default(),
        };
        let targets = vec![target("vm1", "127.0.0.1"), target("vm1-elsewhere", "node2.example")];
        Sessions::new(Tokens::new(Rules::default()), targets)
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

    fn hub() -> Arc<Hub> {
        Arc::new(Hub::new(Default::default(), [0; 16]))
    }

    fn main(hub: &Arc<Hub>, sessions: &Sessions, token: &Presented) -> Arc<Session> {
        let entered = sessions.enter(hub, token, &request(MAIN, 0));
        entered.unwrap_or_else(|refused| panic!("{refused}")).0
    }

    fn refused(refusal: Refusal) -> Option<Refused> {
        Some(Refused::Token(refusal.into()))
    }

    #[test]
    fn a_use_is_given_back_unless_it_is_spent() {
        let (hub, sessions) = (hub(), sessions());
        let token = token(&sessions);
        let again = |token| sessions.enter(&hub, token, &request(MAIN, 0)).err();
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
                .enter(&hub, token, &request(INPUTS, id))
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
                .enter(&hub, &token, &request(MAIN, 0))
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
            .enter(&hub, &token, &request(INPUTS, 9))
            .map(|(session, _)| session.key);
        assert_eq!(join, Ok(session.key));
    }

    #[test]
    fn a_target_is_one_of_the_configuration() {
        let sessions = sessions();
        let told = |host: &'static str, number, tls_port| {
            let port = |port| std::num::NonZeroU16::new(port);
            let told = migration::Target::new(Kind::Seamless, host, port(number), port(tls_port));
            sessions.target_at(&told).map(|target| target.name.clone())
        };
        let elsewhere = Some("vm1-elsewhere".to_owned());
        assert_eq!(told("node2.example", 5900, 0), elsewhere);
        assert_eq!(told("NODE2.example", 5900, 5901), elsewhere);
        for (host, port, tls_port) in [
            ("node2.example", 5901, 0),
            ("node2.example", 0, 5900),
            ("node3.example", 5900, 0),
            ("node2.example.", 5900, 0),
            ("", 5900, 0),
        ] {
            assert_eq!(told(host, port, tls_port), None, "{host} {port} {tls_port}");
        }
    }
}
