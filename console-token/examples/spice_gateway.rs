//! A SPICE gateway with tokens: a viewer that shows the token as its password gets the hypervisor's console.
//!
//! `cargo run --example spice_gateway --features spice -- 127.0.0.1:5900 127.0.0.1 5901 PASSWORD [USES]`
#![allow(clippy::restriction, reason = "a program, with std")]

use std::error::Error;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::SystemTime;

use console_token::spice::{Console, ConsoleBackend, Settings, TokenSessions};
use console_token::{ConsoleType, Grant, MemoryStore, Pepper, Peppers, Target, UnixSeconds, Uses};
use spice_proto::proxy::{Endpoint, Peer, Policy, ProxyConfig, Secret, drive_session};
use tokio::net::{TcpListener, TcpStream};

/// How the hypervisor is reached, and its password.
struct Hypervisor(Arc<str>);

impl ConsoleBackend for Hypervisor {
    type Hypervisor = TcpStream;

    async fn connect(&mut self, console: &Console) -> Option<TcpStream> {
        let place = console.place()?;
        let tcp = TcpStream::connect((place.host.as_str(), place.port?)).await.ok()?;
        tcp.set_nodelay(true).is_ok().then_some(tcp)
    }

    async fn ticket(&mut self, _: &Console) -> Option<Secret> {
        Some(Secret::new(self.0.as_bytes()))
    }
}

fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("random bytes from the operating system");
}

fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, host, port, password, uses @ ..] = &arguments[..] else {
        return Err("usage: spice_gateway LISTEN HYPERVISOR-HOST PORT PASSWORD [USES]".into());
    };
    let mut pepper = [0; 32];
    random(&mut pepper);
    let (store, peppers) = (Arc::new(MemoryStore::new(1000)), Peppers::new(Pepper::new(&pepper)?));
    let sessions = TokenSessions::new(store, peppers, now, random, Settings::default());
    tokio::spawn(sessions.clone().run(|event| eprintln!("{event:?}")));

    let (host, port) = (host.clone(), Some(port.parse()?));
    let target = Target::Host {
        host,
        port,
        tls_port: None,
    };
    let uses = Uses::Limited(uses.first().map_or("1", String::as_str).parse()?);
    let grant = Grant::new(target, ConsoleType::SpiceDirect, now(), 600).with_uses(uses);
    println!("token {}", sessions.issue(&grant).await?.expose());

    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    println!("listening on {address}");
    let endpoint = Endpoint::new(&address.ip().to_string(), NonZeroU16::new(address.port()), None, None)?;
    let config = Arc::new(ProxyConfig::new(Arc::new(Policy::new(&Default::default())), endpoint));
    loop {
        let (viewer, from) = listener.accept().await?;
        viewer.set_nodelay(true)?;
        let connection = sessions.accept(Peer::new(from.ip(), false), config.clone());
        let proxy = sessions.proxy(from.ip(), Hypervisor(password.clone().into()));
        tokio::spawn(drive_session(connection, viewer, proxy));
    }
}
