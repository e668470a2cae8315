//! How many consoles are held, as one knows by asking each of them.
//!
//! A console of three channels takes six descriptors of a gateway, three of the viewers and three of the hypervisors. Where
//! the machine gives a process fewer than all consoles need, there are several of each; gateways have one store.
//!
//! ```text
//! viewers (processes) -- TLS --> gateways (processes) -- TLS --> hypervisors (processes)
//!                                    Redis
//! ```

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::certificates::Files;
use crate::console::{self, CHANNELS, Opened};
use crate::hypervisor::Hypervisors;
use crate::process::Talking;
use crate::program::{BESIDE, Gateway, Places, Settings, guest};
use crate::table::{Bound, Table};
use crate::{Bench, proxies};

/// Consoles that ought to be held.
const HELD: usize = 10_000;
/// Descriptors of a gateway for a channel.
const BOTH_SIDES: usize = 2;
/// Descriptors of viewers and of hypervisors for what is no connection, and for consoles that are not dealt out evenly.
const SPARE: usize = 256;
/// More processes of a kind are not started.
const MOST: usize = 16;
/// Descriptors of a process where there is no limit, as the gateway counts.
const UNLIMITED: usize = 1 << 20;
/// How long the consoles are left alone: longer than what a gateway writes into the store is good for, and than the minute
/// within which it ends a connection whose peer is gone.
const REST: Duration = Duration::from_secs(75);
/// How long a process may take to start, all consoles to open, and all to answer.
const START: Duration = Duration::from_secs(20);
const OPENING: Duration = Duration::from_secs(600);
const ANSWERS: Duration = Duration::from_secs(120);
/// The word at which viewers ask their consoles.
const ASK: &str = "ask";

/// So many processes of each kind.
#[derive(Clone, Copy)]
struct Needed {
    gateways: usize,
    /// Connections to consoles that a gateway lets in.
    open: usize,
    hypervisors: usize,
    viewers: usize,
}

impl Needed {
    /// Where a process gets so many descriptors. `None`: too many would be needed.
    fn of(descriptors: usize) -> Option<Self> {
        let processes = |beside: usize, each: usize| {
            let consoles = descriptors.saturating_sub(beside) / (CHANNELS * each);
            let processes = (0 < consoles).then(|| HELD.div_ceil(consoles));
            processes.filter(|processes| *processes <= MOST)
        };
        let gateways = processes(BESIDE, BOTH_SIDES)?;
        Some(Self {
            gateways,
            open: HELD.div_ceil(gateways) * CHANNELS,
            hypervisors: processes(SPARE, 1)?,
            viewers: processes(SPARE, 1)?,
        })
    }
}

/// Descriptors that a process may have.
fn descriptors() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut lines = limits.lines().filter_map(|line| line.strip_prefix("Max open files"));
    let most = lines.next().and_then(|line| line.split_whitespace().next());
    most.and_then(|most| most.parse().ok()).unwrap_or(UNLIMITED)
}

/// The row.
pub fn rows(bench: &Bench, table: &mut Table) {
    let what = "idle SPICE consoles of 3 channels held";
    match held(bench) {
        Ok((held, of)) => table.figure(what, (held as f64, ""), Bound::AtLeast(HELD as f64), of),
        Err(why) => table.missing(what, why),
    }
}

/// How many are held, and by what. `Err`: why that is not known.
fn held(bench: &Bench) -> Result<(usize, String), String> {
    let descriptors = descriptors();
    let needed = Needed::of(descriptors).ok_or_else(|| {
        format!("a process gets {descriptors} descriptors: more than {MOST} gateways would be needed")
    })?;
    let redis = proxies::redis(&bench.files).ok_or("redis-server is not installed, or does not start")?;
    let hypervisors = start("held-hypervisors", needed.hypervisors, &bench.files)?;
    let mut places = bench.hypervisors.places();
    places.spice.clear();
    for process in &hypervisors {
        let ports = process.hear(START).ok_or("hypervisors do not start")?;
        places
            .spice
            .extend(ports.as_array().into_iter().flatten().filter_map(port));
    }
    let gateways = gateways(bench, &places, needed, &format!("redis://{}/", redis.address));
    let empty = resident(&gateways);
    let consoles = tokens(&gateways, places.spice.len());

    let mut viewers = start("held-viewers", needed.viewers, &bench.files)?;
    let began = Instant::now();
    for (viewer, consoles) in viewers.iter_mut().zip(consoles.chunks(HELD.div_ceil(needed.viewers))) {
        viewer.tell(&json!(consoles));
    }
    let (_, not_opened) = counted(&viewers, OPENING.saturating_sub(began.elapsed()))?;
    let seconds = began.elapsed().as_secs_f64();
    thread::sleep(REST);
    viewers.iter_mut().for_each(|viewer| viewer.tell(&json!(ASK)));
    let (held, not_alive) = counted(&viewers, ANSWERS)?;

    let memory = resident(&gateways);
    let each = gateways.iter().map(|gateway| gateway.process.descriptors().to_string());
    let (_, sessions) = gateways[0].api().call("GET /v1/sessions", "");
    let mut of = format!(
        "{} on one store, where a process gets {descriptors} descriptors; they have {} and {:.0} MB in all, {:.0} \
         without any: {:.1} kB a console; opened in {seconds:.0} s, asked {} s later; one gateway lists {} sessions",
        match gateways.len() {
            1 => "1 gateway".to_owned(),
            many => format!("{many} gateways"),
        },
        each.collect::<Vec<_>>().join(", "),
        memory / 1e6,
        empty / 1e6,
        (memory - empty) / 1e3 / held.max(1) as f64,
        REST.as_secs(),
        sessions["sessions"].as_array().map_or(0, Vec::len),
    );
    for (what, why) in [("not opened", not_opened), ("not alive", not_alive)] {
        if let Some(why) = why {
            of += &format!("; {what}: {why}");
        }
    }
    Ok((held, of))
}

/// Processes of this program, with what they do.
fn start(part: &str, count: usize, files: &Files) -> Result<Vec<Talking>, String> {
    let one = |_| {
        let program = std::env::current_exe().ok()?;
        Talking::start(
            Command::new(program)
                .arg(part)
                .arg(&files.folder)
                .stderr(Stdio::inherit()),
        )
    };
    let all: Option<Vec<Talking>> = (0..count).map(one).collect();
    all.ok_or_else(|| format!("this program does not start as {part}"))
}

fn port(port: &Value) -> Option<u16> {
    port.as_u64()?.try_into().ok()
}

/// The gateways, which differ in nothing but their ports.
fn gateways(bench: &Bench, places: &Places, needed: Needed, store: &str) -> Vec<Gateway> {
    let start = |number: usize| {
        let settings = Settings {
            name: &format!("gateway{number}"),
            store,
            open: Some(needed.open),
            ..Settings::default()
        };
        Gateway::start(&bench.program, &bench.files, places.clone(), &settings)
    };
    (0..needed.gateways).map(start).collect()
}

/// Bytes that are resident in all of them.
fn resident(gateways: &[Gateway]) -> f64 {
    gateways.iter().map(|gateway| gateway.process.memory()).sum()
}

/// Where each console is opened, and its token, which was made at another gateway. Gateways and guests take turns.
fn tokens(gateways: &[Gateway], guests: usize) -> Vec<(SocketAddr, String)> {
    let count = gateways.len();
    let mut made: Vec<std::vec::IntoIter<String>> = thread::scope(|scope| {
        let one = |first: usize| {
            let mut api = gateways[(first + 1) % count].api();
            let numbers = (first..HELD).step_by(count);
            scope.spawn(move || {
                numbers
                    .map(|number| api.token(&guest(number / count % guests)))
                    .collect()
            })
        };
        let threads: Vec<thread::ScopedJoinHandle<'_, Vec<String>>> = (0..count).map(one).collect();
        let made = threads.into_iter().map(|thread| thread.join().expect("tokens"));
        made.map(Vec::into_iter).collect()
    });
    let one = |number: usize| {
        let token = made[number % count].next().expect("a token for each");
        (gateways[number % count].address("spice_tls"), token)
    };
    (0..HELD).map(one).collect()
}

/// The consoles that all viewers have, as they say within this time, and why one of them has no more.
fn counted(viewers: &[Talking], within: Duration) -> Result<(usize, Option<String>), String> {
    let (began, mut count, mut why) = (Instant::now(), 0, None);
    for viewer in viewers {
        let said = viewer.hear(within.saturating_sub(began.elapsed()));
        let said = said.ok_or("viewers do not say in time how many consoles they have")?;
        count += said["consoles"].as_u64().unwrap_or(0) as usize;
        why = why.or(said["why"].as_str().map(ToOwned::to_owned));
    }
    Ok((count, why))
}

/// `held-hypervisors`: says at which ports SPICE is, and ends with standard input.
pub fn serve(folder: &Path) {
    let hypervisors = Hypervisors::start(&Files::read(folder), "127.0.0.1");
    say(&json!(hypervisors.places().spice));
    let _ = io::stdin().read_to_end(&mut Vec::new());
}

/// `held-viewers`: opens the consoles that it is told, says how many, and again at each question how many are alive. Ends
/// with standard input.
pub fn view(folder: &Path, runtime: &Runtime) {
    let files = Files::read(folder);
    let mut lines = io::stdin().lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let consoles: Value = serde_json::from_str(&first).expect("consoles");
    let consoles = consoles.as_array().expect("consoles").iter().map(|console| {
        let text = |part: usize| console[part].as_str().expect("an address and a token");
        (text(0).parse().expect("an address"), text(1).to_owned())
    });
    let mut opened = runtime.block_on(console::open(&files, consoles));
    tell(&opened);
    for _ in lines {
        opened = runtime.block_on(console::alive(opened.consoles));
        tell(&opened);
    }
}

fn tell(opened: &Opened) {
    say(&json!({"consoles": opened.consoles.len(), "why": opened.why}));
}

/// A line for who has started this process; without him it ends soon.
fn say(line: &Value) {
    let _ = writeln!(io::stdout(), "{line}");
}
