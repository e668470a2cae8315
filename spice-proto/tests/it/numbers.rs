//! Message numbers stand in the tables of messages and nowhere else: the source is read for literals.

use std::fs;
use std::path::{Path, PathBuf};

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

/// The lines of code, without comments.
fn lines(path: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(path).unwrap();
    let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    (1..).zip(text.lines().map(code)).collect()
}

/// The whole numbers in a line, without those in names.
fn literals(line: &str) -> Vec<u32> {
    let line = line.replace("..", " ");
    let words = line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.');
    words.filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn literals_are_found() {
    assert_eq!(
        literals("matches!(number, 101 | 116..=118) && x103 < 0x65 + 7.5"),
        [101, 116, 118]
    );
    assert_eq!(literals("(M::UUID, 16), counted16(4, 2)"), [16, 4, 2]);
}

#[test]
fn no_message_number_is_a_literal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    sources(&root, &mut all);
    assert!(100 <= all.len());
    for path in &all {
        let name = path.strip_prefix(&root).unwrap();
        let looked_into = ["session", "frame", "link", "drive"]
            .iter()
            .any(|folder| name.starts_with(folder));
        for (at, line) in lines(path) {
            let narrow = [": u8 = ", ": u16 = "].iter().any(|ty| {
                let value = line.split_once(ty).map(|(_, value)| value);
                line.contains("const ") && value.is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()))
            });
            // The numbers of all messages that are not those of every channel.
            let number = looked_into
                && literals(&line)
                    .iter()
                    .any(|n| matches!(n, 100..=126 | 201 | 202 | 302..=323));
            if narrow && looked_into || number {
                wrong.push(format!("{}:{at}: {}", name.display(), line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
