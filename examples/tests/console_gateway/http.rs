//! The smallest HTTP client that can tell what the API answers.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::program::{BEARER, PATIENCE};

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A text in a body of JSON.
    pub(crate) fn json(&self, key: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"));
        let text = body[key].as_str().unwrap_or_else(|| panic!("no {key}: {self:?}"));
        text.to_owned()
    }

    /// A value of the connection file, as it stands there.
    pub(crate) fn vv(&self, key: &str) -> Option<&str> {
        let mut lines = self.body.lines().filter_map(|line| line.split_once('='));
        lines.find(|(found, _)| *found == key).map(|(_, value)| value)
    }
}

/// Any request. `headers`: whole lines.
pub(crate) fn request(api: SocketAddr, line: &str, headers: &[String], body: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&api, PATIENCE).expect("the API");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {api}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("the API takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the API answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Answer {
        status: status.expect("a status"),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Asks for a console, with the bearer token.
pub(crate) fn create(api: SocketAddr, body: &str) -> Answer {
    let bearer = [format!("Authorization: Bearer {BEARER}")];
    request(api, "POST /v1/consoles", &bearer, body)
}

/// A token for one session with the guest that is always there: SPICE in a browser, whose token is the password.
pub(crate) fn token(api: SocketAddr) -> String {
    let answer = create(api, r#"{"guest":"vm1","protocol":"spice","type":"spice-html5"}"#);
    answer.json("token")
}

/// What a user gets that was sent to the URL of an answer.
pub(crate) fn follow(web: SocketAddr, created: &Answer) -> Answer {
    let url = created.json("url");
    let (_, rest) = url.split_once("://").expect("a URL");
    let (_, path) = rest.split_once('/').expect("a path");
    request(web, &format!("GET /{path}"), &[], "")
}
