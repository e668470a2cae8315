#![no_std]
//! virt-viewer connection files (.vv), written and read exactly as GLib does.

extern crate alloc;
