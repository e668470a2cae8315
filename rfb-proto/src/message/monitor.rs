//! UltraVNC's monitors.
//!
//! The two messages have numbers that others use as well (VMware), so they are known only where the client has asked for
//! [`Encoding::MONITOR_INFO`](crate::encoding::Encoding::MONITOR_INFO).

use bytes::BytesMut;

use super::Extension;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed, Reader, codec, put_block};

const LEN: usize = 4;
const FIELDS: &[Field] = &[
    Field::new::<u8>("type"),
    Field::new::<u8>("monitor"),
    Field::new::<[u8; 2]>("padding"),
];

macro_rules! monitors {
    ($($(#[$meta:meta])* pub struct $name:ident in $direction:literal { $(#[$doc:meta])* monitor })*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        pub struct $name {
            $(#[$doc])*
            pub monitor: u8,
            /// Zero, or what the peer left there.
            pub padding: [u8; 2],
        }
        codec!($name, extensions);

        impl $name {
            /// Whether the number is UltraVNC's.
            fn known(r: &mut Reader<'_>) -> Result<(), DecodeError> {
                if r.extensions().asked(Extension::MonitorInfo) {
                    return Ok(());
                }
                r.rename($direction);
                Err(r.unknown("type", Self::NUMBER.into()))
            }
        }

        impl Decode for $name {
            const NAME: &'static str = stringify!($name);

            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Self::known(r)?;
                let mut block = r.block(LEN, FIELDS)?;
                r.is_type(&mut block, Self::NUMBER)?;
                let (monitor, padding) = (u8::get(&mut block), Fixed::get(&mut block));
                Ok(Self { monitor, padding })
            }

            fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
                Self::known(r)?;
                Ok(r.at().saturating_add(LEN))
            }
        }

        impl Encode for $name {
            fn wire_len(&self) -> usize {
                LEN
            }

            fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                put_block::<LEN>(dst, |block| {
                    Self::NUMBER.put(block);
                    self.monitor.put(block);
                    self.padding.put(block);
                });
                Ok(())
            }
        }
    )*};
}

monitors! {
    /// How many monitors the server has, 4 bytes.
    pub struct MonitorInfo in "ServerMessage" {
        /// Their number.
        monitor
    }

    /// Show this monitor, 4 bytes.
    pub struct SetMonitor in "ClientMessage" {
        /// Which one, as the server counts them.
        monitor
    }
}
