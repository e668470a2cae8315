//! The portal: asks the gateway's API for a console, as whatever tenants log in to would.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::report::Outcome;

/// An answer of the API.
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
}

/// `POST /v1/consoles`, with a bearer token if there is one.
pub(super) async fn create(api: SocketAddr, bearer: Option<&str>, body: &str) -> Outcome<Answer> {
    let mut stream = TcpStream::connect(api).await?;
    let authorization = bearer.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let request = format!(
        "POST /v1/consoles HTTP/1.1\r\nHost: {api}\r\n{}Content-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        authorization.unwrap_or_default(),
        body.len(),
    );
    stream.write_all(request.as_bytes()).await?;
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
