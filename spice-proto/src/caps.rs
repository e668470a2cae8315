//! Capabilities: bits that both sides announce in the link stage.
//!
//! Each side sends two sets, one common to all channels and one of the channel's type, as words of 32
//! bits. A side announces what it supports, not what it has in common with the other; each works out
//! the intersection itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use crate::fields::Fixed as _;
use crate::ids::ChannelType;

/// Bits of the common set (`SPICE_COMMON_CAP_*`).
pub mod common {
    /// An [`AuthMechanism`](crate::ids::AuthMechanism) stands in front of the ticket.
    pub const PROTOCOL_AUTH_SELECTION: u32 = 0;
    /// Tickets are understood. spice-gtk and spice-html5 do not set it and send tickets all the same.
    pub const AUTH_SPICE: u32 = 1;
    /// SASL is understood.
    pub const AUTH_SASL: u32 = 2;
    /// Six-byte message headers.
    pub const MINI_HEADER: u32 = 3;
}

/// Bits of the main channel (`SPICE_MAIN_CAP_*`).
pub mod main {
    /// The client can connect to a migration target in advance.
    pub const SEMI_SEAMLESS_MIGRATE: u32 = 0;
    /// NAME and UUID are sent.
    pub const NAME_AND_UUID: u32 = 1;
    /// `AGENT_CONNECTED_TOKENS` is sent instead of `AGENT_CONNECTED`.
    pub const AGENT_CONNECTED_TOKENS: u32 = 2;
    /// Channels keep their state over a migration.
    pub const SEAMLESS_MIGRATE: u32 = 3;
}

/// Bits of the display channel (`SPICE_DISPLAY_CAP_*`).
pub mod display {
    /// `STREAM_DATA_SIZED`.
    pub const SIZED_STREAM: u32 = 0;
    /// `MONITORS_CONFIG`.
    pub const MONITORS_CONFIG: u32 = 1;
    /// `DRAW_COMPOSITE`.
    pub const COMPOSITE: u32 = 2;
    /// Surfaces of 8-bit alpha.
    pub const A8_SURFACE: u32 = 3;
    /// `STREAM_REPORT`.
    pub const STREAM_REPORT: u32 = 4;
    /// LZ4 images.
    pub const LZ4_COMPRESSION: u32 = 5;
    /// `PREFERRED_COMPRESSION`.
    pub const PREF_COMPRESSION: u32 = 6;
    /// `GL_SCANOUT_UNIX`, on UNIX sockets.
    pub const GL_SCANOUT: u32 = 7;
    /// The codec bits below are meaningful.
    pub const MULTI_CODEC: u32 = 8;
    /// Motion JPEG.
    pub const CODEC_MJPEG: u32 = 9;
    /// VP8.
    pub const CODEC_VP8: u32 = 10;
    /// H.264.
    pub const CODEC_H264: u32 = 11;
    /// `PREFERRED_VIDEO_CODEC_TYPE`.
    pub const PREF_VIDEO_CODEC_TYPE: u32 = 12;
    /// VP9.
    pub const CODEC_VP9: u32 = 13;
    /// H.265.
    pub const CODEC_H265: u32 = 14;
    /// `GL_SCANOUT2_UNIX`, on UNIX sockets.
    pub const GL_SCANOUT2: u32 = 15;
}

/// Bits of the inputs channel (`SPICE_INPUTS_CAP_*`).
pub mod inputs {
    /// `KEY_SCANCODE`.
    pub const KEY_SCANCODE: u32 = 0;
}

/// Bits of the playback channel (`SPICE_PLAYBACK_CAP_*`).
pub mod playback {
    /// CELT 0.5.1.
    pub const CELT_0_5_1: u32 = 0;
    /// VOLUME and MUTE.
    pub const VOLUME: u32 = 1;
    /// LATENCY.
    pub const LATENCY: u32 = 2;
    /// Opus.
    pub const OPUS: u32 = 3;
}

/// Bits of the record channel (`SPICE_RECORD_CAP_*`).
pub mod record {
    /// CELT 0.5.1.
    pub const CELT_0_5_1: u32 = 0;
    /// VOLUME and MUTE.
    pub const VOLUME: u32 = 1;
    /// Opus.
    pub const OPUS: u32 = 2;
}

/// Bits of the usbredir, port and webdav channels (`SPICE_SPICEVMC_CAP_*`).
pub mod spicevmc {
    /// `COMPRESSED_DATA` with LZ4.
    pub const DATA_COMPRESS_LZ4: u32 = 0;
}

/// Words that need no allocation. The real programs send one word a set, or none.
const INLINE: usize = 4;

/// One set of capabilities, as the words that stand on the wire.
///
/// Two sets are equal when their words are, so a trailing zero word counts.
#[derive(Clone)]
pub struct CapabilityWords(Words);

#[derive(Clone)]
enum Words {
    /// So many of these.
    Inline(u32, [u32; INLINE]),
    Spilled(Vec<u32>),
}

impl CapabilityWords {
    /// No words at all.
    #[must_use]
    pub const fn new() -> Self {
        Self(Words::Inline(0, [0; INLINE]))
    }

    /// One word.
    #[must_use]
    pub const fn word(bits: u32) -> Self {
        Self(Words::Inline(1, [bits, 0, 0, 0]))
    }

    /// The words in these bytes, four each, little-endian.
    #[inline(always)]
    pub(crate) fn from_wire(bytes: &[u8]) -> Self {
        // What the real programs send: one word, or none.
        match bytes.first_chunk() {
            Some(word) if bytes.len() == 4 => Self::word(u32::from_le_bytes(*word)),
            None => Self::new(),
            Some(_) => Self::of_many(bytes),
        }
    }

    #[cold]
    fn of_many(bytes: &[u8]) -> Self {
        bytes.chunks_exact(4).map(|mut word| u32::get(&mut word)).collect()
    }

    /// The set that holds these bits, in as many words as they need.
    #[must_use]
    pub fn of(bits: &[u32]) -> Self {
        bits.iter().fold(Self::new(), |set, &bit| set.with(bit))
    }

    /// The words, as they stand on the wire.
    #[inline]
    #[must_use]
    pub fn words(&self) -> &[u32] {
        match &self.0 {
            Words::Inline(len, words) => words.get(..*len as usize).unwrap_or_default(),
            Words::Spilled(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u32] {
        match &mut self.0 {
            Words::Inline(len, words) => words.get_mut(..*len as usize).unwrap_or_default(),
            Words::Spilled(words) => words,
        }
    }

    /// Appends a word.
    pub fn push(&mut self, word: u32) {
        match &mut self.0 {
            Words::Inline(len, words) => match words.get_mut(*len as usize) {
                Some(slot) => (*slot, *len) = (word, len.saturating_add(1)),
                None => {
                    let mut spilled = Vec::with_capacity(words.len().saturating_mul(2));
                    spilled.extend_from_slice(words);
                    spilled.push(word);
                    self.0 = Words::Spilled(spilled);
                }
            },
            Words::Spilled(words) => words.push(word),
        }
    }

    /// Whether bit `bit` is set. A bit beyond the words is not.
    #[must_use]
    pub fn has(&self, bit: u32) -> bool {
        let (word, mask) = place(bit);
        self.words().get(word).is_some_and(|bits| bits & mask != 0)
    }

    /// The set with `bit` set; words are added as needed. Bits above 32767 do not fit a link message
    /// and are left out.
    #[must_use]
    pub fn with(mut self, bit: u32) -> Self {
        let (word, mask) = place(bit);
        if word < 1024 {
            while self.words().len() <= word {
                self.push(0);
            }
            if let Some(bits) = self.words_mut().get_mut(word) {
                *bits |= mask;
            }
        }
        self
    }

    /// The set with `bit` cleared. The number of words stays.
    #[must_use]
    pub fn without(mut self, bit: u32) -> Self {
        let (word, mask) = place(bit);
        if let Some(bits) = self.words_mut().get_mut(word) {
            *bits &= !mask;
        }
        self
    }

    /// The bits that both sets have, in the words of this one.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let others = other.words().iter().copied().chain(core::iter::repeat(0));
        self.words()
            .iter()
            .zip(others)
            .map(|(word, other)| word & other)
            .collect()
    }

    /// The numbers of the bits that are set, lowest first.
    pub fn bits(&self) -> impl Iterator<Item = u32> + '_ {
        (0u32..).step_by(32).zip(self.words()).flat_map(|(base, word)| {
            (0..32)
                .filter(move |bit| (word >> bit) & 1 == 1)
                .map(move |bit| base.saturating_add(bit))
        })
    }
}

/// The word that a bit is in, and its mask there.
const fn place(bit: u32) -> (usize, u32) {
    ((bit >> 5) as usize, 1 << (bit & 31))
}

impl Default for CapabilityWords {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for CapabilityWords {
    fn eq(&self, other: &Self) -> bool {
        self.words() == other.words()
    }
}

impl Eq for CapabilityWords {}

impl fmt::Debug for CapabilityWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (n, word) in self.words().iter().enumerate() {
            write!(f, "{}{word:#x}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

impl FromIterator<u32> for CapabilityWords {
    fn from_iter<T: IntoIterator<Item = u32>>(words: T) -> Self {
        let mut set = Self::new();
        for word in words {
            set.push(word);
        }
        set
    }
}

/// In a human-readable format an array with one hexadecimal number, or none if no bit is set: which names the bits have
/// depends on the channel, see [`names`]. In others the words.
#[cfg(feature = "serde")]
impl serde::Serialize for CapabilityWords {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match serializer.is_human_readable() {
            true => serializer.collect_seq(shown(self, |_| None)),
            false => self.words().serialize(serializer),
        }
    }
}

/// What one side announces for one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Capabilities {
    /// Bits of [`common`].
    #[cfg_attr(feature = "serde", serde(serialize_with = "common_names"))]
    pub common: CapabilityWords,
    /// Bits of the channel's type.
    pub channel: CapabilityWords,
}

#[cfg(feature = "serde")]
fn common_names<S: serde::Serializer>(words: &CapabilityWords, serializer: S) -> Result<S::Ok, S::Error> {
    // The type of the channel means nothing to the common set.
    named(words, serializer, |bit| {
        name(CapabilitySet::Common, ChannelType(0), bit)
    })
}

/// What was announced for a channel of this type, which gives the bits of both sets their names.
#[cfg(feature = "serde")]
pub(crate) struct OfChannel<'a>(pub(crate) &'a Capabilities, pub(crate) ChannelType);

#[cfg(feature = "serde")]
impl serde::Serialize for OfChannel<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let Self(capabilities, channel_type) = self;
        if !serializer.is_human_readable() {
            return capabilities.serialize(serializer);
        }
        let mut sets = serializer.serialize_struct("Capabilities", 2)?;
        let of = |set, words| names(set, *channel_type, words);
        sets.serialize_field("common", &of(CapabilitySet::Common, &capabilities.common))?;
        sets.serialize_field("channel", &of(CapabilitySet::Channel, &capabilities.channel))?;
        sets.end()
    }
}

/// An array of names in a human-readable format, the words in others.
#[cfg(feature = "serde")]
pub(crate) fn named<S: serde::Serializer>(
    words: &CapabilityWords,
    serializer: S,
    name: impl Fn(u32) -> Option<&'static str>,
) -> Result<S::Ok, S::Error> {
    match serializer.is_human_readable() {
        true => serializer.collect_seq(shown(words, name)),
        false => serde::Serialize::serialize(words, serializer),
    }
}

impl Capabilities {
    /// What spice-server 0.15 announces for a channel of this type when tickets are used.
    ///
    /// A relay shows it to a tenant before it knows the hypervisor. Seen alike in every recording of
    /// that version; unknown types get the common set alone.
    #[must_use]
    pub fn spice_server(channel_type: ChannelType) -> Self {
        let channel = match channel_type {
            ChannelType::MAIN => CapabilityWords::word(0xf),
            ChannelType::DISPLAY => CapabilityWords::word(0x1052),
            ChannelType::INPUTS | ChannelType::USBREDIR | ChannelType::PORT | ChannelType::WEBDAV => {
                CapabilityWords::word(1)
            }
            ChannelType::PLAYBACK => CapabilityWords::word(0xa),
            ChannelType::RECORD => CapabilityWords::word(6),
            _ => CapabilityWords::new(),
        };
        Self {
            common: CapabilityWords::word(0xb),
            channel,
        }
    }

    /// Those of these that a relay can promise for a channel whose server announces `server`. The bits of [`common`]
    /// stay: authentication is the relay's own, and it rewrites headers.
    #[must_use]
    pub fn kept_by(&self, server: &Self) -> Self {
        let own = [
            common::PROTOCOL_AUTH_SELECTION,
            common::AUTH_SPICE,
            common::AUTH_SASL,
            common::MINI_HEADER,
        ];
        let kept = own.into_iter().filter(|bit| self.has_common(*bit));
        Self {
            common: kept.fold(self.common.and(&server.common), CapabilityWords::with),
            channel: self.channel.and(&server.channel),
        }
    }

    /// Whether the common set has a bit of [`common`].
    #[must_use]
    pub fn has_common(&self, bit: u32) -> bool {
        self.common.has(bit)
    }

    /// Whether the channel's set has a bit.
    #[must_use]
    pub fn has(&self, bit: u32) -> bool {
        self.channel.has(bit)
    }
}

/// What the bits of a set are called, lowest first, and behind them one hexadecimal number for those that have no name.
///
/// ```
/// use spice_proto::caps::{CapabilitySet, CapabilityWords, names};
/// use spice_proto::ids::ChannelType;
///
/// let words = CapabilityWords::of(&[0, 1, 5, 40]);
/// assert_eq!(names(CapabilitySet::Channel, ChannelType::RECORD, &words), ["CELT_0_5_1", "VOLUME", "0x10000000020"]);
/// ```
#[must_use]
pub fn names(set: CapabilitySet, channel_type: ChannelType, words: &CapabilityWords) -> Vec<String> {
    shown(words, |bit| name(set, channel_type, bit))
}

/// Names of the bits, and the others as one number.
pub(crate) fn shown(words: &CapabilityWords, name: impl Fn(u32) -> Option<&'static str>) -> Vec<String> {
    let (mut names, mut rest) = (Vec::new(), CapabilityWords::new());
    for bit in words.bits() {
        match name(bit) {
            Some(name) => names.push(name.into()),
            None => rest = rest.with(bit),
        }
    }
    let mut digits = rest.words().iter().rev().skip_while(|word| **word == 0);
    if let Some(highest) = digits.next() {
        let mut number = format!("{highest:#x}");
        for word in digits {
            // INVARIANT: writing to a `String` cannot fail.
            let _ = write!(number, "{word:08x}");
        }
        names.push(number);
    }
    names
}

/// Which of the two sets a bit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CapabilitySet {
    /// The set that all channels share.
    Common,
    /// The set of the channel's type.
    Channel,
}

/// A bit with its name; with all that it can have, since the type of the channel is not known here.
pub(crate) struct Named(pub(crate) CapabilitySet, pub(crate) u32);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: &[(ChannelType, &str)] = &[
            (ChannelType::MAIN, "main "),
            (ChannelType::DISPLAY, "display "),
            (ChannelType::INPUTS, "inputs "),
            (ChannelType::PLAYBACK, "playback "),
            (ChannelType::RECORD, "record "),
            (ChannelType::USBREDIR, "usbredir "),
        ];
        let Self(set, bit) = *self;
        let (text, kinds) = match set {
            CapabilitySet::Common => ("common", &[(ChannelType::MAIN, "")][..]),
            CapabilitySet::Channel => ("channel's", KINDS),
        };
        write!(f, "{bit} of the {text} set")?;
        let names = kinds
            .iter()
            .filter_map(|(kind, word)| Some((word, name(set, *kind, bit)?)));
        for (at, (kind, name)) in names.clone().enumerate() {
            write!(f, "{}{kind}{name}", if at == 0 { " (" } else { ", " })?;
        }
        if names.count() == 0 { Ok(()) } else { f.write_str(")") }
    }
}

/// The name of a bit in the specification, if it has one.
#[must_use]
pub fn name(set: CapabilitySet, channel_type: ChannelType, bit: u32) -> Option<&'static str> {
    const COMMON: &[&str] = &["PROTOCOL_AUTH_SELECTION", "AUTH_SPICE", "AUTH_SASL", "MINI_HEADER"];
    const MAIN: &[&str] = &[
        "SEMI_SEAMLESS_MIGRATE",
        "NAME_AND_UUID",
        "AGENT_CONNECTED_TOKENS",
        "SEAMLESS_MIGRATE",
    ];
    const DISPLAY: &[&str] = &[
        "SIZED_STREAM",
        "MONITORS_CONFIG",
        "COMPOSITE",
        "A8_SURFACE",
        "STREAM_REPORT",
        "LZ4_COMPRESSION",
        "PREF_COMPRESSION",
        "GL_SCANOUT",
        "MULTI_CODEC",
        "CODEC_MJPEG",
        "CODEC_VP8",
        "CODEC_H264",
        "PREF_VIDEO_CODEC_TYPE",
        "CODEC_VP9",
        "CODEC_H265",
        "GL_SCANOUT2",
    ];
    let names = match (set, channel_type) {
        (CapabilitySet::Common, _) => COMMON,
        (_, ChannelType::MAIN) => MAIN,
        (_, ChannelType::DISPLAY) => DISPLAY,
        (_, ChannelType::INPUTS) => &["KEY_SCANCODE"],
        (_, ChannelType::PLAYBACK) => &["CELT_0_5_1", "VOLUME", "LATENCY", "OPUS"],
        (_, ChannelType::RECORD) => &["CELT_0_5_1", "VOLUME", "OPUS"],
        (_, ChannelType::USBREDIR | ChannelType::PORT | ChannelType::WEBDAV) => &["DATA_COMPRESS_LZ4"],
        _ => &[],
    };
    names.get(bit as usize).copied()
}
