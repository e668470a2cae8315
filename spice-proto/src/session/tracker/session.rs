//! What is known of one session.

use alloc::vec::Vec;
use core::time::Duration;

use super::links::Links;
use super::snapshot::{Pair, Snapshot, Stage};
use super::{Admission, Closed, Link, Peer, Reason, Request};
use crate::channel::main::ChannelId;
use crate::ids::ChannelType;
use crate::session::{Host, TargetAccess};

/// The only main channel that a session has.
const MAIN: ChannelId = ChannelId {
    channel_type: ChannelType::MAIN,
    id: 0,
};

/// Where a main channel is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Main {
    Nowhere,
    Here(Link),
    /// In another process, as a snapshot said.
    Elsewhere,
}

#[derive(Debug)]
pub(super) struct Session {
    stage: Stage,
    /// Where its main channel came from.
    pub(super) peer: Peer,
    session_id: u32,
    pub(super) host: Host,
    /// The target, as long as the access has one.
    last_host: Host,
    pub(super) access: TargetAccess,
    /// On the current host.
    pub(super) main: Main,
    target_main: Main,
    /// A main channel was admitted to the target, whatever became of it.
    target_used: bool,
    /// What was announced; the marks are of connections in other processes.
    pairs: Vec<Pair>,
    pub(super) links: Vec<Link>,
    /// The main channel was lost, and is waited for until then.
    pub(super) lost_until: Option<Duration>,
    /// Whether it stands in the queue of those.
    pub(super) queued: bool,
}

impl Session {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            stage: Stage::Claimed,
            peer,
            session_id: 0,
            host: Host(0),
            last_host: Host(0),
            access: TargetAccess::NoTarget,
            main: Main::Nowhere,
            target_main: Main::Nowhere,
            target_used: false,
            pairs: Vec::new(),
            links: Vec::new(),
            lost_until: None,
            queued: false,
        }
    }

    pub(super) fn ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    pub(super) fn bound(&self) -> bool {
        self.stage == Stage::Bound
    }

    /// Where a main channel belongs.
    pub(super) fn place_main(&self, request: Request) -> Result<Admission, Reason> {
        let waiting = matches!(self.access, TargetAccess::MainOnly | TargetAccess::AllChannels) && !self.target_used;
        match request.connection_id {
            0 if self.access != TargetAccess::NewSession => Err(Reason::Replayed),
            id if id != 0 && waiting && id != self.session_id => Err(Reason::WrongConnectionId),
            _ if request.channel != MAIN => Err(Reason::NotAnnounced),
            0 => Ok(Admission {
                host: self.last_host,
                replaces: true,
            }),
            _ if waiting => Ok(Admission {
                host: self.last_host,
                replaces: false,
            }),
            _ => Err(Reason::NoMigration),
        }
    }

    /// Where any other channel belongs.
    pub(super) fn place(&self, request: Request, links: &Links) -> Result<Admission, Reason> {
        if !self.bound() {
            return Err(Reason::NotBound);
        }
        if request.connection_id == 0 {
            return Err(Reason::NoConnectionId);
        }
        if request.connection_id != self.session_id {
            return Err(Reason::WrongConnectionId);
        }
        let pair = self.pairs.iter().find(|pair| pair.channel == request.channel);
        let pair = pair.ok_or(Reason::NotAnnounced)?;
        let host = if self.access == TargetAccess::AllChannels && !self.connected(pair, self.last_host, links) {
            self.last_host
        } else if self.connected(pair, self.host, links) {
            return Err(Reason::Duplicate);
        } else {
            self.host
        };
        Ok(Admission { host, replaces: false })
    }

    fn connected(&self, pair: &Pair, host: Host, links: &Links) -> bool {
        (pair.current && host == self.host)
            || (pair.target && host != self.host)
            || self.connected_here(pair.channel, host, links)
    }

    fn connected_here(&self, channel: ChannelId, host: Host, links: &Links) -> bool {
        let mut admitted = self.links.iter().filter_map(|link| links.admitted(*link));
        admitted.any(|link| link.channel == channel && link.host == host)
    }

    /// The viewer comes again as a new session.
    pub(super) fn replace(&mut self, host: Host) {
        *self = Self {
            last_host: host,
            host,
            links: core::mem::take(&mut self.links),
            queued: self.queued,
            ..Self::new(self.peer)
        };
    }

    pub(super) fn joined(&mut self, link: Link, channel: ChannelId, host: Host) {
        self.links.push(link);
        if channel == MAIN && host == self.host {
            self.main = Main::Here(link);
        } else if channel == MAIN {
            self.target_main = Main::Here(link);
            self.target_used = true;
        }
    }

    pub(super) fn linked(&mut self, link: Link) {
        if self.access == TargetAccess::MainOnly && self.target_main == Main::Here(link) {
            self.access = TargetAccess::AllChannels;
        }
    }

    pub(super) fn bind(&mut self, session_id: u32) {
        (self.stage, self.session_id) = (Stage::Bound, session_id);
    }

    pub(super) fn announce(&mut self, channels: &[ChannelId], limit: usize) -> usize {
        let mut left_out: usize = 0;
        for &channel in channels {
            if self.pairs.iter().any(|pair| pair.channel == channel) {
                continue;
            }
            if limit <= self.pairs.len() {
                left_out = left_out.saturating_add(1);
                continue;
            }
            self.pairs.push(Pair {
                channel,
                current: false,
                target: false,
            });
        }
        left_out
    }

    pub(super) fn closed(&mut self, link: Link) -> Closed {
        self.links.retain(|other| *other != link);
        if self.target_main == Main::Here(link) {
            self.target_main = Main::Nowhere;
            if self.main == Main::Nowhere && !self.ended() {
                self.end();
                return Closed::Session;
            }
        }
        if self.main != Main::Here(link) || self.ended() {
            return Closed::Link;
        }
        self.main = Main::Nowhere;
        match self.access {
            // The source is gone as soon as the guest has moved, and the viewer comes a little later.
            TargetAccess::Closed if self.target_main != Main::Nowhere => Closed::Main,
            TargetAccess::NewSession => Closed::Main,
            _ => {
                self.end();
                Closed::Session
            }
        }
    }

    /// No connection joins any more.
    pub(super) fn end(&mut self) {
        self.stage = Stage::Ended;
        self.access = TargetAccess::NoTarget;
        (self.main, self.target_main) = (Main::Nowhere, Main::Nowhere);
        self.lost_until = None;
        self.pairs = Vec::new();
    }

    pub(super) fn next_target(&mut self, access: TargetAccess) -> Host {
        self.forget_target();
        self.last_host = Host(self.last_host.0.saturating_add(1));
        self.access = access;
        self.last_host
    }

    fn forget_target(&mut self) {
        self.access = TargetAccess::NoTarget;
        self.target_main = Main::Nowhere;
        self.target_used = false;
        for pair in &mut self.pairs {
            pair.target = false;
        }
    }

    pub(super) fn drop_target(&mut self) {
        self.forget_target();
        if self.main == Main::Nowhere {
            self.end();
        }
    }

    /// The target becomes the current host, if it has a main channel.
    pub(super) fn promote(&mut self) -> bool {
        if self.target_main == Main::Nowhere {
            return false;
        }
        self.main = self.target_main;
        self.host = self.last_host;
        self.lost_until = None;
        for pair in &mut self.pairs {
            pair.current = pair.target;
        }
        self.forget_target();
        true
    }

    pub(super) fn snapshot(&self, links: &Links) -> Snapshot {
        let pairs = self.pairs.iter().map(|pair| Pair {
            channel: pair.channel,
            current: self.connected(pair, self.host, links),
            target: self.host != self.last_host && self.connected(pair, self.last_host, links),
        });
        Snapshot {
            stage: self.stage,
            access: self.access,
            peer: self.peer,
            target_used: self.target_used,
            session_id: self.session_id,
            host: self.host,
            last_host: self.last_host,
            pairs: pairs.collect(),
        }
    }

    pub(super) fn restore(&mut self, snapshot: &Snapshot, limit: usize) {
        let Snapshot {
            stage,
            access,
            peer,
            target_used,
            session_id,
            host,
            last_host,
            ref pairs,
        } = *snapshot;
        // A main channel that is connected here is still here if the snapshot is of the same host.
        let main = match self.main {
            Main::Here(link) if self.host == host => Main::Here(link),
            _ => Main::Elsewhere,
        };
        let target_main = match (self.target_main, target_used) {
            (Main::Here(link), _) if self.last_host == last_host => Main::Here(link),
            (_, true) => Main::Elsewhere,
            (_, false) => Main::Nowhere,
        };
        *self = Self {
            stage,
            peer,
            session_id,
            host,
            last_host,
            access,
            main,
            target_main,
            target_used,
            pairs: pairs.iter().take(limit).copied().collect(),
            links: core::mem::take(&mut self.links),
            lost_until: None,
            queued: self.queued,
        };
        if self.ended() {
            self.end();
        }
    }

    /// A connection in this process: what a snapshot says of it counts no more.
    pub(super) fn unmark(&mut self, channel: ChannelId, host: Host) {
        for pair in self.pairs.iter_mut().filter(|pair| pair.channel == channel) {
            if host == self.host {
                pair.current = false;
            } else {
                pair.target = false;
            }
        }
    }
}
