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
fn the_readme_quotes_the_example() {
    let example = read("examples/minimal_proxy.rs");
    let (_, code) = example.split_once("\n\n").unwrap();
    assert!(code.starts_with("use std::"));
    let readme = read("README.md");
    assert!(
        readme.contains(&format!("```rust,ignore\n{code}```\n")),
        "README.md has another minimal_proxy"
    );
    assert!(example.lines().count() <= 80 && readme.lines().count() < 200);
}

#[test]
fn the_readme_names_every_feature() {
    let (readme, manifest) = (read("README.md"), read("Cargo.toml"));
    let features = manifest
        .split("[features]\n")
        .nth(1)
        .unwrap()
        .split("\n[")
        .next()
        .unwrap();
    let lines = features.lines().filter(|line| !line.starts_with('#'));
    let names: Vec<_> = lines.filter_map(|line| Some(line.split_once(" = ")?.0)).collect();
    assert!(6 <= names.len());
    for feature in names.into_iter().filter(|feature| *feature != "default") {
        assert!(readme.contains(&format!("| `{feature}` |")), "{feature}");
    }
}

/// The error types of the crate with their variants, by its sources.
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
            let mut variants = Vec::new();
            if head.starts_with("pub enum ") {
                let body = lines.by_ref().take_while(|line| *line != "}");
                let variant = |line: &str| {
                    let rest = line.strip_prefix("    ")?;
                    let word = rest.split([' ', '(', '{', ',']).next()?;
                    rest.starts_with(char::is_uppercase).then(|| word.to_owned())
                };
                variants = body.filter_map(variant).collect();
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
    assert!(20 <= errors.len());
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

#[test]
fn every_limit_is_in_the_guide() {
    let (guide, limits) = (read("src/docs/limits.rs"), read("src/limits.rs"));
    let body = limits.split("pub struct Limits {\n").nth(1).unwrap();
    let lines = body.lines().take_while(|line| *line != "}");
    let fields: Vec<_> = lines
        .filter_map(|line| line.strip_prefix("    pub ")?.split(':').next())
        .collect();
    assert!(15 <= fields.len());
    for field in fields {
        assert!(guide.contains(&format!("[`Limits::{field}`]")), "{field}");
    }
}
