//! The gateway under a load, with an open console and viewers that come.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::attack::at_ease;
use crate::http;
use crate::load::{LIFE, Load, setting};
use crate::program::{Folder, Service};
use crate::scene::{Open, Picture};

/// An honest viewer is in within this.
const SOON: Duration = Duration::from_secs(3);
/// Between two viewers.
const PAUSE: Duration = Duration::from_secs(2);
/// Of the same load, before anything is measured: longer than a connection lasts. What the program's allocator keeps for the next
/// time it keeps from then on.
const BEFORE: Duration = Duration::from_secs(LIFE.as_secs() + 5);
/// For what was taken to be given back.
const SETTLED: Duration = Duration::from_secs(40);

/// Where strangers can go.
pub(crate) struct Target {
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) web: SocketAddr,
    pub(crate) vnc: SocketAddr,
    pub(crate) api: SocketAddr,
    /// Of clients that trust the gateway's certificate.
    pub(crate) trust: Arc<ClientConfig>,
}

/// The gateway with all its listeners, as an operator runs it.
fn gateway(folder: Folder, port: u16) -> Service {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    folder.write("server.pem", own.cert.pem());
    folder.write("server.key", own.signing_key.serialize_pem());
    let configuration = format!(
        "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n\
         [public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\nspice_tls_port = \"bound\"\nca = \"server.pem\"\n\
         [listen]\nspice = \"127.0.0.1:0\"\nspice_tls = \"127.0.0.1:0\"\nweb_plain = \"127.0.0.1:0\"\n\
         vnc = \"127.0.0.1:0\"\ncertificate = \"server.pem\"\nprivate_key = \"server.key\"\n\
         [operate]\naudit = \"audit.jsonl\"\n\
         [[guest]]\nid = \"vm1\"\n[[guest.console]]\nprotocol = \"spice\"\n\
         [[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {port}\nticket_file = \"vm1.ticket\"\n"
    );
    Service::start_quiet(folder, &configuration)
}

impl Target {
    fn of(service: &Service) -> Self {
        let certificate = CertificateDer::from_pem_file(service.folder().path("server.pem")).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trust = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = |name| service.address(name).expect("an address");
        Self {
            plain: address("spice"),
            tls: address("spice_tls"),
            web: address("web_plain"),
            vnc: address("vnc"),
            api: address("api"),
            trust: Arc::new(trust),
        }
    }
}

/// A user asks a portal for a console, gets a file, and opens all channels with it: how long that took.
fn view(service: &Service, target: &Target, over_tls: bool) -> Duration {
    let began = Instant::now();
    let created = http::create(target.api, r#"{"guest":"vm1","protocol":"spice"}"#);
    assert_eq!(created.status, 201, "{created:?}");
    let file = http::follow(target.web, &created);
    let password = file.vv("password").unwrap_or_else(|| panic!("{file:?}"));
    let mut probe = Command::new(env!("CARGO_BIN_EXE_spice-probe"));
    probe.arg("--watch=0").env("SPICE_PASSWORD", password);
    match over_tls {
        true => probe
            .arg("--ca")
            .arg(service.folder().path("server.pem"))
            .arg(target.tls.to_string()),
        false => probe.arg(target.plain.to_string()),
    };
    let output = probe.output().expect("spice-probe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed()
}

/// Bytes that the process has in memory, and how many descriptors it has.
fn holds(id: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kilobytes = line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok());
    let descriptors = std::fs::read_dir(format!("/proc/{id}/fd"))
        .expect("descriptors")
        .count();
    (kilobytes.expect("a number") << 10, descriptors)
}

/// The seconds of a processor that a process has used.
fn processor(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).expect("a process");
    let fields = stat.rsplit(") ").next().expect("fields").split(' ');
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .map(|text| text.parse::<f64>().expect("a number"))
        .sum();
    ticks / 100.0
}

/// The gateway under this load, and what becomes of its users.
pub(crate) fn besieged(kind: &str, load: impl Fn(&Target) -> Load) {
    let _ = examples::descriptors::raise_limit();
    let folder = Folder::new();
    let picture = Picture::start(&folder);
    let service = gateway(folder, picture.port);
    let target = Target::of(&service);
    let soon = at_ease(SOON);
    let open = Open::start(target.plain, &http::token(target.api));
    // As it is in use.
    for turn in 0..6 {
        println!("at ease: in after {:?}", view(&service, &target, turn % 2 == 0));
    }
    let (cold, descriptors) = holds(service.id());
    let first = load(&target);
    sleep(BEFORE);
    first.stop();
    let began = Instant::now();
    while descriptors + 2 < holds(service.id()).1 && began.elapsed() < SETTLED {
        sleep(Duration::from_millis(500));
    }
    sleep(PAUSE);
    let (before, _) = holds(service.id());
    println!(
        "before: {:.1} MB, {:.1} MB, {descriptors} descriptors; soon is {soon:.1?}",
        megabytes(cold),
        megabytes(before)
    );
    let (used, siege) = (processor(service.id()), Instant::now());
    let load = load(&target);
    let seconds = Duration::from_secs(setting("HOSTILE_SECONDS", 60));
    let (mut viewers, mut slowest, mut most, mut peak) = (0, Duration::ZERO, 0, 0);
    while siege.elapsed() < seconds {
        let took = view(&service, &target, viewers % 2 == 0);
        let (memory, descriptors) = holds(service.id());
        (peak, most) = (memory.max(peak), descriptors.max(most));
        (viewers, slowest) = (viewers + 1, slowest.max(took));
        println!(
            "{:5.1} s: in after {took:.2?}, {:.1} MB, {descriptors} descriptors, {} connections, processor {:.2}",
            siege.elapsed().as_secs_f64(),
            megabytes(memory),
            load.connected(),
            (processor(service.id()) - used) / siege.elapsed().as_secs_f64()
        );
        assert!(took < soon, "{kind}: viewer {viewers} was in after {took:?}");
        sleep(PAUSE.saturating_sub(took));
    }
    let used = (processor(service.id()) - used) / siege.elapsed().as_secs_f64();
    let (connections, rate) = load.stop();
    let (answers, wait) = open.end();
    let began = Instant::now();
    let after = loop {
        let after = holds(service.id());
        let is_back = after.0 <= before + before / 10 && after.1 <= descriptors + 2;
        if is_back || SETTLED < began.elapsed() {
            break after;
        }
        sleep(Duration::from_millis(500));
    };
    println!(
        "HOSTILE | {kind} | {connections} connections, {rate}/s | {viewers} viewers within {slowest:.2?} | \
         {answers} answers within {wait:.2?} | memory {:.1} cold, {:.1}, {:.1}, {:.1} MB | descriptors {descriptors}, {most}, {} | \
         processor {used:.2}",
        megabytes(cold),
        megabytes(before),
        megabytes(peak),
        megabytes(after.0),
        after.1
    );
    assert!(wait < soon, "{kind}: the open console waited for {wait:?}");
    assert!(
        after.1 <= descriptors + 2,
        "{kind}: {descriptors} descriptors before, {} after",
        after.1
    );
    assert!(
        after.0 <= before + before / 10,
        "{kind}: {before} bytes before, {} after",
        after.0
    );
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
