//! The playback channel: sound from the guest.

use crate::channel::{common, messages};
use crate::fields::layout;
use crate::ids::{AudioDataMode, AudioFormat};

messages! {
    /// Messages of the playback channel from server to client. The client sends common messages only.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_PLAYBACK_DATA`.
        101 DATA => Data(Data),
        /// `SPICE_MSG_PLAYBACK_MODE`.
        102 MODE => Mode(Mode),
        /// `SPICE_MSG_PLAYBACK_START`.
        103 START => Start(Start),
        /// `SPICE_MSG_PLAYBACK_STOP`.
        104 STOP => Stop,
        /// `SPICE_MSG_PLAYBACK_VOLUME`.
        105 VOLUME => Volume(Volume, shared),
        /// `SPICE_MSG_PLAYBACK_MUTE`.
        106 MUTE => Mute(Mute, shared),
        /// `SPICE_MSG_PLAYBACK_LATENCY`.
        107 LATENCY => Latency(Latency),
    }
}

layout! {
    /// Sound.
    pub struct Data {
        /// When to play it: multimedia clock in milliseconds.
        time: u32;
        /// The sound, packed as [`Mode`] says.
        data: rest,
    }
}

layout! {
    /// How sound is packed from here on.
    pub struct Mode {
        /// Multimedia clock in milliseconds.
        time: u32,
        /// The form.
        mode: AudioDataMode;
        /// Not in use.
        data: rest,
    }
}

layout! {
    /// Sound begins.
    pub struct Start {
        /// Channels of sound.
        channels: u32,
        /// Format of a sample, unpacked.
        format: AudioFormat,
        /// Samples a second.
        frequency: u32,
        /// Multimedia clock in milliseconds.
        time: u32,
    }
}

layout! {
    /// How loud.
    pub struct Volume {
        ;
        nchannels: u8,
        /// For each channel of sound; 65535 is the most.
        volume: [u16],
    }
}

layout! {
    /// Whether there is sound at all.
    pub struct Mute {
        /// Not 0: silent.
        mute: u8,
    }
}

layout! {
    /// How much later than its time sound should be played.
    pub struct Latency {
        /// Milliseconds.
        latency_ms: u32,
    }
}
