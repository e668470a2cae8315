//! The same over an engine, and with a gateway that is started anew.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use console_token::spice::Settings;
use console_token::{SqlStore, Store as _};
use tokio::time::timeout;

use crate::DENIED;
use crate::site::Site;

/// A file that is gone with the test.
struct File(std::path::PathBuf);

impl File {
    async fn open(&self) -> Arc<SqlStore> {
        let url = format!("sqlite://{}?mode=rwc", self.0.display());
        Arc::new(SqlStore::connect(&url, NonZeroU32::new(2).unwrap()).await.unwrap())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", self.0.display()));
        }
    }
}

/// A use that was spent stays spent, one that is left opens a session, and neither session knows of the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_started_anew_goes_on_with_its_tokens() {
    let file = File(std::env::temp_dir().join(format!("console-token-spice-{}.db", std::process::id())));
    let test = async {
        let engine = file.open().await;
        let (site, other) = (
            Site::of(engine.clone(), Settings::default()),
            Site::of(engine.clone(), Settings::default()),
        );
        let (one, two) = (site.token(1).await, site.token(2).await);
        let _open = (site.open(&one).await.unwrap(), site.open(&two).await.unwrap());
        // At the same time by another gateway.
        assert_eq!(other.open(&one).await.err(), Some(DENIED));
        engine.close().await;
        // Without a store an open session goes on, and no other begins.
        assert_eq!(site.open(&two).await.err(), Some(DENIED));
        drop((site, other));

        let engine = file.open().await;
        let site = Site::of(engine.clone(), Settings::default());
        assert_eq!(site.open(&one).await.err(), Some(DENIED));
        let viewer = site.open(&two).await.unwrap();
        assert_eq!(site.open(&two).await.err(), Some(DENIED));
        drop(viewer);
        timeout(Duration::from_secs(10), site.sessions.stop()).await.unwrap();
        let record = engine.record(&site.sessions.hash(&two)).await.unwrap().unwrap();
        // That of the first gateway was not closed.
        assert_eq!((record.uses_left(), record.sessions().count()), (Some(0), 1));
        engine.close().await;
    };
    timeout(Duration::from_secs(60), test).await.expect("in time");
}
