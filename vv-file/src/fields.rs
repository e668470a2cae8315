//! A table of fields for serde, see `take.rs`.

use serde_core::Serializer;

/// What has a table of fields.
pub(crate) trait Fields {
    /// Gives the fields to a serializer, secrets only if they are asked for.
    fn serialize_fields<S: Serializer>(&self, serializer: S, secrets: bool) -> Result<S::Ok, S::Error>;
}

/// A field, and whether it is shown if it is a secret.
pub(crate) struct Shown<'a, T> {
    pub(crate) key: &'static str,
    pub(crate) value: &'a T,
    pub(crate) secrets: bool,
}
