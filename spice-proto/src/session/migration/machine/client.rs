//! What clients say of moves.

use core::time::Duration;

use super::{DISPLAY_INIT_BODY, LEAVING, Migration, Stage, is_main};
use crate::channel::main::{ClientMessage, MigrateDstDoSeamless};
use crate::channel::{common, display};
use crate::frame::FrameRef;
use crate::ids::ChannelType;
use crate::session::Tracker;
use crate::session::migration::Kind;
use crate::session::migration::state::State;
use crate::session::migration::verdict::{ConnectionHandle, Effect, Fault, Pass};

impl Migration {
    /// Judges a message of the client's.
    pub fn client_message(
        &mut self,
        now: Duration,
        tracker: &mut Tracker,
        seat: ConnectionHandle,
        frame: &FrameRef<'_>,
    ) -> Pass {
        if self.has_ended(tracker) {
            return Pass::Refuse(Fault::Ended);
        }
        let Some(seated) = self.seated_mut(seat) else {
            return Pass::Drop;
        };
        // There is no receiver for it.
        if seated.stage != Stage::Linked {
            return Pass::Drop;
        }
        let said = seated.said;
        seated.said = said.saturating_add(1);
        match (seated.channel.channel_type, frame.header.number) {
            (_, common::ClientMessage::MIGRATE_FLUSH_MARK) if core::mem::take(&mut seated.flush_due) => Pass::Forward,
            (_, common::ClientMessage::MIGRATE_FLUSH_MARK) => Pass::Refuse(Fault::Unasked),
            (_, common::ClientMessage::MIGRATE_DATA) => self.client_state(tracker, seat, said, frame.body),
            (ChannelType::DISPLAY, display::Init::NUMBER) if frame.header.size == DISPLAY_INIT_BODY => {
                seated.initialised = true;
                Pass::Forward
            }
            // The server would close the connection itself, which ends the QEMU process.
            (ChannelType::DISPLAY, _) if !seated.target && !seated.initialised => Pass::Refuse(Fault::OutOfOrder),
            (
                ChannelType::MAIN,
                number @ (ClientMessage::MIGRATE_CONNECTED
                | ClientMessage::MIGRATE_CONNECT_ERROR
                | ClientMessage::MIGRATE_CONNECTED_SEAMLESS),
            ) => self.answered(now, tracker, seat, number),
            (ChannelType::MAIN, ClientMessage::MIGRATE_END) => self.arrived(tracker, seat),
            (ChannelType::MAIN, MigrateDstDoSeamless::NUMBER) => self.do_seamless(tracker, seat, said, frame.body),
            _ => Pass::Forward,
        }
    }

    /// `MIGRATE_CONNECTED`, `MIGRATE_CONNECT_ERROR`, `MIGRATE_CONNECTED_SEAMLESS`: one for each target that was told.
    fn answered(&mut self, now: Duration, tracker: &mut Tracker, seat: ConnectionHandle, number: u16) -> Pass {
        if self.seated(seat).is_some_and(|seated| self.at_target(tracker, seated)) {
            return Pass::Refuse(Fault::Unasked);
        }
        let failed = number == ClientMessage::MIGRATE_CONNECT_ERROR;
        match self.state {
            State::Switch => Pass::Forward,
            State::Idle { .. } | State::Connected { .. } | State::Ending { .. } | State::End => Pass::Drop,
            State::Announced { .. } if !failed => Pass::Refuse(Fault::Unasked),
            State::Opening { kind, .. }
                if number == ClientMessage::MIGRATE_CONNECTED_SEAMLESS && kind != Kind::Seamless =>
            {
                Pass::Refuse(Fault::Unasked)
            }
            State::Opening {
                kind, pretended: false, ..
            } if !failed => {
                let _ = tracker.target_answered(self.key, true);
                // A target that cannot do it seamlessly has made the viewer say so.
                let kind = match number {
                    ClientMessage::MIGRATE_CONNECTED => Kind::SemiSeamless,
                    _ => kind,
                };
                self.state = State::Connected { kind, held: None };
                Pass::Forward
            }
            State::Announced { .. } | State::Opening { .. } => {
                let host = self.pending(tracker);
                let _ = tracker.target_answered(self.key, false);
                self.leaving = host.map(|host| (now.saturating_add(LEAVING), host));
                self.settle(tracker);
                if failed {
                    return Pass::Forward;
                }
                self.effects.push_back(Effect::Cancel(seat));
                Pass::Instead(ClientMessage::MIGRATE_CONNECT_ERROR)
            }
        }
    }

    /// `MIGRATE_END` of the client: it goes on at the target.
    fn arrived(&mut self, tracker: &mut Tracker, seat: ConnectionHandle) -> Pass {
        let ending = matches!(
            self.state,
            State::Ending {
                kind: Kind::SemiSeamless,
                ..
            }
        );
        let expected = ending && self.is_at_pending(tracker, seat);
        if expected && tracker.moved(self.key).is_ok() {
            self.settle(tracker);
            return Pass::Forward;
        }
        Pass::Refuse(Fault::Unasked)
    }

    /// `MIGRATE_DST_DO_SEAMLESS`: first on a seamless target's main channel, with the version that was told.
    fn do_seamless(&mut self, tracker: &Tracker, seat: ConnectionHandle, said: u32, body: &[u8]) -> Pass {
        let expected = said == 0 && self.state.opens_seamlessly() && self.is_at_pending(tracker, seat);
        let version = self.targets.last().map(|(_, target)| target.version);
        let asked = MigrateDstDoSeamless::decode_slice(body).map(|message| message.src_version);
        if expected && asked.ok() == version {
            return Pass::Forward;
        }
        Pass::Refuse(Fault::Unasked)
    }

    /// `MIGRATE_DATA` of the client: what the source sent for this channel, once, as the first message; on the main
    /// channel as the second.
    fn client_state(&mut self, tracker: &mut Tracker, seat: ConnectionHandle, said: u32, body: &[u8]) -> Pass {
        let Some(seated) = self.seated(seat).filter(|seated| seated.target) else {
            return Pass::Refuse(Fault::Unasked);
        };
        let (channel, main, at_target) = (seated.channel, is_main(seated), self.at_target(tracker, seated));
        let Some(transfer) = self.transfer.as_ref().filter(|_| said == u32::from(main)) else {
            return Pass::Refuse(Fault::Unasked);
        };
        let Some(at) = transfer.find(channel, body) else {
            return Pass::Refuse(Fault::Forged);
        };
        if main && at_target {
            if !self.is_at_pending(tracker, seat) || tracker.moved(self.key).is_err() {
                return Pass::Refuse(Fault::OutOfOrder);
            }
            self.settle(tracker);
        }
        if let Some(transfer) = &mut self.transfer {
            transfer.taken(at);
        }
        Pass::Forward
    }
}
