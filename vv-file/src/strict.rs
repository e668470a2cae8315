//! Reading strictly: what virt-viewer takes, and nothing wrong with it.

use crate::{
    connection::ConnectionFile,
    error::StrictError,
    lint::{self, Severity},
};

impl ConnectionFile {
    /// Reads a file that has nothing wrong with it: as [`parse`](Self::parse), and refused if
    /// [`lint`](crate::lint::lint) finds an error in it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
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
