//! Many addresses of the loopback, and what strangers do from them.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

/// How long an attack goes on.
pub(crate) const ATTACK: Duration = Duration::from_secs(30);
/// The longest time in which an honest viewer must be in, on a machine that does nothing else.
const SOON: Duration = Duration::from_secs(2);

/// [`SOON`] on this machine, to be asked for before an attack begins: longer by what other programs take of its
/// processors meanwhile.
pub(crate) fn soon() -> Duration {
    at_ease(SOON)
}

/// A time on this machine that is this one on a machine that does nothing else.
pub(crate) fn at_ease(time: Duration) -> Duration {
    let (began, [ran, waited]) = (Instant::now(), scheduled());
    while began.elapsed() < Duration::from_millis(300) {
        std::hint::spin_loop();
    }
    let [ran, waited] = [scheduled()[0] - ran, scheduled()[1] - waited];
    time.mul_f64(1.0 + waited.div_duration_f64(ran.max(Duration::from_millis(1))).min(10.0))
}

/// The time for which this thread has run, and for which it has waited for a processor.
fn scheduled() -> [Duration; 2] {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("times of this thread");
    let mut nanoseconds = text.split(' ').map(|number| number.parse().expect("a number"));
    [(); 2].map(|()| Duration::from_nanos(nanoseconds.next().expect("two times")))
}

/// An attack that goes on until it is dropped.
pub(crate) struct Attack {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Attack {
    /// From `addresses` addresses, beginning with 127.`net`.0.1: each connects `rate` times a second in all, and does
    /// `act` with the connection. What `act` gives back is kept open until there are `held` of them in all.
    pub(crate) fn start(
        (net, addresses): (u8, u16),
        target: SocketAddr,
        (rate, held): (u64, usize),
        act: impl Fn(TcpStream) -> Option<TcpStream> + Send + Sync + 'static,
    ) -> Self {
        const THREADS: u64 = 4;
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let act = Arc::new(act);
        let threads = (0..THREADS).map(|thread| {
            let (stop, done, act) = (stop.clone(), done.clone(), act.clone());
            spawn(move || {
                let mut open = std::collections::VecDeque::new();
                let (began, mut turn) = (Instant::now(), thread);
                while !stop.load(Ordering::Relaxed) {
                    let [high, low] = u16::try_from(turn % u64::from(addresses)).unwrap_or(0).to_be_bytes();
                    let from = Ipv4Addr::new(127, net, high, low.saturating_add(1));
                    if let Some(stream) = connect_from(from.into(), target).and_then(&*act) {
                        open.push_back(stream);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                    if held / 4 < open.len() {
                        open.pop_front();
                    }
                    turn += THREADS;
                    let due = Duration::from_micros(turn * 1_000_000 / rate);
                    sleep(due.saturating_sub(began.elapsed()));
                }
            })
        });
        Self {
            threads: threads.collect(),
            stop,
            done,
        }
    }

    /// Ends it: how many connections there were.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("an attacker");
        }
        self.done.load(Ordering::Relaxed)
    }
}

pub(crate) fn connect_from(from: IpAddr, target: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).ok()?;
    socket.bind(&SocketAddr::from((from, 0)).into()).ok()?;
    socket
        .connect_timeout(&target.into(), Duration::from_millis(500))
        .ok()?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
    Some(stream)
}

/// Says nothing.
pub(crate) fn silent(stream: TcpStream) -> Option<TcpStream> {
    Some(stream)
}

/// Says this and waits.
pub(crate) fn saying(words: &'static [u8]) -> impl Fn(TcpStream) -> Option<TcpStream> {
    move |mut stream| {
        stream.write_all(words).ok()?;
        Some(stream)
    }
}

/// Says this, waits for an answer of so many bytes, says that, and is gone with a reset.
pub(crate) fn asking(words: &'static [u8], answer: usize, then: Vec<u8>) -> impl Fn(TcpStream) -> Option<TcpStream> {
    move |mut stream| {
        stream.write_all(words).ok()?;
        stream.read_exact(&mut vec![0; answer]).ok()?;
        stream.write_all(&then).ok()?;
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).ok()?;
        None
    }
}
