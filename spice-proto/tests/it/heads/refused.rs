//! What is wrong with a head, by the name of its field.

use bytes::Bytes;
use expect_test::{Expect, expect};
use spice_proto::channel::display::head::{Expected, HeadMismatch};
use spice_proto::channel::display::image::{Image, Payload};
use spice_proto::ids::ImageType;

use super::*;

#[track_caller]
fn refused(image: &Image, text: Expect) {
    text.assert_eq(&image.head().unwrap_err().to_string());
}

#[test]
fn errors_name_the_field() {
    let lz = |data: &[u8]| packed(ImageType::LZ_RGB, data);
    refused(
        &lz(&LZ[..22]),
        expect!["LzHead.stride at byte 20: truncated: needs 4 bytes, 2 left"],
    );
    refused(&lz(&with(LZ, 0, 0x21)), expect!["LzHead.magic at byte 0: not LZ"]);
    refused(
        &lz(&with(LZ, 7, 2)),
        expect!["LzHead.version at byte 4: not LZ version 1.1"],
    );
    refused(
        &packed(ImageType::GLZ_RGB, &with(GLZ, 3, 0)),
        expect!["GlzHead.magic at byte 0: not LZ"],
    );
    refused(
        &packed(ImageType::QUIC, &with(QUIC, 4, 1)),
        expect!["QuicHead.version at byte 4: not QUIC version 0"],
    );
    refused(
        &packed(ImageType::QUIC, &with(QUIC, 0, 0)),
        expect!["QuicHead.magic at byte 0: not QUIC"],
    );
    refused(
        &packed(ImageType::LZ4, &with(LZ4, 5, 0)),
        expect!["Lz4Head.block_size at byte 2: a block without bytes"],
    );
    refused(
        &packed(ImageType::LZ4, &with(LZ4, 13, 2)),
        expect!["Lz4Head.block at byte 14: truncated: needs 2 bytes, 1 left"],
    );
    let jpeg = |data: &[u8]| packed(ImageType::JPEG, data);
    refused(
        &jpeg(&with(JPEG, 1, 0xd9)),
        expect!["JpegHead.marker at byte 0: not a JPEG"],
    );
    refused(
        &jpeg(&with(JPEG, 5, 9)),
        expect!["JpegHead.marker at byte 13: no marker where a segment should begin"],
    );
    refused(
        &jpeg(&with(JPEG, 5, 1)),
        expect!["JpegHead.length at byte 4: 1 is below the minimum of 2"],
    );
    refused(
        &jpeg(&with(JPEG, 4, 1)),
        expect!["JpegHead.segment at byte 6: truncated: needs 260 bytes, 29 left"],
    );
    refused(
        &jpeg(&with(JPEG, 18, 0xda)),
        expect!["JpegHead.marker at byte 17: no frame header in front of the scan"],
    );
    refused(
        &jpeg_alpha(&JPEG, &with(LZ, 3, 0)),
        expect!["JpegAlphaHead.magic at byte 35: not LZ"],
    );
    let mut too_long = jpeg_alpha(&JPEG, &LZ);
    if let Payload::JpegAlpha { jpeg_size, .. } = &mut too_long.payload {
        *jpeg_size = 64;
    }
    refused(
        &too_long,
        expect!["JpegAlphaHead.jpeg at byte 0: truncated: needs 64 bytes, 63 left"],
    );
    refused(
        &zlib_glz(33, &[0x78, 0x9d]),
        expect!["ZlibHead.zlib at byte 0: not a zlib head"],
    );
    refused(
        &zlib_glz(33, &[0x78, 0xbb]),
        expect!["ZlibHead.zlib at byte 0: zlib with a preset dictionary"],
    );
    refused(
        &zlib_glz(33, &zlib_of(&GLZ[..20])),
        expect!["ZlibHead.glz at byte 31: truncated: needs 33 bytes, 20 left"],
    );
    refused(
        &zlib_glz(33, &[0x78, 0x9c, 7, 0, 0]),
        expect!["ZlibHead.glz at byte 3: zlib that cannot be unpacked"],
    );
    refused(
        &zlib_glz(33, &zlib_of(&with(GLZ, 0, 1))),
        expect!["GlzHead.magic at byte 0: not LZ"],
    );
}

#[track_caller]
fn mismatched(image: &Image, text: Expect) {
    let head = image.head().unwrap().unwrap();
    text.assert_eq(&head.check(image).unwrap_err().to_string());
}

#[test]
fn mismatches_name_the_field() {
    let lz = |data: &[u8]| packed(ImageType::LZ_RGB, data);
    mismatched(&lz(&with(LZ, 15, 4)), expect!["LzHead.width is 4, expected 3"]);
    mismatched(&lz(&with(LZ, 19, 3)), expect!["LzHead.height is 3, expected 2"]);
    mismatched(
        &lz(&with(LZ, 23, 11)),
        expect!["LzHead.stride is 11, expected at least 12"],
    );
    mismatched(
        &lz(&with(LZ, 11, 5)),
        expect!["LzHead.type is 5, expected a form of LZ_RGB"],
    );
    mismatched(
        &lz(&with(LZ, 11, XXXA)),
        expect!["LzHead.type is 10, expected a form of LZ_RGB"],
    );
    mismatched(&plt(&LZ), expect!["LzHead.type is 8, expected a form of LZ_PLT"]);
    // 3 pixels of 4 bits are 2 bytes.
    mismatched(
        &plt(&with(with(LZ, 11, 3), 23, 1)),
        expect!["LzHead.stride is 1, expected at least 2"],
    );
    mismatched(
        &packed(ImageType::GLZ_RGB, &with(GLZ, 8, 0x11)),
        expect!["GlzHead.type is 1, expected a form of GLZ_RGB"],
    );
    mismatched(
        &packed(ImageType::QUIC, &with(QUIC, 8, 0)),
        expect!["QuicHead.type is 0, expected a form of QUIC"],
    );
    mismatched(
        &packed(ImageType::LZ4, &with(LZ4, 1, 5)),
        expect!["Lz4Head.type is 5, expected a form of LZ4"],
    );
    mismatched(
        &packed(ImageType::JPEG, &with(JPEG, 23, 9)),
        expect!["JpegHead.height is 9, expected 2"],
    );
    mismatched(
        &jpeg_alpha(&JPEG, &LZ),
        expect!["LzHead.type is 8, expected a form of JPEG_ALPHA"],
    );
    mismatched(
        &jpeg_alpha(&JPEG, &with(with(LZ, 11, XXXA), 27, 0)),
        expect!["LzHead.top_down is 0, expected 1"],
    );
    mismatched(
        &zlib_glz(33, &zlib_of(&with(GLZ, 8, 0x11))),
        expect!["GlzHead.type is 1, expected a form of ZLIB_GLZ_RGB"],
    );
    mismatched(
        &zlib_glz(32, &zlib_of(&GLZ)),
        expect!["ZlibGlzRGBData.glz_data_size is 32, expected at least 33"],
    );
}

/// A width whose row would not fit 32 bits does not wrap.
#[test]
fn rows_do_not_wrap() {
    let mut bytes = LZ;
    bytes[12..16].copy_from_slice(&u32::MAX.to_be_bytes());
    bytes[20..24].copy_from_slice(&u32::MAX.to_be_bytes());
    let image = image(
        ImageType::LZ_RGB,
        u32::MAX,
        2,
        Payload::Packed(Bytes::copy_from_slice(&bytes)),
    );
    let error = image.head().unwrap().unwrap().check(&image).unwrap_err();
    let expected = Expected::AtLeast(4 * u64::from(u32::MAX));
    assert!(matches!(error, HeadMismatch { field: "stride", expected: e, .. } if e == expected));
}
