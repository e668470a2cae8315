//! Messages from the server (RFC 6143 section 7.6).

use super::ServerCutText;
use crate::wire::{codec, layout, messages};

messages! {
    /// A message from the server, by its type.
    pub enum ServerMessage {
        /// The head of a picture; its rectangles follow.
        FramebufferUpdate = 0,
        /// Colours of a colour map.
        SetColourMapEntries = 1,
        /// A sound.
        Bell = 2,
        /// The clipboard.
        ServerCutText = 3,
    }
}

layout! {
    /// The head of an update (RFC 6143 section 7.6.1), 4 bytes. So many rectangles follow, each a
    /// [`Rectangle`](crate::encoding::Rectangle) with its payload.
    #[derive(Copy)]
    pub struct FramebufferUpdate = 0 {
        /// Zero, or what the server left there.
        padding: u8,
        /// How many rectangles follow, or until one with
        /// [`Encoding::LAST_RECT`](crate::encoding::Encoding::LAST_RECT); a server that ends with that one
        /// mostly says 65535 here. 0 is legal.
        rectangles: u16,
    }
}

layout! {
    /// Colours of a colour map (RFC 6143 section 7.6.2): 6 bytes, and 6 for each.
    pub struct SetColourMapEntries = 1 {
        /// Zero, or what the server left there.
        padding: u8,
        /// The pixel value of the first colour; the next ones count up.
        first: u16,
        ;
        count: u16,
        /// The colours.
        colours: [Colour],
    }
}

layout! {
    /// A colour of a colour map, 6 bytes. Each part goes from 0 to 65535.
    #[derive(Copy)]
    pub struct Colour {
        /// Red.
        red: u16,
        /// Green.
        green: u16,
        /// Blue.
        blue: u16,
    }
}

layout! {
    /// Make a sound (RFC 6143 section 7.6.3), 1 byte.
    #[derive(Copy)]
    pub struct Bell = 2 {}
}
