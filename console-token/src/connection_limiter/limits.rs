//! The numbers of places.

use core::num::NonZeroU32;

/// How many connections there can be at the same time.
///
/// ```
/// use core::num::NonZeroU32;
/// use console_token::ConnectionLimits;
///
/// let limits = ConnectionLimits::default().with_open_per_source(NonZeroU32::new(200));
/// assert_eq!((limits.half_open.get(), limits.open.get()), (4096, 16_384));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ConnectionLimits {
    /// How many can be half-open: arrived, and not yet let in. Default: 4096.
    pub half_open: NonZeroU32,
    /// How many can be open: let in. Default: 16384. Each channel of a SPICE session is a connection.
    pub open: NonZeroU32,
    /// How many of one source can be open. Default: `None`, as many as in all, since everybody behind a NAT is one
    /// source.
    pub open_per_source: Option<NonZeroU32>,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        const HALF_OPEN: NonZeroU32 = NonZeroU32::new(4096).unwrap();
        const OPEN: NonZeroU32 = NonZeroU32::new(16_384).unwrap();
        Self {
            half_open: HALF_OPEN,
            open: OPEN,
            open_per_source: None,
        }
    }
}

impl ConnectionLimits {
    /// Sets how many can be half-open.
    #[must_use]
    pub const fn with_half_open(mut self, connections: NonZeroU32) -> Self {
        self.half_open = connections;
        self
    }

    /// Sets how many can be open.
    #[must_use]
    pub const fn with_open(mut self, connections: NonZeroU32) -> Self {
        self.open = connections;
        self
    }

    /// Sets how many of one source can be open.
    #[must_use]
    pub const fn with_open_per_source(mut self, connections: Option<NonZeroU32>) -> Self {
        self.open_per_source = connections;
        self
    }
}
