//! The end of the handshake: what the client wants and what the server shows (RFC 6143 section 7.3).
//!
//! ```text
//! C  u8 shared                                                   ClientInit
//! S  u16 width, u16 height, 16 bytes format, u32 length, name    ServerInit
//! ```

use alloc::string::String;

use crate::fields::{codec, layout};
use crate::pixel_format::PixelFormat;

layout! {
    /// The client's part (RFC 6143 section 7.3.1), 1 byte.
    #[derive(Copy, Default)]
    pub struct ClientInit {
        /// 0: the client wants the desktop for itself, and the server closes other connections. Any other
        /// value, and not only 1 is sent: others may stay.
        shared: u8,
    }
}

impl ClientInit {
    /// Others are closed.
    pub const EXCLUSIVE: Self = Self { shared: 0 };
    /// Others may stay.
    pub const SHARED: Self = Self { shared: 1 };

    /// Whether others may stay.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        self.shared != 0
    }
}

layout! {
    /// The server's part (RFC 6143 section 7.3.2): 24 bytes and the name.
    pub struct ServerInit {
        /// Width of the framebuffer, in pixels.
        width: u16,
        /// Height of the framebuffer, in pixels.
        height: u16,
        /// How pixels are sent until the client sets another format. Not [validated](PixelFormat::validate).
        format: PixelFormat,
        ;
        name_length: u32,
        /// Name of the desktop as sent; [`name_text`](Self::name_text) is for people.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        name: [u8; ..=name],
    }
}

impl ServerInit {
    /// The name for a log or a title: UTF-8, or else Latin-1, without control characters.
    #[must_use]
    pub fn name_text(&self) -> String {
        crate::text::shown(&self.name)
    }
}
