//! One direction of a connection, before a policy that the input makes.
//!
//! Beside the gate stands one that only reports, and what passes is held against the settings themselves.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::main::{ChannelId, ChannelsList};
use spice_proto::frame::Header;
use spice_proto::ids::ChannelType;
use spice_proto::link::Sender;
use spice_proto::session::policy::{
    AllowList, Budget, Consequence, Directions, PolicyDecision, Replacement, Rule, Settings, Withheld, largest_bodies,
};
use spice_proto::session::{Migration, Policy, PolicyFilter};

use super::frame;
use crate::Input;

const MESSAGES: usize = 200;
const RULES: [Rule; 9] = [
    Rule::Size,
    Rule::Allowed,
    Rule::List,
    Rule::Rate,
    Rule::Withheld,
    Rule::ViewOnly,
    Rule::Clipboard,
    Rule::Files,
    Rule::Agent,
];
/// Of the struck ones, and others.
const CHANNELS: [(u8, u8); 6] = [(2, 0), (2, 1), (3, 0), (6, 0), (9, 0), (11, 3)];

fn pair((kind, id): (u8, u8)) -> ChannelId {
    ChannelId {
        channel_type: ChannelType(kind),
        id,
    }
}

/// What the operator wants, and the one direction that is looked at.
struct Case {
    settings: Settings,
    channel: ChannelType,
    sender: Sender,
}

fn case(input: &mut Input<'_>) -> Case {
    let (what, more, place) = (input.byte(), input.byte(), input.byte());
    let bit = |byte: u8, bit: u8| byte >> bit & 1 == 1;
    let directions = |at: u8| Directions {
        to_guest: !bit(what, at),
        from_guest: !bit(what, at + 1),
    };
    let (channel, sender) = (
        ChannelType(place & 15),
        if bit(place, 4) { Sender::Server } else { Sender::Client },
    );
    let mut settings = Settings::default()
        .with_view_only(bit(what, 0))
        .with_unknown(!bit(what, 1))
        .with_clipboard(directions(4))
        .with_files(directions(6))
        .with_trailing(u32::from(place >> 5));
    if bit(what, 2) {
        settings = settings.with_from_client(Consequence::Replace);
    }
    if bit(what, 3) {
        settings = settings.with_from_server(Consequence::End);
    }
    if bit(more, 0) {
        let display = pair((2, 1));
        settings = settings.with_withheld(vec![Withheld::Kind(ChannelType::USBREDIR), Withheld::Channel(display)]);
    }
    if bit(more, 1) || bit(more, 2) {
        let budget = Budget {
            per_second: NonZeroU32::new(u32::from(input.byte()) + 1).expect("at least one"),
            burst: u32::from(input.byte()),
        };
        let (messages, bytes) = (bit(more, 1).then_some(budget), bit(more, 2).then_some(budget));
        settings = settings
            .with_client_messages(messages)
            .with_server_messages(messages)
            .with_client_bytes(bytes)
            .with_server_bytes(bytes);
    }
    if bit(more, 3) {
        let number = u16::from(input.byte());
        settings = settings.with_allowed(AllowList::default().without(channel, sender, number));
    }
    if bit(more, 4) {
        settings = settings.with_allowed(AllowList::none().with_channel(ChannelType::INPUTS));
    }
    if bit(more, 5) {
        settings = settings.with_bodies(vec![(channel, sender, u16::from(input.byte()), 7)]);
    }
    Case {
        settings,
        channel,
        sender,
    }
}

/// The agent messages that may come out, by their numbers in the protocol.
fn agent_allowed(settings: &Settings, sender: Sender, number: u32) -> bool {
    let ways = |directions: Directions| match sender {
        Sender::Client => (directions.to_guest, directions.from_guest),
        Sender::Server => (directions.from_guest, directions.to_guest),
    };
    let allowed = match number {
        // CLIPBOARD, _GRAB, _RELEASE
        4 | 7 | 9 => ways(settings.clipboard).0,
        // CLIPBOARD_REQUEST
        8 => ways(settings.clipboard).1,
        // FILE_XFER_START, _DATA
        10 | 12 => ways(settings.files).0,
        _ => true,
    };
    allowed && !(settings.view_only && sender == Sender::Client && !matches!(number, 6 | 8))
}

/// What was forwarded of the agent's stream: its heads, read as the protocol has them.
#[derive(Default)]
struct Heads {
    head: Vec<u8>,
    data: usize,
}

impl Heads {
    fn read(&mut self, mut bytes: &[u8], mut seen: impl FnMut(u32)) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.data > 0 {
                let skipped = self.data.min(bytes.len());
                self.data -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(*byte);
            bytes = rest;
            if let [_, _, _, _, a, b, c, d, _, _, _, _, _, _, _, _, w, x, y, z] = self.head[..] {
                seen(u32::from_le_bytes([a, b, c, d]));
                self.data = u32::from_le_bytes([w, x, y, z]) as usize;
                self.head.clear();
            }
        }
    }
}

/// Messages in one: as a LIST, and behind a full header; with the message `number` in front of it there.
fn list(messages: &[(u16, &[u8])], at: usize) -> Vec<u8> {
    let mut head = u16::try_from(messages.len()).expect("few").to_le_bytes().to_vec();
    let mut next = at + 2 + 4 * messages.len();
    let mut tail = Vec::new();
    for (number, body) in messages {
        head.extend(u32::try_from(next).expect("small").to_le_bytes());
        tail.extend(number.to_le_bytes());
        tail.extend(u32::try_from(body.len()).expect("small").to_le_bytes());
        tail.extend(*body);
        next += 6 + body.len();
    }
    [head, tail].concat()
}

pub(super) fn sequence(mut input: Input<'_>) -> BTreeSet<String> {
    let Case {
        settings,
        channel,
        sender,
    } = case(&mut input);
    let limits = Limits::default().with_agent_message(4096);
    let policies = [false, true].map(|report| Policy::new(&settings.clone().with_report_only(report)));
    let [policy, report] = &policies;
    let mut gate = PolicyFilter::new(channel, sender, &limits);
    let mut reporter = gate.clone();
    let numbers: Vec<(u16, u32)> = largest_bodies(channel, sender).collect();
    let budget = settings.client_messages;
    let (mut now, mut paid, mut messages, mut bytes) = (Duration::ZERO, 0_u64, 0_u64, 0_u64);
    let mut heads = Heads::default();
    let mut reached = BTreeSet::new();
    for _ in 0..MESSAGES {
        if input.is_empty() {
            break;
        }
        let choice = input.byte();
        now += Duration::from_millis(u64::from(choice >> 5) * 40);
        let (number, largest) = match choice & 3 {
            0 => (u16::from_le_bytes([input.byte(), input.byte()]), settings.unknown_body),
            _ => numbers[usize::from(input.byte()) % numbers.len()],
        };
        let message = body(&mut input, number, &numbers);
        // Of a large message the header alone is seen.
        let claimed = match choice >> 2 & 7 {
            0 => Some(largest.saturating_add(settings.trailing)),
            1 => Some(largest.saturating_add(settings.trailing).saturating_add(1)),
            2 => Some(u32::MAX),
            _ => None,
        };
        let sub_list = message.sub_list;
        let mut seen = frame(number, sub_list, &message.body);
        seen.header.size = claimed.unwrap_or(seen.header.size);
        let header = seen.header;

        let looks = Migration::looks_at(channel, sender, &header);
        assert!(
            looks || !Migration::watches(channel, sender, number),
            "what is watched is shown"
        );
        let wait = gate.wait(policy, now, header.size);
        let verdict = gate.header(policy, now, &header);
        let reported = reporter.header(report, now, &header);
        (messages, bytes) = (messages + 1, bytes + u64::from(header.size));
        assert_eq!((gate.tally().messages, gate.tally().bytes), (messages, bytes));
        // What waits long enough is never too much.
        assert_eq!(verdict == PolicyDecision::End(Rule::Rate), wait != Duration::ZERO);
        if verdict != PolicyDecision::End(Rule::Rate) {
            assert_eq!(
                policy.judge(channel, sender, &header),
                verdict,
                "the gate adds budgets only"
            );
            paid += 1;
        }
        if let Some(budget) = budget {
            // So many a second, and a burst; one more that is not whole yet.
            let refilled = now.as_millis() * u128::from(budget.per_second.get()) / 1000;
            let most = refilled + u128::from(budget.burst.max(1)) + 1;
            assert!(u128::from(paid) <= most, "{paid} of {most}");
        }
        by_header(&settings, channel, sender, &header, verdict);
        let (mut verdict, mut reported) = (verdict, reported);
        if verdict == PolicyDecision::Inspect {
            assert_eq!(reported, PolicyDecision::Inspect);
            if claimed.is_some() {
                // It would be read whole; here it ends with its header.
                break;
            }
            let mut dst = BytesMut::from(&b"before"[..]);
            let mut other = dst.clone();
            verdict = gate.body(policy, &seen, &mut dst);
            reported = reporter.body(report, &seen, &mut other);
            assert_eq!(&other[..], b"before", "a report changes nothing");
            assert!(dst.starts_with(b"before"));
            if verdict != PolicyDecision::Replace(Replacement::Body) {
                assert_eq!(dst.len(), 6, "nothing is left behind");
            }
            assert_ne!(verdict, PolicyDecision::Inspect, "a body tells");
            let forwarded: &[u8] = match verdict {
                PolicyDecision::Forward => &message.body,
                PolicyDecision::Replace(Replacement::Body) => &dst[6..],
                _ => &[],
            };
            if number == 8 || sub_list != 0 {
                listed(policy, channel, sender, &message, verdict);
            } else if channel == ChannelType::MAIN && number == 104 {
                struck(policy, &message.body, forwarded, verdict);
            } else if channel == ChannelType::MAIN {
                heads.read(forwarded, |number| {
                    assert!(
                        agent_allowed(&settings, sender, number),
                        "{number} of the agent's passed"
                    );
                });
            }
        }
        if number == 108 && channel == ChannelType::MAIN && sender == Sender::Server {
            heads = Heads::default();
        }
        // What is only reported is counted in the same way.
        assert_eq!(reporter.tally(), gate.tally());
        assert_eq!(reported, PolicyDecision::Forward);
        reached.insert(format!("policy: {verdict:?}"));
        match verdict {
            PolicyDecision::Replace(Replacement::Nothing) => assert_eq!(sender, Sender::Client),
            PolicyDecision::Replace(Replacement::Filler) => assert_eq!(sender, Sender::Server),
            PolicyDecision::End(rule) => {
                assert!(0 < gate.tally().count(rule));
                break;
            }
            _ => {}
        }
    }
    let broken = RULES.into_iter().filter(|rule| 0 < gate.tally().count(*rule));
    reached.extend(broken.map(|rule| format!("policy: broken {rule:?}")));
    reached
}

/// What a header alone must not pass, by the settings.
fn by_header(settings: &Settings, channel: ChannelType, sender: Sender, header: &Header, verdict: PolicyDecision) {
    let passes = matches!(verdict, PolicyDecision::Forward | PolicyDecision::Inspect);
    let known = largest_bodies(channel, sender).find(|(number, _)| *number == header.number);
    let largest = match (known, settings.bodies.first()) {
        (_, Some((.., number, largest))) if *number == header.number && placed(header.number) => *largest,
        (Some((_, largest)), _) => largest.saturating_add(settings.trailing),
        (None, _) => settings.unknown_body,
    };
    if verdict != PolicyDecision::End(Rule::Rate) {
        assert_eq!(
            verdict == PolicyDecision::End(Rule::Size),
            largest < header.size,
            "{header:?}"
        );
    }
    if known.is_none() && (channel == ChannelType::MAIN || !settings.unknown) {
        assert!(!passes, "{header:?} is not known");
    }
    if settings.view_only && channel == ChannelType::INPUTS && sender == Sender::Client && 101 <= header.number {
        let looks = known.is_none() && settings.unknown;
        assert!(!passes || looks, "{header:?} of one who looks");
    }
    if sender == Sender::Client && header.sub_list != 0 {
        assert!(!passes, "clients have no lists");
    }
}

/// Numbers that have a place in the tables; others keep the size of those that are not known.
fn placed(number: u16) -> bool {
    matches!(number, 1..=8 | 100..=126 | 201..=202 | 302..=323)
}

/// A message, and what is in it if it is a list.
struct Message {
    body: Vec<u8>,
    sub_list: u32,
    /// Whole messages of a list that was made here; none for any bytes.
    inside: Option<Vec<(u16, Vec<u8>)>>,
}

fn body(input: &mut Input<'_>, number: u16, numbers: &[(u16, u32)]) -> Message {
    let plain = |body: Vec<u8>| Message {
        body,
        sub_list: 0,
        inside: None,
    };
    let shape = input.byte();
    match (shape & 3, number) {
        (0, 104) => {
            let listed = CHANNELS.iter().enumerate().filter(|(at, _)| shape >> (2 + at) & 1 == 1);
            let listed: Vec<u8> = listed.flat_map(|(_, (kind, id))| [*kind, *id]).collect();
            let count = u32::try_from(listed.len() / 2).expect("few").to_le_bytes();
            plain([&count[..], &listed].concat())
        }
        (0 | 1, 107 | 109) => {
            let data = input.short_blob();
            let cut = if shape & 4 == 0 {
                data.len()
            } else {
                usize::from(shape >> 3)
            };
            let mut body = 1_u32.to_le_bytes().to_vec();
            body.extend(u32::from(input.byte() & 15).to_le_bytes());
            body.extend([0; 8]);
            body.extend(u32::try_from(data.len()).expect("short").to_le_bytes());
            body.extend(data);
            let cut = cut.min(body.len());
            plain(if shape & 4 == 0 { body } else { body[cut..].to_vec() })
        }
        (0, 8) | (2, _) => {
            let inside: Vec<(u16, Vec<u8>)> = (0..shape >> 2 & 3)
                .map(|_| {
                    let choice = input.byte();
                    let number = match choice & 0x80 {
                        0 => numbers[usize::from(choice) % numbers.len()].0,
                        _ => u16::from(choice),
                    };
                    (number, input.short_blob().to_vec())
                })
                .collect();
            let messages: Vec<(u16, &[u8])> = inside.iter().map(|(number, body)| (*number, &body[..])).collect();
            let front = if number == 8 { 0 } else { usize::from(shape >> 4) + 1 };
            let body = [vec![0; front], list(&messages, front)].concat();
            Message {
                body,
                sub_list: u32::try_from(front).expect("small"),
                inside: Some(inside),
            }
        }
        _ => plain(input.short_blob().to_vec()),
    }
}

/// A list passes if each message in it would, and needs no look into its body; in both forms of lists.
fn listed(policy: &Policy, channel: ChannelType, sender: Sender, message: &Message, verdict: PolicyDecision) {
    let Some(inside) = &message.inside else { return };
    let judge = |(number, body): &(u16, Vec<u8>)| policy.judge(channel, sender, &frame(*number, 0, body).header);
    let expected = inside
        .iter()
        .map(judge)
        .find(|verdict| *verdict != PolicyDecision::Forward);
    let expected = match expected {
        None => PolicyDecision::Forward,
        Some(PolicyDecision::Inspect) => PolicyDecision::End(Rule::List),
        Some(other) => other,
    };
    assert_eq!(verdict, expected, "{inside:?}");
    let messages: Vec<(u16, &[u8])> = inside.iter().map(|(number, body)| (*number, &body[..])).collect();
    let (alone, behind) = (list(&messages, 0), [vec![9; 5], list(&messages, 5)].concat());
    assert_eq!(policy.judge_list(channel, sender, &frame(8, 0, &alone)), expected);
    assert_eq!(policy.judge_list(channel, sender, &frame(106, 5, &behind)), expected);
}

/// Channels that are withheld are struck, the others stay in their order.
fn struck(policy: &Policy, before: &[u8], after: &[u8], verdict: PolicyDecision) {
    let Ok(list) = ChannelsList::decode_slice(before) else {
        assert_eq!(verdict, PolicyDecision::End(Rule::Withheld));
        return;
    };
    let left: Vec<ChannelId> = list
        .channels
        .iter()
        .copied()
        .filter(|channel| !policy.withholds(*channel))
        .collect();
    let struck = policy.strike(&list).map(|list| list.channels);
    assert_eq!(struck, (left != list.channels).then(|| left.clone()));
    let after = ChannelsList::decode_slice(after).expect("a list takes the place of a list");
    assert_eq!(after.channels, left);
    assert_eq!(verdict == PolicyDecision::Forward, left == list.channels);
}
