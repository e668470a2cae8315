//! The messages of the handshake, each taken off the front of what one side has said.

use bytes::BytesMut;
use rfb_proto::security::plain::{Credentials, Ident};
use rfb_proto::security::sasl::{Mechanism, Mechanisms, SaslData};
use rfb_proto::security::tight::{Capabilities, Capability, CapabilityChoice, InteractionCapabilities};
use rfb_proto::security::vencrypt::{
    SubtypeAcknowledgement, SubtypeChoice, Subtypes, VeNCryptVersion, VersionAcknowledgement,
};
use rfb_proto::security::{Reason, SecurityChoice, SecurityResult, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{ClientInit, ProtocolVersion, ServerInit, Version};
use serde_json::json;

use super::version::{self, Line};
use super::{AfterRefusal, Handshake, REPEATER_LEN, Seen, State, Wrong, wrong};

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
    /// Takes one step off the front of what the sender that is due has said. `ended`: it says no more.
    pub(crate) fn take(&mut self, bytes: &[u8], ended: bool) -> Result<Option<Seen>, Wrong> {
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
        let hex = base16ct::lower::encode_string;
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        let seen = match at {
            State::Greeting | State::Answer => {
                let Some(line) = version::read(bytes)? else {
                    return Ok(None);
                };
                let (version, doubt) = match line {
                    Line::Proper(version) => (version, None),
                    Line::Scanned(version, why) => (version, Some(why)),
                };
                let mut fields = json!({ "major": version.major, "minor": version.minor });
                if doubt.is_some() {
                    fields["line"] = text(&bytes[..ProtocolVersion::LEN]).into();
                }
                if at == State::Greeting {
                    self.step = self.greeted(version)?;
                    seen!(bytes "ServerVersion", ProtocolVersion::LEN, fields)
                } else if let (Some(why), None) = (doubt, self.answer) {
                    (self.answer, self.doubt) = (Some(version), Some(why.to_string()));
                    self.step = State::VersionInDoubt;
                    return Ok(None);
                } else {
                    self.answer = Some(version);
                    self.step = State::Opening;
                    seen!(bytes "ClientVersion", ProtocolVersion::LEN, fields)
                }
            }
            State::Repeater => {
                if fixed(REPEATER_LEN) {
                    return Ok(None);
                }
                self.step = State::Greeting;
                let target = bytes[..REPEATER_LEN]
                    .split(|byte| *byte == 0)
                    .next()
                    .unwrap_or_default();
                seen!(bytes "RepeaterTarget", REPEATER_LEN, json!({ "target": text(target) }))
            }
            State::Types => {
                let types = take!(self, bytes, SecurityTypes);
                self.offered = types.types.iter().map(|offered| offered.0.into()).collect();
                self.step = if types.is_refusal() {
                    State::Reason
                } else {
                    State::Choice
                };
                let fields = json!({ "types": types.types });
                seen!("SecurityTypes", types, fields)
            }
            State::Word => {
                let word = take!(self, bytes, SecurityTypeWord);
                self.step = match word.security_type() {
                    _ if word.is_refusal() => State::Reason,
                    Some(security_type) => self.chosen(security_type)?,
                    None => return Err(wrong(format!("security type {word} is not followed"))),
                };
                let fields = json!({ "type": word.to_string() });
                seen!("SecurityType", word, fields)
            }
            State::Choice => {
                let choice = take!(self, bytes, SecurityChoice);
                // A server refuses what it did not offer, with a result or without a word.
                self.step = if self.offered.contains(&choice.security_type.0.into()) {
                    self.chosen(choice.security_type)?
                } else {
                    State::Result
                };
                let fields = json!({ "type": choice.security_type });
                seen!("SecurityChoice", choice, fields)
            }
            State::VeNCryptVersion | State::VeNCryptAnswer => {
                let version = take!(self, bytes, VeNCryptVersion);
                let fields = json!({ "major": version.major, "minor": version.minor });
                if at == State::VeNCryptVersion {
                    self.step = State::VeNCryptAnswer;
                    seen!("VeNCryptServerVersion", version, fields)
                } else {
                    self.step = State::VersionAck;
                    seen!("VeNCryptClientVersion", version, fields)
                }
            }
            State::VersionAck => {
                let [ack, ..] = bytes else { return Ok(None) };
                self.step = if *ack == VersionAcknowledgement::ACCEPTED.0 {
                    State::Subtypes
                } else {
                    self.refused(AfterRefusal::Result)
                };
                seen!(bytes "VeNCryptAck", 1, json!({ "ack": ack }))
            }
            State::SubtypeAck => {
                let ack = match bytes {
                    [] => return Ok(None),
                    [0, 0, 0, 0, ..] => 0,
                    // A result: TigerVNC does not acknowledge a subtype that it did not offer.
                    [0, 0, 0, _, ..] => {
                        self.step = State::Result;
                        return Ok(None);
                    }
                    [0] | [0, 0] | [0, 0, 0] if !ended => return Ok(None),
                    [ack, ..] => *ack,
                };
                self.step = match self.followed {
                    _ if ack != SubtypeAcknowledgement::ACCEPTED.0 => self.refused(AfterRefusal::Result),
                    Some(_) => State::Tls,
                    None => return Err(wrong("the subtype that was chosen is not followed")),
                };
                seen!(bytes "VeNCryptAck", 1, json!({ "ack": ack }))
            }
            State::Subtypes => {
                let subtypes = take!(self, bytes, Subtypes);
                self.offered = subtypes.subtypes.iter().map(|offered| offered.0).collect();
                self.step = if subtypes.subtypes.is_empty() {
                    self.refused(AfterRefusal::Result)
                } else {
                    State::SubtypeChoice
                };
                let fields = json!({ "subtypes": subtypes.subtypes });
                seen!("VeNCryptSubtypes", subtypes, fields)
            }
            State::SubtypeChoice => {
                let choice = take!(self, bytes, SubtypeChoice);
                let subtype = choice.subtype;
                let offered = self.offered.contains(&subtype.0);
                self.followed = subtype.exchange().filter(super::is_followed);
                self.always_result = subtype.tls().is_some();
                self.step = match (self.followed, subtype.tls()) {
                    // A server refuses what it did not offer, in one way or another.
                    (_, Some(_)) => State::SubtypeAck,
                    (_, None) if !offered => State::SubtypeAck,
                    (Some(exchange), None) => self.begins(exchange),
                    (None, None) => return Err(wrong(format!("subtype {subtype} is not followed"))),
                };
                seen!("VeNCryptSubtypeChoice", choice, json!({ "subtype": subtype }))
            }
            State::Challenge => {
                if fixed(16) {
                    return Ok(None);
                }
                self.step = State::Response;
                seen!(bytes "VncChallenge", 16, json!({ "challenge": hex(&bytes[..16]) }))
            }
            State::Response => {
                if fixed(16) {
                    return Ok(None);
                }
                self.step = State::Result;
                let shown = self.secrets.then(|| hex(&bytes[..16]));
                seen!(bytes "VncResponse", 16, json!({ "response": shown }))
            }
            State::Credentials => {
                let shown = take!(self, bytes, Credentials);
                self.step = State::Result;
                let password = self.secrets.then(|| text(shown.password.expose()));
                let fields = json!({ "user": text(&shown.user), "password": password });
                seen!("Plain", shown, fields)
            }
            State::Ident => {
                let ident = take!(self, bytes, Ident);
                self.step = State::Result;
                let fields = json!({ "user": text(&ident.user) });
                seen!("Ident", ident, fields)
            }
            State::Mechanisms => {
                let mechanisms = take!(self, bytes, Mechanisms);
                self.step = State::Mechanism;
                let fields = json!({ "list": text(&mechanisms.list) });
                seen!("SaslMechanisms", mechanisms, fields)
            }
            State::Mechanism => {
                let mechanism = take!(self, bytes, Mechanism);
                self.step = State::ClientData;
                self.mechanism = mechanism.name.clone();
                let fields = json!({ "name": text(&mechanism.name) });
                seen!("SaslMechanism", mechanism, fields)
            }
            State::ClientData | State::ServerData => {
                let data = take!(self, bytes, SaslData);
                let is_client = at == State::ClientData;
                self.step = if is_client { State::ServerData } else { State::Complete };
                let shown = data.data.as_ref().map(|data| data.expose());
                let length = shown.map(<[u8]>::len);
                let shown = shown.filter(|_| self.secrets || !is_client).map(text);
                let fields = json!({ "data_len": length, "data": shown });
                seen!("SaslData", data, fields)
            }
            State::Complete => {
                let [complete, ..] = bytes else { return Ok(None) };
                self.complete = *complete != 0;
                self.step = if self.complete {
                    State::Result
                } else {
                    State::ClientData
                };
                seen!(bytes "SaslComplete", 1, json!({ "complete": complete }))
            }
            State::Tunnels | State::TightTypes => {
                let list = take!(self, bytes, Capabilities);
                let is_empty = list.list.is_empty();
                // The codes are signed, and kept by their bits.
                self.offered = list.list.iter().map(|offered| offered.code.cast_unsigned()).collect();
                self.step = match (at, is_empty) {
                    (State::Tunnels, true) => State::TightTypes,
                    (State::Tunnels, false) => State::TunnelChoice,
                    (_, true) => self.after_exchange(),
                    (_, false) => State::TightChoice,
                };
                let names: Vec<_> = list.list.iter().map(|capability| text(&capability.signature)).collect();
                seen!("TightCapabilities", list, json!({ "capabilities": names }))
            }
            State::TunnelChoice | State::TightChoice => {
                let choice = take!(self, bytes, CapabilityChoice);
                self.step = match at {
                    // Taken by servers that do not list it, too (panels of Siemens).
                    State::TunnelChoice if choice.code == Capability::NO_TUNNEL.code => State::TightTypes,
                    _ if !self.offered.contains(&choice.code.cast_unsigned()) => State::Result,
                    State::TunnelChoice => return Err(wrong(format!("tunnel {} is not followed", choice.code))),
                    _ => {
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
                    }
                };
                let fields = json!({ "code": choice.code });
                seen!("TightChoice", choice, fields)
            }
            State::Result => {
                let result = take!(self, bytes, SecurityResult);
                if self.is_left_out(result) {
                    self.step = State::ServerInit;
                    return Ok(None);
                }
                self.step = match (result, self.rules) {
                    (SecurityResult::OK, _) if self.is_sealed() => State::Sealed,
                    (SecurityResult::OK, _) => State::ClientInit,
                    (_, Version::V3_8) => State::Reason,
                    _ => self.refused(AfterRefusal::Reason),
                };
                let fields = json!({ "status": result.status });
                seen!("SecurityResult", result, fields)
            }
            State::Reason => {
                let reason = take!(self, bytes, Reason);
                self.step = State::Refused;
                let fields = json!({ "text": reason.to_text() });
                seen!("Reason", reason, fields)
            }
            State::ClientInit => {
                let init = take!(self, bytes, ClientInit);
                self.step = State::ServerInit;
                seen!("ClientInit", init, json!({ "shared": init.shared }))
            }
            State::ServerInit => {
                let init = take!(self, bytes, ServerInit);
                self.step = if self.tight { State::Interaction } else { State::Session };
                self.init = Some(init.clone());
                let fields = json!({
                    "width": init.width, "height": init.height, "format": init.format, "name": init.name_text(),
                });
                seen!("ServerInit", init, fields)
            }
            State::Interaction => {
                let interaction = take!(self, bytes, InteractionCapabilities);
                self.step = State::Session;
                let count = |list: &[Capability]| list.len();
                let fields = json!({
                    "server_messages": count(&interaction.server_messages),
                    "client_messages": count(&interaction.client_messages),
                    "encodings": count(&interaction.encodings),
                });
                seen!("TightInteractionCapabilities", interaction, fields)
            }
            State::VersionInDoubt | State::Opening | State::Refused => return Ok(None),
            State::Tls | State::Session | State::Sealed | State::Encrypted => return Ok(None),
        };
        Ok(Some(seen))
    }
}
