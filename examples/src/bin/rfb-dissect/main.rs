//! Takes recorded RFB (VNC) conversations apart, made of `rfb-proto`. See `rfb-dissect --help`.

mod cli;
mod conversation;
mod handshake;
mod session;
mod stats;

use std::process::ExitCode;

use cli::Cli;
use conversation::Conversation;
use examples::command;
use examples::dissect;
use stats::Entry;

/// Where findings go.
type Report<W> = dissect::Report<W, Entry>;

fn main() -> ExitCode {
    let cli: Cli = command::parse();
    dissect::run::<Entry, _>("rfb-dissect", &cli.common, |id, origin| {
        Conversation::new(id, origin, &cli)
    })
}
