//! VMware's authd, as far as a log-in for WebMKS goes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use console_token::webmks::Thumbprint;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A stand-in that says `mks here` behind its log-in, and then back what it hears.
pub(crate) struct Authd {
    pub(crate) port: u16,
    /// Of the certificate with which it takes log-ins.
    pub(crate) thumbprint: Thumbprint,
    heard: Arc<Mutex<Vec<u8>>>,
}

fn certificate() -> (Arc<ServerConfig>, Thumbprint) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["esx".to_owned()]).unwrap();
    let der: CertificateDer<'static> = cert.der().clone();
    let thumbprint = Thumbprint::of(&der);
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![der], key).unwrap();
    (Arc::new(config), thumbprint)
}

impl Authd {
    /// `honest`: the console's certificate is the one that the log-in names.
    pub(crate) fn start(honest: bool) -> Self {
        let (login, thumbprint) = certificate();
        let (console, named) = certificate();
        let named = if honest { named } else { thumbprint };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let all = heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (login, console, heard) = (login.clone(), console.clone(), all.clone());
                thread::spawn(move || serve(stream.unwrap(), (login, console), named, &heard));
            }
        });
        Self {
            port,
            thumbprint,
            heard,
        }
    }

    /// What its consoles have heard so far.
    #[allow(dead_code, reason = "not every test looks")]
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }

    /// What stands in `internal_access_path` for it.
    pub(crate) fn access_path(&self, thumbprint: &Thumbprint, ticket: &str) -> String {
        format!(r#"{{"ticket":"{ticket}","cfgFile":"/vm/x.vmx","thumbprint":"{thumbprint}"}}"#)
    }
}

fn serve(
    mut tcp: TcpStream,
    (login, console): (Arc<ServerConfig>, Arc<ServerConfig>),
    named: Thumbprint,
    heard: &Mutex<Vec<u8>>,
) -> Option<()> {
    tcp.write_all(b"220 VMware Authentication Daemon\r\n").ok()?;
    let mut random = String::new();
    {
        let tls = StreamOwned::new(ServerConnection::new(login).unwrap(), tcp.try_clone().unwrap());
        // No more is read than comes with a line: what is behind the last one is the second TLS.
        let mut lines = BufReader::with_capacity(1, tls);
        for answer in ["331 Password", "230 In", "200", "200 Connect"] {
            let mut line = String::new();
            lines.read_line(&mut line).ok()?;
            match line.split(' ').next()? {
                "USER" | "PASS" if line.trim_end().ends_with("the-ticket") => {}
                "THUMBPRINT" => random = line.split(' ').nth(1)?.trim_end().to_owned(),
                "CONNECT" if line.trim_end() == "CONNECT /vm/x.vmx mks" => {}
                _ => {
                    lines.get_mut().write_all(b"530 no\r\n").ok()?;
                    return None;
                }
            }
            let answer = if line.starts_with("THUMBPRINT") {
                format!("200 {named:#}")
            } else {
                answer.to_owned()
            };
            lines.get_mut().write_all(format!("{answer}\r\n").as_bytes()).ok()?;
        }
    }
    let mut tls = StreamOwned::new(ServerConnection::new(console).unwrap(), tcp);
    let mut said = vec![0; random.len()];
    tls.read_exact(&mut said).ok()?;
    assert_eq!(said, random.as_bytes());
    tls.write_all(b"mks here").ok()?;
    let mut buffer = [0; 1024];
    loop {
        let length = tls.read(&mut buffer).ok().filter(|length| *length != 0)?;
        heard.lock().unwrap().extend_from_slice(&buffer[..length]);
        tls.write_all(&buffer[..length]).ok()?;
    }
}
