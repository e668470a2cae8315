//! RSA-AES, Apple's Diffie-Hellman and UltraVNC's second logon: our client with Xvnc, and our server with vncviewer.
//!
//! TigerVNC has them from 1.13 on, and 1.12 of Debian 12 has none of them: there each side has to say so. Stage
//! `new-peers` runs these tests with 1.16.

use std::process::Command;

use examples::vnc::Method;
use rfb_proto::security::rsa_aes::Key;
use rfb_proto::tls::Fingerprint;

use super::clients::{vncviewer, vncviewer_is_refused};
use super::programs::{screenshot, serve};
use super::x::{Xvnc, painted};
use super::{Login, PASSWORD};
use crate::picture::Picture;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;

const RSA_AES: [Method; 4] = [Method::Ra2, Method::Ra2ne, Method::Ra2Long, Method::Ra2neLong];

/// Whether a program of TigerVNC knows a security type.
fn knows(program: &str, security_type: &str) -> bool {
    let help = Command::new(program).arg("-h").output().expect("a program of TigerVNC");
    let help = String::from_utf8_lossy(&help.stdout) + String::from_utf8_lossy(&help.stderr);
    help.contains(security_type)
}

/// A key for Xvnc, and its fingerprint.
fn rsa_key(folder: &Folder) -> (std::path::PathBuf, Fingerprint) {
    let (status, said) = Process::run(folder, "genrsa", "openssl", |command| {
        command.args(["genrsa", "-traditional", "2048"]);
    });
    assert_eq!(status, Some(0), "{said}");
    let file = folder.join("genrsa.out");
    let pem = std::fs::read_to_string(&file).expect("the key");
    let key = Key::from_pem(&pem).expect("a key of RSA");
    (file, Fingerprint(key.public().sha256()))
}

#[test]
#[ignore = "needs Xvnc"]
fn vnc_screenshot_of_xvnc_with_rsa_aes() {
    let folder = Folder::new();
    let (file, fingerprint) = rsa_key(&folder);
    if !knows("Xtigervnc", "RA2") {
        let xvnc = Xvnc::start(&folder);
        let mut login = Login::right(Method::Ra2, &xvnc.authority);
        login.rsa_key = Some(fingerprint);
        let said = screenshot(&folder, "xvnc-without", xvnc.address, &login).refused();
        assert!(said.contains("no common security type"), "{said}");
        return;
    }
    let xvnc = Xvnc::with_rsa_key(&folder, "RA2,RA2ne,RA2_256,RA2ne_256", &file);
    let (width, height) = Xvnc::SIZE;
    let expected = painted(width, height);
    let mut wrong_key = fingerprint;
    wrong_key.0[0] ^= 1;
    for method in RSA_AES {
        let login = Login {
            // It asks for no user, and has the password of VNC authentication.
            password: Some(PASSWORD),
            rsa_key: Some(fingerprint),
            ..Login::right(method, &xvnc.authority)
        };
        let name = format!("xvnc-{method}");
        let picture = screenshot(&folder, &name, xvnc.address, &login).picture();
        assert!(picture == expected, "{name}");
        let wrong = login.wrong().expect("a password");
        let said = screenshot(&folder, &name, xvnc.address, &wrong).refused();
        assert_eq!(
            said, "vnc-screenshot: authentication failed: Authentication failed",
            "{name}"
        );
        let stranger = Login {
            rsa_key: Some(wrong_key),
            ..login
        };
        let said = screenshot(&folder, &name, xvnc.address, &stranger).refused();
        assert_eq!(
            said, "vnc-screenshot: the server's RSA key is not the one of --rsa-key",
            "{name}"
        );
    }
}

#[test]
#[ignore = "needs vncviewer"]
fn vncviewer_shows_what_our_server_serves_with_sealed_log_ins() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let nobody = folder.join("no authority");
    let ramp = |x: usize, y: usize| u8::try_from((5 * x + 3 * y) % 251).expect("below 251");
    let expected = Picture::new(211, 97, |x, y| [ramp(x, y), ramp(y, 2 * x), ramp(x + y, 11)]);
    let file = folder.write("served.png", expected.to_png());
    if !knows("xtigervncviewer", "RA2") {
        let (server, mut process) = serve(&folder, &file, &nobody, Method::Ra2ne);
        let mut viewer = vncviewer(&desktop, "without", server, &Login::right(Method::Ra2ne, &nobody));
        wait_for("the end of vncviewer", || (!viewer.runs()).then_some(()));
        assert!(process.runs() && desktop.picture().find(&expected).is_none());
        return;
    }
    for method in RSA_AES.into_iter().chain([Method::Ard, Method::MsLogon2]) {
        let (server, _process) = serve(&folder, &file, &nobody, method);
        let login = Login::right(method, &nobody);
        let name = format!("sealed-{method}");
        let mut viewer = vncviewer(&desktop, &name, server, &login);
        wait_for(&format!("the picture in vncviewer {name}"), || {
            assert!(viewer.runs(), "vncviewer {name} ended");
            if method.needs().rsa {
                // Yes, that is the server's key.
                desktop.press_last_button("Server key fingerprint");
            }
            desktop.picture().find(&expected)
        });
        viewer.end();
        if !method.needs().rsa {
            let wrong = login.wrong().expect("a password");
            let said = vncviewer_is_refused(&desktop, &name, server, &wrong);
            assert!(
                said.ends_with("Authentication failure: Authentication failed"),
                "{name}: {said}"
            );
        }
    }
}
