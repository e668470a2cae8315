//! Which connection may join which session.
//!
//! ```text
//! accept ----> half open ----> admit ----> in a session ----> close
//!                  |             |
//!               expire        refused: a Reason
//! ```
//!
//! A session's key is *fresh* until a main channel is admitted with it, *claimed* until that channel's `INIT` was seen,
//! *bound* from then on, and *ended* when the main channel is gone. The caller tells the tracker
//! of every connection: [`Tracker::accept`], [`Tracker::admit`] when its ticket was opened, [`Tracker::linked`]
//! when the result was written, [`Tracker::close`]; and of what the main channel says:
//! [`Tracker::bind`] with the id in `INIT` **before** that is forwarded, [`Tracker::announce`] with each
//! `CHANNELS_LIST`, and the steps of a migration.
//!
//! What is refused, and as which [`Reason`]; the first that fits is given, in the order l, m, k, h, i, j, and then
//! as here:
//!
//! | | Refused | [`Reason`] |
//! |---|---|---|
//! | a | main with id 0, with a key that is claimed or bound | `Replayed` |
//! | b | another channel, with a key that is fresh or claimed | `NotBound` |
//! | c | another channel with id 0 | `NoConnectionId` |
//! | d | an id that is not the session's | `WrongConnectionId` |
//! | e | a channel that was not announced | `NotAnnounced` |
//! | f | a channel that is connected on the same host already | `Duplicate` |
//! | g | main with an id, and no migration waits for it | `NoMigration` |
//! | h | any, after the main channel has ended | `Ended` |
//! | i | another address than that of the main channel, if so configured | `OtherAddress` |
//! | j | no TLS, where the main channel has it | `Downgrade` |
//! | k | SASL, unless the configuration says that it is ended | `Sasl` |
//! | l | a ticket above 60 bytes, with a NUL in it, not UTF-8 | `Ticket` ([`ticket_text`]) |
//! | m | too slow | `Late` |
//!
//! A migration sets two of these rules aside, once each: a main channel with the session's id is admitted to a
//! [`Host`] that was told ([`Tracker::target_told`]), and one with id 0 after the viewer was told to switch
//! ([`Tracker::switch_told`]). Between that main channel's [`Tracker::linked`] and the viewer's answer every other
//! channel is the target's, unless the target has it; at any other time it is the current host's. A channel
//! being connected to the other host plays no part in that: viewers link channels at the target that they never
//! had.
//!
//! Every operation takes the same time however many sessions there are: a session holds no more channels and
//! connections than its limits say, and sessions are looked up by [`SessionKey`]s, which are the caller's own numbers:
//! counted or drawn, never what a peer can choose. A session of ten channels takes about 1,200 bytes. The tracker holds no
//! more than [`Config`] allows, and the half-open connections that its caller lets come; a session is kept after its end,
//! so that its key opens no other, until [`Tracker::forget`].

mod config;
mod links;
mod reason;
mod session;
mod snapshot;
mod types;

pub use config::Config;
pub use reason::{MAX_TICKET, Reason, TicketFault, ticket_text};
pub use snapshot::{Pair, Snapshot, Stage};
pub use types::{Admission, Closed, Counts, Expired, Link, Misuse, Peer, Request};

use alloc::collections::VecDeque;
use core::hash::{BuildHasher, Hasher};
use core::time::Duration;

use hashbrown::HashMap;

use self::links::{Admitted, HalfOpen, Links};
use self::session::{Main, Session};
use super::{Host, SessionKey, TargetAccess};
use crate::channel::main::ChannelId;
use crate::ids::{AuthMechanism, ChannelType};

/// All sessions of a process.
#[derive(Debug)]
pub struct Tracker {
    config: Config,
    links: Links,
    sessions: HashMap<SessionKey, Session, NumberHash>,
    /// Sessions that lost their main channel, in the order of their deadlines; each stands here at most once.
    lost: VecDeque<(Duration, SessionKey)>,
}

/// The hash of session keys: one multiplication. They are numbers of the proxy's own, mostly counted, so that no peer
/// chooses what collides; they are looked up several times for each message that a session is shown.
#[derive(Clone)]
pub(in crate::session) struct NumberHash(u64);

impl NumberHash {
    /// With a key, so that tables of different processes differ.
    pub(in crate::session) const fn new(key: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = key;
        Self(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

impl core::fmt::Debug for NumberHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("NumberHash(..)")
    }
}

impl BuildHasher for NumberHash {
    type Hasher = NumberHasher;

    #[inline]
    fn build_hasher(&self) -> NumberHasher {
        NumberHasher(self.0)
    }
}

/// See [`NumberHash`].
pub(in crate::session) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    #[inline]
    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio: numbers in a row are spread over all bits. The table takes its place from
        // the low ones and a mark from the high ones.
        let spread = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = spread ^ (spread >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Tracker {
    /// An empty tracker. `hash_key`: random bytes.
    #[must_use]
    pub fn new(config: Config, hash_key: [u8; 16]) -> Self {
        Self {
            config,
            links: Links::new(),
            sessions: HashMap::with_hasher(NumberHash::new(hash_key)),
            lost: VecDeque::new(),
        }
    }

    /// A connection came at `now`. It is half open until it shows a token, for [`Config::link_timeout`] at most.
    ///
    /// How many may be half open is for the caller to say, before its first byte is read: a limiter that takes the
    /// place of the oldest connection of the source with the most of them (an IPv4 address, or the first 64 bits of an
    /// IPv6 address), and never refuses the newcomer. A limit that refuses newcomers lets strangers keep users out.
    pub fn accept(&mut self, now: Duration, peer: Peer) -> Link {
        let deadline = now.saturating_add(self.config.link_timeout);
        self.links.open(HalfOpen { peer, deadline })
    }

    /// A half-open connection showed a token, which opens this session or belongs to it. What is refused is forgotten,
    /// too: tell the viewer [`Refusal::DENIED`](crate::link::Refusal::DENIED), and close it. A channel is taken when
    /// it is admitted, not when the hypervisor has answered: viewers open all at once.
    ///
    /// # Errors
    /// Why it may not join.
    pub fn admit(&mut self, now: Duration, link: Link, key: SessionKey, request: Request) -> Result<Admission, Reason> {
        let open = self.links.half_open(link).ok_or(Reason::Late)?;
        match self.place(now, open, key, request) {
            Ok(admission) => {
                self.links.admit(
                    link,
                    Admitted {
                        key,
                        channel: request.channel,
                        host: admission.host,
                    },
                );
                if let Some(session) = self.sessions.get_mut(&key) {
                    session.joined(link, request.channel, admission.host);
                }
                Ok(admission)
            }
            Err(reason) => {
                self.links.free(link);
                Err(reason)
            }
        }
    }

    fn place(&mut self, now: Duration, open: HalfOpen, key: SessionKey, request: Request) -> Result<Admission, Reason> {
        if open.deadline <= now {
            return Err(Reason::Late);
        }
        if request.mechanism == AuthMechanism::SASL && !self.config.sasl {
            return Err(Reason::Sasl);
        }
        let main = request.channel.channel_type == ChannelType::MAIN;
        let Some(session) = self.sessions.get_mut(&key) else {
            return match (main, request.connection_id) {
                (false, _) => Err(Reason::NotBound),
                (true, _) if request.channel.id != 0 => Err(Reason::NotAnnounced),
                (true, 0) if self.config.sessions <= self.sessions.len() => Err(Reason::TooManySessions),
                (true, 0) => {
                    self.sessions.insert(key, Session::new(open.peer));
                    Ok(Admission {
                        host: Host(0),
                        replaces: false,
                    })
                }
                (true, _) => Err(Reason::NoMigration),
            };
        };
        if session.ended() {
            return Err(Reason::Ended);
        }
        if self.config.one_address && session.peer.address != open.peer.address {
            return Err(Reason::OtherAddress);
        }
        if session.peer.secure && !open.peer.secure {
            return Err(Reason::Downgrade);
        }
        let admission = if main {
            session.place_main(request)?
        } else {
            session.place(request, &self.links)?
        };
        // The connections of a session that is replaced are about to be closed.
        if self.config.links <= session.links.len() && !admission.replaces {
            return Err(Reason::TooManyLinks);
        }
        if admission.replaces {
            session.replace(admission.host);
        }
        Ok(admission)
    }

    /// The result OK was written to this connection.
    ///
    /// # Errors
    /// [`Misuse::NoLink`].
    pub fn linked(&mut self, link: Link) -> Result<(), Misuse> {
        let admitted = self.links.admitted(link).ok_or(Misuse::NoLink)?;
        if let Some(session) = self.sessions.get_mut(&admitted.key) {
            session.linked(link);
        }
        Ok(())
    }

    /// The main channel of a current host, and its session.
    fn session_of_main(&mut self, main: Link) -> Result<&mut Session, Misuse> {
        let admitted = self.links.admitted(main).ok_or(Misuse::NoLink)?;
        let session = self.sessions.get_mut(&admitted.key).ok_or(Misuse::NoSession)?;
        match session.main {
            _ if session.ended() => Err(Misuse::NoSession),
            Main::Here(link) if link == main => Ok(session),
            _ => Err(Misuse::NotMain),
        }
    }

    /// The main channel got `INIT` with this id. To be called before the viewer gets it: the connections with
    /// that id can then never come too early.
    ///
    /// # Errors
    /// [`Misuse::NoLink`], [`Misuse::NoSession`], [`Misuse::NotMain`], [`Misuse::ZeroId`].
    pub fn bind(&mut self, main: Link, session_id: u32) -> Result<(), Misuse> {
        let session = self.session_of_main(main)?;
        if session_id == 0 {
            return Err(Misuse::ZeroId);
        }
        session.bind(session_id);
        Ok(())
    }

    /// The main channel got `CHANNELS_LIST`: these channels may be linked from now on, without those that the
    /// viewer shall not have. What was announced before stays; what is announced twice counts once. Gives the
    /// number of channels for which there was no room, and which will be refused.
    ///
    /// # Errors
    /// [`Misuse::NoLink`], [`Misuse::NoSession`], [`Misuse::NotMain`].
    pub fn announce(&mut self, main: Link, channels: &[ChannelId]) -> Result<usize, Misuse> {
        let limit = self.config.channels;
        Ok(self.session_of_main(main)?.announce(channels, limit))
    }

    /// A connection is gone, or refused by the hypervisor.
    ///
    /// # Errors
    /// [`Misuse::NoLink`].
    pub fn close(&mut self, now: Duration, link: Link) -> Result<Closed, Misuse> {
        if self.links.half_open(link).is_some() {
            self.links.free(link);
            return Ok(Closed::Link);
        }
        let admitted = self.links.admitted(link).ok_or(Misuse::NoLink)?;
        self.links.free(link);
        let Some(session) = self.sessions.get_mut(&admitted.key) else {
            return Ok(Closed::Link);
        };
        session.unmark(admitted.channel, admitted.host);
        let closed = session.closed(link);
        if closed == Closed::Main {
            let until = now.saturating_add(self.config.main_timeout);
            // A session that still stands in the queue is looked at when its old time comes.
            if !session.queued {
                session.queued = true;
                self.lost.push_back((until, admitted.key));
            }
            session.lost_until = Some(until);
        }
        Ok(closed)
    }

    fn running(&mut self, key: SessionKey) -> Result<&mut Session, Misuse> {
        let session = self.sessions.get_mut(&key).filter(|session| !session.ended());
        session.ok_or(Misuse::NoSession)
    }

    /// A migration target is announced to the viewer (`MIGRATE_BEGIN`, `MIGRATE_BEGIN_SEAMLESS`). To be called before
    /// that is forwarded. Gives the target's number.
    ///
    /// # Errors
    /// [`Misuse::NoSession`]; [`Misuse::OutOfOrder`] while another target is being told, or before `INIT`.
    pub fn target_told(&mut self, key: SessionKey) -> Result<Host, Misuse> {
        let session = self.running(key)?;
        match session.access {
            TargetAccess::NoTarget | TargetAccess::Closed if session.bound() => {
                Ok(session.next_target(TargetAccess::MainOnly))
            }
            access => Err(Misuse::OutOfOrder(access)),
        }
    }

    /// The viewer answered: it is connected to the target (`MIGRATE_CONNECTED`,
    /// `MIGRATE_CONNECTED_SEAMLESS`), or it is not (`MIGRATE_CONNECT_ERROR`) and the target is forgotten.
    ///
    /// # Errors
    /// [`Misuse::NoSession`]; [`Misuse::OutOfOrder`] if it was not asked.
    pub fn target_answered(&mut self, key: SessionKey, connected: bool) -> Result<(), Misuse> {
        let session = self.running(key)?;
        match (session.access, connected) {
            (TargetAccess::AllChannels, true) => session.access = TargetAccess::Closed,
            (TargetAccess::MainOnly | TargetAccess::AllChannels, false) => session.drop_target(),
            (access, _) => return Err(Misuse::OutOfOrder(access)),
        }
        Ok(())
    }

    /// The migration is off (`MIGRATE_CANCEL`): the target is forgotten. Its connections stay in
    /// [`Tracker::links`] until they are closed.
    ///
    /// # Errors
    /// [`Misuse::NoSession`]; [`Misuse::OutOfOrder`] without a target, and after [`Tracker::switch_told`], which
    /// such a message does not undo.
    pub fn target_dropped(&mut self, key: SessionKey) -> Result<(), Misuse> {
        let session = self.running(key)?;
        match session.access {
            TargetAccess::MainOnly | TargetAccess::AllChannels | TargetAccess::Closed => session.drop_target(),
            access => return Err(Misuse::OutOfOrder(access)),
        }
        Ok(())
    }

    /// The viewer has moved: the target is the current host from now on. Connections to the host before
    /// stay in [`Tracker::links`] until they have drained and are closed.
    ///
    /// # Errors
    /// [`Misuse::NoSession`]; [`Misuse::OutOfOrder`] when the viewer did not say that it is connected, or the
    /// target's main channel is gone.
    pub fn moved(&mut self, key: SessionKey) -> Result<(), Misuse> {
        let session = self.running(key)?;
        if session.access == TargetAccess::Closed && session.promote() {
            return Ok(());
        }
        Err(Misuse::OutOfOrder(session.access))
    }

    /// The viewer is to come again as a new session at a target (`MIGRATE_SWITCH_HOST`). To be called
    /// before that is forwarded. Gives the target's number.
    ///
    /// # Errors
    /// [`Misuse::NoSession`]; [`Misuse::OutOfOrder`] before `INIT`.
    pub fn switch_told(&mut self, key: SessionKey) -> Result<Host, Misuse> {
        let session = self.running(key)?;
        if session.bound() {
            Ok(session.next_target(TargetAccess::NewSession))
        } else {
            Err(Misuse::OutOfOrder(session.access))
        }
    }

    /// Forgets a session. To be called when its key is not used any more: here it would be fresh again. Its connections
    /// are forgotten as well. Whether there was one.
    pub fn forget(&mut self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.remove(&key) else {
            return false;
        };
        for link in session.links {
            self.links.free(link);
        }
        true
    }

    /// Ends a session, as the end of its main channel would. Whether one was running.
    pub fn end(&mut self, key: SessionKey) -> bool {
        self.running(key).map(Session::end).is_ok()
    }

    /// Call [`Tracker::expire`] then.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let open = self.links.oldest().map(|(_, open)| open.deadline);
        let lost = self.lost.front().map(|(until, _)| *until);
        open.into_iter().chain(lost).min()
    }

    /// One of those whose time ran out; call again until there is none.
    pub fn expire(&mut self, now: Duration) -> Option<Expired> {
        if let Some((link, _)) = self.links.oldest().filter(|(_, open)| open.deadline <= now) {
            self.links.free(link);
            return Some(Expired::Link(link));
        }
        while let Some(&(_, key)) = self.lost.front().filter(|(until, _)| *until <= now) {
            self.lost.pop_front();
            let Ok(session) = self.running(key) else { continue };
            session.queued = false;
            match session.lost_until {
                Some(until) if until <= now => {
                    session.end();
                    return Some(Expired::Session(key));
                }
                // It was lost again meanwhile; behind later ones, it may wait for these, too.
                Some(until) => {
                    session.queued = true;
                    self.lost.push_back((until, key));
                }
                None => {}
            }
        }
        None
    }

    /// The connections of a session, those to other hosts than the current one included.
    pub fn links(&self, key: SessionKey) -> impl Iterator<Item = (Link, ChannelId, Host)> + '_ {
        let links = self.sessions.get(&key).map(|session| session.links.as_slice());
        links.unwrap_or_default().iter().filter_map(|&link| {
            let Admitted { channel, host, .. } = self.links.admitted(link)?;
            Some((link, channel, host))
        })
    }

    /// The host that a further connection of a session would be for, if it were admitted now.
    pub(in crate::session) fn host_for(&self, key: SessionKey, request: Request) -> Option<Host> {
        let session = self.sessions.get(&key).filter(|session| !session.ended())?;
        let placed = match request.channel.channel_type {
            ChannelType::MAIN => session.place_main(request),
            _ => session.place(request, &self.links),
        };
        placed.ok().map(|admission| admission.host)
    }

    /// Whether there is a session with this key that has not ended.
    pub(in crate::session) fn runs(&self, key: SessionKey) -> bool {
        self.sessions.get(&key).is_some_and(|session| !session.ended())
    }

    /// Which links may join the target of a session. `None`: there is no session with this key, or it has ended.
    #[must_use]
    pub fn target_access(&self, key: SessionKey) -> Option<TargetAccess> {
        let session = self.sessions.get(&key).filter(|session| !session.ended())?;
        Some(session.access)
    }

    /// The host that a session is on.
    #[must_use]
    pub fn host(&self, key: SessionKey) -> Option<Host> {
        self.sessions.get(&key).map(|session| session.host)
    }

    /// How much there is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.len(),
            links: self.links.admitted_count(),
            half_open: self.links.half_open_count(),
        }
    }

    /// What another process needs to know to go on with a session.
    #[must_use]
    pub fn snapshot(&self, key: SessionKey) -> Option<Snapshot> {
        let session = self.sessions.get(&key)?;
        Some(session.snapshot(&self.links))
    }

    /// Goes on with a session of another process, or takes over what that process has seen of one. The channels that
    /// were connected there count as connected, and the main channel as running, until a newer snapshot says
    /// otherwise or the session ends. Channels beyond [`Config::channels`] are left out.
    ///
    /// # Errors
    /// [`Misuse::TooManySessions`].
    pub fn restore(&mut self, key: SessionKey, snapshot: &Snapshot) -> Result<(), Misuse> {
        let full = self.config.sessions <= self.sessions.len();
        let session = match self.sessions.get_mut(&key) {
            Some(session) => session,
            None if full => return Err(Misuse::TooManySessions),
            None => self.sessions.entry(key).or_insert_with(|| Session::new(snapshot.peer)),
        };
        session.restore(snapshot, self.config.channels);
        Ok(())
    }
}
