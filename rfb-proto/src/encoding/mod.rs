//! Rectangles of an update (RFC 6143 section 7.6.1) and where their payloads end.
//!
//! ```text
//! u16 x, u16 y, u16 width, u16 height, s32 encoding      Rectangle
//! payload, as the encoding says                          [`Raw`], or a piece of [`crate::framing`]
//! ```
//!
//! No payload says how long it is as a whole. [`Encoding::extent`] tells how the end of one is found; it never
//! takes more than control bytes, so nothing is inflated and no pixel is looked at.

mod raw;
pub(crate) mod walk;

pub use raw::{Raw, RectangleError};

use crate::fields::{codec, layout};
use crate::ids::ids;

ids! {
    /// An encoding, or a pseudo-encoding: a wish or a notice that is no picture. Other values pass through
    /// untouched (RFC 6143 section 7.7, and the community specification).
    pub struct Encoding(i32) {
        /// Pixels.
        RAW = 0, "Raw";
        /// A copy of another part of the framebuffer.
        COPY_RECT = 1, "CopyRect";
        /// Rectangles of one colour.
        RRE = 2, "RRE";
        /// The same with places of one byte.
        CORRE = 4, "CoRRE";
        /// Tiles of 16 by 16.
        HEXTILE = 5, "Hextile";
        /// Raw, deflated.
        ZLIB = 6, "zlib";
        /// TightVNC's.
        TIGHT = 7, "Tight";
        /// Hextile, each tile deflated.
        ZLIB_HEX = 8, "ZlibHex";
        /// UltraVNC's: Raw, compressed with LZO.
        ULTRA = 9, "Ultra";
        /// UltraVNC's later one, not published.
        ULTRA2 = 10, "Ultra2";
        /// Tiles with palettes and run lengths.
        TRLE = 15, "TRLE";
        /// As [`TRLE`](Self::TRLE), deflated.
        ZRLE = 16, "ZRLE";
        /// As [`ZRLE`](Self::ZRLE), behind a wavelet.
        ZYWRLE = 17, "ZYWRLE";
        /// UltraVNC's: many rectangles at once, as [`ZRLE`](Self::ZRLE) with XZ in place of zlib. Their number stands in
        /// the place of the rectangle (`x` the high half, `y` the low one), the length of the data in its size.
        XZ = 18, "XZ";
        /// As [`XZ`](Self::XZ), behind a wavelet.
        XZYW = 19, "XZYW";
        /// RealVNC's H.264, not published.
        H264_REALVNC = 20, "H.264 (RealVNC)";
        /// JPEG without a length.
        JPEG = 21, "JPEG";
        /// RealVNC's JPEG with run lengths, not published.
        JRLE = 22, "JRLE (RealVNC)";
        /// UltraVNC's: as [`ZLIB`](Self::ZLIB), with zstd in place of zlib.
        ZSTD = 25, "Zstd";
        /// UltraVNC's: as [`TIGHT`](Self::TIGHT), with zstd in place of zlib.
        TIGHT_ZSTD = 26, "TightZstd";
        /// UltraVNC's: as [`ZLIB_HEX`](Self::ZLIB_HEX), with zstd in place of zlib.
        ZSTD_HEX = 27, "ZstdHex";
        /// UltraVNC's: as [`ZRLE`](Self::ZRLE), with zstd in place of zlib.
        ZSTD_RLE = 28, "ZSTDRLE";
        /// UltraVNC's: as [`ZYWRLE`](Self::ZYWRLE), with zstd in place of zlib.
        ZSTD_YWRLE = 29, "ZSTDYWRLE";
        /// H.264 of the community specification.
        OPEN_H264 = 50, "Open H.264";
        /// H.264 of a draft for libvncserver.
        VA_H264 = 0x4832_3634, "VA H.264";
        /// Tight with PNG in place of zlib. QEMU sends what PNG has no form for as in [`TIGHT`](Self::TIGHT).
        TIGHT_PNG = -260, "TightPNG";

        /// The size of the framebuffer changed.
        DESKTOP_SIZE = -223, "DesktopSize";
        /// The last rectangle of an update, whatever its head says.
        LAST_RECT = -224, "LastRect";
        /// Where the pointer is, by the number in the community's table.
        POINTER_POS_LISTED = -225, "PointerPos (as listed in the community table)";
        /// Where the pointer is, by the number that TightVNC and libvncserver use.
        POINTER_POS = -232, "PointerPos";
        /// The shape of the pointer.
        CURSOR = -239, "Cursor";
        /// The shape of the pointer, in two colours.
        X_CURSOR = -240, "X Cursor";
        /// Whether the pointer sends where it is, or how far it moved.
        QEMU_POINTER_MOTION = -257, "QEMU Pointer Motion Change";
        /// Keys with the codes of a keyboard.
        QEMU_EXTENDED_KEY = -258, "QEMU Extended Key Event";
        /// Sound.
        QEMU_AUDIO = -259, "QEMU Audio";
        /// Which lights of the keyboard are on.
        QEMU_LED_STATE = -261, "QEMU LED State";
        /// A wish: messages of a generic input interface.
        GII = -305, "gii";
        /// The name of the desktop changed. A rectangle that has a size is UltraVNC's ExtViewSize instead: the part of the
        /// framebuffer that is one monitor. UltraVNC sends it unasked.
        DESKTOP_NAME = -307, "DesktopName";
        /// The size of the framebuffer and its screens, and what became of a wish to change them.
        EXTENDED_DESKTOP_SIZE = -308, "ExtendedDesktopSize";
        /// A wish: start and stop of the machine.
        XVP = -309, "xvp";
        /// Connect to another server.
        CLIENT_REDIRECT = -311, "ClientRedirect";
        /// A wish: marks in the streams.
        FENCE = -312, "Fence";
        /// A wish: updates without requests.
        CONTINUOUS_UPDATES = -313, "ContinuousUpdates";
        /// The shape of the pointer, in any encoding, with transparency.
        CURSOR_WITH_ALPHA = -314, "Cursor With Alpha";
        /// Pointer events with more than eight buttons.
        EXTENDED_MOUSE_BUTTONS = -316, "ExtendedMouseButtons";
        /// A wish: Tight may leave zlib out.
        TIGHT_WITHOUT_ZLIB = -317, "Tight without zlib";
        /// VMware's pointer.
        VMWARE_CURSOR = 0x574d_5664, "VMware Cursor";
        /// Whether VMware's pointer is seen.
        VMWARE_CURSOR_STATE = 0x574d_5665, "VMware Cursor State";
        /// Where VMware's pointer is.
        VMWARE_CURSOR_POSITION = 0x574d_5666, "VMware Cursor Position";
        /// How keys repeat.
        VMWARE_KEY_REPEAT = 0x574d_5667, "VMware Key Repeat";
        /// Which lights of the keyboard are on.
        VMWARE_LED_STATE = 0x574d_5668, "VMware LED State";
        /// The server changes the format of pixels, at once ("WMVi").
        VMWARE_DISPLAY_MODE = 0x574d_5669, "VMware Display Mode Change";
        /// What the machine does.
        VMWARE_STATE = 0x574d_566a, "VMware VM State";
        /// A wish, and the answer in a clipboard message: formats other than Latin-1 text.
        EXTENDED_CLIPBOARD = -0x3f5e_1a32, "Extended Clipboard";
        /// When the picture was taken, in microseconds (neatvnc).
        PTS = -1000, "PTS";
        /// Messages that compare the clocks of both sides (neatvnc).
        NTP = -1001, "NTP";
        /// UltraVNC's: many small rectangles, deflated.
        QUEUE_ZIP = -0x0000_fff8, "QueueZip";
        /// UltraVNC's: many small rectangles, compressed with LZO.
        ULTRA_ZIP = -0x0000_fff7, "UltraZip";
        /// UltraVNC's: many small rectangles, compressed with zstd.
        QUEUE_ZSTD = -0x0000_fff6, "QueueZstd";
        /// A wish of UltraVNC: [`QUEUE_ZIP`](Self::QUEUE_ZIP), [`ULTRA_ZIP`](Self::ULTRA_ZIP) and
        /// [`QUEUE_ZSTD`](Self::QUEUE_ZSTD).
        QUEUE_ENABLE = -0x0000_fff5, "QueueEnable";
        /// A wish of UltraVNC: what state the server is in.
        SERVER_STATE = -0x0000_8000, "ServerState";
        /// A wish of UltraVNC: signs of life.
        ENABLE_KEEP_ALIVE = -0x0000_7fff, "EnableKeepAlive";
        /// A wish of UltraVNC: a version of its file transfer.
        FILE_TRANSFER_VERSION = -0x0000_7ffe, "FTProtocolVersion";
        /// A wish of UltraVNC: a choice of sessions.
        SESSION = -0x0000_7ffd, "Session";
        /// A wish of UltraVNC: how long a user may do nothing.
        ENABLE_IDLE_TIME = -0x0000_7ffc, "EnableIdleTime";
        /// A wish of UltraVNC: how many monitors there are, and a choice of one.
        MONITOR_INFO = -0x0000_7ffb, "MonitorInfo";
        /// A wish of UltraVNC: chats in UTF-8.
        UNICODE_TEXT_CHAT = -0x0000_7ffa, "UnicodeTextChat";
        /// A wish of UltraVNC: files in chats.
        CHAT_FILE_TRANSFER = -0x0000_7ff9, "ChatFileTransfer";
        /// A wish of UltraVNC: plug-ins.
        PLUGIN_STREAMING = -0x3f5e_1a31, "PluginStreaming";
        /// Which lights of the keyboard are on, as libvncserver tells it.
        KEYBOARD_LED_STATE = -0x0002_0000, "KeyboardLedState";
        /// The messages that a libvncserver takes and sends.
        SUPPORTED_MESSAGES = -0x0001_ffff, "SupportedMessages";
        /// The encodings that it sends.
        SUPPORTED_ENCODINGS = -0x0001_fffe, "SupportedEncodings";
        /// What it calls itself.
        SERVER_IDENTITY = -0x0001_fffd, "ServerIdentity";
    }
}

/// How the end of a rectangle's payload is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Extent {
    /// There is no payload.
    None,
    /// By the size of the rectangle and of a pixel alone.
    Fixed,
    /// By a length or a count in front of it.
    Counted,
    /// Part by part, by control bytes.
    Walk,
    /// The payload names another encoding.
    Nested,
    /// By looking for an end marker.
    Scan,
    /// Not at all: the layout is not known, and a stream with such a rectangle is lost.
    Unknown,
}

impl Encoding {
    /// How the end of a payload in this encoding is found.
    ///
    /// ```
    /// use rfb_proto::encoding::{Encoding, Extent};
    /// assert_eq!(Encoding::ZRLE.extent(), Extent::Counted);
    /// assert_eq!(Encoding::JRLE.extent(), Extent::Unknown);
    /// ```
    #[must_use]
    pub const fn extent(self) -> Extent {
        match self {
            Self::DESKTOP_SIZE
            | Self::LAST_RECT
            | Self::POINTER_POS_LISTED
            | Self::POINTER_POS
            | Self::QEMU_POINTER_MOTION
            | Self::QEMU_EXTENDED_KEY
            | Self::QEMU_AUDIO
            | Self::EXTENDED_MOUSE_BUTTONS
            | Self::VMWARE_CURSOR_POSITION
            | Self::KEYBOARD_LED_STATE
            | Self::NTP => Extent::None,
            Self::RAW
            | Self::COPY_RECT
            | Self::XZ
            | Self::XZYW
            | Self::CURSOR
            | Self::X_CURSOR
            | Self::PTS
            | Self::QEMU_LED_STATE
            | Self::VMWARE_CURSOR_STATE
            | Self::VMWARE_KEY_REPEAT
            | Self::VMWARE_LED_STATE
            | Self::VMWARE_DISPLAY_MODE
            | Self::VMWARE_STATE
            | Self::SUPPORTED_MESSAGES
            | Self::SUPPORTED_ENCODINGS
            | Self::SERVER_IDENTITY => Extent::Fixed,
            Self::RRE
            | Self::CORRE
            | Self::ZLIB
            | Self::ULTRA
            | Self::ZRLE
            | Self::ZYWRLE
            | Self::ZSTD
            | Self::ZSTD_RLE
            | Self::ZSTD_YWRLE
            | Self::QUEUE_ZIP
            | Self::ULTRA_ZIP
            | Self::QUEUE_ZSTD
            | Self::OPEN_H264
            | Self::DESKTOP_NAME
            | Self::EXTENDED_DESKTOP_SIZE
            | Self::CLIENT_REDIRECT
            | Self::VMWARE_CURSOR => Extent::Counted,
            Self::HEXTILE
            | Self::TIGHT
            | Self::TIGHT_ZSTD
            | Self::TIGHT_PNG
            | Self::ZLIB_HEX
            | Self::ZSTD_HEX
            | Self::TRLE => Extent::Walk,
            Self::CURSOR_WITH_ALPHA => Extent::Nested,
            Self::JPEG => Extent::Scan,
            _ => Extent::Unknown,
        }
    }

    /// Whether a rectangle in this encoding shows a part of the framebuffer; the others are pseudo-encodings.
    #[must_use]
    pub const fn is_picture(self) -> bool {
        matches!(self.0, 0..=22 | 25..=29 | 50) || matches!(self, Self::TIGHT_PNG | Self::VA_H264) || self.is_bulk()
    }

    /// Whether such a rectangle stands for many, so that its place and size mean something else.
    pub(crate) const fn is_bulk(self) -> bool {
        matches!(self.0, 18 | 19 | -65528..=-65526)
    }

    /// Whether the rectangles that it stands for are counted in the head of the update.
    pub(crate) const fn counts_for_many(self) -> bool {
        matches!(self, Self::XZ | Self::XZYW)
    }

    /// Whether a client can ask for it without the risk that the server's stream can no longer be followed: the end of
    /// such rectangles is found, or it is a [wish](Self::is_wish) whose answers are known messages. Not so for a
    /// number that is not known, for two that stand for different things, -225 and -311, and for UltraVNC's files, some
    /// of which have a size that nothing tells of.
    #[must_use]
    pub const fn can_be_framed(self) -> bool {
        match self {
            Self::PLUGIN_STREAMING
            | Self::POINTER_POS_LISTED
            | Self::CLIENT_REDIRECT
            | Self::FILE_TRANSFER_VERSION
            | Self::CHAT_FILE_TRANSFER => false,
            _ => self.is_wish() || !matches!(self.extent(), Extent::Unknown),
        }
    }

    /// Whether such a rectangle changes what the next one means.
    pub(crate) const fn is_notice(self) -> bool {
        matches!(
            self,
            Self::LAST_RECT | Self::DESKTOP_SIZE | Self::EXTENDED_DESKTOP_SIZE | Self::VMWARE_DISPLAY_MODE
        )
    }

    /// Whether this is a wish that a client puts among its encodings and that no rectangle answers: qualities,
    /// compression levels, and extensions whose answer is a message.
    #[must_use]
    pub const fn is_wish(self) -> bool {
        matches!(
            self,
            Self::GII
                | Self::XVP
                | Self::FENCE
                | Self::CONTINUOUS_UPDATES
                | Self::TIGHT_WITHOUT_ZLIB
                | Self::EXTENDED_CLIPBOARD
                | Self::QUEUE_ENABLE
                | Self::SERVER_STATE
                | Self::ENABLE_KEEP_ALIVE
                | Self::FILE_TRANSFER_VERSION
                | Self::SESSION
                | Self::ENABLE_IDLE_TIME
                | Self::MONITOR_INFO
                | Self::UNICODE_TEXT_CHAT
                | Self::CHAT_FILE_TRANSFER
                | Self::PLUGIN_STREAMING
        ) || matches!(self.0, -32..=-23 | -256..=-247 | -512..=-412 | -768..=-763)
    }
}

layout! {
    /// The head of a rectangle (RFC 6143 section 7.6.1), 12 bytes.
    ///
    /// With a pseudo-encoding the four numbers can mean anything, so that they lie inside of the
    /// framebuffer is checked where pixels follow.
    #[derive(Copy)]
    pub struct Rectangle {
        /// Left edge, in pixels.
        x: u16,
        /// Upper edge, in pixels.
        y: u16,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
        /// What the payload is.
        encoding: Encoding,
    }
}
