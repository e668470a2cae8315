//! The format of pixels in force, and those that are pending.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::pixel_format::PixelFormat;

/// Formats that a client may set before one of them is known to be in force.
const PENDING: usize = 4;

/// A format that the client has set.
#[derive(Debug, Clone, Copy)]
struct Pending {
    format: PixelFormat,
    /// Updates that may still come in an older format. `None`: any number of them.
    updates: Option<u32>,
    /// The answer to a fence with SyncNext in front of it.
    sync: Option<u64>,
    /// The answer to the first fence behind it.
    behind: Option<u64>,
}

/// Formats, and what tells which of them is in force.
#[derive(Debug, Clone)]
pub(super) struct Formats {
    current: PixelFormat,
    pending: [Option<Pending>; PENDING],
    /// Requests that the server may not have answered.
    requests: u32,
    /// The server sends updates without requests.
    continuous: bool,
    /// Fences of the client, and answers to them.
    fences: u64,
    answers: u64,
    /// The last message of the client was a fence with SyncNext.
    sync: bool,
}

impl Formats {
    pub(super) fn new(current: PixelFormat) -> Self {
        Self {
            current,
            pending: [None; PENDING],
            requests: 0,
            continuous: false,
            fences: 0,
            answers: 0,
            sync: false,
        }
    }

    pub(super) fn current(&self) -> &PixelFormat {
        &self.current
    }

    /// The one that was set last, if it is not known to be in force.
    pub(super) fn pending(&self) -> Option<&PixelFormat> {
        self.pending.iter().flatten().last().map(|pending| &pending.format)
    }

    /// Whether this size is another one in a pending format.
    pub(super) fn in_doubt(&self, size: impl Fn(&PixelFormat) -> u32) -> bool {
        let current = size(&self.current);
        let mut pending = self.pending.iter().flatten();
        pending.any(|pending| size(&pending.format) != current)
    }

    /// The format that was set last is in force.
    pub(super) fn switch(&mut self) {
        let last = self.pending.iter().rposition(Option::is_some);
        self.reach(last);
    }

    /// Those up to this one have been in force.
    fn reach(&mut self, index: Option<usize>) {
        let Some(reached) = index.and_then(|index| self.pending.get(..=index)?.last().copied().flatten()) else {
            return;
        };
        self.current = reached.format;
        let count = index.unwrap_or_default().saturating_add(1);
        self.pending.rotate_left(count);
        let left = PENDING.saturating_sub(count);
        self.pending.get_mut(left..).unwrap_or_default().fill(None);
    }

    /// The server sets the format itself, at once. What the client has set may follow.
    pub(super) fn set(&mut self, format: PixelFormat) {
        self.current = format;
    }

    /// The client has set a format. `amid`: an update is coming in.
    pub(super) fn client_set(&mut self, format: PixelFormat, amid: bool) -> Result<(), DecodeError> {
        let updates = self.requests.max(u32::from(amid));
        let pending = Pending {
            format,
            updates: (!self.continuous).then_some(updates),
            sync: self.sync.then_some(self.fences),
            behind: None,
        };
        let Some(place) = self.pending.iter_mut().find(|place| place.is_none()) else {
            return Err(DecodeError {
                message: "SetPixelFormat",
                field: "format",
                offset: 4,
                kind: DecodeErrorKind::TooLarge {
                    value: PENDING.saturating_add(1) as u64,
                    limit: PENDING as u64,
                },
            });
        };
        *place = Some(pending);
        self.resolve();
        Ok(())
    }

    /// Goes to the last format that no update can be older than.
    fn resolve(&mut self) {
        let known = |pending: &Option<Pending>| pending.is_some_and(|pending| pending.updates == Some(0));
        let index = self.pending.iter().rposition(known);
        self.reach(index);
    }

    /// So many requests for updates.
    pub(super) fn client_asked(&mut self, requests: u32) {
        self.requests = self.requests.saturating_add(requests);
    }

    pub(super) fn client_continues(&mut self, enable: bool) {
        // The number of updates that are on their way when it ends is not known; the server marks the end.
        self.continuous |= enable;
    }

    /// A fence that wants an answer.
    pub(super) fn client_fenced(&mut self) {
        self.fences = self.fences.saturating_add(1);
        for pending in self.pending.iter_mut().flatten() {
            pending.behind.get_or_insert(self.fences);
        }
    }

    /// Whether the last message of the client was a fence with SyncNext.
    pub(super) fn client_syncs(&mut self, sync: bool) {
        self.sync = sync;
    }

    /// An answer to a fence.
    pub(super) fn server_fenced(&mut self, sync_next: bool) {
        self.answers = self.answers.saturating_add(1);
        let answers = self.answers;
        let known = |pending: &Option<Pending>| {
            pending.is_some_and(|pending| {
                let synced = pending.sync == Some(answers) && sync_next;
                synced || pending.behind.is_some_and(|behind| behind <= answers)
            })
        };
        let index = self.pending.iter().rposition(known);
        self.reach(index);
    }

    /// The server sends no more updates without requests.
    pub(super) fn server_stopped(&mut self) {
        self.continuous = false;
    }

    /// So many such updates, with nothing pending.
    pub(super) fn server_updated_often(&mut self, updates: u32) {
        self.requests = self.requests.saturating_sub(updates);
    }

    /// An update has ended that shows something, so that it answers a request.
    #[inline]
    pub(super) fn server_updated(&mut self) {
        self.server_updated_often(1);
        // INVARIANT: those that are pending stand in front of the places that are free.
        if let [Some(_), ..] = self.pending {
            self.pending_updated();
        }
    }

    /// One update less that may come in an older format.
    fn pending_updated(&mut self) {
        for pending in self.pending.iter_mut().flatten() {
            pending.updates = pending.updates.map(|updates| updates.saturating_sub(1));
        }
        self.resolve();
    }
}
