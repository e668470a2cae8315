//! Numbers with names. All are open: a value without a name passes through untouched.

use core::fmt;

/// The newtype of an open number, with constants for the known values.
macro_rules! open_number {
    ($(#[$meta:meta])* pub struct $name:ident($raw:ty) { $($(#[$doc:meta])* $value_name:ident = $value:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
        pub struct $name(pub $raw);

        impl $name {
            $($(#[$doc])* pub const $value_name: Self = Self($value);)*

            /// The name in the specification, if the value has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($value_name)),)*
                    _ => None,
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{}::{name}", stringify!($name)),
                    None => write!(f, "{}({})", stringify!($name), self.0),
                }
            }
        }

        impl $crate::fields::Fixed for $name {
            const SIZE: usize = size_of::<$raw>();
            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                Self(<$raw as $crate::fields::Fixed>::get(block))
            }
            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                $crate::fields::Fixed::put(&self.0, block);
            }
        }
    };
}

/// An open id: one value of many.
macro_rules! ids {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) { $($values:tt)* })*) => {$(
        open_number! { $(#[$meta])* pub struct $name($raw) { $($values)* } }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        /// The name in the specification, or the number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.name() {
                    Some(name) if serializer.is_human_readable() => serializer.serialize_str(name),
                    _ => self.0.serialize(serializer),
                }
            }
        }
    )*};
}

/// A bit mask: any number of values, each of them one bit. They are listed lowest bit first.
macro_rules! masks {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) {
        $($(#[$doc:meta])* $value_name:ident = $value:literal),* $(,)?
    })*) => {$(
        open_number! { $(#[$meta])* pub struct $name($raw) { $($(#[$doc])* $value_name = $value),* } }

        impl $name {
            pub(crate) const BITS: &'static [(u64, &'static str)] = &[$(($value, stringify!($value_name))),*];

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            const fn mask(self) -> $crate::ids::mask::Mask {
                $crate::ids::mask::Mask::new(self.0 as u64, Self::BITS)
            }
        }

        /// The names of the bits that are set, lowest first, and one hexadecimal number for those that have none:
        /// `NUM_LOCK|CAPS_LOCK|0x40`. 0 if none is.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.mask().fmt(f)
            }
        }

        /// In a human-readable format the array of what [`Display`](fmt::Display) shows, empty if no bit is set; in
        /// others the number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match serializer.is_human_readable() {
                    true => self.mask().serialize(serializer),
                    false => self.0.serialize(serializer),
                }
            }
        }
    )*};
}

ids! {
    /// Kind of a channel (`SPICE_CHANNEL_*`).
    pub struct ChannelType(u8) {
        /// Session control, agent, migration; the first channel of every session.
        MAIN = 1,
        /// Pictures and video streams.
        DISPLAY = 2,
        /// Keyboard and pointer.
        INPUTS = 3,
        /// Pointer shapes.
        CURSOR = 4,
        /// Sound from the guest.
        PLAYBACK = 5,
        /// Sound to the guest.
        RECORD = 6,
        /// Obsolete; has no messages.
        TUNNEL = 7,
        /// Smart cards.
        SMARTCARD = 8,
        /// Redirected USB devices.
        USBREDIR = 9,
        /// A named byte pipe.
        PORT = 10,
        /// Shared folders; speaks the port channel's messages.
        WEBDAV = 11,
    }

    /// Result of a link, also given as a reason in some messages (`SPICE_LINK_ERR_*`).
    pub struct LinkErrorCode(u32) {
        /// Accepted.
        OK = 0,
        /// No reason given.
        ERROR = 1,
        /// The first four bytes were not `REDQ`.
        INVALID_MAGIC = 2,
        /// A size, count or offset was wrong.
        INVALID_DATA = 3,
        /// The major version is not 2.
        VERSION_MISMATCH = 4,
        /// This channel needs TLS.
        NEED_SECURED = 5,
        /// This channel must not use TLS.
        NEED_UNSECURED = 6,
        /// Ticket wrong, expired or not decryptable. spice-gtk shows every result but OK as this.
        PERMISSION_DENIED = 7,
        /// No session has this `connection_id`.
        BAD_CONNECTION_ID = 8,
        /// The server has no such channel.
        CHANNEL_NOT_AVAILABLE = 9,
    }

    /// How a client proves that it may connect: the selector in front of the ticket. The values are
    /// the bit numbers of the capabilities that offer them.
    pub struct AuthMechanism(u32) {
        /// An RSA-encrypted ticket.
        SPICE = 1,
        /// SASL.
        SASL = 2,
    }
}

masks! {
    /// What the client has to do before it leaves a migrating channel (`SPICE_MIGRATE_*`), a bit set.
    pub struct MigrateFlags(u32) {
        /// Send `MIGRATE_FLUSH_MARK`.
        NEED_FLUSH = 1,
        /// Take `MIGRATE_DATA` to the target.
        NEED_DATA_TRANSFER = 2,
    }
}

ids! {
    /// How bad a [`crate::channel::common::Notify`] is (`SPICE_NOTIFY_SEVERITY_*`).
    pub struct NotifySeverity(u32) {
        /// For information.
        INFO = 0,
        /// A warning.
        WARN = 1,
        /// An error.
        ERROR = 2,
    }

    /// The audience of a [`crate::channel::common::Notify`] (`SPICE_NOTIFY_VISIBILITY_*`).
    pub struct NotifyVisibility(u32) {
        /// The log.
        LOW = 0,
        /// In between.
        MEDIUM = 1,
        /// The user.
        HIGH = 2,
    }
}

masks! {
    /// The side that draws the pointer (`SPICE_MOUSE_MODE_*`), a bit set. 32 bits in `INIT`, 16 elsewhere.
    pub struct MouseModes(u32) {
        /// The server, from relative motion.
        SERVER = 1,
        /// The client, with absolute positions.
        CLIENT = 2,
    }
}

masks! {
    /// Locks of the keyboard (`SPICE_KEYBOARD_MODIFIER_FLAGS_*`), a bit set.
    pub struct KeyboardModifiers(u16) {
        /// Scroll lock.
        SCROLL_LOCK = 1,
        /// Num lock.
        NUM_LOCK = 2,
        /// Caps lock.
        CAPS_LOCK = 4,
    }
}

ids! {
    /// What is more than a key in a PC's scan code, of set 1.
    pub struct ScanCode(u8) {
        /// In front of the codes of keys that came after the PC's first keyboard: the arrows, right Ctrl.
        EXTENDED = 0xe0,
        /// The bit in the last byte of a code that says that the key went up.
        RELEASED = 0x80,
    }

    /// A button of the pointer (`SPICE_MOUSE_BUTTON_*`).
    pub struct MouseButton(u8) {
        /// None.
        INVALID = 0,
        /// Left.
        LEFT = 1,
        /// Middle.
        MIDDLE = 2,
        /// Right.
        RIGHT = 3,
        /// Wheel up.
        UP = 4,
        /// Wheel down.
        DOWN = 5,
        /// First thumb button.
        SIDE = 6,
        /// Second thumb button.
        EXTRA = 7,
    }
}

masks! {
    /// Buttons that are down (`SPICE_MOUSE_BUTTON_MASK_*`), a bit set.
    pub struct MouseButtons(u16) {
        /// Left.
        LEFT = 1,
        /// Middle.
        MIDDLE = 2,
        /// Right.
        RIGHT = 4,
        /// Wheel up.
        UP = 8,
        /// Wheel down.
        DOWN = 16,
        /// First thumb button.
        SIDE = 32,
        /// Second thumb button.
        EXTRA = 64,
    }
}

ids! {
    /// How sound is packed (`SPICE_AUDIO_DATA_MODE_*`).
    pub struct AudioDataMode(u16) {
        /// None.
        INVALID = 0,
        /// Samples as they are.
        RAW = 1,
        /// CELT 0.5.1.
        CELT_0_5_1 = 2,
        /// Opus.
        OPUS = 3,
    }

    /// Format of a sample (`SPICE_AUDIO_FMT_*`).
    pub struct AudioFormat(u16) {
        /// None.
        INVALID = 0,
        /// Signed 16 bits, little-endian.
        S16 = 1,
    }

    /// Kind of a smart card message (`VSCMsgType`).
    pub struct VscMessageType(u32) {
        /// Start.
        INIT = 1,
        /// An error, or success.
        ERROR = 2,
        /// A reader is there.
        READER_ADD = 3,
        /// A reader is gone.
        READER_REMOVE = 4,
        /// Answer to reset: a card is there.
        ATR = 5,
        /// The card is gone.
        CARD_REMOVE = 6,
        /// A command to the card or its answer.
        APDU = 7,
        /// Send what is waiting.
        FLUSH = 8,
        /// It was sent.
        FLUSH_COMPLETE = 9,
    }

    /// How the data of a byte pipe are packed (`SPICE_DATA_COMPRESSION_TYPE_*`).
    pub struct DataCompression(u8) {
        /// As they are.
        NONE = 0,
        /// One LZ4 block.
        LZ4 = 1,
    }

    /// What happened to a port (`SPICE_PORT_EVENT_*`).
    pub struct PortEvent(u8) {
        /// The other side opened it.
        OPENED = 0,
        /// The other side closed it.
        CLOSED = 1,
        /// A break was sent.
        BREAK = 2,
    }

    /// Form of a pointer's picture (`SPICE_CURSOR_TYPE_*`).
    pub struct CursorType(u8) {
        /// 32-bit colours with alpha.
        ALPHA = 0,
        /// 1-bit AND and XOR masks.
        MONO = 1,
        /// 4-bit palette and mask.
        COLOR4 = 2,
        /// 8-bit palette and mask.
        COLOR8 = 3,
        /// 16-bit colours and mask.
        COLOR16 = 4,
        /// 24-bit colours and mask.
        COLOR24 = 5,
        /// 32-bit colours and mask.
        COLOR32 = 6,
    }
}

masks! {
    /// What to do with a pointer's picture (`SPICE_CURSOR_FLAGS_*`), a bit set.
    pub struct CursorFlags(u16) {
        /// There is no picture.
        NONE = 1,
        /// Keep it.
        CACHE_ME = 2,
        /// It was kept.
        FROM_CACHE = 4,
    }
}

mod agent;
mod display;
pub(crate) mod mask;

pub use agent::{
    AgentMessageType, AgentMouseButtons, AgentPort, ClipboardSelection, ClipboardType, DisplayConfigFlags,
    FileXferResult, MonitorsFlags, ReplyError,
};
pub use display::{
    AlphaFlags, BitmapFlags, BitmapFormat, BrushType, ClipType, CompositeFlags, GlScanoutFlags, ImageCompression,
    ImageFlags, ImageScaleMode, ImageType, JpegAlphaFlags, LineFlags, LzImageType, MaskFlags, PathFlags, QuicImageType,
    RopDescriptor, StreamFlags, StringFlags, SurfaceFlags, SurfaceFormat, VideoCodecType,
};

impl From<u16> for MouseModes {
    fn from(bits: u16) -> Self {
        Self(bits.into())
    }
}
