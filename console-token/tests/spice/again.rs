//! Viewers that come again to a session that broke off, and tokens that are replaced meanwhile.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use console_token::spice::{SessionEvent, Settings};
use console_token::{Secret, Store, TokenSelector, Transition, UnixSeconds};
use tokio::time::{sleep, timeout};

use crate::failing::Mode;
use crate::site::{Site, soon};
use crate::{DENIED, DISPLAY, MAIN};

fn reconnecting(seconds: u64) -> Settings {
    Settings::default().with_reconnect(Duration::from_secs(seconds))
}

fn suspended(site: &Site) -> usize {
    let log = site.log.lock().unwrap();
    let is_suspended = |event: &&SessionEvent| matches!(event, SessionEvent::Suspended { .. });
    log.iter().filter(is_suspended).count()
}

async fn broken_off(site: &Site, uses: u32) -> Secret {
    let token = site.token(uses).await;
    drop(site.open(&token).await.unwrap());
    soon("suspended", || suspended(site) == 1).await;
    token
}

#[tokio::test(start_paused = true)]
async fn within_the_time_and_after() {
    for (seconds, again) in [(0, true), (29, true), (30, false)] {
        let site = Site::with(reconnecting(30));
        let token = broken_off(&site, 1).await;
        site.ahead.fetch_add(seconds, Ordering::Relaxed);
        let viewer = site.open(&token).await;
        assert_eq!(viewer.is_ok(), again, "{seconds}");
        assert_eq!(site.uses_left(&token), Some(0));
        if let Ok(viewer) = viewer {
            // A session of its own for the hypervisor, with further channels.
            assert_eq!(viewer.id, 102);
            site.link(DISPLAY, viewer.id, token.expose()).await.unwrap();
            assert_eq!(site.open(&token).await.err(), Some(DENIED), "a second viewer");
            assert_eq!(site.record(&token).sessions().count(), 1);
        }
    }
}

/// Past the token's expiry too, at another gateway too, and a hypervisor that refuses meanwhile takes nothing.
#[tokio::test(start_paused = true)]
async fn again_and_again() {
    let site = Site::with(reconnecting(600));
    let token = broken_off(&site, 1).await;
    site.ahead.fetch_add(599, Ordering::Relaxed);
    site.world.wrong.store(true, Ordering::Relaxed);
    assert!(site.open(&token).await.is_err());
    sleep(Duration::from_secs(3)).await;
    site.world.wrong.store(false, Ordering::Relaxed);
    let other = site.another(reconnecting(600));
    let (a, b) = tokio::join!(other.open(&token), site.open(&token));
    assert_eq!(usize::from(a.is_ok()) + usize::from(b.is_ok()), 1);
    drop((a, b));
    sleep(Duration::from_secs(3)).await;
    site.ahead.fetch_add(599, Ordering::Relaxed);
    let viewer = site.open(&token).await.unwrap();
    drop(viewer);
    sleep(Duration::from_secs(3)).await;
    site.ahead.fetch_add(600, Ordering::Relaxed);
    assert_eq!(site.open(&token).await.err(), Some(DENIED));
    let now = UnixSeconds(site.ahead.load(Ordering::Relaxed));
    assert_eq!(Store::sweep(&*site.store, now, NonZeroU32::MAX).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_ended_or_revoked_is_not_resumed() {
    let site = Site::with(reconnecting(30));
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    let key = site.key();
    assert!(site.sessions.end(key) && !site.sessions.end(key));
    assert!(viewer.main.has_ended().await);
    soon("no session", || site.record(&token).sessions().count() == 0).await;
    assert_eq!(site.open(&token).await.err(), Some(DENIED));

    let token = broken_off(&site, 1).await;
    let hash = site.sessions.hash(&token);
    assert_eq!(
        Store::revoke(&*site.store, TokenSelector::Token(&hash)).await.unwrap(),
        1
    );
    assert_eq!(site.open(&token).await.err(), Some(DENIED));
}

/// The session goes on under the new token; its viewer, which knows the old one alone, opens further channels of it.
#[tokio::test(start_paused = true)]
async fn a_replaced_token() {
    for attended in [false, true] {
        let site = Site::with(reconnecting(30));
        let (token, new) = (site.token(2).await, Secret::base64url(&[9; 32]));
        let mut viewer = site.open(&token).await.unwrap();
        let (old_hash, new_hash) = (site.sessions.hash(&token), site.sessions.hash(&new));
        Store::replace(&*site.store, &old_hash, &new_hash, UnixSeconds(1000))
            .await
            .unwrap();
        if attended {
            site.sessions.attend().await;
        }
        // In any order, and with either token.
        let shown = if attended { [&token, &new] } else { [&new, &token] };
        for shown in shown {
            let display = site.link(DISPLAY, viewer.id, shown.expose()).await;
            assert!(display.is_ok(), "{:?}", site.denials());
            drop(display);
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(site.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
        assert!(timeout(Duration::from_secs(60), viewer.main.hear()).await.is_err());
        drop(viewer);
        soon("suspended", || suspended(&site) == 1).await;
        let mut viewer = site.open(&token).await.unwrap();
        // The other use.
        let _other = site.open(&new).await.unwrap();
        assert_eq!(site.open(&new).await.err(), Some(DENIED));
        assert_eq!(site.uses_left(&new), Some(0));
        assert_eq!(
            Store::revoke(&*site.store, TokenSelector::Token(&new_hash))
                .await
                .unwrap(),
            1
        );
        assert!(timeout(Duration::from_secs(5), viewer.main.has_ended()).await.is_ok());
        soon("no session", || site.record(&new).sessions().count() == 0).await;
    }
}

/// What a gateway held that stops without a word is free after 15 seconds.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_killed() {
    let site = Site::with(reconnecting(30));
    let token = site.token(1).await;
    let viewer = site.open(&token).await.unwrap();
    site.kill();
    let other = site.another(reconnecting(30));
    // It has seen that the store answers.
    sleep(Duration::from_secs(1)).await;
    for (seconds, again) in [(14, false), (1, true)] {
        site.ahead.fetch_add(seconds, Ordering::Relaxed);
        assert_eq!(other.open(&token).await.is_ok(), again, "{seconds}");
    }
    drop(viewer);
}

/// The same in its first moments, before it has heard from the store: of a viewer that comes first, or again.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_killed_in_its_first_moments() {
    for resumed in [false, true] {
        let site = Site::with(reconnecting(30));
        let token = if resumed {
            broken_off(&site, 1).await
        } else {
            site.token(1).await
        };
        site.store.set(Mode::AppliesAndHangs, |transition| {
            matches!(transition, Transition::Claim(_) | Transition::Resume { .. })
        });
        let asked = site.store.asked.lock().unwrap().len();
        let (stream, _task) = site.connect();
        let text = token.expose().to_owned();
        let viewer = tokio::spawn(async move { crate::line::link(stream, MAIN, 0, text.as_bytes()).await.is_ok() });
        soon("it is taken", || asked < site.store.asked.lock().unwrap().len()).await;
        site.kill();
        site.store.works();
        let other = site.another(reconnecting(30));
        sleep(Duration::from_secs(1)).await;
        for (seconds, again) in [(14, false), (1, true)] {
            site.ahead.fetch_add(seconds, Ordering::Relaxed);
            assert_eq!(other.open(&token).await.is_ok(), again, "{resumed} {seconds}");
        }
        assert_eq!(site.record(&token).sessions().count(), 1);
        viewer.abort();
    }
}

/// A store that was away for longer than a session is held ends nothing, and further channels come at once.
#[tokio::test(start_paused = true)]
async fn a_store_that_was_away_for_long() {
    let site = Site::with(reconnecting(30));
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    site.store.set(Mode::Down, |_| true);
    sleep(Duration::from_secs(100)).await;
    site.ahead.fetch_add(100, Ordering::Relaxed);
    site.store.works();
    site.link(DISPLAY, viewer.id, token.expose()).await.unwrap();
    assert!(timeout(Duration::from_secs(60), viewer.main.hear()).await.is_err());
    assert_eq!(site.record(&token).sessions().count(), 1);
}

/// Behind an outage that was longer than a session is held, a spent token does not take it over, also at a gateway that asked
/// for nothing meanwhile.
#[tokio::test(start_paused = true)]
async fn a_spent_token_behind_an_outage() {
    for mode in [Mode::Down, Mode::Hangs] {
        let site = Site::with(reconnecting(600));
        let (token, lost) = (site.token(1).await, broken_off(&site, 1).await);
        let _viewer = site.open(&token).await.unwrap();
        let other = site.another(reconnecting(600));
        let second = async || {
            site.ahead.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
        };
        second().await;
        site.store.goes_away(mode);
        for _ in 0..100 {
            second().await;
        }
        site.store.works();
        assert!(other.open(&lost).await.is_ok(), "{mode:?}");
        for _ in 0..40 {
            assert_eq!(other.open(&token).await.err(), Some(DENIED), "{mode:?}");
            second().await;
        }
        assert_eq!(site.record(&token).sessions().count(), 1);
        site.kill();
        for _ in 0..15 {
            second().await;
        }
        assert!(other.open(&token).await.is_ok(), "{mode:?}");
    }
}

/// More sessions than a slow store can be asked about one after the other within the time for which they are held.
#[tokio::test(start_paused = true)]
async fn many_sessions_and_a_slow_store() {
    let site = Site::with(reconnecting(600));
    let mut open = Vec::new();
    for _ in 0..40 {
        let token = site.token(1).await;
        open.push((site.open(&token).await.unwrap(), token));
    }
    let other = site.another(reconnecting(600));
    site.store.takes(Duration::from_millis(800));
    for (_viewer, token) in &open {
        site.ahead.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(other.open(token).await.err(), Some(DENIED));
    }
    assert!(open.iter().all(|(_, token)| site.record(token).sessions().count() == 1));
}

/// A gateway that learns late what became of its claim leaves the session alone that its viewer has taken up elsewhere.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_settled_late() {
    let site = Site::with(reconnecting(600));
    let token = site.token(1).await;
    site.store.set(Mode::AppliesAndHangs, |transition| {
        matches!(transition, Transition::Claim(_))
    });
    assert_eq!(site.open(&token).await.err(), Some(DENIED));
    let other = site.another(reconnecting(600));
    let second = async || {
        site.ahead.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
    };
    for _ in 0..20 {
        second().await;
    }
    let mut viewer = other.open(&token).await.unwrap();
    site.store.works();
    for _ in 0..20 {
        second().await;
    }
    assert!(
        timeout(Duration::from_secs(1), viewer.main.hear()).await.is_err(),
        "it goes on"
    );
    assert_eq!(
        (site.uses_left(&token), site.record(&token).sessions().count()),
        (Some(0), 1)
    );
}

/// A gateway says again that a session broke off, since it heard no answer: the session that its viewer has taken up elsewhere
/// meanwhile stays that viewer's.
#[tokio::test(start_paused = true)]
async fn an_end_that_is_told_twice() {
    for mode in [Mode::Deaf, Mode::AppliesAndHangs] {
        let site = Site::with(reconnecting(600));
        let token = site.token(1).await;
        let viewer = site.open(&token).await.unwrap();
        site.store
            .set(mode, |transition| matches!(transition, Transition::Suspend { .. }));
        drop(viewer);
        sleep(Duration::from_secs(2)).await;
        let other = site.another(reconnecting(600));
        let viewer = other.open(&token).await.unwrap();
        site.store.works();
        for _ in 0..5 {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(site.open(&token).await.err(), Some(DENIED), "{mode:?}: a rival is in");
        }
        drop(viewer);
        sleep(Duration::from_secs(2)).await;
        assert!(site.open(&token).await.is_ok(), "{mode:?}");
    }
}

/// A gateway whose session was taken up elsewhere, since it could not hold it, ends its own, and not the one that is there now.
#[tokio::test(start_paused = true)]
async fn a_session_that_was_lost_to_another_gateway() {
    let site = Site::with(reconnecting(600));
    let token = site.token(1).await;
    let mut lost = site.open(&token).await.unwrap();
    let other = site.another(reconnecting(600));
    site.store.set(Mode::Down, |transition| {
        matches!(transition, Transition::Suspend { .. })
    });
    for _ in 0..20 {
        site.ahead.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_secs(1)).await;
    }
    let mut viewer = other.open(&token).await.unwrap();
    site.store.works();
    assert!(timeout(Duration::from_secs(10), lost.main.has_ended()).await.unwrap());
    assert!(
        timeout(Duration::from_secs(30), viewer.main.hear()).await.is_err(),
        "it goes on"
    );
    assert_eq!(site.record(&token).sessions().count(), 1);
}
