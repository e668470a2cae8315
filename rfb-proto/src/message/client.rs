//! Messages from the client (RFC 6143 section 7.5).

use bytes::BytesMut;

use super::{
    ClientCutText, ClientFence, Colour, EnableContinuousUpdates, Extension, Extensions, FileTransfer, Gii, KeepAlive,
    NotifyPluginStreaming, Ntp, QemuClientMessage, RequestSession, SetDesktopSize, SetMonitor, SetScale,
    SetScaleFactor, SetServerInput, SetSession, SetSw, TextChat, Xvp,
};
use crate::encoding::Encoding;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{
    Decode, Encode, Field, Fixed, Reader, ShortForm, codec, front, layout, messages, put_block, take_front,
};
use crate::limits::Limits;
use crate::pixel_format::PixelFormat;

messages! {
    /// A message from the client, by its type.
    ///
    /// Not known are the layouts of 127 and 254 (VMware), 128 (Car Connectivity), 252 and 130 to 136 (TightVNC's
    /// extensions), 12, 14, 16 to 19, 151 and 249: where one of them comes, the connection cannot be followed. 254 is
    /// UltraVNC's where the client has asked for [`Encoding::MONITOR_INFO`].
    pub enum ClientMessage {
        /// How pixels are to be sent.
        0 SET_PIXEL_FORMAT "SetPixelFormat" => SetPixelFormat;
        /// Colours of a colour map.
        1 FIX_COLOUR_MAP_ENTRIES "FixColourMapEntries" => FixColourMapEntries;
        /// Which encodings may be used.
        2 SET_ENCODINGS "SetEncodings" => SetEncodings;
        /// Ask for a picture.
        3 FRAMEBUFFER_UPDATE_REQUEST "FramebufferUpdateRequest" => FramebufferUpdateRequest;
        /// A key.
        4 KEY_EVENT "KeyEvent" => KeyEvent;
        /// The mouse.
        5 POINTER_EVENT "PointerEvent" => PointerEvent;
        /// The clipboard.
        6 CLIENT_CUT_TEXT "ClientCutText" => ClientCutText;
        /// UltraVNC's files.
        7 FILE_TRANSFER "FileTransfer" => FileTransfer;
        /// UltraVNC's scaling.
        8 SET_SCALE "SetScale" => SetScale;
        /// UltraVNC's switch for the input of the server's own user.
        9 SET_SERVER_INPUT "SetServerInput" => SetServerInput;
        /// UltraVNC's choice of a window.
        10 SET_SW "SetSW" => SetSw;
        /// UltraVNC's chat.
        11 TEXT_CHAT "TextChat" => TextChat;
        /// UltraVNC's sign of life.
        13 KEEP_ALIVE "KeepAlive" => KeepAlive;
        /// PalmVNC's scaling.
        15 SET_SCALE_FACTOR "SetScaleFactor" => SetScaleFactor;
        /// UltraVNC's question for a session.
        20 REQUEST_SESSION "RequestSession" => RequestSession;
        /// UltraVNC's choice of a session.
        21 SET_SESSION "SetSession" => SetSession;
        /// UltraVNC's stream through plugins.
        80 NOTIFY_PLUGIN_STREAMING "NotifyPluginStreaming" => NotifyPluginStreaming;
        /// Updates without requests.
        150 ENABLE_CONTINUOUS_UPDATES "EnableContinuousUpdates" => EnableContinuousUpdates;
        /// A question for the time, or an answer (neatvnc).
        160 NTP "NTP" => Ntp;
        /// A mark in the stream.
        248 CLIENT_FENCE "ClientFence" => ClientFence;
        /// Power of a virtual machine.
        250 XVP "xvp" => Xvp;
        /// Another size of the desktop.
        251 SET_DESKTOP_SIZE "SetDesktopSize" => SetDesktopSize;
        /// General input.
        253 GII "gii" => Gii;
        /// UltraVNC's choice of a monitor.
        254 SET_MONITOR "SetMonitor" => SetMonitor;
        /// QEMU's keys and sound.
        255 QEMU "QEMU" => QemuClientMessage;
    }
}

layout! {
    /// How pixels are to be sent from now on (RFC 6143 section 7.5.1), 20 bytes.
    ///
    /// Updates that are on their way still have the old format. A client that sets it before it asks for
    /// its first update is not in doubt.
    #[derive(Copy)]
    pub struct SetPixelFormat = NUMBER {
        /// Zero, or what the client left there.
        padding: [u8; 3],
        /// The format.
        format: PixelFormat,
    }
}

impl SetPixelFormat {
    /// This format.
    #[must_use]
    pub const fn new(format: PixelFormat) -> Self {
        Self {
            padding: [0; 3],
            format,
        }
    }
}

layout! {
    /// Which encodings may be used, in place of those before (RFC 6143 section 7.5.2): 4 bytes, and 4 for
    /// each.
    ///
    /// Any number of encodings is legal, none at all too, and duplicates and unknown ones. The server need
    /// not keep the order, and [`Encoding::RAW`] may always be used.
    pub struct SetEncodings = NUMBER {
        /// Zero, or what the client left there: that of xtightvncviewer is not zero.
        padding: u8,
        ;
        count: u16,
        /// The encodings, best first.
        encodings: [Encoding],
    }
}

impl SetEncodings {
    /// These encodings.
    #[must_use]
    pub fn new(encodings: &[Encoding]) -> Self {
        Self {
            padding: 0,
            encodings: encodings.into(),
        }
    }
}

layout! {
    /// Ask for a part of the picture (RFC 6143 section 7.5.3), 10 bytes.
    #[derive(Copy)]
    pub struct FramebufferUpdateRequest = NUMBER {
        /// Not 0: what the client has is still good, so only what changed is wanted.
        incremental: u8,
        /// Left edge, in pixels.
        x: u16,
        /// Upper edge, in pixels.
        y: u16,
        /// Width, in pixels.
        width: u16,
        /// Height, in pixels.
        height: u16,
    }
}

layout! {
    /// A key was pressed or let go (RFC 6143 section 7.5.4), 8 bytes.
    #[derive(Copy)]
    pub struct KeyEvent = NUMBER {
        /// 0: let go.
        down: u8,
        /// Zero, or what the client left there.
        padding: [u8; 2],
        /// The key, as a keysym of X.
        keysym: u32,
    }
}

layout! {
    /// Colours of a colour map, from the client: 6 bytes, and 6 for each. In old specifications only; no client sends
    /// it.
    pub struct FixColourMapEntries = NUMBER {
        /// Zero, or what the client left there.
        padding: u8,
        /// The pixel value of the first colour; the next ones count up.
        first: u16,
        ;
        count: u16,
        /// The colours.
        colours: [Colour],
    }
}

/// The mouse moved, or its buttons changed (RFC 6143 section 7.5.5): 6 bytes, or 7.
///
/// ```text
/// u8 5, u8 buttons, u16 x, u16 y                                              without bit 7 of buttons
/// u8 5, u8 buttons with bit 7, u16 x, u16 y, u8 buttons 7 to 14               ExtendedMouseButtons
/// ```
///
/// The long form is there when [`Extension::ExtendedMouseButtons`] is agreed on. Bit 7 then marks it; else it is a
/// button like the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PointerEvent {
    /// A bit for each button that is down. Bits 0 to 2: left, middle, right; 3 to 6: the wheel; 7 and 8: back and
    /// forward.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::mask::buttons"))]
    pub buttons: u16,
    /// Where the pointer is, in pixels from the left.
    pub x: u16,
    /// Where the pointer is, in pixels from the top.
    pub y: u16,
    /// Whether it is in the long form, which has bits 7 to 14 of the buttons in a byte of their own. The short form
    /// has bits 0 to 7.
    pub extended: bool,
}
codec!(PointerEvent, extensions);

/// Bit 7 of the first byte of buttons: the long form.
const EXTENDED_MARK: u8 = !(u8::MAX >> 1);

impl PointerEvent {
    const SHORT_LEN: usize = 6;
    const LONG: usize = 7;
    const FIELDS: &'static [Field] = &[
        Field::new::<u8>("type"),
        Field::new::<u8>("buttons"),
        Field::new::<u16>("x"),
        Field::new::<u16>("y"),
    ];
    const EXTENDED_FIELDS: &'static [Field] = &[Field::new::<u8>("extended_buttons")];

    /// This event, in the long form where it is needed and may be sent. Buttons that have no place are left out.
    #[must_use]
    pub const fn new(buttons: u16, x: u16, y: u16, extensions: &Extensions) -> Self {
        let extended = extensions.agreed(Extension::ExtendedMouseButtons) && buttons & !0x7f != 0;
        let buttons = buttons & if extended { 0x7fff } else { 0xff };
        Self {
            buttons,
            x,
            y,
            extended,
        }
    }

    /// Whether the event whose buttons these are has the long form.
    #[inline(always)]
    fn is_extended(r: &Reader<'_>, buttons: u8) -> bool {
        buttons & EXTENDED_MARK != 0 && r.extensions().agreed(Extension::ExtendedMouseButtons)
    }
}

impl Decode for PointerEvent {
    const NAME: &'static str = "PointerEvent";

    #[inline]
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut block = r.block(Self::SHORT_LEN, Self::FIELDS)?;
        r.is_type(&mut block, Self::NUMBER)?;
        let buttons = u8::get(&mut block);
        let (x, y) = (u16::get(&mut block), u16::get(&mut block));
        let extended = Self::is_extended(r, buttons);
        let mut event = Self {
            buttons: buttons.into(),
            x,
            y,
            extended,
        };
        if extended {
            let mut block = r.block(u8::SIZE, Self::EXTENDED_FIELDS)?;
            event.buttons = u16::from(buttons & !EXTENDED_MARK) | u16::from(u8::get(&mut block)) << 7;
        }
        Ok(event)
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        let long = matches!(r.left(), [_, buttons, ..] if Self::is_extended(r, *buttons));
        Ok(if long { Self::LONG } else { Self::SHORT_LEN })
    }

    const SHORT: ShortForm = ShortForm {
        marks: EXTENDED_MARK,
        ..ShortForm::of(Self::SHORT_LEN)
    };

    #[inline(always)]
    fn front(
        src: &mut &[u8],
        extensions: &Extensions,
        limits: &Limits,
        fault: &mut Option<DecodeError>,
    ) -> Option<Self> {
        // The short form is read where it lies; nearly all are short.
        match *src {
            &[Self::NUMBER, buttons, x1, x2, y1, y2, ref rest @ ..] if buttons & EXTENDED_MARK == 0 => {
                *src = rest;
                Some(Self {
                    buttons: buttons.into(),
                    x: u16::from_be_bytes([x1, x2]),
                    y: u16::from_be_bytes([y1, y2]),
                    extended: false,
                })
            }
            _ => front(src, extensions, limits, fault),
        }
    }

    #[inline]
    fn take(src: &mut BytesMut, extensions: &Extensions, limits: &Limits) -> Result<Option<Self>, DecodeError> {
        take_front(src, extensions, limits)
    }
}

impl Encode for PointerEvent {
    fn wire_len(&self) -> usize {
        if self.extended { Self::LONG } else { Self::SHORT_LEN }
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let limit = if self.extended { 0x7fff } else { 0xff };
        if limit < self.buttons {
            return Err(EncodeError {
                message: Self::NAME,
                field: "buttons",
                value: self.buttons.into(),
                limit: limit.into(),
            });
        }
        let [high, low] = self.buttons.to_be_bytes();
        let mark = if self.extended { EXTENDED_MARK } else { 0 };
        put_block::<{ Self::SHORT_LEN }>(dst, |block| {
            Self::NUMBER.put(block);
            (low | mark).put(block);
            self.x.put(block);
            self.y.put(block);
        });
        if self.extended {
            dst.extend_from_slice(&[high << 1 | low >> 7]);
        }
        Ok(())
    }
}
