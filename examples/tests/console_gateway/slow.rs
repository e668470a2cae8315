//! A viewer with TLS that is slower than its guest. Nothing may stop, whatever the size of the messages.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::{Domain, Protocol, Socket, Type};
use spice_proto::Limits;
use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link::server::{Announcement, ServerLink, ServerQuestion};
use spice_proto::link::{Action, Buffers, Key, Machine};

use crate::http;
use crate::narrow;
use crate::program::{Folder, PATIENCE, Service, TICKET};
use crate::spice;

/// What passes in each test, unless that would be too many messages.
const ENOUGH: usize = 16 << 20;
const MESSAGES: usize = 20_000;
/// The viewer takes this much, and then looks away for a while: 4 MB a second.
const SIP: usize = 100_000;
const LOOKS_AWAY: Duration = Duration::from_millis(25);

/// A hypervisor that says `INIT`, and then one message of this size after the other, as fast as they are taken.
fn flood(size: usize) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    spawn(move || {
        let (mut stream, _) = listener.accept().expect("the gateway");
        let rx = let_in(&mut stream);
        assert!(rx.is_empty() || !rx.starts_with(b"REDQ"));
        let mut init = [0; 38];
        (init[0], init[2], init[6]) = (103, 32, 1); // INIT, its size, session 1
        stream.write_all(&init).expect("the gateway takes INIT");
        let mut ping = vec![0x5a; 6 + size];
        ping[..6].copy_from_slice(&[4, 0, 0, 0, 0, 0]); // PING
        ping[2..6].copy_from_slice(&u32::try_from(size).expect("a size").to_le_bytes());
        while stream.write_all(&ping).is_ok() {}
    });
    port
}

/// The link stage of that hypervisor.
fn let_in(stream: &mut TcpStream) -> Vec<u8> {
    let began = Instant::now();
    let mut server = ServerLink::new(Duration::ZERO, Limits::default());
    let (mut buffers, mut key) = (Buffers::default(), None);
    loop {
        let action = server.step(began.elapsed(), &mut buffers).expect("a link");
        stream.write_all(&buffers.tx.split()).expect("the gateway reads");
        match action {
            Action::Receive { at_least } => {
                let mut bytes = vec![0; at_least];
                stream.read_exact(&mut bytes).expect("the gateway speaks");
                buffers.rx.extend_from_slice(&bytes);
            }
            Action::Ask(ServerQuestion::Link(request)) => {
                let fresh = Key::generate(&mut |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
                let capabilities = Capabilities::spice_server(request.channel_type);
                let public_key = fresh.public();
                key = Some(fresh);
                let shown = Announcement {
                    public_key,
                    capabilities,
                };
                server.announce(&mut buffers, shown).expect("it was asked");
            }
            Action::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                let opened = key.take().expect("a key").open(&sealed, &mut |bytes| bytes.fill(1));
                assert_eq!(opened.expect("a ticket").expose(), TICKET.as_bytes());
                server.accept(&mut buffers).expect("it was asked");
            }
            Action::Ask(_) | Action::Waiting => unreachable!("SASL was not announced"),
            Action::Done(_) => return buffers.rx.to_vec(),
        }
    }
}

fn configuration(port: u16) -> String {
    format!(
        "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n\
         [public]\nhost = \"127.0.0.1\"\nspice_tls_port = \"bound\"\nca = \"cert.pem\"\n\
         [listen]\nspice_tls = \"127.0.0.1:0\"\ncertificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
         [[guest]]\nid = \"vm1\"\n[[guest.console]]\nprotocol = \"spice\"\n\
         [[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {port}\nticket_file = \"vm1.ticket\"\n"
    )
}

/// A connection with TLS whose window is small.
fn tls(address: SocketAddr, certificate: &str) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
    roots.add(certificate).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("a socket");
    socket.set_recv_buffer_size(32 << 10).expect("a small buffer");
    socket.connect(&address.into()).expect("the gateway");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).expect("TLS"), stream)
}

fn passes(size: usize) {
    let folder = Folder::new();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a key");
    let certificate = cert.pem();
    folder.write("cert.pem", &certificate);
    folder.write("key.pem", signing_key.serialize_pem());
    let service = Service::start_in(folder, &configuration(flood(size)));
    let token = http::token(service.api());
    let mut viewer = tls(service.address("spice_tls").expect("a listener"), &certificate);
    let mut passed = spice::link(&mut viewer, &token, ChannelType::MAIN, 0)
        .expect("a main channel")
        .len();
    let mut bytes = vec![0; SIP];
    let mut longest = Duration::ZERO;
    while passed < ENOUGH.min(MESSAGES * (size + 6)) {
        let waited = Instant::now();
        let n = viewer.read(&mut bytes).expect("the flood goes on");
        assert_ne!(n, 0, "the console ended after {passed} bytes");
        longest = longest.max(waited.elapsed());
        if passed / SIP < (passed + n) / SIP {
            sleep(LOOKS_AWAY);
        }
        passed += n;
    }
    assert!(
        longest < Duration::from_secs(2),
        "messages of {size} bytes: nothing for {longest:?}"
    );
}

#[test]
fn a_flood_of_small_messages_passes_to_a_slow_viewer() {
    passes(200);
}

#[test]
fn pictures_as_large_as_the_buffer_of_tls_pass_to_a_slow_viewer() {
    std::thread::scope(|scope| {
        for size in [30_000, 60_000, 65_530] {
            scope.spawn(move || passes(size));
        }
    });
}

#[test]
#[ignore = "needs root, for a network of its own"]
fn a_small_send_buffer_stops_nothing() {
    if narrow::inside("slow::a_small_send_buffer_stops_nothing") {
        std::thread::scope(|scope| {
            for size in [0, 200, 5_000, 30_000, 60_000, 65_530, 250_000] {
                scope.spawn(move || passes(size));
            }
        });
    }
}
