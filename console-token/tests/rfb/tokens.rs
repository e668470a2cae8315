//! Uses, refusals, revocation, moves and ends.

use std::time::Duration;

use console_token::connections::{ConnectionEvent, Denial, Settings};
use console_token::{ConsoleType, Grant, Refusal, Scope, Store, UnixSeconds};
use rfb_proto::session::relay::Move;
use tokio::time::{Instant, sleep, timeout};

use crate::peers::{Manners, view, view_vnc};
use crate::site::{FIRST, SECOND, Site, soon, target};

#[tokio::test(start_paused = true)]
async fn two_uses_are_two_viewers_at_once() {
    let site = Site::new();
    let token = site.token(2).await;
    let (mut one, mut other) = (site.open(&token).await.unwrap(), site.open(&token).await.unwrap());
    assert_eq!((one.desktop, other.desktop), (b'1', b'1'));
    assert_eq!((site.uses_left(&token), site.sessions(&token)), (Some(0), 2));
    assert!(site.open(&token).await.is_none());
    assert!(one.types().await && other.types().await);
    drop((one, other));
    soon("no session", || site.sessions(&token) == 0).await;
    assert!(site.open(&token).await.is_none(), "a replay");
    assert_eq!(site.denials(), ["token: all uses are spent"; 2]);
    assert_eq!(site.uses_left(&token), Some(0));
}

/// The token is the password or the user, and the other of the two is not looked at.
#[tokio::test(start_paused = true)]
async fn the_token_is_user_or_password() {
    let site = Site::new();
    let token = site.token(5).await;
    let text = token.expose();
    for (user, password) in [
        (text, ""),
        ("", text),
        (text, "a b"),
        ("\u{e9}", text),
        (text, "wrong"),
        (text, text),
    ] {
        let left = site.uses_left(&token).unwrap();
        let viewer = site.open_with(user, password).await;
        assert_eq!(viewer.is_some(), left != 0, "{user} {password}");
        assert_eq!(
            site.uses_left(&token).unwrap(),
            left.saturating_sub(1),
            "one use at most"
        );
    }
    for (user, password) in [("", ""), ("admin", "secret"), ("a b", "\u{e9}")] {
        assert!(site.open_with(user, password).await.is_none());
    }
    let denials = site.denials();
    assert_eq!(
        denials[1..],
        [
            "token: not the form of a token",
            "token: unknown token",
            "token: not the form of a token"
        ]
    );
}

/// Shown in the request of a WebSocket: the viewer is not asked again.
#[tokio::test(start_paused = true)]
async fn a_token_that_was_shown_before() {
    let site = Site::new();
    let token = site.token(1).await;
    assert_eq!(
        site.connections.check(&token).await.unwrap().console,
        ConsoleType::NoVnc
    );
    let entered = site.connections.enter(&token).await.unwrap();
    assert_eq!(entered.fingerprint(), site.connections.hash(&token).fingerprint());
    assert!(matches!(
        site.connections.check(&token).await,
        Err(Denial::Token(Refusal::Spent))
    ));
    let viewer = view(site.connect(Some(entered)).stream, None).await.unwrap();
    assert!(matches!(
        site.connections.enter(&token).await,
        Err(Denial::Token(Refusal::Spent))
    ));
    drop(viewer);
    soon("no session", || site.sessions(&token) == 0).await;
    assert_eq!(site.uses_left(&token), Some(0));
}

/// A token that is to be exchanged opens nothing, and is not said to.
#[tokio::test(start_paused = true)]
async fn a_token_for_an_exchange() {
    let site = Site::new();
    let grant = site.grant(1).with_scope(Scope::Exchange);
    let token = site.connections.issue(&grant).await.unwrap();
    assert!(matches!(
        site.connections.check(&token).await,
        Err(Denial::Token(Refusal::WrongScope))
    ));
    assert!(matches!(
        site.connections.enter(&token).await,
        Err(Denial::Token(Refusal::WrongScope))
    ));
}

/// The hypervisor's challenge goes to the tenant, whose wrong password costs no use.
#[tokio::test(start_paused = true)]
async fn a_password_that_is_passed_through() {
    let site = Site::new();
    let token = site.token(1).await;
    for (password, good) in [(&b"guess"[..], false), (b"hv-pass", true)] {
        let entered = site.connections.enter(&token).await.unwrap();
        let viewer = view_vnc(site.pass_through(entered).stream, password).await;
        assert_eq!(viewer.is_some(), good);
        if !good {
            soon("the use", || site.uses_left(&token) == Some(1)).await;
        }
    }
    soon("no session", || site.sessions(&token) == 0).await;
    assert_eq!(site.uses_left(&token), Some(0));
}

#[tokio::test(start_paused = true)]
async fn what_costs_a_use() {
    let site = Site::new();
    for (manners, password, left) in [
        (Manners::Mute, &b"hv-pass"[..], 1),
        (Manners::Foreign, b"hv-pass", 1),
        (Manners::Good, b"wrong", 1),
        (Manners::HangsUp, b"hv-pass", 1),
        (Manners::Silent, b"hv-pass", 0),
        (Manners::Good, b"hv-pass", 0),
    ] {
        let token = site.token(1).await;
        *site.world.manners.lock().unwrap() = manners;
        *site.world.password.lock().unwrap() = password.to_vec();
        let is_good = manners == Manners::Good && left == 0;
        assert_eq!(site.open(&token).await.is_some(), is_good, "{manners:?}");
        soon("no session", || site.sessions(&token) == 0).await;
        assert_eq!(
            site.uses_left(&token),
            Some(left),
            "{manners:?}: {:?}",
            site.world.ends.lock().unwrap()
        );
        *site.world.manners.lock().unwrap() = Manners::Good;
        *site.world.password.lock().unwrap() = b"hv-pass".to_vec();
        assert_eq!(site.open(&token).await.is_some(), left == 1, "{manners:?}");
    }
    // Not reached, not admitted, a console of another kind.
    let token = site.token(1).await;
    *site.world.unreachable.lock().unwrap() = true;
    assert!(site.open(&token).await.is_none());
    *site.world.unreachable.lock().unwrap() = false;
    *site.world.closed.lock().unwrap() = true;
    assert!(site.open(&token).await.is_none());
    *site.world.closed.lock().unwrap() = false;
    soon("the use", || site.uses_left(&token) == Some(1)).await;
    for console in [ConsoleType::Serial, ConsoleType::WebMks, ConsoleType::SpiceDirect] {
        let grant = Grant::new(target(FIRST), console, UnixSeconds(1000), 600);
        let other = site.connections.issue(&grant).await.unwrap();
        assert!(site.open(&other).await.is_none());
        soon("the use", || site.uses_left(&other) == Some(1)).await;
    }
    assert!(site.open(&token).await.is_some());
}

/// A viewer that goes while the hypervisor is dialled has cost nothing; so has an opening that is dropped.
#[tokio::test(start_paused = true)]
async fn a_use_that_is_dropped_is_given_back() {
    let site = Site::new();
    let token = site.token(1).await;
    for _ in 0..3 {
        let entered = site.connections.enter(&token).await.unwrap();
        assert_eq!(site.uses_left(&token), Some(0));
        drop(entered);
        soon("the use", || site.uses_left(&token) == Some(1)).await;
    }
    let entered = site.connections.enter(&token).await.unwrap();
    entered.reached().await.unwrap();
    drop(entered);
    soon("no session", || site.sessions(&token) == 0).await;
    assert_eq!(site.uses_left(&token), Some(0));
    let log = site.log.lock().unwrap();
    let spent = |event: &ConnectionEvent| matches!(event, ConnectionEvent::Closed { spent: true, .. });
    assert_eq!((log.len(), log.iter().filter(|event| spent(event)).count()), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn a_revocation_ends_what_is_open() {
    for at_once in [false, true] {
        let every = Duration::from_secs(3);
        let site = Site::with(Settings::default().with_attend_every(every));
        let (token, other) = (site.token(2).await, site.token(1).await);
        let mut one = site.open(&token).await.unwrap();
        let mut two = site.open(&token).await.unwrap();
        let mut beside = site.open(&other).await.unwrap();
        site.revoke(&token).await;
        let began = Instant::now();
        if at_once {
            site.connections.attend().await;
        }
        one.has_ended().await;
        two.has_ended().await;
        let within = if at_once { Duration::ZERO } else { every };
        assert!(
            began.elapsed() <= within + Duration::from_millis(100),
            "{:?}",
            began.elapsed()
        );
        soon("no session", || site.sessions(&token) == 0).await;
        assert!(site.open(&token).await.is_none());
        assert!(beside.types().await);
        assert!(timeout(Duration::from_secs(60), beside.has_ended()).await.is_err());
        let ends = site.world.ends.lock().unwrap();
        assert_eq!(ends.iter().filter(|end| *end == "cut: revoked").count(), 2, "{ends:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_past_its_time_is_ended() {
    let site = Site::new();
    let grant = site.grant(1).with_session_limit(100);
    let token = site.connections.issue(&grant).await.unwrap();
    let mut viewer = site.open(&token).await.unwrap();
    site.pass(99);
    assert!(timeout(Duration::from_secs(20), viewer.has_ended()).await.is_err());
    site.pass(1);
    assert!(timeout(Duration::from_secs(5), viewer.has_ended()).await.is_ok());
    soon("no session", || site.sessions(&token) == 0).await;
}

/// A guest that moves: the viewer stays, and is connected to the place that the token leads to now.
#[tokio::test(start_paused = true)]
async fn a_viewer_follows_its_guest() {
    let site = Site::new();
    let token = site.token(1).await;
    let coming = site.connect(None);
    let mover = coming.mover.clone();
    let mut viewer = view(coming.stream, Some(("", token.expose()))).await.unwrap();
    site.retarget(&token, SECOND).await;
    mover.moved(Move::Follow);
    soon("the second hypervisor", || {
        site.world.accepted.load(std::sync::atomic::Ordering::Relaxed) == 1
    })
    .await;
    assert!(viewer.types().await);
    assert_eq!((site.uses_left(&token), site.sessions(&token)), (Some(0), 1));
    // One that was revoked does not follow.
    site.revoke(&token).await;
    mover.moved(Move::Follow);
    viewer.has_ended().await;
    soon("no session", || site.sessions(&token) == 0).await;
}

/// A connection goes on under the token that has replaced its own, and ends with it.
#[tokio::test(start_paused = true)]
async fn a_replaced_token() {
    let site = Site::new();
    let (token, new) = (site.token(2).await, console_token::Secret::base64url(&[9; 32]));
    let entered = site.connections.enter(&token).await.unwrap();
    entered.reached().await.unwrap();
    let mut viewer = view(site.connect(Some(entered)).stream, None).await.unwrap();
    let (old_hash, new_hash) = (site.connections.hash(&token), site.connections.hash(&new));
    Store::replace(&*site.store, &old_hash, &new_hash, UnixSeconds(1000))
        .await
        .unwrap();
    assert!(site.open(&token).await.is_none());
    assert!(viewer.types().await);
    assert!(timeout(Duration::from_secs(60), viewer.has_ended()).await.is_err());
    let another = site.open(&new).await.unwrap();
    assert!(site.open(&new).await.is_none());
    drop(another);
    soon("one session", || site.sessions(&new) == 1).await;
    site.revoke(&new).await;
    assert!(timeout(Duration::from_secs(5), viewer.has_ended()).await.is_ok());
    soon("no session", || site.sessions(&new) == 0).await;
    let log = site.log.lock().unwrap();
    let cut = log.iter().find_map(|event| match event {
        ConnectionEvent::Cut { token, .. } => Some(*token),
        _ => None,
    });
    assert_eq!(cut, Some(new_hash.fingerprint()));
}

/// Refusals take the same time, whatever the reason.
#[tokio::test(start_paused = true)]
async fn refusals_take_the_same_time() {
    let site = Site::new();
    let (spent, revoked) = (site.token(1).await, site.token(1).await);
    let _open = site.open(&spent).await.unwrap();
    site.revoke(&revoked).await;
    for text in [spent.expose(), revoked.expose(), "unknown", ""] {
        let began = Instant::now();
        assert!(site.open_with("", text).await.is_none());
        assert_eq!(began.elapsed().as_millis(), 50, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_when_the_store_knows() {
    let site = Site::new();
    let token = site.token(3).await;
    let (mut one, _other) = (site.open(&token).await.unwrap(), site.open(&token).await.unwrap());
    timeout(Duration::from_secs(10), site.connections.stop()).await.unwrap();
    assert_eq!((site.sessions(&token), site.uses_left(&token)), (0, Some(1)));
    one.has_ended().await;
    assert_eq!(site.connections.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_logged_holds_no_secret() {
    let site = Site::new();
    let token = site.token(1).await;
    let viewer = site.open(&token).await.unwrap();
    let _ = site.open(&token).await;
    drop(viewer);
    soon("no connection", || site.connections.count() == 0).await;
    sleep(Duration::from_secs(2)).await;
    let entered = site.connections.enter(&site.token(1).await).await.unwrap();
    let mut shown = format!("{:?} {entered:?} {:?}", site.connections, site.log.lock().unwrap());
    shown.push_str(&site.world.events.lock().unwrap().join(" "));
    assert!(
        shown.contains("Closed") && shown.contains("Entered") && shown.contains("Reached"),
        "{shown}"
    );
    assert!(!shown.contains(token.expose()) && !shown.contains("hv-pass"), "{shown}");
}
