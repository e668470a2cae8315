//! Collects findings.

use alloc::vec::Vec;

use super::{Finding, FindingKind as Kind, Severity};

/// Findings, and the place of the next ones.
pub(super) struct Report {
    findings: Vec<Finding>,
    /// Group of the next findings, if it is known.
    pub(super) group: Option<&'static str>,
    /// Key of the next findings, if it is known.
    pub(super) key: Option<&'static str>,
    line: usize,
    column: usize,
}

impl Report {
    /// A report without findings, at the beginning of the file.
    pub(super) fn new() -> Self {
        Self {
            findings: Vec::new(),
            group: None,
            key: None,
            line: 1,
            column: 1,
        }
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    pub(super) fn add(&mut self, kind: Kind, severity: Severity) {
        self.findings.push(Finding {
            kind,
            severity,
            group: self.group,
            key: self.key,
            line: self.line,
            column: self.column,
        });
    }

    pub(super) fn error(&mut self, kind: Kind) {
        self.add(kind, Severity::Error);
    }

    pub(super) fn warning(&mut self, kind: Kind) {
        self.add(kind, Severity::Warning);
    }

    pub(super) fn note(&mut self, kind: Kind) {
        self.add(kind, Severity::Note);
    }

    pub(super) fn at(&mut self, line: usize, column: usize) {
        (self.line, self.column) = (line, column);
    }
}
