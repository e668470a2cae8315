//! haproxy before several gateways: it deals connections out in turn, and says whose they are with the PROXY protocol.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = "/usr/sbin/haproxy";

/// Longest time until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where it listens, and the gateways that it connects to in turn.
pub(crate) struct Listener<'a> {
    pub(crate) name: &'a str,
    pub(crate) address: SocketAddr,
    pub(crate) gateways: Vec<SocketAddr>,
}

/// Its configuration. A gateway that ends gets no connection half a second later.
pub(crate) fn configuration(listeners: &[Listener<'_>]) -> String {
    let mut text = "global\n  maxconn 8000\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout client 1h\n  timeout server 1h\n  \
                    retries 3\n  option redispatch 1\n"
        .to_owned();
    for Listener {
        name,
        address,
        gateways,
    } in listeners
    {
        let _ = writeln!(text, "listen {name}\n  bind {address}\n  balance roundrobin");
        for (number, gateway) in (1..).zip(gateways) {
            let _ = writeln!(
                text,
                "  server gw{number} {gateway} send-proxy-v2 check check-send-proxy inter 500 rise 1 fall 1"
            );
        }
    }
    text
}

/// The arguments with which it runs in the foreground, with the configuration in this file.
pub(crate) fn arguments(command: &mut Command, file: &Path) {
    command.arg("-db").arg("-f").arg(file);
}

/// Waits until it listens everywhere.
pub(crate) fn wait_for(listeners: &[Listener<'_>]) {
    let began = Instant::now();
    for Listener { address, .. } in listeners {
        while TcpStream::connect(address).is_err() {
            assert!(began.elapsed() < PATIENCE, "haproxy does not listen");
            sleep(Duration::from_millis(20));
        }
    }
}

/// haproxy, until this is dropped.
pub(crate) struct Balancer(Child);

impl Balancer {
    /// Starts it with a configuration that was written to this file.
    pub(crate) fn start(file: &Path, listeners: &[Listener<'_>]) -> Self {
        let mut command = Command::new(PROGRAM);
        arguments(&mut command, file);
        let balancer = Self(command.arg("-q").stdin(Stdio::null()).spawn().expect("haproxy"));
        wait_for(listeners);
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
