//! The answers for one connection.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use std::io;

use rfb_proto::filter::Filter;
use rfb_proto::handshake::bridge::{BridgeOutcome, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{Refusal as Told, Side};
use rfb_proto::session::relay::{Cause, Dial, End};
use rfb_proto::{NotDialled, ProxyHandler};
use tokio::time::{Instant, sleep};

use super::refusal::has_refused;
use super::slot::Slot;
use super::{ConsoleBackend, Denial, Event, TokenConnections, TokenUse};
use crate::{Grant, Protocol, Refusal, Secret};

/// What answers for one connection: tokens by [`TokenConnections`], all else by the [`ConsoleBackend`].
///
/// [`TokenConnections::viewer`] makes it, [`drive_viewer`](super::drive_viewer) drives it.
pub struct TokenViewer<B> {
    connections: Arc<TokenConnections>,
    backend: B,
    pub(super) slot: Arc<Slot>,
    /// The backend admits the grant.
    admitted: bool,
    denial: Option<Denial>,
}

/// The use of a viewer's connection, once there is one.
#[derive(Clone)]
pub struct ViewerUse(Arc<Slot>);

impl ViewerUse {
    /// The connection ends in order: [`TokenUse::finish`].
    pub fn finish(&self) {
        if let Some(entered) = self.0.get() {
            entered.finish();
        }
    }
}

impl fmt::Debug for ViewerUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ViewerUse").field(&self.0.get()).finish()
    }
}

impl TokenConnections {
    /// What answers for one connection. `entered`: its token was shown before; `None`: it comes inside of RFB, as user or
    /// as password.
    #[must_use]
    pub fn viewer<B: ConsoleBackend>(self: &Arc<Self>, entered: Option<TokenUse>, backend: B) -> TokenViewer<B> {
        let slot = Slot::default();
        if let Some(entered) = entered {
            slot.put(entered);
        }
        TokenViewer {
            connections: self.clone(),
            backend,
            slot: Arc::new(slot),
            admitted: false,
            denial: None,
        }
    }
}

impl<B: ConsoleBackend> TokenViewer<B> {
    /// The backend.
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    /// Its use, once its token was accepted.
    #[must_use]
    pub fn token_use(&self) -> Option<Arc<TokenUse>> {
        self.slot.get()
    }

    /// Its use as it will be: to end it in order while the viewer is driven.
    #[must_use]
    pub fn uses(&self) -> ViewerUse {
        ViewerUse(self.slot.clone())
    }

    /// Why it was refused, if it was.
    #[must_use]
    pub const fn denial(&self) -> Option<&Denial> {
        self.denial.as_ref()
    }

    /// The connection has ended so: the use is given back if the hypervisor cannot have accepted. To be called by a program
    /// that does not drive it with [`drive_viewer`](super::drive_viewer).
    pub fn ended(&self, end: &End) {
        if let Some(entered) = self.slot.get().filter(|_| has_refused(end)) {
            entered.mark_refused();
        }
    }

    /// For the log: why it is refused. For the viewer: that it is.
    async fn refuse(&mut self, asked: Instant, denial: Denial) -> Told {
        let told = self.backend.refused(&denial);
        self.denial = Some(denial);
        let rest = self.connections.settings().refuse_after.saturating_sub(asked.elapsed());
        sleep(rest).await;
        told
    }

    /// Takes a use of the first that is a token: the password, or else the user.
    async fn enter(&mut self, shown: ClientCredentials) -> Result<Arc<TokenUse>, Denial> {
        let shown = match &shown {
            ClientCredentials::Plain(credentials) => {
                let texts = [credentials.password.expose(), &credentials.user[..]];
                let tokens = texts.into_iter().filter_map(|text| Secret::presented(text).ok());
                tokens.collect()
            }
            _ => Vec::new(),
        };
        if shown.is_empty() {
            self.connections.look_up_nothing().await;
            return Err(Refusal::Malformed.into());
        }
        for token in &shown {
            match self.connections.enter(token).await {
                Ok(entered) => return Ok(self.slot.put(entered)),
                Err(Denial::Token(Refusal::Unknown)) => {}
                Err(denial) => return Err(denial),
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// Whether the console may be shown here.
    fn admits(&mut self, grant: &Grant) -> Result<(), Denial> {
        self.admitted = self.admitted || (grant.console.protocol() == Protocol::Vnc && self.backend.admits(grant));
        match self.admitted {
            true => Ok(()),
            false => Err(Denial::NotAdmitted),
        }
    }

    async fn let_in(&mut self, shown: ClientCredentials) -> Result<(), Denial> {
        let entered = match self.slot.get() {
            Some(entered) => entered,
            None => {
                let entered = self.enter(shown).await?;
                let (token, attempt) = (entered.fingerprint(), entered.attempt());
                self.backend.event(Event::Entered(token, attempt));
                entered
            }
        };
        let grant = entered.grant().clone();
        self.admits(&grant)
    }

    /// What the token allows when the hypervisor is dialled.
    async fn grant(&mut self, cause: Cause) -> Result<(Arc<TokenUse>, Arc<Grant>), Denial> {
        // Where the hypervisor is asked before the viewer, its token was shown before.
        let entered = self.slot.get().ok_or(Refusal::Malformed)?;
        let grant = match cause {
            Cause::Entered => entered.grant().clone(),
            Cause::Moved | Cause::Lost => entered.current().await?,
        };
        self.admits(&grant)?;
        Ok((entered, grant))
    }
}

impl<B: ConsoleBackend> ProxyHandler for TokenViewer<B> {
    type Hypervisor = B::Hypervisor;

    fn challenge(&mut self) -> [u8; 16] {
        self.backend.challenge()
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Told> {
        let asked = Instant::now();
        match self.let_in(shown).await {
            Ok(()) => Ok(()),
            Err(denial) => Err(self.refuse(asked, denial).await),
        }
    }

    async fn dial(&mut self, dial: Dial) -> Result<(B::Hypervisor, Upstream), NotDialled> {
        let asked = Instant::now();
        let (entered, grant) = match self.grant(dial.cause).await {
            Ok(granted) => granted,
            Err(denial) => return Err(NotDialled::Refused(self.refuse(asked, denial).await)),
        };
        let dialled = self.backend.connect(&grant, dial).await?;
        // `ended` corrects it if the hypervisor refuses.
        entered.mark_reached();
        Ok(dialled)
    }

    fn filter(&mut self) -> Option<Filter> {
        let entered = self.slot.get()?;
        self.backend.filter(entered.grant())
    }

    #[cfg(feature = "rfb-tls")]
    fn hypervisor_tls(&mut self) -> Option<rfb_proto::tls::ClientTls> {
        self.backend.hypervisor_tls()
    }

    fn moved_to(&mut self, name: &[u8]) -> bool {
        self.backend.moved_to(name)
    }

    fn authenticated(&mut self, _: &BridgeOutcome) -> bool {
        self.backend.event(Event::Reached);
        self.slot.accepted.notify_one();
        true
    }

    fn tls_failed(&mut self, side: Side, error: &io::Error) {
        self.backend.event(Event::TlsFailed(side, error));
    }
}

impl<B> fmt::Debug for TokenViewer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenViewer")
            .field("token_use", &self.slot.get())
            .finish_non_exhaustive()
    }
}
