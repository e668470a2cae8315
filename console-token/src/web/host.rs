//! Hosts and ports, in the one form that leaves nothing open.
//!
//! ```text
//! authority = host [ ":" port ]                RFC 3986 section 3.2, without user information
//! host      = "[" IPv6 "]" / IPv4 / name       RFC 3986 section 3.2.2, without zones and percent-encoding
//! name      = label *( "." label )             RFC 1123 section 2.1, and "_"
//! port      = 1*5 DIGIT                        1 to 65535
//! ```

use alloc::string::String;
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU16,
    str::FromStr,
};

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_till1, take_while_m_n, take_while1},
    combinator::{all_consuming, map_opt, opt},
    error::Error,
    sequence::{delimited, preceded},
};
use thiserror::Error;

/// A host: an address, or a name in lower case.
///
/// A gateway that compares hosts must read them as the programs do that connect to them. So a text that programs
/// read in different ways is an error, and [`HostError`] says which of these it is:
///
/// - numbers that `inet_aton` takes for an address (`127.1`, `0177.0.0.1`, `0x7f000001`);
/// - names with a dot at the end (`hv1.example.`): a resolver treats them as other names than those without (no
///   search list), and certificates are for those without. Write the name without the dot;
/// - zones of IPv6 addresses (`fe80::1%eth0`): they mean something on one machine only. Use an address that is not
///   link-local;
/// - letters other than ASCII (`bücher.example`): programs convert them by different rules (IDNA 2003, IDNA 2008,
///   UTS 46). Write the name in its `xn--` form, as browsers send it;
/// - percent-encoding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A literal address.
    Address(IpAddr),
    /// A name, which somebody has to resolve.
    Name(HostName),
}

/// A name of a host: lower case, 1 to 253 bytes, its last label not a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(String);

impl HostName {
    /// The longest name, in bytes (RFC 1035 section 2.3.4, without the lengths and the root).
    pub const MAX_LEN: usize = 253;

    /// The longest label, in bytes.
    pub const MAX_LABEL: usize = 63;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let is_label = |label: &str| {
            (1..=Self::MAX_LABEL).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let fits = text.len() <= Self::MAX_LEN && text.split('.').all(is_label) && !Self::ends_in_number(text);
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// What ends in a number is an address to browsers and to `inet_aton` (URL Standard, "ends in a number").
    fn ends_in_number(text: &str) -> bool {
        let label = text.rsplit('.').next().unwrap_or_default();
        let is_decimal = !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit());
        is_decimal || label.get(..2).is_some_and(|prefix| prefix.eq_ignore_ascii_case("0x"))
    }
}

impl Host {
    /// What stands in front of a port: IPv6 in brackets.
    pub(super) fn parse_literal(input: &str) -> IResult<&str, Self> {
        if input.starts_with('[') {
            let address = map_opt(take_till1(|character| character == ']'), |text: &str| {
                text.parse::<Ipv6Addr>().ok()
            });
            return delimited(tag("["), address, tag("]"))
                .map(|address| Self::Address(address.into()))
                .parse(input);
        }
        // Colons are the port's, and all else is looked at by `unbracketed`.
        map_opt(take_while1(|character| character != ':'), Self::unbracketed).parse(input)
    }

    fn unbracketed(text: &str) -> Option<Self> {
        match text.parse::<Ipv4Addr>() {
            Ok(address) => Some(Self::Address(address.into())),
            Err(_) => HostName::read(text).map(Self::Name),
        }
    }
}

impl FromStr for Host {
    type Err = HostError;

    /// Reads a host that stands alone: IPv6 with brackets or without.
    fn from_str(text: &str) -> Result<Self, HostError> {
        if let Ok(address) = text.parse::<Ipv6Addr>() {
            return Ok(Self::Address(address.into()));
        }
        match all_consuming(Self::parse_literal).parse(text) {
            Ok((_, host)) => Ok(host),
            Err(_) => Err(HostError::of_host(text)),
        }
    }
}

impl fmt::Display for Host {
    /// As it stands in a URL: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Name(name) => f.write_str(&name.0),
        }
    }
}

/// A host, and a port if one is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Authority {
    /// The host.
    pub host: Host,
    /// The port.
    pub port: Option<NonZeroU16>,
}

impl Authority {
    pub(super) fn parse(input: &str) -> IResult<&str, Self> {
        (Host::parse_literal, opt(preceded(tag(":"), parse_port)))
            .map(|(host, port)| Self { host, port })
            .parse(input)
    }
}

impl FromStr for Authority {
    type Err = HostError;

    /// Reads `host`, `host:port`, `[IPv6]` or `[IPv6]:port`. User information in front (`user@host`) is refused.
    fn from_str(text: &str) -> Result<Self, HostError> {
        match all_consuming(Self::parse).parse(text) {
            Ok((_, authority)) => Ok(authority),
            Err(_) => Err(HostError::of_authority(text)),
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// One to five digits: 1 to 65535.
pub(super) fn parse_port(input: &str) -> IResult<&str, NonZeroU16, Error<&str>> {
    /// As many as 65535 has.
    const MAX_DIGITS: usize = 5;
    let digits = take_while_m_n(1, MAX_DIGITS, |character: char| character.is_ascii_digit());
    map_opt(digits, |digits: &str| digits.parse().ok().and_then(NonZeroU16::new)).parse(input)
}

/// Why a text is not a host, or not a host with a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum HostError {
    /// There is no text in place of the host.
    #[error("no host")]
    Empty,
    /// A name or an IPv4 address with a dot at its end, as `hv1.example.`.
    #[error("a host with a dot at its end: it has to be written without")]
    TrailingDot,
    /// An IPv6 address with a zone, as `fe80::1%eth0`.
    #[error("an IPv6 address with a zone: zones are not supported")]
    Zone,
    /// Characters that are not ASCII, as in `bücher.example`.
    #[error("a name with letters other than ASCII: it has to be written in its xn-- form")]
    NotAscii,
    /// The last label is a number, but the text is not an IPv4 address in dotted decimal form: `127.1`, `0x7f000001`.
    #[error("a number that is not an IPv4 address in dotted decimal form")]
    Number,
    /// An IPv6 address without brackets where a port can follow.
    #[error("an IPv6 address without brackets where a port can follow")]
    Brackets,
    /// The port is missing, or not 1 to 65535.
    #[error("no port of 1 to 65535")]
    Port,
    /// Something else that is not a host.
    #[error("not a host")]
    Malformed,
}

impl HostError {
    /// What is wrong with a text that is not a host.
    fn of_host(text: &str) -> Self {
        if text.is_empty() {
            Self::Empty
        } else if !text.is_ascii() {
            Self::NotAscii
        } else if Self::is_zoned(text) {
            Self::Zone
        } else if text
            .strip_suffix('.')
            .is_some_and(|rest| Host::unbracketed(rest).is_some())
        {
            Self::TrailingDot
        } else if HostName::ends_in_number(text) {
            Self::Number
        } else {
            Self::Malformed
        }
    }

    /// What is wrong with a text that is not a host with or without a port.
    fn of_authority(text: &str) -> Self {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Self::Brackets;
        }
        let host = match text.rsplit_once(':') {
            // Colons in front of the last are those of an IPv6 address, and need brackets.
            Some((host, _)) if !host.contains(':') || host.ends_with(']') => host,
            _ => text,
        };
        match host.parse::<Host>() {
            Ok(_) => Self::Port,
            Err(error) => error,
        }
    }

    fn is_zoned(text: &str) -> bool {
        let address = text.strip_prefix('[').unwrap_or(text).split_once('%');
        address.is_some_and(|(address, _)| address.parse::<Ipv6Addr>().is_ok())
    }
}
