//! A relay of single links between viewers and one hypervisor, without sessions.
//!
//! ```text
//! cargo run -p spice-proto --example relay --features tokio -- LISTEN HYPERVISOR TOKEN PASSWORD
//! ```
//!
//! A viewer that shows TOKEN as its password gets the hypervisor, with PASSWORD there. It is for programs that look at
//! each frame themselves ([`FrameForwarder`]). A proxy has more to do: which links belong together, what may pass and
//! what becomes of them when the guest moves is the work of `drive_session`, see the program `minimal_proxy`.

use core::error::Error;
use std::fs::File;
use std::io::{self, Read as _};

use bytes::BytesMut;
use spice_proto::caps::Capabilities;
use spice_proto::frame::{FrameDecision, FrameForwarder};
use spice_proto::link::relay::{RelayQuestion, Upstream};
use spice_proto::link::server::{self, Announcement};
use spice_proto::link::{Key, Refusal, RelayConfig, RelayLink, Secret, SideBuffers};
use spice_proto::{Clock, Driven, Limits, drive_relay};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, hypervisor, token, password] = &arguments[..] else {
        return Err("usage: relay LISTEN HYPERVISOR TOKEN PASSWORD".into());
    };
    let listener = TcpListener::bind(listen).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (tenant, from) = listener.accept().await?;
        let (hypervisor, token, password) = (hypervisor.clone(), token.clone(), password.clone());
        tokio::spawn(async move {
            let dial = || TcpStream::connect(&hypervisor);
            match relay(tenant, dial, &token, &password, random).await {
                Ok(()) => println!("{from}: closed"),
                Err(error) => println!("{from}: {error}"),
            }
        });
    }
}

fn random(bytes: &mut [u8]) {
    let source = File::open("/dev/urandom");
    if let Err(error) = source.and_then(|mut source| source.read_exact(bytes)) {
        eprintln!("no random bytes: {error}");
        std::process::exit(1);
    }
}

/// Relays one link, from its first byte to its last.
///
/// # Errors
/// What the link or one of its connections failed with.
pub(crate) async fn relay<T, H, D>(
    mut tenant: T,
    dial: impl Fn() -> D,
    token: &str,
    password: &str,
    mut random: impl FnMut(&mut [u8]),
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
    D: Future<Output = io::Result<H>>,
{
    let (clock, mut sides) = (Clock::start(), SideBuffers::default());
    let mut link = RelayLink::new(clock.now(), RelayConfig::default());
    let (mut key, mut hypervisor) = (None, None);
    let outcome = loop {
        match drive_relay(&mut link, &mut sides, &mut tenant, hypervisor.as_mut(), clock).await? {
            Driven::Ask(RelayQuestion::Tenant(server::ServerQuestion::Link(request))) => {
                let fresh = Key::generate(&mut random)?;
                let shown = Announcement {
                    public_key: fresh.public(),
                    capabilities: Capabilities::spice_server(request.channel_type),
                };
                link.tenant().announce(&mut sides.tenant, shown)?;
                key = Some(fresh);
            }
            Driven::Ask(RelayQuestion::Tenant(server::ServerQuestion::Ticket { sealed, .. })) => {
                let shown = key.take().ok_or("no key")?.open(&sealed, &mut random);
                if !shown.is_ok_and(|shown| shown == Secret::new(token.as_bytes())) {
                    link.refuse(&mut sides, Refusal::DENIED)?;
                    continue;
                }
                hypervisor = Some(dial().await?);
                let mut upstream = Upstream {
                    ticket: Secret::new(password.as_bytes()),
                    oaep_seed: [0; 20],
                };
                random(&mut upstream.oaep_seed);
                link.admit(&mut sides, upstream)?;
            }
            // SASL was not announced, nor is there another port.
            Driven::Ask(_) => link.refuse(&mut sides, Refusal::Close)?,
            Driven::Done(outcome) => break outcome,
        }
    };
    let mut hypervisor = hypervisor.ok_or("no hypervisor")?;
    let (to_tenant, to_hypervisor) = outcome.forwarders(&Limits::default());
    let ((from_tenant, tenant), (from_hypervisor, hypervisor)) = (split(&mut tenant), split(&mut hypervisor));
    // The other direction ends with the first that does.
    tokio::select! {
        ended = forward(from_tenant, hypervisor, sides.tenant.rx, to_hypervisor) => ended,
        ended = forward(from_hypervisor, tenant, sides.hypervisor.rx, to_tenant) => ended,
    }
}

/// Forwards the frames of one direction. `src`: what was received already.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut src: BytesMut,
    forwarder: FrameForwarder,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut forwarder = forwarder.with_high_water(64 << 10);
    let mut dst = BytesMut::new();
    loop {
        forwarder.forward(&mut src, &mut dst, |_| FrameDecision::Forward)?;
        if !dst.is_empty() {
            to.write_all_buf(&mut dst).await?;
            to.flush().await?;
            continue;
        }
        src.reserve(32 << 10);
        if from.read_buf(&mut src).await? == 0 {
            return Ok(());
        }
    }
}
