//! The programs of this project: see `src/bin/`. Here is what several of them share.

#[cfg(feature = "tools")]
pub mod capture;

pub mod command;

pub mod descriptors;

#[cfg(feature = "tools")]
pub mod dissect;

#[cfg(feature = "tools")]
pub mod picture;

pub mod net;

pub mod places;

pub mod refusals;

pub mod secret;

pub mod spice;

pub mod stream;

pub mod tls;

pub mod vnc;

pub mod websocket;

/// The code samples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
