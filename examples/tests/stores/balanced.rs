//! What each engine has to hold: one story each, told at the same time, since most of both is waiting for a lease.

use std::thread::sleep;
use std::time::{Duration, Instant};

use spice_proto::ids::LinkErrorCode;

use crate::engines::Kind;
use crate::http::{create, follow};
use crate::program::PATIENCE;
use crate::site::{MAIN, Site, WINDOW};
use crate::spice::Link;

/// What is ended anywhere is over everywhere within this.
const SOON: Duration = Duration::from_secs(5);
/// Viewers that come with one token at once.
const VIEWERS: usize = 12;

fn told(what: &str, kind: Kind) {
    println!("STORES | {kind:?} | {what}");
}

/// Tokens are spent once among all gateways, whichever a viewer comes to, and a `.vv` file is handed out once.
fn tokens_are_spent_once(site: &Site, kind: Kind) {
    for _ in 0..3 {
        let token = site.token();
        let mut viewers = site.race(&token, VIEWERS);
        assert_eq!(viewers.len(), 1, "{kind:?}: {} viewers are in", viewers.len());
        let session = site.begun(&token, viewers.remove(0));
        for _ in 0..3 {
            let again = site.open(&token, MAIN, 0).map(drop);
            assert_eq!(again, Err(Link::Refused(LinkErrorCode::PERMISSION_DENIED)));
        }
        session.hang_up();
    }
    let created = create(site.gateways[1].1.api(), r#"{"guest":"vm1","protocol":"spice"}"#);
    let files = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| follow(site.web, &created).status);
        let all: Vec<_> = (0..VIEWERS).map(|_| ask()).collect();
        let statuses = all.into_iter().map(|status| status.join().expect("an answer"));
        statuses.filter(|status| *status == 200).count()
    });
    assert_eq!(files, 1, "{kind:?}");
    told(
        "one of twelve viewers with one token, three times, and one file of twelve",
        kind,
    );
}

/// The channels of a session are at all gateways, and each shows the viewer's own address.
fn channels_are_dealt_out(site: &Site, kind: Kind) {
    let mut session = site.owned_session();
    session.goes_on();
    let began = Instant::now();
    // The list is what each gateway has written last.
    let own = loop {
        let shown = site.sessions();
        let own = shown.iter().find(|shown| shown["channels"] == 4);
        if let Some(own) = own.filter(|own| own["gateway"] == session.owner.as_str()) {
            break own.clone();
        }
        assert!(began.elapsed() < PATIENCE, "{shown:?}");
        sleep(Duration::from_millis(100));
    };
    assert!(
        own["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")),
        "{own}"
    );
    let port = own["peer"]
        .as_str()
        .and_then(|peer| peer.rsplit_once(':'))
        .expect("a peer")
        .1;
    let viewer = session.channels[0].0.local_port();
    assert_eq!(port, viewer.to_string(), "the balancer's own port is shown");
    session.hang_up();
    told(
        "a session with channels at all three, and its viewer's own address",
        kind,
    );
}

/// A gateway is killed in the middle: the sessions that it has end, no other, and their viewers come again by another gateway.
fn a_gateway_is_killed(site: &mut Site, kind: Kind) {
    let mut sessions: Vec<_> = (0..6).map(|_| site.owned_session()).collect();
    let killed = sessions[0].owner.clone();
    site.kill(&killed);
    let (mut lost, mut left): (Vec<_>, Vec<_>) = sessions.drain(..).partition(|session| session.owner == killed);
    assert!(
        !lost.is_empty() && !left.is_empty(),
        "{} and {}",
        lost.len(),
        left.len()
    );
    for session in &mut lost {
        session.ends(SOON);
    }
    // What the others had handed on by it is gone, and comes again elsewhere; their main channels and sessions are there.
    for session in &mut left {
        session.main_goes_on();
    }
    let (mut slowest, number) = (Duration::ZERO, lost.len());
    for session in lost {
        let (mut session, took) = site.comes_again(&session.token, WINDOW);
        slowest = slowest.max(took);
        session.goes_on();
        session.hang_up();
    }
    for session in &mut left {
        session.main_goes_on();
    }
    told(
        &format!(
            "{number} sessions lost with their gateway, {} went on; back within {slowest:.1?}",
            left.len()
        ),
        kind,
    );
}

/// Each answer of the engine takes a while: open consoles do not notice, viewers get in, and tokens are spent once.
fn the_engine_is_slow(site: &Site, kind: Kind) {
    let mut open = site.session(&site.token());
    let (one, other) = (site.token(), site.token());
    site.line.delays(Duration::from_millis(50));
    let began = Instant::now();
    open.goes_on();
    let at_once = began.elapsed();
    assert!(at_once < Duration::from_secs(1), "{kind:?}: {at_once:?}");
    let mut session = site.session(&one);
    let took = began.elapsed();
    session.goes_on();
    let viewers = site.race(&other, VIEWERS);
    assert!(viewers.len() <= 1, "{kind:?}: {} viewers are in", viewers.len());
    for _ in 0..10 {
        open.goes_on();
        sleep(Duration::from_millis(300));
    }
    site.line.delays(Duration::ZERO);
    open.goes_on();
    drop(viewers);
    open.hang_up();
    session.hang_up();
    told(
        &format!("100 ms behind each question: a new session with four channels in {took:.1?}"),
        kind,
    );
}

/// The engine is gone for this long, and comes back with what it has kept.
pub(crate) fn the_engine_is_down(site: &mut Site, kind: Kind, time: Duration) {
    let (mut open, spent, kept) = (site.session(&site.token()), site.token(), site.token());
    let mut used = site.session(&spent);
    let began = Instant::now();
    site.engine.kill();
    let mut refused = 0;
    while began.elapsed() < time {
        open.goes_on();
        used.goes_on();
        for token in [&kept, &spent] {
            let asked = Instant::now();
            let came = site.open(token, MAIN, 0).map(drop);
            assert!(
                came.is_err(),
                "{kind:?}: a viewer is in without an answer of the engine"
            );
            assert!(asked.elapsed() < Duration::from_secs(11), "{:?}", asked.elapsed());
            refused += 1;
        }
        sleep(Duration::from_millis(200));
    }
    site.engine.run();
    // The viewers that are in stay, and no other viewer gets in with their tokens, not even before the gateways have told the
    // engine.
    for _ in 0..20 {
        assert!(
            site.open(&spent, MAIN, 0).is_err(),
            "{kind:?}: a spent token opens a second session"
        );
        open.goes_on();
        used.goes_on();
        sleep(Duration::from_millis(200));
    }
    let (mut session, took) = site.comes_again(&kept, Duration::from_secs(20));
    let again = site.race(&kept, VIEWERS);
    assert!(again.is_empty(), "{kind:?}: {} more are in", again.len());
    for session in [&mut open, &mut used, &mut session] {
        session.goes_on();
    }
    for session in [open, used, session] {
        session.hang_up();
    }
    told(
        &format!(
            "down for {time:.0?}: consoles went on, {refused} viewers were refused, and one of them was in {took:.1?} later"
        ),
        kind,
    );
}

/// All of it.
pub(crate) fn story(kind: Kind) {
    let mut site = Site::start(kind);
    tokens_are_spent_once(&site, kind);
    channels_are_dealt_out(&site, kind);
    the_engine_is_slow(&site, kind);
    the_engine_is_down(&mut site, kind, Duration::from_secs(4));
    a_gateway_is_killed(&mut site, kind);
}
