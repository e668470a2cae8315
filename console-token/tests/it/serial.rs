//! Serial ports: ranges, the allocator, and how many a guest gets.

use std::collections::BTreeSet;

use console_token::serial::{
    DEFAULT_PORT_COUNT, PortAllocator, PortCountError, PortRange, PortRangeError, PortsExhausted, QEMU_PORT_LIMIT,
    port_count,
};
use expect_test::expect;
use proptest::prelude::*;

const HOST: &str = "192.0.2.7";

fn range(text: &str) -> PortRange {
    text.parse().unwrap()
}

fn any(_: &str, _: u16) -> bool {
    true
}

#[test]
fn the_second_number_is_exclusive() {
    assert_eq!(range("10000:20000"), PortRange::DEFAULT);
    assert_eq!(PortRange::default(), PortRange::DEFAULT);
    assert_eq!(PortRange::DEFAULT.ports().count(), 10_000);
    assert_eq!(range("7:8").ports().collect::<Vec<_>>(), [7]);
    assert_eq!(range("1:65536").ports().count(), 65_535);
    assert_eq!(range("65535:65536").ports().collect::<Vec<_>>(), [65_535]);
    assert_eq!(range("00007:0010").to_string(), "7:10");
    let ports = range("7:10");
    assert_eq!(
        [6, 7, 9, 10].map(|port| ports.contains(port)),
        [false, true, true, false]
    );
}

#[test]
fn what_is_no_range() {
    for text in [
        "", ":", "7", "7:", ":8", "7:8:9", " 7:8", "7:8 ", "7:8\n", "+7:8", "-7:8", "7-8", "7,8", "0x7:8", "٧:٨",
        "7.0:8",
    ] {
        assert_eq!(text.parse::<PortRange>(), Err(PortRangeError::Malformed), "{text:?}");
        assert_eq!(PortRange::or_default(text), Err(PortRangeError::Malformed), "{text:?}");
    }
    for text in ["8:8", "8:7", "0:0", "65536:65536", "99999999999999999999:5"] {
        assert_eq!(text.parse::<PortRange>(), Err(PortRangeError::Empty), "{text:?}");
        assert_eq!(PortRange::or_default(text), Ok(PortRange::DEFAULT), "{text:?}");
    }
    for text in [
        "0:1",
        "0:70000",
        "7:65537",
        "65536:65537",
        "7:4294967295",
        "7:4294967296",
        "7:99999999999999999999",
        "99999999999999999998:99999999999999999999",
    ] {
        assert_eq!(text.parse::<PortRange>(), Err(PortRangeError::NotPorts), "{text:?}");
        assert_eq!(PortRange::or_default(text), Err(PortRangeError::NotPorts), "{text:?}");
    }
    assert_eq!(PortRange::or_default("7:9"), Ok(range("7:9")));
    for (start, stop) in [
        (0, u32::MAX),
        (u32::MAX, u32::MAX),
        (u32::MAX - 1, u32::MAX),
        (u32::MAX, 0),
    ] {
        assert!(PortRange::new(start, stop).is_err());
    }
}

#[test]
fn first_free_port_first() {
    let mut ports = PortAllocator::new(range("10:13"));
    assert_eq!(ports.acquire(HOST, any), Ok(10));
    assert_eq!(ports.acquire(HOST, any), Ok(11));
    assert_eq!(ports.acquire("192.0.2.8", any), Ok(10), "each address has its own");
    assert!(ports.release(HOST, 10));
    assert!(!ports.release(HOST, 10), "a release can be repeated");
    assert!(!ports.release("192.0.2.9", 10));
    assert_eq!(ports.acquire(HOST, any), Ok(10));
    assert_eq!(ports.acquire(HOST, any), Ok(12));
    let exhausted = PortsExhausted { range: range("10:13") };
    assert_eq!(ports.acquire(HOST, any), Err(exhausted));
    assert_eq!(exhausted.to_string(), "no free port in 10:13");
    assert_eq!(
        ports.taken().collect::<Vec<_>>(),
        [(HOST, 10), (HOST, 11), (HOST, 12), ("192.0.2.8", 10)]
    );
}

/// The test is not called for ports that are taken, and what it refuses is not remembered.
#[test]
fn the_callers_test_decides() {
    let mut ports = PortAllocator::new(range("10:14"));
    ports.reserve(HOST, 10);
    let mut asked = Vec::new();
    let port = ports.acquire(HOST, |address, port| {
        asked.push((address.to_owned(), port));
        port == 12
    });
    assert_eq!(port, Ok(12));
    assert_eq!(asked, [11, 12].map(|port| (HOST.to_owned(), port)));
    assert!(ports.acquire(HOST, |_, _| false).is_err());
    assert_eq!(ports.acquire(HOST, any), Ok(11));
}

/// Guests that run already, migrations, and a range that was changed in the configuration.
#[test]
fn ports_from_elsewhere() {
    let mut ports = PortAllocator::new(range("10:12"));
    assert!(ports.reserve(HOST, 10));
    assert!(!ports.reserve(HOST, 10));
    assert!(ports.reserve(HOST, 40_000), "outside of the range");
    assert_eq!(ports.acquire(HOST, any), Ok(11));
    ports.set_range(range("40000:40002"));
    assert_eq!(ports.range(), range("40000:40002"));
    assert_eq!(ports.acquire(HOST, any), Ok(40_001));
    assert!(ports.is_taken(HOST, 10) && ports.release(HOST, 10) && !ports.is_taken(HOST, 10));
}

#[cfg(feature = "serde")]
#[test]
fn a_restart_forgets_nothing() {
    let mut ports = PortAllocator::new(range("10:13"));
    ports.acquire(HOST, any).unwrap();
    ports.acquire("::1", any).unwrap();
    ports.reserve(HOST, 40_000);
    let kept = serde_json::to_string(&ports).unwrap();
    expect![[r#"{"range":"10:13","taken":{"192.0.2.7":[10,40000],"::1":[10]}}"#]].assert_eq(&kept);
    let mut again: PortAllocator = serde_json::from_str(&kept).unwrap();
    assert_eq!(again, ports);
    assert_eq!(again.acquire(HOST, any), Ok(11));

    for broken in [
        "",
        "{}",
        r#"{"range":"10:13"}"#,
        r#"{"range":"13:10","taken":{}}"#,
        r#"{"range":"10:13","taken":{"h":[65536]}}"#,
        r#"{"range":"10:13","taken":{"h":[-1]}}"#,
        r#"{"range":"10:13","taken":{"h":[1.0]}}"#,
        r#"{"range":"10:13","taken":[]}"#,
        r#"{"range":[10,13],"taken":{}}"#,
        r#"{"range":"10:13","taken":{},"more":1}"#,
    ] {
        assert!(serde_json::from_str::<PortAllocator>(broken).is_err(), "{broken}");
    }
}

/// `hw:serial_port_count` and `hw_serial_port_count`, as the docstring of Nova's `get_number_of_serial_ports` has
/// them, and as its code treats what that leaves open.
#[test]
fn nova_port_counts() {
    for (flavor, image, expected) in [
        (None, None, Ok(DEFAULT_PORT_COUNT)),
        (Some("4"), None, Ok(4)),
        (Some("4"), Some("2"), Ok(2)),
        (Some("4"), Some("4"), Ok(4)),
        (None, Some("6"), Ok(6)),
        (
            Some("4"),
            Some("6"),
            Err(PortCountError::AboveFlavor { image: 6, flavor: 4 }),
        ),
        (Some("0"), None, Ok(1)),
        (Some("0"), Some("6"), Ok(6)),
        (Some("4"), Some("0"), Ok(4)),
        (Some(""), Some("2"), Ok(2)),
        (Some(" 4 "), Some("\t3\n"), Ok(3)),
        (Some("four"), None, Err(PortCountError::Flavor)),
        (Some("-1"), None, Err(PortCountError::Flavor)),
        (Some("1.0"), None, Err(PortCountError::Flavor)),
        (Some("1_0"), None, Err(PortCountError::Flavor)),
        (Some(" "), None, Err(PortCountError::Flavor)),
        (None, Some(""), Err(PortCountError::Image)),
        (None, Some("-1"), Err(PortCountError::Image)),
        (Some("x"), Some("x"), Err(PortCountError::Flavor)),
        (Some("4294967295"), None, Ok(u32::MAX)),
        (Some("4294967296"), None, Err(PortCountError::Flavor)),
        (Some("1"), Some("18446744073709551617"), Err(PortCountError::Image)),
    ] {
        assert_eq!(port_count(flavor, image, None), expected, "{flavor:?} {image:?}");
    }
    for (count, expected) in [
        ("3", Ok(3)),
        ("4", Err(PortCountError::AboveLimit { count: 4, limit: 3 })),
    ] {
        assert_eq!(port_count(Some(count), None, Some(QEMU_PORT_LIMIT)), expected);
        assert_eq!(port_count(None, Some(count), Some(QEMU_PORT_LIMIT)), expected);
    }
    assert_eq!(port_count(Some("9"), Some("3"), Some(QEMU_PORT_LIMIT)), Ok(3));
}

#[test]
fn texts() {
    let texts = [
        PortRangeError::Malformed.to_string(),
        PortRangeError::Empty.to_string(),
        PortRangeError::NotPorts.to_string(),
        PortCountError::Flavor.to_string(),
        PortCountError::Image.to_string(),
        PortCountError::AboveFlavor { image: 6, flavor: 4 }.to_string(),
        PortCountError::AboveLimit { count: 4, limit: 3 }.to_string(),
    ];
    expect![[r#"
        not in the form of "10000:20000"
        the range has no ports
        the range goes beyond the ports 1 to 65535
        hw:serial_port_count of the flavor is not a number
        hw_serial_port_count of the image is not a number
        the image wants 6 serial ports, the flavor gives 4
        4 serial ports are more than the hypervisor's 3"#]]
    .assert_eq(&texts.join("\n"));
}

/// What can be done to an allocator.
#[derive(Debug, Clone)]
enum Transition {
    /// With the ports that somebody else has bound.
    Acquire(usize, BTreeSet<u16>),
    Reserve(usize, u16),
    Release(usize, u16),
    SetRange(u16, u16),
    Restart,
}

fn transition() -> impl Strategy<Value = Transition> {
    let port = 1_u16..12;
    prop_oneof![
        4 => (0..2_usize, proptest::collection::btree_set(port.clone(), 0..4)).prop_map(|(at, bound)| Transition::Acquire(at, bound)),
        1 => (0..2_usize, port.clone()).prop_map(|(at, port)| Transition::Reserve(at, port)),
        2 => (0..2_usize, port.clone()).prop_map(|(at, port)| Transition::Release(at, port)),
        1 => (port, 1_u16..6).prop_map(|(start, count)| Transition::SetRange(start, count)),
        1 => Just(Transition::Restart),
    ]
}

proptest! {
    /// Against Nova's own way: a set of pairs, and a loop over the range.
    #[test]
    fn as_the_naive_model(transitions in proptest::collection::vec(transition(), 0..60)) {
        const HOSTS: [&str; 2] = ["192.0.2.7", "::1"];
        let mut ports = PortAllocator::new(range("1:6"));
        let mut bounds = 1..6;
        let mut model: BTreeSet<(&str, u16)> = BTreeSet::new();
        for transition in transitions {
            match transition {
                Transition::Acquire(at, bound) => {
                    let host = HOSTS[at];
                    let expected = bounds.clone().find(|port| !model.contains(&(host, *port)) && !bound.contains(port));
                    model.extend(expected.map(|port| (host, port)));
                    prop_assert_eq!(ports.acquire(host, |_, port| !bound.contains(&port)).ok(), expected);
                }
                Transition::Reserve(at, port) => {
                    prop_assert_eq!(ports.reserve(HOSTS[at], port), model.insert((HOSTS[at], port)));
                }
                Transition::Release(at, port) => {
                    prop_assert_eq!(ports.release(HOSTS[at], port), model.remove(&(HOSTS[at], port)));
                }
                Transition::SetRange(start, count) => {
                    bounds = start..start + count;
                    ports.set_range(PortRange::new(start.into(), (start + count).into()).unwrap());
                }
                Transition::Restart => {
                    #[cfg(feature = "serde")]
                    {
                        let kept = serde_json::to_vec(&ports).unwrap();
                        ports = serde_json::from_slice(&kept).unwrap();
                    }
                }
            }
            prop_assert_eq!(ports.taken().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            for (host, port) in &model {
                prop_assert!(ports.is_taken(host, *port));
            }
        }
    }

    #[test]
    fn ranges_round_trip(start in 1_u32..65_536, count in 1_u32..65_536) {
        let stop = (start + count).min(65_536);
        let made = PortRange::new(start, stop).unwrap();
        prop_assert_eq!(made.to_string().parse(), Ok(made));
        prop_assert_eq!(u32::try_from(made.ports().count()), Ok(stop - start));
    }

    #[test]
    fn any_text(range in r"\PC{0,12}|[0-9]{0,22}:[0-9]{0,22}", flavor in r"\PC{0,6}|[0-9]{0,22}", image in r"[0-9]{0,12}") {
        if let Ok(range) = range.parse::<PortRange>() {
            prop_assert!(range.ports().next().is_some());
        }
        if let Ok(count) = port_count(Some(&flavor), Some(&image), Some(QEMU_PORT_LIMIT)) {
            prop_assert!((1..=QEMU_PORT_LIMIT).contains(&count));
        }
    }
}
