//! Guests move between two real QEMUs while a real viewer looks at them through the gateway.
//!
//! A line of a table is a case: its name, what happens (the functions of `real/migration/story.rs`), the kind of move, the
//! viewer, and how SPICE is spoken between viewer and gateway and between gateway and hypervisors. Three more moves are in
//! `real.rs`, for every run.
//!
//! The tests need the packages of `debian-packages.txt`:
//! `cargo test -p examples --test migration -- --ignored --test-threads=1`.

#[path = "../../console-token/tests/engines/mod.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod engines;
#[path = "real/gateway.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod gateway;
#[path = "real/guest.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod guest;
#[path = "support/haproxy.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod haproxy;
#[path = "real/middle.rs"]
mod middle;
#[path = "real/migration/mod.rs"]
mod migration;
#[path = "real/picture.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod picture;
#[path = "real/pki.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod pki;
#[path = "support/ports.rs"]
mod ports;
#[path = "real/process.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod process;
#[path = "real/recorder.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod recorder;
#[path = "real/viewer.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod viewer;

/// Each kind of move, with each viewer, plain and with TLS on either side.
mod moves {
    crate::migration::rows! {
        semi_seamless_spicy_plain_and_plain => moves(SemiSeamless, Spicy, Plain, Plain);
        semi_seamless_remote_viewer_plain_and_plain => moves(SemiSeamless, RemoteViewer, Plain, Plain);
        semi_seamless_spicy_plain_and_tls => moves(SemiSeamless, Spicy, Plain, Tls);
        semi_seamless_remote_viewer_plain_and_tls => moves(SemiSeamless, RemoteViewer, Plain, Tls);
        semi_seamless_spicy_tls_and_plain => moves(SemiSeamless, Spicy, Tls, Plain);
        semi_seamless_remote_viewer_tls_and_plain => moves(SemiSeamless, RemoteViewer, Tls, Plain);
        semi_seamless_spicy_subject_and_subject => moves(SemiSeamless, Spicy, TlsBySubject, TlsBySubject);
        seamless_spicy_plain_and_plain => moves(Seamless, Spicy, Plain, Plain);
        seamless_remote_viewer_plain_and_plain => moves(Seamless, RemoteViewer, Plain, Plain);
        seamless_remote_viewer_plain_and_tls => moves(Seamless, RemoteViewer, Plain, Tls);
        seamless_spicy_tls_and_plain => moves(Seamless, Spicy, Tls, Plain);
        seamless_remote_viewer_tls_and_plain => moves(Seamless, RemoteViewer, Tls, Plain);
        seamless_spicy_subject_and_subject => moves(Seamless, Spicy, TlsBySubject, TlsBySubject);
        seamless_remote_viewer_subject_and_subject => moves(Seamless, RemoteViewer, TlsBySubject, TlsBySubject);
        switch_host_spicy_plain_and_plain => moves(SwitchHost, Spicy, Plain, Plain);
        switch_host_remote_viewer_plain_and_plain => moves(SwitchHost, RemoteViewer, Plain, Plain);
        switch_host_spicy_plain_and_tls => moves(SwitchHost, Spicy, Plain, Tls);
        switch_host_remote_viewer_plain_and_tls => moves(SwitchHost, RemoteViewer, Plain, Tls);
        switch_host_spicy_tls_and_plain => moves(SwitchHost, Spicy, Tls, Plain);
        switch_host_spicy_subject_and_subject => moves(SwitchHost, Spicy, TlsBySubject, TlsBySubject);
        switch_host_remote_viewer_subject_and_subject => moves(SwitchHost, RemoteViewer, TlsBySubject, TlsBySubject);
    }
}

/// The same over several gateways on one store, among which the viewer's connections are dealt out in turn.
mod gateways {
    crate::migration::rows! {
        semi_seamless_spicy_over_two => moves(SemiSeamless, Spicy, Plain, Plain, gateways: 2);
        semi_seamless_remote_viewer_tls_over_three => moves(SemiSeamless, RemoteViewer, Tls, Tls, gateways: 3);
        seamless_spicy_over_three => moves(Seamless, Spicy, Plain, Tls, gateways: 3);
        seamless_remote_viewer_tls_over_two => moves(Seamless, RemoteViewer, Tls, Plain, gateways: 2);
        switch_host_spicy_over_two => moves(SwitchHost, Spicy, Plain, Plain, gateways: 2);
        switch_host_remote_viewer_over_three => moves(SwitchHost, RemoteViewer, Plain, Plain, gateways: 3);
        three_moves_seamless_spicy_over_two => moves_three_times(Seamless, Spicy, Plain, Plain, gateways: 2);
    }
}

/// The same behind haproxy, on an engine: the gateways show one session wherever its channels come in, and its token is used once.
/// One more is in `real.rs`, with a VNC console.
mod balanced {
    use crate::engines::Kind::{Postgres, Redis};

    crate::migration::rows! {
        seamless_spicy_behind_haproxy => moves_as_one_session(Seamless, Spicy, Plain, Tls, gateways: 3, balanced: Some(Redis));
        semi_seamless_spicy_behind_haproxy => moves_as_one_session(SemiSeamless, Spicy, Plain, Plain, gateways: 3, balanced: Some(Postgres));
        switch_host_remote_viewer_behind_haproxy => moves_as_one_session(SwitchHost, RemoteViewer, Tls, Plain, gateways: 3, balanced: Some(Redis));
    }
}

/// What else can happen on the way of a guest whose target is well.
mod on_the_way {
    use crate::migration::Absent;

    crate::migration::rows! {
        three_moves_semi_seamless_spicy => moves_three_times(SemiSeamless, Spicy, Plain, Plain);
        three_moves_semi_seamless_remote_viewer => moves_three_times(SemiSeamless, RemoteViewer, Plain, Plain);
        three_moves_seamless_spicy => moves_three_times(Seamless, Spicy, Plain, Plain);
        three_moves_seamless_remote_viewer => moves_three_times(Seamless, RemoteViewer, Plain, Plain);
        cancelled_then_moved_semi_seamless_spicy => moves_after_a_cancelled_move(SemiSeamless, Spicy, Plain, Plain);
        cancelled_then_moved_semi_seamless_remote_viewer => moves_after_a_cancelled_move(SemiSeamless, RemoteViewer, Plain, Plain);
        cancelled_then_moved_seamless_spicy => moves_after_a_cancelled_move(Seamless, Spicy, Plain, Plain);
        cancelled_then_moved_seamless_remote_viewer => moves_after_a_cancelled_move(Seamless, RemoteViewer, Plain, Plain);
        moved_before_connected_semi_seamless_spicy => follows_late(SemiSeamless, Spicy, Plain, Plain);
        moved_before_connected_semi_seamless_remote_viewer => follows_late(SemiSeamless, RemoteViewer, Plain, Plain);
        moved_before_connected_seamless_spicy => follows_late(Seamless, Spicy, Plain, Plain);
        moved_before_connected_seamless_remote_viewer => follows_late(Seamless, RemoteViewer, Plain, Plain);
        another_target_semi_seamless_spicy => moves_to_the_second_target(SemiSeamless, Spicy, Plain, Plain);
        another_target_semi_seamless_remote_viewer => moves_to_the_second_target(SemiSeamless, RemoteViewer, Plain, Plain);
        another_target_seamless_spicy => moves_to_the_second_target(Seamless, Spicy, Plain, Plain);
        another_target_seamless_remote_viewer => moves_to_the_second_target(Seamless, RemoteViewer, Plain, Plain);
        plugged_after_cancelled_spicy => gets_a_channel_after_a_cancelled_move(SemiSeamless, Spicy, Plain, Plain);
        plugged_after_cancelled_remote_viewer => gets_a_channel_after_a_cancelled_move(SemiSeamless, RemoteViewer, Plain, Plain);
        absent_tls_port => moves(SemiSeamless, RemoteViewer, Plain, Plain, absent: Absent::Unsaid);
        absent_plain_port => moves(Seamless, Spicy, Plain, Tls, absent: Absent::Unsaid);
        absent_port_switch_host => moves(SwitchHost, RemoteViewer, Tls, Plain, absent: Absent::Unsaid);
        source_lost_before_the_move_spicy => ends_with_the_source(SemiSeamless, Spicy, Plain, Plain);
        source_lost_before_the_move_remote_viewer => ends_with_the_source(Seamless, RemoteViewer, Plain, Plain);
        target_lost_before_the_move_spicy => outlives_the_target(Seamless, Spicy, Plain, Plain);
        target_lost_before_the_move_remote_viewer => outlives_the_target(SemiSeamless, RemoteViewer, Plain, Plain);
        without_the_gateway => is_told_of_the_target(SemiSeamless, Spicy, Plain, Plain, gateway: false);
    }
}

/// Targets that fail: the viewer stays where it is. Both kinds of move, both viewers.
mod target {
    use crate::migration::{Fault, Known};
    use spice_proto::ids::ChannelType;

    const MAIN_CLOSED: Option<Fault> = Some(Fault::Closed(ChannelType::MAIN));
    const MAIN_SILENT: Option<Fault> = Some(Fault::Silent(ChannelType::MAIN));

    crate::migration::rows! {
        unreachable_then_semi_seamless_spicy => stays_and_moves_later(SemiSeamless, Spicy, Plain, Plain, fault: Some(Fault::Unreachable));
        unreachable_then_seamless_remote_viewer => stays_and_moves_later(Seamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Unreachable));
        closes_main_then_seamless_spicy => stays_and_moves_later(Seamless, Spicy, Plain, Plain, fault: MAIN_CLOSED);
        closes_main_then_semi_seamless_remote_viewer => stays_and_moves_later(SemiSeamless, RemoteViewer, Plain, Plain, fault: MAIN_CLOSED);
        silent_on_main_then_semi_seamless_spicy => stays_and_moves_later(SemiSeamless, Spicy, Plain, Plain, fault: MAIN_SILENT);
        silent_on_main_then_seamless_remote_viewer => stays_and_moves_later(Seamless, RemoteViewer, Plain, Plain, fault: MAIN_SILENT);
        closes_cursor_then_seamless_spicy => stays_and_moves_later(Seamless, Spicy, Plain, Plain, fault: Some(Fault::Closed(ChannelType::CURSOR)));
        closes_cursor_then_semi_seamless_remote_viewer => stays_and_moves_later(SemiSeamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Closed(ChannelType::CURSOR)));
        closes_display_then_semi_seamless_spicy => stays_and_moves_later(SemiSeamless, Spicy, Plain, Plain, fault: Some(Fault::Closed(ChannelType::DISPLAY)));
        closes_display_then_seamless_remote_viewer => stays_and_moves_later(Seamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Closed(ChannelType::DISPLAY)));
        silent_on_inputs_then_seamless_spicy => stays_and_moves_later(Seamless, Spicy, Plain, Plain, fault: Some(Fault::Silent(ChannelType::INPUTS)));
        silent_on_inputs_then_semi_seamless_remote_viewer => stays_and_moves_later(SemiSeamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Silent(ChannelType::INPUTS)));
        silent_on_display_then_semi_seamless_spicy => stays_and_moves_later(SemiSeamless, Spicy, Plain, Plain, fault: Some(Fault::Silent(ChannelType::DISPLAY)));
        silent_on_display_then_seamless_remote_viewer => stays_and_moves_later(Seamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Silent(ChannelType::DISPLAY)));
        unreachable_then_sent_seamless_spicy => stays_and_is_sent_later(Seamless, Spicy, Plain, Plain, fault: Some(Fault::Unreachable));
        unreachable_then_sent_semi_seamless_remote_viewer => stays_and_is_sent_later(SemiSeamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Unreachable));
        closes_main_then_sent_semi_seamless_spicy => stays_and_is_sent_later(SemiSeamless, Spicy, Plain, Plain, fault: MAIN_CLOSED);
        closes_main_then_sent_seamless_remote_viewer => stays_and_is_sent_later(Seamless, RemoteViewer, Plain, Plain, fault: MAIN_CLOSED);
        closes_cursor_then_sent_seamless_spicy => stays_and_is_sent_later(Seamless, Spicy, Plain, Plain, fault: Some(Fault::Closed(ChannelType::CURSOR)));
        closes_cursor_then_sent_semi_seamless_remote_viewer => stays_and_is_sent_later(SemiSeamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Closed(ChannelType::CURSOR)));
        unreachable_at_the_move_semi_seamless_spicy => stays_and_ends_with_the_move(SemiSeamless, Spicy, Plain, Plain, fault: Some(Fault::Unreachable));
        wrong_ticket_seamless_spicy => stays_and_ends_with_the_move(Seamless, Spicy, Plain, Plain, known: Known::WithAnotherTicket);
        not_allowed_seamless_spicy => stays_and_ends_with_the_move(Seamless, Spicy, Plain, Plain, known: Known::NotAtAll);
        not_allowed_then_elsewhere_semi_seamless_spicy => is_refused_and_moves_elsewhere(SemiSeamless, Spicy, Plain, Plain, known: Known::NotAtAll);
        not_allowed_then_elsewhere_seamless_spicy_tls => is_refused_and_moves_elsewhere(Seamless, Spicy, Tls, Plain, known: Known::NotAtAll);
        not_allowed_then_elsewhere_seamless_remote_viewer => is_refused_and_moves_elsewhere(Seamless, RemoteViewer, Plain, Plain, known: Known::NotAtAll);
        not_allowed_then_elsewhere_semi_seamless_remote_viewer_subject => is_refused_and_moves_elsewhere(SemiSeamless, RemoteViewer, TlsBySubject, Plain, known: Known::NotAtAll);
        unreachable_at_the_move_seamless_remote_viewer => stays_and_ends_with_the_move(Seamless, RemoteViewer, Plain, Plain, fault: Some(Fault::Unreachable));
        wrong_ticket_semi_seamless_remote_viewer => stays_and_ends_with_the_move(SemiSeamless, RemoteViewer, Plain, Plain, known: Known::WithAnotherTicket);
        not_allowed_semi_seamless_remote_viewer => stays_and_ends_with_the_move(SemiSeamless, RemoteViewer, Plain, Plain, known: Known::NotAtAll);
    }
}
