//! Takes recorded SPICE conversations apart, made of `spice-proto`. See `spice-dissect --help`.

mod agent;
mod channel;
mod cli;
mod conversation;
mod lines;
mod report;
mod sessions;
mod stats;

use std::process::ExitCode;

use cli::Cli;
use conversation::Conversation;
use examples::command;
use examples::dissect;
use sessions::Sessions;
use stats::Entry;

fn main() -> ExitCode {
    let cli: Cli = command::parse();
    let sessions = Sessions::default();
    dissect::run::<Entry, _>("spice-dissect", &cli.common, |id, origin| {
        Conversation::new(id, origin, &cli, &sessions)
    })
}
