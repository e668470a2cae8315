#![cfg_attr(fuzzing, no_main)]
//! What stands inside of messages of RFB: rectangles that are no pictures, clipboards, pixel formats, version lines, numbers.
//!
//! ```text
//! | what u8 | ... |                                          what modulo 5:
//! 0 pseudo-rectangles: | head of the rectangle 12 bytes | pixel format 16 bytes | payload |
//! 1 clipboard: | for each format: which u8 | length u8 | text | |
//! 2 pixel formats: | 16 bytes | a pixel |
//! 3 version lines: | 12 bytes |
//! 4 numbers: | u32 | JSON |
//! ```
//!
//! What decodes encodes to the same bytes; what is packed unpacks to the same; a pixel has a colour exactly in a format that is
//! good; a version line that is read is written again; a number and its name are the same in JSON.
//!
//! Not searched in CI: see LAWS.md.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use bytes::{Bytes, BytesMut};
use fuzz::Input;
use fuzz::shown::{logged, shown};
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::message::pseudo::{LedState, Pseudo, ResizeReason, ResizeStatus, VmwareCursorKind};
use rfb_proto::message::{
    AudioFormat, ClientCutText, ClipboardFlags, ExtendedClipboard, FenceFlags, GiiSubtype, Provide, QemuAudioNotice,
    QemuAudioRequest, QemuSubtype, XvpCode,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::{Limits, PixelFormat, Policy, ProtocolVersion, Version};
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz::target!(check);

fn limits() -> Limits {
    Limits::default().with_name(256).with_clipboard(4096)
}

fn taken<const N: usize>(input: &mut Input<'_>) -> [u8; N] {
    std::array::from_fn(|_| input.byte())
}

fn pseudo(mut input: Input<'_>) {
    let (head, format) = (taken::<12>(&mut input), taken::<16>(&mut input));
    let rectangle = Rectangle::decode_slice(&head, &limits()).expect("12 bytes are a head");
    let Ok(format) = PixelFormat::decode_slice(&format, &limits()) else {
        return;
    };
    let payload = Bytes::copy_from_slice(input.rest());
    let encoding = rectangle.encoding;
    let kinds = (encoding.is_wish(), encoding.can_be_framed());
    logged(&(encoding, encoding.extent(), kinds), 0);
    assert!(encoding.name().is_none_or(|name| encoding.to_string().contains(name)));
    match Pseudo::decode(&rectangle, &payload, &format, &limits()) {
        Ok(Some(decoded)) => {
            assert!(!encoding.is_picture());
            assert_eq!(decoded.encoding(), encoding);
            shown(&decoded, payload.len());
            let mut written = BytesMut::new();
            decoded.encode(&mut written).expect("it was decoded");
            assert!(payload.starts_with(&written), "{decoded:?}");
        }
        Ok(None) => {}
        Err(error) => assert!(error.offset <= payload.len() && !error.to_string().is_empty()),
    }
}

fn clipboard(mut input: Input<'_>) {
    let mut texts: Vec<(ClipboardFlags, &[u8])> = Vec::new();
    while !input.is_empty() && texts.len() < 8 {
        let which = input.byte();
        texts.push((ClipboardFlags(1 << (which & 31)), input.short_blob()));
    }
    let is_good = texts.iter().all(|(format, _)| format.0 <= 0xffff);
    let packed = Provide::pack(&texts);
    assert_eq!(packed.is_ok(), is_good);
    let Ok(packed) = packed else { return };
    let mut expected: BTreeMap<u32, &[u8]> = BTreeMap::new();
    for (format, text) in &texts {
        expected.entry(format.0).or_insert(text);
    }
    let length: usize = expected.values().map(|text| text.len()).sum();
    let message = ExtendedClipboard::Provide(packed.clone());
    let mut written = BytesMut::new();
    message.encode(&mut written).expect("it fits");
    let again = ExtendedClipboard::decode(&written.freeze(), &limits()).expect("it was written");
    shown(&again, length);
    assert_eq!(again, message);
    let cut = ClientCutText::from_extended(&message).expect("it fits");
    assert!(cut.extended && ExtendedClipboard::decode(&cut.text, &limits()) == Ok(again));
    match packed.unpack(&limits()) {
        Ok(unpacked) => {
            let unpacked: BTreeMap<u32, Bytes> = unpacked.into_iter().map(|(format, text)| (format.0, text)).collect();
            assert!(unpacked.iter().map(|(format, text)| (*format, &text[..])).eq(expected));
        }
        Err(error) => assert!(4096 < length + 4 * expected.len(), "{error}"),
    }
}

fn pixels(mut input: Input<'_>) {
    let bytes = taken::<16>(&mut input);
    let Ok(format) = PixelFormat::decode_slice(&bytes, &limits()) else {
        return;
    };
    shown(&format, 16);
    let width = format.bytes_per_pixel();
    let pixel = input.rest();
    if let Some([_, _, _]) = format.rgb(pixel) {
        assert!(format.is_true_colour() && width.is_ok_and(|width| usize::from(width) <= pixel.len()));
    }
    for policy in [Policy::Strict, Policy::Lenient] {
        if let Err(error) = format.validate(policy) {
            assert!(!error.to_string().is_empty());
        } else {
            assert!(width.is_ok());
        }
    }
}

fn versions(mut input: Input<'_>) {
    let line = taken::<12>(&mut input);
    for len in 0..=12 {
        let missing = ProtocolVersion::missing(&line[..len]);
        assert!(missing.is_err() || missing == Ok(12 - len), "{missing:?}");
    }
    for policy in [Policy::Strict, Policy::Lenient] {
        let Ok(version) = ProtocolVersion::read(&line, policy) else {
            continue;
        };
        logged(&version, 12);
        match version.as_greeting(policy) {
            Ok(greeting) => logged(&greeting, 12),
            Err(error) => assert!(!error.to_string().is_empty() && !version.to_string().is_empty()),
        }
        for offered in [Version::V3_3, Version::V3_7, Version::V3_8] {
            match version.as_answer(offered, policy) {
                Ok(agreed) => {
                    let bytes = agreed.to_bytes();
                    assert_eq!(ProtocolVersion::from_bytes(&bytes), Ok(agreed.number()));
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
    if let Ok(version) = ProtocolVersion::from_bytes(&line) {
        assert_eq!(version.to_bytes().as_ref(), Ok(&line), "{version}");
    }
}

/// It is written as what reads the same, and a text of a stranger is one or the reason why not.
fn number<T: Copy + Debug + Display + PartialEq + Serialize + DeserializeOwned>(value: T, json: &str) {
    let alike = |value: T| {
        let written = serde_json::to_string(&value).expect("each number has a form");
        let read = serde_json::from_str::<T>(&written);
        assert_eq!(read.ok(), Some(value), "{written}");
    };
    shown(&value, 4);
    let text = value.to_string();
    assert!(!text.is_empty() && !text.contains(['\n', '\r', '\u{1b}']));
    alike(value);
    match serde_json::from_str::<T>(json) {
        Ok(read) => alike(read),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

macro_rules! numbers {
    ($number:ident, $json:ident: $($ty:ident),* $(,)?) => { $(number($ty($number as _), $json);)* };
}

fn numbers(mut input: Input<'_>) {
    let drawn = u32::from_le_bytes(taken(&mut input));
    let json = &*String::from_utf8_lossy(input.rest());
    numbers!(drawn, json:
        AudioFormat, ClipboardFlags, Encoding, FenceFlags, GiiSubtype, LedState, QemuAudioNotice, QemuAudioRequest,
        QemuSubtype, ResizeReason, ResizeStatus, SecurityType, Subtype, VmwareCursorKind, XvpCode,
    );
    let flags = ClipboardFlags(drawn);
    assert!(flags.with(ClipboardFlags::TEXT).contains(flags));
    if let Ok(format) = serde_json::from_str::<PixelFormat>(json) {
        shown(&format, 16);
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 5 {
        0 => pseudo(input),
        1 => clipboard(input),
        2 => pixels(input),
        3 => versions(input),
        _ => numbers(input),
    }
}
