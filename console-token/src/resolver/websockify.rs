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
use thiserror::Error;
use zeroize::Zeroizing;

use super::{ResolverError, bare, host_and_port};
use crate::{
    Secret, Target,
    json::{self, Quoted},
    web::Host,
};

/// The longest JSON or value that is read, in bytes.
pub const MAX_LEN: usize = 4096;

/// As many digits as the largest port has.
const PORT_DIGITS: usize = 5;

/// The port of a Redis whose source names none.
const REDIS_PORT: u16 = 6379;

/// The most fields of a Redis source.
const SOURCE_FIELDS: usize = 5;

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
    let host: Host = host.parse().map_err(ResolverError::Host)?;
    let is_number = (1..=PORT_DIGITS).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
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

/// How a line is cut. What is written by [`line()`] is the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// As released, 0.13.0 and earlier: blanks at both ends of a line do not count.
    #[default]
    Released,
    /// As in websockify's repository in July 2025, after 0.13.0: blanks in front of a token belong to it.
    Repository,
}

/// A line of a file that has a token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The number of the line, from 1.
    pub line: usize,
    /// The token.
    pub token: &'a str,
    /// What it leads to.
    pub entry: Entry<'a>,
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("line", &self.line)
            .field("entry", &self.entry)
            .finish_non_exhaustive()
    }
}

/// A line of a file that is malformed. It shows nothing of the line, where a token may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct RowError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: RowFault,
}

/// What is wrong with a line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowFault {
    /// It has no colon with a blank behind it, as `token:host:port`.
    #[error("not \"token: host:port\": no colon with a blank behind it")]
    NoSeparator,
    /// It has more than one colon with a blank behind it.
    #[error("not \"token: host:port\": more than one colon with a blank behind it")]
    Separators,
    /// What the token leads to is no target.
    #[error("{0}")]
    Target(ResolverError),
}

/// The lines of a file that are not empty and no comments, as websockify cuts them. websockify logs a malformed line,
/// leaves it out and serves the others; [`Entry::target`] can still fail for a line that was cut.
///
/// ```
/// use console_token::resolver::websockify::{Dialect, RowFault, rows};
///
/// let file = "# consoles\nabc: 192.0.2.133:5901\ndef:192.0.2.133:5902\n";
/// let rows: Vec<_> = rows(file, Dialect::Released).collect();
/// assert_eq!(rows[0].unwrap().token, "abc");
/// assert_eq!(rows[1].unwrap_err().line, 3);
/// assert_eq!(rows[1].unwrap_err().fault, RowFault::NoSeparator);
/// ```
pub fn rows(file: &str, dialect: Dialect) -> impl Iterator<Item = Result<Row<'_>, RowError>> {
    Lines { rest: file }.zip(1..).filter_map(move |(line, number)| {
        let text = match dialect {
            Dialect::Released => line.trim_matches(is_space),
            Dialect::Repository => line,
        };
        let is_empty = text.trim_matches(['\r', '\n']).is_empty();
        if is_empty || text.starts_with('#') {
            return None;
        }
        Some(match cut(text) {
            Ok((token, entry)) => Ok(Row {
                line: number,
                token,
                entry,
            }),
            Err(fault) => Err(RowError { line: number, fault }),
        })
    })
}

/// The lines of a text with their ends, which are those of Python's universal newlines: LF, CR, or both.
struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = self.rest.find(['\n', '\r']).map_or(self.rest.len(), |end| {
            let is_both = self.rest.get(end..).is_some_and(|end| end.starts_with("\r\n"));
            end.saturating_add(if is_both { 2 } else { 1 })
        });
        let (line, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        (!line.is_empty()).then_some(line)
    }
}

/// Cuts a line at its one colon with a blank behind it, and what is behind that at its last colon.
fn cut(line: &str) -> Result<(&str, Entry<'_>), RowFault> {
    let is_joint = |at: usize| {
        let behind = at.checked_add(1).and_then(|from| line.get(from..));
        behind.is_some_and(|behind| behind.starts_with(is_space))
    };
    let mut joints = line.match_indices(':').map(|(at, _)| at).filter(|at| is_joint(*at));
    let joint = joints.next().ok_or(RowFault::NoSeparator)?;
    if joints.next().is_some() {
        return Err(RowFault::Separators);
    }
    let (token, rest) = line.split_at_checked(joint).ok_or(RowFault::NoSeparator)?;
    let target = rest.strip_prefix(':').unwrap_or(rest).trim_matches(is_space);
    let entry = match target.rsplit_once(':') {
        Some((host, port)) => Entry { host, port: Some(port) },
        None => Entry {
            host: target,
            port: None,
        },
    };
    Ok((token, entry))
}

/// What is wrong with a file: the lines that are malformed, and those whose target is none. None of them can be used.
pub fn faults(file: &str) -> impl Iterator<Item = RowError> {
    rows(file, Dialect::default()).filter_map(|row| {
        let Row { line, entry, .. } = match row {
            Ok(row) => row,
            Err(error) => return Some(error),
        };
        let fault = RowFault::Target(entry.target().err()?);
        Some(RowError { line, fault })
    })
}

/// The tokens of a file and what they lead to. Malformed lines are left out, as websockify does ([`faults`] has them).
pub fn entries(file: &str) -> impl Iterator<Item = (&str, Entry<'_>)> {
    let rows = rows(file, Dialect::default()).filter_map(Result::ok);
    rows.map(|row| (row.token, row.entry))
}

/// Finds the line of a token: the last, if there is more than one. Every line is compared, each in constant time.
#[must_use]
pub fn find<'a>(file: &'a str, token: &str, dialect: Dialect) -> Option<Row<'a>> {
    let is_it = |own: &str| bool::from(own.as_bytes().ct_eq(token.as_bytes()));
    rows(file, dialect)
        .filter_map(Result::ok)
        .filter(|row| is_it(row.token))
        .last()
}

/// What a token leads to by a file, as websockify has been released: [`find`].
#[must_use]
pub fn lookup<'a>(file: &'a str, token: &str) -> Option<Entry<'a>> {
    find(file, token, Dialect::default()).map(|row| row.entry)
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
        if SOURCE_FIELDS < fields.len() {
            return Err(ResolverError::Member("source"));
        }
        let port = field(1).map_or(Ok(REDIS_PORT), str::parse);
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
