//! What the seeds reach, where that can be told: each target replays its own inputs, see `target!`.

mod rfb_messages;
mod rfb_roles;
mod spice;
mod token_grants;
mod tokens;

use crate::each_case;

/// The seeds reach the end of each log-in in both roles, and each way in which it goes wrong that has a word of its own.
#[test]
fn rfb_logins() {
    let mut ends = std::collections::BTreeMap::<String, usize>::new();
    let mut count = 0;
    for folder in ["seeds", "regressions"] {
        count += each_case(folder, "rfb_logins", |case| {
            *ends.entry(crate::rfb_logins::outcome(case)).or_default() += 1;
        });
    }
    println!("{ends:#?}");
    assert!(20 <= count);
    assert!(ends.get("done").is_some_and(|&done| 16 <= done));
    for beginning in ["PublicKey.bits", "PublicKey.modulus", "MsLogonParameters.public"] {
        assert!(ends.keys().any(|end| end.starts_with(beginning)), "{beginning}");
    }
}

/// The seeds come to each way to end, and to a third hypervisor.
#[test]
fn rfb_session() {
    use rfb_proto::session::relay::End;
    let (mut ends, mut most, mut cases) = (std::collections::BTreeSet::new(), 0, 0);
    for folder in ["seeds", "regressions"] {
        cases += each_case(folder, "rfb_session", |case| {
            let (end, dials) = crate::rfb_session::reached(case);
            most = most.max(dials);
            ends.insert(match end {
                None => "goes on",
                Some(End::Viewer) => "viewer",
                Some(End::Hypervisor) => "hypervisor",
                Some(End::Handshake(_)) => "handshake",
                Some(End::Unreachable) => "unreachable",
                Some(End::TooManyViewers) => "too many viewers",
                Some(End::Moved) => "moved",
                Some(End::NotFollowed(_)) => "not followed",
                Some(End::Stopped) => "stopped",
                Some(_) => "other",
            });
        });
    }
    println!("rfb_session: {cases} cases reach {ends:?}, {most} hypervisors");
    let expected = [
        "goes on",
        "handshake",
        "hypervisor",
        "moved",
        "not followed",
        "stopped",
        "too many viewers",
        "unreachable",
        "viewer",
    ];
    assert!(expected.iter().all(|end| ends.contains(end)), "{ends:?}");
    assert!(20 <= cases && 3 <= most, "{cases} {most}");
}

/// Every message of every channel is the start of a search.
#[test]
fn seeds_reach_every_spice_message() {
    use spice_proto::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
    let mut heads: Vec<Vec<u8>> = Vec::new();
    each_case("seeds", "spice_messages", |case| heads.push(case.to_vec()));
    let tables = [
        (0, 0, common::ServerMessage::TABLE),
        (0, 1, common::ClientMessage::TABLE),
        (1, 0, main::ServerMessage::TABLE),
        (1, 1, main::ClientMessage::TABLE),
        (2, 0, display::ServerMessage::TABLE),
        (2, 1, display::ClientMessage::TABLE),
        (3, 0, inputs::ServerMessage::TABLE),
        (3, 1, inputs::ClientMessage::TABLE),
        (4, 0, cursor::ServerMessage::TABLE),
        (5, 0, playback::ServerMessage::TABLE),
        (6, 0, record::ServerMessage::TABLE),
        (6, 1, record::ClientMessage::TABLE),
        (8, 0, smartcard::ServerMessage::TABLE),
        (8, 1, smartcard::ClientMessage::TABLE),
        (9, 0, vmc::ServerMessage::TABLE),
        (9, 1, vmc::ClientMessage::TABLE),
        (10, 0, port::ServerMessage::TABLE),
        (10, 1, port::ClientMessage::TABLE),
    ];
    let mut messages = 0;
    for (kind, direction, table) in tables {
        for (number, name) in table {
            let [low, high] = number.to_le_bytes();
            let start = [kind, direction, low, high];
            assert!(
                heads.iter().any(|head| head.starts_with(&start)),
                "{kind} {direction} {name}"
            );
            messages += 1;
        }
    }
    assert_eq!(messages, 127);
}
