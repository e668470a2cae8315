//! Gateways on one engine behind haproxy, which says whose connections they are.
//!
//! ```text
//! recorder -> 127.0.0.1: haproxy, in turn -> three gateways, among which channels are handed on -> QEMU
//! ```

use std::net::SocketAddr;

use super::row::Row;
use super::wiring::RECORDER;
use crate::engines::{Engine, Kind, url};
use crate::gateway::Gateway;
use crate::haproxy::{self, Listener};
use crate::ports::{free_port, free_port_of};
use crate::process::{Folder, Process};

/// haproxy, and where it takes connections.
pub(super) struct Balancer {
    pub(super) spice: SocketAddr,
    /// At the address that is in the certificate, since native viewers come there without a recorder.
    pub(super) vnc: SocketAddr,
    _process: Process,
}

/// The gateways, of which viewers are told this port, and haproxy before them.
pub(super) fn gateways(
    folder: &Folder,
    row: &Row,
    (kind, engine): (Kind, &Engine),
    sections: &str,
    port: u16,
) -> (Vec<Gateway>, Balancer) {
    let (spice, web, vnc) = (free_port(), free_port(), free_port_of(RECORDER));
    let native = if row.vnc { "vnc = \"127.0.0.1:0\"\n" } else { "" };
    let sections = sections
        .replace("\"bound\"", &port.to_string())
        .replace("[public]\n", &format!("[public]\nurl = \"http://{web}\"\n"))
        .replace(
            "[listen]\n",
            &format!("[listen]\nproxy_protocol = [\"127.0.0.0/8\"]\n{native}"),
        );
    let store = url(kind, &engine.address());
    folder.write("pepper", [b'p'; 48]);
    let start = |number| {
        let name = name(number);
        let own = format!(
            "[store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"{name}\"\n\
             [operate]\naudit = \"{}\"\n",
            audit(number)
        );
        Gateway::named(folder, &name, &format!("{sections}{own}"))
    };
    let mut gateways: Vec<_> = (0..row.gateways).map(start).collect();
    let listener = |name, address, of: fn(&Gateway) -> Option<SocketAddr>| Listener {
        name,
        address,
        gateways: gateways
            .iter()
            .map(|gateway| of(gateway).expect("a listener"))
            .collect(),
    };
    let mut listeners = vec![
        listener("spice", spice, |gateway| gateway.plain.or(gateway.tls)),
        listener("web", web, |gateway| gateway.websocket),
    ];
    if row.vnc {
        listeners.push(listener("vnc", vnc, |gateway| gateway.vnc));
    }
    let file = folder.write("haproxy.cfg", haproxy::configuration(&listeners));
    let process = Process::start(folder, "haproxy", haproxy::PROGRAM, |command| {
        haproxy::arguments(command, &file);
    });
    haproxy::wait_for(&listeners);
    // Nothing is served there without a header of the PROXY protocol.
    for gateway in &mut gateways {
        gateway.websocket = Some(web);
    }
    let balancer = Balancer {
        spice,
        vnc,
        _process: process,
    };
    (gateways, balancer)
}

/// What the gateway at this place is called by the others.
pub(super) fn name(number: usize) -> String {
    format!("gw{}", number + 1)
}

/// Its audit log.
fn audit(number: usize) -> String {
    format!("{}.jsonl", name(number))
}

/// How many lines of the audit log of the gateway at this place hold all these words.
pub(super) fn audited(folder: &Folder, number: usize, words: &[&str]) -> usize {
    let text = std::fs::read_to_string(folder.join(&audit(number))).expect("an audit log");
    text.lines()
        .filter(|line| words.iter().all(|words| line.contains(words)))
        .count()
}
