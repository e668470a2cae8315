//! Every `AGENT_DATA` that was recorded: placed, decoded, and written again as it was.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use spice_proto::agent::{self, Announced, Assembler, Delivery, Frame, Message, Pieces, Receiver, Tokens};
use spice_proto::channel::main;
use spice_proto::frame::Splitter;
use spice_proto::ids::ChannelType;
use spice_proto::{Limits, frame};

use crate::recordings::{self, Connection};

/// The main channel of one recording: what each side said, and whether that was cut short.
pub(crate) struct Main {
    pub(crate) name: String,
    pub(crate) server: Vec<main::ServerMessage>,
    pub(crate) client: Vec<main::ClientMessage>,
    s2c_cut: bool,
    c2s_cut: bool,
}

fn messages<M>(
    connection: &Connection,
    bytes: &[u8],
    form: frame::HeaderForm,
    decode: impl Fn(&frame::Frame) -> Result<M, spice_proto::DecodeError>,
) -> Vec<M> {
    let mut splitter = Splitter::new(form, &Limits::default());
    let mut rx = BytesMut::from(bytes);
    let mut messages = Vec::new();
    while let Some(frame) = splitter.decode(&mut rx).unwrap() {
        messages.push(decode(&frame).unwrap_or_else(|error| panic!("{}: {error}", connection.name)));
    }
    messages
}

/// All main channels that can be read.
pub(crate) fn main_channels() -> Vec<Main> {
    let mut all = Vec::new();
    for connection in recordings::all() {
        let Some(linked) = connection.linked().filter(|linked| {
            !linked.sasl && linked.result == Some(0) && linked.request.channel_type == ChannelType::MAIN
        }) else {
            continue;
        };
        let (s2c, c2s) = (&connection.s2c[linked.s2c_at..], &connection.c2s[linked.c2s_at..]);
        all.push(Main {
            server: messages(&connection, s2c, linked.form, main::ServerMessage::decode),
            client: messages(&connection, c2s, linked.form, main::ClientMessage::decode),
            name: connection.name.clone(),
            s2c_cut: connection.s2c_cut,
            c2s_cut: connection.c2s_cut,
        });
    }
    all
}

impl Main {
    pub(crate) fn from_server(&self) -> Vec<Bytes> {
        let data = self.server.iter().filter_map(|message| match message {
            main::ServerMessage::AgentData(data) => Some(data.data.clone()),
            _ => None,
        });
        data.collect()
    }

    pub(crate) fn from_client(&self) -> Vec<Bytes> {
        let data = self.client.iter().filter_map(|message| match message {
            main::ClientMessage::AgentData(data) => Some(data.data.clone()),
            _ => None,
        });
        data.collect()
    }

    /// What both sides announced in the whole recording.
    pub(crate) fn agreed(&self) -> agent::caps::Agreed {
        let mut announced = Announced::new();
        for (bodies, by) in [
            (self.from_client(), Announced::by_client as fn(&mut Announced, &_)),
            (self.from_server(), Announced::by_agent),
        ] {
            for frame in frames(&bodies, Receiver::Client) {
                if let Ok(Message::AnnounceCapabilities(message)) =
                    Message::decode(&frame, agent::caps::Agreed::NOTHING)
                {
                    by(&mut announced, &message);
                }
            }
        }
        announced.agreed()
    }
}

/// All whole messages in these bodies.
pub(crate) fn frames(bodies: &[Bytes], receiver: Receiver) -> Vec<Frame> {
    let mut assembler = Assembler::new(receiver, &Limits::default());
    let mut found = Vec::new();
    for body in bodies {
        found.extend(assembler.frames(body).map(|frame| frame.unwrap()));
    }
    found
}

#[test]
fn agent_messages_come_back_byte_for_byte() {
    let mut bodies_seen = 0;
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for main in main_channels() {
        let agreed = main.agreed();
        for (direction, bodies, cut) in [
            ("c2s", main.from_client(), main.c2s_cut),
            ("s2c", main.from_server(), main.s2c_cut),
        ] {
            bodies_seen += bodies.len();
            let name = format!("{} {direction}", main.name);
            // spice-server filters what it sends as strictly as what it receives, so every receiver can
            // read either direction.
            let mut assembler = Assembler::new(Receiver::Server, &Limits::default());
            let mut again = Vec::new();
            let mut whole = BytesMut::new();
            for body in &bodies {
                for frame in assembler.frames(body) {
                    let frame = frame.unwrap_or_else(|error| panic!("{name}: {error}"));
                    let message = Message::decode(&frame, agreed).unwrap_or_else(|error| panic!("{name}: {error}"));
                    assert!(!message.is_unknown(), "{name}: {frame:?}");
                    assert_eq!(message.to_frame().unwrap(), frame, "{name}");
                    assert_eq!(message.encoded_len(), frame.data.len(), "{name}");
                    *counts.entry((direction, message.name())).or_default() += 1;
                    again.extend(Pieces::new(&message).unwrap());
                    frame.encode(&mut whole).unwrap();
                }
            }
            assert!(!assembler.is_inside() || cut, "{name}: ends inside of a message");
            let recorded: Vec<u8> = bodies.concat();
            assert_eq!(whole, recorded[..whole.len()], "{name}");
            // Both peers cut messages as is done here.
            assert_eq!(again, bodies[..again.len()], "{name}");
            let lenient = [Receiver::Client, Receiver::Guest].map(|receiver| frames(&bodies, receiver));
            assert_eq!(lenient[0], frames(&bodies, Receiver::Server), "{name}");
            assert_eq!(lenient[0], lenient[1], "{name}");
        }
    }
    let messages: usize = counts.values().sum();
    let listed: Vec<String> = counts
        .iter()
        .map(|((direction, name), count)| format!("{direction} {name} {count}"))
        .collect();
    println!(
        "SPICE_CAPTURES: {bodies_seen} AGENT_DATA with {messages} agent messages: {}",
        listed.join(", ")
    );
    assert!(0 < messages);
}

#[test]
fn tokens_are_kept_by_the_real_programs() {
    let (mut spent, mut left) = (0, 0);
    for main in main_channels() {
        let name = &main.name;
        let mut tokens = Tokens::new();
        // What the server says first: the client spends no token that it has not got, and a token cannot come
        // too early.
        let server_first = main.server.iter().filter(|message| {
            !matches!(
                message,
                main::ServerMessage::AgentData(_) | main::ServerMessage::AgentDisconnected(_)
            )
        });
        for message in server_first {
            assert_eq!(tokens.server_message(message), Ok(None), "{name}");
        }
        for message in &main.client {
            if let Some(delivery) = tokens
                .client_message(message)
                .unwrap_or_else(|error| panic!("{name}: {error}"))
            {
                assert_eq!(delivery, Delivery::Delivered, "{name}");
                spent += 1;
            }
        }
        for message in &main.server {
            if let main::ServerMessage::AgentData(_) = message {
                assert_eq!(tokens.server_message(message), Ok(Some(Delivery::Delivered)), "{name}");
                spent += 1;
            }
        }
        // spice-server gives tokens back five at a time, so a client never has more than it began with.
        assert!(tokens.client() <= 10, "{name}: {} left", tokens.client());
        left += tokens.client();
    }
    println!("SPICE_CAPTURES: {spent} agent tokens spent, {left} left with clients");
    assert!(0 < spent);
}
