//! Frames of the link stage.
//!
//! ```text
//!            0        4        8       12        16
//! LinkHeader | "REDQ" | major  | minor  | size   |                                    both directions
//! LinkMess   | connection_id u32 | type u8 | id u8 | common u32 | channel u32 | offset u32 | words ...
//! LinkReply  | error u32 | RSA key 162 | common u32 | channel u32 | offset u32 | words ...
//! ```
//!
//! Little-endian and packed. `common` and `channel` count the words of the two capability sets; `offset`
//! says where they begin, counted from the byte behind the header.

use bytes::{Bytes, BytesMut};

use crate::caps::{Capabilities, CapabilityWords};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Reader, layout, length};
use crate::ids::{ChannelType, LinkErrorCode};
use crate::limits::Limits;

/// Bytes of an RSA-1024 key as DER `SubjectPublicKeyInfo` (`SPICE_TICKET_PUBKEY_BYTES`).
pub const PUBLIC_KEY_LEN: usize = 162;
/// Bytes of a sealed ticket.
pub const SEALED_TICKET_LEN: usize = 128;
pub use super::first_bytes::MAGIC;
/// Protocol version spoken here. The minor version is ignored, as both reference programs do.
pub const VERSION: (u32, u32) = (2, 2);

layout! {
    /// First bytes of each direction (`SpiceLinkHeader`).
    pub struct LinkHeader {
        /// [`MAGIC`].
        magic: [u8; 4],
        /// 2.
        major_version: u32,
        /// 2; not looked at.
        minor_version: u32,
        /// Bytes that follow.
        size: u32,
    }
}

impl LinkHeader {
    /// Bytes of the header.
    pub const LEN: usize = Self::BLOCK;

    /// The header in front of a message of `size` bytes.
    #[must_use]
    pub const fn new(size: u32) -> Self {
        Self {
            magic: MAGIC,
            major_version: VERSION.0,
            minor_version: VERSION.1,
            size,
        }
    }
}

layout! {
    /// The fixed part of [`LinkMess`].
    struct LinkMessHead {
        connection_id: u32,
        channel_type: ChannelType,
        channel_id: u8,
        num_common_caps: u32,
        num_channel_caps: u32,
        caps_offset: u32,
    }
}

layout! {
    /// The fixed part of [`LinkReply`].
    struct LinkReplyHead {
        error: LinkErrorCode,
        pub_key: [u8; PUBLIC_KEY_LEN],
        num_common_caps: u32,
        num_channel_caps: u32,
        caps_offset: u32,
    }
}

/// What a client asks for (`SpiceLinkMess`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMess {
    /// 0: a new session. Else the session that this channel belongs to, as told in `INIT`.
    pub connection_id: u32,
    /// Kind of the channel.
    pub channel_type: ChannelType,
    /// Its number among those of its kind.
    pub channel_id: u8,
    /// What the client announces.
    pub capabilities: Capabilities,
}

/// As its fields; the capabilities have the names of the channel's type.
#[cfg(feature = "serde")]
impl serde::Serialize for LinkMess {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let capabilities = crate::caps::OfChannel(&self.capabilities, self.channel_type);
        let mut message = serializer.serialize_struct("LinkMess", 4)?;
        message.serialize_field("connection_id", &self.connection_id)?;
        message.serialize_field("channel_type", &self.channel_type)?;
        message.serialize_field("channel_id", &self.channel_id)?;
        message.serialize_field("capabilities", &capabilities)?;
        message.end()
    }
}

impl LinkMess {
    /// Bytes without capability words: the smallest legal size.
    pub const MIN_LEN: usize = LinkMessHead::BLOCK;

    /// Decodes what follows the [`LinkHeader`]. Nothing of `body` is kept.
    ///
    /// # Errors
    /// A short message, more words than [`Limits::capability_words`], or words outside of the message.
    pub fn decode(body: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        Self::decode_slice(body, limits)
    }

    /// As `decode`, from borrowed bytes.
    ///
    /// # Errors
    /// A short message, more words than [`Limits::capability_words`], or words outside of the message.
    #[inline]
    pub fn decode_slice(body: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut r = Reader::borrowed(body, "LinkMess");
        let head = LinkMessHead::read(&mut r)?;
        let place = Words {
            counts: [head.num_common_caps, head.num_channel_caps],
            offset: head.caps_offset,
            head: LinkMessHead::BLOCK,
        };
        let Some([common, channel]) = place.find(body, limits) else {
            return Err(place.fault(&r, body, limits));
        };
        let LinkMessHead {
            connection_id,
            channel_type,
            channel_id,
            ..
        } = head;
        Ok(Self {
            connection_id,
            channel_type,
            channel_id,
            capabilities: Capabilities {
                common: CapabilityWords::from_wire(common),
                channel: CapabilityWords::from_wire(channel),
            },
        })
    }

    /// Appends the message with its [`LinkHeader`].
    ///
    /// # Errors
    /// More capability words than a `u32` can count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let (counts, size) = measure(&self.capabilities, LinkMessHead::BLOCK, "LinkMess")?;
        LinkHeader::new(size).write(dst)?;
        LinkMessHead {
            connection_id: self.connection_id,
            channel_type: self.channel_type,
            channel_id: self.channel_id,
            num_common_caps: counts[0],
            num_channel_caps: counts[1],
            caps_offset: length(LinkMessHead::BLOCK, "LinkMess", "caps_offset", u32::MAX)?,
        }
        .write(dst)?;
        put_words(&self.capabilities, dst);
        Ok(())
    }
}

/// What a server answers (`SpiceLinkReply`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LinkReply {
    /// Anything but OK ends the link.
    pub error: LinkErrorCode,
    /// The key that the ticket is sealed with, DER. All zero in errors, and where SASL will be used.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub pub_key: [u8; PUBLIC_KEY_LEN],
    /// What the server announces.
    pub capabilities: Capabilities,
}

impl LinkReply {
    /// Bytes without capability words: the smallest legal size.
    pub const MIN_LEN: usize = LinkReplyHead::BLOCK;

    /// The reply that refuses a link: everything but the code is zero.
    #[must_use]
    pub fn refusal(error: LinkErrorCode) -> Self {
        Self {
            error,
            pub_key: [0; PUBLIC_KEY_LEN],
            capabilities: Capabilities::default(),
        }
    }

    /// Decodes what follows the [`LinkHeader`]. Nothing of `body` is kept.
    ///
    /// # Errors
    /// A short message, more words than [`Limits::capability_words`], or words outside of the message.
    pub fn decode(body: &Bytes, limits: &Limits) -> Result<Self, DecodeError> {
        Self::decode_slice(body, limits)
    }

    /// As `decode`, from borrowed bytes.
    ///
    /// # Errors
    /// A short message, more words than [`Limits::capability_words`], or words outside of the message.
    #[inline]
    pub fn decode_slice(body: &[u8], limits: &Limits) -> Result<Self, DecodeError> {
        let mut r = Reader::borrowed(body, "LinkReply");
        let head = LinkReplyHead::read(&mut r)?;
        let place = Words {
            counts: [head.num_common_caps, head.num_channel_caps],
            offset: head.caps_offset,
            head: LinkReplyHead::BLOCK,
        };
        let Some([common, channel]) = place.find(body, limits) else {
            return Err(place.fault(&r, body, limits));
        };
        Ok(Self {
            error: head.error,
            pub_key: head.pub_key,
            capabilities: Capabilities {
                common: CapabilityWords::from_wire(common),
                channel: CapabilityWords::from_wire(channel),
            },
        })
    }

    /// Appends the message with its [`LinkHeader`]. An error without words has offset 0, as
    /// spice-server sends it.
    ///
    /// # Errors
    /// More capability words than a `u32` can count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let (counts, size) = measure(&self.capabilities, LinkReplyHead::BLOCK, "LinkReply")?;
        let bare = self.error != LinkErrorCode::OK && counts == [0, 0];
        LinkHeader::new(size).write(dst)?;
        LinkReplyHead {
            error: self.error,
            pub_key: self.pub_key,
            num_common_caps: counts[0],
            num_channel_caps: counts[1],
            caps_offset: length(
                if bare { 0 } else { LinkReplyHead::BLOCK },
                "LinkReply",
                "caps_offset",
                u32::MAX,
            )?,
        }
        .write(dst)?;
        put_words(&self.capabilities, dst);
        Ok(())
    }
}

/// Where the capability words of a message are.
struct Words {
    counts: [u32; 2],
    offset: u32,
    /// Bytes of the fixed part, which ends in the two counts and the offset.
    head: usize,
}

impl Words {
    /// The bytes of the two sets.
    #[inline(always)]
    fn find<'a>(&self, body: &'a [u8], limits: &Limits) -> Option<[&'a [u8]; 2]> {
        let [common, channel] = self.counts;
        if limits.capability_words < common.max(channel) {
            return None;
        }
        let offset = self.offset as usize;
        if common | channel == 0 {
            // Without words the offset means nothing: spice-server's own errors have 0.
            return Some([&[]; 2]);
        }
        let words = body.get(offset..).filter(|_| self.head <= offset)?;
        // INVARIANT: a set that is not in `words` is not read.
        let (common, rest) = words.split_at_checked((common as usize).saturating_mul(4))?;
        Some([common, rest.get(..(channel as usize).saturating_mul(4))?])
    }

    /// What is wrong with words that are not there, or are too many.
    #[cold]
    fn fault(&self, r: &Reader<'_>, body: &[u8], limits: &Limits) -> DecodeError {
        let [common, channel] = self.counts;
        let fields = [("num_common_caps", common, 12), ("num_channel_caps", channel, 8)];
        for (field, count, from_end) in fields {
            if limits.capability_words < count {
                let kind = DecodeErrorKind::TooLarge {
                    value: count.into(),
                    limit: limits.capability_words.into(),
                };
                return r.error(field, self.head.saturating_sub(from_end), kind);
            }
        }
        let at = self.head.saturating_sub(4);
        let offset = self.offset as usize;
        if offset < self.head {
            let kind = DecodeErrorKind::TooSmall {
                value: self.offset.into(),
                minimum: self.head as u64,
            };
            return r.error("caps_offset", at, kind);
        }
        let Some(words) = body.get(offset..) else {
            let kind = DecodeErrorKind::OutOfBounds {
                value: self.offset.into(),
                len: body.len(),
            };
            return r.error("caps_offset", at, kind);
        };
        let kind = DecodeErrorKind::Truncated {
            needed: u64::from(common).saturating_add(channel.into()).saturating_mul(4),
            left: words.len(),
        };
        r.error("capability words", offset, kind)
    }
}

/// The two counts and the size of a message with these capabilities.
fn measure(caps: &Capabilities, head: usize, message: &'static str) -> Result<([u32; 2], u32), EncodeError> {
    let (common, channel) = (caps.common.words().len(), caps.channel.words().len());
    let size = common.saturating_add(channel).saturating_mul(4).saturating_add(head);
    let counts = [
        length(common, message, "num_common_caps", u32::MAX)?,
        length(channel, message, "num_channel_caps", u32::MAX)?,
    ];
    Ok((counts, length(size, message, "size", u32::MAX)?))
}

fn put_words(caps: &Capabilities, dst: &mut BytesMut) {
    for word in caps.common.words().iter().chain(caps.channel.words()) {
        dst.extend_from_slice(&word.to_le_bytes());
    }
}
