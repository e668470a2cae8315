//! Fuzzing what is built on this crate.
//!
//! The crate's own fuzz targets hold these laws: no input panics; a file is read as GLib reads it; what is written reads back
//! equal; an edit changes what it says and nothing else. `fuzz/LAWS.md` of the repository tells what each law catches, and
//! which targets hold it.
//!
//! With feature `arbitrary` an input is a file that can be read. `fuzz_targets/opens.rs` after `cargo fuzz init`:
//!
#![cfg_attr(feature = "arbitrary", doc = "```")]
#![cfg_attr(not(feature = "arbitrary"), doc = "```ignore")]
//! # mod target {
//! # macro_rules! fuzz_target { (|$name:ident: $ty:ty| $body:block) => { pub fn run($name: $ty) $body } }
//! // #![no_main]
//! // use libfuzzer_sys::fuzz_target;
//! use vv_file::{ConnectionFile, Document};
//!
//! fuzz_target!(|file: Document| {
//!     // Here: give the bytes to the program, and look at what it does.
//!     let read = ConnectionFile::parse_strict(file.as_bytes()).expect("a viewer takes it");
//!     assert!(read.virt_viewer.host.is_some());
//! });
//! # }
//! # use arbitrary::{Arbitrary, Unstructured};
//! # let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
//! # target::run(Arbitrary::arbitrary(&mut Unstructured::new(&bytes)).unwrap());
//! ```
