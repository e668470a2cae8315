//! Seed 000: a native viewer comes with a file that it got for a token of Nova's API.

use console_token::nova::Microversion;
use spice_proto::channel::common::{ClientMessage, Disconnecting};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use tokio::time::timeout;

use super::Channel;
use super::http;
use super::hypervisor::{CHANNELS, Hypervisor, SOON, Seen};
use super::report::{Failed, Outcome, Report, StepReport, must, soon, told};
use super::talk::{Talk, digest};
use super::viewer::{Attempt, Refused, Viewer, begin, converse};
use super::world::{SHORT, UUID, World, text};
use crate::sync::lock;

pub(super) const MAIN: Channel = (ChannelType::MAIN, 0);
const DISPLAY: Channel = (ChannelType::DISPLAY, 0);
const SECOND_DISPLAY: Channel = (ChannelType::DISPLAY, 1);
pub(super) const INPUTS: Channel = (ChannelType::INPUTS, 0);
const CURSOR: Channel = (ChannelType::CURSOR, 0);

/// A session of the viewer.
struct Console {
    id: u32,
    main: Talk,
    others: Vec<(Channel, Talk)>,
}

pub(super) async fn run(report: &mut Report, world: &World) -> Result<(), Failed> {
    let hypervisor = &world.peers.desktop;
    let path = report.step("create", create(world)).await?;
    report.step("show", show(world, &path)).await?;
    let (viewer, file) = report.step("file", file(world, &path)).await?;
    file.lines().for_each(|line| println!("   | {line}"));
    report.step("url-once", url_once(world, &path)).await?;

    let mut console = report.step("main", open(world, &viewer)).await?;
    report.step("channels", join(world, &viewer, &mut console)).await?;
    report.step("messages", speak(&mut console, hypervisor)).await?;
    report.step("counts", compare(&console, world)).await?;
    report
        .step("early-leave", leave(&viewer, console.id, hypervisor))
        .await?;

    let mut refused = Vec::new();
    let again = refuse(
        viewer.connect(MAIN, 0),
        hypervisor,
        "the same token again, its session is open",
    );
    refused.push((ChannelType::MAIN, report.step("second-viewer", again).await?));
    let guess = viewer.with_token(&text());
    let wrong = refuse(guess.connect(MAIN, 0), hypervisor, "a token that was not issued");
    refused.push((ChannelType::MAIN, report.step("wrong-token", wrong).await?));
    let intruder = refuse(
        guess.connect(SECOND_DISPLAY, console.id),
        hypervisor,
        "that token, for a channel of the open session",
    );
    refused.push((ChannelType::DISPLAY, report.step("intruder", intruder).await?));
    let garbage = refuse(viewer.scrawl(), hypervisor, "a ticket of random bytes");
    refused.push((ChannelType::MAIN, report.step("garbage", garbage).await?));

    let id = console.id;
    report.step("close", close(console, hypervisor)).await?;
    let spent = refuse(
        viewer.connect(MAIN, 0),
        hypervisor,
        "the token again, after its session",
    );
    refused.push((ChannelType::MAIN, report.step("spent-token", spent).await?));
    let ended = refuse(
        viewer.connect(SECOND_DISPLAY, id),
        hypervisor,
        "a channel for the session that has ended",
    );
    refused.push((ChannelType::DISPLAY, report.step("old-session", ended).await?));

    let (_open, unused) = report.step("late-channel", outlive(world)).await?;
    let expired = refuse(
        unused.connect(MAIN, 0),
        hypervisor,
        "a token that was never used and has expired",
    );
    refused.push((ChannelType::MAIN, report.step("expired-token", expired).await?));

    report.step("alike", alike(&refused)).await?;
    let tokens = [viewer.token(), guess.token(), unused.token()];
    report.step("secrets", secrets(world, &tokens)).await
}

/// Nova's call. Gives the path of the access URL.
async fn create(world: &World) -> Outcome<(String, StepReport)> {
    let line = "POST /v2.1/servers/vm1/remote-consoles";
    let wanted = r#"{"remote_console": {"protocol": "spice", "type": "spice-direct"}}"#;
    let stranger = http::request(world.api, line, &[], wanted).await?;
    must(stranger.status == 401, format!("without a token: {}", stranger.status))?;
    let before = world.nova("2.98", line, wanted, false).await?;
    must(before.status == 400, format!("before version 2.99: {}", before.status))?;
    let created = world.nova("2.99", line, wanted, false).await?;
    must(created.status == 200, format!("the API answered {}", created.status))?;
    let url = created.json()?["remote_console"]["url"].as_str().map(ToOwned::to_owned);
    let url = url.ok_or("no url")?;
    let path = url.strip_prefix(&format!("http://{}", world.web));
    let path = path.ok_or("another url")?.to_owned();
    must(path.starts_with("/nova?token="), "the URL is not Nova's")?;
    let happened = "401 without a token of the API, 400 before version 2.99, and then a URL, /nova?token=";
    told(path, happened, untouched(&world.peers.desktop))
}

/// What a proxy asks, and an operator: where the token leads.
async fn show(world: &World, path: &str) -> Outcome<((), StepReport)> {
    let token = path.rsplit('=').next().unwrap_or_default();
    let line = format!("GET /v2.1/os-console-auth-tokens/{token}");
    let port = world.peers.desktop.address.port();
    for version in [Microversion::V2_31, Microversion::V2_99] {
        let shown = world.nova(&version.to_string(), &line, "", false).await?;
        must(shown.status == 200, format!("the API answered {}", shown.status))?;
        let shown = shown.json()?["console"].clone();
        must(shown["instance_uuid"] == UUID, format!("another server: {shown}"))?;
        let tls_port = shown.get("tls_port").and_then(serde_json::Value::as_u64);
        let wanted = (version == Microversion::V2_99).then_some(u64::from(port));
        must(tls_port == wanted, format!("version {version}: {shown}"))?;
    }
    let line = "GET /v2.1/os-console-auth-tokens/00000000-0000-4000-8000-000000000000";
    let unknown = world.nova("2.99", line, "", false).await?;
    must(unknown.status == 404, format!("an unknown token: {}", unknown.status))?;
    let happened = format!("the token leads to tls_port {port}, which version 2.31 does not have; an unknown one: 404");
    told((), happened, untouched(&world.peers.desktop))
}

/// The file of a URL, which has to be there.
async fn fetch(world: &World, path: &str, guest: &str) -> Outcome<(Viewer, String)> {
    let answer = http::get(world.web, path).await?;
    must(answer.status == 200, format!("the page answered {}", answer.status))?;
    let disposition = format!("attachment; filename=\"{guest}.vv\"");
    for (name, value) in [
        ("content-type", "application/x-virt-viewer"),
        ("cache-control", "no-store"),
        ("content-disposition", disposition.as_str()),
    ] {
        must(answer.has(name, value), format!("no {name}: {value}"))?;
    }
    Ok((Viewer::open(&answer.body)?, answer.body))
}

async fn file(world: &World, path: &str) -> Outcome<((Viewer, String), StepReport)> {
    let (viewer, file) = fetch(world, path, "vm1").await?;
    must(!path.contains(viewer.token()), "the file has the token of the URL")?;
    let token = digest(viewer.token().as_bytes());
    let happened = format!("behind the URL is a .vv with a token for one session, sha256 {token}");
    told((viewer, file), happened, untouched(&world.peers.desktop))
}

/// A URL that somebody has read over the user's shoulder is worth nothing.
async fn url_once(world: &World, path: &str) -> Outcome<((), StepReport)> {
    let again = http::get(world.web, path).await?;
    must(
        again.status == 403,
        format!("the URL was answered again: {}", again.status),
    )?;
    let unknown = http::get(world.web, "/nova?token=00000000-0000-4000-8000-000000000000").await?;
    let same = (unknown.status, &unknown.body) == (again.status, &again.body);
    must(same, "a spent token is told from an unknown one")?;
    let happened = "the URL again: 403, the same answer as for a token that was not issued";
    told((), happened, untouched(&world.peers.desktop))
}

/// Asks for a console, and reads the file as a viewer does.
pub(super) async fn ask(world: &World, guest: &str) -> Outcome<(Viewer, String)> {
    let wanted = format!(r#"{{"guest":"{guest}","protocol":"spice","ttl_seconds":{SHORT}}}"#);
    let url = world.created(&wanted).await?.url;
    let path = url.strip_prefix(&format!("http://{}", world.web));
    fetch(world, path.ok_or("another url")?, guest).await
}

pub(super) fn untouched(hypervisor: &Hypervisor) -> String {
    format!("hypervisor: {} connections", hypervisor.connections())
}

/// Connects, which has to work.
pub(super) async fn linked(viewer: &Viewer, channel: Channel, id: u32) -> Outcome<Talk> {
    match viewer.connect(channel, id).await? {
        Attempt::Linked(talk) => Ok(talk),
        Attempt::Refused(refused) => Err(format!("{} {} refused: {refused}", channel.0, channel.1).into()),
    }
}

/// What the hypervisor saw of a link: it has to be its own ticket, and this session.
fn check(world: &World, channel: Channel, id: u32) -> Outcome<Seen> {
    let seen = world.peers.desktop.newest(channel)?;
    must(
        seen.ticket == world.peers.own_ticket(),
        "the hypervisor got another ticket than its own",
    )?;
    let problem = format!("the hypervisor got connection_id {:#x}", seen.connection_id);
    must(seen.connection_id == id, problem)?;
    Ok(seen)
}

async fn open(world: &World, viewer: &Viewer) -> Outcome<(Console, StepReport)> {
    let mut main = linked(viewer, MAIN, 0).await?;
    let (id, channels) = begin(&mut main).await?;
    let seen = check(world, MAIN, 0)?;
    must(
        seen.session == id,
        "INIT names another session than the hypervisor made",
    )?;
    must(
        channels == CHANNELS,
        "CHANNELS_LIST names other channels than the hypervisor has",
    )?;
    let happened = format!("linked; INIT names session {id:#010x}, {} channels", channels.len());
    let seen = format!("hypervisor: ticket sha256 {}, connection_id 0", seen.ticket);
    let others = Vec::new();
    told(Console { id, main, others }, happened, seen)
}

async fn join(world: &World, viewer: &Viewer, console: &mut Console) -> Outcome<((), StepReport)> {
    let mut tickets = Vec::new();
    for channel in [DISPLAY, INPUTS, CURSOR] {
        let talk = linked(viewer, channel, console.id).await?;
        console.others.push((channel, talk));
        tickets.push(check(world, channel, console.id)?.ticket);
    }
    let seen = format!(
        "hypervisor: tickets sha256 {}, connection_id {:#010x}",
        tickets.join(" "),
        console.id
    );
    told((), "DISPLAY, INPUTS and CURSOR linked with the same token", seen)
}

async fn speak(console: &mut Console, hypervisor: &Hypervisor) -> Outcome<((), StepReport)> {
    converse(ChannelType::MAIN, &mut console.main).await?;
    for (channel, talk) in &mut console.others {
        converse(channel.0, talk).await?;
    }
    let talks = console.others.iter().map(|(_, talk)| talk).chain([&console.main]);
    let count = talks.fold(0, |sum, talk| {
        let (to_viewer, to_hypervisor) = talk.traffic().messages();
        sum + to_viewer + to_hypervisor
    });
    let sent = hypervisor
        .links()
        .iter()
        .map(|link| lock(&link.traffic).messages().0)
        .sum::<u64>();
    let happened =
        format!("{count} messages: keys, pictures, acknowledgements, a PING of 250 KiB, a picture of 300 kB");
    told((), happened, format!("hypervisor: {sent} of them sent"))
}

/// Both ends have to have seen the same, and the gateway has to have counted it.
async fn compare(console: &Console, world: &World) -> Outcome<((), StepReport)> {
    let others = console.others.iter().map(|(channel, talk)| (*channel, talk));
    let mut counts = Vec::new();
    for (channel, talk) in others.chain([(MAIN, &console.main)]) {
        let own = talk.traffic();
        let link = world.peers.desktop.newest(channel)?;
        // What the viewer said last may still be on its way.
        let same = soon(|| *lock(&link.traffic) == own).await;
        let (to_viewer, to_hypervisor) = own.messages();
        let theirs = lock(&link.traffic).messages();
        let name = channel.0;
        let problem = format!(
            "{name}: viewer {:?}, hypervisor {theirs:?}, or other bytes",
            own.messages()
        );
        must(same, problem)?;
        let counted = world.gateway.counts(console.id);
        let passed = counted.into_iter().find(|(passed, ..)| *passed == channel);
        let passed = passed.map(|(_, to_viewer, to_hypervisor)| (to_viewer, to_hypervisor));
        let problem = format!("{name}: viewer {:?}, gateway {passed:?}", own.messages());
        must(passed == Some(own.messages()), problem)?;
        counts.push(format!("{name} {to_viewer}/{to_hypervisor}"));
    }
    let happened = format!("viewer got/sent {}", counts.join(", "));
    told(
        (),
        happened,
        "hypervisor: the same messages, byte for byte, and the gateway counted the same",
    )
}

/// A display link that is given up before its first message would end a real QEMU.
async fn leave(viewer: &Viewer, id: u32, hypervisor: &Hypervisor) -> Outcome<((), StepReport)> {
    linked(viewer, SECOND_DISPLAY, id).await?.close().await;
    let closed = soon(|| hypervisor.newest(SECOND_DISPLAY).is_ok_and(|link| !link.open)).await;
    must(closed, "the hypervisor's link stays open")?;
    let link = hypervisor.newest(SECOND_DISPLAY)?;
    must(!link.fatal, "the hypervisor's link was closed before DISPLAY_INIT")?;
    let happened = "the viewer leaves a display link before DISPLAY_INIT, which would end QEMU";
    told(
        (),
        happened,
        "hypervisor: DISPLAY_INIT came from the gateway, then the end",
    )
}

/// A viewer that must not get in, and of which the hypervisor must not hear.
async fn refuse(
    attempt: impl Future<Output = Outcome<Attempt>>,
    hypervisor: &Hypervisor,
    who: &str,
) -> Outcome<(Refused, StepReport)> {
    let before = hypervisor.connections();
    let refused = match attempt.await? {
        Attempt::Refused(refused) => refused,
        Attempt::Linked(_) => return Err(format!("{who}: was let in").into()),
    };
    let after = hypervisor.connections();
    must(
        before == after,
        format!("{who}: refused, but the hypervisor was dialled"),
    )?;
    let happened = format!("{who}: refused with {refused}");
    told(refused, happened, format!("hypervisor: {after} connections, as before"))
}

async fn close(console: Console, hypervisor: &Hypervisor) -> Outcome<((), StepReport)> {
    let Console { mut main, others, .. } = console;
    let goodbye = Disconnecting {
        time_stamp: 0,
        reason: LinkErrorCode::OK,
    };
    main.send(&ClientMessage::Disconnecting(goodbye)).await?;
    main.close().await;
    for (channel, mut talk) in others {
        let end = timeout(SOON, talk.receive()).await;
        let ended = matches!(end, Ok(Ok(None)));
        must(ended, format!("{} stays open without its main channel", channel.0))?;
    }
    let all_closed = soon(|| hypervisor.links().iter().all(|link| !link.open)).await;
    must(all_closed, "the hypervisor's links stay open")?;
    let happened = "the viewer closes its main channel, and the gateway ends the others";
    told((), happened, "hypervisor: all links have ended")
}

/// A session lives on when its token has expired. Also gives a token that was not used in time.
async fn outlive(world: &World) -> Outcome<((Vec<Talk>, Viewer), StepReport)> {
    let (viewer, _) = ask(world, "vm1").await?;
    let (unused, _) = ask(world, "vm1").await?;
    let mut main = linked(&viewer, MAIN, 0).await?;
    let (id, _) = begin(&mut main).await?;
    world.gateway.clock.advance(SHORT + 1);
    let late = linked(&viewer, INPUTS, id).await?;
    let seen = world.peers.desktop.newest(INPUTS)?;
    must(seen.connection_id == id, "the hypervisor saw another session")?;
    let happened = format!(
        "a session with a token of {SHORT} s, the clock goes forward {} s, INPUTS links",
        SHORT + 1
    );
    let seen = format!("hypervisor: connection_id {id:#010x}");
    told((vec![main, late], unused), happened, seen)
}

/// A refusal does not show its reason. What a viewer is shown before its ticket depends on the kind of
/// channel it asks for, and on nothing else.
async fn alike(refused: &[(ChannelType, Refused)]) -> Outcome<((), StepReport)> {
    for (kind, one) in refused {
        for (_, other) in refused.iter().filter(|(other, _)| other == kind) {
            must(
                one == other,
                format!("a viewer can tell refusals apart: {one} and {other}"),
            )?;
        }
        let plain = one.code == Some(LinkErrorCode::PERMISSION_DENIED);
        must(plain, format!("{kind} was refused with {one}"))?;
    }
    let happened = format!(
        "{} refusals, PERMISSION_DENIED each, the same bytes but for the RSA key",
        refused.len()
    );
    told((), happened, "hypervisor: heard of none")
}

async fn secrets(world: &World, tokens: &[&str]) -> Outcome<((), StepReport)> {
    let hypervisor = &world.peers.desktop;
    let (links, own) = (hypervisor.links(), world.peers.own_ticket());
    for link in &links {
        must(link.ticket == own, "the hypervisor got another ticket than its own")?;
        let token = tokens.iter().any(|token| link.ticket == digest(token.as_bytes()));
        must(!token, "the hypervisor got a tenant's token")?;
    }
    // Two main channels, three others, the display that was left, and the one that came late. Beside them the gateway has
    // asked once for each of three kinds what is announced, without a ticket.
    let counts = (links.len(), hypervisor.connections());
    must(
        counts == (7, 10),
        format!("{} links on {} connections, not 7 on 10", counts.0, counts.1),
    )?;
    let happened = "seven links were let in, and no token went further than the gateway";
    let seen = format!(
        "hypervisor: {} connections, {} tickets, all sha256 {own}",
        counts.1, counts.0
    );
    told((), happened, seen)
}
