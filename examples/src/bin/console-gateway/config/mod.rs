//! The configuration: read from TOML, checked as a whole, and complained about point by point.
//!
//! No message shows a value that could be a secret. [`HELP`] lists the keys.

mod guests;
mod help;
mod listeners;
mod resolve;
mod table;

use std::cell::RefCell;
use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use console_token::serial::PortRange;
use console_token::web::Network;
use console_token::web::origin::Origin;
use console_token::{Pepper, Secret};
use examples::budget::Limits;
use rustls::ServerConfig;
use zeroize::Zeroizing;

pub(crate) use self::help::HELP;
pub(crate) use self::listeners::{Api, Listen, Public};
pub(crate) use self::resolve::{Allowed, Nova, Resolve};
use self::table::{Check, Table};
use crate::console::place::Guest;
use crate::grant::policy::Rules;

/// Longest time that a token can have: a day.
pub(crate) const TTL_MAX: u64 = 86_400;
/// Seconds that a token has unless the configuration or the request says otherwise.
const TTL: u64 = 600;
/// The same for the password of a `.vv` file.
const SPICE_TTL: u64 = 60;
/// Longest time to come again.
const RECONNECT_MAX: u64 = 86_400;
/// For open consoles when the gateway stops.
const DRAIN: u64 = 30;
const DRAIN_MAX: u64 = 86_400;
/// Most connections at a stage: whether the machine can hold them is seen when the gateway starts.
const CONNECTIONS_MAX: u64 = 1_000_000;

/// A configuration that holds together.
pub(crate) struct Config {
    pub(crate) api: Api,
    pub(crate) listen: Listen,
    pub(crate) public: Public,
    pub(crate) store: Store,
    pub(crate) tokens: Tokens,
    pub(crate) operate: Operate,
    pub(crate) pages: Pages,
    pub(crate) guests: Vec<Guest>,
    pub(crate) resolve: Resolve,
    /// What passes where no guest says otherwise.
    pub(crate) rules: Rules,
    /// How many connections there may be; and of them to the API, at each stage.
    pub(crate) limits: (Limits, Option<NonZeroU32>),
}

/// Where tokens are kept.
pub(crate) struct Store {
    /// `memory`, or of an engine.
    pub(crate) url: String,
    pub(crate) pepper: Option<Zeroizing<Vec<u8>>>,
    pub(crate) gateway_id: Option<String>,
}

/// How long tokens are good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    /// Seconds.
    pub(crate) ttl: u64,
    /// Seconds, for the password in a `.vv` file.
    pub(crate) spice_ttl: u64,
    /// In which a session that broke may come again.
    pub(crate) reconnect: Duration,
}

pub(crate) struct Operate {
    pub(crate) audit: Option<PathBuf>,
    pub(crate) drain: Duration,
    pub(crate) serial_ports: PortRange,
}

/// The folders of pages that others have made.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) novnc: PathBuf,
    pub(crate) spice_html5: PathBuf,
    pub(crate) xterm: PathBuf,
}

impl Pages {
    /// No folders.
    pub(crate) fn none() -> Self {
        let [novnc, spice_html5, xterm] = ["", "", ""].map(PathBuf::from);
        Self {
            novnc,
            spice_html5,
            xterm,
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
    let api = listeners::api(check, file.table(check, "api"));
    let listen = listeners::listen(check, file.table(check, "listen"));
    let public = listeners::public(check, file.table(check, "public"), &listen);
    let store = store(check, file.table(check, "store"));
    let tokens = tokens(check, file.table(check, "tokens"));
    let operate = operate(check, file.table(check, "operate"));
    let pages = pages(check, file.table(check, "pages"));
    let limits = limits(check, file.table(check, "limits"));
    let rules = rules(check, file.table(check, "policy"));
    let resolve = resolve::read(check, file.table(check, "resolve"));
    let tables = file.tables(check, "guest", "[[guest]]", Some("id"));
    if tables.is_empty() && !resolve.is_there() {
        check.wrong::<()>("there is no [[guest]], and no [resolve] that could name one");
    }
    let guests = guests::read(check, tables, &rules);
    file.end(check);
    Some(Config {
        api: api?,
        listen,
        public: public?,
        store: store?,
        tokens,
        operate: operate?,
        pages,
        guests,
        resolve,
        rules,
        limits,
    })
}

/// A certificate with its key.
fn server(check: &Check, table: &mut Table) -> Option<Arc<ServerConfig>> {
    let mut named = |key: &str| {
        let there = table.needs(check, key);
        there.then(|| table.file(check, key)).flatten()
    };
    let (chain, key) = (named("certificate"), named("private_key"));
    use crate::front::tls;
    match tls::server(&chain?, &key?) {
        Ok(config) => Some(config),
        Err(error @ tls::TlsError::NoKey) => check.wrong(format_args!("{}: {error}", table.key("private_key"))),
        Err(error @ tls::TlsError::OtherKey) => check.wrong(format_args!("{} {error}", table.name)),
        Err(error) => check.wrong(format_args!("{}: {error}", table.key("certificate"))),
    }
}

fn store(check: &Check, mut table: Table) -> Option<Store> {
    let url = table.text(check, "url").unwrap_or_else(|| "memory".to_owned());
    let kept = url != "memory";
    // Not the URL: there may be a password in it.
    let url = match url.split_once(':') {
        None if !kept => url,
        Some(("sqlite", path)) => format!("sqlite:{}", check.folder.join(path.trim_start_matches("//")).display()),
        Some(("postgres" | "postgresql" | "redis" | "rediss", _)) => url,
        _ => check
            .wrong("[store] url: \"memory\", or one of sqlite:, postgres:// and redis:// is expected")
            .unwrap_or(url),
    };
    if kept && !cfg!(feature = "stores") {
        check.wrong::<()>("[store] url: this program was built without engines; cargo's feature `stores` has them");
    }
    let needs = !kept || table.needs(check, "pepper_file");
    let pepper = needs.then(|| table.secret(check, "pepper_file")).flatten();
    let pepper = pepper.and_then(|bytes| match Pepper::new(&bytes) {
        Ok(_) => Some(bytes),
        Err(error) => check.wrong(format_args!("[store] pepper_file: {error}")),
    });
    let gateway_id = table.text(check, "gateway_id");
    if let Some(id) = &gateway_id
        && (id.is_empty()
            || 64 < id.len()
            || !id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
    {
        check.wrong::<()>("[store] gateway_id: 1 to 64 letters, digits and -_. are expected");
    }
    table.end(check);
    Some(Store {
        url,
        pepper,
        gateway_id,
    })
}

fn tokens(check: &Check, mut table: Table) -> Tokens {
    let tokens = Tokens {
        ttl: table.number(check, "ttl_seconds", 1..=TTL_MAX).unwrap_or(TTL),
        spice_ttl: table
            .number(check, "spice_ttl_seconds", 1..=TTL_MAX)
            .unwrap_or(SPICE_TTL),
        reconnect: table.seconds(check, "reconnect_seconds", RECONNECT_MAX, 0),
    };
    table.end(check);
    tokens
}

fn operate(check: &Check, mut table: Table) -> Option<Operate> {
    let audit = table.text(check, "audit").map(|path| check.folder.join(path));
    let drain = table.seconds(check, "drain_seconds", DRAIN_MAX, DRAIN);
    let ports = table.text(check, "serial_ports");
    let ports = match ports.as_deref().map(str::parse) {
        None => Some(PortRange::DEFAULT),
        Some(Ok(ports)) => Some(ports),
        Some(Err(error)) => check.wrong(format_args!("[operate] serial_ports: {error}")),
    };
    table.end(check);
    Some(Operate {
        audit,
        drain,
        serial_ports: ports?,
    })
}

/// How many connections there may be; and of them to the API.
fn limits(check: &Check, mut table: Table) -> (Limits, Option<NonZeroU32>) {
    let mut most = |key: &str| {
        let most = table.number(check, key, 1..=CONNECTIONS_MAX)?;
        NonZeroU32::new(u32::try_from(most).ok()?)
    };
    let limits = Limits {
        accepted: most("accepted"),
        linked: most("linked"),
        open: most("open"),
    };
    let of_api = most("api");
    table.end(check);
    (limits, of_api)
}

fn pages(check: &Check, mut table: Table) -> Pages {
    let mut folder = |key: &str, usual: &str| {
        let named = table.text(check, key);
        let path = check.folder.join(named.as_deref().unwrap_or(usual));
        if named.is_some() && !path.is_dir() {
            check.wrong::<()>(format_args!("[pages] {key}: {} is no folder", path.display()));
        }
        path
    };
    let pages = Pages {
        novnc: folder("novnc", "/usr/share/novnc"),
        spice_html5: folder("spice_html5", "/usr/share/spice-html5"),
        xterm: folder("xterm", "/usr/share/nodejs/xterm"),
    };
    table.end(check);
    pages
}

/// What may pass: of the gateway, or of a console.
fn rules(check: &Check, table: Table) -> Rules {
    let what = table.name.clone();
    let keys = table.into_keys();
    match Rules::deserialize(keys) {
        Ok(rules) => rules,
        Err(error) => check
            .wrong(format_args!("{what} {}", error.message().trim_end()))
            .unwrap_or_default(),
    }
}

impl Rules {
    fn deserialize(keys: toml::Table) -> Result<Self, toml::de::Error> {
        // Key by key, so that the complaint names the key.
        for (key, value) in &keys {
            let one = toml::Table::from_iter([(key.clone(), value.clone())]);
            if let Err(error) = one.try_into::<Self>() {
                let message = match error.message() {
                    message if message.starts_with("unknown field") => format!("{key}: unknown key"),
                    message => format!("{key}: {}", message.trim_end()),
                };
                return Err(serde::de::Error::custom(message));
            }
        }
        keys.try_into()
    }
}

/// Networks, each a text.
fn networks(check: &Check, table: &mut Table, key: &str) -> Vec<Network> {
    let texts = table.texts(check, key);
    let read = |text: String| match text.parse() {
        Ok(network) => Some(network),
        Err(_) => check.wrong(format_args!(
            "{}: {text:?} is no network, as \"10.0.0.0/8\"",
            table.key(key)
        )),
    };
    texts.into_iter().filter_map(read).collect()
}

/// Origins, each a text.
fn origins(check: &Check, table: &mut Table, key: &str) -> Vec<Origin> {
    let texts = table.texts(check, key);
    let read = |text: String| match text.parse() {
        Ok(origin) => Some(origin),
        Err(error) => check.wrong(format_args!("{}: {text:?}: {error}", table.key(key))),
    };
    texts.into_iter().filter_map(read).collect()
}

/// The token of an API.
fn api_token(check: &Check, table: &mut Table, shortest: usize) -> Option<Secret> {
    let there = table.needs(check, "token_file");
    there.then(|| table.token(check, "token_file", shortest)).flatten()
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
