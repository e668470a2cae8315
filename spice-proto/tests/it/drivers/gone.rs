//! Peers that go while somebody works for them.

use std::future::pending;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{Destination, MigrateBegin};
use spice_proto::ids::ChannelType;
use spice_proto::link::relay::{RelayAction, RelayQuestion, Upstream};
use spice_proto::link::sasl::MechList;
use spice_proto::link::server::{Announcement, SaslAnnouncement, ServerQuestion};
use spice_proto::link::{
    Buffers, HandshakeError, RelayConfig, RelayLink, Secret, ServerLink, Side, SideBuffers, Stage,
};
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::End;
use spice_proto::session::tracker;
use spice_proto::{Clock, DriveError, Driven, Limits, drive, drive_relay, while_both_connected, while_connected};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::LONG;
use super::session::{DISPLAY, ID, MAIN, Open, Proxy, USB, frame, host, init, view};
use super::streams::{Inner, Reset, Stream, line};
use crate::pair::{TICKET, TOKEN, client, key, request};

/// What counts as at once.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How a peer goes.
const WAYS: [Way; 4] = [Way::End, Way::Reset, Way::Said, Way::SaidAndReset];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    End,
    Reset,
    /// After bytes that the other side was not waiting for.
    Said,
    SaidAndReset,
}

/// A line to a peer that goes this way when its end is dropped.
fn line_of(way: Way) -> (Stream, Stream) {
    let (near, far) = duplex(1 << 16);
    match way {
        Way::End | Way::Said => (Box::new(near), Box::new(far)),
        Way::Reset | Way::SaidAndReset => (Box::new(Reset(near)), Box::new(far)),
    }
}

async fn go(mut stream: Stream, way: Way) {
    if let Way::Said | Way::SaidAndReset = way {
        stream.write_all(&[0x5a; 3000]).await.unwrap();
    }
    drop(stream);
}

fn link_message(kind: ChannelType, id: u32) -> BytesMut {
    let mut asked = request(kind, 0xb, 0xf);
    asked.connection_id = id;
    let mut bytes = BytesMut::new();
    asked.encode(&mut bytes).unwrap();
    bytes
}

async fn ends_at_once(relayed: JoinHandle<End>, proxy: &Proxy, what: impl std::fmt::Debug) {
    let end = timeout(AT_ONCE, relayed).await;
    assert!(end.is_ok(), "goes on: {what:?}");
    assert_eq!(
        proxy.notes.lock().unwrap().answering,
        0,
        "answered for nobody: {what:?}"
    );
    assert_eq!(proxy.half_open(), 0, "{what:?}");
}

/// Whatever is being looked for, but for a token, which takes a use and is looked up to the end: the connection ends with its viewer, and its place is free.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_goes_is_not_answered() {
    for way in WAYS {
        for open in [Open::Announce, Open::Refused, Open::Dial, Open::Bind, Open::Target] {
            let mut proxy = Proxy::new();
            proxy.open = open;
            let (tenant, mut viewer) = line_of(way);
            let (near, far) = line(1 << 16, Inner::Nothing);
            proxy.notes.lock().unwrap().hypervisors.push_back(near);
            let kind = if open == Open::Refused { USB } else { MAIN };
            let relayed = proxy.drive(tenant, false);
            let mut source = None;
            match open {
                Open::Announce => viewer.write_all(&link_message(kind, 0)).await.unwrap(),
                Open::Refused | Open::Dial => {
                    let (mut machine, mut buffers) = (client(request(kind, 0xb, 0xf), TOKEN), Buffers::default());
                    let linked = drive(&mut machine, &mut buffers, &mut viewer, Clock::start());
                    assert!(timeout(Duration::from_secs(1), linked).await.is_err());
                }
                _ => {
                    let (peer, mut hypervisor) = tokio::join!(view(viewer, kind, 0), host(far));
                    viewer = peer.stream;
                    hypervisor.stream.write_all(&init()).await.unwrap();
                    let destination = Destination {
                        port: 5900,
                        sport: u16::MAX,
                        host: Bytes::from_static(b"10.1.2.3\0"),
                        cert_subject: Bytes::from_static(b"CN=hypervisor\0"),
                    };
                    let mut body = BytesMut::new();
                    MigrateBegin { destination }.encode(&mut body).unwrap();
                    hypervisor.stream.write_all(&frame(101, &body)).await.unwrap();
                    source = Some(hypervisor);
                }
            }
            sleep(Duration::from_secs(1)).await;
            assert!(!relayed.is_finished());
            assert_eq!(proxy.notes.lock().unwrap().answering, 1, "{open:?}");
            go(viewer, way).await;
            // The other end of what was dialled goes with it.
            if let Some(mut source) = source {
                let mut rest = Vec::new();
                let ended = timeout(AT_ONCE, source.stream.read_to_end(&mut rest)).await;
                ended.unwrap_or_else(|_| panic!("{way:?} {open:?}")).unwrap();
            }
            ends_at_once(relayed, &proxy, (way, open)).await;
        }
    }
}

/// The same for a hypervisor whose session is being recorded.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_goes_is_not_answered() {
    for way in WAYS {
        let mut proxy = Proxy::new();
        proxy.open = Open::Bind;
        let near = line(1 << 16, Inner::Nothing);
        let (viewer, mut source, relayed) = proxy.channel(MAIN, near, line_of(way)).await;
        source.stream.write_all(&init()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(proxy.notes.lock().unwrap().answering, 1);
        drop(source);
        let mut stream = viewer.stream;
        let mut rest = Vec::new();
        timeout(AT_ONCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
        drop(stream);
        ends_at_once(relayed, &proxy, way).await;
    }
}

/// Strangers that leave after their link message hold no places against the viewer that comes next.
#[tokio::test(start_paused = true)]
async fn places_of_those_who_left_are_free() {
    let mut proxy = Proxy::with(tracker::Config::default(), &Settings::default());
    proxy.open = Open::Announce;
    for _ in 0..3 {
        let mut strangers = Vec::new();
        for _ in 0..100 {
            let (tenant, mut stranger) = line_of(Way::Reset);
            strangers.push((
                proxy.drive(tenant, false),
                stranger.write_all(&link_message(MAIN, 0)).await,
                stranger,
            ));
        }
        sleep(Duration::from_millis(5)).await;
        assert_eq!((proxy.half_open(), proxy.notes.lock().unwrap().answering), (100, 100));
        drop(strangers);
        sleep(Duration::from_millis(5)).await;
        assert_eq!((proxy.half_open(), proxy.notes.lock().unwrap().answering), (0, 0));
    }
    proxy.open = Open::None;
    let _main = timeout(AT_ONCE, proxy.main()).await.unwrap();
}

/// The hypervisor's half of a link, up to where it has asked this.
async fn half(stream: &mut Stream, at: Stage) -> (ServerLink, Buffers, Clock) {
    let clock = Clock::start();
    let limits = Limits::default().with_link_timeout(LONG);
    let (mut machine, mut buffers) = (ServerLink::new(clock.now(), limits), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, stream, clock).await.unwrap() {
            Driven::Ask(ServerQuestion::Link(request)) if at == Stage::Ticket => {
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities: Capabilities::spice_server(request.channel_type),
                };
                machine.announce(&mut buffers, shown).unwrap();
            }
            Driven::Ask(_) => return (machine, buffers, clock),
            Driven::Done(_) => unreachable!(),
        }
    }
}

/// A viewer that goes while its hypervisor is half linked ends both at once. One link has to be finished: that of a
/// display whose hypervisor has the ticket, since QEMU ends when it is closed before its first message.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_goes_while_the_hypervisor_is_half_linked() {
    for way in WAYS {
        for kind in [USB, DISPLAY] {
            for at in [Stage::LinkReply, Stage::Ticket] {
                let proxy = Proxy::new();
                let _main = proxy.main().await;
                let (tenant, viewer) = line_of(way);
                let (near, mut far) = line(1 << 16, Inner::Nothing);
                proxy.notes.lock().unwrap().hypervisors.push_back(near);
                let relayed = proxy.drive(tenant, false);
                let mut linking = tokio::spawn(async move {
                    let mut viewer = viewer;
                    let mut asked = request(kind, 0xb, 0xf);
                    asked.connection_id = ID;
                    let (mut machine, mut buffers) = (client(asked, TOKEN), Buffers::default());
                    let linked = drive(&mut machine, &mut buffers, &mut viewer, Clock::start());
                    assert!(timeout(Duration::from_secs(1), linked).await.is_err());
                    viewer
                });
                let (mut machine, mut buffers, clock) = half(&mut far, at).await;
                let viewer = (&mut linking).await.unwrap();
                go(viewer, way).await;
                let mut rest = Vec::new();
                let closed = timeout(AT_ONCE, far.read_to_end(&mut rest)).await;
                if (kind, at) != (DISPLAY, Stage::Ticket) {
                    closed.unwrap_or_else(|_| panic!("{kind} {at}")).unwrap();
                    drop(far);
                    ends_at_once(relayed, &proxy, (way, kind, at)).await;
                    continue;
                }
                assert!(closed.is_err() && !relayed.is_finished(), "QEMU is gone: {way:?}");
                machine.accept(&mut buffers).unwrap();
                let linked = drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap();
                assert!(matches!(linked, Driven::Done(_)));
                let mut first = [0; 20];
                far.read_exact(&mut first).await.unwrap();
                assert_eq!(first[..], frame(101, &[0; 14]));
                assert!(
                    timeout(AT_ONCE, far.read_u8()).await.is_err(),
                    "closed before INIT was handled"
                );
                far.write_all(&frame(3, &[0; 8])).await.unwrap();
                assert!(timeout(AT_ONCE, far.read_u8()).await.unwrap().is_err());
                drop(far);
                ends_at_once(relayed, &proxy, way).await;
            }
        }
    }
}

/// The machine itself: an end on the tenant's side ends the link, whatever the hypervisor's part has come to.
#[test]
fn the_end_of_a_tenant_is_the_end_of_its_link() {
    for (kind, finishes) in [(MAIN, false), (DISPLAY, true)] {
        for reply in [false, true] {
            let mut relay = RelayLink::new(Duration::ZERO, RelayConfig::default());
            let (mut sides, mut server) = (
                SideBuffers::default(),
                crate::pair::Server::new(Capabilities::spice_server(kind), TICKET),
            );
            let (mut viewer, mut buffers) = (client(request(kind, 0xb, 0xf), TOKEN), Buffers::default());
            assert!(!relay.must_finish());
            loop {
                use spice_proto::link::Machine as _;
                let _ = viewer.step(Duration::ZERO, &mut buffers).unwrap();
                sides.tenant.rx.extend_from_slice(&buffers.tx.split());
                match relay.step(Duration::ZERO, &mut sides).unwrap() {
                    RelayAction::Ask(RelayQuestion::Tenant(ServerQuestion::Link(_))) => {
                        relay.tenant().announce(&mut sides.tenant, shown(kind)).unwrap();
                    }
                    RelayAction::Ask(_) => relay.admit(&mut sides, upstream()).unwrap(),
                    RelayAction::Receive { side: Side::Tenant, .. } => {
                        buffers.rx.extend_from_slice(&sides.tenant.tx.split());
                    }
                    _ => break,
                }
            }
            assert!(!relay.must_finish(), "the hypervisor has no ticket yet");
            if reply {
                let said = server.turn(&sides.hypervisor.tx.split());
                sides.hypervisor.rx.extend_from_slice(&said);
                relay.step(Duration::ZERO, &mut sides).unwrap();
                assert_eq!(relay.must_finish(), finishes);
            }
            let closed = HandshakeError::Closed(Stage::LinkResult);
            let error = relay.eof(&mut sides, Side::Tenant).unwrap_err();
            assert_eq!((error.side, error.error), (Side::Tenant, closed));
            assert_eq!(relay.step(Duration::ZERO, &mut sides).unwrap_err(), error);
            assert!(!relay.must_finish());
        }
    }
}

fn shown(kind: ChannelType) -> Announcement {
    Announcement {
        public_key: key().public(),
        capabilities: Capabilities::spice_server(kind),
    }
}

fn upstream() -> Upstream {
    Upstream {
        ticket: Secret::new(TICKET),
        oaep_seed: [4; 20],
    }
}

/// An answer that never comes, and tells when it is dropped.
fn never(dropped: &std::cell::Cell<bool>) -> impl Future<Output = ()> {
    struct Guard<'a>(&'a std::cell::Cell<bool>);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            self.0.set(true);
        }
    }
    async move {
        let _guard = Guard(dropped);
        pending().await
    }
}

fn protocol<E: std::fmt::Debug>(error: DriveError<E>) -> Result<E, std::io::ErrorKind> {
    match error {
        DriveError::Protocol(error) => Ok(error),
        DriveError::Io(error) => Err(error.kind()),
        other => panic!("{other:?}"),
    }
}

/// For machines on one connection, by the function that comes with the driver.
#[tokio::test(start_paused = true)]
async fn a_client_that_goes_is_not_answered() {
    for way in WAYS {
        let clock = Clock::start();
        let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
        let (mut near, mut far) = line_of(way);
        far.write_all(&link_message(MAIN, 0)).await.unwrap();
        let asked = drive(&mut machine, &mut buffers, &mut near, clock).await.unwrap();
        assert!(matches!(asked, Driven::Ask(ServerQuestion::Link(_))));
        let dropped = std::cell::Cell::new(false);
        let (answer, gone) = tokio::join!(
            timeout(
                Duration::from_secs(2),
                while_connected(&mut machine, &mut buffers, &mut near, clock, never(&dropped))
            ),
            async {
                sleep(Duration::from_secs(1)).await;
                go(far, way).await;
                Instant::now()
            }
        );
        assert!(gone.elapsed() < AT_ONCE && dropped.get());
        let closed = match way {
            Way::End | Way::Said => Ok(HandshakeError::Closed(Stage::Answer)),
            Way::Reset | Way::SaidAndReset => Err(std::io::ErrorKind::ConnectionReset),
        };
        assert_eq!(answer.unwrap().map_err(protocol), Err(closed), "{way:?}");
        // Driven on without an answer, the link ends as well.
        let driven = timeout(AT_ONCE, drive(&mut machine, &mut buffers, &mut near, clock)).await;
        assert!(driven.unwrap().is_err());
    }
}

/// A client that stays gets the answer, and the deadline holds.
#[tokio::test(start_paused = true)]
async fn a_client_that_stays_is_answered() {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
    let (mut near, mut far) = line(1 << 16, Inner::Nothing);
    far.write_all(&link_message(MAIN, 0)).await.unwrap();
    far.write_all(&[7; 10_000]).await.unwrap();
    drive(&mut machine, &mut buffers, &mut near, clock).await.unwrap();
    let answer = async {
        sleep(Duration::from_secs(3)).await;
        42
    };
    let answer = while_connected(&mut machine, &mut buffers, &mut near, clock, answer).await;
    assert_eq!(answer.unwrap(), 42);
    assert!(
        buffers.rx.len() < 10_000,
        "no more than there is room for is read ahead"
    );
    let late = while_connected(&mut machine, &mut buffers, &mut near, clock, pending::<()>()).await;
    assert_eq!(late.map_err(protocol), Err(Ok(HandshakeError::TimedOut(Stage::Answer))));
    assert_eq!(clock.now(), Duration::from_secs(10));
}

/// For relays: while the tenant's ticket is looked up, and while a hypervisor's SASL is answered.
#[tokio::test(start_paused = true)]
async fn a_relays_peers_that_go_are_not_answered() {
    for (asked, gone) in [
        (Stage::Ticket, Side::Tenant),
        (Stage::Sasl, Side::Tenant),
        (Stage::Sasl, Side::Hypervisor),
    ] {
        let clock = Clock::start();
        let mut relay = RelayLink::new(clock.now(), RelayConfig::default().with_upstream_sasl(true));
        let mut sides = SideBuffers::default();
        let (mut tenant, mut viewer) = duplex(1 << 16);
        let (mut near, mut far) = duplex(1 << 16);
        let ask = async {
            let mut hypervisor: Option<&mut DuplexStream> = None;
            let mut near = Some(&mut near);
            loop {
                let driven = drive_relay(&mut relay, &mut sides, &mut tenant, hypervisor.as_deref_mut(), clock).await;
                match driven.unwrap() {
                    Driven::Ask(RelayQuestion::Tenant(ServerQuestion::Link(_))) => {
                        relay.tenant().announce(&mut sides.tenant, shown(MAIN)).unwrap();
                    }
                    Driven::Ask(RelayQuestion::Tenant(ServerQuestion::Ticket { .. })) if asked == Stage::Sasl => {
                        relay.admit(&mut sides, upstream()).unwrap();
                        hypervisor = near.take();
                    }
                    Driven::Ask(_) => return,
                    Driven::Done(_) => unreachable!(),
                }
            }
        };
        let view = async {
            let (mut machine, mut buffers) = (client(request(MAIN, 0xb, 0xf), TOKEN), Buffers::default());
            let linked = drive(&mut machine, &mut buffers, &mut viewer, clock);
            assert!(timeout(Duration::from_secs(1), linked).await.is_err());
        };
        let serve = async {
            let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
            let driven = async {
                loop {
                    match drive(&mut machine, &mut buffers, &mut far, clock).await.unwrap() {
                        Driven::Ask(ServerQuestion::Link(_)) => {
                            let shown = SaslAnnouncement {
                                mechanisms: MechList::of(&["PLAIN"]),
                                capabilities: Capabilities::spice_server(MAIN),
                            };
                            machine.announce_sasl(&mut buffers, shown).unwrap();
                        }
                        other => panic!("{other:?}"),
                    }
                }
            };
            assert!(timeout(Duration::from_secs(1), driven).await.is_err());
        };
        tokio::join!(ask, view, serve);
        let dropped = std::cell::Cell::new(false);
        let hypervisor = (asked == Stage::Sasl).then_some(&mut near);
        let looking = while_both_connected(&mut relay, &mut sides, &mut tenant, hypervisor, clock, never(&dropped));
        let go = async {
            sleep(Duration::from_secs(1)).await;
            let (gone, stays) = match gone {
                Side::Tenant => (viewer, far),
                Side::Hypervisor => (far, viewer),
            };
            drop(gone);
            (Instant::now(), stays)
        };
        let (looked, (at, _stays)) = tokio::join!(timeout(Duration::from_secs(2), looking), go);
        assert!(at.elapsed() < AT_ONCE && dropped.get(), "{asked} {gone}");
        let error = looked.unwrap().map_err(protocol).unwrap_err().unwrap();
        assert_eq!(error.side, gone);
        assert!(matches!(error.error, HandshakeError::Closed(_)));
    }
}
