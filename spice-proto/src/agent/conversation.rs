//! Both directions of a session's agent data, followed from the messages of the main channel.

use super::stream::Frames;
use super::{Agreed, Announced, Assembler, Delivery, Frame, Message, Receiver, TokenError, Tokens};
use crate::channel::main::{AgentData, ClientMessage, ServerMessage};
use crate::error::DecodeError;
use crate::limits::Limits;

/// What ended a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationError {
    /// A side spent or gave tokens that it did not have.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// A stream that its receiver would not accept, or a message above
    /// [`Limits::agent_message`].
    #[error(transparent)]
    Stream(#[from] DecodeError),
}

/// Follows a conversation, at either end of it or in the middle.
///
/// It is shown every message of the main channel, in the order in which they were sent or received, and
/// hands out the agent messages that they complete. It keeps the accounts of [`Tokens`], leaves out what the
/// receiver discards, and decodes each message by what both sides have [`Announced`] before it.
///
/// Each direction is read as its real receiver does: the client's as spice-server, which goes through an
/// agent that went away and came back as one stream and discards what began before `AGENT_START`; the
/// server's as spice-gtk, which begins anew with the agent.
///
/// It belongs to one connection of the main channel. Of migrations only the seamless one carries it over.
#[derive(Debug)]
pub struct Conversation {
    tokens: Tokens,
    announced: Announced,
    of_client: Assembler,
    /// The client's message that is not over is not for the agent that is there now.
    lost: bool,
    of_server: Assembler,
}

impl Conversation {
    /// Before `INIT`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            tokens: Tokens::new(),
            announced: Announced::new(),
            of_client: Assembler::new(Receiver::Server, limits),
            lost: false,
            of_server: Assembler::new(Receiver::Client, limits),
        }
    }

    /// The accounts of both sides.
    #[must_use]
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// What both sides have announced by now.
    #[must_use]
    pub fn agreed(&self) -> Agreed {
        self.announced.agreed()
    }

    /// A message of the server. `each` is given every agent message that it completes, decoded; one that does
    /// not decode is no reason for the others not to.
    ///
    /// # Errors
    /// The conversation cannot go on.
    pub fn server_message(
        &mut self,
        message: &ServerMessage,
        each: impl FnMut(Frame, Result<Message, DecodeError>),
    ) -> Result<Option<Delivery>, ConversationError> {
        let delivery = self.tokens.server_message(message)?;
        match message {
            ServerMessage::Init(_)
            | ServerMessage::AgentConnected
            | ServerMessage::AgentConnectedTokens(_)
            | ServerMessage::AgentDisconnected(_) => {
                self.announced.agent_gone();
                self.of_server.reset();
                self.lost = self.of_client.is_inside();
            }
            ServerMessage::AgentData(AgentData { data }) if delivery == Some(Delivery::Delivered) => {
                hear(
                    self.of_server.frames(data),
                    &mut self.announced,
                    Announced::by_agent,
                    each,
                )?;
            }
            _ => {}
        }
        Ok(delivery)
    }

    /// A message of the client: see [`Conversation::server_message`].
    ///
    /// # Errors
    /// The conversation cannot go on.
    pub fn client_message(
        &mut self,
        message: &ClientMessage,
        each: impl FnMut(Frame, Result<Message, DecodeError>),
    ) -> Result<Option<Delivery>, ConversationError> {
        let delivery = self.tokens.client_message(message)?;
        if let ClientMessage::AgentData(AgentData { data }) = message {
            if !self.of_client.is_inside() {
                self.lost = delivery == Some(Delivery::Discarded);
            }
            let mut frames = self.of_client.frames(data);
            if self.lost {
                // An error of the stream counts all the same.
                frames.try_for_each(|frame| frame.map(drop))?;
            } else {
                hear(frames, &mut self.announced, Announced::by_client, each)?;
            }
        }
        Ok(delivery)
    }
}

/// Decodes messages and takes note of what is announced.
fn hear(
    frames: Frames<'_, '_>,
    announced: &mut Announced,
    announce: fn(&mut Announced, &super::AnnounceCapabilities),
    mut each: impl FnMut(Frame, Result<Message, DecodeError>),
) -> Result<(), DecodeError> {
    for frame in frames {
        let frame = frame?;
        let message = Message::decode(&frame, announced.agreed());
        if let Ok(Message::AnnounceCapabilities(message)) = &message {
            announce(announced, message);
        }
        each(frame, message);
    }
    Ok(())
}
