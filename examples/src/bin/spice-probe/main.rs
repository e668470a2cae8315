//! Looks at a SPICE server as a client: what it is, what it offers, what it sends. See `spice-probe --help`.
//!
//! Read it in the order of a session: [`cli`] says where to and as whom, [`connect`] makes links, [`channel`] is what
//! a client owes on every channel, [`session`] is main and the channels that it names, [`report`] is what is printed.
//! Numbers, layouts and lengths of the protocol are all in the library.

mod channel;
mod cli;
mod connect;
mod keys;
mod report;
mod session;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::timeout;

use crate::cli::Cli;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spice-probe: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let server = cli.server()?;
    let plan = session::Plan {
        watch: Duration::from_millis(cli.watch),
        keys: cli.r#type.as_deref().map(keys::line).transpose()?,
    };
    let report = timeout(Duration::from_secs(cli.timeout), session::probe(server, plan)).await;
    let report = report.map_err(|_| format!("no end within {} s", cli.timeout))??;
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}
