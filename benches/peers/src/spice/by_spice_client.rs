//! The few messages whose layout in spice-client is that of the wire.

use std::io::Cursor;
use std::rc::Rc;

use benches::mix::MixedFrame;
use binrw::{BinRead, BinWrite};
use spice_client::protocol::{SpiceMsgMainAgentTokens, SpiceMsgMainMultiMediaTime, SpiceStreamData};
use spice_proto::channel::ServerMessage;
use spice_proto::ids::ChannelType;

use super::theirs::Message;
use super::{SHAKENFIST, SPICE_CLIENT, Sample, bodies, samples};
use crate::contest::{Contest, Peer, keep, run};

/// One of these.
enum Known {
    StreamData(SpiceStreamData),
    MultiMediaTime(SpiceMsgMainMultiMediaTime),
    AgentTokens(SpiceMsgMainAgentTokens),
}

impl Known {
    fn decode(mixed: &MixedFrame) -> Option<Self> {
        let mut body = Cursor::new(&mixed.frame.body[..]);
        match (mixed.channel, mixed.from_server, mixed.frame.header.number) {
            (ChannelType::DISPLAY, true, 123) => SpiceStreamData::read(&mut body).ok().map(Self::StreamData),
            (ChannelType::MAIN, true, 106) => SpiceMsgMainMultiMediaTime::read(&mut body)
                .ok()
                .map(Self::MultiMediaTime),
            (ChannelType::MAIN, true, 110) => SpiceMsgMainAgentTokens::read(&mut body).ok().map(Self::AgentTokens),
            _ => None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        match self {
            Self::StreamData(message) => message.write(&mut out),
            Self::MultiMediaTime(message) => message.write(&mut out),
            Self::AgentTokens(message) => message.write(&mut out),
        }
        .expect("memory takes all");
        out.into_inner()
    }
}

pub fn contests() -> Vec<Contest> {
    samples().into_iter().map(contest).collect()
}

fn contest(Sample { name, frames }: Sample) -> Contest {
    let all = frames.len();
    let frames: Rc<[MixedFrame]> = frames
        .into_iter()
        .filter(|mixed| Known::decode(mixed).is_some())
        .inspect(|mixed| assert_eq!(Known::decode(mixed).expect("read before").encode(), mixed.frame.body))
        .collect();
    let each = |look: fn(&MixedFrame)| {
        let frames = Rc::clone(&frames);
        run(move || frames.iter().for_each(look))
    };
    Contest {
        operation: "SPICE message decoded, three kinds of main and display",
        sample: format!(
            "{name}: {} of {all} messages, whose layout spice-client has",
            frames.len()
        ),
        bytes: bodies(&frames),
        count: frames.len() as u32,
        unit: "message",
        ours: each(|mixed| {
            keep(
                ServerMessage::decode(mixed.channel, &mixed.frame)
                    .as_ref()
                    .expect("read before"),
            )
        }),
        limit: None,
        peers: vec![
            Peer::new(SPICE_CLIENT, each(|mixed| keep(&Known::decode(mixed)))),
            Peer::new(SHAKENFIST, each(|mixed| keep(&Message::decode(mixed)))),
        ],
    }
}
