//! Messages of either direction: whole, or in pieces.

use super::{FramingError, HELD, Message, Missing};
use crate::fields::{Decode, Reader, ShortForm};
use crate::limits::Limits;
use crate::message::Extensions;

/// Where a stream of messages is.
#[derive(Debug, Clone)]
pub(super) struct Messages {
    /// Bytes of the stream that were taken.
    pub(super) taken: u64,
    pub(super) missing: Missing,
    /// A message that goes in pieces.
    body: Option<Body>,
}

#[derive(Debug, Clone, Copy)]
struct Body {
    number: u8,
    len: u64,
    offset: u64,
}

impl Messages {
    pub(super) const fn new() -> Self {
        Self {
            taken: 0,
            missing: Missing {
                bytes: 1,
                field: "type",
            },
            body: None,
        }
    }

    /// Whether it is in a message that goes in pieces.
    pub(super) const fn is_inside(&self) -> bool {
        self.body.is_some()
    }

    /// Takes so many bytes, or all.
    #[inline]
    pub(super) fn take<'a>(&mut self, src: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (bytes, rest) = src.split_at_checked(len).unwrap_or((src, &[]));
        *src = rest;
        self.taken = self.taken.saturating_add(bytes.len() as u64);
        bytes
    }

    /// Takes the next message, or a piece of one.
    #[inline]
    pub(super) fn next<'a, T: Decode>(
        &mut self,
        src: &mut &'a [u8],
        extensions: Extensions,
        limits: &Limits,
    ) -> Result<Option<Message<'a>>, FramingError> {
        if let Some(body) = self.body {
            return Ok(self.piece(src, body));
        }
        match short::<T>(src) {
            Some((number, bytes, rest)) => {
                *src = rest;
                let (len, offset) = (bytes.len() as u64, 0);
                self.taken = self.taken.saturating_add(len);
                Ok(Some(Message {
                    number,
                    len,
                    offset,
                    bytes,
                }))
            }
            None => self.next_by_extent::<T>(src, extensions, limits),
        }
    }

    /// Takes the messages at the front whose numbers have a bit in `numbers`, as far as they are whole and of the short
    /// form. Gives how many of them have the number `counted`; `None`: there are none at all.
    #[inline]
    pub(super) fn pass<T: Decode>(&mut self, src: &mut &[u8], numbers: u32, counted: u8) -> Option<u32> {
        let (mut rest, mut count) = (*src, 0_u32);
        while let [number, second, ..] = rest {
            if numbers.checked_shr((*number).into()).unwrap_or_default() & 1 == 0 {
                break;
            }
            let ShortForm { len, marks } = T::SHORT_FORMS
                .get(usize::from(*number))
                .copied()
                .unwrap_or(ShortForm::NONE);
            let Some(behind) = rest.get(usize::from(len)..) else {
                break;
            };
            if second & marks != 0 || len == 0 {
                break;
            }
            // A count of what lies in a buffer does not wrap.
            count = count.wrapping_add(u32::from(*number == counted));
            rest = behind;
        }
        let taken = src.len().wrapping_sub(rest.len());
        if taken == 0 {
            return None;
        }
        *src = rest;
        self.taken = self.taken.saturating_add(taken as u64);
        Some(count)
    }

    /// The same for a message whose length has to be read.
    fn next_by_extent<'a, T: Decode>(
        &mut self,
        src: &mut &'a [u8],
        extensions: Extensions,
        limits: &Limits,
    ) -> Result<Option<Message<'a>>, FramingError> {
        let mut r = Reader::borrowed(src, T::NAME, limits);
        r.agreed_on(extensions);
        // Less than that, as long as what tells the length is not there; but that is never so long as what is held.
        let len = T::extent(&mut r).map_err(|error| {
            let offset = self.taken.saturating_add(error.offset as u64);
            FramingError { offset, error }
        })?;
        let number = src.first().copied().unwrap_or_default();
        if HELD < len {
            let (len, offset) = (len as u64, 0);
            return Ok(self.piece(src, Body { number, len, offset }));
        }
        if src.len() < len {
            let mut r = Reader::borrowed(src, T::NAME, limits);
            r.agreed_on(extensions);
            let field = T::read(&mut r).map_or_else(|error| error.field, |_| "type");
            let bytes = len.saturating_sub(src.len()) as u64;
            self.missing = Missing { bytes, field };
            return Ok(None);
        }
        let bytes = self.take(src, len);
        let (len, offset) = (len as u64, 0);
        Ok(Some(Message {
            number,
            len,
            offset,
            bytes,
        }))
    }

    /// What of a long message is there.
    fn piece<'a>(&mut self, src: &mut &'a [u8], body: Body) -> Option<Message<'a>> {
        let Body { number, len, offset } = body;
        let left = len.saturating_sub(offset);
        if src.is_empty() {
            let (bytes, field) = (left, "body");
            self.missing = Missing { bytes, field };
            return None;
        }
        let bytes = self.take(src, usize::try_from(left).unwrap_or(usize::MAX));
        let reached = offset.saturating_add(bytes.len() as u64);
        self.body = (reached < len).then_some(Body {
            offset: reached,
            ..body
        });
        Some(Message {
            number,
            len,
            offset,
            bytes,
        })
    }
}

/// The number and the bytes of a message of the short form, and what follows it.
#[inline(always)]
fn short<T: Decode>(src: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let number = *src.first()?;
    let ShortForm { len, marks } = *T::SHORT_FORMS.get(usize::from(number))?;
    let (bytes, rest) = src.split_at_checked(len.into())?;
    match bytes {
        // No message of a client is shorter than two bytes.
        [_, second, ..] if second & marks == 0 => Some((number, bytes, rest)),
        _ => None,
    }
}
