//! Text in UTF-16, as some editors of Windows save it.

/// Number of characters that are examined.
const LOOKED_AT: usize = 256;

/// Whether a file is in UTF-16, of either byte order, with or without a byte order mark.
///
/// Without a mark the ASCII characters show it: the second byte of most characters is NUL and the first one of none, or
/// the other way round.
pub(crate) fn is_utf16(input: &[u8]) -> bool {
    if input.starts_with(b"\xff\xfe") || input.starts_with(b"\xfe\xff") {
        return true;
    }
    let (mut all, mut little, mut big) = (0_usize, 0_usize, 0_usize);
    for pair in input.chunks_exact(2).take(LOOKED_AT) {
        all = all.saturating_add(1);
        match pair {
            [0, 0] => {}
            [_, 0] => little = little.saturating_add(1),
            [0, _] => big = big.saturating_add(1),
            _ => {}
        }
    }
    let is_most = |count: usize| all < count.saturating_mul(2);
    1 < all && (is_most(little) && big == 0 || is_most(big) && little == 0)
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn encoded(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn both_orders_with_and_without_a_mark() {
        for text in [
            "[virt-viewer]\r\ntype=spice\r\n",
            "# コンソール: é\n[virt-viewer]\ntype=vnc\n",
            "[g",
            "\u{feff}",
        ] {
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                assert!(is_utf16(&encoded(text, order)), "{text}");
                assert!(is_utf16(&encoded(&["\u{feff}", text].concat(), order)), "{text}");
            }
            assert!(!is_utf16(text.as_bytes()), "{text}");
        }
        for input in [
            b"".as_slice(),
            b"[",
            b"[\0",
            b"\0\0\0\0",
            b"[g]\nk=a\0b\n",
            b"a\0\0b",
            // Half is not most.
            b"a\0bc",
            b"\0abc",
            b"\xef\xbb\xbf[g]\n",
        ] {
            assert!(!is_utf16(input), "{input:?}");
        }
    }
}
