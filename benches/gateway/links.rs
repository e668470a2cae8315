//! New links, and consoles that are open and say nothing.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use spice_proto::ids::ChannelType;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::certificates::Files;
use crate::console::{self, Opened};
use crate::process::Process;
use crate::program::SPICE;
use crate::table::{Bound, Table};
use crate::viewer::{self, Session};
use crate::{Bench, median, proxies};

/// Sessions of a round.
const SESSIONS: usize = 100;
const ROUNDS: usize = 3;
/// Links of a session.
const LINKS: usize = 5;
/// Sessions that are opened at the same time.
const AT_ONCE: usize = 8;
/// Consoles whose memory is measured.
const IDLE: usize = 1000;

/// A session with all of its channels, which is closed at once.
async fn open_and_close(files: &Files, to: SocketAddr, token: &str) -> io::Result<()> {
    let Session { main, id } = viewer::session(files, to, token).await?;
    let mut channels = vec![main];
    for kind in [
        ChannelType::DISPLAY,
        ChannelType::INPUTS,
        ChannelType::CURSOR,
        ChannelType::PLAYBACK,
    ] {
        channels.push(viewer::channel(files, to, token, (kind, id)).await?);
    }
    Ok(())
}

/// Sessions with these tokens, several at the same time: links a second, and a second of the proxy's processor.
async fn round(files: &Files, to: SocketAddr, process: &Process, tokens: Vec<String>) -> (f64, f64) {
    let links = (tokens.len() * LINKS) as f64;
    let (start, before) = (Instant::now(), process.processor());
    let (mut tokens, mut open) = (tokens.into_iter(), JoinSet::new());
    loop {
        while open.len() < AT_ONCE {
            let Some(token) = tokens.next() else { break };
            let files = files.clone();
            open.spawn(async move { open_and_close(&files, to, &token).await });
        }
        let Some(opened) = open.join_next().await else { break };
        opened.expect("a viewer").expect("a session");
    }
    let wall = start.elapsed().as_secs_f64();
    (links / wall, links / (process.processor() - before))
}

/// The rows of new links.
pub async fn rows(bench: &Bench, table: &mut Table) {
    let gateway = bench.gateway();
    let mut api = gateway.api();
    let port = bench.hypervisors.spice[0].port();
    let (copy, haproxy) = (
        proxies::copies(port, &bench.files),
        proxies::haproxy(port, &bench.files),
    );
    let mut paths = vec![
        ("gateway", &gateway.process, gateway.address("spice_tls")),
        ("copy", &copy.process, copy.address),
    ];
    paths.extend(
        haproxy
            .as_ref()
            .map(|haproxy| ("haproxy", &haproxy.process, haproxy.address)),
    );
    let mut taken: Vec<[Vec<f64>; 2]> = paths.iter().map(|_| [Vec::new(), Vec::new()]).collect();
    for _ in 0..ROUNDS {
        for ((_, process, to), taken) in paths.iter().zip(&mut taken) {
            let tokens = (0..SESSIONS).map(|_| api.token(SPICE[0])).collect();
            let (wall, processor) = round(&bench.files, *to, process, tokens).await;
            taken[0].push(wall);
            taken[1].push(processor);
        }
    }
    let medians: Vec<[f64; 2]> = taken.into_iter().map(|taken| taken.map(median)).collect();
    let all = paths.iter().zip(&medians);
    let of: Vec<String> = all
        .map(|((name, ..), [_, processor])| format!("{name} {processor:.0}"))
        .collect();
    let what = "new SPICE links a second of one core";
    table.figure(what, (medians[0][1], ""), Bound::AtLeast(300.0), of.join(", "));
    let what = "new SPICE links a second, viewers and hypervisors on the same cores";
    table.figure(what, (medians[0][0], ""), Bound::None, "");
}

/// The row of idle consoles.
pub async fn idle(bench: &Bench, table: &mut Table) {
    let gateway = bench.gateway();
    let to = gateway.address("spice_tls");
    let (mut api, guests) = (gateway.api(), SPICE.iter().cycle());
    let empty = gateway.process.memory();
    let tokens = guests.take(IDLE).map(|guest| (to, api.token(guest)));
    let Opened { consoles, why } = console::open(&bench.files, tokens).await;
    let what = format!("{IDLE} idle SPICE consoles of 3 channels after traffic, resident");
    if let Some(why) = why {
        return table.missing(what, format!("after {}: {why}", consoles.len()));
    }
    sleep(Duration::from_secs(5)).await;
    let memory = gateway.process.memory();
    let of = format!(
        "{:.1} MB without any, {:.1} kB a channel, which is two TLS connections",
        empty / 1e6,
        (memory - empty) / 3e3 / IDLE as f64
    );
    table.figure(what, (memory / 1e6, "MB"), Bound::AtMost(80.0), of);
}
