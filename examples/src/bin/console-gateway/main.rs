//! A gateway for the consoles of virtual machines, made of this project's libraries: SPICE, VNC, serial ports and WebMKS.
//!
//! ```text
//! viewer   -- token --> front -- grant --> console -- the hypervisor's own password --> hypervisor
//! portal   -- HTTP API: asks for tokens ---^
//! operator -- sees and ends what is open: operate
//! ```
//!
//! Read it in the order of a connection: [`front`] has the listeners and what comes in over them; [`grant`] has the API,
//! the tokens, and the services that are asked for other tokens; [`console`] has one file for each kind of console;
//! [`operate`] is what operators see. [`gateway`] is what all of them share, [`config`] what is configured. [`demo`] runs
//! all of it against itself.

mod cli;
mod config;
mod console;
mod demo;
mod front;
mod gateway;
mod grant;
mod operate;
mod random;
mod serve;
mod sync;

use std::process::ExitCode;

use tracing::level_filters::LevelFilter;

use crate::cli::{Cli, Command, LogFormat};
use examples::command;

fn main() -> ExitCode {
    match command::parse::<Cli>().command {
        Command::Demo { broken, log } => {
            start_log(log, LogFormat::Compact);
            run(demo::run(broken))
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
