//! Puts TCP segments together to streams, whatever order they were seen in.
//!
//! What is held is bounded: bytes that came ahead of others in `AHEAD`, connections in `CONNECTIONS`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};

use super::{End, Event, EventKind, Origin, Sender};

/// Most bytes of all connections that wait for bytes in front of them. Then the hole is taken as lost.
const AHEAD: usize = 32 << 20;
/// What a waiting segment takes beside its bytes, about.
const SEGMENT: usize = 128;
/// Most connections that are remembered, closed ones included: their last packets may come again.
const CONNECTIONS: usize = 16384;

/// What a packet says.
#[derive(Debug, Clone)]
pub struct Segment {
    /// The sender.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
    /// Number of its first byte, or of its SYN.
    pub sequence: u32,
    /// It opens a connection.
    pub syn: bool,
    /// It acknowledges.
    pub ack: bool,
    /// It is the sender's last.
    pub fin: bool,
    /// It gives up the connection.
    pub rst: bool,
    /// Its bytes.
    pub payload: Bytes,
}

/// The connections of a capture.
#[derive(Debug, Default)]
pub struct Table {
    port: Option<u16>,
    flows: HashMap<[SocketAddr; 2], Flow>,
    opened: u64,
    /// Packets so far, to tell which connection was silent for the longest time.
    clock: u64,
    /// Bytes that wait in all connections.
    ahead: usize,
}

/// One connection.
#[derive(Debug)]
struct Flow {
    id: u64,
    client: SocketAddr,
    halves: [Half; 2],
    last: u64,
}

/// One direction.
#[derive(Debug, Default)]
struct Half {
    /// Number of the SYN.
    start: Option<u32>,
    /// Number of the byte that is due.
    next: Option<u32>,
    /// Bytes that were given out.
    delivered: u64,
    /// Bytes that came too early, by their place in the stream.
    ahead: BTreeMap<u64, Bytes>,
    /// What they take.
    waiting: usize,
    /// Where the sender said that it ends.
    end: Option<u64>,
    ended: bool,
}

impl Table {
    /// No connection yet. With `port`, only those to that port of the server will be seen.
    #[must_use]
    pub fn new(port: Option<u16>) -> Self {
        Self {
            port,
            ..Self::default()
        }
    }

    /// Takes a segment; adds the events that follow from it.
    pub fn segment(&mut self, time: Option<Duration>, segment: Segment, events: &mut VecDeque<Event>) {
        self.clock += 1;
        let mut key = [segment.from, segment.to];
        key.sort();
        if !self.flows.get(&key).is_some_and(|flow| flow.takes(&segment)) && !self.open(time, key, &segment, events) {
            return;
        }
        let Some(flow) = self.flows.get_mut(&key) else {
            return;
        };
        flow.last = self.clock;
        let sender = flow.sender(&segment);
        let mut emit = |connection, kind| events.push_back(Event { connection, time, kind });
        let before = flow.ahead();
        let half = &mut flow.halves[sender as usize];
        half.take(&segment, |bytes| emit(flow.id, EventKind::Data(sender, bytes)));
        if half.end == Some(half.delivered) {
            flow.end(sender, End::Closed, &mut emit);
        }
        if segment.rst {
            for sender in Sender::BOTH {
                flow.end(sender, End::Reset, &mut emit);
            }
        }
        self.ahead = (self.ahead + flow.ahead()).saturating_sub(before);
        if AHEAD < self.ahead {
            // The hole that the newest bytes wait for will not be filled any more.
            self.ahead -= flow.ahead();
            flow.end(sender, End::Closed, &mut emit);
            self.ahead += flow.ahead();
        }
    }

    /// The capture has ended.
    pub fn end(&mut self, events: &mut VecDeque<Event>) {
        let mut flows: Vec<_> = self.flows.drain().map(|(_, flow)| flow).collect();
        flows.sort_by_key(|flow| flow.id);
        for mut flow in flows {
            flow.cut(events);
        }
    }

    /// Makes a connection of its first segment; `false` if it is not to be seen.
    fn open(
        &mut self,
        time: Option<Duration>,
        key: [SocketAddr; 2],
        segment: &Segment,
        events: &mut VecDeque<Event>,
    ) -> bool {
        if !segment.syn && (segment.payload.is_empty() || self.flows.contains_key(&key)) {
            return false;
        }
        let Segment { from, to, .. } = *segment;
        // Without a SYN the caller is not known; servers have the asked port, or the lower one.
        let called = match self.port {
            _ if segment.syn => !segment.ack,
            Some(port) => to.port() == port,
            None => to.port() < from.port(),
        };
        let (client, server) = if called { (from, to) } else { (to, from) };
        if self.port.is_some_and(|port| server.port() != port) {
            return false;
        }
        // The same addresses again: the old connection is over.
        if let Some(mut old) = self.flows.remove(&key) {
            self.ahead -= old.ahead();
            old.cut(events);
        }
        if CONNECTIONS <= self.flows.len() {
            self.forget(events);
        }
        let id = self.opened;
        self.opened += 1;
        let origin = Origin::Tcp {
            client,
            server,
            complete: segment.syn,
        };
        events.push_back(Event {
            connection: id,
            time,
            kind: EventKind::Opened(origin),
        });
        let flow = Flow {
            id,
            client,
            halves: [Half::default(), Half::default()],
            last: self.clock,
        };
        self.flows.insert(key, flow);
        true
    }

    /// Makes room: closed connections go, and if there are none the one that was silent for the longest time.
    fn forget(&mut self, events: &mut VecDeque<Event>) {
        self.flows.retain(|_, flow| !flow.ended());
        if CONNECTIONS <= self.flows.len() {
            let silent = self.flows.iter().min_by_key(|(_, flow)| flow.last).map(|(key, _)| *key);
            if let Some(mut flow) = silent.and_then(|key| self.flows.remove(&key)) {
                self.ahead -= flow.ahead();
                flow.cut(events);
            }
        }
    }
}

impl Flow {
    fn sender(&self, segment: &Segment) -> Sender {
        if segment.from == self.client {
            Sender::Client
        } else {
            Sender::Server
        }
    }

    /// Whether a segment is of this connection, not of a new one with the same addresses.
    fn takes(&self, segment: &Segment) -> bool {
        let half = &self.halves[self.sender(segment) as usize];
        if segment.syn {
            // A SYN that comes again, or the first of this side.
            return half
                .start
                .map_or(half.delivered == 0, |start| start == segment.sequence);
        }
        !self.ended()
    }

    fn ended(&self) -> bool {
        self.halves.iter().all(|half| half.ended)
    }

    fn ahead(&self) -> usize {
        self.halves
            .iter()
            .flat_map(|half| half.ahead.values())
            .map(Bytes::len)
            .sum()
    }

    /// Ends one direction. Bytes that still wait were never due: there is a hole in front of them.
    fn end(&mut self, sender: Sender, end: End, emit: &mut impl FnMut(u64, EventKind)) {
        let half = &mut self.halves[sender as usize];
        if half.ended {
            return;
        }
        half.ended = true;
        let hole = half.ahead.first_key_value().map(|(place, _)| *place).or(half.end);
        let bytes = hole.map_or(0, |place| place.saturating_sub(half.delivered));
        half.ahead.clear();
        half.waiting = 0;
        let end = if bytes == 0 { end } else { End::Lost { bytes } };
        emit(self.id, EventKind::Ended(sender, end));
        if self.ended() {
            emit(self.id, EventKind::Closed);
        }
    }

    /// Ends what has not ended, since nothing more is seen of it.
    fn cut(&mut self, events: &mut VecDeque<Event>) {
        for sender in Sender::BOTH {
            self.end(sender, End::Cut, &mut |connection, kind| {
                events.push_back(Event {
                    connection,
                    time: None,
                    kind,
                });
            });
        }
    }
}

impl Half {
    /// Takes the bytes of a segment, and gives out those that are due.
    fn take(&mut self, segment: &Segment, mut deliver: impl FnMut(Bytes)) {
        let mut sequence = segment.sequence;
        if segment.syn {
            self.start = Some(sequence);
            sequence = sequence.wrapping_add(1);
        }
        if self.ended {
            return;
        }
        let next = *self.next.get_or_insert(sequence);
        let mut bytes = segment.payload.clone();
        // How far ahead of what is due: numbers wrap, so the distance is a signed one.
        let distance = i64::from(sequence.wrapping_sub(next).cast_signed());
        let Some(place) = self.delivered.checked_add_signed(distance).or_else(|| {
            let old = usize::try_from(distance.unsigned_abs() - self.delivered).ok()?;
            bytes.advance(old.min(bytes.len()));
            Some(0)
        }) else {
            return;
        };
        if segment.fin {
            self.end.get_or_insert(place + bytes.len() as u64);
        }
        if place <= self.delivered {
            self.deliver(place, bytes, &mut deliver);
        } else if self.ahead.get(&place).is_none_or(|known| known.len() < bytes.len()) && !bytes.is_empty() {
            // A copy: the segment is a part of a larger buffer.
            let shorter = self.ahead.insert(place, Bytes::copy_from_slice(&bytes));
            self.waiting += bytes.len() + SEGMENT;
            self.waiting -= shorter.map_or(0, |bytes| bytes.len() + SEGMENT);
        }
        while let Some(entry) = self.ahead.first_entry().filter(|entry| *entry.key() <= self.delivered) {
            let (place, bytes) = entry.remove_entry();
            self.waiting -= bytes.len() + SEGMENT;
            self.deliver(place, bytes, &mut deliver);
        }
    }

    /// Gives out the part of these bytes that is new.
    fn deliver(&mut self, place: u64, mut bytes: Bytes, deliver: &mut impl FnMut(Bytes)) {
        let known = usize::try_from(self.delivered - place).unwrap_or(usize::MAX);
        bytes.advance(known.min(bytes.len()));
        if bytes.is_empty() {
            return;
        }
        self.delivered += bytes.len() as u64;
        // INVARIANT: a segment is no longer than a record of the file, which is far below 4 GiB.
        self.next = self
            .next
            .map(|next| next.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX)));
        deliver(bytes);
    }
}
