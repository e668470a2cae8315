//! VNC: this project's programs between real servers and real viewers.
//!
//! Servers show a picture that is known to the pixel: QEMU the guest's screen, Xvnc and x11vnc a tiled
//! root window, our own `vnc-serve` a file. Every viewer has to show just that picture with the right
//! password, and has to say itself that the wrong one was refused.

mod bridge;
pub(crate) mod clients;
#[cfg(feature = "tools")]
mod depth;
mod logins;
mod middle;
mod minimal;
mod moves;
pub(crate) mod programs;
pub(crate) mod qemu;
mod relay;
mod servers;
mod x;

use std::path::{Path, PathBuf};

use examples::vnc::Method;
use rfb_proto::tls::Fingerprint;

/// The password of every server, and one that none takes.
pub(crate) const PASSWORD: &str = "s3cretpw";
/// The password of the bridge, which no server takes.
pub(crate) const TENANT: &str = "t3nantpw";
pub(crate) const WRONG: &str = "wr0ng-pw";
/// The user of Plain credentials.
pub(crate) const USER: &str = "alice";
pub(crate) const USER_PASSWORD: &str = "Pa55-w0rd-of-alice";

/// As TigerVNC calls it.
pub(crate) fn tigervnc(method: Method) -> &'static str {
    match method {
        Method::None => "None",
        Method::Vnc => "VncAuth",
        Method::Plain => "Plain",
        Method::X509None => "X509None",
        Method::X509Vnc => "X509Vnc",
        Method::X509Plain => "X509Plain",
        Method::Ra2 => "RA2",
        Method::Ra2ne => "RA2ne",
        Method::Ra2Long => "RA2_256",
        Method::Ra2neLong => "RA2ne_256",
        Method::Ard => "DH",
        Method::MsLogon2 => "MSLogonII",
        Method::MsLogon3 => unreachable!("TigerVNC has no MSLogonIII"),
    }
}

/// The arguments of a viewer.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) method: Method,
    pub(crate) password: Option<&'static str>,
    /// The authority of the server's certificate.
    pub(crate) authority: PathBuf,
    /// The server's key of RSA, for our own client.
    pub(crate) rsa_key: Option<Fingerprint>,
}

impl Login {
    /// With what the servers here take, unless they take everybody.
    pub(crate) fn right(method: Method, authority: &Path) -> Self {
        let needs = method.needs();
        Self {
            method,
            password: match (needs.user, needs.password) {
                (true, _) => Some(USER_PASSWORD),
                (false, true) => Some(PASSWORD),
                (false, false) => None,
            },
            authority: authority.to_owned(),
            rsa_key: None,
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
