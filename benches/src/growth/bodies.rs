//! SPICE messages with bodies of any size.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::display::{ServerMessage, StreamData};
use spice_proto::frame::{FrameReader, HeaderForm, Writer};

use crate::{keep, mix};

/// With a body of this size.
fn message(size: u32) -> ServerMessage {
    ServerMessage::StreamData(StreamData {
        id: 1,
        multi_media_time: 2,
        data: vec![7; size as usize - 12].into(),
    })
}

pub(super) fn written_and_decoded(size: u32) -> Box<dyn FnMut()> {
    let message = message(size);
    let mut reader = FrameReader::new(HeaderForm::Mini, &Limits::default());
    let (mut writer, mut rx) = (Writer::new(HeaderForm::Mini), BytesMut::new());
    Box::new(move || {
        writer.write(&message, &mut rx).unwrap();
        let frame = reader.decode(&mut rx).unwrap().expect("it is whole");
        keep(&ServerMessage::decode(&frame).unwrap());
    })
}

pub(super) fn relayed(size: u32) -> Box<dyn FnMut()> {
    let mut bytes = BytesMut::new();
    Writer::new(HeaderForm::Mini).write(&message(size), &mut bytes).unwrap();
    let mut relay = mix::display_relay();
    Box::new(move || relay(&bytes))
}
