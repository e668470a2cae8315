//! What a client owes on every channel: acknowledgements and answers to pings. All that comes is counted.

use std::time::Instant;

use examples::spice::{Stream, Talk};
use spice_proto::Limits;
use spice_proto::channel::common::{AckSync, Pong};
use spice_proto::channel::main::ChannelId;
use spice_proto::channel::{ClientMessage, ServerMessage, common};
use spice_proto::codec::MessageCodec;
use spice_proto::frame::{AckCounter, Acknowledge};

use crate::Result;
use crate::connect::{LinkError, Linked, Server};
use crate::report::ChannelReport;

/// One channel of a session.
pub(crate) struct Channel {
    talk: Talk<Stream, MessageCodec<ServerMessage, ClientMessage>>,
    acks: AckCounter,
    pub(crate) report: ChannelReport,
}

impl Channel {
    /// Opens it. `session` 0 asks for a new session.
    pub(crate) async fn open(server: &Server, id: &ChannelId, session: u32) -> std::result::Result<Self, LinkError> {
        Ok(Self::new(id, server.link(id, session).await?))
    }

    /// A channel whose link stands.
    pub(crate) fn new(id: &ChannelId, linked: Linked) -> Self {
        let report = ChannelReport::new(id, &linked);
        let Linked {
            stream, rx, outcome, ..
        } = linked;
        let codec = MessageCodec::client(id.channel_type, outcome.header_form, &Limits::default());
        Self {
            talk: Talk::new::<ClientMessage>(stream, codec, rx),
            acks: AckCounter::default(),
            report,
        }
    }

    pub(crate) async fn send(&mut self, message: ClientMessage) -> Result<()> {
        Ok(self.talk.send(message).await?)
    }

    /// The next message, after what is owed for it was sent. `None`: the server hung up.
    pub(crate) async fn next(&mut self) -> Result<Option<ServerMessage>> {
        let message = match self.talk.next().await {
            None => return Ok(None),
            Some(message) => message?,
        };
        self.report.count(&message);
        if self.acks.received() == Acknowledge::Ack {
            self.send(ClientMessage::Other(common::ClientMessage::Ack)).await?;
        }
        match message.common() {
            Some(common::ServerMessage::SetAck(set)) => {
                self.acks.set(set.window);
                let generation = set.generation;
                let sync = common::ClientMessage::AckSync(AckSync { generation });
                self.send(ClientMessage::Other(sync)).await?;
            }
            Some(common::ServerMessage::Ping(ping)) => {
                let begun = Instant::now();
                let (id, timestamp) = (ping.id, ping.timestamp);
                let pong = common::ClientMessage::Pong(Pong { id, timestamp });
                self.send(ClientMessage::Other(pong)).await?;
                self.report.pinged(ping.data.len(), begun.elapsed());
            }
            _ => {}
        }
        Ok(Some(message))
    }
}
