//! Operations, read from bytes.

use core::num::{NonZeroU8, NonZeroU32};

use console_token::{
    AttemptId, ConsoleType, Scope, SessionId, TokenHash, TokenSelector, Transition, UnixSeconds, Uses, VerifyContext,
};

use super::TOKENS;

/// The one name of a gateway.
pub(crate) const AUDIENCE: &str = "gateway";

/// Bytes from here on are transitions that came to this form later.
const LATER: u8 = 224;

/// An operation on a store.
#[derive(Debug)]
pub(crate) enum Op {
    Insert {
        token: usize,
        grant: NewGrant,
    },
    Check {
        token: usize,
        context: VerifyContext<'static>,
    },
    Transition {
        token: usize,
        context: VerifyContext<'static>,
        transition: Transition,
    },
    Exchange {
        token: usize,
        context: VerifyContext<'static>,
        new: usize,
        ttl: u64,
    },
    Revoke {
        which: WhichOf,
    },
    Retarget {
        which: WhichOf,
        console: ConsoleType,
        to: u8,
    },
    Sweep {
        now: u64,
    },
}

/// What differs from grant to grant.
#[derive(Debug)]
pub(crate) struct NewGrant {
    pub(crate) not_before: u64,
    pub(crate) ttl: u64,
    pub(crate) skew: u32,
    pub(crate) uses: Uses,
    pub(crate) scope: Scope,
    pub(crate) max_sessions: NonZeroU8,
    pub(crate) session_limit: Option<u64>,
    pub(crate) session_end: Option<u64>,
    pub(crate) audience: bool,
    pub(crate) owner: u8,
}

/// Which tokens: by one of the four ways.
#[derive(Debug)]
pub(crate) struct WhichOf {
    by: u8,
    pub(crate) token: usize,
    pub(crate) name: u8,
}

impl WhichOf {
    pub(crate) fn of<'a>(&self, hash: &'a TokenHash, name: &'a str) -> TokenSelector<'a> {
        match self.by {
            0 => TokenSelector::Token(hash),
            1 => TokenSelector::Vm(name),
            2 => TokenSelector::User(name),
            _ => TokenSelector::Issuer(name),
        }
    }
}

/// The operations of a sequence.
pub(crate) fn read(data: &[u8]) -> impl Iterator<Item = Op> {
    let mut bytes = Bytes(data.iter());
    core::iter::from_fn(move || (bytes.0.len() != 0).then(|| bytes.op()))
}

struct Bytes<'a>(core::slice::Iter<'a, u8>);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// Near the start or the end of time, so that the ends of grants and sessions are met often.
    fn time(&mut self) -> u64 {
        match self.byte() {
            byte @ 240.. => u64::MAX - u64::from(byte % 4),
            byte => u64::from(byte % 16),
        }
    }

    fn perhaps_time(&mut self) -> Option<u64> {
        (self.byte() & 3 == 0).then(|| self.time())
    }

    fn token(&mut self) -> usize {
        usize::from(self.byte()) % TOKENS
    }

    fn context(&mut self) -> VerifyContext<'static> {
        let now = self.time();
        let context = VerifyContext::at(UnixSeconds(now));
        match self.byte() {
            byte @ 240.. => {
                let from = now.saturating_add(u64::from(byte % 4));
                let until = from.saturating_add(u64::from(byte / 4 % 4));
                context
                    .with_audience(AUDIENCE)
                    .with_lease(UnixSeconds(from), UnixSeconds(until))
            }
            byte if byte % 8 == 0 => context,
            byte if byte % 8 == 1 => context.with_audience("gateway2"),
            _ => context.with_audience(AUDIENCE),
        }
    }

    fn session(&mut self) -> SessionId {
        SessionId::new(u64::from(self.byte() % 6))
    }

    /// Few, so that attempts are met again.
    fn attempt(&mut self) -> AttemptId {
        AttemptId([self.byte() % 12; 16])
    }

    fn connection_id(&mut self) -> u32 {
        u32::from(self.byte() % 4)
    }

    fn grant(&mut self) -> NewGrant {
        NewGrant {
            not_before: self.time(),
            ttl: self.time(),
            skew: match self.byte() {
                ..128 => 0,
                byte @ 128..192 => u32::from(byte % 4),
                _ => u32::MAX,
            },
            uses: match self.byte() % 5 {
                0 => Uses::Unlimited,
                uses => NonZeroU32::new(u32::from(uses)).map_or(Uses::Unlimited, Uses::Limited),
            },
            scope: match self.byte() % 6 {
                0 => Scope::Connection,
                1 => Scope::Exchange,
                _ => Scope::SpiceSession,
            },
            max_sessions: NonZeroU8::new(self.byte() % 4).unwrap_or(NonZeroU8::MAX),
            session_limit: self.perhaps_time(),
            session_end: self.perhaps_time(),
            audience: self.byte() & 1 == 0,
            owner: self.byte(),
        }
    }

    fn which(&mut self) -> WhichOf {
        WhichOf {
            by: self.byte() % 4,
            token: self.token(),
            name: self.byte() % 2,
        }
    }

    fn op(&mut self) -> Op {
        let kind = match self.byte() {
            // Added last, so that the others stay what they were.
            u8::MAX => 39,
            byte @ LATER.. => 32 + (byte - LATER) % 7,
            byte => byte % 32,
        };
        match kind {
            0..=2 => Op::Insert {
                token: self.token(),
                grant: self.grant(),
            },
            3 => Op::Check {
                token: self.token(),
                context: self.context(),
            },
            4 => Op::Sweep { now: self.time() },
            5 | 6 => Op::Exchange {
                token: self.token(),
                context: self.context(),
                new: self.token(),
                ttl: self.time(),
            },
            7 => Op::Revoke { which: self.which() },
            8 => Op::Retarget {
                which: self.which(),
                console: if self.byte() & 3 == 0 {
                    ConsoleType::Serial
                } else {
                    ConsoleType::SpiceHtml5
                },
                to: self.byte() % 4,
            },
            _ => Op::Transition {
                token: self.token(),
                context: self.context(),
                transition: self.transition(kind),
            },
        }
    }

    fn transition(&mut self, kind: u8) -> Transition {
        match kind {
            9 | 10 => Transition::Redeem(self.attempt()),
            11..=15 => Transition::Claim(self.attempt()),
            16..=19 => Transition::Bind {
                session: self.session(),
                connection_id: self.connection_id(),
            },
            20 => Transition::Release(self.session()),
            32..=34 => Transition::Open(self.attempt()),
            35 | 36 => Transition::Suspend {
                session: self.session(),
                resumed: None,
                from: UnixSeconds(self.time()),
                until: UnixSeconds(self.time()),
            },
            37 | 38 => Transition::Resume {
                attempt: self.attempt(),
                session: self.session(),
            },
            21..=23 => Transition::Join {
                connection_id: self.connection_id(),
            },
            24 | 25 => Transition::Migrate {
                session: self.session(),
                until: UnixSeconds(self.time()),
            },
            39 => Transition::Suspend {
                session: self.session(),
                resumed: Some(self.attempt()),
                from: UnixSeconds(self.time()),
                until: UnixSeconds(self.time()),
            },
            26 => Transition::Settle(self.session()),
            27 | 28 => Transition::Reopen {
                attempt: self.attempt(),
                connection_id: self.connection_id(),
            },
            29 => Transition::Close(self.session()),
            _ => Transition::Attend(self.session()),
        }
    }
}
