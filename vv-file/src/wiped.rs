//! Bytes that are overwritten when they are dropped.

use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Bytes that are overwritten at once.
const PIECE: usize = 1024;

/// The bytes of a file, which may have secrets in it: all of the buffer is overwritten when it is dropped.
///
/// As `Zeroizing<Vec<u8>>`, which writes one byte after the other: of reading a file of 6 KiB and all its values that was a
/// third. Here the buffer is filled at once, and a barrier keeps the compiler from leaving that out.
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub(crate) const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// An empty buffer for so many bytes. One that has to grow leaves a copy behind.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }
}

impl Deref for Wiped {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Wiped {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        overwrite(&mut self.0);
    }
}

/// Fills all of the buffer with zeros, also what lies behind its end.
fn overwrite(bytes: &mut Vec<u8>) {
    bytes.clear();
    // Not above the capacity: nothing is allocated. In pieces, for which vector instructions are used.
    while bytes.len() < bytes.capacity() {
        let end = bytes.len().saturating_add(PIECE).min(bytes.capacity());
        bytes.resize(end, 0);
    }
    zeroize::optimization_barrier(bytes.as_slice());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_buffer_is_overwritten_where_it_lies() {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"password=secret");
        // What is behind the end was a secret as well.
        bytes.truncate(9);
        let place = bytes.as_ptr();
        overwrite(&mut bytes);
        assert_eq!((bytes.as_slice(), bytes.as_ptr()), (&[0; 64][..], place));
    }
}
