//! A VNC gateway with tokens: a viewer that shows the token as its password in VeNCrypt's Plain (without TLS: for loopback)
//! gets the hypervisor's console.
//!
//! `cargo run --example vnc_gateway --features rfb -- 127.0.0.1:5900 127.0.0.1 5901 PASSWORD [USES]`
#![allow(clippy::restriction, reason = "a program, with std")]

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use console_token::rfb::{ConsoleBackend, Settings, TokenConnections, drive_viewer};
use console_token::{ConsoleType, Grant, MemoryStore, Pepper, Peppers, Target, UnixSeconds, Uses};
use rfb_proto::handshake::{BridgeConfig, bridge::Upstream};
use rfb_proto::security::{SecurityType, vencrypt::Subtype, vnc::Password};
use rfb_proto::session::relay::{Config, Dial};
use rfb_proto::{Connection, NotDialled};
use tokio::net::{TcpListener, TcpStream};

/// How the hypervisor is reached, and its password.
struct Hypervisor(Arc<str>);

impl ConsoleBackend for Hypervisor {
    type Hypervisor = TcpStream;

    async fn connect(&mut self, grant: &Arc<Grant>, _: Dial) -> Result<(TcpStream, Upstream), NotDialled> {
        let Target::Host { host, port, .. } = &grant.target else {
            return Err(NotDialled::Unreachable);
        };
        let tcp = TcpStream::connect((host.as_str(), port.unwrap_or(5900))).await?;
        tcp.set_nodelay(true)?;
        Ok((tcp, Upstream::default().with_password(Password::new(self.0.as_bytes()))))
    }

    fn challenge(&mut self) -> [u8; 16] {
        let mut challenge = [0; 16];
        random(&mut challenge);
        challenge
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
        return Err("usage: vnc_gateway LISTEN HYPERVISOR-HOST PORT PASSWORD [USES]".into());
    };
    let mut pepper = [0; 32];
    random(&mut pepper);
    let (store, peppers) = (Arc::new(MemoryStore::new(1000)), Peppers::new(Pepper::new(&pepper)?));
    let connections = TokenConnections::new(store, peppers, now, random, Settings::default());
    tokio::spawn(connections.clone().run(|event| eprintln!("{event:?}")));
    let (host, port) = (host.clone(), Some(port.parse()?));
    let target = Target::Host {
        host,
        port,
        tls_port: None,
    };
    let uses = Uses::Limited(uses.first().map_or("1", String::as_str).parse()?);
    let grant = Grant::new(target, ConsoleType::NoVnc, now(), 600).with_uses(uses);
    println!("token {}", connections.issue(&grant).await?.expose());
    let bridge = BridgeConfig::default().with_tenant_types(&[SecurityType::VENCRYPT]);
    let bridge = bridge.with_hypervisor_types(&[SecurityType::VNC]);
    let config = Arc::new(Config::new(bridge.with_tenant_subtypes(&[Subtype::PLAIN])));
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (viewer, from) = listener.accept().await?;
        let handler = connections.viewer(None, Hypervisor(password.clone().into()));
        let driven = drive_viewer(Connection::new(config.clone()), viewer, handler);
        tokio::spawn(async move { eprintln!("{from}: {}", driven.await.0) });
    }
}
