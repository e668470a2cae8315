//! Large numbers, big endian, without counting with them.

/// Bits of a number, big endian.
pub(crate) fn bits_of(number: &[u8]) -> u32 {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    let Some((first, rest)) = number.get(zeros..).and_then(<[u8]>::split_first) else {
        return 0;
    };
    let rest = u32::try_from(rest.len()).unwrap_or(u32::MAX).saturating_mul(8);
    rest.saturating_add(u8::BITS.saturating_sub(first.leading_zeros()))
}

/// Whether a number is odd, big endian.
pub(crate) fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte & 1 == 1)
}
