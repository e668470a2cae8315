//! The bridge between viewers with a VNC password and hypervisors with VeNCrypt.

use std::net::SocketAddr;

use examples::vnc::Method;

use super::clients::{gvnccapture, vncviewer_is_refused, vncviewer_shows};
use super::programs::{Bridge, NOWHERE, Tenants};
use super::qemu::Qemu;
use super::x::{Xvnc, painted};
use super::{Login, PASSWORD, TENANT, WRONG, tigervnc};
use crate::browser::{NOVNC, Site};
use crate::picture::Picture;
use crate::pki;
use crate::process::{Folder, wait_for};
use crate::recorder::Recorder;
use crate::viewer::Desktop;

/// The reason that a refused tenant gets: from the bridge itself, and because of the hypervisor.
const REFUSED: &str = "Authentication failed";
const NOT_REACHED: &str = "Authentication with the console failed";

/// QEMU with X509None and X509Vnc, Xvnc with X509Plain, and what each of them shows.
struct Hypervisors {
    _qemu: Qemu,
    _xvnc: Xvnc,
    all: Vec<(&'static str, SocketAddr, Login, Picture)>,
}

impl Hypervisors {
    fn start(folder: &Folder) -> Self {
        let (qemu, xvnc) = (Qemu::start(folder), Xvnc::start(folder));
        let mut all = Vec::new();
        for (name, method) in [("qemu-none", Method::X509None), ("qemu-vnc", Method::X509Vnc)] {
            let (address, login) = (qemu.address(method), Login::right(method, &qemu.authority));
            // QEMU looks at the guest's screen a few times a second.
            let picture = wait_for("the guest's picture", || {
                let picture = gvnccapture(folder, name, address, &login).picture();
                picture.is_the_guest().then_some(picture)
            });
            all.push((name, address, login, picture));
        }
        let (width, height) = Xvnc::SIZE;
        let login = Login::right(Method::X509Plain, &xvnc.authority);
        all.push(("xvnc-plain", xvnc.address, login, painted(width, height)));
        Self {
            _qemu: qemu,
            _xvnc: xvnc,
            all,
        }
    }
}

/// A tenant with a VNC password.
fn tenant(password: &'static str) -> Login {
    Login {
        method: Method::Vnc,
        password: Some(password),
        authority: "nobody".into(),
        rsa_key: None,
    }
}

/// With the tenant's password vncviewer shows the hypervisor's picture. With another, the hypervisor's own too, it
/// is refused before the hypervisor is dialled. What the bridge shows the hypervisor is only seen inside TLS.
#[test]
#[ignore = "needs QEMU, Xvnc and vncviewer"]
fn vncviewer_through_the_bridge() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let hypervisors = Hypervisors::start(&folder);
    for (name, address, login, picture) in &hypervisors.all {
        let recorder = Recorder::start(*address);
        let mut bridge = Bridge::start(
            &folder,
            &format!("bridge-{name}"),
            recorder.address,
            login,
            Tenants::Own(NOWHERE),
        );
        vncviewer_shows(&desktop, name, bridge.tcp, &tenant(TENANT), picture);
        for wrong in [WRONG, PASSWORD] {
            let said = vncviewer_is_refused(&desktop, name, bridge.tcp, &tenant(wrong));
            assert!(
                said.ends_with(&format!("Authentication failure: {REFUSED}")),
                "{name}: {said}"
            );
        }
        assert_eq!(
            recorder.settled(),
            1,
            "{name}: the hypervisor was dialled for a wrong password"
        );
        for connection in recorder.connections() {
            assert!(
                !connection.holds_piece_of(TENANT),
                "{name}: the tenant's password on the way"
            );
            if let Some(password) = login.password {
                assert!(
                    !connection.holds_piece_of(password),
                    "{name}: the hypervisor's password in the clear"
                );
            }
        }
        bridge.process.end();
        let log = bridge.process.said();
        assert!(log.contains(tigervnc(login.method)), "{name}: {log}");
        for secret in [Some(TENANT), Some(WRONG), login.password].into_iter().flatten() {
            assert!(!log.contains(secret), "{name}: a password in the log");
        }
    }
}

/// A bridge that cannot enter the hypervisor says so to a tenant with the right password, and does not
/// say why. Its own log does.
#[test]
#[ignore = "needs QEMU, Xvnc and vncviewer"]
fn a_bridge_that_the_hypervisor_refuses() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let hypervisors = Hypervisors::start(&folder);
    let stranger = pki::authority(&folder, "stranger").join("ca-cert.pem");
    let refused = |name: &str, address: SocketAddr, login: &Login, why: &str| {
        let bridge = Bridge::start(&folder, name, address, login, Tenants::Own(NOWHERE));
        let said = vncviewer_is_refused(&desktop, name, bridge.tcp, &tenant(TENANT));
        assert!(
            said.ends_with(&format!("Authentication failure: {NOT_REACHED}")),
            "{name}: {said}"
        );
        let log = bridge.process.said();
        assert!(log.contains(why), "{name}: {log}");
    };
    for (name, address, login, _) in &hypervisors.all {
        if let Some(wrong) = login.wrong() {
            refused(
                &format!("{name}-wrong"),
                *address,
                &wrong,
                "hypervisor: authentication failed",
            );
        }
        let untrusting = Login {
            authority: stranger.clone(),
            ..login.clone()
        };
        refused(&format!("{name}-stranger"), *address, &untrusting, "UnknownIssuer");
    }
}

/// The hypervisor's own challenge goes to the tenant, and the tenant's response to the hypervisor: the bridge holds
/// no password.
#[test]
#[ignore = "needs QEMU and vncviewer"]
fn a_password_that_passes_through_the_bridge() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let hypervisors = Hypervisors::start(&folder);
    let found = hypervisors.all.iter().find(|(name, ..)| *name == "qemu-vnc");
    let (name, address, login, picture) = found.expect("QEMU with a password");
    let mut bridge = Bridge::start(&folder, "bridge", *address, login, Tenants::PassedThrough);
    vncviewer_shows(&desktop, name, bridge.tcp, &tenant(PASSWORD), picture);
    let said = vncviewer_is_refused(&desktop, name, bridge.tcp, &tenant(WRONG));
    assert!(
        said.ends_with(&format!("Authentication failure: {NOT_REACHED}")),
        "{said}"
    );
    bridge.process.end();
    let log = bridge.process.said();
    assert!(
        log.contains("hypervisor: authentication failed: Authentication failed"),
        "{log}"
    );
}

/// The same from a browser, through a WebSocket.
#[test]
#[ignore = "needs QEMU, Xvnc and Chromium"]
fn novnc_through_the_bridge() {
    let folder = Folder::new();
    let site = Site::start(&NOVNC);
    let hypervisors = Hypervisors::start(&folder);
    for (name, address, login, picture) in &hypervisors.all {
        let recorder = Recorder::start(*address);
        let bridge = Bridge::start(
            &folder,
            &format!("bridge-{name}"),
            recorder.address,
            login,
            Tenants::Own(&site.origin()),
        );
        site.open(&folder, name, bridge.websocket, TENANT).shows(picture);
        assert_eq!(recorder.settled(), 1, "{name}");
        let mut page = site.open(&folder, name, bridge.websocket, WRONG);
        assert_eq!(
            page.says("New connection has been rejected with reason: "),
            REFUSED,
            "{name}"
        );
        assert_eq!(
            recorder.settled(),
            1,
            "{name}: the hypervisor was dialled for a wrong password"
        );
    }
    // A page from elsewhere is not connected, whatever it shows.
    let elsewhere = Site::start(&NOVNC);
    let (name, address, login, _) = &hypervisors.all[0];
    let bridge = Bridge::start(
        &folder,
        "bridge-elsewhere",
        *address,
        login,
        Tenants::Own(&site.origin()),
    );
    let mut page = elsewhere.open(&folder, name, bridge.websocket, TENANT);
    page.says("Failed to connect to server");
    assert!(bridge.process.said().contains("no page of ours"));
}
