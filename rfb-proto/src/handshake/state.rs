//! What both roles need: events, and taking messages off the front of `rx`.

use alloc::boxed::Box;

use bytes::{Buf as _, BytesMut};
use zeroize::Zeroize as _;

use crate::error::DecodeError;
use crate::fields::{Encode, Reader};
use crate::limits::Limits;

/// Events that were not fetched yet: as many as a handshake can have.
#[derive(Debug)]
pub(crate) struct Events<T, const N: usize> {
    kept: [Option<T>; N],
    count: usize,
}

impl<T, const N: usize> Events<T, N> {
    pub(crate) const EMPTY: Self = Self {
        kept: [const { None }; N],
        count: 0,
    };

    #[inline]
    pub(crate) fn push(&mut self, event: T) {
        // INVARIANT: there are no more than N in a handshake.
        if let Some(slot) = self.kept.get_mut(self.count) {
            *slot = Some(event);
            self.count = self.count.wrapping_add(1);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let event = self.kept.first_mut()?.take()?;
        self.kept.rotate_left(1);
        self.count = self.count.saturating_sub(1);
        Some(event)
    }
}

/// Why a state was not left. Errors are boxed, so that the way without any stays in registers.
pub(crate) enum Stop<E> {
    /// So many bytes are missing.
    Receive(usize),
    /// The handshake has failed.
    Failed(Box<E>),
}

impl<E: From<DecodeError>> From<DecodeError> for Stop<E> {
    #[cold]
    fn from(error: DecodeError) -> Self {
        Self::Failed(Box::new(error.into()))
    }
}

/// Drops bytes off the front. A buffer that is used up begins anew, which costs less than to move on in it.
#[inline]
pub(crate) fn eat(rx: &mut BytesMut, count: usize) {
    if rx.len() == count {
        rx.clear();
    } else {
        rx.advance(count);
    }
}

/// Whether so many bytes are there.
#[inline]
pub(crate) fn need<E>(rx: &[u8], count: usize) -> Result<(), Stop<E>> {
    match count.checked_sub(rx.len()) {
        Some(missing) if 0 < missing => Err(Stop::Receive(missing)),
        _ => Ok(()),
    }
}

/// Takes a message off the front of `rx`, payloads copied.
pub(crate) fn take<T: Encode, E: From<DecodeError>>(rx: &mut BytesMut, limits: &Limits) -> Result<T, Stop<E>> {
    let (message, len) = read(rx, limits)?;
    eat(rx, len);
    Ok(message)
}

/// The same for a message with a secret in it: its bytes are overwritten.
pub(crate) fn take_secret<T: Encode, E: From<DecodeError>>(rx: &mut BytesMut, limits: &Limits) -> Result<T, Stop<E>> {
    let (message, len) = read(rx, limits)?;
    wipe(rx.get_mut(..len).unwrap_or_default());
    eat(rx, len);
    Ok(message)
}

/// Overwrites bytes, also where the compiler sees that nothing reads them again.
pub(crate) fn wipe(bytes: &mut [u8]) {
    bytes.zeroize();
}

fn read<T: Encode, E: From<DecodeError>>(rx: &[u8], limits: &Limits) -> Result<(T, usize), Stop<E>> {
    let extent = T::extent(&mut Reader::borrowed(rx, T::NAME, limits))?;
    if rx.len() < extent {
        return Err(Stop::Receive(extent.saturating_sub(rx.len())));
    }
    let message = T::read(&mut Reader::borrowed(rx, T::NAME, limits))?;
    let len = message.wire_len();
    Ok((message, len))
}

/// Takes so many bytes off the front, and overwrites them.
#[inline]
pub(crate) fn take_block<const N: usize, E>(rx: &mut BytesMut) -> Result<[u8; N], Stop<E>> {
    first_block(rx).ok_or(Stop::Receive(N.saturating_sub(rx.len())))
}

/// As [`take_block`], if they are there.
#[inline(always)]
pub(crate) fn first_block<const N: usize>(rx: &mut BytesMut) -> Option<[u8; N]> {
    let bytes = rx.first_chunk_mut::<N>()?;
    let block = core::mem::replace(bytes, [0; N]);
    eat(rx, N);
    Some(block)
}

/// Appends a message. `false`: a field cannot hold its value, and nothing was written.
pub(crate) fn put<T: Encode>(message: &T, tx: &mut BytesMut) -> bool {
    crate::fields::append(message, tx).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A secret leaves nothing behind, which cannot be seen from outside: what is taken off a buffer is out of reach.
    #[test]
    fn wiped_bytes_are_zero() {
        let mut secret = *b"secret";
        wipe(&mut secret);
        assert_eq!(secret, [0; 6]);
    }
}
