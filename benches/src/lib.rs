//! What is measured: the operations, and the bytes that they work on.
//!
//! The criterion benches (`cargo bench -p benches`) give bytes and links a second, for people. The program
//! `instructions` counts instructions with callgrind, which are the same in every run, and holds them
//! against `baseline.txt`. Both use the operations here, on the files that the tests use.

mod by_hand;
pub mod callgrind;
pub mod consoles;
mod draw;
pub mod frames;
pub mod growth;
pub mod links;
pub mod messages;
pub mod mix;
pub mod ratios;
pub mod relay;
pub mod rfb;
pub mod rfb_framing;
pub mod rfb_mixes;
pub mod rfb_session;
pub mod sessions;
pub mod tokens;
pub mod vv;

use std::hint::black_box;

/// An operation that is counted: its name, how often it runs at least, and how.
pub struct Case {
    /// As it stands in the baseline.
    pub name: &'static str,
    /// Repetitions of one count; cheap operations need more to be seen beside the start-up.
    pub repetitions: u32,
    /// Operations in one repetition: the count is given for one of them.
    pub operations: u32,
    /// Prepares, and gives the repetition.
    pub prepare: fn() -> Box<dyn FnMut()>,
}

impl Case {
    pub(crate) const fn new(
        name: &'static str,
        repetitions: u32,
        operations: u32,
        prepare: fn() -> Box<dyn FnMut()>,
    ) -> Self {
        Self {
            name,
            repetitions,
            operations,
            prepare,
        }
    }
}

/// Every operation that is counted: these, and those of the files that have more.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [CASES, rfb_mixes::CASES, tokens::CASES, vv::CASES]
        .into_iter()
        .flatten()
}

/// Operations on the samples of the tests.
pub const CASES: &[Case] = &[
    Case {
        name: "spice: relay link, RSA included",
        repetitions: 20,
        operations: 1,
        prepare: || links::relay(true),
    },
    Case {
        name: "spice: seal a ticket",
        repetitions: 20,
        operations: 1,
        prepare: links::seal,
    },
    Case {
        name: "spice: open a ticket",
        repetitions: 4,
        operations: 1,
        prepare: links::open,
    },
    Case {
        name: "spice: tenant's half of a relay link",
        repetitions: 500,
        operations: 1,
        prepare: || links::relay(false),
    },
    Case {
        name: "spice: decode LinkMess",
        repetitions: 2000,
        operations: 1,
        prepare: links::decode_mess,
    },
    Case {
        name: "spice: decode LinkReply",
        repetitions: 2000,
        operations: 1,
        prepare: links::decode_reply,
    },
    Case {
        name: "spice: small mini frame, borrowed",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: frames::borrowed,
    },
    Case {
        name: "spice: small mini frame, borrowed, with the copy into the buffer",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: frames::borrowed_with_copy,
    },
    Case {
        name: "spice: small mini frame, owned",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: frames::owned,
    },
    Case {
        name: "spice: small mini frame, owned, one by one",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: frames::one_by_one,
    },
    Case {
        name: "spice: small mini frame, passed on",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: frames::passed,
    },
    Case {
        name: "spice: small mini frame, passed on as full",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: frames::bridged,
    },
    Case {
        name: "spice: short message of a main channel, relayed, with a migration",
        repetitions: 20,
        operations: relay::SHORT,
        prepare: relay::short,
    },
    Case {
        name: "spice: recorded message of a main channel, relayed, with a migration",
        repetitions: 20,
        operations: relay::RECORDED,
        prepare: || relay::recorded(true),
    },
    Case {
        name: "spice: the same, agent data looked into",
        repetitions: 20,
        operations: relay::RECORDED,
        prepare: || relay::recorded(false),
    },
    Case {
        name: "spice: the same bytes, copied in chunks",
        repetitions: 20,
        operations: relay::RECORDED,
        prepare: relay::copied,
    },
    Case {
        name: "spice: small message of an inputs channel, relayed",
        repetitions: 20,
        operations: frames::SMALL_FRAMES,
        prepare: relay::inputs,
    },
    Case {
        name: "spice: picture of 300 kB of a display channel, relayed",
        repetitions: 100,
        operations: 1,
        prepare: relay::pictures,
    },
    Case {
        name: "spice: picture of 300 kB, copied in chunks",
        repetitions: 100,
        operations: 1,
        prepare: relay::pictures_copied,
    },
    Case {
        name: "spice: recorded message, decoded",
        repetitions: 20,
        operations: messages::RECORDED,
        prepare: messages::decode,
    },
    Case {
        name: "spice: recorded message, encoded",
        repetitions: 20,
        operations: messages::RECORDED,
        prepare: messages::encode,
    },
    Case {
        name: "spice: recorded message, encoded by hand",
        repetitions: 20,
        operations: messages::RECORDED,
        prepare: messages::encode_by_hand,
    },
    Case {
        name: "spice: mixed message, walked by hand without a copy (the limit)",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::walked,
    },
    Case {
        name: "spice: mixed message, decoded, any channel",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::any_channel,
    },
    Case {
        name: "spice: mixed message, decoded, set of its channel",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::own_set,
    },
    Case {
        name: "spice: mixed message, written as a frame",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::written,
    },
    Case {
        name: "spice: mixed message, written as a frame by hand (the limit)",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::written_by_hand,
    },
    Case {
        name: "spice: mixed frame, split off with its fellows, each owned",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::split,
    },
    Case {
        name: "spice: mixed frame, split off with its fellows, as a range of their one piece",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::split_ranges,
    },
    Case {
        name: "spice: mixed frame, owned, one by one",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::one_by_one,
    },
    Case {
        name: "spice: mixed frame, looked at in the buffer (the limit)",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::walked_frames,
    },
    Case {
        name: "spice: mixed message of a main channel, relayed in reads of 64 KiB",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::main_channel,
    },
    Case {
        name: "spice: mixed message of a main channel, copied (the limit)",
        repetitions: 10,
        operations: mix::MESSAGES,
        prepare: mix::main_channel_copied,
    },
    Case {
        name: "spice: decode Init",
        repetitions: 5000,
        operations: 1,
        prepare: frames::decode_init,
    },
    Case {
        name: "spice: encode Init",
        repetitions: 5000,
        operations: 1,
        prepare: frames::encode_init,
    },
    Case {
        name: "spice: a session of 10 channels begins and ends, among 100 sessions",
        repetitions: 300,
        operations: 1,
        prepare: || sessions::session(100),
    },
    Case {
        name: "spice: a session of 10 channels begins and ends, among 10,000 sessions",
        repetitions: 300,
        operations: 1,
        prepare: || sessions::session(10_000),
    },
    Case {
        name: "spice: a channel joins and leaves, among 100 sessions",
        repetitions: 1000,
        operations: 1,
        prepare: || sessions::channel_among(100),
    },
    Case {
        name: "spice: a channel joins and leaves, among 10,000 sessions",
        repetitions: 1000,
        operations: 1,
        prepare: || sessions::channel_among(10_000),
    },
    Case {
        name: "spice: a guessed id is refused, among 100 sessions",
        repetitions: 1000,
        operations: 1,
        prepare: || sessions::refuse(100),
    },
    Case {
        name: "spice: a guessed id is refused, among 10,000 sessions",
        repetitions: 1000,
        operations: 1,
        prepare: || sessions::refuse(10_000),
    },
    Case {
        name: "rfb: server handshake 3.8 with VNC authentication, without DES",
        repetitions: 2000,
        operations: 1,
        prepare: || rfb::server(false, true),
    },
    Case {
        name: "rfb: the same, one message at a time",
        repetitions: 2000,
        operations: 1,
        prepare: || rfb::server(false, false),
    },
    Case {
        name: "rfb: the same, with ClientInit and ServerInit",
        repetitions: 2000,
        operations: 1,
        prepare: || rfb::server(true, false),
    },
    Case {
        name: "rfb: the same, with ClientInit and ServerInit, all bytes at once",
        repetitions: 2000,
        operations: 1,
        prepare: || rfb::server(true, true),
    },
    Case {
        name: "rfb: the same bytes, copied in and out and compared (the limit)",
        repetitions: 2000,
        operations: 1,
        prepare: rfb::server_by_hand,
    },
    Case {
        name: "rfb: client handshake 3.8 with VNC authentication, without DES",
        repetitions: 2000,
        operations: 1,
        prepare: rfb::client,
    },
    Case {
        name: "rfb: check a VNC response",
        repetitions: 500,
        operations: 1,
        prepare: rfb::verify,
    },
    Case {
        name: "rfb: what the des crate takes for it",
        repetitions: 500,
        operations: 1,
        prepare: rfb::des,
    },
    Case {
        name: "rfb: client message, framed",
        repetitions: 20,
        operations: rfb::MESSAGES,
        prepare: rfb::client_frames,
    },
    Case {
        name: "rfb: client message, decoded",
        repetitions: 20,
        operations: rfb::MESSAGES,
        prepare: rfb::client_messages,
    },
    Case {
        name: "rfb: Raw rectangle, framed",
        repetitions: 20,
        operations: rfb_framing::RECTANGLES,
        prepare: rfb_framing::raw,
    },
    Case {
        name: "rfb: CopyRect rectangle, framed",
        repetitions: 20,
        operations: rfb_framing::RECTANGLES,
        prepare: rfb_framing::copy_rect,
    },
    Case {
        name: "rfb: ZRLE rectangle, framed",
        repetitions: 20,
        operations: rfb_framing::RECTANGLES,
        prepare: rfb_framing::zrle,
    },
    Case {
        name: "rfb: Tight rectangle, framed",
        repetitions: 20,
        operations: rfb_framing::RECTANGLES,
        prepare: rfb_framing::tight,
    },
    Case {
        name: "rfb: Hextile tile, framed",
        repetitions: 20,
        operations: rfb_framing::TILES,
        prepare: rfb_framing::hextile,
    },
    Case {
        name: "rfb: Raw rectangle of updates of 4 and 5, framed",
        repetitions: 20,
        operations: rfb_framing::IN_SHORT,
        prepare: rfb_framing::short_raw,
    },
    Case {
        name: "rfb: CopyRect rectangle of updates of 4 and 5, framed",
        repetitions: 20,
        operations: rfb_framing::IN_SHORT,
        prepare: rfb_framing::short_copy_rect,
    },
    Case {
        name: "rfb: Raw rectangle of updates of 4 and 5, through the session's relay",
        repetitions: 20,
        operations: rfb_framing::IN_SHORT,
        prepare: rfb_session::short_raw,
    },
    Case {
        name: "rfb: client message, through the session's relay",
        repetitions: 20,
        operations: rfb::MESSAGES,
        prepare: rfb_session::client,
    },
    Case {
        name: "rfb: Raw rectangle, through the session's relay",
        repetitions: 20,
        operations: rfb_framing::RECTANGLES,
        prepare: rfb_session::raw,
    },
    Case {
        name: "rfb: Tight rectangle, through the session's relay",
        repetitions: 20,
        operations: rfb_framing::RECTANGLES,
        prepare: rfb_session::tight,
    },
    Case {
        name: "token: make one of 256 bits",
        repetitions: 2000,
        operations: 1,
        prepare: consoles::mint,
    },
    Case {
        name: "token: presented, hashed",
        repetitions: 2000,
        operations: 1,
        prepare: consoles::hash,
    },
    Case {
        name: "token: presented, hashed under two peppers",
        repetitions: 2000,
        operations: 1,
        prepare: consoles::hash_twice,
    },
    Case {
        name: "token: access URL for noVNC",
        repetitions: 2000,
        operations: 1,
        prepare: consoles::url,
    },
    Case {
        name: "token: access URL for noVNC, Nova's form",
        repetitions: 2000,
        operations: 1,
        prepare: consoles::nova_url,
    },
    Case {
        name: "token: serial port behind 1000 taken, and back",
        repetitions: 500,
        operations: 1,
        prepare: consoles::port,
    },
    Case {
        name: "token: log-in at authd, certificates of 900 bytes",
        repetitions: 1000,
        operations: 1,
        prepare: consoles::log_in,
    },
    Case {
        name: "token: keyed hash and one map look-up",
        repetitions: 1000,
        operations: 1,
        prepare: tokens::look_up,
    },
    Case {
        name: "token: redeem, 100,000 in the store",
        repetitions: 1000,
        operations: 1,
        prepare: tokens::redeem,
    },
    Case {
        name: "token: refuse a guess, 0 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(0),
    },
    Case {
        name: "token: refuse a guess, 8 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(8),
    },
    Case {
        name: "token: refuse a guess, 16 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(16),
    },
    Case {
        name: "token: refuse a guess, 24 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(24),
    },
    Case {
        name: "token: refuse a guess, 32 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(32),
    },
    Case {
        name: "token: refuse a guess, 40 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(40),
    },
    Case {
        name: "token: refuse a guess, 42 characters right",
        repetitions: 1000,
        operations: 1,
        prepare: || tokens::guess(42),
    },
    Case {
        name: "vv: parse a file of 6 KiB and read every value",
        repetitions: 500,
        operations: 1,
        prepare: vv::read,
    },
    Case {
        name: "vv: take a file of 6 KiB as virt-viewer does",
        repetitions: 500,
        operations: 1,
        prepare: vv::take,
    },
    Case {
        name: "vv: write a file of 6 KiB",
        repetitions: 500,
        operations: 1,
        prepare: vv::write,
    },
];

/// Keeps a result from being optimised away.
pub(crate) fn keep<T>(value: T) {
    black_box(value);
}
