//! The pairs.

use super::clients::{gvnccapture, vncviewer_is_refused, vncviewer_shows};
use super::qemu::Qemu;
use super::x::{X11vnc, Xvnc, painted};
use super::{Login, Security};
use crate::process::Folder;
use crate::viewer::Desktop;

#[test]
#[ignore = "needs QEMU and TigerVNC"]
fn control() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let qemu = Qemu::start(&folder);
    let xvnc = Xvnc::start(&folder);
    let mut t = std::time::Instant::now();
    let mut lap = |what: &str| {
        println!("{what} {:?}", t.elapsed());
        t = std::time::Instant::now();
    };
    for security in [Security::None, Security::Vnc, Security::X509None, Security::X509Vnc] {
        let login = Login::right(security, &qemu.authority);
        let name = format!("qemu-{}", security.name());
        let picture = gvnccapture(&folder, &name, qemu.address(security), &login).picture();
        assert!(picture.is_the_guest(), "{name}");
        lap(&name);
        vncviewer_shows(&desktop, &name, qemu.address(security), &login, &picture);
        lap(&name);
        if let Some(wrong) = login.wrong() {
            println!(
                "{}",
                gvnccapture(&folder, &name, qemu.address(security), &wrong)
                    .refused()
                    .lines()
                    .filter(|l| l.contains("Fail"))
                    .collect::<String>()
            );
            println!(
                "{}",
                vncviewer_is_refused(&desktop, &name, qemu.address(security), &wrong)
                    .chars()
                    .rev()
                    .take(60)
                    .collect::<String>()
                    .chars()
                    .rev()
                    .collect::<String>()
            );
        }
        lap(&name);
    }
    let (w, h) = Xvnc::SIZE;
    let login = Login::right(Security::X509Plain, &xvnc.authority);
    let p = gvnccapture(&folder, "xvnc", xvnc.address, &login).picture();
    std::fs::write("/tmp/rfbx-lab/a.png", p.to_png()).unwrap();
    std::fs::write("/tmp/rfbx-lab/b.png", painted(w, h).to_png()).unwrap();
    lap("xvnc");
    assert!(p == painted(w, h));
    for security in [Security::Vnc, Security::Plain, Security::X509Vnc, Security::X509Plain] {
        let login = Login::right(security, &xvnc.authority);
        let name = format!("xvnc-{}", security.name());
        vncviewer_shows(&desktop, &name, xvnc.address, &login, &painted(w, h));
        lap(&name);
        println!(
            "{}",
            vncviewer_is_refused(&desktop, &name, xvnc.address, &login.wrong().unwrap())
                .chars()
                .rev()
                .take(60)
                .collect::<String>()
                .chars()
                .rev()
                .collect::<String>()
        );
        lap(&name);
    }
    super::x::paint(&folder, desktop.display());
    let x = X11vnc::start(&folder, &desktop, None);
    lap("x11vnc");
    let login = Login::right(Security::None, &xvnc.authority);
    assert!(gvnccapture(&folder, "x11", x.address, &login).picture() == painted(1024, 768));
    lap("x11vnc");
}
