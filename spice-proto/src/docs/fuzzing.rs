//! Fuzzing what is built on this crate.
//!
//! The crate's own fuzz targets hold these laws for every input; code that builds on it can rely on them, and its targets
//! need not try them again:
//!
//! * nothing panics, and nothing is allocated from a length before it was checked;
//! * if `decode` gives `m`, then `decode(encode(m))` is `m`, and `encode` appends exactly `encoded_len()` bytes;
//! * any cutting of a stream into pieces gives the same result;
//! * a machine that has failed stays failed, and says the same.
//!
//! `fuzz/LAWS.md` of the repository tells what each law catches, and which targets hold it. What is left to try is the
//! program around the crate: its handler, its loop, what it does with messages. Machines take time and randomness as
//! arguments, so that a target is deterministic without any preparation. `fuzz_targets/messages.rs`
//! after `cargo fuzz init`, with feature `arbitrary` for inputs that are valid messages:
//!
//! ```
//! # mod target {
//! # macro_rules! fuzz_target { (|$name:ident: $ty:ty| $body:block) => { pub fn run($name: $ty) $body } }
//! // #![no_main]
//! // use libfuzzer_sys::fuzz_target;
//! use bytes::{Bytes, BytesMut};
//! use spice_proto::channel::main::ClientMessage;
//! use spice_proto::frame::{Frame, Header};
//!
//! fuzz_target!(|message: ClientMessage| {
//!     let mut body = BytesMut::new();
//!     message.encode(&mut body).expect("a value that came from `arbitrary` has a wire form");
//!     let size = body.len() as u32;
//!     let header = Header { serial: 1, number: message.number(), size, sub_list: 0 };
//!     let frame = Frame { header, body: body.freeze() };
//!     // Here: give the frame to the program, and look at what it does.
//!     assert_eq!(ClientMessage::decode(&frame).as_ref(), Ok(&message));
//! });
//! # }
//! # use arbitrary::{Arbitrary, Unstructured};
//! # let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
//! # target::run(Arbitrary::arbitrary(&mut Unstructured::new(&bytes)).unwrap());
//! ```
//!
//! `cargo +nightly fuzz run messages` runs it. Seeds are worth more than time: bodies of real messages are what
//! `examples/recorder.rs` sees.
//!
//! Limits that are small enough to be reached find more than those of production:
//! `Limits::default().with_frame_body(1 << 10)`. A ticket costs a private-key operation, so a target of a whole link makes
//! one key before its first input, from bytes that are always the same.
