//! Moving a session to another hypervisor behind the viewer's back.
//!
//! Hypervisors tell viewers to go to another host. A proxy must not pass that on: the viewer would dial a private
//! address. A [`Migration`] holds these messages, asks about the target, hands out what the viewer is told in
//! their place, and sees to it that nothing reaches a hypervisor that was not asked for: some messages end the QEMU
//! process, with the guest in it.
//!
//! It works on a [`Tracker`] and is shown, for one session, every connection ([`Migration::admit`],
//! [`Migration::dialled`], [`Migration::lost`]), every message by its header, and the bodies of those that
//! [`Migration::watches`] names. `S` is a connection to the current host, `T` one to the target:
//!
//! | State | Event | Action | Next |
//! |---|---|---|---|
//! | Idle | S main: 101, 116 | [`Pass::Ask`]; [`Migration::accept`] gives the body; S main is not read on; 8 s | Told |
//! | Idle | S main: 111 | the same, without stopping | Switch |
//! | Idle | the target is refused | the proxy is told all the same; nothing is dialled | Told |
//! | Told | main with the session's id | dial; it worked: the result OK; not, or the target was refused: refuse this one | Opening, Told |
//! | Opening | other connections | dial; not: [`Answer::Pretend`] | Opening |
//! | Opening | T main: c2s 110, s2c 117, 118 | pass | Opening |
//! | Told, Opening | S main: c2s 103 | pass, forget the target, close what is left of T a second later | Idle |
//! | Opening | S main: c2s 102, 111, nothing pretended | pass, S main is read on | Connected |
//! | Opening | S main: c2s 102, 111, something pretended | 103 in its place, 102 to the viewer | Idle |
//! | Told | 8 s | close T main | Told |
//! | Opening | 8 s | pretend for all that have no result yet | Opening |
//! | Connected | S main: 102 | pass, close T | Idle |
//! | Connected | S main: 101, 116 | as in Idle | Told |
//! | Connected | S main: 112; any S: MIGRATE | pass; expect flush mark and data; 10 s | Ending |
//! | Connected | S main: 111 | as in Idle | Switch |
//! | Connected, Ending | S main lost | wait for T main, 10 s | |
//! | Ending | T main: c2s 109 or MIGRATE_DATA | T is the current host; S drains | Idle |
//! | Ending | 10 s | the session ends | End |
//! | Switch | S main: 102, c2s 102, 103, 111 | pass | Switch |
//! | Switch | S main lost | wait for a main with id 0, 10 s | Switch |
//! | Switch | main with id 0 | close all others, dial the target | Idle |
//! | any | `INIT` | [`Pass::Bind`]: the id is known before it is passed on | |
//! | Idle, Told, Opening | S main lost | the session ends | End |
//! | End | any message | [`Pass::Refuse`]: its connection is to be closed | End |
//!
//! What a viewer sends unasked is [`Pass::Refuse`]: a flush mark without MIGRATE, MIGRATE_DATA that is not what the
//! source sent for this channel, 109 and 110 anywhere else. What is pretended to a viewer works: a connection
//! without a word behind its result. One that failed while others are being opened would crash it.

mod machine;
mod state;
mod target;
mod verdict;

pub(in crate::session) use machine::DISPLAY_INIT_BODY;
pub use machine::Migration;
pub use target::{Endpoint, EndpointError, Kind, Target};
pub use verdict::{Answer, Effect, Fault, Lost, Pass, Seat};

#[cfg(doc)]
use super::Tracker;
