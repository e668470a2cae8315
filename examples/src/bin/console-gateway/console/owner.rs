//! The gateway that has the session of a SPICE connection, where that is another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use spice_proto::link::Side;
use spice_proto::session::relay::End;
use tracing::{info, warn};

use crate::front::gateways::GatewayError;

/// The gateway to which a connection is handed on. It counts among those that are, until this is dropped.
pub(super) struct Owner {
    name: String,
    pub(super) unreached: Option<GatewayError>,
    count: Arc<AtomicUsize>,
}

impl Owner {
    pub(super) fn new(name: &str, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self {
            name: name.to_owned(),
            unreached: None,
            count: count.clone(),
        }
    }

    /// The end of the connection.
    pub(super) fn log(&self, end: &End) {
        let gateway = self.name.as_str();
        match (&self.unreached, end) {
            (Some(error), _) => warn!(gateway, reason = %format_args!("gateway not reached: {error}"), "no link"),
            (None, End::Link(error)) if error.side == Side::Hypervisor => {
                warn!(gateway, reason = %format_args!("gateway: {}", error.error), "no link");
            }
            (None, end) => info!(gateway, %end, "ended"),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
