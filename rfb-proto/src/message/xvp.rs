//! Power of a virtual machine (community specification, `xvp`).

use crate::fields::{codec, layout};
use crate::ids::ids;

ids! {
    /// What an [`Xvp`] says.
    pub struct XvpCode(u8) {
        /// Server: it could not be done.
        FAIL = 0, "fail";
        /// Server: these can be asked for.
        INIT = 1, "init";
        /// Client: shut down.
        SHUTDOWN = 2, "shutdown";
        /// Client: restart.
        REBOOT = 3, "reboot";
        /// Client: restart at once.
        RESET = 4, "reset";
    }
}

layout! {
    /// Power of a virtual machine, in both directions; 4 bytes.
    #[derive(Copy)]
    pub struct Xvp = NUMBER {
        /// Zero, or what the peer left there.
        padding: u8,
        /// 1.
        version: u8,
        /// What is wanted, or what came of it.
        code: XvpCode,
    }
}

impl Xvp {
    /// This code, in version 1.
    #[must_use]
    pub const fn new(code: XvpCode) -> Self {
        Self {
            padding: 0,
            version: 1,
            code,
        }
    }
}
