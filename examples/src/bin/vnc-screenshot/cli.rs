//! The command line.

use std::path::PathBuf;

use clap::Parser;
use examples::vnc::{Method, Secret, password};
use rfb_proto::security::rsa_aes::Pin;
use rfb_proto::tls::{ClientTls, Fingerprint};

use crate::Result;

/// Looks at a VNC server once and writes what it shows into a PNG file.
///
/// The password is the first line of --password-file, or else the environment variable VNC_PASSWORD; it is
/// never an argument, since all users of the machine can see those.
#[derive(Debug, Parser)]
#[command(name = "vnc-screenshot", version, after_help = AFTER)]
pub(crate) struct Cli {
    /// Where the server is, as console.example.org:5900.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) server: String,
    /// The file to write; one that is there is replaced.
    #[arg(value_name = "OUT.png")]
    pub(crate) out: PathBuf,
    /// The user name for plain, x509-plain and the sealed methods (ra2, ard, ms-logon2 and their like).
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities that the server's certificate may come from. With it the
    /// connection has TLS, or there is none.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The name or address that the server's certificate must be made out to [default: HOST].
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// The SHA-256 fingerprint of the server's RSA key, for ra2 and its like.
    #[arg(long, value_name = "HEX")]
    rsa_key: Option<Fingerprint>,
    /// A way to log in that may be taken; more than one, the best first.
    #[arg(long, value_name = "METHOD")]
    security: Vec<Method>,
    /// When to give up.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: u64,
}

const AFTER: &str = "\
Without --security those methods are taken for which everything is there:
  with --ca        x509-plain with a user and a password, x509-vnc with a password, x509-none
  without --ca     vnc with a password, none
Plain sends the password in clear text, and is only taken when it is named.

Examples:
  vnc-screenshot 127.0.0.1:5900 screen.png
  VNC_PASSWORD=secret vnc-screenshot --ca ca-cert.pem hypervisor.example.org:5901 screen.png
  vnc-screenshot --ca ca-cert.pem --user alice --password-file p desk.example.org:5900 screen.png";

/// How to log in.
pub(crate) struct Credentials {
    /// What may be taken, best first.
    pub(crate) methods: Vec<Method>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    /// The trusted authorities, and the expected name.
    pub(crate) tls: Option<(ClientTls, String)>,
    /// The server's RSA key.
    pub(crate) rsa_pin: Pin,
}

impl Cli {
    /// Reads what the arguments name, and finds the methods that can be used with it.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        let port = self.server.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        match port {
            None => return Err("the server needs a port: HOST:PORT".into()),
            Some(Err(_)) => return Err(format!("{:?} has no port that is a number", self.server).into()),
            Some(Ok(_)) => {}
        }
        let password = password(self.password_file.as_deref())?;
        let tls = match &self.ca {
            Some(path) => {
                let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
                let pem = std::fs::read(path).map_err(|error| named(&error))?;
                let tls = ClientTls::new(&pem, None).map_err(|error| named(&error))?;
                let name = self.server_name.clone().unwrap_or_else(|| self.host());
                Some((tls, name))
            }
            None => None,
        };
        let usable = |method: &Method| {
            let needs = method.needs();
            (!needs.user || self.user.is_some()) && (!needs.password || password.is_some())
        };
        let methods: Vec<_> = match (self.security.as_slice(), &tls) {
            ([], Some(_)) => [Method::X509Plain, Method::X509Vnc, Method::X509None]
                .into_iter()
                .filter(usable)
                .collect(),
            ([], None) => [Method::Vnc, Method::None].into_iter().filter(usable).collect(),
            (named, _) => named.to_vec(),
        };
        for method in &methods {
            let needs = method.needs();
            if needs.tls != tls.is_some() {
                let without = if needs.tls {
                    "needs --ca"
                } else {
                    "has no TLS, and --ca wants it"
                };
                return Err(format!("{method} {without}").into());
            }
            if !usable(method) {
                return Err(format!("{method} needs more: a user, a password, or both").into());
            }
            if needs.rsa && self.rsa_key.is_none() {
                return Err(format!("{method} needs --rsa-key, the fingerprint of the server's key").into());
            }
        }
        Ok(Credentials {
            methods,
            user: self.user.clone(),
            password,
            tls,
            // Without the fingerprint there is no method that asks for it.
            rsa_pin: self.rsa_key.map_or(Pin::Any, |fingerprint| Pin::Sha256(fingerprint.0)),
        })
    }

    /// The server's address without its port.
    fn host(&self) -> String {
        let host = self
            .server
            .rsplit_once(':')
            .map_or(self.server.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    }
}

impl Credentials {
    /// The password, where one is asked for.
    pub(crate) fn password(&self) -> Result<&[u8]> {
        let password = self.password.as_ref().ok_or("the server wants a password")?;
        Ok(password)
    }
}
