//! Consoles of every kind through the gateway, between real hypervisors and the programs that tenants have.
//!
//! QEMU runs a guest with a picture that is known to the pixel and that says which keys it gets. Each test makes tokens
//! with the gateway's API, as a portal does, and goes in with nothing else.

mod balanced;
mod certificates;
mod fronts;
mod mks;
mod moves;
mod others;
mod pages;
mod passwords;
mod spice;
mod stores;
mod vnc;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::gateway::{Gateway, json_text};
use crate::guest::{boot_sector, typing_sector, write_floppy};
use crate::migration::host::{self, Host};
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, wait_for};

/// What stands before the guests: listeners for everything that a tenant may bring.
const LISTENERS: &str = "[public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\n\
    [listen]\nweb_plain = \"127.0.0.1:0\"\nspice = \"127.0.0.1:0\"\nvnc = \"127.0.0.1:0\"\n\
    certificate = \"front/server-cert.pem\"\nprivate_key = \"front/server-key.pem\"\n";

/// The gateway's certificate. Returns its authority.
fn certificate(folder: &Folder) -> PathBuf {
    pki::authority(folder, "front").join("ca-cert.pem")
}

/// A guest with one console, which can be at these places.
fn guest(id: &str, protocol: &str, places: &[String]) -> String {
    format!("[[guest]]\nid = \"{id}\"\n{}", console(protocol, places))
}

/// A console, for the guest that was named last.
fn console(protocol: &str, places: &[String]) -> String {
    let places: String = places
        .iter()
        .map(|place| format!("[[guest.console.place]]\n{place}\n"))
        .collect();
    format!("[[guest.console]]\nprotocol = \"{protocol}\"\n{places}")
}

/// A port of the loopback, as a place.
fn at(address: SocketAddr) -> String {
    format!("host = \"127.0.0.1\"\nport = {}\n", address.port())
}

impl Gateway {
    /// A token for one session with this guest, and the URL that opens it.
    fn access(&self, guest: &str, protocol: &str, kind: &str) -> Access {
        let body = format!("{{\"guest\":\"{guest}\",\"protocol\":\"{protocol}\",\"type\":\"{kind}\"}}");
        let created = self.create(&body);
        Access {
            url: json_text(&created, "url"),
            token: json_text(&created, "token"),
        }
    }
}

/// What a tenant gets.
struct Access {
    url: String,
    token: String,
}

/// A VNC server of a QEMU that is being started, at an address that its options follow.
fn vnc_server(command: &mut Command, options: &str) -> SocketAddr {
    let address = free_port();
    host::vnc_server(command, address, options);
    address
}

/// The certificate and the password of VNC servers with `tls-creds=tls,password-secret=password`.
fn vnc_secrets(command: &mut Command, pki: &Path) {
    command
        .args(["-object", &format!("secret,id=password,data={}", crate::vnc::PASSWORD)])
        .arg("-object")
        .arg(format!(
            "tls-creds-x509,id=tls,endpoint=server,verify-peer=off,dir={}",
            pki.display()
        ));
}

/// A QEMU whose guest has a picture that does not change.
fn still<'a>(folder: &'a Folder, name: &str, prepare: impl FnOnce(&mut Command)) -> Host<'a> {
    write_floppy(folder, &boot_sector());
    Host::run(folder, name.to_owned(), true, prepare)
}

/// A QEMU whose guest fills a row with each key; or one that waits for such a guest.
fn typing<'a>(folder: &'a Folder, name: &str, guest: bool, prepare: impl FnOnce(&mut Command)) -> Host<'a> {
    write_floppy(folder, &typing_sector());
    Host::run(folder, name.to_owned(), guest, prepare)
}

/// Waits until the guest has got one key more. `press`: presses it, and may do so more than once.
fn gets_a_key(host: &Host<'_>, mut press: impl FnMut()) {
    let before = host.typed().len();
    wait_for("a key in the guest", || {
        press();
        std::thread::sleep(Duration::from_millis(200));
        (before < host.typed().len()).then_some(())
    });
}
