//! Guides: one page a task, and a page of errors.
//!
//! | Page | For |
//! |---|---|
//! | [`writing`] | a portal or gateway that offers a file for download |
//! | [`reading`] | a viewer or tool that opens files |
//! | [`checking`] | finding what is wrong with a file, in tests of a generator or for a user |
//! | [`errors`] | each error: cause, remedy, what a viewer does |
//! | [`fuzzing`] | tests of code that uses this crate |
//!
//! No page needs a feature, except where it says so: `serde` gives `Serialize` for what was read, `arbitrary` files from a fuzzer's bytes.

pub mod checking;
pub mod errors;
pub mod fuzzing;
pub mod reading;
pub mod writing;
