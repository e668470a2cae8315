//! Moving a session to another hypervisor behind the viewer's back.
//!
//! Hypervisors tell viewers to go to another host. A proxy must not pass that on: the viewer would dial a private
//! address. A [`Migration`] holds these messages, asks about the target, hands out what the viewer gets in
//! their place, and sees to it that nothing reaches a hypervisor that was not asked for: some messages end the QEMU
//! process, with the guest in it.
//!
//! It works on a [`Tracker`] and is shown, for one session, every connection ([`Migration::admit`],
//! [`Migration::dialled`], [`Migration::lost`]), every message by its header, and the bodies of those that
//! [`Migration::watches`] names. `S` is a connection to the current host, `T` one to the target:
//!
//! | State | Event | Action | Next |
//! |---|---|---|---|
//! | Idle | S main: `MIGRATE_BEGIN`, `MIGRATE_BEGIN_SEAMLESS` | [`Pass::Ask`]; [`Migration::accept`] gives the body; S main is not read on; 8 s | Announced |
//! | Idle | S main: `MIGRATE_SWITCH_HOST` | the same, without stopping | Switch |
//! | Idle | the target is refused | the proxy is announced all the same; nothing is dialled | Announced |
//! | Announced | main with the session's id | dial; it worked: the result OK; not, or the target was refused: refuse this one | Opening, Announced |
//! | Opening | other connections | dial; not: [`Answer::Pretend`] | Opening |
//! | Announced, Opening | S main: c2s `MIGRATE_CONNECT_ERROR` | pass, forget the target, close what is left of T a second later | Idle |
//! | Opening | S main: c2s `MIGRATE_CONNECTED`, `MIGRATE_CONNECTED_SEAMLESS`, nothing pretended | pass, S main is read on | Connected |
//! | Opening | the same, something pretended | `MIGRATE_CONNECT_ERROR` in its place, `MIGRATE_CANCEL` to the viewer | Idle |
//! | Announced | 8 s | close T main | Announced |
//! | Opening | 8 s | pretend for all that have no result yet | Opening |
//! | Connected | S main: `MIGRATE_CANCEL` | pass, close T | Idle |
//! | Connected | S main: `MIGRATE_BEGIN`, `MIGRATE_BEGIN_SEAMLESS`, `MIGRATE_SWITCH_HOST` | as in Idle | Announced, Switch |
//! | Connected | S main: `MIGRATE_END`; any S: `MIGRATE` | pass; expect flush mark and data; 10 s | Ending |
//! | Connected, Ending | S main lost | wait for T main, 10 s | |
//! | Ending | T main: c2s `MIGRATE_END` or `MIGRATE_DATA` | T is the current host; S drains | Idle |
//! | Ending | 10 s | the session ends | End |
//! | Switch | S main lost | wait for a main with id 0, 10 s | Switch |
//! | Switch | main with id 0 | close all others, dial the target | Idle |
//! | Idle, Announced, Opening | S main lost | the session ends | End |
//!
//! What becomes of each message on a main channel, and the state behind it if that is another: [`Pass::Forward`]
//! (pass), [`Pass::Ask`], [`Pass::Drop`] or [`Pass::Refuse`]. Behind a slash stands what is different in a seamless
//! move; where there is no entry there is no such connection. `INIT` on the current main channel is [`Pass::Bind`] in
//! every state: the id is known before it is passed on. The table is made from the type by a test.
//!
//! | Main channel's | Idle | Announced | Opening | Connected | Ending | Switch | End |
//! |---|---|---|---|---|---|---|---|
//! | S s2c `MIGRATE_BEGIN` | ask | refuse | refuse | ask | refuse | refuse | refuse |
//! | S s2c `MIGRATE_BEGIN_SEAMLESS` | ask | refuse | refuse | ask | refuse | refuse | refuse |
//! | S s2c `MIGRATE_SWITCH_HOST` | ask | refuse | refuse | ask | refuse | refuse | refuse |
//! | S s2c `MIGRATE_CANCEL` | pass | refuse | refuse | pass, Idle | refuse | pass | refuse |
//! | S s2c `MIGRATE_END` | refuse | refuse | refuse | pass, Ending / refuse | refuse | refuse | refuse |
//! | S s2c `MIGRATE` | refuse | refuse | refuse | refuse / pass, Ending | refuse / pass | refuse | refuse |
//! | S s2c `MIGRATE_DATA` | refuse | refuse | refuse | refuse | refuse | refuse | refuse |
//! | S s2c `MIGRATE_DST_SEAMLESS_ACK` | refuse | refuse | refuse | refuse | refuse | refuse | refuse |
//! | S s2c `MIGRATE_DST_SEAMLESS_NACK` | refuse | refuse | refuse | refuse | refuse | refuse | refuse |
//! | S s2c `NAME` | pass | pass | pass | pass | pass | pass | refuse |
//! | S c2s `MIGRATE_CONNECTED` | drop | refuse | pass, Connected | drop | drop | pass | refuse |
//! | S c2s `MIGRATE_CONNECTED_SEAMLESS` | drop | refuse | refuse / pass, Connected | drop | drop | pass | refuse |
//! | S c2s `MIGRATE_CONNECT_ERROR` | drop | pass, Idle | pass, Idle | drop | drop | pass | refuse |
//! | S c2s `MIGRATE_END` | refuse | refuse | refuse | refuse | refuse | refuse | refuse |
//! | S c2s `MIGRATE_DST_DO_SEAMLESS` | refuse | refuse | refuse | refuse | refuse | refuse | refuse |
//! | S c2s `MIGRATE_FLUSH_MARK` | refuse | refuse | refuse | refuse | refuse / pass | refuse | refuse |
//! | S c2s `MIGRATE_DATA` | refuse | refuse | refuse | refuse | refuse | refuse | refuse |
//! | S c2s `ATTACH_CHANNELS` | pass | pass | pass | pass | pass | pass | refuse |
//! | T s2c `MIGRATE_BEGIN` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE_BEGIN_SEAMLESS` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE_SWITCH_HOST` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE_CANCEL` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE_END` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE_DATA` |  |  | refuse | refuse | refuse |  |  |
//! | T s2c `MIGRATE_DST_SEAMLESS_ACK` |  |  | refuse / pass | refuse | refuse |  |  |
//! | T s2c `MIGRATE_DST_SEAMLESS_NACK` |  |  | refuse / pass | refuse | refuse |  |  |
//! | T s2c `NAME` |  |  | pass | pass | pass |  |  |
//! | T c2s `MIGRATE_CONNECTED` |  |  | refuse | refuse | refuse |  |  |
//! | T c2s `MIGRATE_CONNECTED_SEAMLESS` |  |  | refuse | refuse | refuse |  |  |
//! | T c2s `MIGRATE_CONNECT_ERROR` |  |  | refuse | refuse | refuse |  |  |
//! | T c2s `MIGRATE_END` |  |  | refuse | refuse | pass, Idle / refuse |  |  |
//! | T c2s `MIGRATE_DST_DO_SEAMLESS` |  |  | refuse / pass | refuse | refuse |  |  |
//! | T c2s `MIGRATE_FLUSH_MARK` |  |  | refuse | refuse | refuse |  |  |
//! | T c2s `MIGRATE_DATA` |  |  | refuse | refuse | refuse / pass, Idle |  |  |
//! | T c2s `ATTACH_CHANNELS` |  |  | pass | pass | pass |  |  |
//!
//! What a viewer sends unasked is [`Pass::Refuse`]: a flush mark without MIGRATE, MIGRATE_DATA that is not what the
//! source sent for this channel, `MIGRATE_END` and `MIGRATE_DST_DO_SEAMLESS` anywhere else. What is pretended to a
//! viewer works: a connection without a word behind its result. One that failed while others are being opened would
//! crash it.

mod machine;
mod state;
#[cfg(test)]
mod table;
mod target;
mod verdict;

pub(in crate::session) use machine::DISPLAY_INIT_BODY;
pub use machine::Migration;
pub use target::{Endpoint, EndpointError, Kind, Target};
pub use verdict::{Answer, ConnectionHandle, Effect, Fault, Lost, Pass};

#[cfg(doc)]
use super::Tracker;
