//! A link stage that is watched, not taken part in: for recorders and dissectors.
//!
//! ```text
//! LinkMess -> LinkReply -> [AuthMechanism] -> EncryptedTicket ------------------> LinkResult -> frames
//!    |            |             |  |                                                ^   |
//!    |            |             |  '-> SaslMechList -> SaslStartClient              |   |
//!    |            |             |         SaslStepServer <-> SaslStepClient         |   |
//!    |            |             |         SaslVerdict ------------------------------'   |
//!    |            |             |              '-> security layer: cannot be read       |
//!    '------------'-------------'-> refused with a LinkReply or a LinkResult <----------'
//! ```
//!
//! A server may refuse at any time with a link reply, and is the judge of what its client sent: bytes of a
//! client that do not decode are an error only if the server takes them.

use bytes::BytesMut;

use super::messages::{LinkHeader, LinkMess, LinkReply, MAGIC, SEALED_TICKET_LEN};
use super::receive;
use super::sasl::{MechList, SaslResult, StartClient, StepClient, StepServer};
use super::{HandshakeError, Misbehaviour, Misuse, SealedTicket, Sender, Stage};
use crate::caps::{Capabilities, common};
use crate::error::EncodeError;
use crate::frame::HeaderForm;
use crate::ids::{AuthMechanism, LinkErrorCode};
use crate::limits::Limits;

/// One part of a link stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What the client asks for.
    LinkMess(LinkHeader, LinkMess),
    /// What the server answers.
    LinkReply(LinkHeader, LinkReply),
    /// How the client will prove that it may connect.
    AuthMechanism(AuthMechanism),
    /// The client's password, sealed.
    Ticket(SealedTicket),
    /// The server's mechanisms.
    SaslMechList(MechList),
    /// The client's choice of one.
    SaslStartClient(StartClient),
    /// The server's side of a mechanism.
    SaslStepServer(StepServer),
    /// The client's side of a mechanism.
    SaslStepClient(StepClient),
    /// The server's judgement of what the mechanism came to.
    SaslVerdict(SaslResult),
    /// The server's last word.
    LinkResult(LinkErrorCode),
}

impl Part {
    /// The name in the specification.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LinkMess(..) => "LinkMess",
            Self::LinkReply(..) => "LinkReply",
            Self::AuthMechanism(_) => "AuthMechanism",
            Self::Ticket(_) => "EncryptedTicket",
            Self::SaslMechList(_) => "SaslMechList",
            Self::SaslStartClient(_) => "SaslStartClient",
            Self::SaslStepServer(_) => "SaslStepServer",
            Self::SaslStepClient(_) => "SaslStepClient",
            Self::SaslVerdict(SaslResult::Accept) => "SaslAccept",
            Self::SaslVerdict(SaslResult::Reject { .. }) => "SaslReject",
            Self::LinkResult(_) => "LinkResult",
        }
    }

    /// Appends the wire form. A link message or reply that was sent with bytes behind its capability words
    /// comes back without them.
    ///
    /// # Errors
    /// A value that its field cannot hold; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::LinkMess(header, message) => with_header(header, dst, |dst| message.encode(dst)),
            Self::LinkReply(header, reply) => with_header(header, dst, |dst| reply.encode(dst)),
            Self::AuthMechanism(AuthMechanism(number)) | Self::LinkResult(LinkErrorCode(number)) => {
                dst.extend_from_slice(&number.to_le_bytes());
                Ok(())
            }
            Self::Ticket(sealed) => {
                dst.extend_from_slice(&sealed.0);
                Ok(())
            }
            Self::SaslMechList(part) => part.encode(dst),
            Self::SaslStartClient(part) => part.encode(dst),
            Self::SaslStepServer(part) => part.encode(dst),
            Self::SaslStepClient(part) => part.encode(dst),
            Self::SaslVerdict(part) => part.encode(dst),
        }
    }
}

/// Appends a message with the header that it came with: version and size are the sender's.
fn with_header(
    header: &LinkHeader,
    dst: &mut BytesMut,
    message: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let before = dst.len();
    message(dst)?;
    let mut own = BytesMut::with_capacity(LinkHeader::LEN);
    header.encode(&mut own).inspect_err(|_| dst.truncate(before))?;
    let end = before.saturating_add(LinkHeader::LEN);
    if let Some(place) = dst.get_mut(before..end) {
        place.copy_from_slice(&own);
    }
    Ok(())
}

/// A link that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    /// What the client asked for.
    pub request: LinkMess,
    /// What the server announced.
    pub capabilities: Capabilities,
    /// The headers of the frames in both directions.
    pub header_form: HeaderForm,
}

/// How a link stage ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchedOutcome {
    /// Frames follow in both directions.
    Linked(Linked),
    /// [`SealedPacket`](super::sasl::SealedPacket)s follow in both directions; the first one of the server
    /// holds its link result.
    Sealed(Linked),
    /// The server refused. Nothing more comes from it; what the client sends is not read any more.
    Refused(LinkErrorCode),
}

/// What is due next.
#[derive(Debug)]
enum State {
    LinkMess,
    LinkReply,
    AuthMechanism,
    Ticket,
    MechList,
    StartClient,
    StepServer,
    StepClient,
    SaslResult,
    LinkResult,
    /// The link result in clear, or the first packet of a security layer.
    SealedOrResult,
    /// A link reply that refuses, since the client's bytes are wrong in this way.
    Refusal(HandshakeError),
    Ended(WatchedOutcome),
}

/// The link stage of one connection, read from both directions.
#[derive(Debug)]
pub struct WatchedLink {
    limits: Limits,
    state: State,
    request: Option<LinkMess>,
    capabilities: Capabilities,
}

impl WatchedLink {
    /// A connection of which nothing has been seen yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            state: State::LinkMess,
            request: None,
            capabilities: Capabilities::default(),
        }
    }

    /// Whose bytes are due, and what they will be.
    #[must_use]
    pub fn due(&self) -> (Sender, Stage) {
        match self.state {
            State::LinkMess => (Sender::Client, Stage::LinkMess),
            State::LinkReply | State::Refusal(_) => (Sender::Server, Stage::LinkReply),
            State::AuthMechanism => (Sender::Client, Stage::AuthMechanism),
            State::Ticket => (Sender::Client, Stage::Ticket),
            State::StartClient | State::StepClient => (Sender::Client, Stage::Sasl),
            State::MechList | State::StepServer | State::SaslResult => (Sender::Server, Stage::Sasl),
            State::LinkResult | State::SealedOrResult => (Sender::Server, Stage::LinkResult),
            State::Ended(_) => (Sender::Server, Stage::Ended),
        }
    }

    /// How it ended, when it has.
    #[must_use]
    pub fn outcome(&self) -> Option<&WatchedOutcome> {
        match &self.state {
            State::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    /// What is wrong with the client's bytes, as long as the server has not refused them.
    #[must_use]
    pub fn unreadable(&self) -> Option<HandshakeError> {
        match self.state {
            State::Refusal(error) => Some(error),
            _ => None,
        }
    }

    /// Takes a part off the front of the bytes of one side, and tells how many it took. `None`: the bytes do
    /// not hold it whole, or the other side is due.
    ///
    /// # Errors
    /// Bytes that the server sent and that do not decode, or bytes of the client that do not decode and that
    /// the server takes. The machine stays as it was.
    pub fn step(&mut self, sender: Sender, src: &[u8]) -> Result<Option<(Part, usize)>, HandshakeError> {
        if matches!(self.state, State::Ended(_)) {
            return Err(Misuse::Ended.into());
        }
        let first = matches!(self.state, State::LinkMess | State::LinkReply | State::Refusal(_));
        if sender == Sender::Server && src.starts_with(&MAGIC) && !first {
            return self.refusal(src, HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply));
        }
        if self.due().0 != sender {
            return Ok(None);
        }
        match self.state {
            State::LinkMess => self.link_mess(src),
            State::LinkReply => self.link_reply(src),
            State::Refusal(error) => self.refusal(src, error),
            _ => self.later(src),
        }
    }

    fn link_mess(&mut self, src: &[u8]) -> Result<Option<(Part, usize)>, HandshakeError> {
        let message = header(src, LinkMess::MIN_LEN, self.limits.link_message).and_then(|parts| {
            let Some((header, body, len)) = parts else {
                return Ok(None);
            };
            Ok(Some((header, LinkMess::decode_slice(body, &self.limits)?, len)))
        });
        match message {
            Ok(None) => Ok(None),
            Ok(Some((header, message, len))) => {
                self.request = Some(message.clone());
                self.state = State::LinkReply;
                Ok(Some((Part::LinkMess(header, message), len)))
            }
            Err(error) => {
                self.state = State::Refusal(error);
                Ok(None)
            }
        }
    }

    fn link_reply(&mut self, src: &[u8]) -> Result<Option<(Part, usize)>, HandshakeError> {
        let Some((header, body, len)) = header(src, LinkReply::MIN_LEN, self.limits.link_reply)? else {
            return Ok(None);
        };
        let reply = LinkReply::decode_slice(body, &self.limits)?;
        self.capabilities = reply.capabilities.clone();
        self.state = match reply.error {
            LinkErrorCode::OK if self.both(common::PROTOCOL_AUTH_SELECTION) => State::AuthMechanism,
            LinkErrorCode::OK => State::Ticket,
            code => State::Ended(WatchedOutcome::Refused(code)),
        };
        Ok(Some((Part::LinkReply(header, reply), len)))
    }

    /// A link reply that has to refuse. If it accepts, or is none, `error` says what was wrong with the client's bytes.
    fn refusal(&mut self, src: &[u8], error: HandshakeError) -> Result<Option<(Part, usize)>, HandshakeError> {
        // A server of another protocol does not refuse: its client's bytes are what is wrong.
        let Some((header, body, len)) = header(src, LinkReply::MIN_LEN, self.limits.link_reply).map_err(|_| error)?
        else {
            return Ok(None);
        };
        let reply = LinkReply::decode_slice(body, &self.limits)?;
        if reply.error == LinkErrorCode::OK {
            return Err(error);
        }
        self.state = State::Ended(WatchedOutcome::Refused(reply.error));
        Ok(Some((Part::LinkReply(header, reply), len)))
    }

    /// Everything behind the link reply.
    fn later(&mut self, src: &[u8]) -> Result<Option<(Part, usize)>, HandshakeError> {
        let limits = &self.limits;
        let word = src.first_chunk().map(|bytes| (u32::from_le_bytes(*bytes), 4));
        let (part, len, state) = match self.state {
            State::AuthMechanism => {
                let Some((number, len)) = word else { return Ok(None) };
                let state = match AuthMechanism(number) {
                    AuthMechanism::SPICE => State::Ticket,
                    AuthMechanism::SASL => State::MechList,
                    _ => State::Refusal(HandshakeError::PeerMisbehaved(Misbehaviour::MechanismNotOffered(
                        number,
                    ))),
                };
                (Part::AuthMechanism(AuthMechanism(number)), len, state)
            }
            State::Ticket => {
                let Some(sealed) = src.first_chunk::<SEALED_TICKET_LEN>() else {
                    return Ok(None);
                };
                (Part::Ticket(SealedTicket(*sealed)), sealed.len(), State::LinkResult)
            }
            State::MechList => {
                let Some((part, len)) = MechList::decode(src, limits)? else {
                    return Ok(None);
                };
                (Part::SaslMechList(part), len, State::StartClient)
            }
            State::StartClient => {
                let Some((part, len)) = StartClient::decode(src, limits)? else {
                    return Ok(None);
                };
                (Part::SaslStartClient(part), len, State::StepServer)
            }
            State::StepServer => {
                let Some((part, len)) = StepServer::decode(src, limits)? else {
                    return Ok(None);
                };
                let state = match part.complete {
                    0 => State::StepClient,
                    _ => State::SaslResult,
                };
                (Part::SaslStepServer(part), len, state)
            }
            State::StepClient => {
                let Some((part, len)) = StepClient::decode(src, limits)? else {
                    return Ok(None);
                };
                (Part::SaslStepClient(part), len, State::StepServer)
            }
            State::SaslResult => {
                let Some((part, len)) = SaslResult::decode(src, limits)? else {
                    return Ok(None);
                };
                let state = match part {
                    SaslResult::Accept => State::SealedOrResult,
                    SaslResult::Reject { .. } => {
                        State::Ended(WatchedOutcome::Refused(LinkErrorCode::PERMISSION_DENIED))
                    }
                };
                (Part::SaslVerdict(part), len, state)
            }
            // The length of a packet is big-endian and below 2^24, so its first byte is 0 and one of the
            // others is not. A link result is little-endian and below 256.
            State::SealedOrResult if word.is_some() && !matches!(src, [_, 0, 0, 0, ..]) => {
                self.state = State::Ended(WatchedOutcome::Sealed(self.linked()?));
                return Ok(None);
            }
            State::LinkResult | State::SealedOrResult => {
                let Some((number, len)) = word else { return Ok(None) };
                let outcome = match LinkErrorCode(number) {
                    LinkErrorCode::OK => WatchedOutcome::Linked(self.linked()?),
                    code => WatchedOutcome::Refused(code),
                };
                (Part::LinkResult(LinkErrorCode(number)), len, State::Ended(outcome))
            }
            State::LinkMess | State::LinkReply | State::Refusal(_) | State::Ended(_) => {
                return Err(Misuse::Ended.into());
            }
        };
        self.state = state;
        Ok(Some((part, len)))
    }

    /// Whether both sides announced a common capability.
    fn both(&self, bit: u32) -> bool {
        let client = self
            .request
            .as_ref()
            .is_some_and(|request| request.capabilities.has_common(bit));
        client && self.capabilities.has_common(bit)
    }

    fn linked(&self) -> Result<Linked, Misuse> {
        let mini = self.both(common::MINI_HEADER);
        Ok(Linked {
            // INVARIANT: no state behind the link reply is reached without a request.
            request: self.request.clone().ok_or(Misuse::Ended)?,
            capabilities: self.capabilities.clone(),
            header_form: HeaderForm::agreed(mini, mini),
        })
    }
}

/// A link header with the bytes that follow it, and the length of both.
type WithHeader<'a> = (LinkHeader, &'a [u8], usize);

/// Takes a link header and the bytes that follow it.
fn header(src: &[u8], minimum: usize, limit: u32) -> Result<Option<WithHeader<'_>>, HandshakeError> {
    receive::check_magic(src)?;
    receive::check_version(src)?;
    if receive::missing(LinkHeader::LEN, src).is_some() {
        return Ok(None);
    }
    let header = LinkHeader::decode_slice(src)?;
    let end = receive::check_size(&header, minimum, limit)?.saturating_add(LinkHeader::LEN);
    Ok(src.get(LinkHeader::LEN..end).map(|body| (header, body, end)))
}
