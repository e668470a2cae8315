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
    /// For native VNC viewers.
    pub(crate) vnc: Option<SocketAddr>,
    pub(crate) process: Process,
}

impl Gateway {
    /// Starts it with everything that belongs behind the `[api]` section, and reads from its first
    /// line where it listens.
    pub(crate) fn start(folder: &Folder, sections: &str) -> Self {
        Self::named(folder, "gateway", sections)
    }

    /// The same for one of several in a folder.
    pub(crate) fn named(folder: &Folder, name: &str, sections: &str) -> Self {
        folder.write("api.token", BEARER);
        let api = "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n";
        let sections = match sections.contains("web_plain") {
            true => sections.to_owned(),
            false => sections.replace("[listen]\n", "[listen]\nweb_plain = \"127.0.0.1:0\"\n"),
        };
        let config = folder.write(&format!("{name}.toml"), format!("{api}{sections}"));
        let mut process = Process::start(folder, name, env!("CARGO_BIN_EXE_console-gateway"), |command| {
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
            vnc: address("vnc"),
            process,
        }
    }

    /// A connection file for the machine that works.
    pub(crate) fn console(&self, title: &str, ttl_seconds: u32) -> Vv {
        self.console_of("machine", title, ttl_seconds)
    }

    /// A connection file with a token for one session.
    pub(crate) fn console_of(&self, guest: &str, title: &str, ttl_seconds: u32) -> Vv {
        let body = |kind: &str| {
            format!(
                "{{\"guest\":\"{guest}\",\"protocol\":\"spice\",\"type\":\"{kind}\",\"ttl_seconds\":{ttl_seconds},\
                 \"uses\":1,\"title\":\"{title}\"}}"
            )
        };
        let created = self.create(&body("spice-direct"));
        let url = json_text(&created, "url");
        let (head, text) = self.follow(&url);
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let file = Vv { text };
        // The time of a password is the gateway's; that of a browser's token is the request's.
        match ttl_seconds {
            60.. => file,
            _ => file.with("password", &json_text(&self.create(&body("spice-html5")), "token")),
        }
    }

    /// `POST /v1/consoles`: the answer's body.
    pub(crate) fn create(&self, body: &str) -> String {
        let (status, text) = self.call("POST /v1/consoles", "", body);
        assert_eq!(status, 201, "{text}");
        text
    }

    /// A call of the API: the status and the body of its answer. `headers`: further ones, whole lines.
    pub(crate) fn call(&self, line: &str, headers: &str, body: &str) -> (u16, String) {
        let (api, length) = (self.api, body.len());
        let (head, text) = ask(
            api,
            &format!(
                "{line} HTTP/1.1\r\nHost: {api}\r\nAuthorization: Bearer {BEARER}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
            ),
        );
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no status: {head}")), text)
    }

    /// What the web listener gives for an access URL.
    pub(crate) fn follow(&self, url: &str) -> (String, String) {
        let (_, path) = url
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .expect("a path");
        let web = self.websocket.expect("the web listener");
        ask(
            web,
            &format!("GET /{path} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n"),
        )
    }
}

/// The head and the body of an answer.
fn ask(server: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).expect("the gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
        .write_all(request.as_bytes())
        .expect("the gateway takes a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the gateway answers");
    let answer = String::from_utf8(answer).expect("an answer in UTF-8");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), text.to_owned())
}

/// A text in a body of JSON.
pub(crate) fn json_text(body: &str, key: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    body[key]
        .as_str()
        .unwrap_or_else(|| panic!("no {key} in {body}"))
        .to_owned()
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
