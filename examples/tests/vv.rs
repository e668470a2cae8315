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
