//! What a token leads to: the type of console and where it is.

use alloc::string::String;
use core::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::UnknownConsole;

/// The protocol of a console (`remote_console.protocol` of the Nova API).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// `vnc`: RFB.
    Vnc,
    /// `spice`.
    Spice,
    /// `rdp`: removed from Nova in 29.0.0; still found in stored tokens of older clouds.
    Rdp,
    /// `serial`: the bytes of a serial port.
    Serial,
    /// `mks`: VMware.
    Mks,
}

impl Protocol {
    /// The text form that Nova uses, lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vnc => "vnc",
            Self::Spice => "spice",
            Self::Rdp => "rdp",
            Self::Serial => "serial",
            Self::Mks => "mks",
        }
    }
}

impl FromStr for Protocol {
    type Err = UnknownConsole;

    /// Reads the exact text of [`as_str`](Self::as_str); case counts, as in Nova's schema.
    fn from_str(text: &str) -> Result<Self, UnknownConsole> {
        match text {
            "vnc" => Ok(Self::Vnc),
            "spice" => Ok(Self::Spice),
            "rdp" => Ok(Self::Rdp),
            "serial" => Ok(Self::Serial),
            "mks" => Ok(Self::Mks),
            _ => Err(UnknownConsole),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The type of a console (`remote_console.type` of the Nova API). Each belongs to one [`Protocol`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConsoleType {
    /// `novnc`: VNC, in a WebSocket where the client is a browser.
    NoVnc,
    /// `xvpvnc`: the former Java client of XVP.
    XvpVnc,
    /// `spice-html5`: SPICE in WebSockets.
    SpiceHtml5,
    /// `spice-direct`: SPICE for native clients, Nova 2.99 and later.
    SpiceDirect,
    /// `rdp-html5`.
    RdpHtml5,
    /// `serial`.
    Serial,
    /// `webmks`.
    WebMks,
}

impl ConsoleType {
    /// The text form that Nova uses, lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoVnc => "novnc",
            Self::XvpVnc => "xvpvnc",
            Self::SpiceHtml5 => "spice-html5",
            Self::SpiceDirect => "spice-direct",
            Self::RdpHtml5 => "rdp-html5",
            Self::Serial => "serial",
            Self::WebMks => "webmks",
        }
    }

    /// The protocol that this type belongs to.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::NoVnc | Self::XvpVnc => Protocol::Vnc,
            Self::SpiceHtml5 | Self::SpiceDirect => Protocol::Spice,
            Self::RdpHtml5 => Protocol::Rdp,
            Self::Serial => Protocol::Serial,
            Self::WebMks => Protocol::Mks,
        }
    }

    /// Reads the two texts of a Nova request, which must fit together.
    ///
    /// # Errors
    ///
    /// [`UnknownConsole`] when either is unknown or the type belongs to another protocol.
    pub fn from_pair(protocol: &str, console_type: &str) -> Result<Self, UnknownConsole> {
        let console: Self = console_type.parse()?;
        if console.protocol().as_str() == protocol {
            Ok(console)
        } else {
            Err(UnknownConsole)
        }
    }
}

impl FromStr for ConsoleType {
    type Err = UnknownConsole;

    /// Reads the exact text of [`as_str`](Self::as_str); case counts, as in Nova's schema.
    fn from_str(text: &str) -> Result<Self, UnknownConsole> {
        match text {
            "novnc" => Ok(Self::NoVnc),
            "xvpvnc" => Ok(Self::XvpVnc),
            "spice-html5" => Ok(Self::SpiceHtml5),
            "spice-direct" => Ok(Self::SpiceDirect),
            "rdp-html5" => Ok(Self::RdpHtml5),
            "serial" => Ok(Self::Serial),
            "webmks" => Ok(Self::WebMks),
            _ => Err(UnknownConsole),
        }
    }
}

impl fmt::Display for ConsoleType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the console listens. This crate keeps it and hands it back, without a look inside.
///
/// A token never carries its target: the target stands in the record that the issuer wrote, so
/// the holder of a token cannot choose what the gateway connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
#[non_exhaustive]
pub enum Target {
    /// A TCP endpoint of the hypervisor.
    Host {
        /// A name or an address, as the issuer wrote it.
        host: String,
        /// The plain port, if there is one.
        port: Option<u16>,
        /// The TLS port, if there is one (Nova 2.99: `tls_port`).
        tls_port: Option<u16>,
    },
    /// A TCP endpoint that many consoles share, each behind a path of its own.
    ///
    /// Not a [`Host`](Self::Host) with one more field: a gateway that connected to the endpoint and
    /// forgot the path would reach another console, or none.
    Internal {
        /// A name or an address, as the issuer wrote it.
        host: String,
        /// The port.
        port: u16,
        /// Which of the consoles there (Nova: `internal_access_path`).
        path: AccessPath,
    },
    /// A UNIX socket on the gateway's own machine.
    Unix {
        /// The path, as the issuer wrote it.
        path: String,
    },
}

/// How a console is found behind an endpoint that it shares with others: Nova's
/// `internal_access_path`, as opaque text.
///
/// What stands in it is between the issuer and the hypervisor. For [`ConsoleType::WebMks`] it is
/// JSON with a ticket (see [`MksTicket`](crate::webmks::MksTicket)), for XenServer the path of an HTTP
/// `CONNECT`. So it is treated as a secret: `Debug` shows nothing of it, and its memory is
/// overwritten when it is dropped. Nova's column for it holds 255 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessPath(Zeroizing<String>);

impl AccessPath {
    /// Takes the text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for a store or for the hypervisor.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for AccessPath {}

impl Hash for AccessPath {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

impl fmt::Debug for AccessPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessPath(redacted)")
    }
}

/// The text itself: where a store keeps a target, it keeps this too.
#[cfg(feature = "serde")]
impl serde::Serialize for AccessPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for AccessPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
