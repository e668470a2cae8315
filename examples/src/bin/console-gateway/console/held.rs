//! A SPICE session in the book: where it is, and what becomes of a move.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use spice_proto::ids::ChannelType;
use spice_proto::session::relay::Counts;

use super::place::PlaceAddress;
use crate::operate::book::Entered;

/// A session in the book, and where it is.
pub(crate) struct Held {
    pub(super) entered: Entered,
    pub(super) at: PlaceAddress,
    pub(super) moving: Option<Moving>,
    /// What has passed on each of its channels.
    pub(super) channels: HashMap<(ChannelType, u8), Arc<Counts>>,
}

/// A move that was accepted, until it is known what becomes of it.
pub(super) struct Moving {
    pub(super) there: PlaceAddress,
    pub(super) since: Instant,
    /// The main channel stands there.
    pub(super) linked: bool,
    /// The main channel at the place before is gone.
    pub(super) left: bool,
}

impl Held {
    pub(super) fn new(entered: Entered, at: PlaceAddress) -> Self {
        Self {
            entered,
            at,
            moving: None,
            channels: HashMap::new(),
        }
    }

    /// The main channel is linked there. `true`: the move is finished.
    pub(super) fn linked(&mut self, at: &PlaceAddress) -> bool {
        let Some(moving) = self.moving.as_mut().filter(|moving| moving.there.is(at)) else {
            return false;
        };
        moving.linked = true;
        moving.left
    }

    /// The main channel there is gone.
    pub(super) fn unlinked(&mut self, at: &PlaceAddress) -> MoveEnd {
        let Some(moving) = &mut self.moving else {
            return MoveEnd::None;
        };
        if moving.there.is(at) {
            return if moving.left {
                MoveEnd::Failed
            } else {
                MoveEnd::Cancelled
            };
        }
        moving.left = true;
        if moving.linked {
            MoveEnd::Finished
        } else {
            MoveEnd::None
        }
    }
}

/// What has become of a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MoveEnd {
    /// Nothing yet.
    None,
    Finished,
    Cancelled,
    Failed,
}

impl MoveEnd {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::None => "pending",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}
