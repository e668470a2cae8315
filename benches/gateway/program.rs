//! The gateway, and its API.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::certificates::{CERTIFICATE, Files, KEY};
use crate::process::Process;

const BEARER: &str = "bearer-of-this-bench";
/// A connection to the API is not used again after this time.
const RESTED: Duration = Duration::from_secs(1);
/// The guests with a SPICE console, each at a hypervisor of its own, where there are four: see [`guest`].
pub const SPICE: [&str; 4] = ["spice0", "spice1", "spice2", "spice3"];
/// The guest with a VNC console.
pub const VNC: &str = "vnc";

/// Connections at each stage before they are let in, where a configuration sets the limits.
const WAITING: usize = 128;
/// Connections to the API, of those with its token and of those without.
const API: usize = 64;
/// Descriptors of a gateway with these limits for all but connections that were let in: two stages of two kinds of
/// connections, the API, and twice what the gateway keeps for files, listeners and the store.
pub const BESIDE: usize = 4 * WAITING + 2 * API + 96;

/// Where hypervisors are.
#[derive(Clone)]
pub struct Places {
    /// SPICE, behind TLS, of one guest after the other.
    pub spice: Vec<u16>,
    /// RFB that begins with VeNCrypt.
    pub vnc: u16,
}

/// The guest with a SPICE console at the hypervisor of this number.
pub fn guest(number: usize) -> String {
    format!("spice{number}")
}

/// What the configuration says beside guests.
pub struct Settings<'a> {
    /// By which its files are told from those of others.
    pub name: &'a str,
    /// The address of the listeners for viewers.
    pub host: &'a str,
    /// The URL of the store.
    pub store: &'a str,
    /// Connections that it lets in. `None`: as many as it takes by itself.
    pub open: Option<usize>,
}

impl Default for Settings<'_> {
    fn default() -> Self {
        Self {
            name: "gateway",
            host: "127.0.0.1",
            store: "memory",
            open: None,
        }
    }
}

/// The program, serving.
pub struct Gateway {
    pub process: Process,
    line: Value,
}

impl Gateway {
    /// Starts it. Its log goes into a file of its name in the folder.
    pub fn start(program: &Path, files: &Files, places: Places, settings: &Settings<'_>) -> Self {
        let configuration = files.path(&format!("{}.toml", settings.name));
        let log_file = files.path(&format!("{}.log", settings.name));
        fs::write(files.path("api.token"), BEARER).expect("a file");
        fs::write(files.path("ticket"), "hypervisors-own-ticket").expect("a file");
        fs::write(files.path("pepper"), [b'p'; 48]).expect("a file");
        fs::write(&configuration, text(places, settings)).expect("a configuration");
        let log = fs::File::create(&log_file).expect("a file for the log");
        let mut command = Command::new(program);
        command.args(["serve", "--log", "warn", "--config"]).arg(&configuration);
        let started = Process::with_line(command.stderr(log));
        let (process, line) = started.expect("the gateway starts");
        let line = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = fs::read_to_string(&log_file).unwrap_or_default();
            panic!("the gateway did not start: {log}")
        });
        Self { process, line }
    }

    /// Where a listener is: `api`, `spice_tls`, `web`, `vnc`.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let address = self.line[listener].as_str().expect("a listener");
        address.parse().expect("an address")
    }

    /// A connection to its API.
    pub fn api(&self) -> Api {
        Api::connect(self.address("api"))
    }
}

fn text(places: Places, settings: &Settings<'_>) -> String {
    let Settings { host, store, .. } = settings;
    let mut text = format!(
        "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n\
         [public]\nhost = \"{host}\"\nspice_tls_port = \"bound\"\nca = \"{CERTIFICATE}\"\n\
         [listen]\nspice_tls = \"{host}:0\"\nweb = \"{host}:0\"\nvnc = \"{host}:0\"\n\
         certificate = \"{CERTIFICATE}\"\nprivate_key = \"{KEY}\"\n\
         [store]\nurl = \"{store}\"\npepper_file = \"pepper\"\n\
         [tokens]\nttl_seconds = 86400\n"
    );
    if let Some(open) = settings.open {
        text += &format!("[limits]\naccepted = {WAITING}\nlinked = {WAITING}\nopen = {open}\napi = {API}\n");
    }
    let console = |id: &str, protocol: &str, place: &str| {
        format!(
            "[[guest]]\nid = \"{id}\"\n[[guest.console]]\nprotocol = \"{protocol}\"\n\
             [[guest.console.place]]\nhost = \"127.0.0.1\"\nca = \"{CERTIFICATE}\"\n{place}\n"
        )
    };
    for (number, port) in places.spice.iter().enumerate() {
        text += &console(
            &guest(number),
            "spice",
            &format!("tls_port = {port}\nticket_file = \"ticket\""),
        );
    }
    text + &console(VNC, "vnc", &format!("port = {}\nauth = [\"x509none\"]", places.vnc))
}

/// A connection to the API that is used again and again; made anew when it has rested, since the gateway ends such ones.
pub struct Api {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    used: Instant,
}

impl Api {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the API");
        stream.set_nodelay(true).expect("a connection");
        let wait = Some(Duration::from_secs(20));
        stream.set_read_timeout(wait).expect("a connection");
        Self {
            address,
            stream: BufReader::new(stream),
            used: Instant::now(),
        }
    }

    /// A call: the status and the body.
    pub fn call(&mut self, line: &str, body: &str) -> (u16, Value) {
        if RESTED < self.used.elapsed() {
            *self = Self::connect(self.address);
        }
        let request = format!(
            "{line} HTTP/1.1\r\nHost: api\r\nX-Auth-Token: {BEARER}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes()).expect("the API");
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            assert_ne!(
                self.stream.read_line(&mut line).expect("an answer"),
                0,
                "the API hung up"
            );
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            } else if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            } else if line.starts_with("http/1.1 ") {
                status = line[9..12].parse().expect("a status");
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        self.used = Instant::now();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// A token for one session with a console.
    pub fn token(&mut self, guest: &str) -> String {
        let (protocol, kind) = match guest == VNC {
            true => ("vnc", "novnc"),
            false => ("spice", "spice-html5"),
        };
        let body = format!("{{\"guest\":\"{guest}\",\"protocol\":\"{protocol}\",\"type\":\"{kind}\"}}");
        let (status, answer) = self.call("POST /v1/consoles", &body);
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().expect("a token").to_owned()
    }
}
