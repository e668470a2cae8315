//! The places of connections: of each kind their own, so that a flood of one kind keeps no other out.

use std::num::NonZeroU32;

use examples::budget::{Budget, Limits, TooFew};
use examples::places::{OpenPlaces, Places};

/// Connections to the API at each stage: a portal has a few.
const API: NonZeroU32 = NonZeroU32::new(64).unwrap();
/// The web listeners, and those of SPICE and VNC.
const KINDS: NonZeroU32 = NonZeroU32::new(2).unwrap();

/// The places of all connections.
pub(crate) struct Budgets {
    /// Of requests to the API. Those with its token are the linked ones, and none is ever open.
    pub(crate) api: Places,
    /// Of the web listeners.
    pub(crate) web: Places,
    /// Of the listeners of SPICE and VNC, and of that for other gateways.
    pub(crate) consoles: Places,
    /// Of consoles that are open, whichever way they came.
    pub(crate) open: OpenPlaces,
}

impl Budgets {
    /// `api`: the most connections to the API at each stage; left out: as many as a portal needs.
    pub(crate) fn of(limits: Limits, api: Option<NonZeroU32>, descriptors: u32) -> Result<Self, TooFew> {
        let few = NonZeroU32::new(descriptors / 16).unwrap_or(NonZeroU32::MIN);
        let api = api.unwrap_or(API.min(few));
        let budget = Budget::of(limits, KINDS, api.get().saturating_mul(2), descriptors)?;
        let open = OpenPlaces::new(budget.open);
        let kind = || Places::new(budget.accepted, budget.linked, open.clone());
        Ok(Self {
            api: Places::new(api, api, OpenPlaces::new(NonZeroU32::MIN)),
            web: kind(),
            consoles: kind(),
            open,
        })
    }

    /// By what they are called in figures.
    pub(crate) fn kinds(&self) -> [(&'static str, &Places); 3] {
        [("api", &self.api), ("web", &self.web), ("consoles", &self.consoles)]
    }
}
