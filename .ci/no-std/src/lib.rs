//! If one of these brings std along, then so does std's panic handler, and two are refused (E0152).
#![no_std]

use base16ct as _;
use base64 as _;
use bytes as _;
use console_token as _;
use des as _;
use hashbrown as _;
use hmac as _;
use httparse as _;
use ipnet as _;
use memchr as _;
use miniz_oxide as _;
use nom as _;
use percent_encoding as _;
use rfb_proto as _;
use rsa as _;
use sha1 as _;
use sha1_next as _;
use sha2 as _;
use sha2_next as _;
use siphasher as _;
use smallvec as _;
use spice_proto as _;
use subtle as _;
use thiserror as _;
use vv_file as _;
use zeroize as _;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
