//! The tables: [`layout!`] for one flat layout, [`codec!`] for the public methods of what has a wire form.

/// Gives a type with [`Decode`] and [`Encode`] its public methods.
macro_rules! codec {
    ($name:ty) => {
        #[allow(
            dead_code,
            unreachable_pub,
            reason = "the fixed parts of irregular messages are private layouts"
        )]
        impl $name {
            /// Decodes a body. Payloads are slices of it, not copies; trailing bytes are ignored, as the
            /// reference decoders do.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset.
            #[inline]
            pub fn decode(body: &bytes::Bytes) -> Result<Self, $crate::DecodeError> {
                let mut r = $crate::fields::Reader::new(body, <Self as $crate::fields::Decode>::NAME);
                <Self as $crate::fields::Decode>::read(&mut r)
            }

            /// As `decode`, from borrowed bytes; payloads are copied.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset.
            pub fn decode_slice(body: &[u8]) -> Result<Self, $crate::DecodeError> {
                let mut r = $crate::fields::Reader::borrowed(body, <Self as $crate::fields::Decode>::NAME);
                <Self as $crate::fields::Decode>::read(&mut r)
            }

            /// Appends the wire form.
            ///
            /// # Errors
            /// A value that its field cannot hold; `dst` is then as it was.
            #[inline]
            pub fn encode(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $crate::fields::append(self, dst)
            }

            /// Bytes that `encode` appends.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                <Self as $crate::fields::Encode>::wire_len(self)
            }
        }
    };
}

/// One flat layout, in the order of the wire.
///
/// ```text
/// pub struct Name {
///     id: u32,                          an integer, a byte array, an open id, another flat structure
///     modes: MouseModes as u16,         an id that is narrower here than in memory
///     ;                                 then at most one of
///     data: rest                          all bytes to the end
///     name_len: u32, name: [u8]           so many bytes (`Bytes`); the count is no field of the struct
///     name_len: u32, name: text           the same, which serializes as text
///     count: u16, heads: [Head]           so many elements (`Vec`)
/// }
/// ```
macro_rules! layout {
    // A fixed block. It can itself be a field or an element of other layouts. Private ones are parts of
    // messages that are written by hand.
    ($(#[$meta:meta])* struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*);
        layout!(@fixed $name $($field: $ty),*);
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)?
    }) => {
        layout!(@public [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*);
        layout!(@fixed $name $($field: $ty),*);
    };
    // The same with narrowed ids: not an element, since writing it can fail.
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty $(as $raw:ty)?),* $(,)?
    }) => {
        layout!(@public [$(#[$meta])* $name] $(
            $(#[$doc])*
            $(#[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::narrow::<$ty, $raw>))])?
            $field: $ty,)*);
        layout!(@codec $name [$($field: $ty $(as $raw)?),*] [] r, self, dst, { Ok(Self { $($field),* }) }, 0, {});
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* ; $(#[$tail_doc:meta])* $tail:ident: rest $(,)?
    }) => {
        layout!(@public [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*
            $(#[$tail_doc])*
            #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
            #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
            $tail: bytes::Bytes,);
        layout!(@codec $name [$($field: $ty),*] [] r, self, dst,
            { Ok(Self { $($field,)* $tail: r.rest() }) },
            self.$tail.len(),
            { dst.extend_from_slice(&self.$tail) });
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* ;
        $count:ident: $count_ty:ty, $(#[$tail_doc:meta])* $tail:ident: [u8] $(,)?
    }) => {
        layout!(@public [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*
            $(#[$tail_doc])*
            #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
            #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
            $tail: bytes::Bytes,);
        layout!(@codec_blob $name [$($field: $ty),*] [$count: $count_ty = $tail]);
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* ;
        $count:ident: $count_ty:ty, $(#[$tail_doc:meta])* $tail:ident: text $(,)?
    }) => {
        layout!(@public [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*
            $(#[$tail_doc])*
            #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
            #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
            $tail: bytes::Bytes,);
        layout!(@codec_blob $name [$($field: $ty),*] [$count: $count_ty = $tail]);
    };
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* ;
        $count:ident: $count_ty:ty, $(#[$tail_doc:meta])* $tail:ident: [$element:ty] $(,)?
    }) => {
        layout!(@public [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)* $(#[$tail_doc])* $tail: alloc::vec::Vec<$element>,);
        layout!(@codec $name [$($field: $ty),*] [$count: $count_ty = $tail] r, self, dst,
            { Ok(Self { $($field,)* $tail: r.array($count.into(), stringify!($tail))? }) },
            self.$tail.len().saturating_mul(<$element as $crate::fields::Fixed>::SIZE),
            { $crate::fields::put_array(dst, &self.$tail) });
    };

    (@fixed $name:ident $($field:ident: $ty:ty),*) => {
        layout!(@codec $name [$($field: $ty),*] [] r, self, dst, { Ok(Self { $($field),* }) }, 0, {});
        impl $crate::fields::Fixed for $name {
            const SIZE: usize = Self::BLOCK;
            const FIELDS: &'static [$crate::fields::Field] = Self::FIELDS;
            #[inline(always)]
            fn get(_block: &mut &[u8]) -> Self {
                $(let $field = layout!(@get _block, $ty);)*
                Self { $($field),* }
            }
            #[inline(always)]
            fn put(&self, _block: &mut &mut [u8]) {
                $($crate::fields::Fixed::put(&self.$field, _block);)*
            }
        }
    };
    (@codec_blob $name:ident [$($field:ident: $ty:ty),*] [$count:ident: $count_ty:ty = $tail:ident]) => {
        layout!(@codec $name [$($field: $ty),*] [$count: $count_ty = $tail] r, self, dst,
            { Ok(Self { $($field,)* $tail: r.blob($count.into(), stringify!($tail))? }) },
            self.$tail.len(),
            { dst.extend_from_slice(&self.$tail) });
    };
    (@public [$(#[$meta:meta])* $name:ident] $($fields:tt)*) => {
        layout!(@struct [
            $(#[$meta])*
            #[cfg_attr(feature = "serde", derive(serde::Serialize))]
            #[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
            pub $name] $($fields)*);
    };
    (@struct [$(#[$meta:meta])* $vis:vis $name:ident] $($(#[$doc:meta])* $field:ident: $ty:ty,)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        $vis struct $name { $($(#[$doc])* pub $field: $ty,)* }
        $crate::fields::codec!($name);
    };
    // `r`, `self` and `dst` are handed in, so that the blocks of the caller can name them.
    (@codec $name:ident [$($field:ident: $ty:ty $(as $raw:ty)?),*] [$($count:ident: $count_ty:ty = $tail:ident)?]
        $r:ident, $self:ident, $dst:ident, $build:block, $tail_len:expr, $put_tail:block) => {
        impl $name {
            /// What the fixed block holds, for the error that names a field.
            const FIELDS: &'static [$crate::fields::Field] = &[
                $(layout!(@entry $field, $ty $(as $raw)?),)*
                $(layout!(@entry $count, $count_ty),)?
            ];
            const BLOCK: usize = 0 $(+ layout!(@size $ty $(as $raw)?))* $(+ layout!(@size $count_ty))?;
        }
        impl $crate::fields::Decode for $name {
            const NAME: &'static str = stringify!($name);
            #[inline]
            fn read($r: &mut $crate::fields::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let mut _block = $r.block(Self::BLOCK, Self::FIELDS)?;
                $(let $field = layout!(@get &mut _block, $ty $(as $raw)?);)*
                $(let $count = layout!(@get &mut _block, $count_ty);)?
                $build
            }
        }
        impl $crate::fields::Encode for $name {
            #[inline]
            fn wire_len(&$self) -> usize {
                Self::BLOCK.saturating_add($tail_len)
            }
            #[inline]
            fn write(&$self, $dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $(let $field = layout!(@checked $self, $name, $field $(, $raw)?);)*
                $(let $count = $crate::fields::length($self.$tail.len(), stringify!($name), stringify!($count), <$count_ty>::MAX)?;)?
                $crate::fields::put_block::<{ $name::BLOCK }>($dst, |_block| {
                    $($crate::fields::Fixed::put($field, _block);)*
                    $($crate::fields::Fixed::put(&$count, _block);)?
                });
                $put_tail
                Ok(())
            }
        }
    };
    (@entry $field:ident, $ty:ty $(as $raw:ty)?) => {
        $crate::fields::Field {
            name: $crate::fields::plain(stringify!($field)),
            size: layout!(@size $ty $(as $raw)?),
            inner: layout!(@inner $ty $(as $raw)?),
        }
    };
    (@inner $ty:ty as $raw:ty) => { &[] };
    (@inner $ty:ty) => { <$ty as $crate::fields::Fixed>::FIELDS };
    (@size $ty:ty as $raw:ty) => { <$raw as $crate::fields::Fixed>::SIZE };
    (@size $ty:ty) => { <$ty as $crate::fields::Fixed>::SIZE };
    (@get $block:expr, $ty:ty as $raw:ty) => { <$ty>::from(<$raw as $crate::fields::Fixed>::get($block)) };
    (@get $block:expr, $ty:ty) => { <$ty as $crate::fields::Fixed>::get($block) };
    (@checked $self:ident, $name:ident, $field:ident) => { &$self.$field };
    (@checked $self:ident, $name:ident, $field:ident, $raw:ty) => {
        &$crate::fields::narrow::<$raw>($self.$field.0.into(), stringify!($name), stringify!($field), <$raw>::MAX)?
    };
}

pub(crate) use {codec, layout};
