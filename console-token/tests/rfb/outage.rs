//! A store that fails, is lost for a while, or does not answer.

use std::time::Duration;

use console_token::Transition;
use console_token::connections::ConnectionEvent;
use tokio::time::{sleep, timeout};

use crate::failing::{Mode, Which};
use crate::peers::view;
use crate::site::{Site, soon};

const ALL: [Mode; 4] = [Mode::Down, Mode::Deaf, Mode::Hangs, Mode::AppliesAndHangs];
const OPENS: Which = |transition| matches!(transition, Transition::Open(_));

/// Whether it was applied or not, the use is there again once the store answers.
#[tokio::test(start_paused = true)]
async fn an_opening_without_an_answer_costs_no_use() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(1).await;
        site.store.set(mode, OPENS);
        assert!(site.open(&token).await.is_none(), "{mode:?}");
        site.store.works();
        soon("the use", || {
            site.uses_left(&token) == Some(1) && site.sessions(&token) == 0
        })
        .await;
        soon("told", || site.connections.count() == 0).await;
        sleep(Duration::from_secs(3)).await;
        let viewer = site.open(&token).await;
        assert!(viewer.is_some(), "{mode:?}");
        assert!(site.open(&token).await.is_none(), "{mode:?}");
    }
}

/// The same when the task of the connection is broken off meanwhile.
#[tokio::test(start_paused = true)]
async fn an_opening_that_is_broken_off_costs_no_use() {
    for mode in [Mode::Hangs, Mode::AppliesAndHangs] {
        let site = Site::new();
        let token = site.token(1).await;
        site.store.set(mode, OPENS);
        let coming = site.connect(None);
        let text = token.expose().to_owned();
        let viewer = tokio::spawn(async move { view(coming.stream, Some(("", &text))).await.is_some() });
        soon("an opening", || site.connections.count() == 1).await;
        coming.task.abort();
        assert!(!viewer.await.unwrap());
        site.store.works();
        soon("none", || site.connections.count() == 0).await;
        sleep(Duration::from_secs(3)).await;
        assert_eq!(site.uses_left(&token), Some(1), "{mode:?}");
        assert!(site.open(&token).await.is_some(), "{mode:?}");
    }
}

/// A store that comes back within its time is not noticed.
#[tokio::test(start_paused = true)]
async fn a_short_outage_is_bridged() {
    for mode in [Mode::Down, Mode::Deaf] {
        let site = Site::new();
        let token = site.token(1).await;
        site.store.set(mode, |_| true);
        let back = async {
            sleep(Duration::from_millis(1500)).await;
            site.store.works();
        };
        let (viewer, ()) = tokio::join!(site.open(&token), back);
        assert!(viewer.is_some(), "{mode:?}");
        assert_eq!((site.uses_left(&token), site.sessions(&token)), (Some(0), 1));
    }
}

/// A connection goes on without its store, which learns of the end as soon as it is there again.
#[tokio::test(start_paused = true)]
async fn an_end_is_told_when_the_store_is_back() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(2).await;
        let mut viewer = site.open(&token).await.unwrap();
        site.store.set(mode, |_| true);
        assert!(
            timeout(Duration::from_secs(60), viewer.has_ended()).await.is_err(),
            "{mode:?}"
        );
        assert!(site.open(&token).await.is_none());
        drop(viewer);
        sleep(Duration::from_secs(60)).await;
        site.store.works();
        soon("no session", || site.sessions(&token) == 0).await;
        assert_eq!(site.uses_left(&token), Some(1), "{mode:?}");
        let is_failure = |event: &ConnectionEvent| matches!(event, ConnectionEvent::NotClosed { .. });
        assert!(site.log.lock().unwrap().iter().any(is_failure));
        assert!(site.open(&token).await.is_some(), "{mode:?}");
    }
}

/// What the store could not be told when a hypervisor has accepted is no reason to end the connection.
#[tokio::test(start_paused = true)]
async fn a_binding_without_an_answer() {
    for mode in ALL {
        let site = Site::new();
        let token = site.token(1).await;
        site.store
            .set(mode, |transition| matches!(transition, Transition::Bind { .. }));
        let mut viewer = site.open(&token).await.unwrap();
        sleep(Duration::from_secs(10)).await;
        assert!(viewer.types().await, "{mode:?}");
        site.store.works();
        drop(viewer);
        soon("no session", || site.sessions(&token) == 0).await;
        assert_eq!(site.uses_left(&token), Some(0), "{mode:?}");
    }
}

/// A viewer that comes again while the store fails finds its session when the store is back.
#[tokio::test(start_paused = true)]
async fn a_resumption_without_an_answer() {
    for mode in ALL {
        let site = Site::reconnecting(60);
        let token = site.token(1).await;
        drop(site.open(&token).await.unwrap());
        sleep(Duration::from_secs(2)).await;
        site.store
            .set(mode, |transition| matches!(transition, Transition::Resume { .. }));
        assert!(site.open(&token).await.is_none(), "{mode:?}");
        site.store.works();
        sleep(Duration::from_secs(5)).await;
        site.pass(30);
        assert!(site.open(&token).await.is_some(), "{mode:?}");
        assert_eq!(
            (site.uses_left(&token), site.sessions(&token)),
            (Some(0), 1),
            "{mode:?}"
        );
    }
}

/// A suspension that the store does not hear of in time lets no viewer in twice, and leaves nothing open.
#[tokio::test(start_paused = true)]
async fn a_suspension_without_an_answer() {
    for mode in ALL {
        let site = Site::reconnecting(30);
        let token = site.token(1).await;
        site.store
            .set(mode, |transition| matches!(transition, Transition::Suspend { .. }));
        drop(site.open(&token).await.unwrap());
        sleep(Duration::from_secs(10)).await;
        site.pass(31);
        site.store.works();
        soon("told", || {
            let asked = site.store.asked.lock().unwrap();
            asked.iter().any(|step| step.starts_with("close"))
        })
        .await;
        assert_eq!(
            (site.uses_left(&token), site.sessions(&token)),
            (Some(0), 0),
            "{mode:?}"
        );
        assert!(site.open(&token).await.is_none());
    }
}
