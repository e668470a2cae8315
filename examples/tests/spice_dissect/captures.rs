//! Recordings of real programs: every byte is placed, and encoded back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::tool::Rows;
use crate::{code, data, lines, run, stderr, tool};

/// Names the folder of recordings; without it they are those of the library's tests.
const SOURCE: &str = "SPICE_CAPTURES";

/// The folders of recordings.
fn scenarios() -> Vec<PathBuf> {
    tool::scenarios(SOURCE, "spice-proto", "spice-")
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
        ["connections", "messages", "unknown", "bytes"].map(|name| number(&sums, name))
    });
    let [connections, messages, unknown, bytes] = [0, 1, 2, 3].map(|at| sums.iter().map(|sums| sums[at]).sum::<u64>());
    println!("{connections} connections, {messages} messages, {unknown} unknown, {bytes} bytes placed");
    rows.end();
    assert_ne!(messages, 0);
    // What today's programs say is known, but for little.
    assert!(unknown * 1000 <= messages || !tool::is_own(SOURCE));
}

#[test]
fn packet_captures_say_the_same_as_pairs() {
    let mut rows = Rows::new(SOURCE);
    let mut captures = ["link-errors.pcap.gz", "ticket-right-and-wrong.pcap.gz"]
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

#[test]
fn sasl_is_followed_until_it_encrypts() {
    let output = run(&["--reencode", &data("sasl")]);
    let lines = lines(&output);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["name"].as_str().unwrap_or(line["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            "open",
            "LinkMess",
            "LinkReply",
            "AuthMechanism",
            "SaslMechList",
            "SaslStartClient",
            "SaslStepServer",
            "SaslStepClient",
            "SaslStepServer",
            "SaslAccept",
            "encrypted",
            "encrypted",
            "close"
        ]
    );
    assert_eq!(lines[1]["time"], 1.50412);
    assert_eq!(lines[4]["fields"]["mechlist"], ",DIGEST-MD5,");
    assert_eq!(
        lines[7]["fields"],
        serde_json::json!({ "data_len": 257 }),
        "what the client says is not shown"
    );
    assert_eq!(lines[11]["offset"], 423);
    assert!(
        stderr(&output).contains("(302 of them encrypted)"),
        "{}",
        stderr(&output)
    );
    let shown = run(&["--secrets", &data("sasl")]);
    let shown = &self::lines(&shown)[7]["fields"]["data"];
    assert!(shown.as_str().unwrap().starts_with("username="), "{shown}");
}

#[test]
fn refused_links_are_placed() {
    let output = run(&[&data("link-errors.pcap.gz")]);
    let lines = lines(&output);
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("open").len(), 19);
    assert_eq!(of("open")[0]["server"], "127.0.0.1:5900");
    // Wrong magic, HTTP, two wrong versions, three sizes, two places of capabilities, a ticket that was not read.
    assert_eq!(of("refused").len(), 10);
    assert_eq!(of("refused")[1]["bytes"].as_str().unwrap()[..8], *"47455420");
    assert_eq!(
        of("refused")[4]["why"],
        "LinkHeader.size at byte 12: 17 is below the minimum of 18"
    );
    assert_eq!(of("incomplete")[0]["due"], "the link message");
    let codes: Vec<_> = of("link")
        .iter()
        .filter(|line| line["name"] == "LinkReply" && line["fields"]["error"] != "OK")
        .map(|line| line["fields"]["error"].as_str().unwrap())
        .collect();
    assert!(
        codes.contains(&"INVALID_MAGIC") && codes.contains(&"NEED_SECURED"),
        "{codes:?}"
    );
}

#[test]
fn the_sample_in_the_readme_is_what_is_shown() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin/spice-dissect/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let sample = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let output = run(&["--shorten", "32", &data("ticket-right-and-wrong.pcap.gz")]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let mut lines = shown.lines();
    for line in sample.lines() {
        assert!(lines.any(|shown| shown == line), "{line}");
    }
    assert!(5 < sample.lines().count());
}
