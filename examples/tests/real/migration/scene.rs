//! Everything that takes part in one move, and what can be done with it.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use spice_proto::channel::main::Destination;
use spice_proto::ids::ChannelType;

use super::front::{Fault, Front};
use super::host::{Absent, Host, Leg, Place};
use super::links::{Link, destination, to_client, to_server};
use crate::gateway::{Gateway, Vv};
use crate::guest::{typing_sector, write_floppy};
use crate::pki;
use crate::process::{Folder, wait_for};
use crate::recorder::{Between, Recorder};
use crate::viewer::{Desktop, Endpoint, Viewer};

const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TARGET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// Where viewers are sent.
const RECORDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// In the subjects of the certificates.
const HYPERVISORS: &str = "Hypervisors";
const GATEWAY: &str = "Gateway";
/// In the titles of the windows.
const TITLE: &str = "moving guest";
const SPICY_TITLE: &str = "spice display 0:0";

/// In which way the viewer follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// It is connected before the guest has moved, and begins anew there.
    SemiSeamless,
    /// The same, and its channels go on where they were.
    Seamless,
    /// It is one that can do neither, and is sent away when the guest has moved.
    SwitchHost,
}

impl Kind {
    /// The message that tells the viewer so.
    pub(crate) fn message(self) -> u16 {
        match self {
            Self::SemiSeamless => to_client::MIGRATE_BEGIN,
            Self::Seamless => to_client::MIGRATE_BEGIN_SEAMLESS,
            Self::SwitchHost => to_client::MIGRATE_SWITCH_HOST,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Program {
    Spicy,
    RemoteViewer,
}

/// What the gateway was told of the target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    Well,
    WithAnotherTicket,
    NotAtAll,
}

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) program: Program,
    /// Between viewer and gateway.
    pub(crate) viewer: Leg,
    /// Between gateway and hypervisors.
    pub(crate) hypervisors: Leg,
    /// Of the link to the target.
    pub(crate) fault: Option<Fault>,
    pub(crate) known: Known,
    pub(crate) absent: Absent,
    /// Whether there is a gateway: without one, the recorder is in front of the source itself.
    pub(crate) gateway: bool,
}

impl Row {
    pub(crate) fn new(kind: Kind, program: Program, viewer: Leg, hypervisors: Leg) -> Self {
        Self {
            kind,
            program,
            viewer,
            hypervisors,
            fault: None,
            known: Known::Well,
            absent: Absent::Zero,
            gateway: true,
        }
    }

    /// Sets the scene, with the guest on the viewer's screen.
    pub(crate) fn play(&self, story: impl FnOnce(&mut Scene<'_>)) {
        let folder = Folder::new();
        let desktop = Desktop::start(&folder);
        let mut scene = Scene::start(self, &folder, &desktop);
        scene.types("a");
        story(&mut scene);
    }
}

/// The order of the fields is the order in which they end.
pub(crate) struct Scene<'a> {
    row: &'a Row,
    viewer: Viewer<'a>,
    recorder: Recorder,
    _gateway: Option<Gateway>,
    front: Option<Front>,
    hosts: [Option<Host<'a>>; 3],
    places: [Place; 3],
    /// Which of them has the guest.
    here: usize,
    /// How many QEMUs there have been.
    started: usize,
    /// What the viewer must be told in place of a hypervisor's address.
    told: Destination,
    desktop: &'a Desktop<'a>,
    folder: &'a Folder,
}

impl<'a> Scene<'a> {
    fn start(row: &'a Row, folder: &'a Folder, desktop: &'a Desktop<'a>) -> Self {
        write_floppy(folder, &typing_sector());
        let authority = (!row.hypervisors.is_plain()).then(|| pki::authority_alone(folder, "hypervisors"));
        let place = |name, address, ticket| {
            let authority = authority.as_ref();
            let pki = authority.map(|authority| pki::server(folder, authority, HYPERVISORS, address));
            Place::new(name, address, ticket, pki)
        };
        let mut places = [
            place("source", SOURCE, "Pa55-w0rd-of-the-source"),
            place("target", TARGET, "Pa55-w0rd-of-the-target"),
            place("other", OTHER, "Pa55-w0rd-of-the-other"),
        ];
        let front = row.fault.map(|fault| {
            let mut told = places[1].address;
            told.set_port(crate::guest::free_port_of(TARGET).port());
            places[1].told = told;
            Front::start(told, places[1].address, fault)
        });
        let gateway_pki = (!row.viewer.is_plain()).then(|| {
            let authority = pki::authority_alone(folder, "gateway");
            pki::server(folder, &authority, GATEWAY, RECORDER)
        });
        if !row.gateway {
            // Viewers have one password for both.
            places[1].ticket = places[0].ticket;
        }
        let gateway = row
            .gateway
            .then(|| Gateway::start(folder, &sections(row, &places, gateway_pki.as_deref())));
        let listeners = gateway
            .as_ref()
            .map(|gateway| gateway.plain.or(gateway.tls).expect("a listener"));
        let behind = listeners.unwrap_or(places[0].address);
        let address = SocketAddr::new(IpAddr::V4(RECORDER), behind.port());
        let between = Between {
            pki: gateway_pki.as_deref(),
            without_migration: row.kind == Kind::SwitchHost,
        };
        let recorder = Recorder::between(address, behind, &between);
        let subject = (row.viewer == Leg::TlsBySubject).then(|| pki::subject(GATEWAY, RECORDER));
        let port = |there: bool| if there { address.port() } else { 0 };
        let told = Destination {
            port: port(row.viewer.is_plain()),
            sport: port(!row.viewer.is_plain()),
            host: Bytes::from(format!("{RECORDER}\0")),
            cert_subject: subject
                .as_ref()
                .map_or_else(Bytes::new, |subject| format!("{subject}\0").into()),
        };
        let vv = match &gateway {
            Some(gateway) => gateway.console_of("source", TITLE, 60),
            None => Vv {
                text: format!(
                    "[virt-viewer]\ntype=spice\nhost={RECORDER}\nport={}\npassword={}\ntitle={TITLE}\n",
                    address.port(),
                    places[0].ticket
                ),
            },
        };
        let seamless = row.kind == Kind::Seamless;
        let source = Host::start(folder, &places[0], 0, true, seamless);
        let viewer = match row.program {
            Program::RemoteViewer => desktop.open("moves", &vv),
            Program::Spicy => {
                let endpoint = match vv.get("ca") {
                    Some(ca) => Endpoint::tls(address, folder.write("viewer-ca.pem", ca)),
                    None => Endpoint::plain(address),
                };
                desktop.spicy("moves", &endpoint, subject.as_deref(), &vv.password())
            }
        };
        let mut scene = Self {
            row,
            viewer,
            recorder,
            _gateway: gateway,
            front,
            hosts: [Some(source), None, None],
            places,
            here: 0,
            started: 1,
            told,
            desktop,
            folder,
        };
        scene.start_host(1);
        scene
    }

    /// Starts a QEMU that waits for the guest.
    pub(crate) fn start_host(&mut self, index: usize) {
        let seamless = self.row.kind == Kind::Seamless;
        let host = Host::start(self.folder, &self.places[index], self.started, false, seamless);
        self.started += 1;
        assert!(self.hosts[index].replace(host).is_none(), "this QEMU runs already");
    }

    fn host(&mut self, index: usize) -> &mut Host<'a> {
        self.hosts[index].as_mut().expect("a running QEMU")
    }

    /// Ends a QEMU, whoever is connected to it.
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
    /// complete. The target waits in vain for what the source knew of that channel, and does not announce the next move:
    /// SWITCH_HOST follows. That is so without a gateway too.
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
        let subject = match (self.row.hypervisors, self.places[index].told.ip()) {
            (Leg::TlsBySubject, IpAddr::V4(address)) => Some(pki::subject(HYPERVISORS, address)),
            _ => None,
        };
        let host = self.hosts[self.here].as_mut().expect("a running QEMU");
        host.announce(&self.places[index], subject.as_deref(), self.row.absent);
    }

    /// Moves the guest there, and does not look what becomes of the viewer.
    pub(crate) fn move_guest(&mut self, index: usize) {
        let (host, target) = self.ends_of(index);
        host.migrate_to(target);
        self.here = index;
    }

    /// Announces a move that happens at once.
    pub(crate) fn announce_and_move(&mut self, index: usize) {
        let mut host = self.hosts[self.here].take().expect("a running QEMU");
        let target = self.hosts[index].as_ref().expect("a running QEMU");
        host.announce_and_go(&self.places[index], target);
        self.hosts[self.here] = Some(host);
        self.here = index;
    }

    /// Begins to move the guest, and cancels that.
    pub(crate) fn move_in_vain(&mut self, index: usize) {
        let (host, target) = self.ends_of(index);
        host.migrate_in_vain_to(target);
    }

    fn ends_of(&mut self, index: usize) -> (&mut Host<'a>, &Host<'a>) {
        let [from, to] = self.hosts.get_disjoint_mut([self.here, index]).expect("two QEMUs");
        let running = "a running QEMU";
        (from.as_mut().expect(running), to.as_ref().expect(running))
    }

    /// All links that were accepted, in their order.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.recorder.connections().iter().filter_map(Link::of).collect()
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
        self.front.as_ref().expect("something in front of the target").mend();
    }

    /// Plugs a device into the guest's machine: the channel that it makes.
    pub(crate) fn plug(&mut self) -> (u64, u64) {
        self.host(self.here).plug()
    }

    /// Whether nobody is connected to this hypervisor. QEMU itself lists links that wait for the guest even when they are
    /// closed.
    pub(crate) fn is_left(&self, index: usize) -> bool {
        connected_to(self.places[index].address) == 0
    }

    pub(crate) fn here(&self) -> usize {
        self.here
    }

    /// The viewer has given up: it has ended, or asks whom to connect to.
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
        let address = self.places[index].told;
        let host = format!("{}\0", address.ip());
        let messages = self.main_links().into_iter().flat_map(|link| link.to_client);
        let mut sent = messages.filter_map(|message| destination(&message, &self.told));
        let is_this = |(sent, _): (Destination, Vec<u8>)| sent.port == address.port() && sent.host == host;
        sent.any(is_this) && self.recorder.connections().iter().any(|c| c.holds(&host))
    }

    /// No message told the viewer anything of a hypervisor, and each was in every byte what it should be.
    /// Returns the numbers of those that sent the viewer somewhere.
    pub(crate) fn only_the_gateway_is_told(&self) -> Vec<u16> {
        let ports: Vec<u16> = self
            .places
            .iter()
            .flat_map(|p| [p.address.port(), p.told.port()])
            .collect();
        let mut numbers = Vec::new();
        for message in self.main_links().iter().flat_map(|link| &link.to_client) {
            let Some((sent, _)) = destination(message, &self.told) else {
                continue;
            };
            let mut told = self.told.clone();
            if self.row.known == Known::NotAtAll {
                // A port where nobody listens.
                (told.port, told.sport) = (sent.port, sent.sport);
            }
            let (_, expected) = destination(message, &told).expect("the same message");
            assert_eq!(sent, told, "the viewer is sent elsewhere");
            assert_eq!(message.body, expected, "the message has other bytes");
            assert!(
                !ports.contains(&sent.port) && !ports.contains(&sent.sport),
                "a hypervisor's port"
            );
            numbers.push(message.number);
        }
        for connection in self.recorder.connections() {
            for place in &self.places {
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

/// What the gateway is told: where it listens, and the three hypervisors.
fn sections(row: &Row, places: &[Place; 3], pki: Option<&Path>) -> String {
    let mut text = String::from("[spice]\n");
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
    line(format!("host = \"{RECORDER}\"\ntoken_ttl_seconds = 60"));
    match pki {
        None => line("plain = \"127.0.0.1:0\"".to_owned()),
        Some(pki) => {
            line("tls = \"127.0.0.1:0\"".to_owned());
            for (key, file) in [
                ("certificate", "server-cert"),
                ("private_key", "server-key"),
                ("ca", "ca-cert"),
            ] {
                line(format!("{key} = \"{}\"", pki.join(format!("{file}.pem")).display()));
            }
            if row.viewer == Leg::TlsBySubject {
                line(format!("host_subject = \"{}\"", pki::subject(GATEWAY, RECORDER)));
            }
        }
    }
    for (index, place) in places.iter().enumerate() {
        let ticket = match (index, row.known) {
            (1, Known::NotAtAll) => continue,
            (1, Known::WithAnotherTicket) => "Pa55-w0rd-of-yesterday",
            _ => place.ticket,
        };
        let (key, told) = (if place.pki.is_some() { "tls_port" } else { "port" }, place.told);
        line(format!(
            "[[target]]\nname = \"{}\"\nhost = \"{}\"",
            place.name,
            told.ip()
        ));
        line(format!("{key} = {}\nticket = \"{ticket}\"", told.port()));
        if let Some(pki) = &place.pki {
            line(format!("ca = \"{}\"", pki.join("ca-cert.pem").display()));
        }
    }
    text
}
