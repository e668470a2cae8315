//! Seed 002: a tenant sets the password of a console, and types it himself. And tickets that the gateway sets.

use super::browser::Browser;
use super::report::{Failed, Outcome, Report, StepReport, must, soon, told};
use super::spice::{MAIN, ask, linked};
use super::talk::{Talk, digest};
use super::viewer::begin;
use super::vnc::{LogIn, log_in, press};
use super::world::World;
use crate::sync::lock;

/// Seconds after which no ticket is good any more that was set for a link.
const LATER: u64 = 300;
const PASSWORD: &str = "tenant-1";
const NEW_PASSWORD: &str = "tenant-2";

pub(super) async fn run(report: &mut Report, world: &World) -> Result<(), Failed> {
    report.step("bad-passwords", bad(world)).await?;
    let browser = report.step("password", typed(world)).await?;
    report.step("wrong-password", wrong(world)).await?;
    report.step("new-password", changed(world, browser)).await?;
    let open = report.step("fresh-ticket", fresh(world)).await?;
    report.step("spice-password", chosen(world, open)).await
}

/// Sets a password with the call that creates a console: the status, and the token.
async fn set(world: &World, protocol: &str, kind: &str, password: &str, own: bool) -> Outcome<(u16, String)> {
    let wanted = serde_json::json!({"protocol": protocol, "type": kind, "password": password});
    let wanted = serde_json::json!({ "remote_console": wanted }).to_string();
    let line = "POST /v2.1/servers/locked/remote-consoles";
    let answer = world.nova("2.99", line, &wanted, own).await?;
    let told_back = 8 <= password.len() && answer.body.contains(password);
    must(!told_back, "the answer has the password in it")?;
    let created = answer.json()?;
    let url = created["remote_console"]["url"].as_str().unwrap_or_default();
    let token = url.rsplit("token%3D").next().unwrap_or_default().to_owned();
    Ok((answer.status, token))
}

async fn bad(world: &World) -> Outcome<((), StepReport)> {
    for (protocol, kind, password, own) in [
        ("vnc", "novnc", "nine-long", true),
        ("spice", "spice-direct", "nine-long", true),
        ("vnc", "novnc", "", true),
        ("vnc", "novnc", "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}", true),
        ("serial", "serial", PASSWORD, true),
        // No Nova has a password in this call.
        ("vnc", "novnc", PASSWORD, false),
    ] {
        let (status, _) = set(world, protocol, kind, password, own).await?;
        let length = password.len();
        must(
            status == 400,
            format!("{protocol} with a password of {length} bytes: {status}"),
        )?;
    }
    let monitor = &world.peers.monitor;
    let set = monitor.count("vnc") + monitor.count("spice");
    must(set == 0, "the monitor was told of a password")?;
    let happened = "more than 8 bytes, none, or another console than VNC and SPICE: 400 each";
    told((), happened, format!("monitor: {set} passwords set"))
}

async fn vnc(world: &World) -> Outcome<String> {
    world.token(r#"{"guest":"locked","protocol":"vnc"}"#).await
}

async fn typed(world: &World) -> Outcome<(Browser, StepReport)> {
    let (status, token) = set(world, "vnc", "novnc", PASSWORD, true).await?;
    must(status == 200, format!("the API answered {status}"))?;
    let mut browser = world.browser(&token).await?;
    let LogIn::In(challenge) = log_in(&mut browser, Some(PASSWORD)).await? else {
        return Err("the hypervisor does not take the password that was set".into());
    };
    must(
        challenge == world.peers.locked_vnc.challenge(),
        "the challenge is not the hypervisor's",
    )?;
    press(&mut browser).await?;
    let set = world.peers.monitor.count("vnc");
    let happened = "the tenant types the password, and answers the hypervisor's own challenge";
    told(
        browser,
        happened,
        format!("monitor: {set} password set; the gateway has learned none"),
    )
}

async fn wrong(world: &World) -> Outcome<((), StepReport)> {
    let mut browser = world.browser(&vnc(world).await?).await?;
    match log_in(&mut browser, Some("guessed")).await? {
        LogIn::Refused => {}
        LogIn::In(_) => return Err("a wrong password opens the console".into()),
    }
    let happened = "a good token with another password: the hypervisor refuses it";
    told((), happened, "VNC server: authentication failed")
}

async fn changed(world: &World, mut browser: Browser) -> Outcome<((), StepReport)> {
    press(&mut browser).await?;
    let (status, token) = set(world, "vnc", "novnc", NEW_PASSWORD, true).await?;
    must(status == 200, format!("the API answered {status}"))?;
    browser.closed_with(1008).await?;
    let mut old = world.browser(&vnc(world).await?).await?;
    let refused = matches!(log_in(&mut old, Some(PASSWORD)).await?, LogIn::Refused);
    must(refused, "the old password opens the console")?;
    let mut new = world.browser(&token).await?;
    let open = matches!(log_in(&mut new, Some(NEW_PASSWORD)).await?, LogIn::In(_));
    must(open, "the new password does not open the console")?;
    new.close().await?;
    let set = world.peers.monitor.count("vnc");
    let happened = "a new password ends what the old one has opened, and the old one opens nothing";
    told((), happened, format!("monitor: {set} passwords set"))
}

/// The ticket that the hypervisor has, and that the gateway shows.
async fn shown(world: &World) -> Outcome<(Talk, String)> {
    let (viewer, _) = ask(world, "locked").await?;
    let mut main = linked(&viewer, MAIN, 0).await?;
    begin(&mut main).await?;
    let ticket = lock(&world.peers.locked_ticket).clone();
    let seen = world.peers.locked.newest(MAIN)?;
    must(
        seen.ticket == digest(ticket.as_bytes()),
        "the hypervisor got another ticket than its own",
    )?;
    must(
        ticket != viewer.token(),
        "the hypervisor has the tenant's token as ticket",
    )?;
    Ok((main, ticket))
}

/// Without a ticket of its own the gateway sets one for so long as it is needed.
async fn fresh(world: &World) -> Outcome<(Talk, StepReport)> {
    let (_first, one) = shown(world).await?;
    let (_second, two) = shown(world).await?;
    must(one == two, "a second viewer takes the first one's ticket away")?;
    world.gateway.clock.advance(LATER);
    let (third, three) = shown(world).await?;
    must(one != three, "the ticket has outlived its time")?;
    let happened = "the gateway sets a ticket that two viewers share, and another one when its time is over";
    let set = world.peers.monitor.count("spice");
    let seen = format!(
        "monitor: set {set} times, sha256 {} and then {}",
        digest(one.as_bytes()),
        digest(three.as_bytes())
    );
    told(third, happened, seen)
}

async fn chosen(world: &World, mut open: Talk) -> Outcome<((), StepReport)> {
    let (status, _) = set(world, "spice", "spice-direct", PASSWORD, true).await?;
    must(status == 200, format!("the API answered {status}"))?;
    while open.receive().await?.is_some() {}
    let all_closed = soon(|| world.peers.locked.links().iter().all(|link| !link.open)).await;
    must(all_closed, "a session of the old ticket stays open")?;
    let (_, file) = ask(world, "locked").await?;
    must(!file.contains(PASSWORD), "the file has the password in it")?;
    let (main, ticket) = shown(world).await?;
    must(ticket == PASSWORD, "the gateway has replaced the tenant's password")?;
    main.close().await;
    let happened = "a password for SPICE: open sessions end, and the next one's file has a token as ever";
    let seen = format!(
        "hypervisor: its ticket is the password, sha256 {}",
        digest(PASSWORD.as_bytes())
    );
    told((), happened, seen)
}
