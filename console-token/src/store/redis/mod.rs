//! Records in Redis, for many gateways.

mod notes;
mod scripts;

use alloc::{boxed::Box, collections::BTreeSet, format, string::String, sync::Arc, vec::Vec};
use core::{fmt, num::NonZeroU32, time::Duration};

use ::redis::{
    Client, FromRedisValue, ScriptInvocation, Value,
    aio::{ConnectionManager, ConnectionManagerConfig},
    cmd,
};

use self::scripts::Scripts;
use super::{
    Answer,
    engine::{self, Engine, Version, store_of_engine},
    row::{self, ROOM_FOR_ATTEMPT, Row, Terms},
};
use crate::{
    Admitted, AttemptId, BackendError, Grant, Leases, Note, NoteChange, Record, Scope, SessionId, TokenHash,
    TokenSelector, Transition, UnixSeconds, VerifyContext,
};

/// How many members of a set are asked for at once.
const PAGE: usize = 1000;

/// How often a connection is tried again.
const RETRIES: usize = 3;

/// For one try to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// For one answer.
const RESPONSE: Duration = Duration::from_secs(10);

/// A store in [Redis](https://redis.io) 4 or later, for many gateways.
///
/// A redeem is one script that holds all conditions; so is a claim, unless another session of the
/// token is open. All other transitions read the record, and write it if it has not changed: two ways to the
/// server, more if others get ahead. Scripts are sent by their digest, and once in full.
///
/// ```no_run
/// use console_token::{AttemptId, VerifyContext, RedisStore, Transition, Store, TokenHash, UnixSeconds};
///
/// # async fn gateway(hash: TokenHash, random: [u8; 16], now: u64) -> Result<(), Box<dyn std::error::Error>> {
/// let store = RedisStore::connect("redis://:password@redis.example:6379/0", RedisStore::PREFIX).await?;
/// let admitted = store.apply(&hash, VerifyContext::at(UnixSeconds(now)), Transition::Redeem(AttemptId(random))).await?;
/// println!("the console is at {:?}", admitted.grant.target);
/// # Ok(())
/// # }
/// ```
///
/// # What the server must do
///
/// - **Keep what it has confirmed**: `appendonly yes` and `appendfsync always`. With `everysec`, a machine
///   that loses its power forgets the last second, and tokens that were spent in it can be used again.
/// - **Throw nothing away**: `maxmemory-policy noeviction`. A token that is evicted is unknown from then on.
/// - **One master.** Replicas follow it later, so after a fail-over to one the last tokens may be unspent
///   again, or unknown. Where that must not be, take PostgreSQL with a synchronous standby.
///
/// Times are the caller's; the clock of the server is not read, and no key expires by itself: call
/// [`sweep`](crate::Store::sweep), from one gateway or from all.
///
/// # Connections
///
/// One connection carries all calls. One that breaks is made anew; the calls that were on it get
/// [`StoreError::Backend`](crate::StoreError::Backend) and are asked again by the caller. A call waits for an
/// answer for 10 seconds at most. For `rediss://` (TLS) switch on a TLS feature of the crate
/// `redis` in your own `Cargo.toml`, as `redis = { version = "1", features = ["tokio-rustls-comp"] }`.
///
/// # Keys
///
/// All begin with one prefix, so that stores can share a server; in the default it is a hash tag (`{..}`), which
/// puts them on one node of a cluster (scripts touch several keys). Connect to that node: redirections are
/// not followed.
pub struct RedisStore {
    connection: ConnectionManager,
    prefix: String,
    scripts: Scripts,
}

impl RedisStore {
    /// The prefix of the keys unless another is chosen.
    pub const PREFIX: &str = "{console-token}:";

    /// Connects to `redis://:password@host:6379/0`; waits 5 seconds for each of a few tries. `prefix` is that of
    /// all keys, [`PREFIX`](Self::PREFIX) for instance.
    ///
    /// # Errors
    ///
    /// Those of the client: the address is none, there is no server, the password is wrong.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, BackendError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(RETRIES)
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(RESPONSE));
        let client = Client::open(url).map_err(BackendError::new)?;
        let connection = ConnectionManager::new_with_config(client, config).await;
        Ok(Self {
            connection: connection.map_err(BackendError::new)?,
            prefix: prefix.into(),
            scripts: Scripts::new(),
        })
    }

    fn key(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}{name}", self.prefix)
    }

    fn token(&self, hash: &TokenHash) -> String {
        self.key("token:", &row::hex(hash.as_bytes()))
    }

    /// When each token can be over: a set sorted by that.
    fn ends(&self) -> String {
        self.key("ends", "")
    }

    /// The hashes of all tokens, sorted by bytes: a fingerprint is the beginning of one.
    fn hashes(&self) -> String {
        self.key("hashes", "")
    }

    fn lease_ends(&self) -> String {
        self.key("seat-ends", "")
    }

    /// The tokens of a name.
    fn index(&self, kind: &str, name: &str) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    /// The sets of tokens that this one belongs to.
    fn indexes(&self, grant: &Grant) -> impl Iterator<Item = String> {
        names(grant).map(|(kind, name)| self.index(kind, name))
    }

    /// Some of the tokens of a name, and where to go on; from 0 to 0.
    async fn members(&self, selector: &TokenSelector<'_>, cursor: u64) -> Result<(u64, Vec<String>), BackendError> {
        let index = match *selector {
            TokenSelector::Token(hash) => return Ok((0, Vec::from([row::hex(hash.as_bytes())]))),
            TokenSelector::Fingerprint(fingerprint) => {
                let digits = row::hex(fingerprint.as_bytes());
                let mut range = cmd("ZRANGEBYLEX");
                range
                    .arg(self.hashes())
                    .arg(format!("[{digits}"))
                    .arg(format!("({digits}g"));
                return Ok((0, self.ask(&range).await?));
            }
            TokenSelector::Vm(name) => self.index("vm", name),
            TokenSelector::User(name) => self.index("user", name),
            TokenSelector::Issuer(name) => self.index("issuer", name),
        };
        self.ask(cmd("SSCAN").arg(index).arg(cursor).arg("COUNT").arg(PAGE))
            .await
    }

    async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, BackendError> {
        script
            .invoke_async(&mut self.connection.clone())
            .await
            .map_err(BackendError::new)
    }

    async fn ask<T: FromRedisValue>(&self, command: &::redis::Cmd) -> Result<T, BackendError> {
        command
            .query_async(&mut self.connection.clone())
            .await
            .map_err(BackendError::new)
    }
}

/// The names by which the token is found.
fn names(grant: &Grant) -> impl Iterator<Item = (&'static str, &str)> {
    let names = [("vm", &grant.vm), ("user", &grant.user), ("issuer", &grant.issuer)];
    names
        .into_iter()
        .filter_map(|(kind, name)| name.as_deref().map(|name| (kind, name)))
}

/// A moment that scripts compare as text.
fn moment(at: u64) -> String {
    format!("{at:020}")
}

/// The last moment at which scores, which are floating-point numbers, are exact.
const EXACT: u64 = 1 << 52;

/// The score of a moment; that of one past `EXACT` may be another such.
fn score(at: u64) -> String {
    if at == u64::MAX { "+inf".into() } else { format!("{at}") }
}

fn end(record: &Record) -> String {
    let terms = Terms::of(record);
    score(terms.lapses.max(terms.busy_until))
}

type Fields = Vec<(&'static str, String)>;

/// What changes.
fn state(record: &Record) -> Result<Fields, BackendError> {
    let row = Row::of(record)?;
    Ok(Vec::from([
        ("terms", row.grant),
        ("revoked", String::from(if row.revoked { "1" } else { "0" })),
        ("spent", format!("{}", row.spent)),
        ("next_session", format!("{}", row.next_session)),
        ("attempts", row.attempts),
        ("sessions", row.sessions),
        ("replaced", row.replaced),
    ]))
}

/// And what the script decides by.
fn whole(record: &Record) -> Result<Fields, BackendError> {
    let (terms, grant) = (Terms::of(record), record.grant());
    let perhaps = |seconds: Option<u64>| seconds.map_or_else(String::new, |seconds| format!("{seconds}"));
    let mut fields = state(record)?;
    fields.extend([
        ("version", String::from("1")),
        ("scope", terms.scope.into()),
        ("audience", terms.audience),
        ("opens", moment(terms.opens)),
        ("lapses", moment(terms.lapses)),
        ("uses", format!("{}", terms.uses)),
        ("session_limit", perhaps(grant.session_limit)),
        ("session_end", perhaps(grant.session_end.map(|end| end.0))),
    ]);
    fields.extend(names(grant).map(|(kind, name)| (kind, String::from(name))));
    Ok(fields)
}

fn bind(script: &mut ScriptInvocation<'_>, fields: &Fields) {
    for (field, value) in fields {
        script.arg(field).arg(value);
    }
}

fn damaged() -> BackendError {
    BackendError::new("what Redis keeps is no record")
}

impl Engine for RedisStore {
    async fn spend(
        &self,
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        scope: Scope,
        attempt: AttemptId,
    ) -> Result<Option<Admitted>, BackendError> {
        let session = match scope {
            Scope::SpiceSession => row::claimed(context),
            _ => String::new(),
        };
        let over = context.lease.map_or_else(String::new, |(_, until)| moment(until.0));
        let mut script = self.scripts.spend.prepare_invoke();
        script.key(self.token(hash)).key(self.ends());
        script
            .arg(row::scope(scope))
            .arg(row::audience(context.audience))
            .arg(moment(context.now.0));
        script
            .arg(row::hex(&attempt.0))
            .arg(ROOM_FOR_ATTEMPT)
            .arg(session)
            .arg(row::hex(hash.as_bytes()))
            .arg(over);
        let Some((session, terms)) = self.run::<Option<(u64, String)>>(&script).await? else {
            return Ok(None);
        };
        Ok(Some(Admitted {
            session: SessionId::new(session),
            grant: Row::grant(&terms)?,
            replaced_by: None,
        }))
    }

    async fn load(&self, hash: &TokenHash) -> Result<Option<(Record, Version)>, BackendError> {
        let mut load = cmd("HMGET");
        load.arg(self.token(hash));
        load.arg(&[
            "version",
            "terms",
            "revoked",
            "spent",
            "next_session",
            "attempts",
            "sessions",
            "replaced",
        ]);
        let fields: Vec<Value> = self.ask(&load).await?;
        let [
            version,
            terms,
            revoked,
            spent,
            next_session,
            attempts,
            sessions,
            replaced,
        ] = <[Value; 8]>::try_from(fields).map_err(|_| damaged())?;
        if version == Value::Nil {
            return Ok(None);
        }
        fn read<T: FromRedisValue>(value: Value) -> Result<T, BackendError> {
            T::from_redis_value(value).map_err(BackendError::new)
        }
        let record = Row {
            grant: read(terms)?,
            revoked: read::<u8>(revoked)? != 0,
            spent: read(spent)?,
            next_session: read(next_session)?,
            attempts: read(attempts)?,
            sessions: read(sessions)?,
            replaced: read::<Option<String>>(replaced)?.unwrap_or_default(),
        };
        Ok(Some((record.record()?, read(version)?)))
    }

    async fn create(&self, hash: &TokenHash, record: &Record) -> Result<bool, BackendError> {
        let mut script = self.scripts.create.prepare_invoke();
        script.key(self.ends()).key(self.hashes()).key(self.token(hash));
        for index in self.indexes(record.grant()) {
            script.key(index);
        }
        script.arg(row::hex(hash.as_bytes())).arg(end(record));
        bind(&mut script, &whole(record)?);
        self.run(&script).await
    }

    async fn swap(&self, hash: &TokenHash, version: Version, record: &Record) -> Result<bool, BackendError> {
        let mut script = self.scripts.swap.prepare_invoke();
        script.key(self.ends()).key(self.token(hash));
        script.arg(row::hex(hash.as_bytes())).arg(version).arg(end(record));
        bind(&mut script, &state(record)?);
        self.run(&script).await
    }

    async fn swap_and_create(
        &self,
        (hash, version, record): (&TokenHash, Version, &Record),
        (new, new_record): (&TokenHash, &Record),
    ) -> Result<bool, BackendError> {
        let mut script = self.scripts.exchange.prepare_invoke();
        script
            .key(self.ends())
            .key(self.hashes())
            .key(self.token(hash))
            .key(self.token(new));
        for index in self.indexes(new_record.grant()) {
            script.key(index);
        }
        let state = state(record)?;
        script
            .arg(row::hex(hash.as_bytes()))
            .arg(version)
            .arg(end(record))
            .arg(state.len().saturating_mul(2));
        bind(&mut script, &state);
        script.arg(row::hex(new.as_bytes())).arg(end(new_record));
        bind(&mut script, &whole(new_record)?);
        self.run(&script).await
    }

    async fn named(&self, selector: TokenSelector<'_>) -> Result<Vec<TokenHash>, BackendError> {
        // While the set changes its size the server may give a member twice.
        let mut named = BTreeSet::new();
        let mut cursor = 0;
        loop {
            let (next, members) = self.members(&selector, cursor).await?;
            named.extend(members);
            if next == 0 {
                return named.iter().map(|hash| row::hash(hash)).collect();
            }
            cursor = next;
        }
    }

    async fn revoke(&self, selector: TokenSelector<'_>) -> Result<usize, BackendError> {
        let (mut revoked, mut cursor) = (0_usize, 0);
        loop {
            let (next, members) = self.members(&selector, cursor).await?;
            if !members.is_empty() {
                let mut script = self.scripts.revoke.prepare_invoke();
                for hash in &members {
                    script.key(self.key("token:", hash));
                }
                revoked = revoked.saturating_add(self.run(&script).await?);
            }
            if next == 0 {
                return Ok(revoked);
            }
            cursor = next;
        }
    }

    async fn sweep(&self, now: UnixSeconds, limit: NonZeroU32) -> Result<usize, BackendError> {
        let now = now.0.min(EXACT);
        let mut swept = self.sweep_notes(now, limit.get()).await?;
        for (script, ends) in [
            (&self.scripts.sweep, self.ends()),
            (&self.scripts.sweep_seats, self.lease_ends()),
        ] {
            let mut script = script.prepare_invoke();
            script.key(ends).key(self.hashes());
            script.arg(&self.prefix).arg(now).arg(limit.get());
            swept = swept.saturating_add(self.run(&script).await?);
        }
        Ok(swept)
    }

    async fn load_leases(&self, console: &str) -> Result<Leases, BackendError> {
        let text: Option<String> = self.ask(cmd("GET").arg(self.key("console:", console))).await?;
        row::leases(&text.unwrap_or_default())
    }

    async fn swap_leases(&self, console: &str, before: &Leases, leases: &Leases) -> Result<bool, BackendError> {
        let mut script = self.scripts.swap_leases.prepare_invoke();
        script
            .key(self.lease_ends())
            .key(self.key("console:", console))
            .arg(console);
        script
            .arg(row::leases_text(before))
            .arg(row::leases_text(leases))
            .arg(score(row::leases_end(leases)));
        self.run(&script).await
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

store_of_engine!(RedisStore);

impl fmt::Debug for RedisStore {
    /// Not the address, which can hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
