//! Looks at a VNC server once and writes what it shows into a PNG file. See `vnc-screenshot --help`.
//!
//! Read it in the order of a connection: [`cli`] says how to log in, [`login`] does it, [`screen`] asks for what is
//! shown, [`picture`] is what of it has come. What is Raw needs no decoder, so nothing else is asked for.

mod cli;
mod login;
mod picture;
mod screen;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use examples::command;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use crate::cli::Cli;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = command::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vnc-screenshot: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let credentials = cli.credentials()?;
    let until = Instant::now() + Duration::from_secs(cli.timeout);
    let session = timeout_at(until, async {
        let tcp = TcpStream::connect(&cli.server).await;
        let tcp = tcp.map_err(|error| format!("cannot connect to {}: {error}", cli.server))?;
        login::login(tcp, &credentials).await
    });
    let session = session
        .await
        .map_err(|_| format!("no picture within {} s", cli.timeout))??;
    let png = screen::take(session, cli.timeout, until).await?;
    std::fs::write(&cli.out, png).map_err(|error| format!("{}: {error}", cli.out.display()).into())
}
