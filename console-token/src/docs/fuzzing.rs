//! Fuzzing what is built on this crate.
//!
//! The crate's own fuzz targets hold these laws: no input panics; a refused transition changes nothing; a store gives what a
//! model gives that remembers everything; what is read is written as what reads the same; a secret is in no log line. `fuzz/LAWS.md`
//! of the repository tells what each law catches, and which targets hold it.
//!
//! With feature `arbitrary` an input is a grant and the transitions that a gateway asks for. `fuzz_targets/gateway.rs` after
//! `cargo fuzz init`:
//!
#![cfg_attr(all(feature = "arbitrary", feature = "std"), doc = "```")]
#![cfg_attr(not(all(feature = "arbitrary", feature = "std")), doc = "```ignore")]
//! # mod target {
//! # macro_rules! fuzz_target { (|$name:ident: $ty:ty| $body:block) => { pub fn run($name: $ty) $body } }
//! // #![no_main]
//! // use libfuzzer_sys::fuzz_target;
//! use console_token::{Grant, MemoryStore, TokenHash, Transition, UnixSeconds, VerifyContext};
//!
//! fuzz_target!(|input: (Grant, Vec<(u8, Transition)>)| {
//!     let (grant, transitions) = input;
//!     let (store, hash) = (MemoryStore::new(1), TokenHash::from_bytes([7; 32]));
//!     store.insert(&hash, &grant).expect("there is room");
//!     let mut now = UnixSeconds(0);
//!     for (seconds, transition) in transitions {
//!         now = now.saturating_add(seconds.into());
//!         // Here: what the gateway does with the answer.
//!         let _ = store.apply(&hash, &VerifyContext::at(now), transition);
//!     }
//! });
//! # }
//! # use arbitrary::{Arbitrary, Unstructured};
//! # let bytes: Vec<u8> = (0..=255).cycle().take(5000).collect();
//! # target::run(Arbitrary::arbitrary(&mut Unstructured::new(&bytes)).unwrap());
//! ```
