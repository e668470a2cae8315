//! The console gateway, as a process of its own, beside a bare copy by tokio, haproxy and websockify, in one run on one
//! machine: `benches/gateway/run`, which also says what is needed.
//!
//! ```text
//! viewers (this process) -- TLS --> gateway | copy | haproxy | websockify -- TLS --> hypervisors (this process)
//! ```
//!
//! Everything but part `link` is on the loopback. Rounds of what is compared take turns, and the medians count.
//! Processor time is that of the proxy's process, as Linux counts it for the scheduler. Part `held` has as many gateways,
//! viewers and hypervisors as it needs, each a process of its own.

mod certificates;
mod console;
mod held;
mod hypervisor;
mod keys;
mod link;
mod links;
mod process;
mod program;
mod proxies;
mod restart;
mod rfb;
mod streams;
mod table;
mod viewer;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use certificates::Files;
use hypervisor::Hypervisors;
use program::{Gateway, Settings};
use table::Table;
use tokio::runtime::Runtime;

/// What all parts need.
pub struct Bench {
    pub files: Files,
    pub hypervisors: Hypervisors,
    /// The gateway's.
    pub program: PathBuf,
}

impl Bench {
    /// The gateway, started anew.
    pub fn gateway(&self) -> Gateway {
        let places = self.hypervisors.places();
        Gateway::start(&self.program, &self.files, places, &Settings::default())
    }
}

/// The one in the middle.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = Runtime::new().expect("a runtime");
    match words[..] {
        // The processes that this one starts.
        ["copy", folder, port] => {
            let port = port.parse().expect("a port");
            runtime.block_on(proxies::copy(Path::new(folder), port));
        }
        ["link-server", folder, program] => link::serve(Path::new(folder), Path::new(program)),
        ["link-keys", folder, to, token] => {
            let to = to.parse().expect("an address");
            runtime.block_on(link::press(Path::new(folder), to, token));
        }
        ["held-hypervisors", folder] => held::serve(Path::new(folder)),
        ["held-viewers", folder] => held::view(Path::new(folder), &runtime),
        [program, ref parts @ ..] => return measure(&runtime, program, parts),
        [] => {
            eprintln!("run by benches/gateway/run");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measure(runtime: &Runtime, program: &str, parts: &[&str]) -> ExitCode {
    let folder = std::env::temp_dir().join(format!("gateway-bench-{}", std::process::id()));
    let files = Files::make(&folder);
    let _guard = files.guard();
    let bench = Bench {
        hypervisors: Hypervisors::start(&files, "127.0.0.1"),
        files,
        program: PathBuf::from(program),
    };
    let wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let mut table = Table::default();
    runtime.block_on(async {
        if wanted("streams") {
            streams::rows(&bench, &mut table).await;
        }
        if wanted("fair") {
            streams::fair(&bench, &mut table).await;
        }
        if wanted("keys") {
            keys::rows(&bench, &mut table).await;
        }
        if wanted("link") {
            link::rows(&bench, &mut table);
        }
        if wanted("links") {
            links::rows(&bench, &mut table).await;
        }
        if wanted("idle") {
            links::idle(&bench, &mut table).await;
        }
        if wanted("held") {
            held::rows(&bench, &mut table);
        }
        if wanted("restart") {
            restart::rows(&bench, &mut table).await;
        }
    });
    let all_hold = table.print();
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
