//! VNC consoles that console tokens open: the proxy handler of [`rfb_proto`] over any [`Store`](crate::Store).
//!
//! [`TokenConnections`] couples each token to the connection that it opened, and [`TokenViewer`] answers what
//! [`drive_session`](rfb_proto::drive_session) asks. The author of a gateway supplies the rest as a [`ConsoleBackend`]: how
//! a hypervisor is reached and entered. [`drive_viewer`] drives a connection, and ends it when its token is revoked.
//!
//! ```text
//!  viewer ---- token ----> TokenViewer ---- hypervisor's password ----> hypervisor
//!                               |
//!                        TokenConnections ---- open, resume, bind, release, suspend, close ----> Store
//! ```
//!
//! A token comes in one of two ways. A browser shows it in the request of its WebSocket: the gateway
//! [enters](TokenConnections::enter) with it, gives the [`TokenUse`] to [`TokenConnections::viewer`], and offers the viewer
//! the security type None. A native viewer shows it inside RFB, as user or as password of VeNCrypt's Plain, where the other of
//! the two is not looked at.
//!
//! # What costs a use
//!
//! | What happens | The use |
//! |---|---|
//! | The hypervisor is not reached; its TLS fails; it offers nothing that may be spoken | is given back |
//! | It refuses the gateway's password, or hangs up in place of the result, which in RFB is a refusal | is given back |
//! | A password was sent, and no answer came; the viewer has gone meanwhile | stays spent |
//! | It accepts | stays spent |
//!
//! The end of the connection tells them apart, so that it has to be driven by [`drive_viewer`]; by others,
//! [`TokenViewer::ended`] has to be called.
//!
//! # Example
//!
//! A whole gateway. `cargo run --example vnc_gateway --features rfb` runs it.
//!
//! ```no_run
#![doc = include_str!("../../examples/vnc_gateway.rs")]
//! ```

mod backend;
mod drive;
mod refusal;
mod slot;
mod viewer;

pub use self::backend::{ConsoleBackend, Event};
pub use self::drive::{Ended, drive_viewer};
pub use self::viewer::{TokenViewer, ViewerUse};
pub use crate::connections::{ConnectionEvent, Denial, Settings, TokenConnections, TokenUse};
