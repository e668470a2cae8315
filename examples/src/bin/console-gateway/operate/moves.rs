//! Moves of guests, as their open consoles learn of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::book::milliseconds;
use crate::sync::lock;

/// The guests with consoles that are open or being opened, each with the time of its last move.
#[derive(Default)]
pub(crate) struct Moves(Mutex<HashMap<String, watch::Sender<u64>>>);

/// What one console learns of its guest's moves.
#[derive(Clone)]
pub(crate) struct MoveWatch {
    moves: Arc<Moves>,
    guest: String,
    last: watch::Receiver<u64>,
    /// A move before this is known: milliseconds since the beginning of 1970.
    since: u64,
}

impl Moves {
    /// Watches a guest. The caller asks for the guest's place only after this call: then it sees each move after the answer,
    /// also while the console is being dialled.
    pub(crate) fn watch(self: &Arc<Self>, guest: &str) -> MoveWatch {
        let mut guests = lock(&self.0);
        let sender = guests.entry(guest.to_owned()).or_default();
        MoveWatch {
            moves: self.clone(),
            guest: guest.to_owned(),
            last: sender.subscribe(),
            since: milliseconds(),
        }
    }

    /// The guest has moved at this time: those that have asked where it is since are at the new place already.
    pub(crate) fn moved(&self, guest: &str, at: u64) {
        if let Some(last) = lock(&self.0).get(guest) {
            last.send_modify(|last| *last = at.max(last.saturating_add(1)));
        }
    }
}

impl MoveWatch {
    /// Waits for the guest's next move.
    pub(crate) async fn moved(&mut self) {
        let since = self.since;
        let last = self.last.wait_for(|last| since <= *last).await.map(|last| *last);
        match last {
            Ok(last) => self.since = last.saturating_add(1),
            // INVARIANT: a guest that is watched is in the list.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for MoveWatch {
    fn drop(&mut self) {
        let mut guests = lock(&self.moves.0);
        // Within the lock: of two that go at the same time the second one finds none left.
        self.last = watch::channel(0).1;
        if guests.get(&self.guest).is_some_and(|last| last.receiver_count() == 0) {
            guests.remove(&self.guest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn is_told(watch: &mut MoveWatch) -> bool {
        timeout(Duration::from_millis(20), watch.moved()).await.is_ok()
    }

    #[tokio::test]
    async fn a_move_is_seen_by_those_that_asked_before_it() {
        let moves = Arc::<Moves>::default();
        let mut early = moves.watch("vm1");
        let mut other = moves.watch("vm2");
        let asked = early.since;
        moves.moved("vm1", asked - 1);
        assert!(!is_told(&mut early).await, "an order that is older than its question");
        moves.moved("vm1", asked + 5);
        let mut joined = early.clone();
        let mut late = moves.watch("vm1");
        late.since = asked + 6;
        assert!(is_told(&mut early).await && is_told(&mut joined).await);
        assert!(!is_told(&mut early).await, "once");
        assert!(!is_told(&mut late).await && !is_told(&mut other).await);
        // Two in the same millisecond are two.
        moves.moved("vm1", asked + 5);
        assert!(is_told(&mut early).await);
    }

    #[test]
    fn a_guest_whose_consoles_are_closed_is_forgotten() {
        let moves = Arc::<Moves>::default();
        let (one, two) = (moves.watch("vm1"), moves.watch("vm1"));
        drop(one.clone());
        drop(one);
        moves.moved("vm1", 1);
        assert_eq!(lock(&moves.0).len(), 1);
        drop(two);
        assert!(lock(&moves.0).is_empty());
        let many: Vec<_> = (0..64).map(|_| moves.watch("vm1")).collect();
        std::thread::scope(|threads| {
            for watch in many {
                threads.spawn(|| drop(watch));
            }
        });
        moves.moved("vm1", 2);
        assert!(lock(&moves.0).is_empty());
    }
}
