//! Fuzzing what is built on this crate.
//!
//! The crate's own fuzz targets hold these laws for every input; code that builds on it can rely on them, and its targets
//! need not try them again:
//!
//! * nothing panics, and nothing is allocated from a length before it was checked;
//! * a message that decodes encodes to the same bytes, and `encode` appends exactly `encoded_len()` bytes;
//! * any cutting of a stream into pieces gives the same result;
//! * a machine that has failed stays failed, and says the same.
//!
//! `fuzz/LAWS.md` of the repository tells what each law catches, and which targets hold it. What is left to try is the
//! program around the crate. Machines take time and randomness as arguments, so that a target is deterministic without any
//! preparation. `fuzz_targets/messages.rs` after `cargo fuzz init`, with feature `arbitrary` for inputs that are messages:
//!
//! ```
//! # mod target {
//! # macro_rules! fuzz_target { (|$name:ident: $ty:ty| $body:block) => { pub fn run($name: $ty) $body } }
//! // #![no_main]
//! // use libfuzzer_sys::fuzz_target;
//! use bytes::BytesMut;
//! use rfb_proto::Limits;
//! use rfb_proto::message::{ClientMessage, Extensions};
//!
//! fuzz_target!(|messages: Vec<ClientMessage>| {
//!     let (mut stream, limits) = (BytesMut::new(), Limits::default());
//!     for message in &messages {
//!         message.encode(&mut stream).expect("a value that came from `arbitrary` has a wire form");
//!     }
//!     // Here: give the stream to the program, and look at what it does.
//!     for message in messages {
//!         assert_eq!(ClientMessage::take(&mut stream, &Extensions::ALL, &limits), Ok(Some(message)));
//!     }
//! });
//! # }
//! # use arbitrary::{Arbitrary, Unstructured};
//! # use rfb_proto::message::ClientMessage;
//! # let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
//! # let mut drawn = Unstructured::new(&bytes);
//! # let messages: Vec<ClientMessage> = (0..50).filter_map(|_| Arbitrary::arbitrary(&mut drawn).ok()).collect();
//! # assert!(10 < messages.len());
//! # target::run(messages);
//! ```
//!
//! `cargo +nightly fuzz run messages` runs it. Limits that are small enough to be reached find more than those of
//! production: `Limits::default().with_cut_text(64)`.
