//! What stands in lists and hotkey keys, by names that virt-viewer knows.

use crate::key;

/// A SPICE channel by the name that virt-viewer knows it by.
///
/// The names of old (`smain`, `sinputs`) match nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// Every channel.
    All,
    /// The channel that comes first.
    Main,
    /// Pictures.
    Display,
    /// Keyboard and pointer.
    Inputs,
    /// The shape of the pointer.
    Cursor,
    /// Sound of the guest.
    Playback,
    /// Sound for the guest.
    Record,
    /// Smart cards.
    Smartcard,
    /// USB devices.
    Usbredir,
    /// Shared folders.
    Webdav,
    /// Named ports.
    Port,
}

impl Channel {
    /// All of them, and the one that stands for all.
    pub const ALL: &'static [Self] = &[
        Self::All,
        Self::Main,
        Self::Display,
        Self::Inputs,
        Self::Cursor,
        Self::Playback,
        Self::Record,
        Self::Smartcard,
        Self::Usbredir,
        Self::Webdav,
        Self::Port,
    ];

    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Main => "main",
            Self::Display => "display",
            Self::Inputs => "inputs",
            Self::Cursor => "cursor",
            Self::Playback => "playback",
            Self::Record => "record",
            Self::Smartcard => "smartcard",
            Self::Usbredir => "usbredir",
            Self::Webdav => "webdav",
            Self::Port => "port",
        }
    }
}

/// Something that a hotkey does.
///
/// `smartcard-insert` and `smartcard-remove` are missing: virt-viewer 11.0 crashes when it reads
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HotkeyAction {
    /// Full screen on and off.
    ToggleFullscreen,
    /// Give keyboard and pointer back.
    ReleaseCursor,
    /// Zoom in.
    ZoomIn,
    /// Zoom out.
    ZoomOut,
    /// Zoom to 100 %.
    ZoomReset,
    /// Send Ctrl+Alt+Del.
    SecureAttention,
    /// Reset the USB devices.
    UsbDeviceReset,
}

impl HotkeyAction {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::ToggleFullscreen,
        Self::ReleaseCursor,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::ZoomReset,
        Self::SecureAttention,
        Self::UsbDeviceReset,
    ];

    /// The action of a key in the file.
    pub(crate) fn of_key(key: &str) -> Option<Self> {
        Self::ALL.iter().find(|action| action.key() == key).copied()
    }

    /// The key in the file.
    pub fn key(self) -> &'static str {
        match self {
            Self::ToggleFullscreen => key::TOGGLE_FULLSCREEN,
            Self::ReleaseCursor => key::RELEASE_CURSOR,
            Self::ZoomIn => key::ZOOM_IN,
            Self::ZoomOut => key::ZOOM_OUT,
            Self::ZoomReset => key::ZOOM_RESET,
            Self::SecureAttention => key::SECURE_ATTENTION,
            Self::UsbDeviceReset => key::USB_DEVICE_RESET,
        }
    }
}

/// A desktop effect that a guest can be asked to do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Every effect.
    All,
    /// The picture behind the icons.
    Wallpaper,
    /// Smooth edges of letters.
    FontSmooth,
    /// Moving windows and menus.
    Animation,
}

impl Effect {
    /// All of them, and the one that stands for all.
    pub const ALL: &'static [Self] = &[Self::All, Self::Wallpaper, Self::FontSmooth, Self::Animation];

    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Wallpaper => "wallpaper",
            Self::FontSmooth => "font-smooth",
            Self::Animation => "animation",
        }
    }
}

/// Bits a pixel that a guest can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColorDepth {
    /// 16 bits.
    Bits16,
    /// 32 bits.
    Bits32,
}

impl ColorDepth {
    /// The number in the file.
    pub fn bits(self) -> u16 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
        }
    }
}

/// Where the viewer finds the engine of oVirt, to change the CD of a machine: the group `[ovirt]`.
#[derive(Clone, Copy, Default)]
pub struct Engine<'a> {
    /// Name and perhaps port of the engine.
    pub host: &'a str,
    /// Identifier of the virtual machine.
    pub vm_guid: &'a str,
    /// Session of the REST interface (oVirt 3.6).
    pub jsessionid: Option<&'a str>,
    /// Single sign-on token (oVirt 4.0 and later).
    pub sso_token: Option<&'a str>,
    /// Whether the administration interface is to be used.
    pub admin: Option<bool>,
    /// Certificates of the engine's authorities, in PEM.
    pub ca: Option<&'a str>,
}

impl core::fmt::Debug for Engine<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}
