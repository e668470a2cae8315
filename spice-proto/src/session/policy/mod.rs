//! What may pass.
//!
//! [`Settings`] say what an operator allows; a [`Policy`] is made of them once and judges any number of
//! connections. Its functions are pure. [`Policy::judge`] needs a header and no more; only where that does not
//! tell does it ask for the body ([`PolicyDecision::Inspect`]): lists of messages, `CHANNELS_LIST` when channels are
//! withheld, agent data when something of theirs is not allowed. A [`PolicyFilter`] is what a relay keeps for each
//! direction of a connection: budgets, the place in the agent's stream, and what was counted.
//!
//! ```text
//! header ----> PolicyFilter::header ----> Forward
//!                   |       ----> Replace, End
//!                   +---------->  Inspect ----> PolicyFilter::body ----> Forward, Replace, End
//! ```
//!
//! One message stays one message: what the server sends is counted by the viewer, so that another message takes the
//! place of one that must not pass. What the client sends is not counted, and is left out.
//!
//! ```
//! use std::time::Duration;
//! use spice_proto::Limits;
//! use spice_proto::channel::inputs::ClientMessage;
//! use spice_proto::frame::Header;
//! use spice_proto::ids::ChannelType;
//! use spice_proto::link::Sender;
//! use spice_proto::session::policy::{PolicyFilter, Policy, Replacement, Rule, Settings, PolicyDecision};
//!
//! let policy = Policy::new(&Settings::default().with_view_only(true));
//! let mut gate = PolicyFilter::new(ChannelType::INPUTS, Sender::Client, &Limits::default());
//! let key_down = Header { serial: 0, number: ClientMessage::KEY_DOWN, size: 4, sub_list: 0 };
//! let verdict = gate.header(&policy, Duration::ZERO, &key_down);
//! assert_eq!(verdict, PolicyDecision::Replace(Replacement::Nothing));
//! assert_eq!(gate.tally().count(Rule::ViewOnly), 1);
//! ```

mod rate;
mod settings;
mod table;

pub use rate::Budget;
pub use settings::{AllowList, Consequence, Directions, Settings, Withheld};
pub use table::largest_bodies;

use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};
use core::time::Duration;

use self::rate::Bucket;
use self::settings::{KINDS, kind, side};
pub(in crate::session) use self::table::{PLACES, place};
use crate::agent::{Filter, MessageHeader, Passage, Receiver};
use crate::channel::common::{List, Notify};
use crate::channel::inputs;
use crate::channel::main::{
    AgentDisconnected, ChannelId, ChannelsList, ClientMessage, MouseModeRequest, ServerMessage,
};
use crate::frame::{FrameRef, Header, SubMessages};
use crate::ids::{AgentMessageType, ChannelType, NotifySeverity, NotifyVisibility};
use crate::limits::Limits;
use crate::link::Sender;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyDecision {
    /// It goes on as it came.
    Forward,
    /// Its header does not tell: [`PolicyFilter::body`], or the function of [`Policy`] for such messages, has to see
    /// it whole.
    Inspect,
    /// Something else takes its place.
    Replace(Replacement),
    /// The connection has to end.
    End(Rule),
}

/// What takes the place of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Replacement {
    /// Nothing: it was the client's.
    Nothing,
    /// [`filler`]: it was the server's.
    Filler,
    /// The same message with another body.
    Body,
    /// Agent data were left out. Their sender gets its token back: `AGENT_TOKEN` with 1. If it was the server,
    /// the viewer gets [`filler`] in their place.
    Token,
}

/// A message of the server that means nothing, and is counted like any other: a NOTIFY for the log, without text.
#[must_use]
pub fn filler() -> Notify {
    Notify {
        time_stamp: 0,
        severity: NotifySeverity::INFO,
        visibility: NotifyVisibility::LOW,
        what: 0,
        message: Bytes::new(),
    }
}

/// Why a message did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Its body is too large.
    Size,
    /// It is not on the list.
    Allowed,
    /// A list of messages that cannot be read, or one from a client, which has none.
    List,
    /// A budget is spent.
    Rate,
    /// It names channels that are withheld.
    Withheld,
    /// The viewer may only look.
    ViewOnly,
    /// Clipboards are off in this direction.
    Clipboard,
    /// Files are off in this direction.
    Files,
    /// Agent data that their reader would not accept.
    Agent,
}

/// Rules, for the tally.
const RULES: usize = 9;

/// What was counted; never what it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were judged.
    pub messages: u64,
    /// Bytes in their bodies.
    pub bytes: u64,
    rules: [u64; RULES],
}

impl Tally {
    /// How often this rule was broken. A message may break it several times, in a list or in agent data.
    #[must_use]
    pub fn count(&self, rule: Rule) -> u64 {
        self.rules.get(rule as usize).copied().unwrap_or(0)
    }

    fn add(&mut self, rule: Rule) {
        if let Some(count) = self.rules.get_mut(rule as usize) {
            *count = count.saturating_add(1);
        }
    }
}

/// What is known of one number before any message came.
#[derive(Debug, Clone, Copy)]
struct Entry {
    largest: u32,
    class: Class,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// There is no such message here.
    Unknown,
    /// There is, and it is not on the list.
    Unlisted,
    Pass,
    Inspect,
    /// Left out for viewers that may only look.
    Input,
}

/// What may pass, for all connections.
#[derive(Debug, Clone)]
pub struct Policy {
    settings: Settings,
    /// By channel type and sender.
    rows: Vec<[[Entry; PLACES]; 2]>,
}

impl Policy {
    /// The policy that these settings make.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let unknown = Entry {
            largest: settings.unknown_body,
            class: Class::Unknown,
        };
        let mut rows = alloc::vec![[[unknown; PLACES]; 2]; KINDS];
        for (channel, row) in (0_u8..).map(ChannelType).zip(&mut rows) {
            for (sender, row) in [Sender::Client, Sender::Server].into_iter().zip(row) {
                for (number, largest) in largest_bodies(channel, sender) {
                    let place = place(number).unwrap_or(PLACES);
                    if let Some(entry) = row.get_mut(place) {
                        entry.largest = largest.saturating_add(settings.trailing);
                        entry.class = if settings.allowed.has(kind(channel), side(sender), place) {
                            class(settings, channel, sender, number)
                        } else {
                            Class::Unlisted
                        };
                    }
                }
            }
        }
        for &(channel, sender, number, largest) in &settings.bodies {
            let row = rows.get_mut(kind(channel)).and_then(|row| row.get_mut(side(sender)));
            if let Some(entry) = row.zip(place(number)).and_then(|(row, place)| row.get_mut(place)) {
                entry.largest = largest;
            }
        }
        Self {
            settings: settings.clone(),
            rows,
        }
    }

    fn entry(&self, channel: ChannelType, sender: Sender, number: u16) -> Entry {
        let row = self.rows.get(kind(channel)).and_then(|row| row.get(side(sender)));
        let entry = row.zip(place(number)).and_then(|(row, place)| row.get(place));
        entry.copied().unwrap_or(Entry {
            largest: self.settings.unknown_body,
            class: Class::Unknown,
        })
    }

    /// The messages that pass by their headers, and the first size of which that is not true.
    pub(in crate::session) fn quick(&self, channel: ChannelType, sender: Sender) -> impl Iterator<Item = (u16, u32)> {
        let free = self.budgets(sender) == [None; 2];
        let numbers = largest_bodies(channel, sender).map(|(number, _)| number);
        numbers.filter(move |_| free).filter_map(move |number| {
            let entry = self.entry(channel, sender, number);
            // What the gate itself has to know of.
            let noted = resets_agent(channel, sender, number);
            (entry.class == Class::Pass && !noted).then(|| (number, entry.largest.saturating_add(1)))
        })
    }

    /// What becomes of a message that is not allowed.
    fn forbid(&self, sender: Sender, rule: Rule) -> (PolicyDecision, Option<Rule>) {
        let (consequence, instead) = match sender {
            Sender::Client => (self.settings.from_client, Replacement::Nothing),
            Sender::Server => (self.settings.from_server, Replacement::Filler),
        };
        let verdict = match consequence {
            Consequence::Replace => PolicyDecision::Replace(instead),
            Consequence::End => PolicyDecision::End(rule),
        };
        (verdict, Some(rule))
    }

    /// Judges a message by its header.
    #[must_use]
    pub fn judge(&self, channel: ChannelType, sender: Sender, header: &Header) -> PolicyDecision {
        self.judge_header(channel, sender, header).0
    }

    #[inline]
    fn judge_header(&self, channel: ChannelType, sender: Sender, header: &Header) -> (PolicyDecision, Option<Rule>) {
        let entry = self.entry(channel, sender, header.number);
        if entry.largest < header.size {
            return (PolicyDecision::End(Rule::Size), Some(Rule::Size));
        }
        // A list of lists, or one beside a message that is looked at itself: no server sends that, nor any client.
        let listed = header.sub_list != 0;
        if listed && (sender == Sender::Client || entry.class == Class::Inspect) {
            return (PolicyDecision::End(Rule::List), Some(Rule::List));
        }
        match entry.class {
            Class::Pass if !listed => (PolicyDecision::Forward, None),
            Class::Pass | Class::Inspect => (PolicyDecision::Inspect, None),
            Class::Unknown if self.settings.unknown && channel != ChannelType::MAIN && !listed => {
                (PolicyDecision::Forward, None)
            }
            Class::Unknown | Class::Unlisted => self.forbid(sender, Rule::Allowed),
            Class::Input => (PolicyDecision::Replace(Replacement::Nothing), Some(Rule::ViewOnly)),
        }
    }

    /// Judges the messages inside of one: those of a LIST, or those that a full header leads to. If one of them may
    /// not pass, none does, nor the message that they are in.
    #[must_use]
    pub fn judge_list(&self, channel: ChannelType, sender: Sender, frame: &FrameRef<'_>) -> PolicyDecision {
        self.judge_inside(channel, sender, frame).0
    }

    fn judge_inside(
        &self,
        channel: ChannelType,
        sender: Sender,
        frame: &FrameRef<'_>,
    ) -> (PolicyDecision, Option<Rule>) {
        let bad = (PolicyDecision::End(Rule::List), Some(Rule::List));
        let Ok(list) = SubMessages::new(frame.body, frame.header.sub_list) else {
            return bad;
        };
        for message in list {
            let Ok(message) = message else { return bad };
            let header = Header {
                serial: 0,
                number: message.number,
                // The size that stands there may be more than there is.
                size: u32::try_from(message.exact_data(channel).len()).unwrap_or(u32::MAX),
                sub_list: 0,
            };
            match self.judge_header(channel, sender, &header) {
                (PolicyDecision::Forward, _) => {}
                // A list in a list, or one of those whose bodies matter: no server sends that.
                (PolicyDecision::Inspect, _) => return bad,
                forbidden => return forbidden,
            }
        }
        (PolicyDecision::Forward, None)
    }

    /// Whether a channel is withheld: a link to it is to be refused as one that was not announced.
    #[must_use]
    pub fn withholds(&self, channel: ChannelId) -> bool {
        const CHANGING: [ChannelType; 5] = [
            ChannelType::RECORD,
            ChannelType::SMARTCARD,
            ChannelType::USBREDIR,
            ChannelType::PORT,
            ChannelType::WEBDAV,
        ];
        let view_only = self.settings.view_only && CHANGING.contains(&channel.channel_type);
        let named = |withheld: &Withheld| match *withheld {
            Withheld::Kind(kind) => kind == channel.channel_type,
            Withheld::Channel(other) => other == channel,
        };
        view_only || self.settings.withheld.iter().any(named)
    }

    fn strikes(&self, list: &ChannelsList) -> bool {
        list.channels.iter().any(|channel| self.withholds(*channel))
    }

    /// The list without channels that are withheld; `None` when it has none of them.
    #[must_use]
    pub fn strike(&self, list: &ChannelsList) -> Option<ChannelsList> {
        self.strikes(list).then(|| {
            let mut left = list.clone();
            left.channels.retain(|channel| !self.withholds(*channel));
            left
        })
    }

    /// The rule that an agent message breaks, by its header.
    #[must_use]
    pub fn judge_agent(&self, sender: Sender, header: &MessageHeader) -> Option<Rule> {
        let Settings {
            clipboard,
            files,
            view_only,
            ..
        } = self.settings;
        // Whether what the sender has may go to the other side, and what the other side has may come.
        let by = |directions: Directions| match sender {
            Sender::Client => (directions.to_guest, directions.from_guest),
            Sender::Server => (directions.from_guest, directions.to_guest),
        };
        let rule = match header.r#type {
            AgentMessageType::CLIPBOARD | AgentMessageType::CLIPBOARD_GRAB | AgentMessageType::CLIPBOARD_RELEASE => {
                (!by(clipboard).0).then_some(Rule::Clipboard)
            }
            // A clipboard that is asked for will be sent.
            AgentMessageType::CLIPBOARD_REQUEST => (!by(clipboard).1).then_some(Rule::Clipboard),
            AgentMessageType::FILE_XFER_START | AgentMessageType::FILE_XFER_DATA => {
                (!by(files).0).then_some(Rule::Files)
            }
            _ => None,
        };
        const LOOKING: [AgentMessageType; 2] = [
            AgentMessageType::ANNOUNCE_CAPABILITIES,
            AgentMessageType::CLIPBOARD_REQUEST,
        ];
        let changes = view_only && sender == Sender::Client && !LOOKING.contains(&header.r#type);
        rule.or(changes.then_some(Rule::ViewOnly))
    }

    fn budgets(&self, sender: Sender) -> [Option<Budget>; 2] {
        match sender {
            Sender::Client => [self.settings.client_messages, self.settings.client_bytes],
            Sender::Server => [self.settings.server_messages, self.settings.server_bytes],
        }
    }
}

/// How a message on the list is judged.
fn class(settings: &Settings, channel: ChannelType, sender: Sender, number: u16) -> Class {
    let Settings {
        clipboard,
        files,
        view_only,
        ..
    } = *settings;
    let agent = clipboard != Directions::BOTH || files != Directions::BOTH || view_only;
    match (channel, sender, number) {
        (_, Sender::Server, List::NUMBER) => Class::Inspect,
        (ChannelType::MAIN, Sender::Server, ChannelsList::NUMBER) if view_only || !settings.withheld.is_empty() => {
            Class::Inspect
        }
        (ChannelType::MAIN, Sender::Server, ServerMessage::AGENT_DATA)
        | (ChannelType::MAIN, Sender::Client, ClientMessage::AGENT_DATA)
            if agent =>
        {
            Class::Inspect
        }
        (ChannelType::MAIN, Sender::Client, MouseModeRequest::NUMBER) if view_only => Class::Input,
        // Every key and motion.
        (ChannelType::INPUTS, Sender::Client, inputs::ClientMessage::KEY_DOWN..) if view_only => Class::Input,
        _ => Class::Pass,
    }
}

/// Whether the agent's stream begins anew behind this message.
fn resets_agent(channel: ChannelType, sender: Sender, number: u16) -> bool {
    number == AgentDisconnected::NUMBER && channel == ChannelType::MAIN && sender == Sender::Server
}

/// One direction of a connection.
#[derive(Debug, Clone)]
pub struct PolicyFilter {
    channel: ChannelType,
    sender: Sender,
    buckets: [Bucket; 2],
    filter: Filter,
    tally: Tally,
}

impl PolicyFilter {
    /// For a connection that begins.
    #[must_use]
    pub fn new(channel: ChannelType, sender: Sender, limits: &Limits) -> Self {
        let receiver = match sender {
            Sender::Client => Receiver::Server,
            Sender::Server => Receiver::Client,
        };
        Self {
            channel,
            sender,
            buckets: [Bucket::default(); 2],
            filter: Filter::new(receiver, limits),
            tally: Tally::default(),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Messages that passed without being judged one by one, see [`Policy::quick`].
    pub(in crate::session) fn count(&mut self, messages: u64, bytes: u64) {
        self.tally.messages = self.tally.messages.saturating_add(messages);
        self.tally.bytes = self.tally.bytes.saturating_add(bytes);
    }

    /// How long to wait before one more message fits the budgets, for a relay that would rather read slowly than end a
    /// connection. `size`: bytes in its body.
    #[must_use]
    pub fn wait(&self, policy: &Policy, now: Duration, size: u32) -> Duration {
        let budgets = policy.budgets(self.sender);
        let costs = self.buckets.iter().zip(budgets).zip([1, size]);
        let waits = costs.filter_map(|((bucket, budget), cost)| Some(bucket.wait(budget?, now, cost)));
        waits.max().unwrap_or_default()
    }

    /// Judges the next message by its header.
    pub fn header(&mut self, policy: &Policy, now: Duration, header: &Header) -> PolicyDecision {
        self.tally.messages = self.tally.messages.saturating_add(1);
        self.tally.bytes = self.tally.bytes.saturating_add(header.size.into());
        if resets_agent(self.channel, self.sender, header.number) {
            self.filter.reset();
        }
        let budgets = policy.budgets(self.sender);
        for ((bucket, budget), cost) in self.buckets.iter_mut().zip(budgets).zip([1, header.size]) {
            if budget.is_some_and(|budget| !bucket.spend(budget, now, cost)) {
                return self.enter(policy, (PolicyDecision::End(Rule::Rate), Some(Rule::Rate)));
            }
        }
        let judged = policy.judge_header(self.channel, self.sender, header);
        self.enter(policy, judged)
    }

    /// Judges a message whose header was not enough. With [`Replacement::Body`] the other body is appended to `dst`;
    /// otherwise `dst` is as it was.
    pub fn body(&mut self, policy: &Policy, frame: &FrameRef<'_>, dst: &mut BytesMut) -> PolicyDecision {
        let before = dst.len();
        let listed = frame.header.number == List::NUMBER || frame.header.sub_list != 0;
        let judged = match (self.channel, self.sender, frame.header.number) {
            _ if listed => policy.judge_inside(self.channel, self.sender, frame),
            (ChannelType::MAIN, Sender::Server, ChannelsList::NUMBER) => self.channels(policy, frame, dst),
            (ChannelType::MAIN, ..) => self.agent(policy, frame, dst),
            _ => (PolicyDecision::Forward, None),
        };
        let verdict = self.enter(policy, judged);
        if verdict != PolicyDecision::Replace(Replacement::Body) {
            dst.truncate(before);
        }
        verdict
    }

    fn channels(&self, policy: &Policy, frame: &FrameRef<'_>, dst: &mut BytesMut) -> (PolicyDecision, Option<Rule>) {
        let end = (PolicyDecision::End(Rule::Withheld), Some(Rule::Withheld));
        let Ok(mut left) = ChannelsList::decode_slice(frame.body) else {
            return end;
        };
        if !policy.strikes(&left) {
            return (PolicyDecision::Forward, None);
        }
        left.channels.retain(|channel| !policy.withholds(*channel));
        // At once as large as it gets: the body is not moved then.
        dst.reserve(left.encoded_len());
        match left.encode(dst) {
            Ok(()) => (PolicyDecision::Replace(Replacement::Body), Some(Rule::Withheld)),
            Err(_) => end,
        }
    }

    fn agent(&mut self, policy: &Policy, frame: &FrameRef<'_>, dst: &mut BytesMut) -> (PolicyDecision, Option<Rule>) {
        let (sender, tally) = (self.sender, &mut self.tally);
        let passage = self
            .filter
            .pass(frame.body, dst, |header| match policy.judge_agent(sender, header) {
                Some(rule) => {
                    tally.add(rule);
                    crate::agent::FilterDecision::Drop
                }
                None => crate::agent::FilterDecision::Pass,
            });
        // What is left out was counted when its head came.
        match passage {
            Ok(Passage::Whole) => (PolicyDecision::Forward, None),
            Ok(Passage::Part) => (PolicyDecision::Replace(Replacement::Body), None),
            Ok(Passage::Nothing) => (PolicyDecision::Replace(Replacement::Token), None),
            Err(_) => (PolicyDecision::End(Rule::Agent), Some(Rule::Agent)),
        }
    }

    /// Counts what was judged, and lets everything pass where that is all that is wanted.
    fn enter(&mut self, policy: &Policy, (verdict, rule): (PolicyDecision, Option<Rule>)) -> PolicyDecision {
        if let Some(rule) = rule {
            self.tally.add(rule);
        }
        match verdict {
            PolicyDecision::Replace(_) | PolicyDecision::End(_) if policy.settings.report_only => {
                PolicyDecision::Forward
            }
            verdict => verdict,
        }
    }
}
