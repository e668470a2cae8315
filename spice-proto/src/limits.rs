//! Limits on what a peer can make us hold. Each is checked before anything is allocated.

use core::time::Duration;

/// Limits of one connection. Units: bytes unless the field says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Largest `LinkMess` accepted from a client: 4096, as spice-server.
    pub link_message: u32,
    /// Largest `LinkReply` accepted from a server: 8370, a reply with 1024 words in each set. Real ones
    /// have 186; spice-gtk has no limit.
    pub link_reply: u32,
    /// Capability words in one set: 1024, as spice-server.
    pub capability_words: u32,
    /// Largest list of SASL mechanisms, and largest name of one: 300, as spice-gtk.
    pub sasl_mechanisms: u32,
    /// Largest data of one SASL step: 1 MiB, as both reference programs.
    pub sasl_data: u32,
    /// Largest packet of a SASL security layer: 2^24 - 1, the most that mechanisms agree on (RFC 2831).
    pub sasl_packet: u32,
    /// Largest body of a frame that is taken as one piece: 16 MiB. A relay passes larger ones on
    /// in parts up to [`Limits::passed_body`].
    pub frame_body: u32,
    /// Largest body, or agent message, that is passed on without being held: 256 MiB (a 64-megapixel
    /// bitmap).
    pub passed_body: u32,
    /// Largest agent message that is taken as one piece: 16 MiB. spice-gtk has no limit, and puts up to
    /// 100 MiB of clipboard into one. An [`agent::Filter`](crate::agent::Filter) passes larger ones on in
    /// parts up to [`Limits::passed_body`].
    pub agent_message: u32,
    /// Time for the whole link stage: 10 s. spice-server has no such limit, and every unfinished
    /// link costs it an RSA key.
    pub link_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            link_message: 4096,
            link_reply: 8370,
            capability_words: 1024,
            sasl_mechanisms: 300,
            sasl_data: 1 << 20,
            sasl_packet: 0x00ff_ffff,
            frame_body: 16 << 20,
            passed_body: 256 << 20,
            agent_message: 16 << 20,
            link_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Bytes of the largest part of a SASL exchange: a name and data, each with its length, and one byte more.
    pub(crate) fn sasl_input(&self) -> usize {
        let data = (self.sasl_mechanisms as usize).saturating_add(self.sasl_data as usize);
        data.saturating_add(9)
    }

    /// Sets [`Limits::link_message`].
    #[must_use]
    pub fn with_link_message(mut self, bytes: u32) -> Self {
        self.link_message = bytes;
        self
    }

    /// Sets [`Limits::link_reply`].
    #[must_use]
    pub fn with_link_reply(mut self, bytes: u32) -> Self {
        self.link_reply = bytes;
        self
    }

    /// Sets [`Limits::capability_words`].
    #[must_use]
    pub fn with_capability_words(mut self, words: u32) -> Self {
        self.capability_words = words;
        self
    }

    /// Sets [`Limits::sasl_mechanisms`].
    #[must_use]
    pub fn with_sasl_mechanisms(mut self, bytes: u32) -> Self {
        self.sasl_mechanisms = bytes;
        self
    }

    /// Sets [`Limits::sasl_data`].
    #[must_use]
    pub fn with_sasl_data(mut self, bytes: u32) -> Self {
        self.sasl_data = bytes;
        self
    }

    /// Sets [`Limits::sasl_packet`].
    #[must_use]
    pub fn with_sasl_packet(mut self, bytes: u32) -> Self {
        self.sasl_packet = bytes;
        self
    }

    /// Sets [`Limits::frame_body`].
    #[must_use]
    pub fn with_frame_body(mut self, bytes: u32) -> Self {
        self.frame_body = bytes;
        self
    }

    /// Sets [`Limits::passed_body`].
    #[must_use]
    pub fn with_passed_body(mut self, bytes: u32) -> Self {
        self.passed_body = bytes;
        self
    }

    /// Sets [`Limits::agent_message`].
    #[must_use]
    pub fn with_agent_message(mut self, bytes: u32) -> Self {
        self.agent_message = bytes;
        self
    }

    /// Sets [`Limits::link_timeout`].
    #[must_use]
    pub fn with_link_timeout(mut self, time: Duration) -> Self {
        self.link_timeout = time;
        self
    }
}
