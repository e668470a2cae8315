//! Writes a connection file that virt-viewer takes as it was meant.
//!
//! Generators that paste text together let a machine's name add keys to the file, lose a title
//! with a backslash in it, and switch off the subject check without a word. Here each field is
//! escaped as GLib does it, and what cannot work or would be ignored is refused.

use alloc::{
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt;

use zeroize::Zeroizing;

use crate::{
    document::Document,
    error::{BuildError, PemError},
    key,
    key_file::{Limits, encode_item_into, encode_string_into, encoded_bound},
    pem,
    secret::Secret,
};

/// Bytes of a SPICE password that fit the ticket.
const SPICE_PASSWORD: usize = 60;
/// Bytes of a password that VNC authentication uses: it is a DES key.
const VNC_PASSWORD: usize = 8;

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Spice,
    Vnc,
}

/// A connection file in the making.
///
/// Setting a field twice keeps the second value. Nothing is checked before
/// [`build`](Self::build). `Debug` shows no value.
pub struct Builder {
    protocol: Protocol,
    /// In the order of writing; each key once.
    settings: Vec<(&'static str, Setting)>,
}

/// A value, by the form in which it is written.
enum Setting {
    /// One line of text.
    Text(String),
    Secret(Secret),
    Certificates(Result<String, PemError>),
    Number(u16),
    Switch(bool),
    List(Vec<&'static str>),
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

impl Builder {
    /// A SPICE connection to a host. It needs a [`port`](Self::port), a
    /// [`tls_port`](Self::tls_port) or both.
    pub fn spice(host: impl Into<String>) -> Self {
        Self::new(Protocol::Spice, "spice", host.into())
    }

    /// A VNC connection to a host. It needs a [`port`](Self::port).
    pub fn vnc(host: impl Into<String>) -> Self {
        Self::new(Protocol::Vnc, "vnc", host.into())
    }

    /// A file that nobody thought about is one that goes away: it outlives its token otherwise.
    fn new(protocol: Protocol, name: &str, host: String) -> Self {
        let settings = vec![
            (key::TYPE, Setting::Text(name.into())),
            (key::HOST, Setting::Text(host)),
            (key::DELETE_THIS_FILE, Setting::Switch(true)),
        ];
        Self { protocol, settings }
    }

    /// Port without TLS. If there is a TLS port too, SPICE viewers use TLS for the channels of
    /// [`secure_channels`](Self::secure_channels) and where the server asks for it.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.set(key::PORT, Setting::Number(port))
    }

    /// Port with TLS (SPICE). Without [`port`](Self::port) every channel uses it.
    #[must_use]
    pub fn tls_port(self, port: u16) -> Self {
        self.set(key::TLS_PORT, Setting::Number(port))
    }

    /// User name, where the server asks for one.
    #[must_use]
    pub fn username(self, name: impl Into<String>) -> Self {
        self.text(key::USERNAME, name)
    }

    /// Password, or the token that stands for one: UTF-8, of at most 60 bytes for SPICE and 8 for
    /// VNC. The builder overwrites its copy when it is dropped.
    #[must_use]
    pub fn password(self, password: impl AsRef<[u8]>) -> Self {
        self.set(key::PASSWORD, Setting::Secret(Secret::new(password.as_ref())))
    }

    /// Title of the window; the only text that may be empty.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        self.text(key::TITLE, title)
    }

    /// Whether to start in full screen.
    #[must_use]
    pub fn fullscreen(self, on: bool) -> Self {
        self.set(key::FULLSCREEN, Setting::Switch(on))
    }

    /// Certificates of the authorities to trust instead of the default ones, in PEM (SPICE).
    ///
    /// Line ends and lengths are normalised, and text round the blocks is dropped. A block that
    /// is no certificate is refused: it would be a private key for everyone to download.
    #[must_use]
    pub fn ca(self, pem: impl AsRef<str>) -> Self {
        self.set(key::CA, Setting::Certificates(pem::certificates(pem.as_ref())))
    }

    /// Subject that the server's certificate must have, as `O=Example,CN=host` in the order of
    /// the certificate (SPICE). A comma or backslash inside a value has a backslash before it.
    #[must_use]
    pub fn host_subject(self, subject: impl Into<String>) -> Self {
        self.text(key::HOST_SUBJECT, subject)
    }

    /// OpenSSL cipher list (SPICE).
    #[must_use]
    pub fn tls_ciphers(self, ciphers: impl Into<String>) -> Self {
        self.text(key::TLS_CIPHERS, ciphers)
    }

    /// HTTP proxy to connect through (SPICE): `http://host:3128`, or `https`; the scheme may be
    /// missing and is then `http`.
    #[must_use]
    pub fn proxy(self, uri: impl Into<String>) -> Self {
        self.text(key::PROXY, uri)
    }

    /// Channels that have to use TLS (SPICE).
    #[must_use]
    pub fn secure_channels(self, channels: impl IntoIterator<Item = Channel>) -> Self {
        let names = channels.into_iter().map(Channel::name).collect();
        self.set(key::SECURE_CHANNELS, Setting::List(names))
    }

    /// Smart card redirection (SPICE).
    #[must_use]
    pub fn enable_smartcard(self, on: bool) -> Self {
        self.set(key::ENABLE_SMARTCARD, Setting::Switch(on))
    }

    /// USB redirection (SPICE).
    #[must_use]
    pub fn enable_usbredir(self, on: bool) -> Self {
        self.set(key::ENABLE_USBREDIR, Setting::Switch(on))
    }

    /// Redirection of USB devices as they are plugged in (SPICE).
    #[must_use]
    pub fn enable_usb_autoshare(self, on: bool) -> Self {
        self.set(key::ENABLE_USB_AUTOSHARE, Setting::Switch(on))
    }

    /// Which USB devices are shared automatically (SPICE): rules of
    /// `class,vendor,product,version,allow` with `|` between them; -1 stands for any.
    #[must_use]
    pub fn usb_filter(self, rules: impl Into<String>) -> Self {
        self.text(key::USB_FILTER, rules)
    }

    /// Whether the viewer removes the file once it has read it. Default: yes.
    #[must_use]
    pub fn delete_this_file(self, delete: bool) -> Self {
        self.set(key::DELETE_THIS_FILE, Setting::Switch(delete))
    }

    /// Least version of the viewer.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        self.text(key::VERSION, version)
    }

    /// Where a newer viewer can be had; shown when the version does not do.
    #[must_use]
    pub fn newer_version_url(self, url: impl Into<String>) -> Self {
        self.text(key::NEWER_VERSION_URL, url)
    }

    /// A hotkey, as `shift+f11`. Every action without one has none while the file is in use.
    #[must_use]
    pub fn hotkey(self, action: HotkeyAction, keys: impl Into<String>) -> Self {
        self.text(action.key(), keys)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The first field that would not be read back as it was set, would not work, or would be
    /// ignored by the viewer.
    pub fn build(self) -> Result<Document, BuildError> {
        for (key, setting) in &self.settings {
            self.check(key, setting)?;
        }
        if !self.has(key::PORT) && !self.has(key::TLS_PORT) {
            return Err(BuildError::NoPort);
        }
        if self.has(key::SECURE_CHANNELS) && !self.has(key::TLS_PORT) {
            return Err(BuildError::NoTlsPort);
        }
        self.write()
    }

    fn text(self, key: &'static str, text: impl Into<String>) -> Self {
        self.set(key, Setting::Text(text.into()))
    }

    fn set(mut self, key: &'static str, setting: Setting) -> Self {
        match self.settings.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = setting,
            None => self.settings.push((key, setting)),
        }
        self
    }

    fn has(&self, key: &str) -> bool {
        self.settings.iter().any(|(name, _)| *name == key)
    }

    fn check(&self, key: &'static str, setting: &Setting) -> Result<(), BuildError> {
        if self.protocol == Protocol::Vnc && SPICE_ONLY.contains(&key) {
            return Err(BuildError::SpiceOnly(key));
        }
        match setting {
            Setting::Text(text) => check_text(key, text)?,
            Setting::Secret(secret) => self.check_password(key, secret.expose())?,
            Setting::Certificates(Err(error)) => return Err(BuildError::Certificate(*error)),
            Setting::Number(0) => return Err(BuildError::PortZero(key)),
            Setting::List(items) if items.is_empty() => return Err(BuildError::Empty(key)),
            Setting::Certificates(Ok(_)) | Setting::Number(_) | Setting::Switch(_) | Setting::List(_) => {}
        }
        match setting {
            Setting::Text(uri) if key == key::PROXY => check_proxy(uri),
            _ => Ok(()),
        }
    }

    fn check_password(&self, key: &'static str, password: &[u8]) -> Result<(), BuildError> {
        let text = core::str::from_utf8(password).map_err(|_| BuildError::NotUtf8(key))?;
        check_text(key, text)?;
        let limit = match self.protocol {
            Protocol::Spice => SPICE_PASSWORD,
            Protocol::Vnc => VNC_PASSWORD,
        };
        if limit < password.len() {
            return Err(BuildError::PasswordTooLong {
                length: password.len(),
                limit,
            });
        }
        Ok(())
    }

    fn write(&self) -> Result<Document, BuildError> {
        let header = ["[", key::VIRT_VIEWER, "]\n"];
        let lines = self.settings.iter().map(|(key, setting)| {
            // The key, the "=", the value and the newline.
            key.len().saturating_add(setting.bound()).saturating_add(2)
        });
        let bound = header
            .iter()
            .map(|part| part.len())
            .chain(lines)
            .fold(0, usize::saturating_add);
        // Large enough from the start: a buffer that grows leaves copies of the password behind.
        let mut file = Zeroizing::new(Vec::with_capacity(bound));
        for part in header {
            file.extend_from_slice(part.as_bytes());
        }
        for (key, setting) in &self.settings {
            file.extend_from_slice(key.as_bytes());
            file.push(b'=');
            setting.write(&mut file);
            file.push(b'\n');
        }
        let limit = Limits::default().size;
        if limit < file.len() {
            return Err(BuildError::TooLarge { limit });
        }
        Ok(Document::new(file))
    }
}

impl Setting {
    /// The most bytes that [`write`](Self::write) writes.
    fn bound(&self) -> usize {
        match self {
            Self::Text(text) | Self::Certificates(Ok(text)) => encoded_bound(text.as_bytes()),
            Self::Secret(secret) => encoded_bound(secret.expose()),
            // Five digits are the most that a port has.
            Self::Number(_) => 5,
            Self::Switch(_) => 1,
            Self::List(items) => {
                let items = items.iter().map(|item| encoded_bound(item.as_bytes()));
                items.fold(0, usize::saturating_add)
            }
            Self::Certificates(Err(_)) => 0,
        }
    }

    fn write(&self, file: &mut Vec<u8>) {
        match self {
            Self::Text(text) | Self::Certificates(Ok(text)) => {
                encode_string_into(text.as_bytes(), file);
            }
            Self::Secret(secret) => encode_string_into(secret.expose(), file),
            Self::Number(number) => file.extend_from_slice(number.to_string().as_bytes()),
            // The manual says boolean, virt-viewer reads an integer: `true` would be 0.
            Self::Switch(on) => file.push(if *on { b'1' } else { b'0' }),
            Self::List(items) => {
                for item in items {
                    encode_item_into(item.as_bytes(), file);
                }
            }
            Self::Certificates(Err(_)) => {}
        }
    }
}

/// What virt-viewer does not look at in a VNC file. A caller who sets one of these counts on it.
pub(crate) const SPICE_ONLY: &[&str] = &[
    key::TLS_PORT,
    key::CA,
    key::HOST_SUBJECT,
    key::TLS_CIPHERS,
    key::PROXY,
    key::SECURE_CHANNELS,
    key::ENABLE_SMARTCARD,
    key::ENABLE_USBREDIR,
    key::ENABLE_USB_AUTOSHARE,
    key::USB_FILTER,
];

fn check_text(key: &'static str, text: &str) -> Result<(), BuildError> {
    if text.chars().any(char::is_control) {
        return Err(BuildError::ControlCharacter(key));
    }
    if text.is_empty() && key != key::TITLE {
        return Err(BuildError::Empty(key));
    }
    Ok(())
}

fn check_proxy(uri: &str) -> Result<(), BuildError> {
    match uri.split_once("://") {
        None | Some(("http" | "https", _)) => Ok(()),
        Some(_) => Err(BuildError::ProxyScheme),
    }
}
