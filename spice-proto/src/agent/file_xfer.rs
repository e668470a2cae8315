//! Files that the client sends into the guest.
//!
//! The client sends `START`, the agent answers `STATUS` with
//! [`CAN_SEND_DATA`](FileXferResult::CAN_SEND_DATA), the client sends `DATA` until the file is there, and the
//! agent says `STATUS` once more. Either side may cancel.

use bytes::{Bytes, BytesMut};

use super::caps::{self, Agreed};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout, length};
use crate::ids::FileXferResult;

layout! {
    /// A file will come.
    pub struct FileXferStart {
        /// The client's number for this file.
        id: u32;
        /// A key file: group `[vdagent-file-xfer]` with `name` and `size`, and a NUL behind it in spice-gtk.
        data: rest,
    }
}

layout! {
    /// How a transfer goes.
    pub struct FileXferStatus {
        /// The client's number for this file.
        id: u32,
        /// How it goes.
        result: FileXferResult;
        /// More about it: see [`FileXferStatus::detail`].
        data: rest,
    }
}

/// What a [`FileXferStatus`] says beyond its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileXferDetail {
    /// With [`FileXferResult::NOT_ENOUGH_SPACE`].
    NotEnoughSpace {
        /// Bytes that are free in the guest.
        disk_free_space: u64,
    },
    /// With [`FileXferResult::ERROR`].
    Error {
        /// Whose numbers the code is from: 0 = GLib's I/O errors.
        error_type: u8,
        /// The number.
        error_code: u32,
    },
}

layout! {
    /// What follows [`FileXferResult::NOT_ENOUGH_SPACE`].
    struct FileXferStatusNotEnoughSpace {
        disk_free_space: u64,
    }
}

layout! {
    /// What follows [`FileXferResult::ERROR`].
    struct FileXferStatusError {
        error_type: u8,
        error_code: u32,
    }
}

impl FileXferStatus {
    /// What it says beyond the result, if [`FILE_XFER_DETAILED_ERRORS`](caps::FILE_XFER_DETAILED_ERRORS)
    /// is agreed. A result without data says no more.
    ///
    /// # Errors
    /// Data that are too short.
    pub fn detail(&self, agreed: Agreed) -> Result<Option<FileXferDetail>, DecodeError> {
        if !agreed.has(caps::FILE_XFER_DETAILED_ERRORS) || self.data.is_empty() {
            return Ok(None);
        }
        Ok(match self.result {
            FileXferResult::NOT_ENOUGH_SPACE => {
                let FileXferStatusNotEnoughSpace { disk_free_space } =
                    FileXferStatusNotEnoughSpace::decode(&self.data)?;
                Some(FileXferDetail::NotEnoughSpace { disk_free_space })
            }
            FileXferResult::ERROR => {
                let FileXferStatusError { error_type, error_code } = FileXferStatusError::decode(&self.data)?;
                Some(FileXferDetail::Error { error_type, error_code })
            }
            _ => None,
        })
    }

    /// A status with more about it. Send it only where that is agreed: `agreed` decides.
    #[must_use]
    pub fn with_detail(id: u32, detail: FileXferDetail, agreed: Agreed) -> Self {
        let mut data = BytesMut::new();
        let (result, written) = match detail {
            FileXferDetail::NotEnoughSpace { disk_free_space } => {
                let body = FileXferStatusNotEnoughSpace { disk_free_space };
                (FileXferResult::NOT_ENOUGH_SPACE, body.encode(&mut data))
            }
            FileXferDetail::Error { error_type, error_code } => {
                let body = FileXferStatusError { error_type, error_code };
                (FileXferResult::ERROR, body.encode(&mut data))
            }
        };
        // INVARIANT: fixed blocks without lengths always fit.
        if written.is_err() || !agreed.has(caps::FILE_XFER_DETAILED_ERRORS) {
            data.clear();
        }
        let data = data.freeze();
        Self { id, result, data }
    }
}

/// A piece of a file. spice-gtk sends pieces of 64 KiB; an empty file is one empty piece.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct FileXferData {
    /// The client's number for this file.
    pub id: u32,
    /// The piece.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

codec!(FileXferData);

layout! {
    /// What stands in front of the piece.
    struct FileXferDataHead {
        id: u32,
        size: u64,
    }
}

impl Decode for FileXferData {
    const NAME: &'static str = "FileXferData";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let FileXferDataHead { id, size } = FileXferDataHead::read(r)?;
        let data = r.blob64(size, "data")?;
        Ok(Self { id, data })
    }
}

impl Encode for FileXferData {
    fn wire_len(&self) -> usize {
        FileXferDataHead::BLOCK.saturating_add(self.data.len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let size = length(self.data.len(), Self::NAME, "size", u64::MAX)?;
        FileXferDataHead { id: self.id, size }.write(dst)?;
        dst.extend_from_slice(&self.data);
        Ok(())
    }
}
