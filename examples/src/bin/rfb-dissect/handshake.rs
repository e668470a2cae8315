//! The handshake, as somebody sees it who stands between client and server.

use bytes::{Bytes, BytesMut};
use examples::capture::Sender;
use rfb_proto::security::plain::{Credentials, Ident};
use rfb_proto::security::sasl::{Mechanism, Mechanisms, SaslData};
use rfb_proto::security::tight::{Capabilities, Capability, CapabilityChoice, InteractionCapabilities};
use rfb_proto::security::vencrypt::{Exchange, SubtypeChoice, Subtypes, VeNCryptVersion};
use rfb_proto::security::{Reason, SecurityChoice, SecurityResult, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{ClientInit, DecodeError, EncodeError, Greeting, Limits, Policy, ProtocolVersion, ServerInit, Version};
use serde_json::{Value, json};

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Greeting,
    Answer,
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
    /// The server refused; nothing follows, or what it says to a client that it does not understand.
    Refused,
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
    pub(crate) step: Step,
    rules: Version,
    limits: Limits,
    secrets: bool,
    offered: Vec<u8>,
    exchange: Exchange,
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

/// Something of a fixed or told length, with its name; `None` if it is not whole.
macro_rules! take {
    ($self:ident, $bytes:ident, $ty:ty) => {{
        if 0 < <$ty>::missing($bytes, &$self.limits)? {
            return Ok(None);
        }
        <$ty>::decode_slice($bytes, &$self.limits)?
    }};
}

impl Handshake {
    pub(crate) fn new(limits: &Limits, secrets: bool) -> Self {
        Self {
            step: Step::Greeting,
            rules: Version::V3_8,
            limits: limits.clone(),
            secrets,
            offered: Vec::new(),
            exchange: Exchange::None,
            tls: false,
            inner: false,
            tight: false,
            always_result: false,
            mechanism: Bytes::new(),
            complete: false,
            init: None,
        }
    }

    /// Who is to speak. `None`: it is over, or either may.
    pub(crate) fn due(&self) -> Option<Sender> {
        Some(match self.step {
            Step::Answer
            | Step::Choice
            | Step::VeNCryptAnswer
            | Step::SubtypeChoice
            | Step::Response
            | Step::Credentials
            | Step::Ident
            | Step::Mechanism
            | Step::ClientData
            | Step::TunnelChoice
            | Step::TightChoice
            | Step::ClientInit => Sender::Client,
            Step::Tls | Step::Session | Step::Sealed | Step::Encrypted | Step::Refused => return None,
            _ => Sender::Server,
        })
    }

    /// What is waited for, in words.
    pub(crate) fn waits_for(&self) -> &'static str {
        match self.step {
            Step::Greeting => "the server's version",
            Step::Answer => "the client's version",
            Step::Types | Step::Word => "the security types",
            Step::Choice => "the client's choice",
            Step::VeNCryptVersion | Step::VeNCryptAnswer | Step::VersionAck => "the version of VeNCrypt",
            Step::Subtypes | Step::SubtypeChoice | Step::SubtypeAck => "the subtype of VeNCrypt",
            Step::Tls => "TLS",
            Step::Challenge | Step::Response => "the VNC authentication",
            Step::Credentials | Step::Ident => "the user",
            Step::Mechanisms | Step::Mechanism | Step::ClientData | Step::ServerData | Step::Complete => "SASL",
            Step::Tunnels | Step::TunnelChoice | Step::TightTypes | Step::TightChoice => "the lists of Tight",
            Step::Result => "the result",
            Step::Reason => "the reason",
            Step::ClientInit => "the client's initialisation",
            Step::ServerInit | Step::Interaction => "the server's initialisation",
            Step::Session | Step::Sealed | Step::Encrypted | Step::Refused => "nothing",
        }
    }

    /// Whether the connection may well end where it waits: servers leave out a reason, or just hang up.
    pub(crate) fn may_end(&self) -> bool {
        matches!(self.step, Step::Refused | Step::Reason)
    }

    /// The client speaks no version that the server knows: what follows is the server's refusal.
    pub(crate) fn refuse(&mut self) {
        self.step = Step::Refused;
    }

    /// Whether the bytes after a VeNCrypt or TLS choice are those of TLS.
    pub(crate) fn tls(&mut self, client: &[u8], server: &[u8]) -> bool {
        let is_tls = match (client, server) {
            // A handshake record. The first byte of what else comes here is 0.
            ([0x16, ..], _) => true,
            ([_, ..], _) | (_, [_, ..]) => false,
            ([], []) => return false,
        };
        self.tls = true;
        self.step = match (is_tls, self.inner) {
            (true, _) => Step::Encrypted,
            (false, true) => Step::Types,
            (false, false) => self.exchange_begins(),
        };
        true
    }

    fn exchange_begins(&mut self) -> Step {
        match self.exchange {
            Exchange::None => self.after_exchange(),
            Exchange::Vnc => Step::Challenge,
            Exchange::Plain => Step::Credentials,
            Exchange::Ident => Step::Ident,
            Exchange::Sasl => Step::Mechanisms,
        }
    }

    /// Where it goes on when nothing more is to be proved.
    fn after_exchange(&self) -> Step {
        let result = self.exchange != Exchange::None || self.rules == Version::V3_8 || self.always_result;
        if result { Step::Result } else { Step::ClientInit }
    }

    fn chosen(&mut self, security_type: SecurityType) -> Result<Step, Wrong> {
        match security_type {
            SecurityType::VENCRYPT => return Ok(Step::VeNCryptVersion),
            SecurityType::TIGHT => {
                self.tight = true;
                return Ok(Step::Tunnels);
            }
            SecurityType::TLS => {
                self.inner = true;
                return Ok(Step::Tls);
            }
            _ => {}
        }
        self.exchange = Exchange::of(security_type)
            .ok_or_else(|| wrong(format!("security type {security_type} is not followed")))?;
        Ok(self.exchange_begins())
    }

    /// Takes one step off the front of what the sender that is due has said.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Option<Seen>, Wrong> {
        let at = self.step;
        let mut again = BytesMut::new();
        macro_rules! seen {
            ($name:literal, $message:expr, $fields:expr) => {{
                let message = $message;
                let encoded = message.encode(&mut again);
                seen!(@ $name, message.encoded_len(), $fields, encoded)
            }};
            (bytes $name:literal, $len:expr, $fields:expr) => {{
                again.extend_from_slice(&bytes[..$len]);
                seen!(@ $name, $len, $fields, Ok(()))
            }};
            (@ $name:literal, $len:expr, $fields:expr, $encoded:expr) => {
                Seen {
                    name: $name,
                    len: $len,
                    fields: $fields,
                    again: $encoded.map(|()| again),
                }
            };
        }
        let fixed = |len: usize| bytes.len() < len;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let seen = match at {
            Step::Greeting | Step::Answer => {
                if ProtocolVersion::missing(&bytes[..bytes.len().min(ProtocolVersion::LEN)])? != 0 {
                    return Ok(None);
                }
                let line: &[u8; ProtocolVersion::LEN] = bytes.first_chunk().ok_or_else(|| wrong("no line"))?;
                let version = ProtocolVersion::from_bytes(line)?;
                let fields = json!({ "major": version.major, "minor": version.minor });
                if at == Step::Greeting {
                    self.rules = match version.as_greeting(Policy::Lenient).map_err(wrong)? {
                        Greeting::Version(version) => version,
                        Greeting::Repeater => return Err(wrong("a repeater is not followed")),
                    };
                    self.step = Step::Answer;
                    seen!(bytes "ServerVersion", ProtocolVersion::LEN, fields)
                } else {
                    // A version that no rules are known for is refused, or will be.
                    match version.as_answer(self.rules, Policy::Lenient) {
                        Ok(rules) => {
                            self.rules = rules;
                            self.step = if rules == Version::V3_3 {
                                Step::Word
                            } else {
                                Step::Types
                            };
                        }
                        Err(_) => self.step = Step::Refused,
                    }
                    seen!(bytes "ClientVersion", ProtocolVersion::LEN, fields)
                }
            }
            Step::Types => {
                let types = take!(self, bytes, SecurityTypes);
                self.offered = types.types.iter().map(|offered| offered.0).collect();
                self.step = if types.is_refusal() { Step::Reason } else { Step::Choice };
                let fields = json!({ "types": types.types });
                seen!("SecurityTypes", types, fields)
            }
            Step::Word => {
                let word = take!(self, bytes, SecurityTypeWord);
                self.step = match word.security_type() {
                    _ if word.is_refusal() => Step::Reason,
                    Some(security_type) => self.chosen(security_type)?,
                    None => return Err(wrong(format!("security type {word} is not followed"))),
                };
                let fields = json!({ "type": word.to_string() });
                seen!("SecurityType", word, fields)
            }
            Step::Choice => {
                let choice = take!(self, bytes, SecurityChoice);
                // A server refuses what it did not offer, with a result or without a word.
                self.step = if self.offered.contains(&choice.security_type.0) {
                    self.chosen(choice.security_type)?
                } else {
                    Step::Result
                };
                let fields = json!({ "type": choice.security_type });
                seen!("SecurityChoice", choice, fields)
            }
            Step::VeNCryptVersion | Step::VeNCryptAnswer => {
                let version = take!(self, bytes, VeNCryptVersion);
                let fields = json!({ "major": version.major, "minor": version.minor });
                if at == Step::VeNCryptVersion {
                    self.step = Step::VeNCryptAnswer;
                    seen!("VeNCryptServerVersion", version, fields)
                } else {
                    self.step = Step::VersionAck;
                    seen!("VeNCryptClientVersion", version, fields)
                }
            }
            Step::VersionAck | Step::SubtypeAck => {
                let [ack, ..] = bytes else { return Ok(None) };
                let (good, next) = if at == Step::VersionAck {
                    (0, Step::Subtypes)
                } else {
                    (1, Step::Tls)
                };
                self.step = if *ack == good { next } else { Step::Refused };
                seen!(bytes "VeNCryptAck", 1, json!({ "ack": ack }))
            }
            Step::Subtypes => {
                let subtypes = take!(self, bytes, Subtypes);
                self.step = if subtypes.subtypes.is_empty() {
                    Step::Refused
                } else {
                    Step::SubtypeChoice
                };
                let fields = json!({ "subtypes": subtypes.subtypes });
                seen!("VeNCryptSubtypes", subtypes, fields)
            }
            Step::SubtypeChoice => {
                let choice = take!(self, bytes, SubtypeChoice);
                let subtype = choice.subtype;
                self.exchange = subtype
                    .exchange()
                    .ok_or_else(|| wrong(format!("subtype {subtype} is not followed")))?;
                self.always_result = subtype.tls().is_some();
                self.step = match subtype.tls() {
                    Some(_) => Step::SubtypeAck,
                    None => self.exchange_begins(),
                };
                seen!("VeNCryptSubtypeChoice", choice, json!({ "subtype": subtype }))
            }
            Step::Challenge => {
                if fixed(16) {
                    return Ok(None);
                }
                self.step = Step::Response;
                seen!(bytes "VncChallenge", 16, json!({ "challenge": hex(&bytes[..16]) }))
            }
            Step::Response => {
                if fixed(16) {
                    return Ok(None);
                }
                self.step = Step::Result;
                let shown = self.secrets.then(|| hex(&bytes[..16]));
                seen!(bytes "VncResponse", 16, json!({ "response": shown }))
            }
            Step::Credentials => {
                let shown = take!(self, bytes, Credentials);
                self.step = Step::Result;
                let password = self.secrets.then(|| text(shown.password.expose()));
                let fields = json!({ "user": text(&shown.user), "password": password });
                seen!("Plain", shown, fields)
            }
            Step::Ident => {
                let ident = take!(self, bytes, Ident);
                self.step = Step::Result;
                let fields = json!({ "user": text(&ident.user) });
                seen!("Ident", ident, fields)
            }
            Step::Mechanisms => {
                let mechanisms = take!(self, bytes, Mechanisms);
                self.step = Step::Mechanism;
                let fields = json!({ "list": text(&mechanisms.list) });
                seen!("SaslMechanisms", mechanisms, fields)
            }
            Step::Mechanism => {
                let mechanism = take!(self, bytes, Mechanism);
                self.step = Step::ClientData;
                self.mechanism = mechanism.name.clone();
                let fields = json!({ "name": text(&mechanism.name) });
                seen!("SaslMechanism", mechanism, fields)
            }
            Step::ClientData | Step::ServerData => {
                let data = take!(self, bytes, SaslData);
                let is_client = at == Step::ClientData;
                self.step = if is_client { Step::ServerData } else { Step::Complete };
                let shown = data.data.as_ref().map(|data| data.expose());
                let length = shown.map(<[u8]>::len);
                let shown = shown.filter(|_| self.secrets || !is_client).map(text);
                let fields = json!({ "data_len": length, "data": shown });
                seen!("SaslData", data, fields)
            }
            Step::Complete => {
                let [complete, ..] = bytes else { return Ok(None) };
                self.complete = *complete != 0;
                self.step = if self.complete { Step::Result } else { Step::ClientData };
                seen!(bytes "SaslComplete", 1, json!({ "complete": complete }))
            }
            Step::Tunnels | Step::TightTypes => {
                let list = take!(self, bytes, Capabilities);
                let is_empty = list.list.is_empty();
                self.step = match (at, is_empty) {
                    (Step::Tunnels, true) => Step::TightTypes,
                    (Step::Tunnels, false) => Step::TunnelChoice,
                    (_, true) => self.after_exchange(),
                    (_, false) => Step::TightChoice,
                };
                let names: Vec<_> = list.list.iter().map(|capability| text(&capability.signature)).collect();
                seen!("TightCapabilities", list, json!({ "capabilities": names }))
            }
            Step::TunnelChoice | Step::TightChoice => {
                let choice = take!(self, bytes, CapabilityChoice);
                self.step = if at == Step::TunnelChoice {
                    if choice.code != Capability::NO_TUNNEL.code {
                        return Err(wrong(format!("tunnel {} is not followed", choice.code)));
                    }
                    Step::TightTypes
                } else {
                    let known = [
                        SecurityType::NONE,
                        SecurityType::VNC,
                        SecurityType::VENCRYPT,
                        SecurityType::SASL,
                    ];
                    let security_type = known
                        .into_iter()
                        .find(|known| i32::from(known.0) == choice.code)
                        .ok_or_else(|| wrong(format!("authentication {} of Tight is not followed", choice.code)))?;
                    self.chosen(security_type)?
                };
                let fields = json!({ "code": choice.code });
                seen!("TightChoice", choice, fields)
            }
            Step::Result => {
                let result = take!(self, bytes, SecurityResult);
                self.step = match (result, self.rules) {
                    (SecurityResult::OK, _) if self.is_sealed() => Step::Sealed,
                    (SecurityResult::OK, _) => Step::ClientInit,
                    (_, Version::V3_8) => Step::Reason,
                    _ => Step::Refused,
                };
                let fields = json!({ "status": result.status });
                seen!("SecurityResult", result, fields)
            }
            Step::Reason => {
                let reason = take!(self, bytes, Reason);
                self.step = Step::Refused;
                let fields = json!({ "text": reason.to_text() });
                seen!("Reason", reason, fields)
            }
            Step::ClientInit => {
                let init = take!(self, bytes, ClientInit);
                self.step = Step::ServerInit;
                seen!("ClientInit", init, json!({ "shared": init.shared }))
            }
            Step::ServerInit => {
                let init = take!(self, bytes, ServerInit);
                self.step = if self.tight { Step::Interaction } else { Step::Session };
                self.init = Some(init.clone());
                let fields = json!({
                    "width": init.width, "height": init.height, "format": init.format, "name": init.name_text(),
                });
                seen!("ServerInit", init, fields)
            }
            Step::Interaction => {
                let interaction = take!(self, bytes, InteractionCapabilities);
                self.step = Step::Session;
                let count = |list: &[Capability]| list.len();
                let fields = json!({
                    "server_messages": count(&interaction.server_messages),
                    "client_messages": count(&interaction.client_messages),
                    "encodings": count(&interaction.encodings),
                });
                seen!("TightInteractionCapabilities", interaction, fields)
            }
            Step::Refused => {
                // QEMU's answer to a version that it does not know.
                if fixed(4) {
                    return Ok(None);
                }
                let word = take!(self, bytes, SecurityTypeWord);
                if !word.is_refusal() {
                    return Err(wrong("the server goes on after it has refused"));
                }
                self.step = Step::Reason;
                seen!("SecurityType", word, json!({ "type": word.to_string() }))
            }
            Step::Tls | Step::Session | Step::Sealed | Step::Encrypted => return Ok(None),
        };
        Ok(Some(seen))
    }

    /// Whether SASL wraps what follows: these mechanisms do, where nothing else encrypts.
    fn is_sealed(&self) -> bool {
        self.complete && !self.tls && matches!(&self.mechanism[..], b"DIGEST-MD5" | b"GSSAPI")
    }
}
