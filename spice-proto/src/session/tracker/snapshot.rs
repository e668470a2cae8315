//! A session as bytes, for another process.

use alloc::vec::Vec;
use bytes::BytesMut;
use core::net::{IpAddr, Ipv6Addr};

use super::Peer;
use crate::channel::main::ChannelId;
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout, length, put_array};
use crate::session::{Host, TargetAccess};

/// The byte forms that there have been; the last one is written, and is the only one that is read.
#[derive(Clone, Copy)]
enum Version {
    /// The first.
    First = 1,
}

/// Bits of `flags`.
#[derive(Clone, Copy)]
enum Flag {
    /// The main channel has TLS.
    Secure = 1 << 0,
    /// A main channel was admitted to the target.
    TargetUsed = 1 << 1,
}

/// Bits of `connected`.
#[derive(Clone, Copy)]
enum Connected {
    /// Connected at the current host.
    Current = 1 << 0,
    /// Connected at the target.
    Target = 1 << 1,
}

/// The stages by their number.
const STAGES: [Stage; 3] = [Stage::Claimed, Stage::Bound, Stage::Ended];
/// The phases by their number.
const ACCESSES: [TargetAccess; 5] = [
    TargetAccess::NoTarget,
    TargetAccess::MainOnly,
    TargetAccess::AllChannels,
    TargetAccess::Closed,
    TargetAccess::NewSession,
];

/// The number of one of them.
fn number<T: PartialEq>(all: &[T], one: T) -> u8 {
    let at = all.iter().position(|other| *other == one);
    // INVARIANT: each is in its table.
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

/// The bit, if it is set.
const fn bit(set: bool, bit: u8) -> u8 {
    if set { bit } else { 0 }
}

/// How far a session has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A main channel was admitted; its `INIT` was not seen yet.
    Claimed,
    /// The session has its id.
    Bound,
    /// The main channel has ended.
    Ended,
}

/// A channel that was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The channel.
    pub channel: ChannelId,
    /// Whether it is connected at the current host.
    pub current: bool,
    /// Whether it is connected at the target.
    pub target: bool,
}

/// What one process must know of a session to go on with it, without the connections themselves.
///
/// ```text
/// | version u8 = 1 | stage u8 | access u8 | flags u8 | address 16 | session_id u32 | host u32 | last_host u32 |
/// | count u16 | pairs: type u8, id u8, connected u8 ... |                                        little-endian
/// ```
///
/// `stage`: 0 claimed, 1 bound, 2 ended. `access`: 0 to 4, in the order of [`TargetAccess`]. `flags`: bit 0 TLS, bit 1
/// the target's main channel came. `address`: IPv6, IPv4 as `::ffff:a.b.c.d`. `connected`: bit 0 at the current host,
/// bit 1 at the target. 64 channels take 228 bytes. It holds no secret; with it one could guess ids, so it
/// is not for viewers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Snapshot {
    /// How far the session has got.
    pub stage: Stage,
    /// Which links may join the target.
    pub access: TargetAccess,
    /// Where the main channel came from.
    pub peer: Peer,
    /// Whether a main channel was admitted to the target.
    pub target_used: bool,
    /// The id in `INIT`; 0 before that.
    pub session_id: u32,
    /// The host that the session is on.
    pub host: Host,
    /// The host that was told last: the target, if there is one.
    pub last_host: Host,
    /// The channels that were announced.
    pub pairs: Vec<Pair>,
}

codec!(Snapshot);

layout! {
    /// The fixed part of [`Snapshot`].
    struct SnapshotHead {
        version: u8,
        stage: u8,
        access: u8,
        flags: u8,
        address: [u8; 16],
        session_id: u32,
        host: u32,
        last_host: u32,
        count: u16,
    }
}

layout! {
    /// One of its channels.
    struct WirePair {
        channel: ChannelId,
        connected: u8,
    }
}

impl Decode for Snapshot {
    const NAME: &'static str = "Snapshot";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = SnapshotHead::read(r)?;
        let invalid = |field, offset, what| Err(r.error(field, offset, DecodeErrorKind::Invalid(what)));
        if head.version != Version::First as u8 {
            return invalid("version", 0, "a snapshot of another version");
        }
        let Some(&stage) = STAGES.get(usize::from(head.stage)) else {
            return invalid("stage", 1, "no stage of a session");
        };
        let Some(&access) = ACCESSES.get(usize::from(head.access)) else {
            return invalid("access", 2, "no such access to a target");
        };
        if (stage == Stage::Bound) != (head.session_id != 0) && stage != Stage::Ended {
            return invalid(
                "session_id",
                20,
                "an id where there is none, or none where there is one",
            );
        }
        if (access != TargetAccess::NoTarget) && (stage != Stage::Bound || head.last_host <= head.host) {
            return invalid("access", 2, "a target that no link may join");
        }
        let pairs = r.array::<WirePair>(head.count.into(), "pairs")?;
        Ok(Self {
            stage,
            access,
            peer: Peer {
                address: Ipv6Addr::from(head.address).to_canonical(),
                secure: head.flags & Flag::Secure as u8 != 0,
            },
            target_used: head.flags & Flag::TargetUsed as u8 != 0,
            session_id: head.session_id,
            host: Host(head.host),
            last_host: Host(head.last_host),
            pairs: pairs
                .iter()
                .map(|pair| Pair {
                    channel: pair.channel,
                    current: pair.connected & Connected::Current as u8 != 0,
                    target: pair.connected & Connected::Target as u8 != 0,
                })
                .collect(),
        })
    }
}

impl Encode for Snapshot {
    fn wire_len(&self) -> usize {
        use crate::fields::Fixed as _;
        self.pairs
            .len()
            .saturating_mul(WirePair::SIZE)
            .saturating_add(SnapshotHead::BLOCK)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let address = match self.peer.address {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        SnapshotHead {
            version: Version::First as u8,
            stage: number(&STAGES, self.stage),
            access: number(&ACCESSES, self.access),
            flags: bit(self.peer.secure, Flag::Secure as u8) | bit(self.target_used, Flag::TargetUsed as u8),
            address: address.octets(),
            session_id: self.session_id,
            host: self.host.0,
            last_host: self.last_host.0,
            count: length(self.pairs.len(), Self::NAME, "pairs", u16::MAX)?,
        }
        .write(dst)?;
        let pairs = self.pairs.iter().map(|pair| WirePair {
            channel: pair.channel,
            connected: bit(pair.current, Connected::Current as u8) | bit(pair.target, Connected::Target as u8),
        });
        put_array(dst, &pairs.collect::<Vec<_>>());
        Ok(())
    }
}
