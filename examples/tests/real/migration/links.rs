//! What a viewer and the gateway said to each other, taken apart.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::main::{
    Destination, Init, MigrateBegin, MigrateBeginSeamless, MigrateSwitchHost, ServerMessage,
};
use spice_proto::frame::FrameReader;
use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;
use spice_proto::link::Sender;
use spice_proto::link::watch::{WatchedLink, WatchedOutcome};

use crate::recorder::Connection;

/// Numbers of messages that matter here. From server to client, then on the main channel, then on the display channel:
pub(crate) mod to_client {
    pub(crate) const MIGRATE: u16 = 1;
    pub(crate) const MIGRATE_BEGIN: u16 = 101;
    pub(crate) const MIGRATE_CANCEL: u16 = 102;
    pub(crate) const INIT: u16 = 103;
    pub(crate) const MIGRATE_SWITCH_HOST: u16 = 111;
    pub(crate) const MIGRATE_END: u16 = 112;
    pub(crate) const MIGRATE_BEGIN_SEAMLESS: u16 = 116;
    pub(crate) const DISPLAY_RESET: u16 = 103;
    pub(crate) const SURFACE_CREATE: u16 = 314;
}

/// And from client to server.
pub(crate) mod to_server {
    pub(crate) const MIGRATE_DATA: u16 = 5;
    pub(crate) const MIGRATE_CONNECTED: u16 = 102;
    pub(crate) const MIGRATE_CONNECT_ERROR: u16 = 103;
    pub(crate) const MIGRATE_END: u16 = 109;
    pub(crate) const MIGRATE_CONNECTED_SEAMLESS: u16 = 111;
}

pub(crate) struct Message {
    pub(crate) number: u16,
    pub(crate) body: Vec<u8>,
}

/// A link that was accepted, with all messages of both directions.
pub(crate) struct Link {
    pub(crate) request: LinkMess,
    pub(crate) to_server: Vec<Message>,
    pub(crate) to_client: Vec<Message>,
}

impl Link {
    /// `None`: the link was refused, or is not accepted yet.
    pub(crate) fn of(connection: &Connection) -> Option<Self> {
        let limits = Limits::default();
        let mut link = WatchedLink::new(limits.clone());
        let mut rest = [&connection.to_server[..], &connection.to_client[..]];
        let linked = loop {
            match link.outcome() {
                Some(WatchedOutcome::Linked(linked)) => break linked.clone(),
                Some(_) => return None,
                None => {}
            }
            let (sender, _) = link.due();
            let side = &mut rest[usize::from(sender == Sender::Server)];
            let (_, taken) = link.step(sender, side).ok()??;
            *side = &side[taken..];
        };
        let [to_server, to_client] = rest.map(|bytes| {
            let splitter = FrameReader::new(linked.header_form, &limits);
            let message = |frame: spice_proto::frame::FrameRef<'_>| Message {
                number: frame.header.number,
                body: frame.body.to_vec(),
            };
            splitter.frames(bytes).map(message).collect()
        });
        Some(Self {
            request: linked.request,
            to_server,
            to_client,
        })
    }

    /// The session's id, which the server tells in INIT.
    pub(crate) fn session_id(&self) -> Option<u32> {
        let init = self
            .to_client
            .iter()
            .find(|message| message.number == to_client::INIT)?;
        Some(Init::decode_slice(&init.body).expect("INIT").session_id)
    }

    pub(crate) fn is(&self, kind: ChannelType) -> bool {
        self.request.channel_type == kind
    }

    /// How often the server said this.
    pub(crate) fn heard(&self, number: u16) -> usize {
        self.to_client.iter().filter(|message| message.number == number).count()
    }

    /// How often the viewer said this.
    pub(crate) fn said(&self, number: u16) -> usize {
        self.to_server.iter().filter(|message| message.number == number).count()
    }
}

/// Where a message of the main channel sends its viewer, and what the same message would be that sends it to
/// `instead`; `None` for messages that name no target.
pub(crate) fn destination(message: &Message, instead: &Destination) -> Option<(Destination, Vec<u8>)> {
    let destination = instead.clone();
    let (sent, other) = match message.number {
        to_client::MIGRATE_BEGIN => (
            MigrateBegin::decode_slice(&message.body)
                .expect("MIGRATE_BEGIN")
                .destination,
            ServerMessage::MigrateBegin(MigrateBegin { destination }),
        ),
        to_client::MIGRATE_SWITCH_HOST => (
            MigrateSwitchHost::decode_slice(&message.body)
                .expect("SWITCH_HOST")
                .destination,
            ServerMessage::MigrateSwitchHost(MigrateSwitchHost { destination }),
        ),
        to_client::MIGRATE_BEGIN_SEAMLESS => {
            let begin = MigrateBeginSeamless::decode_slice(&message.body).expect("BEGIN_SEAMLESS");
            let (sent, src_mig_version) = (begin.destination, begin.src_mig_version);
            let other = MigrateBeginSeamless {
                destination,
                src_mig_version,
            };
            (sent, ServerMessage::MigrateBeginSeamless(other))
        }
        _ => return None,
    };
    let mut body = BytesMut::new();
    other.encode(&mut body).expect("a small message");
    Some((sent, body.to_vec()))
}
