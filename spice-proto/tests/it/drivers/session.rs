//! Connections of a session over slow lines.

use std::collections::VecDeque;
use std::future::pending;
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use spice_proto::agent::{ClipboardGrab, Message, Pieces};
use spice_proto::caps::Capabilities;
use spice_proto::frame::{Header, HeaderForm};
use spice_proto::ids::{ChannelType, ClipboardType, LinkErrorCode};
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::Announcement;
use spice_proto::link::{Buffers, LinkMess, Refusal, SealedTicket, Secret};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Config, Dial, End, Move};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Entry, Policy, SessionKey};
use spice_proto::{Clock, Driven, ManagedClaim, ProxyHandler, SessionManager, drive, drive_session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::streams::{Inner, Pace, Stream, line, receive, send};
use super::{CAPACITIES, INNERS, LONG, link, runtime};
use crate::link_values::random_bytes;
use crate::pair::{TICKET, TOKEN, client, key, open, request};

pub(super) const MAIN: ChannelType = ChannelType::MAIN;
pub(super) const DISPLAY: ChannelType = ChannelType::DISPLAY;
pub(super) const USB: ChannelType = ChannelType::USBREDIR;
pub(super) const ID: u32 = 0x1234;
/// CHANNELS_LIST with a display, inputs and USB.
const LIST: [u8; 10] = [3, 0, 0, 0, 2, 0, 3, 0, 9, 0];

/// The question that is never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    None,
    Announce,
    Refused,
    Dial,
    Bind,
    Target,
}

/// Shared by the author of the proxy and the test.
#[derive(Default)]
pub(super) struct Notes {
    /// Connections to hypervisors, in the order in which they are needed.
    pub(super) hypervisors: VecDeque<Stream>,
    /// The session that was opened last.
    session: Option<SessionKey>,
    /// Questions that are being answered.
    pub(super) answering: usize,
}

pub(super) struct Author {
    hub: Arc<SessionManager>,
    notes: Arc<Mutex<Notes>>,
    open: Open,
}

/// An answer that is looked for.
struct Looking(Arc<Mutex<Notes>>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.lock().unwrap().answering -= 1;
    }
}

impl Author {
    async fn look(&self, question: Open) {
        self.notes.lock().unwrap().answering += 1;
        let _looking = Looking(self.notes.clone());
        if self.open == question {
            pending().await
        }
    }
}

impl ProxyHandler for Author {
    type Hypervisor = Stream;

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        self.look(Open::Announce).await;
        Ok(Announcement {
            public_key: key().public(),
            capabilities: Capabilities::spice_server(request.channel_type),
        })
    }

    async fn capabilities(&mut self, _: &Dial) -> Option<Capabilities> {
        None
    }

    async fn token(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        let mut notes = self.notes.lock().unwrap();
        match (open(&sealed), notes.session) {
            (Some(token), _) if token == TOKEN && (request.channel_type, request.connection_id) == (MAIN, 0) => {
                let claim = self.hub.claim();
                notes.session = Some(claim.key());
                Ok(Entry::Open(claim))
            }
            (Some(token), session) if token == TOKEN => Ok(Entry::Join(session.unwrap_or(SessionKey::new(0)))),
            _ => Err(Refusal::Code(LinkErrorCode::PERMISSION_DENIED)),
        }
    }

    async fn refused(&mut self, _: ChannelType, _: tracker::Reason) -> Refusal {
        self.look(Open::Refused).await;
        Refusal::Close
    }

    async fn dial(&mut self, _: Dial) -> Option<(Stream, Upstream)> {
        self.look(Open::Dial).await;
        let upstream = Upstream {
            ticket: Secret::new(TICKET),
            oaep_seed: [4; 20],
        };
        let stream = self.notes.lock().unwrap().hypervisors.pop_front()?;
        Some((stream, upstream))
    }

    async fn bind(&mut self, _: SessionKey, _: u32) -> bool {
        self.look(Open::Bind).await;
        true
    }

    async fn target(&mut self, _: &Move) -> bool {
        self.look(Open::Target).await;
        true
    }
}

/// A proxy for one session.
pub(super) struct Proxy {
    pub(super) hub: Arc<SessionManager>,
    config: Arc<Config>,
    pub(super) notes: Arc<Mutex<Notes>>,
    /// It never answers this.
    pub(super) open: Open,
    /// Its reports are read.
    heard: AtomicBool,
}

/// One end of a channel: its stream, and what came with the link.
pub(super) struct Peerage {
    pub(super) stream: Stream,
    pub(super) rx: BytesMut,
}

impl Proxy {
    pub(super) fn new() -> Self {
        Self::with(tracker::Config::default(), &Settings::default())
    }

    pub(super) fn with(tracker: tracker::Config, settings: &Settings) -> Self {
        let port = |number| NonZeroU16::new(number);
        let endpoint = Endpoint::new("proxy.example", None, port(5910), None).unwrap();
        let limits = spice_proto::Limits::default().with_link_timeout(LONG);
        let policy = Arc::new(Policy::new(settings));
        Self {
            hub: Arc::new(SessionManager::new(tracker.with_link_timeout(LONG), [1; 16])),
            config: Arc::new(Config::new(policy, endpoint).with_limits(limits)),
            notes: Arc::default(),
            open: Open::None,
            heard: AtomicBool::new(false),
        }
    }

    /// A tenant's connection.
    pub(super) fn drive(&self, tenant: Stream, secure: bool) -> JoinHandle<End> {
        // A tenant whose link failed gets its answer only after the caller has taken the report.
        if !self.heard.swap(true, Ordering::Relaxed) {
            let hub = self.hub.clone();
            tokio::spawn(async move {
                loop {
                    hub.report().await;
                }
            });
        }
        let address = [127, 0, 0, 1].into();
        let connection = self.hub.accept(Peer { address, secure }, self.config.clone());
        let author = Author {
            hub: self.hub.clone(),
            notes: self.notes.clone(),
            open: self.open,
        };
        tokio::spawn(async move { drive_session(connection, tenant, author).await.0 })
    }

    pub(super) fn half_open(&self) -> usize {
        self.hub.with(|_, sessions| sessions.tracker().counts().half_open)
    }

    /// A channel between two lines: the driver's ends, and the ends that are given back.
    pub(super) async fn channel(
        &self,
        kind: ChannelType,
        (tenant, viewer): (Stream, Stream),
        (near, far): (Stream, Stream),
    ) -> (Peerage, Peerage, JoinHandle<End>) {
        self.notes.lock().unwrap().hypervisors.push_back(near);
        let relayed = self.drive(tenant, false);
        let id = if kind == MAIN { 0 } else { ID };
        let (viewer, hypervisor) = tokio::join!(view(viewer, kind, id), host(far));
        (viewer, hypervisor, relayed)
    }

    /// The main channel, up to where others can join.
    pub(super) async fn main(&self) -> (Peerage, Peerage, JoinHandle<End>) {
        self.main_over(line(1 << 16, Inner::Nothing)).await
    }

    /// The same, with this line to the viewer.
    async fn main_over(&self, tenant: (Stream, Stream)) -> (Peerage, Peerage, JoinHandle<End>) {
        let wide = line(1 << 16, Inner::Nothing);
        let (mut viewer, mut source, relayed) = self.channel(MAIN, tenant, wide).await;
        source.stream.write_all(&init()).await.unwrap();
        source.stream.write_all(&frame(104, &LIST)).await.unwrap();
        let mut said = vec![0; 6 + 32 + 6 + LIST.len() - viewer.rx.len()];
        viewer.stream.read_exact(&mut said).await.unwrap();
        (viewer, source, relayed)
    }
}

/// The viewer's half of a link.
pub(super) async fn view(mut stream: Stream, kind: ChannelType, id: u32) -> Peerage {
    let mut asked = request(kind, 0xb, 0xf);
    asked.connection_id = id;
    let (mut machine, mut buffers) = (client(asked, TOKEN), Buffers::default());
    match drive(&mut machine, &mut buffers, &mut stream, Clock::start())
        .await
        .unwrap()
    {
        Driven::Done(_) => Peerage { stream, rx: buffers.rx },
        Driven::Ask(question) => panic!("{question:?}"),
    }
}

/// The hypervisor's half of a link.
pub(super) async fn host(mut stream: Stream) -> Peerage {
    let buffers = link::serve(&mut stream, TICKET, Duration::ZERO).await;
    Peerage { stream, rx: buffers.rx }
}

pub(super) fn frame(number: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let header = Header {
        serial: 1,
        number,
        size: body.len() as u32,
        sub_list: 0,
    };
    header.write(HeaderForm::Mini, &mut bytes);
    bytes.extend_from_slice(body);
    bytes.to_vec()
}

/// INIT, which names the session.
pub(super) fn init() -> Vec<u8> {
    let mut body = ID.to_le_bytes().to_vec();
    body.resize(32, 0);
    frame(103, &body)
}

/// Messages with bodies of these sizes.
pub(super) fn messages(number: u16, sizes: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let sizes: Vec<usize> = sizes.into_iter().collect();
    let bodies = random_bytes(9, sizes.iter().sum());
    let (mut bytes, mut left) = (Vec::new(), &bodies[..]);
    for size in sizes {
        let (body, rest) = left.split_at(size);
        bytes.extend_from_slice(&frame(number, body));
        left = rest;
    }
    bytes
}

/// How the four ends of a channel behave.
#[derive(Debug, Clone)]
struct Plan {
    capacities: [usize; 2],
    inners: [Inner; 2],
    /// The viewer and the hypervisor reading, the viewer and the hypervisor writing.
    paces: [Pace; 4],
    /// Sizes of what goes to the viewer, and to the hypervisor.
    sizes: [Vec<usize>; 2],
}

/// A channel that carries messages in both directions at once. Gives the longest wait on each side, and how it ended.
async fn carry(plan: &Plan) -> ([Duration; 2], End) {
    let proxy = Proxy::new();
    let _main = proxy.main().await;
    let lines = [0, 1].map(|side| line(plan.capacities[side], plan.inners[side]));
    let [near, far] = lines;
    let (viewer, hypervisor, relayed) = proxy.channel(USB, near, far).await;
    let [down, up] = [0, 1].map(|side| messages(101, plan.sizes[side].iter().copied()));
    let [viewer_reads, host_reads, viewer_writes, host_writes] = plan.paces;
    // Both stay open until both have got everything.
    let (mut view_in, mut view_out) = split(viewer.stream);
    let (mut host_in, mut host_out) = split(hypervisor.stream);
    let ((got_down, at_viewer), (got_up, at_host), (), ()) = tokio::join!(
        receive(&mut view_in, down.len(), viewer_reads),
        receive(&mut host_in, up.len(), host_reads),
        send(&mut view_out, &up, viewer_writes),
        send(&mut host_out, &down, host_writes),
    );
    assert!(got_down == down && got_up == up, "other bytes: {plan:?}");
    drop((view_in, view_out, host_in, host_out));
    let end = relayed.await.unwrap();
    assert!(matches!(end, End::Viewer | End::Hypervisor), "{end}");
    ([at_viewer, at_host], end)
}

#[tokio::test(start_paused = true)]
async fn all_bytes_arrive_over_any_line() {
    let (fast, slow) = (Pace::FAST, Pace::new(8 << 10, 20));
    for capacity in CAPACITIES {
        // More than all buffers between the two ends hold.
        let some = [30_000, 0, 200, 1, 30_000, 66_000, 300, 30_001].repeat(2);
        let paces = [
            ([fast, fast], [fast, fast]),
            ([slow, fast], [fast, fast]),
            ([fast, slow], [fast, fast]),
            ([slow, slow], [fast, fast]),
            ([fast, fast], [slow, slow]),
        ];
        let sizes = match capacity {
            1 => vec![2000, 0, 300, 1],
            _ => some,
        };
        for inner in INNERS {
            for (reads, writes) in paces {
                let plan = Plan {
                    capacities: [capacity; 2],
                    inners: [inner; 2],
                    paces: [reads[0], reads[1], writes[0], writes[1]],
                    sizes: [sizes.clone(), sizes.clone()],
                };
                let carried = timeout(LONG, carry(&plan)).await;
                let (waits, _) = carried.unwrap_or_else(|_| panic!("stands still: {plan:?}"));
                assert!(waits.iter().all(|wait| wait.as_secs() < 2), "{waits:?} {plan:?}");
            }
        }
    }
}

/// A viewer slower than its guest: nothing but a flush makes room.
#[tokio::test(start_paused = true)]
async fn a_viewer_slower_than_its_guest() {
    let wide = INNERS.map(|inner| (64 << 10, inner, 20));
    for (capacity, inner, count) in wide.into_iter().chain([(1, Inner::Flushed(64 << 10), 2)]) {
        let plan = Plan {
            capacities: [capacity, 64 << 10],
            inners: [inner, Inner::Nothing],
            paces: [Pace::new(12_000, 20), Pace::FAST, Pace::FAST, Pace::FAST],
            sizes: [vec![60_000; count], vec![]],
        };
        let carried = timeout(LONG, carry(&plan)).await;
        let (waits, _) = carried.unwrap_or_else(|_| panic!("stands still: {inner:?}"));
        assert!(waits[0].as_millis() < 500, "{waits:?} {inner:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_line_and_any_pace(
        capacities in [8_usize..100_000, 8_usize..100_000],
        inners in [super::inners(), super::inners()],
        bytes in prop::array::uniform4(100_usize..100_000),
        rests in prop::array::uniform4(0_u64..60),
        down in prop::collection::vec(0_usize..70_000, 0..8),
        up in prop::collection::vec(0_usize..70_000, 0..8),
    ) {
        let paces = [0, 1, 2, 3].map(|n| Pace::new(bytes[n], rests[n]));
        let plan = Plan { capacities, inners, paces, sizes: [down, up] };
        let carried = runtime().block_on(async { timeout(LONG, carry(&plan)).await });
        prop_assert!(carried.is_ok(), "stands still");
    }
}

/// What one side still has to get when the other has hung up is not cut off, and does not keep the place.
#[tokio::test(start_paused = true)]
async fn last_words_arrive() {
    for inner in INNERS {
        let proxy = Proxy::new();
        let _main = proxy.main().await;
        let wide = line(64 << 10, Inner::Nothing);
        let (viewer, hypervisor, relayed) = proxy.channel(USB, line(1 << 10, inner), wide).await;
        let said = messages(101, [50_000; 4]);
        let Peerage { mut stream, .. } = hypervisor;
        let slow = Pace::new(10_000, 200);
        let ((), (got, _)) = tokio::join!(
            async {
                stream.write_all(&said).await.unwrap();
                drop(stream);
            },
            receive(viewer.stream, said.len(), slow)
        );
        assert!(got == said, "{inner:?}");
        assert_eq!(relayed.await.unwrap(), End::Hypervisor);
    }
}

/// A peer that is there and takes nothing does not keep the connection when the other has hung up.
#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_for_ever() {
    for viewer_goes in [false, true] {
        let proxy = Proxy::new();
        let _main = proxy.main().await;
        let (tenant, near) = (line(1 << 10, Inner::Nothing), line(1 << 10, Inner::Nothing));
        let (viewer, hypervisor, relayed) = proxy.channel(USB, tenant, near).await;
        let (stays, mut goes) = match viewer_goes {
            true => (hypervisor, viewer),
            false => (viewer, hypervisor),
        };
        let said = messages(101, [2000; 40]);
        timeout(LONG, goes.stream.write_all(&said)).await.unwrap().unwrap();
        drop(goes);
        sleep(Duration::from_secs(20)).await;
        assert!(!relayed.is_finished(), "there is time to take it");
        let end = timeout(Duration::from_secs(60), relayed).await.unwrap().unwrap();
        assert_eq!(end, if viewer_goes { End::Viewer } else { End::Hypervisor });
        drop(stays);
    }
}

/// A peer that sends without an end, and does not see that the other side is gone, is not read for as long as it sends.
#[tokio::test(start_paused = true)]
async fn a_peer_that_goes_on_sending_is_left() {
    for viewer_goes in [false, true] {
        let proxy = Proxy::new();
        let _main = proxy.main().await;
        let (tenant, near) = (line(64 << 10, Inner::Nothing), line(64 << 10, Inner::Nothing));
        let (viewer, hypervisor, relayed) = proxy.channel(USB, tenant, near).await;
        let (mut stays, goes) = match viewer_goes {
            true => (hypervisor, viewer),
            false => (viewer, hypervisor),
        };
        drop(goes);
        let (said, mut sent) = (messages(101, [50_000; 4]), 0);
        while stays.stream.write_all(&said).await.is_ok() {
            sent += said.len();
            assert!(sent < 32 << 20, "{sent} bytes were read for nobody");
        }
        assert_eq!(
            relayed.await.unwrap(),
            if viewer_goes { End::Viewer } else { End::Hypervisor }
        );
    }
}

/// A viewer that reads nothing does not fill the proxy's memory: neither with small messages nor with one large one.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_does_not_read_holds_its_hypervisor_back() {
    for sizes in [vec![100; 100_000], vec![20_000; 500], vec![10_000_000]] {
        for to_viewer in [true, false] {
            let proxy = Proxy::new();
            let _main = proxy.main().await;
            let (tenant, near) = (line(1 << 10, Inner::Nothing), line(1 << 10, Inner::Nothing));
            let (viewer, hypervisor, _relayed) = proxy.channel(USB, tenant, near).await;
            let (reader, mut writer) = match to_viewer {
                true => (viewer, hypervisor),
                false => (hypervisor, viewer),
            };
            // The first two of a client are looked at whole.
            let bytes = messages(101, [1, 1].into_iter().chain(sizes.iter().copied()));
            let mut taken = 0;
            while let Ok(written) = timeout(Duration::from_secs(1), writer.stream.write(&bytes[taken..])).await {
                taken += written.unwrap();
                assert!(
                    taken < 256 << 10,
                    "{taken} bytes taken for nobody: {} {to_viewer}",
                    sizes[0]
                );
            }
            // And then it goes on.
            let rest = &bytes[taken..(taken + 500_000).min(bytes.len())];
            let ((), (got, _)) = tokio::join!(
                send(&mut writer.stream, rest, Pace::FAST),
                receive(reader.stream, taken, Pace::FAST)
            );
            assert!(got[..] == bytes[..taken]);
        }
    }
}

/// A viewer whose agent data are left out, and that does not read what it gets back for them, does not fill the memory.
#[tokio::test(start_paused = true)]
async fn tokens_that_nobody_reads_become_one_message() {
    const LEFT_OUT: u32 = 2000;
    let mut settings = Settings::default();
    settings.clipboard.to_guest = false;
    let proxy = Proxy::with(tracker::Config::default(), &settings);
    let (viewer, mut source, _relayed) = proxy.main_over(line(1 << 10, Inner::Nothing)).await;
    // PING, until the line to the viewer is full.
    let pings = messages(4, [2000; 200]);
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_secs(1), source.stream.write(&pings[taken..])).await {
        taken += written.unwrap();
    }
    let grab = Message::ClipboardGrab(ClipboardGrab {
        selection: None,
        serial: None,
        types: vec![ClipboardType::UTF8_TEXT],
    });
    let body = Pieces::new(&grab).unwrap().next().unwrap();
    let (reads, mut writes) = split(viewer.stream);
    for _ in 0..LEFT_OUT {
        timeout(LONG, writes.write_all(&frame(107, &body)))
            .await
            .unwrap()
            .unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    let rest = async {
        send(&mut source.stream, &pings[taken..], Pace::FAST).await;
        pending::<()>().await;
    };
    let heard = async {
        let (mut reads, mut rx) = (reads, BytesMut::new());
        let (mut tokens, mut messages) = (0, 0);
        while tokens < LEFT_OUT {
            assert_ne!(reads.read_buf(&mut rx).await.unwrap(), 0);
            while let Some(header) = Header::read(HeaderForm::Mini, &rx) {
                let end = HeaderForm::Mini.len() + header.size as usize;
                if rx.len() < end {
                    break;
                }
                let message = rx.split_to(end);
                if header.number == 110 {
                    messages += 1;
                    tokens += u32::from_le_bytes(message[6..10].try_into().unwrap());
                }
            }
        }
        (tokens, messages)
    };
    let (tokens, messages) = tokio::select! {
        heard = timeout(LONG, heard) => heard.unwrap(),
        () = rest => unreachable!(),
    };
    assert_eq!((tokens, messages), (LEFT_OUT, 1));
}
