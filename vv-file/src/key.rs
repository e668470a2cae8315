//! Names of the groups and keys of virt-viewer. They are case-sensitive.

/// The group with the connection.
pub const VIRT_VIEWER: &str = "virt-viewer";
/// The group for the REST interface of oVirt.
pub const OVIRT: &str = "ovirt";

/// Kind of connection; the only mandatory key.
pub const TYPE: &str = "type";
/// Name or address of the server.
pub const HOST: &str = "host";
/// Port without TLS.
pub const PORT: &str = "port";
/// Port with TLS (SPICE).
pub const TLS_PORT: &str = "tls-port";
/// Path of a socket instead of host and ports (SPICE).
pub const UNIX_PATH: &str = "unix-path";
/// User name.
pub const USERNAME: &str = "username";
/// Password, or the token that stands for one.
pub const PASSWORD: &str = "password";
/// Title of the window.
pub const TITLE: &str = "title";
/// Whether to start in full screen.
pub const FULLSCREEN: &str = "fullscreen";
/// Certificates of the authorities to trust, in PEM.
pub const CA: &str = "ca";
/// Subject that the server's certificate must have.
pub const HOST_SUBJECT: &str = "host-subject";
/// OpenSSL cipher list.
pub const TLS_CIPHERS: &str = "tls-ciphers";
/// HTTP proxy.
pub const PROXY: &str = "proxy";
/// Channels that have to use TLS.
pub const SECURE_CHANNELS: &str = "secure-channels";
/// Channels to leave out; virt-viewer reads it and does not honour it.
pub const DISABLE_CHANNELS: &str = "disable-channels";
/// Color depth in bits per pixel.
pub const COLOR_DEPTH: &str = "color-depth";
/// Desktop effects to switch off in the guest.
pub const DISABLE_EFFECTS: &str = "disable-effects";
/// Smart card redirection.
pub const ENABLE_SMARTCARD: &str = "enable-smartcard";
/// USB redirection.
pub const ENABLE_USBREDIR: &str = "enable-usbredir";
/// Redirection of USB devices as they are plugged in.
pub const ENABLE_USB_AUTOSHARE: &str = "enable-usb-autoshare";
/// Which devices are shared automatically.
pub const USB_FILTER: &str = "usb-filter";
/// Whether the viewer removes the file once it has read it.
pub const DELETE_THIS_FILE: &str = "delete-this-file";
/// Minimum version of the viewer.
pub const VERSION: &str = "version";
/// Minimum version by operating system.
pub const VERSIONS: &str = "versions";
/// Download page of a newer viewer.
pub const NEWER_VERSION_URL: &str = "newer-version-url";
/// Hotkey: toggle full screen.
pub const TOGGLE_FULLSCREEN: &str = "toggle-fullscreen";
/// Hotkey: release keyboard and pointer.
pub const RELEASE_CURSOR: &str = "release-cursor";
/// Hotkey: zoom in.
pub const ZOOM_IN: &str = "zoom-in";
/// Hotkey: zoom out.
pub const ZOOM_OUT: &str = "zoom-out";
/// Hotkey: zoom to 100 %.
pub const ZOOM_RESET: &str = "zoom-reset";
/// Hotkey: send Ctrl+Alt+Del.
pub const SECURE_ATTENTION: &str = "secure-attention";
/// Hotkey: reset the USB devices.
pub const USB_DEVICE_RESET: &str = "usb-device-reset";
/// Hotkey: insert a software smart card. virt-viewer 11.0 crashes when it reads it.
pub const SMARTCARD_INSERT: &str = "smartcard-insert";
/// Hotkey: remove the software smart card. virt-viewer 11.0 crashes when it reads it.
pub const SMARTCARD_REMOVE: &str = "smartcard-remove";

/// In [`OVIRT`]: identifier of the virtual machine.
pub const VM_GUID: &str = "vm-guid";
/// In [`OVIRT`]: session of the REST interface (oVirt 3.6).
pub const JSESSIONID: &str = "jsessionid";
/// In [`OVIRT`]: single sign-on token (oVirt 4.0 and later).
pub const SSO_TOKEN: &str = "sso-token";
/// In [`OVIRT`]: whether the user portal or the administration portal is meant.
pub const ADMIN: &str = "admin";

/// Whether a viewer or an editor shows the text of a key. Secrets and certificates are not shown.
pub(crate) fn is_shown(key: &str) -> bool {
    !matches!(key, PASSWORD | JSESSIONID | SSO_TOKEN | CA)
}
