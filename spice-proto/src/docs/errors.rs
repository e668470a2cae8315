//! Each error: its cause, its remedy, and what the peer was told.
//!
//! Errors are values without text of the peer's in them but its first four bytes, and never hold a secret. An error of a
//! machine is terminal; the answer to the peer is in `tx` already, and is to be sent. A test holds these tables against the
//! types.
//!
//! # Bytes that do not decode
//!
//! [`DecodeError`] names message, field and byte: `Init.agent_tokens at byte 20: truncated: needs 4 bytes, 2 left`. Its
//! `kind` is a [`DecodeErrorKind`]. In the link stage a server answers `INVALID_DATA` (`INVALID_MAGIC` for another
//! protocol) and hangs up; behind it no reader of SPICE says anything, and the connection is to be closed.
//!
//! | [`DecodeErrorKind`] | Cause | Remedy |
//! |---|---|---|
//! | `Truncated` | the bytes end before the field does: a broken peer, or a slice that is not a whole body | hand over the whole body; a *stream* that is not whole yet is no error |
//! | `TooLarge` | a length or count above its limit | a peer in good faith: raise that limit ([`limits`](super::limits)) |
//! | `TooSmall` | a length or an offset below the smallest legal one | none here: the peer is broken |
//! | `OutOfBounds` | an offset that points outside of its message | none here: the peer is broken |
//! | `OtherProtocol` | the first bytes are not those of SPICE; [`FirstBytes`] names TLS, VNC, HTTP, SSH, a PROXY header | look at the ports on both sides, and at what a balancer puts in front |
//! | `Invalid` | a value that its field cannot have; the text says what was expected | none here: the peer is broken, or newer than this crate |
//!
//! # Values that have no wire form
//!
//! [`EncodeError`]: a value or a count is larger than its field. Nothing was written. The remedy is the caller's: split
//! the message, or check before. [`CryptoError`]: RSA refused; it does not say why, since that would help an attacker
//! only. Sealing: the peer's key is not RSA-1024, or the password is above 60 bytes or has a NUL in it. Making a key: the
//! random source is broken.
//!
//! # Links
//!
//! [`HandshakeError`], and [`RelayError`] with the side on which it happened.
//!
//! | [`HandshakeError`] | Cause | Remedy | The peer was told |
//! |---|---|---|---|
//! | `Decode` | see above | see above | a server: `LinkReply` `INVALID_DATA` or `INVALID_MAGIC`; a client: nothing |
//! | `PeerMisbehaved` | see [`Misbehaviour`] | none here | a server: a second `LinkReply`, `INVALID_DATA`; a client: nothing |
//! | `PeerIncompatible` | see [`Incompatibility`] | see there | see there |
//! | `Rejected` | the peer refused with this code: `PERMISSION_DENIED` is a wrong password, `NEED_SECURED` wants TLS, `BAD_CONNECTION_ID` does not know the session, `CHANNEL_NOT_AVAILABLE` has no such channel | another password; the other port ([`HandshakeError::wanted_transport`]); a new session | nothing |
//! | `Refused` | the caller refused ([`Refusal`]) | none needed | that refusal |
//! | `TimedOut` | [`Limits::link_timeout`](crate::Limits::link_timeout) is over; [`Stage`] says what was waited for | `Stage::Answer`: the caller's answer took too long, in an unoptimised build perhaps for its key | nothing |
//! | `Closed` | the peer hung up; at `Stage::LinkReply` a server that has no such channel, at `Stage::Sasl` a wrong password | look into the server's log | it is gone |
//! | `Crypto` | see [`CryptoError`] | a server whose key is not RSA-1024 cannot be used | nothing |
//! | `Misuse` | see [`Misuse`] | a fault of the calling program | nothing; the machine is as it was |
//!
//! | [`Misbehaviour`] | Cause |
//! |---|---|
//! | `MechanismNotOffered` | the client chose a way to prove itself that was not announced |
//! | `SaslMechanismNotOffered` | the client chose a SASL mechanism that is not on the list |
//! | `SecondReply` | the server accepted with a link reply where a result was due |
//!
//! | [`Incompatibility`] | Cause | Remedy | The peer was told |
//! |---|---|---|---|
//! | `Version` | another major version than 2 | none: no SPICE program of today has another | a server: `LinkReply` `VERSION_MISMATCH`, for version 0 nothing |
//! | `NoTickets` | the server wants SASL | [`ClientLink::sasl`], or [`RelayConfig::upstream_sasl`]; for [`Relay`] a hypervisor with tickets | nothing |
//! | `NoMechanism` | the server takes SASL and has no mechanism for it | its configuration (`/etc/sasl2/qemu.conf`) | nothing |
//! | `WebSocket` | the first bytes are `GET `: a browser, or a health check | give the connection to a WebSocket server, with what is in `rx` | nothing |
//! | `MissingCapability` | a capability that was required, or promised to a tenant, is missing | [`ProxyHandler::capabilities`], so that no more is promised; or waive it | a relay's tenant: [`RelayConfig::upstream_failure`], as a rule nothing |
//!
//! | [`Misuse`] | Cause |
//! |---|---|
//! | `NotAsked` | an answer to a question that is not open: it was answered, or its time is over |
//! | `NotOffered` | a SASL mechanism that the server does not offer |
//! | `TooLong` | data of SASL above its limit |
//! | `NotComplete` | the end of a SASL exchange that the server does not call complete, or a step of one that it does |
//! | `RefusalSaysOk` | a refusal with the code for acceptance |
//! | `Ended` | a step of a machine that has handed out its outcome |
//!
//! | [`TicketError`] | Cause | The peer was told |
//! |---|---|---|
//! | `Undecryptable` | sealed with another key: of another link, or of another process behind a balancer | whatever the caller says: for all three and for a wrong password the same, [`Refusal::DENIED`] |
//! | `TooLong` | more than 60 bytes | |
//! | `Replayed` | that ticket was shown before, on another link with the same key of a pool | |
//!
//! # Sessions
//!
//! | [`End`]: why a connection of a proxy is over | Cause | Remedy |
//! |---|---|---|
//! | `Viewer` | the viewer hung up | none needed |
//! | `Hypervisor` | the hypervisor hung up | its log, if that was not the guest's end |
//! | `Session` | the session has ended, or moved and has no use for this connection | none needed |
//! | `Link` | the link stage failed, or was refused: [`RelayError`] | see [`HandshakeError`] |
//! | `Unreachable` | [`ProxyHandler::dial`] gave nothing, or [`Relay::unreachable`] was called | the way to the hypervisor; the viewer was told nothing, or `ERROR` |
//! | `Rule` | the policy does not allow a message; [`Rule`] says why | the [`Settings`], if that is to be allowed |
//! | `Fault` | a message that the session's moves do not allow, see [`Fault`] | none here: a hostile viewer, or a hypervisor that moves twice |
//! | `Malformed` | a frame cannot be read: [`DecodeError`] | see above |
//! | `NotBound` | [`ProxyHandler::bind`] said `false` | the store of the session's ids |
//! | `OtherGuest` | [`ProxyHandler::identity`] said `false`: the hypervisor has another guest | where the guest is |
//!
//! Behind the link stage nothing is sent to the peer: its connection is closed.
//!
//! [`NotEntered`]: `Reason` is a refusal by the tracker; say [`Refusal::DENIED`]. `Misuse`: [`Relay::enter`] was not asked
//! for. A claim is given back with both.
//!
//! | [`Reason`]: why a connection may not join | Cause |
//! |---|---|
//! | `Replayed` | a main channel wants a new session with a key that has one |
//! | `NotBound` | another channel, and the session has not been named yet |
//! | `NoConnectionId` | another channel than main, with `connection_id` 0 |
//! | `WrongConnectionId` | not this session's id |
//! | `NotAnnounced` | a channel that `CHANNELS_LIST` did not name, or that is withheld |
//! | `Duplicate` | a channel that is connected already |
//! | `NoMigration` | a main channel with an id, and no move waits for it |
//! | `Ended` | the session has ended |
//! | `OtherAddress` | another address than the session's, if [`tracker::Config::one_address`] is set |
//! | `Downgrade` | no TLS in a session with TLS |
//! | `Sasl` | SASL, where nothing ends it |
//! | `Ticket` | a ticket that no viewer sends: [`TicketFault`], `TooLong`, `Nul` or `NotUtf8` |
//! | `Late` | the time for the link stage is over, or the connection is gone |
//! | `TooManySessions` | [`tracker::Config::sessions`]: forget those that have ended ([`Tracker::forget`]) |
//! | `TooManyLinks` | [`tracker::Config::links`] |
//!
//! The viewer gets [`Refusal::DENIED`] for each of them, as for a token that opens nothing.
//!
//! | [`Fault`] | Cause |
//! |---|---|
//! | `Malformed` | a message about a move does not decode |
//! | `Unasked` | the other side did not ask for it |
//! | `OutOfOrder` | said in another state, or on the wrong connection |
//! | `Forged` | `MIGRATE_DATA` that the source did not send for this channel |
//! | `NotAdjacent` | something else than `MIGRATE_DATA` behind a `MIGRATE` that needs it |
//! | `Ended` | the session has ended |
//! | `Hidden` | a message about a move inside of another |
//!
//! [`tracker::Misuse`], for callers of a bare [`Tracker`]: `NoLink`, `NoSession`, `NotMain` (only the main channel on the
//! current host says that), `ZeroId`, `OutOfOrder` (a step of a move that does not follow), `TooManySessions`. The tracker
//! is as it was.
//!
//! [`EndpointError`], when the configuration is read: `Host`, `Subject`, `Port`, `TooLong`: what a viewer would misread.
//!
//! # The agent
//!
//! | [`ConversationError`] | Cause |
//! |---|---|
//! | `Token` | see [`TokenError`] |
//! | `Stream` | a stream that its reader would not accept, or a message above [`Limits::agent_message`](crate::Limits::agent_message) |
//!
//! | [`TokenError`] | Cause | spice-server's answer |
//! |---|---|---|
//! | `ClientHasNone` | the client sent data without a token | it closes the connection |
//! | `ServerHasNone` | the server sent data without a token | |
//! | `NotStarted` | the client gave tokens before `AGENT_START` | an error of its own: do not pass it on |
//!
//! # Pictures
//!
//! [`HeadMismatch`]: the head of a packed picture does not go with its message. [`Expected`] says what it should be:
//! `Exactly` a value, `AtLeast` one, or a `FormOf` an image of that type. Do not unpack the picture.
//!
//! # Adapters
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | [`DriveError`] `Io` | the connection failed; `TimedOut`: the last words did not leave in time | the network |
//! | `Protocol` | [`HandshakeError`], or [`RelayError`] of a relay | see there |
//! | [`CodecError`] `Io` | the connection failed, or ended inside of a frame | the network |
//! | `Decode` | [`DecodeError`] | see there |
//! | `Encode` | [`EncodeError`] | see there |
//! | [`TlsError`] `NoCertificate` | no certificate in the PEM text | the file of authorities |
//! | `BadCertificate` | a certificate or a revocation list cannot be read | the file of authorities |
//! | `Subject` | see [`SubjectError`] | the host subject |
//! | `BadName` | neither a DNS name nor an address | the name of the host |
//! | `Rustls` | what rustls says; [`in_words`] says what that means | |
//! | [`SubjectError`] `Grammar` | not a host subject, from this column on | a comma inside of a value needs a backslash |
//! | `UnknownKey` | an attribute that OpenSSL does not know, in its case | `CN`, `O`, `OU`, ... |
//! | `Value` | a value that the attribute cannot have | `C` has two letters |
//! | `Empty` | no entries | leave the subject out |

#[allow(unused_imports, reason = "the text links to them")]
use crate::{
    CryptoError, DecodeError, DecodeErrorKind, DriveError, EncodeError, ProxyHandler,
    agent::{ConversationError, TokenError},
    channel::display::head::{Expected, HeadMismatch},
    codec::CodecError,
    link::{
        ClientLink, FirstBytes, HandshakeError, Incompatibility, Misbehaviour, Misuse, Refusal, RelayConfig, Stage,
        relay::RelayError, ticket::TicketError,
    },
    session::{
        Relay, Tracker,
        migration::{EndpointError, Fault},
        policy::{Rule, Settings},
        relay::{End, NotEntered},
        tracker::{self, Reason, TicketFault},
    },
    tls::{SubjectError, TlsError, in_words},
};
