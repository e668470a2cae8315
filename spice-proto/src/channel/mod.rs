//! Messages of the channels, after the link stage.
//!
//! Every channel has numbers 1 to 100 in common ([`common`]); the rest is its own. The usbredir channel speaks
//! [`vmc`], the webdav channel [`port`]. A message is decoded
//! from a [`Frame`](crate::frame::Frame) and knows its number and its name; what has no layout here stays
//! an `Unknown` frame and is passed on as it came. [`ServerMessage`] and [`ClientMessage`] join the sets of
//! all channels, for programs that look at every channel.

mod any;
pub mod common;
pub mod cursor;
pub mod display;
pub mod inputs;
pub mod main;
pub mod playback;
pub mod port;
pub mod record;
pub mod smartcard;
pub mod vmc;

pub use any::{ClientMessage, ServerMessage};

/// Maps the message numbers of one channel and direction to messages.
///
/// `common $ty` names the set that this one builds on: the messages that all channels share, or one that
/// builds on them. The numbers of this table win.
///
/// A number stands here and nowhere else: `ServerMessage::INIT`, and `Init::NUMBER` for a body that is that of one
/// message only (those of several are marked `shared`). The name in the specification is that of the constant in small
/// letters.
macro_rules! messages {
    ($(#[$meta:meta])* pub enum $name:ident $(: common $common:ty)? {
        $($(#[$doc:meta])* $number:literal $spec:ident => $variant:ident $(($ty:ident $(, $shared:ident)?))?,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant $(($ty))?,)*
            $(
                /// A message of the set that this channel builds on.
                Common($common),
            )?
            /// A number that has no layout here: passed on as it came.
            Unknown($crate::frame::Frame),
        }

        /// The numbers of the messages.
        impl $name {
            $($(#[$doc])* pub const $spec: u16 = $number;)*
        }

        $($(messages!(@number $name $spec $ty $($shared)?);)?)*

        impl $name {
            /// Every number of this table, with the name in the specification.
            pub const TABLE: &'static [(u16, &'static str)] = &[$(($number, messages!(@spec $spec))),*];

            /// Decodes the body of a frame, by its number.
            ///
            /// # Errors
            /// The first field of the body that does not fit, with its offset in the body.
            #[inline]
            pub fn decode(frame: &$crate::frame::Frame) -> Result<Self, $crate::DecodeError> {
                Self::decode_as(frame, |message| message, Self::Unknown)
            }

            /// As `decode`, and puts the message into the value that it is a part of. That is done where the message
            /// is made, since moving what was made elsewhere costs more than making it.
            #[inline]
            pub(crate) fn decode_as<T>(
                frame: &$crate::frame::Frame,
                known: impl Fn(Self) -> T,
                unknown: impl Fn($crate::frame::Frame) -> T,
            ) -> Result<T, $crate::DecodeError> {
                match frame.header.number {
                    $($number => messages!(@decode known $variant $($ty)?, frame),)*
                    _ => messages!(@other frame known unknown $($common)?),
                }
            }

            /// Whether the number has no layout here.
            #[must_use]
            pub fn is_unknown(&self) -> bool {
                matches!(self, Self::Unknown(_))
            }

            /// The message number, as it stands in the header.
            #[must_use]
            #[inline]
            pub fn number(&self) -> u16 {
                match self {
                    $(messages!(@pattern $variant $($ty)?) => $number,)*
                    $(Self::Common(message) => <$common>::number(message),)?
                    Self::Unknown(frame) => frame.header.number,
                }
            }

            /// The name in the specification.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(messages!(@pattern $variant $($ty)?) => messages!(@spec $spec),)*
                    $(Self::Common(message) => <$common>::name(message),)?
                    Self::Unknown(_) => "unknown",
                }
            }

            /// Appends the body.
            ///
            /// # Errors
            /// A value that its field cannot hold; `dst` is then as it was.
            #[inline]
            pub fn encode(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                match self {
                    $(messages!(@bind message $variant $($ty)?) => messages!(@encode message dst $($ty)?),)*
                    $(Self::Common(message) => <$common>::encode(message, dst),)?
                    Self::Unknown(frame) => {
                        dst.extend_from_slice(&frame.body);
                        Ok(())
                    }
                }
            }

            /// Bytes that `encode` appends.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(messages!(@bind message $variant $($ty)?) => messages!(@len message $($ty)?),)*
                    $(Self::Common(message) => <$common>::encoded_len(message),)?
                    Self::Unknown(frame) => frame.body.len(),
                }
            }
        }

        /// One of the messages with a layout, or a number that has none; each comes back from its wire form.
        #[cfg(feature = "arbitrary")]
        impl<'a> ::arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(u: &mut ::arbitrary::Unstructured<'a>) -> ::arbitrary::Result<Self> {
                let at = u.choose_index(Self::TABLE.len().saturating_add(1))?;
                match Self::TABLE.get(at) {
                    Some(&(number, _)) => Self::arbitrary_body(number, u),
                    None => messages!(@arbitrary_other u $($common)?),
                }
            }
        }

        #[cfg(feature = "arbitrary")]
        impl $name {
            /// Any value of the message with this number.
            ///
            /// # Errors
            /// As [`arbitrary::Arbitrary`] gives them.
            pub fn arbitrary_body<'a>(number: u16, u: &mut ::arbitrary::Unstructured<'a>) -> ::arbitrary::Result<Self> {
                match number {
                    $($number => messages!(@arbitrary $variant $($ty)?, u),)*
                    _ => messages!(@arbitrary_number number, u $($common)?),
                }
            }
        }

        impl $crate::frame::Body for $name {
            #[inline]
            fn number(&self) -> u16 {
                Self::number(self)
            }
            #[inline]
            fn encode(&self, dst: &mut bytes::BytesMut) -> Result<(), $crate::EncodeError> {
                Self::encode(self, dst)
            }
            fn encoded_len(&self) -> usize {
                Self::encoded_len(self)
            }
        }
    };
    (@number $name:ident $spec:ident $ty:ident) => {
        impl $ty {
            #[doc = concat!("The number of the message, that of [`", stringify!($name), "::", stringify!($spec), "`].")]
            pub const NUMBER: u16 = $name::$spec;
        }
    };
    (@number $name:ident $spec:ident $ty:ident shared) => {};
    (@spec $spec:ident) => {{
        const BYTES: [u8; stringify!($spec).len()] = $crate::channel::lower_case(stringify!($spec));
        // INVARIANT: an identifier in ASCII is one in small letters, too.
        const NAME: &str = match core::str::from_utf8(&BYTES) {
            Ok(name) => name,
            Err(_) => stringify!($spec),
        };
        NAME
    }};
    (@arbitrary $variant:ident $ty:ident, $u:ident) => {
        <$ty as ::arbitrary::Arbitrary>::arbitrary($u).map(Self::$variant)
    };
    (@arbitrary $variant:ident, $u:ident) => { Ok(Self::$variant) };
    (@arbitrary_number $number:ident, $u:ident $common:ty) => {{
        let message = <$common>::arbitrary_body($number, $u)?;
        if message.is_unknown() {
            return $crate::arbitrary::frame($number, $u).map(Self::Unknown);
        }
        Ok(Self::Common(message))
    }};
    (@arbitrary_number $number:ident, $u:ident) => { $crate::arbitrary::frame($number, $u).map(Self::Unknown) };
    (@arbitrary_other $u:ident $common:ty) => {{
        let number = <$common as ::arbitrary::Arbitrary>::arbitrary($u)?.number();
        Self::arbitrary_body(number, $u)
    }};
    (@arbitrary_other $u:ident) => {{
        let number = ::arbitrary::Arbitrary::arbitrary($u)?;
        Self::arbitrary_body(number, $u)
    }};
    (@other $frame:ident $known:ident $unknown:ident $common:ty) => {
        <$common>::decode_as($frame, |message| $known(Self::Common(message)), $unknown)
    };
    (@other $frame:ident $known:ident $unknown:ident) => { Ok($unknown($frame.clone())) };
    (@decode $known:ident $variant:ident $ty:ident, $frame:ident) => {
        Ok($known(Self::$variant(<$ty>::decode(&$frame.body)?)))
    };
    (@decode $known:ident $variant:ident, $frame:ident) => { Ok($known(Self::$variant)) };
    (@pattern $variant:ident $ty:ident) => { Self::$variant(_) };
    (@pattern $variant:ident) => { Self::$variant };
    (@bind $message:ident $variant:ident $ty:ident) => { Self::$variant($message) };
    (@bind $message:ident $variant:ident) => { Self::$variant };
    (@encode $message:ident $dst:ident $ty:ident) => { <$ty>::encode($message, $dst) };
    (@encode $message:ident $dst:ident) => { Ok(()) };
    (@len $message:ident $ty:ident) => { <$ty>::encoded_len($message) };
    (@len $message:ident) => { 0 };
}
pub(crate) use messages;

/// A name in small letters, for the compiler.
pub(crate) const fn lower_case<const N: usize>(name: &str) -> [u8; N] {
    let mut lower = [0; N];
    let (mut to, mut from) = (&mut lower as &mut [u8], name.as_bytes());
    while let (Some((place, others)), [byte, rest @ ..]) = (to.split_first_mut(), from) {
        *place = byte.to_ascii_lowercase();
        (to, from) = (others, rest);
    }
    lower
}
