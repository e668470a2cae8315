//! The handshake, and ClientInit and ServerInit behind it.

use alloc::boxed::Box;
use core::time::Duration;

use super::question::{Action, Cause, Config, Dial, End, SessionQuestion};
use super::stage::{AHEAD, Gone, Next, Over, take_client_init, take_init};
use crate::first_bytes::FirstBytes;
use crate::handshake::bridge::{BridgeAction, BridgeError, BridgeOutcome, BridgeQuestion, Upstream};
use crate::handshake::{Bridge, HandshakeError, Misuse, Refusal, Side, SideBuffers, Stage as HandshakeStage};
use crate::init::{ClientInit, ServerInit};
use crate::security::Reason;
use crate::session::Viewer;

/// The reason that a tenant gets when there is no place for it.
const FULL: &str = "Too many viewers";

#[derive(Debug)]
pub(super) struct Opening {
    pub(super) bridge: Bridge,
    /// The question for the hypervisor's connection is open.
    dialling: bool,
    /// The hypervisor's connection stands.
    connected: bool,
    /// The bridge knows that nothing more comes from the hypervisor.
    told: bool,
    /// Why the tenant is refused, if that is the relay's own reason.
    why: Option<End>,
}

impl Opening {
    pub(super) const fn new(bridge: Bridge) -> Self {
        Self {
            bridge,
            dialling: false,
            connected: false,
            told: false,
            why: None,
        }
    }

    /// No hypervisor was asked for.
    pub(super) const fn has_no_hypervisor(&self) -> bool {
        !self.connected && !self.dialling
    }

    pub(super) fn step(
        &mut self,
        now: Duration,
        config: &Config,
        sides: &mut SideBuffers,
        gone: Gone,
        viewer: &mut Option<Viewer>,
    ) -> Next<Box<BridgeOutcome>> {
        loop {
            let action = match self.bridge.step(now, sides) {
                Ok(action) => action,
                Err(error) => return Err(self.end(sides, error).into()),
            };
            // While something is due from the tenant, that has to come first: only then can the tenant be told.
            let can_be_told = !matches!(
                action,
                BridgeAction::Receive { side: Side::Tenant, .. } | BridgeAction::Done(_)
            );
            if gone.hypervisor && !self.told && can_be_told {
                self.told = true;
                match self.bridge.eof(sides, Side::Hypervisor) {
                    Err(error) => return Err(self.end(sides, error).into()),
                    Ok(()) if matches!(action, BridgeAction::Receive { .. } | BridgeAction::Waiting) => continue,
                    Ok(()) => {}
                }
            }
            return Ok(match action {
                BridgeAction::Receive { side, .. } => self.receive(Some(side), sides, gone),
                BridgeAction::Waiting => self.receive(None, sides, gone),
                BridgeAction::StartTls { side, tls } => Action::StartTls { side, tls },
                BridgeAction::Ask(BridgeQuestion::Connect) => match place(config, viewer) {
                    Ok(()) => {
                        self.dialling = true;
                        let (before, cause) = (0, Cause::Entered);
                        Action::Ask(SessionQuestion::Dial(Dial { before, cause }))
                    }
                    Err(why) => {
                        self.why = Some(why);
                        // INVARIANT: the question was asked just now.
                        let _ = self.bridge.refuse(sides, Refusal::Failed(Reason::from_static(FULL)));
                        continue;
                    }
                },
                BridgeAction::Ask(question) => Action::Ask(SessionQuestion::Tenant(question)),
                BridgeAction::Done(outcome) => return Err(Over::Next(Box::new(outcome))),
            });
        }
    }

    fn receive(&self, awaited: Option<Side>, sides: &SideBuffers, gone: Gone) -> Action {
        let reads = |side: Side, held: usize| awaited == Some(side) || held < self.bridge.max_input(side);
        Action::Receive {
            tenant: reads(Side::Tenant, sides.tenant.rx.len()),
            hypervisor: self.connected && !gone.hypervisor && reads(Side::Hypervisor, sides.hypervisor.rx.len()),
        }
    }

    pub(super) fn tenant_gone(&mut self, sides: &mut SideBuffers) -> End {
        match self.bridge.eof(sides, Side::Tenant) {
            Err(error) => self.end(sides, error),
            Ok(()) => End::Viewer,
        }
    }

    fn end(&mut self, sides: &mut SideBuffers, error: BridgeError) -> End {
        if let Some(why) = self.why.take() {
            return why;
        }
        if !error.error.is_not_rfb() {
            return End::Handshake(error);
        }
        let came = FirstBytes::of(&sides.side(error.side).rx);
        End::NotRfb { error, came }
    }

    pub(super) fn dialled(&mut self, upstream: Upstream) -> Result<(), Misuse> {
        self.answered()?;
        self.connected = true;
        self.bridge.connect(upstream)
    }

    pub(super) fn unreachable(&mut self, config: &Config, sides: &mut SideBuffers) -> Result<(), Misuse> {
        self.answered()?;
        self.why = Some(End::Unreachable);
        self.bridge.refuse(sides, config.bridge.upstream_failure.clone())
    }

    fn answered(&mut self) -> Result<(), Misuse> {
        match core::mem::take(&mut self.dialling) {
            true => Ok(()),
            false => Err(Misuse::NotAsked),
        }
    }
}

/// A place for the tenant, if their number is bounded.
fn place(config: &Config, viewer: &mut Option<Viewer>) -> Result<(), End> {
    if let Some(limit) = &config.viewers {
        *viewer = Some(limit.enter().ok_or(End::TooManyViewers)?);
    }
    Ok(())
}

/// ClientInit and ServerInit.
#[derive(Debug)]
pub(super) struct Initialisation {
    pub(super) until: Duration,
    /// What the hypervisor was told.
    shared: Option<ClientInit>,
}

impl Initialisation {
    pub(super) const fn new(until: Duration) -> Self {
        Self { until, shared: None }
    }

    pub(super) fn step(
        &mut self,
        now: Duration,
        config: &Config,
        sides: &mut SideBuffers,
        gone: Gone,
    ) -> Next<(ServerInit, ClientInit)> {
        let shared = match self.shared {
            Some(shared) => shared,
            None => match take_client_init(sides) {
                Some(said) => {
                    let shared = config.sharing.flag(said);
                    sides.hypervisor.tx.extend_from_slice(&[shared.shared]);
                    *self.shared.insert(shared)
                }
                None => return self.wait(now, sides, gone, Side::Tenant, HandshakeStage::ClientInit),
            },
        };
        match take_init(sides, &config.bridge.limits, true) {
            Ok(Some(init)) => Err(Over::Next((init, shared))),
            Ok(None) => self.wait(now, sides, gone, Side::Hypervisor, HandshakeStage::ServerInit),
            Err(error) => Err(failed(Side::Hypervisor, error.into())),
        }
    }

    /// Waits for a side.
    fn wait<T>(&self, now: Duration, sides: &SideBuffers, gone: Gone, by: Side, stage: HandshakeStage) -> Next<T> {
        let is_gone = match by {
            Side::Tenant => gone.tenant,
            Side::Hypervisor => gone.hypervisor,
        };
        if is_gone {
            return Err(failed(by, HandshakeError::Closed(stage)));
        }
        // The tenant may go while the hypervisor is waited for, and nothing is left to be done for it then.
        if gone.tenant {
            return Err(End::Viewer.into());
        }
        if self.until <= now {
            return Err(failed(by, HandshakeError::TimedOut(stage)));
        }
        Ok(Action::Receive {
            tenant: by == Side::Tenant || sides.tenant.rx.len() < AHEAD,
            hypervisor: !gone.hypervisor && (by == Side::Hypervisor || sides.hypervisor.rx.len() < AHEAD),
        })
    }
}

fn failed<T>(side: Side, error: HandshakeError) -> Over<T> {
    End::Handshake(BridgeError { side, error }).into()
}
