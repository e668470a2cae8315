//! So many connections a second, from many addresses of the loopback.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

/// The addresses: 127.1.0.1 and those behind it.
const ADDRESSES: u64 = 200;
/// Connections that are under way at a time: descriptors are few here, too.
const AT_ONCE: u64 = 12_000;
/// Until a connection is made.
const CONNECT: Duration = Duration::from_secs(3);
/// The longest that one is kept.
pub(crate) const LIFE: Duration = Duration::from_secs(30);
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(5);
/// The most that are begun at once, after a pause.
const BURST: u64 = 100;

/// What a number is, unless the environment says otherwise.
pub(crate) fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

#[derive(Default)]
struct Counts {
    begun: AtomicU64,
    connected: AtomicU64,
    ended: AtomicU64,
}

/// A load that goes on until it is stopped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    began: Instant,
    thread: JoinHandle<()>,
}

/// Connects there, and does `act` with each connection, which is closed behind it.
pub(crate) fn of<F>(target: SocketAddr, act: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Load
where
    F: Future<Output = ()> + Send + 'static,
{
    let rate = setting("HOSTILE_RATE", 2000);
    let (stop, counts) = (Arc::new(AtomicBool::new(false)), Arc::<Counts>::default());
    let (stopped, counted) = (stop.clone(), counts.clone());
    let thread = spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime
            .expect("a runtime")
            .block_on(begin(target, rate, stopped, counted, Arc::new(act)));
    });
    Load {
        stop,
        counts,
        began: Instant::now(),
        thread,
    }
}

async fn begin<F>(
    target: SocketAddr,
    rate: u64,
    stop: Arc<AtomicBool>,
    counts: Arc<Counts>,
    act: Arc<impl Fn(TcpStream) -> F + Send + Sync + 'static>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let (began, mut due) = (Instant::now(), 0);
    while !stop.load(Relaxed) {
        let wanted = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX) * rate / 1000;
        let under_way = counts.begun.load(Relaxed) - counts.ended.load(Relaxed);
        for _ in 0..(wanted - due).min(BURST).min(AT_ONCE.saturating_sub(under_way)) {
            let (counts, act) = (counts.clone(), act.clone());
            let number = counts.begun.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                if let Ok(Some(stream)) = timeout(CONNECT, connect(number % ADDRESSES, target)).await {
                    counts.connected.fetch_add(1, Relaxed);
                    let _ = timeout(LIFE, act(stream)).await;
                }
                counts.ended.fetch_add(1, Relaxed);
            });
        }
        // What could not be begun in time is not made up for.
        due = wanted;
        sleep(TICK).await;
    }
}

async fn connect(from: u64, target: SocketAddr) -> Option<TcpStream> {
    let last = u8::try_from(from + 1).ok()?;
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((Ipv4Addr::new(127, 1, 0, last), 0).into()).ok()?;
    socket.connect(target).await.ok()
}

impl Load {
    /// How many connections there were so far.
    pub(crate) fn connected(&self) -> u64 {
        self.counts.connected.load(Relaxed)
    }

    /// Ends it: how many connections there were, and how many a second.
    pub(crate) fn stop(self) -> (u64, u64) {
        self.stop.store(true, Relaxed);
        let seconds = self.began.elapsed().as_secs_f64();
        self.thread.join().expect("the load");
        let connected = self.counts.connected.load(Relaxed);
        (connected, (connected as f64 / seconds) as u64)
    }
}
