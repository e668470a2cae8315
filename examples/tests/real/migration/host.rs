//! QEMUs between which a guest moves, each at an address of its own.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spice_proto::ids::ChannelType;

use crate::guest::{LOSSLESS, READY, console, machine};
use crate::picture::Picture;
use crate::ports::free_port_of;
use crate::process::{Folder, PATIENCE, Process, wait_for};

/// How SPICE is spoken on a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Leg {
    Plain,
    /// The certificate's name counts.
    Tls,
    /// The certificate's subject counts.
    TlsBySubject,
}

impl Leg {
    pub(crate) fn is_plain(self) -> bool {
        self == Self::Plain
    }
}

/// Where a hypervisor is found and how it is entered. QEMUs come and go there.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// Where its QEMU listens.
    pub(crate) address: SocketAddr,
    /// The address that viewers receive for it.
    pub(crate) told: SocketAddr,
    pub(crate) ticket: &'static str,
    /// A folder with its certificate, if its port is a TLS port.
    pub(crate) pki: Option<PathBuf>,
    /// Where it has a VNC server too, which lets every client in.
    pub(crate) vnc: Option<SocketAddr>,
}

impl Place {
    pub(crate) fn new(name: &'static str, ip: Ipv4Addr, ticket: &'static str, pki: Option<PathBuf>) -> Self {
        let address = free_port_of(ip);
        Self {
            name,
            address,
            told: address,
            ticket,
            pki,
            vnc: None,
        }
    }
}

/// A running QEMU.
pub(crate) struct Host<'a> {
    folder: &'a Folder,
    /// Under which its files lie.
    name: String,
    process: Process,
    /// It is spoken to on its standard input, and answers on its standard output.
    commands: ChildStdin,
    sent: u64,
}

impl<'a> Host<'a> {
    /// Starts QEMU with a guest, or with nothing and waiting for one. `number` tells the QEMUs of one test apart.
    pub(crate) fn start(folder: &'a Folder, place: &Place, number: usize, guest: bool, seamless: bool) -> Self {
        let name = format!("qemu-{number}-{}", place.name);
        let port = match &place.pki {
            Some(pki) => format!("tls-port={},x509-dir={}", place.address.port(), pki.display()),
            None => format!("port={}", place.address.port()),
        };
        let (ip, seamless) = (place.address.ip(), if seamless { "on" } else { "off" });
        let spice = format!("addr={ip},{port},password-secret=ticket,seamless-migration={seamless},{LOSSLESS}");
        Self::run(folder, name, guest, |command| {
            command
                .args(["-object", &format!("secret,id=ticket,data={}", place.ticket)])
                .args(["-spice", &spice, "-device", "qxl-vga"])
                .args(DEVICES);
            if let Some(vnc) = place.vnc {
                vnc_server(command, vnc, ",share=ignore");
            }
        })
    }

    /// The same with the console that `prepare` gives it.
    pub(crate) fn run(folder: &'a Folder, name: String, guest: bool, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut process = Process::start(folder, &name, "qemu-system-x86_64", |command| {
            machine(command, &name);
            command.args(["-qmp", "stdio"]).stdin(Stdio::piped());
            prepare(command);
            if !guest {
                command.args(["-incoming", &format!("unix:{name}.incoming")]);
            }
        });
        let mut host = Self {
            folder,
            commands: process.stdin(),
            name,
            process,
            sent: 0,
        };
        host.execute("qmp_capabilities", Value::Null);
        if guest {
            wait_for("the guest", || host.typed().contains(&READY).then_some(()));
        }
        host
    }

    /// What the guest has said while it was here: the keys that it got, and before all that it is ready.
    pub(crate) fn typed(&self) -> Vec<u8> {
        console(self.folder, &self.name)
    }

    /// The guest's screen, as QEMU itself has it.
    pub(crate) fn picture(&mut self) -> Picture {
        let file = format!("{}.ppm", self.name);
        self.execute("screendump", json!({ "filename": file }));
        Picture::from_ppm(&std::fs::read(self.folder.join(&file)).expect("a screendump"))
    }

    /// Tells the viewer where the guest will go.
    pub(crate) fn announce(&mut self, place: &Place, subject: Option<&str>, absent: Absent) {
        let message = announcement(place, subject, absent);
        self.execute("client_migrate_info", message);
    }

    /// The same, and the guest goes at once, whatever the viewer does.
    pub(crate) fn announce_and_go(&mut self, place: &Place, target: &Host<'_>) {
        self.send("client_migrate_info", announcement(place, None, Absent::Zero));
        self.migrate_to(target);
    }

    /// Moves the guest, and waits until it has moved.
    pub(crate) fn migrate_to(&mut self, target: &Host<'_>) {
        self.begin_to_migrate_to(target);
        wait_for("the move of the guest", || {
            let answer = self.execute("query-migrate", Value::Null);
            match answer["status"].as_str() {
                Some("completed") => Some(()),
                Some("failed" | "cancelled") => panic!("the guest did not move: {answer}"),
                _ => None,
            }
        });
    }

    fn begin_to_migrate_to(&mut self, target: &Host<'_>) {
        self.execute("migrate", json!({ "uri": format!("unix:{}.incoming", target.name) }));
    }

    /// Begins to move the guest at a snail's pace, and then lets it stay.
    pub(crate) fn migrate_in_vain_to(&mut self, target: &Host<'_>) {
        self.execute("migrate-set-parameters", json!({ "max-bandwidth": 10_000 }));
        self.begin_to_migrate_to(target);
        wait_for("the beginning of a move", || self.migration_is("active"));
        self.execute("migrate_cancel", Value::Null);
        wait_for("the end of a move", || self.migration_is("cancelled"));
        self.execute("migrate-set-parameters", json!({ "max-bandwidth": 1_000_000_000 }));
    }

    fn migration_is(&mut self, status: &str) -> Option<()> {
        (self.execute("query-migrate", Value::Null)["status"] == status).then_some(())
    }

    /// The channels that its SPICE server has open, as pairs of kind and id.
    pub(crate) fn channels(&mut self) -> Vec<(u64, u64)> {
        let answer = self.execute("query-spice", Value::Null);
        let channels = answer["channels"].as_array().cloned().unwrap_or_default();
        let pair = |channel: &Value| Some((channel["channel-type"].as_u64()?, channel["channel-id"].as_u64()?));
        let mut pairs: Vec<_> = channels.iter().filter_map(pair).collect();
        pairs.sort_unstable();
        pairs
    }

    /// Plugs a device while the guest runs, which makes one more channel.
    pub(crate) fn plug(&mut self) -> (u64, u64) {
        let backend = json!({ "type": "spicevmc", "data": { "type": "usbredir" } });
        self.execute("chardev-add", json!({ "id": "late", "backend": backend }));
        self.execute(
            "device_add",
            json!({ "driver": "usb-redir", "bus": "usb.0", "chardev": "late", "id": "plugged" }),
        );
        // There are two of its kind.
        (u64::from(ChannelType::USBREDIR.0), 2)
    }

    /// Waits until its SPICE server has done with the viewer that left.
    pub(crate) fn wait_until_left(&self) {
        wait_for("the end of the viewer's move", || {
            self.process
                .output()
                .contains("\"SPICE_MIGRATE_COMPLETED\"")
                .then_some(())
        });
    }

    /// Waits until QEMU has ended by itself, as one does whose guest never arrived.
    pub(crate) fn wait_until_ended(&mut self) {
        wait_for("the end of a QEMU", || (!self.process.runs()).then_some(()));
    }

    /// Ends it at once.
    pub(crate) fn end(mut self) {
        self.process.end();
    }

    fn execute(&mut self, command: &str, arguments: Value) -> Value {
        self.send(command, arguments);
        let (id, start) = (self.sent, Instant::now());
        loop {
            for line in self.process.output().lines() {
                let Ok(mut answer) = serde_json::from_str::<Value>(line) else {
                    continue;
                };
                if answer["id"] == id {
                    assert!(answer["error"].is_null(), "{}: {command}: {answer}", self.name);
                    return answer["return"].take();
                }
            }
            assert!(
                self.process.runs() && start.elapsed() < PATIENCE,
                "{}: no answer to {command}",
                self.name
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn send(&mut self, command: &str, arguments: Value) {
        self.sent += 1;
        let mut message = json!({ "execute": command, "id": self.sent });
        if !arguments.is_null() {
            message["arguments"] = arguments;
        }
        writeln!(self.commands, "{message}").expect("QEMU takes commands");
    }
}

/// Gives a QEMU that is being started a VNC server at this address, with these options.
pub(crate) fn vnc_server(command: &mut Command, address: SocketAddr, options: &str) {
    // QEMU counts from 5900.
    let display = address.port().checked_sub(5900).expect("a port above those of VNC");
    command.args(["-vnc", &format!("{}:{display}{options}", address.ip())]);
}

/// What a hypervisor says of a port that the target does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absent {
    /// 0.
    Zero,
    /// Nothing, which QEMU sends as 65535.
    Unsaid,
}

/// The arguments of `client_migrate_info`.
fn announcement(place: &Place, subject: Option<&str>, absent: Absent) -> Value {
    let mut message = json!({ "protocol": "spice", "hostname": place.told.ip().to_string() });
    let (there, other) = match &place.pki {
        Some(_) => ("tls-port", "port"),
        None => ("port", "tls-port"),
    };
    message[there] = json!(place.told.port());
    if absent == Absent::Zero {
        message[other] = json!(0);
    }
    if let Some(subject) = subject {
        message["cert-subject"] = json!(subject);
    }
    message
}

/// A device for each kind of channel.
#[rustfmt::skip]
const DEVICES: &[&str] = &[
    "-device", "virtio-serial-pci,id=serial",
    "-chardev", "spicevmc,id=agent,name=vdagent",
    "-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=com.redhat.spice.0",
    "-chardev", "spiceport,id=webdav,name=org.spice-space.webdav.0",
    "-device", "virtserialport,bus=serial.0,nr=2,chardev=webdav,name=org.spice-space.webdav.0",
    "-chardev", "spiceport,id=port,name=org.example.port.0",
    "-device", "virtserialport,bus=serial.0,nr=3,chardev=port,name=org.example.port.0",
    "-audiodev", "spice,id=sound", "-device", "intel-hda", "-device", "hda-duplex,audiodev=sound",
    "-device", "qemu-xhci,id=usb",
    "-chardev", "spicevmc,id=usb1,name=usbredir", "-device", "usb-redir,bus=usb.0,chardev=usb1",
    "-chardev", "spicevmc,id=usb2,name=usbredir", "-device", "usb-redir,bus=usb.0,chardev=usb2",
    "-device", "usb-ccid,bus=usb.0,id=reader",
    "-chardev", "spicevmc,id=card,name=smartcard", "-device", "ccid-card-passthru,bus=reader.0,chardev=card",
];
