//! The listeners, and a task for each connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use console_token::{Throttle, ThrottleRules, UnixSeconds};
use examples::budget::{Budget, Limits};
use examples::places::{OpenPlaces, Place, Places};
use examples::refusals::Refusals;
use examples::vnc::Stream;
use examples::{descriptors, net, websocket};
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info, info_span, warn};

use crate::bridge::{self, Door, Served};
use crate::config::Config;

/// For the beginning of a WebSocket. The bridge has its own limit behind it.
const WEBSOCKET: Duration = Duration::from_secs(5);

/// What a listener's connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Tcp,
    /// Browsers: the same bytes in a WebSocket.
    WebSocket,
}

/// What all connections share.
pub(crate) struct House {
    pub(crate) config: Arc<Config>,
    places: Places,
    wrong_passwords: Mutex<Throttle>,
    refusals: Refusals,
    /// Cancelled when no more viewers are let in.
    stop: CancellationToken,
    /// Cancelled when the viewers that are in have to go.
    end: CancellationToken,
}

/// Where a tenant comes from, for what is bounded by that.
#[derive(Clone)]
struct Visitor {
    house: Arc<House>,
    address: IpAddr,
    place: Arc<Place>,
}

impl Visitor {
    fn with<R>(&self, act: impl FnOnce(&mut Throttle) -> R) -> R {
        // Each call leaves it whole, also one that panicked elsewhere.
        act(&mut self
            .house
            .wrong_passwords
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }
}

/// There is one account: that of the configuration.
const ACCOUNT: &[u8] = b"";

impl Door for Visitor {
    fn attempt(&self) -> bool {
        self.place.linked();
        self.with(|throttle| throttle.attempt(self.address, ACCOUNT, now()))
            .is_ok()
    }

    fn succeeded(&self) {
        self.with(|throttle| throttle.succeeded(self.address, ACCOUNT));
    }

    fn admitted(&self) -> bool {
        self.place.admit().is_ok()
    }
}

fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixSeconds(since.map_or(0, |since| since.as_secs()))
}

/// Accepts connections until SIGINT or SIGTERM, and then waits for those that are open.
pub(crate) async fn run(config: Config) -> io::Result<()> {
    // Before the listeners: a program that sees an address may also send a signal.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let budget =
        Budget::of(Limits::default(), NonZeroU32::MIN, 0, descriptors::raise_limit()).map_err(io::Error::other)?;
    let mut listeners = Vec::new();
    let mut bound = Map::new();
    for (name, address, carrier) in [
        ("tcp", config.tcp, Carrier::Tcp),
        ("websocket", config.websocket, Carrier::WebSocket),
    ] {
        if let Some(address) = address {
            let listener = open(name, address)?;
            bound.insert(name.to_owned(), listener.local_addr()?.to_string().into());
            listeners.push((listener, carrier));
        }
    }
    // For the program that started us: the ports may have been ours to choose.
    println!("{}", Value::from(bound));
    let house = Arc::new(House {
        config: Arc::new(config),
        places: Places::new(budget.accepted, budget.linked, OpenPlaces::new(budget.open)),
        wrong_passwords: Mutex::new(Throttle::new(ThrottleRules::default())),
        refusals: Refusals::default(),
        stop: CancellationToken::new(),
        end: CancellationToken::new(),
    });
    let connections = TaskTracker::new();
    for (listener, carrier) in listeners {
        connections.spawn(accept(listener, house.clone(), carrier, connections.clone()));
    }
    let mut asked = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::select! {
        () = asked() => {}
        () = house.refusals.sum_up() => {}
    }
    house.stop.cancel();
    connections.close();
    info!(open = connections.len(), "stopping");
    // A second signal ends the wait.
    tokio::select! {
        () = connections.wait() => {}
        () = tokio::time::sleep(house.config.drain) => {}
        () = asked() => {}
    }
    house.end.cancel();
    let _ = timeout(Duration::from_secs(2), connections.wait()).await;
    info!("stopped");
    Ok(())
}

fn open(what: &str, address: SocketAddr) -> io::Result<TcpListener> {
    net::listen(address).map_err(|error| {
        let problem = format!("[tenant] {what}: cannot listen on {address}: {error}");
        io::Error::new(error.kind(), problem)
    })
}

async fn accept(listener: TcpListener, house: Arc<House>, carrier: Carrier, connections: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = house.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let place = house.places.arrive(peer.ip());
                connections.spawn(serve(house.clone(), place, tcp, peer, carrier));
            }
            // No file descriptors, most likely: others have to go first.
            Err(error) => {
                house.refusals.log(|| warn!(%error, "cannot accept"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection, from its first byte to its last.
async fn serve(house: Arc<House>, place: Place, tcp: TcpStream, peer: SocketAddr, carrier: Carrier) {
    let visitor = Visitor {
        house: house.clone(),
        address: peer.ip(),
        place: Arc::new(place),
    };
    let served = async {
        tokio::select! {
            () = converse(&visitor, tcp, carrier) => {}
            () = visitor.place.gives_way() => house.refusals.log(|| info!("gave way to another connection")),
            () = house.end.cancelled() => info!("ended: the bridge stops"),
        }
    };
    served.instrument(info_span!("connection", %peer)).await;
}

async fn converse(visitor: &Visitor, tcp: TcpStream, carrier: Carrier) {
    let Visitor { house, .. } = visitor;
    let refused = |error: &dyn std::fmt::Display| house.refusals.log(|| info!(%error, "ended"));
    if let Err(error) = net::prepare(&tcp) {
        return refused(&error);
    }
    let tenant: Stream = match carrier {
        Carrier::Tcp => Box::new(tcp),
        Carrier::WebSocket => match timeout(WEBSOCKET, websocket::accept(tcp, &house.config.origins)).await {
            Ok(Ok(browser)) => Box::new(browser),
            Ok(Err(error)) => return refused(&error),
            Err(_) => return refused(&"no WebSocket in time"),
        },
    };
    match bridge::serve(house.config.clone(), visitor.clone(), tenant).await {
        Served::Session {
            to_hypervisor,
            to_tenant,
            why,
        } => info!(to_hypervisor, to_tenant, why, "ended"),
        Served::Refused(why) => refused(&why),
    }
}
