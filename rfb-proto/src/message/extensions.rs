//! What the two sides have agreed on.

use super::{ClientMessage, GiiSubtype, QemuClientMessage, ServerMessage, XvpCode};
use crate::encoding::Encoding;

/// An extension with messages of its own, or one that changes the form of others.
///
/// A client asks for it in [`SetEncodings`](super::SetEncodings); a server that has it answers in its own way. Only
/// then may the client use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// [`Encoding::CONTINUOUS_UPDATES`], answered by [`EndOfContinuousUpdates`](super::EndOfContinuousUpdates).
    ContinuousUpdates,
    /// [`Encoding::EXTENDED_CLIPBOARD`], answered by a [`ServerCutText`](super::ServerCutText) with its capabilities.
    ExtendedClipboard,
    /// [`Encoding::EXTENDED_DESKTOP_SIZE`], answered by a rectangle.
    ExtendedDesktopSize,
    /// [`Encoding::EXTENDED_MOUSE_BUTTONS`], answered by a rectangle.
    ExtendedMouseButtons,
    /// [`Encoding::FENCE`], answered by a [`ServerFence`](super::ServerFence).
    Fence,
    /// [`Encoding::GII`], answered by a [`Gii`](super::Gii) with the version.
    Gii,
    /// [`Encoding::MONITOR_INFO`], answered by a [`MonitorInfo`](super::MonitorInfo). Only then the numbers of its two
    /// messages are UltraVNC's.
    MonitorInfo,
    /// [`Encoding::NTP`], answered by a rectangle.
    Ntp,
    /// [`Encoding::QEMU_AUDIO`], answered by a rectangle.
    QemuAudio,
    /// [`Encoding::QEMU_EXTENDED_KEY`], answered by a rectangle.
    QemuExtendedKeyEvent,
    /// [`Encoding::XVP`], answered by an [`Xvp`](super::Xvp).
    Xvp,
}

impl Extension {
    /// Every extension.
    pub const ALL: [Self; 11] = [
        Self::ContinuousUpdates,
        Self::ExtendedClipboard,
        Self::ExtendedDesktopSize,
        Self::ExtendedMouseButtons,
        Self::Fence,
        Self::Gii,
        Self::MonitorInfo,
        Self::Ntp,
        Self::QemuAudio,
        Self::QemuExtendedKeyEvent,
        Self::Xvp,
    ];

    /// The pseudo-encoding by which a client asks for it.
    #[must_use]
    pub const fn encoding(self) -> Encoding {
        match self {
            Self::ContinuousUpdates => Encoding::CONTINUOUS_UPDATES,
            Self::ExtendedClipboard => Encoding::EXTENDED_CLIPBOARD,
            Self::ExtendedDesktopSize => Encoding::EXTENDED_DESKTOP_SIZE,
            Self::ExtendedMouseButtons => Encoding::EXTENDED_MOUSE_BUTTONS,
            Self::Fence => Encoding::FENCE,
            Self::Gii => Encoding::GII,
            Self::MonitorInfo => Encoding::MONITOR_INFO,
            Self::Ntp => Encoding::NTP,
            Self::QemuAudio => Encoding::QEMU_AUDIO,
            Self::QemuExtendedKeyEvent => Encoding::QEMU_EXTENDED_KEY,
            Self::Xvp => Encoding::XVP,
        }
    }

    /// The extension that a client asks for by this pseudo-encoding.
    #[must_use]
    pub fn of(encoding: Encoding) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.encoding() == encoding)
    }

    /// The extension that a message of the client belongs to. `None`: it is one of the base protocol, or of UltraVNC and
    /// PalmVNC.
    #[must_use]
    pub fn of_message(message: &ClientMessage) -> Option<Self> {
        Some(match message {
            ClientMessage::EnableContinuousUpdates(_) => Self::ContinuousUpdates,
            ClientMessage::ClientCutText(text) if text.extended => Self::ExtendedClipboard,
            ClientMessage::SetDesktopSize(_) => Self::ExtendedDesktopSize,
            ClientMessage::PointerEvent(event) if event.extended => Self::ExtendedMouseButtons,
            ClientMessage::ClientFence(_) => Self::Fence,
            ClientMessage::Gii(_) => Self::Gii,
            ClientMessage::SetMonitor(_) => Self::MonitorInfo,
            ClientMessage::Ntp(_) => Self::Ntp,
            ClientMessage::QemuClientMessage(QemuClientMessage::ExtendedKeyEvent(_)) => Self::QemuExtendedKeyEvent,
            ClientMessage::QemuClientMessage(_) => Self::QemuAudio,
            ClientMessage::Xvp(_) => Self::Xvp,
            _ => return None,
        })
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What the two sides have agreed on. Two messages have a form that depends on it, [`PointerEvent`](super::PointerEvent)
/// and the cut texts; of the others it says whether they may be sent.
///
/// It is a value, and it learns from what goes by: [`client_sent`](Self::client_sent) is shown every message of the
/// client, or at least every [`SetEncodings`](super::SetEncodings); [`server_sent`](Self::server_sent) and
/// [`server_sent_rectangle`](Self::server_sent_rectangle) what the server sends. Where encodings are withheld from the
/// server, the value is shown what goes on. A program at one end shows it what it sends as well as what it receives.
///
/// ```
/// use rfb_proto::encoding::Encoding;
/// use rfb_proto::message::{ClientMessage, Extension, Extensions, SetEncodings};
///
/// let mut extensions = Extensions::default();
/// extensions.client_sent(&SetEncodings::new(&[Encoding::RAW, Encoding::EXTENDED_MOUSE_BUTTONS]).into());
/// assert!(!extensions.agreed(Extension::ExtendedMouseButtons));
/// extensions.server_sent_rectangle(Encoding::EXTENDED_MOUSE_BUTTONS);
/// assert!(extensions.agreed(Extension::ExtendedMouseButtons));
/// # Ok::<(), rfb_proto::DecodeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Extensions {
    /// What the last `SetEncodings` asked for.
    asked: u16,
    /// What any did: an answer to an earlier one may still be on its way.
    ever_asked: u16,
    announced: u16,
}

impl Extensions {
    /// Nothing is agreed on: the base protocol.
    pub const NONE: Self = Self {
        asked: 0,
        ever_asked: 0,
        announced: 0,
    };

    /// Everything is agreed on: for a client's stream of which nothing else is known. A plain pointer event that uses
    /// bit 7 of its buttons is misread with it.
    pub const ALL: Self = Self {
        asked: u16::MAX,
        ever_asked: u16::MAX,
        announced: u16::MAX,
    };

    /// Whether the client asks for it and the server has announced it.
    #[must_use]
    #[inline]
    pub const fn agreed(self, extension: Extension) -> bool {
        self.asked & self.announced & extension.bit() != 0
    }

    /// Whether the client asks for it, or did so once: the server may announce and use it.
    #[must_use]
    #[inline]
    pub const fn asked(self, extension: Extension) -> bool {
        self.ever_asked & extension.bit() != 0
    }

    /// Whether the client asks for it now.
    #[inline]
    pub(crate) const fn asks(self, extension: Extension) -> bool {
        self.asked & extension.bit() != 0
    }

    /// The same, with what a client asked for that the server was not shown.
    #[inline]
    pub(crate) const fn wanted_as(self, client: &Self) -> Self {
        Self {
            asked: self.asked | client.asked,
            ever_asked: self.ever_asked | client.ever_asked,
            announced: self.announced,
        }
    }

    /// Whether the server has announced it.
    #[must_use]
    pub const fn announced(self, extension: Extension) -> bool {
        self.announced & extension.bit() != 0
    }

    /// The client sent this.
    #[inline]
    pub fn client_sent(&mut self, message: &ClientMessage) {
        if let ClientMessage::SetEncodings(set) = message {
            self.client_asked(&set.encodings);
        }
    }

    /// The client asks for these, and no longer for what it asked for before.
    pub fn client_asked(&mut self, encodings: &[Encoding]) {
        let bits = encodings.iter().filter_map(|encoding| Extension::of(*encoding));
        self.asked = bits.fold(0, |asked, extension| asked | extension.bit());
        self.ever_asked |= self.asked;
    }

    /// The server sent this. Its rectangles are shown by [`server_sent_rectangle`](Self::server_sent_rectangle).
    pub fn server_sent(&mut self, message: &ServerMessage) {
        let extension = match message {
            ServerMessage::EndOfContinuousUpdates(_) => Extension::ContinuousUpdates,
            ServerMessage::ServerCutText(text) if text.extended => Extension::ExtendedClipboard,
            ServerMessage::ServerFence(_) => Extension::Fence,
            ServerMessage::Gii(gii) if gii.subtype() == GiiSubtype::VERSION => Extension::Gii,
            ServerMessage::MonitorInfo(_) => Extension::MonitorInfo,
            ServerMessage::Xvp(xvp) if xvp.code == XvpCode::INIT => Extension::Xvp,
            _ => return,
        };
        self.announced |= extension.bit();
    }

    /// The server sent a rectangle with this encoding.
    #[inline]
    pub fn server_sent_rectangle(&mut self, encoding: Encoding) {
        // Pictures have small numbers: what is announced is not looked for among them.
        if 0 <= encoding.0 {
            return;
        }
        let announced = match encoding {
            Encoding::EXTENDED_DESKTOP_SIZE => Extension::ExtendedDesktopSize,
            Encoding::EXTENDED_MOUSE_BUTTONS => Extension::ExtendedMouseButtons,
            Encoding::NTP => Extension::Ntp,
            Encoding::QEMU_AUDIO => Extension::QemuAudio,
            Encoding::QEMU_EXTENDED_KEY => Extension::QemuExtendedKeyEvent,
            _ => return,
        };
        self.announced |= announced.bit();
    }

    /// Whether the client may send this message: it is one of the base protocol, or of an extension that is agreed on.
    /// Of most of UltraVNC's and PalmVNC's own nothing is negotiated. Of the extended clipboard it is enough that the
    /// client asks for it: servers take it before they have announced it.
    #[must_use]
    pub fn allow(self, message: &ClientMessage) -> bool {
        match Extension::of_message(message) {
            None => true,
            Some(Extension::ExtendedClipboard) => self.asks(Extension::ExtendedClipboard),
            Some(extension) => self.agreed(extension),
        }
    }
}
