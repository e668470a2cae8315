//! WebMKS: VMware's authd asks for the ticket, and then passes the console on.

use std::sync::Arc;
use std::time::Duration;

use console_token::Secret;
use console_token::webmks::{Action, Buffers, Login, LoginConfig, MksTicket};
use examples::websocket::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tracing::info;

use super::{Opened, Refused, farewell, open, pass};
use crate::front::Guestbook;
use crate::front::layer::Layer;
use crate::front::tls::Stream;
use crate::gateway::Gateway;
use crate::operate::book::{Entered, Why};
use crate::operate::traffic::Counted;
use crate::random::random_bytes;

/// A console that is open.
pub(crate) struct Mks {
    opened: Opened,
    session: Entered,
    console: Stream,
}

impl Mks {
    /// All that can be refused, before the viewer is let in.
    pub(crate) async fn open(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Result<Self, Refused> {
        let opened = open(gateway, guest, token).await?;
        let path = opened.at.place.access_path.as_ref();
        let ticket = path.and_then(|path| MksTicket::from_access_path(path).ok());
        let ticket = ticket.ok_or(Refused::Unfit("the console has no ticket"))?;
        let stream = opened.at.dial_plain().await?;
        let console = log_in(stream, ticket).await.map_err(Refused::Hypervisor)?;
        let session = opened.let_in(gateway, guest).await?;
        Ok(Self {
            opened,
            session,
            console,
        })
    }

    /// Serves the viewer to the end.
    pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut self, viewer: S, close: &CloseReason) {
        let session = self.session.clone();
        info!("WebMKS console opened");
        let mut viewer = Counted::new(viewer, session.traffic.clone());
        let why = tokio::select! {
            why = pass(&mut viewer, &mut self.console, &session, &self.opened.held) => why,
            () = self.opened.moves.moved() => Some(Why::Moved),
        };
        farewell(&mut viewer, close, why).await;
        info!(why = why.map(Why::text), "WebMKS console closed");
        if why.is_some_and(Why::is_final) {
            self.opened.held.finish();
        }
    }
}

/// Logs in at authd. Both certificates are those that vCenter has named.
async fn log_in(stream: Stream, ticket: MksTicket) -> Result<Stream, String> {
    let began = Instant::now();
    let mut login = Login::new(Duration::ZERO, LoginConfig::default(), ticket, &random_bytes());
    let mut buffers = Buffers::default();
    let mut stream = Layer::Plain(stream);
    loop {
        let action = login
            .step(began.elapsed(), &mut buffers)
            .map_err(|error| error.to_string());
        let deadline = began + login.deadline();
        let sent = timeout_at(deadline, stream.send(&mut buffers)).await;
        let action = action?;
        match sent {
            Ok(sent) => sent.map_err(|error| error.to_string())?,
            // The next step says that it is too late.
            Err(_) => continue,
        }
        match action {
            Action::Done(_) => return Ok(stream.into_stream()),
            Action::Waiting => return Err("the log-in waits for nothing".to_owned()),
            Action::StartTls(tls) => {
                let secured = timeout_at(deadline, stream.secure(tls.thumbprint)).await;
                let secured = secured.map_err(|_| "no TLS in time".to_owned())?;
                let (layer, certificate) = secured.map_err(|error| format!("TLS: {error}"))?;
                stream = layer;
                let made = login.secured(&mut buffers, &certificate);
                made.map_err(|error| error.to_string())?;
            }
            Action::Receive { .. } => match timeout_at(deadline, stream.receive(&mut buffers)).await {
                Ok(Ok(0)) => {
                    login.eof().map_err(|error| error.to_string())?;
                    return Err("the hypervisor hung up".to_owned());
                }
                Ok(Err(error)) => return Err(error.to_string()),
                Ok(Ok(_)) | Err(_) => {}
            },
        }
    }
}
