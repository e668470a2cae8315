//! How far a move has got, and what is known of it.

use alloc::vec::Vec;
use core::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Kind, Target};
use crate::channel::main::ChannelId;
use crate::session::{Host, TargetAccess};

/// The states of the table in [`super`].
#[derive(Debug)]
pub(super) enum State {
    /// There is no target.
    Idle {
        /// The one that is asked about.
        held: Option<Target>,
    },
    /// The viewer was told of a target, and has not linked its main channel there.
    Announced {
        kind: Kind,
        /// When its main channel is given up.
        until: Option<Duration>,
        /// The target was refused: nothing is dialled.
        refused: bool,
    },
    /// The viewer has linked its main channel at the target, and now does the others.
    Opening {
        kind: Kind,
        /// When those without a result are pretended to be linked.
        until: Option<Duration>,
        /// One of them was pretended.
        pretended: bool,
    },
    /// The viewer said that it is connected to the target.
    Connected {
        kind: Kind,
        /// Another target that is asked about.
        held: Option<Target>,
    },
    /// The source has said that the guest has moved.
    Ending {
        kind: Kind,
        /// When the viewer has to have come.
        until: Option<Duration>,
    },
    /// The viewer was told to leave and to come again as a new session.
    Switch,
    /// The session has ended.
    End,
}

impl State {
    pub(super) const IDLE: Self = Self::Idle { held: None };

    /// What the tracker has to let join in this state.
    pub(super) const fn access(&self) -> TargetAccess {
        match self {
            Self::Idle { .. } | Self::End => TargetAccess::NoTarget,
            Self::Announced { .. } => TargetAccess::MainOnly,
            Self::Opening { .. } => TargetAccess::AllChannels,
            Self::Connected { .. } | Self::Ending { .. } => TargetAccess::Closed,
            Self::Switch => TargetAccess::NewSession,
        }
    }

    /// Whether a target may be asked about: not while another is, nor once the guest has moved.
    pub(super) const fn takes_target(&self) -> bool {
        matches!(self, Self::Idle { held: None } | Self::Connected { held: None, .. })
    }

    /// A target is asked about.
    pub(super) fn hold(&mut self, target: Target) {
        if let Self::Idle { held } | Self::Connected { held, .. } = self {
            *held = Some(target);
        }
    }

    /// The target that is asked about, which it is no more.
    pub(super) fn take_held(&mut self) -> Option<Target> {
        match self {
            Self::Idle { held } | Self::Connected { held, .. } => held.take(),
            _ => None,
        }
    }

    /// Whether a target is asked about.
    pub(super) const fn is_asked(&self) -> bool {
        matches!(
            self,
            Self::Idle { held: Some(_) } | Self::Connected { held: Some(_), .. }
        )
    }

    /// Whether the viewer opens its channels at a seamless move's target.
    pub(super) const fn opens_seamlessly(&self) -> bool {
        matches!(
            self,
            Self::Opening {
                kind: Kind::Seamless,
                ..
            }
        )
    }

    pub(super) const fn until(&self) -> Option<Duration> {
        match self {
            Self::Announced { until, .. } | Self::Opening { until, .. } | Self::Ending { until, .. } => *until,
            Self::Idle { .. } | Self::Connected { .. } | Self::Switch | Self::End => None,
        }
    }

    /// Whether what is waited for is overdue; once.
    pub(super) fn time_is_over(&mut self, now: Duration) -> bool {
        match self {
            Self::Announced { until, .. } | Self::Opening { until, .. } | Self::Ending { until, .. } => {
                until.take_if(|until| *until <= now).is_some()
            }
            Self::Idle { .. } | Self::Connected { .. } | Self::Switch | Self::End => false,
        }
    }
}

/// What the channels of a seamless move take along: from MIGRATE on, up to the next target.
#[derive(Debug)]
pub(super) struct Transfer {
    /// The source.
    pub(super) from: Host,
    /// Hashes of what it has sent for channels, up to when the viewer has said it at the target.
    states: Vec<(ChannelId, [u8; 32])>,
}

impl Transfer {
    pub(super) const fn new(from: Host) -> Self {
        Self {
            from,
            states: Vec::new(),
        }
    }

    /// The source has sent this state. One a channel, however often it does.
    pub(super) fn sent(&mut self, channel: ChannelId, body: &[u8]) {
        self.states.retain(|(other, _)| *other != channel);
        self.states.push((channel, Sha256::digest(body).into()));
    }

    /// Whether this is what the source has sent for the channel, and where it stands.
    pub(super) fn find(&self, channel: ChannelId, body: &[u8]) -> Option<usize> {
        let state = (channel, Sha256::digest(body).into());
        self.states.iter().position(|other| *other == state)
    }

    /// The viewer has said it at the target.
    pub(super) fn taken(&mut self, at: usize) {
        if at < self.states.len() {
            self.states.swap_remove(at);
        }
    }
}
