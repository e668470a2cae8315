//! The size of the desktop and its screens (community specification, `SetDesktopSize`).

use alloc::vec::Vec;

use crate::fields::{codec, layout};

layout! {
    /// One screen of a desktop, 16 bytes.
    #[derive(Copy)]
    pub struct Screen {
        /// Its number, which stays the same as long as it is the same screen.
        id: u32,
        /// Left edge, in pixels of the framebuffer.
        x: u16,
        /// Upper edge, in pixels of the framebuffer.
        y: u16,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
        /// Nothing is defined for them.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mask::unnamed"))]
        flags: u32,
    }
}

layout! {
    /// Another size of the desktop is wanted: 8 bytes, and 16 for each screen.
    ///
    /// The server answers with a rectangle [`ExtendedDesktopSize`](super::pseudo::ExtendedDesktopSize), also when it
    /// refuses.
    pub struct SetDesktopSize = NUMBER {
        /// Zero, or what the client left there.
        padding: u8,
        /// Width of the framebuffer, in pixels.
        width: u16,
        /// Height of the framebuffer, in pixels.
        height: u16,
        ;
        count: u8;
        /// Zero, or what the client left there.
        more_padding: u8,
        /// Where the screens lie.
        screens: [Screen],
    }
}

impl SetDesktopSize {
    /// This size, with these screens: at most 255.
    #[must_use]
    pub const fn new(width: u16, height: u16, screens: Vec<Screen>) -> Self {
        Self {
            padding: 0,
            width,
            height,
            more_padding: 0,
            screens,
        }
    }
}
