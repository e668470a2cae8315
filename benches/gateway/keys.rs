//! Key presses beside a display channel that sends as much as goes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use spice_proto::ids::ChannelType;
use tokio::io::{AsyncReadExt as _, split};
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval};

use crate::certificates::Files;
use crate::hypervisor::{KEY, LOCKS, Load};
use crate::program::SPICE;
use crate::table::{Bound, Table};
use crate::viewer::{self, Session};
use crate::{Bench, median, proxies};

const ROUNDS: usize = 5;
/// Key presses of a round.
const KEYS: usize = 1000;
/// Those of an empty line, which are not counted.
const WARM_UP: usize = 100;

/// Times of key presses, in milliseconds, the shortest first.
pub struct Times(Vec<f64>);

impl Times {
    fn new(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// Of this share of all key presses, no one takes longer.
    pub fn percentile(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[((last as f64 * share).ceil() as usize).min(last)]
    }
}

/// A display channel that is read for as long as this is there, on a thread of its own.
struct Saturated {
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Saturated {
    fn start(files: &Files, to: SocketAddr, token: &str, session: u32) -> Self {
        let (files, token, stop) = (files.clone(), token.to_owned(), Arc::new(AtomicBool::new(false)));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let opened = viewer::channel(&files, to, &token, (ChannelType::DISPLAY, session)).await;
                let mut display = opened.expect("a display channel");
                let wants = viewer::wants(Load::Mix);
                viewer::send(&mut display, &wants).await.expect("a display channel");
                let mut buffer = vec![0; 64 << 10];
                while !stopped.load(Ordering::Relaxed) {
                    assert_ne!(display.read(&mut buffer).await.expect("a picture"), 0, "cut off");
                }
            });
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Saturated {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One key after the other, each when the one before was answered.
async fn pressed(files: &Files, to: SocketAddr, token: &str, saturated: bool) -> Times {
    let Session { main, id } = viewer::session(files, to, token).await.expect("a session");
    let opened = viewer::channel(files, to, token, (ChannelType::INPUTS, id)).await;
    let mut inputs = opened.expect("an inputs channel");
    let display = saturated.then(|| Saturated::start(files, to, token, id));
    if saturated {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let (mut times, mut locks) = (Vec::with_capacity(KEYS), LOCKS);
    for number in 0..WARM_UP + KEYS {
        let start = Instant::now();
        viewer::send(&mut inputs, &KEY).await.expect("an inputs channel");
        inputs.read_exact(&mut locks).await.expect("an answer");
        if WARM_UP <= number {
            times.push(milliseconds(start));
        }
    }
    drop((main, display));
    Times::new(times)
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// The rows on this machine alone.
pub async fn rows(bench: &Bench, table: &mut Table) {
    let gateway = bench.gateway();
    let mut api = gateway.api();
    let port = bench.hypervisors.spice[0].port();
    let (copy, haproxy) = (
        proxies::copies(port, &bench.files),
        proxies::haproxy(port, &bench.files),
    );
    let mut paths = vec![("gateway", gateway.address("spice_tls")), ("copy", copy.address)];
    paths.extend(haproxy.as_ref().map(|haproxy| ("haproxy", haproxy.address)));
    for saturated in [true, false] {
        let mut halves: Vec<Vec<f64>> = paths.iter().map(|_| Vec::new()).collect();
        let mut nearly_all = halves.clone();
        for _ in 0..ROUNDS {
            for (number, (_, to)) in paths.iter().enumerate() {
                let times = pressed(&bench.files, *to, &api.token(SPICE[0]), saturated).await;
                halves[number].push(times.percentile(0.5));
                nearly_all[number].push(times.percentile(0.99));
            }
        }
        let halves: Vec<f64> = halves.into_iter().map(median).collect();
        let nearly_all: Vec<f64> = nearly_all.into_iter().map(median).collect();
        let theirs = |of: &[f64]| {
            let all = paths.iter().zip(of);
            let all: Vec<String> = all.map(|((name, _), time)| format!("{name} {time:.3}")).collect();
            format!("{} ms", all.join(", "))
        };
        if saturated {
            let added = nearly_all[0] - nearly_all[1];
            let what = "key press beside a saturated display channel, 99th percentile, over the copy";
            table.figure(what, (added, "ms"), Bound::AtMost(2.0), theirs(&nearly_all));
            let what = "the same, median, over the copy";
            table.figure(what, (halves[0] - halves[1], "ms"), Bound::None, theirs(&halves));
            continue;
        }
        let what = "key press there and back, nothing beside it, median, of haproxy";
        match halves.get(2) {
            Some(haproxy) => table.figure(what, (halves[0] / haproxy, ""), Bound::AtMost(1.2), theirs(&halves)),
            None => table.missing(what, "haproxy is not installed"),
        }
    }
}

/// Key presses at a fixed rate, whether those before are answered or not, for so long.
pub async fn at_a_rate(files: &Files, to: SocketAddr, token: &str, every: Duration, count: usize) -> Times {
    let Session { main, id } = viewer::session(files, to, token).await.expect("a session");
    let opened = viewer::channel(files, to, token, (ChannelType::INPUTS, id)).await;
    let (mut answers, mut inputs) = split(opened.expect("an inputs channel"));
    let display = Saturated::start(files, to, token, id);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (pressed, mut at) = tokio::sync::mpsc::unbounded_channel();
    let press = async {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for _ in 0..count {
            ticks.tick().await;
            pressed.send(Instant::now()).expect("who counts");
            viewer::send(&mut inputs, &KEY).await.expect("an inputs channel");
        }
    };
    let hear = async {
        let mut times = Vec::new();
        for _ in 0..count {
            let start = at.recv().await.expect("a key press");
            answers.read_exact(&mut [0; LOCKS.len()]).await.expect("an answer");
            times.push(milliseconds(start));
        }
        times
    };
    let ((), times) = tokio::join!(press, hear);
    drop((main, display));
    Times::new(times)
}
