//! Guests move between two real QEMUs while a real viewer looks at them through the gateway.
//!
//! A line of a table is a case. Those that the other tests of real peers run as well are in `real.rs`.
//!
//! The tests need the packages of `debian-packages.txt`:
//! `cargo test -p examples --test migration -- --ignored --test-threads=1`.

#[path = "real/gateway.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod gateway;
#[path = "real/guest.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod guest;
#[path = "real/migration/mod.rs"]
mod migration;
#[path = "real/picture.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod picture;
#[path = "real/pki.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod pki;
#[path = "real/process.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod process;
#[path = "real/recorder.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod recorder;
#[path = "real/viewer.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod viewer;

migration::rows! {
    semi_seamless_spicy => moves(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    semi_seamless_remote_viewer => moves(SemiSeamless, RemoteViewer, Plain, Plain, gateway: false);
    seamless_spicy => moves(Seamless, Spicy, Plain, Plain, gateway: false);
    seamless_remote_viewer => moves(Seamless, RemoteViewer, Plain, Plain, gateway: false);
    switch_host_spicy => moves(SwitchHost, Spicy, Plain, Plain, gateway: false);
    switch_host_remote_viewer => moves(SwitchHost, RemoteViewer, Plain, Plain, gateway: false);
}
