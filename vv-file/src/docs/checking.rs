//! Checking a file: what a viewer refuses, misreads, ignores or crashes on.
//!
//! [`lint`](crate::lint()) reads a file as virt-viewer does. Each [`Finding`](crate::Finding) has a severity, a place, the
//! meaning and the remedy, and no text of the file, so that a report can be published.
//!
//! ```rust
//! use vv_file::lint::{FindingKind, worst};
//! use vv_file::{Severity, lint};
//!
//! let findings = lint(b"[virt-viewer]\ntype=spice\nhost=gw.example.org\ntls-port=5901\ndelete-this-file=true\n");
//! assert_eq!(findings[0].kind, FindingKind::TicketStays);
//! assert_eq!((findings[0].line, findings[0].key), (5, Some("delete-this-file")));
//! assert!(Some(Severity::Note) < worst(&findings));
//! assert!(findings[0].to_string().starts_with("line 5, column "));
//! ```
//!
//! A generator's own test is one line: `assert_eq!(worst(&lint(&file)), None)`. The program `examples/lint_vv.rs` checks files
//! from the command line.
//!
//! | Severity | Meaning |
//! |---|---|
//! | note | nothing goes wrong |
//! | warning | the viewer ignores something, or some viewers do |
//! | error | the viewer does something else than the file says, or fails |
//!
//! [`FindingKind::ALL`](crate::FindingKind::ALL) lists all kinds; `code()` of each is stable, for programs that keep a list of
//! accepted findings. [`Builder`](crate::Builder) refuses each file with an error.
