//! The configuration: read from TOML, checked as a whole, and complained about point by point.
//!
//! No message shows a value that could be a secret.
//!
//! ```toml
//! [api]
//! listen = "127.0.0.1:8080"
//! bearer_token = "at-least-16-characters"
//! [spice]
//! plain = "0.0.0.0:5900"              # a listener without TLS, one with it, or both
//! tls = "0.0.0.0:5901"                # needs the three files below
//! host = "gateway.example.org"        # what the .vv tells the viewer
//! certificate = "server-cert.pem"     # paths count from the folder of this file
//! private_key = "server-key.pem"
//! ca = "ca-cert.pem"                  # goes into the .vv
//! host_subject = "O=Example,CN=gateway.example.org"   # the same; may be left out
//! token_ttl_seconds = 60
//! [[target]]                          # as many as there are consoles
//! name = "vm1"
//! host = "hypervisor.example.org"
//! port = 5901
//! tls_port = 5902                     # used when it is there; needs ca
//! ca = "hypervisor-ca.pem"
//! host_subject = "CN=hypervisor"      # of its certificate; without it the name is checked
//! ticket = "the hypervisor's own"     # or ticket_file = "path"
//! [policy]                            # may be left out, as each of its keys
//! view_only = false
//! clipboard = "both"                  # or "to-guest", "from-guest", "none"
//! files = "both"                      # the same
//! withheld = ["usbredir", "webdav"]   # channels that no viewer gets
//! ```
//!
//! A session moves to another hypervisor only where that is the host and the port of another `[[target]]`: one for each
//! place that a guest can be at.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use console_token::{Secret, web};
use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Deserializer, de::Error as _};
use spice_proto::ids::ChannelType;
use spice_proto::link;
use spice_proto::link::ticket::MAX_PASSWORD_LEN;
use spice_proto::session::policy::{Directions, Settings, Withheld};
use zeroize::Zeroizing;

use crate::console::Viewer;
use crate::target::{Place, Target};
use crate::tls;

/// Shortest bearer token: 16 characters of base64 are 96 bits.
const BEARER_MIN: usize = 16;
/// Longest time that a token can have: a day.
pub(crate) const TTL_MAX: u64 = 86_400;

/// A configuration that holds together.
pub(crate) struct Config {
    pub(crate) api: SocketAddr,
    pub(crate) bearer: Secret,
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) tls: Option<(SocketAddr, Arc<ServerConfig>)>,
    pub(crate) viewer: Viewer,
    pub(crate) ttl: u64,
    pub(crate) targets: Vec<Target>,
    pub(crate) policy: Settings,
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub(crate) struct ConfigError {
    file: PathBuf,
    problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{}: {problem}", self.file.display())?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    api: ApiTable,
    spice: SpiceTable,
    #[serde(default, rename = "target")]
    targets: Vec<TargetTable>,
    #[serde(default)]
    policy: PolicyTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ApiTable {
    listen: String,
    bearer_token: Hidden,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SpiceTable {
    plain: Option<String>,
    tls: Option<String>,
    host: String,
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    ca: Option<PathBuf>,
    host_subject: Option<String>,
    token_ttl_seconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetTable {
    name: String,
    host: String,
    port: Option<u16>,
    tls_port: Option<u16>,
    ca: Option<PathBuf>,
    host_subject: Option<String>,
    ticket: Option<Hidden>,
    ticket_file: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PolicyTable {
    view_only: bool,
    clipboard: Ways,
    files: Ways,
    withheld: Vec<String>,
}

/// Directions in which something may go.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Ways {
    #[default]
    Both,
    ToGuest,
    FromGuest,
    None,
}

impl From<Ways> for Directions {
    fn from(ways: Ways) -> Self {
        Self {
            to_guest: matches!(ways, Ways::Both | Ways::ToGuest),
            from_guest: matches!(ways, Ways::Both | Ways::FromGuest),
        }
    }
}

/// A secret in the file. What is there in its place is not shown either: it may be one without its quotes.
struct Hidden(Zeroizing<String>);

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => Ok(Self(Zeroizing::new(text))),
            _ => Err(D::Error::custom("expected a string in quotes")),
        }
    }
}

impl Config {
    /// Reads a file and what it names; paths in it count from its folder.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let mut check = Check {
            folder: file.parent().map(Path::to_owned).unwrap_or_default(),
            problems: Vec::new(),
        };
        let config = check.read(file);
        match config {
            Some(config) if check.problems.is_empty() => Ok(config),
            _ => Err(ConfigError {
                file: file.to_owned(),
                problems: check.problems,
            }),
        }
    }
}

/// Collects problems. Every method notes what is wrong and goes on where it can.
struct Check {
    folder: PathBuf,
    problems: Vec<String>,
}

impl Check {
    fn wrong<T>(&mut self, problem: impl fmt::Display) -> Option<T> {
        self.problems.push(problem.to_string());
        None
    }

    fn read(&mut self, file: &Path) -> Option<Config> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => Zeroizing::new(text),
            Err(error) => return self.wrong(format_args!("cannot be read: {error}")),
        };
        let file: File = match toml::from_str(&text) {
            Ok(file) => file,
            // Not the error's own text: that shows the line, which may hold a secret.
            Err(error) => return self.wrong(located(&text, &error)),
        };
        let api = self.address("[api] listen", &file.api.listen);
        let bearer = self.bearer(&file.api.bearer_token);
        if file.spice.plain.is_none() && file.spice.tls.is_none() {
            self.wrong::<()>("[spice] needs a listener: plain, tls or both");
        }
        let plain = file.spice.plain.as_deref();
        let plain = plain.map(|address| self.address("[spice] plain", address));
        let tls = file.spice.tls.as_deref().map(|address| {
            let address = self.address("[spice] tls", address);
            (address, self.server(&file.spice))
        });
        let viewer = self.viewer(&file.spice);
        let ttl = file.spice.token_ttl_seconds;
        if !(1..=TTL_MAX).contains(&ttl) {
            self.wrong::<()>(format_args!(
                "[spice] token_ttl_seconds: {ttl} is not in 1 to {TTL_MAX}"
            ));
        }
        if file.targets.is_empty() {
            self.wrong::<()>("there is no [[target]]");
        }
        let mut targets: Vec<Target> = Vec::new();
        for table in file.targets {
            let name = table.name.clone();
            if let Some(target) = self.target(table) {
                if targets.iter().any(|other| other.name == name) {
                    self.wrong::<()>(format_args!("there are two [[target]] with the name {name:?}"));
                }
                targets.push(target);
            }
        }
        let policy = self.policy(file.policy);
        Some(Config {
            api: api?,
            bearer: bearer?,
            plain: match plain {
                Some(address) => Some(address?),
                None => None,
            },
            tls: match tls {
                Some((address, server)) => Some((address?, server?)),
                None => None,
            },
            viewer: viewer?,
            ttl,
            targets,
            policy: policy?,
        })
    }

    fn address(&mut self, what: &str, text: &str) -> Option<SocketAddr> {
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => self.wrong(format_args!(
                "{what}: {text:?} is no address with a port, as 127.0.0.1:5900"
            )),
        }
    }

    fn bearer(&mut self, text: &Hidden) -> Option<Secret> {
        let length = text.0.len();
        if length < BEARER_MIN {
            return self.wrong(format_args!(
                "[api] bearer_token: {length} characters; at least {BEARER_MIN} are needed"
            ));
        }
        match Secret::presented(text.0.as_bytes()) {
            Ok(secret) if web::place::Place::Header.carries(secret.expose()) => Some(secret),
            _ => self.wrong(format_args!(
                "[api] bearer_token: only letters, digits and -._~+/ and = at the end, at most {}",
                Secret::MAX_LEN
            )),
        }
    }

    /// Reads a file that the configuration names.
    fn file(&mut self, what: &str, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let path = self.folder.join(path);
        match std::fs::read(&path) {
            Ok(bytes) => Some(Zeroizing::new(bytes)),
            Err(error) => self.wrong(format_args!("{what}: {} cannot be read: {error}", path.display())),
        }
    }

    fn server(&mut self, spice: &SpiceTable) -> Option<Arc<ServerConfig>> {
        let mut named = |key: &str, path: &Option<PathBuf>| match path {
            Some(path) => self.file(&format!("[spice] {key}"), path),
            None => self.wrong(format_args!("[spice] tls needs {key}")),
        };
        let chain = named("certificate", &spice.certificate);
        let key = named("private_key", &spice.private_key);
        if spice.ca.is_none() {
            self.wrong::<()>("[spice] tls needs ca");
        }
        let (chain, key) = (chain?, key?);
        match tls::server(&chain, &key) {
            Ok(config) => Some(config),
            Err(error @ tls::TlsError::NoKey) => self.wrong(format_args!("[spice] private_key: {error}")),
            Err(error @ tls::TlsError::OtherKey) => self.wrong(format_args!("[spice] {error}")),
            Err(error) => self.wrong(format_args!("[spice] certificate: {error}")),
        }
    }

    /// What every `.vv` holds. One is written for a try, so that none fails later.
    fn viewer(&mut self, spice: &SpiceTable) -> Option<Viewer> {
        let ca = match &spice.ca {
            Some(path) => Some(self.text("[spice] ca", path)?),
            None => None,
        };
        let viewer = Viewer {
            host: spice.host.clone(),
            port: Some(1),
            tls_port: spice.tls.as_ref().map(|_| 1),
            ca,
            host_subject: spice.host_subject.clone(),
        };
        match viewer.file("token", "title") {
            Ok(_) => Some(viewer),
            Err(error) => self.wrong(format_args!("[spice] no connection file can be made: {error}")),
        }
    }

    fn text(&mut self, what: &str, path: &Path) -> Option<String> {
        let bytes = self.file(what, path)?;
        match std::str::from_utf8(&bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(_) => self.wrong(format_args!("{what}: {} is not text", path.display())),
        }
    }

    fn target(&mut self, table: TargetTable) -> Option<Target> {
        let name = table.name;
        let what = format!("[[target]] {name:?}");
        if name.is_empty() || name.chars().any(char::is_control) {
            self.wrong::<()>(format_args!("{what}: the name is empty or has control characters"));
        }
        if table.host.is_empty() || table.host.chars().any(char::is_whitespace) {
            self.wrong::<()>(format_args!("{what}: host is empty or has spaces"));
        }
        for (key, port) in [("port", table.port), ("tls_port", table.tls_port)] {
            if port == Some(0) {
                self.wrong::<()>(format_args!("{what}: {key} is 0"));
            }
        }
        let ticket = match (table.ticket, table.ticket_file) {
            (Some(ticket), None) => Some(Zeroizing::new(ticket.0.as_bytes().to_vec())),
            (None, Some(path)) => self.file(&format!("{what} ticket_file"), &path).map(without_line_end),
            (Some(_), Some(_)) => self.wrong(format_args!("{what}: ticket and ticket_file; one is enough")),
            (None, None) => self.wrong(format_args!("{what} needs a ticket or a ticket_file")),
        };
        if let Some(ticket) = &ticket
            && (ticket.is_empty() || MAX_PASSWORD_LEN < ticket.len() || ticket.contains(&0))
        {
            let length = ticket.len();
            self.wrong::<()>(format_args!(
                "{what}: the ticket has {length} bytes; 1 to {MAX_PASSWORD_LEN} without NUL are needed"
            ));
        }
        let place = match (table.tls_port, table.port) {
            (Some(port), _) => {
                let known_by = (table.ca.as_deref(), table.host_subject.as_deref());
                self.tls_place(&what, port, &table.host, known_by)
            }
            (None, Some(port)) => Some(Place::Plain { port }),
            (None, None) => self.wrong(format_args!("{what} needs a port or a tls_port")),
        };
        Some(Target {
            name,
            host: table.host,
            place: place?,
            ticket: link::Secret::new(&ticket?),
            known: Mutex::default(),
        })
    }

    fn policy(&mut self, table: PolicyTable) -> Option<Settings> {
        let mut withheld = Vec::new();
        for name in &table.withheld {
            let named = |kind: &ChannelType| kind.to_string().eq_ignore_ascii_case(name);
            match (2..=11).map(ChannelType).find(named) {
                Some(kind) => withheld.push(Withheld::Kind(kind)),
                None => return self.wrong(format_args!("[policy] withheld: no channel is called {name:?}")),
            }
        }
        let settings = Settings::default()
            .with_view_only(table.view_only)
            .with_clipboard(table.clipboard.into())
            .with_files(table.files.into());
        Some(settings.with_withheld(withheld))
    }

    fn tls_place(&mut self, what: &str, port: u16, host: &str, table: (Option<&Path>, Option<&str>)) -> Option<Place> {
        let (Some(ca), subject) = table else {
            return self.wrong(format_args!("{what}: tls_port needs ca"));
        };
        let pem = self.file(&format!("{what} ca"), ca)?;
        let config = match tls::client(&pem, subject) {
            Ok(config) => config,
            Err(tls::TlsError::Subject(error)) => {
                return self.wrong(format_args!("{what} host_subject: {error}"));
            }
            Err(error) => return self.wrong(format_args!("{what} ca: {error}")),
        };
        match ServerName::try_from(host.to_owned()) {
            Ok(name) => Some(Place::Tls { port, name, config }),
            Err(_) if host.is_empty() => None, // said already
            Err(_) => self.wrong(format_args!(
                "{what}: host {host:?} is no name that a certificate can have"
            )),
        }
    }
}

/// A password in a file ends at the end of its line.
fn without_line_end(mut bytes: Zeroizing<Vec<u8>>) -> Zeroizing<Vec<u8>> {
    while matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    bytes
}

/// The error without the text that it is about.
fn located(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    match before {
        Some(before) => {
            let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
            format!("line {line}: {}", error.message().trim_end())
        }
        None => error.message().trim_end().to_owned(),
    }
}
