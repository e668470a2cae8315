//! Misspelled names: known names with `_` or in another case, or with one typing error.

use alloc::vec::Vec;

/// Bytes of the longest name that is compared. Known names are shorter.
const LONGEST: usize = 40;
/// Letters of the shortest name in which a typing error is looked for. Shorter names are too often other words.
const LONG_ENOUGH: usize = 4;

/// Known names, and the folded form in which they are compared.
pub(super) struct Known(Vec<(&'static str, Vec<u8>)>);

impl Known {
    pub(super) fn new(names: &[&'static str]) -> Self {
        Self(names.iter().map(|name| (*name, fold(name.as_bytes()))).collect())
    }

    /// The known name that a misspelled one stands for. A name that differs only in case and separators is preferred
    /// to one with a typing error.
    pub(super) fn meant(&self, name: &[u8]) -> Option<&'static str> {
        if LONGEST < name.len() {
            return None;
        }
        let name = fold(name);
        let same = self.0.iter().find(|(_, known)| *known == name);
        let is_near = |known: &[u8]| LONG_ENOUGH <= known.len().min(name.len()) && is_one_error_apart(&name, known);
        let near = || self.0.iter().find(|(_, known)| is_near(known));
        same.or_else(near).map(|(known, _)| *known)
    }
}

/// The letters and digits of a name, in lower case.
fn fold(name: &[u8]) -> Vec<u8> {
    let bare = name.iter().filter(|byte| !b"-_. ".contains(byte));
    bare.map(u8::to_ascii_lowercase).collect()
}

/// Whether two names are one typing error apart: a letter that is replaced, missing or added, or two letters that are
/// swapped (Damerau-Levenshtein distance 1).
fn is_one_error_apart(one: &[u8], other: &[u8]) -> bool {
    if 1 < one.len().abs_diff(other.len()) {
        return false;
    }
    let before = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (one, other) = (
        one.get(before..).unwrap_or_default(),
        other.get(before..).unwrap_or_default(),
    );
    let behind = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b);
    let behind = behind.count();
    let middle = |text: &'_ [u8]| text.len().saturating_sub(behind);
    match (one.get(..middle(one)), other.get(..middle(other))) {
        (Some([] | [_]), Some([] | [_])) => true,
        (Some([a, b]), Some([c, d])) => (a, b) == (d, c),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &[
        "type",
        "host",
        "port",
        "tls-port",
        "delete-this-file",
        "ca",
        "versions",
        "title",
    ];

    #[test]
    fn what_is_meant() {
        let known = Known::new(KNOWN);
        for (name, expected) in [
            ("tls_port", "tls-port"),
            ("TLS-Port", "tls-port"),
            ("tlsport", "tls-port"),
            ("tls port", "tls-port"),
            ("Type", "type"),
            ("CA", "ca"),
            ("delete_this_file", "delete-this-file"),
            ("delete-file-this", ""),
            ("delete-this-fil", "delete-this-file"),
            ("titel", "title"),
            ("tittle", "title"),
            ("hosts", "host"),
            ("most", "host"),
            ("version", "versions"),
            ("cb", ""),
            ("c", ""),
            ("", ""),
            ("ticket-valid-until", ""),
            ("subject", ""),
            ("tpye", "type"),
            ("epyt", ""),
        ] {
            assert_eq!(known.meant(name.as_bytes()).unwrap_or_default(), expected, "{name}");
        }
        assert_eq!(known.meant(&[b'-'; 1000]), None);
        assert_eq!(known.meant(b"h\xffst"), Some("host"));
    }
}
