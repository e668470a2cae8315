//! Bytes a second, and processor time for them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::hypervisor::Load;
use crate::process::Process;
use crate::program::{SPICE, VNC};
use crate::table::{Bound, Table};
use crate::viewer::{self, Streaming, Way};
use crate::{Bench, median, proxies};

const ROUNDS: usize = 7;
/// What a stream has to do before it is measured.
const WARM_UP: usize = 16 << 20;
/// How long a round takes.
const ROUND: Duration = Duration::from_millis(1200);
/// Streams at once.
const MANY: usize = 50;
/// How long these are watched.
const WATCHED: Duration = Duration::from_secs(10);

/// One round.
struct Measured {
    megabytes_a_second: f64,
    seconds_a_gigabyte: f64,
}

/// A way to a console.
struct Path<'a> {
    name: &'static str,
    process: &'a Process,
    way: Way,
    to: SocketAddr,
    /// The guest whose token is needed.
    guest: Option<&'static str>,
}

/// All of it.
pub async fn rows(bench: &Bench, table: &mut Table) {
    let gateway = bench.gateway();
    let (spice_port, vnc_port) = (bench.hypervisors.spice[0].port(), bench.hypervisors.vnc_tls.port());
    let copies = [spice_port, vnc_port].map(|port| proxies::copies(port, &bench.files));
    let haproxies = [spice_port, vnc_port].map(|port| proxies::haproxy(port, &bench.files));
    let websockify = proxies::websockify(vnc_port, &bench.files);
    for (number, way, named, load, listener) in [
        (
            0,
            Way::Spice,
            "SPICE display, messages of 2 kB",
            Load::Small,
            "spice_tls",
        ),
        (0, Way::Spice, "SPICE display, drawn mix", Load::Mix, "spice_tls"),
        (1, Way::Tls, "VNC", Load::Mix, "vnc"),
    ] {
        let (own_way, guest) = match way {
            Way::Spice => (Way::Spice, SPICE[0]),
            _ => (Way::VeNCrypt, VNC),
        };
        let mut paths = vec![
            Path {
                name: "copy",
                process: &copies[number].process,
                way,
                to: copies[number].address,
                guest: None,
            },
            Path {
                name: "gateway",
                process: &gateway.process,
                way: own_way,
                to: gateway.address(listener),
                guest: Some(guest),
            },
        ];
        paths.extend(haproxies[number].as_ref().map(|haproxy| Path {
            name: "haproxy",
            process: &haproxy.process,
            way,
            to: haproxy.address,
            guest: None,
        }));
        let medians = turns(bench, &gateway, &paths, load).await;
        one_stream(table, named, &medians);
    }
    let mut paths = vec![Path {
        name: "gateway",
        process: &gateway.process,
        way: Way::WebSocket,
        to: gateway.address("web"),
        guest: Some(VNC),
    }];
    paths.extend(websockify.as_ref().map(|websockify| Path {
        name: "websockify",
        process: &websockify.process,
        way: Way::WebSocket,
        to: websockify.address,
        guest: None,
    }));
    let what = "VNC over WebSocket, bytes a second, of websockify";
    let medians = turns(bench, &gateway, &paths, Load::Mix).await;
    match &medians[..] {
        [(_, own), (_, theirs)] => {
            let of = format!("{} of {} MB/s", speed(own), speed(theirs));
            let ratio = own.megabytes_a_second / theirs.megabytes_a_second;
            table.figure(what, (ratio, ""), Bound::AtLeast(3.0), of);
            // Where the cores are shared with viewers and hypervisors, this says more.
            let ratio = own.seconds_a_gigabyte / theirs.seconds_a_gigabyte;
            let of = format!("{:.2} of {:.2} s", own.seconds_a_gigabyte, theirs.seconds_a_gigabyte);
            let what = "VNC over WebSocket, processor time a GB, of websockify";
            table.figure(what, (ratio, ""), Bound::None, of);
        }
        _ => table.missing(what, "websockify is not installed"),
    }
}

/// The rows of one stream.
fn one_stream(table: &mut Table, named: &str, medians: &[(&str, Measured)]) {
    let of = |wanted: &str| {
        medians
            .iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, measured)| measured)
    };
    let (Some(copy), Some(own)) = (of("copy"), of("gateway")) else {
        return;
    };
    let speeds = |theirs: &Measured| format!("{} of {} MB/s", speed(own), speed(theirs));
    let ratio = own.megabytes_a_second / copy.megabytes_a_second;
    let what = format!("{named}, bytes a second, of the copy");
    table.figure(what, (ratio, ""), Bound::AtLeast(0.9), speeds(copy));
    let what = format!("{named}, bytes a second, of haproxy");
    let haproxy = of("haproxy");
    match haproxy {
        Some(haproxy) => {
            let (ratio, least) = (
                own.megabytes_a_second / haproxy.megabytes_a_second,
                haproxy_least(named),
            );
            table.figure(what, (ratio, ""), Bound::AtLeast(least), speeds(haproxy));
        }
        None => table.missing(what, "haproxy is not installed"),
    }
    let ratio = own.seconds_a_gigabyte / copy.seconds_a_gigabyte;
    let theirs = haproxy.map_or(String::new(), |haproxy| {
        format!(", haproxy {:.2}", haproxy.seconds_a_gigabyte)
    });
    let seconds = format!(
        "{:.2} of {:.2} s{theirs}",
        own.seconds_a_gigabyte, copy.seconds_a_gigabyte
    );
    let what = format!("{named}, processor time a GB, of the copy");
    table.figure(what, (ratio, ""), Bound::AtMost(1.3), seconds);
}

/// One stream of SPICE or VNC has to reach haproxy; what is made of many messages, 0.9 of it.
fn haproxy_least(named: &str) -> f64 {
    if named.starts_with("SPICE") { 0.9 } else { 1.0 }
}

fn speed(measured: &Measured) -> String {
    format!("{:.0}", measured.megabytes_a_second)
}

/// Rounds of all paths take turns; their medians.
async fn turns(
    bench: &Bench,
    gateway: &crate::program::Gateway,
    paths: &[Path<'_>],
    load: Load,
) -> Vec<(&'static str, Measured)> {
    let mut taken: Vec<Vec<Measured>> = paths.iter().map(|_| Vec::new()).collect();
    let mut api = gateway.api();
    for _ in 0..ROUNDS {
        for (path, taken) in paths.iter().zip(&mut taken) {
            let token = path.guest.map_or(String::new(), |guest| api.token(guest));
            taken.push(round(bench, path, &token, load).await);
        }
    }
    let all = paths.iter().zip(taken);
    all.map(|(path, rounds)| {
        let median_of = |of: fn(&Measured) -> f64| median(rounds.iter().map(of).collect());
        let measured = Measured {
            megabytes_a_second: median_of(|round| round.megabytes_a_second),
            seconds_a_gigabyte: median_of(|round| round.seconds_a_gigabyte),
        };
        (path.name, measured)
    })
    .collect()
}

async fn round(bench: &Bench, path: &Path<'_>, token: &str, load: Load) -> Measured {
    let opened = viewer::stream(&bench.files, path.way, path.to, token, load).await;
    let mut console = opened.unwrap_or_else(|error| panic!("{}: {error}", path.name));
    let mut buffer = vec![0; 256 << 10];
    let mut warm = 0;
    while warm < WARM_UP {
        warm += take(&mut console, &mut buffer).await;
    }
    let (start, before) = (Instant::now(), path.process.processor());
    let mut bytes = 0;
    while start.elapsed() < ROUND {
        bytes += take(&mut console, &mut buffer).await;
    }
    let (wall, processor) = (start.elapsed().as_secs_f64(), path.process.processor() - before);
    Measured {
        megabytes_a_second: bytes as f64 / wall / 1e6,
        seconds_a_gigabyte: processor / bytes as f64 * 1e9,
    }
}

async fn take(console: &mut Streaming, buffer: &mut [u8]) -> usize {
    let read = timeout(Duration::from_secs(10), console.stream.read(buffer)).await;
    let read = read.expect("bytes in time").expect("bytes");
    assert_ne!(read, 0, "cut off");
    read
}

/// Many at once: none of them may starve.
pub async fn fair(bench: &Bench, table: &mut Table) {
    let gateway = bench.gateway();
    let mut api = gateway.api();
    let mut streams = JoinSet::new();
    for (number, guest) in SPICE.iter().cycle().take(MANY).enumerate() {
        let (token, files) = (api.token(guest), bench.files.clone());
        let to = gateway.address("spice_tls");
        let load = if number % 2 == 0 { Load::Mix } else { Load::Small };
        let opened = viewer::stream(&files, Way::Spice, to, &token, load).await;
        let mut console = opened.expect("a console");
        streams.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            let until = Instant::now() + WATCHED;
            let mut bytes = 0.0;
            while Instant::now() < until {
                bytes += take(&mut console, &mut buffer).await as f64;
            }
            bytes
        });
    }
    let bytes = streams.join_all().await;
    let mean = bytes.iter().sum::<f64>() / bytes.len() as f64;
    let slowest = bytes.iter().copied().fold(f64::INFINITY, f64::min);
    let megabytes = |bytes: f64| bytes / WATCHED.as_secs_f64() / 1e6;
    let of = format!("{:.2} of {:.2} MB/s", megabytes(slowest), megabytes(mean));
    let what = format!("{MANY} SPICE streams at once, the slowest, of the mean");
    table.figure(what, (slowest / mean, ""), Bound::AtLeast(0.2), of);
}
