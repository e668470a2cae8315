//! Numbers with names. All are open: a value without a name passes through untouched.

use core::fmt;

/// An open id: a newtype over its wire integer, with constants for the known values.
macro_rules! ids {
    ($($(#[$meta:meta])* pub struct $name:ident($raw:ty) { $($(#[$doc:meta])* $value_name:ident = $value:literal),* $(,)? })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $raw);

        impl $name {
            $($(#[$doc])* pub const $value_name: Self = Self($value);)*

            /// The name in the specification, if the value has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($value_name)),)*
                    _ => None,
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{}::{name}", stringify!($name)),
                    None => write!(f, "{}({})", stringify!($name), self.0),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl $crate::wire::Fixed for $name {
            const SIZE: usize = size_of::<$raw>();
            #[inline(always)]
            fn get(block: &mut &[u8]) -> Self {
                Self(<$raw as $crate::wire::Fixed>::get(block))
            }
            #[inline(always)]
            fn put(&self, block: &mut &mut [u8]) {
                $crate::wire::Fixed::put(&self.0, block);
            }
        }
    )*};
}

ids! {
    /// Kind of a channel (`SPICE_CHANNEL_*`).
    pub struct ChannelType(u8) {
        /// Session control, agent, migration; the first channel of every session.
        MAIN = 1,
        /// Pictures and video streams.
        DISPLAY = 2,
        /// Keyboard and pointer.
        INPUTS = 3,
        /// Pointer shapes.
        CURSOR = 4,
        /// Sound from the guest.
        PLAYBACK = 5,
        /// Sound to the guest.
        RECORD = 6,
        /// Obsolete; has no messages.
        TUNNEL = 7,
        /// Smart cards.
        SMARTCARD = 8,
        /// Redirected USB devices.
        USBREDIR = 9,
        /// A named byte pipe.
        PORT = 10,
        /// Shared folders; speaks the port channel's messages.
        WEBDAV = 11,
    }

    /// Result of a link, also given as a reason in some messages (`SPICE_LINK_ERR_*`).
    pub struct LinkErrorCode(u32) {
        /// Accepted.
        OK = 0,
        /// No reason given.
        ERROR = 1,
        /// The first four bytes were not `REDQ`.
        INVALID_MAGIC = 2,
        /// A size, count or offset was wrong.
        INVALID_DATA = 3,
        /// The major version is not 2.
        VERSION_MISMATCH = 4,
        /// This channel needs TLS.
        NEED_SECURED = 5,
        /// This channel must not use TLS.
        NEED_UNSECURED = 6,
        /// Ticket wrong, expired or not decryptable. spice-gtk shows every result but OK as this.
        PERMISSION_DENIED = 7,
        /// No session has this `connection_id`.
        BAD_CONNECTION_ID = 8,
        /// The server has no such channel.
        CHANNEL_NOT_AVAILABLE = 9,
    }

    /// How a client proves that it may connect: the selector in front of the ticket. The values are
    /// the bit numbers of the capabilities that offer them.
    pub struct AuthMechanism(u32) {
        /// An RSA-encrypted ticket.
        SPICE = 1,
        /// SASL.
        SASL = 2,
    }

    /// What the client has to do before it leaves a migrating channel (`SPICE_MIGRATE_*`), a bit set.
    pub struct MigrateFlags(u32) {
        /// Send `MIGRATE_FLUSH_MARK`.
        NEED_FLUSH = 1,
        /// Take `MIGRATE_DATA` to the target.
        NEED_DATA_TRANSFER = 2,
    }

    /// How bad a [`crate::channel::common::Notify`] is (`SPICE_NOTIFY_SEVERITY_*`).
    pub struct NotifySeverity(u32) {
        /// For information.
        INFO = 0,
        /// A warning.
        WARN = 1,
        /// An error.
        ERROR = 2,
    }

    /// Who should see a [`crate::channel::common::Notify`] (`SPICE_NOTIFY_VISIBILITY_*`).
    pub struct NotifyVisibility(u32) {
        /// The log.
        LOW = 0,
        /// In between.
        MEDIUM = 1,
        /// The user.
        HIGH = 2,
    }

    /// Who draws the pointer (`SPICE_MOUSE_MODE_*`), a bit set. 32 bits in `INIT`, 16 elsewhere.
    pub struct MouseModes(u32) {
        /// The server, from relative motion.
        SERVER = 1,
        /// The client, with absolute positions.
        CLIENT = 2,
    }
}

ids! {
    /// Locks of the keyboard (`SPICE_KEYBOARD_MODIFIER_FLAGS_*`), a bit set.
    pub struct KeyboardModifiers(u16) {
        /// Scroll lock.
        SCROLL_LOCK = 1,
        /// Num lock.
        NUM_LOCK = 2,
        /// Caps lock.
        CAPS_LOCK = 4,
    }

    /// A button of the pointer (`SPICE_MOUSE_BUTTON_*`).
    pub struct MouseButton(u8) {
        /// None.
        INVALID = 0,
        /// Left.
        LEFT = 1,
        /// Middle.
        MIDDLE = 2,
        /// Right.
        RIGHT = 3,
        /// Wheel up.
        UP = 4,
        /// Wheel down.
        DOWN = 5,
        /// First thumb button.
        SIDE = 6,
        /// Second thumb button.
        EXTRA = 7,
    }

    /// Buttons that are down (`SPICE_MOUSE_BUTTON_MASK_*`), a bit set.
    pub struct MouseButtons(u16) {
        /// Left.
        LEFT = 1,
        /// Middle.
        MIDDLE = 2,
        /// Right.
        RIGHT = 4,
        /// Wheel up.
        UP = 8,
        /// Wheel down.
        DOWN = 16,
        /// First thumb button.
        SIDE = 32,
        /// Second thumb button.
        EXTRA = 64,
    }

    /// How sound is packed (`SPICE_AUDIO_DATA_MODE_*`).
    pub struct AudioDataMode(u16) {
        /// None.
        INVALID = 0,
        /// Samples as they are.
        RAW = 1,
        /// CELT 0.5.1.
        CELT_0_5_1 = 2,
        /// Opus.
        OPUS = 3,
    }

    /// Format of a sample (`SPICE_AUDIO_FMT_*`).
    pub struct AudioFormat(u16) {
        /// None.
        INVALID = 0,
        /// Signed 16 bits, little-endian.
        S16 = 1,
    }

    /// Kind of a smart card message (`VSCMsgType`).
    pub struct VscMessageType(u32) {
        /// Start.
        INIT = 1,
        /// An error, or success.
        ERROR = 2,
        /// A reader is there.
        READER_ADD = 3,
        /// A reader is gone.
        READER_REMOVE = 4,
        /// Answer to reset: a card is there.
        ATR = 5,
        /// The card is gone.
        CARD_REMOVE = 6,
        /// A command to the card or its answer.
        APDU = 7,
        /// Send what is waiting.
        FLUSH = 8,
        /// It was sent.
        FLUSH_COMPLETE = 9,
    }

    /// How the data of a byte pipe are packed (`SPICE_DATA_COMPRESSION_TYPE_*`).
    pub struct DataCompression(u8) {
        /// As they are.
        NONE = 0,
        /// One LZ4 block.
        LZ4 = 1,
    }

    /// What happened to a port (`SPICE_PORT_EVENT_*`).
    pub struct PortEvent(u8) {
        /// The other side opened it.
        OPENED = 0,
        /// The other side closed it.
        CLOSED = 1,
        /// A break was sent.
        BREAK = 2,
    }

    /// Form of a pointer's picture (`SPICE_CURSOR_TYPE_*`).
    pub struct CursorType(u8) {
        /// 32-bit colours with alpha.
        ALPHA = 0,
        /// 1-bit AND and XOR masks.
        MONO = 1,
        /// 4-bit palette and mask.
        COLOR4 = 2,
        /// 8-bit palette and mask.
        COLOR8 = 3,
        /// 16-bit colours and mask.
        COLOR16 = 4,
        /// 24-bit colours and mask.
        COLOR24 = 5,
        /// 32-bit colours and mask.
        COLOR32 = 6,
    }

    /// What to do with a pointer's picture (`SPICE_CURSOR_FLAGS_*`), a bit set.
    pub struct CursorFlags(u16) {
        /// There is no picture.
        NONE = 1,
        /// Keep it.
        CACHE_ME = 2,
        /// It was kept.
        FROM_CACHE = 4,
    }
}

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

    /// What to do with a picture (`SPICE_IMAGE_FLAGS_*`), a bit set.
    pub struct ImageFlags(u8) {
        /// Keep it.
        CACHE_ME = 1,
        /// The high bits of its pixels are set.
        HIGH_BITS_SET = 2,
        /// Keep it in place of one that was kept.
        CACHE_REPLACE_ME = 4,
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

    /// What fills an area (`SPICE_BRUSH_TYPE_*`).
    pub struct BrushType(u8) {
        /// Nothing.
        NONE = 0,
        /// One colour.
        SOLID = 1,
        /// A picture, over and over.
        PATTERN = 2,
    }

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

    /// How a picture is scaled (`SPICE_IMAGE_SCALE_MODE_*`).
    pub struct ImageScaleMode(u8) {
        /// Between its pixels.
        INTERPOLATE = 0,
        /// To the nearest one.
        NEAREST = 1,
    }

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

    /// How a scanout lies (`SPICE_GL_SCANOUT_FLAGS_*`), a bit set.
    pub struct GlScanoutFlags(u32) {
        /// The first row is the upper one.
        Y0TOP = 1,
    }

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

/// Bit sets can be asked for their bits.
macro_rules! contains {
    ($($name:ty),*) => {$(
        impl $name {
            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }
        }
    )*};
}

contains!(
    MigrateFlags,
    MouseModes,
    KeyboardModifiers,
    MouseButtons,
    CursorFlags,
    ImageFlags,
    BitmapFlags
);
contains!(
    JpegAlphaFlags,
    MaskFlags,
    RopDescriptor,
    PathFlags,
    LineFlags,
    StringFlags,
    AlphaFlags,
    CompositeFlags
);
contains!(SurfaceFlags, StreamFlags, GlScanoutFlags);

impl From<u16> for MouseModes {
    fn from(bits: u16) -> Self {
        Self(bits.into())
    }
}
