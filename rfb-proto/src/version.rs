//! The version line, the first 12 bytes of each side (RFC 6143 section 7.1.1).
//!
//! ```text
//!  0         4     7  8    11  12
//!  "RFB "    xxx  "." yyy  LF        ASCII; xxx and yyy are three decimal digits each
//! ```
//!
//! The server greets, the client answers with a version that is not above the greeting, and from then
//! on both follow the rules of the answer. Three sets of rules are published: 3.3, 3.7 and 3.8. What is
//! in the line is a [`ProtocolVersion`], any number as it was sent; what follows from it is a
//! [`Version`]. Peers send more numbers than were published, and which rules they then follow differs
//! between servers and clients, so there is one mapping for each direction:
//! [`as_greeting`](ProtocolVersion::as_greeting) and [`as_answer`](ProtocolVersion::as_answer).

use core::fmt;

use nom::IResult;
use nom::Parser as _;
use nom::bytes::complete::{tag, take_while_m_n};
use nom::combinator::map;

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};

/// The numbers of a version line, as sent.
///
/// ```
/// use rfb_proto::ProtocolVersion;
///
/// let version = ProtocolVersion::from_bytes(b"RFB 003.889\n")?;
/// assert_eq!(version, ProtocolVersion::APPLE);
/// assert_eq!(&version.to_bytes()?, b"RFB 003.889\n");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion {
    /// The number before the point, 0 to 999.
    pub major: u16,
    /// The number behind the point, 0 to 999.
    pub minor: u16,
}

/// The parts of the line: name in errors, offset, and what is expected there.
const FIELDS: [(&str, usize, &str); 5] = [
    ("signature", 0, "`RFB ` expected"),
    ("major", 4, "three decimal digits expected"),
    ("point", 7, "a point expected"),
    ("minor", 8, "three decimal digits expected"),
    ("end", 11, "a line feed expected"),
];

/// The whole line. Its parsers are complete ones: they run over 12 bytes, never over fewer.
fn line(input: &[u8]) -> IResult<&[u8], ProtocolVersion> {
    map(
        (tag("RFB "), number, tag("."), number, tag("\n")),
        |(_, major, _, minor, _)| ProtocolVersion { major, minor },
    )
    .parse(input)
}

/// Three decimal digits.
///
/// Some servers read the line with `scanf`, for which `0x8` begins with the number 0. Nothing but test
/// tools is known to send that, so it is refused here.
fn number(input: &[u8]) -> IResult<&[u8], u16> {
    map(
        take_while_m_n(3, 3, |byte: u8| byte.is_ascii_digit()),
        |digits: &[u8]| {
            digits.iter().fold(0_u16, |number, digit| {
                number.saturating_mul(10).saturating_add(u16::from(digit & 0x0f))
            })
        },
    )
    .parse(input)
}

impl ProtocolVersion {
    /// Its name in errors.
    pub(crate) const NAME: &'static str = "ProtocolVersion";
    /// Bytes of the line.
    pub const LEN: usize = 12;
    /// 3.3.
    pub const V3_3: Self = Self { major: 3, minor: 3 };
    /// 3.7.
    pub const V3_7: Self = Self { major: 3, minor: 7 };
    /// 3.8.
    pub const V3_8: Self = Self { major: 3, minor: 8 };
    /// 3.889, the greeting of macOS; its rules are those of 3.8.
    ///
    /// libvncserver knows macOS clients that *answer* 3.889 and, after security type None, neither wait
    /// for a SecurityResult nor send a ClientInit. The version alone does not tell them from other
    /// clients, so this is for the handshake to decide.
    pub const APPLE: Self = Self { major: 3, minor: 889 };
    /// 0.0, the greeting of an UltraVNC repeater.
    pub const REPEATER: Self = Self { major: 0, minor: 0 };

    /// Reads the line.
    ///
    /// # Errors
    /// The first part of the line that is not as it should be. [`DecodeError::offset`] is where that
    /// part begins.
    #[inline]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, DecodeError> {
        // What nearly all peers send is compared as a whole.
        if *bytes == Version::V3_8.to_bytes() {
            return Ok(Self::V3_8);
        }
        Self::parse(bytes)
    }

    /// As [`from_bytes`](Self::from_bytes). With [`Policy::Lenient`] the last byte may be a carriage return, a blank, a
    /// tab or a NUL as well: TigerVNC, QEMU, libvncserver and gtk-vnc read the line with `scanf`, for which any byte
    /// will do, noVNC does not look at it, and servers that end their greeting so are in use. The line has 12 bytes in
    /// any case: a line feed behind a carriage return belongs to what comes next, to those programs too.
    ///
    /// ```
    /// use rfb_proto::{Policy, ProtocolVersion};
    ///
    /// let line = b"RFB 003.008\r";
    /// assert_eq!(ProtocolVersion::read(line, Policy::Lenient), Ok(ProtocolVersion::V3_8));
    /// assert!(ProtocolVersion::read(line, Policy::Strict).is_err());
    /// ```
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes).
    #[inline]
    pub fn read(bytes: &[u8; Self::LEN], policy: Policy) -> Result<Self, DecodeError> {
        if *bytes == Version::V3_8.to_bytes() {
            return Ok(Self::V3_8);
        }
        let mut line = *bytes;
        if let (Policy::Lenient, [.., end @ (b'\r' | b' ' | b'\t' | 0)]) = (policy, &mut line) {
            *end = b'\n';
        }
        Self::parse(&line)
    }

    fn parse(bytes: &[u8; Self::LEN]) -> Result<Self, DecodeError> {
        match line(bytes) {
            Ok((_, version)) => Ok(version),
            Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(misread(error.input)),
            // INVARIANT: complete parsers do not ask for more.
            Err(nom::Err::Incomplete(_)) => Err(misread(&[])),
        }
    }

    /// How many more bytes a line that begins with `prefix` needs; 0 if it is whole. What is behind the
    /// first 12 bytes is not looked at.
    ///
    /// # Errors
    /// No line begins like this: the error that [`from_bytes`](Self::from_bytes) would give, as soon as
    /// the first wrong byte is there. A peer of another protocol, or one that waits for us to speak
    /// first, is found without waiting for 12 bytes.
    pub fn missing(prefix: &[u8]) -> Result<usize, DecodeError> {
        // A good line lends the bytes that have not come. They are right in any line, so what is wrong
        // in the whole is wrong in the prefix.
        let mut whole = *b"RFB 003.008\n";
        for (byte, sent) in whole.iter_mut().zip(prefix) {
            *byte = *sent;
        }
        Self::from_bytes(&whole)?;
        Ok(Self::LEN.saturating_sub(prefix.len()))
    }

    /// The line at the front of `rx`, as [`read`](Self::read). `Err`: it is not whole.
    pub(crate) fn at_front(rx: &[u8], policy: Policy) -> Result<Result<Self, usize>, DecodeError> {
        match rx.first_chunk() {
            Some(line) => Self::read(line, policy).map(Ok),
            None => Self::missing(rx).map(Err),
        }
    }

    /// The line.
    ///
    /// # Errors
    /// A number above 999: it has no three digits.
    pub fn to_bytes(self) -> Result<[u8; Self::LEN], EncodeError> {
        let [x, xx, xxx] = digits(self.major, "major")?;
        let [y, yy, yyy] = digits(self.minor, "minor")?;
        Ok([b'R', b'F', b'B', b' ', x, xx, xxx, b'.', y, yy, yyy, b'\n'])
    }

    /// What a client makes of this greeting.
    ///
    /// | greeting | [`Lenient`](Policy::Lenient) | sent by |
    /// |---|---|---|
    /// | 0.0 | [`Greeting::Repeater`] | UltraVNC repeater |
    /// | other below 3.3 | refused | |
    /// | 3.3 to 3.6 | 3.3 | 3.4 and 3.6: UltraVNC |
    /// | 3.7 | 3.7 | |
    /// | 3.14, 3.16 | 3.3 | UltraVNC Single Click, for 3.4 and 3.6 |
    /// | other above 3.7 | 3.8 | 3.889: macOS; 4.0: Intel AMT; 4.1, 5.0: RealVNC |
    ///
    /// [`Strict`](Policy::Strict) takes 3.3, 3.7, 3.8 and 0.0. The client answers with the line of
    /// the [`Version`], or of a lower one if it wants that; an odd number is not sent back.
    ///
    /// Sources: RFC 6143 section 7.1.1; the community specification; for the odd numbers TigerVNC's,
    /// gtk-vnc's and libvncclient's clients. They differ on 3.14 and 3.16, which only libvncclient knows
    /// and takes for 3.4 and 3.6; to the others they are above 3.8.
    ///
    /// # Errors
    /// [`VersionError::Unsupported`].
    pub fn as_greeting(self, policy: Policy) -> Result<Greeting, VersionError> {
        if self == Self::REPEATER {
            return Ok(Greeting::Repeater);
        }
        let version = match (self.published(), policy, self.major, self.minor) {
            (Some(version), ..) => version,
            (None, Policy::Lenient, 3, 4..=6 | 14 | 16) => Version::V3_3,
            (None, Policy::Lenient, 3, 9..) | (None, Policy::Lenient, 4.., _) => Version::V3_8,
            _ => return Err(VersionError::Unsupported { version: self }),
        };
        Ok(Greeting::Version(version))
    }

    /// What a server that greeted with `offered` makes of this answer: the rules that both follow.
    ///
    /// | answer | [`Lenient`](Policy::Lenient) | sent by |
    /// |---|---|---|
    /// | 3.0 to 3.6 | 3.3 | 3.5: some clients, by mistake; 3.4 and 3.6: UltraVNC |
    /// | 3.7 | 3.7 | |
    /// | 3.8 and above | 3.8 | 3.889: macOS |
    /// | other than 3.x | refused | |
    ///
    /// [`Strict`](Policy::Strict) takes 3.3, 3.7 and 3.8. Under either policy the rules of the
    /// answer must not be above `offered`; they are compared as rules, so 3.889 is no more than 3.8.
    ///
    /// Sources: RFC 6143 section 7.1.1; the community specification; TigerVNC's and libvncserver's
    /// servers. QEMU is stricter (it refuses 3.6, 3.889 and all above).
    ///
    /// # Errors
    /// [`VersionError::Unsupported`], or [`VersionError::AboveOffer`], for which there is no lenience:
    /// the client would follow rules that the server did not offer.
    #[inline]
    pub fn as_answer(self, offered: Version, policy: Policy) -> Result<Version, VersionError> {
        let version = match (self.published(), policy, self.major, self.minor) {
            (Some(version), ..) => version,
            (None, Policy::Lenient, 3, ..7) => Version::V3_3,
            (None, Policy::Lenient, 3, 9..) => Version::V3_8,
            _ => return Err(VersionError::Unsupported { version: self }),
        };
        if version <= offered {
            Ok(version)
        } else {
            Err(VersionError::AboveOffer { version: self, offered })
        }
    }

    const fn published(self) -> Option<Version> {
        match self {
            Self::V3_3 => Some(Version::V3_3),
            Self::V3_7 => Some(Version::V3_7),
            Self::V3_8 => Some(Version::V3_8),
            _ => None,
        }
    }
}

/// The error for a line that cannot be read from `rest` on.
#[cold]
fn misread(rest: &[u8]) -> DecodeError {
    let at = ProtocolVersion::LEN.saturating_sub(rest.len());
    // Every parser of `line` fails where its field begins, so the last field that begins here is it.
    let [signature, others @ ..] = FIELDS;
    let (field, offset, expected) = others
        .into_iter()
        .rev()
        .find(|&(_, offset, _)| offset <= at)
        .unwrap_or(signature);
    DecodeError {
        message: ProtocolVersion::NAME,
        field,
        offset,
        kind: DecodeErrorKind::Invalid(expected),
    }
}

/// A number as three digits.
fn digits(number: u16, field: &'static str) -> Result<[u8; 3], EncodeError> {
    if 999 < number {
        return Err(EncodeError {
            message: ProtocolVersion::NAME,
            field,
            value: number.into(),
            limit: 999,
        });
    }
    Ok([100, 10, 1].map(|place| {
        let [digit, _] = (number.checked_div(place).unwrap_or(0) % 10).to_le_bytes();
        b'0' | digit
    }))
}

/// As people write it: `3.8`.
impl fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The rules in force on a connection. A greater version is a later one.
///
/// | | 3.3 | 3.7 | 3.8 |
/// |---|---|---|---|
/// | security type | the server decides, one u32 | a list, the client chooses | as 3.7 |
/// | SecurityResult after type None | no | no | yes |
/// | reason after a failed SecurityResult | no | no | yes |
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 3.3 (RFC 6143 appendix A.1).
    V3_3,
    /// 3.7 (RFC 6143 appendix A.2).
    V3_7,
    /// 3.8, which RFC 6143 describes.
    V3_8,
}

impl Version {
    /// The numbers to send.
    #[must_use]
    pub const fn number(self) -> ProtocolVersion {
        match self {
            Self::V3_3 => ProtocolVersion::V3_3,
            Self::V3_7 => ProtocolVersion::V3_7,
            Self::V3_8 => ProtocolVersion::V3_8,
        }
    }

    /// The line to send.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; ProtocolVersion::LEN] {
        match self {
            Self::V3_3 => *b"RFB 003.003\n",
            Self::V3_7 => *b"RFB 003.007\n",
            Self::V3_8 => *b"RFB 003.008\n",
        }
    }
}

impl From<Version> for ProtocolVersion {
    fn from(version: Version) -> Self {
        version.number()
    }
}

/// As people write it: `3.8`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// What a greeting begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Greeting {
    /// An RFB session: the highest rules that the server follows.
    Version(Version),
    /// An UltraVNC repeater, before any server is reached. It wants 250 bytes that say which one,
    /// `ID:xxxx` or `host:port` padded with NUL, and the real greeting follows. A client that has no
    /// such text treats this as an unsupported version.
    Repeater,
}

/// Which numbers are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Policy {
    /// What deployed peers send as well. The rules in force are published ones all the same, so this
    /// gives a peer nothing that it could not have by sending 3.3, 3.7 or 3.8.
    #[default]
    Lenient,
    /// The published 3.3, 3.7 and 3.8. This refuses macOS servers (3.889) and current RealVNC ones (5.0),
    /// and also 3.5, which RFC 6143 wants to be read as 3.3.
    Strict,
}

/// What is known of a number that is no version.
fn note(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::REPEATER => ": an UltraVNC repeater, which wants to be told where to connect",
        _ => "",
    }
}

/// A version that is no ground to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VersionError {
    /// There are no rules for this number, or the policy does not take it.
    #[error("version {version} is not supported{}", note(*version))]
    Unsupported {
        /// What the peer sent.
        version: ProtocolVersion,
    },
    /// The client answered with more than the server greeted with.
    #[error("version {version} is above the offered {offered}")]
    AboveOffer {
        /// What the client sent.
        version: ProtocolVersion,
        /// What the server greeted with.
        offered: Version,
    },
}
