//! Every `AGENT_DATA` that was recorded: placed, decoded, and written again as it was.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::agent::{
    self, Announced, Assembler, Conversation, ConversationError, Delivery, Frame, Message, Pieces, Receiver,
};
use spice_proto::channel::main::{self, AgentData, ClientMessage, ServerMessage};
use spice_proto::ids::ChannelType;
use spice_proto::link::Sender;

use crate::recordings::{self, Connection, Rows};

/// A message of either side.
#[derive(Clone, Debug)]
enum Said {
    Server(ServerMessage),
    Client(ClientMessage),
}

/// The main channel of one recording: what each side said, and whether that was cut short.
pub(crate) struct Main {
    pub(crate) name: String,
    /// In the order in which it was recorded, if it was.
    said: Vec<Said>,
    ordered: bool,
    /// The session that it belongs to; 0 for one that begins.
    session: u32,
    s2c_cut: bool,
    c2s_cut: bool,
}

/// The main channel that a connection is, if it is one whose link stands.
fn main_channel(connection: &Connection) -> Option<Main> {
    let request = connection.data()?.linked.request;
    if request.channel_type != ChannelType::MAIN {
        return None;
    }
    let said = connection.frames()?.into_iter().map(|(sender, frame)| match sender {
        Sender::Server => Said::Server(ServerMessage::decode(&frame).unwrap_or_else(|error| panic!("{error}"))),
        Sender::Client => Said::Client(ClientMessage::decode(&frame).unwrap_or_else(|error| panic!("{error}"))),
    });
    Some(Main {
        name: connection.name.clone(),
        said: said.collect(),
        ordered: connection.has_order(),
        session: request.connection_id,
        s2c_cut: connection.s2c_cut,
        c2s_cut: connection.c2s_cut,
    })
}

/// All main channels of these connections; one that cannot be read is a row that fails.
fn mains(connections: &[Connection], rows: &mut Rows) -> Vec<Main> {
    let read = connections
        .iter()
        .filter(|connection| {
            connection
                .data()
                .is_some_and(|data| data.linked.request.channel_type == ChannelType::MAIN)
        })
        .filter_map(|connection| rows.part(&connection.name, || main_channel(connection)).flatten());
    read.collect()
}

/// All main channels that can be read.
pub(crate) fn main_channels() -> Vec<Main> {
    recordings::all().iter().filter_map(main_channel).collect()
}

/// Those of the copy in `tests/data`.
pub(crate) fn own_main_channels() -> Vec<Main> {
    recordings::own().iter().filter_map(main_channel).collect()
}

impl Main {
    /// What was said, in an order in which nothing comes before its cause, but for tokens.
    fn in_order(&self) -> Vec<&Said> {
        let late = |said: &Said| matches!(said, Said::Server(ServerMessage::AgentData(_)));
        if self.ordered {
            return self.said.iter().collect();
        }
        // The client begins when the agent is there, and the agent is heard when the client has begun.
        let first = self.said.iter().filter(|said| !late(said));
        first.chain(self.said.iter().filter(|said| late(said))).collect()
    }

    /// What the agent says, in one list for each time that it is there.
    fn agents(&self) -> Vec<Vec<Bytes>> {
        let mut agents = vec![Vec::new()];
        for said in &self.said {
            match said {
                Said::Server(ServerMessage::AgentData(AgentData { data })) => {
                    agents.last_mut().unwrap().push(data.clone());
                }
                Said::Server(ServerMessage::AgentDisconnected(_)) => agents.push(Vec::new()),
                _ => {}
            }
        }
        agents
    }

    pub(crate) fn of_server(&self) -> Vec<Bytes> {
        self.agents().concat()
    }

    pub(crate) fn of_client(&self) -> Vec<Bytes> {
        let data = self.said.iter().filter_map(|said| match said {
            Said::Client(ClientMessage::AgentData(AgentData { data })) => Some(data.clone()),
            _ => None,
        });
        data.collect()
    }

    /// What both sides agree on, whenever it changes: a message in flight may be in the form of an earlier one.
    pub(crate) fn agreements(&self) -> Vec<agent::caps::Agreed> {
        let mut announced = Announced::new();
        let mut all = vec![announced.agreed()];
        for (bodies, by) in [
            (self.of_client(), Announced::by_client as fn(&mut Announced, &_)),
            (self.of_server(), Announced::by_agent),
        ] {
            for frame in frames(&bodies, Receiver::Client) {
                if let Ok(Message::AnnounceCapabilities(message)) =
                    Message::decode(&frame, agent::caps::Agreed::NOTHING)
                {
                    by(&mut announced, &message);
                    all.push(announced.agreed());
                }
            }
        }
        all.reverse();
        all
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

/// Messages by direction and name.
pub(crate) type Counts = BTreeMap<(&'static str, &'static str), usize>;

/// What an `AGENT_DATA` stream holds.
#[derive(Default)]
pub(crate) struct Stream {
    pub(crate) bodies: usize,
    pub(crate) unknown: usize,
    pub(crate) counts: Counts,
    /// The stream ends inside of a message, and was not cut.
    pub(crate) ends_inside: bool,
    /// A message is in other bodies than those that it would be written in here.
    pub(crate) cut_otherwise: bool,
}

/// Every message of a main channel decodes, and comes back byte for byte.
pub(crate) fn streams(main: &Main) -> Stream {
    let agreements = main.agreements();
    let mut sum = Stream::default();
    let agents = main.agents().into_iter().map(|bodies| ("s2c", bodies, main.s2c_cut));
    for (direction, bodies, cut) in agents.chain([("c2s", main.of_client(), main.c2s_cut)]) {
        sum.bodies += bodies.len();
        // spice-server refuses what is not in its form; what it sends may be in that of any agent.
        let receiver = if direction == "c2s" {
            Receiver::Server
        } else {
            Receiver::Client
        };
        let mut assembler = Assembler::new(receiver, &Limits::default());
        let (mut again, mut whole) = (Vec::new(), BytesMut::new());
        for body in &bodies {
            for frame in assembler.frames(body) {
                let frame = frame.unwrap_or_else(|error| panic!("{direction}: {error}"));
                let decoded = agreements.iter().map(|agreed| Message::decode(&frame, *agreed));
                let error = Message::decode(&frame, agreements[0]);
                let message = decoded
                    .flatten()
                    .next()
                    .unwrap_or_else(|| panic!("{direction}: {frame:?}: {error:?}"));
                assert_eq!(message.to_frame().unwrap(), frame, "{direction}");
                assert_eq!(message.encoded_len(), frame.data.len(), "{direction}");
                sum.unknown += usize::from(message.is_unknown());
                *sum.counts.entry((direction, message.name())).or_default() += 1;
                again.extend(Pieces::new(&message).unwrap());
                frame.encode(&mut whole).unwrap();
            }
        }
        let recorded: Vec<u8> = bodies.concat();
        assert_eq!(whole, recorded[..whole.len()], "{direction}");
        sum.ends_inside |= assembler.is_inside() && !cut;
        sum.cut_otherwise |= bodies.get(..again.len()) != Some(&again[..]);
    }
    sum
}

#[test]
fn agent_messages_come_back_byte_for_byte() {
    let mut rows = Rows::new();
    let mut counts = Counts::new();
    for main in mains(&recordings::all(), &mut rows) {
        let seen = rows.row(&main.name, || streams(&main).counts).unwrap_or_default();
        for (kind, count) in seen {
            *counts.entry(kind).or_default() += count;
        }
    }
    let listed = counts
        .iter()
        .map(|((direction, name), count)| format!("{direction} {name} {count}"));
    println!("{}", listed.collect::<Vec<_>>().join(", "));
    rows.end();
}

/// What a conversation came to.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) spent: usize,
    pub(crate) left: u64,
    pub(crate) messages: usize,
    pub(crate) unknown: usize,
}

/// Follows a conversation in an order in which everything has its cause: the recorded one, but that a message of the
/// client waits for the tokens that it costs, and one of the server for the client's.
pub(crate) fn follow(main: &Main, conversation: &mut Conversation) -> Heard {
    let mut heard = Heard::default();
    let mut waiting: [VecDeque<&Said>; 2] = Default::default();
    let mut stopped_by = None;
    for said in main.in_order() {
        waiting[usize::from(matches!(said, Said::Client(_)))].push_back(said);
        let mut side = 0;
        while side < 2 {
            let Some(next) = waiting[side].front() else {
                side += 1;
                continue;
            };
            match tell(conversation, next, &mut heard) {
                Ok(delivery) => {
                    heard.spent += usize::from(delivery == Some(Delivery::Delivered));
                    waiting[side].pop_front();
                    side = 0;
                }
                // Accounts are as they were.
                Err(error @ ConversationError::Token(_)) => {
                    stopped_by = Some(error);
                    side += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(waiting.iter().all(VecDeque::is_empty), "{stopped_by:?}");
    heard.left = conversation.tokens().client();
    heard
}

fn tell(
    conversation: &mut Conversation,
    said: &Said,
    heard: &mut Heard,
) -> Result<Option<Delivery>, ConversationError> {
    let each = |_, message: Result<Message, _>| {
        heard.messages += 1;
        heard.unknown += usize::from(message.is_ok_and(|message| message.is_unknown()));
    };
    match said {
        Said::Server(message) => conversation.server_message(message, each),
        Said::Client(message) => conversation.client_message(message, each),
    }
}

/// The conversations of these recordings. One goes on where a seamless move takes it: on a connection without `INIT`.
fn conversations(mains: &[Main], rows: &mut Rows) -> Vec<Heard> {
    let mut known: BTreeMap<(String, u32), Conversation> = BTreeMap::new();
    let mut all = Vec::new();
    for main in mains {
        let scenario = main.name.split('/').next().unwrap().to_owned();
        let init = main.said.iter().find_map(|said| match said {
            Said::Server(ServerMessage::Init(main::Init { session_id, .. })) => Some(*session_id),
            _ => None,
        });
        let session = (scenario, init.unwrap_or(main.session));
        let mut conversation = match init {
            Some(_) => Conversation::new(&Limits::default()),
            None => known
                .remove(&session)
                .unwrap_or_else(|| Conversation::new(&Limits::default())),
        };
        let ended = rows.row(&main.name, || {
            let heard = follow(main, &mut conversation);
            (conversation, heard)
        });
        if let Some((conversation, heard)) = ended {
            known.insert(session, conversation);
            all.push(heard);
        }
    }
    all
}

#[test]
fn conversations_of_the_real_programs() {
    let mut rows = Rows::new();
    let mains = mains(&recordings::all(), &mut rows);
    let all = conversations(&mains, &mut rows);
    let sum = |what: fn(&Heard) -> usize| all.iter().map(what).sum::<usize>();
    println!(
        "{} agent tokens spent on {} messages",
        sum(|heard| heard.spent),
        sum(|heard| heard.messages)
    );
    rows.end();
}

/// As above, of the copy in `tests/data`: what its programs are known to keep to.
#[test]
fn conversations_of_the_own_copy() {
    let mut rows = Rows::new();
    let mains = own_main_channels();
    let all = conversations(&mains, &mut rows);
    for (main, heard) in mains.iter().zip(&all) {
        let name = &main.name;
        let mut bodies = frames(&main.of_client(), Receiver::Server);
        bodies.extend(frames(&main.of_server(), Receiver::Client));
        assert_eq!((heard.messages, heard.unknown), (bodies.len(), 0), "{name}");
        // spice-server gives tokens back five at a time, so a client never has more than it began with.
        assert!(heard.left <= 10, "{name}: {} left", heard.left);
    }
    assert!(0 < all.iter().map(|heard| heard.spent).sum::<usize>());
}
