//! Each error: its cause, its remedy, and what the peer was told.
//!
//! Errors are values, hold no secret, and of the peer's text at most a bounded reason. An error of a machine is terminal; the
//! answer to the peer is in `tx` already, and is to be sent. A test holds these tables against the types.
//!
//! # Bytes that do not decode
//!
//! [`DecodeError`] names message, field and byte. Its `kind` is a [`DecodeErrorKind`].
//!
//! | [`DecodeErrorKind`] | Cause | Remedy |
//! |---|---|---|
//! | `Truncated` | the bytes end before the field does: a broken peer, or a slice that is not a whole message | hand over the whole message; a *stream* that is not whole yet is no error (`missing`) |
//! | `TooLarge` | a length or count above its limit | a peer in good faith: raise that limit ([`limits`](super::limits)) |
//! | `Unknown` | a message type whose length nothing tells | withhold the extension that brings it ([`filter`](crate::filter)) |
//! | `Unframeable` | a rectangle in an encoding that nobody has published | a [`framing::Relay`](crate::framing::Relay) takes such encodings out of what a client asks for |
//! | `Invalid` | a value that its field cannot have; the text says what was expected | none here: the peer is broken, or newer than this crate |
//!
//! [`FramingError`] is a [`DecodeError`] in a stream, with the offset from the stream's first byte. [`EncodeError`]: a value is
//! larger than its wire field; nothing was written. [`RectangleError`]: a rectangle is `Outside` of the framebuffer, `TooLarge` for
//! [`Limits::rectangle`](crate::Limits::rectangle), or in a `PixelFormat` that has no pixels. [`PixelFormatError`]: `BitsPerPixel`, `Depth`,
//! `Maximum` or `Shift` of a format that no pixel can have.
//!
//! # Handshakes
//!
//! [`HandshakeError`], and [`BridgeError`] with the side on which it happened.
//!
//! | [`HandshakeError`] | Cause | Remedy | The peer was told |
//! |---|---|---|---|
//! | `Decode` | see above; before the first message: the peer does not speak RFB ([`FirstBytes`](crate::FirstBytes) names what came) | look at the ports, and at what a balancer puts in front | a client whose user or password is too long: `Authentication failed`; else nothing |
//! | `PeerMisbehaved` | see [`Misbehaviour`] | none here | a client that chose a type or a Tight capability: a failed SecurityResult, with a reason in 3.8; one that chose a subtype: VeNCrypt's refusal; else nothing |
//! | `PeerIncompatible` | see [`Incompatibility`] | see there | a client: a reason in place of the list, or VeNCrypt's refusal; a server: nothing |
//! | `Rejected` | the server refused, with its [`Rejection`](crate::handshake::Rejection) | another password; or the server counts attempts and wants time | nothing |
//! | `Refused` | the caller refused ([`Refusal`](crate::handshake::Refusal)) | none needed | that refusal |
//! | `TimedOut` | [`Limits::handshake_timeout`](crate::Limits::handshake_timeout) is over; `Stage` says what was waited for | a `Stage` that is the caller's answer: it took too long | nothing |
//! | `Closed` | the peer hung up; behind a response a server that says nothing of a wrong password | the server's log | it is gone |
//! | `Misuse` | see [`Misuse`] | a fault of the calling program | nothing; the machine is as it was |
//!
//! | [`Misbehaviour`] | Cause |
//! |---|---|
//! | `TypeNotOffered`, `SubtypeNotOffered`, `CapabilityNotOffered`, `MechanismNotOffered` | the peer chose what was not on the list |
//! | `TypeOf33` | a server of 3.3 decided on a type that 3.3 does not have |
//! | `BytesBeforeTls` | bytes in front of TLS, which an attacker could have put there |
//! | `UnknownResult` | a SecurityResult that means nothing |
//! | `SecondRepeater` | a repeater behind a repeater |
//!
//! | [`Incompatibility`] | Cause | Remedy |
//! |---|---|---|
//! | `Version` | see [`VersionError`] | [`Policy`](crate::Policy) of versions |
//! | `VeNCryptVersion` | another version of VeNCrypt than 0.2 | a newer server |
//! | `Types`, `Subtypes` | nothing in common; the error lists what was offered | the configuration of either side; a feature of this crate for RSA-AES, Diffie-Hellman, MSLogon |
//! | `Tunnels`, `Authentication` | the same for security type Tight | as above |
//! | `HostKey` | the RSA key of the server is not the pinned one | pin the new key, if the server has one; else somebody stands in between |
//! | `NothingFor33` | the client speaks 3.3, and nothing that is offered exists there | offer None or VNC, or refuse 3.3 |
//!
//! | [`VersionError`] | Cause |
//! |---|---|
//! | `Unsupported` | a version that no policy takes |
//! | `AboveOffer` | a client answered with more than it was offered |
//!
//! | [`Misuse`] | Cause |
//! |---|---|
//! | `NotAsked` | an answer to a question that is not open: it was answered, or its time is over |
//! | `NotOffered` | a choice that was not offered, or a log-in without what it needs, such as a seed |
//! | `TooLong` | a value that is too long for its wire field |
//! | `NotComplete` | the end of a SASL exchange that is not complete |
//! | `Ended` | a step of a machine that has ended |
//!
//! [`NotOffered`]: a caller's choice of a type or subtype is not among those that were offered.
//!
//! # Log-ins
//!
//! | [`KeyError`] | Cause | Remedy |
//! |---|---|---|
//! | `Unreadable` | no RSA private key in PKCS#8 or PKCS#1 | `openssl genrsa 2048` writes one |
//! | `Length` | fewer than 1024 bits, or more than 8192 | another key |
//!
//! | [`SealError`] | Cause | Remedy |
//! |---|---|---|
//! | `TooLong` | user or password do not fit their field, or have a NUL | Diffie-Hellman takes 63 bytes, MSLogonII 255 and 63 |
//! | `NoSecret` | the peer's public value gives no secret: 0, 1, or one that everybody knows | none here: the peer is broken or hostile |
//!
//! [`BadFingerprint`]: not 32 bytes in hexadecimal digits.
//!
//! # Sessions
//!
//! | [`End`]: why a console is over | Cause | Remedy | The viewer was told |
//! |---|---|---|---|
//! | `Viewer` | the viewer hung up | none needed | it is gone |
//! | `Hypervisor` | the hypervisor hung up | [`Config::reconnect`](crate::session::relay::Config::reconnect) keeps the viewer | nothing |
//! | `Handshake` | [`BridgeError`] | see [`HandshakeError`] | see there |
//! | `NotRfb` | one side does not speak RFB; the error says what came | the ports | nothing |
//! | `Unreachable` | there is no connection to the hypervisor | the way to it | [`BridgeConfig::upstream_failure`](crate::handshake::BridgeConfig::upstream_failure) |
//! | `TooManyViewers` | [`ViewerLimit`](crate::session::ViewerLimit) | a higher limit | a reason, where the protocol has room for one |
//! | `Malformed` | a stream cannot be read; the error names the side | [`FramingError`] | nothing |
//! | `Stopped` | the calling program ended it | none needed | nothing |
//! | `Moved` | the guest has moved, and the viewer is not kept | it can connect again | nothing |
//! | `NotFollowed` | the viewer could not be kept, see [`NotFollowed`] | it can connect again | nothing |
//!
//! | [`NotFollowed`] | Cause |
//! |---|---|
//! | `Unreachable`, `TimedOut`, `Closed` | there is no new hypervisor, it took too long, or it hung up |
//! | `LogIn` | the log-in there failed: [`BridgeError`] |
//! | `Init` | its ServerInit cannot be read |
//! | `NotAnswered` | the log-in there asks for a layer (RA2, RA2_256), and the calling program has refused it |
//! | `OtherGuest` | the new server has another guest: `ProxyHandler::moved_to` said `false` |
//! | `State` | see [`MoveFault`] |
//!
//! | [`MoveFault`] | Cause |
//! |---|---|
//! | `NotKept` | the relay was not made for moves |
//! | `InsideRectangle`, `InsideMessage` | the old server stopped inside of what cannot be filled up |
//! | `Size` | the desktop has another size, and the client cannot be told |
//! | `Client`, `Encode` | what the client said cannot be said again |
//!
//! # Adapters
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | [`DriveError`] `Io` | the connection failed; `TimedOut`: the last words did not leave in time | the network |
//! | `Protocol` | [`HandshakeError`] or [`BridgeError`] | see there |
//! | `NotRfb` | the peer does not speak RFB; the error says what it sent | the ports |
//! | [`CodecError`] `Io` | the connection failed, or ended inside of a message | the network |
//! | `Decode`, `Framing`, `Encode` | [`DecodeError`], [`FramingError`], [`EncodeError`] | see there |
//! | [`TlsError`] `NoCertificate`, `BadCertificate`, `NoKey` | what is in the PEM text | the files |
//! | `BadName` | neither a DNS name nor an address | the name of the server |
//! | `OldCertificate` | a certificate of X.509 version 1 | sign it again, with a subjectAltName |
//! | `NotTls` | the peer does not speak TLS | a server without VeNCrypt, or another port |
//! | `Rustls` | what rustls says | |

#[allow(unused_imports, reason = "the text links to them")]
use crate::{
    DecodeError, DecodeErrorKind, DriveError, EncodeError, PixelFormatError, VersionError,
    codec::CodecError,
    encoding::RectangleError,
    framing::{FramingError, MoveFault},
    handshake::{HandshakeError, Incompatibility, Misbehaviour, Misuse, bridge::BridgeError},
    security::{NotOffered, SealError, rsa_aes::KeyError},
    session::relay::{End, NotFollowed},
    tls::{BadFingerprint, TlsError},
};
