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
}

impl Method {
    /// What it takes.
    #[must_use]
    pub fn needs(self) -> Needs {
        let user = matches!(self, Self::Plain | Self::X509Plain);
        Needs {
            user,
            password: user || matches!(self, Self::Vnc | Self::X509Vnc),
            tls: matches!(self, Self::X509None | Self::X509Vnc | Self::X509Plain),
        }
    }

    /// What is chosen from the first list.
    #[must_use]
    pub fn security_type(self) -> SecurityType {
        match self {
            Self::None => SecurityType::NONE,
            Self::Vnc => SecurityType::VNC,
            Self::Plain | Self::X509None | Self::X509Vnc | Self::X509Plain => SecurityType::VENCRYPT,
        }
    }

    /// What is chosen from the second list, inside VeNCrypt.
    #[must_use]
    pub fn subtype(self) -> Option<Subtype> {
        match self {
            Self::None | Self::Vnc => None,
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
