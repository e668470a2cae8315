//! The states of one session's moves.

mod client;
mod server;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

use super::state::{State, Transfer};
use super::verdict::{Answer, ConnectionHandle, Effect, Lost};
use super::{Endpoint, Kind, Target};
use crate::channel::main::{
    ChannelId, ChannelsList, ClientMessage, Init, MigrateBegin, MigrateBeginSeamless, MigrateDstDoSeamless,
    MigrateSwitchHost, ServerMessage,
};
use crate::channel::{common, display};
use crate::frame::Header;
use crate::ids::ChannelType;
use crate::link::Sender;
use crate::link::Side;
use crate::session::tracker::{Admission, Closed, Link, Misuse, Reason, Request};
use crate::session::{Host, SessionKey, Tracker};

/// From a told target to the last of the viewer's connections there. The source waits 10 s, the viewer for ever.
const OPENING: Duration = Duration::from_secs(8);
/// From the source's last word to the viewer's first at the target, as long as the source waits.
const ENDING: Duration = Duration::from_secs(10);
/// How long a viewer may take to close what it has no use for.
const LEAVING: Duration = Duration::from_secs(1);

/// Bytes in the body of `DISPLAY_INIT`.
pub(in crate::session) const DISPLAY_INIT_BODY: u32 = 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialling,
    Linked,
    Pretended,
}

#[derive(Debug)]
struct Seated {
    link: Link,
    channel: ChannelId,
    host: Host,
    /// It was opened to a migration target.
    target: bool,
    stage: Stage,
    /// Messages of the client.
    said: u32,
    /// The client has sent `DISPLAY_INIT`.
    initialised: bool,
    /// The source has asked for a flush mark.
    flush_due: bool,
    /// The source has said MIGRATE, and its state comes next.
    data_due: bool,
}

/// One session's moves from hypervisor to hypervisor.
#[derive(Debug)]
pub struct Migration {
    key: SessionKey,
    endpoint: Endpoint,
    seats: Vec<Option<Seated>>,
    pub(super) state: State,
    /// Where the targets are that have a number.
    targets: Vec<(Host, Target)>,
    /// When what is left at a forgotten target is closed.
    leaving: Option<(Duration, Host)>,
    /// The states of a seamless move's channels: some go on to send theirs when the main channel has moved.
    transfer: Option<Transfer>,
    effects: VecDeque<Effect>,
}

impl Migration {
    /// For a session that begins. `endpoint`: where its viewer finds the proxy.
    #[must_use]
    pub fn new(key: SessionKey, endpoint: Endpoint) -> Self {
        Self {
            key,
            endpoint,
            seats: Vec::new(),
            state: State::IDLE,
            targets: Vec::new(),
            leaving: None,
            transfer: None,
            effects: VecDeque::new(),
        }
    }

    /// Where the viewer finds the proxy from now on: the address that it gets with the next target. It is that of the
    /// listener that the main channel came to.
    pub fn set_endpoint(&mut self, endpoint: Endpoint) {
        self.endpoint = endpoint;
    }

    /// Whether the body of such a message is looked at; of all others the header is enough. Bodies with
    /// sub-messages are looked at as well.
    #[must_use]
    pub fn watches(channel: ChannelType, sender: Sender, number: u16) -> bool {
        let main = channel == ChannelType::MAIN;
        match sender {
            Sender::Server => {
                let body = matches!(
                    number,
                    MigrateBegin::NUMBER
                        | Init::NUMBER
                        | ChannelsList::NUMBER
                        | MigrateSwitchHost::NUMBER
                        | MigrateBeginSeamless::NUMBER
                );
                moves(number) || main && body
            }
            Sender::Client => {
                number == common::ClientMessage::MIGRATE_DATA || main && number == MigrateDstDoSeamless::NUMBER
            }
        }
    }

    /// The next thing to do; ask after every call.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Where the hypervisor with this number is. `None` for the first, which the caller knows, and for one that was
    /// forgotten, which must not be dialled. Its ticket is the one for this address, never another host's.
    #[must_use]
    pub fn target(&self, host: Host) -> Option<&Target> {
        self.targets
            .iter()
            .find(|(other, _)| *other == host)
            .map(|(_, target)| target)
    }

    /// Whether such a message has to be shown at all. The first two of a client are, too, and what stands behind a
    /// MIGRATE of the server; all others go on as they came.
    #[must_use]
    #[inline]
    pub const fn looks_at(channel: ChannelType, sender: Sender, header: &Header) -> bool {
        let main = channel.0 == ChannelType::MAIN.0;
        match (sender, header.number) {
            (Sender::Server, number) if moves(number) => true,
            (Sender::Client, common::ClientMessage::MIGRATE_FLUSH_MARK | common::ClientMessage::MIGRATE_DATA) => true,
            (
                Sender::Server,
                ServerMessage::MIGRATE_BEGIN
                | ServerMessage::MIGRATE_CANCEL
                | ServerMessage::INIT
                | ServerMessage::NAME
                | ServerMessage::UUID
                | ServerMessage::CHANNELS_LIST
                | ServerMessage::MIGRATE_SWITCH_HOST
                | ServerMessage::MIGRATE_END
                | ServerMessage::MIGRATE_BEGIN_SEAMLESS
                | ServerMessage::MIGRATE_DST_SEAMLESS_ACK
                | ServerMessage::MIGRATE_DST_SEAMLESS_NACK,
            )
            | (
                Sender::Client,
                ClientMessage::MIGRATE_CONNECTED
                | ClientMessage::MIGRATE_CONNECT_ERROR
                | ClientMessage::MIGRATE_END
                | ClientMessage::MIGRATE_DST_DO_SEAMLESS
                | ClientMessage::MIGRATE_CONNECTED_SEAMLESS,
            ) => main,
            (Sender::Client, display::Init::NUMBER) => channel.0 == ChannelType::DISPLAY.0,
            (Sender::Server, _) => header.sub_list != 0,
            _ => false,
        }
    }

    /// Whether to read from this connection's hypervisor. A source's main channel is not read while the viewer does
    /// not read it either: it would learn of a second target before it has answered for the first.
    #[must_use]
    pub fn reads(&self, tracker: &Tracker, seat: ConnectionHandle) -> bool {
        let answer_due = match self.state {
            State::Announced { .. } | State::Opening { .. } => !self.has_ended(tracker),
            _ => self.state.is_asked(),
        };
        let source = self
            .seated(seat)
            .is_some_and(|seated| is_main(seated) && !self.at_target(tracker, seated));
        !(answer_due && source)
    }

    /// Whether a message may be put between those of the server: not between MIGRATE and MIGRATE_DATA.
    #[must_use]
    pub fn may_insert(&self, seat: ConnectionHandle) -> bool {
        self.seated(seat).is_some_and(|seated| !seated.data_due)
    }

    /// Whether it was opened to a migration target.
    pub(in crate::session) fn is_target(&self, seat: ConnectionHandle) -> bool {
        self.seated(seat).is_some_and(|seated| seated.target)
    }

    fn seated(&self, seat: ConnectionHandle) -> Option<&Seated> {
        self.seats.get(seat.0).and_then(Option::as_ref)
    }

    fn seated_mut(&mut self, seat: ConnectionHandle) -> Option<&mut Seated> {
        self.seats.get_mut(seat.0).and_then(Option::as_mut)
    }

    fn at_target(&self, tracker: &Tracker, seated: &Seated) -> bool {
        tracker.host(self.key).is_some_and(|host| host < seated.host)
    }

    /// Whether it stands at the target that the viewer was told of last, not at one that this has taken the place of.
    fn is_at_pending(&self, tracker: &Tracker, seat: ConnectionHandle) -> bool {
        let pending = self.pending(tracker);
        pending.is_some() && self.seated(seat).map(|seated| seated.host) == pending
    }

    /// Whether the session has ended, here or elsewhere.
    pub(super) fn has_ended(&self, tracker: &Tracker) -> bool {
        matches!(self.state, State::End) || !tracker.runs(self.key)
    }

    /// Whether the viewer opens its channels at the target.
    fn is_opening(&self, tracker: &Tracker) -> bool {
        matches!(self.state, State::Opening { .. }) && !self.has_ended(tracker)
    }

    /// The target that the viewer was told of, unless it must not be dialled.
    fn pending(&self, tracker: &Tracker) -> Option<Host> {
        let current = tracker.host(self.key)?;
        self.targets.iter().map(|(host, _)| *host).find(|host| current < *host)
    }

    /// The seats at a host, by the place that they have.
    fn seats_at(&self, host: Host) -> Vec<ConnectionHandle> {
        let here =
            |(at, seated): (usize, &Option<Seated>)| (seated.as_ref()?.host == host).then_some(ConnectionHandle(at));
        self.seats.iter().enumerate().filter_map(here).collect()
    }

    fn close_all_at(&mut self, host: Host) {
        let seats = self.seats_at(host);
        self.effects.extend(seats.into_iter().map(Effect::Close));
    }

    /// A half-open connection showed this session's token: [`Tracker::admit`].
    ///
    /// # Errors
    /// Why it may not join.
    pub fn admit(
        &mut self,
        now: Duration,
        tracker: &mut Tracker,
        link: Link,
        request: Request,
    ) -> Result<(ConnectionHandle, Admission), Reason> {
        let refused = matches!(self.state, State::Announced { refused: true, .. }) && !self.has_ended(tracker);
        if refused && request.channel.channel_type == ChannelType::MAIN && request.connection_id != 0 {
            let _ = tracker.close(now, link);
            return Err(Reason::NoMigration);
        }
        let before = tracker.host(self.key);
        let admission = tracker.admit(now, link, self.key, request)?;
        if admission.replaces {
            let seats = self.seats.iter().enumerate().filter(|(_, seated)| seated.is_some());
            self.effects
                .extend(seats.map(|(at, _)| Effect::Close(ConnectionHandle(at))));
            self.transfer = None;
            self.targets.retain(|(host, _)| *host == admission.host);
        }
        if admission.replaces || before.is_none() {
            let held = self.state.take_held();
            self.state = State::Idle { held };
        }
        let seated = Some(Seated {
            link,
            channel: request.channel,
            host: admission.host,
            target: !admission.replaces && before.is_some_and(|host| host != admission.host),
            stage: Stage::Dialling,
            said: 0,
            initialised: false,
            flush_due: false,
            data_due: false,
        });
        let free = self.seats.iter().position(Option::is_none);
        let at = free.unwrap_or(self.seats.len());
        match self.seats.get_mut(at) {
            Some(place) => *place = seated,
            None => self.seats.push(seated),
        }
        Ok((ConnectionHandle(at), admission))
    }

    /// The hypervisor of this connection has accepted it, or has not. A main channel at a target is dialled before its
    /// viewer gets any answer, and is the only place where a target is refused.
    pub fn dialled(&mut self, now: Duration, tracker: &mut Tracker, seat: ConnectionHandle, accepted: bool) -> Answer {
        let Some(seated) = self.seated(seat) else {
            return Answer::Close;
        };
        let (link, main, at_target) = (seated.link, is_main(seated), self.at_target(tracker, seated));
        if seated.stage == Stage::Pretended {
            return Answer::Pretended;
        }
        if accepted {
            let told = main && self.pending(tracker) == Some(seated.host);
            self.set_stage(seat, Stage::Linked);
            let _ = tracker.linked(link);
            if let (true, State::Announced { kind, until, .. }) = (told, &self.state) {
                self.state = State::Opening {
                    kind: *kind,
                    until: *until,
                    pretended: false,
                };
            }
            return Answer::Accept;
        }
        if at_target && !main && self.is_opening(tracker) {
            self.pretend(tracker, seat);
            return Answer::Pretend;
        }
        self.leave(now, tracker, seat);
        // The viewer's question for a password has no answer that would help.
        if main && !at_target {
            Answer::Close
        } else {
            Answer::Refuse
        }
    }

    fn set_stage(&mut self, seat: ConnectionHandle, stage: Stage) {
        if let Some(seated) = self.seated_mut(seat) {
            seated.stage = stage;
        }
    }

    fn pretend(&mut self, tracker: &mut Tracker, seat: ConnectionHandle) {
        self.set_stage(seat, Stage::Pretended);
        if let State::Opening { pretended, .. } = &mut self.state {
            *pretended = true;
        }
        if let Some(seated) = self.seated(seat) {
            let _ = tracker.linked(seated.link);
        }
    }

    fn leave(&mut self, now: Duration, tracker: &mut Tracker, seat: ConnectionHandle) -> Closed {
        let seated = self.seats.get_mut(seat.0).and_then(Option::take);
        // With the source's main channel goes what it has asked.
        if seated
            .as_ref()
            .is_some_and(|seated| is_main(seated) && !self.at_target(tracker, seated))
        {
            self.state.take_held();
        }
        let closed = seated.map_or(Closed::Link, |seated| {
            tracker.close(now, seated.link).unwrap_or(Closed::Link)
        });
        if closed == Closed::Session {
            self.end();
        }
        closed
    }

    fn end(&mut self) {
        self.state = State::End;
        self.leaving = None;
        self.effects.push_back(Effect::End);
    }

    /// One side of a connection is gone.
    pub fn lost(&mut self, now: Duration, tracker: &mut Tracker, seat: ConnectionHandle, side: Side) -> Lost {
        let Some(seated) = self.seated(seat) else {
            return Lost::Close;
        };
        let stage = seated.stage;
        if side == Side::Hypervisor {
            if stage == Stage::Pretended {
                return Lost::Pretend;
            }
            // What is left of a target before this one is no part of the move.
            if stage == Stage::Linked && self.is_opening(tracker) && self.pending(tracker) == Some(seated.host) {
                self.pretend(tracker, seat);
                return Lost::Pretend;
            }
        }
        let silent = side == Side::Tenant
            && stage == Stage::Linked
            && seated.channel.channel_type == ChannelType::DISPLAY
            && !seated.target
            && !seated.initialised;
        match self.leave(now, tracker, seat) {
            Closed::Link if silent => Lost::InitThenClose,
            Closed::Link => Lost::Close,
            Closed::Main => Lost::Wait,
            Closed::Session => Lost::End,
        }
    }

    /// That is a place of the session's guest. Gives the body that goes on in the place of the one
    /// that was held.
    ///
    /// # Errors
    /// [`Misuse::OutOfOrder`]: no question is open. [`Misuse::NoSession`].
    pub fn accept(&mut self, now: Duration, tracker: &mut Tracker) -> Result<Bytes, Misuse> {
        let target = self.held()?;
        let body = self.endpoint.body(&target);
        let host = match target.kind {
            Kind::SwitchHost => tracker.switch_told(self.key)?,
            _ => tracker.target_told(self.key)?,
        };
        self.begin(now, tracker, target.kind, false);
        self.targets.push((host, target));
        Ok(body)
    }

    /// The viewer must not go there. Gives the body for the viewer: the same as for a target that it may go to. Its
    /// main channel comes to the proxy then, where [`Migration::admit`] refuses it, and so it stays where it is.
    /// `None` where the guest is gone already: the session ends.
    ///
    /// # Errors
    /// As [`Migration::accept`].
    pub fn refuse(&mut self, now: Duration, tracker: &mut Tracker) -> Result<Option<Bytes>, Misuse> {
        let target = self.held()?;
        if target.kind == Kind::SwitchHost {
            tracker.end(self.key);
            self.end();
            return Ok(None);
        }
        tracker.target_told(self.key)?;
        self.begin(now, tracker, target.kind, true);
        Ok(Some(self.endpoint.body(&target)))
    }

    /// The target that is asked about.
    fn held(&mut self) -> Result<Target, Misuse> {
        let held = self.state.take_held();
        held.ok_or(Misuse::OutOfOrder(self.state.access()))
    }

    /// A target is announced to the viewer.
    fn begin(&mut self, now: Duration, tracker: &Tracker, kind: Kind, refused: bool) {
        // What stands at a target before it leads nowhere any more.
        if let Some(abandoned) = self.pending(tracker) {
            self.close_all_at(abandoned);
        }
        let current = tracker.host(self.key);
        self.targets.retain(|(host, _)| Some(*host) == current);
        self.transfer = None;
        self.state = match kind {
            Kind::SwitchHost => State::Switch,
            kind => State::Announced {
                kind,
                until: Some(now.saturating_add(OPENING)),
                refused,
            },
        };
    }

    /// There is no target any more, or it is the current host.
    fn settle(&mut self, tracker: &Tracker) {
        let current = tracker.host(self.key);
        self.targets.retain(|(host, _)| Some(*host) == current);
        let held = self.state.take_held();
        self.state = State::Idle { held };
    }

    /// Call [`Migration::expire`] then.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        let leaving = self.leaving.map(|(until, _)| until);
        self.state.until().into_iter().chain(leaving).min()
    }

    /// Does what is due; see [`Migration::poll_effect`].
    pub fn expire(&mut self, now: Duration, tracker: &mut Tracker) {
        if let Some((_, host)) = self.leaving.take_if(|(until, _)| *until <= now) {
            self.close_all_at(host);
        }
        if !self.state.time_is_over(now) || self.has_ended(tracker) {
            return;
        }
        match (&self.state, self.pending(tracker)) {
            // The only one that is there: to close it is no danger.
            (State::Announced { .. }, Some(host)) => self.close_all_at(host),
            (State::Opening { .. }, Some(host)) => {
                for seat in self.seats_at(host) {
                    if self.seated(seat).is_some_and(|seated| seated.stage == Stage::Dialling) {
                        self.pretend(tracker, seat);
                        self.effects.push_back(Effect::Pretend(seat));
                    }
                }
            }
            (State::Ending { .. }, _) => {
                tracker.end(self.key);
                self.end();
            }
            _ => {}
        }
    }
}

/// The messages of any server that are about moves, or may hold such ones.
const fn moves(number: u16) -> bool {
    use common::ServerMessage as M;
    matches!(number, M::MIGRATE | M::MIGRATE_DATA | M::LIST)
}

fn is_main(seated: &Seated) -> bool {
    seated.channel.channel_type == ChannelType::MAIN
}
