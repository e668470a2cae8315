//! Half-open and open connections: which one gives way, and which one gets in beside a flood.

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
};
use std::collections::VecDeque;

use console_token::{AdmitError, ConnectionLimiter, ConnectionLimits, SlotId, Source};
use proptest::{collection::vec, prelude::*};

fn limits(half_open: u32, open: u32) -> ConnectionLimits {
    let number = |number| NonZeroU32::new(number).unwrap();
    ConnectionLimits::default()
        .with_half_open(number(half_open))
        .with_open(number(open))
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One of the strangers: 127.0.1.x.
fn stranger(number: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 1, number))
}

/// `rounds` times, each of these addresses opens a connection and stays silent.
fn flood(limiter: &mut ConnectionLimiter<()>, addresses: u8, rounds: usize) {
    for _ in 0..rounds {
        for number in 0..addresses {
            let _ = limiter.arrive(stranger(number), ());
        }
    }
}

#[test]
fn sources() {
    let source = |text| Source::of(address(text));
    assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    assert_eq!(source("64:ff9b::192.0.2.1"), source("192.0.2.1"));
    assert_ne!(source("64:ff9b::192.0.2.1"), source("64:ff9b::192.0.2.2"));
    assert_eq!(source("2001:db8::1"), source("2001:db8:0:0:ffff::1"));
    assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
    assert_ne!(source("::1"), source("0.0.0.0"), "their bits are the same");
    assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    assert_eq!(source("192.0.2.1").to_string(), "192.0.2.1");
    assert_eq!(source("2001:db8:0:1::1").to_string(), "2001:db8:0:1::/64");
    assert_eq!(source("::1").to_string(), "::/64");
}

#[test]
fn silent_connections_from_eight_addresses_lock_out_no_other() {
    let mut limiter = ConnectionLimiter::new(limits(256, 1000));
    flood(&mut limiter, 8, 32);
    assert_eq!(limiter.half_open(), 256);
    for user in 0..100 {
        let user = IpAddr::V4(Ipv4Addr::new(198, 51, 100, user));
        let arrival = limiter.arrive(user, ());
        // The flood goes on while the handshake runs.
        flood(&mut limiter, 8, 100);
        assert_eq!(limiter.half_open(), 256);
        assert_eq!(limiter.admit(arrival.slot), Ok(()), "{user}");
    }
    assert_eq!(limiter.open(), 100);
}

#[test]
fn silent_connections_of_one_address_lock_out_no_other() {
    let mut limiter = ConnectionLimiter::new(limits(32, 1000));
    flood(&mut limiter, 1, 32);
    let first = limiter.arrive(stranger(1), ());
    assert_eq!(limiter.half_open_from(stranger(0)), 31);
    flood(&mut limiter, 1, 1000);
    assert_eq!(limiter.admit(first.slot), Ok(()));
    // Somebody behind the same address gets in too, if he is faster than 32 newcomers from there.
    let same = limiter.arrive(stranger(0), ());
    flood(&mut limiter, 1, 31);
    assert_eq!(limiter.admit(same.slot), Ok(()));
}

/// 8 viewers of one address start at once, 9 links each, while 7 other addresses flood.
#[test]
fn viewers_behind_one_address_start_at_once() {
    let mut limiter = ConnectionLimiter::new(limits(256, 1000));
    flood(&mut limiter, 7, 100);
    let office = address("2001:db8::5");
    let mut links: Vec<SlotId> = Vec::new();
    for _ in 0..9 {
        let round: Vec<_> = (0..8).map(|_| limiter.arrive(office, ()).slot).collect();
        flood(&mut limiter, 7, 50);
        for link in &round {
            assert_eq!(limiter.admit(*link), Ok(()));
        }
        links.extend(round);
    }
    assert_eq!((limiter.open(), limiter.open_from(office)), (72, 72));
    // Their share at one moment is that of each of the others.
    let burst: Vec<_> = (0..32).map(|_| limiter.arrive(office, ()).slot).collect();
    flood(&mut limiter, 7, 50);
    assert!(burst.iter().all(|link| limiter.admit(*link) == Ok(())));
    for link in links.into_iter().chain(burst) {
        assert!(limiter.leave(link));
    }
    assert_eq!((limiter.open(), limiter.open_from(office)), (0, 0));
}

#[test]
fn the_oldest_of_the_heaviest_gives_way() {
    let (a, b, c) = (stranger(1), stranger(2), stranger(3));
    let mut limiter = ConnectionLimiter::new(limits(4, 4));
    let arrive = |limiter: &mut ConnectionLimiter<&'static str>, address, name| {
        let displaced = limiter.arrive(address, name).displaced;
        displaced.map(|displaced| (displaced.handle, displaced.source))
    };
    for (address, name) in [(a, "a1"), (b, "b1"), (b, "b2"), (a, "a2")] {
        assert_eq!(arrive(&mut limiter, address, name), None);
    }
    // Two are heaviest: the oldest of both goes.
    assert_eq!(arrive(&mut limiter, c, "c1"), Some(("a1", Source::of(a))));
    // Only b is.
    assert_eq!(arrive(&mut limiter, c, "c2"), Some(("b1", Source::of(b))));
    // c is the heaviest itself.
    assert_eq!(arrive(&mut limiter, c, "c3"), Some(("c1", Source::of(c))));
    // All others have one: what has more gives way to them.
    assert_eq!(arrive(&mut limiter, stranger(4), "d1"), Some(("c2", Source::of(c))));
    // All have one: the oldest of all, unless the newcomer has one himself.
    assert_eq!(arrive(&mut limiter, a, "a3"), Some(("a2", Source::of(a))));
    assert_eq!(arrive(&mut limiter, stranger(5), "e1"), Some(("b2", Source::of(b))));
    assert_eq!(limiter.half_open(), 4);
}

#[test]
fn open_connections_have_places_of_their_own() {
    let (one, two) = (stranger(1), stranger(2));
    let limits = limits(2, 3).with_open_per_source(NonZeroU32::new(2));
    let mut limiter = ConnectionLimiter::new(limits);
    let mut slots = Vec::new();
    for _ in 0..3 {
        let slot = limiter.arrive(one, ()).slot;
        slots.push((slot, limiter.admit(slot)));
    }
    let source_full = AdmitError::SourceFull {
        from: Source::of(one),
        limit: NonZeroU32::new(2).unwrap(),
    };
    assert_eq!(slots[2].1, Err(source_full));
    assert_eq!(
        source_full.to_string(),
        "127.0.1.1 has all the 2 open connections that one source may have"
    );
    assert_eq!(
        (limiter.half_open(), limiter.open()),
        (1, 2),
        "the refused one waits to be told"
    );
    let third = limiter.arrive(two, ()).slot;
    assert_eq!(limiter.admit(third), Ok(()));
    assert_eq!(limiter.admit(third), Ok(()), "it is open already");
    let fourth = limiter.arrive(two, ()).slot;
    let full = AdmitError::Full {
        limit: NonZeroU32::new(3).unwrap(),
    };
    assert_eq!(limiter.admit(fourth), Err(full));
    assert_eq!(full.to_string(), "all 3 places for open connections are taken");
    // A flood takes no place from open connections, and a connection that leaves makes room.
    flood(&mut limiter, 8, 10);
    assert!(limiter.leave(third));
    assert!(!limiter.leave(third), "once");
    assert_eq!(limiter.admit(third), Err(AdmitError::Displaced), "it has left");
    assert_eq!(limiter.admit(fourth), Err(AdmitError::Displaced));
    assert_eq!(
        AdmitError::Displaced.to_string(),
        "the connection has given way to another one"
    );
    let fifth = limiter.arrive(two, ()).slot;
    assert_eq!(limiter.admit(fifth), Ok(()));
    assert_eq!((limiter.open_from(one), limiter.open_from(two)), (2, 1));
}

#[test]
fn limits_can_change() {
    let mut limiter = ConnectionLimiter::new(limits(8, 8));
    flood(&mut limiter, 2, 4);
    limiter.set_limits(limits(2, 1));
    for _ in 0..9 {
        assert!(limiter.arrive(stranger(9), ()).displaced.is_some());
        assert_eq!(limiter.half_open(), 8, "it does not grow");
    }
    limiter.set_limits(limits(9, 1));
    assert!(limiter.arrive(stranger(9), ()).displaced.is_none());
}

/// 100,000 places that a flood fills and then contends for: a search through the table at each arrival would take
/// 5,000 million transitions.
#[test]
fn a_flood_is_cheap_and_bounded() {
    const PLACES: u32 = 100_000;
    let mut limiter = ConnectionLimiter::new(limits(PLACES, PLACES));
    let info = allocation_counter::measure(|| {
        for number in 0..PLACES + PLACES / 2 {
            // Half of them from sources of their own, the rest from three.
            let address = match number % 6 {
                0 | 2 | 4 => IpAddr::V6(Ipv6Addr::from_bits(u128::from(number) << 64)),
                other => stranger(u8::try_from(other).unwrap()),
            };
            let _ = limiter.arrive(address, [0_u64; 2]);
        }
    });
    assert_eq!(limiter.half_open(), 100_000);
    // A table, its index by source and by weight, half empty nodes and all.
    println!("{} bytes for each place", info.bytes_max / u64::from(PLACES));
    assert!(info.bytes_max < u64::from(PLACES) * 512, "{} bytes", info.bytes_max);
    drop(limiter);
}

/// The same by lists that are searched anew for each question.
#[derive(Default)]
struct Naive {
    half_open: VecDeque<(SlotId, Source)>,
    open: Vec<(SlotId, Source)>,
}

impl Naive {
    fn weight(&self, source: Source) -> usize {
        self.half_open.iter().filter(|entry| entry.1 == source).count()
    }

    fn gives_way(&self, newcomer: Source) -> usize {
        let heaviest = self.half_open.iter().map(|entry| self.weight(entry.1)).max().unwrap();
        let own = self.weight(newcomer) == heaviest;
        let candidate = |entry: &(SlotId, Source)| match own {
            true => entry.1 == newcomer,
            false => self.weight(entry.1) == heaviest,
        };
        self.half_open.iter().position(candidate).unwrap()
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Arrive(u8),
    Admit(prop::sample::Index),
    Leave(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_u8..5).prop_map(Op::Arrive),
        2 => any::<prop::sample::Index>().prop_map(Op::Admit),
        1 => any::<prop::sample::Index>().prop_map(Op::Leave),
    ]
}

proptest! {
    #[test]
    fn the_limiter_does_what_lists_do(
        half_open in 1_u32..8, open in 1_u32..8, per_source in proptest::option::of(1_u32..4), ops in vec(op(), 0..120),
    ) {
        let rules = limits(half_open, open).with_open_per_source(per_source.and_then(NonZeroU32::new));
        let (mut tested, mut naive, mut all) = (ConnectionLimiter::new(rules), Naive::default(), Vec::new());
        for op in ops {
            match op {
                Op::Arrive(number) => {
                    let source = Source::of(stranger(number));
                    let expected = (half_open as usize <= naive.half_open.len())
                        .then(|| naive.half_open.remove(naive.gives_way(source)).unwrap());
                    let arrival = tested.arrive(stranger(number), number);
                    let displaced = arrival.displaced.as_ref().map(|displaced| (displaced.slot, displaced.source));
                    prop_assert_eq!(displaced, expected);
                    if let Some(displaced) = arrival.displaced {
                        prop_assert_eq!(Source::of(stranger(displaced.handle)), displaced.source);
                    }
                    prop_assert!(!all.contains(&arrival.slot));
                    naive.half_open.push_back((arrival.slot, source));
                    all.push(arrival.slot);
                }
                Op::Admit(index) if !all.is_empty() => {
                    let slot = *index.get(&all);
                    let place = naive.half_open.iter().position(|entry| entry.0 == slot);
                    let is_open = naive.open.iter().any(|entry| entry.0 == slot);
                    let from = |source| naive.open.iter().filter(|entry| entry.1 == source).count();
                    let expected = match place {
                        _ if is_open => Ok(()),
                        None => Err(AdmitError::Displaced),
                        Some(_) if open as usize <= naive.open.len() => Err(AdmitError::Full { limit: rules.open }),
                        Some(place) => {
                            let from_source = from(naive.half_open[place].1);
                            match rules.open_per_source.filter(|limit| limit.get() as usize <= from_source) {
                                Some(limit) => Err(AdmitError::SourceFull { from: naive.half_open[place].1, limit }),
                                None => {
                                    naive.open.push(naive.half_open.remove(place).unwrap());
                                    Ok(())
                                }
                            }
                        }
                    };
                    prop_assert_eq!(tested.admit(slot), expected);
                }
                Op::Leave(index) if !all.is_empty() => {
                    let slot = *index.get(&all);
                    let before = naive.half_open.len() + naive.open.len();
                    naive.half_open.retain(|entry| entry.0 != slot);
                    naive.open.retain(|entry| entry.0 != slot);
                    prop_assert_eq!(tested.leave(slot), naive.half_open.len() + naive.open.len() < before);
                }
                Op::Admit(_) | Op::Leave(_) => {}
            }
            prop_assert_eq!((tested.half_open(), tested.open()), (naive.half_open.len(), naive.open.len()));
            for number in 0..5 {
                let source = Source::of(stranger(number));
                prop_assert_eq!(tested.half_open_from(stranger(number)), naive.weight(source));
                let open = naive.open.iter().filter(|entry| entry.1 == source).count();
                prop_assert_eq!(tested.open_from(stranger(number)), open);
            }
        }
    }
}
