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
use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::limits::Limits;

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
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    body: &'a [u8],
    /// What the payloads are slices of. Without it they are copied.
    source: Option<&'a Bytes>,
    at: usize,
    message: &'static str,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a Bytes, message: &'static str, limits: &'a Limits) -> Self {
        Self {
            body,
            source: Some(body),
            at: 0,
            message,
            limits,
        }
    }

    pub(crate) fn borrowed(body: &'a [u8], message: &'static str, limits: &'a Limits) -> Self {
        Self {
            body,
            source: None,
            at: 0,
            message,
            limits,
        }
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
    fn short_block(&self, fields: &'static [Field]) -> DecodeError {
        let mut left = self.left().len();
        let mut offset = self.at;
        let mut fields = fields;
        while let Some((field, rest)) = fields.split_first() {
            if field.size <= left {
                left = left.saturating_sub(field.size);
                offset = offset.saturating_add(field.size);
                fields = rest;
            } else if field.inner.is_empty() {
                return self.truncated(field.name, offset, field.size as u64, left);
            } else {
                fields = field.inner;
            }
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
        Err(self.error("type", 0, DecodeErrorKind::Invalid("the type of another message")))
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

    /// How many of the next `count` elements' bytes are not there yet.
    pub(crate) fn missing<T: Fixed>(&self, count: u32) -> usize {
        usize::try_from(count)
            .unwrap_or(usize::MAX)
            .saturating_mul(T::SIZE)
            .saturating_sub(self.left().len())
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

/// A message with a wire form.
pub(crate) trait Decode: Sized {
    /// Its name in errors.
    const NAME: &'static str;
    /// Reads it off the front. What follows belongs to the next message and stays unread.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
    /// How many bytes are known to be missing from the end of it; 0 if it is whole.
    fn missing(r: &mut Reader<'_>) -> Result<usize, DecodeError>;
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

/// Gives a type with [`Decode`] and [`Encode`] its public methods.
macro_rules! codec {
    ($name:ty) => {
        impl $name {
            /// Decodes the message at the front of `src`. Payloads are slices of `src`, not copies. What
            /// follows belongs to the next message; [`encoded_len`](Self::encoded_len) of the result is
            /// what was taken.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset. A message that is not whole is one of
            /// these; ask [`missing`](Self::missing) first when more bytes may come.
            #[inline]
            pub fn decode(src: &bytes::Bytes, limits: &$crate::Limits) -> Result<Self, $crate::DecodeError> {
                let mut r = $crate::wire::Reader::new(src, <Self as $crate::wire::Decode>::NAME, limits);
                <Self as $crate::wire::Decode>::read(&mut r)
            }

            /// As [`decode`](Self::decode), from borrowed bytes; payloads are copied.
            ///
            /// # Errors
            /// As [`decode`](Self::decode).
            pub fn decode_slice(src: &[u8], limits: &$crate::Limits) -> Result<Self, $crate::DecodeError> {
                let mut r = $crate::wire::Reader::borrowed(src, <Self as $crate::wire::Decode>::NAME, limits);
                <Self as $crate::wire::Decode>::read(&mut r)
            }

            /// How many more bytes the message at the front of `src` needs at least; 0 if it is whole.
            ///
            /// # Errors
            /// A field that is already there and that no further bytes can make good.
            pub fn missing(src: &[u8], limits: &$crate::Limits) -> Result<usize, $crate::DecodeError> {
                let mut r = $crate::wire::Reader::borrowed(src, <Self as $crate::wire::Decode>::NAME, limits);
                <Self as $crate::wire::Decode>::missing(&mut r)
            }

            /// Appends the wire form.
            ///
            /// # Errors
            /// A value that its field cannot hold; `dst` is then as it was.
            #[inline]
            pub fn encode(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $crate::wire::append(self, dst)
            }

            /// Bytes that [`encode`](Self::encode) appends.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                $crate::wire::Encode::wire_len(self)
            }
        }
    };
}

/// One flat layout, in the order of the wire.
///
/// ```text
/// pub struct Name = 3 {                         a message whose first byte is its type, here 3
///     id: u32,                                  an integer, a byte array, an open id, another flat structure
///     ;                                         then at most one of
///     length: u32, text: [u8; ..=reason]          so many bytes (`Bytes`), at most `Limits::reason`
///     count: u8, types: [SecurityType]            so many elements (`Vec`); the count bounds them
///     count: u32, list: [Capability; ..=limit]    the same with a limit, for a wider count
/// }
/// ```
///
/// The length or count is no field of the struct: it is that of the bytes or elements. Nor is the type.
macro_rules! layout {
    // A fixed block. It can itself be a field or an element of other layouts.
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*);
        layout!(@codec $name [] [$($field: $ty),*] [] r, self, dst, { Ok(Self { $($field),* }) }, { 0 }, 0, {});
        impl $crate::wire::Fixed for $name {
            const SIZE: usize = Self::BLOCK;
            const FIELDS: &'static [$crate::wire::Field] = Self::FIELDS;
            #[inline(always)]
            fn get(_block: &mut &[u8]) -> Self {
                $(let $field = <$ty as $crate::wire::Fixed>::get(_block);)*
                Self { $($field),* }
            }
            #[inline(always)]
            fn put(&self, _block: &mut &mut [u8]) {
                $($crate::wire::Fixed::put(&self.$field, _block);)*
            }
        }
    };
    // The same as a message of its own.
    ($(#[$meta:meta])* pub struct $name:ident = $number:literal {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*);
        layout!(@codec $name [$number] [$($field: $ty),*] [] r, self, dst, { Ok(Self { $($field),* }) }, { 0 }, 0, {});
    };
    ($(#[$meta:meta])* pub struct $name:ident $(= $number:literal)? {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? ;
        $count:ident: $count_ty:ty, $(#[$tail_doc:meta])* $tail:ident: [u8; ..=$limit:ident] $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)* $(#[$tail_doc])* $tail: bytes::Bytes,);
        layout!(@codec $name [$($number)?] [$($field: $ty),*] [$count: $count_ty = $tail; $limit] r, self, dst,
            { Ok(Self { $($field,)* $tail: r.blob($count.into(), stringify!($tail))? }) },
            { r.missing::<u8>($count.into()) },
            self.$tail.len(),
            { dst.extend_from_slice(&self.$tail) });
    };
    ($(#[$meta:meta])* pub struct $name:ident $(= $number:literal)? {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? ;
        $count:ident: $count_ty:ty, $(#[$tail_doc:meta])* $tail:ident: [$element:ty $(; ..=$limit:ident)?] $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)* $(#[$tail_doc])* $tail: alloc::vec::Vec<$element>,);
        layout!(@codec $name [$($number)?] [$($field: $ty),*] [$count: $count_ty = $tail $(; $limit)?] r, self, dst,
            { Ok(Self { $($field,)* $tail: r.array($count.into(), stringify!($tail))? }) },
            { r.missing::<$element>($count.into()) },
            self.$tail.len().saturating_mul(<$element as $crate::wire::Fixed>::SIZE),
            { $crate::wire::put_array(dst, &self.$tail) });
    };

    (@struct [$(#[$meta:meta])* $name:ident] $($(#[$doc:meta])* $field:ident: $ty:ty,)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }
        codec!($name);
    };
    // `r`, `self` and `dst` are handed in, so that the blocks of the caller can name them.
    (@codec $name:ident [$($number:literal)?] [$($field:ident: $ty:ty),*]
        [$($count:ident: $count_ty:ty = $tail:ident $(; $limit:ident)?)?]
        $r:ident, $self:ident, $dst:ident, $build:block, $missing:block, $tail_len:expr, $put_tail:block) => {
        impl $name {
            /// What the fixed block holds, for the error that names a field.
            const FIELDS: &'static [$crate::wire::Field] = &[
                $(layout!(@entry r#type, u8 = $number),)?
                $(layout!(@entry $field, $ty),)*
                $(layout!(@entry $count, $count_ty),)?
            ];
            const BLOCK: usize = 0 $(+ layout!(@size u8 = $number))? $(+ layout!(@size $ty))* $(+ layout!(@size $count_ty))?;
        }
        impl $crate::wire::Decode for $name {
            const NAME: &'static str = stringify!($name);
            #[inline]
            fn read($r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let mut _block = $r.block(Self::BLOCK, Self::FIELDS)?;
                $($r.is_type(&mut _block, $number)?;)?
                $(let $field = <$ty as $crate::wire::Fixed>::get(&mut _block);)*
                $(layout!(@count $r, _block, $count: $count_ty $(; $limit)?);)?
                $build
            }
            fn missing($r: &mut $crate::wire::Reader<'_>) -> Result<usize, $crate::DecodeError> {
                let short = Self::BLOCK.saturating_sub($r.left().len());
                if short != 0 {
                    return Ok(short);
                }
                let mut _block = $r.block(Self::BLOCK, Self::FIELDS)?;
                $($r.is_type(&mut _block, $number)?;)?
                $(<$ty as $crate::wire::Fixed>::get(&mut _block);)*
                $(layout!(@count $r, _block, $count: $count_ty $(; $limit)?);)?
                Ok($missing)
            }
        }
        impl $crate::wire::Encode for $name {
            #[inline]
            fn wire_len(&$self) -> usize {
                Self::BLOCK.saturating_add($tail_len)
            }
            #[inline]
            fn write(&$self, $dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $(let $field = &$self.$field;)*
                $(let $count = $crate::wire::length($self.$tail.len(), stringify!($name), stringify!($count), <$count_ty>::MAX)?;)?
                $crate::wire::put_block::<{ $name::BLOCK }>($dst, |_block| {
                    $(<u8 as $crate::wire::Fixed>::put(&$number, _block);)?
                    $($crate::wire::Fixed::put($field, _block);)*
                    $($crate::wire::Fixed::put(&$count, _block);)?
                });
                $put_tail
                Ok(())
            }
        }
    };
    (@entry $field:ident, $ty:ty $(= $number:literal)?) => {
        $crate::wire::Field {
            name: layout!(@name $field $(= $number)?),
            size: layout!(@size $ty),
            inner: <$ty as $crate::wire::Fixed>::FIELDS,
        }
    };
    (@name $field:ident = $number:literal) => { "type" };
    (@name $field:ident) => { stringify!($field) };
    (@size $ty:ty $(= $number:literal)?) => { <$ty as $crate::wire::Fixed>::SIZE };
    (@count $r:ident, $block:ident, $count:ident: $count_ty:ty $(; $limit:ident)?) => {
        let $count = <$count_ty as $crate::wire::Fixed>::get(&mut $block);
        $($r.limited(stringify!($count), <$count_ty as $crate::wire::Fixed>::SIZE, $count.into(), $r.limits().$limit)?;)?
    };
}

/// The messages of one direction, by the number in their first byte. Each is a layout with that number.
macro_rules! messages {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $message:ident = $number:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $message($message),)* }
        codec!($name);

        impl $name {
            /// The number in the first byte.
            #[must_use]
            pub const fn number(&self) -> u8 {
                match self { $(Self::$message(_) => $number,)* }
            }

            /// The name of the message.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$message(_) => stringify!($message),)* }
            }
        }
        $(impl From<$message> for $name {
            fn from(message: $message) -> Self {
                Self::$message(message)
            }
        })*
        impl $crate::wire::Decode for $name {
            const NAME: &'static str = stringify!($name);
            fn read(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                match r.peek_type()? {
                    $($number => {
                        r.rename(<$message as $crate::wire::Decode>::NAME);
                        <$message as $crate::wire::Decode>::read(r).map(Self::$message)
                    })*
                    number => Err(r.unknown("type", number.into())),
                }
            }
            fn missing(r: &mut $crate::wire::Reader<'_>) -> Result<usize, $crate::DecodeError> {
                match r.left().first() {
                    None => Ok(1),
                    $(Some($number) => {
                        r.rename(<$message as $crate::wire::Decode>::NAME);
                        <$message as $crate::wire::Decode>::missing(r)
                    })*
                    Some(number) => Err(r.unknown("type", (*number).into())),
                }
            }
        }
        impl $crate::wire::Encode for $name {
            fn wire_len(&self) -> usize {
                match self { $(Self::$message(message) => $crate::wire::Encode::wire_len(message),)* }
            }
            fn write(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                match self { $(Self::$message(message) => $crate::wire::Encode::write(message, dst),)* }
            }
        }
    };
}
pub(crate) use {codec, layout, messages};

#[cfg(test)]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the tables make public types with all methods; these are for the tests only"
)]
mod tests {
    use alloc::vec;

    use super::*;

    layout! {
        /// A fixed field in front of elements that are wider than a byte.
        #[derive(Default)]
        pub struct Words {
            /// Four bytes.
            id: u32,
            ;
            count: u8,
            /// Four bytes each.
            words: [u32],
        }
    }

    layout! {
        /// A fixed field in front of a length with a limit.
        pub struct Text {
            /// One byte.
            kind: u8,
            ;
            length: u32,
            /// So many bytes.
            text: [u8; ..=reason],
        }
    }

    const WORDS: [u8; 13] = [0, 0, 0, 7, 2, 0, 0, 1, 2, 0xff, 0xff, 0xff, 0xfa];

    #[test]
    fn a_layout_is_big_endian_and_in_order() {
        let words = Words::decode_slice(&WORDS, &Limits::default()).unwrap();
        assert_eq!((words.id, &words.words[..]), (7, &[0x0102, 0xffff_fffa][..]));
        assert_eq!(words.encoded_len(), WORDS.len());
        let mut dst = BytesMut::new();
        words.encode(&mut dst).unwrap();
        assert_eq!(dst[..], WORDS);
    }

    #[test]
    fn a_cut_names_its_field() {
        let limits = Limits::default();
        for cut in 0..WORDS.len() {
            let (field, offset, needed) = match cut {
                0..4 => ("id", 0, 4),
                4 => ("count", 4, 1),
                _ => ("words", 5, 8),
            };
            let kind = DecodeErrorKind::Truncated {
                needed,
                left: cut - offset,
            };
            let message = "Words";
            let expected = DecodeError {
                message,
                field,
                offset,
                kind,
            };
            assert_eq!(Words::decode_slice(&WORDS[..cut], &limits), Err(expected));
            let whole = if cut < 5 { 5 } else { WORDS.len() };
            assert_eq!(Words::missing(&WORDS[..cut], &limits), Ok(whole - cut));
        }
    }

    #[test]
    fn a_limit_names_its_field() {
        let limits = Limits::default().with_reason(2);
        assert_eq!(Text::missing(&[9, 0, 0, 0, 2, b'a'], &limits), Ok(1));
        let error = Text::decode_slice(&[9, 0, 0, 0, 3, b'a', b'b', b'c'], &limits).unwrap_err();
        assert_eq!((error.field, error.offset), ("length", 1));
        assert_eq!(error.kind, DecodeErrorKind::TooLarge { value: 3, limit: 2 });
    }

    /// A message that fails when half of it is written.
    struct Half;

    impl Decode for Half {
        const NAME: &'static str = "Half";
        fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
            Ok(Self)
        }
        fn missing(_: &mut Reader<'_>) -> Result<usize, DecodeError> {
            Ok(0)
        }
    }

    impl Encode for Half {
        fn wire_len(&self) -> usize {
            1
        }
        fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
            dst.extend_from_slice(b"h");
            length(256, Self::NAME, "field", u8::MAX).map(|_| ())
        }
    }

    #[test]
    fn a_failed_encode_takes_everything_back() {
        let mut dst = BytesMut::from(&b"before"[..]);
        append(&Half, &mut dst).unwrap_err();
        assert_eq!(dst[..], b"before"[..]);
        let words = Words {
            words: vec![0; 256],
            ..Words::default()
        };
        words.encode(&mut dst).unwrap_err();
        assert_eq!(dst[..], b"before"[..]);
    }
}
