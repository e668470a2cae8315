//! Uses, refusals, revocation and ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use console_token::spice::{SessionEvent, Settings};
use console_token::{Pepper, Refusal, Store as _, TokenSelector};
use tokio::time::{Instant, timeout};

use crate::site::{Site, soon};
use crate::{DENIED, DISPLAY, INPUTS, MAIN};

#[tokio::test(start_paused = true)]
async fn two_viewers_share_a_token_with_two_uses() {
    let site = Site::new();
    let token = site.token(2).await;
    let one = site.open(&token).await.unwrap();
    let mut other = site.open(&token).await.unwrap();
    assert_eq!((one.id, other.id), (101, 102));
    assert_eq!(site.sessions.count(), 2);
    assert_eq!(site.open(&token).await.err(), Some(DENIED));
    // The end of one is not that of the other.
    drop(one);
    soon("one session", || site.sessions.count() == 1).await;
    site.link(DISPLAY, 102, token.expose()).await.unwrap();
    assert_eq!(site.link(DISPLAY, 101, token.expose()).await.err(), Some(DENIED));
    assert!(timeout(Duration::from_secs(5), other.main.hear()).await.is_err());
    drop(other);
    soon("no session", || site.record(&token).sessions().count() == 0).await;
    assert_eq!(site.uses_left(&token), Some(0));
    assert_eq!(site.open(&token).await.err(), Some(DENIED));
}

#[tokio::test(start_paused = true)]
async fn what_no_hypervisor_can_have_accepted_costs_no_use() {
    let site = Site::new();
    let token = site.token(1).await;
    for broken in [&site.world.wrong, &site.world.unreachable, &site.world.closed] {
        broken.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            assert!(site.open(&token).await.is_err());
            // It can come again at once: the use is back before the viewer has its answer.
            assert_eq!(site.uses_left(&token), Some(1));
        }
        broken.store(false, Ordering::Relaxed);
    }
    assert_eq!(site.world.first.count(MAIN), 0);
    assert!(site.open(&token).await.is_ok());
    assert_eq!(site.uses_left(&token), Some(0));
}

/// One code, and the same time after the ticket.
#[tokio::test(start_paused = true)]
async fn refusals_are_alike() {
    let site = Site::new();
    let (open, spent, revoked, expired) = (
        site.token(1).await,
        site.token(1).await,
        site.token(1).await,
        site.token(1).await,
    );
    let viewer = site.open(&open).await.unwrap();
    drop(site.open(&spent).await.unwrap());
    soon("an end", || site.record(&spent).sessions().count() == 0).await;
    let hash = site.sessions.hash(&revoked);
    assert_eq!(site.store.revoke(TokenSelector::Token(&hash)).await.unwrap(), 1);
    let links = (site.world.first.count(MAIN), site.world.first.count(INPUTS));

    let refused = async |channel, id, token: &str, why: &str| {
        let began = Instant::now();
        assert_eq!(site.link(channel, id, token).await.err(), Some(DENIED), "{why}");
        assert_eq!(began.elapsed(), Duration::from_millis(50), "{why}");
        assert_eq!(site.denials(), [why]);
    };
    let token = |refusal: Refusal| format!("token: {refusal}");
    refused(MAIN, 0, open.expose(), &token(Refusal::Spent)).await;
    refused(MAIN, 0, spent.expose(), &token(Refusal::Spent)).await;
    refused(MAIN, 0, revoked.expose(), &token(Refusal::Revoked)).await;
    refused(MAIN, 0, "unknown", &token(Refusal::Unknown)).await;
    refused(MAIN, 0, "", &token(Refusal::Malformed)).await;
    refused(MAIN, 0, "no token", &token(Refusal::Malformed)).await;
    refused(INPUTS, viewer.id, "unknown", &token(Refusal::Unknown)).await;
    refused(INPUTS, viewer.id, expired.expose(), &token(Refusal::NotBound)).await;
    refused(INPUTS, 0, open.expose(), &token(Refusal::ZeroConnectionId)).await;
    refused(INPUTS, 7, open.expose(), &token(Refusal::NoSuchSession)).await;
    refused(INPUTS, 102, spent.expose(), &token(Refusal::SessionClosed)).await;
    refused(INPUTS, viewer.id, open.expose(), "a channel that is connected already").await;
    refused(MAIN, viewer.id, open.expose(), "no migration is waiting for this").await;
    site.ahead.fetch_add(600, Ordering::Relaxed);
    refused(MAIN, 0, expired.expose(), &token(Refusal::Expired)).await;
    assert_eq!((site.world.first.count(MAIN), site.world.first.count(INPUTS)), links);
    // The session that is open outlives its token.
    site.link(DISPLAY, viewer.id, open.expose()).await.unwrap();
}

/// At once when it is asked for, and by itself within the interval.
#[tokio::test(start_paused = true)]
async fn a_revocation_ends_the_session() {
    for at_once in [true, false] {
        let site = Site::with(Settings::default().with_attend_every(Duration::from_secs(7)));
        let token = site.token(2).await;
        let (mut one, mut other) = (site.open(&token).await.unwrap(), site.open(&token).await.unwrap());
        let hash = site.sessions.hash(&token);
        site.store.revoke(TokenSelector::Token(&hash)).await.unwrap();
        let began = Instant::now();
        if at_once {
            site.sessions.attend().await;
        }
        for viewer in [&mut one, &mut other] {
            assert!(viewer.main.has_ended().await && viewer.inputs.has_ended().await);
        }
        let within = if at_once { 0 } else { 7 };
        assert!(
            began.elapsed() < Duration::from_secs(within + 2),
            "{:?}",
            began.elapsed()
        );
        soon("no session", || site.record(&token).sessions().count() == 0).await;
        assert_eq!(site.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
        let log = site.log.lock().unwrap();
        let cut =
            |event: &&SessionEvent| matches!(event, SessionEvent::Cut { refusal, .. } if *refusal == Refusal::Revoked);
        assert_eq!(log.iter().filter(cut).count(), if at_once { 0 } else { 2 });
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_past_its_time_is_ended() {
    let site = Site::new();
    let token = site
        .sessions
        .issue(&site.grant(1).with_session_limit(100))
        .await
        .unwrap();
    let mut viewer = site.open(&token).await.unwrap();
    site.sessions.attend().await;
    assert_eq!(site.sessions.count(), 1);
    site.ahead.fetch_add(100, Ordering::Relaxed);
    assert!(timeout(Duration::from_secs(20), viewer.main.has_ended()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_token_is_found_under_a_pepper_that_was_replaced() {
    let site = Site::new();
    let token = site.token(1).await;
    let old = site.sessions.hash(&token);
    let pepper = || Pepper::new(&[2; 32]).unwrap();
    site.sessions.with_peppers(|peppers| peppers.rotate(pepper()));
    assert_ne!(site.sessions.hash(&token), old);
    let viewer = site.open(&token).await.unwrap();
    site.link(DISPLAY, viewer.id, token.expose()).await.unwrap();
    let fresh = site.token(1).await;
    drop(site.open(&fresh).await.unwrap());
    site.sessions.with_peppers(|peppers| peppers.retire(0));
    assert_eq!(site.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
    assert_eq!(site.denials(), ["token: unknown token"]);
}

#[tokio::test(start_paused = true)]
async fn stopped_when_the_store_knows() {
    let site = Site::new();
    let token = site.token(3).await;
    let (mut one, _other) = (site.open(&token).await.unwrap(), site.open(&token).await.unwrap());
    timeout(Duration::from_secs(10), site.sessions.stop()).await.unwrap();
    assert_eq!(site.record(&token).sessions().count(), 0);
    assert_eq!(site.uses_left(&token), Some(1));
    assert!(one.main.has_ended().await);
}

/// Neither the token nor the passwords of hypervisors stand in what is logged.
#[tokio::test(start_paused = true)]
async fn what_is_logged_holds_no_secret() {
    let site = Site::new();
    let token = site.token(1).await;
    let viewer = site.open(&token).await.unwrap();
    let _ = site.open(&token).await;
    drop(viewer);
    soon("no session", || site.sessions.count() == 0).await;
    let mut shown = format!("{:?} {:?}", site.sessions, site.log.lock().unwrap());
    shown.push_str(&site.world.events.lock().unwrap().join(" "));
    assert!(shown.contains("Closed") && shown.contains("Entered") && shown.contains("Bound(101)"));
    assert!(!shown.contains(token.expose()) && !shown.contains("\"one\""), "{shown}");
}
