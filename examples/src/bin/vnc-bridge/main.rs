//! A bridge from VNC viewers and browsers to hypervisors that speak VeNCrypt. See `vnc-bridge --help`.
//!
//! ```text
//! vncviewer -- TCP -----------------> +--------+
//!                                     | bridge | -- TLS with the hypervisor's authority, its own password --> hypervisor
//! noVNC ------ WebSocket, HTTP -----> +--------+
//!              the tenant's password
//! ```
//!
//! Read it in the order of a connection: [`config`] has the user that is let in and the hypervisor, [`listen`] and
//! [`examples::websocket`] accept connections, [`bridge`] answers what a session asks; `rfb_proto::drive_session` does the
//! rest.

mod bridge;
mod cli;
mod config;
mod listen;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::config::Config;
use examples::command;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = command::parse();
    // Logs go to standard error; standard output has the addresses.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(cli.log)
        .with_target(false)
        .with_ansi(false)
        .compact()
        .init();
    let ended = match Config::load(&cli.config) {
        Ok(config) => listen::run(config).await.map_err(|error| error.to_string()),
        Err(error) => Err(format!("{}: {error}", cli.config.display())),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vnc-bridge: {error}");
            ExitCode::FAILURE
        }
    }
}
