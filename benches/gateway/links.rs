//! New links, and consoles that are open and say nothing.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use spice_proto::ids::ChannelType;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::certificates::Files;
use crate::hypervisor::{KEY, LOCKS, Load, some};
use crate::process::Process;
use crate::program::SPICE;
use crate::table::{Bound, Table};
use crate::viewer::{self, Session, Tls};
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
/// Consoles that ought to be held.
const HELD: usize = 10_000;

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
        while let (true, Some(token)) = (open.len() < AT_ONCE, tokens.next()) {
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

/// A console of three channels that has shown something.
struct Console {
    _channels: [Tls; 3],
}

async fn open(files: Files, to: SocketAddr, token: String) -> io::Result<Console> {
    let Session { main, id } = viewer::session(&files, to, &token).await?;
    let mut display = viewer::channel(&files, to, &token, (ChannelType::DISPLAY, id)).await?;
    viewer::send(&mut display, &viewer::wants(Load::Some)).await?;
    let mut picture = vec![0; some().len()];
    display.read_exact(&mut picture).await?;
    let mut inputs = viewer::channel(&files, to, &token, (ChannelType::INPUTS, id)).await?;
    for _ in 0..5 {
        viewer::send(&mut inputs, &KEY).await?;
        inputs.read_exact(&mut [0; LOCKS.len()]).await?;
    }
    Ok(Console {
        _channels: [main, display, inputs],
    })
}

/// The rows of idle consoles.
pub async fn idle(bench: &Bench, table: &mut Table) {
    let gateway = bench.gateway();
    let to = gateway.address("spice_tls");
    let (mut api, mut guests) = (gateway.api(), SPICE.iter().cycle());
    let empty = gateway.process.memory();
    let (mut held, mut why, mut opening) = (Vec::new(), None, JoinSet::new());
    let mut begun = 0;
    while held.len() < HELD && why.is_none() {
        let wanted = if held.len() < IDLE { IDLE } else { HELD };
        while opening.len() < AT_ONCE && begun < wanted {
            let token = api.token(guests.next().expect("guests without an end"));
            opening.spawn(timeout(Duration::from_secs(20), open(bench.files.clone(), to, token)));
            begun += 1;
        }
        match opening.join_next().await {
            Some(Ok(Ok(Ok(console)))) => held.push(console),
            Some(Ok(Ok(Err(error)))) => why = Some(error.to_string()),
            _ => why = Some("not opened in time".to_owned()),
        }
        if held.len() == IDLE && opening.is_empty() {
            sleep(Duration::from_secs(5)).await;
            let memory = gateway.process.memory();
            let of = format!(
                "{:.1} MB without any, {:.1} kB a channel, which is two TLS connections",
                empty / 1e6,
                (memory - empty) / 3e3 / IDLE as f64
            );
            let what = format!("{IDLE} idle SPICE consoles of 3 channels after traffic, resident");
            table.figure(what, (memory / 1e6, "MB"), Bound::AtMost(80.0), of);
        }
    }
    sleep(Duration::from_secs(2)).await;
    let of = format!(
        "{} descriptors of the {} that the machine gives a process, {:.1} MB; {}",
        gateway.process.descriptors(),
        limit(),
        gateway.process.memory() / 1e6,
        why.map_or("all".to_owned(), |why| format!("the next one: {why}"))
    );
    let what = "idle SPICE consoles of 3 channels held";
    table.figure(what, (held.len() as f64, ""), Bound::AtLeast(HELD as f64), of);
}

/// Descriptors that a process may have.
fn limit() -> String {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let mut lines = limits.lines().filter_map(|line| line.strip_prefix("Max open files"));
    let most = lines.next().and_then(|line| line.split_whitespace().nth(1));
    most.unwrap_or("?").to_owned()
}
