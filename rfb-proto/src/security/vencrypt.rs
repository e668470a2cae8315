//! VeNCrypt 0.2, security type 19: subtypes with and without TLS.
//!
//! ```text
//! S  u8 0, u8 2                        highest version               VeNCryptVersion
//! C  u8, u8                            the one to use; 0, 0: none    VeNCryptVersion
//! S  u8                                0 is good                     VersionAcknowledgement
//! S  u8 count, u32 subtypes[count]                                   Subtypes
//! C  u32 subtype                                                     SubtypeChoice
//! S  u8                                1 is good                     SubtypeAcknowledgement
//!    TLS handshake                     these two with TLS only
//!    the exchange of the subtype       None, Vnc, Plain, SASL, Ident
//! S  u32 SecurityResult                always, in every RFB version
//! ```
//!
//! The two acknowledgements have opposite senses. The second one is sent for subtypes with TLS only, which the
//! first specification forgot. Ordinary security types may be listed as well (TigerVNC and PiKVM do so): they
//! go on without the second acknowledgement and without TLS, as if they had been chosen from the first list.
//!
//! Source: the community's RFB specification, and for 263 and 264 the deployed programs, see [`Subtype`].

use super::SecurityType;
use crate::fields::{codec, layout};
use crate::ids::ids;

ids! {
    /// The server's answer to a version.
    pub struct VersionAcknowledgement(u8) {
        /// It takes it.
        ACCEPTED = 0, "accepted";
        /// It does not. QEMU says so; TigerVNC says 255.
        REFUSED = 1, "refused";
    }

    /// The server's answer to a subtype: the opposite sense of [`VersionAcknowledgement`].
    pub struct SubtypeAcknowledgement(u8) {
        /// It does not take it.
        REFUSED = 0, "refused";
        /// It takes it.
        ACCEPTED = 1, "accepted";
    }
}

layout! {
    /// A version of VeNCrypt: the server's highest, then the client's choice. 2 bytes.
    #[derive(Copy)]
    pub struct VeNCryptVersion {
        /// 0.
        major: u8,
        /// 2.
        minor: u8,
    }
}

impl VeNCryptVersion {
    /// The only one in use. 0.1 had other subtype numbers.
    pub const V0_2: Self = Self { major: 0, minor: 2 };
    /// What a client answers that cannot speak what is offered.
    pub const NONE: Self = Self { major: 0, minor: 0 };
}

impl core::fmt::Display for VeNCryptVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

ids! {
    /// A subtype. Numbers below 256 are those of [`SecurityType`].
    ///
    /// The specification has 263 and 264 the other way round. QEMU, gtk-vnc, libvncserver and nova agree on
    /// what is here, and a client that took 264 for certificates would get anonymous TLS from them.
    pub struct Subtype(u32) {
        /// User and password in clear text.
        PLAIN = 256, "Plain";
        /// Anonymous TLS, then nothing.
        TLS_NONE = 257, "TLSNone";
        /// Anonymous TLS, then VNC authentication.
        TLS_VNC = 258, "TLSVnc";
        /// Anonymous TLS, then user and password.
        TLS_PLAIN = 259, "TLSPlain";
        /// TLS with certificates, then nothing.
        X509_NONE = 260, "X509None";
        /// TLS with certificates, then VNC authentication.
        X509_VNC = 261, "X509Vnc";
        /// TLS with certificates, then user and password.
        X509_PLAIN = 262, "X509Plain";
        /// TLS with certificates, then SASL.
        X509_SASL = 263, "X509SASL";
        /// Anonymous TLS, then SASL.
        TLS_SASL = 264, "TLSSASL";
        /// A user name without a password, in clear text.
        IDENT = 265, "Ident";
        /// Anonymous TLS, then a user name.
        TLS_IDENT = 266, "TLSIdent";
        /// TLS with certificates, then a user name.
        X509_IDENT = 267, "X509Ident";
    }
}

/// How the server authenticates in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsKind {
    /// By an X.509 certificate.
    X509,
    /// Not at all: anonymous Diffie-Hellman, which ends with TLS 1.2. It hides the session from passive
    /// listeners only. Rustls does not have it.
    Anonymous,
}

impl core::fmt::Display for TlsKind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::X509 => "TLS with certificates",
            Self::Anonymous => "anonymous TLS",
        })
    }
}

/// How the client authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchange {
    /// It does not.
    None,
    /// Challenge and response, see [`super::vnc`].
    Vnc,
    /// User and password, see [`super::plain`].
    Plain,
    /// See [`super::sasl`].
    Sasl,
    /// A user name, see [`super::plain::Ident`].
    Ident,
    /// User and password, or the latter alone, see [`super::rsa_aes`].
    RsaAes,
    /// User and password, see [`super::ard`].
    DiffieHellman,
    /// User and password, see [`super::ms_logon`].
    MsLogonII,
    /// User and password, see [`super::ms_logon`].
    MsLogonIII,
}

impl Exchange {
    /// The exchange of a security type that consists of nothing else.
    #[must_use]
    pub const fn of(security_type: SecurityType) -> Option<Self> {
        match security_type {
            SecurityType::NONE => Some(Self::None),
            SecurityType::VNC => Some(Self::Vnc),
            SecurityType::SASL => Some(Self::Sasl),
            SecurityType::RA2 | SecurityType::RA2NE | SecurityType::RA2_256 | SecurityType::RA2NE_256 => {
                Some(Self::RsaAes)
            }
            SecurityType::DIFFIE_HELLMAN => Some(Self::DiffieHellman),
            SecurityType::MS_LOGON_II => Some(Self::MsLogonII),
            SecurityType::MS_LOGON_III => Some(Self::MsLogonIII),
            _ => None,
        }
    }

    /// Whether it can be followed: those with ciphers of their own have a feature each.
    #[must_use]
    pub const fn is_available(self) -> bool {
        match self {
            Self::None | Self::Vnc | Self::Plain | Self::Sasl | Self::Ident => true,
            Self::RsaAes => cfg!(feature = "rsa-aes"),
            Self::DiffieHellman => cfg!(feature = "ard"),
            Self::MsLogonII | Self::MsLogonIII => cfg!(feature = "ms-logon"),
        }
    }
}

impl Subtype {
    /// The TLS that it runs in.
    #[must_use]
    pub const fn tls(self) -> Option<TlsKind> {
        match self {
            Self::TLS_NONE | Self::TLS_VNC | Self::TLS_PLAIN | Self::TLS_SASL | Self::TLS_IDENT => {
                Some(TlsKind::Anonymous)
            }
            Self::X509_NONE | Self::X509_VNC | Self::X509_PLAIN | Self::X509_SASL | Self::X509_IDENT => {
                Some(TlsKind::X509)
            }
            _ => None,
        }
    }

    /// What follows, if it is known here. For ordinary types those that can follow inside VeNCrypt: never
    /// VeNCrypt itself.
    #[must_use]
    pub fn exchange(self) -> Option<Exchange> {
        match self {
            Self::TLS_NONE | Self::X509_NONE => Some(Exchange::None),
            Self::TLS_VNC | Self::X509_VNC => Some(Exchange::Vnc),
            Self::PLAIN | Self::TLS_PLAIN | Self::X509_PLAIN => Some(Exchange::Plain),
            Self::X509_SASL | Self::TLS_SASL => Some(Exchange::Sasl),
            Self::IDENT | Self::TLS_IDENT | Self::X509_IDENT => Some(Exchange::Ident),
            _ => Exchange::of(self.security_type()?),
        }
    }

    /// The ordinary security type that it is.
    #[must_use]
    pub fn security_type(self) -> Option<SecurityType> {
        u8::try_from(self.0).ok().map(SecurityType)
    }
}

impl From<SecurityType> for Subtype {
    fn from(security_type: SecurityType) -> Self {
        Self(security_type.0.into())
    }
}

layout! {
    /// What the server offers: 1 byte and 4 for each. None at all: it closes, and there is no reason.
    pub struct Subtypes {
        ;
        count: u8,
        /// In the server's order. Do not take the first that is known: TigerVNC lists 256 in front of 260.
        subtypes: [Subtype],
    }
}

layout! {
    /// The client's choice, 4 bytes.
    #[derive(Copy)]
    pub struct SubtypeChoice {
        /// The subtype.
        subtype: Subtype,
    }
}
