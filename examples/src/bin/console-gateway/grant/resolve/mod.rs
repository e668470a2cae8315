//! Consoles that others know: Nova, libvirt-console-proxy's resolver, websockify's token files.
//!
//! An answer says where a console is, and is not trusted with that: its name is resolved once, each of its addresses has to
//! be allowed, and one of these is dialled.

pub(crate) mod client;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use console_token::nova::{Microversion, ShowAnswer, show_path};
use console_token::resolver::{libvirt, websockify};
use console_token::{
    ConsoleType, Grant, NoteChange, Protocol, Refusal, Secret, StoreError, Target, Uses, VerifyContext,
};
use tokio::time::timeout;
use tracing::{info, warn};

use super::Context;
use crate::config::Resolve;
use crate::console::Refused;
use crate::gateway::Gateway;
use crate::random::random_bytes;

/// For an answer, and for the addresses of the name in it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a token file, or of all in a folder.
const FILE_MAX: u64 = 1 << 20;
/// Seconds for which an answer is good: the resolver is asked for each connection.
const GOOD_FOR: u64 = 30;
/// The most that a resolved token can be used at the same time and in its time: as often as its resolver lets it.
const USES: Uses = Uses::Unlimited;

/// What a resolver has said of a token.
struct Named {
    target: Target,
    protocol: Protocol,
    /// The guest, if the answer says it.
    vm: Option<String>,
    by: &'static str,
}

impl Gateway {
    /// Asks the resolvers for a token, and keeps what they say. `false`: none of them knows it, or it leads nowhere.
    pub(crate) async fn resolve(&self, token: &Secret) -> bool {
        let live = self.live();
        let Some(named) = named(&live.resolve, token).await else {
            return false;
        };
        let Some(named) = self.allowed(&live.resolve, named).await else {
            return false;
        };
        let grant = self.grant_of(named, GOOD_FOR, console_of);
        let hash = self.spice.hash(token);
        match self
            .store
            .insert(&hash, &grant.with_issuer(&hash.fingerprint().to_string()))
            .await
        {
            // Another connection was quicker.
            Ok(()) | Err(StoreError::Duplicate) => true,
            Err(error) => {
                warn!(%error, "what a resolver said cannot be kept");
                false
            }
        }
    }

    /// The protocol of a token that only a resolver knows, which is kept then.
    pub(crate) async fn resolved_protocol(&self, token: &Secret) -> Option<Protocol> {
        if !self.live().resolve.is_there() || !self.resolve(token).await {
            return None;
        }
        let context = VerifyContext::at(self.clock.now());
        let grant = self.store.check(&self.spice.hash(token), context).await.ok()?;
        Some(grant.console.protocol())
    }

    /// Exchanges a token of Nova's for a password, once among all gateways of the store.
    pub(crate) async fn exchange_of_nova(&self, token: &Secret, ttl: u64) -> Result<(Secret, Arc<Grant>), Refused> {
        let live = self.live();
        let resolved = match &live.resolve.nova {
            Some(_) => named(&live.resolve, token).await,
            None => None,
        };
        let named = resolved.ok_or(Refused::Unknown)?;
        if named.protocol != Protocol::Spice {
            return Err(Refused::Unfit("the token is for a console without a connection file"));
        }
        let named = self.allowed(&live.resolve, named).await;
        let named = named.ok_or(Refused::Unfit("the resolver's answer leads where no console may be"))?;
        let now = self.clock.now();
        let name = format!("exchanged/{}", self.spice.hash(token).fingerprint());
        // Nova forgets its token within a day.
        let until = now.saturating_add(crate::config::TTL_MAX);
        let once = NoteChange::write(b"", until).expecting(0);
        match self.store.set_note(&name, now, once).await {
            Ok(true) => {}
            Ok(false) => return Err(Refused::Token(Refusal::Spent.to_string())),
            Err(error) => return Err(Refused::Token(error.to_string())),
        }
        let grant = self.grant_of(named, ttl, |_| ConsoleType::SpiceDirect);
        let grant = grant.with_uses(Uses::Limited(NonZeroU32::MIN));
        let password = Secret::uuid4(&random_bytes());
        let hash = self.spice.hash(&password);
        let grant = grant.with_issuer(&hash.fingerprint().to_string());
        self.store
            .insert(&hash, &grant)
            .await
            .map_err(|error| Refused::Token(error.to_string()))?;
        Ok((password, Arc::new(grant)))
    }

    fn grant_of(&self, named: Named, ttl: u64, console: impl Fn(Protocol) -> ConsoleType) -> Grant {
        let context = Context {
            resolved: true,
            ..Context::default()
        };
        let vm = named.vm.unwrap_or_else(|| "resolved".to_owned());
        Grant::new(named.target, console(named.protocol), self.clock.now(), ttl)
            .with_vm(&vm)
            .with_uses(USES)
            .with_context(&serde_json::to_string(&context).unwrap_or_default())
    }

    /// The answer with an address in place of its name, if a console may be there.
    async fn allowed(&self, resolve: &Resolve, mut named: Named) -> Option<Named> {
        let (host, ports) = match &named.target {
            Target::Host { host, port, tls_port } => (host, port.iter().chain(tls_port).copied().collect()),
            Target::Internal { host, port, .. } => (host, vec![*port]),
            _ => {
                warn!(by = named.by, "a resolver names what is no host");
                return None;
            }
        };
        let ports: Vec<u16> = ports;
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let found = timeout(PATIENCE, tokio::net::lookup_host((bare.as_str(), 0))).await;
        let addresses: Vec<IpAddr> = match found {
            Ok(Ok(addresses)) => addresses.map(|address| address.ip()).collect(),
            _ => Vec::new(),
        };
        let all = |port: &u16| addresses.iter().all(|address| resolve.allows(*address, *port));
        if addresses.is_empty() || ports.is_empty() || !ports.iter().all(all) {
            warn!(
                by = named.by,
                host = bare,
                ?ports,
                "a resolver names a place where no console may be"
            );
            self.metrics.refused("resolver");
            return None;
        }
        let address = addresses[0].to_string();
        match &mut named.target {
            Target::Host { host, .. } | Target::Internal { host, .. } => *host = address,
            _ => {}
        }
        info!(by = named.by, guest = named.vm, "a resolver has named a console");
        Some(named)
    }
}

/// The console that a protocol is shown with.
fn console_of(protocol: Protocol) -> ConsoleType {
    match protocol {
        Protocol::Spice => ConsoleType::SpiceHtml5,
        Protocol::Serial => ConsoleType::Serial,
        Protocol::Mks => ConsoleType::WebMks,
        _ => ConsoleType::NoVnc,
    }
}

/// What the first resolver says that knows the token.
async fn named(resolve: &Resolve, token: &Secret) -> Option<Named> {
    for answer in [
        of_websockify(resolve, token).await,
        of_libvirt(resolve, token).await,
        of_nova(resolve, token).await,
    ] {
        match answer {
            Ok(Some(named)) => return Some(named),
            Ok(None) => {}
            Err((by, problem)) => warn!(by, problem, "a resolver has no answer"),
        }
    }
    None
}

type Answered = Result<Option<Named>, (&'static str, String)>;

async fn of_nova(resolve: &Resolve, token: &Secret) -> Answered {
    let Some(nova) = &resolve.nova else { return Ok(None) };
    const BY: &str = "nova";
    let version = Microversion::V2_99;
    let path = show_path(token);
    let version_text = format!("compute {version}");
    let headers = [
        ("x-auth-token", nova.token.expose()),
        ("openstack-api-version", version_text.as_str()),
        ("accept", "application/json"),
    ];
    let answer = nova
        .base
        .get(path.as_str(), &headers)
        .await
        .map_err(|error| (BY, error))?;
    let Some(bytes) = answer else { return Ok(None) };
    let shown = ShowAnswer::from_json(version, &bytes).map_err(|error| (BY, error.to_string()))?;
    let target = shown.target().map_err(|error| (BY, error.to_string()))?;
    let protocol = match &target {
        Target::Internal { path, .. } if path.expose().trim_start().starts_with('{') => Protocol::Mks,
        Target::Host { tls_port: Some(_), .. } => Protocol::Spice,
        _ => nova.protocol,
    };
    Ok(Some(Named {
        target,
        protocol,
        vm: Some(shown.instance_uuid),
        by: BY,
    }))
}

async fn of_libvirt(resolve: &Resolve, token: &Secret) -> Answered {
    let Some(libvirt) = &resolve.libvirt else {
        return Ok(None);
    };
    const BY: &str = "libvirt";
    let path = libvirt::path(token);
    let answer = libvirt.base.get(path.as_str(), &[("accept", "application/json")]).await;
    let Some(bytes) = answer.map_err(|error| (BY, error))? else {
        return Ok(None);
    };
    let answer = libvirt::Answer::from_json(&bytes).map_err(|error| (BY, error.to_string()))?;
    let protocol = match answer.kind {
        libvirt::Kind::Vnc => Protocol::Vnc,
        libvirt::Kind::Spice => Protocol::Spice,
        libvirt::Kind::Serial => Protocol::Serial,
    };
    Ok(Some(Named {
        target: answer.target,
        protocol,
        vm: None,
        by: BY,
    }))
}

async fn of_websockify(resolve: &Resolve, token: &Secret) -> Answered {
    let Some(websockify) = &resolve.websockify else {
        return Ok(None);
    };
    const BY: &str = "websockify";
    let path = websockify.path.clone();
    let read = tokio::task::spawn_blocking(move || read_files(&path)).await;
    let texts = match read {
        Ok(Ok(texts)) => texts,
        Ok(Err(error)) => return Err((BY, error.to_string())),
        Err(error) => return Err((BY, error.to_string())),
    };
    // The last of several: later files, as later lines, win.
    for text in texts.iter().rev() {
        let Some(row) = websockify::find(text, token.expose(), websockify::Dialect::Repository) else {
            continue;
        };
        let target = row.entry.target().map_err(|error| (BY, error.to_string()))?;
        return Ok(Some(Named {
            target,
            protocol: resolve.websockify.as_ref().map_or(Protocol::Vnc, |own| own.protocol),
            vm: None,
            by: BY,
        }));
    }
    Ok(None)
}

/// The token file, or all files of the folder in the order of their names.
fn read_files(path: &Path) -> std::io::Result<Vec<String>> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path)?.filter_map(Result::ok);
        files = entries
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
        files.sort();
    }
    let mut texts = Vec::new();
    let mut room = FILE_MAX;
    for file in files {
        let length = std::fs::metadata(&file)?.len();
        room = room
            .checked_sub(length)
            .ok_or_else(|| std::io::Error::other("the token files are too long"))?;
        texts.push(String::from_utf8_lossy(&std::fs::read(&file)?).into_owned());
    }
    Ok(texts)
}
