//! Opening a database: its file, the first connection, the pool, the schema.

use alloc::{boxed::Box, format};
use core::{num::NonZeroU32, str::FromStr as _, time::Duration};
use std::path::Path;

use sqlx::{
    AnyConnection, AnyPool, Connection as _, Row as _, any::AnyPoolOptions, pool::PoolConnectionMetadata, query,
    sqlite::SqliteConnectOptions,
};
use tokio::time;

use crate::BackendError;

/// How long a server that is starting, or a file that is locked, is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two tries to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// After so long without use, a connection is asked whether it lives before it is used.
const TRUST: Duration = Duration::from_secs(1);

/// The schema, one entry a version. A version that was released is never changed: the next one is appended.
///
/// The columns of `console_token` from `scope` to `session_end` are what the one statement of a redeem
/// decides by; they follow from `terms`, the grant as JSON, which is what everything else reads.
/// Moments are seconds since 1970; those that do not fit are the last that does, which refuses.
const SCHEMA: &[&[&str]] = &[TOKENS, NOTES];

const TOKENS: &[&str] = &[
    "CREATE TABLE console_token (
        hash TEXT PRIMARY KEY,
        version BIGINT NOT NULL,
        vm TEXT,
        owner TEXT,
        issuer TEXT,
        scope TEXT NOT NULL,
        audience TEXT NOT NULL,
        opens BIGINT NOT NULL,
        lapses BIGINT NOT NULL,
        uses BIGINT NOT NULL,
        session_limit BIGINT NOT NULL,
        session_end BIGINT NOT NULL,
        terms TEXT NOT NULL,
        revoked BIGINT NOT NULL,
        spent BIGINT NOT NULL,
        next_session BIGINT NOT NULL,
        attempts TEXT NOT NULL,
        sessions TEXT NOT NULL,
        busy_until BIGINT NOT NULL
    )",
    "CREATE INDEX console_token_vm ON console_token (vm)",
    "CREATE INDEX console_token_owner ON console_token (owner)",
    "CREATE INDEX console_token_issuer ON console_token (issuer)",
    "CREATE INDEX console_token_lapses ON console_token (lapses)",
    "CREATE TABLE console_seats (
        console TEXT PRIMARY KEY,
        seats TEXT NOT NULL,
        ends BIGINT NOT NULL
    )",
    "CREATE INDEX console_seats_ends ON console_seats (ends)",
];

/// Names in hexadecimal digits, values in base64. The one row of `console_note_version` has the version of the last write
/// of all.
const NOTES: &[&str] = &[
    "ALTER TABLE console_token ADD COLUMN replaced TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE console_notes (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        version BIGINT NOT NULL,
        until BIGINT NOT NULL
    )",
    "CREATE INDEX console_notes_until ON console_notes (until)",
    "CREATE TABLE console_note_version (version BIGINT NOT NULL)",
    "INSERT INTO console_note_version (version) VALUES (0)",
];

/// Held by the gateway that brings the schema up to date: "console" in ASCII.
const LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(27988541971526757) AS TEXT)";

/// A pool of connections to a database whose schema is up to date.
pub(super) async fn pool(url: &str, connections: NonZeroU32) -> Result<AnyPool, BackendError> {
    sqlx::any::install_default_drivers();
    let is_sqlite = url.starts_with("sqlite:");
    if is_sqlite {
        create_private(url)?;
    }
    first_connection(url, is_sqlite).await?;
    let pool = AnyPoolOptions::new()
        .max_connections(connections.get())
        .acquire_timeout(PATIENCE)
        // One that was used a moment ago needs no question whether it lives: that would double the way.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| Box::pin(is_alive(connection, meta)))
        .after_connect(|connection, _| Box::pin(prepare(connection)))
        .connect(url)
        .await
        .map_err(BackendError::new)?;
    migrate(&pool).await.map_err(BackendError::new)?;
    Ok(pool)
}

/// Makes the file, if it is to be made, so that its owner alone can read and write it: SQLite would let everybody read it.
fn create_private(url: &str) -> Result<(), BackendError> {
    let options = SqliteConnectOptions::from_str(url).map_err(BackendError::new)?;
    let (database, parameters) = url.split_once('?').unwrap_or((url, ""));
    let is_made = parameters.split('&').any(|parameter| parameter == "mode=rwc");
    if !is_made || database.ends_with(":memory:") {
        return Ok(());
    }
    let path = options.get_filename();
    create(path).map_err(|error| BackendError::new(format!("{}: {error}", path.display())))
}

fn create(path: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        /// For its owner alone.
        const MODE: u32 = 0o600;
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
    }
    match options.open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Connects once without the pool, which does not tell why it could not connect: it tries again until its time is over,
/// also where trying again cannot help.
async fn first_connection(url: &str, is_sqlite: bool) -> Result<(), BackendError> {
    let mut last = None;
    let tries = async {
        loop {
            match connect(url).await {
                Err(error) if may_pass(&error, is_sqlite) => last = Some(error),
                result => return result,
            }
            time::sleep(PAUSE).await;
        }
    };
    let result = time::timeout(PATIENCE, tries).await;
    match (result, last) {
        (Ok(result), _) => result.map_err(BackendError::new),
        (Err(_), Some(error)) => Err(BackendError::new(error)),
        (Err(_), None) => Err(BackendError::new("no answer from the database in 10 seconds")),
    }
}

async fn connect(url: &str) -> sqlx::Result<()> {
    let mut connection = AnyConnection::connect(url).await?;
    prepare(&mut connection).await?;
    connection.close().await
}

/// Whether a failure to connect can be over in a moment: a server that starts, a file that another process has locked.
fn may_pass(error: &sqlx::Error, is_sqlite: bool) -> bool {
    /// The primary result code of SQLite for a database that is locked; extended codes have it in their last byte.
    const SQLITE_BUSY: u32 = 5;
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(error) if is_sqlite => {
            let code = error.code().and_then(|code| code.parse::<u32>().ok());
            code.is_some_and(|code| code & 0xff == SQLITE_BUSY)
        }
        sqlx::Error::Database(error) => error.is_transient_in_connect_phase(),
        _ => false,
    }
}

async fn migrate(pool: &AnyPool) -> sqlx::Result<()> {
    let mut connection = pool.acquire().await?;
    let is_sqlite = connection.backend_name() == "SQLite";
    let begin = if is_sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
    let mut transaction = sqlx::Connection::begin_with(&mut *connection, begin).await?;
    if !is_sqlite {
        // Two that create the same table at once fail, also with IF NOT EXISTS.
        query(LOCK).execute(&mut *transaction).await?;
    }
    query("CREATE TABLE IF NOT EXISTS console_schema (version BIGINT NOT NULL)")
        .execute(&mut *transaction)
        .await?;
    let version = "SELECT COALESCE(MAX(version), 0) AS version FROM console_schema";
    let version: i64 = query(version).fetch_one(&mut *transaction).await?.try_get("version")?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    if SCHEMA.len() < done {
        let why = format!("the schema has version {version}, this knows {}", SCHEMA.len());
        return Err(sqlx::Error::Configuration(why.into()));
    }
    for (statements, number) in SCHEMA.iter().zip(1_i64..).skip(done) {
        for statement in statements.iter().copied() {
            query(statement).execute(&mut *transaction).await?;
        }
        let insert = query("INSERT INTO console_schema (version) VALUES ($1)").bind(number);
        insert.execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn is_alive(connection: &mut AnyConnection, meta: PoolConnectionMetadata) -> sqlx::Result<bool> {
    if TRUST < meta.idle_for {
        sqlx::Connection::ping(connection).await?;
    }
    Ok(true)
}

/// What a connection to SQLite needs.
async fn prepare(connection: &mut AnyConnection) -> sqlx::Result<()> {
    if connection.backend_name() == "SQLite" {
        for pragma in [
            "PRAGMA busy_timeout = 10000",
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = FULL",
        ] {
            query(pragma).execute(&mut *connection).await?;
        }
    }
    Ok(())
}
