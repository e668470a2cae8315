//! What a token allows: made by the API or found by a resolver, and looked up when somebody comes.

pub(crate) mod api;
pub(crate) mod clock;
pub(crate) mod current;
pub(crate) mod guesses;
pub(crate) mod nova;
pub(crate) mod policy;
pub(crate) mod resolve;
pub(crate) mod serial_ports;
pub(crate) mod sessions;
pub(crate) mod ticket;

use std::num::NonZeroU32;
use std::sync::Arc;

use console_token::{
    BackendError, ConsoleType, Fingerprint, Grant, Protocol, Refusal, Scope, Secret, StoreError, Target, Uses,
    VerifyContext,
};
use serde::{Deserialize, Serialize};

use self::policy::Rules;
use crate::console::place::{Console, Guest, Place};
use crate::gateway::Gateway;
use crate::random::random_bytes;

/// What the gateway wants to know again when a token comes back.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Context {
    /// What may pass.
    #[serde(skip_serializing_if = "Rules::is_widest")]
    pub(crate) rules: Rules,
    /// Of the viewer's window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    /// Which of the guest's serial ports.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) number: usize,
    /// The `.vv` file leads through a tunnel.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tunnel: bool,
    /// Its user ends the session of the one before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) force: bool,
    /// A resolver has named the console: where it is stands in the grant.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) resolved: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A console that is wanted.
pub(crate) struct Wanted<'a> {
    pub(crate) guest: &'a Guest,
    pub(crate) console_type: ConsoleType,
    pub(crate) ttl: u64,
    pub(crate) uses: NonZeroU32,
    pub(crate) user: Option<&'a str>,
    pub(crate) context: Context,
}

/// A token that was made.
pub(crate) struct Minted {
    /// For its holder.
    pub(crate) token: Secret,
    /// For logs, and to revoke it by.
    pub(crate) fingerprint: String,
    pub(crate) expires: console_token::UnixSeconds,
}

/// What a look at a token shows.
pub(crate) enum Looked {
    /// A use is left, or a session is open.
    Good(Arc<Grant>),
    /// It was one.
    Over,
    Unknown,
}

/// The console that a token leads to.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) guest: Arc<Guest>,
    pub(crate) console: Arc<Console>,
    pub(crate) context: Context,
}

impl Found {
    /// What may pass: what both the console and the request let.
    pub(crate) fn rules(&self) -> Rules {
        self.console.rules.narrowed(&self.context.rules)
    }
}

/// The fingerprint by which a token is known outside. What a token was exchanged for goes by that of the first.
pub(crate) fn fingerprint(grant: &Grant, own: Fingerprint) -> String {
    grant
        .issuer
        .as_deref()
        .map_or_else(|| own.to_string(), ToOwned::to_owned)
}

impl Gateway {
    /// The console that a grant is for, as it is configured now.
    pub(crate) fn console_of(&self, grant: &Grant) -> Option<Found> {
        let context: Context = match &grant.context {
            Some(text) => serde_json::from_str(text).ok()?,
            None => Context::default(),
        };
        if context.resolved {
            return resolved(grant, context, &self.live().rules);
        }
        let guest = self.guest(grant.vm.as_deref()?)?;
        let console = guest.console(grant.console.protocol(), context.number)?.clone();
        Some(Found {
            guest,
            console,
            context,
        })
    }

    /// Makes a token.
    pub(crate) async fn mint(&self, wanted: Wanted<'_>) -> Result<Minted, StoreError<BackendError>> {
        let target = Target::Host {
            host: wanted.guest.id.clone(),
            port: None,
            tls_port: None,
        };
        let grant = Grant::new(target, wanted.console_type, self.clock.now(), wanted.ttl)
            .with_vm(&wanted.guest.id)
            .with_uses(Uses::Limited(wanted.uses));
        // The URL of a native viewer is exchanged for a password.
        let grant = match wanted.console_type {
            ConsoleType::SpiceDirect => grant.with_scope(Scope::Exchange),
            _ => grant,
        };
        let grant = match wanted.user {
            Some(user) => grant.with_user(user),
            None => grant,
        };
        self.keep(grant, &wanted.context).await
    }

    /// Keeps a new grant, and makes its token.
    pub(crate) async fn keep(&self, grant: Grant, context: &Context) -> Result<Minted, StoreError<BackendError>> {
        // As Nova's: it goes into host names as well, which know no upper case.
        let token = Secret::uuid4(&random_bytes());
        let hash = self.spice.hash(&token);
        let fingerprint = hash.fingerprint().to_string();
        let mut grant = grant.with_issuer(&fingerprint);
        if *context != Context::default() {
            // INVARIANT: it is a plain structure.
            let text = serde_json::to_string(context).unwrap_or_default();
            grant = grant.with_context(&text);
        }
        let expires = grant.expires;
        match self.store.insert(&hash, &grant).await {
            Err(StoreError::Full { .. }) => {
                self.store.sweep(self.clock.now(), NonZeroU32::MAX).await?;
                self.store.insert(&hash, &grant).await?;
            }
            done => done?,
        }
        Ok(Minted {
            token,
            fingerprint,
            expires,
        })
    }

    /// Exchanges the token of a URL for a password, which is known by the same fingerprint. Takes a use.
    pub(crate) async fn exchange(
        &self,
        token: &Secret,
        ttl: u64,
    ) -> Result<(Secret, Arc<Grant>), StoreError<BackendError>> {
        let new = Secret::uuid4(&random_bytes());
        let new_hash = self.spice.hash(&new);
        let context = VerifyContext::at(self.clock.now());
        let hashes: Vec<_> = self.spice.with_peppers(|peppers| peppers.hashes(token).collect());
        for hash in hashes {
            match self.store.exchange(&hash, context, &new_hash, ttl).await {
                Err(StoreError::Refused(Refusal::Unknown)) => {}
                exchanged => return Ok((new, exchanged?)),
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// Whether a use of the token is left, or a session is open: what it leads to. Costs nothing.
    pub(crate) async fn look(&self, token: &Secret) -> Result<Looked, BackendError> {
        let context = VerifyContext::at(self.clock.now());
        let hashes: Vec<_> = self.spice.with_peppers(|peppers| peppers.hashes(token).collect());
        for hash in hashes {
            let record = match self.store.record(&hash).await {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(StoreError::Backend(error)) => return Err(error),
                Err(_) => return Ok(Looked::Over),
            };
            let is_good = record.check(&context).is_ok() && record.uses_left() != Some(0);
            let own = fingerprint(record.grant(), hash.fingerprint());
            let is_open = !record.is_revoked()
                && (record.sessions().next().is_some()
                    || self.book.all().await.iter().any(|session| session.fingerprint == own));
            return Ok(match is_good || is_open {
                true => Looked::Good(record.grant().clone()),
                false => Looked::Over,
            });
        }
        Ok(Looked::Unknown)
    }
}

/// The console that a resolver has named.
fn resolved(grant: &Grant, context: Context, rules: &Rules) -> Option<Found> {
    let protocol = grant.console.protocol();
    let mut place = match &grant.target {
        Target::Host { host, port, .. } => Place::resolved(host.clone(), *port),
        Target::Internal { host, port, path } => {
            let mut place = Place::resolved(host.clone(), Some(*port));
            place.access_path = Some(path.clone());
            place
        }
        Target::Unix { .. } => return None,
        _ => return None,
    };
    if protocol == Protocol::Vnc {
        place.vnc.methods = vec![examples::vnc::Method::None];
    }
    let id = grant.vm.as_deref()?.to_owned();
    let console = Arc::new(Console {
        protocol,
        require_tls: false,
        rules: rules.clone(),
        places: vec![Arc::new(place)],
    });
    let guest = Arc::new(Guest {
        name: id.clone(),
        hypervisor_name: None,
        id,
        consoles: vec![console.clone()],
    });
    Some(Found {
        guest,
        console,
        context,
    })
}
