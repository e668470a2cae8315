//! The tool `vv`, run as a program.

#[path = "support/tool.rs"]
mod tool;

use std::fs;
use std::process::Output;

use tool::{Folder, code, stdout};

const GOOD: &str = "[virt-viewer]\ntype=spice\nhost=h\ntls-port=5901\n# c\npassword=hunter2\ndelete-this-file=1\n";

fn vv(arguments: &[&str], input: &str) -> Output {
    tool::run(env!("CARGO_BIN_EXE_vv"), arguments, input.as_bytes())
}

#[test]
fn check_tells_the_worst_finding() {
    let good = vv(&["check", "-"], GOOD);
    assert_eq!((code(&good), stdout(&good).as_str()), (0, "-: nothing found\n"));
    let warning = vv(
        &["check", "--short", "-"],
        &GOOD.replace("delete-this-file=1", "color-depth=8"),
    );
    assert_eq!(code(&warning), 1);
    assert_eq!(
        stdout(&warning),
        "-:1:1: warning: -: not-deleted\n-:7:13: warning: color-depth: color-depth\n"
    );
    let error = vv(&["check", "-"], &GOOD.replace("file=1", "file=true"));
    assert_eq!(code(&error), 2);
    assert!(stdout(&error).contains("write delete-this-file=1 [ticket-stays]"));
    assert_eq!(code(&vv(&["check", "-"], "<html>")), 2);
    assert_eq!(code(&vv(&["check", "/nonexistent/console.vv"], "")), 3);
    assert_eq!(code(&vv(&["check"], "")), 2);
}

#[test]
fn json_shows_secrets_only_when_asked() {
    let hidden = stdout(&vv(&["json", "-"], GOOD));
    assert!(!hidden.contains("hunter2"));
    let value: serde_json::Value = serde_json::from_str(&hidden).unwrap();
    assert_eq!(value["typed"]["virt-viewer"]["tls-port"], 5901);
    assert_eq!(value["raw"][0]["keys"][3]["value"], "REDACTED");
    let shown = vv(&["json", "--secrets", "-"], GOOD);
    let value: serde_json::Value = serde_json::from_str(&stdout(&shown)).unwrap();
    assert_eq!(value["typed"]["virt-viewer"]["password"], "hunter2");
    assert_eq!(value["raw"][0]["keys"][3]["value"], "hunter2");
    assert_eq!(code(&vv(&["json", "-"], "nonsense")), 3);
}

#[test]
fn new_builds_what_checks() {
    let arguments = [
        "new",
        "spice",
        "--host",
        "h",
        "--tls-port",
        "5901",
        "--password-file",
        "-",
        "--title",
        "a\\b",
        "--secure",
        "--release-cursor",
        "shift+f12",
    ];
    let built = vv(&arguments, "hunter2\n");
    assert_eq!(code(&built), 0);
    assert_eq!(
        stdout(&built),
        "[virt-viewer]\ntype=spice\nhost=h\ndelete-this-file=1\ntls-port=5901\npassword=hunter2\ntitle=a\\\\b\n\
        release-cursor=shift+f12\nsecure-channels=all;\n"
    );
    assert_eq!(code(&vv(&["check", "-"], &stdout(&built))), 0);
    let refused = vv(
        &["new", "vnc", "--host", "h", "--port", "1", "--password-file", "-"],
        "hunter2hunter2",
    );
    assert_eq!(code(&refused), 3);
    assert!(!String::from_utf8_lossy(&refused.stderr).contains("hunter2"));
    assert_eq!(code(&vv(&["new", "spice"], "")), 2);
    assert_eq!(
        stdout(&vv(&["new", "spice", "--unix-path", "/run/x", "--keep"], ""))
            .lines()
            .count(),
        4
    );
}

#[test]
fn get_and_set_touch_one_value() {
    let folder = Folder::new();
    let file = &folder.file("set.vv", GOOD.as_bytes());
    assert_eq!(stdout(&vv(&["get", file, "password"], "")), "hunter2\n");
    assert_eq!(code(&vv(&["get", file, "title"], "")), 3);
    assert_eq!(code(&vv(&["set", file, "host", " a\\b"], "")), 0);
    assert_eq!(
        fs::read_to_string(file).unwrap(),
        GOOD.replace("host=h\n", "host=\\sa\\\\b\n")
    );
    assert_eq!(stdout(&vv(&["get", file, "host"], "")), " a\\b\n");
    assert_eq!(code(&vv(&["set", file, "password"], "another\n")), 0);
    assert_eq!(
        stdout(&vv(&["get", "--group", "virt-viewer", file, "password"], "")),
        "another\n"
    );
    assert_eq!(code(&vv(&["set", file, "bad=key", "x"], "")), 3);
    assert_eq!(
        stdout(&vv(&["set", "-", "host", "i"], GOOD)),
        GOOD.replace("host=h", "host=i")
    );
}

#[test]
fn redact_leaves_no_secret() {
    let redacted = vv(&["redact", "-"], GOOD);
    assert_eq!(stdout(&redacted), GOOD.replace("hunter2", "REDACTED"));
}

#[test]
fn help_shows_every_command_and_examples() {
    let help = vv(&["--help"], "");
    assert_eq!(code(&help), 0);
    for word in [
        "check",
        "json",
        "new",
        "redact",
        "get",
        "set",
        "Examples:",
        "Exit status",
    ] {
        assert!(stdout(&help).contains(word), "{word}");
    }
}

/// What a viewer makes of each is said, and no such file is written.
#[test]
fn check_says_what_viewers_do_and_new_writes_none_of_it() {
    let connects_directly = "connects directly";
    let cases: [(&str, &str, &str); 13] = [
        ("host-subject", "C = IL, O = x, CN = node", "[subject-key]"),
        ("host-subject", "subject=CN=node", "[subject-key]"),
        ("host-subject", "C=ISR,CN=node", "[subject-value]"),
        ("proxy", "http://p:3128?x=1", connects_directly),
        ("proxy", "http://p:0", connects_directly),
        ("proxy", "\"http://p:3128\"", connects_directly),
        ("proxy", "p:3128", connects_directly),
        ("proxy", "http://p/path", "cannot connect through the proxy"),
        ("host", "gw:5900", "[host-port]"),
        ("host", "\"10.0.0.1\"", "[host-syntax]"),
        ("host", "a..b", "[host-syntax]"),
        ("title", "a\u{202e}b", "[bidi-control]"),
        ("title", "a\u{2067}b", "[bidi-control]"),
    ];
    for (key, value, expected) in cases {
        let line = format!("{key}={value}\n");
        let file = match key {
            "host" => GOOD.replace("host=h\n", &line),
            _ => GOOD.to_owned() + &line,
        };
        let checked = vv(&["check", "-"], &file);
        assert_eq!(code(&checked), 2, "{line}");
        assert!(stdout(&checked).contains(expected), "{}", stdout(&checked));
        let option = format!("--{key}");
        let mut arguments = vec!["new", "spice", "--tls-port", "1", &option, value];
        if key != "host" {
            arguments.extend(["--host", "h"]);
        }
        let refused = vv(&arguments, "");
        assert_eq!((code(&refused), stdout(&refused).as_str()), (3, ""), "{line}");
    }
    let misspelled = vv(&["check", "--short", "-"], &GOOD.replace("tls-port", "tls_port"));
    assert_eq!(code(&misspelled), 2);
    assert!(stdout(&misspelled).contains("-:4:10: warning: tls-port: misspelled-key\n"));
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for command in ["check", "json"] {
        let output = tool::run(env!("CARGO_BIN_EXE_vv"), &[command, "-"], &utf16);
        let text = stdout(&output).to_lowercase() + &String::from_utf8_lossy(&output.stderr);
        assert!(code(&output) > 1 && text.contains("utf-16"), "{text}");
    }
}
