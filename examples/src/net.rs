//! Sockets as a proxy needs them: key presses are not held back, and a peer that has vanished is noticed.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// After so long without a word a peer is asked whether it is still there,
const QUIET: Duration = Duration::from_secs(30);
/// and again after each of these,
const ASK: Duration = Duration::from_secs(10);
/// so often.
const ASKED: u32 = 3;
/// For what was sent to be acknowledged: a peer that vanishes in the middle of a picture.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Opens a listener.
///
/// # Errors
/// The address cannot be had.
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
            .with_time(QUIET)
            .with_interval(ASK)
            .with_retries(ASKED),
    )?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))
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
