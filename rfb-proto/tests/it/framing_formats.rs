//! The format of pixels while it changes: what a framer knows for sure, and what [`AmbiguousFormat`] decides in doubt.

use bytes::BytesMut;
use expect_test::expect;
use rfb_proto::encoding::Encoding;
use rfb_proto::framing::{AmbiguousFormat, Ends, Part, ServerFramer};
use rfb_proto::message::{
    ClientFence, ClipboardFlags, EnableContinuousUpdates, EndOfContinuousUpdates, ExtendedClipboard, Extension,
    Extensions, FenceFlags, FramebufferUpdateRequest, Gii, GiiSubtype, ServerCutText, ServerFence, ServerMessage,
    SetEncodings, SetPixelFormat, Xvp, XvpCode,
};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::encodings::head;

const RGB: PixelFormat = PixelFormat::RGB888;
/// One byte a pixel.
const SMALL: PixelFormat = PixelFormat {
    bits_per_pixel: 8,
    depth: 8,
    true_colour: 0,
    ..RGB
};
/// Two bytes.
const MIDDLE: PixelFormat = PixelFormat {
    bits_per_pixel: 16,
    depth: 16,
    red_max: 31,
    green_max: 63,
    blue_max: 31,
    ..RGB
};

fn framer(doubt: AmbiguousFormat) -> ServerFramer {
    let init = ServerInit {
        width: 64,
        height: 64,
        format: RGB,
        name: (&b"formats"[..]).into(),
    };
    ServerFramer::new(&init, &Limits::default()).with_ambiguous_format(doubt)
}

fn bytes(encode: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut dst = BytesMut::new();
    encode(&mut dst);
    dst
}

/// What the client does.
trait Client {
    fn asks(&mut self);
    fn sets(&mut self, format: PixelFormat);
    fn fences(&mut self, flags: FenceFlags);
    fn continues(&mut self, enable: u8);
}

impl Client for ServerFramer {
    fn asks(&mut self) {
        let (incremental, x, y, width, height) = (1, 0, 0, 64, 64);
        let request = FramebufferUpdateRequest {
            incremental,
            x,
            y,
            width,
            height,
        };
        self.client_sent(&bytes(|dst| request.encode(dst).unwrap())).unwrap();
    }

    fn sets(&mut self, format: PixelFormat) {
        self.client_sent(&bytes(|dst| SetPixelFormat::new(format).encode(dst).unwrap()))
            .unwrap();
    }

    fn fences(&mut self, flags: FenceFlags) {
        let fence = ClientFence {
            padding: [0; 3],
            flags,
            payload: (&b"f"[..]).into(),
        };
        self.client_sent(&bytes(|dst| fence.encode(dst).unwrap())).unwrap();
    }

    fn continues(&mut self, enable: u8) {
        let (x, y, width, height) = (0, 0, 64, 64);
        let message = EnableContinuousUpdates {
            enable,
            x,
            y,
            width,
            height,
        };
        self.client_sent(&bytes(|dst| message.encode(dst).unwrap())).unwrap();
    }
}

fn fence(flags: FenceFlags) -> Vec<u8> {
    let fence = ServerFence {
        padding: [0; 3],
        flags,
        payload: (&b"f"[..]).into(),
    };
    bytes(|dst| fence.encode(dst).unwrap()).to_vec()
}

/// An update of one Raw rectangle of three pixels of this size.
fn raw(pixel: usize) -> Vec<u8> {
    let mut update = vec![0, 0, 0, 1];
    update.extend_from_slice(&head(0, 3, 1));
    update.resize(update.len() + 3 * pixel, 9);
    update
}

/// An update of one rectangle that ends in the same place in all formats.
fn zrle() -> Vec<u8> {
    let mut update = vec![0, 0, 0, 1];
    update.extend_from_slice(&head(16, 3, 1));
    update.extend_from_slice(&[0, 0, 0, 2, 8, 8]);
    update
}

/// The stream is whole messages for the framer. The bell behind it finds a stream that was misread.
fn takes(framer: &mut ServerFramer, stream: &[u8]) {
    let stream = [stream, &[2]].concat();
    let mut left = &stream[..];
    let mut last = None;
    while let Some(part) = framer.next_part(&mut left).unwrap() {
        last = Some(part);
    }
    assert!(
        left.is_empty() && framer.is_between_messages(),
        "{:?}",
        framer.missing()
    );
    assert!(
        matches!(last, Some(Part::Message(message)) if message.number == 2),
        "{last:?}"
    );
}

/// The first rectangle is an error, or none is.
fn fails(framer: &mut ServerFramer, stream: &[u8]) -> String {
    let mut left = stream;
    loop {
        match framer.next_part(&mut left) {
            Ok(Some(_)) => {}
            Ok(None) => return String::new(),
            Err(error) => return error.to_string(),
        }
    }
}

#[test]
fn a_client_that_waits_is_not_in_doubt() {
    let mut framer = framer(AmbiguousFormat::Refuse);
    // At the beginning, as all do.
    framer.sets(SMALL);
    assert_eq!((framer.format(), framer.pending_format()), (&SMALL, None));
    framer.asks();
    takes(&mut framer, &raw(1));
    // In the middle, when every request was answered.
    framer.sets(MIDDLE);
    assert_eq!(framer.format(), &MIDDLE);
    framer.asks();
    takes(&mut framer, &raw(2));
}

#[test]
fn a_request_that_is_outstanding_leaves_doubt() {
    let asked = |doubt| {
        let mut framer = framer(doubt);
        framer.asks();
        framer.sets(SMALL);
        assert_eq!((framer.format(), framer.pending_format()), (&RGB, Some(&SMALL)));
        // What frames alike does not decide it.
        takes(&mut framer, &[2]);
        framer
    };
    // The answer to the request may have either format.
    takes(&mut asked(AmbiguousFormat::Pending), &raw(1));
    takes(&mut asked(AmbiguousFormat::Current), &raw(4));
    let error = fails(&mut asked(AmbiguousFormat::Refuse), &raw(4));
    expect!["byte 14: Raw.encoding at byte 8: the format of its pixels is in doubt"].assert_eq(&error);
    // When it was answered, the next one has the new format.
    for doubt in [
        AmbiguousFormat::Pending,
        AmbiguousFormat::Current,
        AmbiguousFormat::Refuse,
    ] {
        let mut framer = asked(doubt);
        takes(&mut framer, &zrle());
        assert_eq!((framer.format(), framer.pending_format()), (&SMALL, None));
        takes(&mut framer, &raw(1));
    }
    // Of two requests the second may be answered in either.
    let mut framer = framer(AmbiguousFormat::Refuse);
    framer.asks();
    framer.asks();
    framer.sets(SMALL);
    takes(&mut framer, &zrle());
    assert_eq!(framer.pending_format(), Some(&SMALL));
    // An update that shows nothing answers nothing.
    takes(&mut framer, &[0, 0, 0, 0]);
    assert_eq!(framer.pending_format(), Some(&SMALL));
    takes(&mut framer, &zrle());
    takes(&mut framer, &raw(1));
}

/// A caller that knows better says so.
#[test]
fn a_caller_can_switch() {
    let mut framer = framer(AmbiguousFormat::Refuse);
    framer.asks();
    framer.sets(SMALL);
    framer.switch_format();
    takes(&mut framer, &raw(1));
}

/// TigerVNC's viewer sends a fence with SyncNext, the format behind it, and takes the new format when the answer comes.
#[test]
fn a_fence_tells_for_sure() {
    let continuous = || {
        let mut framer = framer(AmbiguousFormat::Refuse);
        framer.continues(1);
        framer.fences(FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::SYNC_NEXT.0));
        framer.sets(SMALL);
        framer
    };
    let mut framer = continuous();
    takes(&mut framer, &zrle());
    assert!(
        !fails(&mut framer.clone(), &raw(4)).is_empty(),
        "before the answer nobody knows"
    );
    takes(&mut framer, &fence(FenceFlags::SYNC_NEXT));
    assert_eq!((framer.format(), framer.pending_format()), (&SMALL, None));
    takes(&mut framer, &raw(1));
    // A server that does not have SyncNext takes it out of the answer, which then says nothing.
    let mut framer = continuous();
    takes(&mut framer, &fence(FenceFlags(0)));
    assert_eq!(framer.pending_format(), Some(&SMALL));
    // The answer to a fence that was sent behind it does.
    framer.fences(FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::BLOCK_BEFORE.0));
    takes(&mut framer, &fence(FenceFlags::BLOCK_BEFORE));
    takes(&mut framer, &raw(1));
    // A fence of the server's own is no answer, nor is one with another message in between.
    let mut framer = continuous();
    takes(
        &mut framer,
        &fence(FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::SYNC_NEXT.0)),
    );
    assert_eq!(framer.pending_format(), Some(&SMALL));
    let mut framer = self::framer(AmbiguousFormat::Refuse);
    framer.asks();
    framer.fences(FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::SYNC_NEXT.0));
    framer.asks();
    framer.sets(SMALL);
    takes(&mut framer, &fence(FenceFlags::SYNC_NEXT));
    assert_eq!(framer.pending_format(), Some(&SMALL));
}

/// A fence that is too long for an answer is not waited for.
#[test]
fn a_fence_that_is_not_answered() {
    let ask = FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::SYNC_NEXT.0);
    for (len, pending) in [(64, Some(&SMALL)), (65, None)] {
        let mut framer = framer(AmbiguousFormat::Refuse);
        framer.continues(1);
        let first = ClientFence::new(ask, vec![b'f'; len].into());
        framer.client_sent(&bytes(|dst| first.encode(dst).unwrap())).unwrap();
        framer.fences(ask);
        framer.sets(SMALL);
        takes(&mut framer, &fence(FenceFlags::SYNC_NEXT));
        assert_eq!(framer.pending_format(), pending, "{len}");
    }
}

/// When continuous updates have ended, updates answer requests again: without one a format is in force at once.
#[test]
fn continuous_updates_end() {
    let mut framer = framer(AmbiguousFormat::Refuse);
    framer.continues(1);
    framer.continues(0);
    framer.sets(SMALL);
    assert_eq!(framer.pending_format(), Some(&SMALL), "some may be on their way");
    framer.switch_format();
    takes(&mut framer, &[150]);
    framer.sets(MIDDLE);
    assert_eq!((framer.format(), framer.pending_format()), (&MIDDLE, None));
    framer.asks();
    takes(&mut framer, &raw(2));
}

/// A server announces an extension by a message of it.
#[test]
fn messages_announce_extensions() {
    let wanted = Extension::ALL.map(Extension::encoding);
    let caps = ExtendedClipboard::Caps {
        flags: ClipboardFlags::CAPS,
        sizes: vec![],
    };
    let server = |message: ServerMessage| bytes(|dst| message.encode(dst).unwrap());
    let gii = |subtype: GiiSubtype| Gii {
        endian_and_subtype: subtype.0,
        body: (&b"\0\0"[..]).into(),
    };
    for (message, announced) in [
        (
            server(ServerCutText::from_extended(&caps).unwrap().into()),
            Some(Extension::ExtendedClipboard),
        ),
        (server(ServerCutText::new((&b"text"[..]).into()).into()), None),
        (
            server(EndOfContinuousUpdates {}.into()),
            Some(Extension::ContinuousUpdates),
        ),
        (fence(FenceFlags::REQUEST)[..].into(), Some(Extension::Fence)),
        (server(Xvp::new(XvpCode::INIT).into()), Some(Extension::Xvp)),
        (server(Xvp::new(XvpCode::FAIL).into()), None),
        (server(gii(GiiSubtype::VERSION).into()), Some(Extension::Gii)),
        (server(gii(GiiSubtype::CREATE_DEVICE).into()), None),
    ] {
        let mut framer = framer(AmbiguousFormat::default()).with_extensions(Extensions::NONE);
        let asks = bytes(|dst| SetEncodings::new(&wanted).encode(dst).unwrap());
        framer.client_sent(&asks).unwrap();
        takes(&mut framer, &message);
        for extension in Extension::ALL {
            let agreed = framer.extensions().agreed(extension);
            assert_eq!(agreed, Some(extension) == announced, "{extension:?}: {message:02x?}");
        }
    }
}

#[test]
fn several_formats_one_after_the_other() {
    let mut framer = framer(AmbiguousFormat::Refuse);
    framer.continues(1);
    for format in [SMALL, MIDDLE] {
        framer.fences(FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::SYNC_NEXT.0));
        framer.sets(format);
    }
    takes(&mut framer, &fence(FenceFlags::SYNC_NEXT));
    assert_eq!((framer.format(), framer.pending_format()), (&SMALL, Some(&MIDDLE)));
    takes(&mut framer, &fence(FenceFlags::SYNC_NEXT));
    assert_eq!((framer.format(), framer.pending_format()), (&MIDDLE, None));
    // Four are kept.
    for _ in 0..4 {
        framer.sets(SMALL);
    }
    let fifth = bytes(|dst| SetPixelFormat::new(RGB).encode(dst).unwrap());
    let error = framer.client_sent(&fifth).unwrap_err();
    expect!["SetPixelFormat.format at byte 4: 5 is above the limit of 4"].assert_eq(&error.to_string());
}

/// WMVi: a rectangle that changes the format, at once.
#[test]
fn a_server_sets_the_format_itself() {
    let mut update = vec![0, 0, 0, 2];
    update.extend_from_slice(&head(Encoding::VMWARE_DISPLAY_MODE.0, 64, 64));
    update.extend_from_slice(&bytes(|dst| SMALL.encode(dst).unwrap()));
    update.extend_from_slice(&head(0, 3, 1));
    update.extend_from_slice(&[1, 2, 3]);
    let mut framer = framer(AmbiguousFormat::Refuse);
    takes(&mut framer, &update);
    // In any pieces.
    let mut framer = self::framer(AmbiguousFormat::Refuse);
    let mut rx = Vec::new();
    for byte in &update {
        rx.push(*byte);
        let mut left = &rx[..];
        while framer.next_part(&mut left).unwrap().is_some() {}
        rx = left.to_vec();
    }
    assert!(framer.is_between_messages());
    // What the client has set may come into force behind it.
    let mut framer = self::framer(AmbiguousFormat::Current);
    framer.asks();
    framer.sets(MIDDLE);
    takes(&mut framer, &update);
    assert_eq!((framer.format(), framer.pending_format()), (&MIDDLE, None));
}

/// A format whose pixels have no known length. What has no pixels goes on.
#[test]
fn a_format_without_a_size() {
    let broken = PixelFormat {
        bits_per_pixel: 24,
        ..RGB
    };
    let mut framer = framer(AmbiguousFormat::default());
    framer.sets(broken);
    takes(&mut framer, &zrle());
    let error = fails(&mut framer, &raw(3));
    expect!["byte 35: Raw.encoding at byte 8: a pixel has neither 8, 16 nor 32 bits"].assert_eq(&error);
}

#[test]
fn a_resize_is_noted() {
    let mut framer = framer(AmbiguousFormat::default());
    let mut resize = |encoding, x: u8, y: u8, payload: &[u8]| {
        let mut update = vec![0, 0, 0, 1];
        let mut head = head(encoding, 80, 60);
        (head[1], head[3]) = (x, y);
        update.extend_from_slice(&head);
        update.extend_from_slice(payload);
        takes(&mut framer, &update);
        framer.framebuffer()
    };
    // A wish that was not granted is no new size.
    assert_eq!(resize(-308, 1, 3, &[0; 4]), (64, 64));
    assert_eq!(resize(-308, 1, 0, &[0; 4]), (80, 60));
    assert_eq!(resize(-223, 9, 9, &[]), (80, 60));
    takes(&mut framer, &[4, 0, 0, 70, 0, 50]);
    assert_eq!(framer.framebuffer(), (70, 50));
    takes(&mut framer, &[15, 0, 0, 1, 0, 1, 0, 30, 0, 20, 0, 0]);
    assert_eq!(framer.framebuffer(), (30, 20));
}

#[test]
fn an_update_ends_where_its_head_says_or_before() {
    let mut framer = framer(AmbiguousFormat::default());
    takes(&mut framer, &[0, 0, 0, 0]);
    // All of 65,535 rectangles.
    let mut update = vec![0, 0, 0xff, 0xff];
    for _ in 0..u16::MAX {
        update.extend_from_slice(&head(1, 1, 1));
        update.extend_from_slice(&[0; 4]);
    }
    takes(&mut framer, &update);
    let mut ends = Vec::new();
    let update = [&[0, 0, 0, 9][..], &head(-224, 0, 0)].concat();
    let mut left = &update[..];
    while let Some(part) = framer.next_part(&mut left).unwrap() {
        if let Part::Rectangle(piece) = part {
            ends.push(piece.ends);
        }
    }
    assert_eq!(ends, [Ends::Update]);
}
