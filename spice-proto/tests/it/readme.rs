//! The README, and the guides: what they quote and list is what there is.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The Rust files below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_readme_quotes_the_smallest_proxy_and_names_every_example() {
    let (readme, program) = (read("README.md"), read("examples/minimal_proxy.rs"));
    assert!(
        readme.contains(&format!("```rust,no_run\n{program}```\n")),
        "another program is quoted"
    );
    assert!(program.lines().count() <= 60 && program.matches("use spice_proto").count() == 1);
    assert!(readme.lines().count() < 200);
    let mut examples = Vec::new();
    sources(&root().join("examples"), &mut examples);
    assert_eq!(examples.len(), 6);
    for example in examples {
        let name = example.file_stem().unwrap().to_str().unwrap();
        assert!(
            readme.contains(&format!("| `{name} ")),
            "the README does not name {name}"
        );
    }
    let manifest = read("Cargo.toml");
    let features = manifest
        .split("[features]\n")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let names = features
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "));
    for (feature, _) in names.filter(|(feature, _)| *feature != "default") {
        assert!(
            readme.contains(&format!("| `{feature}`")),
            "the README does not name {feature}"
        );
    }
}

/// The README is read on a repository page and in a registry, too, where rustdoc resolves nothing and hides nothing.
#[test]
fn the_readme_is_for_every_reader() {
    let readme = read("README.md");
    let mut inside = false;
    for line in readme.lines() {
        inside ^= line.starts_with("```");
        assert!(!inside || !line.starts_with("# "), "a hidden line: {line}");
        assert!(inside || !line.contains("]("), "a link: {line}");
        assert!(inside || !line.contains("[`"), "a link: {line}");
    }
}

/// The error types of the crate: names as the guide links to them, and variants.
fn errors() -> Vec<(String, Vec<String>)> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut errors = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.contains("thiserror::Error") || line.trim_start().starts_with("//") {
                continue;
            }
            let head = lines.by_ref().find(|line| line.starts_with("pub ")).unwrap();
            let name = head.split([' ', '<', ';', '(', '{']).nth(2).unwrap().to_owned();
            // Two of one name: that of the tracker is linked with its module.
            let name = if file.ends_with("session/tracker/types.rs") {
                format!("tracker::{name}")
            } else {
                name
            };
            let mut variants = Vec::new();
            if head.starts_with("pub enum ") {
                let body = lines.by_ref().take_while(|line| *line != "}");
                let starts = |line: &&str| {
                    line.strip_prefix("    ")
                        .is_some_and(|rest| rest.starts_with(char::is_uppercase))
                };
                let word = |line: &str| line.trim().split([' ', '(', '{', ',']).next().unwrap().to_owned();
                variants = body.filter(starts).map(word).collect();
                assert!(!variants.is_empty(), "{name}");
            }
            errors.push((name, variants));
        }
    }
    errors
}

#[test]
fn every_error_is_in_the_guide() {
    let guide = read("src/docs/errors.rs");
    let errors = errors();
    let names: Vec<_> = errors.iter().map(|(name, _)| name.as_str()).collect();
    for known in [
        "HandshakeError",
        "DecodeErrorKind",
        "tracker::Misuse",
        "CodecError",
        "CryptoError",
    ] {
        assert!(names.contains(&known), "{known}");
    }
    assert!(24 <= errors.len(), "{names:?}");
    for (name, variants) in &errors {
        // What stands between two empty lines, and names the type.
        let about: Vec<&str> = guide
            .split("//!\n")
            .filter(|block| block.contains(&format!("[`{name}`]")))
            .collect();
        assert!(!about.is_empty(), "{name} is not in the guide");
        for variant in variants {
            let told = about.iter().any(|block| block.contains(&format!("`{variant}`")));
            assert!(told, "{name}::{variant} is not in the guide");
        }
    }
}

/// The fields of a struct, by its source.
fn fields(path: &str, name: &str) -> Vec<String> {
    let text = read(path);
    let body = text.split(&format!("pub struct {name} {{\n")).nth(1).unwrap();
    let lines = body.lines().take_while(|line| *line != "}");
    let fields = lines.filter_map(|line| line.strip_prefix("    pub ")?.split(':').next());
    fields.map(str::to_owned).collect()
}

#[test]
fn every_limit_is_in_the_guide() {
    let guide = read("src/docs/limits.rs");
    for (path, name, link, at_least) in [
        ("src/limits.rs", "Limits", "Limits", 10),
        ("src/session/tracker/config.rs", "Config", "tracker::Config", 7),
        ("src/link/key_pool.rs", "KeyPoolConfig", "KeyPoolConfig", 5),
    ] {
        let fields = fields(path, name);
        assert!(at_least <= fields.len(), "{fields:?}");
        for field in fields {
            assert!(
                guide.contains(&format!("[`{link}::{field}`]")),
                "{link}::{field} is not in the guide"
            );
        }
    }
}
