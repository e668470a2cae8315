//! A simulated viewer: a `.vv` in, channels out, made of the library's client half.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use spice_proto::caps::{Capabilities, CapabilityWords, common as bits};
use spice_proto::channel::common::{AckSync, ClientMessage, Pong, ServerMessage};
use spice_proto::channel::main::{self, ChannelsList, Init, MouseModeRequest};
use spice_proto::frame::{AckCounter, Acknowledge};
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode, MouseModes};
use spice_proto::link::messages::{PUBLIC_KEY_LEN, SEALED_TICKET_LEN};
use spice_proto::link::{
    Buffers, ClientConfig as LinkConfig, ClientLink, HandshakeError, LinkHeader, LinkMess, Secret,
};
use spice_proto::{Clock, DriveError, Driven, drive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use vv_file::ConnectionFile;

use super::Channel;
use super::hypervisor::{CURSOR_RESET, DISPLAY_MARK};
use super::report::{Outcome, must};
use super::talk::{End, Raw, Talk};
use super::{DISPLAY_INIT, DISPLAY_INIT_BODY};
use crate::front::tls::{self, Stream};
use crate::random::random_bytes;

/// What a viewer knows: what stands in its `.vv`.
#[derive(Clone)]
pub(super) struct Viewer {
    host: String,
    port: u16,
    token: String,
    tls: Arc<ClientConfig>,
}

/// What came of an attempt to connect.
pub(super) enum Attempt {
    Linked(Talk),
    Refused(Refused),
}

/// Everything that a refused viewer got to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// `None`: the connection was just closed.
    pub(super) code: Option<LinkErrorCode>,
    /// Every byte, but for the key, which is another one each time.
    pub(super) bytes: Vec<u8>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes = self.bytes.len();
        match self.code {
            Some(code) => write!(f, "{code} after {bytes} bytes"),
            None => write!(f, "nothing after {bytes} bytes"),
        }
    }
}

impl Viewer {
    /// Reads a `.vv` as remote-viewer does.
    pub(super) fn open(file: &str) -> Outcome<Self> {
        let file = ConnectionFile::parse(file.as_bytes())?.virt_viewer;
        let password = file.password.ok_or("no password in the .vv")?;
        Ok(Self {
            host: file.host.ok_or("no host in the .vv")?,
            port: file.tls_port.ok_or("no tls-port in the .vv")?.try_into()?,
            token: std::str::from_utf8(password.expose())?.to_owned(),
            tls: tls::client(file.ca.ok_or("no ca in the .vv")?.as_bytes(), None, None)?,
        })
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The same viewer with another token.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// Asks for a channel; `connection_id` 0 asks for a new session.
    pub(super) async fn connect(&self, channel: Channel, connection_id: u32) -> Outcome<Attempt> {
        let mut stream = self.dial().await?;
        let clock = Clock::start();
        let config = LinkConfig::new(request(channel, connection_id));
        let ticket = Secret::new(self.token.as_bytes());
        let mut client = ClientLink::new(clock.now(), config, ticket, random_bytes());
        let mut buffers = Buffers::default();
        let code = match drive(&mut client, &mut buffers, &mut stream, clock).await {
            Ok(Driven::Done(outcome)) => {
                let talk = Talk::new(stream.inner, buffers.rx, outcome.header_form, End::Viewer);
                return Ok(Attempt::Linked(talk));
            }
            Ok(Driven::Ask(_)) => return Err("the gateway wants SASL, which was not announced".into()),
            Err(DriveError::Protocol(HandshakeError::Rejected(code))) => Some(code),
            Err(DriveError::Protocol(HandshakeError::Closed(_)) | DriveError::Io(_)) => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Attempt::Refused(stream.refused(code).await))
    }

    /// Asks for a new session and sends a ticket that cannot be opened.
    pub(super) async fn scrawl(&self) -> Outcome<Attempt> {
        let mut stream = self.dial().await?;
        let mut bytes = BytesMut::new();
        request((ChannelType::MAIN, 0), 0).encode(&mut bytes)?;
        stream.write_all(&bytes).await?;
        stream.flush().await?;
        let mut header = [0; LinkHeader::LEN];
        stream.read_exact(&mut header).await?;
        let mut reply = vec![0; LinkHeader::decode_slice(&header)?.size as usize];
        stream.read_exact(&mut reply).await?;
        stream.write_all(&AuthMechanism::SPICE.0.to_le_bytes()).await?;
        stream.write_all(&random_bytes::<SEALED_TICKET_LEN>()).await?;
        stream.flush().await?;
        let code = LinkErrorCode(stream.read_u32_le().await?);
        must(code != LinkErrorCode::OK, "a ticket of random bytes was accepted")?;
        Ok(Attempt::Refused(stream.refused(Some(code)).await))
    }

    async fn dial(&self) -> Outcome<Recorder> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from(self.host.clone())?;
        let stream = examples::tls::client(tcp, self.tls.clone(), name).await?;
        Ok(Recorder {
            inner: Box::new(stream),
            heard: Vec::new(),
        })
    }
}

/// As spice-gtk asks.
fn request((channel_type, channel_id): Channel, connection_id: u32) -> LinkMess {
    LinkMess {
        connection_id,
        channel_type,
        channel_id,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[bits::PROTOCOL_AUTH_SELECTION, bits::MINI_HEADER]),
            channel: Capabilities::spice_server(channel_type).channel,
        },
    }
}

/// Writes down what comes in.
struct Recorder {
    inner: Stream,
    heard: Vec<u8>,
}

impl Recorder {
    /// What the viewer got, up to the end of the connection.
    async fn refused(mut self, code: Option<LinkErrorCode>) -> Refused {
        let _ = self.read_to_end(&mut Vec::new()).await;
        let mut bytes = self.heard;
        // Behind the header and the error code of the link reply.
        let key = LinkHeader::LEN + 4;
        if let Some(key) = bytes.get_mut(key..key + PUBLIC_KEY_LEN) {
            key.fill(0);
        }
        Refused { code, bytes }
    }
}

impl AsyncRead for Recorder {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let heard = buf.filled().get(before..).unwrap_or_default();
        self.heard.extend_from_slice(heard);
        read
    }
}

impl AsyncWrite for Recorder {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The main channel up to the list of channels: the session's number, and its channels.
pub(super) async fn begin(main: &mut Talk) -> Outcome<(u32, Vec<Channel>)> {
    let init = Init::decode(&main.expect(103).await?.body)?;
    main.send(&main::ClientMessage::AttachChannels).await?;
    loop {
        let frame = main.receive().await?.ok_or("the main channel ended")?;
        match main::ServerMessage::decode(&frame)? {
            main::ServerMessage::ChannelsList(ChannelsList { channels }) => {
                let channels = channels.iter().map(|channel| (channel.channel_type, channel.id));
                return Ok((init.session_id, channels.collect()));
            }
            main::ServerMessage::Common(ServerMessage::Ping(ping)) => {
                let (id, timestamp) = (ping.id, ping.timestamp);
                main.send(&ClientMessage::Pong(Pong { id, timestamp })).await?;
            }
            _ => {}
        }
    }
}

/// Says something on a channel, and hears the hypervisor out.
pub(super) async fn converse(kind: ChannelType, talk: &mut Talk) -> Outcome<()> {
    match kind {
        ChannelType::MAIN => {
            let mode = MouseModes::CLIENT;
            let wish = main::ClientMessage::MouseModeRequest(MouseModeRequest { mode });
            talk.send(&wish).await?;
            talk.expect(105).await?; // MOUSE_MODE
        }
        ChannelType::DISPLAY => {
            talk.send(&Raw(DISPLAY_INIT, &[0; DISPLAY_INIT_BODY as usize])).await?;
            acknowledge_until(DISPLAY_MARK, talk).await?;
        }
        ChannelType::CURSOR => acknowledge_until(CURSOR_RESET, talk).await?,
        ChannelType::INPUTS => {
            talk.expect(101).await?; // INIT
            for scancode in [0x23_u32, 0x12, 0x26, 0x26, 0x18] {
                talk.send(&Raw(101, &scancode.to_le_bytes())).await?; // KEY_DOWN
                talk.send(&Raw(102, &(scancode | 0x80).to_le_bytes())).await?; // KEY_UP
            }
            talk.send(&Raw(103, &[4, 0])).await?; // KEY_MODIFIERS: caps lock
            talk.expect(102).await?;
        }
        _ => {}
    }
    Ok(())
}

/// Receives and acknowledges, up to the message with this number.
async fn acknowledge_until(last: u16, talk: &mut Talk) -> Outcome<()> {
    let mut acks = AckCounter::new();
    loop {
        let frame = talk.receive().await?.ok_or("the channel ended")?;
        let due = acks.received();
        if let ServerMessage::SetAck(window) = ServerMessage::decode(&frame)? {
            acks.set(window.window);
            let generation = window.generation;
            talk.send(&ClientMessage::AckSync(AckSync { generation })).await?;
        }
        if due == Acknowledge::Ack {
            talk.send(&ClientMessage::Ack).await?;
        }
        if frame.header.number == last {
            return Ok(());
        }
    }
}
