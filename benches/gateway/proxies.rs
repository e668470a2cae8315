//! What the gateway is held against: a bare copy, haproxy, websockify. And what it keeps its tokens in: Redis.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::certificates::{BOTH, CERTIFICATE, Files, KEY, name};
use crate::process::Process;

/// A program in front of one hypervisor, or a store.
pub struct Proxy {
    pub process: Process,
    pub address: SocketAddr,
}

/// `copy`: TLS on both sides and tokio's copy between them, in a process of its own, with the runtime of the gateway.
pub fn copies(port: u16, files: &Files) -> Proxy {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg("copy").arg(&files.folder).arg(port.to_string());
    let (process, line) = Process::with_line(&mut command).expect("this program");
    let address = line.trim_end().parse().expect("an address");
    Proxy { process, address }
}

/// What that process does.
pub async fn copy(folder: &Path, port: u16) {
    let files = Files::read(folder);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    println!("{}", listener.local_addr().expect("an address"));
    while let Ok((viewer, _)) = listener.accept().await {
        let files = files.clone();
        tokio::spawn(async move {
            // A peer that goes away ends its connection, and no other.
            let copied = async {
                viewer.set_nodelay(true)?;
                let mut viewer = files.acceptor.accept(viewer).await?;
                let hypervisor = TcpStream::connect(("127.0.0.1", port)).await?;
                hypervisor.set_nodelay(true)?;
                let mut hypervisor = files.connector.connect(name(), hypervisor).await?;
                copy_bidirectional(&mut viewer, &mut hypervisor).await
            };
            let _ = copied.await;
        });
    }
}

/// haproxy from TLS to TLS, with as many threads as it takes. `None`: it is not installed.
pub fn haproxy(port: u16, files: &Files) -> Option<Proxy> {
    let address = free();
    let config = files.path(&format!("haproxy-{port}.cfg"));
    let text = format!(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n\
         frontend viewers\n  bind {address} ssl crt {}\n  default_backend hypervisors\n\
         backend hypervisors\n  server one 127.0.0.1:{port} ssl verify required ca-file {} verifyhost localhost\n",
        files.path(BOTH).display(),
        files.path(CERTIFICATE).display(),
    );
    fs::write(&config, text).expect("a file");
    let log = fs::File::create(files.path("haproxy.log")).expect("a file");
    let mut command = Command::new("haproxy");
    command
        .arg("-db")
        .arg("-f")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(log);
    listening(&mut command, address)
}

/// websockify from TLS to TLS. `None`: it is not installed.
pub fn websockify(port: u16, files: &Files) -> Option<Proxy> {
    let address = free();
    let mut command = Command::new("websockify");
    command
        .arg(format!("--cert={}", files.path(CERTIFICATE).display()))
        .arg(format!("--key={}", files.path(KEY).display()))
        .args(["--ssl-only", "--ssl-target"])
        .arg(address.to_string())
        .arg(format!("127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    listening(&mut command, address)
}

/// Redis that keeps what it has confirmed, as the store asks for. `None`: it is not installed.
pub fn redis(files: &Files) -> Option<Proxy> {
    let address = free();
    let log = fs::File::create(files.path("redis.log")).expect("a file");
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .arg("--dir")
        .arg(&files.folder)
        .args(["--save", "", "--daemonize", "no"])
        .args(["--appendonly", "yes", "--appendfsync", "always"])
        .stdout(log);
    listening(&mut command, address)
}

/// An address at which no program listens.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Starts a program, and waits until it listens.
fn listening(command: &mut Command, address: SocketAddr) -> Option<Proxy> {
    let process = Process::start(command)?;
    let began = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        if Duration::from_secs(10) < began.elapsed() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(Proxy { process, address })
}
