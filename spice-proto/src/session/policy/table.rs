//! The largest body of every message, by channel and sender: what the layouts allow, and for what they leave open,
//! what the real programs send or take.

use crate::ids::ChannelType;
use crate::link::watch::Sender;

/// A picture, or a frame of video.
const PICTURE: u32 = 256 << 20;
/// Data that are passed on without a look into them: USB packets, files of a shared folder.
const DATA: u32 = 16 << 20;
/// The state of a channel in a migration; those that were seen have less than 100 bytes.
const STATE: u32 = 1 << 20;
/// Padding of a PING; spice-server sends 256,000 bytes.
const PADDING: u32 = 1 << 20;
/// Sound, packed or not: seconds of it.
const SOUND: u32 = 1 << 20;
/// Messages in one: two short ones in all that were seen.
const LIST: u32 = 64 << 10;
/// A text: a name, a note, a host and a subject.
const TEXT: u32 = 4096;
/// Clip rectangles of a picture that has no pixels, glyphs, a path.
const SHAPE: u32 = 4 << 20;
/// A command to a smart card, with room to spare.
const CARD: u32 = 64 << 10;
/// Agent data towards the server: what spice-server takes.
const AGENT: u32 = 2048;
/// Agent data towards the client: 32 times of what spice-server sends; spice-gtk has no limit.
const FROM_AGENT: u32 = 64 << 10;

/// Elements of `size` bytes, as many as a count of one byte can say.
const fn counted8(size: u32) -> u32 {
    255_u32.saturating_mul(size).saturating_add(1)
}

/// The same for a count of two bytes.
const fn counted16(head: u32, size: u32) -> u32 {
    65_535_u32.saturating_mul(size).saturating_add(head)
}

type Rows = &'static [(u16, u32)];

#[rustfmt::skip]
const BASE_SERVER: Rows = &[
    (1, 4), (2, STATE), (3, 8), (4, PADDING), (5, counted8(10)), (6, 12), (7, TEXT), (8, LIST), (100, 0),
];
#[rustfmt::skip]
const BASE_CLIENT: Rows = &[(1, 4), (2, 0), (3, 12), (4, 0), (5, STATE), (6, 12)];
#[rustfmt::skip]
const MAIN_SERVER: Rows = &[
    (101, TEXT), (102, 0), (103, 32), (104, counted16(4, 2)), (105, 4), (106, 4), (107, 0), (108, 4), (109, FROM_AGENT),
    (110, 4), (111, TEXT), (112, 0), (113, TEXT), (114, 16), (115, 4), (116, TEXT), (117, 0), (118, 0),
];
#[rustfmt::skip]
const MAIN_CLIENT: Rows = &[
    (101, 8), (102, 0), (103, 0), (104, 0), (105, 2), (106, 4), (107, AGENT), (108, 4), (109, 0), (110, 4), (111, 0),
    (112, TEXT),
];
#[rustfmt::skip]
const DISPLAY_SERVER: Rows = &[
    (101, 12), (102, 0), (103, 0), (104, SHAPE), (105, counted16(2, 9)), (106, counted8(10)), (107, 8), (108, 0),
    (122, SHAPE), (123, PICTURE), (124, SHAPE), (125, 4), (126, 0), (302, PICTURE), (303, PICTURE), (304, PICTURE),
    (305, PICTURE), (306, PICTURE), (307, PICTURE), (308, PICTURE), (309, PICTURE), (310, PICTURE), (311, PICTURE),
    (312, PICTURE), (313, PICTURE), (314, 20), (315, 4), (316, PICTURE), (317, counted16(4, 28)), (318, PICTURE),
    (319, 16), (320, 20), (321, 16), (322, TEXT), (323, 25 + counted8(8)),
];
#[rustfmt::skip]
const DISPLAY_CLIENT: Rows = &[(101, 14), (102, 32), (103, 1), (104, 0), (105, counted8(1))];
#[rustfmt::skip]
const INPUTS_SERVER: Rows = &[(101, 2), (102, 2), (111, 0)];
/// 2048: what spice-server takes on this channel.
#[rustfmt::skip]
const INPUTS_CLIENT: Rows = &[
    (101, 4), (102, 4), (103, 2), (104, 2048), (111, 10), (112, 11), (113, 3), (114, 3),
];
#[rustfmt::skip]
const CURSOR_SERVER: Rows = &[
    (101, SHAPE), (102, 0), (103, SHAPE), (104, 4), (105, 0), (106, 4), (107, 8), (108, 0),
];
#[rustfmt::skip]
const PLAYBACK_SERVER: Rows = &[
    (101, SOUND), (102, SOUND), (103, 14), (104, 0), (105, counted8(2)), (106, 1), (107, 4),
];
#[rustfmt::skip]
const RECORD_SERVER: Rows = &[(101, 10), (102, 0), (103, counted8(2)), (104, 1)];
#[rustfmt::skip]
const RECORD_CLIENT: Rows = &[(101, SOUND), (102, SOUND), (103, 4)];
#[rustfmt::skip]
const SMARTCARD: Rows = &[(101, CARD)];
#[rustfmt::skip]
const VMC: Rows = &[(101, DATA), (102, DATA)];
#[rustfmt::skip]
const PORT_SERVER: Rows = &[(101, DATA), (102, DATA), (201, TEXT), (202, 1)];
#[rustfmt::skip]
const PORT_CLIENT: Rows = &[(101, DATA), (102, DATA), (201, 1)];

/// Every message that a sender has on a channel of this type, with the largest body that its layout, or else
/// good sense, allows.
///
/// Where the layout says how long a body is, that is its length; readers accept bytes behind it, and so
/// [`super::Settings::trailing`] is added.
pub fn largest_bodies(channel: ChannelType, sender: Sender) -> impl Iterator<Item = (u16, u32)> {
    let (base, own): (Rows, Rows) = match sender {
        Sender::Server => (
            BASE_SERVER,
            match channel {
                ChannelType::MAIN => MAIN_SERVER,
                ChannelType::DISPLAY => DISPLAY_SERVER,
                ChannelType::INPUTS => INPUTS_SERVER,
                ChannelType::CURSOR => CURSOR_SERVER,
                ChannelType::PLAYBACK => PLAYBACK_SERVER,
                ChannelType::RECORD => RECORD_SERVER,
                ChannelType::SMARTCARD => SMARTCARD,
                ChannelType::USBREDIR => VMC,
                ChannelType::PORT | ChannelType::WEBDAV => PORT_SERVER,
                _ => &[],
            },
        ),
        Sender::Client => (
            BASE_CLIENT,
            match channel {
                ChannelType::MAIN => MAIN_CLIENT,
                ChannelType::DISPLAY => DISPLAY_CLIENT,
                ChannelType::INPUTS => INPUTS_CLIENT,
                ChannelType::RECORD => RECORD_CLIENT,
                ChannelType::SMARTCARD => SMARTCARD,
                ChannelType::USBREDIR => VMC,
                ChannelType::PORT | ChannelType::WEBDAV => PORT_CLIENT,
                _ => &[],
            },
        ),
    };
    base.iter().chain(own).copied()
}

/// Numbers that any message has, as places in a row.
pub(in crate::session) const PLACES: usize = 59;

/// The place of a number in a row.
#[inline]
pub(in crate::session) const fn place(number: u16) -> Option<usize> {
    let (first, base) = match number {
        1..=8 => (1, 0),
        100..=126 => (100, 8),
        201..=202 => (201, 35),
        302..=323 => (302, 37),
        _ => return None,
    };
    // INVARIANT: both are below 2^16, and `number` is at least `first`.
    Some((number as usize).saturating_sub(first).saturating_add(base))
}
