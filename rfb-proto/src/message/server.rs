//! Messages from the server (RFC 6143 section 7.6).

use super::{
    EndOfContinuousUpdates, FileTransfer, Gii, KeepAlive, MonitorInfo, Ntp, PalmResizeFrameBuffer, QemuServerMessage,
    ResizeFrameBuffer, ServerCutText, ServerFence, ServerState, TextChat, Xvp,
};
use crate::fields::{codec, layout, messages};

messages! {
    /// A message from the server, by its type.
    ///
    /// Not known are the layouts of 5, 6, 8 to 10, 12 and 14 (UltraVNC), 127 and 254 (VMware), 128 (Car
    /// Connectivity), 130 to 133 (TightVNC) and 249: where one of them comes, the connection cannot be followed. Nor can
    /// it at 252, unless the client has asked for [`Encoding::MONITOR_INFO`](crate::encoding::Encoding::MONITOR_INFO).
    pub enum ServerMessage {
        /// The head of a picture; its rectangles follow.
        0 FRAMEBUFFER_UPDATE "FramebufferUpdate" => FramebufferUpdate;
        /// Colours of a colour map.
        1 SET_COLOUR_MAP_ENTRIES "SetColourMapEntries" => SetColourMapEntries;
        /// A sound.
        2 BELL "Bell" => Bell;
        /// The clipboard.
        3 SERVER_CUT_TEXT "ServerCutText" => ServerCutText;
        /// UltraVNC's new size.
        4 RESIZE_FRAME_BUFFER "ResizeFrameBuffer" => ResizeFrameBuffer;
        /// UltraVNC's files.
        7 FILE_TRANSFER "FileTransfer" => FileTransfer, shared;
        /// UltraVNC's chat.
        11 TEXT_CHAT "TextChat" => TextChat, shared;
        /// UltraVNC's sign of life.
        13 KEEP_ALIVE "KeepAlive" => KeepAlive, shared;
        /// PalmVNC's new size.
        15 PALM_RESIZE_FRAME_BUFFER "ResizeFrameBuffer" => PalmResizeFrameBuffer;
        /// Continuous updates can be had, or are over.
        150 END_OF_CONTINUOUS_UPDATES "EndOfContinuousUpdates" => EndOfContinuousUpdates;
        /// A question for the time, or an answer (neatvnc).
        160 NTP "NTP" => Ntp, shared;
        /// UltraVNC's state.
        173 SERVER_STATE "ServerState" => ServerState;
        /// A mark in the stream.
        248 SERVER_FENCE "ServerFence" => ServerFence;
        /// Power of a virtual machine.
        250 XVP "xvp" => Xvp, shared;
        /// UltraVNC's monitors.
        252 MONITOR_INFO "MonitorInfo" => MonitorInfo;
        /// General input.
        253 GII "gii" => Gii, shared;
        /// QEMU's sound.
        255 QEMU "QEMU" => QemuServerMessage;
    }
}

layout! {
    /// The head of an update (RFC 6143 section 7.6.1), 4 bytes. So many rectangles follow, each a
    /// [`Rectangle`](crate::encoding::Rectangle) with its payload.
    #[derive(Copy)]
    pub struct FramebufferUpdate = NUMBER {
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
    pub struct SetColourMapEntries = NUMBER {
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
    pub struct Bell = NUMBER {}
}
