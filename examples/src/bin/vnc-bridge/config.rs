//! The configuration: read from TOML and checked as a whole. No message shows what stands in a password file.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use examples::vnc::{Account, Method, Secret, password, security_types, subtypes};
use rfb_proto::filter::{Clipboard, Filter, InputRate};
use rfb_proto::handshake::bridge::{AuthOrder, BridgeConfig, Upstream};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::{self, vnc::Password};
use rfb_proto::session::ViewerLimit;
use rfb_proto::session::relay::{self as session, Sharing};
use rfb_proto::tls::{ClientTls, Identity, ServerTls};
use serde::Deserialize;

/// A configuration that holds together.
pub(crate) struct Config {
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) websocket: Option<SocketAddr>,
    pub(crate) origins: Vec<String>,
    /// Both handshakes, and what may pass behind them.
    pub(crate) session: Arc<session::Config>,
    /// The user that is let in, unless authentication is passed through.
    pub(crate) account: Account,
    /// Towards tenants.
    pub(crate) server_tls: Option<ServerTls>,
    pub(crate) hypervisor: Hypervisor,
    /// A console on which no byte passes for so long is ended.
    pub(crate) idle: Duration,
    /// How long open consoles may go on after the signal to stop.
    pub(crate) drain: Duration,
}

/// How the hypervisor is entered.
pub(crate) struct Hypervisor {
    pub(crate) address: String,
    name: String,
    user: Option<String>,
    password: Option<Secret>,
    pub(crate) tls: Option<ClientTls>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tenant: TenantTable,
    hypervisor: HypervisorTable,
    #[serde(default)]
    policy: PolicyTable,
    #[serde(default)]
    operate: OperateTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantTable {
    tcp: Option<SocketAddr>,
    websocket: Option<SocketAddr>,
    #[serde(default)]
    origins: Vec<String>,
    security: Vec<Method>,
    password_file: Option<PathBuf>,
    user: Option<String>,
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    #[serde(default)]
    passthrough: bool,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct OperateTable {
    idle_seconds: u64,
    drain_seconds: u64,
}

impl Default for OperateTable {
    fn default() -> Self {
        Self {
            idle_seconds: 8 * 3600,
            drain_seconds: 30,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HypervisorTable {
    address: String,
    security: Vec<Method>,
    ca: Option<PathBuf>,
    server_name: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

/// What may pass; the first two keys as in the gateway's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PolicyTable {
    view_only: bool,
    clipboard: Directions,
    clipboard_bytes: Option<u32>,
    input_per_second: Option<u32>,
    shared: Flag,
    viewers: Option<u32>,
}

impl Default for PolicyTable {
    fn default() -> Self {
        Self {
            view_only: false,
            clipboard: Directions::Both,
            clipboard_bytes: None,
            input_per_second: None,
            shared: Flag::Tenant,
            viewers: None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Directions {
    Both,
    ToGuest,
    FromGuest,
    None,
}

/// The shared flag.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Flag {
    Tenant,
    Always,
    Never,
}

impl PolicyTable {
    fn filter(&self) -> Filter {
        let filter = match self.view_only {
            true => Filter::view_only(),
            false => Filter::default(),
        };
        let passes = self.clipboard_bytes.map_or(Clipboard::Pass, Clipboard::AtMost);
        let clipboard = |directions: [Directions; 2]| match directions.contains(&self.clipboard) {
            true => passes,
            false => Clipboard::Withhold,
        };
        let to_guest = match self.view_only {
            true => Clipboard::Withhold,
            false => clipboard([Directions::Both, Directions::ToGuest]),
        };
        filter
            .with_clipboard_to_server(to_guest)
            .with_clipboard_to_client(clipboard([Directions::Both, Directions::FromGuest]))
    }

    fn session(&self, bridge: BridgeConfig) -> session::Config {
        let sharing = match self.shared {
            Flag::Tenant => Sharing::Tenant,
            Flag::Always => Sharing::Shared,
            Flag::Never => Sharing::Exclusive,
        };
        let mut config = session::Config::new(bridge)
            .with_filter(self.filter())
            .with_sharing(sharing);
        if let Some(rate) = self.input_per_second {
            config = config.with_input_rate(InputRate::new(rate, rate));
        }
        if let Some(viewers) = self.viewers {
            config = config.with_viewers(Arc::new(ViewerLimit::new(viewers)));
        }
        config
    }
}

impl Config {
    /// Reads a file and what it names.
    pub(crate) fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        let File {
            tenant,
            hypervisor,
            policy,
            operate,
        } = toml::from_str(&text).map_err(|error| error.to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        tenant.check()?;
        hypervisor.check(tenant.passthrough)?;

        let auth_order = match tenant.passthrough {
            true => AuthOrder::Passthrough,
            false => AuthOrder::TenantFirst,
        };
        let bridge = BridgeConfig::default()
            .with_auth_order(auth_order)
            .with_tenant_types(&security_types(&tenant.security))
            .with_tenant_subtypes(&subtypes(&tenant.security))
            .with_hypervisor_types(&security_types(&hypervisor.security))
            .with_hypervisor_subtypes(&subtypes(&hypervisor.security))
            // Only what is named is taken, and plain has to be named.
            .with_cleartext(hypervisor.security.contains(&Method::Plain));
        let server_tls = match (&tenant.certificate, &tenant.private_key) {
            (Some(certificate), Some(key)) => {
                let chain = read("[tenant] certificate", folder, certificate)?;
                let key = read("[tenant] private_key", folder, key)?;
                let identity = Identity {
                    chain: &chain,
                    key: &key,
                };
                Some(ServerTls::new(identity, None).map_err(|error| format!("[tenant] certificate: {error}"))?)
            }
            _ => None,
        };
        let client_tls = match &hypervisor.ca {
            Some(path) => {
                let pem = read("[hypervisor] ca", folder, path)?;
                Some(ClientTls::new(&pem, None).map_err(|error| format!("[hypervisor] ca: {error}"))?)
            }
            None => None,
        };
        Ok(Self {
            tcp: tenant.tcp,
            websocket: tenant.websocket,
            origins: tenant.origins,
            session: Arc::new(policy.session(bridge)),
            account: Account {
                user: tenant.user.unwrap_or_default(),
                password: secret("[tenant] password_file", folder, tenant.password_file.as_deref())?,
            },
            server_tls,
            hypervisor: Hypervisor {
                name: hypervisor.server_name.unwrap_or_else(|| host(&hypervisor.address)),
                address: hypervisor.address,
                user: hypervisor.user,
                password: secret(
                    "[hypervisor] password_file",
                    folder,
                    hypervisor.password_file.as_deref(),
                )?,
                tls: client_tls,
            },
            idle: Duration::from_secs(operate.idle_seconds.max(1)),
            drain: Duration::from_secs(operate.drain_seconds),
        })
    }
}

impl Config {
    /// The hypervisor checks the tenant's password.
    pub(crate) fn passes_through(&self) -> bool {
        self.account.password.is_none()
    }
}

impl Hypervisor {
    /// What the bridge shows there.
    pub(crate) fn upstream(&self) -> Upstream {
        let mut upstream = Upstream::default().with_server_name(&*self.name);
        if let Some(password) = &self.password {
            upstream = upstream.with_password(Password::new(password));
        }
        if let (Some(user), Some(password)) = (&self.user, &self.password) {
            upstream = upstream.with_credentials(Credentials {
                user: user.clone().into(),
                password: security::Secret::new(password),
            });
        }
        upstream
    }
}

impl TenantTable {
    fn check(&self) -> Result<(), String> {
        if self.tcp.is_none() && self.websocket.is_none() {
            return Err("[tenant] needs a listener: tcp, websocket or both".into());
        }
        if self.websocket.is_some() == self.origins.is_empty() {
            return Err("[tenant] websocket and origins need each other: any page could connect otherwise".into());
        }
        let mut methods = self.security.iter().map(|method| method.needs()).peekable();
        if methods.peek().is_none() {
            return Err("[tenant] security is empty".into());
        }
        for needs in methods {
            if needs.tls && (self.certificate.is_none() || self.private_key.is_none()) {
                return Err("[tenant] x509 needs certificate and private_key".into());
            }
            if needs.user && (self.user.is_none() || self.passthrough) {
                return Err("[tenant] plain needs user, and cannot be passed through".into());
            }
            if needs.password && self.password_file.is_none() != self.passthrough {
                return Err("[tenant] needs password_file, or passthrough instead of it".into());
            }
        }
        Ok(())
    }
}

impl HypervisorTable {
    fn check(&self, passthrough: bool) -> Result<(), String> {
        if self.security.is_empty() {
            return Err("[hypervisor] security is empty".into());
        }
        for needs in self.security.iter().map(|method| method.needs()) {
            if needs.tls && self.ca.is_none() {
                return Err("[hypervisor] x509 needs ca".into());
            }
            if needs.user && self.user.is_none() {
                return Err("[hypervisor] plain needs user".into());
            }
            if needs.password && self.password_file.is_none() && !passthrough {
                return Err("[hypervisor] needs password_file".into());
            }
        }
        Ok(())
    }
}

fn read(what: &str, folder: &Path, path: &Path) -> Result<Secret, String> {
    let path = folder.join(path);
    let bytes = std::fs::read(&path).map(Secret::new);
    bytes.map_err(|error| format!("{what}: {}: {error}", path.display()))
}

/// The password in a file. That of the environment is not looked at: there are two here.
fn secret(what: &str, folder: &Path, path: Option<&Path>) -> Result<Option<Secret>, String> {
    let named = |error: &dyn Display| format!("{what}: {error}");
    match path {
        Some(path) => password(Some(&folder.join(path))).map_err(|error| named(&error)),
        None => Ok(None),
    }
}

/// An address without its port.
fn host(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}
