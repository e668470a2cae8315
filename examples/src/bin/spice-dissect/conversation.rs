//! One connection, from its first byte to its last.

use std::io::Write;

use bytes::BytesMut;
use examples::capture::{End, Origin, Sender};
use examples::dissect::{
    self, Encrypted, Error, Failure, Hex, Incomplete, MIDWAY, Place, Refused, SASL, Seen, Stream, TLS,
};
use rustls::server::Acceptor;
use spice_proto::ids::ChannelType;
use spice_proto::link::sasl::SealedPacket;
use spice_proto::link::watch::{Part, WatchedLink, WatchedOutcome};
use spice_proto::link::{self, HandshakeError, LinkHeader};
use spice_proto::{EncodeError, Limits};

use crate::channel::{Circumstances, Data};
use crate::cli::Cli;
use crate::lines::{LinkStep, link_fields};
use crate::report::Report;
use crate::sessions::{Ends, Sessions};
use crate::stats::Entry;

/// One connection.
pub(crate) struct Conversation {
    seen: Seen,
    phase: Phase,
    limits: Limits,
    unix: bool,
    secrets: bool,
    ends: Ends,
    sessions: Sessions,
    /// What is wrong with the client's bytes.
    doubt: Option<HandshakeError>,
}

/// What the bytes are.
enum Phase {
    Link {
        link: Box<WatchedLink>,
        channel: ChannelType,
    },
    Data(Box<Data>),
    /// Packets of SASL's security layer: bytes that the current one of each side still has.
    Sealed([u32; 2]),
    Tls,
    Refused,
}

impl Conversation {
    pub(crate) fn new(id: u64, origin: &Origin, cli: &Cli, sessions: &Sessions) -> Self {
        let limits = Limits::default()
            .with_frame_body(cli.max_body)
            .with_agent_message(cli.max_body);
        Self {
            seen: Seen::new(id, origin, cli.common.cut),
            phase: Phase::Link {
                link: Box::new(WatchedLink::new(limits.clone())),
                channel: ChannelType(0),
            },
            limits,
            unix: cli.unix,
            secrets: cli.common.secrets,
            ends: Ends::of(origin),
            sessions: sessions.clone(),
            doubt: None,
        }
    }

    /// What follows the link stage, as far as it is there.
    fn pass<W: Write>(&mut self, report: &mut Report<W>) -> Result<(), Error> {
        for sender in Sender::BOTH {
            let place = self.seen.place(sender);
            let stream = &mut self.seen.streams[sender as usize];
            match &mut self.phase {
                Phase::Link { .. } => {}
                Phase::Data(data) => data.advance(place, stream, report)?,
                Phase::Sealed(left) => sealed(place, stream, &mut left[sender as usize], &self.limits, report)?,
                Phase::Tls => {
                    let bytes = stream.rx.len();
                    if 0 < bytes {
                        stream.skip(bytes);
                        report.count(sender, Entry::Encrypted(TLS), bytes as u64);
                    }
                }
                Phase::Refused if !stream.rx.is_empty() => {
                    if sender == Sender::Server {
                        return Err(place.failure("the server goes on after it has refused").into());
                    }
                    let size = stream.rx.len();
                    let bytes = Hex(&stream.rx);
                    let why = self.doubt.map(|doubt| doubt.to_string());
                    report.line(place, "refused", &Refused { size, why, bytes })?;
                    report.count(sender, Entry::Refused, size as u64);
                    stream.skip(size);
                }
                Phase::Refused => {}
            }
        }
        Ok(())
    }

    /// One step of the link stage; `false` if more bytes are needed.
    fn link<W: Write>(&mut self, report: &mut Report<W>) -> Result<bool, Error> {
        let Phase::Link { link, channel } = &mut self.phase else {
            return Ok(false);
        };
        if let Some(outcome) = link.outcome() {
            self.phase = match outcome {
                WatchedOutcome::Linked(linked) => {
                    let about = Circumstances {
                        ordered: self.seen.ordered,
                        unix: self.unix,
                        ends: self.ends,
                        sessions: &self.sessions,
                    };
                    Phase::Data(Box::new(Data::new(linked, &self.limits, &about)))
                }
                WatchedOutcome::Sealed(_) => {
                    for sender in Sender::BOTH {
                        let encrypted = Encrypted {
                            by: SASL,
                            server_name: None,
                        };
                        report.line(self.seen.place(sender), "encrypted", &encrypted)?;
                    }
                    Phase::Sealed([0; 2])
                }
                WatchedOutcome::Refused(_) => Phase::Refused,
            };
            return Ok(true);
        }
        let due = side(link.due().0);
        for sender in [due, due.other()] {
            // The other side's bytes may be there before those that they answer.
            if sender != due && !self.seen.ordered && self.seen.streams[due as usize].ended.is_none() {
                break;
            }
            let place = self.seen.place(sender);
            let stream = &mut self.seen.streams[sender as usize];
            let stepped = link.step(watched(sender), &stream.rx);
            self.doubt = link.unreadable().or(self.doubt);
            let stepped = match (stepped, link.unreadable()) {
                (Ok(part), _) => part,
                // It is the client's bytes that are wrong; the server only did not say so.
                (Err(error), Some(_)) => return Err(self.unreadable(error).into()),
                (Err(error), None) => return Err(link_failure(place, error).into()),
            };
            if let Some((part, len)) = stepped {
                if let Part::LinkMess(_, message) = &part {
                    *channel = message.channel_type;
                }
                let bytes = stream.rx.split_to(len);
                stream.offset += len as u64;
                report.check(place, part.name(), &bytes, |again| part.encode(again))?;
                let mut known = BytesMut::new();
                // INVARIANT: what was decoded fits its fields.
                let _ = part.encode(&mut known);
                let step = LinkStep {
                    name: part.name(),
                    size: len,
                    fields: link_fields(&part, *channel, self.secrets),
                    trailing: Hex(bytes.get(known.len()..).unwrap_or_default()),
                };
                report.line(place, "link", &step)?;
                report.count(sender, Entry::Link(part.name()), len as u64);
                return Ok(true);
            }
            if link.outcome().is_some() {
                return Ok(true);
            }
            if sender == Sender::Client && link.unreadable().is_some() {
                let hello = client_hello(&stream.rx);
                if let Some(server_name) = &hello {
                    let encrypted = Encrypted {
                        by: TLS,
                        server_name: server_name.as_deref(),
                    };
                    report.line(place, "encrypted", &encrypted)?;
                    self.phase = Phase::Tls;
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Drops what is not answered, such as an upload of another protocol.
    fn backlog(&self) -> Result<(), Error> {
        let Phase::Link { link, .. } = &self.phase else {
            return Ok(());
        };
        match self.seen.over() {
            None => Ok(()),
            Some(sender) => Err(match link.unreadable() {
                Some(error) => self.unreadable(error),
                None => self.not_due(sender),
            }
            .into()),
        }
    }

    /// The failure of bytes that came before those of the other side.
    fn not_due(&self, sender: Sender) -> Failure {
        let place = self.seen.place(sender);
        match &self.phase {
            Phase::Link { link, .. } if self.seen.from_the_start => place.failure(format!(
                "bytes that are not due: the connection waits for {}",
                link.due().1
            )),
            _ => place.failure(MIDWAY),
        }
    }

    /// The failure of a client's bytes that no server has refused.
    fn unreadable(&self, error: HandshakeError) -> Failure {
        let place = self.seen.place(Sender::Client);
        if self.seen.from_the_start {
            link_failure(place, error)
        } else {
            place.failure(MIDWAY)
        }
    }
}

impl<W: Write> dissect::Conversation<W, Entry> for Conversation {
    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    fn advance(&mut self, report: &mut Report<W>) -> Result<(), Error> {
        while let Phase::Link { .. } = self.phase {
            if !self.link(report)? {
                return self.backlog();
            }
        }
        loop {
            self.pass(report)?;
            let ended = [0, 1].map(|side| self.seen.streams[side].ended.is_some());
            let Phase::Data(data) = &mut self.phase else {
                return Ok(());
            };
            if !data.release(ended, report)? {
                return Ok(());
            }
        }
    }

    fn close(&mut self, report: &mut Report<W>) -> Result<(), Error> {
        let mut waited_for = None;
        if let Phase::Link { link, .. } = &self.phase {
            if let Some(error) = link.unreadable() {
                return Err(self.unreadable(error).into());
            }
            let (due, stage) = link.due();
            waited_for = Some(stage.to_string());
            let (due, early) = (side(due), side(due).other());
            let place = self.seen.place(early);
            let size = self.seen.streams[early as usize].rx.len();
            let cut = self.seen.cut || self.seen.streams[due as usize].ended != Some(End::Closed);
            if size != 0 && !cut {
                return Err(self.not_due(early).into());
            }
            if size != 0 {
                let due = format!("what follows {stage}");
                report.line(
                    place,
                    "incomplete",
                    &Incomplete {
                        due,
                        size,
                        missing: None,
                    },
                )?;
                report.count(early, Entry::Incomplete, size as u64);
                self.seen.streams[early as usize].skip(size);
            }
        }
        for sender in Sender::BOTH {
            let place = self.seen.place(sender);
            let stream = &mut self.seen.streams[sender as usize];
            let size = stream.rx.len();
            let (due, missing) = match &self.phase {
                Phase::Link { link, .. } => (link.due().1.to_string(), None),
                Phase::Data(data) => ("a message".to_owned(), data.missing(&stream.rx)),
                Phase::Sealed(left) if left[sender as usize] != 0 || 0 < size => (
                    "a packet of SASL's security layer".to_owned(),
                    Some(left[sender as usize].into()).filter(|left| *left != 0),
                ),
                Phase::Sealed(_) | Phase::Tls | Phase::Refused => continue,
            };
            let in_link = matches!(self.phase, Phase::Link { .. });
            if size == 0 && !matches!(self.phase, Phase::Sealed(_)) {
                continue;
            }
            if stream.ended == Some(End::Closed) && !self.seen.cut && !in_link {
                let what = format!("the stream ends inside of {due} (--cut accepts that)");
                return Err(place.failure(what).into());
            }
            report.line(place, "incomplete", &Incomplete { due, size, missing })?;
            report.count(sender, Entry::Incomplete, size as u64);
            stream.skip(size);
        }
        Ok(self.seen.close(waited_for, report)?)
    }

    fn due(&self) -> Option<Sender> {
        match &self.phase {
            Phase::Link { link, .. } => Some(side(link.due().0)),
            Phase::Data(data) => data.due(),
            Phase::Sealed(_) | Phase::Tls | Phase::Refused => None,
        }
    }
}

/// Walks over packets of SASL's security layer.
fn sealed<W: Write>(
    mut place: Place,
    stream: &mut Stream,
    left: &mut u32,
    limits: &Limits,
    report: &mut Report<W>,
) -> Result<(), Error> {
    loop {
        if *left == 0 {
            let packet = SealedPacket::decode(&stream.rx, limits).map_err(|error| place.failure(error))?;
            let Some(packet) = packet else { return Ok(()) };
            let bytes = stream.rx.split_to(SealedPacket::LEN);
            report.check(place, "SealedPacket", &bytes, |again| {
                packet.encode(again);
                Ok::<(), EncodeError>(())
            })?;
            stream.offset += bytes.len() as u64;
            report.count(place.sender, Entry::Encrypted(SASL), bytes.len() as u64);
            *left = packet.length;
        }
        let bytes = stream.rx.len().min(*left as usize);
        if bytes == 0 && *left != 0 {
            return Ok(());
        }
        stream.skip(bytes);
        // INVARIANT: no more than `left`.
        *left -= bytes as u32;
        report.more(place.sender, Entry::Encrypted(SASL), bytes as u64);
        place.offset = stream.offset;
    }
}

/// Whether these bytes begin a TLS connection, and the name that it asks for.
fn client_hello(bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        if acceptor.read_tls(&mut rest).ok()? == 0 {
            break;
        }
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some(accepted.client_hello().server_name().map(str::to_owned));
        }
    }
    None
}

/// A failure of the link stage, at the byte that is wrong.
fn link_failure(place: Place, error: HandshakeError) -> Failure {
    let at = match error {
        HandshakeError::Decode(decode) => {
            // Offsets in the two link messages count from the byte behind their header.
            let headed = matches!(decode.message, "LinkMess" | "LinkReply");
            decode.offset + if headed { LinkHeader::LEN } else { 0 }
        }
        _ => 0,
    };
    place.plus(at).failure(error)
}

fn side(sender: link::Sender) -> Sender {
    match sender {
        link::Sender::Client => Sender::Client,
        link::Sender::Server => Sender::Server,
    }
}

fn watched(sender: Sender) -> link::Sender {
    match sender {
        Sender::Client => link::Sender::Client,
        Sender::Server => link::Sender::Server,
    }
}
