//! A guest that moves between two QEMUs, and viewers that stay: `drive_session` with `Move::Follow`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use examples::vnc::{Method, Stream, challenge};
use examples::websocket;
use rfb_proto::handshake::bridge::Upstream;
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{BridgeConfig, Refusal};
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Config, Dial, End, Move};
use rfb_proto::tls::ClientTls;
use rfb_proto::{Connection, Mover, NotDialled, ProxyHandler, drive_session};
use tokio::net::{TcpListener, TcpStream};

use super::bridge::tenant;
use super::clients::{gvncviewer, vncviewer_with};
use super::{Login, PASSWORD, TENANT};
use crate::browser::{NOVNC, Site};
use crate::guest::{READY, typing_sector, write_floppy};
use crate::migration::host::Host;
use crate::picture::Picture;
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, wait_for};
use crate::viewer::Desktop;

/// Where a guest is, and the viewers that look at it.
#[derive(Default)]
struct Guest {
    place: Mutex<Option<SocketAddr>>,
    viewers: Mutex<Vec<Mover>>,
    ends: Mutex<Vec<End>>,
}

impl Guest {
    fn moves_to(&self, place: SocketAddr) {
        *self.place.lock().expect("the place") = Some(place);
        for viewer in &*self.viewers.lock().expect("the viewers") {
            viewer.moved(Move::Follow);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if thread::panicking()
            && let Ok(ends) = self.ends.lock()
        {
            eprintln!("connections ended: {ends:?}");
        }
    }
}

struct Handler(Arc<Guest>);

impl ProxyHandler for Handler {
    type Hypervisor = TcpStream;

    fn challenge(&mut self) -> [u8; 16] {
        challenge()
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        match shown {
            ClientCredentials::None => Ok(()),
            ClientCredentials::Vnc { challenge, response }
                if Password::new(TENANT.as_bytes()).verify(&challenge, &response) =>
            {
                Ok(())
            }
            _ => Err(Refusal::default()),
        }
    }

    async fn dial(&mut self, _: Dial) -> Result<(TcpStream, Upstream), NotDialled> {
        let place = self.0.place.lock().expect("the place").ok_or(NotDialled::Unreachable)?;
        let stream = TcpStream::connect(place).await?;
        let upstream = Upstream::default()
            .with_server_name("127.0.0.1")
            .with_password(Password::new(PASSWORD.as_bytes()));
        Ok((stream, upstream))
    }
}

/// A proxy in a thread of the test, for viewers and for pages.
struct Front {
    tcp: SocketAddr,
    open: SocketAddr,
    websocket: SocketAddr,
}

impl Front {
    fn start(guest: &Arc<Guest>, authority: &Path, origin: String) -> Self {
        let tls = ClientTls::new(&std::fs::read(authority).expect("an authority"), None).expect("an authority");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listen = || runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listeners = [listen(), listen(), listen()].map(|listener| listener.expect("a port"));
        let [tcp, open, websocket] = listeners.each_ref().map(|l| l.local_addr().expect("an address"));
        let guest = guest.clone();
        thread::spawn(move || {
            let origins = [origin];
            runtime.block_on(async {
                let [tcp, open, pages] = &listeners;
                let local = tokio::task::LocalSet::new();
                local
                    .run_until(async {
                        loop {
                            let (stream, types, page) = tokio::select! {
                                came = tcp.accept() => (came, rfb_proto::security::SecurityType::VNC, false),
                                came = open.accept() => (came, rfb_proto::security::SecurityType::NONE, false),
                                came = pages.accept() => (came, rfb_proto::security::SecurityType::VNC, true),
                            };
                            let Ok((stream, _)) = stream else { return };
                            let bridge = BridgeConfig::default()
                                .with_tenant_types(&[types])
                                .with_hypervisor_subtypes(&[Subtype::X509_VNC]);
                            let connection =
                                Connection::new(Arc::new(Config::new(bridge))).with_hypervisor_tls(tls.clone());
                            let (guest, origins) = (guest.clone(), origins.clone());
                            tokio::task::spawn_local(async move {
                                let stream: Stream = match page {
                                    false => Box::new(stream),
                                    true => match websocket::accept(stream, &origins).await {
                                        Ok(browser) => Box::new(browser),
                                        Err(_) => return,
                                    },
                                };
                                guest.viewers.lock().expect("the viewers").push(connection.mover());
                                let (end, _) = drive_session(connection, stream, Handler(guest.clone())).await;
                                println!("ended: {end}");
                                guest.ends.lock().expect("the ends").push(end);
                            });
                        }
                    })
                    .await;
            });
        });
        Self { tcp, open, websocket }
    }
}

/// A QEMU with a VNC server that wants TLS and a password; the first with the guest, the other waits for it.
fn host<'a>(folder: &'a Folder, name: &str, pki: &Path, guest: bool) -> (Host<'a>, SocketAddr) {
    let address = free_port();
    let display = address.port().checked_sub(5900).expect("a port above those of VNC");
    let host = Host::run(folder, name.to_owned(), guest, |command| {
        command
            .args(["-vga", "std", "-object", &format!("secret,id=password,data={PASSWORD}")])
            .arg("-object")
            .arg(format!(
                "tls-creds-x509,id=tls,endpoint=server,verify-peer=off,dir={}",
                pki.display()
            ))
            .arg("-vnc")
            .arg(format!(
                "127.0.0.1:{display},share=ignore,tls-creds=tls,password-secret=password"
            ));
    });
    (host, address)
}

/// Types one key, which fills a row of the guest's screen, and waits until the guest has it.
fn types(desktop: &Desktop, host: &Host<'_>) {
    let before = host.typed().len();
    wait_for("a key in the guest", || {
        desktop.focus("(TigerVNC|VncViewer)");
        desktop.press("a");
        thread::sleep(std::time::Duration::from_millis(200));
        (before < host.typed().len()).then_some(())
    });
}

/// What the guest shows, when nothing changes any more.
fn settled(host: &mut Host<'_>) -> Picture {
    let mut before = host.picture();
    wait_for("a still picture", || {
        thread::sleep(std::time::Duration::from_millis(300));
        let now = host.picture();
        let still = now == before;
        before = now.clone();
        still.then_some(now)
    })
}

/// The viewers stay while their guest moves: what they show after it is what the target shows, and a key that is typed
/// after it arrives there. With each encoding that vncviewer has, and in gtk-vnc.
#[test]
#[ignore = "needs QEMU, vncviewer and gvncviewer"]
fn viewers_follow_a_guest_that_moves() {
    for encoding in ["Tight", "ZRLE", "Hextile", "Raw", "gvncviewer"] {
        let folder = Folder::new();
        write_floppy(&folder, &typing_sector());
        let pki = pki::authority(&folder, "qemu");
        let desktop = Desktop::start(&folder);
        let (mut source, first) = host(&folder, "qemu-source", &pki, true);
        let (mut target, second) = host(&folder, "qemu-target", &pki, false);
        let guest = Arc::new(Guest::default());
        guest.moves_to(first);
        let front = Front::start(&guest, &pki.join("ca-cert.pem"), "http://nowhere.example".into());
        let mut viewer = match encoding {
            "gvncviewer" => gvncviewer(&desktop, encoding, front.open, &nobody()),
            _ => vncviewer_with(encoding, &desktop, encoding, front.tcp, &tenant(TENANT)),
        };
        let shown = settled(&mut source);
        wait_for("the picture before", || desktop.picture().find(&shown));
        types(&desktop, &source);
        types(&desktop, &source);
        let shown = settled(&mut source);
        wait_for("the picture with two keys", || desktop.picture().find(&shown));
        source.migrate_to(&target);
        assert!(!target.typed().contains(&READY));
        guest.moves_to(second);
        types(&desktop, &target);
        // The source is not needed any more.
        source.end();
        types(&desktop, &target);
        let shown = settled(&mut target);
        wait_for(&format!("the picture after the move, {encoding}"), || {
            assert!(viewer.runs(), "{encoding}: the viewer ended: {}", viewer.said());
            desktop.picture().find(&shown)
        });
        assert!(guest.ends.lock().expect("the ends").is_empty(), "{encoding}");
        println!("{encoding}: {} follows", viewer_name(encoding));
        viewer.end();
        let end = wait_for("the end", || guest.ends.lock().expect("the ends").pop());
        assert_eq!(end, End::Viewer, "{encoding}");
    }
}

fn viewer_name(encoding: &str) -> &str {
    match encoding {
        "gvncviewer" => "gtk-vnc",
        _ => "vncviewer",
    }
}

fn nobody() -> Login {
    Login {
        method: Method::None,
        password: None,
        authority: "nobody".into(),
        rsa_key: None,
    }
}

/// A page with noVNC stays as well. Its keys are not pressed here: the guest's own change is what is seen.
#[test]
#[ignore = "needs QEMU, Chromium and vncviewer"]
fn novnc_follows_a_guest_that_moves() {
    let folder = Folder::new();
    write_floppy(&folder, &typing_sector());
    let pki = pki::authority(&folder, "qemu");
    let (desktop, site) = (Desktop::start(&folder), Site::start(&NOVNC));
    let (mut source, first) = host(&folder, "qemu-source", &pki, true);
    let (mut target, second) = host(&folder, "qemu-target", &pki, false);
    let guest = Arc::new(Guest::default());
    guest.moves_to(first);
    let front = Front::start(&guest, &pki.join("ca-cert.pem"), site.origin());
    let mut page = site.open(&folder, "moves", front.websocket, TENANT);
    page.shows(&settled(&mut source));
    // Somebody else types.
    let _viewer = vncviewer_with("Tight", &desktop, "typist", front.tcp, &tenant(TENANT));
    types(&desktop, &source);
    page.shows(&settled(&mut source));
    source.migrate_to(&target);
    guest.moves_to(second);
    page.shows(&settled(&mut target));
    types(&desktop, &target);
    page.shows(&settled(&mut target));
    source.end();
    types(&desktop, &target);
    page.shows(&settled(&mut target));
    assert!(guest.ends.lock().expect("the ends").is_empty());
}
