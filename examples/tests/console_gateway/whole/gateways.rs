//! Several gateways on one store, and a viewer whose connections are dealt out among them.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use console_token::{NoteChange, SqlStore, Store as _, UnixSeconds};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use spice_proto::ids::{ChannelType, LinkErrorCode};

use super::hypervisor::{Channel, Hypervisor, LIST, destination, init, seamless};
use super::*;
use crate::program::Folder;
use crate::spice::Link;

const MAIN: ChannelType = ChannelType::MAIN;
const DISPLAY: ChannelType = ChannelType::DISPLAY;
const INPUTS: ChannelType = ChannelType::INPUTS;
const CURSOR: ChannelType = ChannelType::CURSOR;
/// Of the session. QEMU gives the first session of each guest the same.
const ID: u32 = 1_804_289_383;
/// A session that is ended anywhere is over everywhere within this.
const SOON: Duration = Duration::from_secs(5);
const PONG: [u8; 12] = [7; 12];

/// Gateways on one store.
struct Site {
    _folder: Folder,
    database: PathBuf,
    gateways: Vec<Service>,
}

impl Site {
    /// So many of them; the guest can be at these places.
    fn new(count: usize, hosts: &[&Hypervisor], more: &str) -> Self {
        let folder = Folder::new();
        let database = folder.write("gateway.db", "");
        let places: String = hosts
            .iter()
            .map(|host| {
                let port = host.port;
                format!("[[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {port}\nticket_file = \"vm1.ticket\"\n")
            })
            .collect();
        let guests = format!("[[guest]]\nid = \"vm1\"\n[[guest.console]]\nprotocol = \"spice\"\n{places}");
        let gateways = (1..=count).map(|number| {
            let folder = Folder::new();
            folder.write("pepper", "pepper-of-this-test-pepper-of-this-test");
            let sections = format!(
                "spice = \"127.0.0.1:0\"\n[public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\n\
                 [store]\nurl = \"sqlite:{}\"\npepper_file = \"pepper\"\ngateway_id = \"gw{number}\"\n\
                 [tokens]\nreconnect_seconds = 60\n{more}",
                database.display()
            );
            Service::start_in(folder, &with(&sections, &guests))
        });
        Self {
            gateways: gateways.collect(),
            database,
            _folder: folder,
        }
    }

    fn token(&self) -> String {
        let wanted = r#"{"guest":"vm1","protocol":"spice","type":"spice-html5"}"#;
        token(&self.gateways[0], wanted)
    }

    /// A channel through the gateway of this number.
    fn open(&self, gateway: usize, token: &str, kind: ChannelType, id: u32) -> Result<Channel, Link> {
        Channel::open(self.gateways[gateway].plain(), token, kind, id)
    }

    /// A session whose main channel is at the first gateway.
    fn session(&self, host: &Hypervisor, token: &str) -> (Channel, Channel) {
        let mut viewer = self.open(0, token, MAIN, 0).unwrap_or_else(|link| panic!("{link:?}"));
        let mut main = host.channel(MAIN, 0);
        main.passes(&mut viewer, 103, &init(ID));
        main.passes(&mut viewer, 104, &LIST);
        (viewer, main)
    }

    /// A channel of it through a gateway, both ends.
    fn channel(&self, host: &Hypervisor, gateway: usize, token: &str, kind: ChannelType) -> (Channel, Channel) {
        let opened = self.open(gateway, token, kind, ID);
        let viewer = opened.unwrap_or_else(|link| panic!("{kind:?} at {gateway}: {link:?}"));
        (viewer, host.channel(kind, ID))
    }

    /// The sessions that a gateway shows, when there are so many everywhere.
    fn sessions(&self, count: usize) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let mut shown = self.gateways.iter().map(sessions);
            let first = shown.next().unwrap();
            if first.len() == count && shown.all(|other| other.len() == count) {
                return first;
            }
            assert!(began.elapsed() < PATIENCE, "{first:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Bytes pass in both directions, whichever gateway a channel comes to, and it is one session with all its channels.
#[test]
fn channels_are_dealt_out() {
    for count in [2, 3] {
        let host = Hypervisor::start();
        let site = Site::new(count, &[&host], "");
        let token = site.token();
        let (mut viewer, mut main) = site.session(&host, &token);
        let mut channels = Vec::new();
        for (number, kind) in [DISPLAY, INPUTS, CURSOR].into_iter().enumerate() {
            let (mut near, mut far) = site.channel(&host, (number + 1) % count, &token, kind);
            if kind == DISPLAY {
                near.passes(&mut far, 101, &[0; 14]);
            }
            far.passes(&mut near, 3, &[1; 8]);
            near.passes(&mut far, 3, &PONG);
            channels.push((near, far));
        }
        // More than any buffer on the way holds.
        let picture = vec![0x5a; 4 << 20];
        let (near, far) = &mut channels[0];
        std::thread::scope(|scope| {
            scope.spawn(|| far.say(304, &picture));
            assert_eq!(near.hear(), Some((304, picture.clone())));
        });
        let shown = site.sessions(1);
        assert_eq!(
            (&shown[0]["channels"], &shown[0]["gateway"]),
            (&4.into(), &"gw1".into())
        );
        // Its use is spent, wherever it is shown again.
        for gateway in 0..count {
            let again = site.open(gateway, &token, MAIN, 0).err();
            assert_eq!(
                again,
                Some(Link::Refused(LinkErrorCode::PERMISSION_DENIED)),
                "{gateway}"
            );
            let other = site.open(gateway, &token, DISPLAY, 7).err();
            assert_eq!(
                other,
                Some(Link::Refused(LinkErrorCode::PERMISSION_DENIED)),
                "{gateway}"
            );
        }
        viewer.passes(&mut main, 3, &PONG);
        viewer.hang_up();
        for (near, _) in &mut channels {
            near.ends(SOON);
        }
    }
}

/// What may not pass does not, when another gateway is in between.
#[test]
fn the_policy_is_that_of_the_session() {
    for (policy, passes) in [
        ("", true),
        ("[policy]\nview_only = true\nwithheld = [\"cursor\"]\n", false),
    ] {
        let host = Hypervisor::start();
        let site = Site::new(2, &[&host], policy);
        let token = site.token();
        let mut viewer = site.open(0, &token, MAIN, 0).unwrap_or_else(|link| panic!("{link:?}"));
        let mut main = host.channel(MAIN, 0);
        main.passes(&mut viewer, 103, &init(ID));
        main.say(104, &LIST);
        assert!(viewer.hear().is_some());
        let (mut near, mut far) = site.channel(&host, 1, &token, INPUTS);
        near.say(101, &[30, 0, 0, 0]);
        near.say(3, &PONG);
        let heard = far.hear();
        assert_eq!(heard.map(|(number, _)| number), Some(if passes { 101 } else { 3 }));
        let cursor = site.open(1, &token, CURSOR, ID).map(drop);
        let refused = Err(Link::Refused(LinkErrorCode::PERMISSION_DENIED));
        assert_eq!(cursor, if passes { Ok(()) } else { refused });
    }
}

/// The token of an open session is replaced: its viewer goes on with the one that it has, at every gateway.
#[test]
fn a_token_is_replaced_meanwhile() {
    let host = Hypervisor::start();
    let site = Site::new(3, &[&host], "");
    let wanted = r#"{"guest":"vm1","protocol":"spice","type":"spice-html5"}"#;
    let created = created(&site.gateways[0], wanted);
    let (token, fingerprint) = (created.json("token"), created.json("fingerprint"));
    let (mut viewer, mut main) = site.session(&host, &token);
    let replaced = call(&site.gateways[2], &format!("POST /v1/tokens/{fingerprint}/replace"), "");
    assert_eq!(replaced.status, 201, "{replaced:?}");
    // At once, and when the gateway that has the session knows of it.
    let (mut near, mut far) = site.channel(&host, 1, &token, DISPLAY);
    far.passes(&mut near, 3, &[1; 8]);
    std::thread::sleep(Duration::from_secs(3));
    let (mut near, mut far) = site.channel(&host, 2, &token, INPUTS);
    far.passes(&mut near, 3, &[1; 8]);
    let (mut near, mut far) = site.channel(&host, 1, &replaced.json("token"), CURSOR);
    far.passes(&mut near, 3, &[1; 8]);
    main.passes(&mut viewer, 3, &[1; 8]);
}

/// A session is ended, or its token is revoked, at a gateway that does not have it.
#[test]
fn a_session_is_ended_at_another_gateway() {
    for revoked in [false, true] {
        let host = Hypervisor::start();
        let site = Site::new(3, &[&host], "");
        let token = site.token();
        let (mut viewer, _main) = site.session(&host, &token);
        let (mut near, _far) = site.channel(&host, 1, &token, DISPLAY);
        let id = site.sessions(1)[0]["id"].as_str().unwrap().to_owned();
        let line = match revoked {
            true => "DELETE /v1/guests/vm1/tokens".to_owned(),
            false => format!("DELETE /v1/sessions/{id}"),
        };
        assert_eq!(call(&site.gateways[2], &line, "").status, 204);
        near.ends(SOON);
        viewer.ends(SOON);
        assert!(site.open(1, &token, INPUTS, ID).is_err());
    }
}

/// `MIGRATE_SWITCH_HOST`: the viewer comes again as for a new session, to another gateway, and it costs no use.
#[test]
fn a_viewer_is_sent_to_another_host_through_another_gateway() {
    let (here, there) = (Hypervisor::start(), Hypervisor::start());
    let site = Site::new(3, &[&here, &there], "");
    let token = site.token();
    let (mut viewer, mut main) = site.session(&here, &token);
    main.say(111, &destination(there.port));
    let (number, body) = viewer.hear().expect("it is sent");
    assert_eq!(number, 111);
    assert_eq!(body[..2], site.gateways[0].plain().port().to_le_bytes());
    viewer.hang_up();
    main.hang_up();
    let mut viewer = site.open(1, &token, MAIN, 0).unwrap_or_else(|link| panic!("{link:?}"));
    let mut main = there.channel(MAIN, 0);
    main.passes(&mut viewer, 103, &init(77));
    main.passes(&mut viewer, 104, &LIST);
    let mut channels = Vec::new();
    for gateway in 0..3 {
        let kind = [DISPLAY, INPUTS, CURSOR][gateway];
        let mut near = site
            .open(gateway, &token, kind, 77)
            .unwrap_or_else(|link| panic!("{link:?}"));
        let mut far = there.channel(kind, 77);
        far.passes(&mut near, 3, &[1; 8]);
        channels.push((near, far));
        let before = site.open(gateway, &token, kind, ID).map(drop);
        assert_eq!(before, Err(Link::Refused(LinkErrorCode::PERMISSION_DENIED)));
    }
    assert_eq!(site.sessions(1)[0]["channels"], 4);
    // It was once, and no use is left.
    assert!(site.open(1, &token, MAIN, 0).is_err() && site.open(0, &token, MAIN, 0).is_err());
}

/// A seamless move, with the channels at different gateways.
#[test]
fn a_session_moves_over_all_gateways() {
    let (here, there) = (Hypervisor::start(), Hypervisor::start());
    let site = Site::new(3, &[&here, &there], "");
    let token = site.token();
    let (mut viewer, mut source) = site.session(&here, &token);
    let (mut inputs, mut at_source) = site.channel(&here, 1, &token, INPUTS);
    source.say(116, &seamless(there.port));
    let (number, body) = viewer.hear().expect("the target is told");
    assert_eq!(
        (number, &body[..2]),
        (116, &site.gateways[0].plain().port().to_le_bytes()[..])
    );
    let mut main = site.open(1, &token, MAIN, ID).unwrap_or_else(|link| panic!("{link:?}"));
    let mut target = there.channel(MAIN, ID);
    main.passes(&mut target, 110, &[1, 0, 0, 0]);
    target.passes(&mut main, 117, &[]);
    let mut moved = site
        .open(2, &token, INPUTS, ID)
        .unwrap_or_else(|link| panic!("{link:?}"));
    let mut at_target = there.channel(INPUTS, ID);
    viewer.passes(&mut source, 111, &[]);
    // Each channel flushes its mark, and its state goes with it.
    for (near, far, target_near, target_far) in [
        (&mut viewer, &mut source, &mut main, &mut target),
        (&mut inputs, &mut at_source, &mut moved, &mut at_target),
    ] {
        far.passes(near, 1, &[3, 0, 0, 0]);
        near.passes(far, 4, &[]);
        far.passes(near, 2, &[5; 1000]);
        target_near.passes(target_far, 5, &[5; 1000]);
    }
    for channel in [viewer, source, inputs, at_source] {
        channel.hang_up();
    }
    moved.passes(&mut at_target, 3, &PONG);
    target.passes(&mut main, 3, &[1; 8]);
    assert_eq!(site.sessions(1)[0]["place"], format!("127.0.0.1:{}", there.port));
}

/// The gateway that has the session is killed: the session is over, and its viewer comes again through another one.
#[test]
fn a_killed_owner_loses_its_sessions() {
    let host = Hypervisor::start();
    let mut site = Site::new(2, &[&host], "");
    let token = site.token();
    let (mut viewer, _main) = site.session(&host, &token);
    let (mut near, _far) = site.channel(&host, 1, &token, DISPLAY);
    let (status, ..) = site.gateways.remove(0).stop("KILL");
    assert!(!status.success());
    near.ends(SOON);
    viewer.ends(SOON);
    // It is not reached, as a hypervisor is not.
    let asked = Instant::now();
    assert_eq!(
        site.open(0, &token, INPUTS, ID).err(),
        Some(Link::Refused(LinkErrorCode::ERROR))
    );
    assert!(asked.elapsed() < SOON);
    let began = Instant::now();
    let mut viewer = loop {
        match site.open(0, &token, MAIN, 0) {
            Ok(viewer) => break viewer,
            Err(_) => assert!(began.elapsed() < PATIENCE, "its lease is over"),
        }
        std::thread::sleep(Duration::from_millis(500));
    };
    host.channel(MAIN, 0).passes(&mut viewer, 103, &init(ID));
}

/// A gateway that only hands on is killed: nothing is lost but what it handed on, which comes again elsewhere.
#[test]
fn a_killed_gateway_loses_its_own_connections() {
    let host = Hypervisor::start();
    let mut site = Site::new(3, &[&host], "");
    let token = site.token();
    let (mut viewer, mut main) = site.session(&host, &token);
    let (mut near, far) = site.channel(&host, 2, &token, DISPLAY);
    let (mut inputs, mut at_host) = site.channel(&host, 1, &token, INPUTS);
    site.gateways.remove(2).stop("KILL");
    near.ends(SOON);
    far.hang_up();
    inputs.passes(&mut at_host, 3, &PONG);
    main.passes(&mut viewer, 3, &[1; 8]);
    let (mut near, mut far) = site.channel(&host, 1, &token, DISPLAY);
    far.passes(&mut near, 3, &[1; 8]);
}

fn now() -> UnixSeconds {
    UnixSeconds(
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs(),
    )
}

/// A gateway whose certificate is not the one in the store gets no token, and it costs no use.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_with_another_certificate_gets_nothing() {
    let host = Hypervisor::start();
    let site = Site::new(2, &[&host], "");
    let token = site.token();
    let (mut viewer, mut main) = site.session(&host, &token);
    let url = format!("sqlite:{}", site.database.display());
    let store = SqlStore::connect(&url, 1.try_into().unwrap()).await.unwrap();
    let note = store
        .note("gateway/gw1", now())
        .await
        .unwrap()
        .expect("it says where it is");
    let said: Value = serde_json::from_slice(&note.value).unwrap();
    let mut forged = said.clone();
    forged["certificate"] = "00".repeat(32).into();
    // The gateway itself writes the right one again.
    let mut refused = false;
    for _ in 0..100 {
        let value = serde_json::to_vec(&forged).unwrap();
        let written = NoteChange::write(&value, now().saturating_add(15));
        store.set_note("gateway/gw1", now(), written).await.unwrap();
        match site.open(1, &token, DISPLAY, ID) {
            Err(Link::Refused(LinkErrorCode::ERROR)) => {
                refused = true;
                break;
            }
            Ok(_) => {}
            other => panic!("{:?}", other.err()),
        }
    }
    assert!(refused);
    soon("the note of the gateway itself", || {
        site.open(1, &token, INPUTS, ID).is_ok()
    })
    .await;
    main.passes(&mut viewer, 3, &[1; 8]);
}

/// The listener for gateways serves no client without a certificate, and none with one that no gateway has.
#[test]
fn strangers_get_nothing_from_the_listener_for_gateways() {
    let host = Hypervisor::start();
    let site = Site::new(1, &[&host], "");
    let address = site.gateways[0].address("gateways").expect("a listener for gateways");
    assert!(address.ip().is_loopback());
    for with_certificate in [false, true] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody));
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["console-gateway".to_owned()]).unwrap();
        let key: PrivateKeyDer<'static> = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
        let config = match with_certificate {
            true => trusting.with_client_auth_cert(vec![cert.der().clone()], key).unwrap(),
            false => trusting.with_no_client_auth(),
        };
        let client = ClientConnection::new(Arc::new(config), "console-gateway".try_into().unwrap()).unwrap();
        let tcp = std::net::TcpStream::connect(address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut stream = StreamOwned::new(client, tcp);
        let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        header.extend([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x16, 0xe2]);
        header.extend(b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x12\0\0\0");
        let _ = std::io::Write::write_all(&mut stream, &header);
        let mut said = Vec::new();
        let ended = stream.read_to_end(&mut said);
        assert!(said.is_empty(), "{with_certificate}: {}", said.escape_ascii());
        assert!(
            !ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            "{with_certificate}"
        );
    }
    let (_, _, log) = site.gateways.into_iter().next().unwrap().stop("TERM");
    assert!(log.contains("it is no gateway of this store"), "{log}");
}

/// Trusts every server.
#[derive(Debug)]
struct Anybody;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        let provider = rustls::crypto::ring::default_provider();
        provider.signature_verification_algorithms.supported_schemes()
    }
}
