//! Ranges of addresses.

use core::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use thiserror::Error;

/// A range of addresses by its prefix, as `10.0.0.0/8` or `fd00::/8`.
///
/// IPv6 addresses with an IPv4 address mapped into them (`::ffff:0:0/96`) count as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpNet);

impl Network {
    /// A single address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(IpNet::from(address.to_canonical()))
    }

    /// Whether the address lies in the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads an address, or an address with the length of its prefix. Bits behind the prefix must be 0, so that
    /// `10.0.0.1/8` is not taken for one address.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::of(address));
        }
        let (address, prefix) = text.split_once('/').ok_or(NetworkError)?;
        let is_number = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let (Ok(address), Ok(prefix), true) = (address.parse(), prefix.parse(), is_number) else {
            return Err(NetworkError);
        };
        let network = IpNet::new(address, prefix).map_err(|_| NetworkError)?;
        // What is mapped is looked up as IPv4, so that such a range would contain nothing.
        let is_mapped = matches!(network.network(), IpAddr::V6(first) if first.to_ipv4_mapped().is_some());
        if network.addr() == network.network() && !is_mapped {
            Ok(Self(network))
        } else {
            Err(NetworkError)
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is no range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an address, and not a prefix such as 10.0.0.0/8 with no bits behind it")]
pub struct NetworkError;
