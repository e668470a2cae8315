//! Messages: what both sides send after the handshake (RFC 6143 sections 7.5 and 7.6, and the extensions of the
//! community specification).
//!
//! The first byte is the type, which says how long the message is; there is no other frame. A type that is
//! not known ends the connection: nothing tells where the next message begins.
//!
//! [`ClientMessage`] and [`ServerMessage`] are read like any other message of this crate: `missing` until it
//! is 0, `decode`, then drop `encoded_len` bytes. What the two sides have agreed on changes the form of two of them;
//! [`Extensions`] learns it from what goes by. [`FramebufferUpdate`] is only the head of its message; its rectangles
//! follow and are read one by one, see [`crate::encoding`]. What rectangles that are no pictures hold is in [`pseudo`].

mod client;
mod clipboard;
mod desktop;
mod extended_clipboard;
mod extensions;
mod flow;
mod gii;
mod monitor;
mod neatvnc;
mod negotiation;
pub mod pseudo;
mod qemu;
mod server;
mod stream;
mod ultravnc;
mod xvp;

pub use client::{
    ClientMessage, FixColourMapEntries, FramebufferUpdateRequest, KeyEvent, PointerEvent, SetEncodings, SetPixelFormat,
};
pub use clipboard::{ClientCutText, ServerCutText};
pub use desktop::{Screen, SetDesktopSize};
pub use extended_clipboard::{ClipboardFlags, ExtendedClipboard, Provide};
pub use extensions::{Extension, Extensions};
pub use flow::{
    ClientFence, EnableContinuousUpdates, EndOfContinuousUpdates, FenceFlags, MAX_FENCE_PAYLOAD, ServerFence,
};
pub use gii::{Gii, GiiSubtype};
pub use monitor::{MonitorInfo, SetMonitor};
pub use neatvnc::Ntp;
pub use qemu::{
    AudioFormat, QemuAudioFormat, QemuAudioNotice, QemuAudioRequest, QemuClientMessage, QemuExtendedKeyEvent,
    QemuServerMessage, QemuSubtype,
};
pub use server::{Bell, Colour, FramebufferUpdate, ServerMessage, SetColourMapEntries};
pub use stream::ClientMessages;
pub use ultravnc::{
    ChatEvent, FileTransfer, KeepAlive, NotifyPluginStreaming, PalmResizeFrameBuffer, RequestSession,
    ResizeFrameBuffer, ServerState, SetScale, SetScaleFactor, SetServerInput, SetSession, SetSw, TextChat,
};
pub use xvp::{Xvp, XvpCode};
