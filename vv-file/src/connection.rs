//! A connection file as virt-viewer reads it.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use crate::{
    builder::HotkeyAction,
    error::{ConnectionError, PemError, ProxyError, SubjectError, UsbFilterError},
    from_value::{FromValue, group},
    hotkey::Hotkey,
    key,
    key_file::{BadEscapes, KeyFile, Limits, Value, is_utf16},
    ovirt::Ovirt,
    pem,
    proxy::Proxy,
    secret::Secret,
    subject::HostSubject,
    usb_filter::UsbFilter,
    version,
};

/// Options for reading a connection file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Options {
    /// Limits on the size of the file.
    pub limits: Limits,
    /// Behaviour where versions of GLib differ. Default: that of the current one.
    pub bad_escapes: BadEscapes,
}

impl Options {
    /// Sets the limits on the size of the file.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the behaviour where versions of GLib differ.
    #[must_use]
    pub fn with_bad_escapes(mut self, bad_escapes: BadEscapes) -> Self {
        self.bad_escapes = bad_escapes;
        self
    }
}

/// Kind of connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionType {
    /// A SPICE server.
    Spice,
    /// A VNC server.
    Vnc,
    /// The REST interface of oVirt.
    Ovirt,
    /// A type that virt-viewer does not know: it loads the file and fails when it connects.
    Other(String),
}

impl ConnectionType {
    /// The text of the key `type`.
    pub fn name(&self) -> &str {
        match self {
            Self::Spice => "spice",
            Self::Vnc => "vnc",
            Self::Ovirt => "ovirt",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for ConnectionType {
    /// Names are compared exactly: `SPICE` is unknown.
    fn from(name: String) -> Self {
        match name.as_str() {
            "spice" => Self::Spice,
            "vnc" => Self::Vnc,
            "ovirt" => Self::Ovirt,
            _ => Self::Other(name),
        }
    }
}

impl FromValue for Option<ConnectionType> {
    fn from_value(value: Option<Value<'_>>, bad_escapes: BadEscapes) -> Self {
        Option::<String>::from_value(value, bad_escapes).map(ConnectionType::from)
    }
}

group! {
    /// The values that virt-viewer reads from `[virt-viewer]`.
    ///
    /// Text and lists are `None` if the key is absent and also if its value cannot be read;
    /// [`ConnectionFile::is_set`] tells the two apart. A number that cannot be read is 0, and a
    /// switch is on for any number but 0, so that `delete-this-file=true` leaves the file there.
    pub struct VirtViewer in key::VIRT_VIEWER;
    /// Kind of connection.
    connection_type: Option<ConnectionType> = key::TYPE,
    /// Name or address of the server. Proxmox VE puts a ticket here, which its proxy takes.
    host: Option<String> = key::HOST,
    /// Port without TLS. No range is checked; oVirt writes -1 for none.
    port: Option<i32> = key::PORT,
    /// Port with TLS (SPICE), likewise.
    tls_port: Option<i32> = key::TLS_PORT,
    /// Socket to connect to instead (SPICE, since virt-viewer 8.0).
    unix_path: Option<String> = key::UNIX_PATH,
    /// User name.
    username: Option<String> = key::USERNAME,
    /// Password, or the token that stands for one.
    password: Option<Secret> = key::PASSWORD,
    /// Title of the window. oVirt puts `%d` in it, for the number of the display.
    title: Option<String> = key::TITLE,
    /// Whether to start in full screen.
    fullscreen: Option<bool> = key::FULLSCREEN,
    /// Certificates of the authorities to trust instead of the default ones, in PEM.
    ca: Option<String> = key::CA,
    /// Subject that the server's certificate must have; its host names then need not match.
    host_subject: Option<String> = key::HOST_SUBJECT,
    /// OpenSSL cipher list.
    tls_ciphers: Option<String> = key::TLS_CIPHERS,
    /// HTTP proxy. It may hold a user name and password.
    proxy: Option<String> = key::PROXY,
    /// Channels that have to use TLS; `all` is one of the names.
    secure_channels: Option<Vec<String>> = key::SECURE_CHANNELS,
    /// Channels to leave out. virt-viewer does not honour it.
    disable_channels: Option<Vec<String>> = key::DISABLE_CHANNELS,
    /// Color depth in bits per pixel: 16 or 32, not checked (SPICE).
    color_depth: Option<i32> = key::COLOR_DEPTH,
    /// Desktop effects to switch off: `wallpaper`, `font-smooth`, `animation`, `all` (SPICE).
    disable_effects: Option<Vec<String>> = key::DISABLE_EFFECTS,
    /// Smart card redirection.
    enable_smartcard: Option<bool> = key::ENABLE_SMARTCARD,
    /// USB redirection.
    enable_usbredir: Option<bool> = key::ENABLE_USBREDIR,
    /// Redirection of USB devices as they are plugged in.
    enable_usb_autoshare: Option<bool> = key::ENABLE_USB_AUTOSHARE,
    /// Which USB devices are shared automatically.
    usb_filter: Option<String> = key::USB_FILTER,
    /// Whether the viewer removes the file once it has read it.
    delete_this_file: Option<bool> = key::DELETE_THIS_FILE,
    /// Minimum version of the viewer.
    version: Option<String> = key::VERSION,
    /// Minimum version by operating system.
    versions: BTreeMap<String, String> = key::VERSIONS,
    /// Download page of a newer viewer; a viewer that is too old shows it.
    newer_version_url: Option<String> = key::NEWER_VERSION_URL,
    /// Hotkey: toggle full screen. A file switches off every hotkey that it does not set.
    toggle_fullscreen: Option<String> = key::TOGGLE_FULLSCREEN,
    /// Hotkey: release keyboard and pointer.
    release_cursor: Option<String> = key::RELEASE_CURSOR,
    /// Hotkey: zoom in.
    zoom_in: Option<String> = key::ZOOM_IN,
    /// Hotkey: zoom out.
    zoom_out: Option<String> = key::ZOOM_OUT,
    /// Hotkey: zoom to 100 %.
    zoom_reset: Option<String> = key::ZOOM_RESET,
    /// Hotkey: send Ctrl+Alt+Del.
    secure_attention: Option<String> = key::SECURE_ATTENTION,
    /// Hotkey: reset the USB devices.
    usb_device_reset: Option<String> = key::USB_DEVICE_RESET,
}

impl VirtViewer {
    /// The subject, entry by entry.
    ///
    /// # Errors
    /// The viewer cannot read it either, or OpenSSL knows no such entry: no certificate has the subject.
    pub fn subject(&self) -> Option<Result<HostSubject, SubjectError>> {
        let text = self.host_subject.as_deref()?;
        Some(HostSubject::parse(text).and_then(|subject| subject.check().map(|()| subject)))
    }

    /// The proxy, taken apart.
    ///
    /// # Errors
    /// The viewer ignores it and connects directly, or cannot connect through it.
    pub fn proxy_uri(&self) -> Option<Result<Proxy, ProxyError>> {
        self.proxy.as_deref().map(Proxy::parse)
    }

    /// The rules for USB devices.
    ///
    /// # Errors
    /// The viewer cannot read them either.
    pub fn usb_rules(&self) -> Option<Result<UsbFilter, UsbFilterError>> {
        self.usb_filter.as_deref().map(UsbFilter::parse)
    }

    /// The bytes (DER) of the certificates of [`ca`](Self::ca).
    ///
    /// # Errors
    /// There is no certificate in it, or something else.
    pub fn certificates(&self) -> Option<Result<Vec<Vec<u8>>, PemError>> {
        self.ca.as_deref().map(pem::decode)
    }

    /// The hotkey of an action; `None` if the file sets none, which switches it off.
    pub fn hotkey(&self, action: HotkeyAction) -> Option<Hotkey> {
        let text = match action {
            HotkeyAction::ToggleFullscreen => &self.toggle_fullscreen,
            HotkeyAction::ReleaseCursor => &self.release_cursor,
            HotkeyAction::ZoomIn => &self.zoom_in,
            HotkeyAction::ZoomOut => &self.zoom_out,
            HotkeyAction::ZoomReset => &self.zoom_reset,
            HotkeyAction::SecureAttention => &self.secure_attention,
            HotkeyAction::UsbDeviceReset => &self.usb_device_reset,
        };
        text.as_deref().map(Hotkey::parse)
    }

    /// The minimum version of a viewer. A viewer that was built for an operating system looks into
    /// [`versions`](Self::versions) first.
    pub fn required_version(&self, os_id: Option<&str>) -> Option<&str> {
        let by_system = os_id.and_then(|id| self.versions.get(id));
        by_system.or(self.version.as_ref()).map(String::as_str)
    }

    /// Whether a viewer of a version accepts the file.
    pub fn takes_viewer(&self, own: &str, os_id: Option<&str>) -> bool {
        let required = self.required_version(os_id);
        required.is_none_or(|required| version::satisfies(own, required))
    }
}

/// A connection file as virt-viewer reads it.
///
/// `Debug` shows no value, and the text is overwritten when the file is dropped.
#[derive(Debug)]
pub struct ConnectionFile {
    /// The group `[virt-viewer]`.
    pub virt_viewer: VirtViewer,
    /// The group `[ovirt]`, if it is there.
    pub ovirt: Option<Ovirt>,
    key_file: KeyFile,
}

impl ConnectionFile {
    /// Reads a file as virt-viewer does with a current GLib and the default [`Limits`].
    ///
    /// # Errors
    /// The file is no key file, or has no group `[virt-viewer]` with a `type`. A value that cannot
    /// be read is no error, as it is none for virt-viewer.
    pub fn parse(input: &[u8]) -> Result<Self, ConnectionError> {
        Self::parse_with(input, &Options::default())
    }

    /// Reads a file as virt-viewer does.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_with(input: &[u8], options: &Options) -> Result<Self, ConnectionError> {
        let key_file = KeyFile::parse_with(input, &options.limits)?;
        if !key_file.has_group(key::VIRT_VIEWER) {
            return Err(match is_utf16(input) {
                true => ConnectionError::Utf16,
                false => ConnectionError::NoGroup,
            });
        }
        if key_file.get(key::VIRT_VIEWER, key::TYPE).is_none() {
            return Err(ConnectionError::NoType);
        }
        Ok(Self {
            virt_viewer: VirtViewer::read(&key_file, options.bad_escapes),
            ovirt: key_file
                .has_group(key::OVIRT)
                .then(|| Ovirt::read(&key_file, options.bad_escapes)),
            key_file,
        })
    }

    /// Whether `[virt-viewer]` has the key, readable or not.
    pub fn is_set(&self, key: impl AsRef<[u8]>) -> bool {
        self.key_file.get(key::VIRT_VIEWER, key).is_some()
    }

    /// The file underneath, with the keys and groups that virt-viewer does not know.
    pub fn key_file(&self) -> &KeyFile {
        &self.key_file
    }
}
