//! Writes connection files.
//!
//! In files that are made by joining strings, a line end in the name of a machine adds keys, a backslash loses the
//! title, or it switches the subject check off silently. The [`Builder`] escapes each field as GLib does, and refuses
//! values that cannot work or that a viewer ignores.

mod names;

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

pub use names::{Channel, ColorDepth, Effect, Engine, HotkeyAction};

use crate::{
    direction,
    document::Document,
    error::{BuildError, PemError},
    host,
    hotkey::Hotkey,
    key,
    key_file::{Limits, encode_item_into, encode_string_into, encoded_bound},
    lint::{self, Severity},
    pem,
    protocol::Protocol,
    proxy::Proxy,
    secret::Secret,
    subject::HostSubject,
    usb_filter::UsbFilter,
    version,
    wiped::Wiped,
};

/// The fields of a connection file that is to be written.
///
/// Setting a field twice keeps the second value. Nothing is checked before
/// [`build`](Self::build). `Debug` shows no value.
pub struct Builder {
    protocol: Protocol,
    /// The keys of `[virt-viewer]` with their values, in the order of the file; each key once.
    settings: Vec<(&'static str, Setting)>,
    /// The keys of `[ovirt]`, likewise.
    engine: Vec<(&'static str, Setting)>,
    /// A comment of one line, and the key that it follows.
    comment: Option<(&'static str, String)>,
    /// Whether lists end with a separator, as GLib writes them. Templates of known systems leave it out.
    ends_lists: bool,
}

/// A value, by the form in which it is written.
enum Setting {
    /// One line of text.
    Text(String),
    Secret(Secret),
    Certificates(Result<String, PemError>),
    Number(u16),
    Switch(bool),
    List(Vec<String>),
    /// Text that a preset writes unescaped, exactly as its generator does.
    Fixed(&'static str),
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

    /// A SPICE connection to a socket of this machine (virt-viewer 8.0 and later). There is no host and no port.
    pub fn spice_unix(path: impl Into<String>) -> Self {
        Self::bare(Protocol::Spice, "spice")
            .text(key::UNIX_PATH, path)
            .delete_this_file(true)
    }

    /// The viewer deletes the file unless the caller decides otherwise: the file outlives its token.
    fn new(protocol: Protocol, name: &str, host: String) -> Self {
        Self::bare(protocol, name).text(key::HOST, host).delete_this_file(true)
    }

    fn bare(protocol: Protocol, name: &str) -> Self {
        Self {
            protocol,
            settings: Vec::new(),
            engine: Vec::new(),
            comment: None,
            ends_lists: true,
        }
        .text(key::TYPE, name)
    }

    /// A file in the order of its setters, with only type and host to begin with.
    pub(crate) fn in_order(vnc: bool, host: &str) -> Self {
        let (protocol, name) = if vnc {
            (Protocol::Vnc, "vnc")
        } else {
            (Protocol::Spice, "spice")
        };
        Self::bare(protocol, name).text(key::HOST, host)
    }

    /// Writes lists without a separator at the end, as templates do.
    pub(crate) fn without_list_end(mut self) -> Self {
        self.ends_lists = false;
        self
    }

    /// Adds a comment after the key that was set last.
    pub(crate) fn comment(mut self, text: String) -> Self {
        self.comment = self.settings.last().map(|(key, _)| (*key, text));
        self
    }

    pub(crate) fn fixed(self, key: &'static str, text: &'static str) -> Self {
        self.set(key, Setting::Fixed(text))
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
    /// is no certificate is refused: a private key in it would be published with the file.
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

    /// HTTP proxy to connect through (SPICE): `http://host:3128`, or `https`. Viewers ignore `host:3128`, for they
    /// take the host for a scheme.
    #[must_use]
    pub fn proxy(self, uri: impl Into<String>) -> Self {
        self.text(key::PROXY, uri)
    }

    /// Channels that have to use TLS (SPICE).
    #[must_use]
    pub fn secure_channels(self, channels: impl IntoIterator<Item = Channel>) -> Self {
        let names = channels.into_iter().map(|channel| channel.name().into()).collect();
        self.set(key::SECURE_CHANNELS, Setting::List(names))
    }

    /// Color depth that the guest is asked for, in bits per pixel (SPICE).
    #[must_use]
    pub fn color_depth(self, depth: ColorDepth) -> Self {
        self.set(key::COLOR_DEPTH, Setting::Number(depth.bits()))
    }

    /// Desktop effects that the guest is asked to switch off (SPICE).
    #[must_use]
    pub fn disable_effects(self, effects: impl IntoIterator<Item = Effect>) -> Self {
        let names = effects.into_iter().map(|effect| effect.name().into()).collect();
        self.set(key::DISABLE_EFFECTS, Setting::List(names))
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

    /// Minimum version of the viewer.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        self.text(key::VERSION, version)
    }

    /// Minimum version of the viewer for the operating system that it was built for; it takes precedence over
    /// [`version`](Self::version).
    #[must_use]
    pub fn versions<I: Into<String>, V: AsRef<str>>(self, versions: impl IntoIterator<Item = (I, V)>) -> Self {
        let items = versions.into_iter().map(|(id, version)| {
            let mut item: String = id.into();
            item.push(':');
            item.push_str(version.as_ref());
            item
        });
        self.set(key::VERSIONS, Setting::List(items.collect()))
    }

    /// The oVirt engine that the viewer connects to for the CD menu.
    #[must_use]
    pub fn ovirt(mut self, engine: &Engine<'_>) -> Self {
        let text = |text: &str| Setting::Text(text.into());
        let secret = |text: &str| Setting::Secret(Secret::new(text));
        let settings = [
            (key::HOST, Some(text(engine.host))),
            (key::VM_GUID, Some(text(engine.vm_guid))),
            (key::JSESSIONID, engine.jsessionid.map(secret)),
            (key::SSO_TOKEN, engine.sso_token.map(secret)),
            (key::ADMIN, engine.admin.map(Setting::Switch)),
            (
                key::CA,
                engine.ca.map(|pem| Setting::Certificates(pem::certificates(pem))),
            ),
        ];
        self.engine = settings
            .into_iter()
            .filter_map(|(key, setting)| Some((key, setting?)))
            .collect();
        self
    }

    /// Download page of a newer viewer; a viewer that is too old shows it.
    #[must_use]
    pub fn newer_version_url(self, url: impl Into<String>) -> Self {
        self.text(key::NEWER_VERSION_URL, url)
    }

    /// A hotkey, as `shift+f11`. A viewer that opens the file has no hotkey for the actions that are left out.
    #[must_use]
    pub fn hotkey(self, action: HotkeyAction, keys: impl Into<String>) -> Self {
        self.text(action.key(), keys)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The first field that a viewer would read otherwise, ignore or fail on; then the first finding of
    /// [`lint`](crate::lint::lint) that is an error.
    pub fn build(self) -> Result<Document, BuildError> {
        for (key, setting) in &self.settings {
            self.check(key, setting)?;
        }
        for (key, setting) in &self.engine {
            check_engine(key, setting)?;
        }
        let is_socket = self.has(key::UNIX_PATH);
        if is_socket && (self.has(key::PORT) || self.has(key::TLS_PORT)) {
            return Err(BuildError::SocketAndPort);
        }
        if !is_socket && !self.has(key::PORT) && !self.has(key::TLS_PORT) {
            return Err(BuildError::NoPort);
        }
        if self.has(key::SECURE_CHANNELS) && !self.has(key::TLS_PORT) {
            return Err(BuildError::NoTlsPort);
        }
        let document = self.write()?;
        let findings = lint::lint(document.as_bytes());
        match findings.into_iter().find(|finding| finding.severity == Severity::Error) {
            Some(finding) => Err(BuildError::Lint(finding)),
            None => Ok(document),
        }
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
        if self.protocol.ignores(key) {
            return Err(BuildError::SpiceOnly(key));
        }
        match setting {
            Setting::Text(text) => {
                check_text(key, text)?;
                self.check_form(key, text)
            }
            Setting::Secret(secret) => self.check_password(key, secret.expose()),
            Setting::Certificates(Err(error)) => Err(BuildError::Certificate(*error)),
            Setting::Number(0) => Err(BuildError::PortZero(key)),
            Setting::List(items) => check_list(key, items),
            Setting::Certificates(Ok(_)) | Setting::Number(_) | Setting::Switch(_) | Setting::Fixed(_) => Ok(()),
        }
    }

    /// Checks text that can be written, and that a viewer would not understand.
    fn check_form(&self, key: &'static str, text: &str) -> Result<(), BuildError> {
        let is_well_formed = match key {
            // A ticket needs a proxy; the lint checks that there is one.
            key::HOST if host::is_ticket(text) => true,
            key::HOST if self.protocol == Protocol::Vnc => return Ok(host::check_vnc(text)?),
            key::HOST => return Ok(host::check_spice(text)?),
            key::HOST_SUBJECT => return Ok(HostSubject::parse(text)?.check()?),
            key::PROXY => return Ok(Proxy::parse(text).map(drop)?),
            key::USB_FILTER => UsbFilter::parse(text).is_ok(),
            key::VERSION => version::is_well_formed(text),
            _ => HotkeyAction::of_key(key).is_none_or(|action| Hotkey::parse(text).works_for(action)),
        };
        is_well_formed.then_some(()).ok_or(BuildError::Malformed(key))
    }

    fn check_password(&self, key: &'static str, password: &[u8]) -> Result<(), BuildError> {
        let text = core::str::from_utf8(password).map_err(|_| BuildError::NotUtf8(key))?;
        check_text(key, text)?;
        let limit = self.protocol.password_limit();
        if limit < password.len() {
            return Err(BuildError::PasswordTooLong {
                length: password.len(),
                limit,
            });
        }
        Ok(())
    }

    fn write(&self) -> Result<Document, BuildError> {
        let comment = self
            .comment
            .as_ref()
            .map_or(0, |(_, text)| text.len().saturating_add(3));
        let lines = self.settings.iter().chain(&self.engine).map(|(key, setting)| {
            // The key, the "=", the value and the newline.
            key.len().saturating_add(setting.bound()).saturating_add(2)
        });
        let bound = lines.fold(HEADERS.saturating_add(comment), usize::saturating_add);
        // The buffer never grows: growing would leave copies of the password in freed memory.
        let mut file = Wiped::with_capacity(bound);
        file.extend_from_slice(b"[virt-viewer]\n");
        for (key, setting) in &self.settings {
            self.write_line(key, setting, &mut file);
            if let Some((_, text)) = self.comment.as_ref().filter(|(behind, _)| behind == key) {
                file.extend_from_slice(b"# ");
                file.extend_from_slice(text.as_bytes());
                file.push(b'\n');
            }
        }
        if !self.engine.is_empty() {
            file.extend_from_slice(b"\n[ovirt]\n");
            for (key, setting) in &self.engine {
                self.write_line(key, setting, &mut file);
            }
        }
        let limit = Limits::default().size;
        if limit < file.len() {
            return Err(BuildError::TooLarge { limit });
        }
        Ok(Document::new(file))
    }

    fn write_line(&self, key: &str, setting: &Setting, file: &mut Vec<u8>) {
        file.extend_from_slice(key.as_bytes());
        file.push(b'=');
        setting.write(file);
        if matches!(setting, Setting::List(_)) && !self.ends_lists {
            file.pop();
        }
        file.push(b'\n');
    }
}

/// Bytes of both group headers with their line ends.
const HEADERS: usize = 32;

impl Setting {
    /// Upper bound of the bytes that [`write`](Self::write) writes.
    fn bound(&self) -> usize {
        match self {
            Self::Text(text) | Self::Certificates(Ok(text)) => encoded_bound(text.as_bytes()),
            Self::Secret(secret) => encoded_bound(secret.expose()),
            // A port has at most five digits.
            Self::Number(_) => 5,
            Self::Switch(_) => 1,
            Self::List(items) => {
                let items = items.iter().map(|item| encoded_bound(item.as_bytes()));
                items.fold(0, usize::saturating_add)
            }
            Self::Fixed(text) => text.len(),
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
            Self::Fixed(text) => file.extend_from_slice(text.as_bytes()),
            Self::Certificates(Err(_)) => {}
        }
    }
}

fn check_text(key: &'static str, text: &str) -> Result<(), BuildError> {
    if text.chars().any(char::is_control) {
        return Err(BuildError::ControlCharacter(key));
    }
    if key::is_shown(key) && direction::has_control(text) {
        return Err(BuildError::BidiControl(key));
    }
    if text.is_empty() && key != key::TITLE {
        return Err(BuildError::Empty(key));
    }
    Ok(())
}

fn check_list(key: &'static str, items: &[String]) -> Result<(), BuildError> {
    if items.is_empty() {
        return Err(BuildError::Empty(key));
    }
    for item in items {
        check_text(key, item)?;
        let versions = item.split_once(':');
        let is_trimmed = |text: &str| text.trim() == text && !text.is_empty();
        let is_pair = versions.is_some_and(|(id, text)| is_trimmed(id) && version::is_well_formed(text));
        if key == key::VERSIONS && !is_pair {
            return Err(BuildError::Malformed(key));
        }
    }
    Ok(())
}

fn check_engine(key: &'static str, setting: &Setting) -> Result<(), BuildError> {
    match setting {
        Setting::Text(text) => check_text(key, text),
        Setting::Secret(secret) => {
            let text = core::str::from_utf8(secret.expose()).map_err(|_| BuildError::NotUtf8(key))?;
            check_text(key, text)
        }
        Setting::Certificates(Err(error)) => Err(BuildError::Certificate(*error)),
        _ => Ok(()),
    }
}
