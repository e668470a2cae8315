//! Recordings of real programs: every byte is placed, and encoded back.

use std::path::PathBuf;

use serde_json::Value;

use crate::{code, data, lines, run, stderr, tool};

fn scenarios() -> Vec<PathBuf> {
    tool::scenarios("RFB_CAPTURES", "rfb-proto", "vnc-")
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
    let mut all = [0; 4];
    for scenario in scenarios() {
        let (mut size, mut files) = (0, 0);
        for entry in scenario.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                size += path.metadata().unwrap().len();
                files += 1;
            }
        }
        let sums = sums(scenario.to_str().unwrap());
        assert_eq!(number(&sums, "bytes"), size, "{}", scenario.display());
        assert_eq!(number(&sums, "connections") * 2, files, "{}", scenario.display());
        for (sum, name) in all.iter_mut().zip(["connections", "messages", "rectangles", "bytes"]) {
            *sum += number(&sums, name);
        }
    }
    let [connections, messages, rectangles, bytes] = all;
    println!(
        "RFB_CAPTURES: {connections} connections, {messages} messages, {rectangles} rectangles, {bytes} bytes placed"
    );
    assert!(0 < messages && 0 < rectangles);
}

/// What lies in rectangles that are no pictures can be read, and lines are in the order of their bytes.
#[test]
fn lines_follow_each_other() {
    let mut looked_into = 0;
    for scenario in scenarios() {
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
            assert!(
                offset == before || hidden,
                "{}: {line} after {before}",
                scenario.display()
            );
        }
    }
    assert!(0 < looked_into);
}

#[test]
fn packet_captures_say_the_same_as_pairs() {
    let mut captures = vec![data("errors.pcap.gz"), data("versions.pcap.gz")];
    let mut compared = 0;
    for scenario in scenarios() {
        let capture = scenario.join("capture.pcap.gz");
        if !capture.exists() {
            continue;
        }
        captures.push(capture.to_str().unwrap().to_owned());
        let [pairs, packets] = [&scenario, &capture].map(|path| run(&["--shorten=0", path.to_str().unwrap()]));
        assert!(tool::told(&pairs) == tool::told(&packets), "{}", scenario.display());
        compared += 1;
    }
    let (mut connections, mut bytes) = (0, 0);
    for capture in &captures {
        let sums = sums(capture);
        connections += number(&sums, "connections");
        bytes += number(&sums, "bytes");
    }
    println!(
        "RFB_CAPTURES: {} packet captures, {compared} of them compared with pairs: {connections} connections, \
        {bytes} bytes placed",
        captures.len()
    );
    assert!(16 <= connections);
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
