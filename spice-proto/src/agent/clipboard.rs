//! Clipboard messages. Whether they begin with a selection, and a grab with a serial number, is agreed by
//! capabilities; the structs hold these fields when they are on the wire.
//!
//! The owner of a clipboard grabs it with a list of types, the other side requests one of them and gets
//! the content, and the owner releases it in the end. A request that cannot be met is answered with type
//! [`ClipboardType::NONE`] and no data.

use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

use super::caps::{self, Agreed};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Fixed, Reader, layout, put_array};
use crate::ids::{ClipboardSelection, ClipboardType};
use crate::parts::put_fixed;

layout! {
    /// Which clipboard a message is about. On the wire when
    /// [`CLIPBOARD_SELECTION`](caps::CLIPBOARD_SELECTION) is agreed.
    pub struct Selection {
        /// The clipboard.
        selection: ClipboardSelection,
        /// Not in use: 0.
        reserved: [u8; 3],
    }
}

impl Agreed {
    /// How a clipboard is named in a message: not at all unless that is agreed.
    #[must_use]
    pub fn selection(self, selection: ClipboardSelection) -> Option<Selection> {
        let reserved = [0; 3];
        self.has(caps::CLIPBOARD_SELECTION)
            .then_some(Selection { selection, reserved })
    }

    /// The serial number of a grab: none unless that is agreed.
    #[must_use]
    pub fn serial(self, serial: u32) -> Option<u32> {
        self.has(caps::CLIPBOARD_GRAB_SERIAL).then_some(serial)
    }
}

/// A field that is there when a capability is agreed.
fn field<T: Fixed>(r: &mut Reader<'_>, agreed: Agreed, bit: u32, name: &'static str) -> Result<Option<T>, DecodeError> {
    agreed.has(bit).then(|| r.fixed(name)).transpose()
}

fn selection(r: &mut Reader<'_>, agreed: Agreed) -> Result<Option<Selection>, DecodeError> {
    field(r, agreed, caps::CLIPBOARD_SELECTION, "selection")
}

fn put<T: Fixed>(field: Option<&T>, dst: &mut BytesMut) {
    if let Some(value) = field {
        put_fixed(value, dst);
    }
}

fn size<T: Fixed>(field: Option<&T>) -> usize {
    field.map_or(0, |_| T::SIZE)
}

/// A message whose form depends on what is agreed: how it is read, measured and written.
macro_rules! form {
    ($name:ident, |$r:ident, $agreed:ident| $read:expr, |$self:ident, $dst:ident| $len:expr, $write:block) => {
        impl $name {
            /// Decodes the data of a message in the form that is agreed. Payloads are slices of it, not
            /// copies; trailing bytes are ignored.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset.
            pub fn decode(data: &Bytes, agreed: Agreed) -> Result<Self, DecodeError> {
                Self::read(&mut Reader::new(data, stringify!($name)), agreed)
            }

            /// As `decode`, from borrowed bytes; payloads are copied.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset.
            pub fn decode_slice(data: &[u8], agreed: Agreed) -> Result<Self, DecodeError> {
                Self::read(&mut Reader::borrowed(data, stringify!($name)), agreed)
            }

            fn read($r: &mut Reader<'_>, $agreed: Agreed) -> Result<Self, DecodeError> {
                $read
            }

            /// Appends the data, with the fields that are there.
            ///
            /// # Errors
            /// None; for the same shape as the other messages.
            pub fn encode(&$self, $dst: &mut BytesMut) -> Result<(), EncodeError> {
                put($self.selection.as_ref(), $dst);
                $write
                Ok(())
            }

            /// Bytes that `encode` appends.
            #[must_use]
            pub fn encoded_len(&$self) -> usize {
                size($self.selection.as_ref()).saturating_add($len)
            }
        }
    };
}

/// Content of a clipboard: the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Clipboard {
    /// Which clipboard.
    pub selection: Option<Selection>,
    /// Its form.
    pub r#type: ClipboardType,
    /// The content. At most [`MaxClipboard`](super::MaxClipboard) bytes where that was sent.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

form!(
    Clipboard,
    |r, agreed| Ok(Self {
        selection: selection(r, agreed)?,
        r#type: r.fixed("type")?,
        data: r.rest(),
    }),
    |self, dst| self.data.len().saturating_add(ClipboardType::SIZE),
    {
        put_fixed(&self.r#type, dst);
        dst.extend_from_slice(&self.data);
    }
);

/// The sender owns a clipboard from now on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ClipboardGrab {
    /// Which clipboard.
    pub selection: Option<Selection>,
    /// Counts grabs, from 0. On the wire when [`CLIPBOARD_GRAB_SERIAL`](caps::CLIPBOARD_GRAB_SERIAL) is
    /// agreed.
    pub serial: Option<u32>,
    /// What can be had.
    pub types: Vec<ClipboardType>,
}

form!(
    ClipboardGrab,
    |r, agreed| {
        let selection = selection(r, agreed)?;
        let serial = field(r, agreed, caps::CLIPBOARD_GRAB_SERIAL, "serial")?;
        // INVARIANT: data is at most 4 GiB, so the quarter of it fits.
        let count = r.left().len().checked_div(ClipboardType::SIZE).unwrap_or(0);
        Ok(Self {
            selection,
            serial,
            types: r.array(u32::try_from(count).unwrap_or(u32::MAX), "types")?,
        })
    },
    |self, dst| {
        let types = self.types.len().saturating_mul(ClipboardType::SIZE);
        types.saturating_add(size(self.serial.as_ref()))
    },
    {
        put(self.serial.as_ref(), dst);
        put_array(dst, &self.types);
    }
);

/// Asks the owner of a clipboard for its content.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ClipboardRequest {
    /// Which clipboard.
    pub selection: Option<Selection>,
    /// The form wanted.
    pub r#type: ClipboardType,
}

form!(
    ClipboardRequest,
    |r, agreed| Ok(Self {
        selection: selection(r, agreed)?,
        r#type: r.fixed("type")?,
    }),
    |self, dst| ClipboardType::SIZE,
    {
        put_fixed(&self.r#type, dst);
    }
);

/// The sender does not own a clipboard any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ClipboardRelease {
    /// Which clipboard.
    pub selection: Option<Selection>,
}

form!(
    ClipboardRelease,
    |r, agreed| selection(r, agreed).map(|selection| Self { selection }),
    |self, dst| 0,
    {}
);
