//! A gateway for SPICE consoles, made of this project's libraries.
//!
//! ```text
//! viewer  -- .vv: address, CA, token --> gateway  -- the hypervisor's own password --> hypervisor
//!         <------------- HTTP API, for the portal that hands the .vv out
//! ```
//!
//! Read it in the order of a connection: [`gateway`] accepts it and has the libraries drive it and judge its token, and
//! [`answers`] what they ask: which [`guest`] it is for, where that is, and where it may move. [`sessions`] has the guests
//! and their tokens.
//! [`api`] makes tokens and the files that hold them. [`demo`] runs all of it against itself.

mod answers;
mod api;
mod cli;
mod config;
mod console;
mod demo;
mod gateway;
mod guest;
mod http;
mod random;
mod serve;
mod sessions;
mod sync;
mod tls;

use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use crate::cli::{Cli, Command, LogFormat};
use examples::command;

fn main() -> ExitCode {
    match command::parse::<Cli>().command {
        Command::Demo { broken, log } => {
            start_log(log, LogFormat::Compact);
            run(demo::run(broken.map(Into::into).unwrap_or_default()))
        }
        Command::Serve {
            config: Some(config),
            log,
            log_format,
            ..
        } => {
            start_log(log, log_format);
            run(serve::run(&config))
        }
        Command::Serve { .. } => {
            print!("{}", config::HELP);
            ExitCode::SUCCESS
        }
        Command::CheckConfig { file, dial } => run(serve::check(file, dial)),
    }
}

fn run(command: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("console-gateway: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs go to standard error; standard output belongs to the command.
fn start_log(level: LevelFilter, format: LogFormat) {
    let log = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_target(false);
    match format {
        LogFormat::Json => log.json().with_span_list(false).flatten_event(true).init(),
        LogFormat::Compact => log.with_ansi(false).compact().init(),
    }
}
