//! Coverage against the table of the interface, by an interpreter that knows nothing of the crate.
//!
//! For every message of the channels and of the agent, it makes random valid bodies together with the value
//! of every field; the crate must decode these values, encode these bytes, and name the field that the
//! interpreter names when the body is cut.

use bytes::{Bytes, BytesMut};
use spice_proto::agent::{self, caps::Agreed};
use spice_proto::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
use spice_proto::frame::{Frame, Header};
use spice_proto::ids::AgentMessageType;
use spice_proto::{DecodeError, DecodeErrorKind};

use crate::interpreter::{Interpreter, Item, Made};

const BODIES: usize = 200;

/// The message enums behind one face.
trait Any: Sized + std::fmt::Debug {
    fn encode(&self, dst: &mut BytesMut);
    /// Number, name, length, and whether there is no layout for it.
    fn facts(&self) -> (u32, &'static str, usize, bool);
}

/// Those of the channels.
trait OfChannel: Any {
    fn table() -> &'static [(u16, &'static str)];
    fn decode(frame: &Frame) -> Result<Self, DecodeError>;
}

macro_rules! any {
    ($($ty:ty),*) => {$(
        impl Any for $ty {
            fn encode(&self, dst: &mut BytesMut) { <$ty>::encode(self, dst).unwrap() }
            fn facts(&self) -> (u32, &'static str, usize, bool) {
                (self.number().into(), self.name(), self.encoded_len(), self.is_unknown())
            }
        }
        impl OfChannel for $ty {
            fn table() -> &'static [(u16, &'static str)] { <$ty>::TABLE }
            fn decode(frame: &Frame) -> Result<Self, DecodeError> { <$ty>::decode(frame) }
        }
    )*};
}

any!(
    common::ServerMessage,
    common::ClientMessage,
    main::ServerMessage,
    main::ClientMessage
);
any!(
    inputs::ServerMessage,
    inputs::ClientMessage,
    cursor::ServerMessage,
    playback::ServerMessage
);
any!(
    record::ServerMessage,
    record::ClientMessage,
    smartcard::ServerMessage,
    smartcard::ClientMessage
);
any!(
    vmc::ServerMessage,
    vmc::ClientMessage,
    port::ServerMessage,
    port::ClientMessage
);

any!(display::ServerMessage, display::ClientMessage);

fn frame(number: u16, body: &[u8]) -> Frame {
    let header = Header {
        serial: 0,
        number,
        size: u32::try_from(body.len()).unwrap(),
        sub_list: 0,
    };
    Frame {
        header,
        body: Bytes::copy_from_slice(body),
    }
}

fn cover<M: OfChannel>(channel: &str, direction: &str) -> usize {
    let mut interpreter = Interpreter::new();
    let messages: Vec<toml::Table> = interpreter
        .of_kind("message")
        .filter(|m| m["channel"].as_str() == Some(channel) && m["direction"].as_str() == Some(direction))
        .cloned()
        .collect();
    let listed: Vec<(u16, &str)> = messages
        .iter()
        .map(|m| (m["number"].as_integer().unwrap() as u16, m["name"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, M::table(), "numbers and names of {channel} {direction}");
    for message in &messages {
        let (number, name) = (
            message["number"].as_integer().unwrap() as u16,
            message["name"].as_str().unwrap().to_owned(),
        );
        for _ in 0..BODIES {
            let made = interpreter.make(message);
            check(number.into(), &name, &made, |body| M::decode(&frame(number, body)));
        }
    }
    messages.len()
}

impl Any for agent::Message {
    fn encode(&self, dst: &mut BytesMut) {
        self.encode(dst).unwrap();
    }
    fn facts(&self) -> (u32, &'static str, usize, bool) {
        (
            self.message_type().0,
            self.name(),
            self.encoded_len(),
            self.is_unknown(),
        )
    }
}

/// The messages of the agent, under every agreement that changes their form.
fn cover_agent() -> usize {
    let mut interpreter = Interpreter::new();
    let messages: Vec<toml::Table> = interpreter.of_kind("agent_message").cloned().collect();
    let listed: Vec<(u32, &str)> = messages
        .iter()
        .map(|m| (m["number"].as_integer().unwrap() as u32, m["name"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, agent::Message::TABLE);
    for (number, name) in listed {
        let message = messages.iter().find(|m| m["name"].as_str() == Some(name)).unwrap();
        for _ in 0..BODIES {
            let bits: Vec<u32> = (0..18).filter(|_| interpreter.random(2) == 0).collect();
            interpreter.capabilities = bits
                .iter()
                .map(|bit| agent::caps::name(*bit).unwrap().to_owned())
                .collect();
            let made = interpreter.make(message);
            check(number, name, &made, |body| {
                let header = agent::MessageHeader {
                    protocol: agent::PROTOCOL,
                    r#type: AgentMessageType(number),
                    opaque: 0,
                    size: body.len() as u32,
                };
                let data = Bytes::copy_from_slice(body);
                agent::Message::decode(&agent::Frame { header, data }, Agreed::of(&bits))
            });
        }
    }
    messages.len()
}

fn check<M: Any>(number: u32, name: &str, made: &Made, decode: impl Fn(&[u8]) -> Result<M, DecodeError>) {
    let at = |what: &str| format!("{name}: {what}: {:02x?}", made.body);
    let message = decode(&made.body).unwrap_or_else(|error| panic!("{}", at(&error.to_string())));
    assert_eq!(
        message.facts(),
        (number, name, made.body.len(), false),
        "{}",
        at("facts")
    );
    let mut out = BytesMut::from(&b"garbage"[..]);
    message.encode(&mut out);
    assert_eq!(out[7..], made.body, "{}", at("encoded"));

    let items = flat(&made.items);
    // The values, as the message's own text form shows them, for names that stand once.
    let text = format!("{message:?}");
    for item in &items {
        // Signed numbers look otherwise.
        let signed = ["x", "y", "dx", "dy", "top", "left", "bottom", "right"].contains(&item.name.as_str())
            || [
                "pixmap_cache_size",
                "glz_dictionary_window_size",
                "last_frame_delay",
                "max",
            ]
            .contains(&item.name.as_str());
        let (Some(value), false) = (item.value, signed) else {
            continue;
        };
        let key = format!(" {}: ", item.name);
        if items.iter().filter(|other| other.name == item.name).count() != 1 || text.matches(&key).count() != 1 {
            continue;
        }
        let shown = text.split(&key).nth(1).unwrap().split([',', ' ', '}']).next().unwrap();
        let right = shown.contains("::") || shown == value.to_string() || shown.ends_with(&format!("({value})"));
        assert!(right, "{}", at(&format!("{} is {value}, shown as {shown}", item.name)));
    }

    // Every scalar changed: seen in the new bytes at its offset, and nothing else.
    for item in items.iter().filter(|item| item.value.is_some() && !item.control) {
        let mut changed = made.body.clone();
        changed[item.at] ^= 0x5a;
        changed[item.at + item.size - 1] ^= 0x81;
        let message = decode(&changed).unwrap();
        let mut out = BytesMut::new();
        message.encode(&mut out);
        assert_eq!(out, changed, "{}", at(&item.name));
    }

    // Every cut.
    for cut in 0..made.open_end.unwrap_or(made.body.len()) {
        let Err(error) = decode(&made.body[..cut]) else {
            panic!("{}", at(&format!("cut at {cut}")));
        };
        // A flat fixed part is read as one block, before its pointers are followed.
        let expected = [first_cut(&made.items, cut), first_cut_of_block(&made.items, cut)];
        assert!(
            expected.contains(&Some((error.field, error.offset))),
            "{}",
            at(&format!("cut at {cut}: {error}, expected {expected:?}"))
        );
        assert!(
            matches!(
                error.kind,
                DecodeErrorKind::Truncated { .. } | DecodeErrorKind::OutOfBounds { .. }
            ),
            "{error}"
        );
    }
}

/// All fields, those behind pointers with them.
fn flat(items: &[Item]) -> Vec<&Item> {
    items
        .iter()
        .flat_map(|item| core::iter::once(item).chain(item.target.iter().flat_map(|(_, inner)| flat(inner))))
        .collect()
}

/// The first field that a body of so many bytes does not hold, in the order of reading, and where it begins.
/// A pointer that leads beyond the end is itself what is wrong.
fn first_cut(items: &[Item], cut: usize) -> Option<(&str, usize)> {
    items.iter().find_map(|item| match &item.target {
        _ if cut < item.at + item.size => Some((item.name.as_str(), item.at)),
        Some((at, _)) if cut < *at => Some((item.name.as_str(), item.at)),
        Some((_, inner)) => first_cut(inner, cut),
        None => None,
    })
}

/// The same when the whole fixed part is read first.
fn first_cut_of_block(items: &[Item], cut: usize) -> Option<(&str, usize)> {
    let short = items.iter().find(|item| cut < item.at + item.size);
    short
        .map(|item| (item.name.as_str(), item.at))
        .or_else(|| first_cut(items, cut))
}

#[test]
fn every_message_of_the_table() {
    let counts = [
        cover::<common::ServerMessage>("base", "s2c"),
        cover::<common::ClientMessage>("base", "c2s"),
        cover::<main::ServerMessage>("main", "s2c"),
        cover::<main::ClientMessage>("main", "c2s"),
        cover::<inputs::ServerMessage>("inputs", "s2c"),
        cover::<inputs::ClientMessage>("inputs", "c2s"),
        cover::<cursor::ServerMessage>("cursor", "s2c"),
        cover::<playback::ServerMessage>("playback", "s2c"),
        cover::<record::ServerMessage>("record", "s2c"),
        cover::<record::ClientMessage>("record", "c2s"),
        cover::<smartcard::ServerMessage>("smartcard", "s2c"),
        cover::<smartcard::ClientMessage>("smartcard", "c2s"),
        cover::<vmc::ServerMessage>("spicevmc", "s2c"),
        cover::<vmc::ClientMessage>("spicevmc", "c2s"),
        cover::<port::ServerMessage>("port", "s2c"),
        cover::<port::ClientMessage>("port", "c2s"),
        cover::<display::ServerMessage>("display", "s2c"),
        cover::<display::ClientMessage>("display", "c2s"),
    ];
    let count: usize = counts.iter().sum();
    let of_agent = cover_agent();
    println!("spice-messages.toml: {count} messages, {of_agent} agent messages, {BODIES} bodies each");
    assert_eq!((count, of_agent), (127, 16));
}

#[test]
fn agent_numbers_of_the_table() {
    use spice_proto::ids;
    let interpreter = Interpreter::new();
    let mut checked = 0;
    for entry in interpreter.of_kind("constants") {
        let Some(set) = entry["name"].as_str().unwrap().strip_prefix("vd_agent_") else {
            continue;
        };
        for (name, value) in entry["values"].as_table().unwrap() {
            let value = value.as_integer().unwrap() as u32;
            let found = match set {
                "clipboard_type" => ids::ClipboardType(value).name(),
                "selection" => ids::ClipboardSelection(value as u8).name(),
                "file_xfer_status" => ids::FileXferResult(value).name(),
                "reply_error" => ids::ReplyError(value).name(),
                "monitors_flags" => ids::MonitorsFlags(value).name(),
                "display_config_flags" => ids::DisplayConfigFlags(value).name(),
                "mouse_buttons" => ids::AgentMouseButtons(value).name(),
                other => panic!("numbers {other}"),
            };
            assert_eq!(found, Some(name.as_str()), "{set}");
            checked += 1;
        }
    }
    for (number, name) in agent::Message::TABLE {
        assert_eq!(AgentMessageType(*number).name().unwrap().to_lowercase(), *name);
    }
    assert_eq!(checked, 33);
}

#[test]
fn capability_names_of_the_table() {
    use spice_proto::caps::{CapabilitySet, name};
    use spice_proto::ids::ChannelType;
    let interpreter = Interpreter::new();
    let mut checked = 0;
    for entry in interpreter.of_kind("capabilities") {
        let (set, channel) = match entry["set"].as_str().unwrap() {
            "common" => (CapabilitySet::Common, ChannelType::MAIN),
            "main" => (CapabilitySet::Channel, ChannelType::MAIN),
            "display" => (CapabilitySet::Channel, ChannelType::DISPLAY),
            "inputs" => (CapabilitySet::Channel, ChannelType::INPUTS),
            "playback" => (CapabilitySet::Channel, ChannelType::PLAYBACK),
            "record" => (CapabilitySet::Channel, ChannelType::RECORD),
            "spicevmc" => (CapabilitySet::Channel, ChannelType::USBREDIR),
            // The agent has capabilities of its own, which are not those of a link.
            "vd_agent" => {
                for (bit_name, bit) in entry["bits"].as_table().unwrap() {
                    assert_eq!(
                        agent::caps::name(bit.as_integer().unwrap() as u32),
                        Some(bit_name.as_str())
                    );
                    checked += 1;
                }
                continue;
            }
            other => panic!("set {other}"),
        };
        for (bit_name, bit) in entry["bits"].as_table().unwrap() {
            assert_eq!(
                name(set, channel, bit.as_integer().unwrap() as u32),
                Some(bit_name.as_str())
            );
            checked += 1;
        }
    }
    assert!(48 < checked);
}
