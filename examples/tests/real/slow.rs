//! Viewers on a slow line: one megabyte a second, and a peer that takes no more than it must. Nothing may stop.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use examples::vnc::Method;
use socket2::{Domain, Protocol, Socket, Type};

use crate::gateway::Gateway;
use crate::guest::{Guest, TICKET};
use crate::narrow;
use crate::pki;
use crate::process::{Folder, Process};
use crate::viewer::{Desktop, Endpoint};
use crate::vnc::{self, Login};

/// Bytes a second towards the viewer.
const RATE: u32 = 1_000_000;
/// How much passes until the viewer was slow for long enough.
const ENOUGH: u64 = 50_000_000;
/// The longest time in which nothing comes.
const GAP: Duration = Duration::from_secs(2);
/// What the line's socket takes before the line has read it.
const RECEIVE_BUFFER: usize = 32 << 10;

#[derive(Default)]
struct Passed {
    bytes: u64,
    last: Option<Instant>,
    longest_gap: Duration,
}

/// A line in front of a server: slow towards the viewer, over all connections together.
struct SlowLine {
    address: SocketAddr,
    server: Arc<OnceLock<SocketAddr>>,
    passed: Arc<Mutex<Passed>>,
}

impl SlowLine {
    /// Listens; [`SlowLine::leads_to`] says where it leads.
    fn lay() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (server, passed) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Passed::default())));
        let (to, counted) = (server.clone(), passed.clone());
        thread::spawn(move || {
            for viewer in listener.incoming().flatten() {
                let (to, counted) = (to.clone(), counted.clone());
                thread::spawn(move || carry(&viewer, *to.wait(), &counted));
            }
        });
        Self {
            address,
            server,
            passed,
        }
    }

    fn leads_to(&self, server: SocketAddr) {
        self.server.set(server).expect("it leads to one server");
    }

    /// What has passed, and the longest gap, the one that is not over included.
    fn passed(&self) -> (u64, Duration) {
        let passed = self.passed.lock().expect("counts");
        let now = passed.last.map_or(Duration::ZERO, |last| last.elapsed());
        (passed.bytes, passed.longest_gap.max(now))
    }
}

fn carry(viewer: &TcpStream, server: SocketAddr, passed: &Mutex<Passed>) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    // Before it connects, so that no larger window is ever offered.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.connect(&server.into())?;
    let server = TcpStream::from(socket);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut { viewer }, &mut &server);
            server.shutdown(Shutdown::Write)
        });
        let mut bytes = [0; 4096];
        loop {
            let n = (&server).read(&mut bytes).unwrap_or(0);
            if n == 0 || (&*viewer).write_all(&bytes[..n]).is_err() {
                let _ = (viewer.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
                return;
            }
            // Under the lock: all connections of the line share its rate.
            let mut passed = passed.lock().expect("counts");
            let gap = passed.last.map_or(Duration::ZERO, |last| last.elapsed());
            passed.longest_gap = passed.longest_gap.max(gap);
            thread::sleep(Duration::from_secs(1) * u32::try_from(n).expect("a buffer's length") / RATE);
            passed.bytes += u64::try_from(n).expect("a buffer's length");
            passed.last = Some(Instant::now());
        }
    });
    Ok(())
}

/// The gateway with TLS, whose viewers come over the line: its address stands in their `.vv`.
fn gateway(folder: &Folder, guest: &Guest, line: &SlowLine) -> Gateway {
    folder.write("ticket", TICKET);
    pki::authority(folder, "gateway");
    let sections = format!(
        "[public]\nhost = \"127.0.0.1\"\nspice_tls_port = {}\nca = \"gateway/ca-cert.pem\"\n\
         [listen]\nspice_tls = \"127.0.0.1:0\"\n\
         certificate = \"gateway/server-cert.pem\"\nprivate_key = \"gateway/server-key.pem\"\n\
         [[guest]]\nid = \"machine\"\n[[guest.console]]\nprotocol = \"spice\"\n\
         [[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {}\nticket_file = \"ticket\"\n",
        line.address.port(),
        guest.address.port(),
    );
    let gateway = Gateway::start(folder, &sections);
    line.leads_to(gateway.tls.expect("a listener with TLS"));
    gateway
}

/// The bridge with TLS towards its tenants.
fn bridge(folder: &Folder, hypervisor: SocketAddr, line: &SlowLine) -> Process {
    folder.write("tenant", format!("{}\n", vnc::TENANT));
    let configuration = folder.write(
        "bridge.toml",
        format!(
            "[tenant]\ntcp = \"127.0.0.1:0\"\nsecurity = [\"x509-vnc\"]\npassword_file = \"tenant\"\n\
             certificate = \"gateway/server-cert.pem\"\nprivate_key = \"gateway/server-key.pem\"\n\
             [hypervisor]\naddress = \"{hypervisor}\"\nsecurity = [\"none\"]\n"
        ),
    );
    let mut process = Process::start(folder, "bridge", env!("CARGO_BIN_EXE_vnc-bridge"), |command| {
        command.arg("--config").arg(configuration);
    });
    let said = vnc::programs::first_line(&mut process, "bridge");
    let (_, rest) = said.split_once("\"tcp\":\"").expect("an address");
    line.leads_to(
        rest.split('"')
            .next()
            .and_then(|text| text.parse().ok())
            .expect("an address"),
    );
    process
}

#[test]
#[ignore = "needs QEMU, spicy, vncviewer, and root for a network of its own"]
fn no_viewer_on_a_slow_line_is_kept_waiting() {
    if !narrow::inside("slow::no_viewer_on_a_slow_line_is_kept_waiting") {
        return;
    }
    let (spice, vnc) = (Folder::new(), Folder::new());
    let (spice_line, vnc_line) = (SlowLine::lay(), SlowLine::lay());
    let guest = Guest::restless(&spice);
    let gateway = gateway(&spice, &guest, &spice_line);
    let qemu = vnc::qemu::Qemu::moving(&vnc);
    pki::authority(&vnc, "gateway");
    let _bridge = bridge(&vnc, qemu.address(Method::None), &vnc_line);

    let desktop = Desktop::start(&spice);
    let ca = spice.join("gateway/ca-cert.pem");
    let token = gateway.console("slow", 60).password();
    let mut spicy = desktop.spicy("slow", &Endpoint::tls(spice_line.address, ca), None, &token);
    let login = Login {
        method: Method::X509Vnc,
        password: Some(vnc::TENANT),
        authority: vnc.join("gateway/ca-cert.pem"),
        rsa_key: None,
    };
    let mut vncviewer = vnc::clients::vncviewer_raw(&desktop, "slow", vnc_line.address, &login);

    let began = Instant::now();
    let (mut spice_passed, mut vnc_passed) = ((0, Duration::ZERO), (0, Duration::ZERO));
    while spice_passed.0 < ENOUGH || vnc_passed.0 < ENOUGH {
        thread::sleep(Duration::from_millis(200));
        (spice_passed, vnc_passed) = (spice_line.passed(), vnc_line.passed());
        for (what, (bytes, gap)) in [("SPICE", spice_passed), ("VNC", vnc_passed)] {
            assert!(gap < GAP, "{what}: nothing for {gap:?}, after {bytes} bytes");
        }
        assert!(spicy.runs() && vncviewer.runs(), "a viewer has ended");
        let took = began.elapsed();
        assert!(
            took < Duration::from_secs(300),
            "{spice_passed:?} and {vnc_passed:?} in {took:?}"
        );
    }
    println!("SPICE {spice_passed:?}, VNC {vnc_passed:?} in {:?}", began.elapsed());
}
