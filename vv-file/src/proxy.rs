//! The proxy of a SPICE connection, as spice-gtk reads it.
//!
//! ```text
//! proxy  = [ scheme "://" ] [ user ":" password "@" ] host [ ":" port ] *"/"
//! scheme = "http" / "https"                                                  in any case
//! host   = "[" address "]" / 1*( any but ":" "/" )
//! port   = 1*DIGIT                                                           1 to 65535
//! ```
//! Nothing is percent-decoded. Without a port it is 3128 for `http` and 3129 for `https`.

use alloc::string::String;
use core::fmt;

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, tag_no_case, take_while},
    character::complete::digit1,
    combinator::{all_consuming, map, opt, verify},
    sequence::{delimited, preceded},
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
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((credentials, address)) => (Some(credentials), address),
            None => (None, authority),
        };
        let (user, password) = match credentials.map(|text| text.split_once(':')) {
            Some(Some((user, password))) => (Some(user.into()), Some(Secret::new(password))),
            Some(None) => (credentials.map(String::from), None),
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
    let Some((name, rest)) = text.split_once("://") else {
        return Ok((text, Scheme::Http));
    };
    let scheme: IResult<_, _> = all_consuming(alt((
        map(tag_no_case("https"), |_| Scheme::Https),
        map(tag_no_case("http"), |_| Scheme::Http),
    )))
    .parse(name);
    scheme.map(|(_, scheme)| (rest, scheme)).map_err(|_| ProxyError::Scheme)
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
