//! Where an HTTP `CONNECT` may go: to known consoles, and to nothing else.
//!
//! A gateway stands in the network of the hypervisors. One that connects where it is asked to can be used against
//! everything there, itself and the metadata service of its cloud included.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZeroU16,
    str,
};

use thiserror::Error;

use super::{
    Authority, Host, HostError, Network,
    place::{self, PlaceError, Presented, field_token},
};

/// The head of an HTTP `CONNECT` request (RFC 9110 section 9.3.6, RFC 9112 sections 2 to 5).
///
/// ```text
/// CONNECT authority HTTP/1.1 CR LF  *( name ":" value CR LF )  CR LF
/// ```
/// `Debug` shows neither the authority, which can be a token, nor any header.
pub struct Connect<'a> {
    /// What is asked for, as it was written: a host with a port, or a token in its place
    /// ([`place::connect_host`]). Not for logs.
    authority: &'a str,
    proxy_authorization: Vec<&'a str>,
    len: usize,
}

impl<'a> Connect<'a> {
    /// The longest head, in bytes.
    pub const MAX_LEN: usize = 8192;

    /// Reads a head from the bytes that came; `None` if it has not all come yet.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: to be answered with its [status](ConnectError::status), and the connection closed.
    pub fn parse(received: &'a [u8]) -> Result<Option<Self>, ConnectError> {
        const END: &[u8] = b"\r\n\r\n";
        let searched = received.get(..Self::MAX_LEN).unwrap_or(received);
        let Some(end) = searched.windows(END.len()).position(|window| window == END) else {
            return if searched.len() < Self::MAX_LEN {
                Ok(None)
            } else {
                Err(ConnectError::TooLong)
            };
        };
        let len = end.saturating_add(END.len());
        let text = received.get(..len).and_then(|head| str::from_utf8(head).ok());
        let text = text.ok_or(ConnectError::Malformed)?;
        let method = field_token(text).map_err(|_| ConnectError::Malformed)?.1;
        if method != "CONNECT" {
            return Err(ConnectError::Method);
        }
        let (authority, fields) = head(text).ok_or(ConnectError::Malformed)?;
        let is = |field: &&(&str, &str), name: &str| field.0.eq_ignore_ascii_case(name);
        // A CONNECT has no content. Some would be read by the next program on the way as a request of its own.
        if fields
            .iter()
            .any(|field| is(&field, "content-length") || is(&field, "transfer-encoding"))
        {
            return Err(ConnectError::Content);
        }
        let proxy_authorization = fields.iter().filter(|field| is(field, "proxy-authorization"));
        Ok(Some(Self {
            authority,
            proxy_authorization: proxy_authorization.map(|(_, value)| *value).collect(),
            len,
        }))
    }

    /// The length of the head, in bytes. What is behind it is the client's first bytes to the console, which should not
    /// send any before it has got its answer.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "none is empty")]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Where the client wants to go.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Host`] if that is not a host with a port.
    pub fn target(&self) -> Result<(Host, NonZeroU16), ConnectError> {
        let Authority { host, port } = self.authority.parse().map_err(ConnectError::Host)?;
        let port = port.ok_or(ConnectError::Host(HostError::Port))?;
        Ok((host, port))
    }

    /// The token that stands in place of a host.
    ///
    /// # Errors
    ///
    /// [`PlaceError`].
    pub fn host_token(&self) -> Result<Option<(Presented, NonZeroU16)>, PlaceError> {
        place::connect_host(self.authority)
    }

    /// The token in `Proxy-Authorization`.
    ///
    /// # Errors
    ///
    /// [`PlaceError`].
    pub fn token(&self) -> Result<Option<Presented>, PlaceError> {
        place::basic(self.proxy_authorization.iter().copied())
    }
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

/// The authority, and the fields by name and value. `None`: it is no head.
fn head(text: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    // httparse takes empty lines in front of a request, and lines that end without CR.
    let is_strict = text.starts_with("CONNECT ") && text.split('\n').rev().skip(1).all(|line| line.ends_with('\r'));
    // Each field has a line, so this many are enough: no more than a quarter of `MAX_LEN`.
    let mut fields = vec![httparse::EMPTY_HEADER; text.matches("\r\n").count()];
    let mut request = httparse::Request::new(&mut fields);
    let parsed = request.parse(text.as_bytes()).ok()?;
    if !is_strict || parsed != httparse::Status::Complete(text.len()) {
        return None;
    }
    let authority = request.path?;
    if !authority
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !b"/?#@\\".contains(&byte))
    {
        return None;
    }
    let fields = request.headers.iter().map(|field| {
        let value = str::from_utf8(field.value).ok()?;
        // No control characters, those above ASCII included.
        let is_text = value
            .chars()
            .all(|character| character == '\t' || !character.is_control());
        is_text.then_some((field.name, value))
    });
    Some((authority, fields.collect::<Option<_>>()?))
}

/// Why a request is no `CONNECT` that can be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Not the head of a request of HTTP/1.
    #[error("not an HTTP CONNECT")]
    Malformed,
    /// It is not for a host and a port.
    #[error("not a CONNECT to a host and a port: {0}")]
    Host(HostError),
    /// Another method.
    #[error("another method than CONNECT")]
    Method,
    /// More than [`Connect::MAX_LEN`] bytes.
    #[error("a head of more than {} bytes", Connect::MAX_LEN)]
    TooLong,
    /// It announces content.
    #[error("a CONNECT with content")]
    Content,
}

impl ConnectError {
    /// The code of the answer (RFC 9110 section 15.5, RFC 6585 section 5).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Host(_) | Self::Content => 400,
            Self::Method => 405,
            Self::TooLong => 431,
        }
    }
}

/// A range of addresses where no console is, but what is dangerous to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Special {
    /// `0.0.0.0/8`, `::`: this machine.
    Unspecified,
    /// `127.0.0.0/8`, `::1`: this machine.
    Loopback,
    /// `169.254.0.0/16`, `fe80::/10`, `fec0::/10`: this link; in clouds also the metadata service.
    LinkLocal,
    /// Metadata and control services of clouds elsewhere: `100.100.100.200` (Alibaba), `168.63.129.16` (Azure),
    /// `192.0.0.192` (Oracle), `fd00:ec2::/32` (AWS), `fd20:ce::254` (Google).
    Metadata,
    /// `224.0.0.0/4`, `ff00::/8`: no single machine.
    Multicast,
    /// `240.0.0.0/4`, `192.0.0.0/24`, `100::/64`: no machine at all, or protocols of the network itself.
    Reserved,
    /// `64:ff9b:1::/48`: somebody's own translation to IPv4, by rules that are not known here.
    LocalTranslation,
}

impl Special {
    /// The range that the address is in: by itself, or by an IPv4 address inside of it that routers and tunnels send it
    /// to (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP).
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => {
                Self::of_v6(address).or_else(|| embedded(address).into_iter().flatten().find_map(Self::of_v4))
            }
        }
    }

    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        Some(match address.octets() {
            [0, ..] => Self::Unspecified,
            [127, ..] => Self::Loopback,
            [169, 254, ..] => Self::LinkLocal,
            [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => Self::Metadata,
            [224..=239, ..] => Self::Multicast,
            [240..=255, ..] | [192, 0, 0, _] => Self::Reserved,
            _ => return None,
        })
    }

    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        Some(match address.segments() {
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unspecified,
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            [0xfe80..=0xfeff, ..] => Self::LinkLocal,
            [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] => Self::Metadata,
            [0xff00..=0xffff, ..] => Self::Multicast,
            [0x0100, 0, 0, 0, ..] => Self::Reserved,
            [0x0064, 0xff9b, 1, ..] => Self::LocalTranslation,
            _ => return None,
        })
    }
}

/// The IPv4 addresses in an IPv6 address.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // Compatible (RFC 4291 section 2.5.5.1) and translated (RFC 2765 section 2.1); mapped ones are IPv4 by now.
        [0, 0, 0, 0, 0, 0, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => [v4(high, low), None],
        // NAT64 (RFC 6052 section 2.1).
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => [v4(high, low), None],
        // 6to4 (RFC 3056 section 2).
        [0x2002, high, low, ..] => [v4(high, low), None],
        // Teredo (RFC 4380 section 4): the server, and the client with all bits turned over.
        [0x2001, 0, server_high, server_low, _, _, high, low] => [v4(server_high, server_low), v4(!high, !low)],
        // ISATAP (RFC 5214 section 6.1).
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => [v4(high, low), None],
        _ => [None, None],
    }
}

/// The consoles that a client may connect to, and the special addresses that they may have.
///
/// ```
/// use console_token::web::target::{Connect, TargetError, TargetRule};
/// use core::num::NonZeroU16;
///
/// let mut rule = TargetRule::default();
/// rule.insert("hv1.example".parse()?, NonZeroU16::new(5901).unwrap());
///
/// let connect = Connect::parse(b"CONNECT hv1.example:5901 HTTP/1.1\r\n\r\n")?.unwrap();
/// let (host, port) = connect.target()?;
/// let console = rule.check(&host, port)?;
/// // The caller resolves the name, once, and connects to what `addresses` gives.
/// assert_eq!(console.addresses(&["192.0.2.7".parse()?])?, ["192.0.2.7:5901".parse()?]);
/// assert!(matches!(console.addresses(&["127.0.0.1".parse()?]), Err(TargetError::Special(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TargetRule {
    consoles: BTreeSet<(Host, NonZeroU16)>,
    exceptions: Vec<Network>,
}

impl TargetRule {
    /// Lets consoles be in this range although it is [special](Special): for a hypervisor on the same machine.
    #[must_use]
    pub fn with_exception(mut self, network: Network) -> Self {
        self.exceptions.push(network);
        self
    }

    /// Adds a console under the host that clients use. False if it was there already.
    pub fn insert(&mut self, host: Host, port: NonZeroU16) -> bool {
        self.consoles.insert((host, port))
    }

    /// Forgets a console, when its machine is gone: its port may soon be somebody else's (CVE-2013-0335). False if it
    /// was not known.
    pub fn remove(&mut self, host: &Host, port: NonZeroU16) -> bool {
        self.consoles.remove(&(host.clone(), port))
    }

    /// Whether there is a console. For a name, what it resolves to is yet to be looked at:
    /// [`Console::addresses`].
    ///
    /// # Errors
    ///
    /// [`TargetError`], to be answered with 403 whatever it is.
    pub fn check<'a>(&'a self, host: &Host, port: NonZeroU16) -> Result<Console<'a>, TargetError> {
        let known = self.consoles.get(&(host.clone(), port)).ok_or(TargetError::Unknown)?;
        if let Host::Address(address) = host {
            self.admit(*address)?;
        }
        Ok(Console {
            rule: self,
            host: &known.0,
            port,
        })
    }

    /// Whether a gateway may connect to this address, whichever client asked for it.
    ///
    /// # Errors
    ///
    /// [`TargetError::Special`].
    pub fn admit(&self, address: IpAddr) -> Result<(), TargetError> {
        match Special::of(address) {
            Some(special) if !self.exceptions.iter().any(|network| network.contains(address)) => {
                Err(TargetError::Special(special))
            }
            _ => Ok(()),
        }
    }
}

/// A known console.
#[derive(Clone, Copy, Debug)]
pub struct Console<'a> {
    rule: &'a TargetRule,
    host: &'a Host,
    port: NonZeroU16,
}

impl Console<'_> {
    /// Its host, to be resolved if that is a name.
    #[must_use]
    pub const fn host(&self) -> &Host {
        self.host
    }

    /// Where to connect to: the addresses that its host was resolved to, with its port. Use them as they are: a second
    /// resolution of the name may give others.
    ///
    /// # Errors
    ///
    /// [`TargetError::Unresolved`] without any, or with another one than a host that is an address;
    /// [`TargetError::Special`] if one of them is: the name server that gave it is not to be trusted with the others either.
    pub fn addresses(&self, resolved: &[IpAddr]) -> Result<Vec<SocketAddr>, TargetError> {
        let is_other = |address: &IpAddr| matches!(self.host, Host::Address(own) if own != address);
        if resolved.is_empty() || resolved.iter().any(is_other) {
            return Err(TargetError::Unresolved);
        }
        let admitted = resolved.iter().map(|address| {
            self.rule.admit(*address)?;
            Ok(SocketAddr::new(*address, self.port.get()))
        });
        admitted.collect()
    }
}

/// Why a gateway does not connect there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TargetError {
    /// No console is known there.
    #[error("not a known console")]
    Unknown,
    /// The name has no address.
    #[error("the host has no such address")]
    Unresolved,
    /// The address is in a range where no console is.
    #[error("an address where no console is: {0:?}")]
    Special(Special),
}
