//! The cheapest way to look at messages with shakenfist-spice-protocol: the three with much data in them are read by its
//! parts, which borrow; the others as they are.

use benches::mix::MixedFrame;
use shakenfist_spice_protocol::messages::{
    BinaryData, BitmapHeader, CursorSetHead, DrawBase, ImageDescriptor, SpiceCopy, SpiceCursorRef, StreamDataRef,
    WireType,
};
use shakenfist_spice_protocol::reader::{BoundedReader, LinkError};
use spice_proto::ids::ChannelType;

use super::theirs::Message;
use crate::contest::keep;

/// Reads a message, and keeps what was read.
pub fn look(mixed: &MixedFrame) -> Result<(), LinkError> {
    let body = &mixed.frame.body;
    match (mixed.channel, mixed.from_server, mixed.frame.header.number) {
        (ChannelType::DISPLAY, true, 304) => draw_copy(body)?,
        (ChannelType::DISPLAY, true, 123) => keep(StreamDataRef::read(&mut BoundedReader::new(body))?),
        (ChannelType::CURSOR, true, 103) => {
            let mut reader = BoundedReader::new(body);
            keep((CursorSetHead::read(&mut reader)?, SpiceCursorRef::read(&mut reader)?));
        }
        _ => match Message::decode(mixed) {
            Some(message) => keep(&message?),
            None => unreachable!("the others are left out"),
        },
    }
    Ok(())
}

fn draw_copy(body: &[u8]) -> Result<(), LinkError> {
    let mut reader = BoundedReader::new(body);
    let (base, copy) = (DrawBase::read(&mut reader)?, SpiceCopy::read(&mut reader)?);
    if let Some(mut image) = copy.src_bitmap_reader(body, reader.position())? {
        keep(picture(&mut image)?);
    }
    keep((base, copy));
    Ok(())
}

fn picture<'a>(image: &mut BoundedReader<'a>) -> Result<(ImageDescriptor, &'a [u8]), LinkError> {
    let descriptor = ImageDescriptor::read(image)?;
    let data = match descriptor.image_type {
        0 => {
            keep(BitmapHeader::read(image)?);
            image.read_bytes(image.remaining())?
        }
        105 => BinaryData::read_data(image)?,
        _ => image.read_bytes(image.remaining())?,
    };
    Ok((descriptor, data))
}
