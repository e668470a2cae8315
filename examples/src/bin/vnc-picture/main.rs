//! A VNC server that shows one picture, for trying viewers. See `vnc-picture --help`.
//!
//! Read it in the order of a connection: [`cli`] names the accounts, [`login`] checks them, [`show`] answers
//! what they ask for.

mod cli;
mod login;
mod picture;
mod show;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use examples::command;
use examples::net;
use tokio::net::{TcpListener, TcpStream};

use crate::cli::{Cli, Settings};
use crate::picture::Picture;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = command::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vnc-picture: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let picture = Picture::load(&cli.picture).map_err(|error| format!("{}: {error}", cli.picture.display()))?;
    let settings = Arc::new(cli.settings(picture)?);
    let listener = TcpListener::bind(cli.listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", cli.listen))?;
    // For the program that started us: the port may have been ours to choose.
    println!("{}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => drop(tokio::spawn(serve(settings.clone(), tcp, peer))),
            // No file descriptors, most likely: others have to go first.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One viewer, from its first byte to its last.
async fn serve(settings: Arc<Settings>, tcp: TcpStream, peer: SocketAddr) {
    if let Err(error) = net::prepare(&tcp) {
        return eprintln!("{peer}: {error}");
    }
    match login::login(&settings, tcp).await {
        Ok(session) => {
            eprintln!("{peer}: let in with {}", session.security);
            match show::show(&settings.picture, session.connection).await {
                Ok(()) => eprintln!("{peer}: gone"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        }
        Err(error) => eprintln!("{peer}: {error}"),
    }
}
