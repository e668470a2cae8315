#![no_std]
//! Console tokens for virtual machines: secrets, grants, atomic redeem, one use per logical SPICE session.

extern crate alloc;
