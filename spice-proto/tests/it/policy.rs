//! What may pass, and what becomes of the rest.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::agent::{self, Assembler, Pieces, Receiver};
use spice_proto::channel::main::{ChannelId, ChannelsList};
use spice_proto::frame::{Frame, FrameReader, FrameRef, Header};
use spice_proto::ids::{AgentMessageType, ChannelType, ClipboardType};
use spice_proto::link::Sender;
use spice_proto::session::policy::{
    AllowList, Budget, Consequence, Directions, Policy, PolicyDecision, PolicyFilter, Replacement, Rule, Settings,
    Withheld, filler, largest_bodies,
};

use crate::interpreter::Interpreter;
use crate::recordings::{self, Connection, Rows};

const NOW: Duration = Duration::ZERO;
const KINDS: std::ops::RangeInclusive<u8> = 1..=11;

fn header(number: u16, size: u32) -> Header {
    Header {
        serial: 0,
        number,
        size,
        sub_list: 0,
    }
}

fn frame(number: u16, body: &[u8]) -> FrameRef<'_> {
    FrameRef {
        header: header(number, body.len() as u32),
        body,
    }
}

/// Shows a whole message to a gate. Gives the verdict, and the body that goes on if there is another.
fn pass(gate: &mut PolicyFilter, policy: &Policy, frame: FrameRef<'_>) -> (PolicyDecision, Vec<u8>) {
    let mut other = BytesMut::from(&b"before"[..]);
    let verdict = match gate.header(policy, NOW, &frame.header) {
        PolicyDecision::Inspect => gate.body(policy, &frame, &mut other),
        verdict => verdict,
    };
    assert_ne!(verdict, PolicyDecision::Inspect);
    assert_eq!(&other[..6], b"before");
    (verdict, other[6..].to_vec())
}

/// Every message of the table of the interface has a row, and no row is too small.
#[test]
fn bodies_are_as_large_as_the_table_says() {
    let mut interpreter = Interpreter::new();
    let table: toml::Table = include_str!("../data/spice-messages.toml").parse().unwrap();
    let sets: BTreeMap<u8, Vec<String>> = table["channel"]
        .as_array()
        .unwrap()
        .iter()
        .map(|channel| {
            let names = channel["message_sets"].as_array().unwrap();
            let names = names.iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            (channel["type"].as_integer().unwrap() as u8, names)
        })
        .collect();
    let messages: Vec<toml::Table> = interpreter.of_kind("message").cloned().collect();
    let mut checked = 0;
    // The tunnel has no messages any more.
    for (&kind, names) in sets.iter().filter(|(_, names)| !names.is_empty()) {
        for (sender, direction) in [(Sender::Server, "s2c"), (Sender::Client, "c2s")] {
            let rows: BTreeMap<u16, u32> = largest_bodies(ChannelType(kind), sender).collect();
            let here = messages.iter().filter(|message| {
                message["direction"].as_str() == Some(direction)
                    && names.iter().any(|name| message["channel"].as_str() == Some(name))
            });
            let mut listed = Vec::new();
            for message in here {
                let number = message["number"].as_integer().unwrap() as u16;
                listed.push(number);
                let largest = rows[&number];
                let at = format!("{kind} {direction} {number}");
                match message.get("fixed_size").and_then(toml::Value::as_integer) {
                    Some(size) => assert_eq!(i64::from(largest), size, "{at}"),
                    None => assert!(message["min_size"].as_integer().unwrap() < largest.into(), "{at}"),
                }
                for _ in 0..20 {
                    let body = interpreter.make(message).body;
                    // NOTIFY has a NUL that no field counts, and the interpreter makes it.
                    assert!(body.len() <= largest as usize + 1, "{at}: {}", body.len());
                }
                checked += 1;
            }
            listed.sort_unstable();
            assert_eq!(listed, rows.keys().copied().collect::<Vec<_>>(), "{kind} {direction}");
        }
    }
    println!("{checked} messages on channels have their largest body");
    assert!(200 < checked);
}

/// The strictest settings that allow everything: nothing that real programs said is in the way.
#[test]
fn everything_real_passes() {
    let (mut rows, mut sum) = (Rows::new(), [0, 0]);
    for connection in recordings::all() {
        if connection.data().is_some() {
            let row = rows.row(&connection.name, || passes(&connection)).flatten();
            sum = [0, 1].map(|n| sum[n] + row.map_or(0, |row| row[n]));
        }
    }
    println!(
        "{} messages pass, {} parts of clipboards of the guest do not",
        sum[0], sum[1]
    );
    rows.end();
}

/// How many messages of a connection pass, and how many of those are struck where the guest's clipboards are.
pub(crate) fn passes(connection: &Connection) -> Option<[usize; 2]> {
    let settings = Settings::default().with_unknown(false).with_trailing(1);
    let looking = settings
        .clone()
        .with_withheld(vec![Withheld::Kind(ChannelType::TUNNEL)])
        .with_clipboard(Directions {
            to_guest: true,
            from_guest: false,
        });
    let (open, looking) = (Policy::new(&settings), Policy::new(&looking));
    let (mut messages, mut struck) = (0, 0);
    let data = connection.data()?;
    let limits = Limits::default();
    let splitter = FrameReader::new(data.linked.form, &limits);
    let channel = data.linked.request.channel_type;
    for (sender, bytes) in [(Sender::Server, data.s2c), (Sender::Client, data.c2s)] {
        let mut gates = [
            PolicyFilter::new(channel, sender, &limits),
            PolicyFilter::new(channel, sender, &limits),
        ];
        for frame in splitter.frames(bytes) {
            let at = format!("{:?}", frame.header);
            assert_eq!(pass(&mut gates[0], &open, frame).0, PolicyDecision::Forward, "{at}");
            match pass(&mut gates[1], &looking, frame).0 {
                PolicyDecision::Forward => {}
                // Clipboards from the guest are in the recordings.
                PolicyDecision::Replace(Replacement::Token) => struck += 1,
                other => panic!("{at}: {other:?}"),
            }
            messages += 1;
        }
        assert_eq!(gates[1].tally().count(Rule::Agent), 0);
    }
    Some([messages, struck])
}

#[test]
fn sizes_end_at_their_limit() {
    let policy = Policy::new(&Settings::default().with_trailing(3));
    for kind in KINDS.map(ChannelType) {
        for sender in [Sender::Server, Sender::Client] {
            for (number, largest) in largest_bodies(kind, sender) {
                let judge = |size| policy.judge(kind, sender, &header(number, size));
                assert_ne!(judge(largest + 3), PolicyDecision::End(Rule::Size));
                assert_eq!(judge(largest + 4), PolicyDecision::End(Rule::Size));
            }
        }
    }
    // An operator knows better.
    let bodies = vec![(ChannelType::INPUTS, Sender::Client, 104, 4)];
    let policy = Policy::new(&Settings::default().with_bodies(bodies));
    let judge = |size| policy.judge(ChannelType::INPUTS, Sender::Client, &header(104, size));
    assert_eq!(
        (judge(4), judge(5)),
        (PolicyDecision::Forward, PolicyDecision::End(Rule::Size))
    );
}

#[test]
fn what_is_not_on_the_list_does_not_pass() {
    let allowed = AllowList::none()
        .with_channel(ChannelType::MAIN)
        .without(ChannelType::MAIN, Sender::Server, 113)
        .with(ChannelType::DISPLAY, Sender::Server, 105);
    let settings = Settings::default().with_allowed(allowed).with_unknown(false);
    let policy = Policy::new(&settings);
    let judge = |kind, sender, number| policy.judge(kind, sender, &header(number, 0));
    let filled = PolicyDecision::Replace(Replacement::Filler);
    assert_eq!(judge(ChannelType::MAIN, Sender::Server, 114), PolicyDecision::Forward);
    assert_eq!(judge(ChannelType::MAIN, Sender::Server, 113), filled);
    assert_eq!(
        judge(ChannelType::DISPLAY, Sender::Server, 105),
        PolicyDecision::Forward
    );
    assert_eq!(judge(ChannelType::DISPLAY, Sender::Server, 304), filled);
    assert_eq!(
        judge(ChannelType::DISPLAY, Sender::Client, 101),
        PolicyDecision::End(Rule::Allowed)
    );
    // A message that has no known layout, on a channel of an unknown kind.
    assert_eq!(judge(ChannelType(99), Sender::Server, 101), filled);
    assert_eq!(
        Policy::new(&Settings::default()).judge(ChannelType(99), Sender::Server, &header(101, 9)),
        PolicyDecision::Forward
    );
    // On main it could be a migration in disguise.
    let open = Policy::new(&Settings::default());
    for number in [0, 9, 99, 119, 150, 250, 400, u16::MAX] {
        assert_eq!(
            open.judge(ChannelType::MAIN, Sender::Server, &header(number, 9)),
            filled,
            "{number}"
        );
        assert_eq!(
            open.judge(ChannelType::MAIN, Sender::Client, &header(number, 9)),
            PolicyDecision::End(Rule::Allowed)
        );
    }
    let other = settings
        .with_from_client(Consequence::Replace)
        .with_from_server(Consequence::End);
    let policy = Policy::new(&other);
    assert_eq!(
        policy.judge(ChannelType::DISPLAY, Sender::Server, &header(304, 0)),
        PolicyDecision::End(Rule::Allowed)
    );
    assert_eq!(
        policy.judge(ChannelType::DISPLAY, Sender::Client, &header(101, 0)),
        PolicyDecision::Replace(Replacement::Nothing)
    );
    assert_eq!(filler().encoded_len(), 25);
}

/// A list of messages: their numbers and data.
fn list(messages: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = (messages.len() as u16).to_le_bytes().to_vec();
    let mut at = 2 + 4 * messages.len();
    for (_, data) in messages {
        body.extend((at as u32).to_le_bytes());
        at += 6 + data.len();
    }
    for (number, data) in messages {
        body.extend(number.to_le_bytes());
        body.extend((data.len() as u32).to_le_bytes());
        body.extend(*data);
    }
    body
}

#[test]
fn lists_are_looked_into() {
    let allowed = AllowList::default().without(ChannelType::DISPLAY, Sender::Server, 105);
    let policy = Policy::new(&Settings::default().with_allowed(allowed));
    let mut gate = PolicyFilter::new(ChannelType::DISPLAY, Sender::Server, &Limits::default());
    let mut judge = |messages: &[(u16, &[u8])]| pass(&mut gate, &policy, frame(8, &list(messages))).0;
    let wait: (u16, &[u8]) = (5, &[0]);
    assert_eq!(judge(&[wait]), PolicyDecision::Forward);
    assert_eq!(
        judge(&[wait, (105, &[0, 0])]),
        PolicyDecision::Replace(Replacement::Filler)
    );
    // A list in a list.
    assert_eq!(judge(&[wait, (8, &[0, 0])]), PolicyDecision::End(Rule::List));
    // A message that is larger than its layout.
    assert_eq!(judge(&[(3, &[0; 41])]), PolicyDecision::End(Rule::Size));
    assert_eq!(
        pass(&mut gate, &policy, frame(8, &[1, 0, 9, 0, 0, 0])).0,
        PolicyDecision::End(Rule::List)
    );
    assert_eq!(gate.tally().count(Rule::List), 2);
    // The same behind a full header; and what no server sends.
    let body = list(&[(105, &[0, 0])]);
    let mut listed = frame(107, &body);
    listed.header.sub_list = 0;
    assert_eq!(
        policy.judge_list(ChannelType::DISPLAY, Sender::Server, &listed),
        PolicyDecision::Replace(Replacement::Filler)
    );
    listed.header = Header {
        sub_list: 1,
        ..listed.header
    };
    assert_eq!(
        policy.judge(ChannelType::DISPLAY, Sender::Server, &listed.header),
        PolicyDecision::Inspect
    );
    let judge = |kind, sender, number| {
        policy.judge(
            kind,
            sender,
            &Header {
                sub_list: 1,
                ..header(number, 0)
            },
        )
    };
    assert_eq!(
        judge(ChannelType::DISPLAY, Sender::Client, 101),
        PolicyDecision::End(Rule::List)
    );
    assert_eq!(
        judge(ChannelType::DISPLAY, Sender::Server, 8),
        PolicyDecision::End(Rule::List)
    );
    // A migration message in a list of main is none that may pass unseen.
    let policy = Policy::new(&Settings::default().with_allowed(AllowList::default().without(
        ChannelType::MAIN,
        Sender::Server,
        101,
    )));
    let body = list(&[(101, &[0; 20])]);
    let mut gate = PolicyFilter::new(ChannelType::MAIN, Sender::Server, &Limits::default());
    assert_eq!(
        pass(&mut gate, &policy, frame(8, &body)).0,
        PolicyDecision::Replace(Replacement::Filler)
    );
}

#[test]
fn withheld_channels_are_struck_from_lists() {
    let id = |kind, id| ChannelId { channel_type: kind, id };
    let all = ChannelsList {
        channels: vec![
            id(ChannelType::DISPLAY, 0),
            id(ChannelType::USBREDIR, 0),
            id(ChannelType::USBREDIR, 1),
            id(ChannelType::DISPLAY, 1),
        ],
    };
    let withheld = vec![
        Withheld::Kind(ChannelType::USBREDIR),
        Withheld::Channel(id(ChannelType::DISPLAY, 1)),
    ];
    let policy = Policy::new(&Settings::default().with_withheld(withheld));
    let mut body = BytesMut::new();
    all.encode(&mut body).unwrap();
    let mut gate = PolicyFilter::new(ChannelType::MAIN, Sender::Server, &Limits::default());
    let (verdict, other) = pass(&mut gate, &policy, frame(104, &body));
    assert_eq!(verdict, PolicyDecision::Replace(Replacement::Body));
    assert_eq!(other, [1, 0, 0, 0, 2, 0]);
    assert!(policy.withholds(id(ChannelType::USBREDIR, 7)) && !policy.withholds(id(ChannelType::DISPLAY, 0)));
    // What is left has nothing that could be struck.
    assert_eq!(pass(&mut gate, &policy, frame(104, &other)).0, PolicyDecision::Forward);
    // A list that does not decode would hide what it names.
    assert_eq!(
        pass(&mut gate, &policy, frame(104, &body[..9])).0,
        PolicyDecision::End(Rule::Withheld)
    );
    assert_eq!(gate.tally().count(Rule::Withheld), 2);
    // A viewer that may only look has no devices.
    let policy = Policy::new(&Settings::default().with_view_only(true));
    assert_eq!(
        policy.strike(&all).unwrap().channels,
        [id(ChannelType::DISPLAY, 0), id(ChannelType::DISPLAY, 1)]
    );
}

fn clipboard() -> agent::Message {
    agent::Message::Clipboard(agent::Clipboard {
        selection: None,
        r#type: ClipboardType::UTF8_TEXT,
        data: vec![b'a'; 5000].into(),
    })
}

fn request() -> agent::Message {
    agent::Message::ClipboardRequest(agent::ClipboardRequest {
        selection: None,
        r#type: ClipboardType::UTF8_TEXT,
    })
}

fn file() -> agent::Message {
    agent::Message::FileXferData(agent::FileXferData {
        id: 1,
        data: vec![b'f'; 3000].into(),
    })
}

fn announce() -> agent::Message {
    agent::Message::AnnounceCapabilities(agent::AnnounceCapabilities {
        request: 1,
        caps: std::iter::once(1).collect(),
    })
}

/// What of these messages comes through, and how many tokens go back.
fn through(settings: &Settings, sender: Sender, messages: &[agent::Message]) -> (Vec<AgentMessageType>, usize) {
    let policy = Policy::new(settings);
    let mut gate = PolicyFilter::new(ChannelType::MAIN, sender, &Limits::default());
    let (receiver, number) = match sender {
        Sender::Client => (Receiver::Server, 107),
        Sender::Server => (Receiver::Client, 109),
    };
    let mut received = Assembler::new(receiver, &Limits::default());
    let (mut came, mut tokens) = (Vec::new(), 0);
    let bodies = messages.iter().flat_map(|message| Pieces::new(message).unwrap());
    for body in bodies {
        let (verdict, other) = pass(&mut gate, &policy, frame(number, &body));
        let body = match verdict {
            PolicyDecision::Forward => body,
            PolicyDecision::Replace(Replacement::Body) => Bytes::from(other),
            PolicyDecision::Replace(Replacement::Token) => {
                tokens += 1;
                continue;
            }
            other => panic!("{other:?}"),
        };
        came.extend(received.frames(&body).map(|frame| frame.unwrap().header.r#type));
    }
    (came, tokens)
}

#[test]
fn clipboards_and_files_go_where_they_may() {
    use AgentMessageType as T;
    let all = [announce(), clipboard(), request(), file()];
    let types = [
        T::ANNOUNCE_CAPABILITIES,
        T::CLIPBOARD,
        T::CLIPBOARD_REQUEST,
        T::FILE_XFER_DATA,
    ];
    for sender in [Sender::Client, Sender::Server] {
        let to_guest = |there| Directions {
            to_guest: there,
            from_guest: !there,
        };
        let own = to_guest(sender == Sender::Client);
        let others = to_guest(sender == Sender::Server);
        let clipboards = |directions| Settings::default().with_clipboard(directions);
        assert_eq!(through(&Settings::default(), sender, &all), (types.to_vec(), 0));
        // The sender's own clipboard may go: it must not ask for the other's.
        assert_eq!(
            through(&clipboards(own), sender, &all),
            (vec![types[0], types[1], types[3]], 1)
        );
        assert_eq!(
            through(&clipboards(others), sender, &all),
            (vec![types[0], types[2], types[3]], 3)
        );
        assert_eq!(
            through(&clipboards(Directions::NONE), sender, &all),
            (vec![types[0], types[3]], 4)
        );
        let files = Settings::default().with_files(others);
        assert_eq!(through(&files, sender, &all), (types[..3].to_vec(), 2));
    }
    let looking = Settings::default().with_view_only(true);
    assert_eq!(through(&looking, Sender::Client, &all), (vec![types[0], types[2]], 5));
    assert_eq!(through(&looking, Sender::Server, &all), (types.to_vec(), 0));
    // Agent data that spice-server would close the connection for end it here.
    let policy = Policy::new(&looking);
    let mut gate = PolicyFilter::new(ChannelType::MAIN, Sender::Client, &Limits::default());
    assert_eq!(
        pass(&mut gate, &policy, frame(107, &[0; 3])).0,
        PolicyDecision::End(Rule::Agent)
    );
}

#[test]
fn who_may_only_look_sends_no_input() {
    let policy = Policy::new(&Settings::default().with_view_only(true));
    let judge = |kind, number, size| policy.judge(kind, Sender::Client, &header(number, size));
    for (number, size) in [
        (101, 4),
        (102, 4),
        (103, 2),
        (104, 9),
        (111, 10),
        (112, 11),
        (113, 3),
        (114, 3),
    ] {
        assert_eq!(
            judge(ChannelType::INPUTS, number, size),
            PolicyDecision::Replace(Replacement::Nothing),
            "{number}"
        );
    }
    assert_eq!(judge(ChannelType::INPUTS, 3, 12), PolicyDecision::Forward);
    assert_eq!(
        judge(ChannelType::MAIN, 105, 2),
        PolicyDecision::Replace(Replacement::Nothing)
    );
    assert_eq!(judge(ChannelType::MAIN, 104, 0), PolicyDecision::Forward);
    assert_eq!(judge(ChannelType::DISPLAY, 101, 14), PolicyDecision::Forward);
}

#[test]
fn budgets_refill_with_time() {
    let budget = |per_second, burst| {
        Some(Budget {
            per_second: NonZeroU32::new(per_second).unwrap(),
            burst,
        })
    };
    let policy = Policy::new(&Settings::default().with_client_messages(budget(10, 5)));
    let mut gate = PolicyFilter::new(ChannelType::INPUTS, Sender::Client, &Limits::default());
    let key = header(101, 4);
    let at = Duration::from_millis;
    for _ in 0..5 {
        assert_eq!(gate.wait(&policy, at(50), 4), Duration::ZERO);
        assert_eq!(gate.header(&policy, at(50), &key), PolicyDecision::Forward);
    }
    assert_eq!(gate.wait(&policy, at(50), 4), at(100));
    assert_eq!(gate.header(&policy, at(149), &key), PolicyDecision::End(Rule::Rate));
    assert_eq!(gate.header(&policy, at(150), &key), PolicyDecision::Forward);
    assert_eq!(gate.header(&policy, at(150), &key), PolicyDecision::End(Rule::Rate));
    // Time that passed long ago is worth one burst and no more.
    let later = Duration::from_secs(1000);
    let passed = (0..20)
        .filter(|_| gate.header(&policy, later, &key) == PolicyDecision::Forward)
        .count();
    assert_eq!(passed, 5);
    // Bytes: a body above the burst passes when all is there, and is paid for.
    let policy = Policy::new(&Settings::default().with_server_bytes(budget(1000, 500)));
    let mut gate = PolicyFilter::new(ChannelType::DISPLAY, Sender::Server, &Limits::default());
    assert_eq!(gate.header(&policy, NOW, &header(304, 2000)), PolicyDecision::Forward);
    assert_eq!(gate.wait(&policy, NOW, 100), at(1600));
    assert_eq!(
        gate.header(&policy, at(1599), &header(304, 100)),
        PolicyDecision::End(Rule::Rate)
    );
    assert_eq!(
        gate.header(&policy, at(1600), &header(304, 100)),
        PolicyDecision::Forward
    );
    assert_eq!(
        (
            gate.tally().messages,
            gate.tally().bytes,
            gate.tally().count(Rule::Rate)
        ),
        (3, 2200, 1)
    );
    // The largest sizes and times there are.
    let policy = Policy::new(&Settings::default().with_client_bytes(budget(1, u32::MAX)));
    let mut gate = PolicyFilter::new(ChannelType::USBREDIR, Sender::Client, &Limits::default());
    for _ in 0..1000 {
        gate.header(&policy, Duration::MAX, &header(101, 16 << 20));
    }
    assert_eq!(gate.wait(&policy, Duration::MAX, u32::MAX), Duration::ZERO);
}

/// Nothing is in the way of a report, and it counts what would have been.
#[test]
fn a_report_counts_and_lets_pass() {
    let settings = Settings::default()
        .with_view_only(true)
        .with_clipboard(Directions::NONE)
        .with_unknown(false)
        .with_client_messages(Some(Budget {
            per_second: NonZeroU32::MIN,
            burst: 40,
        }));
    let (strict, report) = (Policy::new(&settings), Policy::new(&settings.with_report_only(true)));
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) % n
    };
    let mut broken = 0;
    for kind in (0..=12).map(ChannelType) {
        for sender in [Sender::Client, Sender::Server] {
            let mut gates = [(); 2].map(|()| PolicyFilter::new(kind, sender, &Limits::default()));
            for _ in 0..400 {
                let number = [below(120), 300 + below(30), 201, below(65536)][below(4) as usize] as u16;
                let body = vec![below(3) as u8; below(64) as usize];
                let shown = Frame {
                    header: Header {
                        sub_list: below(40).saturating_sub(30) as u32,
                        ..header(number, body.len() as u32)
                    },
                    body: body.into(),
                };
                let shown = FrameRef {
                    header: shown.header,
                    body: &shown.body,
                };
                pass(&mut gates[0], &strict, shown);
                assert_eq!(pass(&mut gates[1], &report, shown).0, PolicyDecision::Forward);
            }
            assert_eq!(gates[0].tally(), gates[1].tally());
            broken += gates[0].tally().count(Rule::Allowed);
        }
    }
    assert!(1000 < broken);
}
