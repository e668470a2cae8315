//! Every message of the mix decoded: by its channel's set, by that of all channels, and walked by hand. The message is
//! looked at where it was made.

use spice_proto::channel::{ClientMessage, ServerMessage, cursor, display, inputs, main};
use spice_proto::ids::ChannelType;

use super::{Mixed, MixedFrame, messages, walk};
use crate::keep;

/// The frames, each of which was decoded to what it was made from.
fn frames() -> Vec<MixedFrame> {
    let messages = messages();
    let frames: Vec<MixedFrame> = messages.iter().map(Mixed::frame).collect();
    for (message, mixed) in messages.iter().zip(&frames) {
        assert_eq!(*message, mixed.decode());
    }
    frames
}

/// By the set of all channels.
#[must_use]
pub fn any_channel() -> Box<dyn FnMut()> {
    let frames = frames();
    Box::new(move || {
        for MixedFrame {
            channel,
            from_server,
            frame,
        } in &frames
        {
            match from_server {
                true => keep(ServerMessage::decode(*channel, frame).as_ref().unwrap()),
                false => keep(ClientMessage::decode(*channel, frame).as_ref().unwrap()),
            }
        }
    })
}

/// By the set of each channel.
#[must_use]
pub fn own_set() -> Box<dyn FnMut()> {
    let frames = frames();
    Box::new(move || {
        for MixedFrame {
            channel,
            from_server,
            frame,
        } in &frames
        {
            match (*channel, from_server) {
                (ChannelType::DISPLAY, _) => keep(display::ServerMessage::decode(frame).as_ref().unwrap()),
                (ChannelType::CURSOR, _) => keep(cursor::ServerMessage::decode(frame).as_ref().unwrap()),
                (ChannelType::INPUTS, true) => keep(inputs::ServerMessage::decode(frame).as_ref().unwrap()),
                (ChannelType::INPUTS, false) => keep(inputs::ClientMessage::decode(frame).as_ref().unwrap()),
                _ => keep(main::ServerMessage::decode(frame).as_ref().unwrap()),
            }
        }
    })
}

/// By hand: every field is read, after checks of lengths and pointers, and what has a length of its own is borrowed.
#[must_use]
pub fn walked() -> Box<dyn FnMut()> {
    let frames = frames();
    for MixedFrame {
        channel,
        from_server,
        frame,
    } in &frames
    {
        let walked = walk::body(*channel, *from_server, frame.header.number, &frame.body);
        assert!(walked.is_some(), "{frame:?}");
    }
    Box::new(move || {
        for MixedFrame {
            channel,
            from_server,
            frame,
        } in &frames
        {
            let walked = walk::body(*channel, *from_server, frame.header.number, &frame.body);
            assert!(walked.is_some());
        }
    })
}
