//! Tight, security type 16: tunnels, then authentication by code and name.
//!
//! ```text
//! S  u32 count, capabilities[count]      tunnels               Capabilities
//! C  s32 code                            if there were any     CapabilityChoice
//! S  u32 count, capabilities[count]      authentication        Capabilities
//! C  s32 code                            if there were any; else it goes on as None
//!    the exchange of that code, then SecurityResult as for that type and version
//!    ClientInit, ServerInit, and behind it
//! S  u16 n, u16 m, u16 k, 2 bytes        capabilities[n + m + k]   InteractionCapabilities
//! ```
//!
//! A capability is 16 bytes: a code, its vendor (4 letters), and its name (8 letters).
//!
//! Source: the community's specification; TightVNC 1.3.10's server and viewer, recorded.

use alloc::vec::Vec;
use core::fmt;

use bytes::BytesMut;

use super::SecurityType;
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed as _, Reader, codec, layout, length, put_array, put_block};

layout! {
    /// One thing that a server can do. 16 bytes.
    #[derive(Copy)]
    pub struct Capability {
        /// Its number; what it means depends on the list.
        code: i32,
        /// Its vendor: four letters.
        vendor: [u8; 4],
        /// Its name: eight letters.
        signature: [u8; 8],
    }
}

impl Capability {
    /// Tunnel: none.
    pub const NO_TUNNEL: Self = Self::new(0, *b"TGHT", *b"NOTUNNEL");
    /// Authentication: none.
    pub const NO_AUTH: Self = Self::new(1, *b"STDV", *b"NOAUTH__");
    /// Authentication: as security type VNC.
    pub const VNC_AUTH: Self = Self::new(2, *b"STDV", *b"VNCAUTH_");
    /// Authentication: as security type VeNCrypt.
    pub const VENCRYPT: Self = Self::new(19, *b"VENC", *b"VENCRYPT");
    /// Authentication: as security type SASL.
    pub const SASL: Self = Self::new(20, *b"GTKV", *b"SASL____");
    /// Authentication: Unix login. Known by name only.
    pub const UNIX_LOGIN: Self = Self::new(129, *b"TGHT", *b"ULGNAUTH");
    /// Authentication: external. Known by name only.
    pub const EXTERNAL: Self = Self::new(130, *b"TGHT", *b"XTRNAUTH");

    const fn new(code: i32, vendor: [u8; 4], signature: [u8; 8]) -> Self {
        Self {
            code,
            vendor,
            signature,
        }
    }

    /// The authentication capability for a security type, if there is one.
    #[must_use]
    pub const fn for_type(security_type: SecurityType) -> Option<Self> {
        match security_type {
            SecurityType::NONE => Some(Self::NO_AUTH),
            SecurityType::VNC => Some(Self::VNC_AUTH),
            SecurityType::VENCRYPT => Some(Self::VENCRYPT),
            SecurityType::SASL => Some(Self::SASL),
            _ => None,
        }
    }

    /// Whether it goes by the same name. Some servers list VNC authentication under a code of their own.
    #[must_use]
    pub fn same_name(&self, other: &Self) -> bool {
        (self.vendor, self.signature) == (other.vendor, other.signature)
    }
}

/// As `TGHT NOTUNNEL (0)`.
impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            vendor,
            signature,
        } = self;
        write!(f, "{} {} ({code})", vendor.escape_ascii(), signature.escape_ascii())
    }
}

layout! {
    /// A list of tunnels, or of ways to authenticate.
    pub struct Capabilities {
        ;
        count: u32,
        /// At most [`Limits::tight_capabilities`](crate::Limits::tight_capabilities).
        list: [Capability; ..=tight_capabilities],
    }
}

layout! {
    /// The client's choice from [`Capabilities`], 4 bytes.
    #[derive(Copy)]
    pub struct CapabilityChoice {
        /// The code.
        code: i32,
    }
}

/// Bytes of a [`Capability`].
const CAPABILITY_LEN: usize = 16;

/// What stands behind the ServerInit: the messages and encodings that the server knows beyond the common ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct InteractionCapabilities {
    /// Messages of the server. Each list has at most
    /// [`Limits::tight_capabilities`](crate::Limits::tight_capabilities).
    pub server_messages: Vec<Capability>,
    /// Messages of the client.
    pub client_messages: Vec<Capability>,
    /// Encodings.
    pub encodings: Vec<Capability>,
}

codec!(InteractionCapabilities);

/// A count of two bytes.
const fn count_field(name: &'static str) -> Field {
    Field {
        name,
        size: 2,
        inner: &[],
    }
}

impl InteractionCapabilities {
    const COUNTS: [&'static str; 3] = ["server_message_count", "client_message_count", "encoding_count"];
    const FIELDS: &'static [Field] = &[
        count_field("server_message_count"),
        count_field("client_message_count"),
        count_field("encoding_count"),
        count_field("padding"),
    ];

    fn counts(r: &mut Reader<'_>) -> Result<[u32; 3], DecodeError> {
        let mut offset = r.at();
        let mut block = r.block(8, Self::FIELDS)?;
        let counts: [u32; 3] = core::array::from_fn(|_| u16::get(&mut block).into());
        let limit = r.limits().tight_capabilities;
        for (&count, field) in counts.iter().zip(Self::COUNTS) {
            if limit < count {
                let (value, limit) = (count.into(), limit.into());
                return Err(r.error(field, offset, DecodeErrorKind::TooLarge { value, limit }));
            }
            offset = offset.saturating_add(2);
        }
        Ok(counts)
    }
}

impl Decode for InteractionCapabilities {
    const NAME: &'static str = "InteractionCapabilities";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [server, client, encodings] = Self::counts(r)?;
        Ok(Self {
            server_messages: r.array(server, "server_messages")?,
            client_messages: r.array(client, "client_messages")?,
            encodings: r.array(encodings, "encodings")?,
        })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        const HEADER: usize = 8;
        if r.left().len() < HEADER {
            return Ok(HEADER);
        }
        let counts = Self::counts(r)?;
        let all = counts.into_iter().fold(0, u32::saturating_add);
        Ok(r.end_of::<Capability>(all))
    }
}

impl Encode for InteractionCapabilities {
    fn wire_len(&self) -> usize {
        [&self.server_messages, &self.client_messages, &self.encodings]
            .into_iter()
            .fold(8, |len, list| {
                len.saturating_add(list.len().saturating_mul(CAPABILITY_LEN))
            })
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let count = |list: &[Capability], field| length(list.len(), Self::NAME, field, u16::MAX);
        let server = count(&self.server_messages, "server_message_count")?;
        let client = count(&self.client_messages, "client_message_count")?;
        let encodings = count(&self.encodings, "encoding_count")?;
        put_block::<8>(dst, |block| {
            for count in [server, client, encodings, 0] {
                u16::put(&count, block);
            }
        });
        put_array(dst, &self.server_messages);
        put_array(dst, &self.client_messages);
        put_array(dst, &self.encodings);
        Ok(())
    }
}
