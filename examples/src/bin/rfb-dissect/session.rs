//! What follows the handshake: messages of both sides, and the rectangles of pictures.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use examples::capture::Sender;
use examples::dissect::{Error, Place, Stream};
use rfb_proto::encoding::Rectangle;
use rfb_proto::framing::{ClientFramer, Ends, FramingError, Message, Part, ServerFramer};
use rfb_proto::message::pseudo::Pseudo;
use rfb_proto::message::{ClientMessage, ExtendedClipboard, Extensions, ServerMessage};
use rfb_proto::{EncodeError, Limits, PixelFormat, ServerInit};
use serde::Serialize;

use crate::Report;
use crate::stats::Entry;

/// Most bytes of a payload that are held to look into: pointers, names and sizes are under it.
const LOOKED_INTO: usize = 1 << 20;

/// Both directions behind the handshake.
pub(crate) struct Session {
    client: ClientFramer,
    server: ServerFramer,
    limits: Limits,
    /// Where the messages of each side begin.
    base: [u64; 2],
    /// A message of each side that goes in pieces: where it began.
    long: [Option<Place>; 2],
    rectangle: Option<Open>,
}

/// A rectangle that has begun.
struct Open {
    place: Place,
    head: Rectangle,
    format: PixelFormat,
    size: u64,
    /// Its payload, if it may be looked into.
    payload: Option<BytesMut>,
}

#[derive(Serialize)]
struct MessageLine<'a, M> {
    number: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    size: u64,
    /// Not of one that is too long to be held.
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a M>,
    /// What a cut text of the extended clipboard says.
    #[serde(skip_serializing_if = "Option::is_none")]
    extended: Option<&'a ExtendedClipboard>,
}

#[derive(Serialize)]
struct RectangleLine<'a> {
    #[serde(flatten)]
    head: &'a Rectangle,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<&'a Pseudo>,
    /// Why it cannot be looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Session {
    pub(crate) fn new(init: &ServerInit, base: [u64; 2], limits: &Limits) -> Self {
        Self {
            client: ClientFramer::new(limits),
            server: ServerFramer::new(init, limits).with_extensions(Extensions::NONE),
            limits: limits.clone(),
            base,
            long: [None; 2],
            rectangle: None,
        }
    }

    /// What the stream of a side is inside of, and how much is known to be missing. `None`: it may end here.
    pub(crate) fn inside(&self, sender: Sender, left: usize) -> Option<(&'static str, u64)> {
        let (between, missing) = match sender {
            Sender::Client => (self.client.is_between_messages(), self.client.missing()),
            Sender::Server => (self.server.is_between_messages(), self.server.missing()),
        };
        let what = match (sender, between) {
            (Sender::Server, false) => "an update",
            _ => "a message",
        };
        (!between || 0 < left).then_some((what, missing.bytes))
    }

    /// Places what is there of one side.
    pub(crate) fn advance<W: Write>(
        &mut self,
        place: Place,
        stream: &mut Stream,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        let place = |offset| Place { offset, ..place };
        loop {
            let here = place(stream.offset);
            let left = match here.sender {
                Sender::Client => self.client(here, &stream.rx, report)?,
                Sender::Server => self.server(here, &stream.rx, report)?,
            };
            match left {
                Some(left) => stream.skip(stream.rx.len() - left),
                None => return Ok(()),
            }
        }
    }

    /// The failure of a framer, whose offsets count from the first byte behind the handshake.
    fn failure(&self, place: Place, error: &FramingError) -> Error {
        let offset = self.base[place.sender as usize] + error.offset;
        Place { offset, ..place }.failure(error.error).into()
    }

    /// One message of the client; gives how many bytes are left.
    fn client<W: Write>(&mut self, place: Place, rx: &[u8], report: &mut Report<W>) -> Result<Option<usize>, Error> {
        let extensions = *self.server.extensions();
        let mut rest = rx;
        let message = self.client.next_message(&mut rest, &extensions);
        let Some(message) = message.map_err(|error| self.failure(place, &error))? else {
            return Ok(None);
        };
        let Some(bytes) = message.whole() else {
            self.long(place, &message, ClientMessage::TABLE, report)?;
            return Ok(Some(rest.len()));
        };
        self.server
            .client_sent(bytes)
            .map_err(|error| place.plus(error.offset).failure(error))?;
        let bytes = Bytes::copy_from_slice(bytes);
        let decoded = ClientMessage::decode(&bytes, &extensions, &self.limits)
            .map_err(|error| place.plus(error.offset).failure(error))?;
        report.check(place, decoded.name(), &bytes, |again| decoded.encode(again))?;
        let extended = match &decoded {
            ClientMessage::ClientCutText(text) => text.extended(&self.limits).and_then(Result::ok),
            _ => None,
        };
        let (number, name) = (decoded.number(), decoded.name());
        Self::message(place, number, name, bytes.len(), &decoded, extended.as_ref(), report)?;
        Ok(Some(rest.len()))
    }

    fn message<W: Write>(
        place: Place,
        number: u8,
        name: &'static str,
        size: usize,
        fields: &impl Serialize,
        extended: Option<&ExtendedClipboard>,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        let size = size as u64;
        let line = MessageLine {
            number,
            name: Some(name),
            size,
            fields: Some(fields),
            extended,
        };
        report.line(place, "message", &line)?;
        report.count(place.sender, Entry::Message { number, name }, size);
        Ok(())
    }

    /// A piece of a message that is not held.
    fn long<W: Write>(
        &mut self,
        place: Place,
        message: &Message<'_>,
        table: &[(u8, &'static str)],
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        let number = message.number;
        let name = table.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        let entry = Entry::Message {
            number,
            name: name.unwrap_or_default(),
        };
        let bytes = message.bytes.len() as u64;
        let began = &mut self.long[place.sender as usize];
        if message.offset == 0 {
            *began = Some(place);
            report.count(place.sender, entry, bytes);
        } else {
            report.more(place.sender, entry, bytes);
        }
        let Some(began) = began.filter(|_| message.is_last()) else {
            return Ok(());
        };
        let line = MessageLine::<()> {
            number,
            name,
            size: message.len,
            fields: None,
            extended: None,
        };
        let time = place.time;
        Ok(report.line(Place { time, ..began }, "message", &line)?)
    }

    /// One part of what the server says; gives how many bytes are left.
    fn server<W: Write>(&mut self, place: Place, rx: &[u8], report: &mut Report<W>) -> Result<Option<usize>, Error> {
        let extensions = *self.server.extensions();
        let format = *self.server.format();
        let mut rest = rx;
        let part = self.server.next_part(&mut rest);
        let Some(part) = part.map_err(|error| self.failure(place, &error))? else {
            return Ok(None);
        };
        match part {
            Part::Update(head) => {
                let taken = &rx[..rx.len() - rest.len()];
                report.check(place, "FramebufferUpdate", taken, |again| head.encode(again))?;
                let update = ServerMessage::FramebufferUpdate(head);
                Self::message(place, 0, update.name(), taken.len(), &update, None, report)?;
            }
            Part::Message(message) => match message.whole() {
                None => self.long(place, &message, ServerMessage::TABLE, report)?,
                Some(bytes) => {
                    let bytes = Bytes::copy_from_slice(bytes);
                    let decoded = ServerMessage::decode(&bytes, &extensions, &self.limits)
                        .map_err(|error| place.plus(error.offset).failure(error))?;
                    report.check(place, decoded.name(), &bytes, |again| decoded.encode(again))?;
                    let extended = match &decoded {
                        ServerMessage::ServerCutText(text) => text.extended(&self.limits).and_then(Result::ok),
                        _ => None,
                    };
                    let (number, name) = (decoded.number(), decoded.name());
                    Self::message(place, number, name, bytes.len(), &decoded, extended.as_ref(), report)?;
                }
            },
            Part::Rectangle(piece) => {
                let taken = (rx.len() - rest.len()) as u64;
                let entry = || Entry::Rectangle(piece.rectangle.encoding);
                if piece.first {
                    report.check(place, "Rectangle", rx, |again| piece.rectangle.encode(again))?;
                    report.count(place.sender, entry(), taken);
                    self.rectangle = Some(Open {
                        place,
                        head: piece.rectangle,
                        format,
                        size: 0,
                        payload: Some(BytesMut::new()).filter(|_| has_fields(&piece.rectangle)),
                    });
                } else {
                    report.more(place.sender, entry(), taken);
                }
                if let Some(open) = &mut self.rectangle {
                    open.size += piece.payload.len() as u64;
                    match &mut open.payload {
                        Some(payload) if open.size <= LOOKED_INTO as u64 => payload.extend_from_slice(piece.payload),
                        _ => open.payload = None,
                    }
                }
                if let Some(open) = self.rectangle.take_if(|_| piece.ends != Ends::Nothing) {
                    self.rectangle(open, place, report)?;
                }
            }
        }
        Ok(Some(rest.len()))
    }

    /// A rectangle is whole.
    fn rectangle<W: Write>(&self, open: Open, end: Place, report: &mut Report<W>) -> Result<(), Error> {
        let (mut pseudo, mut error) = (None, None);
        if let Some(payload) = open.payload.map(BytesMut::freeze) {
            match Pseudo::decode(&open.head, &payload, &open.format, &self.limits) {
                Ok(decoded) => pseudo = decoded,
                Err(why) => error = Some(why.to_string()),
            }
            if let Some(pseudo) = &pseudo {
                let payload_place = open.place.plus(rectangle_head());
                report.check::<EncodeError>(payload_place, "the payload", &payload, |again| pseudo.encode(again))?;
            }
        }
        let place = Place {
            time: end.time,
            ..open.place
        };
        let line = RectangleLine {
            head: &open.head,
            size: open.size,
            fields: pseudo.as_ref(),
            error,
        };
        Ok(report.line(place, "rectangle", &line)?)
    }
}

/// Bytes of the head of a rectangle.
fn rectangle_head() -> usize {
    let (x, y, width, height) = (0, 0, 0, 0);
    let encoding = rfb_proto::encoding::Encoding::RAW;
    let head = Rectangle {
        x,
        y,
        width,
        height,
        encoding,
    };
    head.encoded_len()
}

/// Whether it may be no picture: those have small numbers.
fn has_fields(rectangle: &Rectangle) -> bool {
    !(0..=0xffff).contains(&rectangle.encoding.0)
}
