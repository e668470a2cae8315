//! Sessions: one console in use, made of one main channel and any number of others.
//!
//! A token decides who gets in; a session knows which channels may come, which are there, and ends them all
//! together. Each connection holds a [`Seat`], and gives it up by dropping it, whatever happens to the
//! connection: so no way out of the code can forget to close a session or to give back a use.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use console_token::{Fingerprint, Refusal, SessionId, TokenHash};
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::ChannelsList;
use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;
use tokio_util::sync::CancellationToken;

use crate::sync::lock;
use crate::target::Target;
use crate::tokens::{Accepted, Flaw, Presented, Tokens};

/// A channel by kind and number.
pub(crate) type Channel = (ChannelType, u8);

/// Why a connection gets no seat. For our own log: the tenant is told the same every time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("token: {0}")]
    Token(#[from] Flaw),
    #[error("a main channel for a session that exists: there are no migrations here")]
    MainWithId,
    #[error("a main channel has number 0")]
    MainWithNumber,
    #[error("the session has no such channel")]
    NotAnnounced,
    #[error("the channel is connected already")]
    Connected,
    #[error("the session uses TLS, and this connection does not")]
    Downgrade,
    #[error("the session has ended")]
    Ended,
    #[error("the token is for a target that is not configured")]
    NoTarget,
}

/// Messages that went through one connection.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) to_viewer: AtomicU64,
    pub(crate) to_hypervisor: AtomicU64,
}

/// One console in use.
pub(crate) struct Session {
    hash: TokenHash,
    id: SessionId,
    pub(crate) target: Arc<Target>,
    tls: bool,
    /// Cancelled when the main channel ends.
    pub(crate) ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// As the hypervisor's INIT says.
    connection_id: Option<u32>,
    /// As the hypervisor's CHANNELS_LIST says.
    announced: HashSet<Channel>,
    live: HashMap<Channel, Arc<Counts>>,
}

/// All open sessions, and the tokens that open them.
pub(crate) struct Sessions {
    pub(crate) tokens: Tokens,
    targets: HashMap<String, Arc<Target>>,
    open: Mutex<HashMap<Key, Arc<Session>>>,
}

/// By token and session: the number that a hypervisor gives is unique on that hypervisor only.
type Key = ([u8; 32], SessionId);

impl Sessions {
    pub(crate) fn new(tokens: Tokens, targets: Vec<Target>) -> Self {
        let targets = targets
            .into_iter()
            .map(|target| (target.name.clone(), Arc::new(target)));
        Self {
            tokens,
            targets: targets.collect(),
            open: Mutex::default(),
        }
    }

    /// Whether there is a target of this name.
    pub(crate) fn has_target(&self, name: &str) -> bool {
        self.targets.contains_key(name)
    }

    /// How many sessions are open.
    pub(crate) fn len(&self) -> usize {
        lock(&self.open).len()
    }

    /// A place for a connection that presents this token and asks for this channel.
    pub(crate) fn enter(
        self: &Arc<Self>,
        presented: &Presented,
        request: &LinkMess,
        tls: bool,
    ) -> Result<Seat, Refused> {
        match (request.channel_type, request.channel_id, request.connection_id) {
            (ChannelType::MAIN, 0, 0) => self.open(presented, tls),
            (ChannelType::MAIN, number, id) => {
                // Nothing can come of it, but the answer takes the same time.
                self.tokens.join(presented, id)?;
                Err(if number == 0 {
                    Refused::MainWithId
                } else {
                    Refused::MainWithNumber
                })
            }
            // With id 0 this is refused: no session has that number.
            (kind, number, id) => self.join(presented, (kind, number), id, tls),
        }
    }

    fn open(self: &Arc<Self>, presented: &Presented, tls: bool) -> Result<Seat, Refused> {
        let Accepted { hash, session, target } = self.tokens.claim(presented)?;
        let target = if target.is_empty() {
            self.targets.values().next() // a token that nobody issued: see `Rules::accept_wrong`
        } else {
            self.targets.get(&target)
        };
        let Some(target) = target else {
            let _ = self.tokens.release(&hash, session);
            return Err(Refused::NoTarget);
        };
        let main = (ChannelType::MAIN, 0);
        let counts = Arc::new(Counts::default());
        let opened = Arc::new(Session {
            hash,
            id: session,
            target: target.clone(),
            tls,
            ended: CancellationToken::new(),
            state: Mutex::new(State {
                live: HashMap::from([(main, counts.clone())]),
                ..State::default()
            }),
        });
        lock(&self.open).insert(opened.key(), opened.clone());
        Ok(Seat {
            sessions: self.clone(),
            session: opened,
            channel: main,
            counts,
            linked: AtomicBool::new(false),
        })
    }

    fn join(
        self: &Arc<Self>,
        presented: &Presented,
        channel: Channel,
        connection_id: u32,
        tls: bool,
    ) -> Result<Seat, Refused> {
        let Accepted { hash, session, .. } = self.tokens.join(presented, connection_id)?;
        let key = (*hash.as_bytes(), session);
        let session = lock(&self.open).get(&key).cloned().ok_or(Refused::Ended)?;
        if session.tls && !tls {
            return Err(Refused::Downgrade);
        }
        let mut state = lock(&session.state);
        if !state.announced.contains(&channel) {
            return Err(Refused::NotAnnounced);
        }
        if state.live.contains_key(&channel) {
            return Err(Refused::Connected);
        }
        let counts = Arc::new(Counts::default());
        state.live.insert(channel, counts.clone());
        drop(state);
        Ok(Seat {
            sessions: self.clone(),
            session,
            channel,
            counts,
            linked: AtomicBool::new(false),
        })
    }

    /// What to promise for a channel before its token is known. The hypervisor of a running session may be
    /// known by its number; that number and the set are no secrets.
    pub(crate) fn promise(&self, request: &LinkMess) -> Capabilities {
        let kind = request.channel_type;
        let found = (request.connection_id != 0)
            .then(|| self.by_connection_id(request.connection_id))
            .flatten();
        found
            .and_then(|session| session.target.promise(kind))
            .unwrap_or_else(|| Capabilities::spice_server(kind))
    }

    /// Messages by channel of the session with this number: to the viewer, and to the hypervisor.
    pub(crate) fn counts(&self, connection_id: u32) -> Vec<(Channel, u64, u64)> {
        let Some(session) = self.by_connection_id(connection_id) else {
            return Vec::new();
        };
        let state = lock(&session.state);
        let counts = state.live.iter().map(|(channel, counts)| {
            let to_viewer = counts.to_viewer.load(Ordering::Relaxed);
            (*channel, to_viewer, counts.to_hypervisor.load(Ordering::Relaxed))
        });
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
    fn key(&self) -> Key {
        (*self.hash.as_bytes(), self.id)
    }
}

/// The place of one connection in its session.
pub(crate) struct Seat {
    sessions: Arc<Sessions>,
    pub(crate) session: Arc<Session>,
    pub(crate) channel: Channel,
    pub(crate) counts: Arc<Counts>,
    /// The hypervisor has accepted. Before that a use is given back.
    linked: AtomicBool,
}

impl Seat {
    fn is_main(&self) -> bool {
        self.channel.0 == ChannelType::MAIN
    }

    /// For logs.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.session.hash.fingerprint()
    }

    /// The hypervisor has accepted this connection: a use that it took is now spent.
    pub(crate) fn linked(&self) {
        self.linked.store(true, Ordering::Relaxed);
    }

    /// The hypervisor has named the session. To be called before the viewer learns the name: its next
    /// connections follow at once.
    pub(crate) fn bind(&self, connection_id: u32) -> Result<(), Refusal> {
        let Session { hash, id, state, .. } = &*self.session;
        self.sessions.tokens.bind(hash, *id, connection_id)?;
        lock(state).connection_id = Some(connection_id);
        Ok(())
    }

    /// The hypervisor has named channels; more may be named later, when a device is plugged in.
    pub(crate) fn announce(&self, list: &ChannelsList) {
        let channels = list.channels.iter().map(|channel| (channel.channel_type, channel.id));
        lock(&self.session.state).announced.extend(channels);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Session { hash, id, state, .. } = &*self.session;
        lock(state).live.remove(&self.channel);
        if !self.is_main() {
            return;
        }
        self.session.ended.cancel();
        lock(&self.sessions.open).remove(&self.session.key());
        let tokens = &self.sessions.tokens;
        let given_up = if self.linked.load(Ordering::Relaxed) {
            tokens.close(hash, *id)
        } else {
            tokens.release(hash, *id)
        };
        if let Err(refusal) = given_up {
            tracing::error!(%refusal, token = %hash.fingerprint(), "session not closed");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::num::NonZeroU32;

    use spice_proto::channel::main::ChannelId;
    use spice_proto::link;

    use super::*;
    use crate::rules::Rules;
    use crate::target::Place;

    const INPUTS: Channel = (ChannelType::INPUTS, 0);

    pub(crate) fn sessions() -> Arc<Sessions> {
        let target = Target {
            name: "vm1".to_owned(),
            host: "127.0.0.1".to_owned(),
            place: Place::Plain { port: 1 },
            ticket: link::Secret::new(b"ticket"),
            known: Mutex::default(),
        };
        Arc::new(Sessions::new(Tokens::new(Rules::default()), vec![target]))
    }

    pub(crate) fn token(sessions: &Sessions) -> Presented {
        let minted = sessions.tokens.mint("vm1", 60, NonZeroU32::MIN);
        let token = minted.unwrap_or_else(|_| panic!("room for a token")).token;
        let opened = link::Secret::new(token.expose().as_bytes());
        sessions.tokens.presented(Ok(opened))
    }

    pub(crate) fn request((channel_type, channel_id): Channel, connection_id: u32) -> LinkMess {
        LinkMess {
            connection_id,
            channel_type,
            channel_id,
            capabilities: Capabilities::default(),
        }
    }

    fn list() -> ChannelsList {
        let (channel_type, id) = INPUTS;
        ChannelsList {
            channels: vec![ChannelId { channel_type, id }],
        }
    }

    fn main(sessions: &Arc<Sessions>, token: &Presented) -> Result<Seat, Refused> {
        sessions.enter(token, &request((ChannelType::MAIN, 0), 0), true)
    }

    fn refused(refusal: Refusal) -> Option<Refused> {
        Some(Refused::Token(refusal.into()))
    }

    #[test]
    fn a_use_is_given_back_until_the_hypervisor_has_accepted() {
        let sessions = sessions();
        let token = token(&sessions);
        for _ in 0..3 {
            let seat = main(&sessions, &token).unwrap_or_else(|refused| panic!("{refused}"));
            assert_eq!(main(&sessions, &token).err(), refused(Refusal::Spent));
            drop(seat);
            assert_eq!(sessions.len(), 0);
        }
        let seat = main(&sessions, &token).unwrap_or_else(|refused| panic!("{refused}"));
        seat.linked();
        drop(seat);
        assert_eq!(main(&sessions, &token).err(), refused(Refusal::Spent));
        assert_eq!(sessions.len(), 0);
    }

    #[test]
    fn channels_come_when_the_hypervisor_has_named_them_and_once() {
        let sessions = sessions();
        let token = token(&sessions);
        let join = |channel, id, tls| sessions.enter(&token, &request(channel, id), tls).err();
        assert_eq!(join(INPUTS, 7, true), refused(Refusal::NotBound));
        let seat = main(&sessions, &token).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(join(INPUTS, 7, true), refused(Refusal::NotBound));
        assert_eq!(seat.bind(7), Ok(()));
        assert_eq!(seat.bind(8), Err(Refusal::AlreadyBound));
        assert_eq!(join(INPUTS, 7, true), Some(Refused::NotAnnounced));
        seat.announce(&list());

        assert_eq!(join(INPUTS, 0, true), refused(Refusal::ZeroConnectionId));
        assert_eq!(join(INPUTS, 8, true), refused(Refusal::NoSuchSession));
        assert_eq!(join(INPUTS, 7, false), Some(Refused::Downgrade));
        assert_eq!(join((ChannelType::INPUTS, 1), 7, true), Some(Refused::NotAnnounced));
        assert_eq!(join((ChannelType::DISPLAY, 0), 7, true), Some(Refused::NotAnnounced));
        assert_eq!(join((ChannelType::MAIN, 0), 7, true), Some(Refused::MainWithId));
        assert_eq!(join((ChannelType::MAIN, 1), 7, true), Some(Refused::MainWithNumber));

        let inputs = sessions.enter(&token, &request(INPUTS, 7), true);
        assert!(inputs.is_ok());
        assert_eq!(join(INPUTS, 7, true), Some(Refused::Connected));
        drop(inputs);
        assert_eq!(join(INPUTS, 7, true), None);

        let ended = seat.session.ended.clone();
        assert!(!ended.is_cancelled());
        seat.linked();
        drop(seat);
        assert!(ended.is_cancelled());
        assert_eq!(join(INPUTS, 7, true), refused(Refusal::SessionClosed));
    }

    #[test]
    fn a_session_belongs_to_its_token() {
        let sessions = sessions();
        let (one, other) = (token(&sessions), token(&sessions));
        let seat = main(&sessions, &one).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(seat.bind(7), Ok(()));
        seat.announce(&list());
        let join = |token| sessions.enter(token, &request(INPUTS, 7), true).err();
        assert_eq!(join(&other), refused(Refusal::NotBound));
        let unknown = sessions.tokens.presented(Ok(link::Secret::new(b"unknown")));
        assert_eq!(join(&unknown), refused(Refusal::Unknown));
        let nothing = sessions.tokens.presented(Ok(link::Secret::new(b"")));
        assert_eq!(join(&nothing), refused(Refusal::Malformed));
        assert_eq!(main(&sessions, &nothing).err(), refused(Refusal::Malformed));
        assert_eq!(join(&one), None);
    }

    #[test]
    fn a_promise_that_was_broken_is_not_made_again() {
        use spice_proto::caps::{CapabilitySet, common, display};
        let sessions = sessions();
        let seat = main(&sessions, &token(&sessions)).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(seat.bind(7), Ok(()));
        let shown = |id| sessions.promise(&request((ChannelType::DISPLAY, 0), id));
        let usual = Capabilities::spice_server(ChannelType::DISPLAY);
        assert_eq!(shown(7), usual);
        let target = &seat.session.target;
        target.lacks(ChannelType::DISPLAY, CapabilitySet::Channel, display::PREF_COMPRESSION);
        assert!(!shown(7).has(display::PREF_COMPRESSION));
        target.learn(ChannelType::DISPLAY, &Capabilities::default());
        assert!(!shown(7).has(display::MONITORS_CONFIG));
        assert!(shown(7).has_common(common::PROTOCOL_AUTH_SELECTION));
        // For others, and when it is over, nothing has changed.
        assert_eq!((shown(0), shown(8)), (usual.clone(), usual.clone()));
        drop(seat);
        assert_eq!(shown(7), usual);
    }
}
