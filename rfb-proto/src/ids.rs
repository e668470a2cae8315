//! Numbers with names. All are open: a value without a name passes through untouched.

/// An open id: a newtype over its wire integer, with a constant and a name for each known value.
macro_rules! ids {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) {
        $($(#[$doc:meta])* $constant:ident = $value:literal, $text:literal;)*
    })*) => {$(
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

        /// The name and the number: people search for either.
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl $crate::wire::Fixed for $name {
            const SIZE: usize = size_of::<$raw>();
            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                Self(<$raw as $crate::wire::Fixed>::get(block))
            }
            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                $crate::wire::Fixed::put(&self.0, block);
            }
        }
    )*};
}
pub(crate) use ids;
