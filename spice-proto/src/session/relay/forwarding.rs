//! One direction of a connection: frames are forwarded as far as the policy says what becomes of them.

use bytes::{Bytes, BytesMut};
use core::time::Duration;

use crate::channel::common::Notify;
use crate::channel::main;
use crate::error::DecodeError;
use crate::frame::{Forwarded, FrameDecision, FrameForwarder, FrameRef, Header, HeaderForm};
use crate::ids::ChannelType;
use crate::limits::Limits;
use crate::link::Sender;
use crate::session::migration::Migration;
use crate::session::policy::{PLACES, Policy, PolicyDecision, PolicyFilter, Replacement, Rule, filler, place};

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
    /// Its header was judged.
    Judged(PolicyDecision),
    /// It goes on with another body.
    Replaced(Bytes),
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

/// Forwards the messages of one direction, as far as the policy tells what becomes of them.
#[derive(Debug)]
pub(super) struct PolicyForwarder {
    forwarder: FrameForwarder,
    judge: Judge,
    /// What is to be put between messages, as soon as one has ended.
    inserts: Option<u16>,
    /// Tokens that the receiver is to get back, as soon as there is room: one that does not read makes no more of it.
    owed: u32,
}

/// Decides on messages.
#[derive(Debug)]
struct Judge {
    channel: ChannelType,
    sender: Sender,
    gate: PolicyFilter,
    quick: Quick,
    front: Front,
    /// Messages to be shown to the session whatever they are.
    show_next: u32,
}

impl Judge {
    fn shows(&self, header: &Header) -> bool {
        0 < self.show_next || Migration::looks_at(self.channel, self.sender, header)
    }

    /// What becomes of a message that does not pass by its number alone.
    #[inline(never)]
    fn decide(&mut self, now: Duration, policy: &Policy, frame: &FrameRef<'_>) -> FrameDecision {
        let verdict = match self.front {
            Front::New => self.gate.header(policy, now, &frame.header),
            Front::Judged(verdict) => verdict,
            Front::Replaced(_) | Front::Shown(_) => return FrameDecision::Hold,
        };
        let shown = self.shows(&frame.header);
        let inspect = verdict == PolicyDecision::Inspect;
        if (inspect || shown && verdict == PolicyDecision::Forward) && frame.body.len() < frame.header.size as usize {
            self.front = Front::Judged(verdict);
            return FrameDecision::Whole;
        }
        let mut body = BytesMut::new();
        let verdict = if inspect {
            self.gate.body(policy, frame, &mut body)
        } else {
            verdict
        };
        if verdict == PolicyDecision::Forward && !shown {
            if !matches!(self.front, Front::New) {
                self.front = Front::New;
            }
            return FrameDecision::Forward;
        }
        self.front = match verdict {
            PolicyDecision::Forward => Front::Shown(None),
            PolicyDecision::Replace(Replacement::Body) if shown => Front::Shown(Some(body.freeze())),
            PolicyDecision::Replace(Replacement::Body) => Front::Replaced(body.freeze()),
            verdict => Front::Judged(verdict),
        };
        FrameDecision::Hold
    }

    /// A message has gone on, or was left out.
    fn done(&mut self) {
        self.front = Front::New;
        self.show_next = self.show_next.saturating_sub(1);
    }
}

impl PolicyForwarder {
    pub(super) fn new(
        channel: ChannelType,
        sender: Sender,
        [from, to]: [HeaderForm; 2],
        policy: &Policy,
        limits: &Limits,
    ) -> Self {
        Self {
            forwarder: FrameForwarder::new(channel, from, to, limits).with_high_water(HIGH_WATER),
            judge: Judge {
                channel,
                sender,
                gate: PolicyFilter::new(channel, sender, limits),
                quick: Quick::new(channel, sender, policy),
                front: Front::New,
                // The client's first two, see `Migration::looks_at`.
                show_next: match sender {
                    Sender::Client => 2,
                    Sender::Server => 0,
                },
            },
            inserts: None,
            owed: 0,
        }
    }

    /// Messages that went on.
    pub(super) const fn forwarded(&self) -> u64 {
        self.forwarder.forwarded()
    }

    /// The next message is to be shown to the session, whatever it is.
    pub(super) const fn show_next(&mut self) {
        self.judge.show_next |= 1;
    }

    /// Moves what can go. `dropped`: agent data that were left out, for each of which their sender gets a token back.
    pub(super) fn forward(
        &mut self,
        now: Duration,
        policy: &Policy,
        src: &mut BytesMut,
        dst: &mut BytesMut,
        dropped: &mut u32,
    ) -> Flow {
        loop {
            let judge = &mut self.judge;
            let free = judge.show_next == 0;
            let (mut count, mut bytes): (u64, u64) = (0, 0);
            let stopped = self.forwarder.forward(src, dst, |frame| {
                if free && judge.quick.passes(&frame.header) {
                    // INVARIANT: what is counted is in a buffer, or is one body more: it does not wrap.
                    count = count.wrapping_add(1);
                    bytes = bytes.wrapping_add(frame.header.size.into());
                    return FrameDecision::Forward;
                }
                judge.decide(now, policy, &frame)
            });
            judge.gate.count(count, bytes);
            match stopped {
                Ok(Forwarded::NeedsInput) => return Flow::Starved,
                Ok(Forwarded::Full) => return Flow::Full,
                Ok(Forwarded::Held) => {}
                Err(error) => return Flow::Malformed(error),
            }
            if let Some(flow) = self.held(src, dst, dropped) {
                return flow;
            }
        }
    }

    /// The message at the front cannot simply go on.
    fn held(&mut self, src: &mut BytesMut, dst: &mut BytesMut, dropped: &mut u32) -> Option<Flow> {
        let sender = self.judge.sender;
        let with = match self.judge.front {
            Front::Shown(_) => return Some(Flow::Show),
            Front::Replaced(_) => return self.forward_shown(src, dst).err().map(Flow::Malformed),
            Front::Judged(PolicyDecision::Replace(with)) => with,
            Front::Judged(PolicyDecision::End(rule)) => return Some(Flow::Rule(rule)),
            // INVARIANT: what was inspected, or may go on, is not held.
            Front::Judged(PolicyDecision::Inspect | PolicyDecision::Forward) | Front::New => {
                return Some(Flow::Rule(Rule::List));
            }
        };
        // MIGRATE_DATA has to follow, and nothing else.
        if sender == Sender::Server && 0 < self.judge.show_next {
            return Some(Flow::Rule(Rule::Allowed));
        }
        *dropped = dropped.saturating_add(u32::from(with == Replacement::Token));
        match (with, sender) {
            (Replacement::Filler, _) | (Replacement::Token, Sender::Server) => {
                let mut body = BytesMut::new();
                // INVARIANT: it has no text, so it fits.
                let _ = filler().encode(&mut body);
                self.replace_shown(Notify::NUMBER, &body, src, dst);
            }
            _ => {
                self.forwarder.discard(src);
                self.judge.front = Front::New;
            }
        }
        None
    }

    /// The message that is to be shown to the session, as it will go on.
    pub(super) fn shown<'a>(&'a self, src: &'a [u8]) -> Option<FrameRef<'a>> {
        let Front::Shown(other) = &self.judge.front else {
            return None;
        };
        let frame = self.forwarder.front(src)?;
        Some(match other {
            None => frame,
            Some(body) => FrameRef {
                header: Header {
                    // INVARIANT: no larger than the one that was received.
                    size: u32::try_from(body.len()).unwrap_or(u32::MAX),
                    sub_list: 0,
                    ..frame.header
                },
                body,
            },
        })
    }

    /// The message that was shown goes on.
    pub(super) fn forward_shown(&mut self, src: &mut BytesMut, dst: &mut BytesMut) -> Result<(), DecodeError> {
        let front = core::mem::replace(&mut self.judge.front, Front::New);
        match (front, Header::read(self.forwarder.from(), src)) {
            (Front::Replaced(body) | Front::Shown(Some(body)), Some(header)) => {
                self.replace_shown(header.number, &body, src, dst);
                Ok(())
            }
            _ => {
                self.judge.done();
                self.forwarder.forward_front(src, dst)
            }
        }
    }

    /// Another message goes on in the place of the one that was shown.
    pub(super) fn replace_shown(&mut self, number: u16, body: &[u8], src: &mut BytesMut, dst: &mut BytesMut) {
        self.judge.done();
        // INVARIANT: what is written here is far below the limit.
        let _ = self.forwarder.replace(number, body, src, dst);
    }

    /// The message that was shown does not go on.
    pub(super) fn drop_shown(&mut self, src: &mut BytesMut) {
        self.judge.done();
        self.forwarder.discard(src);
    }

    /// A message in the proxy's own name, without a body, as soon as it can be put between two others.
    pub(super) const fn insert(&mut self, number: u16) {
        self.inserts = Some(number);
    }

    /// `free`: messages can be put where the stream is.
    pub(super) fn put_inserts(&mut self, free: bool, dst: &mut BytesMut) {
        if free
            && self.forwarder.is_between_frames()
            && let Some(number) = self.inserts.take()
        {
            // INVARIANT: there is no body.
            let _ = self.forwarder.insert(number, &[], dst);
        }
    }

    /// Agent data of the other direction were left out: their sender gets so many tokens back.
    pub(super) fn give_back(&mut self, tokens: u32, free: bool, dst: &mut BytesMut) {
        self.put_inserts(free, dst);
        self.owed = self.owed.saturating_add(tokens);
        if self.owed == 0 || !free || !self.forwarder.is_between_frames() || HIGH_WATER <= dst.len() {
            return;
        }
        let number = match self.judge.sender {
            Sender::Server => main::ServerMessage::AGENT_TOKEN,
            Sender::Client => main::ClientMessage::AGENT_TOKEN,
        };
        let owed = core::mem::take(&mut self.owed);
        // INVARIANT: the body has four bytes.
        let _ = self.forwarder.insert(number, &owed.to_le_bytes(), dst);
    }
}
