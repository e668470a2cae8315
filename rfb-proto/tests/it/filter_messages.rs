//! Every message of both directions against every switch of a filter, as a value and as the bytes that a guard sees.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use rfb_proto::encoding::Encoding;
use rfb_proto::filter::{Clipboard, Filter, Guard, InputRate};
use rfb_proto::framing::{HELD, Message, Verdict, Watch};
use rfb_proto::message::{
    AudioFormat, Bell, ChatEvent, ClientCutText, ClientFence, ClientMessage, Colour, EnableContinuousUpdates,
    EndOfContinuousUpdates, Extensions, FenceFlags, FileTransfer, FixColourMapEntries, FramebufferUpdateRequest, Gii,
    GiiSubtype, KeepAlive, KeyEvent, MonitorInfo, NotifyPluginStreaming, Ntp, PalmResizeFrameBuffer, PointerEvent,
    QemuAudioFormat, QemuClientMessage, QemuExtendedKeyEvent, QemuServerMessage, RequestSession, ResizeFrameBuffer,
    ServerCutText, ServerFence, ServerMessage, ServerState, SetColourMapEntries, SetDesktopSize, SetEncodings,
    SetMonitor, SetPixelFormat, SetScale, SetScaleFactor, SetServerInput, SetSession, SetSw, TextChat, Xvp, XvpCode,
};
use rfb_proto::{Limits, PixelFormat};

/// What a message needs to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    Keyboard,
    Pointer,
    ToServer,
    ToClient,
    Resize,
    Power,
    Files,
    Chat,
}

use Switch::{Chat, Files, Keyboard, Pointer, Power, Resize, ToClient, ToServer};

const SWITCHES: [Switch; 8] = [Keyboard, Pointer, ToServer, ToClient, Resize, Power, Files, Chat];

impl Switch {
    /// Everything passes, but for what needs this.
    fn off(self) -> Filter {
        let all = Filter::default().with_files(true);
        match self {
            Keyboard => all.with_keyboard(false),
            Pointer => all.with_pointer(false),
            ToServer => all.with_clipboard_to_server(Clipboard::Withhold),
            ToClient => all.with_clipboard_to_client(Clipboard::Withhold),
            Resize => all.with_resize(false),
            Power => all.with_power(false),
            Files => all.with_files(false),
            Chat => all.with_chat(false),
        }
    }
}

type Rows<T> = Vec<(T, &'static [Switch])>;

fn row<T>(message: impl Into<T>, needs: &'static [Switch]) -> (T, &'static [Switch]) {
    (message.into(), needs)
}

fn gii(subtype: GiiSubtype) -> Gii {
    let body = Bytes::from_static(b"\0\0");
    Gii {
        endian_and_subtype: subtype.0,
        body,
    }
}

fn files() -> FileTransfer {
    FileTransfer {
        content_type: 1,
        content_param: 0,
        padding: 0,
        size: 0,
        data: Bytes::from_static(b"name"),
    }
}

fn chat(text: &'static [u8]) -> TextChat {
    TextChat {
        padding: [0; 3],
        event: ChatEvent::Text(text.into()),
    }
}

fn ntp() -> Ntp {
    Ntp {
        padding: [0; 3],
        asked: 1,
        received: 0,
        answered: 0,
        returned: 0,
    }
}

fn key(down: u8, keysym: u32) -> ClientMessage {
    let padding = [0; 2];
    KeyEvent { down, padding, keysym }.into()
}

fn qemu_key(down: u16, keycode: u32) -> ClientMessage {
    let keysym = 0x61;
    QemuClientMessage::ExtendedKeyEvent(QemuExtendedKeyEvent { down, keysym, keycode }).into()
}

fn pointer(buttons: u16) -> ClientMessage {
    PointerEvent::new(buttons, 1, 2, &Extensions::NONE).into()
}

fn from_client() -> Rows<ClientMessage> {
    let (padding, x, y, width, height) = (0, 0, 0, 640, 480);
    let format = QemuAudioFormat {
        format: AudioFormat::S16,
        channels: 2,
        frequency: 44100,
    };
    vec![
        row(SetPixelFormat::new(PixelFormat::RGB888), &[]),
        row(
            FixColourMapEntries {
                padding,
                first: 0,
                colours: vec![],
            },
            &[],
        ),
        row(SetEncodings::new(&[Encoding::RAW]), &[]),
        row(
            FramebufferUpdateRequest {
                incremental: 1,
                x,
                y,
                width,
                height,
            },
            &[],
        ),
        row(key(1, 0x61), &[Keyboard]),
        row(pointer(1), &[Pointer]),
        row(PointerEvent::new(0x100, 1, 2, &Extensions::ALL), &[Pointer]),
        row(ClientCutText::new(Bytes::from_static(b"text")), &[ToServer]),
        row(files(), &[Files]),
        row(
            SetScale {
                scale: 2,
                padding: [0; 2],
            },
            &[],
        ),
        row(
            SetServerInput {
                status: 1,
                padding: [0; 2],
            },
            &[Keyboard, Pointer],
        ),
        row(SetSw { status: 1, x, y }, &[Keyboard, Pointer]),
        row(chat(b"hello"), &[Chat]),
        row(
            TextChat {
                padding: [0; 3],
                event: ChatEvent::Open,
            },
            &[Chat],
        ),
        row(KeepAlive {}, &[]),
        row(
            SetScaleFactor {
                scale: 2,
                padding: [0; 2],
            },
            &[],
        ),
        row(RequestSession {}, &[]),
        row(SetSession { session: 1 }, &[]),
        row(NotifyPluginStreaming { padding, flags: 0 }, &[]),
        row(
            EnableContinuousUpdates {
                enable: 1,
                x,
                y,
                width,
                height,
            },
            &[],
        ),
        row(ntp(), &[]),
        row(ClientFence::new(FenceFlags::REQUEST, Bytes::new()), &[]),
        row(Xvp::new(XvpCode::SHUTDOWN), &[Power]),
        row(SetDesktopSize::new(width, height, vec![]), &[Resize]),
        row(gii(GiiSubtype::EVENTS), &[Keyboard, Pointer]),
        row(gii(GiiSubtype::VERSION), &[]),
        row(gii(GiiSubtype::CREATE_DEVICE), &[]),
        row(gii(GiiSubtype::DESTROY_DEVICE), &[]),
        row(
            SetMonitor {
                monitor: 1,
                padding: [0; 2],
            },
            &[Keyboard, Pointer],
        ),
        row(qemu_key(1, 30), &[Keyboard]),
        row(QemuClientMessage::EnableAudio, &[]),
        row(QemuClientMessage::SetAudioFormat(format), &[]),
    ]
}

fn from_server() -> Rows<ServerMessage> {
    let (padding, width, height) = (0, 640, 480);
    vec![
        row(
            SetColourMapEntries {
                padding,
                first: 0,
                colours: vec![],
            },
            &[],
        ),
        row(Bell {}, &[]),
        row(ServerCutText::new(Bytes::from_static(b"text")), &[ToClient]),
        row(ResizeFrameBuffer { padding, width, height }, &[]),
        row(files(), &[Files]),
        row(chat(b"hello"), &[Chat]),
        row(KeepAlive {}, &[]),
        row(
            PalmResizeFrameBuffer {
                padding,
                desktop_width: width,
                desktop_height: height,
                buffer_width: width,
                buffer_height: height,
                more_padding: [0; 2],
            },
            &[],
        ),
        row(EndOfContinuousUpdates {}, &[]),
        row(ntp(), &[]),
        row(
            ServerState {
                padding: [0; 3],
                state: 1,
                value: 1,
            },
            &[],
        ),
        row(ServerFence::new(FenceFlags::REQUEST, Bytes::new()), &[]),
        row(Xvp::new(XvpCode::INIT), &[]),
        row(
            MonitorInfo {
                monitor: 2,
                padding: [0; 2],
            },
            &[],
        ),
        row(gii(GiiSubtype::VERSION), &[]),
        row(QemuServerMessage::AudioBegin, &[]),
        row(QemuServerMessage::AudioData(Bytes::from_static(b"ab")), &[]),
    ]
}

/// The bytes as a relay shows them.
fn seen(bytes: &[u8]) -> Message<'_> {
    Message {
        number: bytes[0],
        len: bytes.len() as u64,
        offset: 0,
        bytes,
    }
}

fn of_client(message: &ClientMessage) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

fn of_server(message: &ServerMessage) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes).unwrap();
    bytes
}

const fn verdict(passes: bool) -> Verdict {
    if passes { Verdict::Pass } else { Verdict::Withhold }
}

/// With a rate that holds nothing back.
fn guards(filter: &Filter) -> [Guard; 2] {
    let guard = Guard::new(filter.clone(), &Limits::default());
    [guard.clone(), guard.with_rate(InputRate::new(1000, 1000))]
}

/// A message passes where nothing is off that it needs, whether it is judged as a value or, with a rate or without, as it
/// comes.
#[test]
fn every_message_needs_its_switches_and_no_others() {
    let limits = Limits::default();
    let mut filters: Vec<_> = SWITCHES.iter().map(|switch| (switch.off(), vec![*switch])).collect();
    filters.push((Filter::default().with_files(true), vec![]));
    filters.push((Filter::default(), vec![Files]));
    filters.push((
        Filter::view_only(),
        vec![Keyboard, Pointer, ToServer, Resize, Power, Files, Chat],
    ));
    let (client, server) = (from_client(), from_server());
    for (filter, lacks) in filters {
        let passes = |needs: &[Switch]| needs.iter().all(|need| !lacks.contains(need));
        for (message, needs) in &client {
            let expected = verdict(passes(needs));
            assert_eq!(filter.client(message, &limits), expected, "{lacks:?}: {message:?}");
            let bytes = of_client(message);
            for mut guard in guards(&filter) {
                assert_eq!(guard.client(&seen(&bytes)), expected, "{lacks:?}: {message:?}");
                assert_eq!(guard.withheld(), u64::from(!passes(needs)), "{lacks:?}: {message:?}");
                let refused = !passes(needs) && needs.contains(&Resize);
                assert_eq!(guard.take_resize_refused(), refused, "{lacks:?}: {message:?}");
            }
        }
        for (message, needs) in &server {
            let expected = verdict(passes(needs));
            assert_eq!(filter.server(message, &limits), expected, "{lacks:?}: {message:?}");
            let bytes = of_server(message);
            for mut guard in guards(&filter) {
                assert_eq!(guard.server(&seen(&bytes)), expected, "{lacks:?}: {message:?}");
                assert_eq!(guard.withheld(), u64::from(!passes(needs)), "{lacks:?}: {message:?}");
            }
        }
    }
    // The head of an update is no message to a guard.
    let numbers = |table: &[(u8, &str)]| table.iter().map(|(number, _)| *number).collect::<Vec<_>>();
    let mut listed: Vec<u8> = client.iter().map(|(message, _)| message.number()).collect();
    listed.dedup();
    assert_eq!(listed, numbers(ClientMessage::TABLE));
    let mut listed: Vec<u8> = server.iter().map(|(message, _)| message.number()).collect();
    listed.dedup();
    assert_eq!(listed, numbers(ServerMessage::TABLE)[1..]);
}

/// What makes no sense as a message of the extended clipboard passes only where everything does.
#[test]
fn packed_clipboards_that_make_no_sense() {
    let limits = Limits::default();
    let (padding, extended, text) = ([0; 3], true, Bytes::from_static(b"\0\0\0\x01"));
    let client = ClientMessage::from(ClientCutText {
        padding,
        extended,
        text: text.clone(),
    });
    let server = ServerMessage::from(ServerCutText {
        padding,
        extended,
        text,
    });
    let rules = [Clipboard::Pass, Clipboard::AtMost(u32::MAX), Clipboard::Withhold];
    for (to_server, to_client) in rules.iter().flat_map(|a| rules.iter().map(move |b| (*a, *b))) {
        let filter = Filter::default()
            .with_clipboard_to_server(to_server)
            .with_clipboard_to_client(to_client);
        let expected = verdict((to_server, to_client) == (Clipboard::Pass, Clipboard::Pass));
        let of = format!("{to_server:?}, {to_client:?}");
        assert_eq!(filter.client(&client, &limits), expected, "{of}");
        assert_eq!(filter.server(&server, &limits), expected, "{of}");
        for mut guard in guards(&filter) {
            assert_eq!(guard.client(&seen(&of_client(&client))), expected, "{of}");
            assert_eq!(guard.server(&seen(&of_server(&server))), expected, "{of}");
        }
    }
}

/// Messages that are too long to be held have switches too: files, a chat, and what is no clipboard.
#[test]
fn messages_in_pieces_need_their_switches() {
    let file = FileTransfer {
        data: vec![b'f'; HELD].into(),
        ..files()
    };
    let said = TextChat {
        padding: [0; 3],
        event: ChatEvent::Text(vec![b'c'; HELD].into()),
    };
    let (red, green, blue) = (1, 2, 3);
    let colours = vec![Colour { red, green, blue }; HELD / 6];
    let (padding, first) = (0, 0);
    let both = |needs: &'static [Switch], client: ClientMessage, server: ServerMessage| {
        (needs, of_client(&client), of_server(&server))
    };
    let rows = [
        both(&[Files], file.clone().into(), file.into()),
        both(&[Chat], said.clone().into(), said.into()),
        both(
            &[],
            FixColourMapEntries {
                padding,
                first,
                colours: colours.clone(),
            }
            .into(),
            SetColourMapEntries {
                padding,
                first,
                colours,
            }
            .into(),
        ),
    ];
    for (needs, client, server) in rows {
        for switch in SWITCHES {
            let expected = verdict(!needs.contains(&switch));
            for mut guard in guards(&switch.off()) {
                let of = format!("{switch:?}: message {}", client[0]);
                assert!(HELD < client.len() && HELD < server.len());
                assert_eq!(guard.client(&seen(&client)), expected, "{of}");
                assert_eq!(guard.server(&seen(&server)), expected, "{of}");
            }
        }
    }
}

/// Bit 7 of the short form is a button; in the long form it marks the buttons behind it. With a rate a guard has to know
/// them.
#[test]
fn a_guard_knows_the_long_form_of_the_mouse() {
    let rate = InputRate::new(1, 2);
    let mut guard = Guard::new(Filter::default(), &Limits::default()).with_rate(rate);
    let short = |buttons| [5, buttons, 0, 1, 0, 2];
    let long = |low: u8, high| [5, low | 0x80, 0, 1, 0, 2, high];
    assert_eq!(guard.client(&seen(&short(0x80))), Verdict::Pass);
    assert_eq!(guard.client(&seen(&long(0, 1))), Verdict::Pass);
    // Nothing is left of the rate: the button that goes up passes, without the one that goes down.
    let Verdict::Replace(bytes) = guard.client(&seen(&long(1, 0))) else {
        panic!();
    };
    assert_eq!(bytes[..], long(0, 0));
    assert_eq!(guard.client(&seen(&short(0x80))), Verdict::Withhold);
}

/// A rate is for input: an event of another device and a key of QEMU's count, what is said about devices does not.
#[test]
fn what_a_rate_counts() {
    let now = Duration::ZERO;
    let counted = [key(1, 1), qemu_key(1, 1), pointer(1), gii(GiiSubtype::EVENTS).into()];
    for message in from_client()
        .into_iter()
        .map(|(message, _)| message)
        .chain(counted.clone())
    {
        let is_input = match &message {
            ClientMessage::QemuClientMessage(message) => matches!(message, QemuClientMessage::ExtendedKeyEvent(_)),
            ClientMessage::Gii(gii) => gii.subtype() == GiiSubtype::EVENTS,
            message => matches!(message, ClientMessage::KeyEvent(_) | ClientMessage::PointerEvent(_)),
        };
        for first in &counted {
            let mut rate = InputRate::new(1, 1);
            assert_eq!(rate.judge(now, first), Verdict::Pass);
            // Another key, so that it is not let go.
            assert_eq!(rate.judge(now, &key(1, 2)), Verdict::Withhold, "{first:?}");
            let mut rate = InputRate::new(0, 0);
            assert_eq!(rate.judge(now, &message), verdict(!is_input), "{message:?}");
        }
    }
}

/// A key of QEMU's is known by its code: it can be let go whatever the rate, and it is another than that of a keysym.
#[test]
fn keys_of_qemu_can_be_let_go() {
    let mut rate = InputRate::new(1, 1);
    let now = Duration::ZERO;
    assert_eq!(rate.judge(now, &qemu_key(1, 30)), Verdict::Pass);
    assert_eq!(rate.judge(now, &qemu_key(1, 30)), Verdict::Withhold, "it repeats");
    assert_eq!(rate.judge(now, &qemu_key(0, 31)), Verdict::Withhold, "another one");
    assert_eq!(rate.judge(now, &key(0, 30)), Verdict::Withhold, "a keysym");
    assert_eq!(rate.judge(now, &qemu_key(0, 30)), Verdict::Pass);
    assert_eq!(rate.judge(now, &qemu_key(0, 30)), Verdict::Withhold, "it is up");
}

/// Of a client that holds more keys than a user has fingers, no more are noted, and none is pressed; what is up can be let go
/// as before.
#[test]
fn keys_that_are_held_are_bounded() {
    let mut rate = InputRate::new(1000, 1000);
    let now = Duration::ZERO;
    let pressed = (0..100).filter(|keysym| rate.judge(now, &key(1, *keysym)) == Verdict::Pass);
    assert_eq!(pressed.count(), 32);
    assert_eq!(rate.judge(now, &key(1, 0)), Verdict::Pass, "it repeats");
    assert_eq!(rate.judge(now, &key(0, 99)), Verdict::Pass, "it was not pressed here");
    assert_eq!(rate.judge(now, &key(0, 0)), Verdict::Pass);
    assert_eq!(rate.judge(now, &key(1, 99)), Verdict::Pass, "there is room for it");
    assert_eq!(rate.judge(now, &key(1, 98)), Verdict::Withhold);
}
