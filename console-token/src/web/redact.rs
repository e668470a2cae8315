//! URLs without what is secret in them, for logs.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt::{self, Write as _};

use percent_encoding::percent_decode;

/// A URL, or the target of a request, as it may be written to a log.
///
/// `***` stands for
/// - user information in front of a host (`user:password@`),
/// - values of parameters, in the query and in the fragment, whose name has a word like `token`, `ticket`, `password` or
///   `key` in it, in any case and percent-encoding,
/// - values that have such a word inside of them, however often they are percent-encoded: the parameter `path` of
///   noVNC, and URLs in URLs,
/// - parameters without a value, when they are longer than [`LONGEST_FLAG`](Self::LONGEST_FLAG),
/// - segments of the path behind one that ends in `token` or `tokens` (`/os-console-auth-tokens/...` of Nova, `/token/...` of
///   libvirt-console-proxy), and those that are signed tokens (`eyJ...`).
///
/// What is not visible ASCII is percent-encoded, so that no line can be forged, and
/// more than [`LONGEST`](Self::LONGEST) bytes are cut off. Other secrets, under names that tell nothing, are not found.
///
/// ```
/// use console_token::web::Redacted;
///
/// let shown = Redacted("https://u:p@gw.example/vnc.html?scale=1&path=%3Ftoken%3D5a5a#top").to_string();
/// assert_eq!(shown, "https://***@gw.example/vnc.html?scale=1&path=***#top");
/// ```
#[derive(Clone, Copy)]
pub struct Redacted<'a>(pub &'a str);

/// What names of secrets have in them, lower case.
const WORDS: [&str; 17] = [
    "token",
    "ticket",
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "auth",
    "sig",
    "key",
    "credential",
    "jwt",
    "code",
    "session",
    "sso",
    "nonce",
    "assertion",
    "hash",
];

/// How often a value is percent-decoded in search of a word. What is still encoded then is hidden.
const LAYERS: usize = 4;

const HIDDEN: &str = "***";

impl Redacted<'_> {
    /// How much of a URL is shown, in bytes.
    pub const LONGEST: usize = 1024;

    /// The longest parameter without a value that is shown, in bytes.
    pub const LONGEST_FLAG: usize = 16;
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = (0..=Self::LONGEST.min(self.0.len()))
            .rev()
            .find_map(|at| self.0.split_at_checked(at));
        let (text, rest) = cut.unwrap_or_default();
        let (before, fragment) = part(text, '#');
        let (before, query) = part(before, '?');
        let (scheme, before) = match before.split_once("//") {
            Some((scheme, before)) if scheme.is_empty() || scheme.ends_with(':') => (Some(scheme), before),
            _ => (None, before),
        };
        if let Some(scheme) = scheme {
            put(f, scheme)?;
            f.write_str("//")?;
        }
        let (authority, path) = before
            .split_at_checked(before.find('/').unwrap_or(before.len()))
            .unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                f.write_str(HIDDEN)?;
                f.write_char('@')?;
                put(f, host)?;
            }
            None => put(f, authority)?,
        }
        put_path(f, path)?;
        for (mark, parameters) in [('?', query), ('#', fragment)] {
            if let Some(parameters) = parameters {
                f.write_char(mark)?;
                put_parameters(f, parameters)?;
            }
        }
        if rest.is_empty() { Ok(()) } else { f.write_str("...") }
    }
}

impl fmt::Debug for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redacted({self})")
    }
}

fn part(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((before, behind)) => (before, Some(behind)),
        None => (text, None),
    }
}

/// Writes text with everything but visible ASCII percent-encoded.
fn put(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.bytes().try_for_each(|byte| {
        if byte.is_ascii_graphic() {
            f.write_char(char::from(byte))
        } else {
            write!(f, "%{byte:02X}")
        }
    })
}

fn put_path(f: &mut fmt::Formatter<'_>, path: &str) -> fmt::Result {
    let mut hide = false;
    for (index, segment) in path.split('/').enumerate() {
        if index != 0 {
            f.write_char('/')?;
        }
        let decoded = Decoded::of(segment);
        if (hide && !segment.is_empty()) || decoded.text.contains("eyj") || decoded.is_unclear {
            f.write_str(HIDDEN)?;
        } else {
            put(f, segment)?;
        }
        let text = decoded.text.trim_end_matches('s');
        hide = text.ends_with("token") || (hide && segment.is_empty());
    }
    Ok(())
}

fn put_parameters(f: &mut fmt::Formatter<'_>, parameters: &str) -> fmt::Result {
    for (index, parameter) in parameters.split('&').enumerate() {
        if index != 0 {
            f.write_char('&')?;
        }
        match parameter.split_once('=') {
            Some((name, value)) => {
                if Redacted::LONGEST_FLAG.saturating_mul(2) < name.len() {
                    f.write_str(HIDDEN)?;
                } else {
                    put(f, name)?;
                }
                f.write_char('=')?;
                if is_secret(name) || is_secret(value) {
                    f.write_str(HIDDEN)?;
                } else {
                    put(f, value)?;
                }
            }
            None if Redacted::LONGEST_FLAG < parameter.len() => f.write_str(HIDDEN)?,
            None => put(f, parameter)?,
        }
    }
    Ok(())
}

/// Whether a name or a value tells that there is a secret.
fn is_secret(text: &str) -> bool {
    let decoded = Decoded::of(text);
    decoded.is_unclear || decoded.text.contains("eyj") || WORDS.iter().any(|word| decoded.text.contains(word))
}

/// Text in lower case with its percent-encoding undone, layer by layer.
struct Decoded {
    text: String,
    /// There are more layers than are looked at.
    is_unclear: bool,
}

impl Decoded {
    fn of(text: &str) -> Self {
        let mut bytes: Vec<u8> = text.into();
        let mut is_unclear = true;
        for _ in 0..LAYERS {
            match Cow::from(percent_decode(&bytes)) {
                Cow::Borrowed(_) => {
                    is_unclear = false;
                    break;
                }
                Cow::Owned(decoded) => bytes = decoded,
            }
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        text.make_ascii_lowercase();
        Self { text, is_unclear }
    }
}
