//! What an operator allows.

use alloc::vec::Vec;

use super::Budget;
use super::table::{self, PLACES};
use crate::channel::main::ChannelId;
use crate::ids::ChannelType;
use crate::link::Sender;

/// Directions in which something may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Directions {
    /// From the viewer to the guest.
    pub to_guest: bool,
    /// From the guest to the viewer.
    pub from_guest: bool,
}

impl Directions {
    /// Both.
    pub const BOTH: Self = Self {
        to_guest: true,
        from_guest: true,
    };
    /// None.
    pub const NONE: Self = Self {
        to_guest: false,
        from_guest: false,
    };
}

/// What becomes of a message that is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Consequence {
    /// Something harmless goes on in its place, and the session with it.
    Replace,
    /// The connection ends.
    End,
}

/// A channel, or all of a kind, that viewers do not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// All channels of this kind.
    Kind(ChannelType),
    /// This one.
    Channel(ChannelId),
}

/// Channel types that have a row: 0, for those that are not known, to the last one that is.
pub(super) const KINDS: usize = (ChannelType::WEBDAV.0 as usize).saturating_add(1);

/// The row of a channel type.
#[inline]
pub(super) const fn kind(channel: ChannelType) -> usize {
    let kind = channel.0 as usize;
    if kind < KINDS { kind } else { 0 }
}

#[inline]
pub(super) const fn side(sender: Sender) -> usize {
    match sender {
        Sender::Client => 0,
        Sender::Server => 1,
    }
}

/// The messages that may pass, by channel, sender and number. At first every message that has a layout.
///
/// Messages in a LIST, and those that a full header leads to, have to be on it like any other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowList {
    /// One bit a place.
    bits: [[u64; 2]; KINDS],
}

impl Default for AllowList {
    fn default() -> Self {
        Self::none().fill(|_| true)
    }
}

impl AllowList {
    /// Nothing passes.
    #[must_use]
    pub const fn none() -> Self {
        Self { bits: [[0; 2]; KINDS] }
    }

    fn fill(mut self, which: impl Fn(ChannelType) -> bool) -> Self {
        for channel in (0..=ChannelType::WEBDAV.0)
            .map(ChannelType)
            .filter(|channel| which(*channel))
        {
            for sender in [Sender::Client, Sender::Server] {
                for (number, _) in table::largest_bodies(channel, sender) {
                    self = self.with(channel, sender, number);
                }
            }
        }
        self
    }

    /// All messages of a kind of channel may pass, too.
    #[must_use]
    pub fn with_channel(self, channel: ChannelType) -> Self {
        self.fill(|other| other == channel)
    }

    /// This message may pass, too. Without effect for a number that has no layout on any channel.
    #[must_use]
    pub fn with(mut self, channel: ChannelType, sender: Sender, number: u16) -> Self {
        if let Some((bits, bit)) = self.bit(channel, sender, number) {
            *bits |= bit;
        }
        self
    }

    /// This message may not pass.
    #[must_use]
    pub fn without(mut self, channel: ChannelType, sender: Sender, number: u16) -> Self {
        if let Some((bits, bit)) = self.bit(channel, sender, number) {
            *bits &= !bit;
        }
        self
    }

    fn bit(&mut self, channel: ChannelType, sender: Sender, number: u16) -> Option<(&mut u64, u64)> {
        const { assert!(PLACES <= 64) };
        let place = table::place(number)?;
        let bits = self.bits.get_mut(kind(channel))?.get_mut(side(sender))?;
        Some((bits, 1 << place))
    }

    pub(super) fn has(&self, kind: usize, side: usize, place: usize) -> bool {
        let bits = self.bits.get(kind).and_then(|sides| sides.get(side));
        bits.is_some_and(|bits| bits.checked_shr(u32::try_from(place).unwrap_or(u32::MAX)).unwrap_or(0) & 1 == 1)
    }
}

/// What an operator allows, to be made into a [`Policy`](super::Policy).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Everything passes, and what would not is only counted: no.
    pub report_only: bool,
    /// The messages that may pass: all that have a layout.
    pub allowed: AllowList,
    /// Whether messages without a layout may pass on other channels than main: yes, since newer programs have
    /// more. On the main channel they never do: one could name the address of a migration target.
    pub unknown: bool,
    /// Largest body of such a message: 64 KiB.
    pub unknown_body: u32,
    /// What becomes of a message of the client that is not on the list: the connection ends.
    pub from_client: Consequence,
    /// What becomes of a message of the server that is not on the list: another takes its place.
    pub from_server: Consequence,
    /// Bytes that may follow what a layout counts: 32. Readers accept them.
    pub trailing: u32,
    /// Other largest bodies than those of [`super::largest_bodies`].
    pub bodies: Vec<(ChannelType, Sender, u16, u32)>,
    /// Messages of one connection from the client: not limited.
    pub client_messages: Option<Budget>,
    /// Bytes of one connection from the client, headers left out: not limited.
    pub client_bytes: Option<Budget>,
    /// Messages of one connection from the server: not limited.
    pub server_messages: Option<Budget>,
    /// Bytes of one connection from the server, headers left out: not limited.
    pub server_bytes: Option<Budget>,
    /// Channels that viewers do not get: none. They are struck from `CHANNELS_LIST`, and a link to one is to be
    /// refused.
    pub withheld: Vec<Withheld>,
    /// Clipboards: both directions.
    pub clipboard: Directions,
    /// Files that are dropped on the viewer, or come by the agent's protocol otherwise: both directions. Shared
    /// folders are the webdav channel, which can be withheld.
    pub files: Directions,
    /// The viewer shows the guest and changes nothing: no. Input and all that the agent would do for the
    /// viewer is left out; record, smartcard, usbredir, port and webdav channels are withheld.
    pub view_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            report_only: false,
            allowed: AllowList::default(),
            unknown: true,
            unknown_body: 64 << 10,
            from_client: Consequence::End,
            from_server: Consequence::Replace,
            trailing: 32,
            bodies: Vec::new(),
            client_messages: None,
            client_bytes: None,
            server_messages: None,
            server_bytes: None,
            withheld: Vec::new(),
            clipboard: Directions::BOTH,
            files: Directions::BOTH,
            view_only: false,
        }
    }
}

/// Setters of one field each.
macro_rules! setters {
    ($($set:ident $field:ident: $ty:ty),* $(,)?) => {
        impl Settings {
            $(
                #[doc = concat!("Sets [`Settings::", stringify!($field), "`].")]
                #[must_use]
                pub fn $set(mut self, $field: $ty) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    with_report_only report_only: bool,
    with_allowed allowed: AllowList,
    with_unknown unknown: bool,
    with_unknown_body unknown_body: u32,
    with_from_client from_client: Consequence,
    with_from_server from_server: Consequence,
    with_trailing trailing: u32,
    with_bodies bodies: Vec<(ChannelType, Sender, u16, u32)>,
    with_client_messages client_messages: Option<Budget>,
    with_client_bytes client_bytes: Option<Budget>,
    with_server_messages server_messages: Option<Budget>,
    with_server_bytes server_bytes: Option<Budget>,
    with_withheld withheld: Vec<Withheld>,
    with_clipboard clipboard: Directions,
    with_files files: Directions,
    with_view_only view_only: bool,
}
