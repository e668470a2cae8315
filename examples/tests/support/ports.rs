//! Ports for programs that cannot find one by themselves, and ports without a listener.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below those that the kernel gives to connections, and to listeners that name none, which other tests have many of: such
/// a port would be taken by another test before the program that it is meant for has begun.
const PORTS: Range<u16> = 20_000..32_768;

/// A port of this address on which no program listens. Each is given out once in a process, and other processes begin
/// elsewhere.
pub(crate) fn free_port_of(address: Ipv4Addr) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = std::process::id().wrapping_mul(211);
    for _ in PORTS {
        let turn = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = begin.wrapping_add(turn.into()) % (PORTS.len() as u32);
        let place = SocketAddr::from((address, PORTS.start + offset as u16));
        if TcpListener::bind(place).is_ok() {
            return place;
        }
    }
    panic!("no port of {address} is free");
}

/// The same of 127.0.0.1.
pub(crate) fn free_port() -> SocketAddr {
    free_port_of(Ipv4Addr::LOCALHOST)
}
