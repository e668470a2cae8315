//! `serve`: the gateway as a service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use console_token::{MemoryStore, Store};
use examples::{descriptors, net};
use sd_notify::NotifyState;
use serde_json::{Map, Value};
use spice_proto::link::Refusal;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::config::{self, Config};
use crate::front::budgets::Budgets;
use crate::front::gateways::{self, GatewayDoor, Gateways, listener_for};
use crate::front::{self, Door, Speaks, http};
use crate::gateway::{Bound, Gateway, Live, Parts};
use crate::grant::api;
use crate::grant::clock::Clock;
use crate::operate::audit::Audit;
use crate::random::random_bytes;

/// Tokens that can be kept in memory at the same time.
pub(crate) const TOKENS: usize = 100_000;
/// How often tokens that are over are forgotten.
const PURGE: Duration = Duration::from_secs(60);
/// For requests to the API that are under way when the gateway stops.
const API_STOP: Duration = Duration::from_secs(3);

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(config, file).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}

/// Complains about a configuration, and with `dial` about each place that is not reached.
pub(crate) async fn check(file: PathBuf, dial: bool) -> ExitCode {
    let config = match Config::load(&file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let mut status = ExitCode::SUCCESS;
    for guest in config.guests.iter().filter(|_| dial) {
        for console in &guest.consoles {
            for number in 0..console.places.len() {
                let Some(at) = console.at(number) else { continue };
                let dialled = match console.protocol {
                    console_token::Protocol::Spice | console_token::Protocol::Serial => at.dial(None).await,
                    _ => at.dial_plain().await,
                };
                if let Err(error) = dialled {
                    let (file, protocol) = (file.display(), console.protocol);
                    eprintln!("{file}: [[guest]] {:?} {protocol} place {number}: {error}", guest.id);
                    status = ExitCode::FAILURE;
                }
            }
        }
    }
    status
}

/// The store of this URL.
async fn open_store(config: &config::Store) -> Result<Arc<dyn Store>, String> {
    match config.url.split_once(':') {
        #[cfg(feature = "stores")]
        Some(("redis" | "rediss", _)) => {
            let store = console_token::RedisStore::connect(&config.url, console_token::RedisStore::PREFIX).await;
            Ok(Arc::new(store.map_err(|error| format!("[store] url: {error}"))?))
        }
        #[cfg(feature = "stores")]
        Some(_) => {
            // SQLite makes its file itself.
            let url = match config.url.strip_prefix("sqlite:") {
                Some(path) if !path.contains('?') => format!("sqlite:{path}?mode=rwc"),
                _ => config.url.clone(),
            };
            let connections = std::num::NonZeroU32::new(8).unwrap_or(std::num::NonZeroU32::MIN);
            let store = console_token::SqlStore::connect(&url, connections).await;
            Ok(Arc::new(store.map_err(|error| format!("[store] url: {error}"))?))
        }
        _ => Ok(Arc::new(MemoryStore::new(TOKENS))),
    }
}

/// Listeners that are bound, where, and the same for the program that started us.
type Doors = (Vec<Door>, Bound, Map<String, Value>);

/// The listeners of a configuration.
fn doors(listen: &config::Listen) -> Result<Doors, String> {
    let wanted = [
        ("spice", listen.spice, Speaks::Spice, false),
        ("spice_tls", listen.spice_tls, Speaks::Spice, true),
        ("web", listen.web, Speaks::Web, true),
        ("web_plain", listen.web_plain, Speaks::Web, false),
        ("vnc", listen.vnc, Speaks::Vnc, false),
    ];
    let (mut doors, mut bound, mut line) = (Vec::new(), Bound::default(), Map::new());
    for (name, address, speaks, secure) in wanted {
        let Some(address) = address else { continue };
        let (listener, address) = open(&format!("[listen] {name}"), address)?;
        line.insert(name.to_owned(), address.to_string().into());
        match name {
            "spice" => bound.spice = Some(address),
            "spice_tls" => bound.spice_tls = Some(address),
            "web" => bound.web = Some(address),
            "web_plain" => bound.web_plain = Some(address),
            _ => {}
        }
        doors.push(Door {
            name,
            listener,
            speaks,
            secure,
        });
    }
    Ok((doors, bound, line))
}

async fn serve(config: Config, file: &Path) -> Result<(), String> {
    // Before the listeners: a program that has seen an address may also send a signal.
    let cannot_wait = |error| format!("cannot wait for signals: {error}");
    let mut signals = Signals::new().map_err(cannot_wait)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot_wait)?;
    let (limits, of_api) = config.limits;
    let budgets = Budgets::of(limits, of_api, descriptors::raise_limit());
    let budgets = budgets.map_err(|error| format!("[limits]: {error}"))?;
    let store = open_store(&config.store).await?;
    let clock: Arc<Clock> = Arc::default();
    let audit = Audit::open(config.operate.audit.clone(), clock.clone());
    let audit = audit.map_err(|error| format!("[operate] audit: {error}"))?;
    let (api_listener, api_address) = open("[api] listen", config.api.listen)?;
    let (doors, bound, mut doors_line) = doors(&config.listen)?;
    let made_up = || base16ct::lower::encode_string(&random_bytes::<6>());
    let id = config.store.gateway_id.clone().unwrap_or_else(made_up);
    let pepper = config.store.pepper.clone();
    let for_gateways = listener_for(config.listen.gateways, &config.store.url).await?;
    let (gateways, gateway_door) = match for_gateways {
        Some((listener, address)) => {
            doors_line.insert("gateways".to_owned(), address.to_string().into());
            let gateways = Gateways::join(id.clone(), store.clone(), clock.clone(), address).await?;
            (Some(gateways.clone()), Some(GatewayDoor { listener, gateways }))
        }
        None => (None, None),
    };
    let live = Live::new(config, bound);
    for door in doors.iter().filter(|door| door.speaks == Speaks::Spice) {
        front::endpoint(&live.viewer, door.secure)?;
    }
    let gateway = Gateway::start(Parts {
        id,
        store,
        pepper,
        clock,
        audit: Arc::new(audit),
        refuses_with: |_| Refusal::DENIED,
        live,
        gateways,
        budgets,
    });
    if let Some(door) = gateway_door {
        gateway.tasks.spawn(gateways::accept(gateway.clone(), door));
    }
    for door in doors {
        gateway.tasks.spawn(front::accept(gateway.clone(), door));
    }
    let stop = CancellationToken::new();
    let (router, of_tls) = (api::router(gateway.clone()), gateway.clone());
    let tls = move || of_tls.live().api_tls.clone();
    let mut api = tokio::spawn(http::serve(
        (api_listener, gateway.budgets.api.clone(), gateway.turns.clone()),
        tls,
        router,
        stop.clone(),
    ));
    let mut line = Map::new();
    line.insert("api".to_owned(), api_address.to_string().into());
    line.extend(doors_line);
    // For the program that started us.
    let line = Value::from(line);
    println!("{line}");
    info!(%line, gateway = gateway.id, "listening");
    notify(&[NotifyState::Ready]);

    let mut purge = interval(PURGE);
    purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let signal = loop {
        tokio::select! {
            signal = signals.stop() => break signal,
            _ = hangup.recv() => {
                if let Ok(now) = NotifyState::monotonic_usec_now() {
                    notify(&[NotifyState::Reloading, now]);
                }
                reload(&gateway, file, bound);
                notify(&[NotifyState::Ready]);
            }
            _ = purge.tick() => match gateway.purge().await {
                Ok(forgotten) => debug!(forgotten, "tokens purged"),
                Err(error) => error!(%error, "tokens not purged"),
            },
        }
    };
    let drain = gateway.live().drain;
    info!(signal, seconds = drain.as_secs(), "stopping");
    gateway.closing.cancel();
    notify(&[NotifyState::Stopping]);
    // A second signal is not waited for.
    let stopped = async {
        gateway.stop(drain).await;
        stop.cancel();
        if timeout(API_STOP, &mut api).await.is_err() {
            api.abort();
        }
    };
    tokio::pin!(stopped);
    tokio::select! {
        () = &mut stopped => {}
        _ = signals.stop() => {
            gateway.stop(Duration::ZERO).await;
            stop.cancel();
        }
    }
    info!("stopped");
    Ok(())
}

/// Tells the service manager, if one has started us and wants to know.
fn notify(state: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(false, state) {
        warn!(%error, "the service manager is not told");
    }
}

/// Reads the configuration again. What is wrong with it changes nothing.
fn reload(gateway: &Arc<Gateway>, file: &Path, bound: Bound) {
    if let Err(error) = gateway.audit.reopen() {
        error!(%error, "the audit log is not opened anew");
    }
    match Config::load(file) {
        Ok(config) => {
            let live = Live::new(config, bound);
            let speaks = [(bound.spice, false), (bound.spice_tls, true)];
            let mut speaks = speaks.into_iter().filter(|(bound, _)| bound.is_some());
            let problem = speaks.find_map(|(_, secure)| front::endpoint(&live.viewer, secure).err());
            if let Some(problem) = problem {
                return warn!(problem, "configuration not reloaded");
            }
            gateway.replace(live);
            info!("configuration reloaded; listeners and the store stay as they were");
        }
        Err(error) => {
            for line in error.to_string().lines() {
                warn!(problem = line, "configuration not reloaded");
            }
        }
    }
}

fn open(what: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listener = net::listen(address);
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    match bound {
        Ok((address, listener)) => Ok((listener, address)),
        Err(error) => Err(format!("{what}: cannot listen on {address}: {error}")),
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// The name of the next signal that asks us to stop.
    async fn stop(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
