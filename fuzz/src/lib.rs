//! Fuzzing: what a target is, and the oracles of those that share code.
//!
//! A target is one file, `src/bin/TARGET.rs`: a function that feeds an input and asserts the laws, and the line
//! `fuzz::target!(function);`. Nothing else lists it: `fuzz/run`, stage `fuzz` and `cargo test` find the file. `README.md`
//! has the steps.
//!
//! An input is one or more [`cases`]. The first bytes of a case choose what is fed and in which pieces, so that one target
//! reaches every role. `seeds/TARGET/` holds inputs that reach every state, see [`seeds`] and `ORIGIN.md`;
//! `regressions/TARGET/` holds one input for each finding. `cargo test -p fuzz` replays both on the stable compiler;
//! `fuzz/run TARGET` searches, and `cargo run -p fuzz --bin TARGET FILE...` checks the files that it is given.
//!
//! The laws: no panic, no hang; any chunking of an input gives the same result; nothing is kept beyond the
//! limits; a peer receives no more than the protocol's own code; an error is terminal.

#[cfg(feature = "adapters")]
pub mod adapters;
pub mod reach;
#[cfg(all(test, feature = "rfb", feature = "spice", feature = "token"))]
mod replay;
#[cfg(feature = "rfb")]
pub mod rfb_bridge;
#[cfg(feature = "rfb")]
pub mod rfb_drivers;
#[cfg(feature = "rfb")]
pub mod rfb_logins;
#[cfg(feature = "rfb")]
pub mod rfb_messages;
#[cfg(feature = "rfb")]
pub mod rfb_roles;
#[cfg(feature = "rfb")]
pub mod rfb_session;
#[cfg(feature = "rfb")]
pub mod rfb_stream;
#[cfg(feature = "seeds")]
pub mod seeds;
#[cfg(any(feature = "rfb", feature = "spice"))]
pub mod shown;
#[cfg(feature = "spice")]
pub mod spice_agent;
#[cfg(feature = "spice")]
pub mod spice_drivers;
#[cfg(feature = "spice")]
pub mod spice_frames;
#[cfg(feature = "spice")]
pub mod spice_link;
#[cfg(feature = "spice")]
pub mod spice_messages;
#[cfg(feature = "spice")]
pub mod spice_relay;
#[cfg(feature = "spice")]
pub mod spice_session;
#[cfg(feature = "token")]
pub mod token_grants;
#[cfg(feature = "token")]
pub mod token_json;
#[cfg(feature = "token")]
pub mod token_signed;
#[cfg(feature = "token")]
pub mod token_strings;
#[cfg(feature = "token")]
pub mod token_web;
pub mod unreached;
#[cfg(feature = "vv")]
pub mod vv_file;

use std::path::Path;

/// The program of a target: a search if `cargo fuzz` builds it, a replay of its seeds and regressions as a test, else a check
/// of files.
///
/// It takes a `fn(&[u8])`; what the function gives back is dropped.
#[macro_export]
macro_rules! target {
    ($check:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            for case in $crate::cases(data) {
                $check(case);
            }
        });
        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::check_files($check)
        }
        #[test]
        fn seeds_and_regressions() {
            $crate::check_inputs(env!("CARGO_CRATE_NAME"), |case| drop($check(case)));
        }
    };
}

/// Checks each file that the program was given.
///
/// # Errors
/// A file cannot be read.
pub fn check_files<T>(check: fn(&[u8]) -> T) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        for case in cases(&std::fs::read(path)?) {
            check(case);
        }
    }
    Ok(())
}

/// Runs each case of a target's inputs in `folder`, `seeds` or `regressions`, and gives their number.
///
/// # Panics
/// An input cannot be read.
pub fn each_case(folder: &str, target: &str, mut run: impl FnMut(&[u8])) -> usize {
    let mut count = 0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    // A target without findings has no folder of regressions; a new one has no seeds.
    let Ok(entries) = folder.read_dir() else { return count };
    for entry in entries {
        let path = entry.expect("an entry of the folder").path();
        println!("{}", path.display());
        for case in cases(&std::fs::read(&path).expect("the bytes of an input")) {
            run(case);
            count += 1;
        }
    }
    count
}

/// Checks what every target has to stand: no bytes, one byte of each value, its seeds and its regressions.
///
/// # Panics
/// What `check` panics at.
pub fn check_inputs(target: &str, mut check: impl FnMut(&[u8])) {
    check(&[]);
    (0..=u8::MAX).for_each(|byte| check(&[byte]));
    let cases: usize = ["seeds", "regressions"]
        .map(|folder| each_case(folder, target, &mut check))
        .iter()
        .sum();
    println!("{target}: {cases} cases");
}

/// What stands between two cases of an input.
pub const NEXT_CASE: [u8; 4] = [0xfe, 0xed, 0xca, 0x5e];

/// The cases of an input. Each is checked on its own, so that what belongs together can be one seed.
pub fn cases(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut left = Some(input);
    std::iter::from_fn(move || {
        let bytes = left?;
        let end = bytes.windows(NEXT_CASE.len()).position(|window| window == NEXT_CASE);
        left = end.map(|end| &bytes[end + NEXT_CASE.len()..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

#[test]
fn inputs_are_one_or_more_cases() {
    let cases = |input: &[u8]| cases(input).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(cases(b""), [b""]);
    assert_eq!(cases(b"one"), [b"one"]);
    let input = [&b"one"[..], &NEXT_CASE, b"two", &NEXT_CASE, &NEXT_CASE[..3]].concat();
    assert_eq!(cases(&input), [&b"one"[..], b"two", &NEXT_CASE[..3]]);
    assert_eq!(cases(&NEXT_CASE), [b"", b""]);
}

/// An input, taken apart from the front. When it is used up every byte is 0.
#[derive(Clone, Copy)]
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// All of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A length of one byte, then so many bytes, or all that are left.
    pub fn short_blob(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        let (blob, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        blob
    }

    /// A length of two bytes, then so many bytes, or all that are left.
    pub fn blob(&mut self) -> &'a [u8] {
        let len = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let (blob, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        blob
    }

    /// All that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}
