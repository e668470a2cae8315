//! Looks at a SPICE server as a client: what it is, what it offers, what it sends. See `spice-probe --help`.
//!
//! Read it in the order of a session: [`cli`] names the server and the account, [`connect`] makes links, [`channel`] is what
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

use examples::command;
use tokio::time::timeout;

use crate::cli::Cli;
use crate::connect::{LinkError, Server};
use crate::session::Plan;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Arguments, and files that they name, which cannot be used. Clap ends with the same for those that it judges.
const UNUSABLE: u8 = 2;
/// The server said no.
const REFUSED: u8 = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = command::parse();
    let (server, plan) = match prepare(&cli) {
        Ok(prepared) => prepared,
        Err(error) => return failed(&*error, ExitCode::from(UNUSABLE)),
    };
    match run(&cli, server, plan).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let refused = error
                .downcast_ref()
                .is_some_and(|error: &LinkError| error.reason.is_refusal());
            let status = if refused {
                ExitCode::from(REFUSED)
            } else {
                ExitCode::FAILURE
            };
            failed(&*error, status)
        }
    }
}

fn failed(error: &dyn Error, status: ExitCode) -> ExitCode {
    eprintln!("spice-probe: {error}");
    status
}

fn prepare(cli: &Cli) -> Result<(Server, Plan)> {
    let plan = Plan {
        watch: Duration::from_millis(cli.watch),
        keys: cli.r#type.as_deref().map(keys::line).transpose()?,
    };
    Ok((cli.server()?, plan))
}

async fn run(cli: &Cli, server: Server, plan: Plan) -> Result<()> {
    let limit = Duration::from_secs(cli.timeout) + plan.time();
    let seen = timeout(limit, session::probe(server, plan)).await;
    let seen = seen.map_err(|_| format!("no end within {} s", limit.as_secs()))??;
    if cli.json {
        println!("{}", serde_json::to_string_pretty(&seen.report)?);
    } else {
        print!("{}", seen.report);
    }
    seen.failed.map_or(Ok(()), |error| Err(error.into()))
}
