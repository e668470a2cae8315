//! Seed 003: WebSockets and HTTP CONNECT, TLS on both sides, and tokens that change while they are in use.

use rustls::pki_types::ServerName;
use spice_proto::ids::LinkErrorCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::browser::Browser;
use super::certificates::HOST;
use super::report::{Failed, Outcome, Report, StepReport, must, told};
use super::spice::{INPUTS, MAIN, ask, linked};
use super::viewer::{Attempt, begin};
use super::vnc::{VERSION, VncServer, desktop, press};
use super::world::{EVIL, KNOWN, NODE, PORTAL, World};

const VNC: &str = r#"{"guest":"web","protocol":"vnc"}"#;

pub(super) async fn run(report: &mut Report, world: &World) -> Result<(), Failed> {
    report.step("tls", tls(world)).await?;
    report.step("origin", origin(world)).await?;
    report.step("two-uses", two_uses(world)).await?;
    report.step("scope", scope(world)).await?;
    report.step("replaced", replaced(world)).await?;
    report.step("revoked", revoked(world)).await?;
    let token = report.step("elsewhere", elsewhere(world)).await?;
    report.step("tunnel", tunnel(world, token)).await?;
    report.step("narrow-tunnel", narrow(world)).await?;
    report.step("resolver", resolver(world)).await
}

fn seen(server: &VncServer) -> String {
    format!("VNC server: {} connections", server.connections())
}

/// The tenant's WebSocket over TLS; and a hypervisor that lets in only clients with a certificate of its authority.
async fn tls(world: &World) -> Outcome<((), StepReport)> {
    let certificates = &world.peers.certificates;
    let name = || ServerName::try_from(HOST);
    let stranger = &certificates.stranger;
    let tcp = TcpStream::connect(world.web_tls).await?;
    let stream = examples::tls::client(tcp, stranger.clone(), name()?.to_owned()).await?;
    let url = format!("wss://{}/?token={}", world.web_tls, world.token(VNC).await?);
    let opened = Browser::over(Box::new(stream), &url, None).await?;
    let mut browser = opened.map_err(|status| format!("a good token was answered with {status}"))?;
    desktop(&mut browser).await?;
    browser.close().await?;

    let tcp = TcpStream::connect(world.peers.desktop.address).await?;
    let let_in = async {
        let mut stream = examples::tls::client(tcp, stranger.clone(), name()?.to_owned()).await?;
        stream.write_all(b"REDQ").await?;
        stream.flush().await?;
        // With TLS 1.3 a client learns with the first answer what the server thinks of it.
        Outcome::Ok(stream.read(&mut [0; 1]).await? != 0)
    };
    must(
        !let_in.await.unwrap_or(false),
        "a client without a certificate is let in",
    )?;
    let happened = "a browser over TLS is let in";
    told(
        (),
        happened,
        "hypervisor: takes the gateway's certificate, and nobody without one",
    )
}

async fn origin(world: &World) -> Outcome<((), StepReport)> {
    let token = world.token(VNC).await?;
    let own = format!("http://{}", world.web);
    for origin in [EVIL, "null", "http://portal.demo"] {
        match Browser::open_from(world.web, &token, Some(origin)).await? {
            Err(403) => {}
            Err(status) => return Err(format!("a page of {origin}: answered with {status}").into()),
            Ok(_) => return Err(format!("a page of {origin}: was let in").into()),
        }
    }
    for (origin, token) in [(PORTAL, token), (&own, world.token(VNC).await?)] {
        let opened = Browser::open_from(world.web, &token, Some(origin)).await?;
        let mut browser = opened.map_err(|status| format!("a page of {origin} was answered with {status}"))?;
        desktop(&mut browser).await?;
        browser.close().await?;
    }
    let happened = "pages of others: 403, and no use is taken; the portal's and the gateway's own are let in";
    told((), happened, seen(&world.peers.own))
}

async fn two_uses(world: &World) -> Outcome<((), StepReport)> {
    let wanted = r#"{"guest":"web","protocol":"vnc","uses":2}"#;
    let token = world.token(wanted).await?;
    let (mut one, mut two) = (world.browser(&token).await?, world.browser(&token).await?);
    desktop(&mut one).await?;
    desktop(&mut two).await?;
    Browser::refused(world.web, &token, 403, "a third use of two").await?;
    one.close().await?;
    two.close().await?;
    told(
        (),
        "a token for two uses opens two consoles, and no third",
        seen(&world.peers.own),
    )
}

/// A token opens channels of its own SPICE session, and of no other one of the same guest.
async fn scope(world: &World) -> Outcome<((), StepReport)> {
    let ((own, _), (other, _)) = (ask(world, "vm1").await?, ask(world, "vm1").await?);
    let mut mains = [linked(&own, MAIN, 0).await?, linked(&other, MAIN, 0).await?];
    let mut ids = Vec::new();
    for main in &mut mains {
        ids.push(begin(main).await?.0);
    }
    let channel = linked(&own, INPUTS, ids[0]).await?;
    let before = world.peers.desktop.connections();
    match own.connect(INPUTS, ids[1]).await? {
        Attempt::Refused(refused) if refused.code == Some(LinkErrorCode::PERMISSION_DENIED) => {}
        Attempt::Refused(refused) => return Err(format!("refused with {refused}").into()),
        Attempt::Linked(_) => return Err("a token opens a channel of another session".into()),
    }
    let after = world.peers.desktop.connections();
    must(before == after, "refused, but the hypervisor was dialled")?;
    channel.close().await;
    let happened = "a token opens a channel of its own session, and none of another session of the same guest";
    told((), happened, format!("hypervisor: {after} connections, as before"))
}

async fn replaced(world: &World) -> Outcome<((), StepReport)> {
    let old = world.created(r#"{"guest":"web","protocol":"vnc","uses":2}"#).await?;
    let mut open = world.browser(&old.token).await?;
    desktop(&mut open).await?;
    let line = format!("POST /v1/tokens/{}/replace", old.fingerprint);
    let new = world.answered(&line, "", 201).await?.json()?;
    let new = new["token"].as_str().ok_or("no token in the answer")?;
    Browser::refused(world.web, &old.token, 403, "the old token").await?;
    press(&mut open).await?;
    let mut second = world.browser(new).await?;
    desktop(&mut second).await?;
    Browser::refused(world.web, new, 403, "a third use of two").await?;
    press(&mut open).await?;
    open.close().await?;
    second.close().await?;
    let happened = "while a console is open its token is replaced: it goes on, the old token opens nothing, the new one the use that is left";
    told((), happened, seen(&world.peers.own))
}

async fn revoked(world: &World) -> Outcome<((), StepReport)> {
    let created = world.created(r#"{"guest":"web","protocol":"vnc","uses":2}"#).await?;
    let mut open = world.browser(&created.token).await?;
    desktop(&mut open).await?;
    let line = format!("DELETE /v1/tokens/{}", created.fingerprint);
    world.answered(&line, "", 204).await?;
    open.closed_with(1008).await?;
    Browser::refused(world.web, &created.token, 403, "a revoked token").await?;
    world.answered(&line, "", 404).await?;
    let happened = "while a console is open its token is revoked: closed with 1008, and the use that was left is gone";
    told((), happened, seen(&world.peers.own))
}

/// A tunnel, or the status in its place.
async fn connect(world: &World, authority: &str, token: Option<&str>) -> Outcome<Result<TcpStream, u16>> {
    let mut stream = TcpStream::connect(world.web).await?;
    let credential = token.map(|token| format!("Proxy-Authorization: Bearer {token}\r\n"));
    let credential = credential.unwrap_or_default();
    let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credential}\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        must(head.len() < 4096, "a head without an end")?;
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head)?;
    Ok(match head.split(' ').nth(1).ok_or("no HTTP answer")? {
        "200" => Ok(stream),
        status => Err(status.parse()?),
    })
}

async fn elsewhere(world: &World) -> Outcome<(String, StepReport)> {
    let token = world.token(VNC).await?;
    let (own, other) = (world.peers.own.address.port(), world.peers.other.address.port());
    let unknown = Some("00000000-0000-4000-8000-000000000000");
    let before = (world.peers.own.connections(), world.peers.other.connections());
    for (authority, credential, status) in [
        (format!("{HOST}:{own}"), None, 407),
        (format!("{HOST}:{own}"), unknown, 403),
        (format!("{HOST}:{other}"), Some(token.as_str()), 403),
        (format!("{HOST}:22"), Some(&token), 403),
        (world.api.to_string(), Some(&token), 403),
        (format!("node2.demo:{own}"), Some(&token), 403),
        (format!("169.254.169.254:{own}"), Some(&token), 403),
        (format!("{token}:{other}"), None, 403),
    ] {
        match connect(world, &authority, credential).await? {
            Err(answered) if answered == status => {}
            Err(answered) => return Err(format!("{authority}: answered with {answered}, not {status}").into()),
            Ok(_) => return Err(format!("a tunnel to {authority} was opened").into()),
        }
    }
    let after = (world.peers.own.connections(), world.peers.other.connections());
    must(before == after, "a server was dialled")?;
    let happened = "CONNECT to another guest, port 22, the API, a name and an address that are none of its own: 403; without a token 407";
    told(token, happened, seen(&world.peers.other))
}

async fn tunnel(world: &World, token: String) -> Outcome<((), StepReport)> {
    let own = world.peers.own.address.port();
    let (named, host) = (world.token(VNC).await?, world.token(VNC).await?);
    for (authority, credential) in [
        (format!("{HOST}:{own}"), Some(&token)),
        (format!("{NODE}:{own}"), Some(&named)),
        (format!("{host}:{own}"), None),
    ] {
        let tunnel = connect(world, &authority, credential.map(String::as_str)).await?;
        let mut tunnel = tunnel.map_err(|status| format!("{authority}: answered with {status}"))?;
        let mut greeting = [0; VERSION.len()];
        tunnel.read_exact(&mut greeting).await?;
        must(greeting == *VERSION, "another server at the end of the tunnel")?;
    }
    let again = connect(world, &format!("{HOST}:{own}"), Some(&token)).await?;
    must(again.err() == Some(403), "a spent token opens a tunnel")?;
    let happened = "CONNECT to the token's console: by address, by the name of its host, and with the token as host";
    told((), happened, seen(&world.peers.own))
}

/// What passes through a tunnel is not looked at, so a grant that is narrower has none.
async fn narrow(world: &World) -> Outcome<((), StepReport)> {
    let wanted = r#"{"guest":"web","protocol":"vnc","policy":{"clipboard":"none"}}"#;
    let token = world.token(wanted).await?;
    let authority = format!("{HOST}:{}", world.peers.own.address.port());
    match connect(world, &authority, Some(&token)).await? {
        Err(403) => {}
        Err(status) => return Err(format!("answered with {status}").into()),
        Ok(_) => return Err("a tunnel was opened for a grant without clipboard".into()),
    }
    let mut browser = world.browser(&token).await?;
    desktop(&mut browser).await?;
    browser.close().await?;
    let happened = "a grant without clipboard: no tunnel, which would let everything pass, but a WebSocket";
    told((), happened, seen(&world.peers.own))
}

async fn resolver(world: &World) -> Outcome<((), StepReport)> {
    let [known, stranger, metadata] = KNOWN;
    let mut browser = world.browser(known).await?;
    desktop(&mut browser).await?;
    browser.close().await?;
    let before = world.peers.other.connections();
    for (token, place) in [
        (stranger, "another guest's console"),
        (metadata, "the metadata service"),
    ] {
        Browser::refused(world.web, token, 403, place).await?;
    }
    must(
        before == world.peers.other.connections(),
        "another guest's console was dialled",
    )?;
    let happened = "Nova's token opens the console that Nova names; answers with other places: 403";
    told((), happened, seen(&world.peers.other))
}
