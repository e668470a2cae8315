//! Messages that no one tuned the code on: drawn by a generator, in the proportions and sizes (2 bytes to 256 KiB) that
//! display, inputs, cursor and main channels have.
//!
//! One in five is a picture of a length that is even on a logarithmic scale, one in a thousand one of 256 KiB; half are
//! messages of 2 to 20 bytes from keyboard and pointer; the rest is what a main and a cursor channel say.

mod decode;
mod draw;
mod frames;
mod main_channel;
mod walk;
mod write;

pub use decode::{any_channel, own_set, walked};
pub use frames::{one_by_one, split, split_ranges, walked_frames};
pub use main_channel::{display_relay, main_channel, main_channel_copied, main_channel_len};
pub use write::{written, written_by_hand};

use bytes::{Bytes, BytesMut};
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::frame::{Frame, Header};
use spice_proto::ids::ChannelType;

/// Messages in a mix.
pub const MESSAGES: u32 = 4_000;

/// Numbers that are the same in every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`.
    fn below(&mut self, end: u32) -> u32 {
        (((self.next() >> 32) * u64::from(end)) >> 32) as u32
    }

    /// So many bytes, of which a decoder of pictures would make nothing.
    fn bytes(&mut self, len: u32) -> Bytes {
        let byte = self.next() as u8;
        let mut bytes = vec![byte; len as usize];
        let head = self.next().to_le_bytes();
        let known = bytes.len().min(head.len());
        bytes[..known].copy_from_slice(&head[..known]);
        Bytes::from(bytes)
    }

    /// A length from 64 bytes to 16 KiB, even on a logarithmic scale; once in two hundred 256 KiB.
    fn picture(&mut self) -> u32 {
        if self.below(200) == 0 {
            return 256 << 10;
        }
        let octave = 64 << self.below(8);
        octave + self.below(octave)
    }
}

/// A message, with the channel that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Mixed {
    /// From a server.
    Server(ServerMessage),
    /// From a client.
    Client(ClientMessage),
}

/// A frame, and where it belongs.
pub struct MixedFrame {
    /// Type of the channel.
    pub channel: ChannelType,
    /// From the server.
    pub from_server: bool,
    /// Header and body.
    pub frame: Frame,
}

impl MixedFrame {
    /// What it says.
    #[must_use]
    pub fn decode(&self) -> Mixed {
        match self.from_server {
            true => Mixed::Server(ServerMessage::decode(self.channel, &self.frame).unwrap()),
            false => Mixed::Client(ClientMessage::decode(self.channel, &self.frame).unwrap()),
        }
    }
}

/// The mix, as messages.
fn messages() -> Vec<Mixed> {
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15);
    (0..MESSAGES).map(|_| draw.message()).collect()
}

/// The mix, as frames.
#[must_use]
pub fn mixed_frames() -> Vec<MixedFrame> {
    messages().iter().map(Mixed::frame).collect()
}

/// A walk by hand over the body of a message, with what is in the mix; see the limit of decoding.
#[must_use]
pub fn walk_body(mixed: &MixedFrame) -> Option<()> {
    walk::body(
        mixed.channel,
        mixed.from_server,
        mixed.frame.header.number,
        &mixed.frame.body,
    )
}

/// Bytes of the mix, as frames with mini headers.
#[must_use]
pub fn stream_len() -> usize {
    frames::stream(&messages()).len()
}

/// What the display channel of the mix says, as frames with mini headers.
#[must_use]
pub fn display_stream() -> Vec<u8> {
    let all = messages();
    let display: Vec<Mixed> = all
        .into_iter()
        .filter(|message| message.channel() == ChannelType::DISPLAY)
        .collect();
    frames::stream(&display)
}

impl Mixed {
    fn channel(&self) -> ChannelType {
        match self {
            Self::Server(ServerMessage::Display(_)) => ChannelType::DISPLAY,
            Self::Server(ServerMessage::Cursor(_)) => ChannelType::CURSOR,
            Self::Server(ServerMessage::Inputs(_)) | Self::Client(ClientMessage::Inputs(_)) => ChannelType::INPUTS,
            _ => ChannelType::MAIN,
        }
    }

    fn number(&self) -> u16 {
        match self {
            Self::Server(message) => message.number(),
            Self::Client(message) => message.number(),
        }
    }

    /// Appends its body.
    pub fn encode(&self, dst: &mut BytesMut) {
        match self {
            Self::Server(message) => message.encode(dst).unwrap(),
            Self::Client(message) => message.encode(dst).unwrap(),
        }
    }

    fn frame(&self) -> MixedFrame {
        let mut body = BytesMut::new();
        self.encode(&mut body);
        let header = Header {
            serial: 0,
            number: self.number(),
            size: body.len() as u32,
            sub_list: 0,
        };
        MixedFrame {
            channel: self.channel(),
            from_server: matches!(self, Self::Server(_)),
            frame: Frame {
                header,
                body: body.freeze(),
            },
        }
    }
}
