//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use examples::vnc::{Account, Method, Secret, password};
use rfb_proto::tls::{Identity, ServerTls};

use crate::Result;
use crate::picture::Picture;

/// Shows a picture to every VNC viewer that may log in, until it is ended.
///
/// The first line of standard output is the address that it listens on. The password is the first line of
/// --password-file, or else the environment variable VNC_PASSWORD.
#[derive(Debug, Parser)]
#[command(name = "vnc-picture", version, after_help = AFTER)]
pub(crate) struct Cli {
    /// What is shown: a PNG with eight bits a colour.
    #[arg(value_name = "PICTURE.png")]
    pub(crate) picture: PathBuf,
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5900")]
    pub(crate) listen: SocketAddr,
    /// How viewers log in; more than one, in the order in which they are offered.
    #[arg(long, value_name = "METHOD", required = true)]
    security: Vec<Method>,
    /// The user name for plain and x509-plain.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The server's certificate (PEM), and those between it and the authority.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// What viewers show as the title.
    #[arg(long, value_name = "TEXT", default_value = "vnc-picture")]
    title: String,
}

const AFTER: &str = "\
Examples:
  vnc-picture --security none picture.png
  vnc-picture --security x509-vnc --certificate cert.pem --key key.pem --password-file p picture.png";

/// What all viewers share: the methods, the account, TLS, and the picture.
pub(crate) struct Settings {
    pub(crate) methods: Vec<Method>,
    pub(crate) account: Account,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) title: String,
    pub(crate) picture: Picture,
}

impl Cli {
    /// Reads what the arguments name; everything that the methods need must be there.
    pub(crate) fn settings(&self, picture: Picture) -> Result<Settings> {
        let needed = |what: fn(Method) -> bool| self.security.iter().copied().any(what);
        let user = match &self.user {
            Some(user) => user.clone(),
            None if needed(|method| method.needs().user) => return Err("plain needs --user".into()),
            None => String::new(),
        };
        let password = password(self.password_file.as_deref())?;
        if password.is_none() && needed(|method| method.needs().password) {
            return Err("a password is needed: --password-file, or VNC_PASSWORD".into());
        }
        let tls = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let read = |path: &PathBuf| {
                    let bytes = std::fs::read(path).map(Secret::new);
                    bytes.map_err(|error| format!("{}: {error}", path.display()))
                };
                let (chain, key) = (read(certificate)?, read(key)?);
                let identity = Identity {
                    chain: &chain,
                    key: &key,
                };
                Some(ServerTls::new(identity, None)?)
            }
            _ if needed(|method| method.needs().tls) => return Err("x509 needs --certificate and --key".into()),
            _ => None,
        };
        Ok(Settings {
            methods: self.security.clone(),
            account: Account { user, password },
            tls,
            title: self.title.clone(),
            picture,
        })
    }
}
