//! The demo passes, and notices each rule that is not kept.

use std::time::{Duration, Instant};

use crate::program::run;

#[test]
fn the_demo_does_what_it_must() {
    let began = Instant::now();
    let output = run(&["demo"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());

    let steps: Vec<_> = text.lines().filter(|line| line.contains(" ok ")).collect();
    let last = text.lines().last().unwrap();
    let summary = format!("demo: {} steps, all as they must be, ", steps.len());
    assert!(last.starts_with(&summary), "{last}");
    for name in [
        "main",
        "channels",
        "counts",
        "second-viewer",
        "wrong-token",
        "spent-token",
        "expired-token",
        "alike",
    ] {
        assert!(
            steps.iter().any(|step| step[3..].starts_with(name)),
            "no {name}: {text}"
        );
    }
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
    for (rule, step) in [
        ("accept-expired", "expired-token"),
        ("accept-replay", "second-viewer"),
        ("accept-wrong", "wrong-token"),
        ("leak-reason", "alike"),
    ] {
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
    for rule in ["accept-expired", "accept-replay", "accept-wrong", "leak-reason"] {
        assert!(text.contains(rule), "{text}");
    }
    let serve = run(&["serve", "--config", "nowhere", "--break", "accept-wrong"]);
    assert_eq!(serve.status.code(), Some(2));
}
