//! The consoles, a file each kind, and what is common to those that are one connection.

pub(crate) mod held;
pub(crate) mod identity;
pub(crate) mod mks;
mod owner;
pub(crate) mod place;
pub(crate) mod qmp;
pub(crate) mod serial;
pub(crate) mod spice;
pub(crate) mod tunnel;
pub(crate) mod vnc;
pub(crate) mod vv;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use console_token::connections::{Denial, TokenUse};
use console_token::{AdmitError, Protocol, Refusal, Secret};
use examples::websocket::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional_with_sizes};
use tokio::time::timeout;
use tracing::{Span, field::display, info};

use self::place::{DialError, PlaceAddress};
use crate::front::Guestbook;
use crate::gateway::Gateway;
use crate::grant::{Found, fingerprint};
use crate::operate::book::{About, Entered, Why};
use crate::operate::moves::MoveWatch;

/// Bytes of one read, where bytes are passed on as they are.
const CHUNK: usize = 32 << 10;
/// For the last words to a viewer.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a viewer does not get in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Expired, spent, revoked, or the store does not answer.
    #[error("{0}")]
    Token(String),
    /// The token was never made.
    #[error("unknown token")]
    Unknown,
    /// Too many wrong ones were shown: it is not looked at.
    #[error("{0}")]
    Unheard(Refusal),
    #[error("{0}")]
    Unfit(&'static str),
    /// Somebody else has the console.
    #[error("the console is taken")]
    Taken,
    /// As many consoles are open as there may be, or the connection has given way.
    #[error("{0}")]
    Full(#[from] AdmitError),
    #[error("hypervisor not reached: {0}")]
    Unreached(#[from] DialError),
    #[error("hypervisor: {0}")]
    Hypervisor(String),
}

impl Refused {
    /// It was a token, and is none any more.
    pub(crate) fn over() -> Self {
        Self::Token("expired, spent or revoked".to_owned())
    }

    /// What a request is answered with.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Token(_) | Self::Unknown | Self::Unheard(_) | Self::Unfit(_) => StatusCode::FORBIDDEN,
            Self::Taken => StatusCode::CONFLICT,
            Self::Full(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreached(_) | Self::Hypervisor(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// What it counts as.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) | Self::Unknown => "token",
            Self::Unheard(_) => "guesses",
            Self::Unfit(_) => "policy",
            Self::Taken => "taken",
            Self::Full(_) => "full",
            Self::Unreached(_) | Self::Hypervisor(_) => "hypervisor",
        }
    }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Token(Refusal::Unknown | Refusal::Malformed) => Self::Unknown,
            denial => Self::Token(denial.to_string()),
        }
    }
}

impl Gateway {
    /// Whether what a viewer shows is looked at.
    pub(crate) fn may_show(&self, guest: &Guestbook) -> Result<(), Refused> {
        self.may_guess(guest.peer.ip()).map_err(Refused::Unheard)
    }
}

/// A console that a token opens on one connection.
pub(crate) struct Opened {
    pub(crate) held: TokenUse,
    pub(crate) found: Found,
    pub(crate) at: PlaceAddress,
    /// The guest's moves since it was asked where it is.
    pub(crate) moves: MoveWatch,
    pub(crate) fingerprint: String,
    pub(crate) user: Option<String>,
}

/// Takes a use of the token, which is given back unless [`TokenUse::reached`] follows.
pub(crate) async fn open(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Result<Opened, Refused> {
    let held = match gateway.connections.enter(token).await {
        Err(denial) if is_unknown(&denial) && gateway.resolve(token).await => gateway.connections.enter(token).await?,
        entered => entered?,
    };
    let grant = held.grant().clone();
    let fingerprint = fingerprint(&grant, held.fingerprint());
    let span = Span::current();
    span.record("token", display(&fingerprint));
    let found = gateway.console_of(&grant);
    let found = found.ok_or(Refused::Unfit("the token is for a guest that is not configured"))?;
    span.record("guest", found.guest.name.as_str());
    let user = grant.user.as_deref().map(ToOwned::to_owned);
    if let Some(user) = &user {
        span.record("user", user.as_str());
    }
    if found.console.require_tls && !guest.secure {
        return Err(Refused::Unfit("the console is for viewers with TLS only"));
    }
    let moves = gateway.book.moves.watch(&found.guest.id);
    let at = gateway.place_of(&found).await;
    let at = at.ok_or(Refused::Unfit("the console has no place"))?;
    span.record("host", at.place.host());
    Ok(Opened {
        held,
        found,
        at,
        moves,
        fingerprint,
        user,
    })
}

pub(crate) const fn is_unknown(denial: &Denial) -> bool {
    matches!(denial, Denial::Token(Refusal::Unknown))
}

impl Opened {
    /// The console is reached: the connection has a place among those that are open, the use is taken, and the session is in
    /// the book. All that before the viewer knows that it is in, since an operator's order may follow at once.
    pub(crate) async fn let_in(&self, gateway: &Arc<Gateway>, guest: &Guestbook) -> Result<Entered, Refused> {
        guest.place.admit()?;
        self.held.reached().await?;
        Ok(gateway.begins(self.about(guest)))
    }

    fn about(&self, guest: &Guestbook) -> About {
        About {
            guest: self.found.guest.id.clone(),
            name: self.found.guest.name.clone(),
            protocol: self.found.console.protocol,
            number: self.found.context.number,
            fingerprint: self.fingerprint.clone(),
            user: self.user.clone(),
            peer: guest.peer.to_string(),
            place: shown(&self.at),
        }
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.found.console.protocol
    }
}

/// A place, for operators.
pub(crate) fn shown(at: &PlaceAddress) -> String {
    match at.tls_port.or(at.port) {
        Some(port) => format!("{}:{port}", at.place.host()),
        None => at.place.host(),
    }
}

/// Passes bytes on in both directions until one side ends, or the session has to. Gives why it had to.
pub(crate) async fn pass<A, B>(viewer: &mut A, console: &mut B, session: &Entered, held: &TokenUse) -> Option<Why>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    tokio::select! {
        _ = copy_bidirectional_with_sizes(viewer, console, CHUNK, CHUNK) => None,
        why = session.ended() => Some(why),
        refusal = held.ended() => {
            info!(%refusal, "the token is over");
            session.end(Why::Token);
            Some(Why::Token)
        }
    }
}

/// Closes a viewer's WebSocket, and says why.
pub(crate) async fn farewell<S: AsyncWrite + Unpin>(stream: &mut S, close: &CloseReason, why: Option<Why>) {
    if let Some(why) = why {
        close.set(why.close_code(), why.text());
    }
    let _ = timeout(GOODBYE, stream.shutdown()).await;
}
