//! The programs of this project: see `src/bin/`.

pub mod vnc;

/// The code samples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
