//! Numbers of the display channel.

use core::fmt;

ids! {
    /// What clips a drawing (`SPICE_CLIP_TYPE_*`).
    pub struct ClipType(u8) {
        /// Nothing.
        NONE = 0,
        /// A list of rectangles.
        RECTS = 1,
    }

    /// How a picture is packed (`SPICE_IMAGE_TYPE_*`).
    pub struct ImageType(u8) {
        /// Pixels as they are.
        BITMAP = 0,
        /// QUIC.
        QUIC = 1,
        /// Not in use.
        RESERVED = 2,
        /// LZ with a palette.
        LZ_PLT = 100,
        /// LZ of colours.
        LZ_RGB = 101,
        /// LZ with a dictionary over many pictures.
        GLZ_RGB = 102,
        /// One that was kept.
        FROM_CACHE = 103,
        /// A surface.
        SURFACE = 104,
        /// JPEG.
        JPEG = 105,
        /// One that was kept, without loss.
        FROM_CACHE_LOSSLESS = 106,
        /// GLZ, packed once more by zlib.
        ZLIB_GLZ_RGB = 107,
        /// JPEG, and LZ for the alpha plane.
        JPEG_ALPHA = 108,
        /// LZ4.
        LZ4 = 109,
    }
}

masks! {
    /// What to do with a picture (`SPICE_IMAGE_FLAGS_*`), a bit set.
    pub struct ImageFlags(u8) {
        /// Keep it.
        CACHE_ME = 1,
        /// The high bits of its pixels are set.
        HIGH_BITS_SET = 2,
        /// Keep it in place of one that was kept.
        CACHE_REPLACE_ME = 4,
    }
}

ids! {
    /// Form of a pixel in LZ and GLZ (`LZ_IMAGE_TYPE_*`).
    pub struct LzImageType(u32) {
        /// None.
        INVALID = 0,
        /// 1 bit, lowest first, with a palette.
        PLT1_LE = 1,
        /// 1 bit, highest first, with a palette.
        PLT1_BE = 2,
        /// 4 bits, lowest first, with a palette.
        PLT4_LE = 3,
        /// 4 bits, highest first, with a palette.
        PLT4_BE = 4,
        /// 8 bits with a palette.
        PLT8 = 5,
        /// 16 bits.
        RGB16 = 6,
        /// 24 bits.
        RGB24 = 7,
        /// 32 bits.
        RGB32 = 8,
        /// 32 bits with alpha.
        RGBA = 9,
        /// The alpha of 32 bits, without the colours.
        XXXA = 10,
        /// 8 bits of alpha.
        A8 = 11,
    }

    /// Form of a pixel in QUIC (`QUIC_IMAGE_TYPE_*`).
    pub struct QuicImageType(u32) {
        /// None.
        INVALID = 0,
        /// 8 bits.
        GRAY = 1,
        /// 16 bits.
        RGB16 = 2,
        /// 24 bits.
        RGB24 = 3,
        /// 32 bits.
        RGB32 = 4,
        /// 32 bits with alpha.
        RGBA = 5,
    }

    /// Form of a pixel (`SPICE_BITMAP_FMT_*`).
    pub struct BitmapFormat(u8) {
        /// None.
        INVALID = 0,
        /// 1 bit, lowest first.
        LE_1BIT = 1,
        /// 1 bit, highest first.
        BE_1BIT = 2,
        /// 4 bits, lowest first.
        LE_4BIT = 3,
        /// 4 bits, highest first.
        BE_4BIT = 4,
        /// 8 bits.
        BITS_8 = 5,
        /// 16 bits.
        BITS_16 = 6,
        /// 24 bits.
        BITS_24 = 7,
        /// 32 bits.
        BITS_32 = 8,
        /// 32 bits with alpha.
        RGBA = 9,
        /// 8 bits of alpha.
        ALPHA_8 = 10,
    }
}

masks! {
    /// How pixels lie, and which palette they have (`SPICE_BITMAP_FLAGS_*`), a bit set.
    pub struct BitmapFlags(u8) {
        /// Keep the palette.
        PAL_CACHE_ME = 1,
        /// The palette was kept.
        PAL_FROM_CACHE = 2,
        /// The first row is the upper one.
        TOP_DOWN = 4,
    }
    /// How the alpha plane of a JPEG lies (`SPICE_JPEG_ALPHA_FLAGS_*`), a bit set.
    pub struct JpegAlphaFlags(u8) {
        /// The first row is the upper one.
        TOP_DOWN = 1,
    }
}

ids! {
    /// What fills an area (`SPICE_BRUSH_TYPE_*`).
    pub struct BrushType(u8) {
        /// Nothing.
        NONE = 0,
        /// One colour.
        SOLID = 1,
        /// A picture, over and over.
        PATTERN = 2,
    }
}

masks! {
    /// What a mask is (`SPICE_MASK_FLAGS_*`), a bit set.
    pub struct MaskFlags(u8) {
        /// It is inverted.
        INVERS = 1,
    }
    /// How source, brush and target are mixed (`SPICE_ROPD_*`), a bit set.
    pub struct RopDescriptor(u16) {
        /// Invert the source.
        INVERS_SRC = 1,
        /// Invert the brush.
        INVERS_BRUSH = 2,
        /// Invert the target.
        INVERS_DEST = 4,
        /// Put.
        OP_PUT = 8,
        /// Or.
        OP_OR = 16,
        /// And.
        OP_AND = 32,
        /// Exclusive or.
        OP_XOR = 64,
        /// All black.
        OP_BLACKNESS = 128,
        /// All white.
        OP_WHITENESS = 256,
        /// Invert.
        OP_INVERS = 512,
        /// Invert the result.
        INVERS_RES = 1024,
    }
}

ids! {
    /// How a picture is scaled (`SPICE_IMAGE_SCALE_MODE_*`).
    pub struct ImageScaleMode(u8) {
        /// Between its pixels.
        INTERPOLATE = 0,
        /// To the nearest one.
        NEAREST = 1,
    }
}

masks! {
    /// What a piece of a path is (`SPICE_PATH_*`), a bit set.
    pub struct PathFlags(u8) {
        /// A path begins.
        BEGIN = 1,
        /// It ends.
        END = 2,
        /// It goes back to where it began.
        CLOSE = 8,
        /// Its points are those of Bezier curves.
        BEZIER = 16,
    }
    /// How a line is drawn (`SPICE_LINE_FLAGS_*`), a bit set.
    pub struct LineFlags(u8) {
        /// A gap comes first.
        START_WITH_GAP = 4,
        /// It has dashes.
        STYLED = 8,
    }
    /// How the letters of a text are given (`SPICE_STRING_FLAGS_*`), a bit set.
    pub struct StringFlags(u8) {
        /// 1 bit a pixel.
        RASTER_A1 = 1,
        /// 4 bits a pixel.
        RASTER_A4 = 2,
        /// 8 bits a pixel.
        RASTER_A8 = 4,
        /// The first row is the upper one.
        RASTER_TOP_DOWN = 8,
    }
    /// What has alpha (`SPICE_ALPHA_FLAGS_*`), a bit set.
    pub struct AlphaFlags(u8) {
        /// The target.
        DEST_HAS_ALPHA = 1,
        /// The source surface.
        SRC_SURFACE_HAS_ALPHA = 2,
    }
    /// What a composition has (`SPICE_COMPOSITE_*`), a bit set; bits 0 to 7 are the operator, 8 to 13 the
    /// filters, 14 to 17 how source and mask repeat.
    pub struct CompositeFlags(u32) {
        /// The mask has a value for each colour.
        COMPONENT_ALPHA = 0x4_0000,
        /// There is a mask.
        HAS_MASK = 0x8_0000,
        /// The source is transformed.
        HAS_SRC_TRANSFORM = 0x10_0000,
        /// The mask is transformed.
        HAS_MASK_TRANSFORM = 0x20_0000,
        /// The source has no alpha.
        SOURCE_OPAQUE = 0x40_0000,
        /// The mask has no alpha.
        MASK_OPAQUE = 0x80_0000,
        /// The target has no alpha.
        DEST_OPAQUE = 0x100_0000,
    }
}

ids! {
    /// Form of a surface's pixels (`SPICE_SURFACE_FMT_*`).
    pub struct SurfaceFormat(u32) {
        /// None.
        INVALID = 0,
        /// 1 bit of alpha.
        A1 = 1,
        /// 8 bits of alpha.
        A8 = 8,
        /// 16 bits, 5 each.
        RGB_16_555 = 16,
        /// 32 bits without alpha.
        XRGB_32 = 32,
        /// 16 bits, green has 6.
        RGB_16_565 = 80,
        /// 32 bits with alpha.
        ARGB_32 = 96,
    }
}

masks! {
    /// What a surface is (`SPICE_SURFACE_FLAGS_*`), a bit set.
    pub struct SurfaceFlags(u32) {
        /// What the guest shows.
        PRIMARY = 1,
        /// It is streamed as a whole.
        STREAMING_MODE = 2,
    }
    /// How a video lies (`SPICE_STREAM_FLAGS_*`), a bit set.
    pub struct StreamFlags(u8) {
        /// The first row is the upper one.
        TOP_DOWN = 1,
    }
}

ids! {
    /// How a video is packed (`SPICE_VIDEO_CODEC_TYPE_*`).
    pub struct VideoCodecType(u8) {
        /// Motion JPEG.
        MJPEG = 1,
        /// VP8.
        VP8 = 2,
        /// H.264.
        H264 = 3,
        /// VP9.
        VP9 = 4,
        /// H.265.
        H265 = 5,
    }
}

masks! {
    /// How a scanout lies (`SPICE_GL_SCANOUT_FLAGS_*`), a bit set.
    pub struct GlScanoutFlags(u32) {
        /// The first row is the upper one.
        Y0TOP = 1,
    }
}

ids! {
    /// How a client wants pictures packed (`SPICE_IMAGE_COMPRESSION_*`).
    pub struct ImageCompression(u8) {
        /// None.
        INVALID = 0,
        /// Not at all.
        OFF = 1,
        /// QUIC or GLZ, by picture.
        AUTO_GLZ = 2,
        /// QUIC or LZ, by picture.
        AUTO_LZ = 3,
        /// QUIC.
        QUIC = 4,
        /// GLZ.
        GLZ = 5,
        /// LZ.
        LZ = 6,
        /// LZ4.
        LZ4 = 7,
    }
}

impl LzImageType {
    /// Whether a pixel is a number in a palette.
    #[must_use]
    pub const fn has_palette(self) -> bool {
        matches!(self.0, 1..=5)
    }

    /// Whether a pixel is a value of its own: no number in a palette, nothing left out.
    #[must_use]
    pub const fn is_direct(self) -> bool {
        matches!(self.0, 6..=9 | 11)
    }

    /// Bits of a pixel before it was packed; 0 for a form that is not known.
    #[must_use]
    pub const fn bits_per_pixel(self) -> u32 {
        match self {
            Self::PLT1_LE | Self::PLT1_BE => 1,
            Self::PLT4_LE | Self::PLT4_BE => 4,
            Self::PLT8 | Self::A8 => 8,
            Self::RGB16 => 16,
            Self::RGB24 => 24,
            Self::RGB32 | Self::RGBA | Self::XXXA => 32,
            _ => 0,
        }
    }
}
