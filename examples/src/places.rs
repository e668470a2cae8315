//! The places that connections have, so that strangers cannot keep others out.
//!
//! ```text
//!  arrives          has said what it wants       has shown a good token
//!  accepted ------> linked --------------------> open
//!  gives way        gives way                    stays
//! ```
//!
//! Each stage has places of its own: connections that say nothing take none from those that wait for the answer about a
//! token, and neither takes one from an open console. [`ConnectionLimiter`] chooses the connection that gives way: the
//! oldest of the source that has most.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use console_token::{AdmitError, ConnectionLimiter, ConnectionLimits, SlotId};
use tokio_util::sync::CancellationToken;

/// The places of a kind of connections: of one listener, or of several.
#[derive(Debug, Clone)]
pub struct Places {
    waiting: Arc<Mutex<Waiting>>,
    open: OpenPlaces,
    accepted: NonZeroU32,
    linked: NonZeroU32,
}

/// Connections that were not let in yet.
#[derive(Debug)]
struct Waiting {
    accepted: ConnectionLimiter<CancellationToken>,
    linked: ConnectionLimiter<CancellationToken>,
}

/// The places of open connections, which kinds of connections can share.
#[derive(Debug, Clone)]
pub struct OpenPlaces {
    limiter: Arc<Mutex<ConnectionLimiter<()>>>,
    most: NonZeroU32,
}

/// A connection's place. It is given back when this is dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    from: IpAddr,
    stage: Mutex<Stage>,
    /// It has shown a good token.
    is_known: AtomicBool,
    gives_way: CancellationToken,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Accepted(SlotId),
    Linked(SlotId),
    Open(SlotId),
}

/// Connections at one stage, and the most that there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Those that there are.
    pub now: usize,
    /// The most.
    pub most: u32,
}

/// Connections that were not let in yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Those that have said nothing, or not all.
    pub accepted: Count,
    /// Those that have said what they want.
    pub linked: Count,
}

impl OpenPlaces {
    /// So many places.
    #[must_use]
    pub fn new(most: NonZeroU32) -> Self {
        let limits = ConnectionLimits::default().with_open(most);
        Self {
            limiter: Arc::new(Mutex::new(ConnectionLimiter::new(limits))),
            most,
        }
    }

    /// How many are taken.
    #[must_use]
    pub fn count(&self) -> Count {
        Count {
            now: lock(&self.limiter).open(),
            most: self.most.get(),
        }
    }

    /// Whether a connection from the source of this address is open.
    #[must_use]
    pub fn has_from(&self, from: IpAddr) -> bool {
        0 < lock(&self.limiter).open_from(from)
    }

    fn enter(&self, from: IpAddr) -> Result<SlotId, AdmitError> {
        let mut limiter = lock(&self.limiter);
        // It is half-open for the length of this call, so that nothing is displaced.
        let slot = limiter.arrive(from, ()).slot;
        match limiter.admit(slot) {
            Ok(()) => Ok(slot),
            Err(full) => {
                limiter.leave(slot);
                Err(full)
            }
        }
    }
}

/// Each call leaves what is locked whole, also one that panicked elsewhere.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    /// So many places for connections that have said nothing, and for those that have said what they want; and these
    /// places for those that are open.
    #[must_use]
    pub fn new(accepted: NonZeroU32, linked: NonZeroU32, open: OpenPlaces) -> Self {
        let limiter = |most| ConnectionLimiter::new(ConnectionLimits::default().with_half_open(most));
        Self {
            waiting: Arc::new(Mutex::new(Waiting {
                accepted: limiter(accepted),
                linked: limiter(linked),
            })),
            open,
            accepted,
            linked,
        }
    }

    /// How many connections were not let in yet.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let waiting = lock(&self.waiting);
        Counts {
            accepted: Count {
                now: waiting.accepted.half_open(),
                most: self.accepted.get(),
            },
            linked: Count {
                now: waiting.linked.half_open(),
                most: self.linked.get(),
            },
        }
    }

    /// A connection has come from there. If there is no room, another one gives way.
    #[must_use]
    pub fn arrive(&self, from: IpAddr) -> Place {
        let gives_way = CancellationToken::new();
        let slot = lock(&self.waiting).accepted.take(from, &gives_way);
        Place {
            places: self.clone(),
            from,
            stage: Mutex::new(Stage::Accepted(slot)),
            is_known: AtomicBool::new(false),
            gives_way,
        }
    }
}

/// A place for a newcomer.
trait Take {
    fn take(&mut self, from: IpAddr, gives_way: &CancellationToken) -> SlotId;
}

impl Take for ConnectionLimiter<CancellationToken> {
    fn take(&mut self, from: IpAddr, gives_way: &CancellationToken) -> SlotId {
        let arrival = self.arrive(from, gives_way.clone());
        if let Some(displaced) = arrival.displaced {
            displaced.handle.cancel();
        }
        arrival.slot
    }
}

impl Place {
    /// The connection has said what it wants, and now waits for an answer. One that has given way already still does.
    pub fn linked(&self) {
        let mut stage = lock(&self.stage);
        let Stage::Accepted(slot) = *stage else { return };
        let mut waiting = lock(&self.places.waiting);
        if waiting.accepted.leave(slot) {
            *stage = Stage::Linked(waiting.linked.take(self.from, &self.gives_way));
        }
    }

    /// The connection was let in: it does not give way any more.
    ///
    /// # Errors
    /// There is no place among the open ones, or the connection has given way meanwhile.
    pub fn admit(&self) -> Result<(), AdmitError> {
        let mut stage = lock(&self.stage);
        if let Stage::Open(_) = *stage {
            return Ok(());
        }
        let open = self.places.open.enter(self.from)?;
        if !self.places.leave(*stage) {
            self.places.leave(Stage::Open(open));
            return Err(AdmitError::Displaced);
        }
        *stage = Stage::Open(open);
        self.known();
        Ok(())
    }

    /// The connection has shown a good token, for whatever that is: it is no stranger's.
    pub fn known(&self) {
        self.is_known.store(true, Ordering::Relaxed);
    }

    /// Whether the connection has shown a good token. Always so after [`Place::admit`].
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.is_known.load(Ordering::Relaxed)
    }

    /// Ends when the connection has to give way to another one, and so has to be closed. Never after [`Place::admit`].
    pub async fn gives_way(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Places {
    /// Gives a place back. `false`: the connection had given way.
    fn leave(&self, stage: Stage) -> bool {
        match stage {
            Stage::Accepted(slot) => lock(&self.waiting).accepted.leave(slot),
            Stage::Linked(slot) => lock(&self.waiting).linked.leave(slot),
            Stage::Open(slot) => lock(&self.open.limiter).leave(slot),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stage = *lock(&self.stage);
        self.places.leave(stage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).unwrap()
    }

    fn places(accepted: u32, linked: u32, open: &OpenPlaces) -> Places {
        Places::new(number(accepted), number(linked), open.clone())
    }

    fn from(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn ways(places: &[Place]) -> Vec<bool> {
        places.iter().map(|place| place.gives_way.is_cancelled()).collect()
    }

    /// Whatever comes and says nothing, one that has said what it wants and one that is open keep their places.
    #[test]
    fn each_stage_has_places_of_its_own() {
        let open = OpenPlaces::new(number(1));
        let places = places(2, 2, &open);
        let (linked, admitted) = (places.arrive(from(1)), places.arrive(from(1)));
        linked.linked();
        admitted.linked();
        admitted.admit().unwrap();
        let silent: Vec<_> = (0..5).map(|_| places.arrive(from(1))).collect();
        assert_eq!(ways(&silent), [true, true, true, false, false]);
        assert!(!linked.gives_way.is_cancelled() && !admitted.gives_way.is_cancelled());
        let counts = places.counts();
        assert_eq!((counts.accepted.now, counts.linked.now, open.count().now), (2, 1, 1));
        // It stays where it is, and can be told.
        assert_eq!(linked.admit(), Err(AdmitError::Full { limit: number(1) }));
        drop(admitted);
        linked.admit().unwrap();
        linked.admit().unwrap();
        drop((linked, silent));
        let counts = places.counts();
        assert_eq!((counts.accepted.now, counts.linked.now, open.count().now), (0, 0, 0));
    }

    #[test]
    fn the_linked_give_way_to_the_linked() {
        let places = places(9, 2, &OpenPlaces::new(number(9)));
        let linked: Vec<_> = (0..4).map(|_| places.arrive(from(1))).collect();
        linked.iter().for_each(Place::linked);
        assert_eq!(ways(&linked), [true, true, false, false]);
        assert_eq!(linked.first().unwrap().admit(), Err(AdmitError::Displaced));
        linked.first().unwrap().linked();
        let other = places.arrive(from(2));
        other.linked();
        assert_eq!(ways(&linked), [true, true, true, false]);
        assert!(!other.gives_way.is_cancelled());
    }

    /// What comes by one way takes no place of another way, but for those of open consoles.
    #[test]
    fn kinds_share_the_open_places_only() {
        let open = OpenPlaces::new(number(2));
        let (web, consoles) = (places(1, 1, &open), places(1, 1, &open));
        let console = consoles.arrive(from(1));
        let requests: Vec<_> = (0..3).map(|_| web.arrive(from(1))).collect();
        assert_eq!(ways(&requests), [true, true, false]);
        assert!(!console.gives_way.is_cancelled());
        console.admit().unwrap();
        requests.last().unwrap().admit().unwrap();
        let last = consoles.arrive(from(3));
        assert_eq!(last.admit(), Err(AdmitError::Full { limit: number(2) }));
    }
}
