//! Reading and writing of packed little-endian fields, and the table that a flat layout is written in.
//!
//! A layout stands once, as a [`layout!`] table; the struct, its decoder, its encoder and its length
//! come from it. One bounds check covers a whole fixed block; inside it the reads cannot fail, and the
//! compiler drops their checks. Only when the block is short does a cold function look through the
//! field table for the one to name in the error.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};

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

/// The name of a field as the specification has it, when it is also a word of the language.
pub(crate) const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', plain @ ..] => match core::str::from_utf8(plain) {
            Ok(plain) => plain,
            // INVARIANT: a string without its two first letters, both ASCII.
            Err(_) => name,
        },
        _ => name,
    }
}

/// One field of a fixed block, for the error that names it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) size: usize,
    /// The fields of a structure.
    pub(crate) inner: &'static [Field],
}

macro_rules! fixed_integers {
    ($($int:ty),*) => {$(
        impl Fixed for $int {
            const SIZE: usize = size_of::<$int>();

            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                <[u8; size_of::<$int>()]>::get(block).pipe(<$int>::from_le_bytes)
            }

            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                self.to_le_bytes().put(block);
            }
        }
    )*};
}

fixed_integers!(u8, u16, u32, u64, i16, i32, i64);

/// Lets a value go through a function at the end of an expression.
trait Pipe: Sized {
    #[inline(always)]
    fn pipe<T>(self, f: impl FnOnce(Self) -> T) -> T {
        f(self)
    }
}

impl<const N: usize> Pipe for [u8; N] {}

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
    /// The end of the body that was not read.
    left: &'a [u8],
    /// What the payloads are slices of. Without it they are copied.
    source: Option<&'a Bytes>,
    message: &'static str,
}

impl fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("message", &self.message)
            .field("body", &Unseen(self.body))
            .field("at", &self.position())
            .finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    #[inline]
    pub(crate) fn new(body: &'a Bytes, message: &'static str) -> Self {
        Self {
            body,
            left: body,
            source: Some(body),
            message,
        }
    }

    #[inline]
    pub(crate) fn borrowed(body: &'a [u8], message: &'static str) -> Self {
        Self {
            body,
            left: body,
            source: None,
            message,
        }
    }

    /// The bytes that are left.
    #[inline]
    pub(crate) fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Takes `size` bytes, or leaves everything as it is.
    #[inline(always)]
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(size)?;
        self.left = left;
        Some(taken)
    }

    /// Takes `size` bytes as one block. `fields` names what is in it, with the sizes.
    #[inline(always)]
    pub(crate) fn block(&mut self, size: usize, fields: &'static [Field]) -> Result<&'a [u8], DecodeError> {
        match self.take(size) {
            Some(block) => Ok(block),
            None => Err(self.short_block(fields)),
        }
    }

    /// Finds the first field that the bytes do not hold.
    #[cold]
    fn short_block(&self, mut fields: &'static [Field]) -> DecodeError {
        let mut left = self.left.len();
        let mut offset = self.position();
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

    /// A value of one size that is not there.
    #[cold]
    fn short_value(&self, name: &'static str, size: usize, fields: &'static [Field]) -> DecodeError {
        match fields {
            [] => self.truncated(name, self.position(), size as u64, self.left.len()),
            fields => self.short_block(fields),
        }
    }

    /// Where the reader is in the body.
    #[inline]
    pub(crate) fn position(&self) -> usize {
        self.body.len().saturating_sub(self.left.len())
    }

    /// A value of one size.
    #[inline(always)]
    pub(crate) fn fixed<T: Fixed>(&mut self, name: &'static str) -> Result<T, DecodeError> {
        match self.take(T::SIZE) {
            Some(mut block) => Ok(T::get(&mut block)),
            None => Err(self.short_value(name, T::SIZE, T::FIELDS)),
        }
    }

    /// A reader of the same body where a wire pointer leads. `name` and `at` are those of the pointer.
    #[inline]
    pub(crate) fn follow(&self, offset: u32, name: &'static str, at: usize) -> Result<Self, DecodeError> {
        match usize::try_from(offset).ok().and_then(|offset| self.body.get(offset..)) {
            Some(left) => Ok(Self { left, ..*self }),
            None => Err(self.outside(offset, name, at)),
        }
    }

    /// A pointer out of the body.
    #[cold]
    fn outside(&self, offset: u32, name: &'static str, at: usize) -> DecodeError {
        let kind = DecodeErrorKind::OutOfBounds {
            value: offset.into(),
            len: self.body.len(),
        };
        self.error(name, at, kind)
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

    /// Everything to the end.
    #[inline]
    pub(crate) fn rest(&mut self) -> Bytes {
        let start = self.position();
        self.left = &[];
        self.slice(start, self.body.len())
    }

    /// `count` bytes, as a slice of the body.
    #[inline]
    pub(crate) fn blob(&mut self, count: u32, field: &'static str) -> Result<Bytes, DecodeError> {
        self.blob64(count.into(), field)
    }

    /// As [`Reader::blob`], for a count that is a product.
    #[inline]
    pub(crate) fn blob64(&mut self, count: u64, field: &'static str) -> Result<Bytes, DecodeError> {
        let start = self.position();
        match usize::try_from(count).ok().and_then(|count| self.take(count)) {
            Some(taken) => Ok(self.slice(start, start.saturating_add(taken.len()))),
            None => Err(self.truncated(field, start, count, self.left.len())),
        }
    }

    /// `count` bytes, without a copy.
    pub(crate) fn bytes(&mut self, count: u32, field: &'static str) -> Result<&'a [u8], DecodeError> {
        match usize::try_from(count).ok().and_then(|count| self.take(count)) {
            Some(bytes) => Ok(bytes),
            None => Err(self.truncated(field, self.position(), count.into(), self.left.len())),
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
        let needed = u64::from(count).saturating_mul(T::SIZE as u64);
        let Some(mut block) = usize::try_from(needed).ok().and_then(|needed| self.take(needed)) else {
            return Err(self.truncated(field, self.position(), needed, self.left.len()));
        };
        let mut elements = Vec::with_capacity(block.len().checked_div(T::SIZE).unwrap_or(0));
        while !block.is_empty() {
            elements.push(T::get(&mut block));
        }
        Ok(elements)
    }

    /// The bytes that a wire pointer leads to: `size` bytes at `offset` from the body's start.
    ///
    /// Pointer 0 means "nothing" and is an error when there should be bytes.
    pub(crate) fn pointed(&self, offset: u32, size: u32, field: &'static str, at: usize) -> Result<Bytes, DecodeError> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        if offset == 0 {
            return Err(self.error(
                field,
                at,
                DecodeErrorKind::Invalid("null pointer to a field that has a size"),
            ));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        match usize::try_from(size).ok().and_then(|size| start.checked_add(size)) {
            Some(end) if end <= self.body.len() => Ok(self.slice(start, end)),
            Some(_) if start <= self.body.len() => {
                let left = self.body.len().saturating_sub(start);
                Err(self.truncated(field, start, u64::from(size), left))
            }
            _ => Err(self.error(
                field,
                at,
                DecodeErrorKind::OutOfBounds {
                    value: u64::from(offset),
                    len: self.body.len(),
                },
            )),
        }
    }
}

/// A message or structure with a wire form.
pub(crate) trait Decode: Sized {
    /// Its name in errors.
    const NAME: &'static str;
    /// Reads it off the front. What a peer appends stays unread: the reference decoders accept that.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
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

/// A value in a field that is narrower than it is in memory.
pub(crate) fn narrow<T: TryFrom<u64> + Into<u64>>(
    value: u64,
    message: &'static str,
    field: &'static str,
    limit: T,
) -> Result<T, EncodeError> {
    T::try_from(value).map_err(|_| EncodeError {
        message,
        field,
        value,
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

pub(crate) use layout::{codec, layout};
