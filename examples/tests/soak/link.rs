//! The link stage of both sides, without waiting in threads.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::ChannelType;
use spice_proto::link::server::{Announcement, ServerLink, ServerQuestion};
use spice_proto::link::{Action, Buffers, ClientConfig, ClientLink, Key, LinkMess, Machine, Secret};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::program::TICKET;

/// A channel whose link stands.
pub(crate) struct Channel {
    stream: TcpStream,
    rx: BytesMut,
}

/// What ends a link that did not come about.
fn ended<T>() -> io::Result<T> {
    Err(io::ErrorKind::ConnectionAborted.into())
}

impl Channel {
    /// A viewer's.
    pub(crate) async fn open(mut stream: TcpStream, token: &str, kind: ChannelType, id: u32) -> io::Result<Self> {
        let request = LinkMess {
            connection_id: id,
            channel_type: kind,
            channel_id: 0,
            capabilities: Capabilities {
                common: CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::MINI_HEADER]),
                channel: CapabilityWords::new(),
            },
        };
        let mut seed = [0; 20];
        getrandom::fill(&mut seed).expect("random bytes");
        let config = ClientConfig::new(request);
        let mut client = ClientLink::new(Duration::ZERO, config, Secret::new(token.as_bytes()), seed);
        let mut buffers = Buffers::default();
        loop {
            let action = client.step(Duration::ZERO, &mut buffers);
            stream.write_all(&buffers.tx.split()).await?;
            match action {
                Ok(Action::Receive { .. }) if stream.read_buf(&mut buffers.rx).await? != 0 => {}
                Ok(Action::Done(_)) => return Ok(Self { stream, rx: buffers.rx }),
                _ => return ended(),
            }
        }
    }

    /// The link of a hypervisor, which has one key for all links.
    pub(crate) async fn accept(mut stream: TcpStream, key: Arc<Key>) -> io::Result<(LinkMess, Self)> {
        let mut server = ServerLink::new(Duration::ZERO, Limits::default());
        let mut buffers = Buffers::default();
        loop {
            let action = server.step(Duration::ZERO, &mut buffers);
            stream.write_all(&buffers.tx.split()).await?;
            match action {
                Ok(Action::Receive { .. }) if stream.read_buf(&mut buffers.rx).await? != 0 => {}
                Ok(Action::Ask(ServerQuestion::Link(request))) => {
                    let shown = Announcement {
                        public_key: key.public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    server.announce(&mut buffers, shown).map_err(io::Error::other)?;
                }
                Ok(Action::Ask(ServerQuestion::Ticket { sealed, .. })) => {
                    let opened = key.open(&sealed, &mut |bytes| bytes.fill(1));
                    assert_eq!(opened.map_err(io::Error::other)?.expose(), TICKET.as_bytes());
                    server.accept(&mut buffers).map_err(io::Error::other)?;
                }
                Ok(Action::Done(outcome)) => {
                    let channel = Self { stream, rx: buffers.rx };
                    return Ok((outcome.request, channel));
                }
                _ => return ended(),
            }
        }
    }

    pub(crate) async fn say(&mut self, number: u16, body: &[u8]) -> io::Result<()> {
        let mut message = number.to_le_bytes().to_vec();
        message.extend(u32::try_from(body.len()).map_err(io::Error::other)?.to_le_bytes());
        message.extend(body);
        self.stream.write_all(&message).await
    }

    /// The next message. Nothing is lost if it is dropped.
    pub(crate) async fn hear(&mut self) -> io::Result<(u16, Bytes)> {
        loop {
            if let Some((header, rest)) = self.rx.split_at_checked(6) {
                let number = u16::from_le_bytes([header[0], header[1]]);
                let size = u32::from_le_bytes([header[2], header[3], header[4], header[5]]) as usize;
                if size <= rest.len() {
                    let message = self.rx.split_to(6 + size).freeze();
                    return Ok((number, message.slice(6..)));
                }
            }
            if self.stream.read_buf(&mut self.rx).await? == 0 {
                return ended();
            }
        }
    }
}
