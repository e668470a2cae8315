//! One tenant and its hypervisor: two handshakes as one, then bytes.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use examples::vnc::{Stream, challenge, secured};
use rfb_proto::handshake::bridge::{Bridge, BridgeError, BridgeOutcome, Question};
use rfb_proto::handshake::{Misuse, Refusal, Side, Tls, Wires};
use rfb_proto::tls::{PeerName, TlsError};
use rfb_proto::{BridgeDriven, Clock, DriveError, drive_bridge};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tracing::{info, warn};

use crate::config::Config;

/// For name look-up and TCP together.
const DIAL: Duration = Duration::from_secs(10);
/// For the last words to a tenant.
const GOODBYE: Duration = Duration::from_secs(1);

/// How a session ended: bytes that were copied each way.
pub(crate) struct End {
    pub(crate) to_hypervisor: u64,
    pub(crate) to_tenant: u64,
}

/// Why there was no session. For our own log; tenants are told what [`Bridge`] tells them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    #[error("{0}")]
    Handshake(#[from] DriveError<BridgeError>),
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Serves one tenant.
pub(crate) async fn serve(config: &Config, tenant: Stream) -> Result<End, ServeError> {
    let clock = Clock::start();
    let mut session = Session {
        config,
        bridge: Bridge::new(clock.now(), config.bridge.clone()),
        wires: Wires::default(),
        tenant,
        hypervisor: None,
    };
    match session.handshake(clock).await {
        Ok(outcome) => {
            info!(tenant = %outcome.tenant.security, hypervisor = %outcome.hypervisor.security, "let in");
            session.copy().await
        }
        Err(error) => {
            // So that what the tenant was told arrives before the end does.
            let _ = timeout(GOODBYE, session.tenant.shutdown()).await;
            Err(error)
        }
    }
}

struct Session<'a> {
    config: &'a Config,
    bridge: Bridge,
    wires: Wires,
    tenant: Stream,
    hypervisor: Option<Stream>,
}

impl Session<'_> {
    async fn handshake(&mut self, clock: Clock) -> Result<BridgeOutcome, ServeError> {
        loop {
            let (bridge, wires) = (&mut self.bridge, &mut self.wires);
            match drive_bridge(bridge, wires, &mut self.tenant, self.hypervisor.as_mut(), clock).await? {
                BridgeDriven::Ask(question) => self.answer(question).await?,
                BridgeDriven::StartTls { side, tls } => {
                    let until = clock.instant(self.bridge.deadline());
                    let secured = timeout_at(until, self.secure(side, &tls)).await;
                    if let Err(error) = secured.unwrap_or_else(|late| Err(late.into())) {
                        warn!(%side, %error, "no TLS");
                        // What that means for the other side comes with the next step.
                        let _ = self.bridge.eof(&mut self.wires, side);
                    }
                }
                BridgeDriven::Done(outcome) => return Ok(outcome),
            }
        }
    }

    async fn answer(&mut self, question: Question) -> Result<(), Misuse> {
        let (bridge, wires) = (&mut self.bridge, &mut self.wires);
        match question {
            Question::Challenge => bridge.challenge(wires, challenge()),
            Question::Admit(claim) if self.config.account.admits(&claim) => bridge.admit(wires),
            Question::Admit(_) => bridge.refuse(wires, Refusal::default()),
            Question::Connect => match dial(&self.config.hypervisor.address).await {
                Ok(tcp) => {
                    self.hypervisor = Some(Box::new(tcp));
                    bridge.connect(self.config.hypervisor.upstream())
                }
                Err(error) => {
                    warn!(%error, "hypervisor not reached");
                    bridge.refuse(wires, self.config.bridge.upstream_failure.clone())
                }
            },
        }
    }

    /// Puts TLS around one of the connections.
    async fn secure(&mut self, side: Side, tls: &Tls) -> io::Result<()> {
        let wire = self.wires.side(side);
        let missing = || io::Error::other("no certificates for it");
        let invalid = |error: TlsError| io::Error::other(error);
        let name = tls.server_name.as_deref().unwrap_or_default();
        let session = match side {
            Side::Tenant => self.config.server_tls.as_ref().ok_or_else(missing)?.accept(wire),
            Side::Hypervisor => {
                let tls = self.config.hypervisor.tls.as_ref().ok_or_else(missing)?;
                tls.connect(PeerName::Named(name), wire)
            }
        };
        let session = session.map_err(invalid)?;
        // The old connection goes with a handshake that fails.
        let plain = match side {
            Side::Tenant => Some(std::mem::replace(&mut self.tenant, Box::new(tokio::io::empty()))),
            Side::Hypervisor => self.hypervisor.take(),
        };
        let plain = plain.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        let secured: Stream = Box::new(secured(plain, session).await?);
        match side {
            Side::Tenant => self.tenant = secured,
            Side::Hypervisor => self.hypervisor = Some(secured),
        }
        Ok(())
    }

    /// ClientInit and all that follows. Both connections may have brought some of it already.
    async fn copy(self) -> Result<End, ServeError> {
        let Self {
            wires,
            mut tenant,
            hypervisor,
            ..
        } = self;
        let mut hypervisor = hypervisor.ok_or(Misuse::Ended)?;
        let (early_up, early_down): (BytesMut, BytesMut) = (wires.tenant.rx, wires.hypervisor.rx);
        hypervisor.write_all(&early_up).await?;
        tenant.write_all(&early_down).await?;
        tokio::try_join!(hypervisor.flush(), tenant.flush())?;
        let (up, down) = copy_bidirectional(&mut tenant, &mut hypervisor).await?;
        Ok(End {
            to_hypervisor: up + early_up.len() as u64,
            to_tenant: down + early_down.len() as u64,
        })
    }
}

async fn dial(address: &str) -> io::Result<TcpStream> {
    let tcp = timeout(DIAL, TcpStream::connect(address)).await??;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
