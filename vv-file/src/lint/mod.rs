//! What is wrong with a connection file, for people who write them and for people who are sent them.
//!
//! [`lint`] reads a file as virt-viewer does and reports what a viewer refuses, misreads, ignores or
//! crashes on. No finding holds text out of the file, so a report can be shown and sent around.

mod file;
mod findings;
mod near;
mod values;

use alloc::vec::Vec;
use core::fmt;

pub use self::findings::{FindingKind, Severity};
pub(crate) use self::values::is_shown;
use crate::key_file::Limits;

/// Something in a file that is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What it is.
    pub kind: FindingKind,
    /// How bad it is here.
    pub severity: Severity,
    /// The group, if it is one that virt-viewer knows; the group that is meant where the file spells it otherwise.
    pub group: Option<&'static str>,
    /// The key, if it is one that virt-viewer knows; the key that is meant where the file spells it otherwise.
    pub key: Option<&'static str>,
    /// Line of the file, from 1.
    pub line: usize,
    /// Byte of the line, from 1.
    pub column: usize,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if let Some(key) = self.key {
            write!(f, "{key}: ")?;
        }
        write!(
            f,
            "{}: {} ({})",
            self.severity.name(),
            self.kind.meaning(),
            self.kind.remedy()
        )
    }
}

impl core::error::Error for Finding {}

/// Checks a file with the default [`Limits`]. The findings are in the order of the file.
///
/// ```
/// use vv_file::lint::{FindingKind, Severity, lint};
/// let findings = lint(b"[virt-viewer]\ntype=spice\nhost=h\ntls-port=5901\npassword=x\ndelete-this-file=true\n");
/// assert_eq!(findings.len(), 1);
/// assert_eq!((findings[0].kind, findings[0].line), (FindingKind::TicketStays, 6));
/// assert_eq!(findings[0].severity, Severity::Error);
/// ```
pub fn lint(input: &[u8]) -> Vec<Finding> {
    lint_with(input, &Limits::default())
}

/// Checks a file.
pub fn lint_with(input: &[u8], limits: &Limits) -> Vec<Finding> {
    let mut findings = file::check(input, limits);
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// The worst severity of a report; `None` if nothing was found.
pub fn worst(findings: &[Finding]) -> Option<Severity> {
    findings.iter().map(|finding| finding.severity).max()
}
