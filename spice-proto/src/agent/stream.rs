//! Reading a stream of agent messages from the bodies of `AGENT_DATA`.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::{Frame, MAX_DATA, MessageHeader, PROTOCOL};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::{Decode, Reader, Unseen};
use crate::limits::Limits;

/// The reader of a stream. Each accepts another form of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// spice-server, from a client; and its own filter for what comes from the guest. A body has at most
    /// 2048 bytes and belongs to one message; a message begins at the start of a body and with its whole
    /// head; the protocol is 1. spice-server closes the connection otherwise.
    Server,
    /// spice-gtk, from a server. Bodies are a stream of bytes: a head may be spread over several, and a
    /// body may hold several messages.
    Client,
    /// The agent in the guest, from a [`chunk`](super::chunk). A head may be spread over several chunks,
    /// but a chunk has at most 2048 bytes and ends where its message does, or before; the agent closes its
    /// port otherwise.
    Guest,
}

/// The part of a message that lies in one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Head of the message.
    pub header: MessageHeader,
    /// The head was completed in this body: this is the first part.
    pub starts: bool,
    /// Where `data` begins in the data of the message.
    pub offset: u32,
    /// Where `data` begins in the body.
    pub at: usize,
    /// Data of the message; may be empty.
    pub data: &'a [u8],
}

impl Part<'_> {
    /// Bytes of the message that are still to come behind this part.
    #[must_use]
    pub fn missing(&self) -> u32 {
        // INVARIANT: a part is never longer than what its message has left.
        let len = u32::try_from(self.data.len()).unwrap_or(u32::MAX);
        self.header.size.saturating_sub(self.offset).saturating_sub(len)
    }
}

/// Finds the messages in a stream without holding them: no more than 19 bytes of a head are kept.
#[derive(Clone)]
pub struct Stream {
    receiver: Receiver,
    limit: u32,
    /// The beginning of a head that is not whole.
    head: [u8; MessageHeader::LEN],
    head_len: usize,
    /// The message that is not over, and how much of its data came.
    current: Option<(MessageHeader, u32)>,
    failed: Option<DecodeError>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("receiver", &self.receiver)
            .field("limit", &self.limit)
            .field("head_len", &self.head_len)
            .field("current", &self.current)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Stream {
    /// At the start of a conversation. Nothing is held, so a message may be as large as
    /// [`Limits::passed_body`].
    #[must_use]
    pub fn new(receiver: Receiver, limits: &Limits) -> Self {
        Self::with_limit(receiver, limits.passed_body.max(limits.agent_message))
    }

    fn with_limit(receiver: Receiver, limit: u32) -> Self {
        Self {
            receiver,
            limit,
            head: [0; MessageHeader::LEN],
            head_len: 0,
            current: None,
            failed: None,
        }
    }

    /// What was not over never will be: the agent is gone (`AGENT_DISCONNECTED`), or for a guest the client
    /// is (`CLIENT_DISCONNECTED`). An error stays.
    ///
    /// For [`Receiver::Server`] this does nothing: spice-server throws away what comes, but wants a client to
    /// complete what it began, whatever becomes of the agent.
    pub fn reset(&mut self) {
        if self.receiver != Receiver::Server {
            (self.head_len, self.current) = (0, None);
        }
    }

    /// Whether a message, or the head of one, has begun and is not over.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.current.is_some() || 0 < self.head_len
    }

    /// Bytes of a head that is not whole.
    pub(super) const fn held(&self) -> usize {
        self.head_len
    }

    /// The parts of messages in one body. Each item may be an error, which is then the last item of this
    /// body and the only one of all that follow. What the iterator was not asked for is read when it is
    /// dropped.
    pub fn parts<'s, 'a>(&'s mut self, body: &'a [u8]) -> Parts<'s, 'a> {
        let refused = self.failed.or_else(|| self.check(body).err());
        self.failed = refused;
        Parts {
            stream: self,
            body,
            at: 0,
            refused,
        }
    }

    /// What is wrong with a body as a whole, for the receiver.
    fn check(&self, body: &[u8]) -> Result<(), DecodeError> {
        let error = |offset, limit: usize| {
            Err(DecodeError {
                message: "AgentData",
                field: "data",
                offset,
                kind: DecodeErrorKind::TooLarge {
                    value: body.len() as u64,
                    limit: limit as u64,
                },
            })
        };
        if self.receiver == Receiver::Client {
            return Ok(());
        }
        if MAX_DATA < body.len() {
            return error(MAX_DATA, MAX_DATA);
        }
        let end = match (self.current, self.receiver) {
            (Some((header, taken)), _) => header.size.saturating_sub(taken) as usize,
            (None, Receiver::Server) => {
                let header = MessageHeader::decode_slice(body)?;
                if header.protocol != PROTOCOL {
                    return Err(DecodeError {
                        message: MessageHeader::NAME,
                        field: "protocol",
                        offset: 0,
                        kind: DecodeErrorKind::Invalid("not the agent protocol 1"),
                    });
                }
                MessageHeader::LEN.saturating_add(header.size as usize)
            }
            (None, _) => {
                let mut head = self.head;
                let taken = fill(&mut head, self.head_len, body);
                let mut r = Reader::borrowed(&head, MessageHeader::NAME);
                let whole = self.head_len.saturating_add(taken) == MessageHeader::LEN;
                let size = if whole { MessageHeader::read(&mut r)?.size } else { 0 };
                taken.saturating_add(size as usize)
            }
        };
        if end < body.len() { error(end, end) } else { Ok(()) }
    }
}

/// Takes what is missing of a head, and tells how much that was.
fn fill(head: &mut [u8; MessageHeader::LEN], len: usize, src: &[u8]) -> usize {
    let room = head.get_mut(len..).unwrap_or_default();
    let taken = room.len().min(src.len());
    for (to, from) in room.iter_mut().zip(src) {
        *to = *from;
    }
    taken
}

/// The parts of messages in one body: see [`Stream::parts`].
pub struct Parts<'s, 'a> {
    stream: &'s mut Stream,
    body: &'a [u8],
    at: usize,
    refused: Option<DecodeError>,
}

impl fmt::Debug for Parts<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("stream", &self.stream)
            .field("body", &Unseen(self.body))
            .field("at", &self.at)
            .field("refused", &self.refused)
            .finish()
    }
}

impl<'a> Parts<'_, 'a> {
    /// The rest of the body.
    fn left(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// Takes so much of a head as is there; gives it when it is whole.
    fn head(&mut self) -> Option<Result<MessageHeader, DecodeError>> {
        let stream = &mut *self.stream;
        let left = self.body.get(self.at..).unwrap_or_default();
        let start = self.at;
        let held = stream.head_len;
        let taken = fill(&mut stream.head, held, left);
        stream.head_len = held.saturating_add(taken);
        self.at = self.at.saturating_add(taken);
        if stream.head_len < MessageHeader::LEN {
            return None;
        }
        stream.head_len = 0;
        let mut r = Reader::borrowed(&stream.head, MessageHeader::NAME);
        Some(MessageHeader::read(&mut r).and_then(|header| {
            if header.size <= stream.limit {
                return Ok(header);
            }
            Err(DecodeError {
                message: MessageHeader::NAME,
                field: "size",
                // Where the field is in this body, if it is all there.
                offset: start.saturating_add(16).saturating_sub(held),
                kind: DecodeErrorKind::TooLarge {
                    value: header.size.into(),
                    limit: stream.limit.into(),
                },
            })
        }))
    }
}

impl<'a> Iterator for Parts<'_, 'a> {
    type Item = Result<Part<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.refused.take() {
            self.at = self.body.len();
            return Some(Err(error));
        }
        if self.left().is_empty() {
            return None;
        }
        let (starts, header, offset) = match self.stream.current {
            Some((header, taken)) => (false, header, taken),
            None => match self.head()? {
                Ok(header) => (true, header, 0),
                Err(error) => {
                    self.stream.failed = Some(error);
                    self.at = self.body.len();
                    return Some(Err(error));
                }
            },
        };
        let left = self.left();
        let wanted = header.size.saturating_sub(offset);
        let len = left.len().min(wanted as usize);
        let part = Part {
            header,
            starts,
            offset,
            at: self.at,
            data: left.get(..len).unwrap_or_default(),
        };
        self.at = self.at.saturating_add(len);
        // INVARIANT: len is at most wanted, a u32.
        let taken = header.size.saturating_sub(part.missing());
        self.stream.current = (0 < part.missing()).then_some((header, taken));
        Some(Ok(part))
    }
}

impl Drop for Parts<'_, '_> {
    fn drop(&mut self) {
        for _ in self.by_ref() {}
    }
}

/// Gives the messages of a stream as whole [`Frame`]s.
///
/// A message that lies in one body is a slice of it. One that is spread over several is held until it is
/// whole: at most [`Limits::agent_message`] bytes, for which room is made as they come.
#[derive(Clone)]
pub struct Assembler {
    stream: Stream,
    held: Vec<u8>,
}

impl fmt::Debug for Assembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assembler")
            .field("stream", &self.stream)
            .field("held", &Unseen(&self.held))
            .finish()
    }
}

impl Assembler {
    /// At the start of a conversation.
    #[must_use]
    pub fn new(receiver: Receiver, limits: &Limits) -> Self {
        Self {
            stream: Stream::with_limit(receiver, limits.agent_message),
            held: Vec::new(),
        }
    }

    /// What was not over never will be: see [`Stream::reset`].
    pub fn reset(&mut self) {
        self.stream.reset();
        if !self.is_inside() {
            self.held = Vec::new();
        }
    }

    /// Whether a message has begun and is not over.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.stream.is_inside()
    }

    /// The messages that this body completes. Each item may be an error, which is then the last item of
    /// this body and the only one of all that follow. What the iterator was not asked for is read, and
    /// lost, when it is dropped.
    pub fn frames<'s, 'a>(&'s mut self, body: &'a Bytes) -> Frames<'s, 'a> {
        Frames {
            parts: self.stream.parts(body),
            held: &mut self.held,
            body,
        }
    }
}

/// The messages that one body completes: see [`Assembler::frames`].
pub struct Frames<'s, 'a> {
    parts: Parts<'s, 'a>,
    held: &'s mut Vec<u8>,
    body: &'a Bytes,
}

impl fmt::Debug for Frames<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frames")
            .field("parts", &self.parts)
            .field("held", &Unseen(self.held))
            .finish_non_exhaustive()
    }
}

impl Iterator for Frames<'_, '_> {
    type Item = Result<Frame, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let part = match self.parts.next()? {
                Ok(part) => part,
                Err(error) => {
                    *self.held = Vec::new();
                    return Some(Err(error));
                }
            };
            let header = part.header;
            let whole = part.missing() == 0;
            if whole && part.offset == 0 {
                // INVARIANT: the part lies in the body.
                let end = part.at.saturating_add(part.data.len());
                let data = self.body.slice(part.at..end);
                return Some(Ok(Frame { header, data }));
            }
            keep(self.held, part.data, header.size as usize);
            if whole {
                let data = Bytes::from(core::mem::take(self.held));
                return Some(Ok(Frame { header, data }));
            }
        }
    }
}

impl Drop for Frames<'_, '_> {
    fn drop(&mut self) {
        for _ in self.by_ref() {}
    }
}

/// Appends data of a message of `size` bytes. Room grows twofold, but not beyond the message.
fn keep(held: &mut Vec<u8>, data: &[u8], size: usize) {
    let needed = held.len().saturating_add(data.len());
    if held.capacity() < needed {
        let capacity = held.capacity().saturating_mul(2).max(needed).min(size.max(needed));
        held.reserve_exact(capacity.saturating_sub(held.len()));
    }
    held.extend_from_slice(data);
}
