//! Structures with pointers and switches, as lists of their parts.
//!
//! A flat layout has one fixed block ([`crate::fields::layout`]). What draws on a display has pointers (`u32`
//! offsets from the start of the body) and fields that are there or not. Such a structure is a list of
//! parts ([`parts`]), each of which reads and writes itself.
//!
//! Bytes behind pointers are laid out as spice-server does: the fixed part first, then the targets in the
//! order in which their pointers are met, and what these point to behind them all. Nothing is shared. A
//! decoder follows any offset. The number of pointers in a message is bounded by its type, and each target
//! is read once, so a body is visited a bounded number of times, however its offsets overlap.

use alloc::boxed::Box;
use bytes::BytesMut;
use smallvec::SmallVec;

use crate::error::{DecodeError, EncodeError};
use crate::fields::{Fixed, Reader, length};

/// What pointers lead to, in the order in which they were met.
pub(crate) struct Targets<'a> {
    /// Where the body begins in the buffer.
    start: usize,
    /// Where the pointer is in the buffer, and what it leads to.
    waiting: SmallVec<[(usize, &'a dyn Target); 8]>,
}

impl<'a> Targets<'a> {
    /// Writes a pointer, which is filled in when its target has a place.
    #[inline]
    pub(crate) fn push(&mut self, dst: &mut BytesMut, target: &'a dyn Target) {
        self.waiting.push((dst.len(), target));
        put_fixed(&0_u32, dst);
    }
}

/// Something that a pointer leads to.
pub(crate) trait Target {
    fn put_target<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError>;
}

/// A part of a structure.
pub(crate) trait Part: Sized {
    /// Reads it. `name` is the field, for errors.
    fn take(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError>;
    /// Reads it to where a pointer leads. What is made in its box is not moved there.
    fn take_boxed(r: &mut Reader<'_>, name: &'static str) -> Result<Box<Self>, DecodeError> {
        Self::take(r, name).map(Box::new)
    }
    /// Bytes that it takes in the fixed part, and behind its pointers.
    fn bytes(&self) -> usize;
    /// Writes the fixed part, and leaves word of its pointers.
    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError>;
}

impl<T: Part> Target for T {
    fn put_target<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        self.put(dst, targets)
    }
}

impl<T: Fixed> Part for T {
    #[inline(always)]
    fn take(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        r.fixed(name)
    }

    fn bytes(&self) -> usize {
        T::SIZE
    }

    #[inline(always)]
    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_fixed(self, dst);
        Ok(())
    }
}

/// Bytes of the largest value of one size in a part, and some.
const LARGEST: usize = 32;

/// Appends a value of one size.
#[inline(always)]
pub(crate) fn put_fixed<T: Fixed>(value: &T, dst: &mut BytesMut) {
    const { assert!(T::SIZE <= LARGEST, "a larger part") };
    // The size is known to the compiler, which fills just that.
    let mut block = [0; LARGEST];
    value.put(&mut block.as_mut_slice());
    dst.extend_from_slice(block.get(..T::SIZE).unwrap_or_default());
}

/// A pointer that may be null.
impl<T: Part> Part for Option<Box<T>> {
    #[inline(always)]
    fn take(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        let at = r.position();
        match r.fixed::<u32>(name)? {
            0 => Ok(None),
            offset => T::take_boxed(&mut r.follow(offset, name, at)?, name).map(Some),
        }
    }

    fn bytes(&self) -> usize {
        self.as_ref()
            .map_or(0, |target| target.bytes())
            .saturating_add(u32::SIZE)
    }

    #[inline(always)]
    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        match self {
            Some(target) => targets.push(dst, &**target),
            None => put_fixed(&0_u32, dst),
        }
        Ok(())
    }
}

/// A pointer that must not be null, to each of these types: `Box` does not allow it for all at once.
macro_rules! pointers {
    ($($target:ty),*) => {$(
        impl $crate::parts::Part for alloc::boxed::Box<$target> {
            #[inline]
            fn take(r: &mut $crate::fields::Reader<'_>, name: &'static str) -> Result<Self, $crate::DecodeError> {
                let at = r.position();
                let null = $crate::DecodeErrorKind::Invalid("null pointer where something must be");
                let target = <Option<Self> as $crate::parts::Part>::take(r, name)?;
                target.ok_or_else(|| r.error(name, at, null))
            }
            fn bytes(&self) -> usize {
                <$target as $crate::parts::Part>::bytes(self).saturating_add(4)
            }
            fn put<'a>(
                &'a self,
                dst: &mut bytes::BytesMut,
                targets: &mut $crate::parts::Targets<'a>,
            ) -> Result<(), $crate::EncodeError> {
                targets.push(dst, &**self);
                Ok(())
            }
        }
    )*};
}

/// Writes a whole message: its fixed part, and then what its pointers lead to.
pub(crate) fn put_message<T: Part>(message: &T, name: &'static str, dst: &mut BytesMut) -> Result<(), EncodeError> {
    let mut targets = Targets {
        start: dst.len(),
        waiting: SmallVec::new(),
    };
    message.put(dst, &mut targets)?;
    // Targets of targets come behind all that are known by then.
    let mut next = 0;
    while let Some(&(pointer, target)) = targets.waiting.get(next) {
        let offset: u32 = length(dst.len().saturating_sub(targets.start), name, "pointer", u32::MAX)?;
        if let Some(place) = dst.get_mut(pointer..).and_then(|bytes| bytes.first_chunk_mut()) {
            *place = offset.to_le_bytes();
        }
        target.put_target(dst, &mut targets)?;
        next = next.saturating_add(1);
    }
    Ok(())
}

/// A structure as a list of parts. `message` gives it the public methods as well.
///
/// ```text
/// pub struct Name {
///     part: Type,                       any part
///     block { id: u32, area: Rect },    values of one size that follow each other: one check, one write
/// }
/// ```
macro_rules! parts {
    (message $(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $crate::parts::parts! { $(#[$meta])* pub struct $name { $($body)* } }
        $crate::fields::codec!($name);

        impl $crate::fields::Decode for $name {
            const NAME: &'static str = stringify!($name);
            #[inline]
            fn read(r: &mut $crate::fields::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                $crate::parts::Part::take(r, stringify!($name))
            }
        }

        impl $crate::fields::Encode for $name {
            fn wire_len(&self) -> usize {
                $crate::parts::Part::bytes(self)
            }
            #[inline]
            fn write(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $crate::parts::put_message(self, stringify!($name), dst)
            }
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $crate::parts::parts! { @list [$(#[$meta])* $name] {} {} $($body)* }
    };
    // Takes the parts off one by one: the fields of the structure, and the steps that read and write them.
    (@list [$($head:tt)*] {$($fields:tt)*} {$($steps:tt)*}
        block { $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? }, $($rest:tt)*) => {
        $crate::parts::parts! { @list [$($head)*] {$($fields)* $($(#[$doc])* $field: $ty,)*}
            {$($steps)* block [$($field: $ty),*];} $($rest)* }
    };
    (@list [$($head:tt)*] {$($fields:tt)*} {$($steps:tt)*}
        $(#[$doc:meta])* $field:ident: $ty:ty, $($rest:tt)*) => {
        $crate::parts::parts! { @list [$($head)*] {$($fields)* $(#[$doc])* $field: $ty,}
            {$($steps)* part [$field: $ty];} $($rest)* }
    };
    (@list [$(#[$meta:meta])* $name:ident] {$($(#[$doc:meta])* $field:ident: $ty:ty,)*}
        {$($kind:ident [$($step:tt)*];)*}) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        #[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }

        impl $crate::parts::Part for $name {
            #[inline(always)]
            fn take(r: &mut $crate::fields::Reader<'_>, _name: &'static str) -> Result<Self, $crate::DecodeError> {
                $($crate::parts::parts! { @take $kind r $($step)* })*
                Ok(Self { $($field),* })
            }
            fn bytes(&self) -> usize {
                0_usize $(.saturating_add($crate::parts::Part::bytes(&self.$field)))*
            }
            #[inline(always)]
            fn put<'a>(
                &'a self,
                dst: &mut bytes::BytesMut,
                targets: &mut $crate::parts::Targets<'a>,
            ) -> Result<(), $crate::EncodeError> {
                let Self { $($field),* } = self;
                $($crate::parts::parts! { @put $kind dst targets $($step)* })*
                Ok(())
            }
        }
    };
    (@take part $r:ident $field:ident: $ty:ty) => {
        let $field = $crate::parts::Part::take($r, const { $crate::fields::plain(stringify!($field)) })?;
    };
    (@take block $r:ident $($field:ident: $ty:ty),*) => {
        let mut block = $r.block(0 $(+ <$ty as $crate::fields::Fixed>::SIZE)*, const { &[$($crate::fields::Field {
            name: $crate::fields::plain(stringify!($field)),
            size: <$ty as $crate::fields::Fixed>::SIZE,
            inner: <$ty as $crate::fields::Fixed>::FIELDS,
        }),*] })?;
        $(let $field = <$ty as $crate::fields::Fixed>::get(&mut block);)*
    };
    (@put part $dst:ident $targets:ident $field:ident: $ty:ty) => {
        $crate::parts::Part::put($field, $dst, $targets)?;
    };
    (@put block $dst:ident $targets:ident $($field:ident: $ty:ty),*) => {
        $crate::fields::put_block::<{ 0 $(+ <$ty as $crate::fields::Fixed>::SIZE)* }>($dst, |block| {
            $($crate::fields::Fixed::put($field, block);)*
        });
    };
}
pub(crate) use {parts, pointers};
