//! Numbers with names. All are open: a value without a name passes through untouched.

use core::fmt;

/// An open id: a newtype over its wire integer, with constants for the known values.
macro_rules! ids {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) { $($(#[$doc:meta])* $value_name:ident = $value:literal),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl $crate::wire::Fixed for $name {
            const SIZE: usize = size_of::<$raw>();
            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                Self(<$raw as $crate::wire::Fixed>::get(block))
            }
            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                $crate::wire::Fixed::put(&self.0, block);
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

    /// What the client has to do before it leaves a migrating channel (`SPICE_MIGRATE_*`), a bit set.
    pub struct MigrateFlags(u32) {
        /// Send `MIGRATE_FLUSH_MARK`.
        NEED_FLUSH = 1,
        /// Take `MIGRATE_DATA` to the target.
        NEED_DATA_TRANSFER = 2,
    }

    /// How bad a [`crate::channel::common::Notify`] is (`SPICE_NOTIFY_SEVERITY_*`).
    pub struct NotifySeverity(u32) {
        /// For information.
        INFO = 0,
        /// A warning.
        WARN = 1,
        /// An error.
        ERROR = 2,
    }

    /// Who should see a [`crate::channel::common::Notify`] (`SPICE_NOTIFY_VISIBILITY_*`).
    pub struct NotifyVisibility(u32) {
        /// The log.
        LOW = 0,
        /// In between.
        MEDIUM = 1,
        /// The user.
        HIGH = 2,
    }

    /// Who draws the pointer (`SPICE_MOUSE_MODE_*`), a bit set. 32 bits in `INIT`, 16 elsewhere.
    pub struct MouseModes(u32) {
        /// The server, from relative motion.
        SERVER = 1,
        /// The client, with absolute positions.
        CLIENT = 2,
    }
}

impl MigrateFlags {
    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl MouseModes {
    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl From<u16> for MouseModes {
    fn from(bits: u16) -> Self {
        Self(bits.into())
    }
}
