//! A gateway over a store in memory, and two hypervisors.

use std::collections::HashMap;
use std::num::{NonZeroU16, NonZeroU32};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use console_token::spice::{Console, ConsoleBackend, Denial, Event, SessionEvent, Settings, TokenSessions};
use console_token::{ConsoleType, Grant, Pepper, Peppers, Record, Secret, Store, Target, UnixSeconds, Uses};
use spice_proto::drive_session;
use spice_proto::ids::ChannelType;
use spice_proto::link::{self, KeyPoolConfig};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::Settings as PolicySettings;
use spice_proto::session::relay::Config;
use spice_proto::session::tracker::Peer;
use spice_proto::session::{Policy, Report, SessionKey};
use tokio::io::duplex;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::failing::Failing;
use crate::hypervisor::{Hypervisor, session_id};
use crate::line::{Line, Stream, link};
use crate::{INPUTS, MAIN, random};

pub(crate) const FIRST: &str = "node1.example";
pub(crate) const SECOND: &str = "node2.example";
const PORT: u16 = 5900;
/// Where viewers find the gateway.
pub(crate) const PROXY: &str = "proxy.example";

/// What the backends of all connections share.
pub(crate) struct World {
    pub(crate) first: Arc<Hypervisor>,
    pub(crate) second: Arc<Hypervisor>,
    /// The gateway has a wrong password.
    pub(crate) wrong: AtomicBool,
    /// The console may not be shown.
    pub(crate) closed: AtomicBool,
    /// No hypervisor is reached.
    pub(crate) unreachable: AtomicBool,
    pub(crate) denials: Mutex<Vec<String>>,
    pub(crate) events: Mutex<Vec<String>>,
    /// The ways to other gateways.
    pub(crate) others: Mutex<HashMap<String, Way>>,
}

/// Makes a connection to a gateway.
pub(crate) type Way = Box<dyn Fn() -> Stream + Send>;

pub(crate) struct Backend(Arc<World>);

impl ConsoleBackend for Backend {
    type Hypervisor = Stream;

    async fn connect(&mut self, console: &Console) -> Option<Stream> {
        let place = console.place()?;
        assert_eq!((place.port, place.tls_port), (Some(PORT), None));
        let hypervisor = match place.host.as_str() {
            _ if self.0.unreachable.load(Ordering::Relaxed) => return None,
            FIRST => &self.0.first,
            SECOND => &self.0.second,
            host => panic!("{host} is dialled"),
        };
        let (near, far) = duplex(4096);
        tokio::spawn(hypervisor.clone().serve(Box::new(far)));
        Some(Box::new(near))
    }

    async fn ticket(&mut self, console: &Console) -> Option<link::Secret> {
        let place = console.place()?;
        Some(link::Secret::new(match place.host.as_str() {
            _ if self.0.wrong.load(Ordering::Relaxed) => b"wrong",
            FIRST => b"one",
            _ => b"two",
        }))
    }

    fn admits(&mut self, _: &Grant) -> bool {
        !self.0.closed.load(Ordering::Relaxed)
    }

    fn refused(&mut self, denial: &Denial) -> link::Refusal {
        self.0.denials.lock().unwrap().push(denial.to_string());
        link::Refusal::DENIED
    }

    async fn gateway(&mut self, name: &str) -> Option<Stream> {
        let others = self.0.others.lock().unwrap();
        Some(others.get(name)?())
    }

    fn event(&mut self, event: Event<'_>) {
        let event = format!("{event:?}");
        self.0.events.lock().unwrap().push(event);
    }
}

pub(crate) struct Site {
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<Failing>,
    pub(crate) sessions: Arc<TokenSessions>,
    pub(crate) ahead: Arc<AtomicU64>,
    config: Arc<Config>,
    run: JoinHandle<()>,
    pub(crate) log: Arc<Mutex<Vec<SessionEvent>>>,
}

/// A session of a viewer.
pub(crate) struct Viewer {
    pub(crate) id: u32,
    pub(crate) main: Line,
    pub(crate) inputs: Line,
}

fn target(host: &str) -> Target {
    Target::Host {
        host: host.into(),
        port: Some(PORT),
        tls_port: None,
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let store = Arc::new(Failing::new());
        Self::over(store.clone(), store, settings, Arc::new(AtomicU64::new(1000)))
    }

    /// Another gateway of the same store, and its own hypervisors.
    pub(crate) fn another(&self, settings: Settings) -> Self {
        Self::over(self.store.clone(), self.store.clone(), settings, self.ahead.clone())
    }

    /// It tells the store nothing any more.
    pub(crate) fn kill(&self) {
        self.run.abort();
    }

    /// Its last session.
    pub(crate) fn key(&self) -> SessionKey {
        let log = self.log.lock().unwrap();
        let mut keys = log.iter().filter_map(|event| match event {
            SessionEvent::Report(Report::Link { session, .. }) => Some(*session),
            _ => None,
        });
        keys.next_back().unwrap()
    }

    /// Over an engine.
    #[cfg(feature = "sql")]
    pub(crate) fn of(engine: Arc<dyn Store>, settings: Settings) -> Self {
        let ahead = Arc::new(AtomicU64::new(1000));
        Self::over(engine, Arc::new(Failing::new()), settings, ahead)
    }

    fn over(used: Arc<dyn Store>, store: Arc<Failing>, settings: Settings, ahead: Arc<AtomicU64>) -> Self {
        let clock = {
            let ahead = ahead.clone();
            move || UnixSeconds(ahead.load(Ordering::Relaxed))
        };
        let peppers = Peppers::new(Pepper::new(&[1; 32]).unwrap());
        let settings = settings.with_keys(KeyPoolConfig::default().with_stock(1));
        let sessions = TokenSessions::new(used, peppers, clock, random, settings);
        let log: Arc<Mutex<Vec<SessionEvent>>> = Arc::default();
        let noted = log.clone();
        let run = sessions.clone().run(move |event| noted.lock().unwrap().push(event));
        let endpoint = Endpoint::new(PROXY, NonZeroU16::new(5910), None, None).unwrap();
        let policy = Arc::new(Policy::new(&PolicySettings::default()));
        Self {
            world: Arc::new(World {
                first: Hypervisor::new(b"one", 100),
                second: Hypervisor::new(b"two", 200),
                wrong: AtomicBool::new(false),
                closed: AtomicBool::new(false),
                unreachable: AtomicBool::new(false),
                denials: Mutex::default(),
                events: Mutex::default(),
                others: Mutex::default(),
            }),
            store,
            sessions,
            ahead,
            config: Arc::new(Config::new(policy, endpoint)),
            run: tokio::spawn(run),
            log,
        }
    }

    pub(crate) fn grant(&self, uses: u32) -> Grant {
        let now = UnixSeconds(self.ahead.load(Ordering::Relaxed));
        let uses = Uses::Limited(NonZeroU32::new(uses).unwrap());
        Grant::new(target(FIRST), ConsoleType::SpiceDirect, now, 600).with_uses(uses)
    }

    pub(crate) async fn token(&self, uses: u32) -> Secret {
        self.sessions.issue(&self.grant(uses)).await.unwrap()
    }

    pub(crate) fn record(&self, token: &Secret) -> Record {
        self.store.memory.record(&self.sessions.hash(token)).unwrap()
    }

    pub(crate) fn uses_left(&self, token: &Secret) -> Option<u32> {
        self.record(token).uses_left()
    }

    /// The token leads to the second hypervisor from now on.
    pub(crate) async fn retarget(&self, token: &Secret) {
        let hash = self.sessions.hash(token);
        let one = console_token::TokenSelector::Token(&hash);
        let second = target(SECOND);
        let changed = Store::retarget(&*self.store, one, ConsoleType::SpiceDirect, &second);
        assert_eq!(changed.await.unwrap(), 1);
    }

    /// The other gateway is reached from here.
    pub(crate) fn reaches(&self, name: &str, other: &Self) {
        let (sessions, config, world) = (other.sessions.clone(), other.config.clone(), other.world.clone());
        let way = move || {
            let (near, far) = duplex(4096);
            let address = [127, 0, 0, 1].into();
            let connection = sessions.accept(Peer::new(address, false), config.clone());
            let proxy = sessions.proxy(address, Backend(world.clone()));
            tokio::spawn(async move {
                let _ = drive_session(connection, far, proxy).await;
            });
            Box::new(near) as Stream
        };
        self.world.others.lock().unwrap().insert(name.to_owned(), Box::new(way));
    }

    /// A viewer's connection, driven by a task.
    pub(crate) fn connect(&self) -> (Stream, JoinHandle<()>) {
        let (near, far) = duplex(4096);
        let (address, secure) = ([127, 0, 0, 1].into(), false);
        let connection = self.sessions.accept(Peer { address, secure }, self.config.clone());
        let proxy = self.sessions.proxy(address, Backend(self.world.clone()));
        let task = tokio::spawn(async move {
            let _ = drive_session(connection, far, proxy).await;
        });
        (Box::new(near), task)
    }

    pub(crate) async fn link(&self, channel: ChannelType, id: u32, token: &str) -> Result<Line, Option<u32>> {
        let (stream, _) = self.connect();
        let linked = timeout(Duration::from_secs(60), link(stream, channel, id, token.as_bytes()));
        linked.await.expect("the link hangs")
    }

    /// The main channel of a new session, up to its list of channels.
    pub(crate) async fn main(&self, token: &Secret) -> Result<(u32, Line), Option<u32>> {
        let mut main = self.link(MAIN, 0, token.expose()).await?;
        let id = session_id(&main.expect(103).await);
        main.say(104, &[]).await;
        main.expect(104).await;
        Ok((id, main))
    }

    /// A session with another channel.
    pub(crate) async fn open(&self, token: &Secret) -> Result<Viewer, Option<u32>> {
        let (id, main) = self.main(token).await?;
        let inputs = self.link(INPUTS, id, token.expose()).await?;
        Ok(Viewer { id, main, inputs })
    }

    pub(crate) fn denials(&self) -> Vec<String> {
        std::mem::take(&mut *self.world.denials.lock().unwrap())
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
