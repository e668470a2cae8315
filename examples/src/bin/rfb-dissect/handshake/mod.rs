//! The handshake, as it is seen between client and server.

mod opening;
mod steps;
mod version;

use bytes::{Bytes, BytesMut};
use examples::capture::Sender;
use rfb_proto::security::vencrypt::Exchange;
use rfb_proto::security::{SecurityResult, SecurityType};
use rfb_proto::{DecodeError, EncodeError, Greeting, Limits, Policy, ProtocolVersion, ServerInit, Version};
use serde_json::Value;

use opening::{Known, Opening};

/// Bytes that a client sends to a repeater.
const REPEATER_LEN: usize = 250;
/// Numbers that are no SecurityResult of any server; a width of a desktop, in the high half, begins at 1.
const UNKNOWN_RESULTS: std::ops::RangeInclusive<u32> = 0x0001_0000..=0xffff_fffe;

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Greeting,
    /// A repeater greeted: the client names a server, and that one greets.
    Repeater,
    Answer,
    /// The client's version line is none, but some servers read it: what the server says next tells.
    VersionInDoubt,
    /// The server's answer to the client's version, in whatever form.
    Opening,
    Types,
    Word,
    Choice,
    VeNCryptVersion,
    VeNCryptAnswer,
    VersionAck,
    Subtypes,
    SubtypeChoice,
    SubtypeAck,
    /// TLS begins here, or what is in it was recorded without it.
    Tls,
    Challenge,
    Response,
    Credentials,
    Ident,
    Mechanisms,
    Mechanism,
    ClientData,
    ServerData,
    Complete,
    Tunnels,
    TunnelChoice,
    TightTypes,
    TightChoice,
    Result,
    Reason,
    ClientInit,
    ServerInit,
    Interaction,
    /// Messages follow.
    Session,
    /// Packets of SASL follow.
    Sealed,
    /// TLS follows.
    Encrypted,
    /// The server refused; nothing follows, or a reason where it need not give one.
    Refused,
}

/// What a server may still say once it has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterRefusal {
    /// Nothing.
    Silence,
    /// A refusal in any form: it did not understand the client's version, or did not wait for it.
    Refusal,
    /// A failed result, and a reason: VeNCrypt has its own way to refuse, and TigerVNC has both.
    Result,
    /// A reason: below 3.8 there need be none behind a failed result (QEMU has one when SASL fails).
    Reason,
}

/// A step that was seen.
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) len: usize,
    pub(crate) fields: Value,
    /// What encoding it again gives.
    pub(crate) again: Result<BytesMut, EncodeError>,
}

/// Where a handshake is.
pub(crate) struct Handshake {
    pub(crate) step: State,
    rules: Version,
    /// The rules that the server greeted with.
    greeting: Version,
    /// What the client said.
    answer: Option<ProtocolVersion>,
    /// What is wrong with it.
    pub(crate) doubt: Option<String>,
    parting: AfterRefusal,
    limits: Limits,
    secrets: bool,
    /// The numbers of the last list: security types, subtypes, codes of Tight.
    offered: Vec<u32>,
    exchange: Exchange,
    /// What follows the subtype that was chosen, if that is known.
    followed: Option<Exchange>,
    /// Below TLS.
    tls: bool,
    /// The choice inside of TLS, or of Tight.
    inner: bool,
    tight: bool,
    /// The security type that was chosen says whether there is a result.
    always_result: bool,
    mechanism: Bytes,
    complete: bool,
    pub(crate) init: Option<ServerInit>,
}

/// Why a byte cannot be placed.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) at: usize,
    pub(crate) what: String,
}

impl From<DecodeError> for Wrong {
    fn from(error: DecodeError) -> Self {
        let (at, what) = (error.offset, error.to_string());
        Self { at, what }
    }
}

fn wrong(what: impl ToString) -> Wrong {
    let (at, what) = (0, what.to_string());
    Wrong { at, what }
}

impl Handshake {
    pub(crate) fn new(limits: &Limits, secrets: bool) -> Self {
        Self {
            step: State::Greeting,
            rules: Version::V3_8,
            greeting: Version::V3_8,
            answer: None,
            doubt: None,
            parting: AfterRefusal::Silence,
            limits: limits.clone(),
            secrets,
            offered: Vec::new(),
            exchange: Exchange::None,
            followed: None,
            tls: false,
            inner: false,
            tight: false,
            always_result: false,
            mechanism: Bytes::new(),
            complete: false,
            init: None,
        }
    }

    /// The side whose turn it is. `None`: the handshake is over, or either may send.
    pub(crate) fn due(&self) -> Option<Sender> {
        Some(match self.step {
            State::Repeater
            | State::Answer
            | State::Choice
            | State::VeNCryptAnswer
            | State::SubtypeChoice
            | State::Response
            | State::Credentials
            | State::Ident
            | State::Mechanism
            | State::ClientData
            | State::TunnelChoice
            | State::TightChoice
            | State::ClientInit => Sender::Client,
            State::Tls | State::Session | State::Sealed | State::Encrypted | State::Refused => return None,
            _ => Sender::Server,
        })
    }

    /// What is waited for, in words.
    pub(crate) fn waits_for(&self) -> &'static str {
        match self.step {
            State::Greeting => "the server's version",
            State::Repeater => "what the repeater is told",
            State::Answer | State::VersionInDoubt => "the client's version",
            State::Opening | State::Types | State::Word => "the security types",
            State::Choice => "the client's choice",
            State::VeNCryptVersion | State::VeNCryptAnswer | State::VersionAck => "the version of VeNCrypt",
            State::Subtypes | State::SubtypeChoice | State::SubtypeAck => "the subtype of VeNCrypt",
            State::Tls => "TLS",
            State::Challenge | State::Response => "the VNC authentication",
            State::Credentials | State::Ident => "the user",
            State::Mechanisms | State::Mechanism | State::ClientData | State::ServerData | State::Complete => "SASL",
            State::Tunnels | State::TunnelChoice | State::TightTypes | State::TightChoice => "the lists of Tight",
            State::Result => "the result",
            State::Reason => "the reason",
            State::ClientInit => "the client's initialisation",
            State::ServerInit | State::Interaction => "the server's initialisation",
            State::Session | State::Sealed | State::Encrypted | State::Refused => "nothing",
        }
    }

    /// Whether the connection may well end where it waits: servers leave out a reason, or just hang up.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.step, State::Refused | State::Reason)
    }

    /// The client speaks no version that the server knows, or none yet: what follows is the server's refusal.
    pub(crate) fn refuse(&mut self) {
        self.step = State::Refused;
        self.parting = AfterRefusal::Refusal;
    }

    /// Whether a server that hangs up here has refused the client, with or without a word. `left`: which side has said
    /// something that is not placed.
    pub(crate) fn hangs_up(&self, left: [bool; 2]) -> bool {
        let [client, server] = left;
        match self.step {
            State::Answer => !client,
            State::VersionInDoubt => true,
            State::Opening => self.answer.is_some_and(|answer| self.understood(answer).is_none()),
            State::Reason => client && !server,
            _ => false,
        }
    }

    /// The rules that follow from the client's version, if that can be told without asking the server.
    fn understood(&self, answer: ProtocolVersion) -> Option<Version> {
        answer.as_answer(self.greeting, Policy::Lenient).ok()
    }

    /// What is known when the server speaks to the client's version.
    fn known(&self, ended: bool, answered: bool) -> Known {
        let expects = match self.answer {
            Some(ProtocolVersion { major: 3, minor: ..7 }) => Some(Opening::Word),
            Some(ProtocolVersion { major: 3, minor: 7 | 8 }) => Some(Opening::List),
            _ => None,
        };
        Known {
            expects,
            ended,
            answered,
        }
    }

    /// Decides, by what the server says, whether it read the client's line that is none. `false`: that cannot be told
    /// yet.
    pub(crate) fn judge(&mut self, server: &[u8], ended: bool) -> bool {
        match opening::form(server, self.known(ended, false)) {
            Some(Opening::Word | Opening::List) => self.step = State::Answer,
            Some(Opening::ZeroWord | Opening::EmptyList) => self.refuse(),
            None if ended => self.refuse(),
            None => return false,
        }
        true
    }

    /// What the server says although it has refused. `false`: nothing, as far as can be told yet.
    ///
    /// # Errors
    /// That is no refusal.
    pub(crate) fn parts(&mut self, server: &[u8], ended: bool) -> Result<bool, Wrong> {
        let goes_on = || wrong("the server goes on after it has refused");
        self.step = match (self.parting, server) {
            (_, []) => return Ok(false),
            (AfterRefusal::Silence, _) => return Err(goes_on()),
            (AfterRefusal::Reason, _) => State::Reason,
            (AfterRefusal::Result, [0, 0, 0, 0, ..]) => return Err(goes_on()),
            (AfterRefusal::Result, _) => State::Result,
            (AfterRefusal::Refusal, _) => match opening::form(server, self.known(ended, false)) {
                None => return Ok(false),
                Some(Opening::Word | Opening::List) => return Err(goes_on()),
                Some(Opening::ZeroWord) => State::Word,
                Some(Opening::EmptyList) => State::Types,
            },
        };
        self.parting = AfterRefusal::Silence;
        Ok(true)
    }

    /// Finds the form in which the server answers the client's version. `false`: that cannot be told yet.
    pub(crate) fn open(&mut self, server: &[u8], ended: bool, answered: bool) -> bool {
        let Some(form) = opening::form(server, self.known(ended, answered)) else {
            return false;
        };
        let understood = self.answer.and_then(|answer| self.understood(answer));
        let lists = understood.filter(|rules| *rules != Version::V3_3);
        (self.step, self.rules) = match form {
            Opening::Word | Opening::ZeroWord => (State::Word, Version::V3_3),
            // A server that lists although the client does not know lists goes by its own version.
            Opening::List | Opening::EmptyList => (State::Types, lists.unwrap_or(self.greeting.max(Version::V3_7))),
        };
        true
    }

    /// Whether the bytes after a VeNCrypt or TLS choice are those of TLS.
    pub(crate) fn tls(&mut self, client: &[u8], server: &[u8]) -> bool {
        let is_tls = match (client, server) {
            // A handshake record. The first byte of what else comes here is 0.
            ([0x16, ..], _) => true,
            // An alert: the client says nothing, and the server has no use for that.
            ([], [0x15, 3, ..=4, ..]) => true,
            ([_, ..], _) | (_, [_, ..]) => false,
            ([], []) => return false,
        };
        self.tls = true;
        self.step = match (is_tls, self.inner) {
            (true, _) => State::Encrypted,
            (false, true) => State::Types,
            (false, false) => self.begins(self.followed.unwrap_or(self.exchange)),
        };
        true
    }

    fn begins(&mut self, exchange: Exchange) -> State {
        self.exchange = exchange;
        match exchange {
            Exchange::Vnc => State::Challenge,
            Exchange::Plain => State::Credentials,
            Exchange::Ident => State::Ident,
            Exchange::Sasl => State::Mechanisms,
            // INVARIANT: the others are not followed.
            _ => self.after_exchange(),
        }
    }

    /// Where it goes on when nothing more is to be proved.
    fn after_exchange(&self) -> State {
        let result = self.exchange != Exchange::None || self.rules == Version::V3_8 || self.always_result;
        if result { State::Result } else { State::ClientInit }
    }

    /// The server has refused, and may say this.
    fn refused(&mut self, parting: AfterRefusal) -> State {
        self.parting = parting;
        State::Refused
    }

    /// The rules that the greeting stands for, or a repeater.
    fn greeted(&mut self, version: ProtocolVersion) -> Result<State, Wrong> {
        match version.as_greeting(Policy::Lenient).map_err(wrong)? {
            Greeting::Version(offered) => {
                (self.greeting, self.rules) = (offered, offered);
                Ok(State::Answer)
            }
            Greeting::Repeater => Ok(State::Repeater),
        }
    }

    /// Whether what stands where the result should is the size of the desktop: for a client of macOS, which is known by
    /// its 3.889, libvncserver leaves out the result of None and does not wait for the client's initialisation.
    fn is_left_out(&self, result: SecurityResult) -> bool {
        let is_apple = self.answer == Some(ProtocolVersion::APPLE) && self.exchange == Exchange::None;
        is_apple && UNKNOWN_RESULTS.contains(&result.status)
    }

    fn chosen(&mut self, security_type: SecurityType) -> Result<State, Wrong> {
        match security_type {
            SecurityType::VENCRYPT => return Ok(State::VeNCryptVersion),
            SecurityType::TIGHT => {
                self.tight = true;
                return Ok(State::Tunnels);
            }
            SecurityType::TLS => {
                self.inner = true;
                return Ok(State::Tls);
            }
            _ => {}
        }
        let exchange = Exchange::of(security_type)
            .filter(is_followed)
            .ok_or_else(|| wrong(format!("security type {security_type} is not followed")))?;
        Ok(self.begins(exchange))
    }

    /// Whether SASL wraps what follows: these mechanisms do, where nothing else encrypts.
    fn is_sealed(&self) -> bool {
        self.complete && !self.tls && matches!(&self.mechanism[..], b"DIGEST-MD5" | b"GSSAPI")
    }
}

/// Whether what an exchange sends can be read. What the others send is sealed, and with some of them the session is.
fn is_followed(exchange: &Exchange) -> bool {
    matches!(
        exchange,
        Exchange::None | Exchange::Vnc | Exchange::Plain | Exchange::Ident | Exchange::Sasl
    )
}
