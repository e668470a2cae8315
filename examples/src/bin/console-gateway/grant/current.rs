//! Where a guest is now: what all gateways of a store know of its moves.

use std::collections::BTreeMap;
use std::sync::Arc;

use console_token::{BackendError, NoteChange, StoreError, UnixSeconds};
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Found;
use crate::console::place::{Console, Guest, PlaceAddress};
use crate::gateway::Gateway;

/// The place of a guest, by its index; and the ports of consoles that are at others than the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Current {
    place: usize,
    /// By protocol: without TLS, and with it.
    #[serde(default)]
    ports: BTreeMap<String, (Option<u16>, Option<u16>)>,
}

fn name(guest: &str) -> String {
    format!("place/{guest}")
}

impl Gateway {
    /// Where a console is now.
    pub(crate) async fn place_of(&self, found: &Found) -> Option<PlaceAddress> {
        if found.context.resolved {
            return found.console.first();
        }
        self.place_of_console(&found.guest, &found.console).await
    }

    pub(crate) async fn place_of_console(&self, guest: &Guest, console: &Console) -> Option<PlaceAddress> {
        let now = self.clock.now();
        let current = match self.store.note(&name(&guest.id), now).await {
            Ok(Some(note)) => serde_json::from_slice(&note.value).unwrap_or_default(),
            Ok(None) => Current::default(),
            Err(error) => {
                warn!(%error, guest = guest.name, "where the guest is now is not known");
                Current::default()
            }
        };
        // A console with fewer places than others stays at its last one.
        let index = current.place.min(console.places.len().saturating_sub(1));
        let mut at = console.at(index)?;
        if let Some((port, tls_port)) = current.ports.get(&console.protocol.to_string())
            && index == current.place
        {
            (at.port, at.tls_port) = (*port, *tls_port);
        }
        Some(at)
    }

    /// The guest is now at the place with this index of each of its consoles.
    pub(crate) async fn moved_to(&self, guest: &Guest, index: usize) -> Result<(), StoreError<BackendError>> {
        let current = Current {
            place: index,
            ports: BTreeMap::new(),
        };
        self.write_current(guest, &current).await
    }

    /// A hypervisor has brought a session of this console there.
    pub(crate) async fn moved_with(&self, guest: &Guest, console: &Arc<Console>, at: &PlaceAddress) {
        let Some(index) = console.index_of(&at.place) else {
            return;
        };
        let configured = PlaceAddress::configured(&at.place);
        let mut current = Current {
            place: index,
            ports: BTreeMap::new(),
        };
        if !configured.is(at) {
            let ports = (at.port, at.tls_port);
            current.ports.insert(console.protocol.to_string(), ports);
        }
        if let Err(error) = self.write_current(guest, &current).await {
            warn!(%error, guest = guest.name, "where the guest is now is not kept");
        }
    }

    async fn write_current(&self, guest: &Guest, current: &Current) -> Result<(), StoreError<BackendError>> {
        let value = serde_json::to_vec(current).unwrap_or_default();
        let change = NoteChange::write(&value, UnixSeconds(u64::MAX));
        self.store
            .set_note(&name(&guest.id), self.clock.now(), change)
            .await
            .map(drop)
    }
}
