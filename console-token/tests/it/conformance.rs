//! The suite of all stores, on those that need no engine.

use console_token::MemoryStore;

#[path = "../conformance/mod.rs"]
mod suite;

#[tokio::test]
async fn memory() {
    suite::suite(&MemoryStore::new(100_000), 1, 200).await;
}

#[cfg(feature = "sql")]
#[tokio::test]
async fn sqlite() {
    use console_token::SqlStore;
    use core::num::NonZeroU32;

    let folder = std::env::temp_dir().join(format!("console-token-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.join("tokens.db").display());
    // Opened twice: the schema that is there is taken as it is, and what one has written the other reads.
    let first = SqlStore::connect(&url, NonZeroU32::new(2).unwrap()).await.unwrap();
    suite::suite(&first, 1, 10).await;
    let second = SqlStore::connect(&url, NonZeroU32::MIN).await.unwrap();
    suite::suite(&second, 2, 1).await;
    first.close().await;
    second.close().await;

    // A schema of the future is left alone.
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    let newer = "INSERT INTO console_schema (version) VALUES (99)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    pool.close().await;
    let refused = SqlStore::connect(&url, NonZeroU32::MIN).await.unwrap_err();
    assert!(refused.to_string().contains("version 99"), "{refused}");
    std::fs::remove_dir_all(&folder).unwrap();
}
