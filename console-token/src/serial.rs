//! Serial ports of guests: how many a guest gets, and on which TCP ports of its host they listen.

use alloc::{
    borrow::ToOwned as _,
    collections::{BTreeMap, BTreeSet},
    string::String,
};
use core::{fmt, str::FromStr};

use nom::{
    IResult, Parser as _,
    character::complete::{char, digit1},
    combinator::all_consuming,
    sequence::separated_pair,
};
use thiserror::Error;

/// The TCP ports that serial consoles may listen on: Nova's `[serial_console]port_range`, `a:b`, in
/// which a is the first and b is **not** the last but the one behind it.
///
/// At least one port, and none outside of 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Nova's own, `10000:20000`.
    pub const DEFAULT: Self = Self {
        first: 10_000,
        last: 19_999,
    };

    /// The ports from `start` on, up to but without `stop`.
    ///
    /// # Errors
    ///
    /// [`PortRangeError::Empty`], and [`PortRangeError::NotPorts`] for 0 and for more than 65535.
    pub fn new(start: u32, stop: u32) -> Result<Self, PortRangeError> {
        if stop <= start {
            return Err(PortRangeError::Empty);
        }
        match (u16::try_from(start), u16::try_from(stop.saturating_sub(1))) {
            (Ok(first), Ok(last)) if first != 0 => Ok(Self { first, last }),
            _ => Err(PortRangeError::NotPorts),
        }
    }

    /// Reads what a configuration has, as Nova does: [`DEFAULT`](Self::DEFAULT) in place of an empty range.
    ///
    /// Nova logs a warning then; so can the caller, since the ranges differ.
    ///
    /// # Errors
    ///
    /// As [`FromStr`], but for [`PortRangeError::Empty`].
    pub fn or_default(text: &str) -> Result<Self, PortRangeError> {
        match text.parse() {
            Err(PortRangeError::Empty) => Ok(Self::DEFAULT),
            parsed => parsed,
        }
    }

    /// The ports, in order.
    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.first..=self.last
    }

    /// Whether it has this port.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl Default for PortRange {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl FromStr for PortRange {
    type Err = PortRangeError;

    /// Reads `a:b`: two runs of ASCII digits.
    fn from_str(text: &str) -> Result<Self, PortRangeError> {
        let parsed: IResult<_, _> = all_consuming(separated_pair(digit1, char(':'), digit1)).parse(text);
        let (_, (start, stop)) = parsed.map_err(|_| PortRangeError::Malformed)?;
        // What does not fit is no port either.
        let number = |digits: &str| digits.parse().unwrap_or(u32::MAX);
        match (number(start), number(stop)) {
            (u32::MAX, u32::MAX) => Err(PortRangeError::NotPorts),
            (start, stop) => Self::new(start, stop),
        }
    }
}

impl TryFrom<String> for PortRange {
    type Error = PortRangeError;

    fn try_from(text: String) -> Result<Self, PortRangeError> {
        text.parse()
    }
}

impl From<PortRange> for String {
    fn from(range: PortRange) -> Self {
        alloc::format!("{range}")
    }
}

impl fmt::Display for PortRange {
    /// The form that is read: `10000:20000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.first, u32::from(self.last).saturating_add(1))
    }
}

/// Why a text is no [`PortRange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PortRangeError {
    /// Not two numbers with a colon between them. Nova does not start with such a value.
    #[error("not in the form of \"10000:20000\"")]
    Malformed,
    /// The second number is not above the first. Nova takes its default, see [`PortRange::or_default`].
    #[error("the range has no ports")]
    Empty,
    /// The range goes beyond 1 to 65535. Nova does not check, and fails when it comes to such a port.
    #[error("the range goes beyond the ports 1 to 65535")]
    NotPorts,
}

/// Which TCP ports serial consoles have, on which addresses.
///
/// It is the record that Nova's specification of serial consoles wanted to be persistent: with the
/// feature `serde` it can be kept and loaded, and then a restart forgets no port. Nova keeps its own in
/// memory only.
///
/// An address is what the consoles listen on (`proxyclient_address`), as the caller writes it: two spellings
/// of one address are two addresses here. The calls of several tasks are the caller's to put in order.
///
/// ```
/// use console_token::serial::{PortAllocator, PortRange};
/// use std::net::TcpListener;
///
/// let mut ports = PortAllocator::new(PortRange::DEFAULT);
/// let can_bind = |address: &str, port| TcpListener::bind((address, port)).is_ok();
/// let port = ports.acquire("127.0.0.1", can_bind)?;
/// assert!(ports.is_taken("127.0.0.1", port));
/// assert!(ports.release("127.0.0.1", port));
/// # Ok::<(), console_token::serial::PortsExhausted>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct PortAllocator {
    range: PortRange,
    taken: BTreeMap<String, BTreeSet<u16>>,
}

impl PortAllocator {
    /// No port is taken.
    #[must_use]
    pub const fn new(range: PortRange) -> Self {
        Self {
            range,
            taken: BTreeMap::new(),
        }
    }

    /// Where ports are looked for.
    #[must_use]
    pub const fn range(&self) -> PortRange {
        self.range
    }

    /// Looks for ports elsewhere from now on. What is taken stays so.
    pub fn set_range(&mut self, range: PortRange) {
        self.range = range;
    }

    /// Takes the first port that is not taken on `address` and that `can_bind` says yes to.
    ///
    /// `can_bind` is the caller's test: bind the port, close it, say whether that went well. It is not called
    /// for ports that are taken, and a port that it refuses is tried again the next time. Between the test and
    /// the start of the guest somebody else may bind the port; then the guest does not start, and the caller
    /// [`release`](Self::release)s it and takes another.
    ///
    /// # Errors
    ///
    /// [`PortsExhausted`]; Nova answers 400.
    pub fn acquire(
        &mut self,
        address: &str,
        mut can_bind: impl FnMut(&str, u16) -> bool,
    ) -> Result<u16, PortsExhausted> {
        // Both ascend, so one walk over each finds what is not taken.
        let taken = self.taken.get(address).into_iter();
        let mut taken = taken.flat_map(|taken| taken.range(self.range.first..)).peekable();
        let mut ports = self.range.ports();
        let found = ports.find(|port| taken.next_if_eq(&port).is_none() && can_bind(address, *port));
        let port = found.ok_or(PortsExhausted { range: self.range })?;
        self.reserve(address, port);
        Ok(port)
    }

    /// Takes this port, inside the range or not: that of a guest that runs already, or one that a
    /// migration brought along. Gives whether it was free.
    pub fn reserve(&mut self, address: &str, port: u16) -> bool {
        match self.taken.get_mut(address) {
            Some(taken) => taken.insert(port),
            None => {
                self.taken.insert(address.to_owned(), [port].into());
                true
            }
        }
    }

    /// Gives a port back. Gives whether it was taken; it is no error if it was not, so that a clean-up can be
    /// repeated.
    pub fn release(&mut self, address: &str, port: u16) -> bool {
        let Some(taken) = self.taken.get_mut(address) else {
            return false;
        };
        let was_taken = taken.remove(&port);
        if taken.is_empty() {
            self.taken.remove(address);
        }
        was_taken
    }

    /// Whether this port is taken.
    #[must_use]
    pub fn is_taken(&self, address: &str, port: u16) -> bool {
        self.taken.get(address).is_some_and(|taken| taken.contains(&port))
    }

    /// Every port that is taken, by address and number.
    pub fn taken(&self) -> impl Iterator<Item = (&str, u16)> {
        self.taken
            .iter()
            .flat_map(|(address, ports)| ports.iter().map(move |port| (address.as_str(), *port)))
    }
}

/// Every port of the range is taken, or bound by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no free port in {range}")]
pub struct PortsExhausted {
    /// Where it was looked.
    pub range: PortRange,
}

/// The number of serial ports where neither flavor nor image says.
pub const DEFAULT_PORT_COUNT: u32 = 1;

/// The most serial ports on QEMU and KVM: it has four, and libvirt keeps one for its PTY.
pub const QEMU_PORT_LIMIT: u32 = 3;

/// The number of serial ports of a guest, by Nova's rules.
///
/// `flavor` is the text of the flavor's `hw:serial_port_count`, `image` that of the image's
/// `hw_serial_port_count`. The flavor says how many; the image may lower it, or says how many if the
/// flavor does not. 0 says nothing, nor does an empty text of the flavor. Without either it is [`DEFAULT_PORT_COUNT`].
///
/// `limit` is that of the hypervisor, if it has one: [`QEMU_PORT_LIMIT`].
///
/// Where Python would read more than decimal digits as a number, it is refused: a sign, underscores, digits
/// that are not ASCII. White space around the digits is not.
///
/// # Errors
///
/// [`PortCountError`]; Nova answers each with 400, or fails the start of the guest.
pub fn port_count(flavor: Option<&str>, image: Option<&str>, limit: Option<u32>) -> Result<u32, PortCountError> {
    let flavor = flavor.filter(|text| !text.is_empty());
    let flavor = flavor.map_or(Some(0), number).ok_or(PortCountError::Flavor)?;
    let image = image.map_or(Some(0), number).ok_or(PortCountError::Image)?;
    let count = match (flavor, image) {
        (0, 0) => DEFAULT_PORT_COUNT,
        (count, 0) | (0, count) => count,
        (flavor, image) if flavor < image => return Err(PortCountError::AboveFlavor { image, flavor }),
        (_, image) => image,
    };
    match limit {
        Some(limit) if limit < count => Err(PortCountError::AboveLimit { count, limit }),
        _ => Ok(count),
    }
}

/// Decimal digits, with white space around them.
fn number(property: &str) -> Option<u32> {
    let digits: IResult<&str, &str> = all_consuming(digit1).parse(property.trim());
    digits.ok()?.1.parse().ok()
}

/// Why a guest cannot have as many serial ports as it is said to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PortCountError {
    /// The flavor's property is not a number from 0 to 4294967295 (`ImageSerialPortNumberInvalid`).
    #[error("hw:serial_port_count of the flavor is not a number")]
    Flavor,
    /// The image's property is not such a number.
    #[error("hw_serial_port_count of the image is not a number")]
    Image,
    /// The image wants more than the flavor gives (`ImageSerialPortNumberExceedFlavorValue`).
    #[error("the image wants {image} serial ports, the flavor gives {flavor}")]
    AboveFlavor {
        /// What the image says.
        image: u32,
        /// What the flavor says.
        flavor: u32,
    },
    /// More than the hypervisor has (`SerialPortNumberLimitExceeded`).
    #[error("{count} serial ports are more than the hypervisor's {limit}")]
    AboveLimit {
        /// What flavor and image say.
        count: u32,
        /// What the hypervisor has.
        limit: u32,
    },
}
