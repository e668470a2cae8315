#![no_std]
//! RFB (VNC) protocol, sans-IO: versions, security types, VNC authentication.

extern crate alloc;
