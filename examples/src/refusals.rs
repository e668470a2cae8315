//! The log lines of refusals: a few each, the rest as a sum, so that strangers cannot fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, interval};
use tracing::warn;

/// Lines in each [`PERIOD`].
const LINES: u32 = 50;
/// After which a sum is logged, if there was more to tell.
const PERIOD: Duration = Duration::from_secs(10);

/// How many refusals were logged in the present period, and how many were not.
#[derive(Debug)]
pub struct Refusals(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    since: Instant,
    logged: u32,
    left_out: u64,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Counts {
            since: Instant::now(),
            logged: 0,
            left_out: 0,
        }))
    }
}

impl Refusals {
    /// Logs one refusal with `line`, unless there were too many already: then it is counted.
    pub fn log(&self, line: impl FnOnce()) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.turn();
        if counts.logged < LINES {
            counts.logged += 1;
            drop(counts);
            line();
        } else {
            counts.left_out += 1;
        }
    }

    /// Logs what was left out, each time that a period is over. For a task of its own: it never ends.
    pub async fn sum_up(&self) {
        let mut periods = interval(PERIOD);
        loop {
            periods.tick().await;
            self.0.lock().unwrap_or_else(PoisonError::into_inner).turn();
        }
    }
}

impl Counts {
    /// Begins a new period if it is time.
    fn turn(&mut self) {
        if self.since.elapsed() < PERIOD {
            return;
        }
        if 0 < self.left_out {
            warn!(
                refusals = self.left_out,
                seconds = self.since.elapsed().as_secs(),
                "more refusals, which were not logged one by one"
            );
        }
        *self = Self {
            since: Instant::now(),
            logged: 0,
            left_out: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_a_few_lines_and_a_sum() {
        let refusals = Refusals::default();
        let mut lines = 0;
        for _ in 0..100_000 {
            refusals.log(|| lines += 1);
        }
        assert_eq!(lines, LINES);
        assert_eq!(refusals.0.lock().unwrap().left_out, 100_000 - u64::from(LINES));
        tokio::time::advance(PERIOD).await;
        refusals.log(|| lines += 1);
        assert_eq!(lines, LINES + 1);
        assert_eq!(refusals.0.lock().unwrap().left_out, 0);
    }
}
