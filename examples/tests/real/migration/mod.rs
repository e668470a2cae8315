//! A guest moves from one QEMU to another while a viewer looks at it through the gateway.
//!
//! ```text
//! viewer -> 127.0.0.4: recorder -> 127.0.0.1: gateway -> 127.0.0.2: QEMU with the guest
//!                                                     -> 127.0.0.3: QEMU that waits for the guest
//! ```
//!
//! The gateway tells viewers the recorder's address, so all that a viewer does passes the recorder: after a move as well,
//! unless it was told another address. Of several gateways, either the recorder deals connections out to them, or haproxy, which
//! is behind it then. The guest fills a row of its screen for each key, and tells the QEMU in which it is.

mod balanced;
mod front;
pub(crate) mod host;
mod links;
mod row;
mod scene;
mod story;
mod wiring;

pub(crate) use front::Fault;
pub(crate) use host::{Absent, Leg};
pub(crate) use row::{Kind, Known, Program, Row};
pub(crate) use story::*;

/// Makes a test of each line: its name, what happens, and between which programs.
macro_rules! rows {
    ($($name:ident => $story:ident($kind:ident, $program:ident, $viewer:ident, $hypervisors:ident $(, $field:ident: $value:expr)*);)*) => {$(
        #[test]
        #[ignore = "needs QEMU, twice"]
        fn $name() {
            #[allow(clippy::needless_update, reason = "not every row has more to say")]
            $crate::migration::$story(&$crate::migration::Row {
                $($field: $value,)*
                ..$crate::migration::Row::new(
                    $crate::migration::Kind::$kind,
                    $crate::migration::Program::$program,
                    $crate::migration::Leg::$viewer,
                    $crate::migration::Leg::$hypervisors,
                )
            });
        }
    )*};
}
pub(crate) use rows;
