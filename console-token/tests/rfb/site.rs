//! A gateway over a store in memory, and two hypervisors.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use console_token::connections::{ConnectionEvent, Denial, Settings, TokenConnections};
use console_token::rfb::{ConsoleBackend, Ended, Event, TokenUse, drive_viewer};
use console_token::{ConsoleType, Grant, Pepper, Peppers, Record, Secret, Store, Target, UnixSeconds, Uses};
use rfb_proto::handshake::bridge::Upstream;
use rfb_proto::handshake::{BridgeConfig, Refusal};
use rfb_proto::security::{SecurityType, vencrypt::Subtype, vnc::Password};
use rfb_proto::session::relay::{Config, Dial};
use rfb_proto::{Connection, Mover, NotDialled};
use tokio::io::duplex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::failing::Failing;
use crate::peers::{Manners, Stream, Viewer, serve, view};
use crate::random;

pub(crate) const FIRST: &str = "node1.example";
pub(crate) const SECOND: &str = "node2.example";
pub(crate) const PASSWORD: &[u8] = b"hv-pass";

/// What the backends of all connections share.
pub(crate) struct World {
    /// What the gateway believes the password to be.
    pub(crate) password: Mutex<Vec<u8>>,
    pub(crate) manners: Mutex<Manners>,
    pub(crate) unreachable: Mutex<bool>,
    pub(crate) closed: Mutex<bool>,
    pub(crate) denials: Mutex<Vec<String>>,
    pub(crate) events: Mutex<Vec<String>>,
    pub(crate) ends: Mutex<Vec<String>>,
    /// Viewers that the hypervisors have let in.
    pub(crate) accepted: AtomicUsize,
}

pub(crate) struct Backend(Arc<World>);

impl ConsoleBackend for Backend {
    type Hypervisor = Stream;

    async fn connect(&mut self, grant: &Arc<Grant>, _: Dial) -> Result<(Stream, Upstream), NotDialled> {
        if *self.0.unreachable.lock().unwrap() {
            return Err(NotDialled::Unreachable);
        }
        let Target::Host { host, .. } = &grant.target else {
            panic!("another target")
        };
        let name = if host == FIRST { b'1' } else { b'2' };
        let (near, far) = duplex(4096);
        let (world, manners) = (self.0.clone(), *self.0.manners.lock().unwrap());
        tokio::spawn(async move {
            if serve(Box::new(far), PASSWORD, name, manners).await == Some(true) {
                world.accepted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let password = Password::new(&self.0.password.lock().unwrap());
        Ok((Box::new(near), Upstream::default().with_password(password)))
    }

    fn challenge(&mut self) -> [u8; 16] {
        panic!("VNC authentication is not offered")
    }

    fn admits(&mut self, _: &Grant) -> bool {
        !*self.0.closed.lock().unwrap()
    }

    fn refused(&mut self, denial: &Denial) -> Refusal {
        self.0.denials.lock().unwrap().push(denial.to_string());
        Refusal::default()
    }

    fn event(&mut self, event: Event<'_>) {
        let event = format!("{event:?}");
        self.0.events.lock().unwrap().push(event);
    }
}

pub(crate) struct Site {
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<Failing>,
    pub(crate) connections: Arc<TokenConnections>,
    pub(crate) ahead: Arc<AtomicU64>,
    run: JoinHandle<()>,
    pub(crate) log: Arc<Mutex<Vec<ConnectionEvent>>>,
}

pub(crate) fn target(host: &str) -> Target {
    Target::Host {
        host: host.into(),
        port: Some(5900),
        tls_port: None,
    }
}

/// A viewer's connection on its way, and how to move it.
pub(crate) struct Coming {
    pub(crate) stream: Stream,
    pub(crate) task: JoinHandle<()>,
    pub(crate) mover: Mover,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    /// Viewers may come again for so many seconds.
    pub(crate) fn reconnecting(seconds: u64) -> Self {
        Self::with(Settings::default().with_reconnect(Duration::from_secs(seconds)))
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self::over(Arc::new(Failing::new()), Arc::new(AtomicU64::new(1000)), settings)
    }

    /// Another gateway of the same store.
    pub(crate) fn another(&self, settings: Settings) -> Self {
        Self::over(self.store.clone(), self.ahead.clone(), settings)
    }

    fn over(store: Arc<Failing>, ahead: Arc<AtomicU64>, settings: Settings) -> Self {
        let clock = {
            let ahead = ahead.clone();
            move || UnixSeconds(ahead.load(Ordering::Relaxed))
        };
        let peppers = Peppers::new(Pepper::new(&[1; 32]).unwrap());
        let connections = TokenConnections::new(store.clone(), peppers, clock, random, settings);
        let log: Arc<Mutex<Vec<ConnectionEvent>>> = Arc::default();
        let noted = log.clone();
        let run = connections.clone().run(move |event| noted.lock().unwrap().push(event));
        Self {
            world: Arc::new(World {
                password: Mutex::new(PASSWORD.to_vec()),
                manners: Mutex::new(Manners::Good),
                unreachable: Mutex::new(false),
                closed: Mutex::new(false),
                denials: Mutex::default(),
                events: Mutex::default(),
                ends: Mutex::default(),
                accepted: AtomicUsize::new(0),
            }),
            store,
            connections,
            ahead,
            run: tokio::spawn(run),
            log,
        }
    }

    pub(crate) fn grant(&self, uses: u32) -> Grant {
        let now = UnixSeconds(self.ahead.load(Ordering::Relaxed));
        let uses = Uses::Limited(NonZeroU32::new(uses).unwrap());
        Grant::new(target(FIRST), ConsoleType::NoVnc, now, 600).with_uses(uses)
    }

    pub(crate) async fn token(&self, uses: u32) -> Secret {
        self.connections.issue(&self.grant(uses)).await.unwrap()
    }

    pub(crate) fn record(&self, token: &Secret) -> Record {
        self.store.memory.record(&self.connections.hash(token)).unwrap()
    }

    pub(crate) fn uses_left(&self, token: &Secret) -> Option<u32> {
        self.record(token).uses_left()
    }

    pub(crate) fn sessions(&self, token: &Secret) -> usize {
        self.record(token).sessions().count()
    }

    pub(crate) async fn retarget(&self, token: &Secret, host: &str) {
        let hash = self.connections.hash(token);
        let one = console_token::TokenSelector::Token(&hash);
        let place = target(host);
        let changed = Store::retarget(&*self.store, one, ConsoleType::NoVnc, &place);
        assert_eq!(changed.await.unwrap(), 1);
    }

    pub(crate) async fn revoke(&self, token: &Secret) {
        let hash = self.connections.hash(token);
        let one = console_token::TokenSelector::Token(&hash);
        assert_eq!(Store::revoke(&*self.store, one).await.unwrap(), 1);
    }

    /// A viewer's connection, driven by a task.
    pub(crate) fn connect(&self, entered: Option<TokenUse>) -> Coming {
        let bridge = BridgeConfig::default()
            .with_tenant_types(&[match entered {
                Some(_) => SecurityType::NONE,
                None => SecurityType::VENCRYPT,
            }])
            .with_tenant_subtypes(&[Subtype::PLAIN])
            .with_hypervisor_types(&[SecurityType::VNC]);
        self.connect_by(bridge, entered)
    }

    /// The tenant types the hypervisor's password, which the gateway does not know.
    pub(crate) fn pass_through(&self, entered: TokenUse) -> Coming {
        let bridge = BridgeConfig::passthrough()
            .with_tenant_types(&[SecurityType::VNC])
            .with_hypervisor_types(&[SecurityType::VNC]);
        self.connect_by(bridge, Some(entered))
    }

    fn connect_by(&self, bridge: BridgeConfig, entered: Option<TokenUse>) -> Coming {
        let (near, far) = duplex(4096);
        let connection = Connection::new(Config::new(bridge));
        let mover = connection.mover();
        let viewer = self.connections.viewer(entered, Backend(self.world.clone()));
        let world = self.world.clone();
        let task = tokio::spawn(async move {
            let (ended, viewer) = drive_viewer(connection, far, viewer).await;
            world.ends.lock().unwrap().push(match &ended {
                Ended::Cut(why) => format!("cut: {why}"),
                other => other.to_string(),
            });
            drop(viewer);
        });
        let stream = Box::new(near);
        Coming { stream, task, mover }
    }

    /// With the token as password.
    pub(crate) async fn open(&self, token: &Secret) -> Option<Viewer> {
        self.open_with("nobody", token.expose()).await
    }

    pub(crate) async fn open_with(&self, user: &str, password: &str) -> Option<Viewer> {
        let coming = self.connect(None);
        let viewed = timeout(Duration::from_secs(3600), view(coming.stream, Some((user, password))));
        viewed.await.expect("the log-in hangs")
    }

    pub(crate) fn denials(&self) -> Vec<String> {
        std::mem::take(&mut *self.world.denials.lock().unwrap())
    }

    /// It tells the store nothing any more.
    pub(crate) fn kill(&self) {
        self.run.abort();
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.run.abort();
    }
}

/// Waits for something that is on its way.
pub(crate) async fn soon(what: &str, mut met: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if met() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not within a minute: {what}");
}
