//! Tokens coupled to connections, of two gateways that share an engine, which is killed in between.

use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use console_token::connections::{Denial, Settings, TokenConnections, TokenUse};
use console_token::{
    ConsoleType, Grant, Pepper, Peppers, Refusal, Secret, SqlStore, Store, Target, TokenSelector, UnixSeconds, Uses,
};
use tokio::time::{sleep, timeout};

use crate::engines::{Engine, Kind};
use crate::{race, random};

/// How often the store is asked about what is open.
const EVERY: Duration = Duration::from_millis(200);
/// For how many seconds a viewer may come again.
const RECONNECT: u64 = 3;
/// For what takes a moment.
const SOON: Duration = Duration::from_secs(20);

fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs())
}

fn gateway(store: &Arc<dyn Store>) -> Arc<TokenConnections> {
    let peppers = Peppers::new(Pepper::new(&[1; 32]).unwrap());
    let settings = Settings::default()
        .with_attend_every(EVERY)
        .with_store_timeout(Duration::from_secs(1))
        .with_reconnect(Duration::from_secs(RECONNECT));
    let connections = TokenConnections::new(store.clone(), peppers, now, random, settings);
    tokio::spawn(connections.clone().run(|_| {}));
    connections
}

fn grant(uses: u32) -> Grant {
    let path = "/run/console".into();
    let uses = Uses::Limited(NonZeroU32::new(uses).unwrap());
    Grant::new(Target::Unix { path }, ConsoleType::Serial, now(), 600).with_uses(uses)
}

async fn soon(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !met().await {
        assert!(start.elapsed() < SOON, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn open(gateway: &Arc<TokenConnections>, token: &Secret) -> TokenUse {
    let entered = gateway.enter(token).await.unwrap();
    entered.reached().await.unwrap();
    entered
}

fn is_refused<T>(entered: Result<T, Denial>, why: Refusal) -> bool {
    matches!(entered, Err(Denial::Token(refusal)) if refusal == why)
}

struct Site {
    /// Of each gateway a connection of its own.
    stores: [Arc<dyn Store>; 2],
    gateways: [Arc<TokenConnections>; 2],
}

impl Site {
    fn new(stores: [Arc<dyn Store>; 2]) -> Self {
        let gateways = [gateway(&stores[0]), gateway(&stores[1])];
        Self { stores, gateways }
    }

    async fn sessions(&self, token: &Secret) -> usize {
        let record = self.stores[0].record(&self.gateways[0].hash(token)).await;
        record.unwrap().unwrap().sessions().count()
    }

    async fn left(&self, token: &Secret) -> Option<u32> {
        let record = self.stores[0].record(&self.gateways[0].hash(token)).await;
        record.unwrap().unwrap().uses_left()
    }

    async fn uses(&self) {
        let [a, b] = &self.gateways;
        let token = a.issue(&grant(2)).await.unwrap();
        let (one, other) = tokio::join!(open(a, &token), open(b, &token));
        assert_ne!(one.session(), other.session());
        for gateway in &self.gateways {
            assert!(is_refused(gateway.enter(&token).await, Refusal::Spent));
        }
        assert_eq!((self.left(&token).await, self.sessions(&token).await), (Some(0), 2));
        for entered in [one, other] {
            entered.finish();
        }
        soon("no session", async || self.sessions(&token).await == 0).await;
        assert!(is_refused(b.enter(&token).await, Refusal::Spent));

        // Not reached: the use is given back, and the other gateway takes it.
        let token = b.issue(&grant(1)).await.unwrap();
        drop(a.enter(&token).await.unwrap());
        soon("the use", async || self.left(&token).await == Some(1)).await;
        open(b, &token).await.finish();
    }

    async fn again(&self) {
        let [a, b] = &self.gateways;
        let one = NonZeroU8::MIN;
        let token = a.issue(&grant(1).with_max_sessions(one)).await.unwrap();
        drop(open(a, &token).await);
        soon("suspended", async || b.check(&token).await.is_ok()).await;
        let (of_a, of_b) = tokio::join!(a.enter(&token), b.enter(&token));
        let mut entered: Vec<_> = [of_a, of_b].into_iter().flatten().collect();
        assert_eq!(entered.len(), 1, "one at a time");
        let entered = entered.pop().unwrap();
        entered.reached().await.unwrap();
        assert!(is_refused(a.enter(&token).await, Refusal::Spent));
        drop(entered);
        sleep(Duration::from_secs(RECONNECT + 2)).await;
        assert!(is_refused(b.enter(&token).await, Refusal::Spent), "too late");
        assert_eq!(self.left(&token).await, Some(0));
    }

    async fn revocation(&self) {
        let [a, b] = &self.gateways;
        let (token, new) = (a.issue(&grant(1)).await.unwrap(), Secret::base64url(&rand()));
        let entered = open(b, &token).await;
        let (old_hash, new_hash) = (a.hash(&token), a.hash(&new));
        self.stores[0].replace(&old_hash, &new_hash, now()).await.unwrap();
        assert!(timeout(3 * EVERY, entered.ended()).await.is_err(), "it goes on");
        assert_eq!(entered.fingerprint(), new_hash.fingerprint());
        let fingerprint = new_hash.fingerprint();
        let revoked = self.stores[0].revoke(TokenSelector::Fingerprint(&fingerprint)).await;
        assert_eq!(revoked.unwrap(), 1);
        assert_eq!(timeout(SOON, entered.ended()).await.unwrap(), Refusal::Revoked);
        drop(entered);
        soon("no session", async || self.sessions(&new).await == 0).await;
    }

    async fn all(&self) {
        self.uses().await;
        self.again().await;
        self.revocation().await;
    }
}

fn rand() -> [u8; 32] {
    let mut bytes = [0; 32];
    random(&mut bytes);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis and PostgreSQL"]
async fn connections_of_two_gateways() {
    for kind in [Kind::Redis, Kind::Postgres] {
        let mut engine = Engine::start(kind);
        let address = engine.address();
        let site = Site::new([race::connect(kind, &address).await, race::connect(kind, &address).await]);
        site.all().await;

        // Killed: what is open goes on, nothing new begins, and the store learns of ends when the engine is back.
        let [a, b] = &site.gateways;
        let token = a.issue(&grant(3)).await.unwrap();
        let (kept, ends) = (open(a, &token).await, open(b, &token).await);
        let opening = a.enter(&token).await.unwrap();
        engine.kill();
        assert!(matches!(b.enter(&token).await, Err(Denial::Store(_))), "{kind:?}");
        assert!(timeout(5 * EVERY, kept.ended()).await.is_err());
        ends.finish();
        drop(ends);
        drop(opening);
        engine.run();
        soon("one session", async || {
            let record = site.stores[0].record(&a.hash(&token)).await.ok().flatten();
            record.is_some_and(|record| record.sessions().count() == 1 && record.uses_left() == Some(1))
        })
        .await;
        assert!(timeout(5 * EVERY, kept.ended()).await.is_err());
        kept.current().await.unwrap();
        let another = open(b, &token).await;
        assert!(is_refused(b.enter(&token).await, Refusal::Spent));
        drop((kept, another));
        let stop = async { tokio::join!(a.stop(), b.stop()) };
        timeout(SOON, stop).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs time that passes"]
async fn connections_of_two_gateways_over_sqlite() {
    let path = std::env::temp_dir().join(format!("console-token-connections-{}.db", std::process::id()));
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let connect = async || Arc::new(SqlStore::connect(&url, NonZeroU32::new(4).unwrap()).await.unwrap());
    let (one, other) = (connect().await, connect().await);
    Site::new([one.clone(), other.clone()]).all().await;
    one.close().await;
    other.close().await;
    for end in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{end}", path.display()));
    }
}
