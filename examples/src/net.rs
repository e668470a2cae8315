//! Sockets as a proxy needs them: key presses are not held back, and a peer that has vanished is noticed.

use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// TCP keepalive: seconds without data before the first probe, from the least to the most; see [`keepalive`].
const KEEPALIVE_TIME: RangeInclusive<u64> = 10..=15;
/// TCP keepalive: seconds between probes.
const KEEPALIVE_INTERVAL: RangeInclusive<u64> = 4..=8;
/// TCP keepalive: the number of probes without an answer after which the connection ends.
const KEEPALIVE_PROBES: u32 = 9;
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
    socket.set_tcp_keepalive(&keepalive())?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

/// Other times for each connection, and short ones: Linux wakes timers of more than 16 s (at 250 ticks a second) together that are
/// due within 2 s, shorter ones within a quarter of a second, and a queue of packets holds a thousand. Of many connections that rest,
/// those whose probes come last are dropped there, and at equal times it would be the same ones each time: of 10,000 consoles on
/// the loopback about half were ended so.
fn keepalive() -> TcpKeepalive {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let one = |of: RangeInclusive<u64>, number: u64| {
        let count = of.end() - of.start() + 1;
        Duration::from_secs(of.start() + number % count)
    };
    // The counts have no common divisor: each time comes with each interval.
    TcpKeepalive::new()
        .with_time(one(KEEPALIVE_TIME, number))
        .with_interval(one(KEEPALIVE_INTERVAL, number))
        .with_retries(KEEPALIVE_PROBES)
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn connections_that_rest_do_not_probe_at_the_same_time() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut connections = Vec::new();
        for _ in 0..33 {
            connections.push(dial("127.0.0.1", port, USER_TIMEOUT).await.unwrap());
        }
        let mut times = HashSet::new();
        for connection in &connections {
            let socket = SockRef::from(connection);
            let time = socket.tcp_keepalive_time().unwrap();
            let interval = socket.tcp_keepalive_interval().unwrap();
            let longest = time + interval * socket.tcp_keepalive_retries().unwrap();
            assert!(
                socket.keepalive().unwrap() && Duration::from_secs(45) < longest && longest < Duration::from_secs(90)
            );
            times.insert((time, interval));
        }
        // Other tests take numbers, too.
        assert!(20 < times.len(), "{times:?}");
    }
}
