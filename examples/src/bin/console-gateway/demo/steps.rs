//! The steps of the demo, in their order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use console_token::spice::Denial;
use console_token::{MemoryStore, Secret};
use examples::net;
use spice_proto::channel::common::{ClientMessage, Disconnecting};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::Refusal;
use spice_proto::session::policy::Settings;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use super::certificates::{Certificates, HOST};
use super::hypervisor::{CHANNELS, Hypervisor, SOON, Seen};
use super::portal;
use super::report::{Failed, Outcome, Report, StepReport, must, told};
use super::rules::{Broken, Rules, leak};
use super::talk::{Talk, digest};
use super::viewer::{Attempt, Refused, Viewer, begin, converse};
use crate::api::{self, Api};
use crate::gateway::{Carrier, Gateway};
use crate::guest::{Console as SpiceConsole, Guest, Place, PlaceTls};
use crate::random::random_bytes;
use crate::sessions::{self, Channel, Sessions};
use crate::sync::lock;
use crate::{config, console};

const MAIN: Channel = (ChannelType::MAIN, 0);
const DISPLAY: Channel = (ChannelType::DISPLAY, 0);
const SECOND_DISPLAY: Channel = (ChannelType::DISPLAY, 1);
const INPUTS: Channel = (ChannelType::INPUTS, 0);
const CURSOR: Channel = (ChannelType::CURSOR, 0);
/// Life of the tokens that expire, in seconds.
const SHORT: u64 = 30;

/// The gateway and its API.
struct Running {
    gateway: Gateway,
    api: SocketAddr,
    bearer: String,
}

/// A session of the viewer.
struct Console {
    id: u32,
    main: Talk,
    others: Vec<(Channel, Talk)>,
}

pub(super) async fn run(report: &mut Report, rules: Rules) -> Result<(), Failed> {
    let ticket = text();
    let (hypervisor, certificates) = report.step("hypervisor", start_hypervisor(&ticket)).await?;
    let running = start_gateway(&hypervisor, &certificates, &ticket, rules);
    let running = report.step("gateway", running).await?;
    let (viewer, file) = report.step("mint", mint(&running, &hypervisor)).await?;
    file.lines().for_each(|line| println!("   | {line}"));

    let mut console = report.step("main", open(&viewer, &hypervisor, &ticket)).await?;
    report
        .step("channels", join(&viewer, &mut console, &hypervisor, &ticket))
        .await?;
    report.step("messages", speak(&mut console, &hypervisor)).await?;
    report.step("counts", compare(&console, &hypervisor, &running)).await?;
    report
        .step("early-leave", leave(&viewer, console.id, &hypervisor))
        .await?;

    let mut refused = Vec::new();
    let again = refuse(
        viewer.connect(MAIN, 0),
        &hypervisor,
        "the same token again, its session is open",
    );
    refused.push((ChannelType::MAIN, report.step("second-viewer", again).await?));
    let guess = viewer.with_token(&text());
    let wrong = refuse(guess.connect(MAIN, 0), &hypervisor, "a token that was not issued");
    refused.push((ChannelType::MAIN, report.step("wrong-token", wrong).await?));
    let intruder = refuse(
        guess.connect(SECOND_DISPLAY, console.id),
        &hypervisor,
        "that token, for a channel of the open session",
    );
    refused.push((ChannelType::DISPLAY, report.step("intruder", intruder).await?));
    let garbage = refuse(viewer.scrawl(), &hypervisor, "a ticket of random bytes");
    refused.push((ChannelType::MAIN, report.step("garbage", garbage).await?));

    let id = console.id;
    report.step("close", close(console, &hypervisor)).await?;
    let spent = refuse(
        viewer.connect(MAIN, 0),
        &hypervisor,
        "the token again, after its session",
    );
    refused.push((ChannelType::MAIN, report.step("spent-token", spent).await?));
    let ended = refuse(
        viewer.connect(SECOND_DISPLAY, id),
        &hypervisor,
        "a channel for the session that has ended",
    );
    refused.push((ChannelType::DISPLAY, report.step("old-session", ended).await?));

    let (_open, unused) = report.step("late-channel", outlive(&running, &hypervisor)).await?;
    let expired = refuse(
        unused.connect(MAIN, 0),
        &hypervisor,
        "a token that was never used and has expired",
    );
    refused.push((ChannelType::MAIN, report.step("expired-token", expired).await?));

    report.step("alike", alike(&refused)).await?;
    let tokens = [viewer.token(), guess.token(), unused.token()];
    report.step("secrets", secrets(&hypervisor, &ticket, &tokens)).await?;
    report.step("stop", stop(running, &hypervisor)).await
}

/// A password that was not there before: 43 characters.
fn text() -> String {
    Secret::base64url(&random_bytes()).expose().to_owned()
}

async fn start_hypervisor(ticket: &str) -> Outcome<((Hypervisor, Certificates), StepReport)> {
    let certificates = Certificates::make()?;
    let hypervisor = Hypervisor::start(ticket, certificates.hypervisor.clone()).await?;
    let happened = format!("listens on {} with TLS", hypervisor.address);
    let seen = format!("its own ticket is sha256 {}", digest(ticket.as_bytes()));
    told((hypervisor, certificates), happened, seen)
}

async fn start_gateway(
    hypervisor: &Hypervisor,
    certificates: &Certificates,
    ticket: &str,
    rules: Rules,
) -> Outcome<(Running, StepReport)> {
    let place = Place {
        host: HOST.to_owned(),
        announced: Vec::new(),
        port: None,
        tls: Some(PlaceTls {
            port: hypervisor.address.port(),
            name: HOST.try_into()?,
            config: certificates.client.clone(),
        }),
        move_ports: None,
        ticket: spice_proto::link::Secret::new(ticket.as_bytes()),
    };
    let guest = Guest {
        id: "vm1".to_owned(),
        name: "vm1".to_owned(),
        console: SpiceConsole {
            require_tls: true,
            places: vec![place.into()],
        },
    };
    let store = Broken::new(MemoryStore::new(sessions::TOKENS), rules, "vm1");
    let sessions = Sessions::new(Arc::new(store), Gateway::settings(), vec![guest]);
    let refuses_with = if rules.leak_reason {
        leak
    } else {
        |_: &Denial| Refusal::DENIED
    };
    let mut gateway = Gateway::new(sessions, refuses_with, &Settings::default());
    let listener = net::listen("127.0.0.1:0".parse()?)?;
    let spice = listener.local_addr()?;
    let viewer = console::Viewer {
        host: HOST.to_owned(),
        port: None,
        tls_port: Some(spice.port()),
        ca: Some(certificates.ca.clone()),
        host_subject: Some(Certificates::host_subject()),
    };
    gateway.accept(listener, Carrier::Tls(certificates.gateway.clone()), &viewer)?;
    let bearer = text();
    let router = api::router(Api {
        sessions: gateway.sessions.clone(),
        token: Secret::presented(bearer.as_bytes())?,
        viewer,
        ttl: config::TTL_MAX,
        refusals: gateway.shared.refusals.clone(),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let api = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    let running = Running { gateway, api, bearer };
    let happened = format!("takes viewers on {spice} with TLS, and requests on {api}; rules: {rules}");
    told(running, happened, untouched(hypervisor))
}

/// Asks for a console, and reads the file as a viewer does.
async fn ask(running: &Running, wanted: &str) -> Outcome<(Viewer, String)> {
    let answer = portal::create(running.api, Some(&running.bearer), wanted).await?;
    must(answer.status == 201, format!("the API answered {}", answer.status))?;
    for (name, value) in [
        ("content-type", "application/x-virt-viewer"),
        ("cache-control", "no-store"),
        ("content-disposition", "attachment; filename=\"vm1.vv\""),
    ] {
        must(answer.has(name, value), format!("no {name}: {value}"))?;
    }
    Ok((Viewer::open(&answer.body)?, answer.body))
}

async fn mint(running: &Running, hypervisor: &Hypervisor) -> Outcome<((Viewer, String), StepReport)> {
    let wanted = r#"{"guest":"vm1","title":"demo"}"#;
    let stranger = portal::create(running.api, None, wanted).await?;
    must(
        stranger.status == 401,
        format!("without bearer token: {}", stranger.status),
    )?;
    let (viewer, file) = ask(running, wanted).await?;
    let token = digest(viewer.token().as_bytes());
    let happened = format!("401 without bearer token, 201 with it: a .vv with a token, sha256 {token}");
    told((viewer, file), happened, untouched(hypervisor))
}

fn untouched(hypervisor: &Hypervisor) -> String {
    format!("hypervisor: {} connections", hypervisor.connections())
}

/// Connects, which has to work.
async fn linked(viewer: &Viewer, channel: Channel, id: u32) -> Outcome<Talk> {
    match viewer.connect(channel, id).await? {
        Attempt::Linked(talk) => Ok(talk),
        Attempt::Refused(refused) => Err(format!("{} {} refused: {refused}", channel.0, channel.1).into()),
    }
}

/// What the hypervisor saw of a link: it has to be its own ticket, and this session.
fn check(hypervisor: &Hypervisor, channel: Channel, id: u32, ticket: &str) -> Outcome<Seen> {
    let seen = hypervisor.newest(channel)?;
    must(
        seen.ticket == digest(ticket.as_bytes()),
        "the hypervisor got another ticket than its own",
    )?;
    let problem = format!("the hypervisor got connection_id {:#x}", seen.connection_id);
    must(seen.connection_id == id, problem)?;
    Ok(seen)
}

async fn open(viewer: &Viewer, hypervisor: &Hypervisor, ticket: &str) -> Outcome<(Console, StepReport)> {
    let mut main = linked(viewer, MAIN, 0).await?;
    let (id, channels) = begin(&mut main).await?;
    let seen = check(hypervisor, MAIN, 0, ticket)?;
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

async fn join(
    viewer: &Viewer,
    console: &mut Console,
    hypervisor: &Hypervisor,
    ticket: &str,
) -> Outcome<((), StepReport)> {
    let mut tickets = Vec::new();
    for channel in [DISPLAY, INPUTS, CURSOR] {
        let talk = linked(viewer, channel, console.id).await?;
        console.others.push((channel, talk));
        tickets.push(check(hypervisor, channel, console.id, ticket)?.ticket);
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
async fn compare(console: &Console, hypervisor: &Hypervisor, running: &Running) -> Outcome<((), StepReport)> {
    let others = console.others.iter().map(|(channel, talk)| (*channel, talk));
    let mut counts = Vec::new();
    for (channel, talk) in others.chain([(MAIN, &console.main)]) {
        let own = talk.traffic();
        let link = hypervisor.newest(channel)?;
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
        let counted = running.gateway.sessions.counts(console.id);
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
async fn outlive(running: &Running, hypervisor: &Hypervisor) -> Outcome<((Vec<Talk>, Viewer), StepReport)> {
    let wanted = format!(r#"{{"guest":"vm1","ttl_seconds":{SHORT}}}"#);
    let (viewer, _) = ask(running, &wanted).await?;
    let (unused, _) = ask(running, &wanted).await?;
    let mut main = linked(&viewer, MAIN, 0).await?;
    let (id, _) = begin(&mut main).await?;
    running.gateway.sessions.clock.advance(SHORT + 1);
    let late = linked(&viewer, INPUTS, id).await?;
    let seen = hypervisor.newest(INPUTS)?;
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

async fn secrets(hypervisor: &Hypervisor, ticket: &str, tokens: &[&str]) -> Outcome<((), StepReport)> {
    let links = hypervisor.links();
    let own = digest(ticket.as_bytes());
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

async fn stop(running: Running, hypervisor: &Hypervisor) -> Outcome<((), StepReport)> {
    running.gateway.stop().await;
    let all_closed = soon(|| hypervisor.links().iter().all(|link| !link.open)).await;
    must(all_closed, "the hypervisor's links stay open")?;
    told(
        (),
        "the gateway stops with a session open",
        "hypervisor: all links have ended",
    )
}

/// Waits for something that is on its way.
async fn soon(mut met: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + SOON;
    while !met() {
        if until <= Instant::now() {
            return false;
        }
        sleep(Duration::from_millis(2)).await;
    }
    true
}
