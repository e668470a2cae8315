//! What a server says to the client's version: a list of security types, a word with one, or a refusal.
//!
//! ```text
//! 3.7, 3.8   u8 count, u8 types[count]               count 0: refused, a reason follows
//! 3.3        u32 type                                type 0: refused, a reason follows
//! ```
//!
//! Which of the two a server uses depends on what it makes of the client's version, and servers differ there. QEMU
//! refuses with a word of 0 and no reason whatever the version; TigerVNC and neatvnc refuse with an empty list and a
//! reason; libvncserver puts a reason behind a word of 0, or says nothing; rustvncserver does not look at the version
//! and lists; neatvnc takes 3.889 for 3.3. So the form is taken from the bytes, as far as they tell it.

/// The form of what a server says to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// A list with types in it.
    List,
    /// A word with a type.
    Word,
    /// An empty list. A reason follows.
    EmptyList,
    /// A word of 0. A reason may follow.
    ZeroWord,
}

/// What is known about a connection on which a server opens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// What the client's version asks for; `None` if nothing is published for it.
    pub(super) expects: Option<Opening>,
    /// No more bytes come.
    pub(super) ended: bool,
    /// The client has answered already.
    pub(super) answered: bool,
}

/// Bytes of a word.
const WORD: usize = 4;
/// UltraVNC's word for its own logon, as the first byte of it.
const ULTRA: [u8; WORD] = [0xff, 0xff, 0xff, 0xfa];
/// A word, and a challenge behind it: as many bytes as a server says before the client has to answer.
const WORD_AND_CHALLENGE: usize = WORD + 16;

/// The form of what begins with these bytes. `None`: more bytes are needed, or there are none.
pub(super) fn form(bytes: &[u8], known: Known) -> Option<Opening> {
    let first = *bytes.first()?;
    let word = bytes.first_chunk::<WORD>();
    if first != 0 {
        return match (known.expects, word) {
            (Some(Opening::Word), Some(word)) if *word == ULTRA => Some(Opening::Word),
            (Some(Opening::Word), None) if first == ULTRA[0] && !known.ended => None,
            _ => Some(Opening::List),
        };
    }
    match (word, known.expects) {
        (None, _) if !known.ended => None,
        (None, Some(Opening::Word)) => Some(Opening::ZeroWord),
        (None, _) => Some(Opening::EmptyList),
        (Some([0, 0, 0, 0]), _) => refusal(&bytes[WORD..], known.ended),
        (Some(_), Some(Opening::Word)) => Some(Opening::Word),
        (Some(_), Some(_)) => Some(Opening::EmptyList),
        (Some(_), None) => word_or_reason(bytes, known),
    }
}

/// Four bytes of 0: a word, or an empty list and the three high bytes of the length of a reason, which goes on with
/// `rest`.
fn refusal(rest: &[u8], ended: bool) -> Option<Opening> {
    match rest {
        // The length of a reason behind a word begins with 0 as well: no reason is that long.
        [0, _, ..] => Some(Opening::ZeroWord),
        [0] if ended => Some(Opening::EmptyList),
        [] if ended => Some(Opening::ZeroWord),
        [0] | [] => None,
        _ => Some(Opening::EmptyList),
    }
}

/// A word that is not 0, or an empty list with a reason of 256 characters and more: what follows is a challenge or
/// nothing, or a text.
fn word_or_reason(bytes: &[u8], known: Known) -> Option<Opening> {
    if known.answered {
        return Some(Opening::Word);
    }
    if bytes.len() < WORD_AND_CHALLENGE && !known.ended {
        return None;
    }
    let text = bytes.get(WORD + 1..).unwrap_or_default();
    let is_text = !text.is_empty() && text.iter().take(16).all(|byte| matches!(byte, b' '..=b'~' | b'\n'));
    Some(if is_text { Opening::EmptyList } else { Opening::Word })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Known = Known {
        expects: None,
        ended: false,
        answered: false,
    };
    const ENDED: Known = Known { ended: true, ..OPEN };

    fn expects(expects: Opening) -> Known {
        Known {
            expects: Some(expects),
            ..OPEN
        }
    }

    /// What QEMU, TigerVNC, libvncserver and neatvnc say to a version that they do not know.
    #[test]
    fn refusals_are_told_apart() {
        let tiger = b"\0\0\0\0\x31Client needs protocol version 3.8, server has 3.8";
        let reason = b"\0\0\0\0\0\0\0\x04gone";
        for known in [OPEN, expects(Opening::List), expects(Opening::Word)] {
            assert_eq!(form(&[0; 4], known), None, "{known:?}");
            let ended = Known { ended: true, ..known };
            assert_eq!(form(&[0; 4], ended), Some(Opening::ZeroWord), "{known:?}");
            assert_eq!(form(&[0; 5], known), None, "{known:?}");
            assert_eq!(form(&[0; 5], ended), Some(Opening::EmptyList), "{known:?}");
            assert_eq!(form(tiger, known), Some(Opening::EmptyList), "{known:?}");
            assert_eq!(form(reason, known), Some(Opening::ZeroWord), "{known:?}");
            assert_eq!(form(&[], ended), None);
            // An empty list, and nothing behind it.
            assert_eq!(form(&[0], known), None);
            let cut = match known.expects {
                Some(Opening::Word) => Opening::ZeroWord,
                _ => Opening::EmptyList,
            };
            assert_eq!(form(&[0], ended), Some(cut), "{known:?}");
        }
    }

    #[test]
    fn a_version_that_is_published_has_its_form() {
        let (word, list) = (expects(Opening::Word), expects(Opening::List));
        assert_eq!(form(&[0, 0, 0, 2], word), Some(Opening::Word));
        assert_eq!(form(&[0xff, 0xff, 0xff, 0xfa], word), Some(Opening::Word));
        assert_eq!(form(&[0xff], word), None);
        assert_eq!(form(&[1, 2], list), Some(Opening::List));
        assert_eq!(
            form(&[0, 0, 0, 1, 0], list),
            Some(Opening::EmptyList),
            "a reason of 256 bytes"
        );
        // A server that did not look at the version.
        assert_eq!(form(&[1, 2], word), Some(Opening::List));
    }

    #[test]
    fn a_version_that_is_not_published_has_any() {
        assert_eq!(form(&[2, 2, 19], OPEN), Some(Opening::List));
        // None, and whose turn it is now.
        assert_eq!(form(&[0, 0, 0, 1], OPEN), None);
        let answered = Known { answered: true, ..OPEN };
        assert_eq!(form(&[0, 0, 0, 1], answered), Some(Opening::Word));
        assert_eq!(form(&[0, 0, 0, 1], ENDED), Some(Opening::Word));
        let challenge = [&[0, 0, 0, 2][..], &[0x93; 16]].concat();
        assert_eq!(form(&challenge[..19], OPEN), None);
        assert_eq!(form(&challenge, OPEN), Some(Opening::Word));
        let long = [&[0, 0, 0, 1, 0][..], &[b'x'; 256]].concat();
        assert_eq!(form(&long, OPEN), Some(Opening::EmptyList));
    }
}
