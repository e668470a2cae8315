//! Where other gateways reach this one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::Uri;
use examples::net;
use tokio::net::{TcpListener, UdpSocket, lookup_host};

/// Binds the listener for gateways, and gives its address as they reach it: the one that is configured, or a port of the
/// address by which this machine reaches its store. `None`: no other gateway shares a store in memory.
pub(crate) async fn listener_for(
    configured: Option<SocketAddr>,
    store: &str,
) -> Result<Option<(TcpListener, SocketAddr)>, String> {
    if store == "memory" {
        return Ok(None);
    }
    let address = match configured {
        Some(address) => address,
        None => SocketAddr::new(towards(store).await, 0),
    };
    let bound = net::listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (bound, listener) = bound.map_err(|error| format!("[listen] gateways: cannot listen on {address}: {error}"))?;
    let reached = match bound.ip().is_unspecified() {
        true => SocketAddr::new(towards(store).await, bound.port()),
        false => bound,
    };
    Ok(Some((listener, reached)))
}

/// Our address on the way to the store; loopback for one on this machine.
async fn towards(store: &str) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let Some((host, port)) = host_of(store) else {
        return loopback;
    };
    local_address(&host, port).await.unwrap_or(loopback)
}

/// The host and the port in the URL of a store.
fn host_of(store: &str) -> Option<(String, u16)> {
    let uri: Uri = store.parse().ok()?;
    let host = uri.host().filter(|host| !host.is_empty())?;
    let usual = match uri.scheme_str() {
        Some("redis" | "rediss") => 6379,
        _ => 5432,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16().unwrap_or(usual)))
}

/// Our address on the way to a host. No packet is sent.
async fn local_address(host: &str, port: u16) -> Option<IpAddr> {
    let to = lookup_host((host, port)).await.ok()?.next()?;
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(to).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_have_hosts_or_none() {
        for (store, host) in [
            (
                "postgres://user:secret@db.internal/console",
                Some(("db.internal", 5432)),
            ),
            ("postgresql://db:5433/console", Some(("db", 5433))),
            ("redis://:secret@[2001:db8::1]:6380/0", Some(("2001:db8::1", 6380))),
            ("rediss://cache", Some(("cache", 6379))),
            ("sqlite:/var/lib/gateway.db", None),
            ("postgres:///console?host=/run/postgresql", None),
        ] {
            let found = host_of(store);
            let found = found.as_ref().map(|(host, port)| (host.as_str(), *port));
            assert_eq!(found, host, "{store}");
        }
    }

    #[tokio::test]
    async fn each_store_has_its_listener() {
        assert!(listener_for(None, "memory").await.unwrap().is_none());
        let (listener, reached) = listener_for(None, "sqlite:x").await.unwrap().unwrap();
        assert_eq!(listener.local_addr().unwrap(), reached);
        assert!(reached.ip().is_loopback());
        let any = "0.0.0.0:0".parse().ok();
        let (listener, reached) = listener_for(any, "redis://127.0.0.1/").await.unwrap().unwrap();
        assert!(reached.ip().is_loopback() && listener.local_addr().unwrap().ip().is_unspecified());
    }
}
