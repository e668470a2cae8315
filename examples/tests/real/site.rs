//! A hypervisor, the gateway in front of it, and the recorder between them.

use std::fmt::Write;

use crate::gateway::Gateway;
use crate::guest::{Guest, TICKET};
use crate::picture::Picture;
use crate::pki;
use crate::process::{Folder, wait_for};
use crate::recorder::Recorder;
use crate::viewer::{Endpoint, screenshot};

/// How the gateway is reached, and how it reaches the hypervisor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Legs {
    Plain,
    /// Plain, and the recorder opens what is sealed for the hypervisor.
    Opened,
    Tls,
}

/// The order of the fields is the order in which they end.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    /// Between the gateway and the hypervisor.
    pub(crate) hypervisor: Recorder,
    pub(crate) guest: Guest,
    pub(crate) folder: Folder,
}

impl Site {
    pub(crate) fn start(legs: Legs) -> Self {
        Self::start_with(legs, "")
    }

    /// As [`Site::start`], and pages from here may connect as well.
    pub(crate) fn start_for_browsers(origin: &str) -> Self {
        Self::start_with(
            Legs::Plain,
            &format!("web_plain = \"127.0.0.1:0\"\norigins = [\"{origin}\"]\n"),
        )
    }

    /// `listen`: more of the gateway's table of that name.
    fn start_with(legs: Legs, listen: &str) -> Self {
        let folder = Folder::new();
        let pki = (legs == Legs::Tls).then(|| pki::authority(&folder, "hypervisor"));
        let guest = Guest::start(&folder, pki);
        let hypervisor = match legs {
            Legs::Opened => Recorder::opening(guest.address, &folder, "hypervisor"),
            Legs::Plain | Legs::Tls => Recorder::start(guest.address),
        };
        let sections = sections(&folder, legs, hypervisor.address.port());
        let gateway = Gateway::start(
            &folder,
            &sections.replacen("[listen]\n", &format!("[listen]\n{listen}"), 1),
        );
        Self {
            gateway,
            hypervisor,
            guest,
            folder,
        }
    }

    /// The guest's picture as a viewer gets it straight from the hypervisor.
    pub(crate) fn picture(&self) -> Picture {
        let direct = match &self.guest.pki {
            Some(pki) => Endpoint::tls(self.guest.address, pki.join("ca-cert.pem")),
            None => Endpoint::plain(self.guest.address),
        };
        // QEMU looks at the guest's screen a few times a second.
        wait_for("the guest's picture", || {
            let picture = screenshot(&self.folder, "reference", &direct, TICKET).picture();
            picture.is_the_guest().then_some(picture)
        })
    }

    /// Ends the gateway, so that nothing is on its way any more, and returns its log.
    pub(crate) fn end_gateway(&mut self) -> String {
        self.gateway.process.end();
        self.gateway.process.logged()
    }
}

/// The gateway's configuration: where it listens, and the machine behind the recorder. With TLS there
/// is a second machine, the same but for the authority that its certificate ought to be from.
fn sections(folder: &Folder, legs: Legs, port: u16) -> String {
    folder.write("ticket", TICKET);
    if legs != Legs::Tls {
        return format!(
            "[public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\n\
             [listen]\nspice = \"127.0.0.1:0\"\n[tokens]\nttl_seconds = 60\n\
             [[guest]]\nid = \"machine\"\n[[guest.console]]\nprotocol = \"spice\"\n\
             [[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {port}\nticket_file = \"ticket\"\n"
        );
    }
    pki::authority(folder, "gateway");
    let mut text = format!(
        "[public]\nhost = \"127.0.0.1\"\nspice_tls_port = \"bound\"\nhost_subject = \"{}\"\n\
         ca = \"gateway/ca-cert.pem\"\n\
         [listen]\nspice_tls = \"127.0.0.1:0\"\n\
         certificate = \"gateway/server-cert.pem\"\nprivate_key = \"gateway/server-key.pem\"\n\
         [tokens]\nttl_seconds = 60\n",
        pki::SUBJECT
    );
    // Two names of one machine: two guests cannot be at one place.
    for (name, host, authority) in [
        ("machine", "127.0.0.1", "hypervisor"),
        ("untrusted", "localhost", "gateway"),
    ] {
        write!(
            text,
            "[[guest]]\nid = \"{name}\"\n[[guest.console]]\nprotocol = \"spice\"\n\
             [[guest.console.place]]\nhost = \"{host}\"\ntls_port = {port}\n\
             ca = \"{authority}/ca-cert.pem\"\nticket_file = \"ticket\"\n"
        )
        .expect("a String takes everything");
    }
    text
}
