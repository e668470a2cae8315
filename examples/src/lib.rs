//! The programs of this project: see `src/bin/`. Here is what several of them share.

pub mod head;
pub mod stream;
pub mod websocket;

#[cfg(feature = "capture")]
pub mod capture;

#[cfg(feature = "programs")]
pub mod budget;
#[cfg(feature = "programs")]
pub mod command;
#[cfg(feature = "programs")]
pub mod descriptors;
#[cfg(feature = "programs")]
pub mod net;
#[cfg(feature = "programs")]
pub mod places;
#[cfg(feature = "programs")]
pub mod refusals;
#[cfg(feature = "programs")]
pub mod secret;
#[cfg(feature = "programs")]
pub mod spice;
#[cfg(feature = "programs")]
pub mod tls;
#[cfg(feature = "programs")]
pub mod vnc;

#[cfg(feature = "tools")]
pub mod dissect;
#[cfg(feature = "tools")]
pub mod picture;

/// The code samples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
