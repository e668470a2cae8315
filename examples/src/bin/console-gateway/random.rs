//! Random bytes.

/// Fills `out` from the operating system.
///
/// # Panics
/// When the operating system has no random bytes: nothing here can go on without.
pub(crate) fn random(out: &mut [u8]) {
    getrandom::fill(out).expect("random bytes from the operating system");
}

/// So many fresh random bytes.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}
