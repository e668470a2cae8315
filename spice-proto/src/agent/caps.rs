//! Capabilities of the agent protocol: bits that client and agent announce to each other.
//!
//! They change the form of other messages, so a decoder must know what both announced: [`Agreed`].

use alloc::string::String;
use alloc::vec::Vec;

use bytes::BytesMut;

use crate::caps::CapabilityWords;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout};

/// `MOUSE_STATE` is understood.
pub const MOUSE_STATE: u32 = 0;
/// `MONITORS_CONFIG` is understood.
pub const MONITORS_CONFIG: u32 = 1;
/// `REPLY` is sent.
pub const REPLY: u32 = 2;
/// `CLIPBOARD` may come unasked (the old way).
pub const CLIPBOARD: u32 = 3;
/// `DISPLAY_CONFIG` is understood.
pub const DISPLAY_CONFIG: u32 = 4;
/// Clipboards are grabbed, requested and released.
pub const CLIPBOARD_BY_DEMAND: u32 = 5;
/// Clipboard messages begin with a selection.
pub const CLIPBOARD_SELECTION: u32 = 6;
/// A monitor of size 0 in `MONITORS_CONFIG` is one that is off.
pub const SPARSE_MONITORS_CONFIG: u32 = 7;
/// Lines of the guest's texts end in LF.
pub const GUEST_LINEEND_LF: u32 = 8;
/// Lines of the guest's texts end in CR LF.
pub const GUEST_LINEEND_CRLF: u32 = 9;
/// `MAX_CLIPBOARD` is understood.
pub const MAX_CLIPBOARD: u32 = 10;
/// `AUDIO_VOLUME_SYNC` is understood.
pub const AUDIO_VOLUME_SYNC: u32 = 11;
/// The places in `MONITORS_CONFIG` count.
pub const MONITORS_CONFIG_POSITION: u32 = 12;
/// Files are not taken.
pub const FILE_XFER_DISABLED: u32 = 13;
/// `FILE_XFER_STATUS` says more about what went wrong.
pub const FILE_XFER_DETAILED_ERRORS: u32 = 14;
/// `GRAPHICS_DEVICE_INFO` is understood.
pub const GRAPHICS_DEVICE_INFO: u32 = 15;
/// No `CLIPBOARD_RELEASE` goes in front of a second grab.
pub const CLIPBOARD_NO_RELEASE_ON_REGRAB: u32 = 16;
/// `CLIPBOARD_GRAB` has a serial number, which decides when both sides grab at once.
pub const CLIPBOARD_GRAB_SERIAL: u32 = 17;

/// The name of a bit in the specification, if it has one.
#[must_use]
pub fn name(bit: u32) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "MOUSE_STATE",
        "MONITORS_CONFIG",
        "REPLY",
        "CLIPBOARD",
        "DISPLAY_CONFIG",
        "CLIPBOARD_BY_DEMAND",
        "CLIPBOARD_SELECTION",
        "SPARSE_MONITORS_CONFIG",
        "GUEST_LINEEND_LF",
        "GUEST_LINEEND_CRLF",
        "MAX_CLIPBOARD",
        "AUDIO_VOLUME_SYNC",
        "MONITORS_CONFIG_POSITION",
        "FILE_XFER_DISABLED",
        "FILE_XFER_DETAILED_ERRORS",
        "GRAPHICS_DEVICE_INFO",
        "CLIPBOARD_NO_RELEASE_ON_REGRAB",
        "CLIPBOARD_GRAB_SERIAL",
    ];
    usize::try_from(bit).ok().and_then(|bit| NAMES.get(bit)).copied()
}

/// What the bits are called, lowest first, and behind them one hexadecimal number for those that have no name.
#[must_use]
pub fn names(words: &CapabilityWords) -> Vec<String> {
    crate::caps::shown(words, name)
}

/// [`names`] in a human-readable format, the words in others.
#[cfg(feature = "serde")]
pub(super) fn serialize<S: serde::Serializer>(words: &CapabilityWords, serializer: S) -> Result<S::Ok, S::Error> {
    crate::caps::named(words, serializer, name)
}

/// Bits that both sides announced, which is what a decoder of agent messages has to know.
///
/// Bits above 63 are left out; the highest that means anything is 17.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Agreed(u64);

impl Agreed {
    /// Before both sides have announced anything.
    pub const NOTHING: Self = Self(0);

    /// The bits that both sets hold.
    #[must_use]
    pub fn between(client: &CapabilityWords, agent: &CapabilityWords) -> Self {
        Self(Self::low(client) & Self::low(agent))
    }

    /// A set with these bits.
    #[must_use]
    pub fn of(bits: &[u32]) -> Self {
        Self(Self::low(&CapabilityWords::of(bits)))
    }

    fn low(words: &CapabilityWords) -> u64 {
        let words = words.words();
        let word = |n: usize| u64::from(words.get(n).copied().unwrap_or(0));
        word(0) | (word(1) << 32)
    }

    /// Whether both sides announced this bit.
    #[must_use]
    pub const fn has(self, bit: u32) -> bool {
        bit < 64 && (self.0 >> bit) & 1 == 1
    }
}

/// Keeps what client and agent announced last.
///
/// Agreement can change at any time: an agent that comes back may be another one. Messages that are in
/// flight then are in the old form, as for the real programs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    client: CapabilityWords,
    agent: CapabilityWords,
}

impl Announced {
    /// Nothing is announced yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            client: CapabilityWords::new(),
            agent: CapabilityWords::new(),
        }
    }

    /// The client sent this.
    pub fn by_client(&mut self, message: &AnnounceCapabilities) {
        self.client = message.caps.clone();
    }

    /// The agent sent this.
    pub fn by_agent(&mut self, message: &AnnounceCapabilities) {
        self.agent = message.caps.clone();
    }

    /// The agent is gone (`AGENT_DISCONNECTED`), and what it announced with it.
    pub fn agent_gone(&mut self) {
        self.agent = CapabilityWords::new();
    }

    /// What both announced.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        Agreed::between(&self.client, &self.agent)
    }
}

/// What a side can do. The first message of each side.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct AnnounceCapabilities {
    /// Not 0: the other side is asked to announce its own.
    pub request: u32,
    /// Bits of this module; those without a name are kept.
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize"))]
    pub caps: CapabilityWords,
}

codec!(AnnounceCapabilities);

layout! {
    /// What stands in front of the words.
    struct AnnounceHead {
        request: u32,
    }
}

impl Decode for AnnounceCapabilities {
    const NAME: &'static str = "AnnounceCapabilities";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let AnnounceHead { request } = AnnounceHead::read(r)?;
        let caps = CapabilityWords::from_wire(r.left());
        Ok(Self { request, caps })
    }
}

impl Encode for AnnounceCapabilities {
    fn wire_len(&self) -> usize {
        AnnounceHead::BLOCK.saturating_add(self.caps.words().len().saturating_mul(4))
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let request = self.request;
        AnnounceHead { request }.write(dst)?;
        crate::fields::put_array(dst, self.caps.words());
        Ok(())
    }
}
