//! HTTP for the API: a bounded number of connections, none of which can be held by saying nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::places::Places;
use crate::tls::Stream;

/// Connections at a time. A portal has a few.
const CONNECTIONS: usize = 64;
/// For the head of a request, also for the next one on a connection that is kept; and for a TLS handshake.
const HEAD: Duration = Duration::from_secs(5);
