//! Enumerated values: channels, hotkey actions, effects and color depths, by the names in the file.

use crate::key;

/// A SPICE channel by its name in the file.
///
/// The names of old clients (`smain`, `sinputs`) match nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Channel {
    /// Every channel.
    All,
    /// Main channel: session set-up, mouse mode, agent.
    Main,
    /// Display.
    Display,
    /// Keyboard and pointer.
    Inputs,
    /// Pointer shape.
    Cursor,
    /// Audio from the guest.
    Playback,
    /// Audio to the guest.
    Record,
    /// Smart cards.
    Smartcard,
    /// USB redirection.
    Usbredir,
    /// Folder sharing (WebDAV).
    Webdav,
    /// Named ports of the guest.
    Port,
}

impl Channel {
    /// All channels, and the name that stands for all of them.
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

/// An action of a hotkey.
///
/// `smartcard-insert` and `smartcard-remove` are left out, because virt-viewer 11.0 crashes when it reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HotkeyAction {
    /// Toggle full screen.
    ToggleFullscreen,
    /// Release keyboard and pointer.
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
    /// All actions.
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

/// A desktop effect that the guest can be asked to switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Every effect.
    All,
    /// Wallpaper.
    Wallpaper,
    /// Font smoothing.
    FontSmooth,
    /// Animations.
    Animation,
}

impl Effect {
    /// All effects, and the name that stands for all of them.
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

/// Color depth in bits per pixel that the guest can be asked for.
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

/// The oVirt engine that the viewer connects to for the CD menu: the group `[ovirt]`.
#[derive(Clone, Copy, Default)]
pub struct Engine<'a> {
    /// Name of the engine, optionally with its port.
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
