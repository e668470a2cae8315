//! The wall clock that tokens live by.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use console_token::UnixSeconds;

/// The wall clock. The demo puts it forward rather than wait.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead: AtomicU64,
}

impl Clock {
    pub(crate) fn now(&self) -> UnixSeconds {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        UnixSeconds(seconds.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// Puts the clock forward.
    pub(crate) fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// A moment as RFC 3339 writes it, in UTC.
pub(crate) fn rfc3339(at: UnixSeconds) -> String {
    let seconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| at.0.to_string(), |at| at.to_string())
}
