//! Version lines, as the programs read them that they are sent to.

use rfb_proto::{DecodeError, ProtocolVersion};

use super::Wrong;

/// Where every version line begins.
const SIGNATURE: &[u8] = b"RFB";
/// Most characters of a number, a sign among them.
const DIGITS: usize = 3;

/// What a version line is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// It is as the specification has it.
    Proper(ProtocolVersion),
    /// It is not, for this reason, but programs that read it with `scanf` find these numbers in it: TigerVNC,
    /// libvncserver, QEMU, gtk-vnc.
    Scanned(ProtocolVersion, DecodeError),
}

/// Reads the line that is at the front. `None`: more bytes are needed.
///
/// # Errors
/// No program reads it.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Line>, Wrong> {
    let Some(line) = bytes.first_chunk::<{ ProtocolVersion::LEN }>() else {
        let begins = bytes.iter().zip(SIGNATURE).all(|(sent, known)| sent == known);
        return if begins {
            Ok(None)
        } else {
            ProtocolVersion::missing(bytes).map(|_| None).map_err(Wrong::from)
        };
    };
    match ProtocolVersion::from_bytes(line) {
        Ok(version) => Ok(Some(Line::Proper(version))),
        Err(error) => match scanned(line) {
            Some(version) => Ok(Some(Line::Scanned(version, error))),
            None => Err(error.into()),
        },
    }
}

/// What `sscanf(line, "RFB %03d.%03d\n", &major, &minor)` gives if it finds both numbers (C11, section 7.21.6.2).
fn scanned(line: &[u8; ProtocolVersion::LEN]) -> Option<ProtocolVersion> {
    let rest = line.strip_prefix(SIGNATURE)?;
    let (major, rest) = number(rest)?;
    let (minor, _) = number(rest.strip_prefix(b".")?)?;
    Some(ProtocolVersion { major, minor })
}

/// `%03d`, and the white space in front of it: at most three characters, of which the first may be a sign.
fn number(text: &[u8]) -> Option<(u16, &[u8])> {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = text.iter().position(|byte| !blank(byte))?;
    let text = &text[start..];
    let sign = usize::from(matches!(text.first(), Some(b'+' | b'-')));
    let digits = text[sign..].iter().take(DIGITS - sign);
    let count = digits.take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(sign + count);
    let value = std::str::from_utf8(&number[sign..]).ok()?.parse().ok()?;
    // What is below zero is below every version, and servers compare no further.
    let value = if number.first() == Some(&b'-') { 0 } else { value };
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_where_scanf_finds_them() {
        for (line, major, minor) in [
            (b"RFB 003.0x8\n", 3, 0),
            (b"RFB 003.7x8\n", 3, 7),
            (b"RFB 003.08x\n", 3, 8),
            (b"RFB 003.008\r", 3, 8),
            (b"RFB 003.008x", 3, 8),
            (b"RFB 003.8\n\n\n", 3, 8),
            (b"RFB 3.8\n\n\n\n\n", 3, 8),
            (b"RFB003.008\n\n", 3, 8),
            (b"RFB   3. +8\n", 3, 8),
            (b"RFB 003.+08\n", 3, 8),
            (b"RFB 003.-08\n", 3, 0),
            (b"RFB -03.008\n", 0, 8),
        ] {
            let version = ProtocolVersion { major, minor };
            let shown = line.escape_ascii();
            let read = read(line).unwrap();
            assert!(
                matches!(read, Some(Line::Scanned(found, _)) if found == version),
                "{shown}: {read:?}"
            );
        }
        for line in [
            b"rfb 003.008\n",
            b"HTTP/1.0 GET",
            b"RFB 0003.08\n",
            b"RFB x03.008\n",
            b"RFB 003.x08\n",
            b"RFB 003,008\n",
            b"RFB 003.    ",
            b"RFB \0\0\0.008\n",
        ] {
            assert!(read(line).is_err(), "{}", line.escape_ascii());
        }
    }

    #[test]
    fn a_line_that_no_program_reads_is_found_at_once() {
        assert!(read(b"G").is_err() && read(b"RFC").is_err() && read(b"\x16\x03").is_err());
        for begun in [&b""[..], b"R", b"RFB", b"RFB 003.0x", b"RFB 003.008"] {
            assert_eq!(read(begun).unwrap(), None);
        }
        let proper = Some(Line::Proper(ProtocolVersion::V3_8));
        assert_eq!(read(b"RFB 003.008\n\x01").unwrap(), proper);
    }
}
