//! One tenant and its hypervisor: what the bridge answers, and how long it waits.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use examples::net;
use examples::vnc::{Stream, challenge};
use rfb_proto::handshake::bridge::{BridgeOutcome, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{Refusal, Side};
use rfb_proto::session::relay::{Counts, Dial, End};
use rfb_proto::{Connection, NotDialled, ProxyHandler, drive_session};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::Config;

/// For name look-up and TCP together.
const DIAL: Duration = Duration::from_secs(10);

/// How a connection ended.
pub(crate) enum Served {
    /// The tenant was in. Bytes that passed each way.
    Session {
        to_hypervisor: u64,
        to_tenant: u64,
        why: String,
    },
    /// It was not let in. For our own log; tenants are told what [`Bridge`](rfb_proto::handshake::Bridge) tells them.
    Refused(String),
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
pub(crate) async fn serve<D>(config: Arc<Config>, door: D, tenant: Stream) -> Served
where
    D: Door + Send + Sync + 'static,
{
    let is_in = Arc::new(AtomicBool::new(false));
    let mut connection = Connection::new(config.session.clone());
    if let Some(tls) = &config.server_tls {
        connection = connection.with_tenant_tls(tls.clone());
    }
    if let Some(tls) = &config.hypervisor.tls {
        connection = connection.with_hypervisor_tls(tls.clone());
    }
    let (counts, limit) = (connection.counts(), config.idle);
    let tenant_of = Tenant {
        config,
        door,
        is_in: is_in.clone(),
    };
    let why = tokio::select! {
        (end, _) = drive_session(connection, tenant, tenant_of) => match end {
            End::Stopped => "all places for open consoles are taken".to_owned(),
            end => end.to_string(),
        },
        () = idle(&counts, &is_in, limit) => "idle".to_owned(),
    };
    match is_in.load(Ordering::Relaxed) {
        true => Served::Session {
            to_hypervisor: counts.to_hypervisor(),
            to_tenant: counts.to_viewer(),
            why,
        },
        false => Served::Refused(why),
    }
}

/// The answers for one tenant.
struct Tenant<D> {
    config: Arc<Config>,
    door: D,
    is_in: Arc<AtomicBool>,
}

impl<D: Door + Send + Sync + 'static> ProxyHandler for Tenant<D> {
    type Hypervisor = Stream;

    fn challenge(&mut self) -> [u8; 16] {
        challenge()
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        if self.door.attempt() && self.config.account.admits(&shown) {
            self.door.succeeded();
            return Ok(());
        }
        Err(Refusal::default())
    }

    async fn dial(&mut self, _: Dial) -> Result<(Stream, Upstream), NotDialled> {
        // The hypervisor will look at the password.
        if self.config.passes_through() && !self.door.attempt() {
            return Err(NotDialled::Refused(Refusal::default()));
        }
        let hypervisor = &self.config.hypervisor;
        let tcp = dial(&hypervisor.address).await.inspect_err(|error| {
            warn!(%error, "hypervisor not reached");
        })?;
        Ok((Box::new(tcp), hypervisor.upstream()))
    }

    fn authenticated(&mut self, outcome: &BridgeOutcome) -> bool {
        if self.config.passes_through() {
            self.door.succeeded();
        }
        if !self.door.admitted() {
            return false;
        }
        self.is_in.store(true, Ordering::Relaxed);
        info!(tenant = %outcome.tenant.security, hypervisor = %outcome.hypervisor.security, "let in");
        true
    }

    fn tls_failed(&mut self, side: Side, error: &io::Error) {
        warn!(%side, %error, "no TLS");
    }
}

/// Ends when nothing has passed for this long, once the tenant is in.
async fn idle(counts: &Counts, is_in: &AtomicBool, limit: Duration) {
    let passed = || {
        let count = counts.to_hypervisor().wrapping_add(counts.to_viewer());
        (is_in.load(Ordering::Relaxed), count)
    };
    loop {
        let before = passed();
        tokio::time::sleep(limit).await;
        if before == passed() && before.0 {
            return;
        }
    }
}

async fn dial(address: &str) -> io::Result<TcpStream> {
    let tcp = timeout(DIAL, TcpStream::connect(address)).await??;
    net::prepare(&tcp)?;
    Ok(tcp)
}
