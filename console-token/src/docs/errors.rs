//! Each error: cause, remedy, and what the peer receives.
//!
//! Of all that concerns a token the peer receives one text, [`Refusal::PUBLIC_TEXT`](crate::Refusal::PUBLIC_TEXT): `public()` of
//! each error gives it. `Display` and `Debug` are for the gateway's log and tell an attacker whether a guess was right. No error
//! holds a token, a password or a pepper.
//!
//! # A token is refused: `Refusal`
//!
//! The peer receives the public text, over SPICE the code `PERMISSION_DENIED`.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `Refusal::Malformed` | what was presented cannot be a token | none; a viewer that sends an old password |
//! | `Refusal::Unknown` | no record has this hash: never issued, swept, another pepper, another store | the pepper and the store of issuer and gateway must be the same |
//! | `Refusal::WrongScope` | a redeem of a token for SPICE sessions, or the other way round | set `Grant::scope`, or ask for the transition of its scope |
//! | `Refusal::WrongAudience` | the grant names another audience than the gateway | `VerifyContext::with_audience`, or a grant without one |
//! | `Refusal::Revoked` | the token, its virtual machine, user or issuer was revoked | a new token |
//! | `Refusal::NotYetValid` | the gateway's clock is before `not_before` | set the clocks; `Grant::with_skew` |
//! | `Refusal::Expired` | the time of the token is over | a new token; set the clocks; a longer `ttl` |
//! | `Refusal::Spent` | all uses are spent; also while the session that spent the last is open | a new token |
//! | `Refusal::TooManySessions` | as many sessions are open as the grant or `MAX_OPEN_SESSIONS` admits | close sessions; `Grant::with_max_sessions`; a `session_limit` for gateways that stop |
//! | `Refusal::ZeroConnectionId` | a join, or a bind, with number 0 | a further channel has the number out of INIT |
//! | `Refusal::ConnectionIdInUse` | two hypervisors gave sessions of one token the same number | the second session ends; the viewer can come again |
//! | `Refusal::AlreadyBound` | a second number for a session, or a release of one that was bound | `Close` in place of `Release` |
//! | `Refusal::NotBound` | a further channel before INIT was recorded | bind before INIT is forwarded |
//! | `Refusal::NoSuchSession` | no open session has this number | none; a viewer of another session |
//! | `Refusal::SessionExpired` | the session is past its `session_limit` or `session_end` | a new token |
//! | `Refusal::SessionClosed` | the main channel has ended, or the use was given back | a new session |
//! | `Refusal::NotMigrating` | a main channel came again, and no move is pending, or two are | `Migrate` before the viewer is sent away |
//! | `Refusal::NotSuspended` | a viewer came again to a session that did not break off, or that another viewer has resumed | a new session |
//! | `Refusal::Busy` | all leases of the console are taken | wait, or `WhenFull::Kick` |
//! | `Refusal::LeaseLost` | the holder was kicked, disconnected or silent for too long | end its connection |
//! | `Refusal::TooManyAttempts` | the source has made more attempts than it may | wait; see `ThrottleRules` |
//!
//! # A store: `StoreError`
//!
//! | Error | Cause | Remedy | The peer receives |
//! |---|---|---|---|
//! | `StoreError::Refused` | as the `Refusal` in it | as there | the public text |
//! | `StoreError::Full` | as many records as the store was made for | `sweep`, and try again; a larger limit | a failure of the service, on creation |
//! | `StoreError::Duplicate` | a record with this hash exists: the random source repeats itself | stop; use that of the operating system | a failure of the service, on creation |
//! | `StoreError::NoteTooLong` | a name above `Note::NAME_MAX`, or a value above `Note::VALUE_MAX` | a shorter one | a failure of the service |
//! | `StoreError::Backend` | the engine failed; whether it has applied the transition is not known | ask again, with the same `AttemptId` | the public text |
//!
//! # SPICE sessions: `Denial` (feature `spice`)
//!
//! The viewer receives `PERMISSION_DENIED`, the same time after its ticket.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `Denial::Ticket` | the ticket does not open, or was shown before | none; a viewer that is broken, or a replay |
//! | `Denial::Token` | as the `Refusal` in it | as there |
//! | `Denial::Session` | a good token, and the channel may not join: not announced, there already, the session has ended | see `spice_proto::session::tracker::Reason` |
//! | `Denial::NotAdmitted` | `ConsoleBackend::admits` refused | the backend knows why |
//! | `Denial::Store` | the store failed for longer than `Settings::store_timeout` | mend the store; the use is given back by itself |
//!
//! # Connections and VNC: `connections::Denial`, `Ended` (features `tokio` and `rfb`)
//!
//! A VNC viewer receives what `ConsoleBackend::refused` gives, the same time after its token.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `Denial::Token` | as the `Refusal` in it | as there |
//! | `Denial::NotAdmitted` | a console of another kind, or `ConsoleBackend::admits` refused | the backend knows why |
//! | `Denial::Store` | the store failed for longer than `Settings::store_timeout` | mend the store; the use is given back by itself |
//! | `Ended::By` | the connection has ended by itself: see `rfb_proto::session::relay::End` | as there |
//! | `Ended::Cut` | the token was revoked, or its time is over | a new token |
//!
//! # Connections: `AdmitError`
//!
//! The connection is closed.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `AdmitError::Displaced` | it gave way to another one before it was let in | none; more half-open places |
//! | `AdmitError::Full` | all places for open connections are taken | a larger `ConnectionLimits::open`, and file descriptors for it |
//! | `AdmitError::SourceFull` | one source has all that it may have | a larger limit for each source |
//!
//! # Secrets and texts
//!
//! | Error | Cause | Remedy | The peer receives |
//! |---|---|---|---|
//! | `PepperTooShort` | a pepper of fewer than 32 bytes | 32 random bytes | nothing: the gateway does not start |
//! | `UnknownConsole` | no protocol or type of this name | Nova's exact text, in lower case | a bad request |
//! | `PasswordError::Protocol` | consoles of this protocol have no password | VNC and SPICE only | a bad request |
//! | `PasswordError::Empty` | no password | at least one byte | a bad request |
//! | `PasswordError::TooLong` | above 8 bytes | a shorter one | a bad request |
//! | `PasswordError::ControlCharacter` | a control character in it | without | a bad request |
//! | `AccessUrlError::Malformed` | the base is no URL of http, https, ws or wss | mend the configuration | a failure of the service |
//! | `AccessUrlError::HasToken` | the base has a token already | remove it | a failure of the service |
//! | `AccessUrlError::RepeatedPath` | `path` twice in the base | once | a failure of the service |
//! | `AccessUrlError::FragmentInPath` | `path` has a fragment | without | a failure of the service |
//! | `JsonError::TooLong` | larger than such a text can be | check its source | a bad request |
//! | `JsonError::TooDeep` | nested too deeply | check its source | a bad request |
//! | `JsonError::Syntax` | no JSON | check its source | a bad request |
//! | `JsonError::Schema` | a member is missing, unknown, repeated or of another type | the members of the documentation | a bad request |
//!
//! # Requests: the module `web`
//!
//! The peer receives the status 400, of a page or target that may not be 403, and no reason.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `PlaceError::Repeated` | two tokens in one place | send one |
//! | `PlaceError::TooLong` | longer than any token | none |
//! | `PlaceError::Malformed` | not written as it has to be there | encode it |
//! | `HostError::Empty` | no host | name one |
//! | `HostError::TrailingDot` | `hv1.example.` | without the dot |
//! | `HostError::Zone` | `fe80::1%eth0` | an address without a zone |
//! | `HostError::NotAscii` | a name that is not ASCII | its `xn--` form |
//! | `HostError::Number` | `127.1`, `0x7f000001`: programs read these differently | four decimal numbers |
//! | `HostError::Brackets` | IPv6 without brackets where a port can follow | `[fd00::1]:5900` |
//! | `HostError::Port` | no port of 1 to 65535 | name one |
//! | `HostError::Malformed` | no host otherwise | mend it |
//! | `OriginError::Malformed` | `Origin` is none | none; not a browser |
//! | `OriginError::InvalidHost` | as the `HostError` in it | as there |
//! | `OriginError::Opaque` | a page without an origin: a sandbox, a local file | serve the page |
//! | `OriginError::Ambiguous` | two `Origin` | none; not a browser |
//! | `OriginError::Missing` | no `Origin`, and programs are not admitted | `OriginRule` can admit them |
//! | `OriginError::Foreign` | a page from elsewhere | name its origin in the rule, if it is yours |
//! | `OriginError::Host` | `Host` or `X-Forwarded-*` is missing, or two differ | the proxy in front has to send one of each |
//! | `NetworkError` | no network of trusted proxies | `10.0.0.0/8`, `fd00::/8` |
//! | `ConnectError::Malformed` | not the head of an HTTP/1 request | none; not a proxy client |
//! | `ConnectError::Host` | as the `HostError` in it | as there |
//! | `ConnectError::Method` | another method | `CONNECT` only |
//! | `ConnectError::TooLong` | a head above `Connect::MAX_LEN` | fewer header fields |
//! | `ConnectError::Content` | it announces content | none; not a proxy client |
//! | `TargetError::Unknown` | no console is known there | add it to the rule |
//! | `TargetError::Unresolved` | the name has no address | the name service |
//! | `TargetError::Special` | loopback, link-local, metadata and others | consoles do not belong there |
//!
//! # Nova's API: `NovaError`, `VersionError` (feature `serde`)
//!
//! The peer receives Nova's own status and body: `NovaError::fault`.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `NovaError::Body` | not the JSON of the schema | as the `JsonError` says |
//! | `NovaError::Unknown` | the version has no such protocol or type | a later microversion |
//! | `NovaError::Removed` | RDP, which Nova 29.0.0 removed | another protocol |
//! | `NovaError::TypeInvalid` | the protocol has no such type | a pair that belongs together |
//! | `NovaError::TypeUnavailable` | the machine has no such console | another type |
//! | `NovaError::SerialPort` | a wrong number of serial ports, or none free | the flavor; a larger range |
//! | `NovaError::InstanceNotFound` | no such server | its id |
//! | `NovaError::InstanceNotReady` | the server is being built | try again |
//! | `NovaError::NotImplemented` | the hypervisor cannot do this | another type |
//! | `NovaError::Version` | the version cannot express it | a later microversion |
//! | `NovaError::Query` | query parameters in a version without | without |
//! | `NovaError::TokenNotFound` | the token is unknown or has expired | a new token |
//! | `NovaError::Member` | a member with a value that it cannot have | as its name says |
//! | `VersionError` | no microversion | `2.1` to `2.99` |
//!
//! # Forms of others: `ResolverError` (feature `serde`)
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `ResolverError::Json` | as the `JsonError` in it | as there |
//! | `ResolverError::Member` | a member, or part of a line, with a wrong value | mend the file |
//! | `ResolverError::Host` | as the `HostError` in it | as there |
//! | `ResolverError::Target` | the form has no place for such a target | another form |
//! | `ResolverError::Token` | the form has no place for such a token | another form of token |
//! | `RowError` | a line of a token file, by its number, with a `RowFault` | mend the line; websockify skips it |
//! | `RowFault::NoSeparator` | no colon with a blank behind it | `token: host:port` |
//! | `RowFault::Separators` | two of them | one |
//! | `RowFault::Target` | as the `ResolverError` in it | as there |
//!
//! # Signed tokens: `SignedError`, `KeyError` (feature `jwt`)
//!
//! The peer receives the public text.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `SignedError::Header` | not the header of a JWS | none; another kind of token |
//! | `SignedError::Extension` | `crit`, or an encrypted token | an issuer that does without |
//! | `SignedError::UnknownKey` | no key has this id | fetch the issuer's keys, once |
//! | `SignedError::WrongAlgorithm` | another algorithm than the key's | none; an attack, or a wrong configuration |
//! | `SignedError::BadSignature` | not signed with this key | the issuer's public key |
//! | `SignedError::Claims` | a claim is missing, repeated or of another type | the issuer |
//! | `SignedError::Claim` | a claim with a value that it cannot have | the issuer |
//! | `SignedError::WrongIssuer` | another issuer | the rule of the gateway |
//! | `SignedError::WrongAudience` | for another gateway | the rule of the gateway |
//! | `SignedError::NotYetValid` | its time has not come | set the clocks; the skew of the rule |
//! | `SignedError::Expired` | its time is over | a new token |
//! | `SignedError::TooLong` | valid for longer than the gateway admits | a shorter time |
//! | `KeyError::Id` | no key id | 1 or more visible ASCII characters |
//! | `KeyError::Key` | no key of this algorithm | 32 bytes for Ed25519 |
//! | `KeyError::TooShort` | a secret that is too short | more random bytes |
//! | `KeyError::TooLong` | the token would be too long | shorter claims |
//!
//! # Serial ports
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `PortRangeError::Malformed` | not `10000:20000` | mend the configuration |
//! | `PortRangeError::Empty` | the second number is not above the first | mend the configuration |
//! | `PortRangeError::NotPorts` | beyond 1 to 65535 | mend the configuration |
//! | `PortsExhausted` | no port of the range is free | a larger range |
//! | `PortCountError::Flavor` | `hw:serial_port_count` is no number | mend the flavor |
//! | `PortCountError::Image` | `hw_serial_port_count` is no number | mend the image |
//! | `PortCountError::AboveFlavor` | the image wants more than the flavor gives | fewer, or another flavor |
//! | `PortCountError::AboveLimit` | more than the hypervisor has | fewer |
//!
//! # WebMKS: `LoginError`, `TicketError`
//!
//! The tenant's WebSocket is closed.
//!
//! | Error | Cause | Remedy |
//! |---|---|---|
//! | `LoginError::Decode` | what came is no reply of authd: see `ReplyError` | check host and port of the ticket |
//! | `LoginError::PeerMisbehaved` | see `Misbehaviour` | check what answers at that address |
//! | `LoginError::Rejected` | authd refused; a ticket is good once | a new ticket |
//! | `LoginError::TimedOut` | no reply in time | the network; a longer `LoginConfig` |
//! | `LoginError::Closed` | authd hung up | a new ticket |
//! | `LoginError::Misuse` | see `Misuse` | the caller's program |
//! | `ReplyError::TooLong` | a line above the limit | check what answers at that address |
//! | `ReplyError::LineEnd` | a line without CR LF | check what answers at that address |
//! | `ReplyError::Code` | no three-digit code | check what answers at that address |
//! | `ReplyError::Thumbprint` | the reply to THUMBPRINT has none | an older authd: its certificate has to be known otherwise |
//! | `Misbehaviour::BytesBeforeTls` | bytes in front of TLS: an injection | check what answers at that address |
//! | `Misbehaviour::WrongCertificate` | another certificate than the ticket names | check what answers at that address |
//! | `Misuse::NotAsked` | `secured` without a question | the caller's program |
//! | `Misuse::BytesInWire` | bytes in `rx` when TLS starts | the caller's program |
//! | `Misuse::Ended` | the log-in is over | the caller's program |
//! | `TicketError::Thumbprint` | not 20 bytes in hexadecimal digits | the ticket as vSphere gave it |
//! | `TicketError::CfgFile` | no path that fits a line | the ticket as vSphere gave it |
//! | `TicketError::Ticket` | no ticket that fits a line | the ticket as vSphere gave it |
//! | `TicketError::Json` | not the JSON of a ticket | the ticket as vSphere gave it |
