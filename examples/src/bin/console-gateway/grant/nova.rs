//! The `.vv` file of a token: what Kerbside does in front of Nova.

use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use console_token::{ConsoleType, Protocol, Secret, StoreError};
use tracing::{Span, field::display, info, warn};
use vv_file::download;

use super::{Found, Looked, fingerprint};
use crate::console::Refused;
use crate::console::place::PlaceAddress;
use crate::console::qmp::Display;
use crate::front::Guestbook;
use crate::front::web::{plain, refuse};
use crate::gateway::Gateway;

/// Answers with the file: takes a use of the token, and exchanges it for a password that is good for seconds.
pub(crate) async fn file(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Response<Body> {
    match make(gateway, guest, token).await {
        Ok((name, text)) => {
            guest.place.known();
            let mut answer = Response::new(Body::from(text));
            let headers = answer.headers_mut();
            let disposition = download::content_disposition(&name);
            for (name, value) in [
                (header::CONTENT_TYPE, download::MIME_TYPE),
                (header::CACHE_CONTROL, "no-store"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
                (header::CONTENT_DISPOSITION, disposition.as_str()),
            ] {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(name, value);
                }
            }
            answer
        }
        Err(Failed::Refused(why)) => refuse(gateway, guest, &why),
        Err(Failed::Here(problem)) => {
            warn!(problem, "no connection file");
            plain(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

enum Failed {
    Refused(Refused),
    Here(String),
}

impl From<Refused> for Failed {
    fn from(why: Refused) -> Self {
        Self::Refused(why)
    }
}

async fn make(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Result<(String, Vec<u8>), Failed> {
    gateway.may_show(guest)?;
    let looked = gateway
        .look(token)
        .await
        .map_err(|error| Refused::Token(error.to_string()))?;
    let ttl = gateway.live().tokens.spice_ttl;
    // Everything that can be refused is, before the use is taken.
    let (password, grant) = match looked {
        Looked::Good(grant) => {
            let found = gateway.console_of(&grant);
            let found = found.ok_or(Refused::Unfit("the token is for a guest that is not configured"))?;
            if found.console.protocol != Protocol::Spice || grant.console != ConsoleType::SpiceDirect {
                return Err(Refused::Unfit("the token is for a console without a connection file").into());
            }
            if gateway.place_of(&found).await.is_none() {
                return Err(Refused::Unfit("the console has no place").into());
            }
            let exchanged = gateway.exchange(token, ttl).await;
            exchanged.map_err(|error| Refused::Token(error.to_string()))?
        }
        Looked::Unknown => gateway.exchange_of_nova(token, ttl).await?,
        Looked::Over => match gateway.exchange_of_nova(token, ttl).await {
            Err(Refused::Unknown) => return Err(Refused::over().into()),
            exchanged => exchanged?,
        },
    };
    let found = gateway.console_of(&grant);
    let found = found.ok_or(Refused::Unfit("the token is for a guest that is not configured"))?;
    let name = found.context.title.clone().unwrap_or_else(|| found.guest.name.clone());
    let file = if found.context.tunnel {
        tunnel(gateway, guest, &found, &password, &name, ttl).await?
    } else {
        let viewer = gateway.live().viewer.clone();
        let file = viewer.file(password.expose(), &name, found.console.require_tls);
        file.map_err(|error| Failed::Here(error.to_string()))?
    };
    let own = gateway.spice.hash(&password).fingerprint();
    let shown = fingerprint(&grant, own);
    Span::current().record("token", display(&shown));
    info!(token = shown, guest = found.guest.name, "connection file handed out");
    Ok((found.guest.name.clone(), file.as_bytes().to_vec()))
}

/// A file that leads through a tunnel, to the hypervisor's own SPICE: its password is a ticket that is set there now.
async fn tunnel(
    gateway: &Arc<Gateway>,
    guest: &Guestbook,
    found: &Found,
    credential: &Secret,
    title: &str,
    ttl: u64,
) -> Result<vv_file::Document, Failed> {
    let at: PlaceAddress = gateway
        .place_of(found)
        .await
        .ok_or(Refused::Unfit("the console has no place"))?;
    let until = gateway.clock.now().saturating_add(ttl);
    let ticket = gateway.ticket(&found.guest, &at, until).await;
    let ticket = ticket.ok_or_else(|| Refused::Hypervisor("no ticket can be set".to_owned()))?;
    let ticket =
        String::from_utf8(ticket.expose().to_vec()).map_err(|_| Failed::Here("the ticket is no text".to_owned()))?;
    let host = at.place.host();
    let proxy = gateway.proxy_url(guest, credential);
    let mut file = vv_file::Builder::spice(&host)
        .password(&ticket)
        .title(title)
        .proxy(&proxy);
    if let Some(port) = at.port {
        file = file.port(port);
    }
    if let Some(port) = at.tls_port {
        file = file.tls_port(port);
    }
    file.build().map_err(|error| Failed::Here(error.to_string()))
}

impl Gateway {
    /// Sets a console's password in the hypervisor, and ends what was opened with the old one (seed 002).
    pub(crate) async fn set_password(&self, found: &Found, password: &str) -> Result<(), PasswordFailed> {
        let at = self.place_of(found).await.ok_or(PasswordFailed::NoMonitor)?;
        let monitor = at.place.monitor.clone().ok_or(PasswordFailed::NoMonitor)?;
        let display = match found.console.protocol {
            Protocol::Spice => Display::Spice,
            Protocol::Vnc => Display::Vnc,
            _ => return Err(PasswordFailed::NoMonitor),
        };
        if display == Display::Spice {
            self.choose_ticket(&found.guest, password)
                .await
                .map_err(PasswordFailed::Store)?;
        }
        monitor
            .set_password(display, password, None)
            .await
            .map_err(PasswordFailed::Monitor)?;
        let order = crate::operate::book::Order::EndConsole {
            guest: found.guest.id.clone(),
            protocol: found.console.protocol.to_string(),
            number: None,
            why: crate::operate::book::Why::Password,
        };
        self.book.order(&order).await;
        info!(guest = found.guest.name, protocol = %found.console.protocol, "console password set");
        Ok(())
    }
}

/// Why a password is not set.
pub(crate) enum PasswordFailed {
    NoMonitor,
    Monitor(crate::console::qmp::MonitorError),
    Store(StoreError<console_token::BackendError>),
}

/// One use, or none.
pub(crate) const ONCE: NonZeroU32 = NonZeroU32::MIN;
