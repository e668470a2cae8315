//! The codecs over streams in memory, and recordings through them.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use rfb_proto::codec::{ClientCodec, CodecError, RectanglePiece, ServerCodec, ServerItem};
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::framing::Ends;
use rfb_proto::message::{
    Bell, ClientMessage, Extension, Extensions, FramebufferUpdate, PointerEvent, ServerCutText, SetEncodings,
};
use rfb_proto::{Limits, PixelFormat, ServerInit};
use tokio_util::codec::{Decoder, Encoder, Framed};

use crate::framing_captures::Session;
use crate::recordings::{Rows, SOURCE};

fn init() -> ServerInit {
    ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::RGB888,
        name: Bytes::new(),
    }
}

fn rectangle(encoding: Encoding, payload: &'static [u8], ends: Ends) -> ServerItem {
    let rectangle = Rectangle {
        x: 0,
        y: 0,
        width: 2,
        height: 1,
        encoding,
    };
    let payload = Bytes::from_static(payload);
    ServerItem::Rectangle(RectanglePiece {
        rectangle,
        first: true,
        payload,
        ends,
    })
}

/// A session over a pipe that holds few bytes: what one side writes the other reads, and both know what was agreed on.
#[tokio::test]
async fn two_ends_understand_each_other() {
    let (near, far) = tokio::io::duplex(16);
    let limits = Limits::default();
    let mut client = Framed::new(near, ClientCodec::new(&init(), &limits));
    let mut server = Framed::new(far, ServerCodec::new(&limits));
    let update = FramebufferUpdate {
        padding: 0,
        rectangles: 2,
    };
    let answer = [
        ServerItem::from(update),
        rectangle(Encoding::EXTENDED_MOUSE_BUTTONS, b"", Ends::Rectangle),
        rectangle(Encoding::COPY_RECT, &[0, 1, 0, 2], Ends::Update),
        Bell {}.into(),
        ServerCutText::new(vec![b'x'; 300_000].into()).into(),
    ];
    let expected = answer.clone();
    let serve = async move {
        let Some(Ok(ClientMessage::SetEncodings(_))) = server.next().await else {
            panic!();
        };
        for item in answer {
            server.send(item).await.unwrap();
        }
        assert!(server.codec().extensions().agreed(Extension::ExtendedMouseButtons));
        let Some(Ok(ClientMessage::PointerEvent(event))) = server.next().await else {
            panic!();
        };
        assert_eq!((event.buttons, event.extended), (0x180, true));
    };
    let view = async {
        let wish = SetEncodings::new(&[Encoding::COPY_RECT, Encoding::EXTENDED_MOUSE_BUTTONS]);
        client.send(wish.into()).await.unwrap();
        let mut pieces = Vec::new();
        for item in expected {
            let mut got = client.next().await.unwrap().unwrap();
            // A payload may come in pieces.
            while let ServerItem::Rectangle(piece) = &got {
                pieces.extend_from_slice(&piece.payload);
                if piece.ends != Ends::Nothing {
                    break;
                }
                got = client.next().await.unwrap().unwrap();
            }
            match (got, item) {
                (ServerItem::Rectangle(got), ServerItem::Rectangle(item)) => {
                    assert_eq!((got.rectangle, got.ends), (item.rectangle, item.ends));
                    assert_eq!(core::mem::take(&mut pieces), item.payload);
                }
                (got, item) => assert_eq!(got, item),
            }
        }
        let extensions = *client.codec().framer().extensions();
        let event = PointerEvent::new(0x180, 1, 2, &extensions);
        client.send(event.into()).await.unwrap();
    };
    tokio::join!(serve, view);
}

#[test]
fn an_end_inside_of_a_message_is_an_error() {
    let mut codec = ClientCodec::new(&init(), &Limits::default());
    let mut src = BytesMut::from(&b"\x02\0\0\0\x01\0\0\0\0\0\x02\0\x01\0\0\0\0pixe"[..]);
    for _ in 0..3 {
        codec.decode_eof(&mut src).unwrap().unwrap();
    }
    let error = codec.decode_eof(&mut src).unwrap_err();
    assert!(matches!(error, CodecError::Io(_)), "{error}");
    let mut codec = ServerCodec::new(&Limits::default());
    let mut src = BytesMut::from(&b"\x04\x01"[..]);
    assert!(matches!(codec.decode_eof(&mut src), Err(CodecError::Io(_))));
}

#[test]
fn what_cannot_be_read_or_written_is_told() {
    let mut server = ServerCodec::new(&Limits::default());
    let error = server.decode(&mut BytesMut::from(&b"\x7f"[..])).unwrap_err();
    assert_eq!(error.to_string(), "ClientMessage.type at byte 0: 127 is not known");
    let mut client = ClientCodec::new(&init(), &Limits::default());
    let error = client
        .decode(&mut BytesMut::from(&b"\x02\x7f"[..]))
        .unwrap()
        .map(|_| ());
    assert_eq!(error, Some(()));
    let event = PointerEvent {
        buttons: 0x100,
        x: 0,
        y: 0,
        extended: false,
    };
    let mut dst = BytesMut::new();
    assert!(matches!(
        client.encode(event.into(), &mut dst),
        Err(CodecError::Encode(_))
    ));
    assert!(dst.is_empty());
}

/// A recorded session through both codecs, and encoded back to the same bytes. Gives how many messages and items it has.
pub(crate) fn through_both(session: &Session) -> [usize; 2] {
    let (mut messages, mut items) = (0, 0);
    let limits = Limits::default();
    let mut server = ServerCodec::new(&limits);
    let mut client = ClientCodec::new(&session.init, &limits);
    let (mut from_client, mut from_server) = (BytesMut::new(), BytesMut::new());
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    for (is_client, bytes) in session.reads() {
        if is_client {
            from_client.extend_from_slice(bytes);
            while let Some(message) = server.decode(&mut from_client).unwrap() {
                client.encode(message, &mut to_server).unwrap();
                messages += 1;
            }
        } else {
            from_server.extend_from_slice(bytes);
            while let Some(item) = client.decode(&mut from_server).unwrap() {
                server.encode(item, &mut to_client).unwrap();
                items += 1;
            }
        }
    }
    assert!(session.client().starts_with(&to_server));
    assert!(session.server().starts_with(&to_client));
    assert_eq!(to_server.len() + from_client.len(), session.client().len());
    assert_eq!(to_client.len() + from_server.len(), session.server().len());
    [messages, items]
}

#[test]
fn recordings_go_through_both_codecs() {
    let extensions = Extensions::default();
    assert!(!extensions.agreed(Extension::Fence));
    let mut rows = Rows::new(SOURCE);
    for session in Session::all() {
        rows.row(session.name(), || through_both(&session));
    }
    rows.end();
}
