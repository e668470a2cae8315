//! Tokens coupled to SPICE sessions, of two gateways that share an engine, which is killed in between.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use console_token::spice::Settings;
use console_token::{Record, Secret, Store, UnixSeconds};
use tokio::time::{sleep, timeout};

use crate::engines::{Engine, Kind};
use crate::race;
use crate::site::Site;
use crate::{DISPLAY, MAIN};

const SOON: Duration = Duration::from_secs(30);

/// The records of an engine that may be away.
async fn soon(what: &str, store: &Arc<dyn Store>, site: &Site, token: &Secret, met: impl Fn(&Record) -> bool) {
    let start = Instant::now();
    loop {
        let record = store.record(&site.sessions.hash(token)).await.ok().flatten();
        if record.is_some_and(|record| met(&record)) {
            return;
        }
        assert!(start.elapsed() < SOON, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis and PostgreSQL"]
async fn spice_sessions_of_two_gateways() {
    for kind in [Kind::Redis, Kind::Postgres] {
        let mut engine = Engine::start(kind);
        let stores = [
            race::connect(kind, &engine.address()).await,
            race::connect(kind, &engine.address()).await,
        ];
        let settings = Settings::default()
            .with_attend_every(Duration::from_millis(200))
            .with_reconnect(Duration::from_secs(60));
        let (a, b) = (
            Site::of(stores[0].clone(), settings.clone()),
            Site::of(stores[1].clone(), settings),
        );
        let store = &stores[0];

        // The hypervisors of the two count their sessions alike: that of the second is one ahead.
        let first = b.token(1).await;
        drop(b.open(&first).await.unwrap());

        // Two uses, two viewers at once, at two gateways; a third is refused.
        let token = a.token(2).await;
        let (one, other) = tokio::join!(a.open(&token), b.open(&token));
        let (one, mut other) = (one.unwrap(), other.unwrap());
        assert!(a.open(&token).await.is_err() && b.open(&token).await.is_err());
        a.link(DISPLAY, one.id, token.expose()).await.unwrap();

        // A hypervisor that refuses the password costs no use.
        let another = b.token(1).await;
        b.world.wrong.store(true, Ordering::Relaxed);
        assert!(b.open(&another).await.is_err());
        b.world.wrong.store(false, Ordering::Relaxed);
        soon("the use", store, &b, &another, |record| record.uses_left() == Some(1)).await;

        // A session that broke off goes on at the other gateway, once, and under a token that has replaced its own.
        drop(one);
        let new = Secret::base64url(&[9; 32]);
        let hashes = (a.sessions.hash(&token), a.sessions.hash(&new));
        store.replace(&hashes.0, &hashes.1, UnixSeconds(1000)).await.unwrap();
        let start = Instant::now();
        let mut again = loop {
            if let Ok(viewer) = b.open(&token).await {
                break viewer;
            }
            assert!(start.elapsed() < SOON);
        };
        assert!(a.open(&token).await.is_err() && a.open(&new).await.is_err());
        b.link(DISPLAY, again.id, new.expose()).await.unwrap();
        soon("two", store, &a, &new, |record| record.sessions().count() == 2).await;

        // Without the engine what is open goes on, and nothing begins.
        engine.kill();
        assert!(a.link(MAIN, 0, another.expose()).await.is_err());
        assert!(timeout(Duration::from_secs(2), again.main.hear()).await.is_err());
        assert!(timeout(Duration::from_millis(100), other.main.hear()).await.is_err());
        drop(other);
        engine.run();
        soon("told", store, &a, &new, |record| record.sessions().count() == 2).await;
        assert!(timeout(Duration::from_secs(1), again.main.hear()).await.is_err());
        soon("back", store, &a, &another, |record| record.uses_left() == Some(1)).await;
        assert!(a.open(&another).await.is_ok());

        // Revoked, it ends at each gateway.
        let start = Instant::now();
        while store
            .revoke(console_token::TokenSelector::Token(&hashes.1))
            .await
            .is_err()
        {
            assert!(start.elapsed() < SOON);
        }
        assert!(timeout(SOON, again.main.has_ended()).await.unwrap());
        // The one that broke off before is over by itself.
        soon("closed", store, &a, &new, |record| record.sessions().count() == 1).await;
    }
}
