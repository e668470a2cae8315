//! QEMU with a VNC server, entered in four ways.

use std::net::SocketAddr;
use std::path::PathBuf;

use examples::vnc::Method;

use super::PASSWORD;
use crate::guest::{boot, boot_sector, moving_sector};
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, Process};

/// One guest, whose screen four servers show.
pub(crate) struct Qemu {
    servers: Vec<(Method, SocketAddr)>,
    /// The authority of its certificate.
    pub(crate) authority: PathBuf,
    _process: Process,
}

impl Qemu {
    /// Starts QEMU, and waits until the guest has halted.
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::with_guest(folder, &boot_sector())
    }

    /// Starts QEMU with a guest that writes over its whole screen many times a second.
    pub(crate) fn moving(folder: &Folder) -> Self {
        Self::with_guest(folder, &moving_sector())
    }

    fn with_guest(folder: &Folder, sector: &[u8]) -> Self {
        let pki = pki::authority(folder, "qemu");
        let (servers, process) = boot(folder, sector, |command| {
            command
                .args(["-vga", "std"])
                .args(["-object", &format!("secret,id=password,data={PASSWORD}")])
                .args([
                    "-object",
                    &format!(
                        "tls-creds-x509,id=tls,endpoint=server,verify-peer=off,dir={}",
                        pki.display()
                    ),
                ]);
            let server = |(method, options): (Method, &str)| {
                let address = free_port();
                // QEMU counts from 5900.
                let display = address.port().checked_sub(5900).expect("a port above those of VNC");
                command.args(["-vnc", &format!("127.0.0.1:{display},id={method}{options}")]);
                (method, address)
            };
            let servers = [
                // Two viewers at a time, whatever they say about sharing.
                (Method::None, ",share=ignore"),
                (Method::Vnc, ",password-secret=password"),
                (Method::X509None, ",tls-creds=tls"),
                (Method::X509Vnc, ",tls-creds=tls,password-secret=password"),
            ];
            servers.map(server).to_vec()
        });
        Self {
            servers,
            authority: pki.join("ca-cert.pem"),
            _process: process,
        }
    }

    /// Where it is entered in this way.
    pub(crate) fn address(&self, method: Method) -> SocketAddr {
        let server = self.servers.iter().find(|(offered, _)| *offered == method);
        server.expect("QEMU has no such server").1
    }
}
