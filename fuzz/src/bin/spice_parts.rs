#![cfg_attr(fuzzing, no_main)]
//! What belongs to no one message of SPICE: acknowledgements, capabilities, and asking a server which guest it has.
//!
//! ```text
//! | what u8 | ... |                                                             what modulo 3:
//! 0 acknowledgements: | steps, each: 0 to 2 the server sends, 3 the client hears, 4 the server hears, 5 another window u8 |
//! 1 capabilities: | channel u8 | number of common words u8 | words u32 each |
//! 2 identity: | capacity u8 | piece u8 | bits u8 | what a server says |
//! ```
//!
//! The laws: a server never has more than twice its window unacknowledged, and never stops for ever while its client hears and
//! answers; a capability is there exactly if its bit is, under its name; whatever a server says, it is left in time.
//!
//! Not searched in CI: see LAWS.md.

use std::collections::VecDeque;
use std::time::Duration;

use fuzz::Input;
use fuzz::shown::{logged, shown};
use spice_proto::caps::{Capabilities, CapabilitySet, CapabilityWords, name, names};
use spice_proto::frame::{AckCounter, AckWindow, Acknowledge};
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkMess, Secret, relay::Upstream};
use spice_proto::{Limits, agent, identify};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::time::{Instant, timeout};

fuzz::target!(check);

const STEPS: usize = 2000;

/// On its way from the server.
enum Message {
    SetAck(u32, u32),
    Other,
}

/// On its way back.
enum Answer {
    Sync(u32),
    Ack,
}

#[derive(Default)]
struct Flow {
    server: AckWindow,
    client: AckCounter,
    to_client: VecDeque<Message>,
    to_server: VecDeque<Answer>,
    sent: u64,
    heard: u64,
}

impl Flow {
    fn sends(&mut self) {
        if self.server.may_send() {
            self.server.sent();
            self.sent += 1;
            self.to_client.push_back(Message::Other);
        }
    }

    fn hears(&mut self) {
        let Some(message) = self.to_client.pop_front() else {
            return;
        };
        self.heard += 1;
        if self.client.received() == Acknowledge::Ack {
            self.to_server.push_back(Answer::Ack);
        }
        if let Message::SetAck(generation, window) = message {
            self.client.set(window);
            self.to_server.push_back(Answer::Sync(generation));
        }
        assert_eq!(self.client.serial(), self.heard);
    }

    fn answered(&mut self) {
        match self.to_server.pop_front() {
            Some(Answer::Sync(generation)) => self.server.ack_sync(generation),
            Some(Answer::Ack) => self.server.ack(),
            None => {}
        }
    }

    fn other_window(&mut self, window: u32) {
        let generation = self.server.set(window);
        self.sent += 1;
        self.to_client.push_back(Message::SetAck(generation, window));
    }
}

fn flow(mut input: Input<'_>) {
    let mut flow = Flow::default();
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        match input.byte() % 6 {
            0..=2 => flow.sends(),
            3 => flow.hears(),
            4 => flow.answered(),
            _ => flow.other_window(u32::from(input.byte())),
        }
    }
    // The client hears all and its answers come: then there is room.
    while !flow.to_client.is_empty() || !flow.to_server.is_empty() {
        flow.hears();
        flow.answered();
    }
    assert!(flow.server.may_send() && flow.heard == flow.sent);
    for _ in 0..600 {
        let before = flow.sent;
        flow.sends();
        assert_eq!(flow.sent, before + 1, "it stops for ever");
        flow.hears();
        flow.answered();
    }
}

fn capabilities(mut input: Input<'_>) {
    let (channel, common) = (ChannelType(input.byte()), usize::from(input.byte() % 8));
    let words: Vec<u32> = input
        .rest()
        .chunks_exact(4)
        .take(16)
        .map(|word| u32::from_le_bytes(word.try_into().expect("4 bytes")))
        .collect();
    let (common, own) = words.split_at(common.min(words.len()));
    let capabilities = Capabilities {
        common: common.iter().copied().collect(),
        channel: own.iter().copied().collect(),
    };
    shown(&capabilities, 4 * words.len());
    assert!(agent::caps::names(&capabilities.channel).len() <= 32 * own.len());
    let request = LinkMess {
        connection_id: 0,
        channel_type: channel,
        channel_id: 0,
        capabilities: capabilities.clone(),
    };
    shown(&request, 4 * words.len());
    logged(&capabilities, 4 * words.len());
    for (set, caps, words) in [
        (CapabilitySet::Common, &capabilities.common, common),
        (CapabilitySet::Channel, &capabilities.channel, own),
    ] {
        let bits: Vec<u32> = caps.bits().collect();
        let expected = (0..32 * words.len() as u32).filter(|bit| words[(bit / 32) as usize] >> (bit % 32) & 1 == 1);
        assert!(expected.eq(bits.iter().copied()));
        assert!(bits.iter().all(|bit| caps.has(*bit)));
        // Words of zeros at the end are the sender's.
        assert!(CapabilityWords::of(&bits).bits().eq(bits.iter().copied()));
        let named = names(set, channel, caps);
        let known: Vec<_> = bits.iter().filter_map(|bit| name(set, channel, *bit)).collect();
        assert!(named.len() == known.len() || named.len() == known.len() + 1 && bits.len() > known.len());
        assert!(known.iter().zip(&named).all(|(known, named)| known == named));
        for bit in bits.iter().take(4) {
            let (with, without) = (caps.clone().with(*bit), caps.clone().without(*bit));
            assert!(with == *caps && !without.has(*bit) && without.with(*bit) == *caps);
        }
        assert_eq!(caps.and(caps), *caps);
    }
    let server = Capabilities::spice_server(channel);
    let kept = capabilities.kept_by(&server);
    assert!(kept.channel.bits().all(|bit| kept.has(bit)));
    for bit in kept.common.bits() {
        assert!(
            capabilities.has_common(bit) && kept.has_common(bit),
            "nothing is made up"
        );
    }
}

fn identity(mut input: Input<'_>) {
    let (capacity, piece, bits) = (
        usize::from(input.byte()) + 1,
        usize::from(input.byte()).max(1),
        input.byte(),
    );
    let says = &input.rest()[..input.rest().len().min(4096)];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let run = async {
        let (near, far) = duplex(capacity);
        let upstream = Upstream {
            ticket: Secret::new(b"ticket"),
            oaep_seed: [1; 20],
        };
        let (limits, patience) = (Limits::default().with_frame_body(1024), Duration::from_secs(3));
        let (mut read, mut write) = split(far);
        let server = async {
            for piece in says.chunks(piece) {
                if write.write_all(piece).await.is_err() {
                    return;
                }
            }
            if bits & 1 == 0 {
                let _ = write.shutdown().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        let hears = async {
            let mut heard = Vec::new();
            let _ = read.read_to_end(&mut heard).await;
            heard
        };
        let began = Instant::now();
        let said = tokio::select! {
            said = identify(near, upstream, &limits, patience) => said,
            _ = async { tokio::join!(server, hears) } => unreachable!("it hears until the end"),
        };
        assert!(began.elapsed() <= patience, "{:?}", began.elapsed());
        match said {
            Ok(said) => {
                logged(&said, says.len());
                assert!(said.name.is_none_or(|name| name.len() <= says.len()));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    };
    runtime.block_on(async {
        timeout(Duration::from_secs(3600), run)
            .await
            .expect("it waits for ever")
    });
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => flow(input),
        1 => capabilities(input),
        _ => identity(input),
    }
}
