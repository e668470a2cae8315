//! WebMKS (seed 001), in front of a stand-in of authd.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use console_token::webmks::Thumbprint;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::program::Folder;

struct Authd {
    port: u16,
    thumbprint: Thumbprint,
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
    fn start(honest: bool) -> Self {
        let (login, thumbprint) = certificate();
        let (console, named) = certificate();
        let named = if honest { named } else { thumbprint };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (login, console) = (login.clone(), console.clone());
                thread::spawn(move || serve(stream.unwrap(), login, console, named));
            }
        });
        Self { port, thumbprint }
    }
}

fn serve(mut tcp: TcpStream, login: Arc<ServerConfig>, console: Arc<ServerConfig>, named: Thumbprint) -> Option<()> {
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
        tls.write_all(&buffer[..length]).ok()?;
    }
}

fn service(authd: &Authd, thumbprint: Thumbprint, ticket: &str) -> Service {
    let folder = Folder::new();
    folder.write(
        "mks.json",
        format!(r#"{{"ticket":"{ticket}","cfgFile":"/vm/x.vmx","thumbprint":"{thumbprint}"}}"#),
    );
    let place = format!(
        "host = \"127.0.0.1\"\nport = {}\ninternal_access_path_file = \"mks.json\"",
        authd.port
    );
    Service::start_in(folder, &with_guests(&guest("vm1", "mks", &place)))
}

const MKS: &str = r#"{"guest":"vm1","protocol":"mks"}"#;

#[tokio::test]
async fn a_browser_reaches_the_console_behind_authd() {
    let authd = Authd::start(true);
    let service = service(&authd, authd.thumbprint, "the-ticket");
    let created = created(&service, MKS);
    let token = created.json("token");
    let headers = [
        format!("X-Auth-Token: {BEARER}"),
        "OpenStack-API-Version: compute 2.99".to_owned(),
    ];
    let shown = request(
        service.api(),
        &format!("GET /v2.1/os-console-auth-tokens/{token}"),
        &headers,
        "",
    );
    let shown = json(&shown)["console"].clone();
    assert_eq!(
        (&shown["host"], &shown["port"]),
        (&"127.0.0.1".into(), &authd.port.into())
    );
    assert!(
        shown["internal_access_path"].as_str().unwrap().contains("the-ticket"),
        "{shown}"
    );
    let mut socket = websocket(service.web(), &token).await.unwrap();
    assert_eq!(receive(&mut socket, 8).await, b"mks here");
    send(&mut socket, b"keys").await;
    assert_eq!(receive(&mut socket, 4).await, b"keys");
    drop(socket);
    let (_, _, log) = service.stop("TERM");
    assert!(!log.contains("the-ticket"), "{log}");
}

#[tokio::test]
async fn certificates_that_were_not_named_cost_no_use() {
    let authd = Authd::start(true);
    for (authd, thumbprint, ticket) in [
        (&authd, Thumbprint::of(b"another"), "the-ticket"),
        (&Authd::start(false), Thumbprint::of(b"x"), "the-ticket"),
        (&authd, authd.thumbprint, "another-ticket"),
    ] {
        // The second stand-in names a certificate that its console does not have.
        let thumbprint = if thumbprint == Thumbprint::of(b"x") {
            authd.thumbprint
        } else {
            thumbprint
        };
        let service = service(authd, thumbprint, ticket);
        let token = token(&service, MKS);
        for _ in 0..2 {
            assert_eq!(websocket(service.web(), &token).await.err(), Some(502));
        }
    }
}
