//! The smallest proxy of rfb-proto, `minimal_proxy`, between real viewers and servers.

use std::net::SocketAddr;
use std::path::Path;

use examples::vnc::Method;

use super::bridge::{looks_on, tenant};
use super::clients::{gvnccapture, vncviewer_is_refused, vncviewer_shows};
use super::programs::first_line;
use super::qemu::Qemu;
use super::x::Xvnc;
use super::{Login, PASSWORD, TENANT, WRONG};
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;

fn start(folder: &Folder, hypervisor: SocketAddr, authority: &Path, flags: &[&str]) -> (SocketAddr, Process) {
    let program = env!("CARGO_BIN_EXE_minimal-vnc-proxy");
    let mut process = Process::start(folder, "minimal-proxy", program, |command| {
        command
            .args(["127.0.0.1:0", &hypervisor.to_string()])
            .arg(authority)
            .args(flags)
            .env("TENANT_PASSWORD", TENANT)
            .env("HYPERVISOR_PASSWORD", PASSWORD);
    });
    let address = first_line(&mut process, "minimal-proxy").parse().expect("an address");
    (address, process)
}

/// vncviewer with the tenant's password sees QEMU, which knows another one and speaks X509Vnc; with another password, QEMU's
/// too, it is refused.
#[test]
#[ignore = "needs QEMU and vncviewer"]
fn the_smallest_proxy_between_vncviewer_and_qemu() {
    let folder = Folder::new();
    let (qemu, desktop) = (Qemu::start(&folder), Desktop::start(&folder));
    let server = qemu.address(Method::X509Vnc);
    let login = Login::right(Method::X509Vnc, &qemu.authority);
    let picture = wait_for("the guest's picture", || {
        let picture = gvnccapture(&folder, "qemu", server, &login).picture();
        picture.is_the_guest().then_some(picture)
    });
    let (address, mut process) = start(&folder, server, &qemu.authority, &[]);
    vncviewer_shows(&desktop, "minimal", address, &tenant(TENANT), &picture);
    for wrong in [WRONG, PASSWORD] {
        let said = vncviewer_is_refused(&desktop, "minimal", address, &tenant(wrong));
        assert!(
            said.ends_with("Authentication failure: Authentication failed"),
            "{said}"
        );
    }
    wait_for("the ends in its log", || {
        let said = process.output();
        (said.contains(": the viewer hung up\n") && said.matches("refused").count() == 2).then_some(())
    });
    process.end();
    for secret in [TENANT, PASSWORD, WRONG] {
        assert!(!process.said().contains(secret), "a password in the log");
    }
}

#[test]
#[ignore = "needs Xvnc, vncviewer and xclip"]
fn the_smallest_proxy_lets_a_viewer_only_look() {
    for (flags, text) in [(&[][..], "copied in the open"), (&["--view-only"], "copied in vain")] {
        let folder = Folder::new();
        let (xvnc, desktop) = (Xvnc::start(&folder), Desktop::start(&folder));
        let (address, _process) = start(&folder, xvnc.address, &xvnc.authority, flags);
        looks_on(&folder, &desktop, &xvnc, address, !flags.is_empty(), text);
    }
}
