//! A proxy asks what a token leads to.

use alloc::{borrow::Cow, string::String};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::{MAX_LEN, Microversion, NovaError};
use crate::{
    AccessPath, ConsoleType, Grant, Secret, Target,
    json::{self, OrNothing, OrNull, Quoted},
    secret::UUID_GROUPS,
};

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path that a token is asked for at: `os-console-auth-tokens/{token}`. As secret as the token.
#[must_use]
pub fn show_path(token: &Secret) -> Zeroizing<String> {
    json::write(format_args!(
        "os-console-auth-tokens/{}",
        utf8_percent_encode(token.expose(), RESERVED)
    ))
}

/// Refuses a request for a token that has the wrong version, or a query (of the URL, without its `?`).
///
/// # Errors
///
/// [`NovaError::Version`], [`NovaError::Query`].
pub fn check_show(version: Microversion, query: &str) -> Result<(), NovaError> {
    if version < Microversion::V2_31 {
        Err(NovaError::Version)
    } else if Microversion::V2_99 <= version && !query.is_empty() {
        Err(NovaError::Query)
    } else {
        Ok(())
    }
}

/// What a token leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShowAnswer {
    /// `instance_uuid`: the server.
    pub instance_uuid: String,
    /// `host`: the hypervisor.
    pub host: Option<String>,
    /// `port`.
    pub port: u16,
    /// `tls_port`: from 2.99 on there for spice-direct, and for that only; then it may be null.
    pub tls_port: Option<Option<u16>>,
    /// `internal_access_path`.
    pub internal_access_path: Option<AccessPath>,
}

#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    console: Console<'a>,
}

#[derive(Deserialize)]
struct Console<'a> {
    #[serde(borrow)]
    instance_uuid: Cow<'a, str>,
    #[serde(deserialize_with = "present")]
    host: Option<String>,
    port: u16,
    #[serde(default, deserialize_with = "some")]
    tls_port: Option<Option<u16>>,
    #[serde(deserialize_with = "present")]
    internal_access_path: Option<AccessPath>,
}

/// A member that may be null but not missing.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A member that may be missing, or null.
fn some<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ShowAnswer {
    /// The answer for a token with this grant, whose [`vm`](Grant::vm) is the server.
    ///
    /// # Errors
    ///
    /// [`NovaError::Member`] for what Nova has no place for: no server, no plain port, a UNIX socket.
    pub fn of(grant: &Grant) -> Result<Self, NovaError> {
        let instance_uuid = grant.vm.as_deref().ok_or(NovaError::Member("instance_uuid"))?.into();
        let (host, port, tls_port, path) = match &grant.target {
            Target::Host { host, port, tls_port } => (host, *port, *tls_port, None),
            Target::Internal { host, port, path } => (host, Some(*port), None, Some(path.clone())),
            Target::Unix { .. } => return Err(NovaError::Member("host")),
        };
        Ok(Self {
            instance_uuid,
            host: Some(host.clone()),
            port: port.ok_or(NovaError::Member("port"))?,
            tls_port: (grant.console == ConsoleType::SpiceDirect).then_some(tls_port),
            internal_access_path: path,
        })
    }

    /// Where the console is.
    ///
    /// # Errors
    ///
    /// [`NovaError::Member`] without a host, or with port 0.
    pub fn target(&self) -> Result<Target, NovaError> {
        let host = self
            .host
            .clone()
            .filter(|host| !host.is_empty())
            .ok_or(NovaError::Member("host"))?;
        let tls_port = self.tls_port.flatten();
        if self.port == 0 || tls_port == Some(0) {
            return Err(NovaError::Member("port"));
        }
        // As Nova's proxy: an empty path is none.
        let path = self
            .internal_access_path
            .clone()
            .filter(|path| !path.expose().is_empty());
        Ok(match path {
            Some(path) => Target::Internal {
                host,
                port: self.port,
                path,
            },
            None => Target::Host {
                host,
                port: Some(self.port),
                tls_port,
            },
        })
    }

    /// Reads an answer of this version. Members that are not of it are not looked at.
    ///
    /// # Errors
    ///
    /// [`NovaError::Version`], [`NovaError::Body`], and [`NovaError::Member`] for a server that is no UUID.
    pub fn from_json(version: Microversion, json: &[u8]) -> Result<Self, NovaError> {
        check_show(version, "")?;
        let Shown { console } = json::read(json, MAX_LEN)?;
        if !is_uuid(&console.instance_uuid) {
            return Err(NovaError::Member("instance_uuid"));
        }
        Ok(Self {
            instance_uuid: console.instance_uuid.into_owned(),
            host: console.host,
            port: console.port,
            tls_port: console.tls_port.filter(|_| Microversion::V2_99 <= version),
            internal_access_path: console.internal_access_path,
        })
    }

    /// Writes an answer of this version.
    ///
    /// # Errors
    ///
    /// [`NovaError::Version`] below 2.31, and [`NovaError::Member`] for a server that is no UUID.
    pub fn to_json(&self, version: Microversion) -> Result<Zeroizing<String>, NovaError> {
        check_show(version, "")?;
        if !is_uuid(&self.instance_uuid) {
            return Err(NovaError::Member("instance_uuid"));
        }
        let tls_port = self.tls_port.filter(|_| Microversion::V2_99 <= version);
        let name = tls_port.map_or("", |_| r#","tls_port":"#);
        Ok(json::write(format_args!(
            r#"{{"console":{{"instance_uuid":"{}","host":{},"port":{},"internal_access_path":{}{name}{}}}}}"#,
            self.instance_uuid,
            OrNull(self.host.as_deref().map(Quoted)),
            self.port,
            OrNull(self.internal_access_path.as_ref().map(|path| Quoted(path.expose()))),
            OrNothing(tls_port.map(OrNull)),
        )))
    }
}

/// Groups of hexadecimal digits with dashes between.
fn is_uuid(text: &str) -> bool {
    let is_hex = |group: &str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split('-').map(str::len).eq(UUID_GROUPS) && text.split('-').all(is_hex)
}
