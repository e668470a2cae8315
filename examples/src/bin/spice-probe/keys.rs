//! A keyboard of the United States: which key makes a character, and the scan code (set 1) of each key.

use crate::Result;

/// Presses and releases, in order.
pub(crate) type Strokes = Vec<Stroke>;

/// A key goes down or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stroke {
    Down(u32),
    Up(u32),
}

/// The bit in a scan code that says that the key goes up.
const RELEASED: u32 = 0x80;
const SHIFT: u32 = 0x2a;
const ENTER: u32 = 0x1c;

/// Rows of keys: the code of the first, and what each makes without shift and with it.
const ROWS: &[(u32, &str, &str)] = &[
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
        if shifted {
            strokes.push(Stroke::Down(SHIFT));
        }
        strokes.extend([Stroke::Down(code), Stroke::Up(code | RELEASED)]);
        if shifted {
            strokes.push(Stroke::Up(SHIFT | RELEASED));
        }
    }
    strokes.extend([Stroke::Down(ENTER), Stroke::Up(ENTER | RELEASED)]);
    Ok(strokes)
}

/// The key for a character, and whether it takes shift.
fn key(letter: char) -> Option<(u32, bool)> {
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
            Stroke::Down(0x1e),
            Stroke::Up(0x9e),
            Stroke::Down(0x2a),
            Stroke::Down(0x30),
            Stroke::Up(0xb0),
            Stroke::Up(0xaa),
            Stroke::Down(0x1c),
            Stroke::Up(0x9c),
        ];
        assert_eq!(strokes, expected);
        assert!(line("ü").is_err());
    }
}
