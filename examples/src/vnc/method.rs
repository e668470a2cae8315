//! Ways to log in, as a person names them.

use std::fmt;

use clap::ValueEnum;
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use serde::Deserialize;

/// What a client shows, and what is around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Nothing.
    None,
    /// A VNC password, of which eight bytes count; no TLS.
    Vnc,
    /// User and password in clear text.
    Plain,
    /// Nothing, inside TLS.
    X509None,
    /// A VNC password inside TLS.
    X509Vnc,
    /// User and password inside TLS.
    X509Plain,
    /// RSA-AES, with the session inside of it.
    Ra2,
    /// RSA-AES, with the session in clear text.
    Ra2ne,
    /// RSA-AES-256, with the session inside of it.
    #[value(name = "ra2-256")]
    #[serde(rename = "ra2-256")]
    Ra2Long,
    /// RSA-AES-256, with the session in clear text.
    #[value(name = "ra2ne-256")]
    #[serde(rename = "ra2ne-256")]
    Ra2neLong,
    /// Apple's Diffie-Hellman: user and password, the session in clear text.
    Ard,
    /// UltraVNC's second logon: weak.
    MsLogon2,
    /// UltraVNC's third logon: weak.
    MsLogon3,
}

/// What the use of a [`Method`] requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// A user name.
    pub user: bool,
    /// A password.
    pub password: bool,
    /// Certificates.
    pub tls: bool,
    /// A key of RSA.
    pub rsa: bool,
}

impl Method {
    /// What it takes.
    #[must_use]
    pub fn needs(self) -> Needs {
        let rsa = matches!(self, Self::Ra2 | Self::Ra2ne | Self::Ra2Long | Self::Ra2neLong);
        let sealed = rsa || matches!(self, Self::Ard | Self::MsLogon2 | Self::MsLogon3);
        let user = sealed || matches!(self, Self::Plain | Self::X509Plain);
        Needs {
            user,
            password: user || matches!(self, Self::Vnc | Self::X509Vnc),
            tls: matches!(self, Self::X509None | Self::X509Vnc | Self::X509Plain),
            rsa,
        }
    }

    /// What is chosen from the first list.
    #[must_use]
    pub fn security_type(self) -> SecurityType {
        match self {
            Self::None => SecurityType::NONE,
            Self::Vnc => SecurityType::VNC,
            Self::Plain | Self::X509None | Self::X509Vnc | Self::X509Plain => SecurityType::VENCRYPT,
            Self::Ra2 => SecurityType::RA2,
            Self::Ra2ne => SecurityType::RA2NE,
            Self::Ra2Long => SecurityType::RA2_256,
            Self::Ra2neLong => SecurityType::RA2NE_256,
            Self::Ard => SecurityType::DIFFIE_HELLMAN,
            Self::MsLogon2 => SecurityType::MS_LOGON_II,
            Self::MsLogon3 => SecurityType::MS_LOGON_III,
        }
    }

    /// What is chosen from the second list, inside VeNCrypt.
    #[must_use]
    pub fn subtype(self) -> Option<Subtype> {
        match self {
            Self::None
            | Self::Vnc
            | Self::Ra2
            | Self::Ra2ne
            | Self::Ra2Long
            | Self::Ra2neLong
            | Self::Ard
            | Self::MsLogon2
            | Self::MsLogon3 => None,
            Self::Plain => Some(Subtype::PLAIN),
            Self::X509None => Some(Subtype::X509_NONE),
            Self::X509Vnc => Some(Subtype::X509_VNC),
            Self::X509Plain => Some(Subtype::X509_PLAIN),
        }
    }
}

/// As on a command line: `x509-vnc`.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Vnc => "vnc",
            Self::Plain => "plain",
            Self::X509None => "x509-none",
            Self::X509Vnc => "x509-vnc",
            Self::X509Plain => "x509-plain",
            Self::Ra2 => "ra2",
            Self::Ra2ne => "ra2ne",
            Self::Ra2Long => "ra2-256",
            Self::Ra2neLong => "ra2ne-256",
            Self::Ard => "ard",
            Self::MsLogon2 => "ms-logon2",
            Self::MsLogon3 => "ms-logon3",
        })
    }
}

/// The first list of these methods, in their order.
#[must_use]
pub fn security_types(methods: &[Method]) -> Vec<SecurityType> {
    let mut types = Vec::new();
    for method in methods {
        let security_type = method.security_type();
        if !types.contains(&security_type) {
            types.push(security_type);
        }
    }
    types
}

/// The second list of these methods, in their order.
#[must_use]
pub fn subtypes(methods: &[Method]) -> Vec<Subtype> {
    methods.iter().filter_map(|method| method.subtype()).collect()
}
