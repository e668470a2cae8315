//! What stands in front of a target and spoils the viewer's move: it is where the target is said to be.

use std::io::Write;
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use spice_proto::Limits;
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkHeader, LinkMess};

use crate::process::PATIENCE;
use crate::recorder::{copy, read_link_message};

/// What becomes of a link to the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing that would be wrong.
    None,
    /// There is no listener.
    Unreachable,
    /// Links of this kind are closed when they have said what they are.
    Closed(ChannelType),
    /// Links of this kind get no answer.
    Silent(ChannelType),
}

/// A TCP proxy with a fault. It stops when it is dropped.
pub(crate) struct Front {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    fault: Mutex<Fault>,
    /// Both ends of every link.
    links: Mutex<Vec<TcpStream>>,
    stopped: AtomicBool,
}

impl Front {
    pub(crate) fn start(address: SocketAddr, server: SocketAddr, fault: Fault) -> Self {
        let shared = Arc::new(Shared {
            server,
            fault: Mutex::new(fault),
            links: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let front = Self { address, shared };
        if fault != Fault::Unreachable {
            front.listen();
        }
        front
    }

    fn listen(&self) {
        let listener = TcpListener::bind(self.address).expect("a port in front of a target");
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || shared.serve(client));
            }
        });
    }

    /// From now on nothing is wrong.
    pub(crate) fn mend(&self) {
        let fault = mem::replace(&mut *self.shared.fault.lock().expect("a fault"), Fault::None);
        if fault == Fault::Unreachable {
            self.listen();
        }
    }

    /// Ends all links at once.
    fn cut(&self) {
        for link in self.shared.links.lock().expect("links").drain(..) {
            let _ = link.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // One more connect wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        self.cut();
    }
}

impl Shared {
    /// Serves one link; when it returns, the link is closed, unless others hold it.
    fn serve(&self, client: TcpStream) -> Option<()> {
        let message = read_link_message(&client).ok()?;
        let link = LinkMess::decode_slice(message.get(LinkHeader::LEN..)?, &Limits::default()).ok()?;
        let fault = *self.fault.lock().expect("a fault");
        match fault {
            Fault::Closed(kind) if kind == link.channel_type => return None,
            Fault::Silent(kind) if kind == link.channel_type => {
                self.links.lock().expect("links").push(client);
                return None;
            }
            _ => {}
        }
        let mut server = TcpStream::connect_timeout(&self.server, PATIENCE).ok()?;
        server.write_all(&message).ok()?;
        for end in [&client, &server] {
            self.links.lock().expect("links").push(end.try_clone().ok()?);
        }
        thread::scope(|scope| {
            for (from, to) in [(&client, &server), (&server, &client)] {
                scope.spawn(move || {
                    if copy(from, to, |_| ()).is_err() {
                        let _ = from.shutdown(Shutdown::Both);
                        let _ = to.shutdown(Shutdown::Both);
                    }
                });
            }
        });
        for end in [&client, &server] {
            let _ = end.shutdown(Shutdown::Both);
        }
        Some(())
    }
}
