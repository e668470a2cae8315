//! Fences and continuous updates (community specification, `Fence` and `ContinuousUpdates`).
//!
//! A fence comes back to its sender when everything in front of it was dealt with. With continuous updates a server
//! sends pictures unasked, and the fences tell it how fast they are taken.

use bytes::Bytes;

use crate::fields::{codec, layout};
use crate::ids::masks;

masks! {
    /// How a fence is to be kept; a bit each. The answer has only the bits that its sender knows.
    pub struct FenceFlags(u32) {
        /// Everything in front of it is done before the answer.
        BLOCK_BEFORE = 1, "BlockBefore";
        /// Nothing behind it is begun before the answer.
        BLOCK_AFTER = 2, "BlockAfter";
        /// The message behind it and the answer happen at the same time: a change of the pixel format has no
        /// update between.
        SYNC_NEXT = 4, "SyncNext";
        /// An answer is wanted; without it this is one.
        REQUEST = 0x8000_0000, "Request";
    }
}

impl FenceFlags {
    /// Those that are defined, without [`FenceFlags::REQUEST`].
    const KNOWN: u32 = 7;
}

/// Most bytes of a payload that is answered: 64, by the specification.
pub const MAX_FENCE_PAYLOAD: usize = 64;

macro_rules! fences {
    ($($(#[$meta:meta])* pub struct $name:ident, answered by $answer:ident;)*) => {$(
        layout! {
            $(#[$meta])*
            pub struct $name = NUMBER {
                /// Zero, or what the peer left there.
                padding: [u8; 3],
                /// How it is to be kept.
                flags: FenceFlags,
                ;
                length: u8,
                /// Anything; the answer has the same. More than [`MAX_FENCE_PAYLOAD`] is not allowed, but can be sent.
                #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
                payload: [u8],
            }
        }

        impl $name {
            /// This fence.
            #[must_use]
            pub fn new(flags: FenceFlags, payload: Bytes) -> Self {
                let padding = [0; 3];
                Self { padding, flags, payload }
            }

            /// What it is to be answered with. `None`: it is an answer itself, or its payload is longer than
            /// [`MAX_FENCE_PAYLOAD`]; TurboVNC copied that into its 64 bytes (CVE-2019-15683). Such a fence is
            /// skipped, as TigerVNC does.
            #[must_use]
            pub fn answer(&self) -> Option<$answer> {
                let wanted = self.flags.contains(FenceFlags::REQUEST) && self.payload.len() <= MAX_FENCE_PAYLOAD;
                let flags = FenceFlags(self.flags.0 & FenceFlags::KNOWN);
                wanted.then(|| $answer::new(flags, self.payload.clone()))
            }
        }
    )*};
}

fences! {
    /// A fence from the client: 9 bytes and a payload.
    pub struct ClientFence, answered by ServerFence;
    /// A fence from the server: 9 bytes and a payload.
    pub struct ServerFence, answered by ClientFence;
}

layout! {
    /// Updates of a part of the picture without requests, from now on or no longer; 10 bytes.
    #[derive(Copy)]
    pub struct EnableContinuousUpdates = NUMBER {
        /// 0: no longer.
        enable: u8,
        /// Left edge, in pixels.
        x: u16,
        /// Upper edge, in pixels.
        y: u16,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
    }
}

layout! {
    /// Continuous updates can be had (the first time), or have ended; 1 byte.
    #[derive(Copy, Default)]
    pub struct EndOfContinuousUpdates = NUMBER {}
}
