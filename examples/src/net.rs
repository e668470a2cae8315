//! Sockets as a proxy needs them: key presses are not held back, and a peer that has vanished is noticed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// TCP keepalive: the time without data before the first probe.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
/// TCP keepalive: the time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// TCP keepalive: the number of probes without an answer after which the connection ends.
const KEEPALIVE_PROBES: u32 = 3;
/// `TCP_USER_TIMEOUT`: the time for sent data to be acknowledged, for a peer that vanishes in the middle of a picture.
const USER_TIMEOUT: Duration = Duration::from_secs(60);
/// The length of the queue of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Opens a listener.
///
/// # Errors
/// The address cannot be bound.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Makes a connection ready for a console: no delay, and an end within about a minute when its peer has vanished.
///
/// # Errors
/// The connection is gone already.
pub fn prepare(tcp: &TcpStream) -> io::Result<()> {
    // Key presses are small, and each is worth its own packet.
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_TIME)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Connects within this time, and [`prepare`]s the connection.
///
/// # Errors
/// No address of the host takes the connection, or none in time.
pub async fn dial(host: &str, port: u16, within: Duration) -> io::Result<TcpStream> {
    let tcp = timeout(within, TcpStream::connect((host, port))).await??;
    prepare(&tcp)?;
    Ok(tcp)
}
