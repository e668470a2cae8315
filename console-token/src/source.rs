//! What counts as one source of connections.

use core::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// The source of a connection: an IPv4 address, or the /64 of an IPv6 address, which is what one host gets.
///
/// IPv4 addresses in IPv6 form count as IPv4: mapped ones (`::ffff:0:0/96`), and those of the well-known prefix of
/// translators (`64:ff9b::/96`, RFC 6052), behind which all of IPv4 would otherwise be one source.
///
/// Behind a proxy or load balancer every connection has the proxy's address. The address that the proxy states
/// (PROXY protocol, `X-Forwarded-For`) is then the one to pass, and only if the proxy is trusted: this type takes
/// any address as it is.
///
/// ```
/// use console_token::Source;
///
/// let source = |text: &str| Source::of(text.parse().unwrap());
/// assert_eq!(source("2001:db8::1"), source("2001:db8::2:3:4"));
/// assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
/// assert_eq!(source("2001:db8::1").to_string(), "2001:db8::/64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6([u16; 4]),
}

impl Source {
    /// The source that the address belongs to.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Kind::V4(address),
            IpAddr::V6(address) => match address.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                    let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
                    Kind::V4(Ipv4Addr::new(a, b, c, d))
                }
                [a, b, c, d, ..] => Kind::V6([a, b, c, d]),
            },
        })
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::of(address)
    }
}

/// An IPv4 address, or an IPv6 prefix: `192.0.2.1`, `2001:db8::/64`.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Kind::V4(address) => address.fmt(f),
            Kind::V6([a, b, c, d]) => write!(f, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
        }
    }
}
