//! A record as the engines keep it: the grant as JSON, and text that a statement or a script can extend.
//!
//! ```text
//! attempts   | 32 hexadecimal digits | = | number of the use, or 2^64 - 1 if it was given back | , |   and so on, oldest first
//! sessions   | number | : | claimed | : | connection id or 0 | : | migrating until, or nothing | : | reopened 0 or 1 | , |
//!            | and after the last, if it is suspended or held: | : | from | : | until |
//!            | and after that, if it was resumed: | : | 32 hexadecimal digits, the last attempt |
//! replaced   | nothing, or: 64 hexadecimal digits | : | kept until |
//! leases      | 32 hexadecimal digits | : | idle at, or nothing | : | hung at, or nothing | , |
//! ```
//!
//! Numbers are decimal.

#![cfg_attr(
    not(any(feature = "redis", feature = "sql")),
    allow(dead_code, reason = "engines use all of it, and fuzz targets what reads")
)]

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::{fmt::Write as _, num::NonZeroU32, str::FromStr};

use crate::{
    AttemptId, BackendError, Grant, Leases, MAX_ATTEMPTS, MAX_OPEN_SESSIONS, Record, Scope, SessionId, TokenHash,
    UnixSeconds, Uses, VerifyContext, hex,
    leases::Lease,
    session::{Attempt, Replaced, Session, Suspended},
};

/// Below this length of `attempts` there is room for one more: an entry has at least 35 characters.
pub(super) const ROOM_FOR_ATTEMPT: usize = (MAX_ATTEMPTS - 1) * 35;

/// What follows the number of a session that is claimed now.
pub(super) fn claimed(context: &VerifyContext<'_>) -> String {
    let held = context.lease.map(|(from, until)| format!(":{}:{}", from.0, until.0));
    format!(":{}:0::0{},", context.now.0, held.unwrap_or_default())
}

/// A record, in the form of columns.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) grant: String,
    pub(super) revoked: bool,
    pub(super) spent: u32,
    pub(super) next_session: u64,
    pub(super) attempts: String,
    pub(super) sessions: String,
    pub(super) replaced: String,
}

/// What a statement or a script decides by, so that it needs no look into the grant.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) scope: &'static str,
    /// `=` and the audience, or nothing. The `=` tells no audience from an empty one.
    pub(super) audience: String,
    pub(super) opens: u64,
    pub(super) lapses: u64,
    /// -1: unlimited.
    pub(super) uses: i64,
    /// When no session is open any more unless one is claimed, and the token leads to no other one: 0 if that is so now,
    /// `u64::MAX` if only a close ends it.
    pub(super) busy_until: u64,
}

impl Terms {
    pub(super) fn of(record: &Record) -> Self {
        let grant = record.grant();
        let (opens, lapses) = grant.window();
        let ends = record.sessions.iter().map(|session| session.ends(grant));
        Self {
            scope: scope(grant.scope),
            audience: audience(grant.audience.as_deref()),
            opens: opens.0,
            lapses: lapses.0,
            uses: match grant.uses {
                Uses::Unlimited => -1,
                Uses::Limited(uses) => i64::from(uses.get()),
            },
            busy_until: ends
                .map(|end| end.map_or(u64::MAX, |end| end.0))
                .chain(record.replaced.as_ref().map(|replaced| replaced.kept.0))
                .max()
                .unwrap_or(0),
        }
    }
}

pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Connection => "connection",
        Scope::SpiceSession => "spice",
        Scope::Exchange => "exchange",
    }
}

pub(super) fn audience(audience: Option<&str>) -> String {
    audience.map_or_else(String::new, |audience| format!("={audience}"))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

pub(super) fn hash(text: &str) -> Result<TokenHash, BackendError> {
    hex::decode(text).map(TokenHash::from_bytes).ok_or_else(damaged)
}

fn damaged() -> BackendError {
    BackendError::new("what the store kept cannot be read")
}

/// Reads entries that end in a comma.
fn entries<T>(text: &str, limit: usize, entry: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, BackendError> {
    let Some(text) = text.strip_suffix(',') else {
        return if text.is_empty() {
            Ok(Vec::new())
        } else {
            Err(damaged())
        };
    };
    let read: Option<Vec<T>> = text.split(',').take(limit.saturating_add(1)).map(entry).collect();
    read.filter(|read| read.len() <= limit).ok_or_else(damaged)
}

/// A number, or nothing.
#[expect(clippy::option_option, reason = "no number, and no such field")]
fn perhaps<T: FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() {
        return Some(None);
    }
    text.parse().ok().map(Some)
}

fn text_of(at: Option<UnixSeconds>) -> String {
    at.map_or_else(String::new, |at| format!("{}", at.0))
}

impl Row {
    pub(super) fn of(record: &Record) -> Result<Self, BackendError> {
        let mut attempts = String::new();
        for Attempt { id, session } in &record.attempts {
            let _ = write!(attempts, "{}={session},", hex(&id.0));
        }
        let mut sessions = String::new();
        for session in &record.sessions {
            let connection_id = session.connection_id.map_or(0, NonZeroU32::get);
            let (id, claimed, reopened) = (session.id, session.claimed.0, u8::from(session.reopened));
            let migrating = text_of(session.migrating);
            let _ = write!(sessions, "{id}:{claimed}:{connection_id}:{migrating}:{reopened}");
            if let Some(Suspended { from, until }) = session.suspended {
                let _ = write!(sessions, ":{}:{}", from.0, until.0);
            }
            if let Some(attempt) = session.resumed {
                let _ = write!(sessions, ":{}", hex(&attempt.0));
            }
            sessions.push(',');
        }
        Ok(Self {
            grant: serde_json::to_string(&**record.grant()).map_err(BackendError::new)?,
            revoked: record.revoked,
            spent: record.spent,
            next_session: record.next_session,
            attempts,
            sessions,
            replaced: record.replaced.as_ref().map_or_else(String::new, |replaced| {
                format!("{}:{}", hex(replaced.by.as_bytes()), replaced.kept.0)
            }),
        })
    }

    pub(super) fn grant(text: &str) -> Result<Arc<Grant>, BackendError> {
        serde_json::from_str(text).map(Arc::new).map_err(BackendError::new)
    }

    pub(super) fn record(&self) -> Result<Record, BackendError> {
        let mut record = Record::from_shared(Self::grant(&self.grant)?);
        let attempt = |text: &str| {
            let (id, session) = text.split_once('=')?;
            Some(Attempt {
                id: AttemptId(hex::decode(id)?),
                session: SessionId::new(session.parse().ok()?),
            })
        };
        record.revoked = self.revoked;
        record.spent = self.spent;
        record.next_session = self.next_session;
        record.attempts = entries(&self.attempts, MAX_ATTEMPTS, attempt)?.into();
        record.sessions = entries(&self.sessions, MAX_OPEN_SESSIONS.get().into(), session)?;
        record.replaced = replaced(&self.replaced)?.map(Box::new);
        Ok(record)
    }
}

fn replaced(text: &str) -> Result<Option<Replaced>, BackendError> {
    if text.is_empty() {
        return Ok(None);
    }
    let (by, kept) = text.split_once(':').ok_or_else(damaged)?;
    let kept = UnixSeconds(kept.parse().map_err(|_| damaged())?);
    Ok(Some(Replaced { by: hash(by)?, kept }))
}

fn session(text: &str) -> Option<Session> {
    let mut fields = text.split(':');
    let mut session = Session {
        id: SessionId::new(fields.next()?.parse().ok()?),
        claimed: UnixSeconds(fields.next()?.parse().ok()?),
        connection_id: NonZeroU32::new(fields.next()?.parse().ok()?),
        migrating: perhaps(fields.next()?)?.map(UnixSeconds),
        reopened: match fields.next()? {
            "0" => false,
            "1" => true,
            _ => return None,
        },
        suspended: None,
        resumed: None,
    };
    let moment = |text: &str| text.parse().ok().map(UnixSeconds);
    let (suspended, resumed) = match fields.collect::<Vec<_>>()[..] {
        [] => (None, None),
        [resumed] => (None, Some(resumed)),
        [from, until] => (Some((from, until)), None),
        [from, until, resumed] => (Some((from, until)), Some(resumed)),
        _ => return None,
    };
    if let Some((from, until)) = suspended {
        session.suspended = Some(Suspended {
            from: moment(from)?,
            until: moment(until)?,
        });
    }
    if let Some(resumed) = resumed {
        session.resumed = Some(AttemptId(hex::decode(resumed)?));
    }
    Some(session)
}

pub(super) fn leases_text(leases: &Leases) -> String {
    leases.taken.iter().fold(String::new(), |mut text, lease| {
        let (idle, hung) = (text_of(lease.idle_at), text_of(lease.hung_at));
        let _ = write!(text, "{}:{idle}:{hung},", hex(&lease.holder.0));
        text
    })
}

pub(super) fn leases(text: &str) -> Result<Leases, BackendError> {
    let lease = |text: &str| {
        let mut fields = text.split(':');
        let lease = Lease {
            holder: AttemptId(hex::decode(fields.next()?)?),
            idle_at: perhaps(fields.next()?)?.map(UnixSeconds),
            hung_at: perhaps(fields.next()?)?.map(UnixSeconds),
        };
        fields.next().is_none().then_some(lease)
    };
    Ok(Leases {
        taken: entries(text, u16::MAX.into(), lease)?,
    })
}

/// When the last lease is lost; `u64::MAX` if only leaving ends it.
pub(super) fn leases_end(leases: &Leases) -> u64 {
    let ends = leases
        .taken
        .iter()
        .map(|lease| lease.lost_at().map_or(u64::MAX, |at| at.0));
    ends.max().unwrap_or(0)
}
