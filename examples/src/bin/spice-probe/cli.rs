//! The command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use examples::secret::{Secret, password};
use spice_proto::tls::{Expected, HostSubject, Verifier, server_name};
use vv_file::{ConnectionFile, ConnectionType};

use crate::Result;
use crate::connect::{Ports, Proof, Server, Tls};

/// Where a password is looked for when no file is named.
const VARIABLE: &str = "SPICE_PASSWORD";

/// Connects to a SPICE server as a client does, opens every channel that it offers, and prints what it is, what it
/// can and what it sends.
///
/// The password is the first line of --password-file, or else the environment variable SPICE_PASSWORD; it is never
/// an argument, since all users of the machine can see those.
#[derive(Debug, Parser)]
#[command(name = "spice-probe", version, after_help = AFTER)]
pub(crate) struct Cli {
    /// Where the server is, as console.example.org:5900.
    #[arg(value_name = "HOST:PORT", required_unless_present = "vv")]
    server: Option<String>,
    /// A connection file of virt-viewer instead: server, password and authorities are taken from it. It is not
    /// deleted.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["server", "password_file", "ca", "tls_port", "server_name", "host_subject"])]
    vv: Option<PathBuf>,
    /// A file whose first line is the password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Log in with SASL, under this name; with a ticket where the server takes no SASL.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The SASL mechanism to use, and no ticket.
    #[arg(long, value_name = "NAME", requires = "user")]
    mechanism: Option<String>,
    /// Certificates (PEM) of the authorities that the server's certificate may come from. HOST:PORT is then a port
    /// with TLS, and no connection is without.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The port with TLS, where HOST:PORT is the one without: for channels that the server wants secured, and for SASL.
    #[arg(long, value_name = "PORT", requires = "ca")]
    tls_port: Option<u16>,
    /// The name or address that the server's certificate must be made out to [default: HOST].
    #[arg(long, value_name = "NAME", requires = "ca")]
    server_name: Option<String>,
    /// The subject that the server's certificate must have, as "O=Site,CN=host"; its name is then not looked at.
    #[arg(long, value_name = "SUBJECT", requires = "ca", conflicts_with = "server_name")]
    host_subject: Option<String>,
    /// Type this text and Enter, on a keyboard of the United States.
    #[arg(long, value_name = "TEXT")]
    pub(crate) r#type: Option<String>,
    /// How long to watch, once all channels are open.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub(crate) watch: u64,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// When to give up, not counting the time for watching and typing.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=7200))]
    pub(crate) timeout: u64,
}

const AFTER: &str = "\
Examples:
  spice-probe 127.0.0.1:5900
  SPICE_PASSWORD=secret spice-probe --ca ca-cert.pem hypervisor.example.org:5901
  spice-probe --ca ca-cert.pem --user alice --password-file p --json hypervisor.example.org:5901
  spice-probe --vv console.vv --type 'root'

Exit status:
  0  a session was seen, with all its channels
  1  there was none, or a channel of it could not be opened
  2  the arguments, or a file that they name, cannot be used
  3  the server refused: the password is wrong, or it wants another kind of connection or log-in";

impl Cli {
    /// Reads what the arguments name.
    pub(crate) fn server(&self) -> Result<Server> {
        match &self.vv {
            Some(path) => self.of_file(path).map_err(|error| named(path, &error)),
            None => self.of_arguments(),
        }
    }

    fn of_arguments(&self) -> Result<Server> {
        let address = self.server.as_deref().unwrap_or_default();
        let (host, port) = address.rsplit_once(':').ok_or("the server needs a port: HOST:PORT")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
        let tls = |port| -> Result<Option<Tls>> {
            let Some(path) = &self.ca else {
                return Ok(None);
            };
            let trusted = || {
                let name = self.server_name.as_ref().unwrap_or(&host);
                tls(port, &std::fs::read(path)?, name, self.host_subject.as_deref())
            };
            trusted().map(Some).map_err(|error| named(path, &error))
        };
        let ports = match tls(self.tls_port.unwrap_or(port))? {
            None => Ports::Plain(port),
            Some(tls) if self.tls_port.is_none() => Ports::Tls(tls),
            Some(tls) => Ports::Both {
                plain: port,
                tls,
                secured: Vec::new(),
            },
        };
        Ok(Server {
            ports,
            proof: self.proof(self.user.clone(), password(self.password_file.as_deref(), VARIABLE)?)?,
            host,
        })
    }

    fn of_file(&self, path: &Path) -> Result<Server> {
        let text = Secret::new(std::fs::read(path)?);
        let file = ConnectionFile::parse(&text)?.virt_viewer;
        if file.connection_type != Some(ConnectionType::Spice) {
            return Err("it is not for SPICE".into());
        }
        if file.proxy.is_some() {
            return Err("it names an HTTP proxy, and only direct connections are made here".into());
        }
        let host = file.host.clone().ok_or("it names no host")?;
        let port = |port: Option<i32>| port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let tls = |port| -> Result<Tls> {
            let ca = file.ca.as_deref().ok_or("it has a TLS port, and no authorities")?;
            tls(port, ca.as_bytes(), &host, file.host_subject.as_deref())
        };
        let ports = match (port(file.port), port(file.tls_port)) {
            (None, None) => return Err("it names no port".into()),
            (Some(plain), None) => Ports::Plain(plain),
            (None, Some(port)) => Ports::Tls(tls(port)?),
            (Some(plain), Some(port)) => Ports::Both {
                plain,
                tls: tls(port)?,
                secured: file.secure_channels.clone().unwrap_or_default(),
            },
        };
        let user = self.user.clone().or(file.username);
        let password = file.password.map(|password| Secret::new(password.expose().to_vec()));
        Ok(Server {
            host,
            ports,
            proof: self.proof(user, password)?,
        })
    }

    fn proof(&self, user: Option<String>, password: Option<Secret>) -> Result<Proof> {
        // A server that wants no password still wants a ticket.
        let password = password.unwrap_or_default();
        Ok(match user {
            Some(user) => Proof::Sasl {
                user,
                password,
                mechanism: self.mechanism.clone(),
            },
            None => Proof::Ticket(password),
        })
    }
}

/// Trusts these authorities for this server.
fn tls(port: u16, authorities: &[u8], host: &str, subject: Option<&str>) -> Result<Tls> {
    let expected = match subject {
        Some(subject) => Expected::Subject(HostSubject::parse(subject)?),
        None => Expected::Host(host.to_owned()),
    };
    Ok(Tls {
        port,
        config: Arc::new(Verifier::new(authorities, expected)?.client_config()?),
        name: server_name(host)?,
    })
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> Box<dyn std::error::Error + Send + Sync> {
    format!("{}: {error}", path.display()).into()
}
