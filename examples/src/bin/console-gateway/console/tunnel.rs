//! Tunnels to a console (HTTP CONNECT): bytes as they are, for programs that speak the protocol themselves.

use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, Weak};

use console_token::web::Host;
use console_token::{Protocol, Secret};
use examples::websocket::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::info;

use super::serial::Serial;
use super::{Opened, Refused, open, pass};
use crate::front::Guestbook;
use crate::front::tls::Stream;
use crate::gateway::Gateway;
use crate::operate::book::{Entered, Why};
use crate::operate::traffic::Counted;
use crate::sync::lock;

/// The SPICE sessions that go through tunnels: further channels join while one is open.
#[derive(Default)]
pub(crate) struct Tunnels(Mutex<HashMap<[u8; 32], Weak<Shared>>>);

/// What the tunnels of one session share.
pub(crate) struct Shared {
    opened: Opened,
    session: tokio::sync::Mutex<Option<Entered>>,
}

/// Where a tunnel is to lead.
pub(crate) enum Wanted {
    /// A place, as the request names it.
    Place(Host, NonZeroU16),
    /// The token stands for the host; the port is the console's.
    Token(NonZeroU16),
}

/// A tunnel that is open.
pub(crate) enum Tunnel {
    Serial(Box<Serial>),
    Plain {
        shared: Arc<Shared>,
        channel: Channel,
        console: Stream,
        port: u16,
    },
}

/// One connection of a session, which the book counts until this is dropped.
pub(crate) struct Channel(Entered);

impl Tunnel {
    /// All that can be refused, before the viewer is let in.
    pub(crate) async fn open(
        gateway: &Arc<Gateway>,
        guest: &Guestbook,
        token: &Secret,
        wanted: &Wanted,
    ) -> Result<Self, Refused> {
        let hash = gateway.spice.hash(token);
        let known = lock(&gateway.tunnels.0).get(hash.as_bytes()).and_then(Weak::upgrade);
        let shared = match known {
            Some(shared) => shared,
            None => {
                let opened = open(gateway, guest, token).await?;
                if !opened.found.rules().is_widest() {
                    return Err(Refused::Unfit(
                        "the grant's policy is narrower than what a tunnel lets pass",
                    ));
                }
                Arc::new(Shared {
                    opened,
                    session: tokio::sync::Mutex::default(),
                })
            }
        };
        let port = admit(&shared.opened, wanted)?;
        if shared.opened.protocol() == Protocol::Serial {
            // INVARIANT: a serial console's tunnel is not shared.
            let Some(shared) = Arc::into_inner(shared) else {
                return Err(Refused::Taken);
            };
            let serial = Serial::of(gateway, guest, shared.opened).await?;
            return Ok(Self::Serial(Box::new(serial)));
        }
        let mut at = shared.opened.at.clone();
        (at.port, at.tls_port) = (Some(port), None);
        let console = at.dial_plain().await?;
        let channel = shared.let_in(gateway, guest).await?;
        if shared.opened.protocol() == Protocol::Spice {
            let mut tunnels = lock(&gateway.tunnels.0);
            tunnels.retain(|_, shared| shared.strong_count() != 0);
            tunnels.insert(*hash.as_bytes(), Arc::downgrade(&shared));
        }
        Ok(Self::Plain {
            shared,
            channel,
            console,
            port,
        })
    }

    /// Serves the viewer to the end.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, viewer: S) {
        match self {
            Self::Serial(serial) => serial.serve(viewer, &CloseReason::default()).await,
            Self::Plain {
                shared,
                channel,
                mut console,
                port,
            } => {
                info!(port, "tunnel opened");
                let mut viewer = Counted::new(viewer, channel.0.traffic.clone());
                let mut moves = shared.opened.moves.clone();
                let why = tokio::select! {
                    why = pass(&mut viewer, &mut console, &channel.0, &shared.opened.held) => why,
                    // What passes is not looked at, so nothing could be carried over.
                    () = moves.moved() => Some(Why::Moved),
                };
                drop(channel);
                info!(why = why.map(Why::text), "tunnel closed");
                if let (true, Some(shared)) = (why.is_some_and(Why::is_final), Arc::into_inner(shared)) {
                    shared.opened.held.finish();
                }
            }
        }
    }
}

impl Shared {
    /// One channel more: the first one opens the session.
    async fn let_in(&self, gateway: &Arc<Gateway>, guest: &Guestbook) -> Result<Channel, Refused> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            guest.place.admit()?;
            session.has_channels(1);
            return Ok(Channel(session.clone()));
        }
        let first = self.opened.let_in(gateway, guest).await?;
        Ok(Channel(session.insert(first).clone()))
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.0.has_channels(-1);
    }
}

/// The port that is dialled, if the tunnel may lead there.
fn admit(opened: &Opened, wanted: &Wanted) -> Result<u16, Refused> {
    let (console, here) = (&opened.found.console, &opened.at);
    match wanted {
        Wanted::Place(host, port) if console.is_at(here, &host.to_string(), port.get()) => Ok(port.get()),
        Wanted::Token(port) if [here.port, here.tls_port].contains(&Some(port.get())) => Ok(port.get()),
        // A viewer with a file of its own may name the port of another place.
        Wanted::Token(_) | Wanted::Place(..) => {
            Err(Refused::Unfit("the tunnel is to lead elsewhere than to the console"))
        }
    }
}
