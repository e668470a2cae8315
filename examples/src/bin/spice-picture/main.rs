//! A SPICE server that shows one picture, for trying viewers. See `spice-picture --help`.
//!
//! Read it in the order of a connection: [`link`] lets viewers in, [`show`] is what each channel then says.

mod link;
mod show;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use examples::command;
use examples::net;
use examples::picture::Picture;
use examples::secret::password;
use tokio::net::{TcpListener, TcpStream};

use crate::link::PictureServer;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Shows a picture to every SPICE viewer that has the password, until it is ended.
///
/// The first line of standard output is the address that it listens on. The password is the first line of
/// --password-file, or else the environment variable SPICE_PASSWORD; without one any ticket is taken.
#[derive(Debug, Parser)]
#[command(
    name = "spice-picture",
    version,
    after_help = "Example:\n  SPICE_PASSWORD=secret spice-picture picture.png"
)]
struct Cli {
    /// What is shown: a PNG with eight bits a colour.
    #[arg(value_name = "PICTURE.png")]
    picture: PathBuf,
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5900")]
    listen: SocketAddr,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// What viewers show as the title.
    #[arg(long, value_name = "TEXT", default_value = "spice-picture")]
    title: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = command::parse();
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spice-picture: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let picture = Picture::load(&cli.picture).map_err(|error| format!("{}: {error}", cli.picture.display()))?;
    let password = password(cli.password_file.as_deref(), "SPICE_PASSWORD")?;
    let server = Arc::new(PictureServer::new(&picture, password, cli.title.clone())?);
    let listener = TcpListener::bind(cli.listen).await;
    let listener = listener.map_err(|error| format!("cannot listen on {}: {error}", cli.listen))?;
    // For the program that started us: the port may have been ours to choose.
    println!("{}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => drop(tokio::spawn(serve(server.clone(), tcp, peer))),
            // No file descriptors, most likely: others have to go first.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One channel of a viewer, from its first byte to its last.
async fn serve(server: Arc<PictureServer>, tcp: TcpStream, peer: SocketAddr) {
    if let Err(error) = net::prepare(&tcp) {
        return eprintln!("{peer}: {error}");
    }
    let channel = match server.link(tcp).await {
        Ok(channel) => channel,
        Err(error) => return eprintln!("{peer}: {error}"),
    };
    let name = channel.name();
    eprintln!("{peer}: {name} let in");
    match channel.show(&server).await {
        Ok(()) => eprintln!("{peer}: {name} gone"),
        Err(error) => eprintln!("{peer}: {name}: {error}"),
    }
}
