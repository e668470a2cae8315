//! Everything that real programs said decodes, and encodes back to the same bytes.

use bytes::{BufMut, BytesMut};
use spice_proto::channel;
use spice_proto::frame::{AckCounter, Acknowledge, Frame, FrameReader, Header, SubMessages, Writer};
use spice_proto::ids::ChannelType;
use spice_proto::link::messages::MAGIC;
use spice_proto::link::{LinkHeader, LinkMess, LinkReply};
use spice_proto::{DecodeError, Limits};

use crate::recordings::{self, Connection, Rows, link_message};

/// Decodes a link message or a link reply, and encodes it again. `head` is the size of its fixed part.
///
/// What is not in the form in which it is written here, with other bytes between or behind its parts, is another
/// message of the same meaning then.
fn again<M: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    body: &[u8],
    head: usize,
    decode: impl Fn(&[u8], &Limits) -> Result<M, DecodeError>,
    encode: impl Fn(&M, &mut BytesMut),
) -> Result<(), DecodeError> {
    let limits = Limits::default();
    let message = decode(body, &limits)?;
    let mut encoded = BytesMut::new();
    encode(&message, &mut encoded);
    let (_, encoded) = encoded.split_at(LinkHeader::LEN);
    assert_eq!(decode(encoded, &limits).as_ref(), Ok(&message));
    let offset = |body: &[u8]| body[head - 4..head].to_vec();
    if offset(body) == offset(encoded) && body.len() == encoded.len() {
        // The encoder writes version 2.2; others are spoken as well.
        let mut out = BytesMut::new();
        LinkHeader::decode_slice(bytes).unwrap().encode(&mut out).unwrap();
        out.put_slice(encoded);
        assert_eq!(out, bytes[..out.len()]);
    }
    Ok(())
}

/// Both link messages of a connection; gives whether they are there.
pub(crate) fn link_messages(connection: &Connection) -> [bool; 2] {
    let refused = connection.linked().is_none();
    let request = link_message(&connection.c2s).map(|(_, body)| {
        let request = again(
            &connection.c2s,
            body,
            LinkMess::MIN_LEN,
            LinkMess::decode_slice,
            |message, out| message.encode(out).unwrap(),
        );
        // The server refused what does not decode, or has not answered.
        request.inspect_err(|error| assert!(refused, "{error}")).ok()
    });
    let reply = link_message(&connection.s2c).map(|(_, body)| {
        let encode = |reply: &LinkReply, out: &mut BytesMut| reply.encode(out).unwrap();
        again(
            &connection.s2c,
            body,
            LinkReply::MIN_LEN,
            LinkReply::decode_slice,
            encode,
        )
        .unwrap();
    });
    [request.flatten().is_some(), reply.is_some()]
}

#[test]
fn link_messages_come_back_byte_for_byte() {
    let mut rows = Rows::new();
    for connection in recordings::all() {
        rows.row(&connection.name, || link_messages(&connection));
    }
    rows.end();
}

/// Takes both streams of a connection apart and puts them together again. Gives the number of messages, and of those
/// with a layout.
pub(crate) fn streams(connection: &Connection) -> Option<[usize; 2]> {
    let data = connection.data()?;
    let kind = data.linked.request.channel_type;
    let mut counts = [0, 0];
    for (s2c, bytes) in [(true, data.s2c), (false, data.c2s)] {
        let mut splitter = FrameReader::new(data.linked.form, &recordings::limits());
        let mut writer = Writer::new(data.linked.form);
        let mut rx = BytesMut::from(bytes);
        let mut out = BytesMut::new();
        while let Some(frame) = splitter.decode(&mut rx).unwrap_or_else(|error| panic!("{error}")) {
            counts[0] += 1;
            let known = match s2c {
                true => message(
                    kind,
                    &frame,
                    &mut writer,
                    &mut out,
                    channel::ServerMessage::decode,
                    |m| m.is_unknown(),
                ),
                false => message(
                    kind,
                    &frame,
                    &mut writer,
                    &mut out,
                    channel::ClientMessage::decode,
                    |m| m.is_unknown(),
                ),
            };
            counts[1] += usize::from(known);
            if let Some(subs) = SubMessages::of(&frame).filter(|_| s2c) {
                assert!(subs.unwrap().all(|sub| sub.is_ok()), "{:?}", frame.header);
            }
        }
        assert!(out == bytes[..out.len()]);
        // A peer may have gone in the middle of a message.
        assert_eq!(out.len() + rx.len(), bytes.len());
    }
    Some(counts)
}

/// Decodes a frame and writes it again. Gives whether its number has a layout.
///
/// No layout is an exception: each gives back the bytes that the real program wrote.
fn message<M: spice_proto::frame::Body>(
    kind: ChannelType,
    frame: &Frame,
    writer: &mut Writer,
    out: &mut BytesMut,
    decode: impl Fn(ChannelType, &Frame) -> Result<M, DecodeError>,
    is_unknown: impl Fn(&M) -> bool,
) -> bool {
    let Header { serial, sub_list, .. } = frame.header;
    let message = decode(kind, frame).unwrap_or_else(|error| panic!("{:?}: {error}", frame.header));
    if sub_list != 0 {
        // The list stands behind the message of the frame itself.
        let mut body = BytesMut::new();
        message.encode(&mut body).unwrap();
        assert_eq!(body, frame.body[..body.len()], "{:?}", frame.header);
        writer.write_frame(frame, out).unwrap();
    } else {
        writer.write(&message, out).unwrap();
    }
    // A server may leave out serials; those of mini headers are counted only.
    if serial != 0 && serial != writer.serial() {
        let at = out.len() - frame.body.len() - 18;
        out[at..at + 8].copy_from_slice(&serial.to_le_bytes());
    }
    !is_unknown(&message)
}

#[test]
fn streams_come_back_byte_for_byte() {
    let mut rows = Rows::new();
    let mut all = [0, 0];
    for connection in recordings::all() {
        if connection.data().is_some() {
            let counts = rows.row(&connection.name, || streams(&connection)).flatten();
            all = [0, 1].map(|n| all[n] + counts.map_or(0, |counts| counts[n]));
        }
    }
    println!("{} messages, {} of them with a layout", all[0], all[1]);
    rows.end();
}

/// How many acknowledgements are due by the messages of the server, and how many the client sent. `None`: a stream was
/// cut, or there are none.
pub(crate) fn acknowledgements(connection: &Connection) -> Option<[usize; 2]> {
    let data = connection.data()?;
    if connection.s2c_cut || connection.c2s_cut {
        return None;
    }
    let frames = FrameReader::new(data.linked.form, &recordings::limits());
    let mut counter = AckCounter::new();
    let (mut due, mut on) = (0, false);
    for frame in frames.frames(data.s2c) {
        due += usize::from(counter.received() == Acknowledge::Ack);
        if frame.header.number == 3 {
            counter.set(channel::common::SetAck::decode_slice(frame.body).unwrap().window);
            on = true;
        }
    }
    let sent = frames.frames(data.c2s).filter(|frame| frame.header.number == 2).count();
    on.then_some([due, sent])
}

#[test]
fn acknowledgements_are_as_the_real_clients() {
    let mut rows = Rows::new();
    for connection in recordings::all() {
        if acknowledgements(&connection).is_some() {
            rows.row(&connection.name, || {
                let [due, sent] = acknowledgements(&connection).unwrap();
                // The server stops behind two windows, and the client may close before it has read them.
                assert!(sent <= due && due <= sent + 2, "{due} due, {sent} sent");
            });
        }
    }
    rows.end();
}

/// Whether the first bytes of a side are those of SPICE, as far as they go.
pub(crate) fn is_spice(bytes: &[u8]) -> bool {
    let len = bytes.len().min(MAGIC.len());
    bytes[..len] == MAGIC[..len]
}
