#![no_std]
//! SPICE protocol, sans-IO: link stage in three roles (client, server, relay), tickets, frames, channel messages.

extern crate alloc;
