//! HTTP headers and file name for the download of a connection file.
//!
//! Browsers choose virt-viewer by the media type or by the suffix, depending on the browser and the system; both have
//! to be right. The response also needs `Cache-Control: no-store`, because the file holds a token.

use alloc::{borrow::ToOwned, format, string::String};

/// The media type that virt-viewer registers for its files.
pub const MIME_TYPE: &str = "application/x-virt-viewer";

const SUFFIX: &str = ".vv";
/// The longest file name, in bytes. Long enough to recognise a machine by, short enough for every
/// file system and for the prefix or counter that a browser adds.
const LONGEST: usize = 64;
/// The name for a wish without any character that is allowed.
const FALLBACK: &str = "console";

/// A file name for the download: ASCII letters, digits, `.`, `_` and `-`, at most 64 bytes, with
/// the suffix `.vv`, and with a letter, digit or `_` in front.
///
/// Each run of other characters becomes one `-`. Names that Windows reserves for devices get a
/// prefix.
///
/// ```
/// use vv_file::download::file_name;
/// assert_eq!(file_name("db-1.example.org"), "db-1.example.org.vv");
/// assert_eq!(file_name("../../etc/passwd"), "etc-passwd.vv");
/// assert_eq!(file_name("Müller's VM.vv"), "M-ller-s-VM.vv");
/// assert_eq!(file_name("コンソール"), "console.vv");
/// assert_eq!(file_name("aux"), "console-aux.vv");
/// ```
pub fn file_name(wish: &str) -> String {
    let wish = wish.strip_suffix(SUFFIX).unwrap_or(wish);
    let mut stem = String::new();
    let mut gap = false;
    for character in wish.chars() {
        if !matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-') {
            gap = true;
            continue;
        }
        // A leading dot hides the file, and a leading dash makes it an option of a command.
        if stem.is_empty() && matches!(character, '.' | '-') {
            continue;
        }
        if gap && !stem.is_empty() {
            stem.push('-');
        }
        gap = false;
        stem.push(character);
    }
    if is_device(&stem) {
        stem.insert_str(0, "console-");
    }
    // Only ASCII is left, so any place to cut is between two characters.
    stem.truncate(LONGEST.saturating_sub(SUFFIX.len()));
    if stem.is_empty() {
        stem = FALLBACK.to_owned();
    }
    stem.push_str(SUFFIX);
    stem
}

/// The value of the header `Content-Disposition` for a download under [`file_name`].
///
/// ```
/// use vv_file::download::content_disposition;
/// assert_eq!(content_disposition("web \"1\""), "attachment; filename=\"web-1.vv\"");
/// ```
pub fn content_disposition(wish: &str) -> String {
    format!("attachment; filename=\"{}\"", file_name(wish))
}

/// Windows reserves such a name for a device, with any suffix.
fn is_device(stem: &str) -> bool {
    let name = stem.split('.').next().unwrap_or_default().to_ascii_lowercase();
    match name.strip_prefix("com").or(name.strip_prefix("lpt")) {
        Some(number) => matches!(number.as_bytes(), [b'0'..=b'9']),
        None => matches!(name.as_str(), "con" | "prn" | "aux" | "nul"),
    }
}
