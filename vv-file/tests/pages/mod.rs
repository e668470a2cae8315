//! The README and the guides keep up with the code: a test of each crate that has its pages in this form.

use super::{ERRORS, QUOTED};
use std::fs;
use std::path::{Path, PathBuf};

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// The errors that a file of this crate defines: an enum by its variants, a struct by its name. Each has
/// `#[error(`.
fn errors(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut of, mut marked) = (None, false);
    for line in text.lines() {
        let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        if let ["pub", "enum", name, ..] = words[..] {
            of = Some(name.to_owned());
        } else if let (["pub", "struct", name, ..], true) = (&words[..], marked) {
            found.push((*name).to_owned());
        } else if line.starts_with('}') {
            of = None;
        } else if let (Some(of), true, ["", "", "", "", variant, ..]) = (&of, marked, &words[..])
            && variant.starts_with(|c: char| c.is_ascii_uppercase())
        {
            found.push(format!("{of}::{variant}"));
        }
        // Attributes and docs between the mark and what it marks.
        marked = line.trim_start().starts_with("#[error(") || marked && line.trim_start().starts_with(['#', '/']);
    }
    found
}

#[test]
fn each_error_is_on_the_page() {
    let page = file("src/docs/errors.rs");
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let all: Vec<String> = files
        .iter()
        .flat_map(|file| errors(&fs::read_to_string(file).unwrap()))
        .collect();
    assert!(ERRORS <= all.len(), "{all:?}");
    let missing: Vec<&String> = all
        .iter()
        .filter(|error| !page.contains(&format!("`{error}`")))
        .collect();
    assert!(missing.is_empty(), "not in docs/errors.rs: {missing:?}");
    let of_page = page
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `")?.split('`').next());
    let gone: Vec<&str> = of_page
        .filter(|name| name.contains("::") && !all.iter().any(|error| error == name))
        .collect();
    assert!(gone.is_empty(), "no errors any more: {gone:?}");
}

/// A repository page and a registry know no rustdoc, and show each line.
#[test]
fn the_readme_reads_anywhere() {
    let readme = file("README.md");
    assert!(readme.lines().count() < 200);
    let mut code = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            code = !code;
        } else if code {
            assert!(!line.starts_with("# ") && line != "#", "a hidden line: {line}");
        } else {
            for link in line.split("](").skip(1) {
                let to = link.split(')').next().unwrap();
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(to.split('#').next().unwrap());
                assert!(to.starts_with("https://") || path.exists(), "{to}");
            }
            let code_links = line.split("[`").skip(1);
            assert!(
                code_links.clone().all(|link| link.contains("`](")),
                "a link that only rustdoc resolves: {line}"
            );
        }
    }
}

#[test]
fn the_readme_quotes_the_examples() {
    let readme = file("README.md");
    for example in QUOTED {
        let text = file(&format!("examples/{example}.rs"));
        assert!(readme.contains(&text), "{example}.rs is not in README.md as it is");
    }
}
