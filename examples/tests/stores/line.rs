//! What is between gateways and their engine: a line that can be slow, or say nothing.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// For what does not come.
const HANGS: u64 = u64::MAX;

/// A line to an engine.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    /// Milliseconds by which all that is said comes later.
    delay: Arc<AtomicU64>,
}

impl Line {
    pub(crate) fn to(engine: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let delay: Arc<AtomicU64> = Arc::default();
        let own = delay.clone();
        spawn(move || {
            for near in listener.incoming() {
                let Ok(near) = near else { continue };
                // An engine that is not there: the connection ends, as it would without a line.
                let Ok(far) = TcpStream::connect(&engine) else { continue };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, delay) = (from.try_clone(), to.try_clone(), own.clone());
                    spawn(move || pass(from.expect("a stream"), to.expect("a stream"), &delay));
                }
            }
        });
        Self { address, delay }
    }

    /// All that is said comes so much later.
    pub(crate) fn delays(&self, time: Duration) {
        self.delay
            .store(u64::try_from(time.as_millis()).expect("a short time"), Relaxed);
    }

    /// Nothing comes any more, and nothing ends.
    pub(crate) fn hangs(&self) {
        self.delay.store(HANGS, Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, delay: &AtomicU64) {
    let _ = to.set_nodelay(true);
    let mut bytes = vec![0; 65_536];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        while delay.load(Relaxed) == HANGS {
            sleep(Duration::from_millis(20));
        }
        sleep(Duration::from_millis(delay.load(Relaxed)));
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
