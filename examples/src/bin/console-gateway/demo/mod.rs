//! `demo`: the gateway, its API, and simulated peers on both of its sides, in one process and on the loopback.
//!
//! The gateway is the one of `serve`, with its listeners and its API. In front of it are a viewer of SPICE, a browser and
//! a portal; behind it hypervisors with SPICE, VNC and serial ports, QEMU's monitor, VMware's authd, and a Nova. There is a
//! section for each of the five specifications that the gateway carries out. The clock that tokens live by is put
//! forward instead of waited for.
//!
//! Read [`world`] for what is there, and then a file each section: [`spice`], [`webmks`], [`password`], [`proxy`] and
//! [`serial`]. [`faults`] has the rules that can be broken.

mod authd;
mod browser;
mod certificates;
mod faults;
mod http;
mod hypervisor;
mod password;
mod peers;
mod proxy;
mod report;
mod serial;
mod spice;
mod store;
mod talk;
mod viewer;
mod vnc;
mod webmks;
mod world;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use self::report::{Failed, Outcome, Report, StepReport, must, soon, told};
use self::world::{StandIns, World};
use crate::cli::Break;

/// A channel by kind and number.
type Channel = (spice_proto::ids::ChannelType, u8);

/// A password that a monitor can set.
type Cell = Arc<Mutex<String>>;

/// `SPICE_MSGC_DISPLAY_INIT`.
const DISPLAY_INIT: u16 = spice_proto::channel::display::ClientMessage::INIT;
/// Its body: two ids and the sizes of two caches.
const DISPLAY_INIT_BODY: u32 = 14;

/// Runs the demo, with a rule broken or with none; fails if one step does.
pub(crate) async fn run(broken: Option<Break>) -> ExitCode {
    let mut report = Report::start();
    match steps(&mut report, broken).await {
        Ok(()) => {
            report.end();
            ExitCode::SUCCESS
        }
        Err(Failed) => ExitCode::FAILURE,
    }
}

async fn steps(report: &mut Report, broken: Option<Break>) -> Result<(), Failed> {
    report.section("what takes part");
    let peers = report.step("stand-ins", stand_ins(broken)).await?;
    let world = report.step("gateway", gateway(peers, broken)).await?;

    report.section("seed 000: spice-direct, from Nova's API to the channels of a native viewer");
    spice::run(report, &world).await?;
    report.section("seed 001: WebMKS, two certificates and a ticket");
    webmks::run(report, &world).await?;
    report.section("seed 002: consoles with passwords, set through the hypervisor's monitor");
    password::run(report, &world).await?;
    report.section("seed 003: WebSockets and tunnels, and tokens that change while they are in use");
    proxy::run(report, &world).await?;
    report.section("seed 004: serial ports, one user at a time");
    serial::run(report, &world).await?;

    report.section("the end");
    report.step("stop", stop(&world)).await
}

async fn stand_ins(broken: Option<Break>) -> Outcome<(StandIns, StepReport)> {
    let peers = StandIns::start(broken).await?;
    let happened = format!(
        "hypervisors with SPICE on {} and {}, VNC on {}, a serial port on {}, authd on {}",
        peers.desktop.address, peers.locked.address, peers.locked_vnc.address, peers.port.address, peers.authd.address
    );
    let seen = format!("SPICE's own ticket is sha256 {}", peers.own_ticket());
    told(peers, happened, seen)
}

async fn gateway(peers: StandIns, broken: Option<Break>) -> Outcome<(World, StepReport)> {
    let world = World::start(peers, broken).await?;
    let rules = broken.map_or_else(
        || "all kept".to_owned(),
        |broken| format!("broken by {}", broken.name()),
    );
    let happened = format!(
        "takes viewers on {} with TLS, browsers on {} and {}, and calls of its API on {}; rules: {rules}",
        world.spice, world.web, world.web_tls, world.api
    );
    let seen = spice::untouched(&world.peers.desktop);
    told(world, happened, seen)
}

/// The gateway stops while consoles of two kinds are open.
async fn stop(world: &World) -> Outcome<((), StepReport)> {
    let (viewer, _) = spice::ask(world, "vm1").await?;
    let mut main = spice::linked(&viewer, spice::MAIN, 0).await?;
    viewer::begin(&mut main).await?;
    let token = world.token(r#"{"guest":"web","protocol":"vnc"}"#).await?;
    let mut browser = world.browser(&token).await?;
    vnc::desktop(&mut browser).await?;
    world.gateway.stop(Duration::ZERO).await;
    browser.closed_with(1001).await?;
    while main.receive().await?.is_some() {}
    let links = || [world.peers.desktop.links(), world.peers.locked.links()].concat();
    let all_closed = soon(|| links().iter().all(|link| !link.open)).await;
    must(all_closed, "the hypervisors' links stay open")?;
    let happened = "the gateway stops with two consoles open: the viewer is left, the browser closed with 1001";
    told((), happened, "hypervisors: all links have ended")
}
