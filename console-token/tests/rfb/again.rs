//! Viewers that come again to a session that broke off.

use std::time::Duration;

use console_token::connections::{ConnectionEvent, Denial, Settings};
use console_token::{Refusal, Store, Transition, UnixSeconds};
use tokio::time::{sleep, timeout};

use crate::failing::Mode;
use crate::site::{Site, soon};

/// Whether the store knows that its one session broke off.
fn is_suspended(site: &Site) -> bool {
    suspended(site) != 0
}

fn suspended(site: &Site) -> usize {
    let log = site.log.lock().unwrap();
    let is_suspended = |event: &&ConnectionEvent| matches!(event, ConnectionEvent::Suspended { .. });
    log.iter().filter(is_suspended).count()
}

async fn broken_off(site: &Site) -> console_token::Secret {
    let token = site.token(1).await;
    drop(site.open(&token).await.unwrap());
    soon("suspended", || is_suspended(site)).await;
    token
}

#[tokio::test(start_paused = true)]
async fn within_the_time_and_after() {
    for (seconds, again) in [(0, true), (29, true), (30, false), (31, false)] {
        let site = Site::reconnecting(30);
        let token = broken_off(&site).await;
        site.pass(seconds);
        assert_eq!(site.connections.check(&token).await.is_ok(), again, "{seconds}");
        let viewer = site.open(&token).await;
        assert_eq!(viewer.is_some(), again, "{seconds}");
        assert_eq!(site.uses_left(&token), Some(0));
    }
    let site = Site::new();
    let token = site.token(1).await;
    drop(site.open(&token).await.unwrap());
    soon("no session", || site.sessions(&token) == 0).await;
    assert!(site.open(&token).await.is_none(), "unless it is set");
}

/// Again and again, also past the token's expiry; the time begins anew each time.
#[tokio::test(start_paused = true)]
async fn again_and_again() {
    let site = Site::reconnecting(30);
    let token = broken_off(&site).await;
    for _ in 0..40 {
        site.pass(29);
        site.log.lock().unwrap().clear();
        drop(site.open(&token).await.unwrap());
        soon("suspended", || is_suspended(&site)).await;
    }
    assert_eq!((site.uses_left(&token), site.sessions(&token)), (Some(0), 1));
    site.pass(30);
    assert!(site.open(&token).await.is_none());
    let swept = Store::sweep(
        &*site.store,
        UnixSeconds(1000 + 40 * 29 + 30),
        std::num::NonZeroU32::MAX,
    );
    assert_eq!(
        swept.await.unwrap(),
        1,
        "a session that broke off holds no record for ever"
    );
}

/// The viewer that is there is not thrown out, and of the viewers that come again one is let in.
#[tokio::test(start_paused = true)]
async fn one_at_a_time() {
    let site = Site::reconnecting(30);
    let token = broken_off(&site).await;
    let other = site.another(Settings::default().with_reconnect(Duration::from_secs(30)));
    let (a, b, c) = tokio::join!(site.open(&token), site.open(&token), other.open(&token));
    let mut in_now: Vec<_> = [a, b, c].into_iter().flatten().collect();
    assert_eq!(in_now.len(), 1);
    for _ in 0..3 {
        assert!(site.open(&token).await.is_none());
        assert!(other.open(&token).await.is_none());
    }
    let mut viewer = in_now.pop().unwrap();
    assert!(viewer.types().await);
    assert!(timeout(Duration::from_secs(60), viewer.has_ended()).await.is_err());
    assert_eq!(site.sessions(&token), 1);
}

/// At another gateway of the same store.
#[tokio::test(start_paused = true)]
async fn at_another_gateway() {
    let site = Site::reconnecting(30);
    let token = broken_off(&site).await;
    let other = site.another(Settings::default().with_reconnect(Duration::from_secs(30)));
    let viewer = other.open(&token).await.unwrap();
    // The first gateway has forgotten it.
    site.pass(100);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(site.sessions(&token), 1);
    drop(viewer);
    sleep(Duration::from_secs(5)).await;
    site.pass(29);
    assert!(site.open(&token).await.is_some());
}

/// Two sessions of one token broke off: each viewer gets one, and no third.
#[tokio::test(start_paused = true)]
async fn two_that_broke_off() {
    let site = Site::reconnecting(30);
    let token = site.token(2).await;
    drop((site.open(&token).await.unwrap(), site.open(&token).await.unwrap()));
    soon("both", || suspended(&site) == 2).await;
    let (one, other) = tokio::join!(site.open(&token), site.open(&token));
    assert!(one.is_some() && other.is_some());
    assert!(site.open(&token).await.is_none());
}

/// A hypervisor that is not there, or refuses, leaves the rest of the time, and no more.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_is_away_meanwhile() {
    let site = Site::reconnecting(30);
    let token = broken_off(&site).await;
    for step in 0..5 {
        if step % 2 == 0 {
            *site.world.unreachable.lock().unwrap() = true;
        } else {
            *site.world.password.lock().unwrap() = b"wrong".to_vec();
        }
        assert!(site.open(&token).await.is_none());
        sleep(Duration::from_secs(2)).await;
        site.pass(5);
        *site.world.unreachable.lock().unwrap() = false;
        *site.world.password.lock().unwrap() = b"hv-pass".to_vec();
    }
    assert_eq!((site.uses_left(&token), site.sessions(&token)), (Some(0), 1));
    let viewer = site.open(&token).await;
    assert!(viewer.is_some(), "25 seconds");
    drop(viewer);
    // Reached, so that the time began anew.
    sleep(Duration::from_secs(2)).await;
    site.pass(25);
    *site.world.unreachable.lock().unwrap() = true;
    assert!(site.open(&token).await.is_none());
    sleep(Duration::from_secs(2)).await;
    site.pass(5);
    *site.world.unreachable.lock().unwrap() = false;
    assert!(site.open(&token).await.is_none(), "30 seconds");
}

/// Finished, revoked or past its time: no one comes again.
#[tokio::test(start_paused = true)]
async fn what_has_ended_is_not_resumed() {
    let site = Site::reconnecting(30);
    let token = site.token(1).await;
    let entered = site.connections.enter(&token).await.unwrap();
    entered.reached().await.unwrap();
    entered.finish();
    drop(entered);
    soon("no session", || site.sessions(&token) == 0).await;
    assert!(matches!(
        site.connections.enter(&token).await,
        Err(Denial::Token(Refusal::Spent))
    ));

    let token = broken_off(&site).await;
    site.revoke(&token).await;
    assert!(matches!(
        site.connections.enter(&token).await,
        Err(Denial::Token(Refusal::Revoked))
    ));

    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    site.revoke(&token).await;
    viewer.has_ended().await;
    soon("no session", || site.sessions(&token) == 0).await;

    let limited = site.grant(1).with_session_limit(10);
    let token = site.connections.issue(&limited).await.unwrap();
    drop(site.open(&token).await.unwrap());
    sleep(Duration::from_secs(2)).await;
    site.pass(10);
    assert!(site.open(&token).await.is_none());
}

/// A gateway that stops leaves its viewers to another one.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_stops() {
    let site = Site::reconnecting(30);
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    let other = site.another(Settings::default().with_reconnect(Duration::from_secs(30)));
    timeout(Duration::from_secs(10), site.connections.stop()).await.unwrap();
    viewer.has_ended().await;
    assert!(other.open(&token).await.is_some());
}

/// Its viewer shows the token that it knows.
#[tokio::test(start_paused = true)]
async fn under_a_replaced_token() {
    let site = Site::reconnecting(30);
    let token = broken_off(&site).await;
    let new = console_token::Secret::base64url(&[9; 32]);
    let (old_hash, new_hash) = (site.connections.hash(&token), site.connections.hash(&new));
    Store::replace(&*site.store, &old_hash, &new_hash, UnixSeconds(1000))
        .await
        .unwrap();
    let viewer = site.open(&token).await.unwrap();
    assert_eq!(site.sessions(&new), 1);
    assert!(site.open(&token).await.is_none() && site.open(&new).await.is_none());
    site.log.lock().unwrap().clear();
    drop(viewer);
    soon("suspended", || is_suspended(&site)).await;
    assert!(site.open(&new).await.is_some());
}

/// A gateway that stops without a word holds its connections for 15 seconds; then their viewers may come again.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_killed() {
    let site = Site::reconnecting(30);
    let token = site.token(1).await;
    let entered = site.connections.enter(&token).await.unwrap();
    entered.reached().await.unwrap();
    // What a dead process does: nothing.
    site.kill();
    let other = site.another(Settings::default().with_reconnect(Duration::from_secs(30)));
    for (seconds, again) in [(0, false), (14, false), (1, true)] {
        site.pass(seconds);
        assert_eq!(other.connections.check(&token).await.is_ok(), again, "{seconds}");
        assert_eq!(other.open(&token).await.is_some(), again, "{seconds}");
    }
    assert_eq!(site.uses_left(&token), Some(0));
    std::mem::forget(entered);
}

/// The same in its first moments: when it has taken the use, and when its viewer has come again.
#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_killed_before_anything_is_reached() {
    for resumed in [false, true] {
        let site = Site::reconnecting(30);
        let token = if resumed {
            broken_off(&site).await
        } else {
            site.token(1).await
        };
        let entered = site.connections.enter(&token).await.unwrap();
        site.kill();
        let other = site.another(Settings::default().with_reconnect(Duration::from_secs(30)));
        sleep(Duration::from_secs(1)).await;
        for (seconds, again) in [(14, false), (1, true)] {
            site.pass(seconds);
            assert_eq!(other.open(&token).await.is_some(), again, "{resumed} {seconds}");
        }
        assert_eq!(
            (site.uses_left(&token), site.sessions(&token)),
            (Some(0), 1),
            "{resumed}"
        );
        std::mem::forget(entered);
    }
}

/// The same without another chance for viewers: what was held is free.
#[tokio::test(start_paused = true)]
async fn what_a_dead_gateway_held_is_free() {
    let site = Site::new();
    let one = std::num::NonZeroU8::MIN;
    let token = site
        .connections
        .issue(&site.grant(2).with_max_sessions(one))
        .await
        .unwrap();
    let entered = site.connections.enter(&token).await.unwrap();
    entered.reached().await.unwrap();
    site.kill();
    let other = site.another(Settings::default());
    for (seconds, free) in [(14, false), (1, true)] {
        site.pass(seconds);
        assert_eq!(other.open(&token).await.is_some(), free, "{seconds}");
    }
    std::mem::forget(entered);
}

/// One that lives holds it for as long as it takes, and a store that was away for longer ends nothing.
#[tokio::test(start_paused = true)]
async fn a_connection_that_is_held() {
    let site = Site::reconnecting(30);
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    let other = site.another(Settings::default().with_reconnect(Duration::from_secs(30)));
    for _ in 0..30 {
        site.pass(4);
        sleep(Duration::from_secs(4)).await;
        assert!(other.open(&token).await.is_none());
    }
    site.store.set(Mode::Down, |_| true);
    sleep(Duration::from_secs(100)).await;
    site.pass(100);
    site.store.works();
    assert!(timeout(Duration::from_secs(60), viewer.has_ended()).await.is_err());
    assert!(other.open(&token).await.is_none());
    assert!(viewer.types().await);
    assert_eq!(site.sessions(&token), 1);
}

/// Behind an outage that was longer than a connection is held, it is not taken from its viewer: its own gateway, which could
/// not renew it, has the time of a lease to do so, also for a gateway that asked for nothing meanwhile.
#[tokio::test(start_paused = true)]
async fn a_spent_token_behind_an_outage() {
    for mode in [Mode::Down, Mode::Hangs] {
        let settings = Settings::default().with_reconnect(Duration::from_secs(600));
        let site = Site::with(settings.clone());
        let (token, lost) = (site.token(1).await, site.token(1).await);
        let mut viewer = site.open(&token).await.unwrap();
        drop(site.open(&lost).await.unwrap());
        soon("suspended", || is_suspended(&site)).await;
        let other = site.another(settings);
        let second = async || {
            site.pass(1);
            sleep(Duration::from_secs(1)).await;
        };
        second().await;
        site.store.goes_away(mode);
        for _ in 0..100 {
            second().await;
        }
        site.store.works();
        // Whose connection was known to have broken off need not wait.
        assert!(other.open(&lost).await.is_some(), "{mode:?}");
        for _ in 0..40 {
            assert!(other.open(&token).await.is_none(), "{mode:?}");
            assert!(other.connections.check(&token).await.is_err(), "{mode:?}");
            assert!(viewer.types().await, "{mode:?}");
            second().await;
        }
        assert_eq!(site.sessions(&token), 1);
        // And it is free when its gateway stops.
        site.kill();
        for _ in 0..15 {
            second().await;
        }
        assert!(other.open(&token).await.is_some(), "{mode:?}");
    }
}

/// More sessions than a slow store can be asked about one after the other within the time for which they are held.
#[tokio::test(start_paused = true)]
async fn many_sessions_and_a_slow_store() {
    let settings = Settings::default().with_reconnect(Duration::from_secs(600));
    let site = Site::with(settings.clone());
    let mut open = Vec::new();
    for _ in 0..90 {
        let token = site.token(1).await;
        let entered = site.connections.enter(&token).await.unwrap();
        entered.reached().await.unwrap();
        open.push((token, entered));
    }
    let other = site.another(settings);
    site.store.takes(Duration::from_millis(400));
    for (token, _) in &open {
        site.pass(1);
        sleep(Duration::from_secs(1)).await;
        assert!(other.connections.enter(token).await.is_err());
    }
    assert!(open.iter().all(|(token, _)| site.sessions(token) == 1));
}

/// A gateway that learns late what became of its use leaves the session alone that its viewer has taken up elsewhere.
#[tokio::test(start_paused = true)]
async fn a_use_that_is_settled_late() {
    let site = Site::reconnecting(600);
    let token = site.token(1).await;
    site.store.set(Mode::AppliesAndHangs, |transition| {
        matches!(transition, Transition::Open(_))
    });
    assert!(site.open(&token).await.is_none());
    let other = site.another(Settings::default().with_reconnect(Duration::from_secs(600)));
    for _ in 0..20 {
        site.pass(1);
        sleep(Duration::from_secs(1)).await;
    }
    let mut viewer = other.open(&token).await.unwrap();
    site.store.works();
    for _ in 0..20 {
        site.pass(1);
        sleep(Duration::from_secs(1)).await;
        assert!(viewer.types().await);
    }
    assert_eq!((site.uses_left(&token), site.sessions(&token)), (Some(0), 1));
}

/// A gateway whose word of an end was heard, and not answered, says it again: that does not free the session that the viewer has
/// taken up elsewhere meanwhile.
#[tokio::test(start_paused = true)]
async fn an_end_that_is_told_twice() {
    for mode in [Mode::Deaf, Mode::AppliesAndHangs] {
        let site = Site::reconnecting(600);
        let token = site.token(1).await;
        let viewer = site.open(&token).await.unwrap();
        site.store
            .set(mode, |transition| matches!(transition, Transition::Suspend { .. }));
        drop(viewer);
        sleep(Duration::from_secs(2)).await;
        let other = site.another(Settings::default().with_reconnect(Duration::from_secs(600)));
        let mut viewer = other.open(&token).await.unwrap();
        site.store.works();
        for _ in 0..5 {
            sleep(Duration::from_secs(1)).await;
            assert!(site.open(&token).await.is_none(), "{mode:?}: a rival is in");
            assert!(viewer.types().await, "{mode:?}");
        }
        // And the end at the other gateway counts.
        drop(viewer);
        sleep(Duration::from_secs(2)).await;
        assert!(site.open(&token).await.is_some(), "{mode:?}");
    }
}
