//! `serve`: the gateway as a service.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use console_token::MemoryStore;
use examples::net;
use spice_proto::link::Refusal;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api};
use crate::config::Config;
use crate::gateway::{Carrier, Gateway};
use crate::guest::PlaceAddress;
use crate::http;
use crate::sessions::{self, Sessions};

/// How often tokens that are over are forgotten.
const PURGE: Duration = Duration::from_secs(60);
/// For requests to the API that are under way when the gateway stops.
const API_STOP: Duration = Duration::from_secs(2);

/// Runs until SIGINT or SIGTERM.
pub(crate) async fn run(file: &Path) -> ExitCode {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match serve(config).await {
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
        for (number, place) in guest.console.places.iter().enumerate() {
            if let Err(error) = PlaceAddress::configured(place).dial(None).await {
                eprintln!("{}: [[guest]] {:?} place {number}: {error}", file.display(), guest.id);
                status = ExitCode::FAILURE;
            }
        }
    }
    status
}

async fn serve(config: Config) -> Result<(), String> {
    // Before the listeners: a program that has seen an address may also send a signal.
    let stopped = signals().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let Config {
        api, listen, public, ..
    } = config;
    let (api_listener, api_address) = open("[api] listen", api.listen)?;
    let listeners = [
        ("spice", listen.spice, Some(Carrier::Plain)),
        ("spice_tls", listen.spice_tls, listen.tls.clone().map(Carrier::Tls)),
        (
            "web",
            listen.web,
            listen
                .tls
                .map(|tls| Carrier::WebSocket(listen.origins.clone(), Some(tls))),
        ),
        (
            "web_plain",
            listen.web_plain,
            Some(Carrier::WebSocket(listen.origins.clone(), None)),
        ),
    ];
    let mut bound = Vec::new();
    for (name, address, carrier) in listeners {
        if let (Some(address), Some(carrier)) = (address, carrier) {
            let (listener, address) = open(&format!("[listen] {name}"), address)?;
            bound.push((name, address, listener, carrier));
        }
    }
    let at = |wanted: &str| bound.iter().find(|(name, ..)| *name == wanted).map(|(_, at, ..)| *at);
    let viewer = public.viewer(at("spice"), at("spice_tls"));
    let store = Arc::new(MemoryStore::new(sessions::TOKENS));
    let sessions = Sessions::new(store, Gateway::settings(), config.guests);
    let mut gateway = Gateway::new(sessions, |_| Refusal::DENIED, &config.policy);
    let mut line = serde_json::Map::new();
    line.insert("api".to_owned(), api_address.to_string().into());
    for (name, address, listener, carrier) in bound {
        line.insert(name.to_owned(), address.to_string().into());
        gateway.accept(listener, carrier, &viewer)?;
    }
    let router = api::router(Api {
        sessions: gateway.sessions.clone(),
        token: api.token,
        viewer,
        ttl: config.ttl,
        refusals: gateway.shared.refusals.clone(),
    });
    let stop = CancellationToken::new();
    let mut api = tokio::spawn(http::serve(api_listener, api.tls, router, stop.clone()));
    // For the program that started us.
    let line = serde_json::Value::from(line);
    println!("{line}");
    tracing::info!(%line, "listening");

    let mut purge = interval(PURGE);
    purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stopped);
    let signal = loop {
        tokio::select! {
            signal = &mut stopped => break signal,
            _ = purge.tick() => {
                match gateway.sessions.purge().await {
                    Ok(forgotten) => tracing::debug!(forgotten, sessions = gateway.sessions.tokens.count(), "tokens purged"),
                    Err(error) => tracing::error!(%error, "tokens not purged"),
                }
            }
        }
    };
    tracing::info!(signal, "stopping");
    stop.cancel();
    let api_stopped = async {
        if timeout(API_STOP, &mut api).await.is_err() {
            api.abort();
        }
    };
    tokio::join!(api_stopped, gateway.stop());
    tracing::info!("stopped");
    Ok(())
}

fn open(what: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listener = net::listen(address);
    let bound = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
    match bound {
        Ok((address, listener)) => Ok((listener, address)),
        Err(error) => Err(format!("{what}: cannot listen on {address}: {error}")),
    }
}

/// The name of the first signal that asks us to stop.
fn signals() -> std::io::Result<impl Future<Output = &'static str>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
        }
    })
}
