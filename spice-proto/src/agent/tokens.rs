//! Flow control of `AGENT_DATA`: each costs a token that the other side gave.
//!
//! | sender | message | effect |
//! |---|---|---|
//! | server | `INIT`, `AGENT_CONNECTED_TOKENS` | the client has so many tokens |
//! | server | `AGENT_CONNECTED` | an agent is there; the client keeps the tokens that it has |
//! | server | `AGENT_TOKEN` | the client has so many more; spice-server gives back 5 at a time |
//! | client | `AGENT_START` | the conversation begins; the server has so many tokens (spice-gtk: 4294967295) |
//! | client | `AGENT_TOKEN` | the server has so many more |
//! | server | `AGENT_DISCONNECTED` | the conversation is over; data that is in flight is discarded |
//!
//! spice-server closes the connection of a client that sends without a token.

use crate::channel::main;

/// What becomes of an `AGENT_DATA`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// It has cost a token.
    Delivered,
    /// No conversation is on: the receiver throws it away, and it costs nothing. What a client sends is part of
    /// its stream all the same (see [`Stream::reset`](super::Stream::reset)).
    Discarded,
}

/// A side spent or gave tokens that it did not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// `AGENT_DATA` from the client without a token.
    #[error("the client sent AGENT_DATA without a token")]
    ClientHasNone,
    /// `AGENT_DATA` from the server without a token.
    #[error("the server sent AGENT_DATA without a token")]
    ServerHasNone,
    /// `AGENT_TOKEN` from the client when an agent is there, but before `AGENT_START`. A relay must not pass
    /// it on: spice-server has no account to put it in, and takes that for an error of its own.
    #[error("the client gave tokens before AGENT_START")]
    NotStarted,
}

/// The tokens of both sides, as counted from both directions of the main channel.
///
/// Messages that cross on the wire do not matter: a relay sees a token before the side that may spend it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    connected: bool,
    started: bool,
    client: u64,
    server: u64,
}

impl Tokens {
    /// Before `INIT`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connected: false,
            started: false,
            client: 0,
            server: 0,
        }
    }

    /// `AGENT_DATA` that the client may send.
    #[must_use]
    pub const fn client(&self) -> u64 {
        self.client
    }

    /// `AGENT_DATA` that the server may send.
    #[must_use]
    pub const fn server(&self) -> u64 {
        self.server
    }

    /// Whether an agent is there.
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        self.connected
    }

    /// Whether an agent is there and the client has sent `AGENT_START`.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// Counts a message of the server. What is not about the agent has no effect.
    ///
    /// # Errors
    /// [`TokenError::ServerHasNone`]; the account is then as it was.
    pub fn server_message(&mut self, message: &main::ServerMessage) -> Result<Option<Delivery>, TokenError> {
        match message {
            main::ServerMessage::Init(init) => {
                self.connect(Some(init.agent_tokens));
                if init.agent_connected == 0 {
                    self.disconnect();
                }
            }
            main::ServerMessage::AgentConnected => self.connect(None),
            main::ServerMessage::AgentConnectedTokens(tokens) => self.connect(Some(tokens.num_tokens)),
            main::ServerMessage::AgentDisconnected(_) => self.disconnect(),
            main::ServerMessage::AgentToken(tokens) => self.server_gives(tokens.num_tokens),
            main::ServerMessage::AgentData(_) => return self.server_data().map(Some),
            _ => {}
        }
        Ok(None)
    }

    /// Counts a message of the client. What is not about the agent has no effect.
    ///
    /// # Errors
    /// [`TokenError::ClientHasNone`], [`TokenError::NotStarted`]; the account is then as it was.
    pub fn client_message(&mut self, message: &main::ClientMessage) -> Result<Option<Delivery>, TokenError> {
        match message {
            main::ClientMessage::AgentStart(tokens) => self.start(tokens.num_tokens),
            main::ClientMessage::AgentToken(tokens) => self.client_gives(tokens.num_tokens)?,
            main::ClientMessage::AgentData(_) => return self.client_data().map(Some),
            _ => {}
        }
        Ok(None)
    }

    /// An agent is there (`INIT`, `AGENT_CONNECTED_TOKENS`; without a number `AGENT_CONNECTED`). The client has
    /// to say `AGENT_START` again.
    pub fn connect(&mut self, client_tokens: Option<u32>) {
        (self.connected, self.started) = (true, false);
        self.client = client_tokens.map_or(self.client, u64::from);
    }

    /// The agent is gone (`AGENT_DISCONNECTED`).
    pub fn disconnect(&mut self) {
        (self.connected, self.started) = (false, false);
    }

    /// `AGENT_START`. Without an agent it has no effect.
    pub fn start(&mut self, server_tokens: u32) {
        if self.connected {
            (self.started, self.server) = (true, server_tokens.into());
        }
    }

    /// `AGENT_TOKEN` of the server, or of a relay in its place.
    pub fn server_gives(&mut self, tokens: u32) {
        self.client = self.client.saturating_add(tokens.into());
    }

    /// `AGENT_TOKEN` of the client, or of a relay in its place. Without an agent it has no effect.
    ///
    /// # Errors
    /// [`TokenError::NotStarted`]: an agent is there, but the client has not begun.
    pub fn client_gives(&mut self, tokens: u32) -> Result<(), TokenError> {
        if self.connected && !self.started {
            return Err(TokenError::NotStarted);
        }
        if self.started {
            self.server = self.server.saturating_add(tokens.into());
        }
        Ok(())
    }

    /// `AGENT_DATA` of the client.
    ///
    /// # Errors
    /// [`TokenError::ClientHasNone`].
    pub fn client_data(&mut self) -> Result<Delivery, TokenError> {
        if !self.started {
            return Ok(Delivery::Discarded);
        }
        self.client = self.client.checked_sub(1).ok_or(TokenError::ClientHasNone)?;
        Ok(Delivery::Delivered)
    }

    /// `AGENT_DATA` of the server.
    ///
    /// # Errors
    /// [`TokenError::ServerHasNone`].
    pub fn server_data(&mut self) -> Result<Delivery, TokenError> {
        if !self.started {
            return Ok(Delivery::Discarded);
        }
        self.server = self.server.checked_sub(1).ok_or(TokenError::ServerHasNone)?;
        Ok(Delivery::Delivered)
    }
}
