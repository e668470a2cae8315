//! Seed 001: a browser's console of a VMware host. Its ticket and the certificates are vCenter's.

use super::authd::{GREETING, VMX};
use super::browser::Browser;
use super::report::{Failed, Outcome, Report, StepReport, must, told};
use super::talk::digest;
use super::world::World;

pub(super) async fn run(report: &mut Report, world: &World) -> Result<(), Failed> {
    report.step("mks-show", show(world)).await?;
    report.step("webmks", console(world)).await?;
    let login = report.step("other-login", other_login(world)).await?;
    let console = report.step("other-console", other_console(world)).await?;
    report.step("no-cost", no_cost(world, &[login, console])).await
}

/// Nova's show has what authd asks for.
async fn show(world: &World) -> Outcome<((), StepReport)> {
    let line = "POST /v2.1/servers/esx/remote-consoles";
    let wanted = r#"{"remote_console": {"protocol": "mks", "type": "webmks"}}"#;
    let created = world.nova("2.99", line, wanted, false).await?;
    must(created.status == 200, format!("the API answered {}", created.status))?;
    let created = created.json()?;
    let url = created["remote_console"]["url"].as_str().unwrap_or_default();
    let (page, token) = url.split_once("/mks.html?token=").ok_or("another URL")?;
    must(page == format!("http://{}", world.web), "the page of another gateway")?;
    let line = format!("GET /v2.1/os-console-auth-tokens/{token}");
    let shown = world.nova("2.99", &line, "", false).await?.json()?;
    let path = shown["console"]["internal_access_path"].as_str();
    let path: serde_json::Value = serde_json::from_str(path.ok_or("no internal_access_path")?)?;
    let thumbprint = world.peers.authd.thumbprint.to_string();
    let ours = path["cfgFile"] == VMX && path["thumbprint"] == thumbprint.as_str();
    must(ours, "another machine, or another certificate")?;
    let happened = format!("the API shows ticket, {VMX} and the certificate {}", &thumbprint[..8]);
    let tickets = world.peers.authd.tickets().len();
    told((), happened, format!("authd: {tickets} tickets"))
}

async fn mks(world: &World, guest: &str) -> Outcome<String> {
    world.token(&format!(r#"{{"guest":"{guest}","protocol":"mks"}}"#)).await
}

async fn console(world: &World) -> Outcome<((), StepReport)> {
    let mut browser = world.browser(&mks(world, "esx").await?).await?;
    must(browser.receive(GREETING.len()).await? == GREETING, "another console")?;
    browser.send(b"keys").await?;
    must(browser.receive(4).await? == b"keys"[..], "other bytes than were sent")?;
    let authd = &world.peers.authd;
    let own = digest(world.peers.mks_ticket.as_bytes());
    must(
        authd.tickets() == [own.clone(), own.clone()],
        "authd got another ticket",
    )?;
    must(authd.consoles() == 1, "another number of consoles than one")?;
    browser.close().await?;
    let happened = "both certificates are those that were named, and bytes pass both ways";
    let seen = format!("authd: user and password are the ticket, sha256 {own}; the console: the number of the log-in");
    told((), happened, seen)
}

/// A server with another certificate at the address of the host gets no ticket.
async fn other_login(world: &World) -> Outcome<(String, StepReport)> {
    let before = world.peers.authd.tickets().len();
    let token = mks(world, "esx-login").await?;
    Browser::refused(world.web, &token, 502, "another certificate at the log-in").await?;
    let after = world.peers.authd.tickets().len();
    must(before == after, "the ticket was told to a stranger")?;
    let seen = format!("authd: {after} tickets, as before");
    told(token, "another certificate than vCenter named at the log-in: 502", seen)
}

/// A server with another certificate in the place of the console gets no key that is pressed.
async fn other_console(world: &World) -> Outcome<(String, StepReport)> {
    let liar = &world.peers.liar;
    let token = mks(world, "esx-console").await?;
    Browser::refused(world.web, &token, 502, "another certificate at the console").await?;
    let (tickets, consoles) = (liar.tickets().len(), liar.consoles());
    must((tickets, consoles) == (2, 0), "a console was opened")?;
    let seen = format!("authd: {tickets} tickets; the console: {consoles} connections");
    told(token, "another certificate than authd named at the console: 502", seen)
}

async fn no_cost(world: &World, tokens: &[String]) -> Outcome<((), StepReport)> {
    for token in tokens {
        Browser::refused(world.web, token, 502, "the token of a refused attempt").await?;
    }
    let happened = "both tokens again: 502 and not 403, the attempts have cost no use";
    told(
        (),
        happened,
        format!("authd: {} consoles", world.peers.authd.consoles()),
    )
}
