//! Coverage against the table of the protocol, by an interpreter that knows nothing of the crate.
//!
//! For every message of both directions it makes random valid bytes together with the value of every field; the
//! crate must decode these values, encode these bytes, and name the field that the interpreter names when the message
//! is cut.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::message::pseudo::Pseudo;
use rfb_proto::message::{ClientMessage, ClipboardFlags, ExtendedClipboard, Extensions, Screen, ServerMessage};
use rfb_proto::{DecodeError, DecodeErrorKind, EncodeError, Limits, PixelFormat};

use crate::interpreter::{Interpreter, Made};

const BODIES: usize = 200;

/// What the crate calls a field of the table.
const NAMES: [(&str, &str); 6] = [
    ("FramebufferUpdate.n", "rectangles"),
    ("n", "count"),
    ("rgb", "colours"),
    ("rgb as u16 each", "colours"),
    ("ClientCutText.payload", "text"),
    ("ServerCutText.payload", "text"),
];

fn own_name<'a>(message: &str, field: &'a str) -> &'a str {
    let full = format!("{message}.{field}");
    let renamed = NAMES.iter().find(|(table, _)| *table == full || *table == field);
    renamed.map_or(field, |(_, own)| own)
}

/// The messages of both directions behind one face.
trait Any: Sized + Debug + PartialEq {
    const TABLE: &'static [(u8, &'static str)];
    fn decode(src: &Bytes) -> Result<Self, DecodeError>;
    fn decode_slice(src: &[u8]) -> Result<Self, DecodeError>;
    fn missing(src: &[u8]) -> Result<usize, DecodeError>;
    fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError>;
    /// Number, name, length.
    fn facts(&self) -> (u8, &'static str, usize);
}

macro_rules! any {
    ($($ty:ty $([$table:expr, $number:ident, $name:ident, $extensions:expr])?;)*) => {$(
        impl Any for $ty {
            const TABLE: &'static [(u8, &'static str)] = any!(@or &[], $($table)?);
            fn decode(src: &Bytes) -> Result<Self, DecodeError> {
                <$ty>::decode(src, $(&$extensions,)? &Limits::default())
            }
            fn decode_slice(src: &[u8]) -> Result<Self, DecodeError> {
                <$ty>::decode_slice(src, $(&$extensions,)? &Limits::default())
            }
            fn missing(src: &[u8]) -> Result<usize, DecodeError> {
                <$ty>::missing(src, $(&$extensions,)? &Limits::default())
            }
            fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                <$ty>::encode(self, dst)
            }
            fn facts(&self) -> (u8, &'static str, usize) {
                (any!(@or 0, $(self.$number())?), any!(@or "", $(self.$name())?), self.encoded_len())
            }
        }
    )*};
    (@or $default:expr,) => { $default };
    (@or $default:expr, $value:expr) => { $value };
}

any! {
    ClientMessage [ClientMessage::TABLE, number, name, Extensions::ALL];
    ServerMessage [ServerMessage::TABLE, number, name, Extensions::ALL];
    ExtendedClipboard;
    PixelFormat;
    Rectangle;
    Screen;
}

fn cover<M: Any>(kind: &str) -> usize {
    let mut interpreter = Interpreter::new();
    let mut listed = Vec::new();
    for message in interpreter.rows(kind) {
        let number = message["number"].as_integer().unwrap() as u8;
        let name = message["name"].as_str().unwrap().split(" (").next().unwrap();
        if message["framing"].as_str() == Some("unknown") {
            unknown::<M>(number);
            continue;
        }
        listed.push((number, name.to_owned()));
        for _ in 0..BODIES {
            let made = interpreter.make(&message);
            check::<M>((number, name), &made);
        }
    }
    for row in interpreter.rows(&format!("{kind}_reserved")) {
        for number in row["numbers"].as_array().unwrap() {
            unknown::<M>(number.as_integer().unwrap() as u8);
        }
    }
    let mut own: Vec<_> = M::TABLE
        .iter()
        .map(|(number, name)| (*number, (*name).to_owned()))
        .collect();
    own.sort();
    listed.sort();
    assert_eq!(own, listed, "numbers and names of the table");
    listed.len()
}

/// Nothing tells how long such a message is.
fn unknown<M: Any>(number: u8) {
    let error = M::decode_slice(&[number; 64]).unwrap_err();
    let value = number.into();
    assert_eq!(
        (error.field, error.offset, error.kind),
        ("type", 0, DecodeErrorKind::Unknown { value })
    );
    assert_eq!(M::missing(&[number]), Err(error));
}

fn check<M: Any>((number, name): (u8, &str), made: &Made) {
    let bytes = Bytes::from(made.bytes.clone());
    let at = |what: &str| format!("{name}: {what}: {bytes:02x?}");
    let message = M::decode(&bytes).unwrap_or_else(|error| panic!("{}", at(&error.to_string())));
    assert_eq!(message.facts(), (number, name, bytes.len()), "{}", at("facts"));
    assert_eq!(M::decode_slice(&bytes).as_ref(), Ok(&message), "{}", at("borrowed"));
    assert_eq!(M::missing(&bytes), Ok(0), "{}", at("missing"));
    let encoded = |message: &M| {
        let mut out = BytesMut::from(&b"garbage"[..]);
        message.encode(&mut out).unwrap();
        out.split_off(7)
    };
    assert_eq!(encoded(&message), bytes, "{}", at("encoded"));

    // The values, as the message's own text form shows them. What repeats stands behind them.
    let text = format!("{message:?}");
    for item in &made.items {
        let (Some(value), key) = (item.value, format!(" {}: ", own_name(name, &item.name))) else {
            continue;
        };
        let Some((_, shown)) = text.split_once(&key) else {
            // Shown as a part of the buttons.
            assert!(
                item.control || item.name == "extended_buttons",
                "{}",
                at(&format!("{} is not shown in {text}", item.name))
            );
            continue;
        };
        let shown = shown.split([',', ' ', '}']).next().unwrap();
        // The buttons of the long form are in two bytes.
        let more = made.items.iter().find(|item| item.name == "extended_buttons");
        let value = match (item.name.as_str(), more) {
            ("buttons", Some(more)) => value & 0x7f | more.value.unwrap() << 7,
            _ => value,
        };
        let right = [value.to_string(), (value as i32).to_string()]
            .iter()
            .any(|value| shown == value || shown.ends_with(&format!("({value})")));
        assert!(
            right || shown.contains("::"),
            "{}",
            at(&format!("{} is {value}, shown as {shown}", item.name))
        );
    }

    // Every scalar changed: seen in the new bytes at its offset, and nothing else.
    for item in made.items.iter().filter(|item| item.value.is_some() && !item.control) {
        let mut changed = made.bytes.clone();
        changed[item.at] ^= 0x5a;
        changed[item.at + item.size - 1] ^= 0x81;
        let other = M::decode_slice(&changed).unwrap();
        assert_ne!(other, message, "{}", at(&item.name));
        assert_eq!(encoded(&other), changed, "{}", at(&item.name));
    }

    // Every cut.
    for cut in 0..made.open_end.unwrap_or(bytes.len()) {
        let Err(error) = M::decode_slice(&bytes[..cut]) else {
            panic!("{}", at(&format!("cut at {cut}")));
        };
        let (field, offset) = made.first_cut(cut);
        // Padding behind padding is called otherwise.
        let expected = (own_name(name, field), offset);
        let found = (error.field.trim_start_matches("more_"), error.offset);
        assert_eq!(found, expected, "{}", at(&format!("cut at {cut}: {error}")));
        assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
        let missing = M::missing(&bytes[..cut]).unwrap();
        assert!(
            0 < missing && cut + missing <= bytes.len(),
            "{}",
            at(&format!("cut at {cut}: {missing}"))
        );
    }
}

#[test]
fn every_message_of_the_table() {
    let client = cover::<ClientMessage>("client_message");
    let server = cover::<ServerMessage>("server_message");
    println!("rfb-messages.toml: {client} client and {server} server messages, {BODIES} bodies each");
    assert_eq!((client, server), (25, 17));
}

#[test]
fn every_structure_of_the_table() {
    let mut interpreter = Interpreter::new();
    for _ in 0..BODIES {
        check::<PixelFormat>((0, ""), &interpreter.make_structure("pixel_format"));
        check::<Rectangle>((0, ""), &interpreter.make_structure("rect"));
        check::<Screen>((0, ""), &interpreter.make_structure("screen"));
    }
}

/// Every action with every number of formats. What is provided are any bytes: they are unpacked on request only.
#[test]
fn extended_clipboards() {
    let mut interpreter = Interpreter::new();
    let clipboard = interpreter.structure("extended_clipboard");
    let values = |kind: &str| clipboard[kind].as_table().unwrap().clone();
    let named = values("formats").into_iter().chain(values("actions"));
    for (name, value) in named {
        assert_eq!(
            ClipboardFlags(value.as_integer().unwrap() as u32).name(),
            Some(name.as_str())
        );
    }
    for (action, _) in values("actions") {
        for _ in 0..BODIES {
            let made = interpreter.make_clipboard(&action);
            check::<ExtendedClipboard>((0, ""), &made);
        }
    }
    for none_or_two in [0_u32, 0x0a00_0000, 0x2000_0000] {
        let error = ExtendedClipboard::decode_slice(&none_or_two.to_be_bytes(), &Limits::default()).unwrap_err();
        assert_eq!((error.field, error.offset), ("flags", 0));
    }
}

/// Every rectangle of the table that is no picture.
#[test]
fn pseudo_rectangles() {
    let mut interpreter = Interpreter::new();
    let limits = Limits::default();
    let mut kinds = 0;
    for row in interpreter.rows("pseudo") {
        let number = row["number"].as_integer().unwrap();
        let encoding = Encoding(i32::try_from(number).unwrap_or_else(|_| u32::try_from(number).unwrap().cast_signed()));
        for bits_per_pixel in [8, 16, 32] {
            let format = PixelFormat {
                bits_per_pixel,
                ..PixelFormat::RGB888
            };
            for _ in 0..BODIES / 3 + 1 {
                let (width, height) = match number {
                    // A name has no size.
                    -307 => (0, 0),
                    _ => (interpreter.random(20) as u16 & !3, interpreter.random(20) as u16),
                };
                let head = Rectangle {
                    x: 0,
                    y: 0,
                    width,
                    height,
                    encoding,
                };
                let made = interpreter.make_pseudo(&row, width.into(), height.into(), (bits_per_pixel / 8).into());
                let payload = Bytes::from(made.bytes.clone());
                let decode = |payload: Bytes| Pseudo::decode(&head, &payload, &format, &limits);
                let at = |what: &str| format!("{encoding} {width}x{height}: {what}: {payload:02x?}");
                let pseudo = decode(payload.clone()).unwrap_or_else(|error| panic!("{}", at(&error.to_string())));
                let pseudo = pseudo.unwrap_or_else(|| panic!("{}", at("not known")));
                assert_eq!(pseudo.encoding(), encoding);
                let mut out = BytesMut::from(&b"garbage"[..]);
                pseudo.encode(&mut out).unwrap();
                assert_eq!(out[7..], payload, "{}", at("encoded"));
                for cut in 0..made.open_end.unwrap_or(payload.len()) {
                    let error = decode(payload.slice(..cut)).expect_err("a cut");
                    assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
                    assert_eq!(Some(error.message), encoding.name());
                    assert!(error.offset <= cut, "{}", at(&format!("cut at {cut}: {error}")));
                }
                if made.open_end.is_none() {
                    let error = decode([&payload[..], &[0]].concat().into()).unwrap_err();
                    assert_eq!((error.field, error.offset), ("end", payload.len()));
                }
            }
        }
        kinds += 1;
    }
    assert_eq!(kinds, 28);
    for row in interpreter.rows("encoding") {
        let number = row["number"].as_integer().unwrap() as u32;
        let number = number.cast_signed();
        let head = Rectangle {
            x: 0,
            y: 0,
            width: 0,
            height: 0,
            encoding: Encoding(number),
        };
        assert_eq!(
            Pseudo::decode(&head, &Bytes::new(), &PixelFormat::RGB888, &limits),
            Ok(None)
        );
    }
}
