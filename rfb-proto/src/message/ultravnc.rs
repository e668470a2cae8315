//! Messages of UltraVNC and PalmVNC. Nothing is negotiated for them.
//!
//! They are read so that a connection that has them can be followed. Nothing here opens or writes a file: that has
//! cost other programs dearly (CVE-2018-15127 and many after it).

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed, Reader, codec, layout, put_block};

layout! {
    /// Files, in both directions: 12 bytes and data.
    ///
    /// Some content types of newer versions carry a 64-bit size behind the data, of which nothing here tells, so a
    /// connection that transfers files can be lost. A proxy is better off without
    /// ([`Filter`](crate::filter::Filter) withholds them by default).
    pub struct FileTransfer = NUMBER {
        /// What it is about.
        content_type: u8,
        /// A detail of it.
        content_param: u8,
        /// Zero, or what the peer left there.
        padding: u8,
        /// Depends on the content type: the size of a file, mostly.
        size: u32,
        ;
        length: u32,
        /// A part of a file, or a name.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        data: [u8; ..=file_transfer],
    }
}

layout! {
    /// A scale for the picture (UltraVNC), 4 bytes.
    #[derive(Copy)]
    pub struct SetScale = NUMBER {
        /// By which width and height are divided.
        scale: u8,
        /// Zero, or what the client left there.
        padding: [u8; 2],
    }
}

layout! {
    /// Whether the server's own user may use keyboard and mouse, 4 bytes.
    #[derive(Copy)]
    pub struct SetServerInput = NUMBER {
        /// 1: not any longer.
        status: u8,
        /// Zero, or what the client left there.
        padding: [u8; 2],
    }
}

layout! {
    /// Only the window at this place is to be shown, 6 bytes.
    #[derive(Copy)]
    pub struct SetSw = NUMBER {
        /// Anything: UltraVNC's viewer does not set it.
        status: u8,
        /// Where the window is, in pixels from the left.
        x: u16,
        /// Where the window is, in pixels from the top.
        y: u16,
    }
}

layout! {
    /// A sign of life, in both directions; 1 byte.
    #[derive(Copy, Default)]
    pub struct KeepAlive = NUMBER {}
}

layout! {
    /// A scale for the picture (PalmVNC), 4 bytes.
    #[derive(Copy)]
    pub struct SetScaleFactor = NUMBER {
        /// By which width and height are divided.
        scale: u8,
        /// Zero, or what the client left there.
        padding: [u8; 2],
    }
}

layout! {
    /// Which sessions are there, 1 byte.
    #[derive(Copy, Default)]
    pub struct RequestSession = NUMBER {}
}

layout! {
    /// This session, 2 bytes.
    #[derive(Copy)]
    pub struct SetSession = NUMBER {
        /// Its number.
        session: u8,
    }
}

layout! {
    /// From now on a plugin changes the stream, 4 bytes: nothing can be followed behind it.
    #[derive(Copy)]
    pub struct NotifyPluginStreaming = NUMBER {
        /// Zero, or what the client left there.
        padding: u8,
        /// Not defined.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mask::unnamed"))]
        flags: u16,
    }
}

layout! {
    /// The framebuffer has another size (UltraVNC), 6 bytes.
    #[derive(Copy)]
    pub struct ResizeFrameBuffer = NUMBER {
        /// Zero, or what the server left there.
        padding: u8,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
    }
}

layout! {
    /// The framebuffer has another size (PalmVNC), 12 bytes.
    #[derive(Copy)]
    pub struct PalmResizeFrameBuffer = NUMBER {
        /// Zero, or what the server left there.
        padding: u8,
        /// Width of the desktop, in pixels.
        desktop_width: u16,
        /// Height of the desktop, in pixels.
        desktop_height: u16,
        /// Width of what is sent, in pixels.
        buffer_width: u16,
        /// Height of what is sent, in pixels.
        buffer_height: u16,
        /// Zero, or what the server left there.
        more_padding: [u8; 2],
    }
}

layout! {
    /// A state of the server, 12 bytes.
    #[derive(Copy)]
    pub struct ServerState = NUMBER {
        /// Zero, or what the server left there.
        padding: [u8; 3],
        /// Which state.
        state: u32,
        /// Its value.
        value: u32,
    }
}

/// A chat between the two users, in both directions: 8 bytes, and a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TextChat {
    /// Zero, or what the peer left there.
    pub padding: [u8; 3],
    /// What happens in it.
    pub event: ChatEvent,
}
codec!(TextChat);

/// What happens in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum ChatEvent {
    /// Something is said.
    Text(#[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))] Bytes),
    /// The window was opened.
    Open,
    /// The window was closed.
    Close,
    /// The chat is over.
    Finished,
}

impl ChatEvent {
    const OPEN: u32 = u32::MAX;
    const CLOSE: u32 = u32::MAX - 1;
    const FINISHED: u32 = u32::MAX - 2;
    /// The longest text whose length is not one of these.
    const LONGEST: u32 = u32::MAX - 3;
}

impl TextChat {
    const HEADER: usize = 8;
    const FIELDS: &'static [Field] = &[
        Field::new::<u8>("type"),
        Field::new::<[u8; 3]>("padding"),
        Field::new::<u32>("length"),
    ];

    /// The padding, and an event; of a text only its length.
    fn header(r: &mut Reader<'_>) -> Result<([u8; 3], Result<ChatEvent, u32>), DecodeError> {
        let mut block = r.block(Self::HEADER, Self::FIELDS)?;
        r.is_type(&mut block, 11)?;
        let (padding, length) = (Fixed::get(&mut block), u32::get(&mut block));
        let event = match length {
            ChatEvent::OPEN => Ok(ChatEvent::Open),
            ChatEvent::CLOSE => Ok(ChatEvent::Close),
            ChatEvent::FINISHED => Ok(ChatEvent::Finished),
            length => {
                r.limited("length", u32::SIZE, length, r.limits().text_chat)?;
                Err(length)
            }
        };
        Ok((padding, event))
    }
}

impl Decode for TextChat {
    const NAME: &'static str = "TextChat";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (padding, event) = Self::header(r)?;
        let event = event.or_else(|length| r.blob(length, "text").map(ChatEvent::Text))?;
        Ok(Self { padding, event })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < Self::HEADER {
            return Ok(Self::HEADER);
        }
        let (_, event) = Self::header(r)?;
        Ok(r.end_of::<u8>(event.err().unwrap_or_default()))
    }
}

impl Encode for TextChat {
    fn wire_len(&self) -> usize {
        let text = match &self.event {
            ChatEvent::Text(text) => text.len(),
            _ => 0,
        };
        Self::HEADER.saturating_add(text)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let (length, text) = match &self.event {
            ChatEvent::Open => (ChatEvent::OPEN, &[][..]),
            ChatEvent::Close => (ChatEvent::CLOSE, &[][..]),
            ChatEvent::Finished => (ChatEvent::FINISHED, &[][..]),
            ChatEvent::Text(text) => {
                let length = u32::try_from(text.len()).ok();
                let length = length
                    .filter(|length| *length <= ChatEvent::LONGEST)
                    .ok_or(EncodeError {
                        message: Self::NAME,
                        field: "length",
                        value: text.len() as u64,
                        limit: ChatEvent::LONGEST.into(),
                    })?;
                (length, &text[..])
            }
        };
        put_block::<{ Self::HEADER }>(dst, |block| {
            11_u8.put(block);
            self.padding.put(block);
            length.put(block);
        });
        dst.extend_from_slice(text);
        Ok(())
    }
}
