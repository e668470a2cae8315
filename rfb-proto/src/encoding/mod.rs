//! Rectangles of an update (RFC 6143 section 7.6.1) and their payloads.
//!
//! ```text
//! u16 x, u16 y, u16 width, u16 height, s32 encoding      Rectangle
//! payload, as the encoding says                          [`Raw`]
//! ```

mod raw;

pub use raw::{Raw, RectangleError};

use crate::ids::ids;
use crate::wire::{codec, layout};

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
        /// Tiles of 16 by 16.
        HEXTILE = 5, "Hextile";
        /// TightVNC's.
        TIGHT = 7, "Tight";
        /// Tiles with palettes and run lengths.
        TRLE = 15, "TRLE";
        /// As [`TRLE`](Self::TRLE), deflated.
        ZRLE = 16, "ZRLE";
        /// The size of the framebuffer changed.
        DESKTOP_SIZE = -223, "DesktopSize";
        /// The last rectangle of an update, whatever its head says.
        LAST_RECT = -224, "LastRect";
        /// The shape of the pointer.
        CURSOR = -239, "Cursor";
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
