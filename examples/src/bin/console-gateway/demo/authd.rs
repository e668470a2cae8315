//! A simulated VMware host: authd asks for the ticket over TLS, and then passes the console on over a second TLS.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use console_token::webmks::Thumbprint;
use examples::tls::TlsStream;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rfb_proto::tls::TlsSession;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::report::{Outcome, must};
use super::talk::digest;
use crate::front::tls;
use crate::sync::lock;

/// The path of the machine's configuration.
pub(super) const VMX: &str = "/vmfs/volumes/demo/vm.vmx";
/// What the console says first.
pub(super) const GREETING: &[u8] = b"mks here";

/// authd, running.
pub(super) struct Authd {
    pub(super) address: SocketAddr,
    /// Of the certificate at the log-in.
    pub(super) thumbprint: Thumbprint,
    shared: Arc<Shared>,
}

struct Shared {
    ticket: String,
    login: Arc<ServerConfig>,
    console: Arc<ServerConfig>,
    /// The certificate that it says the console has.
    named: Thumbprint,
    /// Digests of the tickets that came.
    tickets: Mutex<Vec<String>>,
    consoles: AtomicUsize,
}

fn certificate() -> Outcome<(Arc<ServerConfig>, Thumbprint)> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["esx.demo".to_owned()])?;
    let thumbprint = Thumbprint::of(cert.der());
    let config = tls::server(cert.pem().as_bytes(), signing_key.serialize_pem().as_bytes())?;
    Ok((config, thumbprint))
}

impl Authd {
    /// `honest`: the console has the certificate that the log-in names.
    pub(super) async fn start(ticket: &str, honest: bool) -> Outcome<Self> {
        let (login, thumbprint) = certificate()?;
        let (console, own) = certificate()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            ticket: ticket.to_owned(),
            login,
            console,
            named: if honest { own } else { thumbprint },
            tickets: Mutex::default(),
            consoles: AtomicUsize::new(0),
        });
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let serving = serving.clone();
                tokio::spawn(async move {
                    if let Err(error) = serving.serve(tcp).await {
                        tracing::info!(%error, "authd: connection failed");
                    }
                });
            }
        });
        Ok(Self {
            address,
            thumbprint,
            shared,
        })
    }

    /// Digests of the tickets that came.
    pub(super) fn tickets(&self) -> Vec<String> {
        lock(&self.shared.tickets).clone()
    }

    /// Consoles that were opened.
    pub(super) fn consoles(&self) -> usize {
        self.shared.consoles.load(Ordering::Relaxed)
    }
}

impl Shared {
    async fn serve(&self, mut tcp: TcpStream) -> Outcome<()> {
        tcp.set_nodelay(true)?;
        tcp.write_all(b"220 VMware Authentication Daemon\r\n").await?;
        let mut stream = examples::tls::server(tcp, self.login.clone()).await?;
        let mut random = String::new();
        loop {
            let line = line(&mut stream).await?;
            let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match command {
                "USER" | "PASS" if rest == self.ticket => {
                    lock(&self.tickets).push(digest(rest.as_bytes()));
                    if command == "USER" { "331 Password" } else { "230 In" }.to_owned()
                }
                "THUMBPRINT" => {
                    rest.clone_into(&mut random);
                    format!("200 {:#}", self.named)
                }
                "CONNECT" if rest == format!("{VMX} mks") => "200 Connect".to_owned(),
                _ => "530 no".to_owned(),
            };
            stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
            stream.flush().await?;
            match command {
                _ if answer.starts_with("530") => return Err("a wrong command or ticket".into()),
                "CONNECT" => break,
                _ => {}
            }
        }
        // On the bare connection, where the client's next hello may have come already.
        let (tcp, mut ahead) = stream.into_parts();
        let session = UnbufferedServerConnection::new(self.console.clone())?;
        let mut stream = TlsStream::new(tcp, TlsSession::new(session, &mut ahead));
        stream.handshake().await?;
        let mut said = vec![0; random.len()];
        stream.read_exact(&mut said).await?;
        must(said == random.as_bytes(), "another number than at the log-in")?;
        self.consoles.fetch_add(1, Ordering::Relaxed);
        stream.write_all(GREETING).await?;
        stream.flush().await?;
        let mut heard = [0; 1024];
        loop {
            let length = stream.read(&mut heard).await?;
            let Some(heard) = heard.get(..length).filter(|heard| !heard.is_empty()) else {
                return Ok(());
            };
            stream.write_all(heard).await?;
            stream.flush().await?;
        }
    }
}

/// A line, without its end.
async fn line(stream: &mut (impl AsyncRead + Unpin)) -> Outcome<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        must(line.len() < 1024, "a line without an end")?;
        line.push(stream.read_u8().await?);
    }
    line.truncate(line.len() - 2);
    Ok(String::from_utf8(line)?)
}
