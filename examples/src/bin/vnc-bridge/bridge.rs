//! One tenant and its hypervisor: two handshakes as one, then bytes.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use examples::net;
use examples::vnc::{Stream, challenge, secure_client, secure_server};
use rfb_proto::handshake::bridge::{Bridge, BridgeError, BridgeOutcome, BridgeQuestion};
use rfb_proto::handshake::{Misuse, Refusal, Side, SideBuffers, Tls};
use rfb_proto::{BridgeDriven, Clock, DriveError, drive_bridge, drive_bridge_while_asking};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};
use tracing::{info, warn};

use crate::config::Config;

/// For name look-up and TCP together.
const DIAL: Duration = Duration::from_secs(10);
/// For the last words to a tenant.
const GOODBYE: Duration = Duration::from_secs(1);
/// For one direction when the other one has ended.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Bytes that are passed on at a time.
const BUFFER: usize = 32 << 10;

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
    #[error("all places for open consoles are taken")]
    NoPlace,
}

/// What is asked and told about a tenant while it is served.
pub(crate) trait Door {
    /// A password was shown, or is about to be: whether it is looked at. Where it is not, that is answered like a wrong
    /// one.
    fn attempt(&self) -> bool;
    /// That password was right.
    fn succeeded(&self);
    /// The tenant is in. `false`: there is no place for it.
    fn admitted(&self) -> bool;
}

/// Serves one tenant.
pub(crate) async fn serve(config: &Config, door: &impl Door, tenant: Stream) -> Result<End, ServeError> {
    let clock = Clock::start();
    let mut session = Session {
        config,
        door,
        bridge: Bridge::new(clock.now(), config.bridge.clone()),
        sides: SideBuffers::default(),
        tenant,
        hypervisor: None,
    };
    match session.handshake(clock).await {
        Ok(outcome) => {
            if config.passes_through() {
                door.succeeded();
            }
            if !door.admitted() {
                return Err(ServeError::NoPlace);
            }
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

struct Session<'a, D> {
    config: &'a Config,
    door: &'a D,
    bridge: Bridge,
    sides: SideBuffers,
    tenant: Stream,
    hypervisor: Option<Stream>,
}

impl<D: Door> Session<'_, D> {
    async fn handshake(&mut self, clock: Clock) -> Result<BridgeOutcome, ServeError> {
        loop {
            let (bridge, sides) = (&mut self.bridge, &mut self.sides);
            match drive_bridge(bridge, sides, &mut self.tenant, self.hypervisor.as_mut(), clock).await? {
                BridgeDriven::Ask(question) => self.answer(question, clock).await?,
                BridgeDriven::StartTls { side, tls } => {
                    let until = clock.instant(self.bridge.deadline());
                    let secured = timeout_at(until, self.secure(side, &tls)).await;
                    if let Err(error) = secured.unwrap_or_else(|late| Err(late.into())) {
                        warn!(%side, %error, "no TLS");
                        // What that means for the other side comes with the next step.
                        let _ = self.bridge.eof(&mut self.sides, side);
                    }
                }
                BridgeDriven::Done(outcome) => return Ok(outcome),
            }
        }
    }

    async fn answer(&mut self, question: BridgeQuestion, clock: Clock) -> Result<(), ServeError> {
        let (bridge, sides) = (&mut self.bridge, &mut self.sides);
        match question {
            BridgeQuestion::Challenge => bridge.challenge(sides, challenge())?,
            BridgeQuestion::Admit(claim) if self.door.attempt() && self.config.account.admits(&claim) => {
                self.door.succeeded();
                bridge.admit(sides)?;
            }
            BridgeQuestion::Admit(_) => bridge.refuse(sides, Refusal::default())?,
            // The hypervisor will look at the password.
            BridgeQuestion::Connect if self.config.passes_through() && !self.door.attempt() => {
                bridge.refuse(sides, Refusal::default())?;
            }
            BridgeQuestion::Connect => self.connect(clock).await?,
            // No method here has another question.
            _ => bridge.refuse(sides, Refusal::Close)?,
        }
        Ok(())
    }

    /// Dials the hypervisor. A tenant that hangs up meanwhile ends it, so that its place is free at once.
    async fn connect(&mut self, clock: Clock) -> Result<(), ServeError> {
        let (bridge, sides) = (&mut self.bridge, &mut self.sides);
        let dial = dial(&self.config.hypervisor.address);
        let dialled =
            drive_bridge_while_asking(bridge, sides, &mut self.tenant, self.hypervisor.as_mut(), clock, dial).await?;
        match dialled {
            Ok(tcp) => {
                self.hypervisor = Some(Box::new(tcp));
                bridge.connect(self.config.hypervisor.upstream())?;
            }
            Err(error) => {
                warn!(%error, "hypervisor not reached");
                bridge.refuse(sides, self.config.bridge.upstream_failure.clone())?;
            }
        }
        Ok(())
    }

    /// Puts TLS around one of the connections.
    async fn secure(&mut self, side: Side, tls: &Tls) -> io::Result<()> {
        let buffers = self.sides.side(side);
        let missing = || io::Error::other("no certificates for it");
        // The old connection goes with a handshake that fails.
        let secured = match side {
            Side::Tenant => {
                let server = self.config.server_tls.as_ref().ok_or_else(missing)?;
                let plain = std::mem::replace(&mut self.tenant, Box::new(tokio::io::empty()));
                secure_client(plain, buffers, server).await?
            }
            Side::Hypervisor => {
                let client = self.config.hypervisor.tls.as_ref().ok_or_else(missing)?;
                let plain = self.hypervisor.take();
                let plain = plain.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
                secure_server(plain, buffers, client, tls.server_name.as_deref().unwrap_or_default()).await?
            }
        };
        match side {
            Side::Tenant => self.tenant = secured,
            Side::Hypervisor => self.hypervisor = Some(secured),
        }
        Ok(())
    }

    /// ClientInit and all that follows. Both connections may have brought some of it already.
    async fn copy(self) -> Result<End, ServeError> {
        let Self {
            sides,
            tenant,
            hypervisor,
            config,
            ..
        } = self;
        let hypervisor = hypervisor.ok_or(Misuse::Ended)?;
        let (from_tenant, to_tenant) = tokio::io::split(tenant);
        let (from_hypervisor, to_hypervisor) = tokio::io::split(hypervisor);
        let passed = [AtomicU64::new(0), AtomicU64::new(0)];
        let up = pass(sides.tenant.rx, from_tenant, to_hypervisor, &passed[0]);
        let down = pass(sides.hypervisor.rx, from_hypervisor, to_tenant, &passed[1]);
        let ended = tokio::select! {
            ended = both(up, down) => ended,
            () = idle(&passed, config.idle) => Err(io::Error::new(io::ErrorKind::TimedOut, "idle")),
        };
        if let Err(error) = ended {
            info!(%error, "the console ends");
        }
        let [to_hypervisor, to_tenant] = passed.map(AtomicU64::into_inner);
        Ok(End {
            to_hypervisor,
            to_tenant,
        })
    }
}

/// Waits for both directions. When one has ended the other one has not much to say.
async fn both(up: impl Future<Output = io::Result<()>>, down: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    tokio::pin!(up, down);
    tokio::select! {
        ended = &mut up => {
            ended?;
            timeout(LAST_WORDS, down).await.unwrap_or(Ok(()))
        }
        ended = &mut down => {
            ended?;
            timeout(LAST_WORDS, up).await.unwrap_or(Ok(()))
        }
    }
}

/// Passes on what is there and what comes, until the end, which is passed on as well. What was written is flushed before
/// more is waited for.
async fn pass<R, W>(early: BytesMut, from: R, mut to: W, passed: &AtomicU64) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    to.write_all(&early).await?;
    passed.fetch_add(early.len() as u64, Ordering::Relaxed);
    to.flush().await?;
    let mut from = BufReader::with_capacity(BUFFER, from);
    loop {
        let bytes = from.fill_buf().await?;
        let length = bytes.len();
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(bytes).await?;
        to.flush().await?;
        from.consume(length);
        passed.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// Ends when nothing has passed for this long.
async fn idle(passed: &[AtomicU64; 2], limit: Duration) {
    let count = || passed.each_ref().map(|count| count.load(Ordering::Relaxed));
    loop {
        let before = count();
        tokio::time::sleep(limit).await;
        if before == count() {
            return;
        }
    }
}

async fn dial(address: &str) -> io::Result<TcpStream> {
    let tcp = timeout(DIAL, TcpStream::connect(address)).await??;
    net::prepare(&tcp)?;
    Ok(tcp)
}
