//! The link stage, and the check of the password.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use examples::picture::Picture;
use examples::secret::Secret;
use spice_proto::caps::Capabilities;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, Key, LinkMess, Refusal, SealedTicket, ServerLink};
use spice_proto::{Clock, Driven, Limits, drive};
use subtle::ConstantTimeEq as _;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::Result;
use crate::show::{Channel, drawing};

/// What all viewers share: the password, the picture, and the sessions.
pub(crate) struct PictureServer {
    password: Option<Secret>,
    pub(crate) title: String,
    /// What a display channel says to show the picture.
    pub(crate) drawing: Vec<spice_proto::channel::ServerMessage>,
    /// Sessions that are open, by the number that their other channels name.
    sessions: Mutex<HashSet<u32>>,
}

impl PictureServer {
    pub(crate) fn new(picture: &Picture, password: Option<Secret>, title: String) -> Result<Self> {
        Ok(Self {
            password,
            title,
            drawing: drawing(picture)?,
            sessions: Mutex::default(),
        })
    }

    /// Brings a connection through the link stage.
    pub(crate) async fn link<S>(&self, mut stream: S) -> Result<Channel<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (clock, mut buffers, mut key) = (Clock::start(), Buffers::default(), None);
        let mut server = ServerLink::new(clock.now(), Limits::default());
        loop {
            match drive(&mut server, &mut buffers, &mut stream, clock).await? {
                Driven::Ask(ServerQuestion::Link(request)) if !offered(&request) => {
                    server.refuse(&mut buffers, Refusal::Code(LinkErrorCode::CHANNEL_NOT_AVAILABLE))?;
                }
                Driven::Ask(ServerQuestion::Link(request)) => {
                    // A key takes milliseconds, which other viewers need not wait for.
                    let fresh = tokio::task::spawn_blocking(|| Key::generate(&mut random)).await??;
                    let shown = Announcement {
                        public_key: fresh.public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    server.announce(&mut buffers, shown)?;
                    key = Some(fresh);
                }
                Driven::Ask(ServerQuestion::Ticket { request, sealed }) => {
                    let key = key.take().ok_or("no key")?;
                    match self.judge(&request, &key, &sealed) {
                        Ok(()) => server.accept(&mut buffers)?,
                        Err(code) => server.refuse(&mut buffers, Refusal::Code(code))?,
                    }
                }
                Driven::Ask(_) => return Err("SASL was not announced".into()),
                Driven::Done(outcome) => return Ok(Channel::new(stream, buffers.rx, outcome)),
            }
        }
    }

    /// Whether this ticket opens this channel.
    fn judge(&self, request: &LinkMess, key: &Key, sealed: &SealedTicket) -> std::result::Result<(), LinkErrorCode> {
        let shown = key.open(sealed, &mut random);
        let shown = shown.map_err(|_| LinkErrorCode::PERMISSION_DENIED)?;
        let right = |own: &Secret| bool::from(shown.expose().ct_eq(own));
        if !self.password.as_ref().is_none_or(right) {
            return Err(LinkErrorCode::PERMISSION_DENIED);
        }
        let is_main = request.channel_type == ChannelType::MAIN;
        let known = self.sessions().contains(&request.connection_id);
        if is_main == (request.connection_id == 0) && (is_main || known) {
            Ok(())
        } else {
            Err(LinkErrorCode::BAD_CONNECTION_ID)
        }
    }

    /// A number for a new session. [`PictureServer::end`] takes it back.
    pub(crate) fn begin(&self) -> u32 {
        loop {
            let mut bytes = [0; 4];
            random(&mut bytes);
            let session = u32::from_le_bytes(bytes);
            if session != 0 && self.sessions().insert(session) {
                return session;
            }
        }
    }

    /// The session is over.
    pub(crate) fn end(&self, session: u32) {
        self.sessions().remove(&session);
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, HashSet<u32>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The channels that there are.
pub(crate) const OFFERED: [ChannelType; 4] = [
    ChannelType::MAIN,
    ChannelType::DISPLAY,
    ChannelType::INPUTS,
    ChannelType::CURSOR,
];

fn offered(request: &LinkMess) -> bool {
    OFFERED.contains(&request.channel_type) && request.channel_id == 0
}

/// Random bytes of the operating system.
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("random bytes from the operating system");
}
