//! Everything that takes part in one move, and what can be done with it.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use spice_proto::channel::main::Destination;
use spice_proto::ids::ChannelType;

use super::balanced;
use super::host::{Host, Leg};
use super::links::{Link, destination, to_client, to_server};
use super::row::{Kind, Program, Row};
use super::wiring::{HYPERVISORS, SPICY_TITLE, TITLE, Wiring};
use crate::gateway::Gateway;
use crate::guest::{typing_sector, write_floppy};
use crate::pki;
use crate::process::{Folder, wait_for};
use crate::viewer::{Desktop, Viewer, screenshot};

/// The order of the fields is the order in which they end.
pub(crate) struct Scene<'a> {
    row: &'a Row,
    viewer: Viewer<'a>,
    wiring: Wiring,
    hosts: [Option<Host<'a>>; 3],
    /// Which of them has the guest.
    here: usize,
    /// How many QEMUs there have been.
    started: usize,
    desktop: &'a Desktop<'a>,
    folder: &'a Folder,
}

impl<'a> Scene<'a> {
    pub(super) fn start(row: &'a Row, folder: &'a Folder, desktop: &'a Desktop<'a>) -> Self {
        write_floppy(folder, &typing_sector());
        let wiring = Wiring::lay(row, folder);
        let source = Host::start(folder, &wiring.places[0], 0, true, row.kind == Kind::Seamless);
        let mut scene = Self {
            row,
            viewer: wiring.open(row, folder, desktop),
            wiring,
            hosts: [Some(source), None, None],
            here: 0,
            started: 1,
            desktop,
            folder,
        };
        scene.start_host(1);
        scene
    }

    /// Starts a QEMU that waits for the guest.
    pub(crate) fn start_host(&mut self, index: usize) {
        let seamless = self.row.kind == Kind::Seamless;
        let host = Host::start(self.folder, &self.wiring.places[index], self.started, false, seamless);
        self.started += 1;
        assert!(self.hosts[index].replace(host).is_none(), "this QEMU runs already");
    }

    /// The QEMU that has the guest.
    pub(crate) fn current(&mut self) -> &mut Host<'a> {
        self.host(self.here)
    }

    fn host(&mut self, index: usize) -> &mut Host<'a> {
        self.hosts[index].as_mut().expect("a running QEMU")
    }

    /// Ends a QEMU, with all connections to it.
    pub(crate) fn end_host(&mut self, index: usize) {
        self.hosts[index].take().expect("a running QEMU").end();
    }

    /// Waits until a QEMU has done with the viewer that left, and ends it.
    pub(crate) fn source_ends(&mut self, index: usize) {
        // A remote-viewer that moves seamlessly keeps its old links: that QEMU would wait for ten seconds.
        if !self.keeps_links() {
            self.host(index).wait_until_left();
        }
        self.end_host(index);
    }

    /// remote-viewer links a channel at the target that it did not open at the source, so that its seamless move never is
    /// complete. The target waits in vain for what the source knew of that channel, and does not announce the next move, and
    /// later ones the viewer refuses: SWITCH_HOST follows. That is so without a gateway too.
    pub(crate) fn keeps_links(&self) -> bool {
        self.row.kind == Kind::Seamless && self.row.program == Program::RemoteViewer
    }

    /// Waits until a QEMU has ended because its guest does not come.
    pub(crate) fn gives_up(&mut self, index: usize) {
        self.host(index).wait_until_ended();
        self.end_host(index);
    }

    /// The QEMU that has the guest tells the viewer where it will go.
    pub(crate) fn announce(&mut self, index: usize) {
        let subject = match (self.row.hypervisors, self.wiring.places[index].told.ip()) {
            (Leg::TlsBySubject, IpAddr::V4(address)) => Some(pki::subject(HYPERVISORS, address)),
            _ => None,
        };
        let host = self.hosts[self.here].as_mut().expect("a running QEMU");
        host.announce(&self.wiring.places[index], subject.as_deref(), self.row.absent);
    }

    /// Moves the guest there, and does not look what becomes of the viewer.
    pub(crate) fn move_guest(&mut self, index: usize) {
        let (host, target) = self.source_and_target(index);
        host.migrate_to(target);
        self.here = index;
    }

    /// Announces a move that happens at once.
    pub(crate) fn announce_and_move(&mut self, index: usize) {
        let mut host = self.hosts[self.here].take().expect("a running QEMU");
        let target = self.hosts[index].as_ref().expect("a running QEMU");
        host.announce_and_go(&self.wiring.places[index], target);
        self.hosts[self.here] = Some(host);
        self.here = index;
    }

    /// Begins to move the guest, and cancels that.
    pub(crate) fn move_in_vain(&mut self, index: usize) {
        let (host, target) = self.source_and_target(index);
        host.migrate_in_vain_to(target);
    }

    fn source_and_target(&mut self, index: usize) -> (&mut Host<'a>, &Host<'a>) {
        let [from, to] = self.hosts.get_disjoint_mut([self.here, index]).expect("two QEMUs");
        let running = "a running QEMU";
        (from.as_mut().expect(running), to.as_ref().expect(running))
    }

    /// Several gateways have had their share of the viewer's connections.
    pub(super) fn was_dealt_out(&self) {
        self.wiring.was_dealt_out();
    }

    pub(crate) fn gateways(&self) -> &[Gateway] {
        &self.wiring.gateways
    }

    /// Where native viewers of VNC come, and the authority of the certificate there.
    #[allow(dead_code, reason = "tests/real.rs has the case with VNC")]
    pub(crate) fn vnc(&self) -> (SocketAddr, PathBuf) {
        let balancer = self.wiring.balancer.as_ref().expect("a balancer");
        (balancer.vnc, self.wiring.authority(self.folder).expect("a certificate"))
    }

    /// The sessions of this protocol, as each gateway shows them.
    pub(crate) fn sessions(&self, protocol: &str) -> Vec<Vec<Value>> {
        let of = |gateway: &Gateway| {
            let (_, body) = gateway.call("GET /v1/sessions", "", "");
            let mut body: Value = serde_json::from_str(&body).expect("JSON");
            let mut sessions = body["sessions"].as_array_mut().map(std::mem::take).expect("a list");
            sessions.retain(|session| session["protocol"] == protocol);
            sessions
        };
        self.gateways().iter().map(of).collect()
    }

    /// The viewer's session: all gateways show it, and nothing else, at the gateway that the others have handed channels on
    /// to, with as many channels as the hypervisor has where the guest is.
    pub(crate) fn session(&mut self) -> Value {
        wait_for("one session with all its channels", || {
            let channels = self.current().channels().len();
            let shown = self.sessions("spice");
            let is_whole = |sessions: &Vec<Value>| match &sessions[..] {
                [session] => session["channels"] == channels && session["id"] == shown[0][0]["id"],
                _ => false,
            };
            let whole = shown.iter().all(is_whole);
            whole.then(|| {
                assert_eq!(shown[0][0]["gateway"].as_str(), self.wiring.owner().as_deref());
                shown[0][0].clone()
            })
        })
    }

    /// From where the viewer's first channel has come to the gateways, or to what is before them.
    pub(crate) fn peer(&self) -> String {
        let connections = self.wiring.recorder.connections();
        let mut mains = connections
            .iter()
            .filter(|connection| Link::of(connection).is_some_and(|link| link.is(ChannelType::MAIN)));
        let from = mains.next().and_then(|main| main.from);
        from.expect("a main channel").to_string()
    }

    /// How many channels each gateway has handed on.
    pub(crate) fn handed_on(&self) -> Vec<usize> {
        self.wiring.handed_on()
    }

    /// Other viewers come with the viewer's token, one at each gateway, and are refused.
    pub(crate) fn lets_nobody_else_in(&self) {
        let (endpoint, token) = (self.wiring.endpoint(self.folder), self.wiring.token());
        let expected: Vec<_> = self.refusals().iter().map(|count| count + 1).collect();
        for number in 0..expected.len() {
            screenshot(self.folder, &format!("other-{number}"), &endpoint, &token).assert_refused();
        }
        self.has_refused(&expected);
    }

    /// How many viewers each gateway has refused.
    fn refusals(&self) -> Vec<usize> {
        self.audited(&["\"event\":\"refused\""])
    }

    /// Waits until each gateway has refused so many viewers: the last one may know it before the audit log does.
    pub(crate) fn has_refused(&self, expected: &[usize]) {
        wait_for("the refusals in the audit logs", || {
            let refusals = self.refusals();
            let more = refusals.iter().zip(expected).any(|(count, expected)| expected < count);
            assert!(!more, "{refusals:?} for {expected:?}");
            (refusals == expected).then_some(())
        });
    }

    /// How many uses of tokens for SPICE the gateways have taken: a viewer that comes again takes none.
    pub(crate) fn uses(&self) -> usize {
        self.audited(&["\"what\":\"claim\"", "\"outcome\":\"done"]).iter().sum()
    }

    /// How many lines with these words each gateway has in its audit log.
    fn audited(&self, words: &[&str]) -> Vec<usize> {
        let count = |number| balanced::audited(self.folder, number, words);
        (0..self.gateways().len()).map(count).collect()
    }

    /// All links that were accepted, in their order.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.wiring.recorder.connections().iter().filter_map(Link::of).collect()
    }

    pub(crate) fn main_links(&self) -> Vec<Link> {
        self.links()
            .into_iter()
            .filter(|link| link.is(ChannelType::MAIN))
            .collect()
    }

    /// What the viewer has answered so far to the announcements: numbers of messages.
    pub(crate) fn said(&self) -> Vec<u16> {
        let is_answer = |number: &u16| {
            [
                to_server::MIGRATE_CONNECTED,
                to_server::MIGRATE_CONNECTED_SEAMLESS,
                to_server::MIGRATE_CONNECT_ERROR,
            ]
            .contains(number)
        };
        let links = self.main_links();
        let said = links
            .iter()
            .flat_map(|link| link.to_server.iter().map(|message| message.number));
        said.filter(is_answer).collect()
    }

    /// Waits until there are so many answers; this is the last of them.
    pub(crate) fn answers_with(&self, count: usize, number: u16) {
        let answers = wait_for("the viewer's answer", || {
            let answers = self.said();
            (count <= answers.len()).then_some(answers)
        });
        assert_eq!((answers.len(), answers.last()), (count, Some(&number)), "{answers:?}");
    }

    /// The answer of a viewer that is connected to the target.
    pub(crate) fn connected(&self) -> u16 {
        match self.row.kind {
            Kind::Seamless => to_server::MIGRATE_CONNECTED_SEAMLESS,
            Kind::SemiSeamless | Kind::SwitchHost => to_server::MIGRATE_CONNECTED,
        }
    }

    /// How often the viewer was told that a move is cancelled.
    pub(crate) fn cancelled(&self) -> usize {
        self.main_links()
            .iter()
            .map(|link| link.heard(to_client::MIGRATE_CANCEL))
            .sum()
    }

    /// Waits until the viewer has the channel of its keys: it has its picture before that, and loses what is typed meanwhile.
    pub(super) fn takes_keys(&self) {
        wait_for("the channel of the keys", || {
            let is_up = |link: &Link| link.is(ChannelType::INPUTS) && !link.to_client.is_empty();
            self.links().iter().any(is_up).then_some(())
        });
    }

    /// Types, each key once: each reaches the guest where it is now, and the viewer shows what it did.
    pub(crate) fn types(&mut self, keys: &str) {
        self.shows();
        for key in keys.chars() {
            let before = self.host(self.here).typed();
            self.press(key);
            let after = wait_for("a key at the guest", || {
                let typed = self.host(self.here).typed();
                (typed != before).then_some(typed)
            });
            let expected: Vec<u8> = before.into_iter().chain([u8::try_from(key).expect("ASCII")]).collect();
            assert_eq!(after, expected, "keys at the guest");
            self.shows();
        }
    }

    fn press(&self, key: char) {
        self.viewer_focus();
        self.desktop.press(&key.to_string());
    }

    fn viewer_focus(&self) {
        match self.row.program {
            Program::Spicy => self.desktop.focus(SPICY_TITLE),
            Program::RemoteViewer => self.desktop.focus(&format!("{TITLE}.*")),
        }
    }

    /// Waits until the viewer shows the guest as it is now, pixel for pixel.
    pub(crate) fn shows(&mut self) {
        wait_for("the guest's picture in the viewer", || {
            let picture = self.host(self.here).picture();
            let found = self.desktop.picture().find(&picture).map(|_| ());
            if found.is_none() && self.row.program == Program::Spicy {
                // It scales the picture to the width of its window.
                self.desktop.widen(SPICY_TITLE, picture.width());
            }
            found
        });
        assert!(self.viewer.runs(), "the viewer ended");
    }

    /// Waits until the viewer has followed the guest: presses a key until it arrives.
    pub(crate) fn arrives(&mut self) {
        wait_for("a key at the target", || {
            self.press('m');
            thread::sleep(Duration::from_millis(100));
            (!self.host(self.here).typed().is_empty()).then_some(())
        });
        // Others may be on their way.
        let mut typed = self.host(self.here).typed();
        wait_for("the last key", || {
            thread::sleep(Duration::from_millis(300));
            let now = self.host(self.here).typed();
            (std::mem::replace(&mut typed, now) == typed).then_some(())
        });
        self.types("nop");
    }

    /// Whether all channels of the first host are open at this one.
    pub(crate) fn has_all_channels(&mut self, channels: &[(u64, u64)]) {
        wait_for("all channels", || {
            let now = self.host(self.here).channels();
            channels.iter().all(|pair| now.contains(pair)).then_some(())
        });
    }

    pub(crate) fn channels(&mut self) -> Vec<(u64, u64)> {
        self.host(self.here).channels()
    }

    /// From now on nothing is wrong with the target.
    pub(crate) fn mend(&self) {
        self.wiring
            .front
            .as_ref()
            .expect("something in front of the target")
            .mend();
    }

    /// Plugs a device into the guest's machine: the channel that it makes.
    pub(crate) fn plug(&mut self) -> (u64, u64) {
        self.host(self.here).plug()
    }

    /// Whether this hypervisor has no connection. QEMU itself lists links that wait for the guest even when they are
    /// closed.
    pub(crate) fn is_left(&self, index: usize) -> bool {
        connected_to(self.wiring.places[index].address) == 0
    }

    pub(crate) fn here(&self) -> usize {
        self.here
    }

    /// The viewer has given up: it has ended, or asks for an address.
    pub(crate) fn shows_nothing(&mut self) {
        wait_for("the end of the viewer", || {
            let ended = !self.viewer.runs();
            (ended || self.row.program == Program::Spicy && self.desktop.shows_window("Connect to SPICE")).then_some(())
        });
    }

    /// The viewer and the source go on for a while, as if nothing had been.
    pub(crate) fn goes_on(&mut self) {
        self.types("b");
        thread::sleep(Duration::from_secs(1));
        self.types("c");
    }

    /// Whether the viewer was told where this hypervisor is.
    pub(crate) fn tells_of(&self, index: usize) -> bool {
        let address = self.wiring.places[index].told;
        let host = format!("{}\0", address.ip());
        let messages = self.main_links().into_iter().flat_map(|link| link.to_client);
        let mut sent = messages.filter_map(|message| destination(&message, &self.wiring.told));
        let is_this = |(sent, _): (Destination, Vec<u8>)| sent.port == address.port() && sent.host == host;
        sent.any(is_this) && self.wiring.recorder.connections().iter().any(|c| c.holds(&host))
    }

    /// No message told the viewer anything of a hypervisor, and each was in every byte what it should be.
    /// Returns the numbers of those that sent the viewer somewhere.
    pub(crate) fn only_the_gateway_is_told(&self) -> Vec<u16> {
        let ports: Vec<u16> = self
            .wiring
            .places
            .iter()
            .flat_map(|p| [p.address.port(), p.told.port()])
            .collect();
        let mut numbers = Vec::new();
        for message in self.main_links().iter().flat_map(|link| &link.to_client) {
            let Some((sent, _)) = destination(message, &self.wiring.told) else {
                continue;
            };
            // Also where it may not go: it is refused there.
            let told = &self.wiring.told;
            let (_, expected) = destination(message, told).expect("the same message");
            assert_eq!(sent, *told, "the viewer is sent elsewhere");
            assert_eq!(message.body, expected, "the message has other bytes");
            assert!(
                !ports.contains(&sent.port) && !ports.contains(&sent.sport),
                "a hypervisor's port"
            );
            numbers.push(message.number);
        }
        for connection in self.wiring.recorder.connections() {
            for place in &self.wiring.places {
                let texts = [place.address.ip().to_string(), place.ticket.to_owned()];
                for text in texts.iter().map(String::as_str).chain([HYPERVISORS]) {
                    assert!(!connection.holds(text), "{text:?} on the viewer's side");
                }
            }
        }
        numbers
    }
}

/// How many connections to this address are open at both ends.
fn connected_to(address: SocketAddr) -> usize {
    const ESTABLISHED: &str = "01";
    let IpAddr::V4(ip) = address.ip() else {
        panic!("no IPv4")
    };
    let place = format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), address.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let is_open = |line: &&str| {
        let mut columns = line.split_whitespace().skip(1);
        let (local, _, state) = (columns.next(), columns.next(), columns.next());
        local == Some(&place) && state == Some(ESTABLISHED)
    };
    table.lines().filter(is_open).count()
}
