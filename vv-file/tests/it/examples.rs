//! The example programs, run.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use vv_file::ConnectionFile;

/// For one program.
const BOUND: Duration = Duration::from_secs(20);
const CA: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

/// An example of this crate. `cargo test` has built it, but for `cargo test --tests`; then it is built here.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if !program.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo
                .args(["build", "--quiet", "--examples"])
                .current_dir(env!("CARGO_MANIFEST_DIR"));
            let built = cargo.status().unwrap();
            assert!(built.success());
        }
    });
    Command::new(program)
}

/// Runs it; its status, standard output and standard error.
fn run(mut command: Command, input: &str) -> (Option<i32>, String, String) {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // One that does not want it has ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if BOUND < began.elapsed() {
            child.kill().unwrap();
            panic!("{command:?} hangs");
        }
        sleep(Duration::from_millis(5));
    };
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (status.code(), out, err)
}

fn scratch(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("vv-file-examples-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn write_vv_writes_what_lint_vv_accepts() {
    let ca = scratch("ca.pem", CA);
    let mut write = example("write_vv");
    write.args(["gw.example.org", "5901", "db \\ 7"]).arg(&ca);
    let (status, file, said) = run(write, "one-time-token\n");
    assert_eq!((status, said.as_str()), (Some(0), ""));
    let read = ConnectionFile::parse(file.as_bytes()).unwrap().virt_viewer;
    assert_eq!(read.password.unwrap().expose(), b"one-time-token");
    assert_eq!(
        (read.title.as_deref(), read.tls_port, read.port, read.ca.as_deref()),
        (Some("db \\ 7"), Some(5901), None, Some(CA))
    );

    let written = scratch("written.vv", &file);
    let mut lint = example("lint_vv");
    lint.arg(&written);
    assert_eq!(run(lint, ""), (Some(0), String::new(), String::new()));
    let spoilt = scratch(
        "spoilt.vv",
        &file.replace("delete-this-file=1", "delete-this-file=true"),
    );
    let mut lint = example("lint_vv");
    lint.args([&written, &spoilt]);
    let (status, out, _) = run(lint, "");
    assert_eq!(status, Some(1), "{out}");
    assert!(
        out.starts_with(&format!("{}: line 4, column ", spoilt.display())),
        "{out}"
    );
}

#[test]
fn examples_say_what_is_wrong() {
    let (status, out, said) = run(example("write_vv"), "");
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(
        said.contains("usage: write_vv HOST TLS-PORT TITLE CA-FILE < TOKEN"),
        "{said}"
    );
    let (status, out, said) = run(example("lint_vv"), "");
    assert_eq!(
        (status, out.as_str(), said.as_str()),
        (Some(2), "", "usage: lint_vv FILE...\n")
    );
    let mut write = example("write_vv");
    write.args(["gw:5900", "5901", "db 7"]).arg(scratch("ca2.pem", CA));
    let (status, out, _) = run(write, "token");
    assert_eq!((status, out.as_str()), (Some(1), ""), "a host with a port is refused");
}
