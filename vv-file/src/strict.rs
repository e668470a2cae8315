//! Strict reading: files that virt-viewer accepts and the lint finds no error in.

use crate::{
    connection::ConnectionFile,
    error::StrictError,
    lint::{self, Severity},
};

impl ConnectionFile {
    /// Reads a file as [`parse`](Self::parse) does, and refuses it if [`lint`](crate::lint::lint) finds an error.
    ///
    /// # Errors
    /// The first error that the lint finds, with its place.
    pub fn parse_strict(input: &[u8]) -> Result<Self, StrictError> {
        let finding = lint::lint(input)
            .into_iter()
            .find(|finding| finding.severity == Severity::Error);
        match finding {
            Some(finding) => Err(StrictError::Finding(finding)),
            None => Ok(Self::parse(input)?),
        }
    }
}
