//! What may pass between a viewer and a hypervisor.
//!
//! spice-server trusts a viewer that has the password. Some messages end the QEMU process, with the guest in
//! it (seen with spice-server 0.15.1), and a tenant must not be able to do that:
//!
//! * messages of a migration that is not going on: `MIGRATE_FLUSH_MARK` and, on the main channel,
//!   `MIGRATE_DST_DO_SEAMLESS` fail assertions;
//! * a display link that is closed before the client's `DISPLAY_INIT` was handled. That includes links that
//!   the server closes itself, because the first message was another one.
//!
//! The other way, the messages that announce a migration name the address of a hypervisor, which is no
//! business of the tenant's. This gateway does not take part in migrations, so such a session ends.

use spice_proto::frame::Header;
use spice_proto::ids::ChannelType;

/// `SPICE_MSGC_DISPLAY_INIT`.
pub(crate) const DISPLAY_INIT: u16 = 101;
/// Its body: two ids and the sizes of two caches.
pub(crate) const DISPLAY_INIT_BODY: u32 = 14;

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("the viewer sent message {0} of a migration that is not going on")]
    ViewerMigrates(u16),
    #[error("the hypervisor announces a migration (message {0}), which is not supported")]
    HypervisorMigrates(u16),
    #[error("the first message on a display channel is {0} with {1} bytes, not DISPLAY_INIT")]
    NotDisplayInit(u16, u32),
}

/// Looks at what the viewer sends.
#[derive(Debug)]
pub(crate) struct FromViewer {
    channel: ChannelType,
    messages: u64,
}

impl FromViewer {
    pub(crate) fn new(channel: ChannelType) -> Self {
        Self { channel, messages: 0 }
    }

    /// Whether the next message may pass.
    pub(crate) fn see(&mut self, header: &Header) -> Result<(), Stop> {
        let first = self.messages == 0;
        self.messages += 1;
        match (self.channel, header.number) {
            // MIGRATE_FLUSH_MARK, MIGRATE_DATA
            (_, number @ (4 | 5)) => Err(Stop::ViewerMigrates(number)),
            // CONNECTED, CONNECT_ERROR, END, DST_DO_SEAMLESS, CONNECTED_SEAMLESS
            (ChannelType::MAIN, number @ (102 | 103 | 109..=111)) => Err(Stop::ViewerMigrates(number)),
            (ChannelType::DISPLAY, DISPLAY_INIT) if header.size == DISPLAY_INIT_BODY => Ok(()),
            (ChannelType::DISPLAY, number) if first => Err(Stop::NotDisplayInit(number, header.size)),
            _ => Ok(()),
        }
    }
}

/// Whether a message from the hypervisor may pass.
pub(crate) fn from_hypervisor(channel: ChannelType, header: &Header) -> Result<(), Stop> {
    match (channel, header.number) {
        // BEGIN, SWITCH_HOST, BEGIN_SEAMLESS
        (ChannelType::MAIN, number @ (101 | 111 | 116)) => Err(Stop::HypervisorMigrates(number)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(number: u16, size: u32) -> Header {
        Header {
            serial: 0,
            number,
            size,
            sub_list: 0,
        }
    }

    #[test]
    fn no_migration_from_a_viewer() {
        let on = |channel, number| FromViewer::new(channel).see(&header(number, 14));
        for channel in [ChannelType::MAIN, ChannelType::DISPLAY, ChannelType::USBREDIR] {
            assert_eq!(on(channel, 4), Err(Stop::ViewerMigrates(4)));
            assert_eq!(on(channel, 5), Err(Stop::ViewerMigrates(5)));
        }
        for number in [102, 103, 109, 110, 111] {
            assert_eq!(on(ChannelType::MAIN, number), Err(Stop::ViewerMigrates(number)));
            assert_eq!(on(ChannelType::INPUTS, number), Ok(()));
        }
        for number in [1, 2, 3, 101, 104, 105, 106, 107, 108] {
            assert_eq!(on(ChannelType::MAIN, number), Ok(()));
        }
    }

    #[test]
    fn a_display_begins_with_its_init() {
        let mut guard = FromViewer::new(ChannelType::DISPLAY);
        assert_eq!(guard.see(&header(DISPLAY_INIT, 14)), Ok(()));
        assert_eq!(guard.see(&header(103, 1)), Ok(()));
        for (number, size) in [(103, 1), (3, 12), (DISPLAY_INIT, 13), (DISPLAY_INIT, 1 << 20)] {
            let mut guard = FromViewer::new(ChannelType::DISPLAY);
            let refused = Err(Stop::NotDisplayInit(number, size));
            assert_eq!(guard.see(&header(number, size)), refused);
        }
    }

    #[test]
    fn no_address_of_a_hypervisor_reaches_the_viewer() {
        for number in [101, 111, 116] {
            let stop = Err(Stop::HypervisorMigrates(number));
            assert_eq!(from_hypervisor(ChannelType::MAIN, &header(number, 40)), stop);
            assert_eq!(from_hypervisor(ChannelType::DISPLAY, &header(number, 40)), Ok(()));
        }
        assert_eq!(from_hypervisor(ChannelType::MAIN, &header(103, 32)), Ok(()));
    }
}
