//! Sessions that go on over another connection.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use spice_proto::agent::{AnnounceCapabilities, ClipboardGrab, Message, Pieces, caps};
use spice_proto::caps::CapabilityWords;
use spice_proto::ids::{ChannelType, ClipboardSelection, ClipboardType};

use crate::pcap::{Flag, Pcap, ethernet};
use crate::{Folder, code, lines, linked_to, mini, run, stderr, tool};

const SESSION: u32 = 0x5e55_1011;
/// Numbers of messages of the main channel.
const INIT: u16 = 103;
const AGENT_DISCONNECTED: u16 = 108;
const SEAMLESS_ACK: u16 = 117;
/// `AGENT_DATA`, by its sender: the client, the server.
const AGENT_DATA: [u16; 2] = [107, 109];

/// What both sides of these connections announce.
const BITS: [u32; 2] = [caps::CLIPBOARD_BY_DEMAND, caps::CLIPBOARD_SELECTION];

fn announce(bits: &[u32]) -> Message {
    Message::AnnounceCapabilities(AnnounceCapabilities {
        request: 0,
        caps: CapabilityWords::of(bits),
    })
}

/// A grab with a selection, so that it is misread without the capabilities that were announced.
fn grab(types: usize) -> Message {
    Message::ClipboardGrab(ClipboardGrab {
        selection: caps::Agreed::of(&BITS).selection(ClipboardSelection::PRIMARY),
        serial: None,
        types: vec![ClipboardType::UTF8_TEXT; types],
    })
}

/// The body of INIT.
fn init() -> Vec<u8> {
    let words = [SESSION, 1, 3, 1, 1, 10, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// One connection of a main channel: both streams.
struct Connection([BytesMut; 2]);

impl Connection {
    /// Linked, with this number of a session in the link message.
    fn new(session: u32) -> Self {
        Self(linked_to(ChannelType::MAIN, true, session))
    }

    /// A new session, in which both sides announce.
    fn source() -> Self {
        let mut connection = Self::new(0);
        connection.server(INIT, &init());
        for sender in [0, 1] {
            connection.agent(sender, &announce(&BITS));
        }
        connection
    }

    fn server(&mut self, number: u16, body: &[u8]) {
        mini(&mut self.0[1], number, body);
    }

    fn agent(&mut self, sender: usize, message: &Message) {
        for piece in Pieces::new(message).unwrap() {
            self.piece(sender, &piece);
        }
    }

    fn piece(&mut self, sender: usize, piece: &[u8]) {
        mini(&mut self.0[sender], AGENT_DATA[sender], piece);
    }
}

/// Pairs, one after the other.
fn pairs(connections: &[&Connection]) -> Vec<Value> {
    let folder = Folder::new();
    for (number, Connection([client, server])) in connections.iter().enumerate() {
        folder.file(&format!("{number:02}.c2s.bin"), client);
        folder.file(&format!("{number:02}.s2c.bin"), server);
    }
    placed(folder.path())
}

/// A packet capture in which they are open at the same time, from one client to servers at these ports; each ends with
/// all others. The bytes come in the order of the connections.
fn packets(connections: &[(&Connection, u16)]) -> Vec<Value> {
    let mut pcap = Pcap::new();
    for (number, (Connection([client, server]), port)) in connections.iter().enumerate() {
        let port_of_client = 20000 + number as u16;
        let mut segment = |from_client, sequence, flag, payload: &[u8]| {
            let mut packet = ethernet(port_of_client, from_client, sequence, flag, payload);
            // The port of the server stands where `ethernet` puts 5900.
            let at = if from_client { 36 } else { 34 };
            packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
            pcap.packet(&packet);
        };
        segment(true, 999, Flag::Syn, &[]);
        segment(false, 4999, Flag::SynAck, &[]);
        segment(true, 1000, Flag::Data, client);
        segment(false, 5000, Flag::Data, server);
    }
    for (number, (Connection([client, server]), port)) in connections.iter().enumerate() {
        for (from_client, sequence) in [(true, 1000 + client.len()), (false, 5000 + server.len())] {
            let mut packet = ethernet(20000 + number as u16, from_client, sequence as u32, Flag::Fin, &[]);
            let at = if from_client { 36 } else { 34 };
            packet[at..at + 2].copy_from_slice(&port.to_be_bytes());
            pcap.packet(&packet);
        }
    }
    let folder = Folder::new();
    placed(&folder.file("moves.pcap", &pcap.bytes))
}

/// The lines of the agent, of a recording of which every byte is placed.
#[track_caller]
fn placed(path: &str) -> Vec<Value> {
    let output = run(&["--reencode", "--shorten=0", path]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    lines(&output)
        .into_iter()
        .filter(|line| line["kind"] == "agent")
        .collect()
}

/// The grabs of a connection: each has the selection, and as many types.
#[track_caller]
fn grabs(lines: &[Value], connection: u64, types: usize) -> usize {
    let of = lines
        .iter()
        .filter(|line| line["connection"] == connection && line["name"] == "clipboard_grab");
    let mut count = 0;
    for line in of {
        assert_eq!(line["fields"]["selection"]["selection"], "PRIMARY", "{line}");
        assert_eq!(line["fields"]["types"].as_array().unwrap().len(), types, "{line}");
        count += 1;
    }
    count
}

/// Nothing is announced on the target of a seamless move, and what was announced holds there, in both directions
/// and after any number of moves.
#[test]
fn capabilities_go_with_the_session() {
    let source = Connection::source();
    let mut target = Connection::new(SESSION);
    target.server(SEAMLESS_ACK, &[]);
    target.agent(0, &grab(3));
    target.agent(1, &grab(3));
    let mut third = Connection::new(SESSION);
    third.agent(1, &grab(3));
    third.agent(0, &grab(3));
    // One that the session passes without a word of the agent.
    let mut silent = Connection::new(SESSION);
    silent.server(SEAMLESS_ACK, &[]);

    let shown = pairs(&[&source, &target, &silent, &third]);
    assert_eq!((grabs(&shown, 1, 3), grabs(&shown, 3, 3)), (2, 2));
    let shown = packets(&[(&source, 5900), (&target, 5910), (&silent, 5920), (&third, 5900)]);
    assert_eq!((grabs(&shown, 1, 3), grabs(&shown, 3, 3)), (2, 2));
    // Through a proxy: the server is the same.
    let shown = packets(&[(&source, 5900), (&target, 5900), (&third, 5900)]);
    assert_eq!((grabs(&shown, 1, 3), grabs(&shown, 2, 3)), (2, 2));
}

/// A proxy that was recorded on both of its sides has the session twice, and both sides move.
#[test]
fn both_sides_of_a_proxy() {
    let (front, mut back) = (Connection::source(), Connection::source());
    // A message that is not over, on one side only: what goes on in the other session is not taken for its end.
    let pieces: Vec<Bytes> = Pieces::new(&grab(2000)).unwrap().collect();
    assert!(2 < pieces.len());
    back.piece(1, &pieces[0]);
    let (mut to_proxy, mut to_target) = (Connection::new(SESSION), Connection::new(SESSION));
    to_proxy.agent(1, &grab(3));
    for piece in &pieces[1..] {
        to_target.piece(1, piece);
    }
    let shown = packets(&[(&back, 5910), (&front, 5900), (&to_proxy, 5900), (&to_target, 5911)]);
    assert_eq!((grabs(&shown, 2, 3), grabs(&shown, 3, 2000)), (1, 1));
}

/// A message of the agent may begin on one connection and end on the next.
#[test]
fn a_message_goes_on_over_the_next_connection() {
    let pieces: Vec<Bytes> = Pieces::new(&grab(2000)).unwrap().collect();
    for cut in 1..pieces.len() {
        let mut source = Connection::source();
        let mut target = Connection::new(SESSION);
        for sender in [0, 1] {
            for (number, piece) in pieces.iter().enumerate() {
                let connection = if number < cut { &mut source } else { &mut target };
                connection.piece(sender, piece);
            }
        }
        let shown = pairs(&[&source, &target]);
        assert_eq!(grabs(&shown, 1, 2000), 2, "cut behind {cut}");
    }
}

/// INIT on the target of a semi-seamless move begins the streams anew. spice-gtk announces again and does not ask the
/// agent to, so what the agent announced before still holds.
#[test]
fn init_on_a_target_keeps_what_was_announced() {
    let mut source = Connection::source();
    let half = Pieces::new(&grab(2000)).unwrap().next().unwrap();
    source.piece(1, &half);
    let mut target = Connection::new(SESSION);
    target.server(INIT, &init());
    target.agent(0, &announce(&BITS));
    target.agent(1, &grab(3));
    target.agent(0, &grab(3));
    for shown in [pairs(&[&source, &target]), packets(&[(&source, 5900), (&target, 5910)])] {
        assert_eq!(grabs(&shown, 1, 3), 2);
    }
    // And a client that announces less there is taken at its word.
    let mut target = Connection::new(SESSION);
    target.server(INIT, &init());
    target.agent(0, &announce(&[caps::CLIPBOARD_BY_DEMAND]));
    let plain = Message::ClipboardGrab(ClipboardGrab {
        selection: None,
        serial: None,
        types: vec![ClipboardType::UTF8_TEXT; 2],
    });
    target.agent(1, &plain);
    let shown = pairs(&[&source, &target]);
    let last = shown.last().unwrap();
    assert_eq!(
        (&last["connection"], &last["fields"]["selection"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(last["fields"]["types"].as_array().unwrap().len(), 2);
}

/// A target that was linked in vain takes nothing away from the source, and an agent that is gone has taken its
/// capabilities with it.
#[test]
fn what_is_not_taken_over_stays() {
    let source = Connection::source();
    let mut cancelled = Connection::new(SESSION);
    cancelled.server(SEAMLESS_ACK, &[]);
    let mut target = Connection::new(SESSION);
    target.agent(1, &grab(3));
    let shown = packets(&[(&source, 5900), (&cancelled, 5910), (&target, 5920)]);
    assert_eq!(grabs(&shown, 2, 3), 1);

    let mut gone = Connection::new(SESSION);
    gone.server(AGENT_DISCONNECTED, &0_u32.to_le_bytes());
    let plain = Message::ClipboardGrab(ClipboardGrab {
        selection: None,
        serial: None,
        types: vec![ClipboardType::UTF8_TEXT; 2],
    });
    gone.agent(1, &plain);
    let shown = pairs(&[&Connection::source(), &gone]);
    assert_eq!(shown.last().unwrap()["fields"]["types"].as_array().unwrap().len(), 2);
}

/// Another session, or one whose beginning is not in the recording, has nothing to go on: its clipboard is not guessed
/// at.
#[test]
fn what_was_announced_elsewhere_is_not_guessed() {
    let source = Connection::source();
    let mut stranger = Connection::new(SESSION + 1);
    stranger.agent(0, &grab(3));
    stranger.agent(1, &grab(3));
    let shown = pairs(&[&source, &stranger]);
    let of: Vec<_> = shown.iter().filter(|line| line["connection"] == 1).collect();
    assert_eq!(of.len(), 2);
    for line in of {
        assert_eq!((&line["name"], &line["number"]), (&json!("clipboard_grab"), &json!(7)));
        assert_eq!(line["fields"], Value::Null);
        assert_eq!(line["body"].as_str().unwrap().len(), 32, "{line}");
        let error = "its form is not known: the capabilities were announced before the recording";
        assert_eq!(line["error"], error);
    }
}

/// Every recorded conversation of an agent that is long enough, cut in two in many places, says the same as in one piece.
#[test]
fn recorded_conversations_in_two_pieces() {
    let mut rows = tool::Rows::new("SPICE_CAPTURES");
    let scenarios = tool::scenarios("SPICE_CAPTURES", "spice-proto", "spice-");
    let cuts = rows.each(&scenarios, |scenario| {
        let entries = scenario.read_dir().unwrap().map(|entry| entry.unwrap().path());
        let clients = entries.filter(|path| path.to_str().unwrap().ends_with(".c2s.bin"));
        let mut clients: Vec<_> = clients.collect();
        clients.sort();
        assert!(!clients.is_empty(), "no pairs");
        let numbers = clients.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
        numbers
            .map(|name| cut_in_two(scenario, name.split('.').next().unwrap()))
            .sum::<u32>()
    });
    println!("conversations of agents cut in {} places", cuts.iter().sum::<u32>());
    rows.end();
    assert!(cuts.iter().any(|cuts| 0 < *cuts) || !tool::is_own("SPICE_CAPTURES"));
}

/// Cuts a connection, if it has the conversation of an agent; gives the number of cuts.
fn cut_in_two(scenario: &Path, number: &str) -> u32 {
    let names = ["c2s", "s2c"].map(|direction| path(scenario, &format!("{number}.{direction}.bin")));
    let streams = names.each_ref().map(|name| std::fs::read(name).unwrap());
    let whole = lines(&run(&["--shorten=0", &names[0], &names[1]]));
    let messages = |direction: &str| -> Vec<(usize, bool)> {
        let of = whole
            .iter()
            .filter(|line| line["kind"] == "message" && line["direction"] == direction);
        of.map(|line| {
            let is_agent = line["name"] == "agent_data";
            (line["offset"].as_u64().unwrap() as usize, is_agent)
        })
        .collect()
    };
    let told = |lines: &[Value]| -> Vec<Vec<String>> {
        ["c2s", "s2c"]
            .map(|direction| {
                let of = lines
                    .iter()
                    .filter(|line| line["kind"] == "agent" && line["direction"] == direction);
                of.map(|line| format!("{} {} {}", line["name"], line["length"], line["fields"]))
                    .collect()
            })
            .to_vec()
    };
    let (client, server) = (messages("c2s"), messages("s2c"));
    // As the streams of the agent are independent of each other, but for what they announce first, each is cut in a
    // place of its own.
    let place = |messages: &[(usize, bool)], share: usize| {
        let agents: Vec<_> = messages.iter().filter(|(_, is_agent)| *is_agent).collect();
        (4 <= agents.len()).then(|| agents[1 + (agents.len() - 2) * share / 16].0)
    };
    let session = whole.iter().find(|line| line["name"] == "init");
    let Some(session) = session.and_then(|init| init["fields"]["session_id"].as_u64()) else {
        return 0;
    };
    let is_mini = whole.iter().any(|line| line["header"] == "mini");
    let mut cuts = 0;
    for share in 1..16 {
        let (Some(client), Some(server)) = (place(&client, share), place(&server, 16 - share)) else {
            return 0;
        };
        let parts = [streams[0].split_at(client), streams[1].split_at(server)];
        let links = linked_to(ChannelType::MAIN, is_mini, session as u32);
        let folder = Folder::new();
        for (side, name) in [(0, "c2s"), (1, "s2c")] {
            folder.file(&format!("00.{name}.bin"), parts[side].0);
            folder.file(&format!("01.{name}.bin"), &[&links[side], parts[side].1].concat());
        }
        let cut = run(&["--shorten=0", "--reencode", folder.path()]);
        assert_eq!(code(&cut), 0, "{number}, {share}: {}", stderr(&cut));
        assert!(told(&lines(&cut)) == told(&whole), "{number}, {share}");
        cuts += 1;
    }
    cuts
}

fn path(scenario: &Path, name: &str) -> String {
    scenario.join(name).to_str().unwrap().to_owned()
}
