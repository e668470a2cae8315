//! Ports for the serial consoles of guests that are about to be started (seed 004): handed out once, and remembered by
//! the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use console_token::serial::PortAllocator;
use console_token::{BackendError, NoteChange, StoreError, UnixSeconds};
use serde::Deserialize;
use serde_json::json;

use super::api::{Refused, answer, body, read};
use crate::gateway::Gateway;

const NAME: &str = "serial-ports";
/// How often another gateway may be quicker.
const TRIES: usize = 20;
/// QEMU has four, and a guest rarely more.
const COUNT_MAX: usize = 64;
/// A host of the allocator: the ports are of one range, wherever the guest will run.
const ANY: &str = "";

type App = State<Arc<Gateway>>;
type Ports = BTreeMap<String, Vec<u16>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    guest: String,
    #[serde(default = "one")]
    count: usize,
}

const fn one() -> usize {
    1
}

pub(super) async fn acquire(State(gateway): App, request: Request) -> Result<Response, Refused> {
    let bytes = body(request).await?;
    let wanted: Wanted = read(&bytes)?;
    if wanted.guest.is_empty() || 255 < wanted.guest.len() {
        return Err(Refused::bad("guest: 1 to 255 bytes are expected"));
    }
    if !(1..=COUNT_MAX).contains(&wanted.count) {
        return Err(Refused::bad(format_args!("count is not in 1 to {COUNT_MAX}")));
    }
    let range = gateway.live().serial_ports;
    let taken = gateway.change(|ports| {
        let mut allocator = PortAllocator::new(range);
        for port in ports.values().flatten() {
            allocator.reserve(ANY, *port);
        }
        let new: Result<Vec<u16>, _> = (0..wanted.count).map(|_| allocator.acquire(ANY, |_, _| true)).collect();
        let new = new.map_err(Refused::bad)?;
        ports.entry(wanted.guest.clone()).or_default().extend(&new);
        Ok(new)
    });
    let ports = taken.await?;
    Ok(answer(StatusCode::CREATED, &json!({ "ports": ports })))
}

pub(super) async fn release(State(gateway): App, Path(guest): Path<String>) -> Result<Response, Refused> {
    let released = gateway.change(|ports| match ports.remove(&guest) {
        Some(_) => Ok(()),
        None => Err(Refused::not_found("The guest")),
    });
    released.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl Gateway {
    /// Changes what was handed out, unless another gateway is quicker: then again.
    async fn change<T>(&self, act: impl Fn(&mut Ports) -> Result<T, Refused>) -> Result<T, Refused> {
        for _ in 0..TRIES {
            let now = self.clock.now();
            let note = self.store.note(NAME, now).await?;
            let version = note.as_ref().map_or(0, |note| note.version);
            let read = note.map(|note| serde_json::from_slice::<Ports>(&note.value));
            let mut ports = match read {
                None => Ports::default(),
                Some(Ok(ports)) => ports,
                // What was handed out must not be handed out again.
                Some(Err(error)) => {
                    let error = BackendError::new(error);
                    return Err(StoreError::Backend(error).into());
                }
            };
            let done = act(&mut ports)?;
            let value = serde_json::to_vec(&ports).unwrap_or_default();
            let change = NoteChange::write(&value, UnixSeconds(u64::MAX)).expecting(version);
            if self.store.set_note(NAME, now, change).await? {
                return Ok(done);
            }
        }
        Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "others are quicker"))
    }
}
