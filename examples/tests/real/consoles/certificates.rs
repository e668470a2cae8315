//! Hypervisors that ask for the gateway's certificate: QEMU's VNC server does so itself, its SPICE server cannot, and has nginx
//! before it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use examples::vnc::Method;

use super::{LISTENERS, at, certificate, gets_a_key, guest, still, vnc_server};
use crate::gateway::Gateway;
use crate::guest::LOSSLESS;
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::{Desktop, Endpoint, screenshot};
use crate::vnc::clients::{gvnccapture, vncviewer};
use crate::vnc::{Login, PASSWORD};

/// Gateways, and the certificate that each shows.
const SHOWN: [(&str, &str); 3] = [
    (
        "right",
        "client_certificate = \"qemu/client-cert.pem\"\nclient_key = \"qemu/client-key.pem\"\n",
    ),
    ("none", ""),
    (
        "foreign",
        "client_certificate = \"foreign/client-cert.pem\"\nclient_key = \"foreign/client-key.pem\"\n",
    ),
];

/// The three gateways before a console, whose place this is.
fn gateways(folder: &Folder, protocol: &str, place: &str) -> [Gateway; 3] {
    SHOWN.map(|(name, identity)| {
        let vm = guest("vm", protocol, &[format!("{place}{identity}")]);
        Gateway::named(folder, name, &(LISTENERS.to_owned() + &vm))
    })
}

/// The hypervisors' authority, which has also certified the gateway; and another one, which has certified it, too.
fn authorities(folder: &Folder) -> std::path::PathBuf {
    let pki = pki::authority(folder, "qemu");
    pki::client(folder, &pki);
    pki::client(folder, &pki::authority_alone(folder, "foreign"));
    pki
}

/// What a native viewer shows the gateway.
fn login(authority: &Path, token: String) -> Login {
    Login {
        method: Method::X509Plain,
        password: Some(token.leak()),
        authority: authority.to_owned(),
        rsa_key: None,
    }
}

/// A VNC server with `verify-peer=on`: the gateway gets in with the certificate of its authority, and neither with none nor
/// with one of another authority.
#[test]
#[ignore = "needs QEMU, vncviewer and gvnccapture"]
fn a_vnc_server_that_asks_for_a_certificate() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let pki = authorities(&folder);
    folder.write("vnc.password", PASSWORD);
    let mut address = None;
    let mut host = still(&folder, "qemu", |command| {
        command
            .args(["-vga", "std"])
            .args(["-object", &format!("secret,id=password,data={PASSWORD}")])
            .arg("-object")
            .arg(format!(
                "tls-creds-x509,id=tls,endpoint=server,verify-peer=on,dir={}",
                pki.display()
            ));
        let options = ",share=ignore,tls-creds=tls,password-secret=password";
        address = Some(vnc_server(command, options));
    });
    let expected = host.picture();
    let place = at(address.expect("an address"))
        + "auth = [\"x509vnc\"]\nca = \"qemu/ca-cert.pem\"\npassword_file = \"vnc.password\"\n";
    let authority = certificate(&folder);
    let [right, none, foreign] = gateways(&folder, "vnc", &place);
    let enter = |gateway: &Gateway| {
        let token = gateway.access("vm", "vnc", "novnc").token;
        (gateway.vnc.expect("the VNC listener"), login(&authority, token))
    };
    let (door, shown) = enter(&right);
    let viewer = vncviewer(&desktop, "right", door, &shown);
    wait_for("the picture in vncviewer", || desktop.picture().find(&expected));
    gets_a_key(&host, || {
        desktop.focus("TigerVNC");
        desktop.press("c");
    });
    drop(viewer);
    for (name, gateway) in [("none", &none), ("foreign", &foreign)] {
        let (door, shown) = enter(gateway);
        gvnccapture(&folder, name, door, &shown).refused();
        let said = gateway.process.logged();
        // QEMU says why in its own log only: the log-in is the same as that of the gateway that gets in.
        assert!(said.contains("\"reason\":\"hypervisor: "), "{name}: {said}");
    }
    let (door, shown) = enter(&right);
    let captured = gvnccapture(&folder, "again", door, &shown).picture();
    assert!(captured == expected, "the gateway changed the picture");
}

/// nginx that takes TLS with a certificate of this authority only, and passes bytes on to a port without TLS.
fn nginx(folder: &Folder, listens: SocketAddr, behind: SocketAddr) -> Process {
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid nginx.pid; error_log stderr info;
events {{}}
stream {{
    server {{
        listen {listens} ssl; ssl_certificate qemu/server-cert.pem; ssl_certificate_key qemu/server-key.pem;
        ssl_verify_client on; ssl_client_certificate qemu/ca-cert.pem; proxy_pass {behind};
    }}
}}
"
    );
    let file = folder.write("nginx.conf", text);
    let process = Process::start(folder, "nginx", "/usr/sbin/nginx", |command| {
        command.arg("-p").arg(folder.path()).arg("-c").arg(file);
    });
    wait_for("nginx", || TcpStream::connect(listens).ok());
    process
}

/// The same for SPICE, whose server has no such option.
#[test]
#[ignore = "needs QEMU, nginx and spice-gtk"]
fn a_spice_server_behind_one_that_asks_for_a_certificate() {
    let folder = Folder::new();
    authorities(&folder);
    let (plain, listens) = (free_port(), free_port());
    let mut host = still(&folder, "qemu", |command| {
        let port = plain.port();
        command
            .args(["-object", "secret,id=ticket,data=hypervisors-own"])
            .args([
                "-spice",
                &format!("addr=127.0.0.1,port={port},password-secret=ticket,{LOSSLESS}"),
            ])
            .args(["-device", "qxl-vga"]);
    });
    let expected = host.picture();
    let nginx = nginx(&folder, listens, plain);
    folder.write("ticket", "hypervisors-own");
    certificate(&folder);
    let place = format!(
        "host = \"127.0.0.1\"\ntls_port = {}\nca = \"qemu/ca-cert.pem\"\nhost_subject = \"{}\"\nticket_file = \"ticket\"\n",
        listens.port(),
        pki::SUBJECT
    );
    let [right, none, foreign] = gateways(&folder, "spice", &place);
    let look = |name: &str, gateway: &Gateway| {
        let through = Endpoint::plain(gateway.plain.expect("the SPICE listener"));
        let password = gateway.console_of("vm", name, 60).password();
        screenshot(&folder, name, &through, &password)
    };
    assert!(
        look("right", &right).picture() == expected,
        "the gateway changed the picture"
    );
    for (name, gateway, why) in [
        ("none", &none, "client sent no required SSL certificate"),
        ("foreign", &foreign, "client SSL certificate verify error"),
    ] {
        look(name, gateway).assert_broken_off();
        assert!(nginx.logged().contains(why), "{name}: {}", nginx.logged());
    }
    let again = look("again", &right).picture();
    assert!(again == expected, "the gateway changed the second picture");
}
