//! The record channel: sound to the guest.

use crate::channel::{common, messages};
use crate::fields::layout;
use crate::ids::AudioFormat;

pub use crate::channel::playback::{Data, Mode, Mute, Volume};

messages! {
    /// Messages of the record channel from server to client.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_RECORD_START`.
        101 START => Start(Start),
        /// `SPICE_MSG_RECORD_STOP`.
        102 STOP => Stop,
        /// `SPICE_MSG_RECORD_VOLUME`.
        103 VOLUME => Volume(Volume, shared),
        /// `SPICE_MSG_RECORD_MUTE`.
        104 MUTE => Mute(Mute, shared),
    }
}

messages! {
    /// Messages of the record channel from client to server.
    pub enum ClientMessage: common common::ClientMessage {
        /// `SPICE_MSGC_RECORD_DATA`.
        101 DATA => Data(Data, shared),
        /// `SPICE_MSGC_RECORD_MODE`.
        102 MODE => Mode(Mode, shared),
        /// `SPICE_MSGC_RECORD_START_MARK`.
        103 START_MARK => StartMark(StartMark),
    }
}

layout! {
    /// The guest wants sound.
    pub struct Start {
        /// Channels of sound.
        channels: u32,
        /// Format of a sample, unpacked.
        format: AudioFormat,
        /// Samples a second.
        frequency: u32,
    }
}

layout! {
    /// Sound follows.
    pub struct StartMark {
        /// Multimedia clock in milliseconds.
        time: u32,
    }
}
