//! Layouts, and what errors name.

use alloc::vec;

use super::*;

layout! {
    /// A fixed field in front of elements that are wider than a byte.
    #[derive(Default)]
    pub struct Words {
        /// Four bytes.
        id: u32,
        ;
        count: u8,
        /// Four bytes each.
        words: [u32],
    }
}

layout! {
    /// A fixed field in front of a length with a limit.
    pub struct Text {
        /// One byte.
        kind: u8,
        ;
        length: u32,
        /// So many bytes.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        text: [u8; ..=reason],
    }
}

const WORDS: [u8; 13] = [0, 0, 0, 7, 2, 0, 0, 1, 2, 0xff, 0xff, 0xff, 0xfa];

#[test]
fn a_layout_is_big_endian_and_in_order() {
    let words = Words::decode_slice(&WORDS, &Limits::default()).unwrap();
    assert_eq!((words.id, &words.words[..]), (7, &[0x0102, 0xffff_fffa][..]));
    assert_eq!(words.encoded_len(), WORDS.len());
    let mut dst = BytesMut::new();
    words.encode(&mut dst).unwrap();
    assert_eq!(dst[..], WORDS);
}

#[test]
fn a_cut_names_its_field() {
    let limits = Limits::default();
    for cut in 0..WORDS.len() {
        let (field, offset, needed) = match cut {
            0..4 => ("id", 0, 4),
            4 => ("count", 4, 1),
            _ => ("words", 5, 8),
        };
        let kind = DecodeErrorKind::Truncated {
            needed,
            left: cut - offset,
        };
        let message = "Words";
        let expected = DecodeError {
            message,
            field,
            offset,
            kind,
        };
        assert_eq!(Words::decode_slice(&WORDS[..cut], &limits), Err(expected));
        let whole = if cut < 5 { 5 } else { WORDS.len() };
        assert_eq!(Words::missing(&WORDS[..cut], &limits), Ok(whole - cut));
    }
}

#[test]
fn a_limit_names_its_field() {
    let limits = Limits::default().with_reason(2);
    assert_eq!(Text::missing(&[9, 0, 0, 0, 2, b'a'], &limits), Ok(1));
    let error = Text::decode_slice(&[9, 0, 0, 0, 3, b'a', b'b', b'c'], &limits).unwrap_err();
    assert_eq!((error.field, error.offset), ("length", 1));
    assert_eq!(error.kind, DecodeErrorKind::TooLarge { value: 3, limit: 2 });
}

/// A message that fails when half of it is written.
struct Half;

impl Decode for Half {
    const NAME: &'static str = "Half";
    fn read(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self)
    }
    fn extent(_: &mut Reader<'_>) -> Result<usize, DecodeError> {
        Ok(1)
    }
}

impl Encode for Half {
    fn wire_len(&self) -> usize {
        1
    }
    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        dst.extend_from_slice(b"h");
        length(256, Self::NAME, "field", u8::MAX).map(|_| ())
    }
}

#[test]
fn a_failed_encode_takes_everything_back() {
    let mut dst = BytesMut::from(&b"before"[..]);
    append(&Half, &mut dst).unwrap_err();
    assert_eq!(dst[..], b"before"[..]);
    let words = Words {
        words: vec![0; 256],
        ..Words::default()
    };
    words.encode(&mut dst).unwrap_err();
    assert_eq!(dst[..], b"before"[..]);
}
