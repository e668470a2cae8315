//! Fuzzing: one oracle a target, and the laws that it holds inputs against.
//!
//! A target is one line in `fuzz_targets/`; what it checks stands here. An input is one or more [`cases`]. The first
//! bytes of a case choose what is fed and in which pieces, so that one target reaches every role. `seeds/TARGET/` holds
//! inputs that reach every state, see [`seeds`] and `ORIGIN.md`; `regressions/TARGET/` holds one input for each finding.
//! `cargo test -p fuzz` replays both on the stable compiler; `cargo +nightly fuzz run TARGET` searches, and
//! `cargo run -p fuzz --bin TARGET FILE...` checks the files that it is given.
//!
//! The laws: no panic, no hang; any chunking of an input gives the same result; nothing is kept beyond the
//! limits; a peer receives no more than the protocol's own code; an error is terminal.

#[cfg(test)]
mod replay;
pub mod rfb_bridge;
pub mod rfb_logins;
pub mod rfb_messages;
pub mod rfb_roles;
pub mod rfb_session;
pub mod rfb_stream;
pub mod seeds;
pub mod spice_agent;
pub mod spice_frames;
pub mod spice_link;
pub mod spice_messages;
pub mod spice_session;
pub mod token_grants;
pub mod token_json;
pub mod token_signed;
pub mod token_strings;
pub mod token_web;
pub mod vv_file;

/// The program of a target: a search if `cargo fuzz` builds it, else a check of files.
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
pub(crate) struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A length of one byte, then so many bytes, or all that are left.
    pub(crate) fn short_blob(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        let (blob, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        blob
    }

    /// A length of two bytes, then so many bytes, or all that are left.
    pub(crate) fn blob(&mut self) -> &'a [u8] {
        let len = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let (blob, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        blob
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.0
    }
}
