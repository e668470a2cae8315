//! Endless input, and readers that leave.

use crate::{begun, data, live_input, program, rectangle, update};

/// A whole desktop of Raw, one rectangle.
#[test]
fn memory_does_not_grow() {
    let picture = [update(1), rectangle(128, 64, 0), vec![7; 128 * 64 * 4]].concat();
    live_input::memory_does_not_grow(&mut program(&[]), &begun(), &picture);
}

#[test]
fn each_line_comes_when_its_bytes_have_come() {
    let steps = [
        "open",
        "ServerVersion",
        "ClientVersion",
        "SecurityTypes",
        "SecurityChoice",
        "SecurityResult",
        "ClientInit",
        "ServerInit",
    ];
    let picture = [update(1), rectangle(1, 1, 0), vec![1, 2, 3, 4]].concat();
    let more = ["FramebufferUpdate", "Raw"];
    live_input::each_line_comes_when_its_bytes_have_come(&mut program(&[]), &begun(), &steps, &picture, &more);
}

#[test]
fn a_reader_may_leave() {
    let capture = std::fs::read(data("errors.pcap.gz")).unwrap();
    live_input::a_reader_may_leave(&mut program(&[]), &capture);
}

#[test]
fn help_shows_lines_examples_and_statuses() {
    live_input::help_shows(&mut program(&[]), &["tcpdump", "rectangle", "pcapng"]);
}
