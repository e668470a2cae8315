//! Recordings of real programs: every byte is placed, and encoded back.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{code, data, lines, run, stderr, tool};

/// The folders of recordings.
fn scenarios() -> Vec<PathBuf> {
    tool::scenarios("SPICE_CAPTURES", "spice-proto", "spice-")
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
        let mut size = 0;
        let mut connections = 0;
        for entry in scenario.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "bin") {
                size += path.metadata().unwrap().len();
                connections += 1;
            }
        }
        let sums = sums(scenario.to_str().unwrap());
        assert_eq!(number(&sums, "bytes"), size, "{}", scenario.display());
        assert_eq!(number(&sums, "connections") * 2, connections, "{}", scenario.display());
        for (sum, name) in all.iter_mut().zip(["connections", "messages", "unknown", "bytes"]) {
            *sum += number(&sums, name);
        }
    }
    let [connections, messages, unknown, bytes] = all;
    println!("SPICE_CAPTURES: {connections} connections, {messages} messages, {unknown} unknown, {bytes} bytes placed");
    assert!(0 < messages && unknown * 1000 <= messages);
}

#[test]
fn packet_captures_say_the_same_as_pairs() {
    let mut captures = vec![data("link-errors.pcap.gz"), data("ticket-right-and-wrong.pcap.gz")];
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
        "SPICE_CAPTURES: {} packet captures, {compared} of them compared with pairs: {connections} connections, \
        {bytes} bytes placed",
        captures.len()
    );
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
    // Wrong magic, HTTP, two wrong versions, three sizes, two places of capabilities, a ticket nobody read.
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
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let sample = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let output = run(&["--shorten", "32", &data("ticket-right-and-wrong.pcap.gz")]);
    let shown = String::from_utf8(output.stdout).unwrap();
    let mut lines = shown.lines();
    for line in sample.lines() {
        assert!(lines.any(|shown| shown == line), "{line}");
    }
    assert!(5 < sample.lines().count());
}
