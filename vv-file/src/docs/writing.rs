//! Writing a file and serving it.
//!
//! A [`Builder`](crate::Builder) collects the settings, and `build` checks and escapes them. Set what a viewer needs, no more:
//!
//! ```rust
//! use vv_file::{Builder, Channel, HotkeyAction, download};
//!
//! let ca = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
//! let file = Builder::spice("gateway.example.org")
//!     .tls_port(5901)
//!     .password("one-time token")
//!     .title("mail \\ db")
//!     .ca(ca)
//!     .host_subject("O=Example,CN=gateway.example.org")
//!     .secure_channels([Channel::All])
//!     .hotkey(HotkeyAction::ReleaseCursor, "shift+f12")
//!     .build()?;
//! assert_eq!(
//!     core::str::from_utf8(file.as_bytes())?,
//!     r"[virt-viewer]
//! type=spice
//! host=gateway.example.org
//! delete-this-file=1
//! tls-port=5901
//! password=one-time token
//! title=mail \\ db
//! ca=-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n
//! host-subject=O=Example,CN=gateway.example.org
//! secure-channels=all;
//! release-cursor=shift+f12
//! "
//! );
//!
//! // The response: these two headers, and `Cache-Control: no-store`.
//! assert_eq!(download::MIME_TYPE, "application/x-virt-viewer");
//! assert_eq!(download::content_disposition("mail"), "attachment; filename=\"mail.vv\"");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What decides whether it works
//!
//! - **A TLS port does not make a viewer use TLS for every channel** where there is a plain `port` too. Leave `port` out, or set
//!   [`secure_channels`](crate::Builder::secure_channels) to [`Channel::All`](crate::Channel::All).
//! - **`ca` replaces the authorities of the system.** Put the whole chain up to the root in it, and no private key: the file is
//!   published to its user. Without `ca` a viewer trusts what its system trusts.
//! - **`host-subject` takes the place of the host name** when the certificate is checked. It is compared with the certificate's
//!   subject entry by entry, in order. Without it the certificate has to be for `host`.
//! - **The password is limited**: 60 bytes for SPICE, 8 for VNC. A token of 32 random bytes in base64url has 43 characters and
//!   fits SPICE only.
//! - **The file outlives its token.** `delete-this-file` is on unless it is switched off; the viewer deletes the file when it has
//!   read it.
//! - **A proxy needs its scheme**, `http://` or `https://`. Viewers read `proxy:3128` as the scheme `proxy`, and connect
//!   *directly*.
//! - **VNC takes few keys**: host, port, password, user name, title, full screen and hotkeys. [`Builder`](crate::Builder)
//!   refuses the others, because a viewer ignores them without a word.
//!
//! # In the forms of other systems
//!
//! [`presets`](crate::presets) has the files of oVirt, Proxmox VE and Kerbside. Each gives a [`Builder`](crate::Builder), so
//! that keys can be added:
//!
//! ```rust
//! use vv_file::presets::Ovirt;
//!
//! let console = Ovirt { host: "198.51.100.7", port: Some(5904), password: "once", title: "mail:%d", ..Ovirt::default() };
//! let file = console.vnc().build()?;
//! assert!(file.as_bytes().starts_with(b"[virt-viewer]\ntype=vnc\nhost=198.51.100.7\nport=5904\n"));
//! # Ok::<(), vv_file::BuildError>(())
//! ```
