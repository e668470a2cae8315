//! A keyboard of the United States: which key makes a character, and the scan code (set 1) of each key.

use spice_proto::channel::inputs::{ClientMessage, Key};

use crate::Result;

/// Presses and releases, in order.
pub(crate) type Strokes = Vec<ClientMessage>;

const SHIFT: u8 = 0x2a;
const ENTER: u8 = 0x1c;

/// Rows of keys: the code of the first, and what each makes without shift and with it.
const ROWS: &[(u8, &str, &str)] = &[
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1e, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (0x2b, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (0x39, " ", " "),
];

/// The strokes that type a text and Enter.
pub(crate) fn line(text: &str) -> Result<Strokes> {
    let mut strokes = Strokes::new();
    for letter in text.chars() {
        let (code, shifted) = key(letter).ok_or_else(|| format!("no key makes {letter:?}"))?;
        strokes.extend(shifted.then(|| down(SHIFT)));
        strokes.extend([down(code), up(code)]);
        strokes.extend(shifted.then(|| up(SHIFT)));
    }
    strokes.extend([down(ENTER), up(ENTER)]);
    Ok(strokes)
}

fn down(code: u8) -> ClientMessage {
    ClientMessage::KeyDown(Key::down(code, false))
}

fn up(code: u8) -> ClientMessage {
    ClientMessage::KeyUp(Key::up(code, false))
}

/// The key for a character, and whether it takes shift.
fn key(letter: char) -> Option<(u8, bool)> {
    ROWS.iter().find_map(|(first, plain, shifted)| {
        let place = |row: &str| row.chars().zip(*first..).find(|(made, _)| *made == letter);
        let plain = place(plain).map(|(_, code)| (code, false));
        plain.or_else(|| place(shifted).map(|(_, code)| (code, true)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_codes() {
        // Some of the table of an IBM PC/AT's keyboard.
        let known = [
            ('a', 0x1e),
            ('l', 0x26),
            ('z', 0x2c),
            ('/', 0x35),
            ('`', 0x29),
            ('\\', 0x2b),
            ('0', 0x0b),
            (']', 0x1b),
        ];
        for (letter, code) in known {
            assert_eq!(key(letter), Some((code, false)), "{letter}");
        }
        assert_eq!(key('A'), Some((0x1e, true)));
        assert_eq!(key('~'), Some((0x29, true)));
        assert_eq!(key('é'), None);
        // Every printable character of ASCII has one.
        assert!((' '..='~').all(|letter| key(letter).is_some()));
    }

    #[test]
    fn a_line_ends_in_enter() {
        let strokes = line("aB").unwrap();
        let expected = [
            down(0x1e),
            up(0x1e),
            down(SHIFT),
            down(0x30),
            up(0x30),
            up(SHIFT),
            down(ENTER),
            up(ENTER),
        ];
        assert_eq!(strokes, expected);
        assert!(line("ü").is_err());
    }
}
