//! The small stand-ins: QEMU's monitor, a serial port, and a Nova that is asked for tokens.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::Cell;
use super::report::Outcome;
use super::world::UUID;
use crate::sync::lock;

/// Calls `serve` for each connection to a port of its own.
async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Outcome<SocketAddr>
where
    F: Future<Output = Outcome<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp));
        }
    });
    Ok(address)
}

/// QEMU's monitor (QMP): sets the passwords of a SPICE and of a VNC server.
pub(super) struct Monitor {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Monitor {
    /// `sets`: it does what it says.
    pub(super) async fn start(spice: Cell, vnc: Cell, sets: bool) -> Outcome<Self> {
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let own = heard.clone();
        let address = serve(move |tcp| {
            let (heard, spice, vnc) = (own.clone(), spice.clone(), vnc.clone());
            async move {
                let mut talk = BufReader::new(tcp);
                talk.write_all(b"{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n")
                    .await?;
                let mut line = String::new();
                while talk.read_line(&mut line).await? != 0 {
                    let command: Value = serde_json::from_str(&line)?;
                    line.clear();
                    let arguments = &command["arguments"];
                    if let (true, "set_password", Some(password)) = (
                        sets,
                        command["execute"].as_str().unwrap_or_default(),
                        arguments["password"].as_str(),
                    ) {
                        let cell = if arguments["protocol"] == "vnc" { &vnc } else { &spice };
                        password.clone_into(&mut lock(cell));
                    }
                    lock(&heard).push(command);
                    // An event may come in between.
                    talk.write_all(b"{\"event\": \"X\"}\r\n{\"return\": {}}\r\n").await?;
                }
                Ok(())
            }
        });
        let address = address.await?;
        Ok(Self { address, heard })
    }

    /// How many passwords were set for this protocol.
    pub(super) fn count(&self, protocol: &str) -> usize {
        let heard = lock(&self.heard);
        let set = heard.iter().filter(|command| command["execute"] == "set_password");
        set.filter(|command| command["arguments"]["protocol"] == protocol)
            .count()
    }
}

/// A serial port that says back what it gets, with a mark in front of each piece.
pub(super) struct SerialPort {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl SerialPort {
    pub(super) async fn start() -> Outcome<Self> {
        let connections: Arc<AtomicUsize> = Arc::default();
        let count = connections.clone();
        let address = serve(move |mut tcp| {
            count.fetch_add(1, Ordering::Relaxed);
            async move {
                let mut heard = [0; 1024];
                loop {
                    let length = tcp.read(&mut heard).await?;
                    let Some(heard) = heard.get(..length).filter(|heard| !heard.is_empty()) else {
                        return Ok(());
                    };
                    tcp.write_all(&[b">", heard].concat()).await?;
                }
            }
        });
        let address = address.await?;
        Ok(Self { address, connections })
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

/// A Nova that says where the consoles of some tokens are.
pub(super) struct Nova {
    pub(super) address: SocketAddr,
}

impl Nova {
    /// `consoles`: host and port by token.
    pub(super) async fn start(consoles: HashMap<String, (String, u16)>) -> Outcome<Self> {
        let consoles = Arc::new(consoles);
        let address = serve(move |mut tcp| {
            let consoles = consoles.clone();
            async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(tcp.read_u8().await?);
                }
                let head = String::from_utf8(head)?;
                let path = head.split(' ').nth(1).unwrap_or_default();
                let known = consoles.get(path.rsplit('/').next().unwrap_or_default());
                let (status, body) = match known {
                    None => (404, json!({"itemNotFound": {"code": 404, "message": "no token"}})),
                    Some((host, port)) => {
                        let console = json!({
                            "instance_uuid": UUID, "host": host, "port": port, "internal_access_path": null,
                        });
                        (200, json!({ "console": console }))
                    }
                };
                let body = body.to_string();
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                Ok(tcp.write_all(answer.as_bytes()).await?)
            }
        });
        Ok(Self {
            address: address.await?,
        })
    }
}
