//! Seed 004: serial ports are exclusive, and their ports are handed out once.

use console_token::{AttemptId, LeaseRules, LeaseTransition};

use super::browser::Browser;
use super::report::{Failed, Outcome, Report, StepReport, must, soon, told};
use super::world::{PORTS, World};
use crate::random::random_bytes;

/// Seconds without a word of its gateway, after which a seat is free.
const HUNG: u64 = 15;

pub(super) async fn run(report: &mut Report, world: &World) -> Result<(), Failed> {
    let first = report.step("serial", console(world)).await?;
    let refused = report.step("second-user", second(world)).await?;
    let forced = report.step("force", force(world, first)).await?;
    report.step("disconnect", disconnect(world, forced)).await?;
    report.step("use-left", left(world, &refused)).await?;
    report.step("hung-session", hung(world)).await?;
    report.step("ports", ports(world)).await
}

async fn token(world: &World) -> Outcome<String> {
    world.token(r#"{"guest":"port","protocol":"serial"}"#).await
}

/// Types a letter, and sees it come back.
async fn echo(browser: &mut Browser) -> Outcome<()> {
    browser.send(b"x").await?;
    must(browser.receive(2).await? == b">x"[..], "other bytes than the port sent")
}

fn seen(world: &World) -> String {
    format!("port: {} connections", world.peers.port.connections())
}

async fn console(world: &World) -> Outcome<(Browser, StepReport)> {
    let wanted = r#"{"guest":"port","protocol":"serial","user":"alice"}"#;
    let mut browser = world.browser(&world.token(wanted).await?).await?;
    browser.send(b"login\r").await?;
    must(
        browser.receive(7).await? == b">login\r"[..],
        "other bytes than were sent",
    )?;
    // A byte may be there before it is counted.
    let counted = || world.gateway.book.own().iter().any(|session| session.bytes() == (6, 7));
    must(soon(counted).await, "no session has 6 bytes to the guest and 7 from it")?;
    let open = world.sessions("port").await?;
    let [session] = open.as_slice() else {
        return Err(format!("{} sessions in the list, not one", open.len()).into());
    };
    let listed = (&session["bytes_to_guest"], &session["bytes_from_guest"]);
    must(session["user"] == "alice", "another user in the list")?;
    must(listed == (&6.into(), &7.into()), format!("the list has {listed:?}"))?;
    let happened = "bytes pass both ways; operators see alice, 6 bytes to the guest and 7 from it";
    told(browser, happened, seen(world))
}

async fn second(world: &World) -> Outcome<(String, StepReport)> {
    let token = token(world).await?;
    Browser::refused(world.web, &token, 409, "a second user").await?;
    let connections = world.peers.port.connections();
    must(connections == 1, "the port was connected to again")?;
    told(token, "a second user is answered with 409", seen(world))
}

async fn force(world: &World, mut first: Browser) -> Outcome<(Browser, StepReport)> {
    echo(&mut first).await?;
    let wanted = r#"{"guest":"port","protocol":"serial","force":true}"#;
    let mut second = world.browser(&world.token(wanted).await?).await?;
    first.closed_with(4409).await?;
    let of_port = || {
        let own = world.gateway.book.own();
        own.iter().filter(|session| session.about.guest == "port").count()
    };
    must(soon(|| of_port() == 1).await, "the first session stays in the list")?;
    echo(&mut second).await?;
    told(
        second,
        "a user with force is let in, and the first one is closed with 4409",
        seen(world),
    )
}

async fn disconnect(world: &World, mut open: Browser) -> Outcome<((), StepReport)> {
    let sessions = world.sessions("port").await?;
    let id = sessions.first().and_then(|session| session["id"].as_str());
    let line = format!("DELETE /v1/sessions/{}", id.ok_or("no session in the list")?);
    world.answered(&line, "", 204).await?;
    open.closed_with(1008).await?;
    world.ended("port").await?;
    world.answered(&line, "", 404).await?;
    told(
        (),
        "an operator ends the session: closed with 1008, and out of the list",
        seen(world),
    )
}

async fn left(world: &World, refused: &str) -> Outcome<((), StepReport)> {
    let mut browser = world.browser(refused).await?;
    echo(&mut browser).await?;
    browser.close().await?;
    world.ended("port").await?;
    told(
        (),
        "the user who was refused has kept the use, and is let in now",
        seen(world),
    )
}

/// A gateway that is gone leaves a seat behind, which is free some seconds later.
async fn hung(world: &World) -> Outcome<((), StepReport)> {
    let gateway = &world.gateway;
    let rules = LeaseRules {
        hung: Some(HUNG),
        ..LeaseRules::EXCLUSIVE
    };
    let token = token(world).await?;
    world.browser(&token).await?.close().await?;
    world.ended("port").await?;
    let take = LeaseTransition::Take(AttemptId(random_bytes()));
    let mut taken = false;
    for _ in 0..100 {
        let now = gateway.clock.now();
        taken = gateway.store.leases("serial/port/0", now, &rules, take).await.is_ok();
        if taken {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    must(taken, "the port stays taken")?;
    let token = self::token(world).await?;
    Browser::refused(world.web, &token, 409, "a seat that another gateway holds").await?;
    gateway.clock.advance(HUNG + 1);
    let mut browser = world.browser(&token).await?;
    echo(&mut browser).await?;
    browser.close().await?;
    let happened = format!("the seat of another gateway that is gone: 409, and free after {HUNG} s");
    told((), happened, seen(world))
}

async fn ports(world: &World) -> Outcome<((), StepReport)> {
    let acquire = async |guest: &str, count: usize, status| {
        let body = format!(r#"{{"guest":"{guest}","count":{count}}}"#);
        let answer = world.answered("POST /v1/serial-ports", &body, status).await?;
        let ports: Vec<u16> = match status {
            201 => serde_json::from_value(answer.json()?["ports"].clone())?,
            _ => Vec::new(),
        };
        Outcome::Ok(ports)
    };
    let one = acquire("one", 2, 201).await?;
    let two = acquire("two", 1, 201).await?;
    let apart = one.iter().all(|port| !two.contains(port));
    must(apart, format!("{one:?} and {two:?}: a port was handed out twice"))?;
    let inside = one.iter().chain(&two).all(|port| PORTS.contains(port));
    must(inside, format!("{one:?} and {two:?} are not all of the range"))?;
    acquire("three", 1, 400).await?;
    world.answered("DELETE /v1/serial-ports/one", "", 204).await?;
    let again = acquire("three", 2, 201).await?;
    must(
        again == one,
        format!("{again:?} are not the ports that were given back"),
    )?;
    let happened =
        format!("{one:?} for one guest, {two:?} for another, 400 when all are out; and those given back again");
    told((), happened, "kept by the store")
}
