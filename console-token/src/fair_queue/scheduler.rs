//! [`FairQueue`] for tasks.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::net::IpAddr;
use core::num::NonZeroU32;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{FairQueue, WaitId};

/// After this, what a source has cost counts half.
const HALF_LIFE: Duration = Duration::from_secs(10);

/// Turns at a processor, or at whatever else is scarce, for tasks that serve strangers: a [`FairQueue`] that counts time.
///
/// [`run`](Self::run) drives a whole connection until its peer is let in: each time its task has something to do, it does
/// that in a turn. [`turn`](Self::turn) is for one piece of work, elsewhere. A source is charged for what becomes of
/// nothing: when a peer is let in, what its connection has cost is given back.
///
/// It needs no particular runtime. Clones are the same scheduler.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use console_token::FairScheduler;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// // As many as there are processors.
/// let scheduler = FairScheduler::new(NonZeroU32::new(2).unwrap());
/// let peer = [203, 0, 113, 9].into();
/// let let_in = Arc::new(AtomicBool::new(false));
/// let is_let_in = let_in.clone();
/// scheduler
///     .run(peer, move || is_let_in.load(Ordering::Relaxed), async {
///         // The handshake, and a look at the token. Then:
///         let_in.store(true, Ordering::Relaxed);
///         // The console session, which waits for no turns.
///     })
///     .await;
/// # });
/// ```
#[derive(Clone)]
pub struct FairScheduler {
    state: Arc<Mutex<State>>,
}

struct State {
    queue: FairQueue<Waker>,
    aged: Instant,
}

impl FairScheduler {
    /// So many turns at a time.
    #[must_use]
    pub fn new(at_once: NonZeroU32) -> Self {
        let state = State {
            queue: FairQueue::new(at_once),
            aged: Instant::now(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// As many turns at a time as there are processors; one, where that is not known.
    #[must_use]
    pub fn for_processors() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let processors = u32::try_from(processors).ok().and_then(NonZeroU32::new);
        Self::new(processors.unwrap_or(NonZeroU32::MIN))
    }

    /// Waits for a turn of this address. It lasts until it is dropped, and costs so much, however long that is: what has
    /// become of it is known later, and is then worth a [`refund`](Self::refund) of the same.
    pub fn turn(&self, address: IpAddr, cost: Duration) -> WaitForTurn {
        WaitForTurn {
            waits: Waits::new(self, address),
            cost,
        }
    }

    /// What this address was charged was well spent: its peer was let in.
    pub fn refund(&self, address: IpAddr, cost: Duration) {
        self.lock().queue.refund(address, nanoseconds(cost));
    }

    /// Does what `future` does, in turns of this address until `is_let_in` says `true`, and then without. A turn costs the
    /// time that it lasts, and all that time is given back to a peer that is let in.
    pub fn run<F: Future>(
        &self,
        address: IpAddr,
        is_let_in: impl Fn() -> bool + Send + 'static,
        future: F,
    ) -> InTurns<F> {
        InTurns {
            waits: Waits::new(self, address),
            turn: None,
            cost: Duration::ZERO,
            is_let_in: Box::new(is_let_in),
            future: Box::pin(future),
        }
    }

    /// How many wait for a turn.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// Each call leaves the queue whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, address: IpAddr, cost: Duration) {
        let mut state = self.lock();
        if HALF_LIFE <= state.aged.elapsed() {
            state.aged = Instant::now();
            state.queue.age();
        }
        let next = state.queue.end(address, nanoseconds(cost));
        drop(state);
        if let Some(next) = next {
            next.wake();
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for FairScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting();
        f.debug_struct("FairScheduler").field("waiting", &waiting).finish()
    }
}

/// A turn. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropped at once, the turn is over"]
pub struct Turn {
    scheduler: FairScheduler,
    address: IpAddr,
    cost: Duration,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.scheduler.end(self.address, self.cost);
    }
}

/// A place in the queue, if it has one.
#[derive(Debug)]
struct Waits {
    scheduler: FairScheduler,
    address: IpAddr,
    id: Option<WaitId>,
}

impl Waits {
    fn new(scheduler: &FairScheduler, address: IpAddr) -> Self {
        Self {
            scheduler: scheduler.clone(),
            address,
            id: None,
        }
    }

    /// Gives a turn that costs so much, as it stands.
    fn poll(&mut self, waker: &Waker, cost: Duration) -> Poll<Turn> {
        let mut state = self.scheduler.lock();
        match self.id {
            None => self.id = state.queue.ask(self.address, waker.clone()),
            Some(id) => match state.queue.waiting(id) {
                Some(known) => known.clone_from(waker),
                None => self.id = None,
            },
        }
        drop(state);
        if self.id.is_some() {
            return Poll::Pending;
        }
        Poll::Ready(Turn {
            scheduler: self.scheduler.clone(),
            address: self.address,
            cost,
        })
    }

    /// Its turn is not wanted any more.
    fn leave(&mut self) {
        let Some(id) = self.id.take() else { return };
        let waited = self.scheduler.lock().queue.cancel(id);
        if waited.is_none() {
            // It has begun meanwhile.
            self.scheduler.end(self.address, Duration::ZERO);
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What [`FairScheduler::turn`] gives.
#[derive(Debug)]
pub struct WaitForTurn {
    waits: Waits,
    cost: Duration,
}

impl Future for WaitForTurn {
    type Output = Turn;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        let cost = self.cost;
        self.waits.poll(context.waker(), cost)
    }
}

/// What [`FairScheduler::run`] gives.
pub struct InTurns<F> {
    waits: Waits,
    /// A turn that it has waited for, and has not begun with.
    turn: Option<Turn>,
    /// Of its turns so far, unless it was given back.
    cost: Duration,
    is_let_in: Box<dyn Fn() -> bool + Send>,
    future: Pin<Box<F>>,
}

impl<F: Future> Future for InTurns<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if (self.is_let_in)() {
            self.waits.leave();
            self.turn = None;
            return self.future.as_mut().poll(context);
        }
        let mut turn = match self.turn.take() {
            Some(turn) => turn,
            None => {
                let has_waited = self.waits.id.is_some();
                let Poll::Ready(turn) = self.waits.poll(context.waker(), Duration::ZERO) else {
                    return Poll::Pending;
                };
                if has_waited {
                    // The task that ended the turn before has woken this one, which many runtimes then run at once:
                    // connections that are let in would get a processor only between one stranger and the next. This task
                    // goes to the end of the runtime's queue.
                    self.turn = Some(turn);
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                turn
            }
        };
        let began = Instant::now();
        let polled = self.future.as_mut().poll(context);
        if (self.is_let_in)() {
            let cost = core::mem::take(&mut self.cost);
            self.waits.scheduler.refund(self.waits.address, cost);
        } else {
            turn.cost = began.elapsed();
            self.cost = self.cost.saturating_add(turn.cost);
        }
        polled
    }
}

impl<F> fmt::Debug for InTurns<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { waits, cost, .. } = self;
        let mut shown = f.debug_struct("InTurns");
        shown.field("waits", waits).field("cost", cost).finish_non_exhaustive()
    }
}
