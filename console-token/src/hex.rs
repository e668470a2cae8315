//! Bytes as hexadecimal digits.

/// The two lower-case digits of each byte.
pub(crate) fn digits(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0x0f])
        .filter_map(|half| char::from_digit(u32::from(half), 16))
}

/// Exactly `N` bytes from their digits, of either case.
pub(crate) fn decode<const N: usize>(mut text: impl Iterator<Item = char>) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for byte in &mut bytes {
        let [high, low] = [text.next()?.to_digit(16)?, text.next()?.to_digit(16)?];
        *byte = u8::try_from(high << 4 | low).ok()?;
    }
    text.next().is_none().then_some(bytes)
}
