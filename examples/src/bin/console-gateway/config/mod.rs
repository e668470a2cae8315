//! The configuration: read from TOML, checked as a whole, and complained about point by point.
//!
//! No message shows a value that could be a secret. [`HELP`] lists the keys.

mod guests;
mod table;

use std::cell::RefCell;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use console_token::Secret;
use rustls::ServerConfig;
use spice_proto::ids::ChannelType;
use spice_proto::session::policy::{Directions, Settings, Withheld};
use zeroize::Zeroizing;

use self::table::{Check, Table};
use crate::console::Viewer;
use crate::guest::Guest;
use crate::tls;

/// Shortest token of the API: 16 characters of base64 are 96 bits.
const TOKEN_MIN: usize = 16;
/// Longest time that a token can have: a day.
pub(crate) const TTL_MAX: u64 = 86_400;
/// Seconds that a token has unless the configuration or the request says otherwise.
const TTL: u64 = 600;

/// Every key, for people.
pub(crate) const HELP: &str = r#"Paths count from the folder of the file. A secret is the first line of a file, or env:NAME in its place.

[api]                                   # for portals and operators
listen = "127.0.0.1:8774"
token_file = "api.token"                # sent as X-Auth-Token or Authorization: Bearer; at least 16 characters
certificate = "api.pem"                 # with private_key: TLS; without them only loopback addresses may be bound
private_key = "api.key"

[public]                                # host and ports in .vv files: may differ from those bound (NAT, load balancer)
host = "console.example.org"            # in .vv files and migration messages
spice_port = 5900                       # of the listener `spice`; 0 or left out: none in .vv files;
spice_tls_port = 5901                   # of `spice_tls`;          "bound": the port that the listener got
host_subject = "CN=console.example.org" # of the certificate; may be left out
ca = "public-ca.pem"                    # goes into .vv files; needed with spice_tls_port

[listen]                                # each may be left out, but not both of SPICE
spice = "0.0.0.0:5900"
spice_tls = "0.0.0.0:5901"
web = "0.0.0.0:443"                     # WebSockets for spice-html5 at /websockify, with TLS
web_plain = "127.0.0.1:6080"            # the same without TLS: loopback only
origins = ["https://portal.example.org"]  # where the pages come from that may connect; needed with web, web_plain
certificate = "server.pem"              # of spice_tls and web
private_key = "server.key"

[tokens]
ttl_seconds = 600                       # unless a request says otherwise; at most a day

[policy]                                # may be left out, as each of its keys
view_only = false
clipboard = "both"                      # both, to-guest, from-guest, none
files = "both"                          # the same
withheld = ["usbredir", "webdav"]       # SPICE channels that no viewer gets

[[guest]]                               # a virtual machine
id = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b"
name = "db-7"                           # may be left out
project = "tenant-a"                    # may be left out
  [[guest.console]]
  protocol = "spice"
  require_tls = false                   # true: viewers without TLS are refused
    [[guest.console.place]]             # where it is (the first), and where this guest, and no other, may go
    host = "node1.internal"             # what is dialled
    announced = ["10.1.0.11"]           # other names under which hypervisors announce this host in a migration
    port = 5900
    tls_port = 5901                     # used when it is there; needs ca
    move_ports = "5900-5999"            # at which ports of this host a move may arrive; left out: port and tls_port
    ca = "hypervisors-ca.pem"
    host_subject = "CN=node1.internal"  # of its certificate; without it the name is checked
    ticket_file = "db-7.ticket"         # the hypervisor's own password: no tenant ever has it
"#;

/// A configuration that holds together.
pub(crate) struct Config {
    pub(crate) api: Api,
    pub(crate) listen: Listen,
    pub(crate) public: Public,
    pub(crate) ttl: u64,
    pub(crate) guests: Vec<Guest>,
    pub(crate) policy: Settings,
}

/// The address of the API, and the token that it requires.
pub(crate) struct Api {
    pub(crate) listen: SocketAddr,
    pub(crate) token: Secret,
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// The listeners for viewers.
#[derive(Default)]
pub(crate) struct Listen {
    pub(crate) spice: Option<SocketAddr>,
    pub(crate) spice_tls: Option<SocketAddr>,
    pub(crate) web: Option<SocketAddr>,
    pub(crate) web_plain: Option<SocketAddr>,
    /// The pages that may connect, by their origins.
    pub(crate) origins: Arc<[String]>,
    /// Of `spice_tls` and `web`.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// The host and ports in `.vv` files.
pub(crate) struct Public {
    viewer: Viewer,
    spice_port: PublicPort,
    spice_tls_port: PublicPort,
}

/// A port in `.vv` files.
#[derive(Debug, Clone, Copy)]
enum PublicPort {
    None,
    Number(NonZeroU16),
    /// The one that the listener got.
    Bound,
}

impl PublicPort {
    fn number(self, bound: Option<SocketAddr>) -> Option<u16> {
        match self {
            Self::None => None,
            Self::Number(port) => Some(port.get()),
            Self::Bound => bound.map(|address| address.port()),
        }
    }
}

impl Public {
    /// The host and ports in `.vv` files, once the listeners are bound.
    pub(crate) fn viewer(&self, spice: Option<SocketAddr>, spice_tls: Option<SocketAddr>) -> Viewer {
        Viewer {
            port: self.spice_port.number(spice),
            tls_port: self.spice_tls_port.number(spice_tls),
            ..self.viewer.clone()
        }
    }
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

impl Config {
    /// Reads a file and what it names; paths in it count from its folder.
    pub(crate) fn load(file: &Path) -> Result<Self, ConfigError> {
        let check = Check {
            folder: file.parent().map(Path::to_owned).unwrap_or_default(),
            problems: RefCell::default(),
        };
        let config = read(&check, file);
        let problems = check.problems.into_inner();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError {
                file: file.to_owned(),
                problems,
            }),
        }
    }
}

fn read(check: &Check, file: &Path) -> Option<Config> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => return check.wrong(format_args!("cannot be read: {error}")),
    };
    let keys = match toml::from_str(&text) {
        Ok(keys) => keys,
        // Not the error's own text: that shows the line, which may hold a secret.
        Err(error) => return check.wrong(located(&text, &error)),
    };
    let mut file = Table::new(String::new(), keys);
    let api = api(check, file.table(check, "api"));
    let (listen, tls) = listen(check, file.table(check, "listen"));
    let public = public(check, file.table(check, "public"), &listen);
    let ttl = tokens(check, file.table(check, "tokens"));
    let policy = policy(check, file.table(check, "policy"));
    let guests = guests::read(check, file.tables(check, "guest", "[[guest]]", Some("id")));
    file.end(check);
    Some(Config {
        api: api?,
        listen: Listen { tls, ..listen },
        public: public?,
        ttl,
        guests,
        policy,
    })
}

fn api(check: &Check, mut table: Table) -> Option<Api> {
    let listen = table
        .needs(check, "listen")
        .then(|| table.address(check, "listen"))
        .flatten();
    let token = table
        .needs(check, "token_file")
        .then(|| table.token(check, "token_file", TOKEN_MIN))
        .flatten();
    let with_tls = table.has("certificate") || table.has("private_key");
    let tls = with_tls.then(|| server(check, &mut table)).flatten();
    if !with_tls && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        check.wrong::<()>("[api] listen: an address that is not loopback needs certificate and private_key");
    }
    table.end(check);
    Some(Api {
        listen: listen?,
        token: token?,
        tls,
    })
}

/// A certificate with its key.
fn server(check: &Check, table: &mut Table) -> Option<Arc<ServerConfig>> {
    let mut named = |key: &str| {
        let there = table.needs(check, key);
        there.then(|| table.file(check, key)).flatten()
    };
    let (chain, key) = (named("certificate"), named("private_key"));
    match tls::server(&chain?, &key?) {
        Ok(config) => Some(config),
        Err(error @ tls::TlsError::NoKey) => check.wrong(format_args!("{}: {error}", table.key("private_key"))),
        Err(error @ tls::TlsError::OtherKey) => check.wrong(format_args!("{} {error}", table.name)),
        Err(error) => check.wrong(format_args!("{}: {error}", table.key("certificate"))),
    }
}

fn listen(check: &Check, mut table: Table) -> (Listen, Option<Arc<ServerConfig>>) {
    if !table.has("spice") && !table.has("spice_tls") {
        check.wrong::<()>("[listen] needs a listener for viewers: spice, spice_tls or both");
    }
    let web = table.has("web") || table.has("web_plain");
    if web != table.has("origins") {
        check.wrong::<()>("[listen] web and origins need each other: any page could connect otherwise");
    }
    let with_tls = ["spice_tls", "web", "certificate", "private_key"];
    let tls = with_tls
        .iter()
        .any(|key| table.has(key))
        .then(|| server(check, &mut table))
        .flatten();
    let listen = Listen {
        spice: table.address(check, "spice"),
        spice_tls: table.address(check, "spice_tls"),
        web: table.address(check, "web"),
        web_plain: table.address(check, "web_plain"),
        origins: table.texts(check, "origins").into(),
        tls: None,
    };
    if listen.web_plain.is_some_and(|address| !address.ip().is_loopback()) {
        check.wrong::<()>("[listen] web_plain: only a loopback address can go without TLS");
    }
    table.end(check);
    (listen, tls)
}

fn public(check: &Check, mut table: Table, listen: &Listen) -> Option<Public> {
    let host = table
        .needs(check, "host")
        .then(|| table.text(check, "host"))
        .flatten()
        .unwrap_or_default();
    let spice_port = public_port(check, &mut table, "spice_port", listen.spice);
    let spice_tls_port = public_port(check, &mut table, "spice_tls_port", listen.spice_tls);
    let with_ca = table.has("ca");
    let ca = table.file(check, "ca");
    let ca = match ca.map(|bytes| String::from_utf8(bytes.to_vec())) {
        Some(Ok(ca)) => Some(ca),
        Some(Err(_)) => check.wrong("[public] ca: not text"),
        None => None,
    };
    if !with_ca && !matches!(spice_tls_port, PublicPort::None) {
        check.wrong::<()>("[public] spice_tls_port needs ca");
    }
    let viewer = Viewer {
        host,
        port: Some(1),
        tls_port: ca.as_ref().map(|_| 1),
        ca,
        host_subject: table.text(check, "host_subject"),
    };
    table.end(check);
    // One is written for a try, so that none fails later.
    match viewer.file("token", "title", false) {
        _ if viewer.host.is_empty() => None, // said already
        Ok(_) => Some(Public {
            viewer,
            spice_port,
            spice_tls_port,
        }),
        Err(error) => check.wrong(format_args!("[public] no connection file can be made: {error}")),
    }
}

/// A port in `.vv` files needs a listener behind it.
fn public_port(check: &Check, table: &mut Table, key: &str, listener: Option<SocketAddr>) -> PublicPort {
    let port = table.public_port(check, key);
    if listener.is_none() && !matches!(port, PublicPort::None) {
        let listener = key.trim_end_matches("_port");
        check.wrong::<()>(format_args!("[public] {key} needs [listen] {listener}"));
    }
    port
}

impl Table {
    fn public_port(&mut self, check: &Check, key: &str) -> PublicPort {
        let wanted = "a port from 0 to 65535, or \"bound\",";
        let port = self.take(check, key, wanted, |value| match value.as_str() {
            Some("bound") => Some(PublicPort::Bound),
            _ => {
                let port = u16::try_from(value.as_integer()?).ok()?;
                Some(NonZeroU16::new(port).map_or(PublicPort::None, PublicPort::Number))
            }
        });
        port.unwrap_or(PublicPort::None)
    }
}

fn tokens(check: &Check, mut table: Table) -> u64 {
    let ttl = table.number(check, "ttl_seconds", 1..=TTL_MAX);
    table.end(check);
    ttl.unwrap_or(TTL)
}

fn policy(check: &Check, mut table: Table) -> Settings {
    let mut withheld = Vec::new();
    for name in table.texts(check, "withheld") {
        let named = |kind: &ChannelType| kind.to_string().eq_ignore_ascii_case(&name);
        match (2..=11).map(ChannelType).find(named) {
            Some(kind) => withheld.push(Withheld::Kind(kind)),
            None => check
                .wrong(format_args!("[policy] withheld: no channel is called {name:?}"))
                .unwrap_or(()),
        }
    }
    let settings = Settings::default()
        .with_view_only(table.flag(check, "view_only").unwrap_or(false))
        .with_clipboard(directions(check, &mut table, "clipboard"))
        .with_files(directions(check, &mut table, "files"))
        .with_withheld(withheld);
    table.end(check);
    settings
}

/// In which directions something may go.
fn directions(check: &Check, table: &mut Table, key: &str) -> Directions {
    let wanted = "one of \"both\", \"to-guest\", \"from-guest\", \"none\"";
    let ways = table.take(check, key, wanted, |value| {
        let (to_guest, from_guest) = match value.as_str()? {
            "both" => (true, true),
            "to-guest" => (true, false),
            "from-guest" => (false, true),
            "none" => (false, false),
            _ => return None,
        };
        Some(Directions { to_guest, from_guest })
    });
    ways.unwrap_or(Directions {
        to_guest: true,
        from_guest: true,
    })
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
