//! Findings about connection files, for their authors and their users.
//!
//! [`lint`] reads a file as virt-viewer does and reports what a viewer refuses, misreads, ignores or crashes on. A finding
//! contains no text of the file, so that reports can be published.

mod file;
mod findings;
mod near;
mod report;
mod values;

use alloc::vec::Vec;

pub use self::findings::{Finding, FindingKind, Severity};
use crate::key_file::Limits;

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
