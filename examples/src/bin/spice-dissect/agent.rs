//! The agent's conversation inside of AGENT_DATA.

use std::io::Write;

use bytes::{Buf, Bytes, BytesMut};
use examples::capture::Sender;
use examples::dissect::{Error, Hex};
use serde::Serialize;
use spice_proto::Limits;
use spice_proto::agent::{Announced, Assembler, Frame, Message, MessageHeader, Receiver, caps};
use spice_proto::channel::main;
use spice_proto::ids::{AgentMessageType, ChannelType};

use crate::lines::{Body, Channel};
use crate::report::{Place, Report};
use crate::sessions::Shared;
use crate::stats::{Entry, Layer};

/// Both directions. How some messages look depends on what both sides have announced before, on this connection or on
/// that from which the session came here.
pub(crate) struct Agent {
    halves: [Half; 2],
    limits: Limits,
    announced: Announced,
    /// Where the order of the directions is not known, a side is held up until the other has announced.
    ordered: bool,
    /// INIT was seen, so the streams are read from their beginning. The target of a seamless migration sends none.
    begun: bool,
    /// Where the session was before, until something is heard here.
    before: Option<Shared>,
}

struct Half {
    receiver: Receiver,
    assembler: Assembler,
    has_announced: bool,
    /// Bodies that wait for the other side, or for INIT.
    held: Option<(Place, Bytes)>,
    /// What belongs to messages that are not whole, to compare with.
    raw: BytesMut,
    /// It cannot be read any more.
    lost: bool,
}

/// A message of the agent.
#[derive(Serialize)]
struct AgentLine<'a> {
    #[serde(flatten)]
    body: Body<'a, Message>,
    /// Names of the bits of an announcement.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<Vec<String>>,
    /// Why it is not looked into.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// Bytes of the message with its head, of which the last ones are in this AGENT_DATA.
    length: usize,
}

#[derive(Serialize)]
struct LostLine {
    error: String,
}

/// Why a message of the clipboard is not looked into.
const UNKNOWN_FORM: &str = "its form is not known: the capabilities were announced before the recording";

impl Agent {
    /// `before`: where the session was until now.
    pub(crate) fn new(limits: &Limits, ordered: bool, before: Option<Shared>) -> Self {
        let half = |receiver| Half {
            receiver,
            assembler: Assembler::new(receiver, limits),
            has_announced: false,
            held: None,
            raw: BytesMut::new(),
            lost: false,
        };
        Self {
            halves: [half(Receiver::Server), half(Receiver::Client)],
            limits: limits.clone(),
            announced: Announced::new(),
            ordered,
            begun: false,
            before,
        }
    }

    /// Goes on where the session was before, the first time that something is heard here. Gives what it was there.
    pub(crate) fn take_over(&mut self) -> Option<Shared> {
        let before = self.before.take()?;
        let mut was = before.borrow_mut();
        // It may have come and gone there without a word of the agent.
        was.take_over();
        self.announced = was.announced.clone();
        self.begun |= was.begun;
        for (half, was) in self.halves.iter_mut().zip(&was.halves) {
            half.assembler = was.assembler.clone();
            half.has_announced = was.has_announced;
            half.raw = was.raw.clone();
            half.lost = was.lost;
        }
        drop(was);
        Some(before)
    }

    /// INIT: both sides begin anew, and stay with what they announced until they announce something else.
    fn begin(&mut self) {
        self.begun = true;
        for half in &mut self.halves {
            half.assembler = Assembler::new(half.receiver, &self.limits);
            half.raw.clear();
            half.lost = false;
        }
    }

    /// Whether the bytes of this side wait for the other's.
    pub(crate) fn holds(&self, sender: Sender) -> bool {
        self.halves[sender as usize].held.is_some()
    }

    /// Goes on with a side that waits for nothing any more; `false` if there is none. `ended` tells which side has no
    /// more messages.
    pub(crate) fn release<W: Write>(&mut self, ended: [bool; 2], report: &mut Report<W>) -> Result<bool, Error> {
        let waits_in_vain = |sender: Sender| {
            let other = sender.other();
            self.halves[other as usize].has_announced || ended[other as usize] && !self.holds(other)
        };
        // Where each waits for the other the client goes first: what a side says first needs no announcement.
        let both = Sender::BOTH.into_iter().all(|sender| self.holds(sender));
        let next = Sender::BOTH
            .into_iter()
            .find(|sender| self.holds(*sender) && waits_in_vain(*sender))
            .or(both.then_some(Sender::Client));
        let Some(sender) = next else { return Ok(false) };
        if let Some((place, data)) = self.halves[sender as usize].held.take() {
            self.data(place, &data, report)?;
        }
        Ok(true)
    }

    /// A message of the main channel from the server.
    pub(crate) fn server_message<W: Write>(
        &mut self,
        place: Place,
        message: &main::ServerMessage,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        match message {
            main::ServerMessage::Init(_) => self.begin(),
            main::ServerMessage::AgentConnected | main::ServerMessage::AgentConnectedTokens(_) => self.begin_anew(),
            main::ServerMessage::AgentDisconnected(_) => {
                self.announced.agent_gone();
                self.begin_anew();
            }
            main::ServerMessage::AgentData(message) => self.heard(place, &message.data, report)?,
            _ => {}
        }
        Ok(())
    }

    /// A message of the main channel from the client.
    pub(crate) fn client_message<W: Write>(
        &mut self,
        place: Place,
        message: &main::ClientMessage,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        match message {
            main::ClientMessage::AgentData(message) => self.heard(place, &message.data, report),
            _ => Ok(()),
        }
    }

    /// Another agent speaks, or none: what was not over never will be.
    fn begin_anew(&mut self) {
        for half in &mut self.halves {
            half.assembler.reset();
            half.raw.clear();
        }
    }

    fn heard<W: Write>(&mut self, place: Place, data: &Bytes, report: &mut Report<W>) -> Result<(), Error> {
        if !self.ordered && !self.halves[place.sender.other() as usize].has_announced {
            self.halves[place.sender as usize].held = Some((place, data.clone()));
            return Ok(());
        }
        self.data(place, data, report)
    }

    fn data<W: Write>(&mut self, place: Place, data: &Bytes, report: &mut Report<W>) -> Result<(), Error> {
        let Self {
            halves,
            announced,
            begun,
            ..
        } = self;
        let announces = halves.iter().all(|half| half.has_announced);
        let half = &mut halves[place.sender as usize];
        if half.lost {
            return Ok(());
        }
        if report.reencodes() {
            half.raw.extend_from_slice(data);
        }
        for frame in half.assembler.frames(data) {
            let read = frame.and_then(|frame| {
                let known = *begun || announces || !has_agreed_form(frame.header.r#type);
                let message = match known {
                    true => Message::decode(&frame, announced.agreed())?,
                    false => Message::Unknown(frame.clone()),
                };
                Ok((message, frame))
            });
            let (message, frame) = match read {
                Ok(read) => read,
                Err(error) if *begun => return Err(place.failure(format!("agent: {error}")).into()),
                Err(error) => {
                    // The beginning was on another connection.
                    half.lost = true;
                    let error = error.to_string();
                    report.line(place, "agent", &LostLine { error })?;
                    return Ok(());
                }
            };
            if let Message::AnnounceCapabilities(message) = &message {
                half.has_announced = true;
                match place.sender {
                    Sender::Client => announced.by_client(message),
                    Sender::Server => announced.by_agent(message),
                }
            }
            show(place, &frame, &message, &mut half.raw, report)?;
        }
        Ok(())
    }
}

fn show<W: Write>(
    place: Place,
    frame: &Frame,
    message: &Message,
    raw: &mut BytesMut,
    report: &mut Report<W>,
) -> Result<(), Error> {
    let (number, name, size) = (frame.header.r#type.0, message.name(), frame.data.len());
    let length = MessageHeader::LEN + size;
    if report.reencodes() {
        report.check(place, &format!("agent {name}"), &raw[..length], |again| {
            frame.header.encode(again)?;
            message.encode(again)
        })?;
        raw.advance(length);
    }
    let known = !message.is_unknown();
    let own = message.encoded_len();
    let of_clipboard = !known && has_agreed_form(frame.header.r#type);
    let (name, error) = match of_clipboard {
        true => (type_name(frame.header.r#type), Some(UNKNOWN_FORM)),
        false => (name, None),
    };
    let body = Body {
        number,
        name,
        size,
        fields: Some(message).filter(|_| known && own != 0),
        body: Some(Hex(&frame.data)).filter(|_| !known),
        trailing: Hex(frame.data.get(own..).unwrap_or_default()),
    };
    let capabilities = match message {
        Message::AnnounceCapabilities(message) => Some(caps::names(&message.caps)),
        _ => None,
    };
    let line = AgentLine {
        body,
        capabilities,
        error,
        length,
    };
    report.line(place, "agent", &line)?;
    let entry = Entry::Message {
        channel: Channel(ChannelType::MAIN),
        number,
        name,
        known,
        layer: Layer::Agent,
    };
    report.count(place.sender, entry, length as u64);
    Ok(())
}

/// Whether the form of such a message depends on what both sides have announced.
fn has_agreed_form(r#type: AgentMessageType) -> bool {
    matches!(
        r#type,
        AgentMessageType::CLIPBOARD
            | AgentMessageType::CLIPBOARD_GRAB
            | AgentMessageType::CLIPBOARD_REQUEST
            | AgentMessageType::CLIPBOARD_RELEASE
    )
}

/// The name of a type in the specification.
fn type_name(r#type: AgentMessageType) -> &'static str {
    let known = Message::TABLE.iter().find(|(number, _)| *number == r#type.0);
    known.map_or("unknown", |(_, name)| *name)
}
