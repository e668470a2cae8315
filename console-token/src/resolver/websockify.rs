//! websockify: what its token plugins read.
//!
//! ```text
//! file        token ":" blank host ":" port      a line of TokenFile and ReadOnlyTokenFile; the last of a token counts
//!             token ":" blank "unix_socket:" path
//! JSON        {"host": "host", "port": port}     JSONTokenApi
//! Redis       {"host": "host:port"} / host:port  TokenRedis
//! source      host[:port[:db[:password[:namespace]]]]    of TokenRedis, words with colons in quotes
//! ```
//! Source: `websockify/token_plugins.py` of July 2025. The claims of JWTTokenApi are in
//! [`signed`](crate::signed).

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{ResolverError, bare, host_and_port};
use crate::{
    Secret, Target,
    json::{self, Quoted},
    web::Host,
};

/// The longest JSON or value that is read, in bytes.
pub const MAX_LEN: usize = 4096;

/// The host of an entry that is a UNIX socket.
const UNIX: &str = "unix_socket";

/// What a token leads to, as the file has it: nothing is wrong with it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// What is in front of the last colon.
    pub host: &'a str,
    /// What is behind it, if there is one.
    pub port: Option<&'a str>,
}

impl Entry<'_> {
    /// Where that is. Brackets around IPv6 may be there or not.
    ///
    /// # Errors
    ///
    /// [`ResolverError::Member`].
    pub fn target(&self) -> Result<Target, ResolverError> {
        match *self {
            Self {
                host: UNIX,
                port: Some(path),
            } if path.starts_with('/') => Ok(Target::Unix { path: path.into() }),
            Self { host, port: Some(port) } => host_port(host, port),
            Self { port: None, .. } => Err(ResolverError::Member("port")),
        }
    }
}

fn host_port(host: &str, port: &str) -> Result<Target, ResolverError> {
    let host: Host = host.parse().map_err(|_| ResolverError::Member("host"))?;
    let is_number = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|port| *port != 0 && is_number);
    Ok(Target::Host {
        host: bare(&host),
        port: Some(port.ok_or(ResolverError::Member("port"))?),
        tls_port: None,
    })
}

/// White space, as Python's `\s` and `str.strip` have it.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\x1c'..='\x1f')
}

/// The lines of a file: tokens and what they lead to. Lines that are none are left out, as websockify does.
pub fn entries(file: &str) -> impl Iterator<Item = (&str, Entry<'_>)> {
    file.split_inclusive(['\n', '\r']).filter_map(|line| {
        if line.starts_with('#') {
            return None;
        }
        let is_joint = |at: usize| {
            let behind = at.checked_add(1).and_then(|from| line.get(from..));
            behind.is_some_and(|behind| behind.starts_with(is_space))
        };
        let mut joints = line.match_indices(':').map(|(at, _)| at).filter(|at| is_joint(*at));
        let (Some(joint), None) = (joints.next(), joints.next()) else {
            return None;
        };
        let (token, rest) = line.split_at_checked(joint)?;
        let target = rest.strip_prefix(':')?.trim_matches(is_space);
        let entry = match target.rsplit_once(':') {
            Some((host, port)) => Entry { host, port: Some(port) },
            None => Entry {
                host: target,
                port: None,
            },
        };
        Some((token, entry))
    })
}

/// Looks a token up in a file. Every line is compared, each in constant time.
#[must_use]
pub fn lookup<'a>(file: &'a str, token: &str) -> Option<Entry<'a>> {
    let is_it = |own: &str| bool::from(own.as_bytes().ct_eq(token.as_bytes()));
    entries(file)
        .filter(|(own, _)| is_it(own))
        .map(|(_, entry)| entry)
        .last()
}

/// Writes a line of a file, with its end.
///
/// # Errors
///
/// [`ResolverError::Token`] for one that would be read as a comment; [`ResolverError::Target`] for anything but a plain
/// TCP port of a host, or a UNIX socket whose path can stand in such a line.
pub fn line(token: &Secret, target: &Target) -> Result<Zeroizing<String>, ResolverError> {
    if token.expose().starts_with('#') {
        return Err(ResolverError::Token);
    }
    let token = token.expose();
    if let Target::Unix { path } = target {
        let is_path = path.starts_with('/') && !path.contains([':', '\n', '\r']) && path.trim_matches(is_space) == path;
        return if is_path {
            Ok(json::write(format_args!("{token}: {UNIX}:{path}\n")))
        } else {
            Err(ResolverError::Target)
        };
    }
    let Target::Host { tls_port: None, .. } = target else {
        return Err(ResolverError::Target);
    };
    let (host, port) = host_and_port(target)?;
    // Without brackets: they would be part of the host.
    Ok(json::write(format_args!("{token}: {}:{port}\n", bare(&host))))
}

#[derive(Deserialize)]
struct HostAndPort<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    port: Port<'a>,
}

/// websockify hands it on to the operating system, which takes both.
#[derive(Deserialize)]
#[serde(untagged)]
enum Port<'a> {
    Number(u16),
    Text(#[serde(borrow)] Cow<'a, str>),
}

/// Reads the answer to JSONTokenApi. More members are not looked at.
///
/// # Errors
///
/// [`ResolverError::Json`], [`ResolverError::Member`].
pub fn from_json(json: &[u8]) -> Result<Target, ResolverError> {
    let HostAndPort { host, port } = json::read(json, MAX_LEN)?;
    match port {
        Port::Number(port) => host_port(&host, &alloc::format!("{port}")),
        Port::Text(port) => host_port(&host, &port),
    }
}

/// Writes the answer to JSONTokenApi.
///
/// # Errors
///
/// [`ResolverError::Target`] for anything but a plain TCP port of a host.
pub fn to_json(target: &Target) -> Result<Zeroizing<String>, ResolverError> {
    let Target::Host { tls_port: None, .. } = target else {
        return Err(ResolverError::Target);
    };
    let (host, port) = host_and_port(target)?;
    Ok(json::write(format_args!(
        r#"{{"host":{},"port":{port}}}"#,
        Quoted(&bare(&host))
    )))
}

#[derive(Deserialize)]
struct RedisHost<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
}

/// Reads a value of TokenRedis. It has no place for IPv6.
///
/// # Errors
///
/// [`ResolverError::Json`], [`ResolverError::Member`].
pub fn from_redis(value: &str) -> Result<Target, ResolverError> {
    let value = value.trim_matches(is_space);
    let host = if value.starts_with('{') {
        json::read::<RedisHost<'_>>(value.as_bytes(), MAX_LEN)?.host
    } else {
        Cow::Borrowed(value)
    };
    match host.split_once(':') {
        Some((host, port)) if !port.contains(':') => host_port(host, port),
        _ => Err(ResolverError::Member("host")),
    }
}

/// Writes a value of TokenRedis.
///
/// # Errors
///
/// [`ResolverError::Target`] for anything but a plain TCP port of a host that is not IPv6.
pub fn to_redis(target: &Target) -> Result<Zeroizing<String>, ResolverError> {
    let (Target::Host { tls_port: None, .. }, (host, port)) = (target, host_and_port(target)?) else {
        return Err(ResolverError::Target);
    };
    let host = bare(&host);
    if host.contains(':') {
        return Err(ResolverError::Target);
    }
    Ok(json::write(format_args!(r#"{{"host":"{host}:{port}"}}"#)))
}

/// The words of a source: what is between colons, or in quotes between colons.
#[must_use]
pub fn source_fields(source: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = Some(source);
    while let Some(text) = rest {
        let (field, behind) = quoted(text).unwrap_or_else(|| match text.split_once(':') {
            Some((field, behind)) => (field, Some(behind)),
            None => (text, None),
        });
        fields.push(field);
        rest = behind;
    }
    fields
}

/// A word in quotes that is not empty and ends at a colon or with the text, and what is behind that colon.
fn quoted(text: &str) -> Option<(&str, Option<&str>)> {
    let (field, behind) = text.strip_prefix('"')?.split_once('"')?;
    if field.is_empty() {
        return None;
    }
    match behind.strip_prefix(':') {
        Some(behind) => Some((field, Some(behind))),
        None if behind.is_empty() => Some((field, None)),
        None => None,
    }
}

/// Where TokenRedis finds its tokens. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisSource {
    /// The host.
    pub host: String,
    /// The port; 6379 if none is named.
    pub port: u16,
    /// The number of the database; 0 if none is named.
    pub db: u32,
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// What is in front of the tokens, with a colon between.
    pub namespace: Option<String>,
}

impl fmt::Debug for RedisSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSource")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("db", &self.db)
            .field("password", &self.password.as_ref().map(|_| "redacted"))
            .field("namespace", &self.namespace)
            .finish()
    }
}

impl RedisSource {
    /// Reads `host[:port[:db[:password[:namespace]]]]`.
    ///
    /// # Errors
    ///
    /// [`ResolverError::Member`].
    pub fn from_source(source: &str) -> Result<Self, ResolverError> {
        let fields = source_fields(source);
        let field = |at: usize| fields.get(at).copied().filter(|text| !text.is_empty());
        if 5 < fields.len() {
            return Err(ResolverError::Member("source"));
        }
        let port = field(1).map_or(Ok(6379), str::parse);
        let db = field(2).map_or(Ok(0), str::parse);
        Ok(Self {
            host: field(0).ok_or(ResolverError::Member("host"))?.into(),
            port: port
                .ok()
                .filter(|port| *port != 0)
                .ok_or(ResolverError::Member("port"))?,
            db: db.map_err(|_| ResolverError::Member("db"))?,
            password: field(3).map(|text| Zeroizing::new(text.into())),
            namespace: field(4).map(Into::into),
        })
    }

    /// The key of a token. As secret as the token.
    #[must_use]
    pub fn key(&self, token: &Secret) -> Zeroizing<String> {
        match &self.namespace {
            Some(namespace) => json::write(format_args!("{namespace}:{}", token.expose())),
            None => Zeroizing::new(token.expose().into()),
        }
    }
}
