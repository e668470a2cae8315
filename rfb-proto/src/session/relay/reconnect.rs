//! The tenant stays, and another hypervisor takes the place of the one before.

use alloc::boxed::Box;
use core::time::Duration;

use super::data::{Data, Flow, malformed};
use super::question::{Action, Cause, Config, Counts, Dial, End, NotFollowed, SessionQuestion};
use super::stage::{AHEAD, Gone, Next, Over, take_init};
use crate::handshake::bridge::{AuthOrder, BridgeAction, BridgeConfig, BridgeQuestion, Upstream};
use crate::handshake::{Bridge, Buffers, Misuse, Side, SideBuffers};
use crate::init::ServerInit;
use crate::security::SecurityType;
use crate::version::Version;

/// How long a hypervisor that is left may take for the next bytes of what it has begun to say.
const LAST_WORDS: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Reconnect {
    pub(super) data: Box<Data>,
    until: Duration,
    dial: Dial,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The hypervisor before finishes what it has begun to say.
    Leaving {
        until: Duration,
    },
    /// Its connection is closed, and the next one is to be asked for.
    Left,
    /// The question is open.
    Dialling,
    LogIn(Box<LogIn>),
    /// ServerInit is due.
    Init,
    /// Its name is asked about.
    Name(Box<ServerInit>),
    /// Its name is right.
    Named(Box<ServerInit>),
}

/// The log-in at the new hypervisor: the bridge, whose tenant is played here, since the real one is in already.
#[derive(Debug)]
struct LogIn {
    bridge: Bridge,
    tenant: Buffers,
    upstream: Option<Upstream>,
}

impl Reconnect {
    pub(super) fn new(now: Duration, config: &Config, data: Box<Data>, cause: Cause, before: u32) -> Self {
        let before = before.saturating_add(1);
        Self {
            data,
            until: now.saturating_add(config.bridge.limits.handshake_timeout),
            dial: Dial { before, cause },
            state: State::Leaving {
                until: now.saturating_add(LAST_WORDS),
            },
        }
    }

    pub(super) fn deadline(&self) -> Duration {
        let own = match &self.state {
            State::Leaving { until } => *until,
            State::LogIn(log_in) => log_in.bridge.deadline(),
            _ => self.until,
        };
        own.min(self.until)
    }

    pub(super) fn step(
        &mut self,
        now: Duration,
        config: &Config,
        sides: &mut SideBuffers,
        gone: Gone,
        counts: &Counts,
    ) -> Next<()> {
        if gone.tenant {
            return Err(End::Viewer.into());
        }
        if self.until <= now {
            return Err(End::from(NotFollowed::TimedOut).into());
        }
        match &mut self.state {
            State::Leaving { until } => {
                let until = *until;
                self.leave(now, until, sides, gone, counts)
            }
            State::Left => {
                self.state = State::Dialling;
                Ok(Action::Ask(SessionQuestion::Dial(self.dial)))
            }
            State::Dialling => Ok(receive(sides, false)),
            State::LogIn(log_in) => match log_in.step(now, sides, gone) {
                Ok(action) => Ok(action),
                Err(Ok(())) => {
                    sides.hypervisor.tx.extend_from_slice(&[self.data.shared.shared]);
                    self.state = State::Init;
                    self.init(config, sides, gone)
                }
                Err(Err(why)) => Err(End::from(why).into()),
            },
            State::Init => self.init(config, sides, gone),
            State::Name(_) => Ok(receive(sides, false)),
            State::Named(init) => {
                let init = ServerInit::clone(init);
                self.go_on(init, sides)
            }
        }
    }

    fn leave(
        &mut self,
        now: Duration,
        until: Duration,
        sides: &mut SideBuffers,
        gone: Gone,
        counts: &Counts,
    ) -> Next<()> {
        let held = sides.hypervisor.rx.len();
        let flow = self
            .data
            .down(sides, counts, true)
            .map_err(|error| malformed(Side::Hypervisor, error))?;
        let ended = self.data.framing.server().is_between_messages();
        let starved = flow == Flow::Starved && gone.hypervisor;
        if !ended && !starved && now < until {
            if sides.hypervisor.rx.len() < held || flow == Flow::Full {
                let until = now.saturating_add(LAST_WORDS);
                self.state = State::Leaving { until };
            }
            return Ok(receive(sides, flow == Flow::Starved && !gone.hypervisor));
        }
        let left = self.data.framing.leave(&mut sides.tenant.tx);
        left.map_err(|why| End::from(NotFollowed::State(why)))?;
        sides.hypervisor = Buffers::default();
        self.state = State::Left;
        Ok(Action::Hangup)
    }

    fn init(&mut self, config: &Config, sides: &mut SideBuffers, gone: Gone) -> Next<()> {
        let init = match take_init(sides, &config.bridge.limits, false) {
            Ok(Some(init)) => init,
            Ok(None) if gone.hypervisor => return Err(End::from(NotFollowed::Closed).into()),
            Ok(None) => return Ok(receive(sides, true)),
            Err(error) => return Err(End::from(NotFollowed::Init(error)).into()),
        };
        let name = init.name.clone();
        self.state = State::Name(Box::new(init));
        Ok(Action::Ask(SessionQuestion::Name(name)))
    }

    /// The name is asked about.
    pub(super) const fn is_named(&self) -> Result<(), Misuse> {
        match self.state {
            State::Name(_) => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// The name is right: the tenant goes on with this hypervisor.
    pub(super) fn accept_name(&mut self) -> Result<(), Misuse> {
        self.is_named()?;
        if let State::Name(init) = core::mem::replace(&mut self.state, State::Left) {
            self.state = State::Named(init);
        }
        Ok(())
    }

    fn go_on(&mut self, init: ServerInit, sides: &mut SideBuffers) -> Next<()> {
        let SideBuffers { tenant, hypervisor } = sides;
        let moved = self.data.framing.moved(&init, &mut hypervisor.tx, &mut tenant.tx);
        moved.map_err(|why| End::from(NotFollowed::State(why)))?;
        self.data.init = init;
        Err(Over::Next(()))
    }

    pub(super) fn dialled(&mut self, now: Duration, config: &Config, upstream: Upstream) -> Result<(), Misuse> {
        self.answered()?;
        self.state = State::LogIn(Box::new(LogIn::new(now, &config.bridge, upstream)));
        Ok(())
    }

    /// The log-in waits for its layer.
    pub(super) fn is_unlayered(&self) -> bool {
        matches!(&self.state, State::LogIn(log_in) if log_in.bridge.is_unlayered())
    }

    /// The bridge that waits for it.
    pub(super) fn unlayered(&mut self) -> Option<&mut Bridge> {
        match &mut self.state {
            State::LogIn(log_in) if log_in.bridge.is_unlayered() => Some(&mut log_in.bridge),
            _ => None,
        }
    }

    pub(super) fn answered(&self) -> Result<(), Misuse> {
        match self.state {
            State::Dialling => Ok(()),
            _ => Err(Misuse::NotAsked),
        }
    }
}

/// The tenant is read to see when it goes; what it says waits.
fn receive(sides: &SideBuffers, hypervisor: bool) -> Action {
    let tenant = sides.tenant.rx.len() < AHEAD;
    Action::Receive { tenant, hypervisor }
}

impl LogIn {
    fn new(now: Duration, config: &BridgeConfig, upstream: Upstream) -> Self {
        let version = config.only_version.unwrap_or(Version::V3_8);
        let types = [SecurityType::NONE];
        let config = config
            .clone()
            .with_auth_order(AuthOrder::TenantFirst)
            .with_tenant_types(&types)
            .with_tenant_subtypes(&[])
            .with_tenant_version(version);
        let mut tenant = Buffers::default();
        tenant.rx.extend_from_slice(&version.to_bytes());
        if version != Version::V3_3 {
            tenant.rx.extend_from_slice(&[SecurityType::NONE.0]);
        }
        Self {
            bridge: Bridge::new(now, config),
            tenant,
            upstream: Some(upstream),
        }
    }

    /// `Err(Ok(()))`: it is done.
    fn step(&mut self, now: Duration, sides: &mut SideBuffers, gone: Gone) -> Result<Action, Result<(), NotFollowed>> {
        let mut played = SideBuffers {
            tenant: core::mem::take(&mut self.tenant),
            hypervisor: core::mem::take(&mut sides.hypervisor),
        };
        let stepped = self.advance(now, &mut played, gone);
        played.tenant.tx.clear();
        self.tenant = played.tenant;
        sides.hypervisor = played.hypervisor;
        match stepped.map_err(|why| Err(NotFollowed::LogIn(why)))? {
            BridgeAction::Receive {
                side: Side::Hypervisor, ..
            } => Ok(receive(sides, true)),
            BridgeAction::StartTls { side, tls } => Ok(Action::StartTls { side, tls }),
            BridgeAction::Done(_) => Err(Ok(())),
            BridgeAction::Ask(question @ BridgeQuestion::RsaAesLayer { .. }) => {
                Ok(Action::Ask(SessionQuestion::Tenant(question)))
            }
            // The layer has not begun yet.
            BridgeAction::Waiting if gone.hypervisor => Err(Err(NotFollowed::Closed)),
            BridgeAction::Waiting => {
                let held = sides.hypervisor.rx.len();
                Ok(receive(sides, held < self.bridge.max_input(Side::Hypervisor)))
            }
            // INVARIANT: the played tenant has said all that it is asked for, and nothing else is asked.
            BridgeAction::Receive { .. } | BridgeAction::Ask(_) => Err(Err(NotFollowed::NotAnswered)),
        }
    }

    fn advance(
        &mut self,
        now: Duration,
        played: &mut SideBuffers,
        gone: Gone,
    ) -> Result<BridgeAction, crate::handshake::bridge::BridgeError> {
        loop {
            let action = self.bridge.step(now, played)?;
            let answered = match (&action, &mut self.upstream) {
                (BridgeAction::Ask(BridgeQuestion::Admit(_)), _) => self.bridge.admit(played),
                (BridgeAction::Ask(BridgeQuestion::Connect), Some(_)) => {
                    self.bridge.connect(self.upstream.take().unwrap_or_default())
                }
                (BridgeAction::Receive { .. }, _) if gone.hypervisor => {
                    self.bridge.eof(played, Side::Hypervisor)?;
                    continue;
                }
                _ => return Ok(action),
            };
            if answered.is_err() {
                return Ok(action);
            }
        }
    }
}
