//! What a tracker refuses, each as one line of preconditions and the verdict, and what there is to know for that.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::session::tracker::{Config, Peer, Reason, Request, TicketFault};
use spice_proto::session::{Host, SessionKey, TargetAccess};

/// What the table judges: a half-open connection that shows a ticket, and its token's session.
pub(super) struct Attempt<'a> {
    pub(super) token: &'a Session,
    pub(super) request: Request,
    pub(super) peer: Peer,
    pub(super) ticket: &'a [u8],
    pub(super) late: bool,
    pub(super) sessions: usize,
}

impl Attempt<'_> {
    fn main(&self) -> bool {
        self.request.channel.channel_type == ChannelType::MAIN
    }

    fn id(&self) -> u32 {
        self.request.connection_id
    }

    /// A migration waits for a main channel.
    fn waited_for(&self) -> bool {
        matches!(self.token.phase, TargetAccess::MainOnly | TargetAccess::AllChannels) && !self.token.target_used
    }

    fn connected(&self, host: Host) -> bool {
        let channel = self.request.channel;
        self.token.links.values().any(|link| *link == (channel, host))
    }

    /// Where the channel belongs, and whether it is there already.
    pub(super) fn place(&self) -> (Host, bool) {
        let Session { host, target, .. } = *self.token;
        match (self.main(), self.token.phase) {
            (true, TargetAccess::MainOnly | TargetAccess::AllChannels | TargetAccess::NewSession) => (target, false),
            (true, _) => (Host(0), false),
            (false, TargetAccess::AllChannels) if !self.connected(target) => (target, false),
            _ => (host, self.connected(host)),
        }
    }

    pub(super) fn replaces(&self) -> bool {
        self.main() && self.token.phase == TargetAccess::NewSession
    }
}

/// One line of the table: its letter, when it applies, and the verdict.
pub(super) type Line = (char, fn(&Attempt<'_>) -> bool, Reason);

/// The first line that applies is the verdict; if none does, the connection is admitted.
#[rustfmt::skip]
pub(super) const TABLE: &[Line] = &[
    ('l', |a| 61 < a.ticket.len(),                                     Reason::Ticket(TicketFault::TooLong)),
    ('l', |a| a.ticket[..a.ticket.len() - 1].contains(&0),             Reason::Ticket(TicketFault::Nul)),
    ('l', |a| a.ticket.contains(&0xff),                                Reason::Ticket(TicketFault::NotUtf8)),
    ('m', |a| a.late,                                                  Reason::Late),
    ('k', |a| a.request.mechanism == AuthMechanism::SASL,              Reason::Sasl),
    ('h', |a| a.token.stage == Stage::Ended,                           Reason::Ended),
    ('i', |a| a.token.known() && a.peer.address != a.token.address,    Reason::OtherAddress),
    ('j', |a| a.token.known() && a.token.secure && !a.peer.secure,     Reason::Downgrade),
    ('a', |a| a.main() && a.id() == 0 && a.token.known() && a.token.phase != TargetAccess::NewSession, Reason::Replayed),
    ('b', |a| !a.main() && a.token.stage != Stage::Bound,              Reason::NotBound),
    ('c', |a| !a.main() && a.id() == 0,                                Reason::NoConnectionId),
    ('d', |a| a.id() != 0 && a.id() != a.token.id && (!a.main() || a.waited_for()), Reason::WrongConnectionId),
    ('e', |a| if a.main() { a.request.channel.id != 0 } else { !a.token.announced.contains(&a.request.channel) },
                                                                       Reason::NotAnnounced),
    ('f', |a| a.place().1,                                             Reason::Duplicate),
    ('g', |a| a.main() && a.id() != 0 && !a.waited_for(),              Reason::NoMigration),
    ('S', |a| !a.token.known() && SESSIONS <= a.sessions,              Reason::TooManySessions),
    ('L', |a| LINKS <= a.token.links.len() && !a.replaces(),           Reason::TooManyLinks),
];

pub(super) const SESSIONS: usize = 5;
pub(super) const LINKS: usize = 7;
pub(super) const CHANNELS: usize = 6;
pub(super) const HALF_OPEN: usize = 12;
pub(super) const FROM_ADDRESS: usize = 10;
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
pub(super) const MAIN_TIMEOUT: Duration = Duration::from_secs(4);

pub(super) fn config() -> Config {
    Config::default()
        .with_sessions(SESSIONS)
        .with_links(LINKS)
        .with_channels(CHANNELS)
        .with_link_timeout(TIMEOUT)
        .with_main_timeout(MAIN_TIMEOUT)
        .with_one_address(true)
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stage {
    Fresh,
    Claimed,
    Bound,
    Ended,
}

/// What there is to know of a token.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) stage: Stage,
    pub(super) id: u32,
    pub(super) address: IpAddr,
    pub(super) secure: bool,
    pub(super) announced: Vec<ChannelId>,
    pub(super) links: BTreeMap<usize, (ChannelId, Host)>,
    pub(super) phase: TargetAccess,
    pub(super) host: Host,
    pub(super) target: Host,
    pub(super) target_used: bool,
    pub(super) main: Option<usize>,
    pub(super) target_main: Option<usize>,
    pub(super) lost: Option<Duration>,
}

impl Session {
    pub(super) fn fresh() -> Self {
        Self {
            stage: Stage::Fresh,
            id: 0,
            address: address(0),
            secure: false,
            announced: Vec::new(),
            links: BTreeMap::new(),
            phase: TargetAccess::NoTarget,
            host: Host(0),
            target: Host(0),
            target_used: false,
            main: None,
            target_main: None,
            lost: None,
        }
    }

    pub(super) fn known(&self) -> bool {
        self.stage != Stage::Fresh
    }

    pub(super) fn running(&self) -> bool {
        matches!(self.stage, Stage::Claimed | Stage::Bound)
    }

    pub(super) fn end(&mut self) {
        (self.stage, self.phase, self.lost) = (Stage::Ended, TargetAccess::NoTarget, None);
        (self.main, self.target_main) = (None, None);
        self.announced.clear();
    }

    pub(super) fn drop_target(&mut self) {
        (self.phase, self.target_used, self.target_main) = (TargetAccess::NoTarget, false, None);
        if self.main.is_none() {
            self.end();
        }
    }

    pub(super) fn next_target(&mut self, phase: TargetAccess) -> Host {
        (self.phase, self.target_used, self.target_main) = (phase, false, None);
        self.target = Host(self.target.0 + 1);
        self.target
    }
}

pub(super) fn address(n: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + n).into()
}

pub(super) fn token(n: usize) -> SessionKey {
    SessionKey::new(n as u64)
}

pub(super) const CHANNEL_MAIN: ChannelId = ChannelId {
    channel_type: ChannelType::MAIN,
    id: 0,
};

pub(super) fn channel(kind: u8, id: u8) -> ChannelId {
    ChannelId {
        channel_type: ChannelType(kind),
        id,
    }
}
