//! Every seed and every regression of RFB behind the handshake, and what the seeds reach.

use std::collections::BTreeSet;

use rfb_proto::message::{ClientMessage, ServerMessage};

fn replay<T: Ord>(target: &str, reached: fn(&[u8]) -> BTreeSet<T>) -> (usize, BTreeSet<T>) {
    let (mut count, mut all) = (0, BTreeSet::new());
    for folder in ["seeds", "regressions"] {
        count += crate::each_case(folder, target, |case| all.extend(reached(case)));
    }
    (count, all)
}

#[test]
fn rfb_messages() {
    let (count, reached) = replay("rfb_messages", crate::rfb_messages::reached);
    assert!(40 <= count);
    let client = ClientMessage::TABLE.iter().map(|(number, _)| u16::from(*number));
    let server = ServerMessage::TABLE.iter().map(|(number, _)| 256 + u16::from(*number));
    assert_eq!(
        reached,
        client.chain(server).collect(),
        "every message is the start of a search"
    );
}

#[test]
fn rfb_stream() {
    let (count, reached) = replay("rfb_stream", crate::rfb_stream::reached);
    assert!(60 <= count);
    // Every encoding whose end can be found is the start of a search.
    assert_eq!(reached, crate::rfb_stream::everything());
}
