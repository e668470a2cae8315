//! Connections whose session another proxy has, handed on to that one.

use std::collections::VecDeque;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use spice_proto::caps::Capabilities;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::Announcement;
use spice_proto::link::{Buffers, HandshakeError, LinkMess, Refusal, SealedTicket, Secret};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::{Settings, Withheld};
use spice_proto::session::relay::{Config, Dial, End};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Entry, Policy};
use spice_proto::{Clock, DriveError, ManagedClaim, ProxyHandler, SessionManager, drive, drive_session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::session::{DISPLAY, ID, Peerage, Proxy, USB, host, messages, view};
use super::streams::{Inner, Pace, Stream, line, receive, send};
use super::{CAPACITIES, INNERS, LONG};
use crate::pair::{TOKEN, client, key, open, request};

/// Its sessions are all at the other proxy.
struct Author {
    others: Arc<Mutex<VecDeque<Stream>>>,
    ticket: &'static [u8],
}

impl ProxyHandler for Author {
    type Hypervisor = Stream;

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        Ok(Announcement {
            public_key: key().public(),
            capabilities: Capabilities::spice_server(request.channel_type),
        })
    }

    async fn capabilities(&mut self, _: &Dial) -> Option<Capabilities> {
        None
    }

    async fn token(&mut self, _: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        assert_eq!(open(&sealed).unwrap(), TOKEN);
        Ok(Entry::Elsewhere)
    }

    async fn dial(&mut self, _: Dial) -> Option<(Stream, Upstream)> {
        unreachable!("no session is here")
    }

    async fn elsewhere(&mut self, request: &LinkMess) -> Option<(Stream, Upstream)> {
        assert_eq!(request.connection_id, ID);
        let upstream = Upstream {
            ticket: Secret::new(self.ticket),
            oaep_seed: [4; 20],
        };
        Some((self.others.lock().unwrap().pop_front()?, upstream))
    }
}

/// A proxy that hands on.
struct HandsOn {
    hub: Arc<SessionManager>,
    others: Arc<Mutex<VecDeque<Stream>>>,
}

impl HandsOn {
    fn new() -> Self {
        let config = tracker::Config::default().with_link_timeout(LONG);
        Self {
            hub: Arc::new(SessionManager::new(config, [2; 16])),
            others: Arc::default(),
        }
    }

    fn drive(&self, tenant: Stream, ticket: &'static [u8]) -> JoinHandle<End> {
        let endpoint = Endpoint::new("proxy.example", None, NonZeroU16::new(5910), None).unwrap();
        // What may pass is the other proxy's to say.
        let withheld = Settings::default().with_withheld([USB, DISPLAY].map(Withheld::Kind).to_vec());
        let limits = spice_proto::Limits::default().with_link_timeout(LONG);
        let config = Config::new(Arc::new(Policy::new(&withheld)), endpoint).with_limits(limits);
        let peer = Peer::new([127, 0, 0, 1].into(), false);
        let connection = self.hub.accept(peer, Arc::new(config));
        let others = self.others.clone();
        tokio::spawn(async move { drive_session(connection, tenant, Author { others, ticket }).await.0 })
    }

    /// It keeps nothing of the connections that it has handed on.
    async fn knows_nothing(&self) {
        let counts = self.hub.with(|_, sessions| sessions.tracker().counts());
        assert_eq!((counts.sessions, counts.links, counts.half_open), (0, 0, 0));
        assert!(timeout(LONG, self.hub.report()).await.is_err(), "nothing is reported");
    }

    /// A channel over these lines, through both proxies; and how it ends at this one and at the owner.
    async fn channel(
        &self,
        owner: &Proxy,
        kind: ChannelType,
        [(tenant, viewer), (to_owner, at_owner), (near, far)]: [(Stream, Stream); 3],
    ) -> (Peerage, Peerage, [JoinHandle<End>; 2]) {
        owner.notes.lock().unwrap().hypervisors.push_back(near);
        self.others.lock().unwrap().push_back(to_owner);
        let ends = [self.drive(tenant, TOKEN), owner.drive(at_owner, false)];
        let (viewer, hypervisor) = tokio::join!(view(viewer, kind, ID), host(far));
        (viewer, hypervisor, ends)
    }
}

fn wide() -> (Stream, Stream) {
    line(64 << 10, Inner::Nothing)
}

#[tokio::test(start_paused = true)]
async fn all_bytes_arrive_over_two_proxies() {
    let slow = Pace::new(8 << 10, 20);
    for capacity in CAPACITIES {
        let sizes = match capacity {
            1 => vec![2000, 0, 300, 1],
            _ => [30_000, 0, 200, 1, 66_000, 30_001].repeat(2),
        };
        for inner in INNERS {
            for pace in [Pace::FAST, slow] {
                let (owner, proxy) = (Proxy::new(), HandsOn::new());
                let _main = owner.main().await;
                let lines = [0, 1, 2].map(|_| line(capacity, inner));
                let (viewer, hypervisor, _ends) = proxy.channel(&owner, USB, lines).await;
                let [down, up] = [101, 102].map(|number| messages(number, sizes.iter().copied()));
                let (mut view_in, mut view_out) = split(viewer.stream);
                let (mut host_in, mut host_out) = split(hypervisor.stream);
                let carried = timeout(LONG, async {
                    tokio::join!(
                        receive(&mut view_in, down.len(), pace),
                        receive(&mut host_in, up.len(), pace),
                        send(&mut view_out, &up, pace),
                        send(&mut host_out, &down, pace),
                    )
                });
                let carried = carried.await;
                let ((got_down, _), (got_up, _), (), ()) =
                    carried.unwrap_or_else(|_| panic!("stands still: {capacity} {inner:?}"));
                assert!(got_down == down && got_up == up, "other bytes: {capacity} {inner:?}");
            }
        }
    }
}

/// Each end ends both connections, and what was said before arrives.
#[tokio::test(start_paused = true)]
async fn both_proxies_end_with_either_side() {
    for viewer_goes in [false, true] {
        let (owner, proxy) = (Proxy::new(), HandsOn::new());
        let _main = owner.main().await;
        let (viewer, hypervisor, [here, there]) = proxy.channel(&owner, USB, [wide(), wide(), wide()]).await;
        let (mut goes, stays) = match viewer_goes {
            true => (viewer.stream, hypervisor.stream),
            false => (hypervisor.stream, viewer.stream),
        };
        let said = messages(101, [50_000; 4]);
        let ((), (got, _)) = tokio::join!(
            async {
                goes.write_all(&said).await.unwrap();
                drop(goes);
            },
            receive(stays, said.len(), Pace::new(10_000, 20))
        );
        assert!(got == said);
        let expected = if viewer_goes { End::Viewer } else { End::Hypervisor };
        assert_eq!((here.await.unwrap(), there.await.unwrap()), (expected, expected));
        proxy.knows_nothing().await;
    }
}

/// A session that ends at its owner, and a proxy that stops.
#[tokio::test(start_paused = true)]
async fn what_is_handed_on_ends_with_its_proxies() {
    for owner_stops in [false, true] {
        let (owner, proxy) = (Proxy::new(), HandsOn::new());
        let _main = owner.main().await;
        let (mut viewer, hypervisor, [here, there]) = proxy.channel(&owner, USB, [wide(), wide(), wide()]).await;
        let ends = match owner_stops {
            true => {
                owner.hub.stop();
                (End::Hypervisor, End::Session)
            }
            false => {
                proxy.hub.stop();
                (End::Session, End::Viewer)
            }
        };
        // As any proxy's, its last words have 30 s to be taken.
        let told = timeout(Duration::from_secs(40), viewer.stream.read(&mut [0; 16])).await;
        assert_eq!(told.expect("in time").unwrap_or(0), 0);
        drop((viewer, hypervisor));
        assert_eq!((here.await.unwrap(), there.await.unwrap()), ends);
    }
}

/// The code that a viewer receives whose connection is not handed on.
async fn refused(proxy: &HandsOn, ticket: &'static [u8]) -> Option<LinkErrorCode> {
    let (tenant, mut viewer) = wide();
    let end = proxy.drive(tenant, ticket);
    let mut asked = request(DISPLAY, 0xb, 0xf);
    asked.connection_id = ID;
    let (mut machine, mut buffers) = (client(asked, TOKEN), Buffers::default());
    let told = match drive(&mut machine, &mut buffers, &mut viewer, Clock::start()).await {
        Err(DriveError::Protocol(HandshakeError::Rejected(code))) => Some(code),
        Err(_) => None,
        Ok(_) => panic!("it is let in"),
    };
    end.await.unwrap();
    told
}

/// An owner that is not reached is as a hypervisor that is not; what an owner refuses is refused with its words.
#[tokio::test(start_paused = true)]
async fn an_owner_may_not_be_there() {
    let (owner, proxy) = (Proxy::new(), HandsOn::new());
    let _main = owner.main().await;
    assert_eq!(refused(&proxy, TOKEN).await, Some(LinkErrorCode::ERROR));
    let (to_owner, at_owner) = wide();
    proxy.others.lock().unwrap().push_back(to_owner);
    let there = owner.drive(at_owner, false);
    assert_eq!(
        refused(&proxy, b"another").await,
        Some(LinkErrorCode::PERMISSION_DENIED)
    );
    assert!(matches!(there.await.unwrap(), End::Link(_)));
    let (to_owner, at_owner) = wide();
    proxy.others.lock().unwrap().push_back(to_owner);
    drop(at_owner);
    assert_eq!(refused(&proxy, TOKEN).await, Some(LinkErrorCode::ERROR));
    proxy.knows_nothing().await;
}
