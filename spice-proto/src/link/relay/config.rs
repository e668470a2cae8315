//! How a relay treats its peers.

#[cfg(doc)]
use super::RelayQuestion;
use crate::caps::Capabilities;
use crate::limits::Limits;
use crate::link::Refusal;

/// How a relay treats its two peers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayConfig {
    /// Limits on both connections. The time for a link counts anew for the hypervisor's part.
    pub limits: Limits,
    /// Bits that may be promised and missing: none.
    pub waived: Capabilities,
    /// The tenant's answer when the hypervisor fails: none, the connection is closed.
    pub upstream_failure: Refusal,
    /// Whether a hypervisor that wants SASL is given it, which leads to [`RelayQuestion::Hypervisor`]: no.
    pub upstream_sasl: bool,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            waived: Capabilities::default(),
            upstream_failure: Refusal::Close,
            upstream_sasl: false,
        }
    }
}

impl RelayConfig {
    /// Sets [`RelayConfig::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`RelayConfig::waived`].
    #[must_use]
    pub fn with_waived(mut self, waived: Capabilities) -> Self {
        self.waived = waived;
        self
    }

    /// Sets [`RelayConfig::upstream_failure`].
    #[must_use]
    pub fn with_upstream_failure(mut self, told: Refusal) -> Self {
        self.upstream_failure = told;
        self
    }

    /// Sets [`RelayConfig::upstream_sasl`].
    #[must_use]
    pub fn with_upstream_sasl(mut self, allowed: bool) -> Self {
        self.upstream_sasl = allowed;
        self
    }
}
