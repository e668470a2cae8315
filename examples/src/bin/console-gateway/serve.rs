//! `serve`: the gateway as a service.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::field::display;

use crate::api::{self, Api};
use crate::config::Config;
use crate::gateway::{Carrier, Gateway, listen};
use crate::rules::Rules;
use crate::sessions::Sessions;
use crate::tokens::Tokens;

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

async fn serve(config: Config) -> Result<(), String> {
    // Before the listeners: whoever sees an address may also send a signal.
    let stopped = signals().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let api_listener = open("[api] listen", config.api)?;
    let plain = config.plain.map(|at| open("[spice] plain", at)).transpose()?;
    let tls = match config.tls {
        Some((address, server)) => Some((open("[spice] tls", address)?, server)),
        None => None,
    };
    let websocket = match config.websocket {
        Some((address, origins)) => Some((open("[spice] websocket", address)?, origins)),
        None => None,
    };
    let bound = Bound {
        api: api_listener.1,
        plain: plain.as_ref().map(|(_, at)| *at),
        tls: tls.as_ref().map(|((_, at), _)| *at),
        websocket: websocket.as_ref().map(|((_, at), _)| *at),
    };
    let viewer = config.viewer.at(bound.plain, bound.tls);
    let sessions = Sessions::new(Tokens::new(Rules::default()), config.targets);
    let mut gateway = Gateway::new(sessions, Rules::default(), &config.policy)?;
    if let Some((listener, _)) = plain {
        gateway.accept(listener, Carrier::Plain, &viewer)?;
    }
    if let Some(((listener, _), server)) = tls {
        gateway.accept(listener, Carrier::tls(server), &viewer)?;
    }
    if let Some(((listener, _), origins)) = websocket {
        gateway.accept(listener, Carrier::WebSocket(origins), &viewer)?;
    }
    let router = api::router(Api {
        sessions: gateway.sessions.clone(),
        bearer: config.bearer,
        viewer,
        ttl: config.ttl,
    });
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let api = axum::serve(api_listener.0, router).with_graceful_shutdown(async move { stopping.cancelled().await });
    let mut api = tokio::spawn(api.into_future());
    println!("{}", bound.json());
    let [plain, tls, websocket] = [bound.plain, bound.tls, bound.websocket].map(|address| address.map(display));
    tracing::info!(api = %bound.api, plain, tls, websocket, "listening");

    let mut purge = interval(PURGE);
    purge.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(stopped);
    let signal = loop {
        tokio::select! {
            signal = &mut stopped => break signal,
            _ = purge.tick() => {
                let forgotten = gateway.sessions.tokens.purge();
                tracing::debug!(forgotten, sessions = gateway.sessions.len(), "tokens purged");
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

/// The addresses of the listeners, ports filled in.
struct Bound {
    api: SocketAddr,
    plain: Option<SocketAddr>,
    tls: Option<SocketAddr>,
    websocket: Option<SocketAddr>,
}

impl Bound {
    /// One line for the program that started us.
    fn json(&self) -> serde_json::Value {
        let mut line = serde_json::Map::new();
        let listeners = [
            ("api", Some(self.api)),
            ("plain", self.plain),
            ("tls", self.tls),
            ("websocket", self.websocket),
        ];
        for (name, address) in listeners {
            line.extend(address.map(|address| (name.to_owned(), address.to_string().into())));
        }
        line.into()
    }
}

fn open(what: &str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let listener = listen(address);
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
