//! The codecs for tokio, on a connection in memory.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use spice_proto::Limits;
use spice_proto::channel::{ClientMessage, ServerMessage, common, inputs, main};
use spice_proto::codec::{CodecError, FrameCodec, MessageCodec};
use spice_proto::frame::{Frame, FrameReader, HeaderForm};
use spice_proto::ids::{ChannelType, KeyboardModifiers};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::Framed;

const FORMS: [HeaderForm; 2] = [HeaderForm::Mini, HeaderForm::Full];

#[tokio::test]
async fn messages_both_ways() {
    for form in FORMS {
        // Smaller than a message, so that each comes in pieces.
        let (client, server) = tokio::io::duplex(7);
        let limits = Limits::default();
        let mut client = Framed::new(client, MessageCodec::client(ChannelType::INPUTS, form, &limits));
        let mut server = Framed::new(server, MessageCodec::server(ChannelType::INPUTS, form, &limits));
        let asked: Vec<_> = (0..20)
            .map(|code| ClientMessage::Inputs(inputs::ClientMessage::KeyDown(inputs::Key { code })))
            .collect();
        let answered: Vec<_> = (0..20)
            .map(|bits| {
                let modifiers = KeyboardModifiers(bits);
                ServerMessage::Inputs(inputs::ServerMessage::KeyModifiers(inputs::KeyModifiers { modifiers }))
            })
            .collect();
        let talk = async {
            for (question, answer) in asked.iter().zip(&answered) {
                client.send(question.clone()).await.unwrap();
                assert_eq!(&client.next().await.unwrap().unwrap(), answer);
            }
            client.close().await.unwrap();
        };
        let listen = async {
            for (question, answer) in asked.iter().zip(&answered) {
                assert_eq!(&server.next().await.unwrap().unwrap(), question);
                server.send(answer.clone()).await.unwrap();
            }
            assert!(server.next().await.is_none());
        };
        tokio::join!(talk, listen);
    }
}

#[tokio::test]
async fn frames_are_numbered_and_the_rest_is_given_back() {
    let (mut one, other) = tokio::io::duplex(1 << 16);
    let ping = main::ServerMessage::Common(common::ServerMessage::Ping(common::Ping {
        id: 1,
        timestamp: 2,
        data: Bytes::from_static(b"padding"),
    }));
    let mut bytes = BytesMut::new();
    let mut writer = spice_proto::frame::Writer::new(HeaderForm::Full);
    writer.write(&ping, &mut bytes).unwrap();
    writer.write(&ping, &mut bytes).unwrap();
    let whole = bytes.len();
    bytes.extend_from_slice(b"half a header");
    one.write_all(&bytes).await.unwrap();
    let mut framed = Framed::new(other, FrameCodec::new(HeaderForm::Full, &Limits::default()));
    let mut frames = Vec::new();
    for serial in 1..=2 {
        let frame = framed.next().await.unwrap().unwrap();
        assert_eq!((frame.header.serial, frame.header.number), (serial, 4));
        frames.push(frame);
    }
    let parts = framed.into_parts();
    assert_eq!(&parts.read_buf[..], b"half a header");
    // The same frames, written by another codec, are the same bytes.
    let (one, mut other) = tokio::io::duplex(1 << 16);
    let mut framed = Framed::new(one, FrameCodec::new(HeaderForm::Full, &Limits::default()));
    for frame in frames {
        framed.send(frame).await.unwrap();
    }
    let mut again = vec![0; whole];
    tokio::io::AsyncReadExt::read_exact(&mut other, &mut again)
        .await
        .unwrap();
    assert_eq!(again, bytes[..whole]);
}

#[tokio::test]
async fn errors_are_typed() {
    let limits = Limits::default().with_frame_body(100);
    // A body above the limit, a body that is too short, and a frame that is cut off.
    for (bytes, expected) in [
        (
            &[4, 0, 101, 0, 0, 0][..],
            "Header.size at byte 2: 101 is above the limit of 100",
        ),
        (
            &[103, 0, 1, 0, 0, 0, 9][..],
            "KeyModifiers.modifiers at byte 0: truncated: needs 2 bytes, 1 left",
        ),
        (&[101, 0, 4, 0, 0][..], "bytes remaining on stream"),
    ] {
        let (mut one, other) = tokio::io::duplex(100);
        one.write_all(bytes).await.unwrap();
        drop(one);
        let mut framed = Framed::new(
            other,
            MessageCodec::server(ChannelType::INPUTS, HeaderForm::Mini, &limits),
        );
        let error: CodecError = framed.next().await.unwrap().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

/// A frame in the form of a codec decodes as one on its own.
#[tokio::test]
async fn a_frame_of_any_kind() {
    let (mut one, other) = tokio::io::duplex(1 << 16);
    let bytes = [0xe7, 3, 3, 0, 0, 0, b'a', b'b', b'c'];
    one.write_all(&bytes).await.unwrap();
    let limits = Limits::default();
    let mut framed = Framed::new(other, MessageCodec::client(ChannelType(77), HeaderForm::Mini, &limits));
    let message = framed.next().await.unwrap().unwrap();
    assert!(message.is_unknown());
    let frame: Option<Frame> = FrameReader::new(HeaderForm::Mini, &limits)
        .decode(&mut BytesMut::from(&bytes[..]))
        .unwrap();
    assert_eq!(
        message,
        ServerMessage::Other(common::ServerMessage::Unknown(frame.unwrap()))
    );
}
