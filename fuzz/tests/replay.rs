//! Every seed and every regression, on the stable compiler.

use std::path::Path;

/// Runs all inputs of a target, and gives their number.
fn replay(target: &str, check: fn(&[u8])) -> usize {
    let mut count = 0;
    for folder in ["seeds", "regressions"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
        // A target without findings has no folder of regressions.
        let Ok(entries) = folder.read_dir() else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            check(&std::fs::read(path).unwrap());
            count += 1;
        }
    }
    count
}

#[test]
fn spice_link() {
    assert!(10 <= replay("spice_link", fuzz::spice_link::check));
}

#[test]
fn spice_frames() {
    assert!(8 <= replay("spice_frames", fuzz::spice_frames::check));
}

#[test]
fn spice_messages() {
    assert!(60 <= replay("spice_messages", fuzz::spice_messages::check));
}

#[test]
fn token_grants() {
    assert!(6 <= replay("token_grants", fuzz::token_grants::check));
}

#[test]
fn vv_bytes() {
    assert!(5 <= replay("vv_bytes", fuzz::vv_file::bytes));
}

#[test]
fn vv_builder() {
    assert!(5 <= replay("vv_builder", fuzz::vv_file::builder));
}

#[test]
fn vv_lint() {
    assert!(5 <= replay("vv_lint", fuzz::vv_file::lint));
}
