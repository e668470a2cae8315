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

use migration::Fault;
use spice_proto::ids::ChannelType;

migration::rows! {
    control => is_told_of_the_target(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    d_three_semi_spicy => moves_three_times(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    d_three_seamless_spicy => moves_three_times(Seamless, Spicy, Plain, Plain, gateway: false);
    d_cancel_semi_rv => moves_after_a_cancelled_move(SemiSeamless, RemoteViewer, Plain, Plain, gateway: false);
    d_cancel_seamless_spicy => moves_after_a_cancelled_move(Seamless, Spicy, Plain, Plain, gateway: false);
    d_plug_spicy => gets_a_channel_after_a_cancelled_move(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    d_late_spicy => follows_late(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    d_second_spicy => moves_to_the_second_target(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    d_unreach_spicy => stays_and_moves_later(SemiSeamless, Spicy, Plain, Plain, fault: Some(Fault::Unreachable), gateway: false);
    d_closed_rv => stays_and_is_sent_later(SemiSeamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Closed(ChannelType::MAIN)), gateway: false);
    d_end_spicy => stays_and_ends_with_the_move(SemiSeamless, Spicy, Plain, Plain, fault: Some(Fault::Closed(ChannelType::MAIN)), gateway: false);
    d_outlives_rv => outlives_the_target(SemiSeamless, RemoteViewer, Plain, Plain, gateway: false);
    d_ends_spicy => ends_with_the_source(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    d_ends_rv => ends_with_the_source(SemiSeamless, RemoteViewer, Plain, Plain, gateway: false);
}
