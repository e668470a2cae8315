//! One direction of a connection.

use bytes::{Buf as _, Bytes, BytesMut};
use core::time::Duration;

use crate::channel::common::Notify;
use crate::channel::main;
use crate::error::DecodeError;
use crate::frame::{FrameRef, HELD, Header, HeaderForm, Splitter, move_front, rewrite};
use crate::ids::ChannelType;
use crate::limits::Limits;
use crate::link::watch::Sender;
use crate::session::migration::Migration;
use crate::session::policy::{Gate, PLACES, Policy, Replacement, Rule, Verdict, filler, place};

/// Bytes that wait to be written; nothing is moved while there are more.
pub(super) const HIGH_WATER: usize = 64 << 10;

/// Why nothing more can be moved for now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// More bytes are needed.
    Starved,
    /// What was moved has to be written first.
    Full,
    /// The message at the front has to be shown to the session.
    Show,
    /// It must not pass.
    Rule(Rule),
    /// It cannot be read.
    Malformed(DecodeError),
}

/// What is known of the message at the front.
#[derive(Debug)]
enum Front {
    New,
    /// With the other body, if that is what the verdict says.
    Judged(Verdict, Bytes),
    /// It has passed the policy, with another body if there is one, and is to be shown to the session.
    Shown(Option<Bytes>),
}

/// The messages that pass whatever they hold: by the place of their number, one more than the largest body that
/// their header lets pass; 0 where there is more to look at.
#[derive(Debug)]
struct Quick([u32; PLACES]);

impl Quick {
    fn new(channel: ChannelType, sender: Sender, policy: &Policy) -> Self {
        let mut bounds = [0; PLACES];
        for (number, bound) in policy.quick(channel, sender) {
            let header = Header {
                serial: 0,
                number,
                size: 0,
                sub_list: 0,
            };
            let looked_at = Migration::looks_at(channel, sender, &header);
            if let Some(place) = place(number)
                .filter(|_| !looked_at)
                .and_then(|place| bounds.get_mut(place))
            {
                *place = bound;
            }
        }
        Self(bounds)
    }

    #[inline]
    fn passes(&self, header: &Header) -> bool {
        let bound = place(header.number).and_then(|place| self.0.get(place));
        bound.is_some_and(|bound| header.size < *bound) && header.sub_list == 0
    }
}

/// Moves the messages of one direction, as far as the policy tells what becomes of them.
#[derive(Debug)]
pub(super) struct Lane {
    channel: ChannelType,
    sender: Sender,
    from: HeaderForm,
    to: HeaderForm,
    limits: Limits,
    splitter: Splitter,
    gate: Gate,
    quick: Quick,
    front: Front,
    /// Bytes of a body that is passed on, or left out, as it comes.
    body_left: u64,
    leaving_out: bool,
    /// Messages to be shown to the session whatever they are.
    pub(super) show_next: u32,
    /// A message was put in or left out: serials have to be written anew.
    shifted: bool,
    passed: u64,
    /// What is to be put between messages, as soon as one has ended.
    inserts: BytesMut,
    /// Tokens that the receiver is to get back, as soon as there is room: one that does not read makes no more of it.
    owed: u32,
}

impl Lane {
    pub(super) fn new(
        channel: ChannelType,
        sender: Sender,
        [from, to]: [HeaderForm; 2],
        policy: &Policy,
        limits: &Limits,
    ) -> Self {
        Self {
            channel,
            sender,
            from,
            to,
            limits: limits.clone(),
            splitter: Splitter::new(from, limits),
            gate: Gate::new(channel, sender, limits),
            quick: Quick::new(channel, sender, policy),
            front: Front::New,
            body_left: 0,
            leaving_out: false,
            // The client's first two, see `Migration::looks_at`.
            show_next: match sender {
                Sender::Client => 2,
                Sender::Server => 0,
            },
            shifted: false,
            passed: 0,
            inserts: BytesMut::new(),
            owed: 0,
        }
    }

    /// Messages that went on.
    pub(super) const fn passed(&self) -> u64 {
        self.passed
    }

    /// Whether bytes go on as they came.
    fn as_it_is(&self) -> bool {
        self.from == self.to && (self.to == HeaderForm::Mini || !self.shifted)
    }

    fn shows(&self, header: &Header) -> bool {
        0 < self.show_next || Migration::looks_at(self.channel, self.sender, header)
    }

    /// Moves what can go. `dropped`: agent data that were left out, for each of which their sender gets a token back.
    pub(super) fn run(
        &mut self,
        now: Duration,
        policy: &Policy,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        dropped: &mut u32,
    ) -> Flow {
        loop {
            // Also in the middle of a body: a picture may be as large as its limit.
            if HIGH_WATER <= dst.len() {
                return Flow::Full;
            }
            self.pass_body(src, dst);
            if self.body_left > 0 {
                return Flow::Starved;
            }
            let done = match self.front {
                Front::New => self.run_whole(now, policy, src, dst),
                Front::Judged(verdict, ref mut body) => {
                    let judged = (verdict, core::mem::take(body));
                    self.one(judged, policy, src, dst, dropped)
                }
                Front::Shown(_) => Some(Flow::Show),
            };
            if let Some(flow) = done {
                return flow;
            }
        }
    }

    /// The messages that need no more than a look, all at once.
    fn run_whole(&mut self, now: Duration, policy: &Policy, src: &mut BytesMut, dst: &mut BytesMut) -> Option<Flow> {
        let as_it_is = self.as_it_is();
        let quick = self.show_next == 0;
        let (mut counted, mut bytes): (u64, u64) = (0, 0);
        let mut frames = self.splitter.frames(src);
        let mut taken = 0;
        while let Some(frame) = frames.next() {
            if quick && self.quick.passes(&frame.header) {
                counted = counted.saturating_add(1);
                bytes = bytes.saturating_add(frame.header.size.into());
            } else {
                let mut body = BytesMut::new();
                let verdict = match self.gate.header(policy, now, &frame.header) {
                    Verdict::Inspect => self.gate.body(policy, &frame, &mut body),
                    verdict => verdict,
                };
                if verdict != Verdict::Forward || self.shows(&frame.header) {
                    self.front = Front::Judged(verdict, body.freeze());
                    break;
                }
                self.passed = self.passed.saturating_add(1);
            }
            taken = frames.taken();
            if !as_it_is && let Err(error) = rewrite(frame, self.to, self.passed.saturating_add(counted), dst) {
                return Some(Flow::Malformed(error));
            }
        }
        self.passed = self.passed.saturating_add(counted);
        self.gate.count(counted, bytes);
        let next = match self.front {
            Front::New => frames.next_header(),
            _ => Ok(None),
        };
        if as_it_is {
            move_front(src, taken, dst);
        } else {
            src.advance(taken);
        }
        match (&self.front, next) {
            (Front::Judged(..), _) => None,
            (_, Err(error)) => Some(Flow::Malformed(error)),
            // Its body is not waited for, unless somebody has to see it.
            (_, Ok(Some(header))) if HELD < header.frame_len(self.from) => {
                self.front = Front::Judged(self.gate.header(policy, now, &header), Bytes::new());
                None
            }
            _ => Some(Flow::Starved),
        }
    }

    /// One message that cannot simply pass, or whose body is not here yet.
    fn one(
        &mut self,
        (mut verdict, mut body): (Verdict, Bytes),
        policy: &Policy,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        dropped: &mut u32,
    ) -> Option<Flow> {
        let header = Header::read(self.from, src)?;
        let shown = self.shows(&header);
        let inspect = verdict == Verdict::Inspect;
        if inspect || shown && verdict == Verdict::Forward {
            let Some(frame) = self.splitter.frames(src).next() else {
                let whole = header.check(self.from, self.limits.frame_body);
                return Some(whole.map_or_else(Flow::Malformed, |()| Flow::Starved));
            };
            if inspect {
                let mut other = BytesMut::new();
                verdict = self.gate.body(policy, &frame, &mut other);
                body = other.freeze();
            }
        }
        match verdict {
            Verdict::End(rule) => return Some(Flow::Rule(rule)),
            Verdict::Inspect => return Some(Flow::Rule(Rule::List)),
            // MIGRATE_DATA has to follow, and nothing else.
            Verdict::Replace(_) if self.sender == Sender::Server && 0 < self.show_next => {
                return Some(Flow::Rule(Rule::Allowed));
            }
            Verdict::Forward if !shown && !inspect => self.pass_header(&header, src, dst),
            Verdict::Forward => self.front = Front::Shown(None),
            Verdict::Replace(Replacement::Body) => self.front = Front::Shown(Some(body)),
            Verdict::Replace(with) => {
                *dropped = dropped.saturating_add(u32::from(with == Replacement::Token));
                match (with, self.sender) {
                    (Replacement::Filler, _) | (Replacement::Token, Sender::Server) => self.fill(dst),
                    _ => self.shifted = true,
                }
                src.advance(self.from.len());
                (self.body_left, self.leaving_out) = (header.size.into(), true);
                self.front = Front::New;
            }
        }
        if matches!(self.front, Front::Shown(_)) && !shown {
            return self.emit(src, dst).err().map(Flow::Malformed);
        }
        None
    }

    /// The message that is to be shown to the session, as it will go on.
    pub(super) fn shown<'a>(&'a self, src: &'a [u8]) -> Option<FrameRef<'a>> {
        let Front::Shown(other) = &self.front else { return None };
        let frame = self.splitter.frames(src).next()?;
        Some(match other {
            None => frame,
            Some(body) => FrameRef {
                header: with_body(frame.header, body),
                body,
            },
        })
    }

    /// The message at the front goes on.
    pub(super) fn emit(&mut self, src: &mut BytesMut, dst: &mut BytesMut) -> Result<(), DecodeError> {
        let front = core::mem::replace(&mut self.front, Front::New);
        let mut frames = self.splitter.frames(src);
        let Some(frame) = frames.next() else { return Ok(()) };
        let taken = frames.taken();
        self.said();
        match front {
            Front::Shown(Some(body)) => {
                let header = with_body(frame.header, &body);
                rewrite(FrameRef { header, body: &body }, self.to, self.passed, dst)?;
            }
            _ if self.as_it_is() => {
                move_front(src, taken, dst);
                return Ok(());
            }
            _ => rewrite(frame, self.to, self.passed, dst)?,
        }
        src.advance(taken);
        Ok(())
    }

    /// Another message goes on in the place of the one at the front.
    pub(super) fn emit_other(&mut self, number: u16, body: &[u8], src: &mut BytesMut, dst: &mut BytesMut) {
        self.leave_out(src);
        self.said();
        self.write(number, body, dst);
    }

    /// The message at the front does not go on.
    pub(super) fn drop_front(&mut self, src: &mut BytesMut) {
        self.leave_out(src);
        self.shifted = true;
        self.show_next = self.show_next.saturating_sub(1);
    }

    fn leave_out(&mut self, src: &mut BytesMut) {
        self.front = Front::New;
        let mut frames = self.splitter.frames(src);
        if frames.next().is_some() {
            let taken = frames.taken();
            src.advance(taken);
        }
    }

    fn said(&mut self) {
        self.passed = self.passed.saturating_add(1);
        self.show_next = self.show_next.saturating_sub(1);
    }

    fn fill(&mut self, dst: &mut BytesMut) {
        let mut body = BytesMut::new();
        // INVARIANT: it has no text, so it fits.
        let _ = filler().encode(&mut body);
        self.said();
        self.write(Notify::NUMBER, &body, dst);
    }

    /// A message in the proxy's own name, as soon as it can be put between two others.
    pub(super) fn insert(&mut self, number: u16, body: &[u8]) {
        self.shifted = true;
        self.passed = self.passed.saturating_add(1);
        let mut inserts = self.inserts.split_off(0);
        self.write(number, body, &mut inserts);
        self.inserts = inserts;
    }

    /// `free`: messages can be put where the stream is.
    pub(super) fn put_inserts(&mut self, free: bool, dst: &mut BytesMut) {
        if free && self.body_left == 0 && !self.inserts.is_empty() {
            dst.extend_from_slice(&self.inserts.split());
        }
    }

    /// Agent data of the other direction were left out: their sender gets so many tokens back.
    pub(super) fn give_back(&mut self, tokens: u32, free: bool, dst: &mut BytesMut) {
        self.put_inserts(free, dst);
        self.owed = self.owed.saturating_add(tokens);
        if self.owed == 0 || !free || 0 < self.body_left || HIGH_WATER <= dst.len() {
            return;
        }
        let number = match self.sender {
            Sender::Server => main::ServerMessage::AGENT_TOKEN,
            Sender::Client => main::ClientMessage::AGENT_TOKEN,
        };
        let owed = core::mem::take(&mut self.owed);
        self.shifted = true;
        self.passed = self.passed.saturating_add(1);
        self.write(number, &owed.to_le_bytes(), dst);
    }

    fn write(&self, number: u16, body: &[u8], dst: &mut BytesMut) {
        let header = Header {
            serial: self.passed,
            number,
            // INVARIANT: what is written here is far below the limit.
            size: u32::try_from(body.len()).unwrap_or(u32::MAX),
            sub_list: 0,
        };
        header.write(self.to, dst);
        dst.extend_from_slice(body);
    }

    fn pass_header(&mut self, header: &Header, src: &mut BytesMut, dst: &mut BytesMut) {
        self.front = Front::New;
        self.said();
        if self.as_it_is() {
            move_front(src, self.from.len(), dst);
        } else {
            src.advance(self.from.len());
            Header {
                serial: self.passed,
                ..*header
            }
            .write(self.to, dst);
        }
        (self.body_left, self.leaving_out) = (header.size.into(), false);
    }

    fn pass_body(&mut self, src: &mut BytesMut, dst: &mut BytesMut) {
        let here = usize::try_from(self.body_left).unwrap_or(usize::MAX).min(src.len());
        if self.leaving_out {
            src.advance(here);
        } else {
            move_front(src, here, dst);
        }
        self.body_left = self.body_left.saturating_sub(here as u64);
    }
}

fn with_body(header: Header, body: &Bytes) -> Header {
    Header {
        // INVARIANT: no larger than the one that was received.
        size: u32::try_from(body.len()).unwrap_or(u32::MAX),
        sub_list: 0,
        ..header
    }
}
