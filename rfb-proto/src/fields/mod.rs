//! Reading and writing of packed big-endian fields, and the table that a flat layout is written in.
//!
//! A layout stands once, as a [`layout!`] table; the struct, its decoder, its encoder and its length
//! come from it. One bounds check covers a whole fixed block; inside it the reads cannot fail, and the
//! compiler drops their checks. Only when the block is short does a cold function look through the
//! field table for the one to name in the error.
//!
//! RFB has no frames: only the layout itself tells where a message ends. So each layout also says how
//! many bytes are missing behind a prefix, and [`Encode::wire_len`] of what was decoded is what was taken.

use alloc::vec::Vec;
use bytes::{Buf as _, Bytes, BytesMut};
use core::fmt;

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::limits::Limits;
use crate::message::Extensions;

/// Bytes in a buffer, of which nothing but their number is shown: a password may be among them.
pub(crate) struct Unseen<'a>(pub(crate) &'a [u8]);

impl fmt::Debug for Unseen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// A value with one size on the wire.
pub(crate) trait Fixed: Sized {
    /// Bytes on the wire.
    const SIZE: usize;
    /// What a structure is made of.
    const FIELDS: &'static [Field] = &[];
    /// Takes the value off the front of a block that is known to be long enough.
    fn get(block: &mut &[u8]) -> Self;
    /// Writes the value at the front of a block that is known to be long enough.
    fn put(&self, block: &mut &mut [u8]);
}

/// One field of a fixed block, for the error that names it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    /// The fields of a structure.
    pub(crate) inner: &'static [Field],
}

impl Field {
    /// A field of this type.
    pub(crate) const fn new<T: Fixed>(name: &'static str) -> Self {
        Self {
            name,
            size: T::SIZE,
            inner: T::FIELDS,
        }
    }
}

macro_rules! fixed_integers {
    ($($int:ty),*) => {$(
        impl Fixed for $int {
            const SIZE: usize = size_of::<$int>();

            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                <$int>::from_be_bytes(Fixed::get(block))
            }

            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                self.to_be_bytes().put(block);
            }
        }
    )*};
}

fixed_integers!(u8, u16, u32, i32);

impl<const N: usize> Fixed for [u8; N] {
    const SIZE: usize = N;

    #[inline(always)]
    fn get(block: &mut &[u8]) -> Self {
        match block.split_first_chunk::<N>() {
            Some((bytes, rest)) => {
                *block = rest;
                *bytes
            }
            // INVARIANT: the caller checked the block; after inlining this arm is gone.
            None => [0; N],
        }
    }

    #[inline(always)]
    fn put(&self, block: &mut &mut [u8]) {
        if let Some((bytes, rest)) = core::mem::take(block).split_first_chunk_mut::<N>() {
            *bytes = *self;
            *block = rest;
        }
    }
}

/// The bytes of one message, and where the reader is in them.
pub(crate) struct Reader<'a> {
    body: &'a [u8],
    /// What the payloads are slices of. Without it they are copied.
    source: Option<&'a Bytes>,
    at: usize,
    message: &'static str,
    limits: &'a Limits,
    extensions: Extensions,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("message", &self.message)
            .field("body", &Unseen(self.body))
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a Bytes, message: &'static str, limits: &'a Limits) -> Self {
        Self {
            body,
            source: Some(body),
            at: 0,
            message,
            limits,
            extensions: Extensions::NONE,
        }
    }

    pub(crate) fn borrowed(body: &'a [u8], message: &'static str, limits: &'a Limits) -> Self {
        Self {
            body,
            source: None,
            at: 0,
            message,
            limits,
            extensions: Extensions::NONE,
        }
    }

    /// What the two sides have agreed on; nothing, if this is not called.
    #[inline(always)]
    pub(crate) fn agreed_on(&mut self, extensions: Extensions) {
        self.extensions = extensions;
    }

    /// What the two sides have agreed on.
    #[inline(always)]
    pub(crate) fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// The bytes that are left.
    pub(crate) fn left(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    /// What the caller accepts.
    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    /// Takes `size` bytes as one block. `fields` names what is in it, with the sizes.
    #[inline(always)]
    pub(crate) fn block(&mut self, size: usize, fields: &'static [Field]) -> Result<&'a [u8], DecodeError> {
        match self.left().split_at_checked(size) {
            Some((block, _)) => {
                self.at = self.at.saturating_add(size);
                Ok(block)
            }
            None => Err(self.short_block(fields)),
        }
    }

    /// Finds the first field that the bytes do not hold, inside of a structure if it lies in one.
    #[cold]
    fn short_block(&self, mut fields: &'static [Field]) -> DecodeError {
        let mut left = self.left().len();
        let mut offset = self.at;
        while let [field, others @ ..] = fields {
            fields = match field {
                Field { size, .. } if *size <= left => {
                    left = left.saturating_sub(*size);
                    offset = offset.saturating_add(*size);
                    others
                }
                Field { name, size, inner: [] } => {
                    return self.truncated(name, offset, *size as u64, left);
                }
                // It ends inside of this structure.
                Field { inner, .. } => inner,
            };
        }
        self.truncated("body", offset, 0, left)
    }

    #[cold]
    fn truncated(&self, field: &'static str, offset: usize, needed: u64, left: usize) -> DecodeError {
        self.error(field, offset, DecodeErrorKind::Truncated { needed, left })
    }

    /// An error about this message.
    #[cold]
    pub(crate) fn error(&self, field: &'static str, offset: usize, kind: DecodeErrorKind) -> DecodeError {
        DecodeError {
            message: self.message,
            field,
            offset,
            kind,
        }
    }

    /// Goes on as another message, which begins where this one does.
    pub(crate) fn rename(&mut self, message: &'static str) {
        self.message = message;
    }

    /// The type of the message that begins here.
    pub(crate) fn peek_type(&self) -> Result<u8, DecodeError> {
        let missing = || self.truncated("type", self.at, 1, 0);
        self.left().first().copied().ok_or_else(missing)
    }

    /// A number that there is nothing for.
    #[cold]
    pub(crate) fn unknown(&self, field: &'static str, value: i64) -> DecodeError {
        self.error(field, self.at, DecodeErrorKind::Unknown { value })
    }

    /// Holds the type of a message, its first byte, against the one that the message has.
    #[inline(always)]
    pub(crate) fn is_type(&self, block: &mut &[u8], number: u8) -> Result<(), DecodeError> {
        if u8::get(block) == number {
            return Ok(());
        }
        Err(another_type(self.message))
    }

    /// Holds a length against its limit. Its field, `size` bytes, is the last that was read.
    pub(crate) fn limited(&self, field: &'static str, size: usize, value: u32, limit: u32) -> Result<(), DecodeError> {
        if value <= limit {
            return Ok(());
        }
        let (value, limit) = (value.into(), limit.into());
        Err(self.error(
            field,
            self.at.saturating_sub(size),
            DecodeErrorKind::TooLarge { value, limit },
        ))
    }

    /// Where the next `count` elements end.
    #[inline]
    pub(crate) fn end_of<T: Fixed>(&self, count: u32) -> usize {
        usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(T::SIZE)
            .saturating_add(self.at)
    }

    /// How far it is.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// `count` bytes, borrowed.
    pub(crate) fn bytes(&mut self, count: u32, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (start, left) = (self.at, self.left());
        match usize::try_from(count).ok().and_then(|count| left.get(..count)) {
            Some(bytes) => {
                self.at = start.saturating_add(bytes.len());
                Ok(bytes)
            }
            None => Err(self.truncated(field, start, u64::from(count), left.len())),
        }
    }

    /// `count` bytes, as a slice of the body.
    pub(crate) fn blob(&mut self, count: u32, field: &'static str) -> Result<Bytes, DecodeError> {
        let (start, left) = (self.at, self.left().len());
        match usize::try_from(count) {
            Ok(count) if count <= left => {
                self.at = self.at.saturating_add(count);
                Ok(self.slice(start, self.at))
            }
            _ => Err(self.truncated(field, start, u64::from(count), left)),
        }
    }

    fn slice(&self, start: usize, end: usize) -> Bytes {
        match self.source {
            // INVARIANT: start <= end <= body.len(), so `slice` cannot panic.
            Some(source) => source.slice(start..end),
            None => Bytes::copy_from_slice(self.body.get(start..end).unwrap_or_default()),
        }
    }

    /// `count` elements. Room is made only for elements whose bytes are there.
    pub(crate) fn array<T: Fixed>(&mut self, count: u32, field: &'static str) -> Result<Vec<T>, DecodeError> {
        let left = self.left();
        let needed = u64::from(count).saturating_mul(T::SIZE as u64);
        let Some((mut block, _)) = usize::try_from(needed)
            .ok()
            .and_then(|needed| left.split_at_checked(needed))
        else {
            return Err(self.truncated(field, self.at, needed, left.len()));
        };
        self.at = self.at.saturating_add(block.len());
        let mut elements = Vec::with_capacity(block.len().checked_div(T::SIZE).unwrap_or(0));
        while !block.is_empty() {
            elements.push(T::get(&mut block));
        }
        Ok(elements)
    }
}

/// The form in which a message has one length, as nearly all messages of a client have.
#[derive(Clone, Copy)]
pub(crate) struct ShortForm {
    /// Its bytes; 0: there is none, and [`Decode::extent`] has to be asked.
    pub(crate) len: u8,
    /// Bits of the second byte that another form has.
    pub(crate) marks: u8,
}

impl ShortForm {
    pub(crate) const NONE: Self = Self::of(0);

    /// Always so many bytes.
    pub(crate) const fn of(len: usize) -> Self {
        let [low, ..] = len.to_le_bytes();
        let len = if len <= u8::MAX as usize { low } else { 0 };
        Self { len, marks: 0 }
    }
}

/// A message with a wire form.
pub(crate) trait Decode: Sized {
    /// Its name in errors.
    const NAME: &'static str;
    /// Reads it off the front. What follows belongs to the next message and stays unread.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
    /// How long it is. As long as it is not whole: how long it is at least.
    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError>;
    /// Its short form, if it has one.
    const SHORT: ShortForm = ShortForm::NONE;
    /// Of the messages of one direction: the short form of each number.
    const SHORT_FORMS: &'static [ShortForm; 256] = &[ShortForm::NONE; 256];
    /// Takes it off the front of `src`. None: it is not whole, or `fault` says what is wrong with it. Payloads are
    /// copied.
    ///
    /// The error has a place of its own so that nothing stands between a message and where the caller wants it.
    #[inline]
    fn front(
        src: &mut &[u8],
        extensions: &Extensions,
        limits: &Limits,
        fault: &mut Option<DecodeError>,
    ) -> Option<Self> {
        front(src, extensions, limits, fault)
    }
    /// Takes it off the front of a buffer, if it is whole.
    fn take(src: &mut BytesMut, extensions: &Extensions, limits: &Limits) -> Result<Option<Self>, DecodeError> {
        let mut r = Reader::borrowed(src, Self::NAME, limits);
        r.agreed_on(*extensions);
        let extent = Self::extent(&mut r)?;
        if src.len() < extent {
            return Ok(None);
        }
        // Payloads are slices of the message, which leaves the buffer as one.
        let bytes = src.split_to(extent).freeze();
        let mut r = Reader::new(&bytes, Self::NAME, limits);
        r.agreed_on(*extensions);
        Self::read(&mut r).map(Some)
    }
}

/// [`Decode::front`] for a message with a payload.
#[inline(never)]
pub(crate) fn front<T: Decode>(
    src: &mut &[u8],
    extensions: &Extensions,
    limits: &Limits,
    fault: &mut Option<DecodeError>,
) -> Option<T> {
    let mut r = Reader::borrowed(src, T::NAME, limits);
    r.agreed_on(*extensions);
    match T::read(&mut r) {
        Ok(message) => {
            *src = src.get(r.at..).unwrap_or_default();
            Some(message)
        }
        Err(error) => {
            if !matches!(error.kind, DecodeErrorKind::Truncated { .. }) {
                *fault = Some(error);
            }
            None
        }
    }
}

/// [`Decode::take`] for a message without a payload.
#[inline]
pub(crate) fn take_front<T: Decode>(
    src: &mut BytesMut,
    extensions: &Extensions,
    limits: &Limits,
) -> Result<Option<T>, DecodeError> {
    let (mut rest, mut fault) = (&src[..], None);
    let message = T::front(&mut rest, extensions, limits, &mut fault);
    if let Some(error) = fault {
        return Err(error);
    }
    let taken = src.len().saturating_sub(rest.len());
    src.advance(taken);
    Ok(message)
}

/// The error of a message that is another than it was taken for.
#[cold]
pub(crate) fn another_type(message: &'static str) -> DecodeError {
    DecodeError {
        message,
        field: "type",
        offset: 0,
        kind: DecodeErrorKind::Invalid("the type of another message"),
    }
}

/// The other direction.
pub(crate) trait Encode: Decode {
    /// Bytes that [`Encode::write`] appends.
    fn wire_len(&self) -> usize;
    /// Appends the wire form. On an error `dst` may hold a part of it; [`append`] takes that back.
    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError>;
}

/// Appends `message`, or nothing.
#[inline]
pub(crate) fn append<T: Encode>(message: &T, dst: &mut BytesMut) -> Result<(), EncodeError> {
    let before = dst.len();
    message.write(dst).inspect_err(|_| dst.truncate(before))
}

/// Appends a fixed block.
#[inline(always)]
pub(crate) fn put_block<const N: usize>(dst: &mut BytesMut, fill: impl FnOnce(&mut &mut [u8])) {
    let mut block = [0; N];
    fill(&mut block.as_mut_slice());
    dst.extend_from_slice(&block);
}

/// A length as its wire field, or the error that says that it does not fit.
pub(crate) fn length<T: TryFrom<usize> + Into<u64>>(
    len: usize,
    message: &'static str,
    field: &'static str,
    limit: T,
) -> Result<T, EncodeError> {
    T::try_from(len).map_err(|_| EncodeError {
        message,
        field,
        value: len as u64,
        limit: limit.into(),
    })
}

/// Appends elements.
pub(crate) fn put_array<T: Fixed>(dst: &mut BytesMut, elements: &[T]) {
    let start = dst.len();
    dst.resize(start.saturating_add(elements.len().saturating_mul(T::SIZE)), 0);
    let mut block = dst.get_mut(start..).unwrap_or_default();
    for element in elements {
        element.put(&mut block);
    }
}

mod layout;

pub(crate) use layout::{codec, layout, messages};

#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the tables make public types with all methods; these are for the tests only"
)]
mod tests;
