//! Which gateway has a session, where several share a store: notes in the store.
//!
//! | Note | Value | There |
//! |---|---|---|
//! | `spice/at/TOKEN/SESSION` | the gateway that has this session; TOKEN is a hash, one note for each that opens it | from bind to the end |
//! | `spice/id/ID/GATEWAY` | the gateway has sessions with this `connection_id` | as long as it has |
//! | `spice/switch/TOKEN/SESSION` | the gateway has this session, whose viewer comes again as for a new one | from the switch to its return |
//!
//! A gateway that was killed leaves its notes behind until they are over. They lead to an address that does not answer, as a
//! hypervisor that is not reached, and the next gateway that has the session writes them anew.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use spice_proto::caps::Capabilities;
use spice_proto::link::LinkMess;
use spice_proto::session::SessionKey;
use tokio::time::Instant;

use super::TokenSessions;
use super::books::{Noted, Open};
use crate::gate::lock;
use crate::{BackendError, NoteChange, SessionId, StoreError, TokenHash, UnixSeconds};

/// Seconds for which a note is there.
const KEPT: u64 = 3600;
/// Seconds after which it is written anew.
const RENEWED: u64 = KEPT / 2;
/// Seconds for which a viewer that is sent to another host may take to come again.
const SWITCH: u64 = 30;
/// Gateways that are asked what they announce, for one connection.
const INQUIRIES: usize = 4;
/// For how long an answer is good, and how many are kept: links of strangers with the number of a session must not cost a
/// connection to its gateway each.
const HEARD: Duration = Duration::from_secs(1);
const HEARD_MAX: usize = 4096;

/// The kinds of notes about one session.
#[derive(Debug, Clone, Copy)]
enum Kind {
    At,
    Switch,
}

fn of_token(kind: Kind, hash: &TokenHash) -> String {
    let kind = match kind {
        Kind::At => "at",
        Kind::Switch => "switch",
    };
    let mut name = format!("spice/{kind}/");
    for byte in hash.as_bytes() {
        name.push_str(&format!("{byte:02x}"));
    }
    name.push('/');
    name
}

fn of_session(kind: Kind, hash: &TokenHash, session: SessionId) -> String {
    format!("{}{session}", of_token(kind, hash))
}

fn of_id(connection_id: u32) -> String {
    format!("spice/id/{connection_id}/")
}

impl TokenSessions {
    /// Our name for the other gateways, if there are any.
    fn own(&self) -> Option<&str> {
        self.settings.gateway.as_deref()
    }

    /// What a note names, unless that is us.
    fn other(&self, value: &[u8]) -> Option<Box<str>> {
        let name = core::str::from_utf8(value).ok()?;
        (self.own()? != name).then(|| name.into())
    }

    /// Tells the other gateways that a session is here. To be done before its viewer learns its number. Where the store fails,
    /// the note is written the next time that sessions are attended to.
    pub(super) async fn publish(&self, key: SessionKey) {
        let Some(own) = self.own() else { return };
        let open = self.lock().get(&key).cloned();
        let Some((open, (hash, session))) = open.and_then(|open| Some((open.clone(), open.session()?))) else {
            return;
        };
        let Some(id) = open.connection_id else { return };
        let now = self.gate.now();
        let until = now.saturating_add(KEPT);
        let written = NoteChange::write(own.as_bytes(), until);
        let mut done = self.gate.set_note(&format!("{}{own}", of_id(id.get())), written).await;
        for hash in core::iter::once(&hash).chain(&open.former) {
            if done.is_ok() {
                done = self.gate.set_note(&of_session(Kind::At, hash, session), written).await;
            }
        }
        if done.is_err() {
            return;
        }
        let noted = Noted {
            id,
            names: open.former.len(),
            since: now,
        };
        let before = self.lock().get_mut(&key).and_then(|open| open.noted.replace(noted));
        if let Some(before) = before.filter(|before| before.id != id) {
            self.forget_id(before.id).await;
        }
    }

    /// Writes anew what has changed, or is over soon.
    pub(super) async fn publish_due(&self) {
        if self.own().is_none() {
            return;
        }
        let now = self.gate.now();
        let due: Vec<SessionKey> = {
            let open = self.lock();
            let due = open.iter().filter(|(_, open)| open.is_unnoted(now));
            due.map(|(key, _)| *key).collect()
        };
        for key in due {
            self.publish(key).await;
        }
    }

    /// A session is over: the others need not look for it here.
    pub(super) async fn withdraw(&self, over: &Open) {
        let (Some(noted), Some((hash, session))) = (&over.noted, over.session()) else {
            return;
        };
        for hash in core::iter::once(&hash).chain(&over.former) {
            self.forget(&of_session(Kind::At, hash, session), || true).await;
        }
        self.forget_id(noted.id).await;
    }

    /// No session here has this number any more, unless another one has.
    async fn forget_id(&self, id: NonZeroU32) {
        let Some(own) = self.own() else { return };
        let is_unused = || !self.lock().values().any(|open| open.connection_id == Some(id));
        self.forget(&format!("{}{own}", of_id(id.get())), is_unused).await;
    }

    /// Removes a note of ours, if it still is, and is not needed. One that stays is over by itself.
    async fn forget(&self, name: &str, is_unused: impl Fn() -> bool) {
        let note = self.gate.note(name).await;
        let own = |value: &[u8]| self.own().is_some_and(|own| own.as_bytes() == value);
        if let Ok(Some(note)) = note
            && own(&note.value)
            && is_unused()
        {
            // Another gateway may write it meanwhile.
            let _ = self
                .gate
                .set_note(name, NoteChange::remove().expecting(note.version))
                .await;
        }
    }

    /// The other gateway that has this session, by one of the names of its token.
    pub(super) async fn owner(
        &self,
        hashes: [&TokenHash; 2],
        session: SessionId,
    ) -> Result<Option<Box<str>>, StoreError<BackendError>> {
        if self.own().is_none() {
            return Ok(None);
        }
        let [one, other] = hashes;
        let names = [one].into_iter().chain((one != other).then_some(other));
        for hash in names {
            if let Some(note) = self.gate.note(&of_session(Kind::At, hash, session)).await? {
                return Ok(self.other(&note.value));
            }
        }
        Ok(None)
    }

    /// The other gateways that have sessions with this number; the first few.
    pub(super) async fn named_elsewhere(&self, connection_id: u32) -> Vec<Box<str>> {
        if self.own().is_none() || connection_id == 0 {
            return Vec::new();
        }
        // A store that fails has no sessions either, as the token is about to show.
        let notes = self.gate.notes(&of_id(connection_id)).await.unwrap_or_default();
        let others = notes.iter().filter_map(|(_, note)| self.other(&note.value));
        others.take(INQUIRIES).collect()
    }

    /// What another gateway has announced for such a channel, a moment ago.
    pub(super) fn heard(&self, gateway: &str, request: &LinkMess) -> Option<Capabilities> {
        let key = (gateway.into(), request.connection_id, request.channel_type);
        let heard = lock(&self.heard);
        let (since, announced) = heard.get(&key)?;
        (since.elapsed() < HEARD).then(|| announced.clone())
    }

    pub(super) fn hears(&self, gateway: Box<str>, request: &LinkMess, announced: &Capabilities) {
        let mut heard = lock(&self.heard);
        if HEARD_MAX <= heard.len() {
            heard.clear();
        }
        let key = (gateway, request.connection_id, request.channel_type);
        heard.insert(key, (Instant::now(), announced.clone()));
    }

    /// Tells the other gateways that the viewer of a session here comes again as for a new one. To be done before the viewer
    /// hears that it has to.
    pub(super) async fn publish_switch(&self, key: SessionKey) {
        let Some(own) = self.own() else { return };
        let written = NoteChange::write(own.as_bytes(), self.gate.now().saturating_add(SWITCH));
        for name in self.switch_names(key) {
            let _ = self.gate.set_note(&name, written).await;
        }
    }

    /// It has come again.
    pub(super) async fn withdraw_switch(&self, key: SessionKey) {
        for name in self.switch_names(key) {
            self.forget(&name, || true).await;
        }
    }

    fn switch_names(&self, key: SessionKey) -> Vec<String> {
        let open = self.lock();
        let named = open.get(&key).and_then(|open| Some((open, open.session()?)));
        let Some((open, (hash, session))) = named.filter(|_| self.own().is_some()) else {
            return Vec::new();
        };
        let hashes = core::iter::once(&hash).chain(&open.former);
        hashes.map(|hash| of_session(Kind::Switch, hash, session)).collect()
    }

    /// The other gateway that has a session of this token whose viewer comes again as for a new one.
    pub(super) async fn switched(&self, hash: &TokenHash) -> Result<Option<Box<str>>, StoreError<BackendError>> {
        if self.own().is_none() {
            return Ok(None);
        }
        let notes = self.gate.notes(&of_token(Kind::Switch, hash)).await?;
        Ok(notes.iter().find_map(|(_, note)| self.other(&note.value)))
    }
}

impl Open {
    /// Whether the other gateways do not know all of it, or not for much longer.
    fn is_unnoted(&self, now: UnixSeconds) -> bool {
        let Some(id) = self.connection_id else { return false };
        self.noted.as_ref().is_none_or(|noted| {
            let is_old = now < noted.since || noted.since.saturating_add(RENEWED) <= now;
            noted.id != id || noted.names != self.former.len() || is_old
        })
    }
}
