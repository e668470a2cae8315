//! The places that a listener's connections have, so that strangers cannot keep others out.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use console_token::{AdmitError, ConnectionLimiter, ConnectionLimits, SlotId};
use tokio_util::sync::CancellationToken;

/// Half-open connections, if there are descriptors for them. A viewer opens about ten at once: with 200 addresses that
/// open as many as they can, each has twenty.
const HALF_OPEN: u32 = 4096;
/// Connections that were let in, if there are descriptors for them: two each, one is to the hypervisor.
const OPEN: u32 = 16_384;

/// The connections of one listener, or of several that share their places.
#[derive(Debug, Clone)]
pub struct Places {
    limiter: Arc<Mutex<ConnectionLimiter<CancellationToken>>>,
    half_open: NonZeroU32,
    open: NonZeroU32,
}

/// A connection's place. It is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    slot: SlotId,
    gives_way: CancellationToken,
}

/// Connections, and the most that there may be.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    /// Those that were not let in yet.
    pub half_open: usize,
    /// Those that were let in.
    pub open: usize,
    /// The most of the first kind.
    pub most_half_open: u32,
    /// The most of the second kind.
    pub most_open: u32,
}

impl Places {
    /// So many places for connections that were not let in yet, and for those that were.
    #[must_use]
    pub fn new(half_open: NonZeroU32, open: NonZeroU32) -> Self {
        let limits = ConnectionLimits::default().with_half_open(half_open).with_open(open);
        Self {
            limiter: Arc::new(Mutex::new(ConnectionLimiter::new(limits))),
            half_open,
            open,
        }
    }

    /// Places by the number of descriptors: a quarter of them for half-open connections, and half for open ones, which have
    /// two each.
    #[must_use]
    pub fn for_descriptors(descriptors: u32) -> Self {
        let places = |most: u32| NonZeroU32::new(most.min(descriptors / 4)).unwrap_or(NonZeroU32::MIN);
        Self::new(places(HALF_OPEN), places(OPEN))
    }

    fn with<R>(&self, act: impl FnOnce(&mut ConnectionLimiter<CancellationToken>) -> R) -> R {
        // Each call leaves the limiter whole, also one that panicked elsewhere.
        act(&mut self.limiter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many connections there are, and may be.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let (half_open, open) = self.with(|limiter| (limiter.half_open(), limiter.open()));
        Counts {
            half_open,
            open,
            most_half_open: self.half_open.get(),
            most_open: self.open.get(),
        }
    }

    /// A connection has come from there. If there is no room, another one gives way.
    #[must_use]
    pub fn arrive(&self, from: IpAddr) -> Place {
        let gives_way = CancellationToken::new();
        let arrival = self.with(|limiter| limiter.arrive(from, gives_way.clone()));
        if let Some(displaced) = arrival.displaced {
            displaced.handle.cancel();
        }
        Place {
            places: self.clone(),
            slot: arrival.slot,
            gives_way,
        }
    }
}

impl Place {
    /// The connection was let in: it does not give way any more.
    ///
    /// # Errors
    /// There is no place among the open ones, or the connection has given way meanwhile.
    pub fn admit(&self) -> Result<(), AdmitError> {
        self.places.with(|limiter| limiter.admit(self.slot))
    }

    /// Ends when the connection has to give way to another one, and so has to be closed. Never after [`Place::admit`].
    pub async fn gives_way(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|limiter| limiter.leave(self.slot));
    }
}
