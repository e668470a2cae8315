//! Moves that real programs made, without a proxy between them: one that would have been there has nothing against
//! what they said, and places their connections where they went.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use spice_proto::ids::ChannelType;
use spice_proto::link::Sender;
use spice_proto::link::Side;
use spice_proto::session::migration::{Answer, ConnectionHandle, Effect, Migration, Pass};
use spice_proto::session::{Host, TargetAccess};

use super::{TOKEN, World, holds};

/// What the hypervisors were called.
const SECRETS: [&[u8]; 4] = [
    b"127.0.0.1",
    b"Test Bed",
    &5933_u16.to_le_bytes(),
    &5934_u16.to_le_bytes(),
];

#[derive(Default)]
struct Run {
    phases: Vec<TargetAccess>,
    told: usize,
    messages: usize,
    targets: usize,
}

/// A message that waits because its connection is not read.
type Waiting = VecDeque<(u16, Vec<u8>)>;

struct Replay {
    world: World,
    seats: BTreeMap<u32, ConnectionHandle>,
    waiting: BTreeMap<u32, Waiting>,
    run: Run,
}

impl Replay {
    fn server(&mut self, connection: u32, number: u16, body: &[u8]) {
        let seat = self.seats[&connection];
        self.run.messages += 1;
        match self.world.server(seat, number, body) {
            Pass::Forward | Pass::Bind(_) => {}
            Pass::Ask(target) => {
                assert_eq!(&target.host[..], b"127.0.0.1");
                let told = self.world.accept();
                assert!(SECRETS.iter().all(|secret| !holds(&told, secret)), "{told:?}");
                self.run.told += 1;
            }
            other => panic!("{connection}: {number}: {other:?}"),
        }
    }

    /// What may be read is read.
    fn read(&mut self) {
        loop {
            let ready = self.waiting.iter_mut().find_map(|(connection, waiting)| {
                let seat = *self.seats.get(connection)?;
                let reads = self.world.migration.reads(&self.world.tracker, seat);
                let (number, body) = if reads { waiting.pop_front()? } else { return None };
                Some((*connection, number, body))
            });
            let Some((connection, number, body)) = ready else {
                return;
            };
            self.server(connection, number, &body);
        }
    }

    fn event(&mut self, line: &str) {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_default();
        self.world.now = Duration::from_micros(word().parse().unwrap());
        let (what, connection) = (word(), word().parse().unwrap());
        // What still comes on a connection that is closed here.
        if what != "open" && !self.seats.contains_key(&connection) {
            return;
        }
        match what {
            "open" => {
                let id = u32::from_str_radix(word().trim_start_matches("0x"), 16).unwrap();
                let channel = (word().parse().unwrap(), word().parse().unwrap());
                let (seat, admission) = self.world.open(id, channel).unwrap();
                // Where it went without a proxy.
                assert_eq!(admission.host == Host(0), word() == "src", "{line}");
                self.run.targets += usize::from(admission.host != Host(0));
                self.seats.insert(connection, seat);
            }
            "linked" => {
                assert_eq!(word(), "0");
                assert_eq!(self.world.dial(self.seats[&connection], true), Answer::Accept, "{line}");
            }
            "s2c" => {
                let number = word().parse().unwrap();
                self.waiting
                    .entry(connection)
                    .or_default()
                    .push_back((number, bytes(word())));
            }
            "c2s" => {
                self.run.messages += 1;
                let (number, body) = (word().parse().unwrap(), bytes(word()));
                let pass = self.world.client(self.seats[&connection], number, &body);
                assert_eq!(pass, Pass::Forward, "{line}");
            }
            "close" => {
                let side = if word() == "client" {
                    Side::Tenant
                } else {
                    Side::Hypervisor
                };
                if let Some(seat) = self.seats.get(&connection) {
                    self.world.lost(*seat, side);
                }
            }
            other => panic!("{other}"),
        }
        self.read();
        let phase = self.world.phase().unwrap_or(TargetAccess::NoTarget);
        if self.run.phases.last() != Some(&phase) {
            self.run.phases.push(phase);
        }
        while let Some(effect) = self.world.migration.poll_effect() {
            // What the viewer of a recording did not close is closed here.
            if let Effect::Close(seat) = effect {
                self.world.lost(seat, Side::Tenant);
                self.seats.retain(|_, other| *other != seat);
            }
        }
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(hex).unwrap()
}

fn replay(text: &str) -> (Run, World) {
    let mut replay = Replay {
        world: World::new(),
        seats: BTreeMap::new(),
        waiting: BTreeMap::new(),
        run: Run::default(),
    };
    // Up to the end of the viewer.
    for line in text.lines() {
        replay.event(line);
        if replay.world.tracker.target_access(TOKEN).is_none() {
            break;
        }
    }
    (replay.run, replay.world)
}

#[test]
fn real_moves_go_through() {
    use TargetAccess::{
        AllChannels as Opening, Closed as Connected, MainOnly as Told, NewSession as Switch, NoTarget as Idle,
    };
    let runs = [
        (
            "semi-seamless",
            include_str!("../../data/migrations/semi-seamless.txt"),
            vec![Idle, Told, Opening, Connected, Idle],
            Host(1),
        ),
        (
            "semi-seamless-tls-subject",
            include_str!("../../data/migrations/semi-seamless-tls-subject.txt"),
            vec![Idle, Told, Opening, Connected, Idle],
            Host(1),
        ),
        (
            "semi-seamless-race",
            include_str!("../../data/migrations/semi-seamless-race.txt"),
            vec![Idle, Told, Opening, Switch, Idle],
            Host(2),
        ),
        (
            "semi-seamless-tls-port-omitted",
            include_str!("../../data/migrations/semi-seamless-tls-port-omitted.txt"),
            vec![Idle, Told, Idle, Switch, Idle],
            Host(2),
        ),
        (
            "switch-host",
            include_str!("../../data/migrations/switch-host.txt"),
            vec![Idle, Switch, Idle],
            Host(1),
        ),
    ];
    for (name, text, phases, host) in runs {
        let (run, world) = replay(text);
        println!(
            "{name}: {} messages, {} connections to targets, {:?}",
            run.messages, run.targets, run.phases
        );
        assert_eq!((run.phases, world.host()), (phases, host), "{name}");
        assert!(0 < run.told && 0 < run.targets, "{name}");
    }
}

/// What the replay shows is what a driver has to show.
#[test]
fn bodies_that_are_looked_at_are_few() {
    let watched = (0..=400).filter(|number| Migration::watches(ChannelType::DISPLAY, Sender::Server, *number));
    assert_eq!(watched.collect::<Vec<_>>(), [1, 2, 8]);
}
