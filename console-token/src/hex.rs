//! Bytes from hexadecimal digits.

/// Exactly `N` bytes from their digits, of either case.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let read = base16ct::mixed::decode(text, &mut bytes).ok()?.len();
    (read == N).then_some(bytes)
}
