//! Rectangles that are no pictures: what the server tells in an update beside pixels.
//!
//! [`crate::encoding`] finds where the payload of a rectangle ends; [`Pseudo::decode`] looks into one that is
//! whole. Some say all that they have to say in the head of the rectangle.

mod cursor;
mod parts;
mod vmware;

pub use cursor::{Cursor, CursorWithAlpha, XCursor};
use parts::fixed;
pub use vmware::{VmwareCursor, VmwareCursorKind, VmwareCursorShape};

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::Screen;
use crate::encoding::{Encoding, Rectangle};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed, Reader, append, codec, layout, length};
use crate::ids::{ids, masks};
use crate::limits::Limits;
use crate::pixel_format::PixelFormat;

ids! {
    /// Why there is a rectangle [`ExtendedDesktopSize`]: its `x`.
    pub struct ResizeReason(u16) {
        /// The server has another size, or tells the one that it has.
        SERVER = 0, "server";
        /// This client asked for it: the answer.
        THIS_CLIENT = 1, "this client";
        /// Another client asked for it.
        OTHER_CLIENT = 2, "other client";
    }

    /// What became of a wish for another size: `y` of an [`ExtendedDesktopSize`]. An unknown value is a failure.
    pub struct ResizeStatus(u16) {
        /// It was done.
        OK = 0, "ok";
        /// It is not allowed.
        PROHIBITED = 1, "prohibited";
        /// There is not enough memory.
        NO_RESOURCES = 2, "no resources";
        /// The screens cannot lie like this.
        BAD_LAYOUT = 3, "bad layout";
        /// It was passed on, and may come.
        FORWARDED = 4, "forwarded";
    }
}

masks! {
    /// Lights of the keyboard, a bit each.
    pub struct LedState(u8) {
        /// Scroll lock.
        SCROLL = 1, "scroll";
        /// Num lock.
        NUM = 2, "num";
        /// Caps lock.
        CAPS = 4, "caps";
    }
}

layout! {
    /// The name of the desktop: 4 bytes and the name.
    pub struct DesktopName {
        ;
        length: u32,
        /// UTF-8, by the specification.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        name: [u8; ..=name],
    }
}

layout! {
    /// The size of the desktop and its screens: 4 bytes, and 16 for each screen. Width and height are those of the
    /// rectangle, `x` is a [`ResizeReason`], `y` a [`ResizeStatus`].
    pub struct ExtendedDesktopSize {
        ;
        count: u8;
        /// Zero, or what the server left there.
        padding: [u8; 3],
        /// Where the screens lie.
        screens: [Screen],
    }
}

/// Another server, to which the client should connect: 10 bytes, and two texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ClientRedirect {
    /// Its port.
    pub port: u16,
    /// Its name or address; at most [`Limits::name`] bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub host: Bytes,
    /// The subject of its certificate; at most [`Limits::name`] bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub x509_subject: Bytes,
}
codec!(ClientRedirect);

impl ClientRedirect {
    const FIELDS: &'static [Field] = &[Field::new::<u16>("port"), Field::new::<u32>("host_length")];
    const SUBJECT_FIELDS: &'static [Field] = &[Field::new::<u32>("subject_length")];

    fn length(r: &Reader<'_>, block: &mut &[u8], field: &'static str) -> Result<u32, DecodeError> {
        let length = u32::get(block);
        r.limited(field, u32::SIZE, length, r.limits().name)?;
        Ok(length)
    }
}

impl Decode for ClientRedirect {
    const NAME: &'static str = "ClientRedirect";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut block = r.block(const { u16::SIZE + u32::SIZE }, Self::FIELDS)?;
        let port = u16::get(&mut block);
        let host = Self::length(r, &mut block, "host_length")?;
        let host = r.blob(host, "host")?;
        let mut block = r.block(u32::SIZE, Self::SUBJECT_FIELDS)?;
        let subject = Self::length(r, &mut block, "subject_length")?;
        let x509_subject = r.blob(subject, "x509_subject")?;
        Ok(Self {
            port,
            host,
            x509_subject,
        })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        let head = const { u16::SIZE + u32::SIZE };
        if r.left().len() < head {
            return Ok(head);
        }
        let mut block = r.block(head, Self::FIELDS)?;
        u16::get(&mut block);
        let host = Self::length(r, &mut block, "host_length")?;
        // The host, and the length behind it.
        let subject = r.end_of::<u8>(host).saturating_add(u32::SIZE);
        if r.at().saturating_add(r.left().len()) < subject {
            return Ok(subject);
        }
        r.bytes(host, "host")?;
        let mut block = r.block(u32::SIZE, Self::SUBJECT_FIELDS)?;
        let subject = Self::length(r, &mut block, "subject_length")?;
        Ok(r.end_of::<u8>(subject))
    }
}

impl Encode for ClientRedirect {
    fn wire_len(&self) -> usize {
        const { u16::SIZE + 2 * u32::SIZE }
            .saturating_add(self.host.len())
            .saturating_add(self.x509_subject.len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        dst.extend_from_slice(&self.port.to_be_bytes());
        for (field, text) in [("host_length", &self.host), ("subject_length", &self.x509_subject)] {
            let length = length(text.len(), Self::NAME, field, u32::MAX)?;
            dst.extend_from_slice(&length.to_be_bytes());
            dst.extend_from_slice(text);
        }
        Ok(())
    }
}

/// What a rectangle that is no picture tells.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Pseudo {
    /// The framebuffer has the size of the rectangle.
    DesktopSize,
    /// The update ends here.
    LastRect,
    /// The pointer is at the place of the rectangle. `-232` is TightVNC's and libvncserver's number, `-225` that of the
    /// community's list; this says which.
    PointerPos(Encoding),
    /// Pointer events tell where the pointer is (`x` is 1), or how far it moved (`x` is 0).
    QemuPointerMotion,
    /// The server takes keys of [`QemuExtendedKeyEvent`](super::QemuExtendedKeyEvent).
    QemuExtendedKeyEvent,
    /// The server has sound.
    QemuAudio,
    /// The server takes [`PointerEvent`](super::PointerEvent) in its long form.
    ExtendedMouseButtons,
    /// The pointer is at the place of the rectangle.
    VmwareCursorPosition,
    /// The lights of the keyboard are a [`LedState`] in `x` (libvncserver).
    KeyboardLedState,
    /// The client may compare clocks with [`Ntp`](super::Ntp) (neatvnc).
    Ntp,
    /// The rectangle is the monitor that is shown (UltraVNC's ExtViewSize, which has the number of
    /// [`DesktopName`](Self::DesktopName) and, unlike it, a size).
    ExtViewSize,
    /// When the picture was taken, in microseconds (neatvnc).
    Pts(u64),
    /// The shape of the pointer. The place of the rectangle is the point of it that points.
    Cursor(Cursor),
    /// The shape of the pointer, in two colours.
    XCursor(XCursor),
    /// The shape of the pointer, with transparency.
    CursorWithAlpha(CursorWithAlpha),
    /// The lights of the keyboard (QEMU).
    QemuLedState(LedState),
    /// The name of the desktop.
    DesktopName(DesktopName),
    /// The size of the desktop and its screens.
    ExtendedDesktopSize(ExtendedDesktopSize),
    /// Another server.
    ClientRedirect(ClientRedirect),
    /// The shape of the pointer (VMware).
    VmwareCursor(VmwareCursor),
    /// Whether the pointer is seen (VMware). The meaning of the bits is not known here.
    VmwareCursorState([u8; 2]),
    /// How keys repeat (VMware), not looked into.
    VmwareKeyRepeat([u8; 10]),
    /// The lights of the keyboard (VMware), not looked into.
    VmwareLedState([u8; 4]),
    /// Pixels have this format from here on (VMware, "WMVi").
    VmwareDisplayMode(PixelFormat),
    /// What the machine does (VMware), not looked into.
    VmwareVmState([u8; 2]),
    /// Two sets of 256 bits: the types of messages that the server takes and sends (libvncserver). The width of the
    /// rectangle is their length.
    SupportedMessages(#[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))] Bytes),
    /// The encodings that the server has (libvncserver). The width of the rectangle is their length in bytes.
    SupportedEncodings(Vec<Encoding>),
    /// What the server calls itself (libvncserver). The width of the rectangle is the length.
    ServerIdentity(#[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))] Bytes),
}

impl Pseudo {
    /// Looks into the payload of a rectangle, which is whole. `format` is the pixel format in force. `None`: the
    /// rectangle is a picture, or nothing is known of its encoding.
    ///
    /// # Errors
    /// The payload is not what the encoding and the rectangle demand. Offsets count from its first byte.
    pub fn decode(
        rectangle: &Rectangle,
        payload: &Bytes,
        format: &PixelFormat,
        limits: &Limits,
    ) -> Result<Option<Self>, DecodeError> {
        let name = rectangle.encoding.name().unwrap_or_default();
        let mut r = Reader::new(payload, name, limits);
        let r = &mut r;
        let whole = |r: &mut Reader<'_>| r.blob(rectangle.width.into(), "data");
        let pseudo = match rectangle.encoding {
            Encoding::DESKTOP_SIZE => Self::DesktopSize,
            Encoding::LAST_RECT => Self::LastRect,
            encoding @ (Encoding::POINTER_POS | Encoding::POINTER_POS_LISTED) => Self::PointerPos(encoding),
            Encoding::QEMU_POINTER_MOTION => Self::QemuPointerMotion,
            Encoding::QEMU_EXTENDED_KEY => Self::QemuExtendedKeyEvent,
            Encoding::QEMU_AUDIO => Self::QemuAudio,
            Encoding::EXTENDED_MOUSE_BUTTONS => Self::ExtendedMouseButtons,
            Encoding::VMWARE_CURSOR_POSITION => Self::VmwareCursorPosition,
            Encoding::KEYBOARD_LED_STATE => Self::KeyboardLedState,
            Encoding::NTP => Self::Ntp,
            Encoding::PTS => Self::Pts(u64::from_be_bytes(fixed(r, "time")?)),
            Encoding::CURSOR => Self::Cursor(Cursor::read(r, rectangle, format)?),
            Encoding::X_CURSOR => Self::XCursor(XCursor::read(r, rectangle)?),
            Encoding::CURSOR_WITH_ALPHA => Self::CursorWithAlpha(CursorWithAlpha::read(r)?),
            Encoding::QEMU_LED_STATE => Self::QemuLedState(fixed(r, "state")?),
            Encoding::DESKTOP_NAME if rectangle.width != 0 || rectangle.height != 0 => Self::ExtViewSize,
            Encoding::DESKTOP_NAME => Self::DesktopName(DesktopName::read(r)?),
            Encoding::EXTENDED_DESKTOP_SIZE => Self::ExtendedDesktopSize(ExtendedDesktopSize::read(r)?),
            Encoding::CLIENT_REDIRECT => Self::ClientRedirect(ClientRedirect::read(r)?),
            Encoding::VMWARE_CURSOR => Self::VmwareCursor(VmwareCursor::read(r, rectangle, format)?),
            Encoding::VMWARE_CURSOR_STATE => Self::VmwareCursorState(fixed(r, "state")?),
            Encoding::VMWARE_KEY_REPEAT => Self::VmwareKeyRepeat(fixed(r, "repeat")?),
            Encoding::VMWARE_LED_STATE => Self::VmwareLedState(fixed(r, "state")?),
            Encoding::VMWARE_DISPLAY_MODE => Self::VmwareDisplayMode(fixed(r, "format")?),
            Encoding::VMWARE_STATE => Self::VmwareVmState(fixed(r, "state")?),
            Encoding::SUPPORTED_MESSAGES => Self::SupportedMessages(whole(r)?),
            Encoding::SUPPORTED_ENCODINGS if rectangle.width % 4 == 0 => {
                let encodings = r.array(u32::from(rectangle.width >> 2), "encodings")?;
                Self::SupportedEncodings(encodings)
            }
            Encoding::SUPPORTED_ENCODINGS => {
                return Err(r.error("encodings", 0, DecodeErrorKind::Invalid("four bytes each expected")));
            }
            Encoding::SERVER_IDENTITY => Self::ServerIdentity(whole(r)?),
            _ => return Ok(None),
        };
        match r.left() {
            [] => Ok(Some(pseudo)),
            _ => Err(r.error("end", r.at(), DecodeErrorKind::Invalid("bytes behind the payload"))),
        }
    }

    /// Appends the payload. The head of the rectangle is the caller's.
    ///
    /// # Errors
    /// A value that its field cannot hold; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::DesktopSize
            | Self::LastRect
            | Self::PointerPos(_)
            | Self::QemuPointerMotion
            | Self::QemuExtendedKeyEvent
            | Self::QemuAudio
            | Self::ExtendedMouseButtons
            | Self::VmwareCursorPosition
            | Self::KeyboardLedState
            | Self::Ntp
            | Self::ExtViewSize => {}
            Self::Pts(time) => dst.extend_from_slice(&time.to_be_bytes()),
            Self::Cursor(cursor) => cursor.put(dst),
            Self::XCursor(cursor) => cursor.put(dst),
            Self::CursorWithAlpha(cursor) => cursor.put(dst),
            Self::QemuLedState(state) => dst.extend_from_slice(&[state.0]),
            Self::DesktopName(name) => return append(name, dst),
            Self::ExtendedDesktopSize(size) => return append(size, dst),
            Self::ClientRedirect(redirect) => return append(redirect, dst),
            Self::VmwareCursor(cursor) => cursor.put(dst),
            Self::VmwareCursorState(state) | Self::VmwareVmState(state) => dst.extend_from_slice(state),
            Self::VmwareKeyRepeat(repeat) => dst.extend_from_slice(repeat),
            Self::VmwareLedState(state) => dst.extend_from_slice(state),
            Self::VmwareDisplayMode(format) => return append(format, dst),
            Self::SupportedMessages(data) | Self::ServerIdentity(data) => dst.extend_from_slice(data),
            Self::SupportedEncodings(encodings) => crate::fields::put_array(dst, encodings),
        }
        Ok(())
    }

    /// The encoding that the head of the rectangle has.
    #[must_use]
    pub const fn encoding(&self) -> Encoding {
        match self {
            Self::DesktopSize => Encoding::DESKTOP_SIZE,
            Self::LastRect => Encoding::LAST_RECT,
            Self::PointerPos(encoding) => *encoding,
            Self::QemuPointerMotion => Encoding::QEMU_POINTER_MOTION,
            Self::QemuExtendedKeyEvent => Encoding::QEMU_EXTENDED_KEY,
            Self::QemuAudio => Encoding::QEMU_AUDIO,
            Self::ExtendedMouseButtons => Encoding::EXTENDED_MOUSE_BUTTONS,
            Self::VmwareCursorPosition => Encoding::VMWARE_CURSOR_POSITION,
            Self::KeyboardLedState => Encoding::KEYBOARD_LED_STATE,
            Self::Ntp => Encoding::NTP,
            Self::ExtViewSize => Encoding::DESKTOP_NAME,
            Self::Pts(_) => Encoding::PTS,
            Self::Cursor(_) => Encoding::CURSOR,
            Self::XCursor(_) => Encoding::X_CURSOR,
            Self::CursorWithAlpha(_) => Encoding::CURSOR_WITH_ALPHA,
            Self::QemuLedState(_) => Encoding::QEMU_LED_STATE,
            Self::DesktopName(_) => Encoding::DESKTOP_NAME,
            Self::ExtendedDesktopSize(_) => Encoding::EXTENDED_DESKTOP_SIZE,
            Self::ClientRedirect(_) => Encoding::CLIENT_REDIRECT,
            Self::VmwareCursor(_) => Encoding::VMWARE_CURSOR,
            Self::VmwareCursorState(_) => Encoding::VMWARE_CURSOR_STATE,
            Self::VmwareKeyRepeat(_) => Encoding::VMWARE_KEY_REPEAT,
            Self::VmwareLedState(_) => Encoding::VMWARE_LED_STATE,
            Self::VmwareDisplayMode(_) => Encoding::VMWARE_DISPLAY_MODE,
            Self::VmwareVmState(_) => Encoding::VMWARE_STATE,
            Self::SupportedMessages(_) => Encoding::SUPPORTED_MESSAGES,
            Self::SupportedEncodings(_) => Encoding::SUPPORTED_ENCODINGS,
            Self::ServerIdentity(_) => Encoding::SERVER_IDENTITY,
        }
    }
}
