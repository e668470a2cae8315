//! One end of a connection in the data stage, and a viewer's way to it.

use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use spice_proto::caps::Capabilities;
use spice_proto::frame::{Header, HeaderForm};
use spice_proto::ids::ChannelType;
use spice_proto::link::{Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, Secret};
use spice_proto::{Clock, DriveError, Driven, drive};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use crate::random;

/// Any stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Stream = Box<dyn Io>;

pub(crate) struct Line {
    pub(crate) stream: Stream,
    pub(crate) rx: BytesMut,
    pub(crate) form: HeaderForm,
}

impl Line {
    pub(crate) async fn say(&mut self, number: u16, body: &[u8]) {
        let mut tx = BytesMut::new();
        let header = Header {
            serial: 1,
            number,
            size: u32::try_from(body.len()).unwrap(),
            sub_list: 0,
        };
        header.write(self.form, &mut tx);
        tx.put_slice(body);
        // A peer that has hung up is seen by `hear`.
        let _ = self.stream.write_all(&tx).await;
        let _ = self.stream.flush().await;
    }

    /// The next message. `None`: the other end hung up.
    pub(crate) async fn hear(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            if let Some(header) = Header::read(self.form, &self.rx) {
                let len = usize::try_from(header.frame_len(self.form)).unwrap();
                if len <= self.rx.len() {
                    let frame = self.rx.split_to(len);
                    let body = frame[len - header.size as usize..].to_vec();
                    return Some((header.number, body));
                }
            }
            if self.stream.read_buf(&mut self.rx).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next message, which has this number.
    pub(crate) async fn expect(&mut self, number: u16) -> Vec<u8> {
        let (heard, body) = self.hear().await.expect("the other end hung up");
        assert_eq!(heard, number);
        body
    }

    /// Whether the other end has hung up, after what it still said.
    pub(crate) async fn has_ended(&mut self) -> bool {
        let end = async { while self.hear().await.is_some() {} };
        timeout(Duration::from_secs(3600), end).await.is_ok()
    }
}

/// As spice-gtk asks.
pub(crate) fn request(channel_type: ChannelType, connection_id: u32) -> LinkMess {
    LinkMess {
        connection_id,
        channel_type,
        channel_id: 0,
        capabilities: Capabilities::spice_server(channel_type),
    }
}

/// A viewer's link. The error is the code of the refusal, if it was given one.
pub(crate) async fn link(
    mut stream: Stream,
    channel: ChannelType,
    connection_id: u32,
    password: &[u8],
) -> Result<Line, Option<u32>> {
    let clock = Clock::start();
    let config = ClientConfig::new(request(channel, connection_id));
    let mut seed = [0; 20];
    random(&mut seed);
    let mut machine = ClientLink::new(clock.now(), config, Secret::new(password), seed);
    let mut buffers = Buffers::default();
    match drive(&mut machine, &mut buffers, &mut stream, clock).await {
        Ok(Driven::Done(outcome)) => Ok(Line {
            stream,
            rx: buffers.rx,
            form: outcome.header_form,
        }),
        Err(DriveError::Protocol(HandshakeError::Rejected(code))) => Err(Some(code.0)),
        _ => Err(None),
    }
}
