//! The demo passes, and notices each rule that is not kept.

use std::time::{Duration, Instant};

use crate::program::run;

/// The sections, and steps that each has to have.
const SECTIONS: [(&str, &[&str]); 7] = [
    ("what takes part", &["stand-ins", "gateway"]),
    (
        "seed 000: spice-direct",
        &[
            "create",
            "show",
            "file",
            "url-once",
            "main",
            "channels",
            "messages",
            "counts",
            "early-leave",
            "second-viewer",
            "wrong-token",
            "intruder",
            "garbage",
            "close",
            "spent-token",
            "old-session",
            "late-channel",
            "expired-token",
            "alike",
            "secrets",
        ],
    ),
    (
        "seed 001: WebMKS",
        &["mks-show", "webmks", "other-login", "other-console", "no-cost"],
    ),
    (
        "seed 002: consoles with passwords",
        &[
            "bad-passwords",
            "password",
            "wrong-password",
            "new-password",
            "fresh-ticket",
            "spice-password",
        ],
    ),
    (
        "seed 003: WebSockets and tunnels",
        &[
            "tls",
            "origin",
            "two-uses",
            "scope",
            "replaced",
            "revoked",
            "elsewhere",
            "tunnel",
            "narrow-tunnel",
            "resolver",
        ],
    ),
    (
        "seed 004: serial ports",
        &[
            "serial",
            "second-user",
            "force",
            "disconnect",
            "use-left",
            "hung-session",
            "ports",
        ],
    ),
    ("the end", &["stop"]),
];

/// Each rule that can be broken, and the step that is there for it.
const RULES: [(&str, &str); 19] = [
    ("accept-expired", "expired-token"),
    ("accept-replay", "second-viewer"),
    ("accept-wrong", "wrong-token"),
    ("leak-reason", "alike"),
    ("exchange-twice", "url-once"),
    ("trust-login", "other-login"),
    ("trust-console", "other-console"),
    ("keep-use", "no-cost"),
    ("set-nothing", "password"),
    ("keep-ticket", "fresh-ticket"),
    ("any-origin", "origin"),
    ("keep-replaced", "replaced"),
    ("forget-revocation", "revoked"),
    ("forget-policy", "narrow-tunnel"),
    ("follow-resolver", "resolver"),
    ("seat-twice", "second-user"),
    ("ignore-force", "force"),
    ("keep-seat", "hung-session"),
    ("ports-twice", "ports"),
];

/// The steps of a section, in their order.
fn steps<'a>(text: &'a str, section: &str) -> Vec<&'a str> {
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with(&format!("-- {section}")));
    let own = lines.skip(1).take_while(|line| !line.starts_with("-- "));
    own.filter(|line| line.contains(" ok "))
        .map(|line| line[3..].split(' ').next().unwrap())
        .collect()
}

#[test]
fn the_demo_does_what_it_must() {
    let began = Instant::now();
    let output = run(&["demo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());

    let count = text.lines().filter(|line| line.contains(" ok ")).count();
    let last = text.lines().last().unwrap();
    let summary = format!("demo: {count} steps, all as they must be, ");
    assert!(last.starts_with(&summary), "{last}");
    for (section, wanted) in SECTIONS {
        assert_eq!(steps(&text, section), wanted, "{section}: {text}");
    }
    let sections = text.lines().filter(|line| line.starts_with("-- ")).count();
    assert_eq!(sections, SECTIONS.len(), "{text}");
    for part in [
        "   | [virt-viewer]",
        "ticket sha256 ",
        "connection_id 0x",
        "hypervisor: the same messages",
    ] {
        assert!(text.contains(part), "no {part:?}: {text}");
    }
}

#[test]
fn each_broken_rule_is_noticed_by_the_step_that_is_there_for_it() {
    for (rule, step) in RULES {
        let output = run(&["demo", "--break", rule]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{rule}: {text}");
        let last = text.lines().last().unwrap();
        let named = last.starts_with("demo: step ") && last.contains(&format!("({step}) did not do what it must: "));
        assert!(named, "{rule}: {last}");
    }
}

#[test]
fn rules_are_broken_by_name_and_in_the_demo_only() {
    let unknown = run(&["demo", "--break", "accept-all"]);
    assert_eq!(unknown.status.code(), Some(2));
    let text = String::from_utf8(unknown.stderr).unwrap();
    let (_, named) = text.split_once("[possible values: ").unwrap();
    let (named, _) = named.split_once(']').unwrap();
    let named: Vec<_> = named.split(", ").collect();
    assert_eq!(named, RULES.map(|(rule, _)| rule));
    let serve = run(&["serve", "--config", "nowhere", "--break", "accept-wrong"]);
    assert_eq!(serve.status.code(), Some(2));
}
