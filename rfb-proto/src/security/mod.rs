//! Security types: which side chooses, and the messages of the choice (RFC 6143 section 7.1.2).
//!
//! ```text
//! 3.7 and 3.8                                      3.3
//! S  u8 count, u8 types[count]   SecurityTypes     S  u32 type          SecurityTypeWord
//! C  u8 type                     SecurityChoice
//!
//! count 0 or type 0: the server refuses, a reason follows
//! S  u32 length, u8 text[length]                   Reason
//! ```
//!
//! All numbers are big endian. In 3.3 the server decides alone, and its word is four bytes wide: it is
//! kept as such, so that 258 never reads as 2.

pub mod ard;
pub mod ms_logon;
mod number;
pub mod plain;
pub mod rsa_aes;
pub mod sasl;
mod seed;
pub mod tight;
pub mod vencrypt;
pub mod vnc;

pub use crate::secret::Secret;
pub use seed::{SEED_LEN, SealError, Seed};

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::fields::{codec, layout};
use crate::ids::ids;

ids! {
    /// A security type as a list or a choice carries it, in one byte. Other values pass through
    /// untouched.
    ///
    /// Numbers and names are those of RFC 6143 section 8.1.2 and of the community specification. 3 to 15
    /// and 128 to 255 are RealVNC's except where a name here says otherwise, 31 to 36 Apple's.
    pub struct SecurityType(u8) {
        /// No type: as a word of 3.3 it means refused. It is never chosen.
        INVALID = 0, "Invalid";
        /// No authentication.
        NONE = 1, "None";
        /// Challenge and response with DES, see [`vnc`].
        VNC = 2, "VNC Authentication";
        /// RSA and AES-128, the whole session encrypted, see [`rsa_aes`].
        RA2 = 5, "RA2";
        /// As [`RA2`](Self::RA2), but only the handshake is encrypted.
        RA2NE = 6, "RA2ne";
        /// Windows authentication.
        SSPI = 7, "SSPI";
        /// As [`SSPI`](Self::SSPI), without encryption.
        SSPINE = 8, "SSPIne";
        /// The two-step form of [`RA2`](Self::RA2).
        RA2R = 13, "RA2r two-step";
        /// TightVNC: tunnels, then types by code and name.
        TIGHT = 16, "Tight";
        /// UltraVNC.
        ULTRA = 17, "Ultra";
        /// Anonymous TLS, then a list of types again (vino).
        TLS = 18, "TLS";
        /// Subtypes with and without TLS.
        VENCRYPT = 19, "VeNCrypt";
        /// SASL (RFC 4422).
        SASL = 20, "SASL";
        /// MD5 hash.
        MD5 = 21, "MD5 hash";
        /// Xen VNC Proxy.
        XVP = 22, "xvp";
        /// Secure Tunnel.
        SECURE_TUNNEL = 23, "Secure Tunnel";
        /// Integrated SSH.
        INTEGRATED_SSH = 24, "Integrated SSH";
        /// Diffie-Hellman with AES-128, of Apple Remote Desktop, see [`ard`].
        DIFFIE_HELLMAN = 30, "Diffie-Hellman";
        /// Apple, not documented.
        APPLE_31 = 31, "Apple type 31";
        /// Apple, not documented.
        APPLE_32 = 32, "Apple type 32";
        /// Apple, not documented.
        APPLE_RSA = 33, "Apple RSA host key";
        /// Apple, not documented.
        APPLE_34 = 34, "Apple type 34";
        /// Apple, not documented: a Kerberos ticket.
        APPLE_KERBEROS = 35, "Apple Kerberos";
        /// Apple, not documented.
        APPLE_SRP = 36, "Apple SRP";
        /// UltraVNC's Single Click: the server's user is asked.
        ULTRA_SC_PROMPT = 104, "UltraVNC SCPrompt";
        /// UltraVNC's choice of a session.
        ULTRA_SESSION_SELECT = 105, "UltraVNC SessionSelect";
        /// UltraVNC's first Windows logon.
        MS_LOGON = 112, "UltraVNC MSLogon I";
        /// UltraVNC's second Windows logon, see [`ms_logon`].
        MS_LOGON_II = 113, "MSLogonII";
        /// UltraVNC's plug-in that encrypts the session.
        ULTRA_SECURE_VNC_PLUGIN = 114, "UltraVNC SecureVNCPlugin";
        /// The same, with a handshake of its own.
        ULTRA_SECURE_VNC_PLUGIN_NEW = 115, "UltraVNC SecureVNCPlugin new";
        /// Not a type of its own: UltraVNC takes more in ClientInit.
        ULTRA_CLIENT_INIT_EXTRA = 116, "UltraVNC ClientInitExtraMsg";
        /// The same, in a newer form.
        ULTRA_CLIENT_INIT_EXTRA_NEW = 117, "UltraVNC ClientInitExtraMsg new";
        /// UltraVNC's third Windows logon, with X25519 and DES, see [`ms_logon`].
        MS_LOGON_III = 118, "MSLogonIII";
        /// As [`RA2`](Self::RA2), with AES-256.
        RA2_256 = 129, "RA2_256";
        /// As [`RA2NE`](Self::RA2NE), with AES-256.
        RA2NE_256 = 130, "RA2ne_256";
        /// As [`RA2R`](Self::RA2R), with AES-256.
        RA2R_256 = 133, "RA2r_256 two-step";
    }
}

impl SecurityType {
    /// Whether every version has it, 3.3 included, and nothing needs to be configured for it.
    #[inline]
    pub(crate) const fn is_simple(self) -> bool {
        matches!(self, Self::NONE | Self::VNC)
    }
}

layout! {
    /// What the server offers in 3.7 and 3.8 (RFC 6143 section 7.1.2): 1 byte, and 1 for each type, at
    /// most 255. No types at all: the server refuses, and a [`Reason`] follows.
    ///
    /// Servers list duplicates, unknown types and 255 types at once; all are kept, in their order.
    ///
    /// ```
    /// use rfb_proto::Limits;
    /// use rfb_proto::security::{SecurityType, SecurityTypes};
    ///
    /// let offer = SecurityTypes::decode_slice(&[2, 19, 2], &Limits::default())?;
    /// assert_eq!(offer.types, [SecurityType::VENCRYPT, SecurityType::VNC]);
    /// # Ok::<(), rfb_proto::DecodeError>(())
    /// ```
    pub struct SecurityTypes {
        ;
        count: u8,
        /// The types, in the server's order.
        types: [SecurityType],
    }
}

impl SecurityTypes {
    /// The empty list of a server that refuses. A [`Reason`] has to follow.
    pub const REFUSAL: Self = Self { types: Vec::new() };

    /// Whether the server refuses.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.types.is_empty()
    }

    /// The client's choice: the first of `wanted`, best first, that is offered.
    ///
    /// The order of the offer does not count: some servers put types without encryption first. `None`
    /// is for the caller to report, with the types that were offered.
    #[must_use]
    pub fn choose(&self, wanted: &[SecurityType]) -> Option<SecurityChoice> {
        let security_type = wanted.iter().copied().find(|&wanted| self.offers(wanted))?;
        Some(SecurityChoice { security_type })
    }

    /// The server's look at the client's choice: the type to go on with.
    ///
    /// Servers without this check let every client in that chose type None (CVE-2006-2369 and others since),
    /// so there is no way around it, and [`SecurityType::INVALID`] is refused even if it is in the list.
    ///
    /// # Errors
    /// The choice is not in this list.
    pub fn check(&self, choice: SecurityChoice) -> Result<SecurityType, NotOffered> {
        let SecurityChoice { security_type } = choice;
        if self.offers(security_type) {
            Ok(security_type)
        } else {
            Err(NotOffered { security_type })
        }
    }

    fn offers(&self, security_type: SecurityType) -> bool {
        security_type != SecurityType::INVALID && self.types.contains(&security_type)
    }
}

impl From<&[SecurityType]> for SecurityTypes {
    fn from(types: &[SecurityType]) -> Self {
        Self { types: types.into() }
    }
}

layout! {
    /// The client's answer to [`SecurityTypes`] (RFC 6143 section 7.1.2), 1 byte.
    ///
    /// A client takes it from [`SecurityTypes::choose`], a server gives it to [`SecurityTypes::check`].
    #[derive(Copy)]
    pub struct SecurityChoice {
        /// The type.
        security_type: SecurityType,
    }
}

/// The client chose a type that was not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("security type {security_type} was not offered")]
pub struct NotOffered {
    /// What it chose.
    pub security_type: SecurityType,
}

layout! {
    /// What the server decided in 3.3 (RFC 6143 appendix A.1), 4 bytes. 0: it refuses, and a [`Reason`]
    /// follows.
    ///
    /// Only 0, 1 and 2 are legal, but other numbers are sent, up to UltraVNC's with all high bits set.
    #[derive(Copy)]
    pub struct SecurityTypeWord {
        /// The number, at its full width.
        number: u32,
    }
}

impl SecurityTypeWord {
    /// The server refuses. A [`Reason`] has to follow.
    pub const REFUSAL: Self = Self { number: 0 };
    /// UltraVNC's Windows logon in 3.3. There is no such type in the lists of 3.7 and 3.8.
    pub const MS_LOGON: Self = Self { number: 0xffff_fffa };

    /// Whether the server refuses.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        self.number == 0
    }

    /// The type that the lists of 3.7 and 3.8 know by the same number. `None` above 255: nothing is cut
    /// off.
    #[must_use]
    pub fn security_type(self) -> Option<SecurityType> {
        u8::try_from(self.number).ok().map(SecurityType)
    }

    /// What the number is called, if it is a known one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::MS_LOGON => Some("UltraVNC MSLogon"),
            _ => self.security_type()?.name(),
        }
    }
}

impl From<SecurityType> for SecurityTypeWord {
    fn from(security_type: SecurityType) -> Self {
        Self {
            number: security_type.0.into(),
        }
    }
}

/// The name and the number, as for [`SecurityType`].
impl fmt::Display for SecurityTypeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

layout! {
    /// How it ended for the client (RFC 6143 section 7.1.3), 4 bytes. In 3.8 a [`Reason`] follows a failure.
    #[derive(Copy)]
    pub struct SecurityResult {
        /// The number. UltraVNC has more than are here.
        status: u32,
    }
}

impl SecurityResult {
    /// It is let in.
    pub const OK: Self = Self { status: 0 };
    /// It is not.
    pub const FAILED: Self = Self { status: 1 };
    /// It is not, and should not try again soon (servers with [`tight`]).
    pub const TOO_MANY_ATTEMPTS: Self = Self { status: 2 };
}

layout! {
    /// Why the server refuses (RFC 6143 sections 7.1.2 and 7.1.3): 4 bytes and the text.
    ///
    /// It follows a list of no types, a word 0 and, in 3.8, a failed SecurityResult. Some servers leave it
    /// out there and close: an end of the stream in the middle of it means a refusal without a reason.
    pub struct Reason {
        ;
        length: u32,
        /// The text as sent: Latin-1 by the older specification, UTF-8 by the newer. QEMU's ends with a
        /// NUL. It is the peer's, so treat it as hostile; [`to_text`](Self::to_text) helps.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        text: [u8; ..=reason],
    }
}

impl Reason {
    /// A reason of our own. ASCII is read in the same way by all clients.
    #[must_use]
    pub const fn from_static(text: &'static str) -> Self {
        Self {
            text: Bytes::from_static(text.as_bytes()),
        }
    }

    /// The text for a log or a dialogue: trailing NULs and line ends are gone, other control characters
    /// are escaped, and what is not UTF-8 is taken for Latin-1.
    #[must_use]
    pub fn to_text(&self) -> String {
        crate::text::shown(&self.text)
    }
}
