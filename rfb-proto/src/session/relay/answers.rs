//! The caller's answers.

use core::time::Duration;

#[cfg(doc)]
use super::SessionQuestion;
use super::{End, NotFollowed, Relay, Stage};
use crate::filter::Filter;
use crate::handshake::bridge::Upstream;
use crate::handshake::{Bridge, Misuse, Refusal, SideBuffers};

impl Relay {
    /// The handshake, to answer [`SessionQuestion::Tenant`] with its methods. Stepping is the relay's, and so is the
    /// hypervisor's connection. After a move it is the log-in at the new hypervisor, which asks for its layer only.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]: the handshake is over, and no log-in after a move asks for anything.
    pub fn bridge(&mut self) -> Result<&mut Bridge, Misuse> {
        match &mut self.stage {
            Stage::Opening(opening) => Ok(&mut opening.bridge),
            Stage::Reconnect(reconnect) => reconnect.unlayered().ok_or(Misuse::NotAsked),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Answers any question: the tenant is not let in, or there is no hypervisor for it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse(&mut self, sides: &mut SideBuffers, why: Refusal) -> Result<(), Misuse> {
        match &mut self.stage {
            Stage::Opening(opening) => opening.bridge.refuse(sides, why),
            Stage::Reconnect(reconnect) if reconnect.is_unlayered() => {
                self.stage = Stage::Done(End::from(NotFollowed::NotAnswered));
                self.viewer = None;
                Ok(())
            }
            Stage::Reconnect(reconnect) if reconnect.is_named().is_ok() => self.refuse_name(),
            _ => self.unreachable(sides),
        }
    }

    /// Answers [`SessionQuestion::Dial`]: the connection to the hypervisor stands. From here on
    /// [`Side::Hypervisor`](crate::handshake::Side::Hypervisor) is there.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]: it is not wanted any more, close it.
    pub fn dialled(&mut self, now: Duration, upstream: Upstream) -> Result<(), Misuse> {
        match &mut self.stage {
            Stage::Opening(opening) => opening.dialled(upstream),
            Stage::Reconnect(reconnect) => reconnect.dialled(now, &self.config, upstream),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Answers [`SessionQuestion::Name`]: that is the console's guest, and the tenant goes on with this hypervisor.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn accept_name(&mut self) -> Result<(), Misuse> {
        match &mut self.stage {
            Stage::Reconnect(reconnect) => reconnect.accept_name(),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// Answers [`SessionQuestion::Name`]: that is another guest. The connection ends, and its tenant has seen nothing of that
    /// hypervisor.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse_name(&mut self) -> Result<(), Misuse> {
        match &self.stage {
            Stage::Reconnect(reconnect) => reconnect.is_named()?,
            _ => return Err(Misuse::NotAsked),
        }
        self.stage = Stage::Done(End::from(NotFollowed::OtherGuest));
        self.viewer = None;
        Ok(())
    }

    /// What may pass for this tenant, in place of [`Config::filter`](super::Config::filter): where that is known with its
    /// token only. Without effect once messages pass.
    pub fn restrict(&mut self, filter: Filter) {
        let mut config = super::Config::clone(&self.config);
        config.filter = filter;
        self.config = config.into();
    }

    /// Answers [`SessionQuestion::Dial`]: there is no connection to the hypervisor. A tenant in its handshake gets
    /// [`BridgeConfig::upstream_failure`](crate::handshake::BridgeConfig::upstream_failure).
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn unreachable(&mut self, sides: &mut SideBuffers) -> Result<(), Misuse> {
        match &mut self.stage {
            Stage::Opening(opening) => opening.unreachable(&self.config, sides),
            Stage::Reconnect(reconnect) => {
                reconnect.answered()?;
                self.stage = Stage::Done(End::from(NotFollowed::Unreachable));
                self.viewer = None;
                Ok(())
            }
            _ => Err(Misuse::NotAsked),
        }
    }
}
