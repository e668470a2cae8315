//! SPICE sessions whose hypervisor names the target of a move, where other guests may be, too.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream as Connection};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{Destination, MigrateBegin, MigrateBeginSeamless, MigrateSwitchHost};
use spice_proto::ids::ChannelType;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, Key, ServerLink};
use spice_proto::{Clock, Driven, Limits, drive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

use super::*;
use crate::program::Folder;
use crate::spice::{Link, open};

const ID: &str = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b";
const UUID: [u8; 16] = [
    0x52, 0xb2, 0xe4, 0x4e, 0xe5, 0x61, 0x46, 0x4c, 0x88, 0xf3, 0x2f, 0xc6, 0xa1, 0xec, 0xea, 0x2b,
];
const SESSION: u32 = 0x1234;

/// A hypervisor with a main channel only.
struct Hypervisor {
    port: u16,
    /// `connection_id` of each link so far.
    links: Arc<Mutex<Vec<u32>>>,
    /// What it says on every connection that it has.
    says: broadcast::Sender<Vec<u8>>,
}

fn frame(number: u16, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len()).unwrap();
    [&number.to_le_bytes()[..], &size.to_le_bytes(), body].concat()
}

fn name(name: &str) -> Vec<u8> {
    let length = u32::try_from(name.len() + 1).unwrap();
    frame(113, &[&length.to_le_bytes(), name.as_bytes(), b"\0"].concat())
}

impl Hypervisor {
    /// `says`: behind INIT. `follows`: to a viewer that follows a move, behind its link.
    async fn start(says: Vec<u8>, follows: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let links: Arc<Mutex<Vec<u32>>> = Arc::default();
        let sender = broadcast::Sender::new(8);
        let key = tokio::task::spawn_blocking(|| {
            Key::generate(&mut |bytes: &mut [u8]| getrandom::fill(bytes).unwrap()).unwrap()
        });
        let key = Arc::new(key.await.unwrap());
        let (list, words) = (links.clone(), sender.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (says, follows, list, words, key) = (
                    says.clone(),
                    follows.clone(),
                    list.clone(),
                    words.subscribe(),
                    key.clone(),
                );
                tokio::spawn(async move { serve(stream, (says, follows), list, words, key).await });
            }
        });
        Self {
            port,
            links,
            says: sender,
        }
    }

    fn links(&self) -> Vec<u32> {
        self.links.lock().unwrap().clone()
    }

    /// A message that tells its viewer to go there.
    fn sends_to(&self, kind: u16, port: u16) {
        let destination = Destination {
            port,
            sport: 0,
            host: Bytes::from_static(b"127.0.0.1\0"),
            cert_subject: Bytes::new(),
        };
        let mut body = BytesMut::new();
        match kind {
            101 => MigrateBegin { destination }.encode(&mut body),
            116 => MigrateBeginSeamless {
                destination,
                src_mig_version: 1,
            }
            .encode(&mut body),
            _ => MigrateSwitchHost { destination }.encode(&mut body),
        }
        .unwrap();
        self.says.send(frame(kind, &body)).unwrap();
    }
}

async fn serve(
    mut stream: TcpStream,
    (says, follows): (Vec<u8>, Vec<u8>),
    links: Arc<Mutex<Vec<u32>>>,
    mut words: broadcast::Receiver<Vec<u8>>,
    key: Arc<Key>,
) -> Option<()> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
    let mut id = 0;
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await.ok()? {
            Driven::Ask(ServerQuestion::Link(request)) => {
                id = request.connection_id;
                let shown = Announcement {
                    public_key: key.public(),
                    capabilities: Capabilities::spice_server(request.channel_type),
                };
                machine.announce(&mut buffers, shown).unwrap();
            }
            Driven::Ask(ServerQuestion::Ticket { .. }) => {
                // Noted before the answer: a test that has the answer may look at once.
                links.lock().unwrap().push(id);
                machine.accept(&mut buffers).unwrap();
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(_) => break,
        }
    }
    if id == 0 {
        let mut init = SESSION.to_le_bytes().to_vec();
        init.resize(32, 0);
        stream.write_all(&[frame(103, &init), says].concat()).await.ok()?;
    } else {
        stream.write_all(&follows).await.ok()?;
    }
    let mut heard = buffers.rx;
    loop {
        while let Some(at) = heard.windows(6).position(|window| window == frame(104, &[])) {
            let _ = heard.split_to(at + 6);
            stream.write_all(&frame(104, &[0; 4])).await.ok()?;
        }
        tokio::select! {
            read = stream.read_buf(&mut heard) => if read.ok()? == 0 { return None },
            word = words.recv() => stream.write_all(&word.ok()?).await.ok()?,
        }
    }
}

/// A viewer's main channel.
struct Viewer {
    stream: Connection,
    rx: BytesMut,
}

impl Viewer {
    fn open(gateway: SocketAddr, token: &str, id: u32) -> Result<Self, Link> {
        let (stream, rx) = open(gateway, token, ChannelType::MAIN, id)?;
        Ok(Self { stream, rx })
    }

    /// The next message's number. `None`: the end.
    fn hear(&mut self) -> Option<u16> {
        loop {
            if let Some(head) = self.rx.first_chunk::<6>() {
                let size = u32::from_le_bytes([head[2], head[3], head[4], head[5]]) as usize;
                if 6 + size <= self.rx.len() {
                    let frame = self.rx.split_to(6 + size);
                    return Some(u16::from_le_bytes([frame[0], frame[1]]));
                }
            }
            let mut bytes = [0; 4096];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.rx.extend_from_slice(&bytes[..read]),
            }
        }
    }

    /// Everything up to the message with this number.
    fn waits_for(&mut self, number: u16) -> Vec<u16> {
        let mut heard = Vec::new();
        while heard.last() != Some(&number) {
            heard.push(self.hear().unwrap_or_else(|| panic!("no {number} after {heard:?}")));
        }
        heard
    }
}

/// What another guest's hypervisor may say, and what this one's may.
fn others() -> [Vec<u8>; 3] {
    let uuid = frame(114, &[0x11; 16]);
    [
        [name("db-7"), uuid.clone()].concat(),
        name("db-8"),
        [name("db-8"), frame(114, &UUID)].concat(),
    ]
}

fn own() -> [Vec<u8>; 4] {
    [
        [name("db-7"), frame(114, &UUID)].concat(),
        [name("instance-0000002a"), frame(114, &UUID)].concat(),
        frame(114, &UUID),
        Vec::new(),
    ]
}

/// The gateway before both, where another guest may be at the target unless `alone`.
async fn scene(target: &Hypervisor, alone: bool) -> (Hypervisor, Service, Viewer, String) {
    let source = Hypervisor::start(Vec::new(), Vec::new()).await;
    let low = target.port.saturating_sub(1).max(1);
    let high = target.port.saturating_add(1);
    let range = format!("move_ports = \"{low}-{high}\"");
    let place =
        |port: u16, more: &str| format!("host = \"127.0.0.1\"\nport = {port}\nticket_file = \"vm1.ticket\"\n{more}");
    let places = [place(source.port, ""), place(9, &range)].join("\n[[guest.console.place]]\n");
    let other = place(10, if alone { "" } else { &range });
    let guests = format!(
        "{}{}",
        guest(ID, "spice", &places).replace(
            "[[guest.console]]",
            "name = \"db-7\"\nhypervisor_name = \"instance-0000002a\"\n[[guest.console]]"
        ),
        guest("vm2", "spice", &other),
    );
    let sections = "spice = \"127.0.0.1:0\"\n[public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\n\
                    [operate]\naudit = \"audit.jsonl\"";
    let folder = Folder::new();
    let service = Service::start_in(folder, &with(sections, &guests));
    let wanted = format!("{{\"guest\":\"{ID}\",\"protocol\":\"spice\",\"type\":\"spice-html5\"}}");
    let token = token(&service, &wanted);
    let mut viewer = Viewer::open(service.plain(), &token, 0).expect("a session");
    assert_eq!(viewer.waits_for(103), [103]);
    (source, service, viewer, token)
}

/// Whether the gateway says that it has refused a move.
fn has_refused(service: &Service) -> bool {
    let metrics = call(service, "GET /metrics", "").body;
    metrics.contains("console_gateway_moves_total{outcome=\"refused\"} 1")
}

/// A target that says that it has another guest is left before the viewer is sent there; the viewer stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_not_sent_to_another_guest() {
    for says in others() {
        for kind in [101, 116] {
            let target = Hypervisor::start(says.clone(), Vec::new()).await;
            let (source, service, mut viewer, token) = scene(&target, false).await;
            source.sends_to(kind, target.port);
            viewer.waits_for(kind);
            assert!(has_refused(&service), "{kind}: {says:?}");
            assert!(Viewer::open(service.plain(), &token, SESSION).is_err(), "{kind}");
            assert_eq!(target.links(), [0], "only the gateway was there");
            // MIGRATE_CONNECT_ERROR; the session goes on.
            viewer.stream.write_all(&frame(103, &[])).unwrap();
            source.says.send(frame(106, &[1, 0, 0, 0])).unwrap();
            viewer.waits_for(106);
            drop(viewer);
            let (_, _, log) = service.stop("TERM");
            assert!(log.contains("the target has another guest"), "{log}");
        }
        let target = Hypervisor::start(says, Vec::new()).await;
        let (source, service, mut viewer, _) = scene(&target, false).await;
        source.sends_to(111, target.port);
        assert_eq!(viewer.hear(), None, "the guest is gone, and the session with it");
        assert!(has_refused(&service));
        assert_eq!(target.links(), [0]);
    }
}

/// A target that says that it has this guest, or says nothing, is gone to. Where no other guest can be, it is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_is_sent_to_its_own_guest() {
    for (says, alone) in own()
        .into_iter()
        .map(|says| (says, false))
        .chain([(others()[0].clone(), true)])
    {
        for kind in [101, 116] {
            let target = Hypervisor::start(says.clone(), Vec::new()).await;
            let (source, service, mut viewer, token) = scene(&target, alone).await;
            source.sends_to(kind, target.port);
            viewer.waits_for(kind);
            let there = Viewer::open(service.plain(), &token, SESSION);
            assert!(there.is_ok(), "{kind}: {says:?}");
            assert!(!has_refused(&service), "{kind}: {says:?}");
            let links = if alone { vec![SESSION] } else { vec![0, SESSION] };
            assert_eq!(target.links(), links);
        }
        let target = Hypervisor::start(says.clone(), Vec::new()).await;
        let (source, service, mut viewer, token) = scene(&target, alone).await;
        source.sends_to(111, target.port);
        viewer.waits_for(111);
        drop(viewer);
        let mut there = Viewer::open(service.plain(), &token, 0).expect("the session comes again");
        assert_eq!(there.hear(), Some(103));
    }
}

/// One that says so to the viewer only, behind its link, is left all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_says_later_is_not_passed_on() {
    for (follows, is_own) in others()
        .into_iter()
        .map(|says| (says, false))
        .chain([(own()[0].clone(), true)])
    {
        let target = Hypervisor::start(Vec::new(), follows.clone()).await;
        let (source, service, mut viewer, token) = scene(&target, false).await;
        source.sends_to(101, target.port);
        viewer.waits_for(101);
        let mut there = Viewer::open(service.plain(), &token, SESSION).expect("it has said nothing so far");
        if is_own {
            assert_eq!(there.waits_for(114), [113, 114]);
            assert!(!has_refused(&service));
            continue;
        }
        soon("the refusal", || has_refused(&service)).await;
        // The name may be right, and the UUID behind it not.
        let passed: &[u16] = if follows == others()[0] { &[113] } else { &[] };
        // MIGRATE_CONNECTED: the viewer hears that the guest stays.
        viewer.stream.write_all(&frame(102, &[])).unwrap();
        viewer.waits_for(102);
        let mut heard = Vec::new();
        while let Some(number) = there.hear() {
            heard.push(number);
        }
        assert_eq!(heard, passed);
    }
}
