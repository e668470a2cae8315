//! A network of a test's own, in which a socket takes few bytes from its program. On the loopback as it is, it takes
//! megabytes, and hides whatever waits for a flush.

use std::process::Command;

/// In the environment of a test that runs inside.
const INSIDE: &str = "CONSOLE_TEST_NARROW_NETWORK";

/// Whether this is the inside. From outside, runs the test of this name again, inside, and fails as it does. Needs root.
pub(crate) fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this program");
    let status = Command::new("unshare")
        .args(["--net", "sh", "-c"])
        .arg(
            "ip link set lo up && echo 4096 16384 65536 >/proc/sys/net/ipv4/tcp_wmem && \
             exec \"$0\" \"$@\" --include-ignored --nocapture --exact",
        )
        .arg(program)
        .arg(test)
        .env(INSIDE, "1")
        .status()
        .expect("unshare, as root");
    assert!(status.success(), "{test} failed in a narrow network");
    false
}
