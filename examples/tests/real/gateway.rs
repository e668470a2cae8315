//! The gateway, its configuration and its API.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::process::{Folder, PATIENCE, Process, wait_for};

/// What the API wants to be shown.
pub(crate) const BEARER: &str = "bearer-of-the-real-test";

/// A running `console-gateway serve`.
pub(crate) struct Gateway {
    pub(crate) api: SocketAddr,
    pub(crate) plain: Option<SocketAddr>,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) websocket: Option<SocketAddr>,
    pub(crate) process: Process,
}

impl Gateway {
    /// Starts it with everything that belongs behind the `[api]` section, and reads from its first
    /// line where it listens.
    pub(crate) fn start(folder: &Folder, sections: &str) -> Self {
        folder.write("api.token", BEARER);
        let api = "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n";
        let config = folder.write("gateway.toml", format!("{api}{sections}"));
        let mut process = Process::start(folder, "gateway", env!("CARGO_BIN_EXE_console-gateway"), |command| {
            command.arg("serve").arg("--config").arg(config);
        });
        let line = wait_for("the gateway", || {
            let said = process.output();
            let (line, _) = said
                .split_once('\n')
                .or_else(|| (!process.runs()).then_some(("", "")))?;
            Some(line.to_owned())
        });
        let address = |name: &str| {
            let (_, rest) = line.split_once(&format!("\"{name}\":\""))?;
            rest.split('"').next()?.parse().ok()
        };
        let api = address("api").unwrap_or_else(|| panic!("no address of the API in {line:?}"));
        Self {
            api,
            plain: address("spice"),
            tls: address("spice_tls"),
            websocket: address("web_plain"),
            process,
        }
    }

    /// A connection file for the machine that works.
    pub(crate) fn console(&self, title: &str, ttl_seconds: u32) -> Vv {
        self.console_of("machine", title, ttl_seconds)
    }

    /// A connection file with a token for one session.
    pub(crate) fn console_of(&self, guest: &str, title: &str, ttl_seconds: u32) -> Vv {
        let body = format!("{{\"guest\":\"{guest}\",\"ttl_seconds\":{ttl_seconds},\"uses\":1,\"title\":\"{title}\"}}");
        let (api, length) = (self.api, body.len());
        let request = format!(
            "POST /v1/consoles HTTP/1.1\r\nHost: {api}\r\nAuthorization: Bearer {BEARER}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let mut stream = TcpStream::connect_timeout(&api, PATIENCE).expect("the API");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.write_all(request.as_bytes()).expect("the API takes a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the API answers");
        let answer = String::from_utf8(answer).expect("an answer in UTF-8");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 201 "), "{answer}");
        Vv { text: text.to_owned() }
    }
}

/// A connection file, read by the few rules that matter here.
pub(crate) struct Vv {
    pub(crate) text: String,
}

impl Vv {
    /// The value of a key, without its escapes.
    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let value = self
            .text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix('='))?;
        let mut plain = String::new();
        let mut rest = value.trim_start().chars();
        while let Some(c) = rest.next() {
            plain.push(match c {
                '\\' => match rest.next()? {
                    's' => ' ',
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    '\\' => '\\',
                    other => panic!("no such escape: {other}"),
                },
                c => c,
            });
        }
        Some(plain)
    }

    pub(crate) fn password(&self) -> String {
        self.get("password").expect("a password")
    }

    /// The same file with another value.
    pub(crate) fn with(&self, key: &str, value: &str) -> Self {
        let line = |line: &str| match line.split_once('=') {
            Some((name, _)) if name.trim_end() == key => format!("{key}={value}\n"),
            _ => format!("{line}\n"),
        };
        Self {
            text: self.text.lines().map(line).collect(),
        }
    }
}
