//! The tool `token` and the engines that keep its tokens.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::engines::{Engine, Kind, url};

/// Runs `token`, and gives its status with what it wrote.
fn token(arguments: &[&str], input: &str) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_token"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that does not read its input closes it, which is no failure.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// A token of two uses: each is spent once, by any process.
fn is_spent_once(kind: Kind) {
    let engine = Engine::start(kind);
    let store = url(kind, &engine.address());
    let pepper = std::env::temp_dir().join(format!("token-pepper-{kind:?}-{}", std::process::id()));
    fs::write(&pepper, [7; 32]).unwrap();
    let place = ["--store", &store, "--pepper-file", pepper.to_str().unwrap()];
    let run = |command: &str, more: &[&str], input: &str| token(&[&[command], &place[..], more].concat(), input);
    let (status, text) = run("mint", &["--host", "192.0.2.7", "--port", "5900", "--uses", "2"], "");
    assert_eq!(status, 0);
    assert_eq!(run("verify", &[], &text).0, 0);
    let redeem = || run("resolve", &["--redeem"], &text);
    let same = (0, "192.0.2.7:5900\n".to_owned());
    assert_eq!((redeem(), redeem()), (same.clone(), same));
    let refused = (1, "refused: all uses are spent\n".to_owned());
    assert_eq!((redeem(), run("verify", &[], &text)), (refused.clone(), refused));
    assert!(
        run("inspect", &[], &text)
            .1
            .contains("\"accepted\": \"all uses are spent\"")
    );
    assert_eq!(run("verify", &[], "abc"), (1, "refused: unknown token\n".to_owned()));
    drop(engine);
    assert_eq!(run("verify", &[], &text).0, 3);
    fs::remove_file(pepper).unwrap();
}

#[test]
#[ignore = "needs Redis"]
fn redis() {
    is_spent_once(Kind::Redis);
}

#[test]
#[ignore = "needs PostgreSQL"]
fn postgresql() {
    is_spent_once(Kind::Postgres);
}
