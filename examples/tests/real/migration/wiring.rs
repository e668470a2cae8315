//! The addresses of all programs, and which of them each is configured with.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use spice_proto::channel::main::Destination;

use super::balanced::{self, Balancer};
use super::front::Front;
use super::host::{Leg, Place};
use super::row::{Kind, Known, Program, Row};
use crate::engines::Engine;
use crate::gateway::{Gateway, Vv};
use crate::pki;
use crate::ports::free_port_of;
use crate::process::Folder;
use crate::recorder::{Between, Recorder};
use crate::viewer::{Desktop, Endpoint, Viewer};

const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TARGET: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const OTHER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// Where viewers are sent.
pub(super) const RECORDER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// In the subjects of the certificates.
pub(super) const HYPERVISORS: &str = "Hypervisors";
const GATEWAY: &str = "Gateway";
/// In the titles of the windows.
pub(super) const TITLE: &str = "moving guest";
pub(super) const SPICY_TITLE: &str = "spice display 0:0";

/// Everything between a viewer and the QEMUs. The order of the fields is the order in which they end.
pub(super) struct Wiring {
    pub(super) recorder: Recorder,
    pub(super) balancer: Option<Balancer>,
    pub(super) gateways: Vec<Gateway>,
    _engine: Option<Engine>,
    /// In front of the target, if that is to fail.
    pub(super) front: Option<Front>,
    /// Source, target, and another target.
    pub(super) places: [Place; 3],
    /// What the viewer must be told in place of a hypervisor's address.
    pub(super) told: Destination,
    /// Where the viewer connects to at first.
    address: SocketAddr,
    /// The connection file for that.
    vv: Vv,
}

impl Wiring {
    pub(super) fn lay(row: &Row, folder: &Folder) -> Self {
        let mut places = places(row, folder);
        let front = row.fault.map(|fault| {
            let target = &mut places[1];
            target.told = free_port_of(TARGET);
            Front::start(target.told, target.address, fault)
        });
        let pki = (!row.viewer.is_plain()).then(|| {
            let authority = pki::authority_alone(folder, "gateway");
            pki::server(folder, &authority, GATEWAY, RECORDER)
        });
        let sections = sections(folder, row, &places, pki.as_deref());
        let engine = row.balanced.map(Engine::start);
        let mut balancer = None;
        let (gateways, behind, address) = match (row.balanced, &engine) {
            (Some(kind), Some(engine)) => {
                let address = free_port_of(RECORDER);
                let (gateways, before) = balanced::gateways(folder, row, (kind, engine), &sections, address.port());
                let behind = vec![before.spice];
                balancer = Some(before);
                (gateways, behind, address)
            }
            _ => {
                let gateways = gateways(folder, row, &sections);
                let listeners = gateways.iter().filter_map(|gateway| gateway.plain.or(gateway.tls));
                let mut behind: Vec<_> = listeners.collect();
                if behind.is_empty() {
                    behind.push(places[0].address);
                }
                let address = SocketAddr::new(IpAddr::V4(RECORDER), behind[0].port());
                (gateways, behind, address)
            }
        };
        let between = Between {
            pki: pki.as_deref(),
            without_migration: row.kind == Kind::SwitchHost,
        };
        let vv = match gateways.first() {
            Some(gateway) => gateway.console_of("machine", TITLE, 60),
            None => connection_file(address, places[0].ticket),
        };
        let port = |there: bool| if there { address.port() } else { 0 };
        let text = |text: String| Bytes::from(format!("{text}\0"));
        Self {
            recorder: Recorder::between(address, &behind, &between),
            balancer,
            gateways,
            _engine: engine,
            front,
            places,
            told: Destination {
                port: port(row.viewer.is_plain()),
                sport: port(!row.viewer.is_plain()),
                host: text(RECORDER.to_string()),
                cert_subject: gateway_subject(row).map(text).unwrap_or_default(),
            },
            address,
            vv,
        }
    }

    /// How many connections each gateway has handed on to another one.
    pub(super) fn handed_on(&self) -> Vec<usize> {
        let count = |gateway: &Gateway| gateway.process.logged().matches("handed on to the gateway").count();
        self.gateways.iter().map(count).collect()
    }

    /// The one of several gateways that has the session: each other one has handed a connection on to it.
    pub(super) fn owner(&self) -> Option<String> {
        let counts = self.handed_on();
        if counts.len() < 2 {
            return None;
        }
        let mut owners = (0..counts.len()).filter(|&number| counts[number] == 0);
        let (Some(owner), None) = (owners.next(), owners.next()) else {
            panic!("handed on: {counts:?}");
        };
        Some(balanced::name(owner))
    }

    /// That was so, and where the recorder deals them out, it is the first one.
    pub(super) fn was_dealt_out(&self) {
        if let (Some(owner), None) = (self.owner(), &self.balancer) {
            assert_eq!(owner, balanced::name(0), "the first one has the session");
        }
    }

    /// Where viewers come.
    pub(super) fn endpoint(&self, folder: &Folder) -> Endpoint {
        match self.authority(folder) {
            Some(authority) => Endpoint::tls(self.address, authority),
            None => Endpoint::plain(self.address),
        }
    }

    /// Of the gateway's certificate, if it has one.
    pub(super) fn authority(&self, folder: &Folder) -> Option<PathBuf> {
        Some(folder.write("viewer-ca.pem", self.vv.get("ca")?))
    }

    /// What the viewer shows the gateway.
    pub(super) fn token(&self) -> String {
        self.vv.password()
    }

    /// Starts the viewer.
    pub(super) fn open<'a>(&self, row: &Row, folder: &Folder, desktop: &'a Desktop<'a>) -> Viewer<'a> {
        match row.program {
            Program::RemoteViewer => desktop.open("moves", &self.vv),
            Program::Spicy => {
                let subject = gateway_subject(row);
                desktop.spicy("moves", &self.endpoint(folder), subject.as_deref(), &self.token())
            }
        }
    }
}

/// The gateways without haproxy; several are on one store, and say that they are where the first one is.
fn gateways(folder: &Folder, row: &Row, sections: &str) -> Vec<Gateway> {
    match (row.gateway, row.gateways) {
        (false, _) => Vec::new(),
        (true, 1) => vec![Gateway::start(folder, sections)],
        (true, count) => {
            folder.write("pepper", [b'p'; 48]);
            let mut gateways: Vec<Gateway> = Vec::new();
            for number in 0..count {
                let name = balanced::name(number);
                let store = format!(
                    "[store]\nurl = \"sqlite:gateway.db\"\npepper_file = \"pepper\"\ngateway_id = \"{name}\"\n"
                );
                let first = gateways.first().and_then(|first| first.plain.or(first.tls));
                let sections = match first {
                    Some(first) => sections.replace("\"bound\"", &first.port().to_string()),
                    None => sections.to_owned(),
                };
                gateways.push(Gateway::named(folder, &name, &format!("{sections}{store}")));
            }
            gateways
        }
    }
}

/// The three hypervisors. Their certificates are from an authority of their own.
fn places(row: &Row, folder: &Folder) -> [Place; 3] {
    let authority = (!row.hypervisors.is_plain()).then(|| pki::authority_alone(folder, "hypervisors"));
    let place = |name, address, ticket| {
        let authority = authority.as_ref();
        let pki = authority.map(|authority| pki::server(folder, authority, HYPERVISORS, address));
        // Without a gateway, the viewer has one password for all.
        let ticket = if row.gateway { ticket } else { "Pa55-w0rd-of-them-all" };
        let mut place = Place::new(name, address, ticket, pki);
        place.vnc = row.vnc.then(|| free_port_of(address));
        place
    };
    [
        place("source", SOURCE, "Pa55-w0rd-of-the-source"),
        place("target", TARGET, "Pa55-w0rd-of-the-target"),
        place("other", OTHER, "Pa55-w0rd-of-the-other"),
    ]
}

/// The subject by which viewers are to know the gateway.
fn gateway_subject(row: &Row) -> Option<String> {
    (row.viewer == Leg::TlsBySubject).then(|| pki::subject(GATEWAY, RECORDER))
}

/// For QEMU itself.
fn connection_file(address: SocketAddr, ticket: &str) -> Vv {
    let (host, port) = (address.ip(), address.port());
    let text = format!("[virt-viewer]\ntype=spice\nhost={host}\nport={port}\npassword={ticket}\ntitle={TITLE}\n");
    Vv { text }
}

/// The gateway's configuration: where it listens, and the three hypervisors.
fn sections(folder: &Folder, row: &Row, places: &[Place; 3], pki: Option<&Path>) -> String {
    let mut text = String::from("[public]\n");
    let mut line = |line: String| writeln!(text, "{line}").expect("a String takes everything");
    line(format!("host = \"{RECORDER}\""));
    match pki {
        None => line("spice_port = \"bound\"\n[listen]\nspice = \"127.0.0.1:0\"".to_owned()),
        Some(pki) => {
            let file = |key: &str, file: &str| format!("{key} = \"{}\"", pki.join(format!("{file}.pem")).display());
            line(format!("spice_tls_port = \"bound\"\n{}", file("ca", "ca-cert")));
            if let Some(subject) = gateway_subject(row) {
                line(format!("host_subject = \"{subject}\""));
            }
            line("[listen]\nspice_tls = \"127.0.0.1:0\"".to_owned());
            line(file("certificate", "server-cert"));
            line(file("private_key", "server-key"));
        }
    }
    line("[tokens]\nttl_seconds = 60\n[[guest]]\nid = \"machine\"\n[[guest.console]]\nprotocol = \"spice\"".to_owned());
    for (index, place) in places.iter().enumerate() {
        let ticket = match (index, row.known) {
            (1, Known::NotAtAll) => continue,
            (1, Known::WithAnotherTicket) => "Pa55-w0rd-of-yesterday",
            _ => place.ticket,
        };
        let (key, told) = (if place.pki.is_some() { "tls_port" } else { "port" }, place.told);
        let file = format!("{}.ticket", place.name);
        folder.write(&file, ticket);
        line(format!("[[guest.console.place]]\nhost = \"{}\"", told.ip()));
        line(format!("{key} = {}\nticket_file = \"{file}\"", told.port()));
        if let Some(pki) = &place.pki {
            line(format!("ca = \"{}\"", pki.join("ca-cert.pem").display()));
        }
    }
    if row.vnc {
        line("[[guest.console]]\nprotocol = \"vnc\"".to_owned());
    }
    for address in places.iter().filter_map(|place| place.vnc) {
        let (ip, port) = (address.ip(), address.port());
        line(format!(
            "[[guest.console.place]]\nhost = \"{ip}\"\nport = {port}\nauth = [\"none\"]"
        ));
    }
    text
}
