//! Reading a file.
//!
//! Three depths:
//!
//! | Type | What it gives |
//! |---|---|
//! | [`ConnectionFile`](crate::ConnectionFile) | the values that virt-viewer takes, typed, with its silent defaults |
//! | [`ConnectionFile::parse_strict`](crate::ConnectionFile::parse_strict) | the same, or the first error that a viewer would not report |
//! | [`KeyFile`](crate::KeyFile) | each line as it stands, of any key file of GLib's |
//!
//! ```rust
//! use vv_file::ConnectionFile;
//! use vv_file::policy::{Demand, Policy};
//!
//! let text = b"[virt-viewer]\ntype=spice\nhost=gw.example.org\ntls-port=5901\npassword=secret\nfullscreen=true\n";
//! let file = ConnectionFile::parse(text)?;
//! assert_eq!(file.virt_viewer.tls_port, Some(5901));
//! // `true` is no number, and a viewer reads 0.
//! assert_eq!(file.virt_viewer.fullscreen, Some(false));
//! assert!(ConnectionFile::parse_strict(text).is_err());
//!
//! // A file comes from a web page. What it may decide is for the program that opens it.
//! let policy = Policy::default().with_hosts(&["gw.example.org"]);
//! assert_eq!(policy.refused(&file), Vec::<Demand>::new());
//!
//! // For a bug report: without password, host and authorities.
//! assert!(!String::from_utf8_lossy(file.redacted().as_bytes()).contains("secret"));
//! # Ok::<(), vv_file::ConnectionError>(())
//! ```
//!
//! # Changing a file
//!
//! Edits are made in place; comments, order and unknown keys stay.
//!
//! ```rust
//! use vv_file::KeyFile;
//!
//! let mut file = KeyFile::parse(b"# from the portal\n[virt-viewer]\ntype=spice\ntitle=old\n")?;
//! file.set_string("virt-viewer", "title", "db \\ 7")?;
//! assert_eq!(file.as_bytes(), b"# from the portal\n[virt-viewer]\ntype=spice\ntitle=db \\\\ 7\n");
//! let title = file.get("virt-viewer", "title").map(|value| value.string());
//! assert_eq!(title, Some(Ok("db \\ 7".to_owned())));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What surprises
//!
//! - **Switches are numbers.** Any number but 0 is on, and `true` is 0.
//! - **The last of two equal keys counts**, and two groups of one name are one.
//! - **Bad escapes**: GLib from 2.79 on reads no value at all, older ones keep the backslash.
//!   [`BadEscapes`](crate::key_file::BadEscapes) selects; the newer is the default.
//! - **Text is `None` if it is absent and if it cannot be read**; `is_set` tells the two apart.
//! - **A file in UTF-16, or with a byte order mark, is refused**, as GLib refuses it.
//! - **Limits** hold before anything is allocated ([`Limits`](crate::key_file::Limits)): give larger ones to
//!   [`KeyFile::parse_with`](crate::KeyFile::parse_with) only for files that are your own.
//! - **Secrets** are overwritten when they are dropped. What you copy out of `expose()` is not.
//! - **As JSON** (feature `serde`): secrets are `null`, unless the file is wrapped in `WithSecrets`.
