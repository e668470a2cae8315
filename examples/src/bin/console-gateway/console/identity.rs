//! Which guest is at a place where others may be, too.
//!
//! Guests that share a range of ports on a host (`move_ports`) can be brought to each other's console by a hypervisor that
//! names the wrong port. There the hypervisor at the target is asked which guest it has, before a viewer is sent to it.

use std::time::Duration;

use console_token::UnixSeconds;
use serde_json::json;
use spice_proto::link::relay::Upstream;
use spice_proto::session::relay::GuestIdentity;
use spice_proto::{Limits, identify};
use tokio::time::timeout;
use tracing::{info, warn};

use super::place::{Guest, PlaceAddress, shares};
use crate::gateway::Gateway;
use crate::grant::Found;
use crate::random::random_bytes;

/// For the whole question. The viewer and its hypervisor wait meanwhile, and have ten seconds for the move.
const PATIENCE: Duration = Duration::from_millis(1500);
/// Of a name that a hypervisor says, as much is logged.
const SHOWN: usize = 64;

impl Guest {
    /// Whether a hypervisor knows it by this name.
    fn is_called(&self, name: &[u8]) -> bool {
        let own = [Some(&self.id), Some(&self.name), self.hypervisor_name.as_ref()];
        own.into_iter().flatten().any(|own| own.as_bytes() == name)
    }

    /// What a hypervisor says if that is another guest.
    pub(crate) fn contradicts(&self, said: &GuestIdentity) -> Option<String> {
        let uuid = said.uuid_text().filter(|uuid| {
            let own = digits(&self.id);
            own.is_some_and(|own| Some(own) != digits(uuid))
        });
        let name = said.name.as_ref().filter(|name| !self.is_called(name));
        match (uuid, name) {
            (None, None) => None,
            (Some(uuid), None) => Some(format!("the target has another guest: UUID {uuid}")),
            (None, Some(name)) => Some(format!("the target has another guest: name {}", shown(name))),
            (Some(uuid), Some(name)) => Some(format!(
                "the target has another guest: {} with UUID {uuid}",
                shown(name)
            )),
        }
    }

    /// The same for the name of a desktop. QEMU's is `QEMU (NAME)`; what others call theirs says nothing of the guest.
    pub(crate) fn contradicts_desktop(&self, desktop: &[u8]) -> Option<String> {
        let name = desktop.strip_prefix(b"QEMU (")?.strip_suffix(b")")?;
        (!self.is_called(name)).then(|| format!("the target has another guest: name {}", shown(name)))
    }
}

/// The digits of a UUID in text form.
fn digits(text: &str) -> Option<String> {
    let digits = text.replace('-', "").to_ascii_lowercase();
    let is_uuid = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_uuid.then_some(digits)
}

fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    format!("{:?}", text.chars().take(SHOWN).collect::<String>())
}

impl Gateway {
    /// Whether another guest may be there as well.
    pub(crate) fn is_shared(&self, guest: &Guest, at: &PlaceAddress) -> bool {
        let live = self.live();
        let mut others = live.guests.iter().filter(|other| other.id != guest.id);
        others.any(|other| shares(other, at))
    }

    /// A target is left, since it has another guest: for the log.
    pub(crate) fn left(&self, guest: &Guest, at: &PlaceAddress, why: &str) {
        let to = super::shown(at);
        warn!(guest = guest.name, to, why, "move refused");
        self.metrics.moved("refused", None);
        let line = json!({ "guest": guest.id, "to": to, "outcome": "refused", "why": why });
        self.audit.log("move", line);
    }

    /// Why a session must not move there, if the hypervisor there says that it has another guest. One that says nothing, or
    /// cannot be asked, has said nothing that could be compared.
    pub(crate) async fn has_another(&self, found: &Found, there: &PlaceAddress, until: UnixSeconds) -> Option<String> {
        if !self.is_shared(&found.guest, there) {
            return None;
        }
        let asked = timeout(PATIENCE, async {
            let ticket = self.ticket(&found.guest, there, until).await.ok_or("no ticket")?;
            let hypervisor = there.dial(None).await.map_err(|error| error.to_string())?;
            let upstream = Upstream {
                ticket,
                oaep_seed: random_bytes(),
            };
            let said = identify(hypervisor, upstream, &Limits::default(), PATIENCE * 2 / 3).await;
            said.map_err(|error| error.to_string())
        });
        let said = asked.await.unwrap_or_else(|_| Err("it took too long".to_owned()));
        match said {
            Ok(said) => found.guest.contradicts(&said),
            Err(error) => {
                let host = there.place.host();
                info!(
                    guest = found.guest.name,
                    host, error, "the target does not say which guest it has"
                );
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b";
    const UUID: [u8; 16] = [
        0x52, 0xb2, 0xe4, 0x4e, 0xe5, 0x61, 0x46, 0x4c, 0x88, 0xf3, 0x2f, 0xc6, 0xa1, 0xec, 0xea, 0x2b,
    ];

    fn guest(id: &str, hypervisor_name: Option<&str>) -> Guest {
        Guest {
            id: id.to_owned(),
            name: "db-7".to_owned(),
            hypervisor_name: hypervisor_name.map(ToOwned::to_owned),
            consoles: Vec::new(),
        }
    }

    fn said(name: Option<&'static str>, uuid: Option<[u8; 16]>) -> GuestIdentity {
        GuestIdentity {
            name: name.map(|name| name.as_bytes().into()),
            uuid,
        }
    }

    #[test]
    fn another_guest_is_told_by_uuid_or_name() {
        let own = guest(ID, Some("instance-0000002a"));
        for name in [None, Some("db-7"), Some(ID), Some("instance-0000002a")] {
            for uuid in [None, Some(UUID)] {
                assert_eq!(own.contradicts(&said(name, uuid)), None, "{name:?} {uuid:?}");
            }
            assert!(own.contradicts(&said(name, Some([0x11; 16]))).is_some(), "{name:?}");
        }
        for uuid in [None, Some(UUID)] {
            let why = own.contradicts(&said(Some("db-8"), uuid));
            assert!(why.is_some_and(|why| why.contains("\"db-8\"")), "{uuid:?}");
        }
        assert!(
            guest(ID, None)
                .contradicts(&said(Some("instance-0000002a"), Some(UUID)))
                .is_some()
        );
        let upper = guest(&ID.to_uppercase(), None);
        assert_eq!(upper.contradicts(&said(None, Some(UUID))), None);
        // An id that is no UUID cannot be compared with one.
        let named = guest("vm1", None);
        assert_eq!(named.contradicts(&said(Some("vm1"), Some([0x11; 16]))), None);
        assert!(named.contradicts(&said(Some("vm2"), None)).is_some());
    }

    #[test]
    fn a_desktop_is_compared_if_its_name_is_qemus() {
        let own = guest(ID, None);
        for desktop in ["QEMU", "QEMU (db-7)", "x11", "db-8", ""] {
            assert_eq!(own.contradicts_desktop(desktop.as_bytes()), None, "{desktop}");
        }
        assert!(own.contradicts_desktop(b"QEMU (db-8)").is_some());
        assert!(own.contradicts_desktop(b"QEMU ()").is_some());
    }
}
