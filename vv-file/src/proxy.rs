//! The proxy of a SPICE connection, as spice-gtk reads it.
//!
//! ```text
//! proxy  = [ scheme "://" ] [ user [ ":" password ] "@" ] host [ ":" port ] *"/"
//! scheme = "http" / "https"                                                  in any case
//! user   = 1*( any but ":" "@" )                                             password likewise
//! host   = "[" address "]" / 1*( any but ":" "/" )
//! port   = 1*DIGIT                                                           1 to 65535
//! ```
//! Nothing is percent-decoded. Without a port it is 3128 for `http` and 3129 for `https`. What stands before the first
//! colon is a scheme wherever it can be one: `proxy:3128` has the scheme `proxy`, and is ignored.

use alloc::string::String;
use core::fmt;

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, take_while},
    character::complete::{digit1, satisfy},
    combinator::{all_consuming, opt, recognize, verify},
    sequence::{delimited, preceded, terminated},
};

use crate::{error::ProxyError, secret::Secret};

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
    /// [`ProxyError::Scheme`] for what virt-viewer ignores with a warning, and then connects without a proxy;
    /// [`ProxyError::Malformed`] and [`ProxyError::Port`] for what it cannot connect through.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let (rest, scheme) = scheme(text)?;
        let authority = rest.trim_end_matches('/');
        let (credentials, address) = match authority.split_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let (user, password) = match credentials.map(|text| text.split_once(':').unwrap_or((text, ""))) {
            // spice-gtk takes the password for the user, or a part of it for all.
            Some((user, password)) if user.is_empty() || password.contains(':') => return Err(ProxyError::Malformed),
            Some((user, "")) => (Some(user.into()), None),
            Some((user, password)) => (Some(user.into()), Some(Secret::new(password))),
            None => (None, None),
        };
        let parsed: Result<_, nom::error::Error<&str>> = all_consuming(host_and_port).parse(address).finish();
        let (_, (host, port)) = parsed.map_err(|_| ProxyError::Malformed)?;
        let port = match port {
            Some(digits) => digits.parse().ok().filter(|&port| port != 0).ok_or(ProxyError::Port)?,
            None => scheme.default_port(),
        };
        Ok(Self {
            scheme,
            user,
            password,
            host: host.into(),
            port,
        })
    }
}

fn scheme(text: &str) -> Result<(&str, Scheme), ProxyError> {
    let letters = take_while(|character: char| character.is_ascii_alphanumeric() || "+-.".contains(character));
    let name = recognize((satisfy(|character| character.is_ascii_alphabetic()), letters));
    let parsed: IResult<_, _> = terminated(name, tag(":")).parse(text);
    let Ok((rest, name)) = parsed else {
        return Ok((text, Scheme::Http));
    };
    let scheme = match name {
        _ if name.eq_ignore_ascii_case("http") => Scheme::Http,
        _ if name.eq_ignore_ascii_case("https") => Scheme::Https,
        _ => return Err(ProxyError::Scheme),
    };
    let rest = rest.strip_prefix("//").ok_or(ProxyError::Malformed)?;
    Ok((rest, scheme))
}

fn host_and_port(input: &str) -> IResult<&str, (&str, Option<&str>)> {
    let address = verify(
        delimited(tag("["), take_while(|character| character != ']'), tag("]")),
        |address: &str| address.contains(':') && address.chars().all(is_address),
    );
    let name = verify(is_not(":/[]@"), |name: &str| !name.contains(char::is_whitespace));
    (alt((address, name)), opt(preceded(tag(":"), digit1))).parse(input)
}

/// What stands in an IPv6 address with its zone.
fn is_address(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, ':' | '.' | '%' | '-' | '_')
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
