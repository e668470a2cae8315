//! The programs of this project: see `src/bin/`. Here is what several of them share.

pub mod capture;

pub mod dissect;

pub mod picture;

pub mod secret;

pub mod spice;

pub mod stream;

pub mod vnc;

pub mod websocket;

/// The code samples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
