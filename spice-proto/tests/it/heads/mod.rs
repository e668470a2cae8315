//! Heads of packed pictures: those that were recorded, and one of each kind by hand.

mod hostile;
mod refused;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use spice_proto::DecodeErrorKind;
use spice_proto::channel::display::ServerMessage;
use spice_proto::channel::display::head::{
    GlzHead, ImageHead, JpegAlphaHead, JpegHead, Lz4Head, LzHead, QuicHead, ZlibGlzHead, ZlibHead,
};
use spice_proto::channel::display::image::{Image, ImageDescriptor, LzPltData, PaletteSource, Payload};
use spice_proto::frame::FrameReader;
use spice_proto::ids::{
    BitmapFlags, BitmapFormat, ChannelType, ImageFlags, ImageType, JpegAlphaFlags, LzImageType, QuicImageType,
};

use crate::recordings::{self, Connection, Rows};

/// Every picture that was recorded on a connection.
pub(crate) fn recorded(connection: &Connection) -> Vec<Image> {
    let mut images = Vec::new();
    let data = connection.data();
    if let Some(data) = data.filter(|data| data.linked.request.channel_type == ChannelType::DISPLAY) {
        let mut splitter = FrameReader::new(data.linked.form, &recordings::limits());
        let mut rx = BytesMut::from(data.s2c);
        while let Some(frame) = splitter.decode(&mut rx).unwrap() {
            images.extend(ServerMessage::decode(&frame).unwrap().images().cloned());
        }
    }
    images
}

#[test]
fn recorded_heads_go_with_their_images() {
    let mut rows = Rows::new();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for connection in recordings::all() {
        let images = rows
            .part(&connection.name, || recorded(&connection))
            .unwrap_or_default();
        if images.is_empty() {
            continue;
        }
        for image in &images {
            *counts.entry(image.descriptor.r#type.to_string()).or_default() += 1;
        }
        rows.row(&connection.name, || images.iter().for_each(goes_with_its_image));
    }
    let listed: Vec<String> = counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("images: {}", listed.join(", "));
    rows.end();
}

/// A head that was recorded says what its image does.
fn goes_with_its_image(image: &Image) {
    let kind = image.descriptor.r#type;
    let head = image.head().unwrap_or_else(|error| panic!("{kind}: {error}"));
    let Some(head) = head else {
        let without = [ImageType::BITMAP, ImageType::FROM_CACHE, ImageType::SURFACE];
        let without = without.contains(&kind) || kind == ImageType::FROM_CACHE_LOSSLESS;
        return assert!(without || kind.name().is_none(), "{kind} has no head");
    };
    assert_eq!(head.check(image), Ok(()), "{kind}: {head:?}");
    if let Some(size) = head.size() {
        assert_eq!(size, (image.descriptor.width, image.descriptor.height));
    }
    if let ImageHead::Glz(glz) = head {
        assert!(glz.oldest() <= glz.id && glz.top_down <= 1);
    }
}

fn image(kind: ImageType, width: u32, height: u32, payload: Payload) -> Image {
    Image {
        descriptor: ImageDescriptor {
            id: 1,
            r#type: kind,
            flags: ImageFlags(0),
            width,
            height,
        },
        payload,
    }
}

/// LZ, big-endian, of 3 by 2 pixels.
const LZ: [u8; 28] = [
    0x20, 0x20, 0x5a, 0x4c, // magic "  ZL"
    0x00, 0x01, 0x00, 0x01, // version 1.1
    0x00, 0x00, 0x00, 0x08, // type RGB32
    0x00, 0x00, 0x00, 0x03, // width
    0x00, 0x00, 0x00, 0x02, // height
    0x00, 0x00, 0x00, 0x0c, // stride
    0x00, 0x00, 0x00, 0x01, // top_down
];

/// GLZ, big-endian, of 3 by 2 pixels.
const GLZ: [u8; 33] = [
    0x20, 0x20, 0x5a, 0x4c, // magic "  ZL"
    0x00, 0x01, 0x00, 0x01, // version 1.1
    0x18, // top_down 1, type RGB32
    0x00, 0x00, 0x00, 0x03, // width
    0x00, 0x00, 0x00, 0x02, // height
    0x00, 0x00, 0x00, 0x0c, // stride
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x09, // id
    0x00, 0x00, 0x00, 0x04, // win_head_dist
];

/// QUIC, little-endian, of 3 by 2 pixels.
const QUIC: [u8; 20] = [
    0x51, 0x55, 0x49, 0x43, // magic "QUIC"
    0x00, 0x00, 0x00, 0x00, // version 0
    0x04, 0x00, 0x00, 0x00, // type RGB32
    0x03, 0x00, 0x00, 0x00, // width
    0x02, 0x00, 0x00, 0x00, // height
];

/// LZ4 in two blocks.
const LZ4: [u8; 15] = [
    0x01, // top_down
    0x08, // format: 32 bits
    0x00, 0x00, 0x00, 0x04, // size, big-endian
    0xde, 0xad, 0xbe, 0xef, // block
    0x00, 0x00, 0x00, 0x01, // size
    0x00, // block
];

/// The front of a JPEG of 3 by 2 pixels.
const JPEG: [u8; 35] = [
    0xff, 0xd8, // start of image
    0xff, 0xe0, 0x00, 0x06, 0x4a, 0x46, 0x49, 0x46, // application data: 4 bytes, "JFIF"
    0xff, 0xff, 0xdb, 0x00, 0x04, 0x00, 0x01, // a fill byte, quantisation table: 2 bytes
    0xff, 0xc0, 0x00, 0x11, // baseline frame header: 17 bytes
    0x08, // 8 bits a sample
    0x00, 0x02, // height
    0x00, 0x03, // width
    0x03, // components
    0x01, 0x22, 0x00, 0x02, 0x11, 0x01, 0x03, 0x11, // what is known of them
];

fn packed(kind: ImageType, data: &[u8]) -> Image {
    image(kind, 3, 2, Payload::Packed(Bytes::copy_from_slice(data)))
}

fn plt(data: &[u8]) -> Image {
    let payload = LzPltData {
        flags: BitmapFlags(0),
        palette: PaletteSource::Here(None),
        data: Bytes::copy_from_slice(data),
    };
    image(ImageType::LZ_PLT, 3, 2, Payload::LzPlt(payload))
}

fn jpeg_alpha(jpeg: &[u8], alpha: &[u8]) -> Image {
    let payload = Payload::JpegAlpha {
        flags: JpegAlphaFlags::TOP_DOWN,
        jpeg_size: jpeg.len() as u32,
        data: [jpeg, alpha].concat().into(),
    };
    image(ImageType::JPEG_ALPHA, 3, 2, payload)
}

/// GLZ in one block of zlib that is stored as it is.
fn zlib_of(glz: &[u8]) -> Vec<u8> {
    let len = glz.len() as u16;
    let (a, b) = glz.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    let mut out = vec![0x78, 0x9c, 1];
    out.extend(len.to_le_bytes());
    out.extend((!len).to_le_bytes());
    out.extend(glz);
    out.extend((b << 16 | a).to_be_bytes());
    out
}

fn zlib_glz(glz_data_size: u32, data: &[u8]) -> Image {
    let data = Bytes::copy_from_slice(data);
    image(ImageType::ZLIB_GLZ_RGB, 3, 2, Payload::ZlibGlz { glz_data_size, data })
}

fn with<const N: usize>(mut bytes: [u8; N], at: usize, value: u8) -> [u8; N] {
    bytes[at] = value;
    bytes
}

const XXXA: u8 = 10;

/// One image of each kind with a head, and what the head says.
fn examples() -> Vec<(Image, ImageHead)> {
    let lz = LzHead {
        r#type: LzImageType::RGB32,
        width: 3,
        height: 2,
        stride: 12,
        top_down: 1,
    };
    let glz = GlzHead {
        r#type: LzImageType::RGB32,
        top_down: 1,
        width: 3,
        height: 2,
        stride: 12,
        id: 9,
        win_head_dist: 4,
    };
    let quic = QuicHead {
        r#type: QuicImageType::RGB32,
        width: 3,
        height: 2,
    };
    let jpeg = JpegHead {
        marker: 0xc0,
        precision: 8,
        width: 3,
        height: 2,
        components: 3,
    };
    let lz4 = Lz4Head {
        top_down: 1,
        format: BitmapFormat::BITS_32,
        blocks: 2,
    };
    let alpha = LzHead {
        r#type: LzImageType::XXXA,
        ..lz
    };
    let palette = LzHead {
        r#type: LzImageType::PLT4_LE,
        stride: 2,
        ..lz
    };
    vec![
        (packed(ImageType::LZ_RGB, &LZ), ImageHead::Lz(lz)),
        (plt(&with(with(LZ, 11, 3), 23, 2)), ImageHead::Lz(palette)),
        (packed(ImageType::GLZ_RGB, &GLZ), ImageHead::Glz(glz)),
        (packed(ImageType::QUIC, &QUIC), ImageHead::Quic(quic)),
        (packed(ImageType::LZ4, &LZ4), ImageHead::Lz4(lz4)),
        (packed(ImageType::JPEG, &JPEG), ImageHead::Jpeg(jpeg)),
        (
            jpeg_alpha(&JPEG, &with(LZ, 11, XXXA)),
            ImageHead::JpegAlpha(JpegAlphaHead { jpeg, alpha }),
        ),
        (
            zlib_glz(33, &zlib_of(&GLZ)),
            ImageHead::ZlibGlz(ZlibGlzHead {
                zlib: ZlibHead {
                    window_bits: 15,
                    level: 2,
                },
                glz,
            }),
        ),
    ]
}

#[test]
fn heads_of_every_kind() {
    for (image, head) in examples() {
        assert_eq!(image.head(), Ok(Some(head)));
        assert_eq!(head.check(&image), Ok(()));
        assert!(head.size().is_none_or(|size| size == (3, 2)));
        // Another size, where the head says one.
        for descriptor in [(4, 2), (3, 9)] {
            let mut other = image.clone();
            (other.descriptor.width, other.descriptor.height) = descriptor;
            assert_eq!(head.check(&other).is_err(), head.size().is_some(), "{head:?}");
        }
        // The head of an image of another kind.
        for (other, other_head) in examples() {
            if core::mem::discriminant(&head) != core::mem::discriminant(&other_head) {
                let mismatch = head.check(&other).unwrap_err();
                assert_eq!((mismatch.head, mismatch.field), ("ImageHead", "type"), "{head:?}");
            }
        }
    }
    for nothing in [
        image(ImageType::FROM_CACHE, 3, 2, Payload::Nothing),
        image(ImageType::SURFACE, 3, 2, Payload::Surface(0)),
    ] {
        assert_eq!(nothing.head(), Ok(None));
    }
}

/// How far a head reaches: a cut in front of that is an error.
fn head_end(image: &Image) -> usize {
    match image.descriptor.r#type {
        ImageType::LZ_RGB | ImageType::LZ_PLT => LZ.len(),
        ImageType::GLZ_RGB => GLZ.len(),
        ImageType::QUIC => QUIC.len(),
        ImageType::JPEG => 27,
        ImageType::JPEG_ALPHA => JPEG.len() + LZ.len(),
        // Two bytes of zlib, five of its block.
        ImageType::ZLIB_GLZ_RGB => 7 + GLZ.len(),
        ImageType::LZ4 => 2,
        other => panic!("{other}"),
    }
}

/// The same image with other packed bytes.
fn repacked(image: &Image, bytes: &[u8]) -> Image {
    let mut image = image.clone();
    match &mut image.payload {
        Payload::Packed(data) | Payload::ZlibGlz { data, .. } | Payload::JpegAlpha { data, .. } => {
            *data = Bytes::copy_from_slice(bytes);
        }
        Payload::LzPlt(plt) => plt.data = Bytes::copy_from_slice(bytes),
        other => panic!("{other:?}"),
    }
    image
}

fn packed_bytes(image: &Image) -> Bytes {
    match &image.payload {
        Payload::Packed(data) | Payload::ZlibGlz { data, .. } | Payload::JpegAlpha { data, .. } => data.clone(),
        Payload::LzPlt(plt) => plt.data.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_cut_is_an_error() {
    for (image, head) in examples() {
        let bytes = packed_bytes(&image);
        for cut in 0..head_end(&image) {
            let error = repacked(&image, &bytes[..cut]).head().unwrap_err();
            assert!(
                matches!(error.kind, DecodeErrorKind::Truncated { .. }) && error.offset <= cut,
                "{cut} of {head:?}: {error}"
            );
        }
        // Pixels may follow, except behind LZ4, whose blocks go to the end.
        let longer = [&bytes[..], &[0x55; 3]].concat();
        match head {
            ImageHead::Lz4(_) => assert!(repacked(&image, &longer).head().is_err()),
            head => assert_eq!(repacked(&image, &longer).head(), Ok(Some(head))),
        }
    }
    // LZ4 between blocks is whole, inside of one it is not.
    for cut in 2..LZ4.len() {
        let blocks = [(2, 0), (10, 1)].into_iter().find(|(at, _)| *at == cut);
        match (packed(ImageType::LZ4, &LZ4[..cut]).head(), blocks) {
            (Ok(Some(ImageHead::Lz4(head))), Some((_, blocks))) => assert_eq!(head.blocks, blocks),
            (Err(_), None) => {}
            other => panic!("{cut}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn numbers_survive(kind: u32, width: u32, height: u32, stride: u32, top_down: u32, id: u64, dist: u32, nibbles: u8) {
        let big = [kind, width, height, stride, top_down].map(u32::to_be_bytes).concat();
        let lz = [&LZ[..8], &big].concat();
        let head = LzHead { r#type: LzImageType(kind), width, height, stride, top_down };
        prop_assert_eq!(packed(ImageType::LZ_RGB, &lz).head(), Ok(Some(ImageHead::Lz(head))));

        let big = [width, height, stride].map(u32::to_be_bytes).concat();
        let glz = [&GLZ[..8], &[nibbles], &big, &id.to_be_bytes(), &dist.to_be_bytes()].concat();
        let head = GlzHead {
            r#type: LzImageType((nibbles & 15).into()),
            top_down: nibbles >> 4,
            width,
            height,
            stride,
            id,
            win_head_dist: dist,
        };
        prop_assert_eq!(packed(ImageType::GLZ_RGB, &glz).head(), Ok(Some(ImageHead::Glz(head))));
        prop_assert!(head.oldest() <= id);

        let little = [kind, width, height].map(u32::to_le_bytes).concat();
        let quic = [&QUIC[..8], &little].concat();
        let head = QuicHead { r#type: QuicImageType(kind), width, height };
        prop_assert_eq!(packed(ImageType::QUIC, &quic).head(), Ok(Some(ImageHead::Quic(head))));
    }

    #[test]
    fn jpeg_segments_are_passed_over(
        segments in prop::collection::vec((0xe0..=0xef_u8, prop::collection::vec(any::<u8>(), 0..40), 0..3_usize), 0..8),
        marker in prop::sample::select(vec![0xc0_u8, 0xc1, 0xc2, 0xc3, 0xc5, 0xcf]),
        width: u16,
        height: u16,
        precision: u8,
        components: u8,
    ) {
        let mut bytes = vec![0xff, 0xd8];
        for (marker, data, fill) in segments {
            bytes.extend(vec![0xff; fill + 1]);
            bytes.push(marker);
            bytes.extend((data.len() as u16 + 2).to_be_bytes());
            bytes.extend(data);
        }
        bytes.extend([0xff, marker, 0, 8, precision]);
        bytes.extend([height.to_be_bytes(), width.to_be_bytes()].concat());
        bytes.push(components);
        let head = JpegHead { marker, precision, width, height, components };
        prop_assert_eq!(packed(ImageType::JPEG, &bytes).head(), Ok(Some(ImageHead::Jpeg(head))));
        prop_assert!(packed(ImageType::JPEG, &bytes[..bytes.len() - 1]).head().is_err());
    }
}
