//! What hypervisors and viewers say, and what may become of it.

use bytes::BytesMut;
use spice_proto::ids::ChannelType;
use spice_proto::link::Sender;
use spice_proto::session::migration::{Fault, Kind, Pass};
use spice_proto::session::policy::{PolicyDecision, Replacement};

use super::table::Held;
use super::{CHANNELS, TOKEN, World};
use crate::spice_session::{frame, name};

impl World<'_> {
    /// Whether a policy lets a message pass; what the viewer does not get the migration does not see.
    fn judged(&mut self, at: usize, sender: Sender, number: u16, body: &[u8]) -> Option<Vec<u8>> {
        let Some(policy) = &self.policy else {
            return Some(body.to_vec());
        };
        let message = frame(number, 0, body);
        let place = &mut self.places[at];
        let main = place.main();
        let gate = &mut place.gates[usize::from(sender == Sender::Server)];
        let mut dst = BytesMut::new();
        let mut verdict = gate.header(policy, self.now, &message.header);
        if verdict == PolicyDecision::Inspect {
            verdict = gate.body(policy, &message, &mut dst);
        }
        if main && !(1..=118).contains(&number) {
            assert_ne!(verdict, PolicyDecision::Forward, "{number} on a main channel");
        }
        match verdict {
            PolicyDecision::Forward => Some(body.to_vec()),
            PolicyDecision::Replace(Replacement::Body) => Some(dst.to_vec()),
            _ => None,
        }
    }

    /// A body that names a target, as text or as any bytes.
    fn target(&mut self, number: u16) -> (Vec<u8>, u32) {
        let (shape, version) = (self.input.byte(), u32::from(self.input.byte() & 3));
        if shape & 0x80 != 0 {
            return (self.input.short_blob().to_vec(), version);
        }
        let hosts: [&[u8]; 4] = [b"10.1.2.3\0", b"hypervisor.internal\0", b"h", b""];
        let subjects: [&[u8]; 4] = [b"CN=hypervisor\0", b"\0", b"", b"C=DE, CN=h"];
        let ports = [0, 5900, 5901, u16::MAX];
        let pick = |by: u8| usize::from(shape >> by & 3);
        let (host, subject) = (hosts[pick(0)], subjects[pick(2)]);
        let seamless = number == 116;
        let host_at = if seamless { 24 } else { 20 };
        let mut body = [ports[pick(4)].to_le_bytes(), ports[3 - pick(4)].to_le_bytes()].concat();
        for field in [host.len(), host_at, subject.len(), host_at + host.len()] {
            body.extend(u32::try_from(field).expect("small").to_le_bytes());
        }
        if seamless {
            body.extend(version.to_le_bytes());
        }
        ([&body, host, subject].concat(), version)
    }

    /// A hypervisor says something.
    pub(super) fn server(&mut self) {
        const NUMBERS: [u16; 16] = [101, 116, 111, 103, 104, 1, 2, 102, 112, 117, 118, 8, 4, 304, 106, 0];
        let Some(at) = self.place() else { return };
        let choice = self.input.byte();
        let number = match NUMBERS[usize::from(choice & 15)] {
            0 => u16::from(self.input.byte()),
            number => number,
        };
        let mut version = 0;
        let body = match number {
            101 | 111 | 116 => {
                let (body, told) = self.target(number);
                version = told;
                body
            }
            103 if choice & 0x80 == 0 => {
                let mut body = u32::from(self.input.byte() & 3)
                    .wrapping_mul(0x0101_0101)
                    .to_le_bytes()
                    .to_vec();
                body.resize(32, 0);
                body
            }
            104 if choice & 0x80 == 0 => {
                let wanted = self.input.byte();
                let listed = CHANNELS[..7].iter().enumerate();
                let listed: Vec<_> = listed
                    .filter(|(bit, _)| wanted >> bit & 1 == 1)
                    .map(|(_, pair)| pair)
                    .collect();
                let mut body = u32::try_from(listed.len()).expect("few").to_le_bytes().to_vec();
                body.extend(listed.iter().flat_map(|(kind, id)| [*kind, *id]));
                body
            }
            1 if choice & 0x80 == 0 => vec![self.input.byte() & 3, 0, 0, 0],
            2 => vec![self.input.byte(); usize::from(choice >> 6)],
            102 | 112 | 117 | 118 if choice & 0x80 == 0 => Vec::new(),
            // One message in a list.
            8 if choice & 0x80 == 0 => [&[1, 0, 6, 0, 0, 0][..], &[self.input.byte(), 0], &[0; 4]].concat(),
            _ => self.input.short_blob().to_vec(),
        };
        let seat = self.places[at].seat;
        if !self.careless && !self.migration.reads(&self.tracker, seat) {
            return;
        }
        let linked = self.places[at].linked && !self.places[at].pretended;
        let Some(body) = self
            .judged(at, Sender::Server, number, &body)
            .filter(|_| linked || self.careless)
        else {
            return;
        };
        let before = self.state();
        let place = &self.places[at];
        let (main, host, data_due) = (place.main(), place.host, place.data_due);
        let (at_target, channel) = (self.at_target(host), place.channel);
        let sub_list = if choice & 0x70 == 0x70 { u32::from(choice) } else { 0 };
        let message = frame(number, sub_list, &body);
        let pass = self
            .migration
            .server_message(self.now, &mut self.tracker, seat, &message);
        self.passed("s2c", &pass);
        let forwarded = matches!(pass, Pass::Forward | Pass::Bind(_));
        assert!(
            !matches!(pass, Pass::Drop | Pass::Instead(_)),
            "one message stays one message: {pass:?}"
        );
        if before == "End" {
            assert_eq!(pass, Pass::Refuse(Fault::Ended));
        } else if !linked {
            assert_eq!(pass, Pass::Refuse(Fault::OutOfOrder));
        } else if data_due && number != 2 {
            assert_eq!(pass, Pass::Refuse(Fault::NotAdjacent));
        }
        if main && (number == 8 || sub_list != 0) {
            assert!(
                !forwarded && !matches!(pass, Pass::Ask(_)),
                "{number} hides what is in it"
            );
        }
        let moves = matches!(before, "Idle" | "Connected") && self.held.is_none();
        match (number, &pass) {
            (101 | 111 | 116, Pass::Ask(target)) if main => {
                assert!(moves && !at_target, "in {before}");
                assert!(!target.host.contains(&0) && target.subject.as_ref().is_none_or(|subject| !subject.is_empty()));
                let ports = [target.port, target.tls_port];
                assert!(ports.iter().flatten().all(|port| port.get() != u16::MAX));
                self.reach(format!("{:?}", target.kind));
                self.held = Some(Held { number, version });
                if let (116, Some(field)) = (number, body.get(20..24)) {
                    let version = field.try_into().expect("four bytes");
                    self.held = Some(Held {
                        number,
                        version: u32::from_le_bytes(version),
                    });
                }
            }
            (101 | 111 | 116, _) if main => assert!(!forwarded, "an address reaches the viewer"),
            (_, Pass::Ask(_)) => panic!("nothing is asked about {number}"),
            (103, Pass::Bind(id)) => {
                assert!(main && !at_target);
                assert_eq!(body.first_chunk(), Some(&id.to_le_bytes()));
                let known = self.tracker.snapshot(TOKEN).expect("it has begun");
                assert_eq!(known.session_id, *id, "the id is known before it is passed on");
                self.id = *id;
                self.row(before, "INIT");
            }
            (103, Pass::Forward) => assert!(!main),
            (_, Pass::Bind(_)) => panic!("an id in {number}"),
            (1, Pass::Forward) => {
                let source = self.current() == Some(host) && matches!(before, "Connected" | "Ending");
                assert!(
                    self.kind == Some(Kind::Seamless) && (source || self.from == Some(host)),
                    "in {before}"
                );
                if before == "Connected" {
                    (self.ending, self.from) = (true, Some(host));
                }
                let flags = body.first().copied().unwrap_or_default();
                let place = &mut self.places[at];
                (place.mark_due, place.data_due) = (flags & 1 != 0, flags & 2 != 0);
                self.row(before, "s2c 1");
            }
            (2, Pass::Forward) => {
                assert!(data_due);
                self.places[at].data_due = false;
                self.states.retain(|(other, _)| *other != channel);
                self.states.push((channel, body));
            }
            (102, Pass::Forward) if main => {
                assert!(
                    !at_target && matches!(before, "Idle" | "Connected" | "Switch"),
                    "in {before}"
                );
                self.row(before, "s2c 102");
            }
            (112, Pass::Forward) if main => {
                let told = before == "Connected" && self.kind == Some(Kind::SemiSeamless);
                assert!(!at_target && told, "in {before}");
                self.ending = true;
                self.row(before, "s2c 112");
            }
            (117 | 118, Pass::Forward) if main => {
                assert!(at_target && before == "Opening" && self.kind == Some(Kind::Seamless));
                self.row(before, &format!("s2c {number}"));
            }
            _ => self.row(before, "s2c"),
        }
    }

    fn passed(&mut self, from: &str, pass: &Pass) {
        match pass {
            Pass::Refuse(fault) => self.reach(format!("{from} Refuse {fault:?}")),
            other => self.reach(format!("{from} {}", name(other))),
        }
    }

    /// The viewer says something.
    pub(super) fn client(&mut self) {
        const NUMBERS: [u16; 12] = [102, 111, 103, 109, 110, 5, 4, 101, 3, 112, 1, 0];
        let Some(at) = self.place() else { return };
        let choice = self.input.byte();
        let number = match NUMBERS[usize::from(choice & 15) % 12] {
            0 => u16::from(self.input.byte()),
            number => number,
        };
        let channel = self.places[at].channel;
        let state = self.states.iter().find(|(other, _)| *other == channel);
        let body = match (number, state) {
            (5, Some((_, state))) if choice & 0x80 == 0 => state.clone(),
            (110, _) if choice & 0x80 == 0 => self.version.to_le_bytes().to_vec(),
            (101 | 3, _) => vec![0; if number == 3 { 12 } else { 14 }],
            (102 | 103 | 109 | 111 | 4, _) => Vec::new(),
            _ => self.input.short_blob().to_vec(),
        };
        let Some(body) = self.judged(at, Sender::Client, number, &body) else {
            return;
        };
        let before = self.state();
        let place = &mut self.places[at];
        let stands = place.linked && !place.pretended;
        let (seat, main, host, said) = (place.seat, place.main(), place.host, place.said);
        let (target, mark_due) = (place.target, place.mark_due);
        let display = channel.channel_type == ChannelType::DISPLAY;
        let begins = display && number == 101 && body.len() == 14;
        // A server closes a display channel that does not begin with that, and QEMU ends.
        let early = display && !place.target && !place.initialised && !begins;
        if stands && before != "End" {
            place.said += 1;
            place.mark_due &= number != 4;
            place.initialised |= begins;
        }
        let at_target = self.at_target(host);
        let newest = self
            .tracker
            .snapshot(TOKEN)
            .is_some_and(|snapshot| snapshot.last_host == host);
        let message = frame(number, 0, &body);
        let pass = self
            .migration
            .client_message(self.now, &mut self.tracker, seat, &message);
        self.passed("c2s", &pass);
        assert!(!matches!(pass, Pass::Ask(_) | Pass::Bind(_)), "{pass:?} of a viewer's");
        if before == "End" {
            return assert_eq!(pass, Pass::Refuse(Fault::Ended));
        }
        if !stands {
            return assert_eq!(pass, Pass::Drop, "what is said to nobody");
        }
        let forwarded = pass == Pass::Forward;
        match number {
            4 => assert_eq!(forwarded, mark_due),
            5 => {
                let at = self.states.iter().position(|other| *other == (channel, body.clone()));
                let in_order = target
                    && said == u32::from(main)
                    && self.kind == Some(Kind::Seamless)
                    && self.from.is_some()
                    && (!(main && at_target) || newest && matches!(before, "Connected" | "Ending"));
                assert_eq!(forwarded, in_order && at.is_some(), "in {before}");
                if let Some(at) = at.filter(|_| forwarded) {
                    self.states.swap_remove(at);
                    self.row(before, "c2s 5");
                }
            }
            109 if main => {
                let asked = before == "Ending" && at_target && newest && self.kind == Some(Kind::SemiSeamless);
                assert_eq!(forwarded, asked, "in {before}");
                self.row(before, "c2s 109");
            }
            110 if main => {
                let asked = before == "Opening"
                    && at_target
                    && newest
                    && said == 0
                    && self.kind == Some(Kind::Seamless)
                    && body.first_chunk() == Some(&self.version.to_le_bytes());
                assert_eq!(forwarded, asked, "in {before}");
                self.row(before, "c2s 110");
            }
            102 | 103 | 111 if main => self.answered(before, number, at_target, &pass),
            _ => {
                let expected = if early {
                    Pass::Refuse(Fault::OutOfOrder)
                } else {
                    Pass::Forward
                };
                assert_eq!(pass, expected, "{number}");
                self.row(before, "c2s");
            }
        }
    }

    /// What a viewer says of a target: once for each that it was told.
    fn answered(&mut self, before: &'static str, number: u16, at_target: bool, pass: &Pass) {
        let succeeded = number != 103;
        let expected = match before {
            _ if at_target => Pass::Refuse(Fault::Unasked),
            "Switch" => Pass::Forward,
            "Told" if succeeded => Pass::Refuse(Fault::Unasked),
            "Opening" if number == 111 && self.kind != Some(Kind::Seamless) => Pass::Refuse(Fault::Unasked),
            "Opening" if succeeded && self.poisoned => Pass::Instead(103),
            "Told" | "Opening" => Pass::Forward,
            _ => Pass::Drop,
        };
        assert_eq!(*pass, expected, "{number} in {before}");
        let poisoned = if *pass == Pass::Instead(103) { ", poisoned" } else { "" };
        if number == 102 && before == "Opening" && *pass == Pass::Forward {
            self.kind = Some(Kind::SemiSeamless);
        }
        self.row(before, &format!("c2s {number}{poisoned}"));
        if matches!(before, "Told" | "Opening") && matches!(pass, Pass::Forward | Pass::Instead(_)) {
            assert!(
                matches!(self.state(), "Idle" | "Connected" | "End"),
                "it is answered for"
            );
            (self.dead, self.poisoned) = (false, false);
        }
    }
}
