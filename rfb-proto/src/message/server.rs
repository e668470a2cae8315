//! Messages from the server (RFC 6143 section 7.6).

use super::{
    EndOfContinuousUpdates, FileTransfer, Gii, KeepAlive, MonitorInfo, Ntp, PalmResizeFrameBuffer, QemuServerMessage,
    ResizeFrameBuffer, ServerCutText, ServerFence, ServerState, TextChat, Xvp,
};
use crate::wire::{codec, layout, messages};

messages! {
    /// A message from the server, by its type.
    ///
    /// Not known are the layouts of 5, 6, 8 to 10, 12 and 14 (UltraVNC), 127 and 254 (VMware), 128 (Car
    /// Connectivity), 130 to 133 (TightVNC) and 249: where one of them comes, the connection cannot be followed. Nor can
    /// it at 252, unless the client has asked for [`Encoding::MONITOR_INFO`](crate::encoding::Encoding::MONITOR_INFO).
    pub enum ServerMessage {
        /// The head of a picture; its rectangles follow.
        FramebufferUpdate = 0 "FramebufferUpdate",
        /// Colours of a colour map.
        SetColourMapEntries = 1 "SetColourMapEntries",
        /// A sound.
        Bell = 2 "Bell",
        /// The clipboard.
        ServerCutText = 3 "ServerCutText",
        /// UltraVNC's new size.
        ResizeFrameBuffer = 4 "ResizeFrameBuffer",
        /// UltraVNC's files.
        FileTransfer = 7 "FileTransfer",
        /// UltraVNC's chat.
        TextChat = 11 "TextChat",
        /// UltraVNC's sign of life.
        KeepAlive = 13 "KeepAlive",
        /// PalmVNC's new size.
        PalmResizeFrameBuffer = 15 "ResizeFrameBuffer",
        /// Continuous updates can be had, or are over.
        EndOfContinuousUpdates = 150 "EndOfContinuousUpdates",
        /// A question for the time, or an answer (neatvnc).
        Ntp = 160 "NTP",
        /// UltraVNC's state.
        ServerState = 173 "ServerState",
        /// A mark in the stream.
        ServerFence = 248 "ServerFence",
        /// Power of a virtual machine.
        Xvp = 250 "xvp",
        /// UltraVNC's monitors.
        MonitorInfo = 252 "MonitorInfo",
        /// General input.
        Gii = 253 "gii",
        /// QEMU's sound.
        QemuServerMessage = 255 "QEMU",
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
