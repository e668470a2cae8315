//! Requests, as a portal, a browser or an operator would send them.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::report::Outcome;

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Answer {
    /// Whether a header has this value.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .any(|(n, v)| n.eq_ignore_ascii_case(name) && v == value)
    }

    /// Its body.
    pub(super) fn json(&self) -> Outcome<serde_json::Value> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

/// One request, on a connection of its own. `line`: method and path.
pub(super) async fn request(server: SocketAddr, line: &str, headers: &[(&str, &str)], body: &str) -> Outcome<Answer> {
    let mut head = format!("{line} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer {
        status: status.ok_or("no HTTP status")?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

/// `GET`, as a browser that was sent to a URL.
pub(super) async fn get(web: SocketAddr, path: &str) -> Outcome<Answer> {
    request(web, &format!("GET {path}"), &[], "").await
}
