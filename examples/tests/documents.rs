//! The documents for people: their links lead somewhere, on a repository page as well as in a registry, and what they
//! name is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};

const LIBRARIES: [&str; 4] = ["spice-proto", "rfb-proto", "console-token", "vv-file"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files below a folder whose names end so; what is built is left out.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with(".git") {
            found.extend(files(&path, end));
        } else if name.ends_with(end) && !path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn events(text: &str) -> impl Iterator<Item = Event<'_>> {
    // A reference without a definition is a link that only rustdoc resolves: it is an event with this target.
    let broken = |link: pulldown_cmark::BrokenLink<'_>| {
        let quoted = link.reference.contains('`') || link.reference.contains("::");
        quoted.then(|| (format!("rustdoc:{}", link.reference).into(), "".into()))
    };
    Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(broken))
}

/// Where the links of a text lead, pictures included.
fn links(text: &str) -> Vec<String> {
    let target = |event| match event {
        Event::Start(Tag::Link {
            dest_url, link_type, ..
        }) if link_type != LinkType::Autolink => Some(dest_url.into_string()),
        Event::Start(Tag::Image { dest_url, .. }) => Some(dest_url.into_string()),
        _ => None,
    };
    events(text).filter_map(target).collect()
}

/// The words of a text that stand between grave accents, outside of blocks of code.
fn code_words(text: &str) -> Vec<String> {
    let word = |event| match event {
        Event::Code(code) => Some(code.into_string()),
        _ => None,
    };
    events(text).filter_map(word).collect()
}

#[test]
fn links_lead_to_files() {
    let root = root();
    let (mut seen, mut broken) = (0, Vec::new());
    for file in files(&root, ".md") {
        for link in links(&read(&file)) {
            seen += 1;
            let path = link.split('#').next().unwrap_or_default();
            let is_there = path.is_empty() || file.parent().unwrap().join(path).exists();
            if !link.starts_with("https://") && !is_there {
                broken.push(format!("{}: {link}", file.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(20 <= seen, "{seen}");
}

/// A registry shows the README of a package and nothing beside it: there a relative link leads nowhere.
#[test]
fn readmes_of_packages_have_no_relative_links_out_of_them() {
    let mut broken = Vec::new();
    for library in LIBRARIES {
        for link in links(&read(&root().join(library).join("README.md"))) {
            if link.starts_with("../") || link.starts_with("rustdoc:") || link.contains("::") {
                broken.push(format!("{library}: {link}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// rustdoc hides lines that begin with `# `; a repository page shows them.
#[test]
fn examples_in_readmes_hide_nothing() {
    let mut hidden = Vec::new();
    for file in files(&root(), "README.md") {
        let (text, mut rust) = (read(&file), false);
        for event in events(&text) {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => rust = language.starts_with("rust"),
                Event::End(TagEnd::CodeBlock) => rust = false,
                Event::Text(code) if rust => {
                    let lines = code.lines().filter(|line| *line == "#" || line.starts_with("# "));
                    hidden.extend(lines.map(|line| format!("{}: {line}", file.display())));
                }
                _ => {}
            }
        }
    }
    assert!(hidden.is_empty(), "{hidden:#?}");
}

#[test]
fn the_front_page_is_short() {
    let text = read(&root().join("README.md"));
    assert!(text.lines().count() < 150);
    for word in [
        "Sans-IO",
        "`no_std`",
        "Rust",
        "SPICE",
        "VNC",
        "RFB",
        "console tokens",
        "`.vv`",
        "OpenStack Nova",
        "KubeVirt",
        "libvirt",
    ] {
        let front = text.split("\n## ").next().unwrap();
        assert!(front.contains(word), "{word}");
    }
    let claims = text.split("\n## What is hard to find elsewhere\n").nth(1).unwrap();
    for line in claims
        .split("\n## ")
        .next()
        .unwrap()
        .lines()
        .filter(|line| line.starts_with('|'))
    {
        assert!(line.chars().count() <= 100, "{line}");
    }
}

#[test]
fn tests_that_documents_name_exist() {
    let root = root();
    let mut functions = BTreeSet::new();
    for file in files(&root, ".rs") {
        let text = read(&file);
        functions.extend(text.split("fn ").skip(1).filter_map(|rest| {
            let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric())?;
            Some(rest[..end].to_owned())
        }));
    }
    let mut named = 0;
    for document in ["SECURITY.md", "ARCHITECTURE.md"] {
        let text = read(&root.join(document));
        // Tests have names of several words; so have `debug_shows_no_secret` and some crates' words for other things.
        let is_test = |word: &String| {
            word.matches('_').count() >= 2
                && word
                    .bytes()
                    .all(|b| b == b'_' || b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        for word in code_words(&text).into_iter().filter(is_test) {
            assert!(
                functions.contains(&word),
                "{document} names a test that is not there: {word}"
            );
            named += 1;
        }
    }
    assert!(40 <= named, "{named}");
}
