//! A main channel, and a display channel, through the session's relay in reads of 64 KiB.

use bytes::{Bytes, BytesMut};
use spice_proto::channel::main::{ChannelId, ChannelsList, Init, ServerMessage as Main};
use spice_proto::channel::{ServerMessage, main};
use spice_proto::ids::{ChannelType, MouseModes};

use super::frames::{READ, stream};
use super::{Draw, MESSAGES, Mixed};
use crate::relay::Bench;

fn server(message: main::ServerMessage) -> Mixed {
    Mixed::Server(ServerMessage::Main(message))
}

/// What opens a main channel.
fn opening() -> Vec<Mixed> {
    vec![
        server(Main::Init(Init {
            session_id: 7,
            display_channels_hint: 1,
            supported_mouse_modes: MouseModes(3),
            current_mouse_mode: MouseModes(2),
            agent_connected: 0,
            agent_tokens: 10,
            multi_media_time: 1,
            ram_hint: 0,
        })),
        server(channels()),
    ]
}

/// With a channel that the policy withholds: the message is rewritten.
fn channels() -> Main {
    let kinds = [
        ChannelType::DISPLAY,
        ChannelType::INPUTS,
        ChannelType::CURSOR,
        ChannelType::USBREDIR,
    ];
    let channels = kinds.map(|channel_type| ChannelId { channel_type, id: 0 });
    Main::ChannelsList(ChannelsList {
        channels: channels.into(),
    })
}

/// As a server speaks; one in a hundred is rewritten.
fn said() -> Bytes {
    let mut draw = Draw(0x1234_5678_9abc_def1);
    let messages: Vec<Mixed> = (0..MESSAGES)
        .map(|n| match n % 100 {
            50 => server(channels()),
            _ => server(draw.main(120)),
        })
        .collect();
    stream(&messages).into()
}

/// Relayed; what the tenant gets is taken off.
#[must_use]
pub fn main_channel() -> Box<dyn FnMut()> {
    let said = said();
    let mut bench = Bench::main();
    bench.feed_server(&stream(&opening()), READ);
    Box::new(move || bench.feed_server(&said, READ))
}

/// Bytes that are relayed.
#[must_use]
pub fn main_channel_len() -> usize {
    said().len()
}

/// A display channel of a session: gives what its hypervisor says to the tenant.
pub fn display_relay() -> impl FnMut(&[u8]) {
    let mut bench = Bench::display();
    move |bytes| bench.feed_server(bytes, READ)
}

/// The limit: the same bytes, copied into a buffer and taken off.
#[must_use]
pub fn main_channel_copied() -> Box<dyn FnMut()> {
    let (said, mut rx) = (said(), BytesMut::new());
    Box::new(move || {
        for chunk in said.chunks(READ) {
            rx.reserve(READ);
            rx.extend_from_slice(chunk);
            crate::keep(rx.split());
        }
    })
}
