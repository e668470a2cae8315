//! A copy for bug reports: the same lines, without secrets and values that may be secrets.

use alloc::vec::Vec;

use crate::{
    connection::{ConnectionFile, VirtViewer},
    document::Document,
    host::is_ticket,
    key,
    key_file::KeyFile,
    ovirt::Ovirt,
    proxy::Proxy,
    wiped::Wiped,
};

const REDACTED: &[u8] = b"REDACTED";

/// A proxy without its password; `None` if the text has one and cannot be parsed.
#[cfg(feature = "serde")]
pub(crate) fn shown_proxy(text: &str) -> Option<alloc::string::String> {
    use alloc::string::ToString;
    if !text.contains('@') {
        return Some(text.into());
    }
    Proxy::parse(text).ok().map(|proxy| proxy.to_string())
}

impl ConnectionFile {
    /// The file with `REDACTED` in place of passwords, tickets and tokens, for bug reports.
    ///
    /// Also replaced: the values of keys and groups that virt-viewer does not know, which may hold anything, a
    /// host that is a ticket, a proxy with a password, and comments with a `=` in them. Lines stay lines.
    pub fn redacted(&self) -> Document {
        redacted(self.key_file())
    }
}

fn redacted(file: &KeyFile) -> Document {
    let mut replaced: Vec<(usize, &[u8])> = Vec::new();
    for group in file.groups() {
        let keys = match group {
            b"virt-viewer" => VirtViewer::KEYS,
            b"ovirt" => Ovirt::KEYS,
            _ => &[],
        };
        for entry in file.entries_of(group) {
            let known = keys.iter().find(|name| name.as_bytes() == entry.key);
            if !known.is_some_and(|name| is_harmless(name, entry.value.raw())) {
                replaced.push((entry.line, entry.key));
            }
        }
    }
    replaced.sort_unstable_by_key(|(line, _)| *line);
    let mut replaced = replaced.into_iter().peekable();
    let mut data = Wiped::with_capacity(file.as_bytes().len());
    for (index, line) in file.lines().enumerate() {
        if let Some((_, key)) = replaced.next_if(|(number, _)| *number == index.saturating_add(1)) {
            data.extend_from_slice(key);
            data.push(b'=');
            data.extend_from_slice(REDACTED);
            data.push(b'\n');
        } else if line.trim_ascii_start().starts_with(b"#") && line.contains(&b'=') {
            data.extend_from_slice(b"# ");
            data.extend_from_slice(REDACTED);
            data.push(b'\n');
        } else if let Some(end) = memchr::memchr(0, line) {
            // Text behind a NUL is never read and may be anything, so it is left out.
            data.extend_from_slice(line.get(..end).unwrap_or_default());
            data.push(b'\n');
        } else {
            data.extend_from_slice(line);
        }
    }
    Document::new(data)
}

/// Whether the raw value of a key may be shown. A value with escapes counts as secret where decoding could reveal one.
fn is_harmless(key: &str, raw: &[u8]) -> bool {
    let text = alloc::string::String::from_utf8_lossy(raw);
    match key {
        key::PASSWORD | key::JSESSIONID | key::SSO_TOKEN => false,
        key::HOST => !is_ticket(text.trim()) && !text.contains('\\'),
        key::PROXY => !text.contains(['@', '\\']) || Proxy::parse(&text).is_ok_and(|proxy| proxy.password.is_none()),
        _ => true,
    }
}
