//! The largest body of every message, by channel and sender: what the layouts allow, and for what they leave open,
//! what the real programs send or take.

use crate::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
use crate::ids::ChannelType;
use crate::link::Sender;

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

const BASE_SERVER: Rows = {
    use common::ServerMessage as M;
    &[
        (M::MIGRATE, 4),
        (M::MIGRATE_DATA, STATE),
        (M::SET_ACK, 8),
        (M::PING, PADDING),
        (M::WAIT_FOR_CHANNELS, counted8(10)),
        (M::DISCONNECTING, 12),
        (M::NOTIFY, TEXT),
        (M::LIST, LIST),
        (M::BASE_LAST, 0),
    ]
};
const BASE_CLIENT: Rows = {
    use common::ClientMessage as M;
    &[
        (M::ACK_SYNC, 4),
        (M::ACK, 0),
        (M::PONG, 12),
        (M::MIGRATE_FLUSH_MARK, 0),
        (M::MIGRATE_DATA, STATE),
        (M::DISCONNECTING, 12),
    ]
};
const MAIN_SERVER: Rows = {
    use main::ServerMessage as M;
    &[
        (M::MIGRATE_BEGIN, TEXT),
        (M::MIGRATE_CANCEL, 0),
        (M::INIT, 32),
        (M::CHANNELS_LIST, counted16(4, 2)),
        (M::MOUSE_MODE, 4),
        (M::MULTI_MEDIA_TIME, 4),
        (M::AGENT_CONNECTED, 0),
        (M::AGENT_DISCONNECTED, 4),
        (M::AGENT_DATA, FROM_AGENT),
        (M::AGENT_TOKEN, 4),
        (M::MIGRATE_SWITCH_HOST, TEXT),
        (M::MIGRATE_END, 0),
        (M::NAME, TEXT),
        (M::UUID, 16),
        (M::AGENT_CONNECTED_TOKENS, 4),
        (M::MIGRATE_BEGIN_SEAMLESS, TEXT),
        (M::MIGRATE_DST_SEAMLESS_ACK, 0),
        (M::MIGRATE_DST_SEAMLESS_NACK, 0),
    ]
};
const MAIN_CLIENT: Rows = {
    use main::ClientMessage as M;
    &[
        (M::CLIENT_INFO, 8),
        (M::MIGRATE_CONNECTED, 0),
        (M::MIGRATE_CONNECT_ERROR, 0),
        (M::ATTACH_CHANNELS, 0),
        (M::MOUSE_MODE_REQUEST, 2),
        (M::AGENT_START, 4),
        (M::AGENT_DATA, AGENT),
        (M::AGENT_TOKEN, 4),
        (M::MIGRATE_END, 0),
        (M::MIGRATE_DST_DO_SEAMLESS, 4),
        (M::MIGRATE_CONNECTED_SEAMLESS, 0),
        (M::QUALITY_INDICATOR, TEXT),
    ]
};
const DISPLAY_SERVER: Rows = {
    use display::ServerMessage as M;
    &[
        (M::MODE, 12),
        (M::MARK, 0),
        (M::RESET, 0),
        (M::COPY_BITS, SHAPE),
        (M::INVAL_LIST, counted16(2, 9)),
        (M::INVAL_ALL_PIXMAPS, counted8(10)),
        (M::INVAL_PALETTE, 8),
        (M::INVAL_ALL_PALETTES, 0),
        (M::STREAM_CREATE, SHAPE),
        (M::STREAM_DATA, PICTURE),
        (M::STREAM_CLIP, SHAPE),
        (M::STREAM_DESTROY, 4),
        (M::STREAM_DESTROY_ALL, 0),
        (M::DRAW_FILL, PICTURE),
        (M::DRAW_OPAQUE, PICTURE),
        (M::DRAW_COPY, PICTURE),
        (M::DRAW_BLEND, PICTURE),
        (M::DRAW_BLACKNESS, PICTURE),
        (M::DRAW_WHITENESS, PICTURE),
        (M::DRAW_INVERS, PICTURE),
        (M::DRAW_ROP3, PICTURE),
        (M::DRAW_STROKE, PICTURE),
        (M::DRAW_TEXT, PICTURE),
        (M::DRAW_TRANSPARENT, PICTURE),
        (M::DRAW_ALPHA_BLEND, PICTURE),
        (M::SURFACE_CREATE, 20),
        (M::SURFACE_DESTROY, 4),
        (M::STREAM_DATA_SIZED, PICTURE),
        (M::MONITORS_CONFIG, counted16(4, 28)),
        (M::DRAW_COMPOSITE, PICTURE),
        (M::STREAM_ACTIVATE_REPORT, 16),
        (M::GL_SCANOUT_UNIX, 20),
        (M::GL_DRAW, 16),
        (M::QUALITY_INDICATOR, TEXT),
        (M::GL_SCANOUT2_UNIX, 25 + counted8(8)),
    ]
};
const DISPLAY_CLIENT: Rows = {
    use display::ClientMessage as M;
    &[
        (M::INIT, 14),
        (M::STREAM_REPORT, 32),
        (M::PREFERRED_COMPRESSION, 1),
        (M::GL_DRAW_DONE, 0),
        (M::PREFERRED_VIDEO_CODEC_TYPE, counted8(1)),
    ]
};
const INPUTS_SERVER: Rows = {
    use inputs::ServerMessage as M;
    &[(M::INIT, 2), (M::KEY_MODIFIERS, 2), (M::MOUSE_MOTION_ACK, 0)]
};
/// 2048: what spice-server takes on this channel.
const INPUTS_CLIENT: Rows = {
    use inputs::ClientMessage as M;
    &[
        (M::KEY_DOWN, 4),
        (M::KEY_UP, 4),
        (M::KEY_MODIFIERS, 2),
        (M::KEY_SCANCODE, 2048),
        (M::MOUSE_MOTION, 10),
        (M::MOUSE_POSITION, 11),
        (M::MOUSE_PRESS, 3),
        (M::MOUSE_RELEASE, 3),
    ]
};
const CURSOR_SERVER: Rows = {
    use cursor::ServerMessage as M;
    &[
        (M::INIT, SHAPE),
        (M::RESET, 0),
        (M::SET, SHAPE),
        (M::MOVE, 4),
        (M::HIDE, 0),
        (M::TRAIL, 4),
        (M::INVAL_ONE, 8),
        (M::INVAL_ALL, 0),
    ]
};
const PLAYBACK_SERVER: Rows = {
    use playback::ServerMessage as M;
    &[
        (M::DATA, SOUND),
        (M::MODE, SOUND),
        (M::START, 14),
        (M::STOP, 0),
        (M::VOLUME, counted8(2)),
        (M::MUTE, 1),
        (M::LATENCY, 4),
    ]
};
const RECORD_SERVER: Rows = {
    use record::ServerMessage as M;
    &[(M::START, 10), (M::STOP, 0), (M::VOLUME, counted8(2)), (M::MUTE, 1)]
};
const RECORD_CLIENT: Rows = {
    use record::ClientMessage as M;
    &[(M::DATA, SOUND), (M::MODE, SOUND), (M::START_MARK, 4)]
};
const SMARTCARD: Rows = {
    use smartcard::ServerMessage as M;
    &[(M::DATA, CARD)]
};
const VMC: Rows = {
    use vmc::ServerMessage as M;
    &[(M::DATA, DATA), (M::COMPRESSED_DATA, DATA)]
};
const PORT_SERVER: Rows = {
    use port::ServerMessage as M;
    &[
        (vmc::ServerMessage::DATA, DATA),
        (vmc::ServerMessage::COMPRESSED_DATA, DATA),
        (M::INIT, TEXT),
        (M::EVENT, 1),
    ]
};
const PORT_CLIENT: Rows = {
    use port::ClientMessage as M;
    &[
        (vmc::ClientMessage::DATA, DATA),
        (vmc::ClientMessage::COMPRESSED_DATA, DATA),
        (M::EVENT, 1),
    ]
};

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

/// Numbers that follow each other, of messages of any channel.
#[derive(Clone, Copy)]
struct Run {
    /// The place of the first one in a row.
    base: usize,
    first: u16,
    last: u16,
}

impl Run {
    const fn new(base: usize, first: u16, last: u16) -> Self {
        Self { base, first, last }
    }

    /// The place of the run that comes next.
    const fn end(self) -> usize {
        self.base
            .saturating_add((self.last as usize).saturating_sub(self.first as usize))
            .saturating_add(1)
    }

    #[inline]
    const fn place(self, number: u16) -> Option<usize> {
        if number < self.first || self.last < number {
            return None;
        }
        // INVARIANT: not less than `first`, and both are small: neither wraps.
        Some(
            (number as usize)
                .wrapping_sub(self.first as usize)
                .wrapping_add(self.base),
        )
    }
}

/// What all channels have.
const COMMON: Run = Run::new(0, common::ServerMessage::MIGRATE, common::ServerMessage::LIST);
/// What each channel has of its own; the display channel has most of these.
const OWN: Run = Run::new(
    COMMON.end(),
    common::ServerMessage::BASE_LAST,
    display::ServerMessage::STREAM_DESTROY_ALL,
);
/// What ports have beside the messages of a pipe.
const PORT: Run = Run::new(OWN.end(), port::ServerMessage::INIT, port::ServerMessage::EVENT);
/// Pictures.
const DRAW: Run = Run::new(
    PORT.end(),
    display::ServerMessage::DRAW_FILL,
    display::ServerMessage::GL_SCANOUT2_UNIX,
);

/// Numbers that any message has, as places in a row.
pub(in crate::session) const PLACES: usize = DRAW.end();

/// The place of a number in a row.
#[inline]
pub(in crate::session) const fn place(number: u16) -> Option<usize> {
    if number <= COMMON.last {
        COMMON.place(number)
    } else if number <= OWN.last {
        OWN.place(number)
    } else if number <= PORT.last {
        PORT.place(number)
    } else {
        DRAW.place(number)
    }
}
