//! `demo`: a hypervisor, the gateway, its API and a viewer in one process, on the loopback.
//!
//! Everything is real but the hypervisor and the viewer, and those are made of the same library: the viewer
//! gets its `.vv` through the API, connects with TLS to what stands in it, and the gateway connects with TLS
//! to the hypervisor. The clock that tokens live by is put forward instead of waited for.

mod certificates;
mod hypervisor;
mod portal;
mod report;
mod rules;
mod steps;
mod talk;
mod viewer;

use std::process::ExitCode;

pub(crate) use self::rules::Rules;

/// `SPICE_MSGC_DISPLAY_INIT`.
const DISPLAY_INIT: u16 = spice_proto::channel::display::ClientMessage::INIT;
/// Its body: two ids and the sizes of two caches.
const DISPLAY_INIT_BODY: u32 = 14;

/// Runs the demo against a gateway that keeps these rules; fails if one step does.
pub(crate) async fn run(rules: Rules) -> ExitCode {
    let mut report = report::Report::start();
    match steps::run(&mut report, rules).await {
        Ok(()) => {
            report.end();
            ExitCode::SUCCESS
        }
        Err(report::Failed) => ExitCode::FAILURE,
    }
}
