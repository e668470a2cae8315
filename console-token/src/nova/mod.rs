//! The parts of OpenStack Nova's API that are about consoles, as data: what a client asks for, what it gets, and with
//! which code it is refused.
//!
//! | microversion | create | show |
//! |---|---|---|
//! | 2.1 to 2.5 | `POST servers/{id}/action`: `os-getVNCConsole`, `os-getSPICEConsole`, `os-getSerialConsole` | 400 |
//! | 2.6 | `POST servers/{id}/remote-consoles`: protocols vnc, spice, serial | 400 |
//! | 2.8 | and mks | 400 |
//! | 2.31 | as 2.8 | `GET os-console-auth-tokens/{token}` |
//! | 2.99 | and the type spice-direct | and `tls_port`, for spice-direct |
//!
//! Sources: `nova/api/openstack/compute/remote_consoles.py` and `console_auth_tokens.py` with their schemas, and
//! `nova/compute/manager.py`, of August 2026. Two readers of one text must not differ, so a member that is there twice is
//! refused, of which Nova takes the last.

mod create;
mod error;
mod show;
mod version;

pub use create::{CreateAnswer, CreateRequest};
pub use error::{Fault, NovaError};
pub use show::{ShowAnswer, check_show, show_path};
pub use version::{Microversion, VersionError};

/// The longest body that is read, in bytes. Nova's own have less than 1000.
pub const MAX_LEN: usize = 16 << 10;
