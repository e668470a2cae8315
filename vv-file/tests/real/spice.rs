//! Proxies and subjects, compared with what the real spice-gtk and the real OpenSSL make of them.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use vv_file::{
    error::ProxyError,
    proxy::{Proxy, Scheme},
    subject::HostSubject,
};

use crate::Random;

/// Asks `spice.py` about each question.
fn ask(kind: &str, questions: &[Value]) -> Vec<Value> {
    let mut child = Command::new("timeout")
        .args(["300", "/usr/bin/python3", "-c", include_str!("spice.py"), kind])
        .env_remove("SPICE_PROXY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let writer = thread::spawn(move || input.write_all(lines.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    answers
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const PIECES: [&str; 36] = [
    "http",
    "https",
    "HTTP",
    "socks5",
    ":",
    ":",
    ":",
    "://",
    "://",
    "//",
    "/",
    "@",
    "@",
    "user",
    "pw",
    "proxy",
    "127.0.0.1",
    "[::1]",
    "[",
    "]",
    "::1",
    "80",
    "3128",
    "0",
    "65536",
    "+",
    "-",
    " ",
    "?x=1",
    "#x",
    "\"",
    "a.b",
    "é",
    "%40",
    "\t",
    "x",
];

#[test]
#[ignore = "needs spice-gtk"]
fn spice_gtk_reads_proxies_alike() {
    let mut random = Random::new();
    let mut texts: Vec<String> = ["", "@", "http://@", "http://u:p@proxy:80/", "http:proxy:80"]
        .map(String::from)
        .into();
    while texts.len() < 3_000 {
        let start = random.pick(&["", "", "http://", "https://"]).to_owned();
        texts.push(start + &random.text(&PIECES, 6));
    }
    let questions: Vec<_> = texts.iter().map(|text| json!(text)).collect();
    let (mut read, mut bypassed, mut unusable) = (0, 0, 0);
    for (text, theirs) in texts.iter().zip(ask("proxy", &questions)) {
        match Proxy::parse(text) {
            Ok(ours) => {
                let scheme = if ours.scheme == Scheme::Http { "http" } else { "https" };
                let password = ours.password.as_ref();
                let password = password.map(|secret| std::str::from_utf8(secret.expose()).unwrap());
                let ours = json!([scheme, ours.host, ours.port, ours.user, password]);
                assert_eq!(ours, theirs, "{text:?}");
                read += 1;
            }
            // Two characters are left out, and what is behind the end of a short text is read.
            Err(ProxyError::Slashes) => {}
            Err(ProxyError::Crash) => assert_eq!(theirs, json!("crash"), "{text:?}"),
            Err(error) => {
                assert_eq!(error.is_bypassed(), theirs.is_null(), "{text:?}: {error}, {theirs}");
                match error.is_bypassed() {
                    true => bypassed += 1,
                    false => unusable += 1,
                }
            }
        }
    }
    println!("{read} proxies read, {bypassed} bypassed, {unusable} read and of no use");
    assert!(50 < read.min(bypassed).min(unusable), "too few to mean anything");
}

/// Every name of the real table, and keys and values of any kind.
#[test]
#[ignore = "needs OpenSSL"]
fn openssl_takes_entries_alike() {
    let mut random = Random::new();
    let names: Vec<String> = serde_json::from_value(ask("names", &[])[0].clone()).unwrap();
    assert!(1_000 < names.len(), "{}", names.len());
    let values = [
        "x",
        "IL",
        "276",
        "é",
        "a b",
        "a_b",
        "株式会社",
        "😀",
        "123456789012",
        "deu",
    ];
    let mut entries: Vec<(String, String)> = Vec::new();
    for name in &names {
        for value in ["x", "IL", "276", random.pick(&values)] {
            entries.push((name.clone(), value.into()));
        }
        entries.push((name.to_lowercase(), "x".into()));
    }
    let keys = [
        "2.5.4.6",
        "1.2.643.100.1",
        "2.",
        "1.",
        "0.",
        "3",
        "40",
        "39",
        "5",
        " ",
        ".",
        "CN",
        "C",
        "x",
    ];
    let lengths = [1, 2, 3, 11, 12, 13, 14, 64, 65, 128, 129, 256, 257];
    for _ in 0..4_000 {
        let key = random.text(&keys, 3);
        entries.push((key, random.text(&values, 2)));
        let name = &names[random.below(names.len())];
        let bounded = random.pick(&["CN", "O", "L", "ST", "OU", "mail", "INN", "serialNumber", name]);
        let length = lengths[random.below(lengths.len())];
        entries.push((bounded.into(), random.pick(&values).repeat(length)));
    }
    let questions: Vec<_> = entries.iter().map(|entry| json!(entry)).collect();
    let (mut compared, mut taken) = (0, 0);
    for ((key, value), theirs) in entries.iter().zip(ask("entry", &questions)) {
        let Ok(subject) = HostSubject::from_entries([(key, value)]) else {
            continue;
        };
        assert_eq!(json!(subject.check().is_ok()), theirs, "{key:?}={value:?}");
        compared += 1;
        taken += u32::from(subject.check().is_ok());
    }
    println!("{compared} entries, {taken} of them taken");
    assert!(1_000 < taken && 1_000 < compared - taken, "too few to mean anything");
}
