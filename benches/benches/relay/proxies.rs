//! The relay, and the copy that it is held against.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use spice_proto::proxy::*;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::TlsAcceptor;

use crate::peers::tls;

/// A proxy on a thread of its own.
pub struct Proxy {
    address: SocketAddr,
    hypervisor: Arc<Mutex<Option<SocketAddr>>>,
    /// Where Linux says how long the thread was on a processor.
    time: String,
}

impl Proxy {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the next sessions go.
    pub fn dials(&self, hypervisor: SocketAddr) {
        *self.hypervisor.lock().unwrap_or_else(PoisonError::into_inner) = Some(hypervisor);
    }

    /// Seconds of processor time so far.
    pub fn processor(&self) -> f64 {
        let nanoseconds = std::fs::read_to_string(&self.time).ok();
        let nanoseconds = nanoseconds.and_then(|text| text.split(' ').next()?.parse::<f64>().ok());
        nanoseconds.unwrap_or(f64::NAN) / 1e9
    }

    fn start<F>(serve: fn(TcpListener, Arc<Mutex<Option<SocketAddr>>>) -> F) -> Self
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
                let time = format!("/proc/{}/schedstat", thread.display());
                tell.send((listener.local_addr().unwrap(), time)).unwrap();
                serve(listener, dialled).await;
            });
        });
        let (address, time) = told.recv().unwrap();
        Self {
            address,
            hypervisor,
            time,
        }
    }
}

async fn dial(hypervisor: &Mutex<Option<SocketAddr>>) -> Option<TcpStream> {
    let address = (*hypervisor.lock().unwrap_or_else(PoisonError::into_inner))?;
    let stream = TcpStream::connect(address).await.ok()?;
    stream.set_nodelay(true).ok()?;
    Some(stream)
}

/// TLS on one side, TCP on the other, and tokio's copy between them.
pub struct Bare(Proxy);

impl Bare {
    pub fn start() -> Self {
        Self(Proxy::start(|listener, hypervisor| async move {
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

    pub fn proxy(&self) -> &Proxy {
        &self.0
    }
}

/// This library.
pub struct Relayed(Proxy);

impl Relayed {
    pub fn start() -> Self {
        Self(Proxy::start(|listener, hypervisor| async move {
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

    pub fn proxy(&self) -> &Proxy {
        &self.0
    }
}

struct Handler {
    manager: Arc<SessionManager>,
    hypervisor: Arc<Mutex<Option<SocketAddr>>>,
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
