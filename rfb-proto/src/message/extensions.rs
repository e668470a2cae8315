//! What the two sides have agreed on.

/// An extension with messages of its own, or one that changes the form of others.
///
/// A client asks for it in [`SetEncodings`](super::SetEncodings); a server that has it answers in its own way. Only
/// then may the client use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// [`Encoding::CONTINUOUS_UPDATES`](crate::encoding::Encoding::CONTINUOUS_UPDATES), answered by
    /// [`EndOfContinuousUpdates`](super::EndOfContinuousUpdates).
    ContinuousUpdates,
    /// [`Encoding::EXTENDED_CLIPBOARD`](crate::encoding::Encoding::EXTENDED_CLIPBOARD), answered by a
    /// [`ServerCutText`](super::ServerCutText) with its capabilities.
    ExtendedClipboard,
    /// [`Encoding::EXTENDED_DESKTOP_SIZE`](crate::encoding::Encoding::EXTENDED_DESKTOP_SIZE), answered by a rectangle.
    ExtendedDesktopSize,
    /// [`Encoding::EXTENDED_MOUSE_BUTTONS`](crate::encoding::Encoding::EXTENDED_MOUSE_BUTTONS), answered by a rectangle.
    ExtendedMouseButtons,
    /// [`Encoding::FENCE`](crate::encoding::Encoding::FENCE), answered by a [`ServerFence`](super::ServerFence).
    Fence,
    /// [`Encoding::GII`](crate::encoding::Encoding::GII), answered by a [`Gii`](super::Gii) with the version.
    Gii,
    /// [`Encoding::MONITOR_INFO`](crate::encoding::Encoding::MONITOR_INFO), answered by a
    /// [`MonitorInfo`](super::MonitorInfo). Only then the numbers of its two messages are UltraVNC's.
    MonitorInfo,
    /// [`Encoding::NTP`](crate::encoding::Encoding::NTP), answered by a rectangle.
    Ntp,
    /// [`Encoding::QEMU_AUDIO`](crate::encoding::Encoding::QEMU_AUDIO), answered by a rectangle.
    QemuAudio,
    /// [`Encoding::QEMU_EXTENDED_KEY`](crate::encoding::Encoding::QEMU_EXTENDED_KEY), answered by a rectangle.
    QemuExtendedKeyEvent,
    /// [`Encoding::XVP`](crate::encoding::Encoding::XVP), answered by an [`Xvp`](super::Xvp).
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

    pub(super) const fn bit(self) -> u16 {
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
    pub(super) asked: u16,
    /// What any did: an answer to an earlier one may still be on its way.
    pub(super) ever_asked: u16,
    pub(super) announced: u16,
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

    /// The same, with what another server announced to the same client.
    #[inline]
    pub(crate) const fn announced_by(self, other: &Self) -> Self {
        Self {
            announced: self.announced | other.announced,
            ..self
        }
    }

    /// Whether the server has announced it.
    #[must_use]
    pub const fn announced(self, extension: Extension) -> bool {
        self.announced & extension.bit() != 0
    }
}
