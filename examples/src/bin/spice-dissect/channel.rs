//! The data stage of one connection.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;

use bytes::BytesMut;
use examples::capture::Sender;
use examples::dissect::{Error, Hex, Stream};
use serde::Serialize;
use spice_proto::channel::{ClientMessage, ServerMessage, main};
use spice_proto::frame::{Frame, FrameReader, Header, HeaderForm, SubMessages};
use spice_proto::ids::ChannelType;
use spice_proto::link::watch::Linked;
use spice_proto::{DecodeError, EncodeError, Limits};

use crate::agent::Agent;
use crate::lines::{Body, Channel, ImageLine, MessageLine, SubMessageLine};
use crate::report::{Place, Report};
use crate::sessions::{Ends, Sessions, Shared};
use crate::stats::{Entry, Layer};

/// A message of either direction.
#[derive(Serialize)]
#[serde(untagged)]
enum Message {
    Server(ServerMessage),
    Client(ClientMessage),
}

impl Message {
    fn decode(sender: Sender, channel: ChannelType, frame: &Frame) -> Result<Self, DecodeError> {
        match sender {
            Sender::Client => ClientMessage::decode(channel, frame).map(Self::Client),
            Sender::Server => ServerMessage::decode(channel, frame).map(Self::Server),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Server(message) => message.name(),
            Self::Client(message) => message.name(),
        }
    }

    fn is_unknown(&self) -> bool {
        match self {
            Self::Server(message) => message.is_unknown(),
            Self::Client(message) => message.is_unknown(),
        }
    }

    fn encoded_len(&self) -> usize {
        match self {
            Self::Server(message) => message.encoded_len(),
            Self::Client(message) => message.encoded_len(),
        }
    }

    fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::Server(message) => message.encode(dst),
            Self::Client(message) => message.encode(dst),
        }
    }

    /// How it is shown. `body` is what it was decoded from; bytes from `rest` on are something else.
    fn body<'a>(&'a self, number: u16, body: &'a [u8], rest: usize) -> Body<'a, Self> {
        let known = !self.is_unknown();
        Body {
            number: number.into(),
            name: self.name(),
            size: body.len(),
            fields: Some(self).filter(|_| known && self.encoded_len() != 0),
            body: Some(Hex(body)).filter(|_| !known),
            trailing: Hex(body.get(self.encoded_len()..rest).unwrap_or_default()),
        }
    }

    /// Heads of the pictures in it.
    fn images(&self) -> Vec<ImageLine> {
        match self {
            Self::Server(ServerMessage::Display(message)) => message.images().filter_map(ImageLine::of).collect(),
            _ => Vec::new(),
        }
    }

    fn entry(&self, channel: ChannelType, number: u16, layer: Layer) -> Entry {
        Entry::Message {
            channel: Channel(channel),
            number: number.into(),
            name: self.name(),
            known: !self.is_unknown(),
            layer,
        }
    }
}

/// Both directions.
pub(crate) struct Data {
    channel: ChannelType,
    channel_id: u8,
    form: HeaderForm,
    splitters: [FrameReader; 2],
    /// Messages so far.
    serials: [u64; 2],
    /// Of the main channel.
    agent: Option<Shared>,
    /// The number of the session that the client goes on with; 0: a new one.
    session: u32,
    ends: Ends,
    sessions: Sessions,
}

/// What is known of a connection beside its bytes.
pub(crate) struct Circumstances<'a> {
    /// Messages will come in the order in which they were seen.
    pub(crate) ordered: bool,
    /// It is a UNIX socket's.
    pub(crate) unix: bool,
    pub(crate) ends: Ends,
    /// Those of the whole recording.
    pub(crate) sessions: &'a Sessions,
}

impl Data {
    pub(crate) fn new(linked: &Linked, limits: &Limits, about: &Circumstances<'_>) -> Self {
        let (channel, session) = (linked.request.channel_type, linked.request.connection_id);
        let splitter = || FrameReader::new(linked.header_form, limits);
        let of_server = match channel {
            ChannelType::DISPLAY if about.unix => splitter().with_descriptors(),
            _ => splitter(),
        };
        Self {
            channel,
            channel_id: linked.request.channel_id,
            form: linked.header_form,
            splitters: [splitter(), of_server],
            serials: [0; 2],
            agent: (channel == ChannelType::MAIN).then(|| {
                let before = about.sessions.agent(session, about.ends).filter(|_| session != 0);
                Rc::new(RefCell::new(Agent::new(limits, about.ordered, before)))
            }),
            session,
            ends: about.ends,
            sessions: about.sessions.clone(),
        }
    }

    /// Whose bytes have to come first.
    pub(crate) fn due(&self) -> Option<Sender> {
        Sender::BOTH
            .into_iter()
            .find(|sender| self.holds(*sender))
            .map(Sender::other)
    }

    /// Whether the bytes of this side wait for the other's.
    fn holds(&self, sender: Sender) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.borrow().holds(sender))
    }

    /// Goes on with a side that waits for nothing any more; `false` if there is none.
    pub(crate) fn release<W: Write>(&mut self, ended: [bool; 2], report: &mut Report<W>) -> Result<bool, Error> {
        match &self.agent {
            Some(agent) => agent.borrow_mut().release(ended, report),
            None => Ok(false),
        }
    }

    /// Bytes that a frame lacks of which these are the beginning, if its header is there.
    pub(crate) fn missing(&self, rx: &[u8]) -> Option<u64> {
        Some(
            Header::read(self.form, rx)?
                .frame_len(self.form)
                .saturating_sub(rx.len() as u64),
        )
    }

    /// Places the whole messages of one direction.
    pub(crate) fn advance<W: Write>(
        &mut self,
        mut place: Place,
        stream: &mut Stream,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        while !self.holds(place.sender) {
            let head = stream.rx.get(..self.form.len()).map(<[u8]>::to_vec);
            let end = Header::read(self.form, &stream.rx).map_or(0, |header| header.frame_len(self.form));
            // INVARIANT: a body is no larger than the limit, which is a u32.
            let behind = stream.rx.get(end as usize).copied();
            let before = stream.rx.len();
            let splitter = &mut self.splitters[place.sender as usize];
            let frame = splitter
                .decode(&mut stream.rx)
                .map_err(|error| place.plus(error.offset).failure(error))?;
            let (Some(head), Some(frame)) = (head, frame) else {
                break;
            };
            let taken = (before - stream.rx.len()) as u64;
            report.check(place, "the header", &head, |again| {
                frame.header.write(self.form, again);
                Ok::<(), EncodeError>(())
            })?;
            stream.offset += taken;
            self.message(place, &frame, behind.filter(|_| end < taken), report)?;
            place.offset = stream.offset;
        }
        Ok(())
    }

    fn message<W: Write>(
        &mut self,
        place: Place,
        frame: &Frame,
        descriptor_byte: Option<u8>,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        let Header { number, sub_list, .. } = frame.header;
        let sender = place.sender;
        let inside = place.plus(self.form.len());
        let failed = |at: usize, error: DecodeError| {
            let what = format!(
                "message {number} of {} bytes at offset {}: {error}",
                frame.body.len(),
                place.offset
            );
            inside.plus(at + error.offset).failure(what)
        };
        let message = Message::decode(sender, self.channel, frame).map_err(|error| failed(0, error))?;
        report.check(inside, message.name(), &frame.body, |again| message.encode(again))?;

        let mut subs = Vec::new();
        if let Some(list) = SubMessages::of(frame).filter(|_| sender == Sender::Server) {
            for sub in list.map_err(|error| failed(0, error))? {
                let sub = sub.map_err(|error| failed(0, error))?;
                let body = frame.body.slice_ref(sub.exact_data(self.channel));
                let header = Header {
                    number: sub.number,
                    size: sub.declared_size,
                    sub_list: 0,
                    ..frame.header
                };
                // Offsets in the list count from the start of the body, and so does `data` in it.
                let at = body.as_ptr() as usize - frame.body.as_ptr() as usize;
                let inner = Frame { header, body };
                let message = Message::decode(sender, self.channel, &inner).map_err(|error| failed(at, error))?;
                report.check(inside.plus(at), message.name(), &inner.body, |again| {
                    message.encode(again)
                })?;
                report.count(
                    sender,
                    message.entry(self.channel, sub.number, Layer::SubMessage),
                    inner.body.len() as u64,
                );
                subs.push((sub.offset, sub.declared_size, inner, message));
            }
        }

        let serial = &mut self.serials[sender as usize];
        *serial += 1;
        let (header, serial) = match self.form {
            HeaderForm::Mini => ("mini", *serial),
            HeaderForm::Full => ("full", frame.header.serial),
        };
        // A list behind the message is no trailing bytes.
        let rest = if sub_list == 0 {
            frame.body.len()
        } else {
            sub_list as usize
        };
        let line = MessageLine {
            channel: Channel(self.channel),
            channel_id: self.channel_id,
            header,
            serial,
            body: message.body(number, &frame.body, rest),
            images: message.images(),
            descriptor_byte,
            sub_messages: subs
                .iter()
                .map(|(offset, declared_size, inner, message)| SubMessageLine {
                    offset: *offset,
                    declared_size: *declared_size,
                    body: message.body(inner.header.number, &inner.body, inner.body.len()),
                })
                .collect(),
        };
        report.line(place, "message", &line)?;
        let entry = message.entry(self.channel, number, Layer::Channel);
        let bytes = frame.header.frame_len(self.form) + u64::from(descriptor_byte.is_some());
        report.count(sender, entry, bytes);
        match &self.agent {
            Some(agent) => self.to_agent(agent, place, &message, report),
            None => Ok(()),
        }
    }

    /// What the agent's conversation has to do with a message of the main channel.
    fn to_agent<W: Write>(
        &self,
        agent: &Shared,
        place: Place,
        message: &Message,
        report: &mut Report<W>,
    ) -> Result<(), Error> {
        let Some(init) = heard(message) else {
            return Ok(());
        };
        let before = agent.borrow_mut().take_over();
        if let Some(before) = &before {
            self.sessions.has_left(before);
            self.sessions.is_on(self.session, self.ends, agent);
        }
        if let Some(init) = init {
            self.sessions.is_on(init.session_id, self.ends, agent);
        }
        match message {
            Message::Server(ServerMessage::Main(message)) => agent.borrow_mut().server_message(place, message, report),
            Message::Client(ClientMessage::Main(message)) => agent.borrow_mut().client_message(place, message, report),
            _ => Ok(()),
        }
    }
}

/// Whether a message says something about the agent, or is said by it or to it; `Some(Some(..))`: it is INIT. A target
/// that only waits for its session says nothing of the kind.
fn heard(message: &Message) -> Option<Option<&main::Init>> {
    match message {
        Message::Server(ServerMessage::Main(message)) => match message {
            main::ServerMessage::Init(init) => Some(Some(init)),
            main::ServerMessage::AgentConnected
            | main::ServerMessage::AgentConnectedTokens(_)
            | main::ServerMessage::AgentDisconnected(_)
            | main::ServerMessage::AgentData(_) => Some(None),
            _ => None,
        },
        Message::Client(ClientMessage::Main(main::ClientMessage::AgentData(_))) => Some(None),
        _ => None,
    }
}
