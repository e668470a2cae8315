//! A store that fails, is lost for a while, or does not answer.

use std::time::Duration;

use console_token::Transition;
use console_token::spice::SessionEvent;
use tokio::time::{sleep, timeout};

use crate::failing::{Mode, Which};
use crate::site::{Site, soon};
use crate::{DENIED, DISPLAY, MAIN};

const ALL: [Mode; 4] = [Mode::Down, Mode::Deaf, Mode::Hangs, Mode::AppliesAndHangs];
const CLAIMS: Which = |transition| matches!(transition, Transition::Claim(_));

/// Whether the claim was applied or not, the use is there again once the store answers.
#[tokio::test(start_paused = true)]
async fn a_claim_without_an_answer_costs_no_use() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(1).await;
        site.store.set(mode, CLAIMS);
        assert_eq!(site.open(&token).await.err(), Some(DENIED), "{mode:?}");
        site.store.works();
        soon("the use", || {
            let record = site.record(&token);
            record.uses_left() == Some(1) && record.sessions().count() == 0
        })
        .await;
        assert!(site.open(&token).await.is_ok(), "{mode:?}");
        assert_eq!(site.open(&token).await.err(), Some(DENIED), "{mode:?}");
        assert_eq!(site.uses_left(&token), Some(0));
    }
}

/// The same when the task of the connection is broken off meanwhile.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_broken_off_costs_no_use() {
    for mode in [Mode::Hangs, Mode::AppliesAndHangs] {
        let site = Site::new();
        let token = site.token(1).await;
        site.store.set(mode, CLAIMS);
        let (stream, task) = site.connect();
        let text = token.expose().to_owned();
        let viewer = tokio::spawn(async move { crate::line::link(stream, MAIN, 0, text.as_bytes()).await.is_ok() });
        soon("a claim", || site.sessions.count() == 1).await;
        task.abort();
        assert!(!viewer.await.unwrap());
        site.store.works();
        soon("no session", || site.sessions.count() == 0).await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(site.uses_left(&token), Some(1), "{mode:?}");
        assert!(site.open(&token).await.is_ok(), "{mode:?}");
    }
}

/// A store that comes back within its time is not noticed.
#[tokio::test(start_paused = true)]
async fn a_short_outage_is_bridged() {
    for mode in [Mode::Down, Mode::Deaf] {
        let site = Site::new();
        let token = site.token(1).await;
        let back = async || {
            sleep(Duration::from_millis(1500)).await;
            site.store.works();
        };
        site.store.set(mode, |_| true);
        let (viewer, ()) = tokio::join!(site.open(&token), back());
        let viewer = viewer.unwrap();
        site.store.set(mode, |_| true);
        let (display, ()) = tokio::join!(site.link(DISPLAY, viewer.id, token.expose()), back());
        assert!(display.is_ok(), "{mode:?}");
        assert_eq!(site.uses_left(&token), Some(0));
        assert_eq!(site.record(&token).sessions().count(), 1);
    }
}

/// A session goes on without its store, which learns of the end as soon as it is there again.
#[tokio::test(start_paused = true)]
async fn an_end_is_told_when_the_store_is_back() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(2).await;
        let mut viewer = site.open(&token).await.unwrap();
        site.store.set(mode, |_| true);
        assert!(
            timeout(Duration::from_secs(60), viewer.main.hear()).await.is_err(),
            "{mode:?}"
        );
        assert_eq!(site.link(DISPLAY, viewer.id, token.expose()).await.err(), Some(DENIED));
        drop(viewer);
        sleep(Duration::from_secs(60)).await;
        site.store.works();
        soon("no session", || site.record(&token).sessions().count() == 0).await;
        assert_eq!(site.uses_left(&token), Some(1), "{mode:?}");
        let logged = site
            .log
            .lock()
            .unwrap()
            .iter()
            .any(|event| matches!(event, SessionEvent::NotClosed { .. }));
        assert!(logged);
        assert!(site.open(&token).await.is_ok(), "{mode:?}");
    }
}

/// The use of a viewer whose hypervisor refuses is given back once the store is there.
#[tokio::test(start_paused = true)]
async fn a_release_is_told_when_the_store_is_back() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(1).await;
        site.world.wrong.store(true, std::sync::atomic::Ordering::Relaxed);
        site.store
            .set(mode, |transition| matches!(transition, Transition::Release(_)));
        assert!(site.open(&token).await.is_err());
        sleep(Duration::from_secs(10)).await;
        site.store.works();
        soon("the use", || site.uses_left(&token) == Some(1)).await;
        site.world.wrong.store(false, std::sync::atomic::Ordering::Relaxed);
        sleep(Duration::from_secs(2)).await;
        assert!(site.open(&token).await.is_ok(), "{mode:?}");
    }
}

/// A session whose number cannot be recorded ends before the viewer learns the number; its use is spent.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_not_bound_ends() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(1).await;
        site.store
            .set(mode, |transition| matches!(transition, Transition::Bind { .. }));
        let mut main = site.link(MAIN, 0, token.expose()).await.unwrap();
        assert_eq!(main.hear().await, None, "{mode:?}");
        site.store.works();
        soon("no session", || site.record(&token).sessions().count() == 0).await;
        assert_eq!(site.uses_left(&token), Some(0), "{mode:?}");
    }
}

/// Claims of made-up tokens do not hold up the end of sessions, nor fill the memory.
#[tokio::test(start_paused = true)]
async fn made_up_tokens_leave_nothing_behind() {
    let site = Site::new();
    let token = site.token(1).await;
    let viewer = site.open(&token).await.unwrap();
    site.store.set(Mode::Down, |_| true);
    for _ in 0..5 {
        assert_eq!(site.link(MAIN, 0, "made-up").await.err(), Some(DENIED));
    }
    drop(viewer);
    sleep(Duration::from_secs(5)).await;
    site.store.works();
    soon("no session", || site.record(&token).sessions().count() == 0).await;
    assert_eq!(site.sessions.count(), 0);
    assert_eq!(site.store.memory.len(), 1);
}
