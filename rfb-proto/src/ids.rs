//! Numbers with names. All are open: a value without a name passes through untouched.

/// The newtype of an open number, with a constant and a name for each known value.
macro_rules! open_number {
    ($(#[$meta:meta])* pub struct $name:ident($raw:ty) { $($(#[$doc:meta])* $constant:ident = $value:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $raw);

        impl $name {
            $($(#[$doc])* pub const $constant: Self = Self($value);)*

            /// What the value is called, if it is a known one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($text),)*
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let constant = match self.0 {
                    $($value => stringify!($constant),)*
                    other => return write!(f, "{}({other})", stringify!($name)),
                };
                write!(f, "{}::{constant}", stringify!($name))
            }
        }

        impl $crate::fields::Fixed for $name {
            const SIZE: usize = size_of::<$raw>();
            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                Self(<$raw as $crate::fields::Fixed>::get(block))
            }
            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                $crate::fields::Fixed::put(&self.0, block);
            }
        }
    };
}
pub(crate) use open_number;

/// An open id: one value of many.
macro_rules! ids {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) {
        $($(#[$doc:meta])* $constant:ident = $value:literal, $text:literal;)*
    })*) => {$(
        $crate::ids::open_number! {
            $(#[$meta])*
            pub struct $name($raw) { $($(#[$doc])* $constant = $value, $text;)* }
        }

        /// The name and the number: people search for either.
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        /// In a human-readable format a known value is its name, and any other its number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self.name() {
                    Some(name) if serializer.is_human_readable() => serializer.serialize_str(name),
                    _ => self.0.serialize(serializer),
                }
            }
        }

        /// From a name or a number, where the format can tell them apart.
        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NameOrNumber;
                impl serde::de::Visitor<'_> for NameOrNumber {
                    type Value = $name;
                    fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                        f.write_str("a number, or a name of the specification")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        let known = [$(($text, $name::$constant)),*];
                        let named = known.into_iter().find(|(name, _)| *name == text);
                        named
                            .map(|(_, value)| value)
                            .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
                    }
                    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<$name, E> {
                        <$raw>::try_from(number)
                            .map($name)
                            .map_err(|_| E::invalid_value(serde::de::Unexpected::Signed(number), &self))
                    }
                    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<$name, E> {
                        <$raw>::try_from(number)
                            .map($name)
                            .map_err(|_| E::invalid_value(serde::de::Unexpected::Unsigned(number), &self))
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_any(NameOrNumber)
                } else {
                    <$raw>::deserialize(deserializer).map(Self)
                }
            }
        }
    )*};
}
pub(crate) use ids;

/// A bit mask: any number of values, each of them one bit. They are listed lowest bit first.
macro_rules! masks {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) {
        $($(#[$doc:meta])* $constant:ident = $value:literal, $text:literal;)*
    })*) => {$(
        $crate::ids::open_number! {
            $(#[$meta])*
            pub struct $name($raw) { $($(#[$doc])* $constant = $value, $text;)* }
        }

        impl $name {
            pub(crate) const BITS: &'static [(u32, &'static str)] = &[$(($value, $text)),*];

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }

        /// The names of the bits that are set, lowest first, one hexadecimal number for those that have none, and the
        /// number of the whole: `text|request (0x2000001)`.
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{} ({:#x})", $crate::mask::Mask::new(self.0.into(), Self::BITS), self.0)
            }
        }

        /// In a human-readable format the array of the names of the bits that are set, lowest first, and one
        /// hexadecimal number for those that have none; empty if no bit is set. In others the number.
        #[cfg(feature = "serde")]
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match serializer.is_human_readable() {
                    true => $crate::mask::Mask::new(self.0.into(), Self::BITS).serialize(serializer),
                    false => self.0.serialize(serializer),
                }
            }
        }

        /// From such an array, or a number.
        #[cfg(feature = "serde")]
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return <$raw>::deserialize(deserializer).map(Self);
                }
                let value = deserializer.deserialize_any($crate::mask::ArrayOrNumber(Self::BITS))?;
                let out_of_range = |_| serde::de::Error::custom("more bits than the field has");
                <$raw>::try_from(value).map(Self).map_err(out_of_range)
            }
        }
    )*};
}
pub(crate) use masks;
