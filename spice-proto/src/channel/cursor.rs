//! The cursor channel: pictures of the pointer, and where it is in server mode.

use bytes::{Bytes, BytesMut};

use crate::channel::{common, messages};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout};
use crate::ids::{CursorFlags, CursorType};

messages! {
    /// Messages of the cursor channel from server to client. The client sends common messages only.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_CURSOR_INIT`: the first message; comes again after a change of mode.
        101 INIT => Init(Init),
        /// `SPICE_MSG_CURSOR_RESET`: no pointer, no pictures kept.
        102 RESET => Reset,
        /// `SPICE_MSG_CURSOR_SET`.
        103 SET => Set(Set),
        /// `SPICE_MSG_CURSOR_MOVE`.
        104 MOVE => Move(Move),
        /// `SPICE_MSG_CURSOR_HIDE`.
        105 HIDE => Hide,
        /// `SPICE_MSG_CURSOR_TRAIL`.
        106 TRAIL => Trail(Trail),
        /// `SPICE_MSG_CURSOR_INVAL_ONE`.
        107 INVAL_ONE => InvalOne(InvalOne),
        /// `SPICE_MSG_CURSOR_INVAL_ALL`: forget all pictures that were kept.
        108 INVAL_ALL => InvalAll,
    }
}

layout! {
    /// A place on the display, in pixels.
    pub struct Point16 {
        /// From the left.
        x: i16,
        /// From the top.
        y: i16,
    }
}

layout! {
    /// The pointer is here now.
    pub struct Move {
        /// Where.
        position: Point16,
    }
}

layout! {
    /// The pointer leaves a trail.
    pub struct Trail {
        /// Pictures in it.
        length: u16,
        /// Milliseconds between two of them.
        frequency: u16,
    }
}

layout! {
    /// Forget one picture that was kept.
    pub struct InvalOne {
        /// Its [`CursorHeader::unique`].
        id: u64,
    }
}

layout! {
    /// What a pointer's picture is.
    pub struct CursorHeader {
        /// A number by which it is kept.
        unique: u64,
        /// Its form.
        r#type: CursorType,
        /// Pixels.
        width: u16,
        /// Pixels.
        height: u16,
        /// The pixel that points, from the left.
        hot_spot_x: u16,
        /// The pixel that points, from the top.
        hot_spot_y: u16,
    }
}

/// A pointer's picture, or none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Cursor {
    /// What to do with it. [`CursorFlags::NONE`] is written as `header` says, whatever stands here.
    pub flags: CursorFlags,
    /// What it is; `None`: there is no picture.
    pub header: Option<CursorHeader>,
    /// Its pixels, to the end of the message; none when it was kept.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

layout! {
    /// What every [`Cursor`] begins with.
    struct CursorHead {
        flags: CursorFlags,
    }
}

impl Cursor {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let CursorHead { flags } = CursorHead::read(r)?;
        let header = if flags.contains(CursorFlags::NONE) {
            None
        } else {
            Some(CursorHeader::read(r)?)
        };
        Ok(Self {
            flags,
            header,
            data: r.rest(),
        })
    }

    fn wire_len(&self) -> usize {
        let header = if self.header.is_some() { CursorHeader::BLOCK } else { 0 };
        CursorHead::BLOCK.saturating_add(header).saturating_add(self.data.len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let none = CursorFlags::NONE.0;
        let flags = if self.header.is_some() {
            self.flags.0 & !none
        } else {
            self.flags.0 | none
        };
        CursorHead {
            flags: CursorFlags(flags),
        }
        .write(dst)?;
        if let Some(header) = &self.header {
            header.write(dst)?;
        }
        dst.extend_from_slice(&self.data);
        Ok(())
    }
}

/// How the pointer is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Init {
    /// Where it is.
    pub position: Point16,
    /// Pictures in its trail.
    pub trail_length: u16,
    /// Milliseconds between two of them.
    pub trail_frequency: u16,
    /// Not 0: it is shown.
    pub visible: u8,
    /// Its picture.
    pub cursor: Cursor,
}

/// The pointer has a new picture.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Set {
    /// Where it is.
    pub position: Point16,
    /// Not 0: it is shown.
    pub visible: u8,
    /// Its picture.
    pub cursor: Cursor,
}

codec!(Init);
codec!(Set);

layout! {
    /// The fixed part of [`Init`].
    struct InitHead {
        position: Point16,
        trail_length: u16,
        trail_frequency: u16,
        visible: u8,
    }
}

layout! {
    /// The fixed part of [`Set`].
    struct SetHead {
        position: Point16,
        visible: u8,
    }
}

impl Decode for Init {
    const NAME: &'static str = "Init";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let InitHead {
            position,
            trail_length,
            trail_frequency,
            visible,
        } = InitHead::read(r)?;
        Ok(Self {
            position,
            trail_length,
            trail_frequency,
            visible,
            cursor: Cursor::read(r)?,
        })
    }
}

impl Encode for Init {
    fn wire_len(&self) -> usize {
        InitHead::BLOCK.saturating_add(self.cursor.wire_len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let Self {
            position,
            trail_length,
            trail_frequency,
            visible,
            cursor,
        } = self;
        let (position, trail_length) = (position.clone(), *trail_length);
        InitHead {
            position,
            trail_length,
            trail_frequency: *trail_frequency,
            visible: *visible,
        }
        .write(dst)?;
        cursor.write(dst)
    }
}

impl Decode for Set {
    const NAME: &'static str = "Set";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let SetHead { position, visible } = SetHead::read(r)?;
        Ok(Self {
            position,
            visible,
            cursor: Cursor::read(r)?,
        })
    }
}

impl Encode for Set {
    fn wire_len(&self) -> usize {
        SetHead::BLOCK.saturating_add(self.cursor.wire_len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        SetHead {
            position: self.position.clone(),
            visible: self.visible,
        }
        .write(dst)?;
        self.cursor.write(dst)
    }
}
