//! Questions over HTTP: one request a connection, a bounded answer, and a bounded time for all of it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::front::tls::Stream;

/// For a question and its answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER: usize = 64 << 10;

/// Where a service is.
#[derive(Debug)]
pub(crate) struct Base {
    host: String,
    port: u16,
    /// Without the slash at its end.
    path: String,
    tls: Option<(ServerName<'static>, Arc<ClientConfig>)>,
}

impl Base {
    /// Reads an `http` or `https` URL. `trust`: whose certificates are believed.
    pub(crate) fn parse(url: &str, trust: Option<Arc<ClientConfig>>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "this is no URL".to_owned())?;
        let host = uri.host().ok_or("there is no host in it")?;
        if uri.query().is_some()
            || uri
                .authority()
                .is_some_and(|authority| authority.as_str().contains('@'))
        {
            return Err("a query or a user does not belong into it".to_owned());
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (usual, tls) = match (uri.scheme_str(), trust) {
            (Some("http"), _) => (80, None),
            (Some("https"), Some(trust)) => {
                let name = ServerName::try_from(bare.clone());
                (
                    443,
                    Some((name.map_err(|_| "no certificate can have such a host")?, trust)),
                )
            }
            (Some("https"), None) => return Err("https needs ca".to_owned()),
            _ => return Err("http:// or https:// is expected".to_owned()),
        };
        Ok(Self {
            host: bare,
            port: uri.port_u16().unwrap_or(usual),
            path: uri.path().trim_end_matches('/').to_owned(),
            tls,
        })
    }

    /// Asks. `None`: it is not there.
    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Option<Bytes>, String> {
        let asked = timeout(PATIENCE, self.ask(path, headers)).await;
        asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Result<Option<Bytes>, String> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(|error| format!("not reached: {error}"))?;
        let stream: Stream = match &self.tls {
            None => Box::new(tcp),
            Some((name, config)) => {
                let connected = examples::tls::connect(tcp, Bytes::new(), config.clone(), name.clone()).await;
                connected.map_err(|error| format!("TLS: {error}"))?
            }
        };
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let mut request = Request::get(format!("{}/{}", self.path, path.trim_start_matches('/')))
            .header(header::HOST, self.authority())
            .header(header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
        let asked = async {
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            match answer.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND => return Ok(None),
                // Of a redirection as well: nothing is followed.
                status => return Err(format!("the answer is {status}")),
            }
            let body = Limited::new(answer.into_body(), ANSWER).collect().await;
            let body = body.map_err(|_| format!("the answer is longer than {ANSWER} bytes, or broke off"))?;
            Ok(Some(body.to_bytes()))
        };
        tokio::pin!(connection);
        tokio::pin!(asked);
        tokio::select! {
            answer = &mut asked => answer,
            ended = &mut connection => {
                ended.map_err(|error| error.to_string())?;
                asked.await
            }
        }
    }

    fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        format!("{host}:{}", self.port)
    }
}
