//! The drivers of the link stage over slow lines.

use std::time::Duration;

use bytes::Buf as _;
use proptest::prelude::*;
use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link::relay::{RelayQuestion, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, HandshakeError, Machine, RelayConfig, RelayLink, Secret, ServerLink, SideBuffers, Stage,
};
use spice_proto::{Clock, Driven, Limits, drive, drive_relay};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::streams::{Inner, Pace, Stream, line, receive, send};
use super::{CAPACITIES, INNERS, LONG, runtime};
use crate::link_values::random_bytes;
use crate::pair::{TICKET, TOKEN, client, key, open, request};

const MAIN: ChannelType = ChannelType::MAIN;

/// A machine that says so much at once, wants to hear so much, and does not wait for the one to do the other.
struct Bulk {
    /// It asks before it listens.
    asks: bool,
    say: Vec<u8>,
    hear: usize,
    heard: Vec<u8>,
}

impl Bulk {
    fn new(seed: u64, say: usize, hear: usize) -> Self {
        Self {
            asks: false,
            say: random_bytes(seed, say),
            hear,
            heard: Vec::new(),
        }
    }
}

impl Machine for Bulk {
    type Question = ();
    type Outcome = ();

    fn step(&mut self, _: Duration, buffers: &mut Buffers) -> Result<Action<(), ()>, HandshakeError> {
        buffers.tx.extend_from_slice(&self.say.split_off(0));
        if std::mem::take(&mut self.asks) {
            return Ok(Action::Ask(()));
        }
        self.heard.extend_from_slice(&buffers.rx);
        buffers.rx.advance(buffers.rx.len());
        Ok(match self.hear.saturating_sub(self.heard.len()) {
            0 => Action::Done(()),
            at_least => Action::Receive { at_least },
        })
    }

    fn deadline(&self) -> Duration {
        LONG
    }

    fn eof(&mut self) -> Result<(), HandshakeError> {
        Err(HandshakeError::Closed(Stage::LinkMess))
    }

    fn max_input(&self) -> usize {
        4096
    }
}

/// Bytes through [`drive`], in both directions at once; the other end at its own pace.
async fn bulk(capacity: usize, inner: Inner, volume: usize, reads: Pace, writes: Pace) {
    let (mut near, far) = line(capacity, inner);
    let (mut machine, mut buffers) = (Bulk::new(1, volume, volume), Buffers::default());
    let (expected, back) = (machine.say.clone(), random_bytes(2, volume));
    let (read, write) = tokio::io::split(far);
    let other = async {
        tokio::join!(receive(read, volume, reads), send(write, &back, writes))
            .0
            .0
    };
    let (driven, got) = tokio::join!(drive(&mut machine, &mut buffers, &mut near, Clock::start()), other);
    assert_eq!(driven.unwrap(), Driven::Done(()));
    assert!(got == expected && machine.heard == back);
}

/// Neither side waits for the other to read before it reads itself.
#[tokio::test(start_paused = true)]
async fn a_machine_is_heard_and_spoken_to_at_once() {
    let paces = [Pace::FAST, Pace::new(700, 5)];
    for capacity in CAPACITIES {
        let volume = if capacity == 1 { 5000 } else { 60_000 };
        for inner in INNERS {
            for (reads, writes) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                timeout(LONG, bulk(capacity, inner, volume, paces[reads], paces[writes]))
                    .await
                    .unwrap_or_else(|_| panic!("{capacity} {inner:?} {reads} {writes}"));
            }
        }
    }
    // Two drivers at both ends.
    let (mut near, mut far) = line(1, Inner::Flushed(1));
    let (mut one, mut other) = (Bulk::new(1, 9000, 9000), Bulk::new(2, 9000, 9000));
    let (mut here, mut there) = (Buffers::default(), Buffers::default());
    let both = async {
        tokio::join!(
            drive(&mut one, &mut here, &mut near, Clock::start()),
            drive(&mut other, &mut there, &mut far, Clock::start())
        )
    };
    let (a, b) = timeout(LONG, both).await.unwrap();
    assert_eq!((a.unwrap(), b.unwrap()), (Driven::Done(()), Driven::Done(())));
}

/// What is said before a question reaches a peer that does not read before it has written, and nothing of that is lost.
#[tokio::test(start_paused = true)]
async fn a_question_behind_many_words() {
    for inner in INNERS {
        let (mut near, mut far) = line(100, inner);
        let (mut machine, mut buffers) = (Bulk::new(1, 5000, 3000), Buffers::default());
        machine.asks = true;
        let expected = machine.say.clone();
        let other = async {
            send(&mut far, &[7; 3000], Pace::FAST).await;
            receive(&mut far, 5000, Pace::FAST).await.0
        };
        let driven = async {
            let asked = drive(&mut machine, &mut buffers, &mut near, Clock::start()).await;
            assert_eq!(asked.unwrap(), Driven::Ask(()), "{inner:?}");
            let driven = drive(&mut machine, &mut buffers, &mut near, Clock::start()).await;
            assert_eq!(driven.unwrap(), Driven::Done(()), "{inner:?}");
        };
        let both = timeout(Duration::from_secs(10), async { tokio::join!(other, driven) });
        let (got, ()) = both.await.unwrap_or_else(|_| panic!("{inner:?}"));
        assert!(got == expected && machine.heard == [7; 3000]);
    }
}

/// A driver that is dropped in the middle and called again loses nothing, and flushes what it had written.
#[tokio::test(start_paused = true)]
async fn a_driver_can_be_dropped_and_called_again() {
    for inner in INNERS {
        let (mut near, far) = line(100, inner);
        let (mut machine, mut buffers) = (Bulk::new(1, 30_000, 30_000), Buffers::default());
        let (expected, back) = (machine.say.clone(), random_bytes(2, 30_000));
        let (read, write) = tokio::io::split(far);
        let pace = Pace::new(300, 10);
        let other = async { tokio::join!(receive(read, 30_000, pace), send(write, &back, pace)).0.0 };
        let clock = Clock::start();
        let driven = async {
            let piece = Duration::from_millis(7);
            while timeout(piece, drive(&mut machine, &mut buffers, &mut near, clock))
                .await
                .is_err()
            {}
        };
        let ((), got) = timeout(LONG, async { tokio::join!(driven, other) }).await.unwrap();
        assert!(got == expected && machine.heard == back, "{inner:?}");
    }
}

/// The server's half of a link, whose answers take so long.
pub(super) async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    password: &[u8],
    delay: Duration,
) -> Buffers {
    let clock = Clock::start();
    let limits = Limits::default().with_link_timeout(LONG);
    let (mut machine, mut buffers) = (ServerLink::new(clock.now(), limits), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await.unwrap() {
            Driven::Ask(ServerQuestion::Link(request)) => {
                sleep(delay).await;
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities: Capabilities::spice_server(request.channel_type),
                };
                machine.announce(&mut buffers, shown).unwrap();
            }
            Driven::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                sleep(delay).await;
                assert_eq!(open(&sealed).as_deref(), Some(password));
                machine.accept(&mut buffers).unwrap();
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(_) => return buffers,
        }
    }
}

/// A relayed link: viewer, relay, hypervisor.
async fn relayed(capacity: [usize; 2], inner: [Inner; 2], delay: Duration) {
    let (mut tenant, mut viewer) = line(capacity[0], inner[0]);
    let (near, far) = line(capacity[1], inner[1]);
    let (clock, limits) = (Clock::start(), Limits::default().with_link_timeout(LONG));
    let mut relay = RelayLink::new(clock.now(), RelayConfig::default().with_limits(limits.clone()));
    let (mut sides, mut near, mut hypervisor) = (SideBuffers::default(), Some(near), None::<Stream>);
    let relayed = async {
        loop {
            match drive_relay(&mut relay, &mut sides, &mut tenant, hypervisor.as_mut(), clock)
                .await
                .unwrap()
            {
                Driven::Ask(RelayQuestion::Tenant(ServerQuestion::Link(request))) => {
                    sleep(delay).await;
                    let shown = Announcement {
                        public_key: key().public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    relay.tenant().announce(&mut sides.tenant, shown).unwrap();
                }
                Driven::Ask(RelayQuestion::Tenant(ServerQuestion::Ticket { sealed, .. })) => {
                    sleep(delay).await;
                    assert_eq!(open(&sealed).as_deref(), Some(TOKEN));
                    hypervisor = near.take();
                    let upstream = Upstream {
                        ticket: Secret::new(TICKET),
                        oaep_seed: [4; 20],
                    };
                    relay.admit(&mut sides, upstream).unwrap();
                }
                Driven::Ask(question) => panic!("{question:?}"),
                Driven::Done(_) => return,
            }
        }
    };
    let linked = async {
        let (mut machine, mut buffers) = (client(request(MAIN, 0xb, 0xf), TOKEN), Buffers::default());
        let linked = drive(&mut machine, &mut buffers, &mut viewer, Clock::start()).await;
        assert!(matches!(linked.unwrap(), Driven::Done(_)));
    };
    tokio::join!(relayed, linked, serve(far, TICKET, delay));
}

#[tokio::test(start_paused = true)]
async fn a_link_over_any_line() {
    for capacity in CAPACITIES {
        for inner in INNERS {
            for delay in [Duration::ZERO, Duration::from_millis(900)] {
                let plain = Inner::Nothing;
                for (capacities, inners) in [
                    ([capacity, 10_000], [inner, plain]),
                    ([10_000, capacity], [plain, inner]),
                    ([capacity; 2], [inner; 2]),
                ] {
                    timeout(LONG, relayed(capacities, inners, delay))
                        .await
                        .unwrap_or_else(|_| panic!("{capacities:?} {inners:?}"));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_pace(
        capacity in 1_usize..3000,
        inner in super::inners(),
        (read, write) in (1_usize..3000, 1_usize..3000),
        (read_rest, write_rest) in (0_u64..40, 0_u64..40),
        volume in 1_usize..30_000,
    ) {
        let (reads, writes) = (Pace::new(read, read_rest), Pace::new(write, write_rest));
        let done = runtime().block_on(async { timeout(LONG, bulk(capacity, inner, volume, reads, writes)).await });
        prop_assert!(done.is_ok());
    }
}
