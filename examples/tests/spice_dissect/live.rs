//! Endless input, and readers that leave.

use bytes::BytesMut;
use spice_proto::ids::ChannelType;

use crate::{data, linked, live_input, mini, program};

/// Bodies of PING on a display channel: so many of 1000 bytes.
fn pings(count: usize) -> BytesMut {
    let mut payload = BytesMut::new();
    for _ in 0..count {
        mini(&mut payload, 4, &[7; 1000]);
    }
    payload
}

#[test]
fn memory_does_not_grow() {
    let beginning = linked(ChannelType::DISPLAY, true);
    live_input::memory_does_not_grow(&mut program(&[]), &beginning, &pings(40));
}

#[test]
fn each_line_comes_when_its_bytes_have_come() {
    let steps = [
        "open",
        "LinkMess",
        "LinkReply",
        "AuthMechanism",
        "EncryptedTicket",
        "LinkResult",
    ];
    let beginning = linked(ChannelType::DISPLAY, true);
    live_input::each_line_comes_when_its_bytes_have_come(
        &mut program(&[]),
        &beginning,
        &steps,
        &pings(2),
        &["ping", "ping"],
    );
}

#[test]
fn a_reader_may_leave() {
    let capture = std::fs::read(data("ticket-right-and-wrong.pcap.gz")).unwrap();
    live_input::a_reader_may_leave(&mut program(&[]), &capture);
}

#[test]
fn help_shows_lines_examples_and_statuses() {
    live_input::help_shows(&mut program(&[]), &["tcpdump", "incomplete", "pcapng"]);
}
