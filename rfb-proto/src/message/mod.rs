//! Messages: what both sides send after the handshake (RFC 6143 sections 7.5 and 7.6).
//!
//! The first byte is the type, which says how long the message is; there is no other frame. A type that is
//! not known ends the connection: nothing tells where the next message begins.
//!
//! [`ClientMessage`] and [`ServerMessage`] are read like any other message of this crate: `missing` until it
//! is 0, `decode`, then drop `encoded_len` bytes. [`FramebufferUpdate`] is only the head of its message; its
//! rectangles follow and are read one by one, see [`crate::encoding`].

mod client;
mod clipboard;
mod server;

pub use client::{ClientMessage, FramebufferUpdateRequest, KeyEvent, PointerEvent, SetEncodings, SetPixelFormat};
pub use clipboard::{ClientCutText, ServerCutText};
pub use server::{Bell, Colour, FramebufferUpdate, ServerMessage, SetColourMapEntries};
