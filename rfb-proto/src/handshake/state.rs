//! What both roles need: events, and taking messages off the front of `rx`.

use bytes::{Buf as _, BytesMut};

use super::Event;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::wire::{Encode, Reader};

/// Events that were not fetched yet. A handshake has few; should more come, the oldest are dropped.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: [Option<Event>; 8],
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        match self.kept.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(event),
            None => {
                self.kept.rotate_left(1);
                if let Some(last) = self.kept.last_mut() {
                    *last = Some(event);
                }
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.kept.first_mut()?.take();
        self.kept.rotate_left(1);
        event
    }
}

/// Why a state was not left.
pub(crate) enum Stop<E> {
    /// So many bytes are missing.
    Receive(usize),
    /// The handshake has failed.
    Failed(E),
}

impl<E: From<DecodeError>> From<DecodeError> for Stop<E> {
    fn from(error: DecodeError) -> Self {
        Self::Failed(error.into())
    }
}

/// Whether so many bytes are there.
pub(crate) fn need<E>(rx: &[u8], count: usize) -> Result<(), Stop<E>> {
    match count.checked_sub(rx.len()) {
        Some(missing) if 0 < missing => Err(Stop::Receive(missing)),
        _ => Ok(()),
    }
}

/// Takes a message off the front of `rx`, payloads copied.
pub(crate) fn take<T: Encode, E: From<DecodeError>>(rx: &mut BytesMut, limits: &Limits) -> Result<T, Stop<E>> {
    let (message, len) = read(rx, limits)?;
    rx.advance(len);
    Ok(message)
}

/// The same for a message with a secret in it: its bytes are overwritten.
pub(crate) fn take_secret<T: Encode, E: From<DecodeError>>(rx: &mut BytesMut, limits: &Limits) -> Result<T, Stop<E>> {
    let (message, len) = read(rx, limits)?;
    rx.get_mut(..len).unwrap_or_default().fill(0);
    rx.advance(len);
    Ok(message)
}

fn read<T: Encode, E: From<DecodeError>>(rx: &[u8], limits: &Limits) -> Result<(T, usize), Stop<E>> {
    let missing = T::missing(&mut Reader::borrowed(rx, T::NAME, limits))?;
    if 0 < missing {
        return Err(Stop::Receive(missing));
    }
    let message = T::read(&mut Reader::borrowed(rx, T::NAME, limits))?;
    let len = message.wire_len();
    Ok((message, len))
}

/// Takes so many bytes off the front, and overwrites them.
pub(crate) fn take_block<const N: usize, E>(rx: &mut BytesMut) -> Result<[u8; N], Stop<E>> {
    match rx.first_chunk_mut::<N>() {
        Some(bytes) => {
            let block = core::mem::replace(bytes, [0; N]);
            rx.advance(N);
            Ok(block)
        }
        None => Err(Stop::Receive(N.saturating_sub(rx.len()))),
    }
}

/// Appends a message. `false`: a field cannot hold its value, and nothing was written.
pub(crate) fn put<T: Encode>(message: &T, tx: &mut BytesMut) -> bool {
    crate::wire::append(message, tx).is_ok()
}
