//! libvirt-console-proxy: a resolver's answers, and its file of tokens.
//!
//! ```text
//! GET <resolver>/token/<token>
//! 200 {"type": "vnc" / "spice" / "serial", "address": "host:port", "insecure": .., "tlsTunnel": .., "password": ..}
//! 404 No token found
//! ```
//! Sources: `pkg/proxy/service.go` and `resolver.go`, and `pkg/resolver/server.go`.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt::{self, Write as _};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{ResolverError, endpoint, host_and_port};
use crate::{
    Secret, Target,
    json::{self, OrNothing, Quoted},
};

/// The longest answer that is read, in bytes.
pub const MAX_LEN: usize = 4096;

/// The longest file of tokens that is read, in bytes: about 8000 of them.
pub const MAX_FILE: usize = 1 << 20;

/// The longest password, in bytes: that of a SPICE ticket.
pub const MAX_PASSWORD: usize = Secret::SPICE_PASSWORD_MAX;

/// The code and the text of the answer for a token that is not known.
pub const NOT_FOUND: (u16, &str) = (404, "No token found");

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path behind the resolver's URL that a token is asked for at: `token/{token}`. As secret as the token. It is
/// percent-encoded here, which the proxy itself forgets.
#[must_use]
pub fn path(token: &Secret) -> Zeroizing<String> {
    json::write(format_args!("token/{}", utf8_percent_encode(token.expose(), RESERVED)))
}

/// The kind of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `vnc`.
    Vnc,
    /// `spice`.
    Spice,
    /// `serial`.
    Serial,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Vnc => "vnc",
            Self::Spice => "spice",
            Self::Serial => "serial",
        }
    }
}

/// What a token leads to. `Debug` shows no password.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// `type`.
    pub kind: Kind,
    /// `address`: the port is a TLS port if there is a tunnel.
    pub target: Target,
    /// `insecure`: without TLS of any kind.
    pub insecure: bool,
    /// `password`: that of the console itself; at most [`MAX_PASSWORD`] bytes, empty is none.
    pub password: Option<Zeroizing<String>>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let password = self.password.as_ref().map(|_| "redacted");
        f.debug_struct("Answer")
            .field("kind", &self.kind)
            .field("target", &self.target)
            .field("insecure", &self.insecure)
            .field("password", &password)
            .finish()
    }
}

/// As in Go, members that are missing are empty, and others are not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    tls_tunnel: bool,
    #[serde(default, borrow)]
    password: Cow<'a, str>,
}

impl TryFrom<Members<'_>> for Answer {
    type Error = ResolverError;

    fn try_from(members: Members<'_>) -> Result<Self, ResolverError> {
        let password = json::wiped(members.password);
        let kind = match &*members.kind {
            "vnc" => Kind::Vnc,
            "spice" => Kind::Spice,
            "serial" => Kind::Serial,
            _ => return Err(ResolverError::Member("type")),
        };
        if MAX_PASSWORD < password.len() {
            return Err(ResolverError::Member("password"));
        }
        // The proxy refuses both, when it connects.
        if members.insecure && members.tls_tunnel {
            return Err(ResolverError::Member("tlsTunnel"));
        }
        let (host, port) = endpoint(&members.address)?;
        let (port, tls_port) = if members.tls_tunnel {
            (None, Some(port))
        } else {
            (Some(port), None)
        };
        Ok(Self {
            kind,
            target: Target::Host { host, port, tls_port },
            insecure: members.insecure,
            password: Some(password).filter(|password| !password.is_empty()),
        })
    }
}

impl Answer {
    /// Reads an answer.
    ///
    /// # Errors
    ///
    /// [`ResolverError::Json`], [`ResolverError::Member`].
    pub fn from_json(json: &[u8]) -> Result<Self, ResolverError> {
        json::read::<Members<'_>>(json, MAX_LEN)?.try_into()
    }

    /// Writes an answer.
    ///
    /// # Errors
    ///
    /// [`ResolverError::Target`] for anything but one TCP port of a host that is no TLS port if it is
    /// [`insecure`](Self::insecure); [`ResolverError::Member`] for a password that is too long.
    pub fn to_json(&self) -> Result<Zeroizing<String>, ResolverError> {
        let (host, port) = host_and_port(&self.target)?;
        let tunnel = matches!(self.target, Target::Host { tls_port: Some(_), .. });
        if tunnel && self.insecure {
            return Err(ResolverError::Target);
        }
        let password = self.password.as_ref().map_or("", |password| password.as_str());
        if MAX_PASSWORD < password.len() {
            return Err(ResolverError::Member("password"));
        }
        let (name, quoted) = if password.is_empty() {
            ("", None)
        } else {
            (r#","password":"#, Some(Quoted(password)))
        };
        Ok(json::write(format_args!(
            r#"{{"type":"{}","address":"{host}:{port}","insecure":{},"tlsTunnel":{tunnel}{name}{}}}"#,
            self.kind.as_str(),
            self.insecure,
            OrNothing(quoted),
        )))
    }
}

/// A file of tokens: an object with an answer for each.
struct File<'a>(Vec<(Cow<'a, str>, Members<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for File<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = File<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tokens")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<File<'de>, M::Error> {
                #[derive(Deserialize)]
                struct Token<'a>(#[serde(borrow)] Cow<'a, str>);

                let mut entries = Vec::new();
                while let Some((Token(token), members)) = map.next_entry()? {
                    entries.push((token, members));
                }
                Ok(File(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// Looks a token up in a file of them. `None`: it is not there. Every token of the file is compared, each in constant
/// time.
///
/// # Errors
///
/// [`ResolverError::Json`] for the file, [`ResolverError::Token`] for a token that is there twice, and those of
/// [`Answer::from_json`] for its own entry.
pub fn lookup(file: &[u8], token: &Secret) -> Result<Option<Answer>, ResolverError> {
    let File(entries) = json::read(file, MAX_FILE)?;
    let mut found = None;
    for (own, members) in entries {
        let own = json::wiped(own);
        if bool::from(own.as_bytes().ct_eq(token.expose().as_bytes())) {
            if found.is_some() {
                return Err(ResolverError::Token);
            }
            found = Some(members);
        }
    }
    found.map(Answer::try_from).transpose()
}

/// Writes a file of tokens.
///
/// # Errors
///
/// Those of [`Answer::to_json`], and [`ResolverError::Token`] for a token that is there twice.
pub fn write_file<'a>(
    entries: impl IntoIterator<Item = (&'a Secret, &'a Answer)>,
) -> Result<Zeroizing<String>, ResolverError> {
    let mut lines: Vec<(&Secret, Zeroizing<String>)> = Vec::new();
    for (token, answer) in entries {
        if lines.iter().any(|(other, _)| *other == token) {
            return Err(ResolverError::Token);
        }
        lines.push((token, answer.to_json()?));
    }
    Ok(json::write(format_args!("{{{}}}\n", Lines(&lines))))
}

struct Lines<'a>(&'a [(&'a Secret, Zeroizing<String>)]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (token, answer)) in self.0.iter().enumerate() {
            if index != 0 {
                f.write_char(',')?;
            }
            write!(f, "\n  {}: {}", Quoted(token.expose()), **answer)?;
        }
        if self.0.is_empty() { Ok(()) } else { f.write_char('\n') }
    }
}
