//! The example program `relay`, between a viewer and a hypervisor in memory that use different headers.

#[path = "../../examples/relay.rs"]
#[allow(dead_code, reason = "its `main` is not run")]
mod example;

use std::sync::Mutex;

use bytes::BytesMut;
use spice_proto::caps::{Capabilities, common};
use spice_proto::channel::{common as messages, main};
use spice_proto::frame::{Header, HeaderForm, Writer};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, HandshakeError, ServerLink};
use spice_proto::{Clock, DriveError, Driven, Limits, drive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use crate::pair::{TICKET, TOKEN, client, key, open, request};

const MAIN: ChannelType = ChannelType::MAIN;

/// Sends a message and takes one, with headers of this form.
async fn talk(
    mut stream: DuplexStream,
    mut rx: BytesMut,
    form: HeaderForm,
    said: &impl spice_proto::frame::Body,
) -> (DuplexStream, Header) {
    let mut tx = BytesMut::new();
    Writer::new(form).write(said, &mut tx).unwrap();
    stream.write_all(&tx).await.unwrap();
    let header = loop {
        if let Some(header) = Header::read(form, &rx) {
            break header;
        }
        stream.read_buf(&mut rx).await.unwrap();
    };
    assert_eq!(rx.len() as u64, header.frame_len(form), "nothing more was sent");
    (stream, header)
}

/// A hypervisor without mini headers.
async fn hypervisor(mut stream: DuplexStream) -> (DuplexStream, Header) {
    let (clock, mut buffers) = (Clock::start(), Buffers::default());
    let mut link = ServerLink::new(clock.now(), Limits::default());
    loop {
        match drive(&mut link, &mut buffers, &mut stream, clock).await.unwrap() {
            Driven::Ask(ServerQuestion::Link(_)) => {
                let mut capabilities = Capabilities::spice_server(MAIN);
                capabilities.common = capabilities.common.without(common::MINI_HEADER);
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities,
                };
                link.announce(&mut buffers, shown).unwrap();
            }
            Driven::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                assert_eq!(open(&sealed).as_deref(), Some(TICKET));
                link.accept(&mut buffers).unwrap();
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(_) => {
                return talk(
                    stream,
                    buffers.rx,
                    HeaderForm::Full,
                    &main::ServerMessage::AgentConnected,
                )
                .await;
            }
        }
    }
}

async fn relayed(password: &'static [u8]) -> Result<(), HandshakeError> {
    let ((mut near, tenant), (far, other)) = (duplex(64), duplex(64));
    let far = Mutex::new(Some(far));
    let dial = || {
        let stream = far.lock().unwrap().take();
        async { Ok(stream.unwrap()) }
    };
    let (token, ticket) = (
        std::str::from_utf8(TOKEN).unwrap(),
        std::str::from_utf8(TICKET).unwrap(),
    );
    let random = |bytes: &mut [u8]| bytes.iter_mut().for_each(|byte| *byte = rand(*byte));
    let relay = example::relay(tenant, dial, token, ticket, random);
    let viewer = async {
        let clock = Clock::start();
        let (mut link, mut buffers) = (client(request(MAIN, 0xd, 0xf), password), Buffers::default());
        match drive(&mut link, &mut buffers, &mut near, clock).await {
            Ok(Driven::Done(_)) => {}
            Ok(Driven::Ask(question)) => panic!("{question:?}"),
            Err(DriveError::Protocol(error)) => return Err(error),
            Err(error) => panic!("{error}"),
        }
        let said = messages::ClientMessage::Ack;
        let (stream, header) = talk(near, buffers.rx, HeaderForm::Mini, &said).await;
        assert_eq!((header.number, header.size), (main::ServerMessage::AGENT_CONNECTED, 0));
        Ok(stream)
    };
    let far = async {
        let (stream, header) = hypervisor(other).await;
        assert_eq!((header.number, header.serial), (messages::ClientMessage::ACK, 1));
        stream
    };
    tokio::select! {
        (linked, _far) = async { tokio::join!(viewer, far) } => linked.map(drop),
        ended = relay => Err(match ended {
            Ok(()) => HandshakeError::Rejected(LinkErrorCode::OK),
            Err(error) => {
                assert!(error.to_string().contains("refused"), "{error}");
                HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED)
            }
        }),
    }
}

/// Bytes that differ, for a key.
fn rand(_: u8) -> u8 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static STATE: AtomicU64 = AtomicU64::new(7);
    let state = STATE
        .load(Ordering::Relaxed)
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    STATE.store(state, Ordering::Relaxed);
    (state >> 33) as u8
}

#[tokio::test]
async fn one_message_each_way() {
    relayed(TOKEN).await.unwrap();
}

#[tokio::test]
async fn another_token_is_refused() {
    let denied = HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED);
    assert_eq!(relayed(b"another").await, Err(denied));
}
