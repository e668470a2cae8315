//! The ticket broker: the ticket of a hypervisor that the gateway sets itself, over QEMU's monitor.
//!
//! QEMU has one ticket for SPICE at a time. All gateways of a store use the same one, and each sets it anew before each
//! link: so none makes invalid what another is about to show, and a QEMU that was started again has it too.

use console_token::{BackendError, NoteChange, Secret, StoreError, UnixSeconds};
use serde::{Deserialize, Serialize};
use spice_proto::link;
use tracing::warn;

use crate::console::place::{Guest, PlaceAddress};
use crate::console::qmp::Display;
use crate::gateway::Gateway;
use crate::random::random_bytes;

/// Seconds for which a ticket is good at least once it was set: a link has ten.
const LEAST: u64 = 60;
/// How often another gateway may be quicker.
const TRIES: usize = 5;

#[derive(Serialize, Deserialize)]
struct Ticket {
    text: String,
    /// Until when it is to open the console.
    until: u64,
    /// A user has chosen it: it stays until the next one is chosen.
    #[serde(default)]
    chosen: bool,
}

fn name(guest: &Guest) -> String {
    format!("ticket/{}", guest.id)
}

impl Gateway {
    /// The ticket of a hypervisor: that of the configuration, or one that is set there now. `until`: for how long.
    pub(crate) async fn ticket(&self, guest: &Guest, at: &PlaceAddress, until: UnixSeconds) -> Option<link::Secret> {
        if let Some(ticket) = &at.place.ticket {
            return Some(link::Secret::new(ticket.expose()));
        }
        let monitor = at.place.monitor.as_ref()?;
        let ticket = self.common_ticket(guest, until).await?;
        let rest = ticket.until.saturating_sub(self.clock.now().0).max(1);
        let seconds = (!ticket.chosen).then_some(rest);
        match monitor.set_password(Display::Spice, &ticket.text, seconds).await {
            Ok(()) => Some(link::Secret::new(ticket.text.as_bytes())),
            Err(error) => {
                warn!(%error, guest = guest.name, "no ticket can be set");
                None
            }
        }
    }

    /// The one that all gateways use now, made if there is none, and good for as long as is needed.
    async fn common_ticket(&self, guest: &Guest, until: UnixSeconds) -> Option<Ticket> {
        let name = name(guest);
        for _ in 0..TRIES {
            let now = self.clock.now();
            let until = until.0.max(now.0.saturating_add(LEAST));
            let note = match self.store.note(&name, now).await {
                Ok(note) => note,
                Err(error) => {
                    warn!(%error, guest = guest.name, "the ticket of other gateways is not known");
                    return None;
                }
            };
            let version = note.as_ref().map_or(0, |note| note.version);
            let known = note.and_then(|note| serde_json::from_slice::<Ticket>(&note.value).ok());
            let ticket = match known {
                Some(ticket) if ticket.chosen || until <= ticket.until => return Some(ticket),
                Some(ticket) => Ticket { until, ..ticket },
                None => Ticket {
                    text: Secret::base64url(&random_bytes()).expose().to_owned(),
                    until,
                    chosen: false,
                },
            };
            let value = zeroize::Zeroizing::new(serde_json::to_vec(&ticket).ok()?);
            let change = NoteChange::write(&value, UnixSeconds(ticket.until)).expecting(version);
            if let Ok(true) = self.store.set_note(&name, now, change).await {
                return Some(ticket);
            }
        }
        None
    }

    /// A user has chosen the console's password: it is the ticket from now on.
    pub(crate) async fn choose_ticket(&self, guest: &Guest, password: &str) -> Result<(), StoreError<BackendError>> {
        let ticket = Ticket {
            text: password.to_owned(),
            until: u64::MAX,
            chosen: true,
        };
        let value = zeroize::Zeroizing::new(serde_json::to_vec(&ticket).unwrap_or_default());
        let change = NoteChange::write(&value, UnixSeconds(u64::MAX));
        let set = self.store.set_note(&name(guest), self.clock.now(), change).await;
        set.map(drop)
    }
}
