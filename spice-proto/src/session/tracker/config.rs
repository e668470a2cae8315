//! The limits of a tracker.

use core::time::Duration;

/// What a tracker holds at most, and what it is strict about.
///
/// Half-open connections are not counted here: see [`Tracker::accept`](super::Tracker::accept).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Sessions, ended ones included: 16,384.
    pub sessions: usize,
    /// Connections of one session, on all its hosts: 64. A viewer has about a dozen, twice that while it moves.
    pub links: usize,
    /// Channels that are announced in one session: 64.
    pub channels: usize,
    /// Time from [`Tracker::accept`](super::Tracker::accept) to [`Tracker::admit`](super::Tracker::admit): 10 s.
    pub link_timeout: Duration,
    /// Time that a session lives on without a main channel while it moves: 10 s, as long as a source waits.
    pub main_timeout: Duration,
    /// Whether all connections of a session must come from one address: no, since viewers move between networks
    /// and sit behind several gateways.
    pub one_address: bool,
    /// Whether the caller ends SASL on the viewer's connection: no.
    pub sasl: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            sessions: 16_384,
            links: 64,
            channels: 64,
            link_timeout: Duration::from_secs(10),
            main_timeout: Duration::from_secs(10),
            one_address: false,
            sasl: false,
        }
    }
}

/// Setters of one field each.
macro_rules! setters {
    ($($set:ident $field:ident: $ty:ty),*) => {
        impl Config {
            $(
                #[doc = concat!("Sets [`Config::", stringify!($field), "`].")]
                #[must_use]
                pub fn $set(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters!(
    with_sessions sessions: usize,
    with_links links: usize,
    with_channels channels: usize,
    with_link_timeout link_timeout: Duration,
    with_main_timeout main_timeout: Duration,
    with_one_address one_address: bool,
    with_sasl sasl: bool
);
