//! The proxy of a SPICE connection, as spice-gtk reads it.
//!
//! ```text
//! proxy  = [ scheme "://" ] [ user [ ":" password ] "@" ] host [ ":" port ] *"/"
//! scheme = "http" / "https"                                                  in lower case
//! user   = 1*( any but ":" "@" )                                             password likewise
//! host   = "[" address "]" / name                                            as in the key host
//! port   = 1*DIGIT                                                           1 to 65535
//! ```
//! Nothing is percent-decoded. Without a port it is 3128 for `http` and 3129 for `https`. What stands before the first
//! colon is a scheme wherever it can be one: `proxy:3128` has the scheme `proxy`.
//!
//! A viewer that cannot read the proxy connects to the host directly, and says so in its log only. Each
//! [`ProxyError`] tells what a viewer does with such a text.

use alloc::string::String;
use core::fmt;

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_till, take_while},
    character::complete::satisfy,
    combinator::recognize,
    sequence::terminated,
};

use crate::{error::ProxyError, host, secret::Secret};

/// How a proxy is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheme {
    /// In the clear.
    #[default]
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The port where none is given.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 3128,
            Self::Https => 3129,
        }
    }
}

/// A proxy. `Debug` and `Display` do not show the password.
///
/// ```
/// use vv_file::proxy::Proxy;
/// let proxy = Proxy::parse("http://user:secret@[2001:db8::1]:8080/")?;
/// assert_eq!((proxy.host.as_str(), proxy.port), ("2001:db8::1", 8080));
/// assert_eq!(proxy.to_string(), "http://user:***@[2001:db8::1]:8080");
/// # Ok::<(), vv_file::error::ProxyError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Proxy {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// User name.
    pub user: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Name or address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Proxy {
    /// Reads the text of the key `proxy`.
    ///
    /// # Errors
    /// What a viewer ignores ([`ProxyError::is_bypassed`]), cannot connect through, or reads otherwise than it looks.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let (name, scheme, rest) = scheme(text)?;
        let (credentials, address) = split_credentials(rest.trim_end_matches('/'))?;
        let (host, digits) = split_address(address)?;
        let port = digits.map_or(Ok(scheme.default_port()), port_number)?;
        // From here on a viewer does use the proxy, or tries to.
        let (user, password) = credentials.map_or(Ok((None, None)), read_credentials)?;
        if host.contains('@') {
            return Err(ProxyError::Credentials);
        }
        if !host::is_host(host) {
            return Err(ProxyError::Host);
        }
        if name.contains(|character: char| character.is_ascii_uppercase()) {
            return Err(ProxyError::UpperCase);
        }
        let is_regular = digits.is_none_or(is_decimal) && (host.contains(':') || !address.starts_with('['));
        if !is_regular {
            return Err(ProxyError::Irregular);
        }
        Ok(Self {
            scheme,
            user: user.map(String::from),
            password: password.map(Secret::new),
            host: host.into(),
            port,
        })
    }
}

/// The scheme as it is written, what it means, and what follows.
fn scheme(text: &str) -> Result<(&str, Scheme, &str), ProxyError> {
    let letters = take_while(|character: char| character.is_ascii_alphanumeric() || "+-.".contains(character));
    let name = recognize((satisfy(|character| character.is_ascii_alphabetic()), letters));
    let parsed: IResult<_, _> = terminated(name, tag(":")).parse(text);
    let Ok((rest, name)) = parsed else {
        return Ok(("", Scheme::Http, text));
    };
    let scheme = match name {
        _ if name.eq_ignore_ascii_case("http") => Scheme::Http,
        _ if name.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => return Err(ProxyError::Scheme),
    };
    let rest = rest.strip_prefix("//").ok_or(ProxyError::Slashes)?;
    Ok((name, scheme, rest))
}

/// What stands before the first `@`, and what behind it.
fn split_credentials(authority: &str) -> Result<(Option<&str>, &str), ProxyError> {
    match authority.split_once('@') {
        // spice-gtk takes the first of the parts between all `@` for the user, and has none here.
        Some(_) if authority.chars().all(|character| character == '@') => Err(ProxyError::Crash),
        Some(("", address)) => Ok((Some(""), before_user(address))),
        Some((credentials, address)) => Ok((Some(credentials), address)),
        None => Ok((None, authority)),
    }
}

/// What spice-gtk leaves of an address that has nothing before its `@`: it takes the user and the password out of the
/// address itself, and ends it where the user ends.
fn before_user(address: &str) -> &str {
    let user = take_till(|character| matches!(character, ':' | '@'));
    let mut rest = recognize((take_while(|c| c == '@'), take_while(|c| c == ':'), user));
    let parsed: IResult<_, _> = rest.parse(address);
    parsed.map_or(address, |(_, rest)| rest)
}

fn read_credentials(text: &str) -> Result<(Option<&str>, Option<&str>), ProxyError> {
    match text.split_once(':') {
        None if text.is_empty() => Err(ProxyError::Credentials),
        None => Ok((Some(text), None)),
        Some((user, password)) if user.is_empty() || password.contains(':') => Err(ProxyError::Credentials),
        Some((user, "")) => Ok((Some(user), None)),
        Some((user, password)) => Ok((Some(user), Some(password))),
    }
}

/// The host, without brackets, and what stands behind the colon.
fn split_address(address: &str) -> Result<(&str, Option<&str>), ProxyError> {
    let (host, port) = match address.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(ProxyError::Malformed)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if rest.is_empty() => (host, None),
                None => return Err(ProxyError::Malformed),
            }
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    if host.is_empty() {
        return Err(ProxyError::Malformed);
    }
    Ok((host, port))
}

/// A number as C reads it, which may have blanks and a sign in front.
fn port_number(text: &str) -> Result<u16, ProxyError> {
    let unsigned = text.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    let digits = unsigned.strip_prefix('+').unwrap_or(unsigned);
    let number = is_decimal(digits).then(|| digits.parse().ok()).flatten();
    number.filter(|&port| port != 0).ok_or(ProxyError::Port)
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
        })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            f.write_str(if self.password.is_some() { ":***@" } else { "@" })?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
