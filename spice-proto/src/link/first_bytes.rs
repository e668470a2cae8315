//! What a peer begins with that speaks another protocol.

use core::ascii;
use core::fmt::{self, Write as _};
use core::hash::{Hash, Hasher};

/// First bytes of each direction.
pub const MAGIC: [u8; 4] = *b"REDQ";

/// How many bytes are looked at: those of the magic.
const LEN: usize = MAGIC.len();

/// The first bytes of a peer, at most four: what names a protocol, for logs.
///
/// Two are equal if they differ from [`MAGIC`] in the same byte, and agree up to it. How many more bytes had come when
/// the peer was refused depends on how its stream was cut, and so is not looked at.
///
/// ```
/// use spice_proto::link::{FirstBytes, Protocol};
/// let hello = FirstBytes::of(&[0x16, 3, 1, 2, 0, 1]);
/// assert_eq!(hello.protocol(), Some(Protocol::Tls));
/// assert_eq!(hello.to_string(), "16 03 01 02: TLS");
/// assert_eq!(FirstBytes::of(b"RFB 003.008\n").to_string(), r#""RFB ": RFB (VNC)"#);
/// ```
#[derive(Clone, Copy)]
pub struct FirstBytes {
    bytes: [u8; LEN],
    len: usize,
}

/// A protocol that is known by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// A record of TLS: its hello, or an alert.
    Tls,
    /// A request or an answer of HTTP.
    Http,
    /// RFB, the protocol of VNC.
    Rfb,
    /// SSH.
    Ssh,
    /// The line, or the block, that a load balancer puts in front of a connection.
    ProxyProtocol,
    /// SPICE itself, where something else was expected.
    Spice,
}

/// What the protocols begin with.
const BEGINNINGS: &[(&[u8; LEN], Protocol)] = &[
    (&MAGIC, Protocol::Spice),
    (b"RFB ", Protocol::Rfb),
    (b"HTTP", Protocol::Http),
    (b"GET ", Protocol::Http),
    (b"HEAD", Protocol::Http),
    (b"POST", Protocol::Http),
    (b"PUT ", Protocol::Http),
    (b"PATC", Protocol::Http),
    (b"DELE", Protocol::Http),
    (b"OPTI", Protocol::Http),
    (b"CONN", Protocol::Http),
    (b"TRAC", Protocol::Http),
    (b"PRI ", Protocol::Http),
    (b"PROX", Protocol::ProxyProtocol),
    (b"\r\n\r\n", Protocol::ProxyProtocol),
    (b"SSH-", Protocol::Ssh),
];

impl FirstBytes {
    /// The first of these, which came first on a connection.
    #[must_use]
    pub fn of(received: &[u8]) -> Self {
        let mut bytes = [0; LEN];
        let len = received.len().min(LEN);
        for (place, byte) in bytes.iter_mut().zip(received) {
            *place = *byte;
        }
        Self { bytes, len }
    }

    /// The bytes, as many as had come.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The protocol that they are the beginning of, if there is only one that is known.
    #[must_use]
    pub fn protocol(&self) -> Option<Protocol> {
        let bytes = self.as_bytes();
        // A record of TLS: its type, and the version 3.x.
        if let [0x14..=0x17] | [0x14..=0x17, 3, ..] = bytes {
            return Some(Protocol::Tls);
        }
        let mut found = BEGINNINGS
            .iter()
            .filter(|(beginning, _)| !bytes.is_empty() && beginning.starts_with(bytes))
            .map(|(_, protocol)| *protocol);
        let first = found.next()?;
        found.all(|other| other == first).then_some(first)
    }

    /// The bytes up to the first one that is not SPICE's.
    fn up_to_difference(&self) -> &[u8] {
        let bytes = self.as_bytes();
        let same = bytes.iter().zip(&MAGIC).take_while(|(one, other)| one == other).count();
        bytes.get(..=same).unwrap_or(bytes)
    }
}

impl PartialEq for FirstBytes {
    fn eq(&self, other: &Self) -> bool {
        self.up_to_difference() == other.up_to_difference()
    }
}

impl Eq for FirstBytes {}

impl Hash for FirstBytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.up_to_difference().hash(state);
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Http => "HTTP",
            Self::Rfb => "RFB (VNC)",
            Self::Ssh => "SSH",
            Self::ProxyProtocol => "the PROXY protocol of a load balancer",
            Self::Spice => "SPICE",
        })
    }
}

/// The bytes, as text if they are text, and the protocol if it is known.
impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_bytes();
        let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
        if bytes.iter().all(is_text) {
            f.write_char('"')?;
            for byte in bytes.iter().copied().flat_map(ascii::escape_default) {
                f.write_char(byte.into())?;
            }
            f.write_char('"')?;
        } else {
            for (at, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte:02x}", if at == 0 { "" } else { " " })?;
            }
        }
        match self.protocol() {
            Some(protocol) => write!(f, ": {protocol}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FirstBytes({self})")
    }
}
