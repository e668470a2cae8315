//! The fields of a group for serde; `group!` in `from_value.rs` implements the trait.

use serde_core::Serializer;

/// A type with named fields.
pub(crate) trait Fields {
    /// Serializes the fields, with secrets if `secrets` is set.
    fn serialize_fields<S: Serializer>(&self, serializer: S, secrets: bool) -> Result<S::Ok, S::Error>;
}

/// A field, and whether it is shown in case it is a secret.
pub(crate) struct Shown<'a, T> {
    pub(crate) key: &'static str,
    pub(crate) value: &'a T,
    pub(crate) secrets: bool,
}
