//! Recordings of real programs: every byte is placed, and encoded back.

use std::path::PathBuf;

use serde_json::Value;

use crate::tool::Rows;
use crate::{code, data, lines, run, stderr, tool};

/// Names the folder of recordings; without it they are those of the library's tests.
const SOURCE: &str = "RFB_CAPTURES";

fn scenarios() -> Vec<PathBuf> {
    tool::scenarios(SOURCE, "rfb-proto", "vnc-")
}

/// What `--stats=json` says at the end of a run that must not fail.
fn sums(path: &str) -> Value {
    let output = run(&["--reencode", "--stats=json", path]);
    assert_eq!(code(&output), 0, "{path}: {}", stderr(&output));
    assert!(
        stderr(&output).ends_with("encoded back byte for byte\n"),
        "{}",
        stderr(&output)
    );
    lines(&output).last().unwrap()["total"].clone()
}

fn number(sums: &Value, name: &str) -> u64 {
    sums[name].as_u64().unwrap()
}

#[test]
fn every_byte_of_every_pair_is_placed() {
    let mut rows = Rows::new(SOURCE);
    let sums = rows.each(&scenarios(), |scenario| {
        let (mut size, mut files) = (0, 0);
        for entry in scenario.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                size += path.metadata().unwrap().len();
                files += 1;
            }
        }
        assert_ne!(files, 0, "no pairs");
        let sums = sums(scenario.to_str().unwrap());
        assert_eq!(number(&sums, "bytes"), size);
        assert_eq!(number(&sums, "connections") * 2, files);
        ["connections", "messages", "rectangles", "bytes"].map(|name| number(&sums, name))
    });
    let [connections, messages, rectangles, bytes] =
        [0, 1, 2, 3].map(|at| sums.iter().map(|sums| sums[at]).sum::<u64>());
    println!("{connections} connections, {messages} messages, {rectangles} rectangles, {bytes} bytes placed");
    rows.end();
    assert_ne!(messages, 0);
    assert!(0 < rectangles || !tool::is_own(SOURCE));
}

/// What lies in rectangles that are no pictures can be read, and lines are in the order of their bytes.
#[test]
fn lines_follow_each_other() {
    let mut rows = Rows::new(SOURCE);
    let looked_into = rows.each(&scenarios(), |scenario| {
        let mut looked_into = 0;
        let output = run(&["--shorten=0", scenario.to_str().unwrap()]);
        let mut at = std::collections::HashMap::new();
        for line in lines(&output) {
            assert!(line["error"].is_null(), "{line}");
            looked_into += u32::from(line["kind"] == "rectangle" && !line["fields"].is_null());
            let key = (line["connection"].to_string(), line["direction"].to_string());
            let Some(offset) = line["offset"].as_u64() else {
                continue;
            };
            let head = if line["kind"] == "rectangle" { 12 } else { 0 };
            let size = line["size"].as_u64().unwrap_or(0) + head;
            let before = at.insert(key, offset + size).unwrap_or(0);
            let hidden = line["kind"] == "encrypted" || line["kind"] == "incomplete";
            assert!(offset == before || hidden, "{line} after {before}");
        }
        assert!(!at.is_empty(), "no lines");
        looked_into
    });
    rows.end();
    assert!(looked_into.iter().any(|count| 0 < *count) || !tool::is_own(SOURCE));
}

#[test]
fn packet_captures_say_the_same_as_pairs() {
    let mut rows = Rows::new(SOURCE);
    let mut captures = ["errors.pcap.gz", "versions.pcap.gz"]
        .map(|name| PathBuf::from(data(name)))
        .to_vec();
    let with_packets = scenarios()
        .into_iter()
        .filter(|scenario| scenario.join("capture.pcap.gz").exists());
    let with_packets: Vec<_> = with_packets.collect();
    rows.each(&with_packets, |scenario| {
        let both = [scenario, &scenario.join("capture.pcap.gz")];
        let [pairs, packets] = both.map(|path| run(&["--shorten=0", path.to_str().unwrap()]));
        let [pairs, packets] = [pairs, packets].map(|output| tool::told(&output));
        if let Some((pair, packet)) = pairs.iter().zip(&packets).find(|(pair, packet)| pair != packet) {
            panic!("{pair} in the pairs, {packet} in the packets");
        }
        assert_eq!(pairs.len(), packets.len());
    });
    captures.extend(with_packets.iter().map(|scenario| scenario.join("capture.pcap.gz")));
    let mut sum = [0, 0];
    for capture in &captures {
        let sums = rows.row(capture.to_str().unwrap(), || sums(capture.to_str().unwrap()));
        for (sum, name) in sum.iter_mut().zip(["connections", "bytes"]) {
            *sum += sums.as_ref().map_or(0, |sums| number(sums, name));
        }
    }
    let [connections, bytes] = sum;
    println!(
        "{} packet captures: {connections} connections, {bytes} bytes placed",
        captures.len()
    );
    rows.end();
    assert!(16 <= connections, "those of this folder alone have more");
}

/// A hand-made client: QEMU's refusals, and lines that are none.
#[test]
fn refusals_are_placed() {
    let output = run(&[&data("errors.pcap.gz")]);
    let lines = lines(&output);
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("open").len(), 16);
    assert_eq!(of("refused").len(), 3);
    assert_eq!(of("refused")[1]["bytes"].as_str().unwrap()[..8], *"48545450");
    // The word that refuses has no reason behind it, whatever version the client has: 3.6, 3.889, 4.1, 2.0, and one that
    // cannot be read.
    assert!(of("incomplete").is_empty());
    let words = lines.iter().filter(|line| line["fields"]["type"] == "Invalid (0)");
    assert_eq!(words.count(), 5);
    let reasons: Vec<_> = lines.iter().filter(|line| line["name"] == "Reason").collect();
    assert_eq!(reasons.len(), 3);
    assert!(
        reasons
            .iter()
            .all(|line| line["fields"]["text"] == "Authentication failed")
    );
}
