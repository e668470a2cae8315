//! One connection, from its first byte to its last.

use std::io::Write;

use examples::capture::{End, Origin, Sender};
use examples::dissect::{
    self, Encrypted, Error, Failure, Hex, Incomplete, MIDWAY, Place, Refused, SASL, Seen, Stream, TLS,
};
use rfb_proto::Limits;
use serde::Serialize;
use serde_json::Value;

use crate::Report;
use crate::cli::Cli;
use crate::handshake::{Handshake, State};
use crate::session::Session;
use crate::stats::Entry;

/// One connection.
pub(crate) struct Conversation {
    seen: Seen,
    phase: Phase,
    limits: Limits,
}

/// What the bytes are.
enum Phase {
    Handshake(Box<Handshake>),
    Session(Box<Session>),
    /// Packets of SASL's security layer: bytes that the current one of each side still has.
    Sealed([u64; 2]),
    Tls,
}

#[derive(Serialize)]
struct StepLine<'a> {
    name: &'static str,
    size: usize,
    fields: &'a Value,
}

impl Conversation {
    pub(crate) fn new(id: u64, origin: &Origin, cli: &Cli) -> Self {
        let limits = Limits::default()
            .with_cut_text(cli.max_message)
            .with_name(cli.max_message)
            .with_reason(cli.max_message)
            .with_audio(cli.max_message);
        Self {
            seen: Seen::new(id, origin, cli.common.cut),
            phase: Phase::Handshake(Box::new(Handshake::new(&limits, cli.common.secrets))),
            limits,
        }
    }

    /// One step of the handshake; `false` if more bytes are needed.
    fn handshake<W: Write>(&mut self, report: &mut Report<W>) -> Result<bool, Error> {
        let places = Sender::BOTH.map(|sender| self.seen.place(sender));
        let [client, server] = &self.seen.streams;
        let (ended, answered) = (server.ended.is_some(), !client.rx.is_empty());
        let Phase::Handshake(handshake) = &mut self.phase else {
            return Ok(false);
        };
        match handshake.step {
            State::Tls => {
                let [client, server] = &self.seen.streams;
                return Ok(handshake.tls(&client.rx, &server.rx));
            }
            State::Session => {
                let base = [0, 1].map(|side| self.seen.streams[side].offset);
                // INVARIANT: the step is reached with it.
                let Some(init) = handshake.init.take() else {
                    return Ok(false);
                };
                self.phase = Phase::Session(Box::new(Session::new(&init, base, &self.limits)));
                return Ok(true);
            }
            State::Sealed | State::Encrypted => {
                let (by, phase) = match handshake.step {
                    State::Sealed => (SASL, Phase::Sealed([0; 2])),
                    _ => (TLS, Phase::Tls),
                };
                for place in places {
                    let server_name = None;
                    report.line(place, "encrypted", &Encrypted { by, server_name })?;
                }
                self.phase = phase;
                return Ok(true);
            }
            State::VersionInDoubt => return Ok(handshake.judge(&self.seen.streams[1].rx, ended)),
            State::Opening => return Ok(handshake.open(&self.seen.streams[1].rx, ended, answered)),
            State::Refused => {
                if answered {
                    let why = handshake.doubt.take();
                    refused(places[0], &mut self.seen.streams[0], why, report)?;
                }
                // A refused client sends nothing more; a server that refuses may.
                let parts = handshake.parts(&self.seen.streams[1].rx, ended);
                return parts.map_err(|wrong| places[1].plus(wrong.at).failure(wrong.what).into());
            }
            _ => {}
        }
        let sender = handshake.due().unwrap_or(Sender::Server);
        let (place, stream) = (places[sender as usize], &mut self.seen.streams[sender as usize]);
        if stream.rx.is_empty() {
            return Ok(false);
        }
        let was = handshake.step;
        let seen = match handshake.take(&stream.rx, stream.ended.is_some()) {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(handshake.step != was),
            Err(wrong) if was == State::Answer => {
                // It is no client of RFB, which the server finds as well.
                handshake.doubt = Some(wrong.what);
                handshake.refuse();
                return Ok(true);
            }
            Err(wrong) if self.seen.from_the_start => return Err(place.plus(wrong.at).failure(wrong.what).into()),
            Err(_) => return Err(place.failure(MIDWAY).into()),
        };
        let bytes = stream.rx.split_to(seen.len);
        stream.offset += seen.len as u64;
        report.check(place, seen.name, &bytes, |again| {
            *again = seen.again.clone()?;
            Ok::<(), rfb_proto::EncodeError>(())
        })?;
        let step = StepLine {
            name: seen.name,
            size: seen.len,
            fields: &seen.fields,
        };
        report.line(place, "handshake", &step)?;
        report.count(sender, Entry::Handshake(seen.name), seen.len as u64);
        Ok(true)
    }

    /// Drops what is not answered, such as an upload of another protocol.
    fn backlog(&self) -> Result<(), Error> {
        match self.seen.over() {
            Some(sender) => Err(self.not_due(sender).into()),
            None => Ok(()),
        }
    }

    /// The failure of bytes that came before those of the other side.
    fn not_due(&self, sender: Sender) -> Failure {
        let place = self.seen.place(sender);
        match &self.phase {
            Phase::Handshake(handshake) if self.seen.from_the_start => place.failure(format!(
                "bytes that are not due: the connection waits for {}",
                handshake.waits_for()
            )),
            _ => place.failure(MIDWAY),
        }
    }
}

impl<W: Write> dissect::Conversation<W, Entry> for Conversation {
    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    fn advance(&mut self, report: &mut Report<W>) -> Result<(), Error> {
        while let Phase::Handshake(_) = self.phase {
            if !self.handshake(report)? {
                return self.backlog();
            }
        }
        // The client first: what it asks for changes how the server's bytes are read.
        for sender in Sender::BOTH {
            let place = self.seen.place(sender);
            let stream = &mut self.seen.streams[sender as usize];
            match &mut self.phase {
                Phase::Handshake(_) => {}
                Phase::Session(session) => session.advance(place, stream, report)?,
                Phase::Sealed(left) => sealed(place, stream, &mut left[sender as usize], report),
                Phase::Tls => {
                    let bytes = stream.rx.len();
                    if 0 < bytes {
                        stream.skip(bytes);
                        report.count(sender, Entry::Encrypted(TLS), bytes as u64);
                    }
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, report: &mut Report<W>) -> Result<(), Error> {
        // A server that blocks a client may refuse it before it has said its version, and one that does not know the
        // version may do so without a word.
        if let Phase::Handshake(handshake) = &mut self.phase
            && handshake.hangs_up([0, 1].map(|side| !self.seen.streams[side].rx.is_empty()))
        {
            handshake.refuse();
            self.advance(report)?;
        }
        let mut waited_for = None;
        if let Phase::Handshake(handshake) = &self.phase
            && handshake.step != State::Refused
        {
            waited_for = Some(handshake.waits_for().to_owned());
            let due = handshake.due().unwrap_or(Sender::Client);
            let early = due.other();
            let cut = self.seen.cut || self.seen.streams[due as usize].ended != Some(End::Closed);
            if !self.seen.streams[early as usize].rx.is_empty() && !cut && !handshake.may_end() {
                return Err(self.not_due(early).into());
            }
        }
        for sender in Sender::BOTH {
            let place = self.seen.place(sender);
            let stream = &mut self.seen.streams[sender as usize];
            let size = stream.rx.len();
            let inside = match &self.phase {
                Phase::Handshake(handshake) => (0 < size).then(|| (handshake.waits_for(), 0)),
                Phase::Session(session) => session.inside(sender, size),
                Phase::Sealed(left) => {
                    let left = left[sender as usize];
                    (0 < left || 0 < size).then_some(("a packet of SASL's security layer", left))
                }
                Phase::Tls => None,
            };
            let Some((due, missing)) = inside else { continue };
            let in_handshake = matches!(self.phase, Phase::Handshake(_));
            if stream.ended == Some(End::Closed) && !self.seen.cut && !in_handshake {
                let what = format!("the stream ends inside of {due} (--cut accepts that)");
                return Err(place.failure(what).into());
            }
            let due = due.to_owned();
            let missing = Some(missing).filter(|missing| *missing != 0);
            report.line(place, "incomplete", &Incomplete { due, size, missing })?;
            report.count(sender, Entry::Incomplete, size as u64);
            stream.skip(size);
        }
        Ok(self.seen.close(waited_for, report)?)
    }

    fn due(&self) -> Option<Sender> {
        match &self.phase {
            Phase::Handshake(handshake) => handshake.due(),
            // What the client asks for is read first, where the order is not known.
            Phase::Session(_) if !self.seen.ordered => Some(Sender::Client),
            Phase::Session(_) | Phase::Sealed(_) | Phase::Tls => None,
        }
    }
}

/// Bytes that a server does not understand either.
fn refused<W: Write>(
    place: Place,
    stream: &mut Stream,
    why: Option<String>,
    report: &mut Report<W>,
) -> Result<(), Error> {
    let size = stream.rx.len();
    let bytes = Hex(&stream.rx);
    report.line(place, "refused", &Refused { size, why, bytes })?;
    report.count(place.sender, Entry::Refused, size as u64);
    stream.skip(size);
    Ok(())
}

/// Walks over packets of SASL's security layer.
fn sealed<W: Write>(place: Place, stream: &mut Stream, left: &mut u64, report: &mut Report<W>) {
    loop {
        if *left == 0 {
            let Some(length) = stream.rx.first_chunk() else { return };
            *left = u64::from(u32::from_be_bytes(*length));
            stream.skip(size_of::<u32>());
            report.count(place.sender, Entry::Encrypted(SASL), size_of::<u32>() as u64);
        }
        let bytes = stream.rx.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        if bytes == 0 && *left != 0 {
            return;
        }
        stream.skip(bytes);
        *left -= bytes as u64;
        report.more(place.sender, Entry::Encrypted(SASL), bytes as u64);
    }
}
