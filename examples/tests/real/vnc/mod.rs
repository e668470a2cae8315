//! VNC: this project's programs between real servers and real viewers.
//!
//! Servers show a picture that is known to the pixel: QEMU the guest's screen, Xvnc and x11vnc a tiled
//! root window, our own `vnc-serve` a file. Every viewer has to show just that picture with the right
//! password, and has to say itself that the wrong one was refused.

mod bridge;
mod browser;
mod clients;
mod programs;
mod qemu;
mod servers;
mod x;

use std::path::{Path, PathBuf};

/// The password of every server, and one that none takes.
pub(crate) const PASSWORD: &str = "s3cretpw";
/// The password of the bridge, which no server takes.
pub(crate) const TENANT: &str = "t3nantpw";
pub(crate) const WRONG: &str = "wr0ng-pw";
/// Who logs in with Plain credentials.
pub(crate) const USER: &str = "alice";
pub(crate) const USER_PASSWORD: &str = "Pa55-w0rd-of-alice";

/// How a server is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    None,
    Vnc,
    Plain,
    X509None,
    X509Vnc,
    X509Plain,
}

impl Security {
    /// As this project's programs call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Vnc => "vnc",
            Self::Plain => "plain",
            Self::X509None => "x509-none",
            Self::X509Vnc => "x509-vnc",
            Self::X509Plain => "x509-plain",
        }
    }

    /// As TigerVNC calls it.
    pub(crate) fn tigervnc(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Vnc => "VncAuth",
            Self::Plain => "Plain",
            Self::X509None => "X509None",
            Self::X509Vnc => "X509Vnc",
            Self::X509Plain => "X509Plain",
        }
    }

    pub(crate) fn has_tls(self) -> bool {
        matches!(self, Self::X509None | Self::X509Vnc | Self::X509Plain)
    }

    pub(crate) fn has_user(self) -> bool {
        matches!(self, Self::Plain | Self::X509Plain)
    }

    /// What the servers here take, unless they take everybody.
    pub(crate) fn right_password(self) -> Option<&'static str> {
        match self {
            Self::None | Self::X509None => None,
            Self::Vnc | Self::X509Vnc => Some(PASSWORD),
            Self::Plain | Self::X509Plain => Some(USER_PASSWORD),
        }
    }
}

/// What a viewer is told.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) security: Security,
    pub(crate) password: Option<&'static str>,
    /// The authority of the server's certificate.
    pub(crate) authority: PathBuf,
}

impl Login {
    pub(crate) fn right(security: Security, authority: &Path) -> Self {
        Self {
            security,
            password: security.right_password(),
            authority: authority.to_owned(),
        }
    }

    /// The same with another password. `None`: there is none to be wrong.
    pub(crate) fn wrong(&self) -> Option<Self> {
        self.password.map(|_| Self {
            password: Some(WRONG),
            ..self.clone()
        })
    }
}
