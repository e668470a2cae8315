//! Sources: the test data of the crates, file by file, and the strings in its tables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The crates whose `tests/data` are sources.
const CRATES: [&str; 4] = ["console-token", "rfb-proto", "spice-proto", "vv-file"];
/// A string of fewer bytes is not worth a name.
const SHORTEST: usize = 4;

/// Bytes by name.
///
/// A file is `CRATE/PATH`, its path under `tests/data`. A string of a table (`.jsonl`, `.toml`) is
/// `CRATE/PATH:LINE.STRING`, both from 1; with `:hex` or `:base64` behind it are the bytes that its digits mean.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<String, Vec<u8>>);

impl Sources {
    /// These sources.
    #[must_use]
    pub fn new(sources: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        Self(sources.into_iter().collect())
    }

    /// The test data of the crates.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn load() -> io::Result<Self> {
        let mut sources = Self::default();
        for name in CRATES {
            let data = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(name)
                .join("tests/data");
            for path in files(&data)? {
                let inside = path.strip_prefix(&data).map_err(io::Error::other)?;
                sources.add(&format!("{name}/{}", inside.display()), fs::read(&path)?);
            }
        }
        Ok(sources)
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) {
        let is_table = [".jsonl", ".toml"].iter().any(|end| name.ends_with(end));
        let Some(text) = str::from_utf8(&bytes).ok().filter(|_| is_table) else {
            self.0.insert(name.to_owned(), bytes);
            return;
        };
        for (line, text) in text.lines().enumerate() {
            for (number, string) in strings(text).into_iter().enumerate() {
                let name = format!("{name}:{}.{}", line + 1, number + 1);
                let meant = [
                    ("hex", base16ct::mixed::decode_vec(&string).ok()),
                    ("base64", STANDARD.decode(&string).ok()),
                ];
                for (digits, bytes) in meant {
                    let bytes = bytes.filter(|bytes| SHORTEST <= bytes.len());
                    self.0.extend(bytes.map(|bytes| (format!("{name}:{digits}"), bytes)));
                }
                if SHORTEST <= string.len() {
                    self.0.insert(name, string.into_bytes());
                }
            }
        }
    }

    /// The bytes of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }
}

/// All files under a folder.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

/// The strings of a line, in double quotes.
fn strings(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find('"') {
        let quoted = &rest[start..];
        let mut strings = serde_json::Deserializer::from_str(quoted).into_iter::<String>();
        let Some(Ok(string)) = strings.next() else {
            rest = &quoted[1..];
            continue;
        };
        found.push(string);
        rest = &quoted[strings.byte_offset()..];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_tables_are_sources() {
        let mut sources = Sources::default();
        sources.add(
            "a/t.jsonl",
            b"{}\n{\"key\": \"00112233\", \"b\": \"a\\\"bcd\"}\n".to_vec(),
        );
        sources.add("a/b.bin", b"\"whole\"".to_vec());
        assert_eq!(sources.get("a/t.jsonl:2.2").unwrap(), b"00112233");
        assert_eq!(sources.get("a/t.jsonl:2.2:hex").unwrap(), [0, 0x11, 0x22, 0x33]);
        assert_eq!(sources.get("a/t.jsonl:2.2:base64").unwrap().len(), 6);
        assert_eq!(sources.get("a/t.jsonl:2.4").unwrap(), b"a\"bcd");
        assert_eq!(sources.get("a/t.jsonl:2.1"), None, "too short");
        assert_eq!(sources.get("a/b.bin").unwrap(), b"\"whole\"");
    }
}
