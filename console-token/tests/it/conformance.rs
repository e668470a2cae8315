//! The suite of all stores, on those that need no engine.

use console_token::MemoryStore;

#[path = "../conformance/mod.rs"]
pub(crate) mod suite;

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

    // A database of the first version is brought up to date, and what was in it stays.
    sqlx::any::install_default_drivers();
    let pool = sqlx::AnyPool::connect(&url).await.unwrap();
    for undone in [
        "ALTER TABLE console_token DROP COLUMN replaced",
        "DROP TABLE console_notes",
        "DROP TABLE console_note_version",
        "DELETE FROM console_schema WHERE version = 2",
    ] {
        sqlx::query(undone).execute(&pool).await.unwrap();
    }
    let count = async || {
        let counted = sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM console_token").fetch_one(&pool);
        counted.await.unwrap()
    };
    let before = count().await;
    assert!(0 < before);
    let third = SqlStore::connect(&url, NonZeroU32::MIN).await.unwrap();
    assert_eq!(count().await, before);
    suite::suite(&third, 3, 1).await;
    third.close().await;

    // A schema of the future is left alone.
    let newer = "INSERT INTO console_schema (version) VALUES (99)";
    sqlx::query(newer).execute(&pool).await.unwrap();
    pool.close().await;
    let refused = SqlStore::connect(&url, NonZeroU32::MIN).await.unwrap_err();
    assert!(refused.to_string().contains("version 99"), "{refused}");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A folder that is removed with its value.
#[cfg(feature = "sql")]
struct Folder(std::path::PathBuf);

#[cfg(feature = "sql")]
impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("console-token-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn url(&self, file: &str) -> String {
        format!("sqlite://{}?mode=rwc", self.0.join(file).display())
    }
}

#[cfg(feature = "sql")]
impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What cannot be used is said at once, with the cause.
#[cfg(feature = "sql")]
#[tokio::test]
async fn a_database_that_cannot_be_used() {
    use console_token::SqlStore;
    use core::{error::Error as _, num::NonZeroU32, time::Duration};

    let folder = Folder::new("unusable");
    std::fs::write(
        folder.0.join("text"),
        "no database, but long enough to be looked at\n".repeat(99),
    )
    .unwrap();
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    let missing = folder.0.join("missing").display().to_string();
    // Nothing listens there: the port was just given back.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let refused = format!("postgres://user:hunter2@127.0.0.1:{port}/db");
    for (url, cause, seconds) in [
        (folder.url("text"), "file is not a database", 2),
        (folder.url("folder"), "unable to open database file", 2),
        (folder.url("no/such/tokens.db"), "No such file or directory", 2),
        (format!("sqlite://{missing}"), "unable to open database file", 2),
        ("sqlite://x?mode=other".to_owned(), "unknown value", 2),
        ("mysql://h/x".to_owned(), "driver", 2),
        (refused, "refused", 12),
    ] {
        let connect = SqlStore::connect(&url, NonZeroU32::MIN);
        let result = tokio::time::timeout(Duration::from_secs(seconds), connect).await;
        let error = result.unwrap_or_else(|_| panic!("{url}: not at once")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(cause), "{url}: {text}");
        assert!(!text.contains("timed out") && !text.contains("hunter2"), "{text}");
        assert!(error.source().is_none(), "the text has it all");
    }
}

/// A file that is locked is waited for.
#[cfg(feature = "sql")]
#[tokio::test]
async fn a_database_that_is_locked_for_a_moment() {
    use console_token::SqlStore;
    use core::{num::NonZeroU32, time::Duration};
    use sqlx::{Connection as _, Executor as _};

    let folder = Folder::new("locked");
    let url = folder.url("tokens.db");
    sqlx::any::install_default_drivers();
    let mut other = sqlx::AnyConnection::connect(&url).await.unwrap();
    other.execute("BEGIN EXCLUSIVE").await.unwrap();
    let store = tokio::spawn(async move { SqlStore::connect(&url, NonZeroU32::MIN).await.map(drop) });
    tokio::time::sleep(Duration::from_secs(1)).await;
    other.execute("COMMIT").await.unwrap();
    store.await.unwrap().unwrap();
}

/// Hashes, targets and names are for the owner of the file.
#[cfg(all(feature = "sql", unix))]
#[tokio::test]
async fn the_file_of_a_new_database_is_private() {
    use console_token::{SqlStore, Store as _, TokenHash};
    use core::num::NonZeroU32;
    use std::os::unix::fs::PermissionsExt as _;

    let folder = Folder::new("private");
    let store = SqlStore::connect(&folder.url("tokens.db"), NonZeroU32::MIN)
        .await
        .unwrap();
    store
        .insert(&TokenHash::from_bytes([1; 32]), &crate::vnc())
        .await
        .unwrap();
    let files = std::fs::read_dir(&folder.0).unwrap();
    let modes: Vec<(String, u32)> = files
        .map(|file| file.unwrap())
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                file.metadata().unwrap().permissions().mode() & 0o777,
            )
        })
        .collect();
    assert!(modes.iter().any(|(name, _)| name == "tokens.db"), "{modes:?}");
    assert!(modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    store.close().await;
    // One that is there keeps its mode, and a name can have any character.
    let odd = folder.0.join("a%3f#b.db");
    std::fs::write(&odd, "").unwrap();
    std::fs::set_permissions(&odd, std::fs::Permissions::from_mode(0o640)).unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.0.join("a%253f%23b.db").display());
    SqlStore::connect(&url, NonZeroU32::MIN).await.unwrap().close().await;
    assert!(0 < std::fs::metadata(&odd).unwrap().len());
    assert_eq!(std::fs::metadata(&odd).unwrap().permissions().mode() & 0o777, 0o640);
}
