//! The example program of that name, run.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::example::example;

const BOUND: Duration = Duration::from_secs(20);

#[test]
fn one_time_token_is_redeemed_once() {
    let mut command = Command::new(example("one_time_token"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if BOUND < began.elapsed() {
            child.kill().unwrap();
            panic!("it hangs");
        }
        sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(status.success());
    assert_eq!(
        said,
        "granted 43 characters for db-7
redeemed: connect to Host { host: \"192.0.2.7\", port: Some(5900), tls_port: None }
again: refused: all uses are spent; the viewer gets: the token is invalid or has expired
"
    );
}
