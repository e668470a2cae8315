//! The RFB handshake, and messages.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use des::Des;
use des::cipher::{BlockEncrypt as _, KeyInit as _};
use rfb_proto::framing::ClientFramer;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, ClientHandshake, Machine, ServerConfig, ServerHandshake, client,
};
use rfb_proto::message::{ClientMessage, ClientMessages, Extensions, FramebufferUpdateRequest, KeyEvent, PointerEvent};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vnc::Password;
use rfb_proto::{Limits, ServerInit};

use crate::keep;

/// Xtigervnc's session with VNC authentication, as the tests have it.
const C2S: &[u8] = include_bytes!("../../rfb-proto/tests/data/captures/vnc-tigervnc-none-vncauth-tight/01.c2s.bin");
const S2C: &[u8] = include_bytes!("../../rfb-proto/tests/data/captures/vnc-tigervnc-none-vncauth-tight/01.s2c.bin");
const NOW: Duration = Duration::ZERO;

/// What the two sides say up to the SecurityResult, and up to the ServerInit.
const UP_TO_RESULT: (usize, usize) = (29, 35);
const UP_TO_INIT: (usize, usize) = (30, 78);

/// The password of that session.
pub const PASSWORD: &[u8; 8] = b"s3cretpw";

/// What its client said up to its ClientInit.
#[must_use]
pub fn client_to_init() -> &'static [u8] {
    &C2S[..UP_TO_INIT.0]
}

/// The ServerInit.
#[must_use]
pub fn server_init() -> &'static [u8] {
    &S2C[UP_TO_RESULT.1..UP_TO_INIT.1]
}

/// The challenge.
#[must_use]
pub fn challenge() -> [u8; 16] {
    S2C[15..31].try_into().unwrap()
}

fn response() -> [u8; 16] {
    C2S[13..29].try_into().unwrap()
}

/// A server's handshake with VNC authentication, the response not looked at; with ClientInit and ServerInit, or up to
/// the SecurityResult. The client's bytes are there at once, or come one message at a time.
pub fn server(init: bool, at_once: bool) -> Box<dyn FnMut()> {
    let types = [SecurityType::NONE, SecurityType::VNC];
    let config = Arc::new(ServerConfig::new(&types).with_init(init));
    let shown = ServerInit::decode(&Bytes::from_static(&S2C[35..]), &Limits::default()).unwrap();
    let (received, sent) = if init { UP_TO_INIT } else { UP_TO_RESULT };
    let mut buffers = Buffers::default();
    buffers.rx.reserve(4096);
    buffers.tx.reserve(4096);
    let challenge = challenge();
    Box::new(move || {
        buffers.rx.clear();
        buffers.tx.clear();
        let mut machine = ServerHandshake::new(NOW, Arc::clone(&config));
        let mut input = &C2S[..received];
        if at_once {
            buffers.rx.extend_from_slice(input);
        }
        loop {
            // Questions are taken apart by value: what holds nothing then needs no dropping.
            match machine.step(NOW, &mut buffers) {
                Ok(Action::Receive { at_least }) => {
                    let (now, later) = input.split_at(at_least);
                    buffers.rx.extend_from_slice(now);
                    input = later;
                }
                Ok(Action::Ask(question)) => match question {
                    ServerQuestion::Challenge => machine.challenge(&mut buffers, challenge).unwrap(),
                    ServerQuestion::Admit(claim) => {
                        assert!(matches!(claim, ClientCredentials::Vnc { .. }));
                        machine.accept(&mut buffers).unwrap();
                    }
                    ServerQuestion::Init(_) => machine.init(&mut buffers, &shown).unwrap(),
                    other => panic!("{other:?}"),
                },
                Ok(Action::Done(outcome)) => {
                    keep(outcome.rules);
                    break;
                }
                Ok(other) => panic!("{other:?}"),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(buffers.tx.len(), sent);
    })
}

/// The least for that: what the client sends is copied in and looked at, what the server sends is copied out, all of it
/// in pieces whose length the compiler knows.
pub fn server_by_hand() -> Box<dyn FnMut()> {
    fn receive<const N: usize>(rx: &mut BytesMut, client: &mut &[u8]) {
        let (now, later) = client.split_first_chunk::<N>().unwrap();
        rx.extend_from_slice(now);
        assert!(rx[..] == *now);
        rx.clear();
        *client = later;
    }
    fn send<const N: usize>(tx: &mut BytesMut, server: &mut &[u8]) {
        let (now, later) = server.split_first_chunk::<N>().unwrap();
        tx.extend_from_slice(now);
        *server = later;
    }
    let mut buffers = Buffers::default();
    buffers.rx.reserve(4096);
    buffers.tx.reserve(4096);
    Box::new(move || {
        let Buffers { rx, tx } = &mut buffers;
        tx.clear();
        let (mut client, mut server) = (black_box(C2S), black_box(S2C));
        send::<12>(tx, &mut server);
        receive::<12>(rx, &mut client);
        send::<3>(tx, &mut server);
        receive::<1>(rx, &mut client);
        send::<16>(tx, &mut server);
        receive::<16>(rx, &mut client);
        send::<4>(tx, &mut server);
        receive::<1>(rx, &mut client);
        send::<43>(tx, &mut server);
        assert_eq!(tx.len(), UP_TO_INIT.1);
    })
}

/// A client's handshake with VNC authentication, the response not computed.
pub fn client() -> Box<dyn FnMut()> {
    let config = ClientConfig::new(&[SecurityType::VNC]);
    let mut buffers = Buffers::default();
    buffers.rx.reserve(4096);
    buffers.tx.reserve(4096);
    let response = response();
    Box::new(move || {
        buffers.rx.clear();
        buffers.tx.clear();
        let mut machine = ClientHandshake::new(NOW, config.clone());
        let mut input = &S2C[..UP_TO_INIT.1];
        loop {
            match machine.step(NOW, &mut buffers) {
                Ok(Action::Receive { at_least }) => {
                    let (now, later) = input.split_at(at_least);
                    buffers.rx.extend_from_slice(now);
                    input = later;
                }
                Ok(Action::Ask(client::ClientQuestion::Vnc { .. })) => machine.respond(&mut buffers, response).unwrap(),
                Ok(Action::Done(outcome)) => {
                    keep(outcome);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(buffers.tx.len(), UP_TO_INIT.0);
    })
}

/// The check of a response.
pub fn verify() -> Box<dyn FnMut()> {
    let password = Password::new(PASSWORD);
    let (challenge, response) = (challenge(), response());
    assert!(password.verify(&challenge, &response));
    Box::new(move || keep(password.verify(black_box(&challenge), black_box(&response))))
}

/// What the des crate itself takes for that: the key and two blocks.
pub fn des() -> Box<dyn FnMut()> {
    let key = PASSWORD.map(u8::reverse_bits);
    let challenge = challenge();
    Box::new(move || {
        let cipher = Des::new(black_box(&key).into());
        let mut blocks = black_box(challenge);
        for block in blocks.chunks_exact_mut(8) {
            cipher.encrypt_block(block.into());
        }
        keep(blocks);
    })
}

/// Messages in [`client_messages`].
pub const MESSAGES: u32 = 300;

/// What a viewer says while somebody works: the mouse, keys, and requests for what changed.
pub(crate) fn mix() -> Bytes {
    let mut stream = BytesMut::new();
    for n in 0..100 {
        PointerEvent::new(n & 1, n, n, &Extensions::NONE)
            .encode(&mut stream)
            .unwrap();
        let key = KeyEvent {
            down: n as u8 & 1,
            padding: [0; 2],
            keysym: 0x61,
        };
        key.encode(&mut stream).unwrap();
        let request = FramebufferUpdateRequest {
            incremental: 1,
            x: 0,
            y: 0,
            width: 1024,
            height: 768,
        };
        request.encode(&mut stream).unwrap();
    }
    stream.freeze()
}

/// Such messages, found without a look into them.
pub fn client_frames() -> Box<dyn FnMut()> {
    let (stream, limits) = (mix(), Limits::default());
    let extensions = Extensions::NONE;
    let mut framer = ClientFramer::new(&limits);
    Box::new(move || {
        let mut rest = black_box(&stream[..]);
        let mut count = 0;
        while let Ok(Some(message)) = framer.next_message(&mut rest, &extensions) {
            keep(message.bytes);
            count += 1;
        }
        assert_eq!((count, rest.len()), (MESSAGES, 0));
    })
}

/// Such messages, decoded and taken apart.
pub fn client_messages() -> Box<dyn FnMut()> {
    let (stream, limits) = (mix(), Limits::default());
    let mut extensions = Extensions::NONE;
    Box::new(move || {
        let mut messages = ClientMessages::new(black_box(&stream), &mut extensions, &limits);
        let mut count = 0;
        for message in messages.by_ref() {
            match message {
                ClientMessage::PointerEvent(event) => keep(event),
                ClientMessage::KeyEvent(event) => keep(event),
                ClientMessage::FramebufferUpdateRequest(request) => keep(request),
                other => panic!("{other:?}"),
            }
            count += 1;
        }
        assert_eq!((count, messages.finish()), (MESSAGES, Ok(stream.len())));
    })
}
