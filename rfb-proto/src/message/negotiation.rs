//! How [`Extension`]s are asked for and announced: which encodings and messages say so.

use super::{ClientMessage, Extension, Extensions, GiiSubtype, QemuClientMessage, ServerMessage, XvpCode};
use crate::encoding::Encoding;

impl Extension {
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
}

impl Extensions {
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
