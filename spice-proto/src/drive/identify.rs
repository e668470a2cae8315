//! A hypervisor is asked which guest it has.

use core::future::poll_fn;
use core::time::Duration;
use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::port::{Moved, Port};
use super::{Clock, DriveError, Driven, drive};
use crate::caps::{Capabilities, CapabilityWords, common, main};
use crate::channel::main::{ClientMessage, ServerMessage};
use crate::frame::{FrameReader, HeaderForm, Writer};
use crate::ids::ChannelType;
use crate::limits::Limits;
use crate::link::relay::Upstream;
use crate::link::{Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, Misuse};
use crate::session::relay::GuestIdentity;

/// Room for one read behind the link: a server measures the network with a PING of 256,000 bytes first.
const ROOM: usize = 32 << 10;

/// Asks a server which guest it has, with a session of its own that has a main channel only, and leaves.
///
/// A QEMU that waits for a guest (`-incoming`) answers as well, and the migration goes on undisturbed. QEMU's server shows
/// its guest to one client at a time: the inquiry disconnects a client that is there. A proxy asks before it takes a
/// session where other guests may be, too: see [`Move`](crate::session::relay::Move).
///
/// What the server has said is whole when it has answered a message that is sent behind its `INIT`. With one that does not
/// answer it is what was said within `patience`, for all of it; with one that says nothing, it is empty.
///
/// ```
/// use std::time::Duration;
/// use spice_proto::link::relay::Upstream;
/// use spice_proto::{Limits, identify};
/// use tokio::net::TcpStream;
///
/// /// Whether that is another guest than the one with this UUID.
/// async fn is_another(hypervisor: &str, upstream: Upstream, uuid: &str) -> Result<bool, Box<dyn std::error::Error>> {
///     let stream = TcpStream::connect(hypervisor).await?;
///     let said = identify(stream, upstream, &Limits::default(), Duration::from_secs(1)).await?;
///     Ok(said.uuid_text().is_some_and(|said| said != uuid))
/// }
/// ```
///
/// # Errors
/// As [`drive`](super::drive), for the link: the server is not reached, or does not take the ticket.
pub async fn identify<S>(
    mut stream: S,
    upstream: Upstream,
    limits: &Limits,
    patience: Duration,
) -> Result<GuestIdentity, DriveError<HandshakeError>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let clock = Clock::start();
    let until = clock.instant(patience);
    let config = ClientConfig::new(request()).with_limits(limits.clone());
    let mut link = ClientLink::new(clock.now(), config, upstream.ticket, upstream.oaep_seed);
    let mut buffers = Buffers::default();
    let linked = timeout_at(until, drive(&mut link, &mut buffers, &mut stream, clock)).await;
    let form = match linked.map_err(|_| Error::from(ErrorKind::TimedOut))?? {
        Driven::Done(outcome) => outcome.header_form,
        // INVARIANT: SASL was not announced.
        Driven::Ask(_) => return Err(DriveError::Protocol(HandshakeError::Misuse(Misuse::Ended))),
    };
    Ok(listen(Port::new(stream, ROOM), buffers, form, limits, until).await)
}

/// A main channel of a session of its own.
fn request() -> LinkMess {
    LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::AUTH_SPICE, common::MINI_HEADER]),
            channel: CapabilityWords::of(&[main::NAME_AND_UUID]),
        },
    }
}

/// What the server says, up to its answer, to its end or to that time.
async fn listen<S>(
    mut port: Port<S>,
    mut buffers: Buffers,
    form: HeaderForm,
    limits: &Limits,
    until: Instant,
) -> GuestIdentity
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = (FrameReader::new(form, limits), Writer::new(form));
    let mut known = GuestIdentity::default();
    loop {
        while let Ok(Some(frame)) = reader.decode(&mut buffers.rx) {
            match frame.header.number {
                // INVARIANT: it has no body.
                ServerMessage::INIT => drop(writer.write(&ClientMessage::AttachChannels, &mut buffers.tx)),
                ServerMessage::CHANNELS_LIST => return known,
                _ => known.add(GuestIdentity::read(frame.header.number, &frame.body)),
            }
            if known.name.is_some() && known.uuid.is_some() {
                return known;
            }
        }
        match timeout_at(until, poll_fn(|cx| port.poll(cx, &mut buffers, true))).await {
            Ok(Moved::Bytes) => {}
            Ok(Moved::End | Moved::Failed(_)) | Err(_) => return known,
        }
    }
}
