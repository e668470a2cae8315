//! The tables: [`layout!`] for one layout, [`messages!`] for the messages of a direction.

/// Gives a type with [`Decode`] and [`Encode`] its public methods. `codec!(T, extensions)`: what the two sides have
/// agreed on changes the form of it, and is an argument.
macro_rules! codec {
    ($name:ty $(, $extensions:ident)?) => {
        impl $name {
            /// Decodes the message at the front of `src`. Payloads are slices of `src`, not copies. What
            /// follows belongs to the next message; [`encoded_len`](Self::encoded_len) of the result is
            /// what was taken.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset. A message that is not whole is one of
            /// these; ask [`missing`](Self::missing) first when more bytes may come.
            #[inline]
            pub fn decode(
                src: &bytes::Bytes,
                $($extensions: &$crate::message::Extensions,)?
                limits: &$crate::Limits,
            ) -> Result<Self, $crate::DecodeError> {
                let mut r = $crate::fields::Reader::new(src, <Self as $crate::fields::Decode>::NAME, limits);
                $(r.agreed_on(*$extensions);)?
                <Self as $crate::fields::Decode>::read(&mut r)
            }

            /// As [`decode`](Self::decode), from borrowed bytes; payloads are copied.
            ///
            /// # Errors
            /// As [`decode`](Self::decode).
            pub fn decode_slice(
                src: &[u8],
                $($extensions: &$crate::message::Extensions,)?
                limits: &$crate::Limits,
            ) -> Result<Self, $crate::DecodeError> {
                let mut r = $crate::fields::Reader::borrowed(src, <Self as $crate::fields::Decode>::NAME, limits);
                $(r.agreed_on(*$extensions);)?
                <Self as $crate::fields::Decode>::read(&mut r)
            }

            /// How many more bytes the message at the front of `src` needs at least; 0 if it is whole.
            ///
            /// # Errors
            /// A field that is already there and that no further bytes can make good.
            pub fn missing(
                src: &[u8],
                $($extensions: &$crate::message::Extensions,)?
                limits: &$crate::Limits,
            ) -> Result<usize, $crate::DecodeError> {
                let mut r = $crate::fields::Reader::borrowed(src, <Self as $crate::fields::Decode>::NAME, limits);
                $(r.agreed_on(*$extensions);)?
                <Self as $crate::fields::Decode>::extent(&mut r).map(|extent| extent.saturating_sub(src.len()))
            }

            /// Appends the wire form.
            ///
            /// # Errors
            /// A value that its field cannot hold; `dst` is then as it was.
            #[inline]
            pub fn encode(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $crate::fields::append(self, dst)
            }

            /// Bytes that [`encode`](Self::encode) appends.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                $crate::fields::Encode::wire_len(self)
            }
        }
    };
}

/// One flat layout, in the order of the wire.
///
/// ```text
/// pub struct Name = NUMBER {                    a message: its first byte is its type, the constant of [`messages!`]
///     id: u32,                                  an integer, a byte array, an open id, another flat structure
///     ;                                         then at most one of
///     length: u32, text: [u8; ..=reason]          so many bytes (`Bytes`), at most `Limits::reason`
///     length: u8, payload: [u8]                   the same, bounded by the length's own type
///     count: u8, types: [SecurityType]            so many elements (`Vec`); the count bounds them
///     count: u32, list: [Capability; ..=limit]    the same with a limit, for a wider count
///     count: u8; padding: [u8; 1], list: [Screen] the same with bytes between
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
        layout!(@codec $name [] [$($field: $ty),*] [] r, self, dst, { Ok(Self { $($field),* }) }, { r.at() }, 0, {}, layout!(@front $name [] [$($field),*]););
        impl $crate::fields::Fixed for $name {
            const SIZE: usize = Self::BLOCK;
            const FIELDS: &'static [$crate::fields::Field] = Self::FIELDS;
            #[inline(always)]
            fn get(_block: &mut &[u8]) -> Self {
                $(let $field = <$ty as $crate::fields::Fixed>::get(_block);)*
                Self { $($field),* }
            }
            #[inline(always)]
            fn put(&self, _block: &mut &mut [u8]) {
                $($crate::fields::Fixed::put(&self.$field, _block);)*
            }
        }
    };
    // The same as a message of its own.
    ($(#[$meta:meta])* pub struct $name:ident = $number:ident {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)*);
        layout!(@codec $name [$number] [$($field: $ty),*] [] r, self, dst, { Ok(Self { $($field),* }) }, { r.at() }, 0, {}, layout!(@front $name [$number] [$($field),*]););
    };
    ($(#[$meta:meta])* pub struct $name:ident $(= $number:ident)? {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? ;
        $count:ident: $count_ty:ty, $(#[$tail_doc:meta])* $tail:ident: [u8 $(; ..=$limit:ident)?] $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)* $(#[$tail_doc])* $tail: bytes::Bytes,);
        layout!(@codec $name [$($number)?] [$($field: $ty),*] [$count: $count_ty = $tail $(; $limit)?] r, self, dst,
            { Ok(Self { $($field,)* $tail: r.blob($count.into(), stringify!($tail))? }) },
            { r.end_of::<u8>($count.into()) },
            self.$tail.len(),
            { dst.extend_from_slice(&self.$tail) });
    };
    ($(#[$meta:meta])* pub struct $name:ident $(= $number:ident)? {
        $($(#[$doc:meta])* $field:ident: $ty:ty),* $(,)? ;
        $count:ident: $count_ty:ty $(; $(#[$between_doc:meta])* $between:ident: $between_ty:ty)?,
        $(#[$tail_doc:meta])* $tail:ident: [$element:ty $(; ..=$limit:ident)?] $(,)?
    }) => {
        layout!(@struct [$(#[$meta])* $name] $($(#[$doc])* $field: $ty,)* $($(#[$between_doc])* $between: $between_ty,)?
            $(#[$tail_doc])* $tail: alloc::vec::Vec<$element>,);
        layout!(@codec $name [$($number)?] [$($field: $ty),*] [$count: $count_ty $(, $between: $between_ty)? = $tail $(; $limit)?]
            r, self, dst,
            { Ok(Self { $($field,)* $($between,)? $tail: r.array($count.into(), stringify!($tail))? }) },
            { r.end_of::<$element>($count.into()) },
            self.$tail.len().saturating_mul(<$element as $crate::fields::Fixed>::SIZE),
            { $crate::fields::put_array(dst, &self.$tail) });
    };

    (@struct [$(#[$meta:meta])* $name:ident] $($(#[$doc:meta])* $field:ident: $ty:ty,)*) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        pub struct $name { $($(#[$doc])* pub $field: $ty,)* }
        codec!($name);
    };
    // `r`, `self` and `dst` are handed in, so that the blocks of the caller can name them.
    (@codec $name:ident [$($number:ident)?] [$($field:ident: $ty:ty),*]
        [$($count:ident: $count_ty:ty $(, $between:ident: $between_ty:ty)? = $tail:ident $(; $limit:ident)?)?]
        $r:ident, $self:ident, $dst:ident, $build:block, $extent:block, $tail_len:expr, $put_tail:block $(, $($front:tt)*)?) => {
        impl $name {
            /// What the fixed block holds, for the error that names a field.
            const FIELDS: &'static [$crate::fields::Field] = &[
                $(layout!(@entry r#type, u8 = $number),)?
                $(layout!(@entry $field, $ty),)*
                $(layout!(@entry $count, $count_ty), $(layout!(@entry $between, $between_ty),)?)?
            ];
            const BLOCK: usize = 0 $(+ layout!(@size u8 = $number))? $(+ layout!(@size $ty))*
                $(+ layout!(@size $count_ty) $(+ layout!(@size $between_ty))?)?;
        }
        impl $crate::fields::Decode for $name {
            const NAME: &'static str = stringify!($name);
            #[inline]
            fn read($r: &mut $crate::fields::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                let mut _block = $r.block(Self::BLOCK, Self::FIELDS)?;
                $($r.is_type(&mut _block, Self::$number)?;)?
                $(let $field = <$ty as $crate::fields::Fixed>::get(&mut _block);)*
                $(layout!(@count $r, _block, $count: $count_ty $(; $limit)?);
                $(let $between = <$between_ty as $crate::fields::Fixed>::get(&mut _block);)?)?
                $build
            }
            fn extent($r: &mut $crate::fields::Reader<'_>) -> Result<usize, $crate::DecodeError> {
                if $r.left().len() < Self::BLOCK {
                    return Ok($r.at().saturating_add(Self::BLOCK));
                }
                let mut _block = $r.block(Self::BLOCK, Self::FIELDS)?;
                $($r.is_type(&mut _block, Self::$number)?;)?
                $(<$ty as $crate::fields::Fixed>::get(&mut _block);)*
                $(layout!(@count $r, _block, $count: $count_ty $(; $limit)?);)?
                Ok($extent)
            }
            $($($front)*)?
        }
        impl $crate::fields::Encode for $name {
            #[inline]
            fn wire_len(&$self) -> usize {
                Self::BLOCK.saturating_add($tail_len)
            }
            #[inline]
            fn write(&$self, $dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                $(let $field = &$self.$field;)*
                $(let $count = $crate::fields::length($self.$tail.len(), stringify!($name), stringify!($count), <$count_ty>::MAX)?;)?
                $crate::fields::put_block::<{ $name::BLOCK }>($dst, |_block| {
                    $(<u8 as $crate::fields::Fixed>::put(&Self::$number, _block);)?
                    $($crate::fields::Fixed::put($field, _block);)*
                    $($crate::fields::Fixed::put(&$count, _block); $($crate::fields::Fixed::put(&$self.$between, _block);)?)?
                });
                $put_tail
                Ok(())
            }
        }
    };
    // Without a payload a message is read where it lies, without a reader.
    (@front $name:ident [$($number:ident)?] [$($field:ident),*]) => {
        const SHORT: $crate::fields::ShortForm = $crate::fields::ShortForm::of(Self::BLOCK);
        #[inline(always)]
        fn front(
            src: &mut &[u8],
            _: &$crate::message::Extensions,
            _: &$crate::Limits,
            _fault: &mut Option<$crate::DecodeError>,
        ) -> Option<Self> {
            let (mut _block, rest) = src.split_at_checked(Self::BLOCK)?;
            $(if <u8 as $crate::fields::Fixed>::get(&mut _block) != Self::$number {
                *_fault = Some($crate::fields::another_type(stringify!($name)));
                return None;
            })?
            $(let $field = $crate::fields::Fixed::get(&mut _block);)*
            *src = rest;
            Some(Self { $($field),* })
        }
        #[inline]
        fn take(
            src: &mut bytes::BytesMut,
            extensions: &$crate::message::Extensions,
            limits: &$crate::Limits,
        ) -> Result<Option<Self>, $crate::DecodeError> {
            $crate::fields::take_front(src, extensions, limits)
        }
    };
    (@entry $field:ident, $ty:ty $(= $number:ident)?) => {
        $crate::fields::Field::new::<$ty>(layout!(@name $field $(= $number)?))
    };
    (@name $field:ident = $number:ident) => { "type" };
    (@name $field:ident) => { stringify!($field) };
    (@size $ty:ty $(= $number:ident)?) => { <$ty as $crate::fields::Fixed>::SIZE };
    (@count $r:ident, $block:ident, $count:ident: $count_ty:ty $(; $limit:ident)?) => {
        let $count = <$count_ty as $crate::fields::Fixed>::get(&mut $block);
        $($r.limited(stringify!($count), <$count_ty as $crate::fields::Fixed>::SIZE, $count.into(), $r.limits().$limit)?;)?
    };
}

/// The messages of one direction, by the number in their first byte, with the names of the specification.
///
/// A number stands here and nowhere else: `ClientMessage::KEY_EVENT`, and `KeyEvent::NUMBER` for the message itself. One
/// of both directions has it from the client's table; in the server's it is marked `shared`, and has to be the same.
macro_rules! messages {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$doc:meta])* $number:literal $constant:ident $spec:literal => $message:ident $(, $shared:ident)?;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $message($message),)* }

        /// The numbers of the messages.
        impl $name {
            $($(#[$doc])* pub const $constant: u8 = $number;)*
        }

        $(messages!(@number $name $constant $message $($shared)?);)*
        codec!($name, extensions);

        impl $name {
            /// Takes the message at the front of `src` off it. `None`: it is not whole; [`missing`](Self::missing) says
            /// how many more bytes it needs.
            ///
            /// This is the quickest way through a stream. A message with a payload leaves the buffer with it, and is not
            /// copied.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset. The stream cannot be followed any further.
            #[inline]
            pub fn take(
                src: &mut bytes::BytesMut,
                extensions: &$crate::message::Extensions,
                limits: &$crate::Limits,
            ) -> Result<Option<Self>, $crate::DecodeError> {
                <Self as $crate::fields::Decode>::take(src, extensions, limits)
            }

            /// Every number, with its name in the specification.
            pub const TABLE: &'static [(u8, &'static str)] = &[$(($number, $spec)),*];

            /// The number in the first byte.
            #[must_use]
            pub const fn number(&self) -> u8 {
                match self { $(Self::$message(_) => $number,)* }
            }

            /// The name in the specification.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$message(_) => $spec,)* }
            }
        }
        $(impl From<$message> for $name {
            fn from(message: $message) -> Self {
                Self::$message(message)
            }
        })*
        impl $crate::fields::Decode for $name {
            const NAME: &'static str = stringify!($name);
            #[inline]
            fn read(r: &mut $crate::fields::Reader<'_>) -> Result<Self, $crate::DecodeError> {
                match r.peek_type()? {
                    $($number => {
                        r.rename(<$message as $crate::fields::Decode>::NAME);
                        <$message as $crate::fields::Decode>::read(r).map(Self::$message)
                    })*
                    number => Err(r.unknown("type", number.into())),
                }
            }
            fn extent(r: &mut $crate::fields::Reader<'_>) -> Result<usize, $crate::DecodeError> {
                match r.left().first() {
                    None => Ok(1),
                    $(Some($number) => {
                        r.rename(<$message as $crate::fields::Decode>::NAME);
                        <$message as $crate::fields::Decode>::extent(r)
                    })*
                    Some(number) => Err(r.unknown("type", (*number).into())),
                }
            }

            const SHORT_FORMS: &'static [$crate::fields::ShortForm; 256] = &{
                let mut forms = [$crate::fields::ShortForm::NONE; 256];
                $(forms[$number] = <$message as $crate::fields::Decode>::SHORT;)*
                forms
            };

            #[inline(always)]
            fn front(
                src: &mut &[u8],
                extensions: &$crate::message::Extensions,
                limits: &$crate::Limits,
                fault: &mut Option<$crate::DecodeError>,
            ) -> Option<Self> {
                match src.first()? {
                    $($number => Some(Self::$message(
                        <$message as $crate::fields::Decode>::front(src, extensions, limits, fault)?,
                    )),)*
                    number => {
                        let number = (*number).into();
                        *fault = Some($crate::fields::Reader::borrowed(src, Self::NAME, limits).unknown("type", number));
                        None
                    }
                }
            }

            #[inline]
            fn take(
                src: &mut bytes::BytesMut,
                extensions: &$crate::message::Extensions,
                limits: &$crate::Limits,
            ) -> Result<Option<Self>, $crate::DecodeError> {
                match src.first() {
                    None => Ok(None),
                    $(Some($number) => {
                        let message = <$message as $crate::fields::Decode>::take(src, extensions, limits)?;
                        Ok(message.map(Self::$message))
                    })*
                    Some(number) => {
                        let number = (*number).into();
                        Err($crate::fields::Reader::borrowed(src, Self::NAME, limits).unknown("type", number))
                    }
                }
            }
        }
        impl $crate::fields::Encode for $name {
            fn wire_len(&self) -> usize {
                match self { $(Self::$message(message) => $crate::fields::Encode::wire_len(message),)* }
            }
            fn write(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                match self { $(Self::$message(message) => $crate::fields::Encode::write(message, dst),)* }
            }
        }
    };
    (@number $name:ident $constant:ident $message:ident) => {
        impl $message {
            #[doc = concat!("The number of the message, that of [`", stringify!($name), "::", stringify!($constant), "`].")]
            pub const NUMBER: u8 = $name::$constant;
        }
    };
    (@number $name:ident $constant:ident $message:ident shared) => {
        const _: () = assert!($message::NUMBER == $name::$constant);
    };
}

pub(crate) use {codec, layout, messages};
