//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use examples::vnc::{Account, Method, Secret, key, password};
use rfb_proto::security::rsa_aes::Key;
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
    /// The user name for plain, x509-plain and the sealed methods (ra2, ard, ms-logon2 and their like).
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
    /// The key of ra2 and its like: RSA, PEM, PKCS#8 or PKCS#1. Without one it is made at the start.
    #[arg(long, value_name = "FILE")]
    rsa_key: Option<PathBuf>,
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
    pub(crate) rsa_key: Option<Arc<Key>>,
    pub(crate) title: String,
    pub(crate) picture: Picture,
}

impl Cli {
    /// Reads what the arguments name; everything that the methods need must be there.
    pub(crate) fn settings(&self, picture: Picture) -> Result<Settings> {
        let needed = |what: fn(Method) -> bool| self.security.iter().copied().any(what);
        let user = match &self.user {
            Some(user) => user.clone(),
            None if needed(|method| method.needs().user) => return Err("a user is needed: --user".into()),
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
        let rsa_key = match &self.rsa_key {
            Some(path) => {
                let pem = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
                Some(Key::from_pem(&pem).map_err(|error| format!("{}: {error}", path.display()))?)
            }
            None => needed(|method| method.needs().rsa).then(key),
        };
        Ok(Settings {
            methods: self.security.clone(),
            account: Account { user, password },
            tls,
            rsa_key: rsa_key.map(Arc::new),
            title: self.title.clone(),
            picture,
        })
    }
}
