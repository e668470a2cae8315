//! Moves to a QEMU that says which guest it has, where two guests share ports.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use super::{LISTENERS, at, certificate, gets_a_key, guest, typing};
use crate::gateway::Gateway;
use crate::guest::LOSSLESS;
use crate::migration::host::{Absent, Host, Place};
use crate::ports::free_port;
use crate::process::{Folder, wait_for};
use crate::viewer::Desktop;

const ID: &str = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b";
const OTHER: &str = "0e6a6b0e-6f0f-4b5c-9d38-0a2d3f4b5c6d";
const TICKET: &str = "Pa55-w0rd-of-all";

/// A place of which viewers receive the QEMU's own address.
fn place(name: &'static str) -> Place {
    Place::new(name, std::net::Ipv4Addr::LOCALHOST, TICKET, None)
}

/// A QEMU with this name and UUID.
fn qemu<'a>(folder: &'a Folder, at: &Place, (name, uuid): (&str, &str), with_guest: bool, seamless: bool) -> Host<'a> {
    typing(folder, at.name, with_guest, |command: &mut Command| {
        let port = at.address.port();
        let seamless = if seamless { "on" } else { "off" };
        command
            .args(["-name", &format!("guest={name}"), "-uuid", uuid])
            .args(["-object", &format!("secret,id=ticket,data={TICKET}")])
            .args([
                "-spice",
                &format!("addr=127.0.0.1,port={port},password-secret=ticket,seamless-migration={seamless},{LOSSLESS}"),
            ])
            .args(["-device", "qxl-vga"]);
    })
}

/// The source names a QEMU with another UUID, or another name, first: the viewer stays at the source, which it never
/// notices. Then it names the right one, which the gateway has asked as well: the viewer follows, and types there.
fn follows_to_its_own_guest_only(seamless: bool) {
    for (name, uuid) in [("db-7", OTHER), ("db-8", ID)] {
        let folder = Folder::new();
        let desktop = Desktop::start(&folder);
        let [here, wrong, right] = ["source", "wrong", "right"].map(place);
        let mut source = qemu(&folder, &here, ("db-7", ID), true, seamless);
        let _wrong = qemu(&folder, &wrong, (name, uuid), false, seamless);
        let mut target = qemu(&folder, &right, ("db-7", ID), false, seamless);
        certificate(&folder);
        folder.write("ticket", TICKET);
        let ticket = "ticket_file = \"ticket\"\n";
        let range = "move_ports = \"1024-65535\"\n";
        let vm = guest(
            ID,
            "spice",
            &[at(here.address) + ticket, at(free_port()) + ticket + range],
        );
        let named = vm.replace("[[guest.console]]\n", "name = \"db-7\"\n[[guest.console]]\n");
        let other = guest(OTHER, "spice", &[at(free_port()) + ticket + range]);
        let sections = format!("{LISTENERS}{named}{other}[operate]\naudit = \"audit.jsonl\"\n");
        let gateway = Gateway::start(&folder, &sections);
        let viewer = desktop.open("moves", &gateway.console_of(ID, "moves", 60));
        viewer.wait_for_picture(&source.picture());
        let press = || {
            desktop.focus("moves.*");
            desktop.press("a");
        };
        gets_a_key(&source, press);
        let audit = || std::fs::read_to_string(folder.join("audit.jsonl")).unwrap_or_default();
        source.announce(&wrong, None, Absent::Zero);
        wait_for("the refusal in the audit", || {
            audit().contains("the target has another guest").then_some(())
        });
        let said = if uuid == OTHER { OTHER } else { "db-8" };
        assert!(audit().contains(said), "{}", audit());
        gets_a_key(&source, press);
        source.announce(&right, None, Absent::Zero);
        let channels = source.channels().len();
        wait_for("all channels of the viewer at the target", || {
            (channels <= target.channels().len()).then_some(())
        });
        // Then it tells the source. A guest that has gone before that is followed by another way: the viewer comes anew.
        sleep(Duration::from_millis(500));
        source.migrate_to(&target);
        gets_a_key(&target, press);
        source.end();
        gets_a_key(&target, press);
        let expected = target.picture();
        viewer.wait_for_picture(&expected);
        assert!(audit().contains("\"outcome\":\"finished\""), "{}", audit());
        viewer.end(&expected);
    }
}

#[test]
#[ignore = "needs QEMU, three times, and remote-viewer"]
fn remote_viewer_does_not_follow_to_another_guest_seamlessly() {
    follows_to_its_own_guest_only(true);
}

#[test]
#[ignore = "needs QEMU, three times, and remote-viewer"]
fn remote_viewer_does_not_follow_to_another_guest() {
    follows_to_its_own_guest_only(false);
}
