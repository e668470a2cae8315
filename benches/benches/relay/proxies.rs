//! The relay, and the proxies that it is held against.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use spice_proto::proxy::*;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;

use crate::peers::{pem, tls};

/// Where the next session goes.
type Dialled = Arc<Mutex<Option<SocketAddr>>>;

/// What stands between a viewer with TLS and a hypervisor without.
pub trait Proxy {
    /// Where viewers find it.
    fn address(&self) -> SocketAddr;
    /// Where the next sessions go.
    fn dials(&self, hypervisor: SocketAddr);
    /// Seconds of processor time since any fixed moment.
    fn processor(&self) -> f64;
    /// It speaks SPICE, and passes on nothing else.
    fn speaks(&self) -> bool;
}

/// Seconds that Linux says a thread was on a processor.
fn on_processor(schedstat: &str) -> f64 {
    let text = std::fs::read_to_string(schedstat).unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
    nanoseconds.unwrap_or(f64::NAN) / 1e9
}

/// A proxy on a thread of its own.
struct Threaded {
    address: SocketAddr,
    hypervisor: Dialled,
    schedstat: String,
}

impl Threaded {
    fn start<F>(serve: fn(TcpListener, Dialled) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let hypervisor = Arc::new(Mutex::new(None));
        let (tell, told) = mpsc::channel();
        let dialled = hypervisor.clone();
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let thread = std::fs::read_link("/proc/thread-self").unwrap_or_default();
                let schedstat = format!("/proc/{}/schedstat", thread.display());
                tell.send((listener.local_addr().unwrap(), schedstat)).unwrap();
                serve(listener, dialled).await;
            });
        });
        let (address, schedstat) = told.recv().unwrap();
        Self {
            address,
            hypervisor,
            schedstat,
        }
    }

    fn dials(&self, hypervisor: SocketAddr) {
        *self.hypervisor.lock().unwrap_or_else(PoisonError::into_inner) = Some(hypervisor);
    }
}

macro_rules! threaded {
    ($($name:ident speaks $speaks:literal),*) => {$(
        impl Proxy for $name {
            fn address(&self) -> SocketAddr {
                self.0.address
            }

            fn dials(&self, hypervisor: SocketAddr) {
                self.0.dials(hypervisor);
            }

            fn processor(&self) -> f64 {
                on_processor(&self.0.schedstat)
            }

            fn speaks(&self) -> bool {
                $speaks
            }
        }
    )*};
}

threaded!(Bare speaks false, Relayed speaks true);

async fn dial(hypervisor: &Mutex<Option<SocketAddr>>) -> Option<TcpStream> {
    let address = (*hypervisor.lock().unwrap_or_else(PoisonError::into_inner))?;
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// TLS on one side, TCP on the other, and tokio's copy between them.
pub struct Bare(Threaded);

impl Bare {
    pub fn start() -> Self {
        Self(Threaded::start(|listener, hypervisor| async move {
            let acceptor = TlsAcceptor::from(tls().0.clone());
            while let Ok((viewer, _)) = listener.accept().await {
                let (acceptor, hypervisor) = (acceptor.clone(), hypervisor.clone());
                tokio::spawn(async move {
                    viewer.set_nodelay(true).unwrap();
                    let mut viewer = acceptor.accept(viewer).await.unwrap();
                    let mut hypervisor = dial(&hypervisor).await.unwrap();
                    let _ = copy_bidirectional(&mut viewer, &mut hypervisor).await;
                });
            }
        }))
    }
}

/// This library.
pub struct Relayed(Threaded);

impl Relayed {
    pub fn start() -> Self {
        Self(Threaded::start(|listener, hypervisor| async move {
            let acceptor = TlsAcceptor::from(tls().0.clone());
            let manager = Arc::new(SessionManager::new(TrackerConfig::default(), [3; 16]));
            tokio::spawn(manager.clone().run(|_| ()));
            let port = listener.local_addr().unwrap().port();
            let endpoint = Endpoint::new("127.0.0.1", None, port.try_into().ok(), Some("CN=proxy"));
            let policy = Arc::new(Policy::new(&Settings::default()));
            let config = Arc::new(ProxyConfig::new(policy, endpoint.unwrap()));
            while let Ok((viewer, from)) = listener.accept().await {
                let (acceptor, config, manager) = (acceptor.clone(), config.clone(), manager.clone());
                let hypervisor = hypervisor.clone();
                tokio::spawn(async move {
                    viewer.set_nodelay(true).unwrap();
                    let viewer = acceptor.accept(BufferedStream::new(viewer)).await.unwrap();
                    let connection = manager.accept(Peer::new(from.ip(), true), config);
                    drive_session(connection, viewer, Handler { manager, hypervisor }).await;
                });
            }
        }))
    }
}

struct Handler {
    manager: Arc<SessionManager>,
    hypervisor: Dialled,
}

impl ProxyHandler for Handler {
    type Hypervisor = TcpStream;

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        let key = benches::links::key().public();
        Ok(Announcement::spice_server(key, request.channel_type))
    }

    async fn capabilities(&mut self, _: &Dial) -> Option<Capabilities> {
        None
    }

    async fn token(&mut self, request: &LinkMess, _: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        match (request.connection_id, self.manager.named(request.connection_id).last()) {
            (0, _) => Ok(Entry::Open(self.manager.claim())),
            (_, Some(session)) => Ok(Entry::Join(*session)),
            _ => Err(Refusal::DENIED),
        }
    }

    async fn dial(&mut self, _: Dial) -> Option<(TcpStream, Upstream)> {
        let stream = dial(&self.hypervisor).await?;
        let ticket = Secret::new(b"ticket");
        Some((
            stream,
            Upstream {
                ticket,
                oaep_seed: [9; 20],
            },
        ))
    }
}

/// haproxy with one thread, started anew for each hypervisor.
pub struct Haproxy {
    address: SocketAddr,
    files: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Haproxy {
    /// `None`: it is not installed.
    pub fn find() -> Option<Self> {
        Command::new("haproxy").arg("-v").output().ok()?;
        let address = std::net::TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?;
        let files = std::env::temp_dir().join(format!("relay-bench-{}", std::process::id()));
        std::fs::create_dir_all(&files).ok()?;
        std::fs::write(files.join("pem"), pem()).ok()?;
        Some(Self {
            address,
            files,
            child: Mutex::new(None),
        })
    }

    fn stop(&self) {
        if let Some(mut child) = self.child.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Proxy for Haproxy {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn dials(&self, hypervisor: SocketAddr) {
        self.stop();
        let (pem, config) = (self.files.join("pem"), self.files.join("cfg"));
        let text = format!(
            "global\n  nbthread 1\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n\
             frontend viewers\n  bind {} ssl crt {}\n  default_backend hypervisors\n\
             backend hypervisors\n  server one {hypervisor}\n",
            self.address,
            pem.display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("haproxy")
            .arg("-db")
            .arg("-f")
            .arg(&config)
            .spawn()
            .unwrap();
        *self.child.lock().unwrap_or_else(PoisonError::into_inner) = Some(child);
        // It dials no hypervisor before the handshake.
        while std::net::TcpStream::connect(self.address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn processor(&self) -> f64 {
        let child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let id = child.as_ref().map_or(0, Child::id);
        on_processor(&format!("/proc/{id}/schedstat"))
    }

    fn speaks(&self) -> bool {
        false
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.files);
    }
}
