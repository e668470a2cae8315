//! Records in SQL: SQLite in the process, or PostgreSQL for many gateways.

mod notes;
mod open;

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::{fmt, num::NonZeroU32};

use sqlx::{
    AnyPool, Row as _,
    any::{AnyQueryResult, AnyRow},
    query,
};

use super::{
    Answer,
    engine::{self, Engine, Version, store_of_engine},
    row::{self, ROOM_FOR_ATTEMPT, Row, Terms},
};
use crate::{
    Admitted, AttemptId, BackendError, Grant, Leases, Note, NoteChange, Record, Scope, SessionId, TokenHash,
    TokenSelector, Transition, UnixSeconds, VerifyContext,
};

/// `$1` hash, `$2` scope, `$3` audience, `$4` now, `$5` attempt, `$6` room for attempts.
macro_rules! spend {
    ($more:literal) => {
        concat!(
            "UPDATE console_token SET version = version + 1, next_session = next_session + 1,
                spent = CASE WHEN uses < 0 THEN spent ELSE spent + 1 END,
                attempts = attempts || $5 || '=' || CAST(next_session AS TEXT) || ','",
            $more,
            " WHERE hash = $1 AND scope = $2 AND (audience = '' OR audience = $3) AND revoked = 0
                AND opens <= $4 AND $4 < lapses AND (uses < 0 OR spent < uses) AND sessions = ''
                AND length(attempts) < $6 AND attempts NOT LIKE '%' || $5 || '=%'
            RETURNING next_session - 1 AS session, terms"
        )
    };
}

const REDEEM: &str = spend!("");

/// `$7` what follows the number of the session, `$8` when it is over unless it is held. With no other session open, this
/// one is as long open as the console may be busy.
const CLAIM: &str = spend!(
    ", sessions = CAST(next_session AS TEXT) || $7,
    busy_until = CASE WHEN $8 < session_end AND $8 < session_limit + $4 THEN $8
        WHEN session_end < session_limit + $4 THEN session_end ELSE session_limit + $4 END"
);

const LOAD: &str = "SELECT version, terms, revoked, spent, next_session, attempts, sessions, replaced
    FROM console_token WHERE hash = $1";

const CREATE: &str =
    "INSERT INTO console_token (hash, version, terms, revoked, spent, next_session, attempts, sessions,
        busy_until, replaced, scope, audience, opens, lapses, uses, session_limit, session_end, vm, owner, issuer)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
    ON CONFLICT (hash) DO NOTHING";

const SWAP: &str = "UPDATE console_token SET version = version + 1, terms = $3, revoked = $4, spent = $5,
        next_session = $6, attempts = $7, sessions = $8, busy_until = $9, replaced = $10
    WHERE hash = $1 AND version = $2";

/// `$1` now, `$2` how many at most. What has changed since it was found is looked at again.
const SWEEP: &str = "DELETE FROM console_token WHERE hash IN
    (SELECT hash FROM console_token WHERE lapses <= $1 AND busy_until <= $1 LIMIT $2)
    AND lapses <= $1 AND busy_until <= $1";

/// Of tokens that a condition names: `$1` the name, `$2` how many at most.
macro_rules! revoke {
    ($named:literal) => {
        concat!(
            "UPDATE console_token SET revoked = 1, version = version + 1 WHERE hash IN
                (SELECT hash FROM console_token WHERE ",
            $named,
            " AND revoked = 0 LIMIT $2) AND revoked = 0"
        )
    };
}

/// Hashes are in hexadecimal digits, which every collation sorts as their bytes, and before `g`.
const WITH_FINGERPRINT: &str = "SELECT hash FROM console_token WHERE hash >= $1 AND hash < $1 || 'g'";

/// How many tokens are revoked at once.
const BATCH: i64 = 1000;

const LOAD_SEATS: &str = "SELECT seats FROM console_seats WHERE console = $1";

/// For a console without leases so far; `$4` is empty.
const FIRST_SEATS: &str = "INSERT INTO console_seats (console, seats, ends) VALUES ($1, $2, $3)
    ON CONFLICT (console) DO UPDATE SET seats = excluded.seats, ends = excluded.ends
    WHERE console_seats.seats = $4";

const SWAP_SEATS: &str = "UPDATE console_seats SET seats = $2, ends = $3 WHERE console = $1 AND seats = $4";

const SWEEP_SEATS: &str = "DELETE FROM console_seats WHERE console IN
    (SELECT console FROM console_seats WHERE ends <= $1 LIMIT $2) AND ends <= $1";

/// A store in SQL: [SQLite](https://sqlite.org) in the process, or [PostgreSQL](https://www.postgresql.org) for
/// many gateways.
///
/// A redeem is one `UPDATE` that holds all conditions; so is a claim, unless another session of the
/// token is open. All other transitions read the record, and write it if it has not changed: two ways to the
/// engine, more if others get ahead.
///
/// ```
/// use std::num::NonZeroU32;
///
/// use console_token::{
///     AttemptId, ConsoleType, VerifyContext, Grant, Pepper, Refusal, Secret, SqlStore, Transition, Store, StoreError, Target,
///     UnixSeconds,
/// };
///
/// # async fn example(file: &str) -> Result<(), Box<dyn std::error::Error>> {
/// let store = SqlStore::connect(&format!("sqlite://{file}?mode=rwc"), NonZeroU32::new(4).unwrap()).await?;
/// // For many gateways: SqlStore::connect("postgres://gateway:password@db.example/consoles", connections)
///
/// let pepper = Pepper::new(b"32 or more bytes of configuration")?;
/// let (token, now) = (Secret::base64url(&[0x5a; 32]), UnixSeconds(1_800_000_000));
/// let target = Target::Unix { path: "/run/console.sock".into() };
/// store.insert(&pepper.hash(&token), &Grant::new(target, ConsoleType::NoVnc, now, 600)).await?;
///
/// let presented = pepper.hash(&Secret::presented(token.expose().as_bytes())?);
/// store.apply(&presented, VerifyContext::at(now), Transition::Redeem(AttemptId([1; 16]))).await?;
/// let second = store.apply(&presented, VerifyContext::at(now), Transition::Redeem(AttemptId([2; 16]))).await;
/// assert!(matches!(second, Err(StoreError::Refused(Refusal::Spent))));
/// # store.close().await;
/// # Ok(())
/// # }
/// # let file = std::env::temp_dir().join(format!("console-token-doc-{}.db", std::process::id()));
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(example(file.to_str().unwrap())).unwrap();
/// # std::fs::remove_file(file).unwrap();
/// ```
///
/// # What the engine must do
///
/// - **Keep what it has confirmed.** PostgreSQL: `fsync` and `synchronous_commit` on (both are the default);
///   with a standby that may take over, name it in `synchronous_standby_names`. SQLite: `connect` sets
///   `synchronous = FULL` and `journal_mode = WAL`. Otherwise tokens that were spent just before a
///   crash can be used again.
/// - PostgreSQL: **`READ COMMITTED`**, the default isolation. Under a stricter one no token is spent twice either,
///   but the losers of a race get [`StoreError::Backend`](crate::StoreError::Backend) and have to ask again.
/// - SQLite: a file on a local disk, not in memory, where each connection would have tables of its own.
///
/// Times are the caller's; the clock of the database is not read. Nothing expires by itself: call
/// [`sweep`](crate::Store::sweep), from one gateway or from all.
///
/// # Connections
///
/// They come from a pool. One that breaks is made anew; the call that was on it gets
/// [`StoreError::Backend`](crate::StoreError::Backend) and is asked again by the caller. A call waits for a
/// connection for 10 seconds at most. For TLS to PostgreSQL switch on a TLS feature of the
/// crate `sqlx` in your own `Cargo.toml`, as `sqlx = { version = "0.9", default-features = false, features =
/// ["tls-rustls-ring"] }`, and ask for it: `?sslmode=verify-full`.
///
/// # Schema
///
/// The tables `console_token`, `console_seats`, `console_notes`, `console_note_version` and `console_schema`, the last of which holds the version. They are
/// made, and brought up to date, by [`connect`](Self::connect), in one transaction; gateways that start at the
/// same moment wait for each other.
pub struct SqlStore {
    pool: AnyPool,
}

impl SqlStore {
    /// Connects to `sqlite:///var/lib/gateway/tokens.db?mode=rwc` or `postgres://user:password@host/database`, and
    /// brings the schema up to date. The pool has at most so many `connections`. For a server that is just
    /// starting, and for a file that is locked, it waits for at most 10 seconds. What an address of PostgreSQL leaves
    /// out `sqlx` takes from the environment, as `psql` does (`PGPASSWORD`, `PGSSLMODE` and others).
    ///
    /// A file of SQLite that is made (`mode=rwc`) can be read and written by its owner only (mode 0600): it has hashes,
    /// targets and names in it. SQLite gives its journals the same mode. A file that exists keeps its mode.
    ///
    /// # Errors
    ///
    /// Those of the database, as soon as they are known: the address is none, the file cannot be used, the password is
    /// wrong; there is no server, after the 10 seconds; and that the schema is newer than this version knows.
    pub async fn connect(url: &str, connections: NonZeroU32) -> Result<Self, BackendError> {
        let pool = open::pool(url, connections).await?;
        Ok(Self { pool })
    }

    /// Waits for open calls and closes the connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Runs a statement; how many rows it has changed.
    async fn change(&self, statement: Query) -> Result<usize, BackendError> {
        let done = statement.execute(&self.pool).await.map_err(BackendError::new)?;
        Ok(usize::try_from(done.rows_affected()).unwrap_or(usize::MAX))
    }
}

/// A moment in a column: one past the last is the last, at which every token has expired.
fn moment(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

/// The sum of a moment before this and of a limit that is capped to leave room for it does not overflow.
const FAR: i64 = i64::MAX / 4;

fn one_row(done: &AnyQueryResult) -> bool {
    done.rows_affected() == 1
}

fn number<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T, BackendError> {
    let number: i64 = row.try_get(column).map_err(BackendError::new)?;
    T::try_from(number).map_err(|_| BackendError::new(format!("{column}: {number} is out of range")))
}

fn text(row: &AnyRow, column: &str) -> Result<String, BackendError> {
    row.try_get(column).map_err(BackendError::new)
}

type Query = query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>;

/// Binds `$1` to `$10`, which are the same for [`CREATE`] and [`SWAP`].
fn write(statement: &'static str, hash: &TokenHash, version: Version, record: &Record) -> Result<Query, BackendError> {
    let row = Row::of(record)?;
    let next_session = i64::try_from(row.next_session).map_err(BackendError::new)?;
    Ok(query(statement)
        .bind(row::hex(hash.as_bytes()))
        .bind(version)
        .bind(row.grant)
        .bind(i64::from(row.revoked))
        .bind(i64::from(row.spent))
        .bind(next_session)
        .bind(row.attempts)
        .bind(row.sessions)
        .bind(moment(Terms::of(record).busy_until))
        .bind(row.replaced))
}

fn create(hash: &TokenHash, record: &Record) -> Result<Query, BackendError> {
    let terms = Terms::of(record);
    let grant = record.grant();
    let owned = |name: &Option<Box<str>>| name.as_deref().map(String::from);
    let limit = grant.session_limit.map_or(i64::MAX, moment);
    let end = grant.session_end.map_or(i64::MAX, |end| moment(end.0));
    Ok(write(CREATE, hash, 1, record)?
        .bind(terms.scope)
        .bind(terms.audience)
        .bind(moment(terms.opens))
        .bind(moment(terms.lapses))
        .bind(terms.uses)
        .bind(limit.min(i64::MAX - FAR))
        .bind(end)
        .bind(owned(&grant.vm))
        .bind(owned(&grant.user))
        .bind(owned(&grant.issuer)))
}

impl Engine for SqlStore {
    async fn spend(
        &self,
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        scope: Scope,
        attempt: AttemptId,
    ) -> Result<Option<Admitted>, BackendError> {
        let statement = if scope == Scope::SpiceSession { CLAIM } else { REDEEM };
        let now = moment(context.now.0);
        if FAR <= now {
            return Ok(None);
        }
        let room = i64::try_from(ROOM_FOR_ATTEMPT).unwrap_or(0);
        let mut spend = query(statement)
            .bind(row::hex(hash.as_bytes()))
            .bind(row::scope(scope))
            .bind(row::audience(context.audience))
            .bind(now)
            .bind(row::hex(&attempt.0))
            .bind(room);
        if scope == Scope::SpiceSession {
            let over = context.lease.map_or(u64::MAX, |(_, until)| until.0);
            spend = spend.bind(row::claimed(context)).bind(moment(over));
        }
        let Some(row) = spend.fetch_optional(&self.pool).await.map_err(BackendError::new)? else {
            return Ok(None);
        };
        Ok(Some(Admitted {
            session: SessionId::new(number(&row, "session")?),
            grant: Row::grant(&text(&row, "terms")?)?,
            replaced_by: None,
        }))
    }

    async fn load(&self, hash: &TokenHash) -> Result<Option<(Record, Version)>, BackendError> {
        let load = query(LOAD).bind(row::hex(hash.as_bytes()));
        let Some(row) = load.fetch_optional(&self.pool).await.map_err(BackendError::new)? else {
            return Ok(None);
        };
        let record = Row {
            grant: text(&row, "terms")?,
            revoked: number::<i64>(&row, "revoked")? != 0,
            spent: number(&row, "spent")?,
            next_session: number(&row, "next_session")?,
            attempts: text(&row, "attempts")?,
            sessions: text(&row, "sessions")?,
            replaced: text(&row, "replaced")?,
        };
        Ok(Some((record.record()?, number(&row, "version")?)))
    }

    async fn create(&self, hash: &TokenHash, record: &Record) -> Result<bool, BackendError> {
        Ok(self.change(create(hash, record)?).await? == 1)
    }

    async fn swap(&self, hash: &TokenHash, version: Version, record: &Record) -> Result<bool, BackendError> {
        Ok(self.change(write(SWAP, hash, version, record)?).await? == 1)
    }

    async fn swap_and_create(
        &self,
        (hash, version, record): (&TokenHash, Version, &Record),
        (new, new_record): (&TokenHash, &Record),
    ) -> Result<bool, BackendError> {
        let (swap, create) = (write(SWAP, hash, version, record)?, create(new, new_record)?);
        let done = async {
            // What is dropped without a commit is rolled back.
            let mut transaction = self.pool.begin().await?;
            if one_row(&swap.execute(&mut *transaction).await?) && one_row(&create.execute(&mut *transaction).await?) {
                transaction.commit().await?;
                return Ok(true);
            }
            Ok(false)
        };
        done.await.map_err(|error: sqlx::Error| BackendError::new(error))
    }

    async fn named(&self, selector: TokenSelector<'_>) -> Result<Vec<TokenHash>, BackendError> {
        let (statement, name) = match selector {
            TokenSelector::Token(hash) => return Ok(Vec::from([*hash])),
            TokenSelector::Fingerprint(fingerprint) => (WITH_FINGERPRINT, row::hex(fingerprint.as_bytes())),
            TokenSelector::Vm(name) => ("SELECT hash FROM console_token WHERE vm = $1", name.into()),
            TokenSelector::User(name) => ("SELECT hash FROM console_token WHERE owner = $1", name.into()),
            TokenSelector::Issuer(name) => ("SELECT hash FROM console_token WHERE issuer = $1", name.into()),
        };
        let rows = query(statement).bind(name).fetch_all(&self.pool).await;
        let rows = rows.map_err(BackendError::new)?;
        rows.iter().map(|row| row::hash(&text(row, "hash")?)).collect()
    }

    async fn revoke(&self, selector: TokenSelector<'_>) -> Result<usize, BackendError> {
        let (statement, name) = match selector {
            TokenSelector::Token(hash) => (revoke!("hash = $1"), row::hex(hash.as_bytes())),
            TokenSelector::Fingerprint(fingerprint) => (
                revoke!("hash >= $1 AND hash < $1 || 'g'"),
                row::hex(fingerprint.as_bytes()),
            ),
            TokenSelector::Vm(name) => (revoke!("vm = $1"), name.into()),
            TokenSelector::User(name) => (revoke!("owner = $1"), name.into()),
            TokenSelector::Issuer(name) => (revoke!("issuer = $1"), name.into()),
        };
        let mut revoked = 0_usize;
        loop {
            let batch = self.change(query(statement).bind(name.clone()).bind(BATCH)).await?;
            if batch == 0 {
                return Ok(revoked);
            }
            revoked = revoked.saturating_add(batch);
        }
    }

    async fn sweep(&self, now: UnixSeconds, limit: NonZeroU32) -> Result<usize, BackendError> {
        // What stands in a column as the last moment there is may lapse later, and so may the sum of a moment and of no
        // limit, which is capped.
        let now = moment(now.0).min(i64::MAX - FAR - 1);
        let mut swept = self.sweep_notes(now, limit).await?;
        for statement in [SWEEP, SWEEP_SEATS] {
            let batch = query(statement).bind(now).bind(i64::from(limit.get()));
            swept = swept.saturating_add(self.change(batch).await?);
        }
        Ok(swept)
    }

    async fn load_leases(&self, console: &str) -> Result<Leases, BackendError> {
        let load = query(LOAD_SEATS).bind(String::from(console));
        match load.fetch_optional(&self.pool).await.map_err(BackendError::new)? {
            None => Ok(Leases::default()),
            Some(row) => row::leases(&text(&row, "seats")?),
        }
    }

    async fn swap_leases(&self, console: &str, before: &Leases, leases: &Leases) -> Result<bool, BackendError> {
        let is_new = before.holders().next().is_none();
        let swap = query(if is_new { FIRST_SEATS } else { SWAP_SEATS })
            .bind(String::from(console))
            .bind(row::leases_text(leases))
            .bind(moment(row::leases_end(leases)))
            .bind(row::leases_text(before));
        Ok(self.change(swap).await? == 1)
    }

    async fn load_note(&self, name: &str, now: UnixSeconds) -> Result<Option<Note>, BackendError> {
        self.read_note(name, now).await
    }

    async fn load_notes(&self, prefix: &str, now: UnixSeconds) -> Result<Vec<(Box<str>, Note)>, BackendError> {
        self.list_notes(prefix, now).await
    }

    async fn swap_note(&self, name: &str, now: UnixSeconds, change: &NoteChange<'_>) -> Result<bool, BackendError> {
        self.write_note(name, now, change).await
    }
}

store_of_engine!(SqlStore);

impl fmt::Debug for SqlStore {
    /// Not the address, which holds a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").finish_non_exhaustive()
    }
}
