//! Every message of the mix written as a frame into a buffer with room for all.

use bytes::BytesMut;
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::frame::{HeaderForm, Writer};

use super::{Mixed, messages};
use crate::by_hand;

fn by_hand(message: &Mixed, dst: &mut BytesMut) {
    let at = dst.len();
    dst.extend_from_slice(&[0; 6]);
    match message {
        Mixed::Server(ServerMessage::Display(message)) => by_hand::display_server(message, dst),
        Mixed::Server(ServerMessage::Cursor(message)) => by_hand::cursor_server(message, dst),
        Mixed::Server(ServerMessage::Inputs(message)) => by_hand::inputs_server(message, dst),
        Mixed::Server(ServerMessage::Main(message)) => by_hand::main_server(message, dst),
        Mixed::Client(ClientMessage::Inputs(message)) => by_hand::inputs_client(message, dst),
        other => unreachable!("not in the mix: {other:?}"),
    }
    let size = (dst.len() - at - 6) as u32;
    let head = &mut dst[at..at + 6];
    head[..2].copy_from_slice(&message.number().to_le_bytes());
    head[2..].copy_from_slice(&size.to_le_bytes());
}

fn write_all(messages: &[Mixed], dst: &mut BytesMut) {
    let mut writer = Writer::new(HeaderForm::Mini);
    for message in messages {
        match message {
            Mixed::Server(message) => writer.write(message, dst).unwrap(),
            Mixed::Client(message) => writer.write(message, dst).unwrap(),
        }
    }
}

fn write_all_by_hand(messages: &[Mixed], dst: &mut BytesMut) {
    messages.iter().for_each(|message| by_hand(message, dst));
}

/// With this, after it was seen that both give the same bytes.
fn write_with(write: fn(&[Mixed], &mut BytesMut)) -> Box<dyn FnMut()> {
    let messages = messages();
    let (mut out, mut other) = (BytesMut::new(), BytesMut::new());
    write_all(&messages, &mut out);
    write_all_by_hand(&messages, &mut other);
    assert_eq!(out, other, "the same bytes");
    Box::new(move || {
        out.clear();
        write(&messages, &mut out);
    })
}

/// By `Writer`.
#[must_use]
pub fn written() -> Box<dyn FnMut()> {
    write_with(write_all)
}

/// By hand, each block of fixed fields as one array, the size filled in behind the body; no value is checked.
#[must_use]
pub fn written_by_hand() -> Box<dyn FnMut()> {
    write_with(write_all_by_hand)
}
