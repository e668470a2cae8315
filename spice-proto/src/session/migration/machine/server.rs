//! What servers say of moves.

use core::time::Duration;

use super::{ENDING, Migration, Stage, is_main, moves};
use crate::channel::common::{self, List, Migrate};
use crate::channel::main::{ChannelsList, Init, ServerMessage as M};
use crate::frame::{FrameRef, SubMessages};
use crate::ids::MigrateFlags;
use crate::session::Tracker;
use crate::session::migration::state::{State, Transfer};
use crate::session::migration::verdict::{ConnectionHandle, Fault, Pass};
use crate::session::migration::{Kind, Target};

impl Migration {
    /// Judges a message of the server's.
    pub fn server_message(
        &mut self,
        now: Duration,
        tracker: &mut Tracker,
        seat: ConnectionHandle,
        frame: &FrameRef<'_>,
    ) -> Pass {
        if self.has_ended(tracker) {
            return Pass::Refuse(Fault::Ended);
        }
        let Some(seated) = self.seated(seat).filter(|seated| seated.stage == Stage::Linked) else {
            return Pass::Refuse(Fault::OutOfOrder);
        };
        let (number, main) = (frame.header.number, is_main(seated));
        if seated.data_due && number != common::ServerMessage::MIGRATE_DATA {
            return Pass::Refuse(Fault::NotAdjacent);
        }
        if (number == List::NUMBER || frame.header.sub_list != 0) && hides(main, frame) {
            return Pass::Refuse(Fault::Hidden);
        }
        let at_target = self.at_target(tracker, seated);
        let link = seated.link;
        match (number, at_target) {
            (Migrate::NUMBER, _) => return self.migrate(now, tracker, seat, frame.body),
            (common::ServerMessage::MIGRATE_DATA, _) => return self.server_state(seat, frame.body),
            _ if !main => return Pass::Forward,
            (
                M::MIGRATE_BEGIN
                | M::MIGRATE_CANCEL
                | M::INIT
                | M::MIGRATE_SWITCH_HOST
                | M::MIGRATE_END
                | M::MIGRATE_BEGIN_SEAMLESS,
                true,
            ) => return Pass::Refuse(Fault::OutOfOrder),
            (M::MIGRATE_DST_SEAMLESS_ACK | M::MIGRATE_DST_SEAMLESS_NACK, true) if self.state.opens_seamlessly() => {
                return Pass::Forward;
            }
            (M::MIGRATE_DST_SEAMLESS_ACK | M::MIGRATE_DST_SEAMLESS_NACK, _) => return Pass::Refuse(Fault::OutOfOrder),
            _ => {}
        }
        // Once the guest has moved its old host has nothing more to say of moves; nor while a target is judged.
        let moves = self.state.takes_target();
        match number {
            M::MIGRATE_BEGIN if moves => self.hold(Kind::SemiSeamless, frame.body),
            M::MIGRATE_BEGIN_SEAMLESS if moves => self.hold(Kind::Seamless, frame.body),
            M::MIGRATE_SWITCH_HOST if moves => self.hold(Kind::SwitchHost, frame.body),
            M::MIGRATE_BEGIN | M::MIGRATE_SWITCH_HOST | M::MIGRATE_BEGIN_SEAMLESS => Pass::Refuse(Fault::OutOfOrder),
            M::MIGRATE_CANCEL => self.cancelled(tracker),
            M::INIT => match Init::decode_slice(frame.body).map(|init| init.session_id) {
                Ok(id) if tracker.bind(link, id).is_ok() => Pass::Bind(id),
                Ok(_) => Pass::Refuse(Fault::OutOfOrder),
                Err(_) => Pass::Refuse(Fault::Malformed),
            },
            M::CHANNELS_LIST => match ChannelsList::decode_slice(frame.body) {
                // Channels for which there is no room are refused when they come.
                Ok(list) if tracker.announce(link, &list.channels).is_ok() => Pass::Forward,
                Ok(_) => Pass::Refuse(Fault::OutOfOrder),
                Err(_) => Pass::Refuse(Fault::Malformed),
            },
            M::MIGRATE_END if moves => match self.state {
                State::Connected {
                    kind: kind @ Kind::SemiSeamless,
                    ..
                } => {
                    let until = Some(now.saturating_add(ENDING));
                    self.state = State::Ending { kind, until };
                    Pass::Forward
                }
                _ => Pass::Refuse(Fault::OutOfOrder),
            },
            M::MIGRATE_END => Pass::Refuse(Fault::OutOfOrder),
            _ => Pass::Forward,
        }
    }

    fn hold(&mut self, kind: Kind, body: &[u8]) -> Pass {
        match Target::read(kind, body) {
            Ok(target) => {
                self.state.hold(target.clone());
                Pass::Ask(target)
            }
            Err(_) => Pass::Refuse(Fault::Malformed),
        }
    }

    /// `MIGRATE_CANCEL`. Behind `MIGRATE_SWITCH_HOST` it is a late word about the connection in advance.
    fn cancelled(&mut self, tracker: &mut Tracker) -> Pass {
        match self.state {
            State::Idle { .. } | State::Switch => Pass::Forward,
            State::Connected { .. } => {
                let target = self.pending(tracker);
                let _ = tracker.target_dropped(self.key);
                self.settle(tracker);
                if let Some(host) = target {
                    self.close_all_at(host);
                }
                Pass::Forward
            }
            State::Announced { .. } | State::Opening { .. } | State::Ending { .. } | State::End => {
                Pass::Refuse(Fault::OutOfOrder)
            }
        }
    }

    /// `MIGRATE`, on each channel of the source of a seamless move, before or after its main channel has moved.
    fn migrate(&mut self, now: Duration, tracker: &Tracker, seat: ConnectionHandle, body: &[u8]) -> Pass {
        let Ok(Migrate { flags }) = Migrate::decode_slice(body) else {
            return Pass::Refuse(Fault::Malformed);
        };
        let host = self.seated(seat).map(|seated| seated.host);
        let at_source = host.is_some() && host == tracker.host(self.key);
        let moved = host.is_some() && host == self.transfer.as_ref().map(|transfer| transfer.from);
        match (&self.state, host) {
            (
                State::Connected {
                    kind: kind @ Kind::Seamless,
                    held: None,
                },
                Some(host),
            ) if at_source => {
                self.transfer = Some(Transfer::new(host));
                self.state = State::Ending {
                    kind: *kind,
                    until: Some(now.saturating_add(ENDING)),
                };
            }
            (
                State::Ending {
                    kind: Kind::Seamless, ..
                },
                _,
            ) if at_source => {}
            _ if moved => {}
            _ => return Pass::Refuse(Fault::OutOfOrder),
        }
        if let Some(seated) = self.seated_mut(seat) {
            seated.flush_due = flags.contains(MigrateFlags::NEED_FLUSH);
            seated.data_due = flags.contains(MigrateFlags::NEED_DATA_TRANSFER);
        }
        Pass::Forward
    }

    /// `MIGRATE_DATA` of the source, right behind its MIGRATE.
    fn server_state(&mut self, seat: ConnectionHandle, body: &[u8]) -> Pass {
        let Some(seated) = self.seated_mut(seat).filter(|seated| seated.data_due) else {
            return Pass::Refuse(Fault::OutOfOrder);
        };
        seated.data_due = false;
        let channel = seated.channel;
        if let Some(transfer) = &mut self.transfer {
            transfer.sent(channel, body);
        }
        Pass::Forward
    }
}

/// Whether a message about migration is in a list; on the main channel, where no server sends lists, anything.
fn hides(main: bool, frame: &FrameRef<'_>) -> bool {
    let Ok(mut list) = SubMessages::new(frame.body, frame.header.sub_list) else {
        return true;
    };
    main || list.any(|message| message.map_or(true, |message| moves(message.number)))
}
