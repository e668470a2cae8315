//! The example programs of this crate.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The features of this build, so that an example is built with the same.
const FEATURES: [(&str, bool); 8] = [
    ("jwt", cfg!(feature = "jwt")),
    ("redis", cfg!(feature = "redis")),
    ("rfb", cfg!(feature = "rfb")),
    ("serde", cfg!(feature = "serde")),
    ("spice", cfg!(feature = "spice")),
    ("sql", cfg!(feature = "sql")),
    ("std", cfg!(feature = "std")),
    ("tokio", cfg!(feature = "tokio")),
];

/// The program. `cargo test` has built it, but for `cargo test --tests`; then it is built here.
pub(crate) fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if !program.exists() {
            let features = FEATURES.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--quiet", "--examples", "--no-default-features", "--features"]);
            cargo.arg(features.collect::<Vec<_>>().join(","));
            let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
            assert!(built.success());
        }
    });
    program
}
