//! Conversion of values to types, as virt-viewer does it: a value that its getter cannot read becomes the default.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use crate::{
    key_file::{BadEscapes, Value},
    secret::Secret,
};

/// A type of field that is read from the value of its key; the value is `None` if the key is absent.
pub(crate) trait FromValue: Sized {
    fn from_value(value: Option<Value<'_>>, bad_escapes: BadEscapes) -> Self;
}

impl FromValue for Option<String> {
    fn from_value(value: Option<Value<'_>>, bad_escapes: BadEscapes) -> Self {
        value?.string_with(bad_escapes).ok()
    }
}

impl FromValue for Option<Secret> {
    fn from_value(value: Option<Value<'_>>, bad_escapes: BadEscapes) -> Self {
        value?.string_with(bad_escapes).ok().map(Secret::new)
    }
}

impl FromValue for Option<i32> {
    fn from_value(value: Option<Value<'_>>, _: BadEscapes) -> Self {
        Some(value?.integer().unwrap_or_default())
    }
}

/// The manual calls some keys booleans; virt-viewer reads all of them as integers, so `true` is 0.
impl FromValue for Option<bool> {
    fn from_value(value: Option<Value<'_>>, bad_escapes: BadEscapes) -> Self {
        Option::<i32>::from_value(value, bad_escapes).map(|number| number != 0)
    }
}

impl FromValue for Option<Vec<String>> {
    fn from_value(value: Option<Value<'_>>, _: BadEscapes) -> Self {
        value?.list().ok()
    }
}

/// Pairs `name:value`, split at the first colon. Items without a colon are skipped; of a repeated name the last one
/// counts.
impl FromValue for BTreeMap<String, String> {
    fn from_value(value: Option<Value<'_>>, _: BadEscapes) -> Self {
        let items = value.and_then(|value| value.list().ok()).unwrap_or_default();
        let pairs = items.iter().filter_map(|item| item.split_once(':'));
        pairs.map(|(name, version)| (name.into(), version.into())).collect()
    }
}

/// Defines a group: a table of fields with types and keys gives the struct and its reader.
///
/// `Debug` shows no value, because a host can be a ticket and a proxy can contain a password.
macro_rules! group {
    (
        $(#[$doc:meta])*
        pub struct $name:ident in $group:expr;
        $( $(#[$field_doc:meta])* $field:ident: $type:ty = $key:expr, )*
    ) => {
        $(#[$doc])*
        #[non_exhaustive]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        impl $name {
            /// The keys of the fields, in the same order. What else stands in the group is an
            /// extension that virt-viewer ignores.
            pub const KEYS: &'static [&'static str] = &[$($key),*];

            pub(crate) fn read(
                file: &$crate::key_file::KeyFile,
                bad_escapes: $crate::key_file::BadEscapes,
            ) -> Self {
                // In the order of the fields; of a repeated key the last value stays.
                let mut values = [None; [$($key),*].len()];
                for entry in file.entries_of($group) {
                    let index = Self::KEYS.iter().position(|key| key.as_bytes() == entry.key);
                    if let Some(value) = index.and_then(|index| values.get_mut(index)) {
                        *value = Some(entry.value);
                    }
                }
                let mut values = values.into_iter();
                Self {
                    $( $field: $crate::from_value::FromValue::from_value(values.next().flatten(), bad_escapes), )*
                }
            }
        }

        #[cfg(feature = "serde")]
        impl $crate::fields::Fields for $name {
            fn serialize_fields<S: serde_core::Serializer>(
                &self,
                serializer: S,
                secrets: bool,
            ) -> Result<S::Ok, S::Error> {
                use $crate::fields::Shown;
                let mut map = serializer.serialize_map(Some(Self::KEYS.len()))?;
                $(
                    let shown = Shown { key: $key, value: &self.$field, secrets };
                    serde_core::ser::SerializeMap::serialize_entry(&mut map, $key, &shown)?;
                )*
                serde_core::ser::SerializeMap::end(map)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use group;
