//! Which page a WebSocket comes from, and whether it may.
//!
//! Browsers let every page open a WebSocket to everywhere, cookies included, and say which page it was: the
//! origin (RFC 6454). A gateway that does not look at it can be used by any page that its user opens
//! (CVE-2015-0259).

use alloc::vec::Vec;
use core::{fmt, net::IpAddr, num::NonZeroU16, str::FromStr};

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::tag_no_case,
    combinator::{all_consuming, value},
};
use thiserror::Error;

use super::{Authority, Host, HostError, Network, host::parse_port};

/// The scheme of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`: its WebSockets are `ws`.
    Http,
    /// `https`: its WebSockets are `wss`.
    Https,
}

impl Scheme {
    /// The port that need not be named.
    #[must_use]
    pub const fn default_port(self) -> NonZeroU16 {
        const HTTP: NonZeroU16 = NonZeroU16::new(80).unwrap();
        const HTTPS: NonZeroU16 = NonZeroU16::new(443).unwrap();
        match self {
            Self::Http => HTTP,
            Self::Https => HTTPS,
        }
    }
}

/// An origin: scheme, host and port (RFC 6454 section 4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The scheme.
    pub scheme: Scheme,
    /// The host.
    pub host: Host,
    /// The port, named or not.
    pub port: NonZeroU16,
}

impl FromStr for Origin {
    type Err = OriginError;

    /// Reads `https://host` or `https://host:port`, and nothing behind it (RFC 6454 section 6.2).
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let mut scheme = alt((
            value(Scheme::Https, tag_no_case("https://")),
            value(Scheme::Http, tag_no_case("http://")),
        ));
        let parsed: IResult<_, _> = scheme.parse(text);
        let (authority, scheme) = parsed.map_err(|_| OriginError::Malformed)?;
        let authority = authority.parse().map_err(|error| match error {
            HostError::Malformed => OriginError::Malformed,
            error => OriginError::InvalidHost(error),
        })?;
        Ok(Self::of(scheme, authority))
    }
}

impl Origin {
    fn of(scheme: Scheme, authority: Authority) -> Self {
        Self {
            scheme,
            host: authority.host,
            port: authority.port.unwrap_or(scheme.default_port()),
        }
    }
}

impl fmt::Display for Origin {
    /// As browsers write it: without the port that need not be named.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == self.scheme.default_port() {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

/// What a request says about where it comes from. A header that came more than once has more than one value.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Request<'a> {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether the connection is TLS.
    pub tls: bool,
    /// `Host`.
    pub host: &'a [&'a str],
    /// `Origin`.
    pub origin: &'a [&'a str],
    /// `X-Forwarded-Proto`: the scheme that a proxy in front of us was asked with.
    pub forwarded_proto: &'a [&'a str],
    /// `X-Forwarded-Host`: the `Host` that it was asked for.
    pub forwarded_host: &'a [&'a str],
    /// `X-Forwarded-Port`: the port that it was asked at, unless its `Host` names one.
    pub forwarded_port: &'a [&'a str],
}

impl<'a> Request<'a> {
    /// A request with these `Host` and `Origin` headers, and none of a proxy.
    #[must_use]
    pub const fn new(peer: IpAddr, tls: bool, host: &'a [&'a str], origin: &'a [&'a str]) -> Self {
        Self {
            peer,
            tls,
            host,
            origin,
            forwarded_proto: &[],
            forwarded_host: &[],
            forwarded_port: &[],
        }
    }

    /// Sets the values of `X-Forwarded-Proto`.
    #[must_use]
    pub const fn with_forwarded_proto(mut self, values: &'a [&'a str]) -> Self {
        self.forwarded_proto = values;
        self
    }

    /// Sets the values of `X-Forwarded-Host`.
    #[must_use]
    pub const fn with_forwarded_host(mut self, values: &'a [&'a str]) -> Self {
        self.forwarded_host = values;
        self
    }

    /// Sets the values of `X-Forwarded-Port`.
    #[must_use]
    pub const fn with_forwarded_port(mut self, values: &'a [&'a str]) -> Self {
        self.forwarded_port = values;
        self
    }
}

/// The rule that says which pages may open a WebSocket.
///
/// By default: pages that were loaded from the WebSocket's own scheme, host and port, and programs that are no browser.
///
/// ```
/// use console_token::web::origin::{Caller, OriginRule, Request};
///
/// let rule = OriginRule::default().with_page("https://portal.example".parse()?);
/// let peer = "198.51.100.7".parse()?;
/// let from = |origin| rule.check(&Request::new(peer, true, &["gw.example"], &[origin]));
/// assert!(from("https://gw.example").is_ok() && from("https://portal.example").is_ok());
/// assert!(from("https://evil.example").is_err() && from("http://gw.example").is_err());
/// assert_eq!(rule.check(&Request::new(peer, true, &["gw.example"], &[])), Ok(Caller::NoBrowser));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct OriginRule {
    pages: Vec<Origin>,
    hosts: Vec<Host>,
    proxies: Vec<Network>,
    same_origin: bool,
    no_browser: bool,
}

impl Default for OriginRule {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            hosts: Vec::new(),
            proxies: Vec::new(),
            same_origin: true,
            no_browser: true,
        }
    }
}

/// The opener of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A page of this origin.
    Page(Origin),
    /// A program that names no origin.
    NoBrowser,
}

impl OriginRule {
    /// Admits the pages of one more origin.
    #[must_use]
    pub fn with_page(mut self, origin: Origin) -> Self {
        self.pages.push(origin);
        self
    }

    /// Admits the pages of one more host, at any port, if their scheme is our own: what an entry of Nova's
    /// `[console]allowed_origins` does.
    #[must_use]
    pub fn with_host(mut self, host: Host) -> Self {
        self.hosts.push(host);
        self
    }

    /// Believes the `X-Forwarded-*` headers of proxies from these addresses. Those of everybody else are not looked at.
    #[must_use]
    pub fn with_proxy(mut self, network: Network) -> Self {
        self.proxies.push(network);
        self
    }

    /// Whether pages may come that were loaded from where the WebSocket goes. Default: true.
    #[must_use]
    pub const fn with_same_origin(mut self, admitted: bool) -> Self {
        self.same_origin = admitted;
        self
    }

    /// Whether requests without an origin may come: those of programs, which could as well name one. Default: true.
    #[must_use]
    pub const fn with_no_browser(mut self, admitted: bool) -> Self {
        self.no_browser = admitted;
        self
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }

    /// The opener of this WebSocket, if the rule allows it.
    ///
    /// # Errors
    ///
    /// [`OriginError`], to be answered with 403.
    pub fn check(&self, request: &Request<'_>) -> Result<Caller, OriginError> {
        let origin: Origin = match request.origin {
            [] if self.no_browser => return Ok(Caller::NoBrowser),
            [] => return Err(OriginError::Missing),
            ["null"] => return Err(OriginError::Opaque),
            [origin] => origin.parse()?,
            _ => return Err(OriginError::Ambiguous),
        };
        let is_listed = self.pages.contains(&origin);
        if is_listed {
            return Ok(Caller::Page(origin));
        }
        let own = self.own(request)?;
        let is_own = self.same_origin && own == origin;
        let is_neighbour = own.scheme == origin.scheme && self.hosts.contains(&origin.host);
        if is_own || is_neighbour {
            Ok(Caller::Page(origin))
        } else {
            Err(OriginError::Foreign)
        }
    }

    /// The origin that a page would have that was loaded from where this request goes.
    ///
    /// # Errors
    ///
    /// [`OriginError::Host`] when the headers do not tell, or tell more than one.
    pub fn own(&self, request: &Request<'_>) -> Result<Origin, OriginError> {
        let trusts = self.trusts(request.peer);
        let forwarded = |values| if trusts { agreed(values) } else { Ok(None) };
        let scheme = match forwarded(request.forwarded_proto)? {
            None if request.tls => Scheme::Https,
            None => Scheme::Http,
            Some(proto) if ["https", "wss"].iter().any(|name| proto.eq_ignore_ascii_case(name)) => Scheme::Https,
            Some(proto) if ["http", "ws"].iter().any(|name| proto.eq_ignore_ascii_case(name)) => Scheme::Http,
            Some(_) => return Err(OriginError::Host),
        };
        let host = match (forwarded(request.forwarded_host)?, request.host) {
            (Some(host), _) => host,
            (None, [host]) => *host,
            (None, _) => return Err(OriginError::Host),
        };
        let mut authority: Authority = host.parse().map_err(|_| OriginError::Host)?;
        if let (None, Some(port)) = (authority.port, forwarded(request.forwarded_port)?) {
            let (_, port) = all_consuming(parse_port).parse(port).map_err(|_| OriginError::Host)?;
            authority.port = Some(port);
        }
        Ok(Origin::of(scheme, authority))
    }

    /// The address of the client, for logs and for limits by source: the last in the values of `X-Forwarded-For` that
    /// is no proxy of ours, as far as each of them was told by one; or else the peer.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &[&str]) -> IpAddr {
        let mut told = forwarded_for.iter().rev().flat_map(|value| value.rsplit(','));
        let mut client = peer.to_canonical();
        while self.trusts(client) {
            let Some(address) = told.next().and_then(|text| address(text.trim_matches([' ', '\t']))) else {
                break;
            };
            client = address.to_canonical();
        }
        client
    }
}

/// An entry of `X-Forwarded-For`: an address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    match text.parse() {
        Ok(Authority {
            host: Host::Address(address),
            ..
        }) => Some(address),
        _ => None,
    }
}

/// The one value that all say: proxies append to these headers, or write them again, and which of two is right
/// cannot be told.
fn agreed<'a>(values: &[&'a str]) -> Result<Option<&'a str>, OriginError> {
    let mut values = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|value| value.trim_matches([' ', '\t']));
    let first = values.next();
    if values.any(|other| Some(other) != first) {
        return Err(OriginError::Host);
    }
    Ok(first)
}

/// Why a page may not open a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OriginError {
    /// `Origin` is no origin of the web.
    #[error("not an origin")]
    Malformed,
    /// `Origin` has a host or a port that is wrong in this way.
    #[error("not an origin: {0}")]
    InvalidHost(HostError),
    /// `Origin: null`: a page without an origin, as in a sandbox or a local file.
    #[error("a page without an origin")]
    Opaque,
    /// There is more than one `Origin`.
    #[error("more than one origin")]
    Ambiguous,
    /// There is no `Origin`, and programs are not admitted.
    #[error("no origin")]
    Missing,
    /// The page is none of ours.
    #[error("a page from elsewhere")]
    Foreign,
    /// What the page would have to be cannot be told: `Host` or `X-Forwarded-*` is missing, broken, or says two things.
    #[error("the request does not tell where it goes")]
    Host,
}
