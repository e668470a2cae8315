//! Messages as real programs sent them: main, display, inputs and cursor channels, in both directions.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::caps::common::MINI_HEADER;
use spice_proto::channel::{common, cursor, display, inputs, main};
use spice_proto::frame::{Frame, FrameReader, HeaderForm};
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkHeader, LinkMess, LinkReply};

use crate::{by_hand, keep};

/// The recordings that the tests of spice-proto use.
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../spice-proto/tests/data/captures");

/// An acknowledgement, without a body. Most messages of the recordings are such, and would hide what the
/// others cost, so they are left out.
const ACK: u16 = common::ClientMessage::ACK;
/// The first PING of a main channel carries 250 KiB of padding, which is left out as well.
const PADDING: usize = 64 << 10;
/// Messages in [`recorded`].
pub const RECORDED: u32 = 1_357;

/// Messages of one direction of one connection.
pub struct Stream {
    /// Type of the channel.
    pub channel: ChannelType,
    /// From the server.
    pub from_server: bool,
    /// Whole frames.
    pub frames: Vec<Frame>,
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = folder.read_dir().expect("the recordings are there");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("a folder can be read").path())
        .collect();
    paths.sort();
    paths
}

/// The recorded streams of four channels; connections that were refused or use SASL are left out.
#[must_use]
pub fn recorded() -> Vec<Stream> {
    let mut streams = Vec::new();
    for path in entries(Path::new(CAPTURES))
        .iter()
        .flat_map(|scenario| entries(scenario))
    {
        let name = path.to_string_lossy();
        let Some(connection) = name.strip_suffix(".c2s.bin").filter(|name| !name.contains("sasl")) else {
            continue;
        };
        let read = |direction: &str| std::fs::read(format!("{connection}.{direction}.bin")).unwrap_or_default();
        streams.extend(data_stage(&read("c2s"), &read("s2c")).into_iter().flatten());
    }
    streams
}

fn data_stage(c2s: &[u8], s2c: &[u8]) -> Option<[Stream; 2]> {
    let limits = Limits::default();
    let body = |bytes: &[u8]| {
        let end = LinkHeader::LEN + LinkHeader::decode_slice(bytes).ok()?.size as usize;
        Some((end, bytes.get(LinkHeader::LEN..end)?.to_vec()))
    };
    let ((c2s_at, mess), (s2c_at, reply)) = (body(c2s)?, body(s2c)?);
    let mess = LinkMess::decode_slice(&mess, &limits).ok()?;
    let reply = LinkReply::decode_slice(&reply, &limits).ok()?;
    let mini = |caps: &spice_proto::caps::Capabilities| caps.has_common(MINI_HEADER);
    let form = HeaderForm::agreed(mini(&mess.capabilities), mini(&reply.capabilities));
    let four = [
        ChannelType::MAIN,
        ChannelType::DISPLAY,
        ChannelType::INPUTS,
        ChannelType::CURSOR,
    ];
    // Behind the reply comes the result, behind the message the mechanism and the sealed ticket.
    if !four.contains(&mess.channel_type) || s2c.get(s2c_at..s2c_at + 4)? != [0; 4] {
        return None;
    }
    let stream = |bytes: &[u8], from_server| {
        let mut rx = BytesMut::from(bytes);
        let frames = FrameReader::new(form, &limits).split(&mut rx).ok()?;
        Some(Stream {
            channel: mess.channel_type,
            from_server,
            frames: frames
                .filter(|frame| frame.body.len() < PADDING && (from_server || frame.header.number != ACK))
                .map(|frame| Frame {
                    body: Bytes::copy_from_slice(&frame.body),
                    ..frame
                })
                .collect(),
        })
    };
    Some([
        stream(&s2c[s2c_at + 4..], true)?,
        stream(c2s.get(c2s_at + 132..)?, false)?,
    ])
}

/// The sets of the four channels, with the encoders that were written by hand.
macro_rules! sets {
    ($make:ident!($($more:tt)*)) => {
        $make! { ($($more)*)
            Main MAIN true main::ServerMessage, by_hand::main_server;
            MainClient MAIN false main::ClientMessage, by_hand::main_client;
            Display DISPLAY true display::ServerMessage, by_hand::display_server;
            DisplayClient DISPLAY false display::ClientMessage, by_hand::display_client;
            Inputs INPUTS true inputs::ServerMessage, by_hand::inputs_server;
            InputsClient INPUTS false inputs::ClientMessage, by_hand::inputs_client;
            Cursor CURSOR true cursor::ServerMessage, by_hand::cursor_server;
            CursorClient CURSOR false common::ClientMessage, by_hand::common_client;
        }
    };
}

macro_rules! make_messages {
    (() $($variant:ident $channel:ident $from_server:literal $message:ty, $by_hand:path;)*) => {
        /// Decoded messages of a stream, in the set of its channel.
        enum Messages {
            $($variant(Vec<$message>),)*
        }

        impl Messages {
            fn new(stream: &Stream) -> Self {
                match (stream.channel, stream.from_server) {
                    $((ChannelType::$channel, $from_server) => Self::$variant(
                        stream.frames.iter().map(|frame| <$message>::decode(frame).unwrap()).collect()
                    ),)*
                    _ => unreachable!("`recorded` gives four channels"),
                }
            }

            fn encode(&self, dst: &mut BytesMut) {
                match self {
                    $(Self::$variant(messages) => messages.iter().for_each(|message| message.encode(dst).unwrap()),)*
                }
            }

            fn encode_by_hand(&self, dst: &mut BytesMut) {
                match self {
                    $(Self::$variant(messages) => messages.iter().for_each(|message| $by_hand(message, dst)),)*
                }
            }
        }

        fn decode_stream(stream: &Stream) {
            match (stream.channel, stream.from_server) {
                $((ChannelType::$channel, $from_server) => for frame in &stream.frames {
                    keep(<$message>::decode(frame).unwrap());
                },)*
                _ => unreachable!("`recorded` gives four channels"),
            }
        }
    };
}

sets!(make_messages!());

/// Bytes of the bodies of all recorded messages.
#[must_use]
pub fn bodies() -> usize {
    let streams = recorded();
    let frames = streams.iter().flat_map(|stream| &stream.frames);
    frames.map(|frame| frame.body.len()).sum()
}

/// Decodes all recorded messages.
#[must_use]
pub fn decode() -> Box<dyn FnMut()> {
    let streams = recorded();
    assert_eq!(
        streams.iter().map(|stream| stream.frames.len()).sum::<usize>(),
        RECORDED as usize
    );
    Box::new(move || streams.iter().for_each(decode_stream))
}

/// Appends all recorded messages to a buffer that has room for them.
fn encode_with(encode: fn(&Messages, &mut BytesMut)) -> Box<dyn FnMut()> {
    let streams = recorded();
    let messages: Vec<_> = streams.iter().map(Messages::new).collect();
    let bodies: Vec<u8> = streams
        .iter()
        .flat_map(|stream| &stream.frames)
        .flat_map(|frame| frame.body.clone())
        .collect();
    let mut out = BytesMut::with_capacity(bodies.len());
    messages.iter().for_each(|messages| encode(messages, &mut out));
    assert_eq!(out, bodies, "the bytes that the real programs sent");
    Box::new(move || {
        out.clear();
        messages.iter().for_each(|messages| encode(messages, &mut out));
    })
}

/// Encodes all recorded messages into a buffer that has room for them.
#[must_use]
pub fn encode() -> Box<dyn FnMut()> {
    encode_with(Messages::encode)
}

pub(crate) fn encode_by_hand() -> Box<dyn FnMut()> {
    encode_with(Messages::encode_by_hand)
}
