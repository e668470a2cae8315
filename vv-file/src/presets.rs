//! Connection files in the forms of oVirt, Proxmox VE and Kerbside, with escapes and checks that those systems lack.
//!
//! oVirt and Kerbside write templates with a fixed order of keys, which is reproduced byte for byte. Proxmox VE writes
//! its keys in the order of a hash table; the preset has a fixed order.

use alloc::format;
use core::fmt;

use crate::{
    builder::{Builder, Channel, Engine, HotkeyAction},
    key,
};

/// The hotkeys that oVirt and Kerbside set.
fn common_hotkeys(builder: Builder) -> Builder {
    builder
        .hotkey(HotkeyAction::ToggleFullscreen, "shift+f11")
        .hotkey(HotkeyAction::ReleaseCursor, "shift+f12")
        .hotkey(HotkeyAction::SecureAttention, "ctrl+alt+end")
}

fn with<T>(builder: Builder, value: Option<T>, set: impl FnOnce(Builder, T) -> Builder) -> Builder {
    match value {
        Some(value) => set(builder, value),
        None => builder,
    }
}

macro_rules! redacted_debug {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

redacted_debug!(Ovirt, ProxmoxVe, Kerbside);

/// A console of oVirt. `Debug` shows no value.
///
/// ```
/// use vv_file::{Engine, presets::Ovirt};
/// let console = Ovirt { host: "198.51.100.7", port: Some(5904), password: "once", title: "mail:%d", ..Ovirt::default() };
/// let file = console.spice().ovirt(&Engine { host: "engine", vm_guid: "1", ..Engine::default() }).build()?;
/// assert!(file.as_bytes().ends_with(b"[ovirt]\nhost=engine\nvm-guid=1\n"));
/// # Ok::<(), vv_file::BuildError>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Ovirt<'a> {
    /// Address of the hypervisor.
    pub host: &'a str,
    /// Port without TLS.
    pub port: Option<u16>,
    /// Port with TLS (SPICE).
    pub tls_port: Option<u16>,
    /// The ticket.
    pub password: &'a str,
    /// Lifetime of the ticket in seconds, for the comment.
    pub valid_for: u32,
    /// Title of the window; `%d` is the number of the display.
    pub title: &'a str,
    /// Whether to start in full screen.
    pub fullscreen: bool,
    /// Smart card redirection (SPICE).
    pub enable_smartcard: bool,
    /// Redirection of USB devices as they are plugged in (SPICE).
    pub enable_usb_autoshare: bool,
    /// Rules for USB devices (SPICE). oVirt writes `null` where it has none, which viewers ignore.
    pub usb_filter: Option<&'a str>,
    /// OpenSSL cipher list (SPICE).
    pub tls_ciphers: Option<&'a str>,
    /// Subject of the server's certificate, and the authorities in PEM (SPICE).
    pub host_subject_and_ca: Option<(&'a str, &'a str)>,
    /// HTTP proxy (SPICE).
    pub proxy: Option<&'a str>,
    /// Channels that have to use TLS (SPICE).
    pub secure_channels: &'a [Channel],
    /// User name (VNC).
    pub username: Option<&'a str>,
    /// Minimum versions by operating system, and the download page of newer ones.
    pub versions: Option<(&'a [(&'a str, &'a str)], &'a str)>,
    /// For the group `[ovirt]`.
    pub engine: Option<Engine<'a>>,
}

impl Ovirt<'_> {
    /// A SPICE console.
    pub fn spice(&self) -> Builder {
        let mut builder = with(self.head(false), self.tls_port, Builder::tls_port)
            .enable_smartcard(self.enable_smartcard)
            .enable_usb_autoshare(self.enable_usb_autoshare);
        builder = match self.usb_filter {
            Some(rules) => builder.usb_filter(rules),
            None => builder.fixed(key::USB_FILTER, "null"),
        };
        builder = with(builder, self.tls_ciphers, Builder::tls_ciphers);
        builder = with(builder, self.host_subject_and_ca, |builder, (subject, ca)| {
            builder.host_subject(subject).ca(ca)
        });
        builder = with(builder, self.proxy, Builder::proxy);
        if !self.secure_channels.is_empty() {
            builder = builder.secure_channels(self.secure_channels.iter().copied());
        }
        self.tail(builder)
    }

    /// A VNC console.
    pub fn vnc(&self) -> Builder {
        self.tail(with(self.head(true), self.username, Builder::username))
    }

    fn head(&self, vnc: bool) -> Builder {
        let builder = with(Builder::in_order(vnc, self.host), self.port, Builder::port)
            .password(self.password)
            .comment(format!("Password is valid for {} seconds.", self.valid_for))
            .delete_this_file(true)
            .fullscreen(self.fullscreen)
            .title(self.title);
        common_hotkeys(builder).without_list_end()
    }

    fn tail(&self, builder: Builder) -> Builder {
        let builder = with(builder, self.versions, |builder, (versions, url)| {
            builder.versions(versions.iter().copied()).newer_version_url(url)
        });
        with(builder, self.engine, |builder, engine| builder.ovirt(&engine))
    }
}

/// A console of Proxmox VE. `Debug` shows no value.
#[derive(Clone, Copy, Default)]
pub struct ProxmoxVe<'a> {
    /// The ticket of the proxy, which is written as the host.
    pub proxy_ticket: &'a str,
    /// Name or address of the node, whose proxy listens on 3128.
    pub node: &'a str,
    /// Port with TLS.
    pub tls_port: u16,
    /// The ticket of the machine.
    pub password: &'a str,
    /// Number of the machine.
    pub vm_id: u32,
    /// Name of the machine.
    pub vm_name: &'a str,
    /// Subject of the node's certificate, with commas.
    pub host_subject: &'a str,
    /// The authorities in PEM.
    pub ca: &'a str,
}

impl ProxmoxVe<'_> {
    /// The console, which is always SPICE.
    pub fn spice(&self) -> Builder {
        let proxy = match self.node.contains(':') {
            true => format!("http://[{}]:3128", self.node),
            false => format!("http://{}:3128", self.node),
        };
        Builder::in_order(false, self.proxy_ticket)
            .proxy(proxy)
            .tls_port(self.tls_port)
            .password(self.password)
            .delete_this_file(true)
            .title(format!("VM {} - {}", self.vm_id, self.vm_name))
            .hotkey(HotkeyAction::SecureAttention, "Ctrl+Alt+Ins")
            .hotkey(HotkeyAction::ToggleFullscreen, "Shift+F11")
            .hotkey(HotkeyAction::ReleaseCursor, "Ctrl+Alt+R")
            .host_subject(self.host_subject)
            .ca(self.ca)
    }
}

/// A console of Kerbside, the SPICE proxy of Shaken Fist. `Debug` shows no value.
#[derive(Clone, Copy, Default)]
pub struct Kerbside<'a> {
    /// Name of the proxy.
    pub host: &'a str,
    /// Port without TLS.
    pub port: u16,
    /// Port with TLS.
    pub tls_port: u16,
    /// The token.
    pub password: &'a str,
    /// Title of the window.
    pub title: &'a str,
    /// The authorities in PEM.
    pub ca: &'a str,
    /// Subject of the proxy's certificate.
    pub host_subject: &'a str,
}

impl Kerbside<'_> {
    /// The console, which is always SPICE.
    pub fn spice(&self) -> Builder {
        let builder = Builder::in_order(false, self.host)
            .port(self.port)
            .tls_port(self.tls_port)
            .password(self.password)
            .delete_this_file(true)
            .fullscreen(false)
            .title(self.title);
        common_hotkeys(builder)
            .enable_smartcard(true)
            .enable_usb_autoshare(true)
            .usb_filter("-1,-1,-1,-1,0")
            .tls_ciphers("DEFAULT")
            .ca(self.ca)
            .host_subject(self.host_subject)
    }
}
