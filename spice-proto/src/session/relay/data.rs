//! The data stage of one connection: its two directions, and what they ask of the session.

use bytes::Bytes;
use core::time::Duration;

use super::forwarding::{Flow, PolicyForwarder};
use super::{Action, Ask, Config, End, GuestIdentity, Move, SessionQuestion};
use crate::channel::common::Migrate;
use crate::channel::display;
use crate::channel::main::ServerMessage;
use crate::frame::{Header, HeaderForm};
use crate::ids::ChannelType;
use crate::link::Sender;
use crate::link::relay::RelayOutcome;
use crate::link::{Misuse, Side, SideBuffers};
use crate::session::migration::{ConnectionHandle, DISPLAY_INIT_BODY, Fault, Migration, Pass, Target};
use crate::session::policy::Policy;
use crate::session::{Host, SessionKey, Tracker};

/// How long a hypervisor has for its answer to a DISPLAY_INIT. One that takes longer is closed all the same.
const DRAINING: Duration = Duration::from_secs(2);
/// How long one side has, when the other has hung up, to take what does not fit any more. A peer that is there and
/// reads nothing would keep its connection for ever.
const LINGER: Duration = Duration::from_secs(30);
/// A side from which nothing can be moved is read up to here all the same, to see when it goes.
const AHEAD: usize = 16 << 10;

/// What a message waits for.
#[derive(Debug)]
enum Held {
    Nothing,
    Bind(Ask<u32>),
    Target(Ask<Target>),
    Identity(Ask<GuestIdentity>),
}

#[derive(Debug)]
pub(super) struct Data {
    /// The session, and where it is connected.
    place: (SessionKey, Host),
    channel: ChannelType,
    /// On a migration target.
    target: bool,
    hypervisor_form: HeaderForm,
    to_hypervisor: PolicyForwarder,
    to_viewer: PolicyForwarder,
    held: Held,
    /// What the message at the front says of the guest was accepted.
    vouched: bool,
    /// The hypervisor is read from.
    reads: bool,
    /// Nothing may be put between the server's messages.
    adjacent: bool,
    viewer_gone: bool,
    hypervisor_gone: bool,
    /// One side is gone, and this is how long the other may take for what is left.
    linger: Option<Duration>,
    /// It has to end, and this side is at fault.
    over: Option<(Side, End)>,
}

impl Held {
    const fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }
}

impl Data {
    pub(super) fn new(place: (SessionKey, Host), outcome: &RelayOutcome, config: &Config, target: bool) -> Self {
        let channel = outcome.request.channel_type;
        let (tenant, hypervisor) = (outcome.tenant_form, outcome.hypervisor_form);
        let (policy, limits) = (&config.policy, &config.limits);
        Self {
            place,
            channel,
            target,
            hypervisor_form: hypervisor,
            to_hypervisor: PolicyForwarder::new(channel, Sender::Client, [tenant, hypervisor], policy, limits),
            to_viewer: PolicyForwarder::new(channel, Sender::Server, [hypervisor, tenant], policy, limits),
            held: Held::Nothing,
            vouched: false,
            reads: true,
            adjacent: false,
            viewer_gone: false,
            hypervisor_gone: false,
            linger: None,
            over: None,
        }
    }

    /// The id of the session, if the hypervisor has just given it.
    pub(super) const fn names(&self) -> Option<u32> {
        match self.held {
            Held::Bind(Ask::New(id)) => Some(id),
            _ => None,
        }
    }

    pub(super) const fn passed(&self) -> (u64, u64) {
        (self.to_viewer.forwarded(), self.to_hypervisor.forwarded())
    }

    pub(super) fn eof(&mut self, side: Side) {
        match side {
            Side::Tenant => self.viewer_gone = true,
            Side::Hypervisor => self.hypervisor_gone = true,
        }
    }

    pub(super) fn step(&mut self, now: Duration, policy: &Policy, sides: &mut SideBuffers) -> Action {
        let question = match &mut self.held {
            Held::Nothing => None,
            Held::Bind(ask) => ask.take().map(|id| {
                let (session, _) = self.place;
                SessionQuestion::BindSession { session, id }
            }),
            Held::Target(ask) => ask.take().map(|target| {
                let (session, host) = self.place;
                SessionQuestion::Target(Move { session, host, target })
            }),
            Held::Identity(ask) => ask.take().map(SessionQuestion::Identity),
        };
        if let Some(question) = question {
            return Action::Ask(question);
        }
        let SideBuffers { tenant, hypervisor } = sides;
        let mut dropped = 0;
        let flow = self
            .to_hypervisor
            .forward(now, policy, &mut tenant.rx, &mut hypervisor.tx, &mut dropped);
        let free = !self.adjacent;
        self.to_viewer.give_back(dropped, free, &mut tenant.tx);
        let mut full = flow == Flow::Full && self.viewer_gone;
        let (read_tenant, mut consult) = self.flowed(Side::Tenant, flow, tenant.rx.len());
        let mut read_hypervisor = false;
        if self.reads && self.held.is_nothing() {
            let mut dropped = 0;
            let flow = self
                .to_viewer
                .forward(now, policy, &mut hypervisor.rx, &mut tenant.tx, &mut dropped);
            self.to_hypervisor.give_back(dropped, true, &mut hypervisor.tx);
            full |= flow == Flow::Full && self.hypervisor_gone;
            let (read, show) = self.flowed(Side::Hypervisor, flow, hypervisor.rx.len());
            (read_hypervisor, consult) = (read, consult || show);
        } else if let Held::Bind(_) = self.held {
            // A session whose hypervisor is gone needs no name.
            let (read, over) = self.flowed(Side::Hypervisor, Flow::Starved, 0);
            (read_hypervisor, consult) = (read && hypervisor.rx.len() < AHEAD, consult || over);
        }
        if self.lingers(now, full) || consult {
            return Action::Synchronize;
        }
        Action::Receive {
            tenant: read_tenant,
            hypervisor: read_hypervisor,
        }
    }

    /// When a side that takes nothing is given up, since the other has hung up.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        self.linger
    }

    /// Whether what is left for one side has waited for too long. `full`: it does not fit, and the other side is gone.
    fn lingers(&mut self, now: Duration, full: bool) -> bool {
        if !full {
            self.linger = None;
            return false;
        }
        if now < *self.linger.get_or_insert(now.saturating_add(LINGER)) {
            return false;
        }
        let gone = match self.viewer_gone {
            true => (Side::Tenant, End::Viewer),
            false => (Side::Hypervisor, End::Hypervisor),
        };
        self.over = self.over.or(Some(gone));
        true
    }

    /// Whether this side is to be read from, and whether the session has to be asked. `held`: bytes of this side that
    /// wait.
    fn flowed(&mut self, side: Side, flow: Flow, held: usize) -> (bool, bool) {
        let (by, gone, hung_up) = match side {
            Side::Tenant => (Sender::Client, self.viewer_gone, End::Viewer),
            Side::Hypervisor => (Sender::Server, self.hypervisor_gone, End::Hypervisor),
        };
        let end = match flow {
            Flow::Starved if gone => hung_up,
            Flow::Starved => return (true, false),
            Flow::Full => return (!gone && held < AHEAD, false),
            Flow::Show => return (false, true),
            Flow::Rule(rule) => End::Rule { by, rule },
            Flow::Malformed(error) => End::Malformed { by, error },
        };
        self.over = self.over.or(Some((side, end)));
        (false, true)
    }

    /// Shows the session what it has to see. Gives why the connection has to end, if it has, and the side at fault.
    pub(super) fn synchronize(
        &mut self,
        now: Duration,
        migration: &mut Migration,
        tracker: &mut Tracker,
        seat: ConnectionHandle,
        sides: &mut SideBuffers,
    ) -> Option<(Side, End)> {
        let SideBuffers { tenant, hypervisor } = sides;
        let (src, dst) = (&mut tenant.rx, &mut hypervisor.tx);
        if let Some(frame) = self.to_hypervisor.shown(src) {
            match migration.client_message(now, tracker, seat, &frame) {
                Pass::Forward => {
                    if let Err(error) = self.to_hypervisor.forward_shown(src, dst) {
                        let by = Sender::Client;
                        return Some((Side::Tenant, End::Malformed { by, error }));
                    }
                }
                Pass::Instead(number) => self.to_hypervisor.replace_shown(number, &[], src, dst),
                Pass::Drop => self.to_hypervisor.drop_shown(src),
                Pass::Refuse(fault) => {
                    return Some((
                        Side::Tenant,
                        End::Fault {
                            by: Sender::Client,
                            fault,
                        },
                    ));
                }
                Pass::Bind(_) | Pass::Ask(_) => return Some((Side::Tenant, out_of_order(Sender::Client))),
            }
        }
        let (src, dst) = (&mut hypervisor.rx, &mut tenant.tx);
        if self.held.is_nothing()
            && self.reads
            && let Some(frame) = self.to_viewer.shown(src)
        {
            let number = frame.header.number;
            let says = self.channel == ChannelType::MAIN && GuestIdentity::is_said_by(number);
            if says && !core::mem::take(&mut self.vouched) {
                let said = GuestIdentity::read(number, frame.body);
                self.held = Held::Identity(Ask::New(said));
                return self.over.take();
            }
            match migration.server_message(now, tracker, seat, &frame) {
                Pass::Forward => {
                    let migrates = frame.header.number == Migrate::NUMBER;
                    if let Err(error) = self.to_viewer.forward_shown(src, dst) {
                        let by = Sender::Server;
                        return Some((Side::Hypervisor, End::Malformed { by, error }));
                    }
                    if migrates {
                        self.to_viewer.show_next();
                    }
                }
                Pass::Bind(id) => self.held = Held::Bind(Ask::New(id)),
                Pass::Ask(target) => self.held = Held::Target(Ask::New(target)),
                Pass::Refuse(fault) => {
                    return Some((
                        Side::Hypervisor,
                        End::Fault {
                            by: Sender::Server,
                            fault,
                        },
                    ));
                }
                Pass::Instead(_) | Pass::Drop => return Some((Side::Hypervisor, out_of_order(Sender::Server))),
            }
            self.adjacent = !migration.may_insert(seat);
        }
        self.reads = migration.reads(tracker, seat);
        self.over.take()
    }

    /// `MIGRATE_CANCEL` in the proxy's own name.
    pub(super) fn cancel(&mut self, sides: &mut SideBuffers) {
        self.to_viewer.insert(ServerMessage::MIGRATE_CANCEL);
        self.to_viewer.put_inserts(!self.adjacent, &mut sides.tenant.tx);
    }

    pub(super) fn bound(&mut self, sides: &mut SideBuffers) -> Result<(), Misuse> {
        self.answer_bind()?;
        // INVARIANT: INIT has no sub-messages that would have to be listed.
        let _ = self
            .to_viewer
            .forward_shown(&mut sides.hypervisor.rx, &mut sides.tenant.tx);
        Ok(())
    }

    pub(super) fn not_bound(&mut self) -> Result<(), Misuse> {
        self.answer_bind()?;
        self.over = Some((Side::Tenant, End::NotBound));
        Ok(())
    }

    fn answer_bind(&mut self) -> Result<(), Misuse> {
        match &mut self.held {
            Held::Bind(ask) => ask.answer()?,
            _ => return Err(Misuse::NotAsked),
        }
        self.held = Held::Nothing;
        Ok(())
    }

    pub(super) fn answer_target(&mut self) -> Result<(), Misuse> {
        match &mut self.held {
            Held::Target(ask) => ask.answer()?,
            _ => return Err(Misuse::NotAsked),
        }
        self.held = Held::Nothing;
        Ok(())
    }

    /// What the message at the front says of the guest is right, or not.
    pub(super) fn answer_identity(&mut self, is_right: bool) -> Result<(), Misuse> {
        match &mut self.held {
            Held::Identity(ask) => ask.answer()?,
            _ => return Err(Misuse::NotAsked),
        }
        self.held = Held::Nothing;
        self.vouched = is_right;
        if !is_right {
            self.over = Some((Side::Hypervisor, End::OtherGuest));
            self.reads = false;
        }
        Ok(())
    }

    /// Sends the body in the place of the message that was held. `None`: nothing is sent, since the session has ended.
    pub(super) fn told(&mut self, body: Option<&Bytes>, reads: bool, sides: &mut SideBuffers) {
        let src = &mut sides.hypervisor.rx;
        let number = self.to_viewer.shown(src).map(|frame| frame.header.number);
        match number.zip(body) {
            Some((number, body)) => self.to_viewer.replace_shown(number, body, src, &mut sides.tenant.tx),
            None => self.to_viewer.drop_shown(src),
        }
        self.reads = reads;
    }

    /// Whether this connection cannot be closed yet, without which QEMU would end: until then. `init`: nothing was
    /// said on it so far.
    pub(super) fn drain(&self, now: Duration, init: bool, sides: &mut SideBuffers) -> Option<Duration> {
        let hypervisor = &mut sides.hypervisor;
        if self.channel != ChannelType::DISPLAY || self.target || self.hypervisor_gone {
            return None;
        }
        if init {
            hypervisor.rx.clear();
            let header = Header {
                serial: 1,
                number: display::Init::NUMBER,
                size: DISPLAY_INIT_BODY,
                sub_list: 0,
            };
            header.write(self.hypervisor_form, &mut hypervisor.tx);
            // Ids 0 and caches of no size.
            hypervisor.tx.extend_from_slice(&[0; DISPLAY_INIT_BODY as usize]);
        } else if 0 < self.to_viewer.forwarded() || !hypervisor.rx.is_empty() {
            return None;
        }
        Some(now.saturating_add(DRAINING))
    }
}

const fn out_of_order(by: Sender) -> End {
    let fault = Fault::OutOfOrder;
    End::Fault { by, fault }
}
