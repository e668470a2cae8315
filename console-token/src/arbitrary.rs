//! Values made from a fuzzer's bytes (feature `arbitrary`): what an issuer writes, and what a gateway asks of a store.

use ::arbitrary::{Arbitrary, Result, Unstructured};
use alloc::boxed::Box;
use alloc::string::String;
use core::num::{NonZeroU8, NonZeroU32};

use crate::{
    AccessPath, AttemptId, ConsoleType, Grant, LeaseTransition, Scope, Secret, SessionId, Target, TokenHash,
    Transition, UnixSeconds, Uses,
};

/// Every type of console.
const CONSOLES: [ConsoleType; 7] = [
    ConsoleType::NoVnc,
    ConsoleType::XvpVnc,
    ConsoleType::SpiceHtml5,
    ConsoleType::SpiceDirect,
    ConsoleType::RdpHtml5,
    ConsoleType::Serial,
    ConsoleType::WebMks,
];

impl<'a> Arbitrary<'a> for UnixSeconds {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u64::arbitrary(u).map(Self)
    }
}

impl<'a> Arbitrary<'a> for AttemptId {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary().map(Self)
    }
}

impl<'a> Arbitrary<'a> for SessionId {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u64::arbitrary(u).map(Self::new)
    }
}

impl<'a> Arbitrary<'a> for TokenHash {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.arbitrary().map(Self::from_bytes)
    }
}

/// A token of visible ASCII characters.
impl<'a> Arbitrary<'a> for Secret {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut text = String::new();
        let most = u.int_in_range(1..=Self::MAX_LEN)?;
        while text.len() < most && (!u.is_empty() || text.is_empty()) {
            text.push(char::from(u.int_in_range(b'!'..=b'~')?));
        }
        Self::presented(text.as_bytes()).map_err(|_| ::arbitrary::Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for ConsoleType {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&CONSOLES).copied()
    }
}

impl<'a> Arbitrary<'a> for AccessPath {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        String::arbitrary(u).map(Self::new)
    }
}

impl<'a> Arbitrary<'a> for Target {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=2)? {
            0 => Self::Host {
                host: u.arbitrary()?,
                port: u.arbitrary()?,
                tls_port: u.arbitrary()?,
            },
            1 => Self::Internal {
                host: u.arbitrary()?,
                port: u.arbitrary()?,
                path: u.arbitrary()?,
            },
            _ => Self::Unix { path: u.arbitrary()? },
        })
    }
}

impl<'a> Arbitrary<'a> for Uses {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let uses = NonZeroU32::new(u.arbitrary()?);
        Ok(uses.map_or(Self::Unlimited, Self::Limited))
    }
}

impl<'a> Arbitrary<'a> for Scope {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        u.choose(&[Self::Connection, Self::SpiceSession, Self::Exchange])
            .copied()
    }
}

impl<'a> Arbitrary<'a> for Grant {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let text = |u: &mut Unstructured<'a>| Option::<Box<str>>::arbitrary(u);
        let mut grant = Self::new(u.arbitrary()?, u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
        (grant.skew, grant.uses, grant.scope) = (u.arbitrary()?, u.arbitrary()?, u.arbitrary()?);
        (grant.audience, grant.vm, grant.user) = (text(u)?, text(u)?, text(u)?);
        (grant.issuer, grant.context) = (text(u)?, text(u)?);
        grant.max_sessions = NonZeroU8::new(u.arbitrary()?).unwrap_or(NonZeroU8::MIN);
        (grant.session_limit, grant.session_end) = (u.arbitrary()?, u.arbitrary()?);
        Ok(grant)
    }
}

impl<'a> Arbitrary<'a> for Transition {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=12)? {
            0 => Self::Redeem(u.arbitrary()?),
            1 => Self::Claim(u.arbitrary()?),
            2 => Self::Open(u.arbitrary()?),
            3 => Self::Bind {
                session: u.arbitrary()?,
                connection_id: u.arbitrary()?,
            },
            4 => Self::Release(u.arbitrary()?),
            5 => Self::Join {
                connection_id: u.arbitrary()?,
            },
            6 => Self::Migrate {
                session: u.arbitrary()?,
                until: u.arbitrary()?,
            },
            7 => Self::Settle(u.arbitrary()?),
            8 => Self::Reopen {
                attempt: u.arbitrary()?,
                connection_id: u.arbitrary()?,
            },
            9 => Self::Suspend {
                session: u.arbitrary()?,
                resumed: u.arbitrary()?,
                from: u.arbitrary()?,
                until: u.arbitrary()?,
            },
            10 => Self::Resume {
                attempt: u.arbitrary()?,
                session: u.arbitrary()?,
            },
            11 => Self::Close(u.arbitrary()?),
            _ => Self::Attend(u.arbitrary()?),
        })
    }
}

impl<'a> Arbitrary<'a> for LeaseTransition {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.int_in_range(0..=3)? {
            0 => Self::Take(u.arbitrary()?),
            1 => Self::Keep {
                holder: u.arbitrary()?,
                active: u.arbitrary()?,
            },
            2 => Self::Leave(u.arbitrary()?),
            _ => Self::Clear,
        })
    }
}
