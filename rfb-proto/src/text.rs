//! Texts of a peer, for people.

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt::Write as _;

/// The text for a log or a dialogue: trailing NULs and line ends are gone, other control characters are
/// escaped, and what is not UTF-8 is taken for Latin-1.
pub(crate) fn shown(text: &[u8]) -> String {
    let end = text.iter().rposition(|byte| !matches!(byte, 0 | b'\r' | b'\n'));
    let bytes = match end {
        Some(last) => text.get(..=last).unwrap_or_default(),
        None => &[],
    };
    let text = match core::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    };
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            // Writing to a `String` does not fail.
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
