//! Messages from the client (RFC 6143 section 7.5).

use super::ClientCutText;
use crate::encoding::Encoding;
use crate::pixel_format::PixelFormat;
use crate::wire::{codec, layout, messages};

messages! {
    /// A message from the client, by its type.
    pub enum ClientMessage {
        /// How pixels are to be sent.
        SetPixelFormat = 0,
        /// Which encodings may be used.
        SetEncodings = 2,
        /// Ask for a picture.
        FramebufferUpdateRequest = 3,
        /// A key.
        KeyEvent = 4,
        /// The mouse.
        PointerEvent = 5,
        /// The clipboard.
        ClientCutText = 6,
    }
}

layout! {
    /// How pixels are to be sent from now on (RFC 6143 section 7.5.1), 20 bytes.
    ///
    /// Updates that are on their way still have the old format. A client that sets it before it asks for
    /// its first update is not in doubt.
    #[derive(Copy)]
    pub struct SetPixelFormat = 0 {
        /// Zero, or what the client left there.
        padding: [u8; 3],
        /// The format.
        format: PixelFormat,
    }
}

impl SetPixelFormat {
    /// This format.
    #[must_use]
    pub const fn new(format: PixelFormat) -> Self {
        Self {
            padding: [0; 3],
            format,
        }
    }
}

layout! {
    /// Which encodings may be used, in place of those before (RFC 6143 section 7.5.2): 4 bytes, and 4 for
    /// each.
    ///
    /// Any number of encodings is legal, none at all too, and duplicates and unknown ones. The server need
    /// not keep the order, and [`Encoding::RAW`] may always be used.
    pub struct SetEncodings = 2 {
        /// Zero, or what the client left there: that of xtightvncviewer is not zero.
        padding: u8,
        ;
        count: u16,
        /// The encodings, best first.
        encodings: [Encoding],
    }
}

impl SetEncodings {
    /// These encodings.
    #[must_use]
    pub fn new(encodings: &[Encoding]) -> Self {
        Self {
            padding: 0,
            encodings: encodings.into(),
        }
    }
}

layout! {
    /// Ask for a part of the picture (RFC 6143 section 7.5.3), 10 bytes.
    #[derive(Copy)]
    pub struct FramebufferUpdateRequest = 3 {
        /// Not 0: what the client has is still good, so only what changed is wanted.
        incremental: u8,
        /// Left edge, in pixels.
        x: u16,
        /// Upper edge, in pixels.
        y: u16,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
    }
}

layout! {
    /// A key was pressed or let go (RFC 6143 section 7.5.4), 8 bytes.
    #[derive(Copy)]
    pub struct KeyEvent = 4 {
        /// 0: let go.
        down: u8,
        /// Zero, or what the client left there.
        padding: [u8; 2],
        /// The key, as a keysym of X.
        keysym: u32,
    }
}

layout! {
    /// The mouse moved, or its buttons changed (RFC 6143 section 7.5.5), 6 bytes.
    #[derive(Copy)]
    pub struct PointerEvent = 5 {
        /// A bit for each button that is down. Bits 0 to 2: left, middle, right; 3 to 6: the wheel.
        buttons: u8,
        /// Where the pointer is, in pixels from the left.
        x: u16,
        /// Where the pointer is, in pixels from the top.
        y: u16,
    }
}
