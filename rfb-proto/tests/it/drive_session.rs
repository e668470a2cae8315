//! [`drive_session`] over networks as they are: nothing waits for ever, all bytes arrive once and in order, and a side
//! that goes is noticed whatever is waited for.

use core::future::pending;
use core::time::Duration;
use std::sync::Arc;

use rfb_proto::encoding::Encoding;
use rfb_proto::filter::Filter;
use rfb_proto::handshake::Refusal;
use rfb_proto::handshake::bridge::{BridgeError, BridgeOutcome, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{HandshakeError, Side};
use rfb_proto::message::SetEncodings;
use rfb_proto::security::SecurityType;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Cause, Config, Dial, End, Move};
use rfb_proto::{Connection, Limits, NotDialled, ProxyHandler, drive_session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep, timeout};

use crate::chain::{PASSWORD, TENANT_CHALLENGE};
use crate::session_relay::{
    client, config, hypervisor_hears, hypervisor_opening, init, tenant_hears, tenant_opening, upstream,
};
use crate::slow::{CAPACITIES, Shape, connection, says_all_first};

const FOR_EVER: Duration = Duration::from_secs(3600);

/// The answers, each of which takes a while.
struct Guest<H> {
    /// Its hypervisors, the next one last.
    hypervisors: Vec<H>,
    think: Duration,
    dials: Vec<Dial>,
    enters: bool,
    /// What this tenant may do, and how its hypervisor is spoken to.
    filter: Option<Filter>,
    types: Option<Vec<SecurityType>>,
}

impl<H> Guest<H> {
    fn new(hypervisors: impl Into<Vec<H>>) -> Self {
        Self {
            hypervisors: hypervisors.into(),
            think: Duration::from_millis(7),
            dials: Vec::new(),
            enters: true,
            filter: None,
            types: None,
        }
    }
}

impl<H: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> ProxyHandler for Guest<H> {
    type Hypervisor = H;

    fn challenge(&mut self) -> [u8; 16] {
        TENANT_CHALLENGE
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        sleep(self.think).await;
        match shown {
            ClientCredentials::Vnc { challenge, response } if Password::new(PASSWORD).verify(&challenge, &response) => {
                Ok(())
            }
            _ => Err(Refusal::default()),
        }
    }

    async fn dial(&mut self, dial: Dial) -> Result<(H, Upstream), NotDialled> {
        sleep(self.think).await;
        self.dials.push(dial);
        let hypervisor = self.hypervisors.pop().ok_or(NotDialled::Unreachable)?;
        let upstream = match &self.types {
            Some(types) => upstream().with_types(types, &[]),
            None => upstream(),
        };
        Ok((hypervisor, upstream))
    }

    fn filter(&mut self) -> Option<Filter> {
        self.filter.clone()
    }

    fn authenticated(&mut self, outcome: &BridgeOutcome) -> bool {
        assert_eq!(outcome.tenant.security.to_string(), "VNC Authentication (2)");
        self.enters
    }
}

fn patient(config: Config) -> Arc<Config> {
    let mut config = config;
    config.bridge.limits = Limits::default().with_handshake_timeout(FOR_EVER);
    Arc::new(config)
}

/// A viewer and a hypervisor that say all that they have to say before they read anything.
async fn session(capacity: usize, shapes: [Shape; 4]) {
    let [far_tenant, near_tenant, near_upper, far_upper] = shapes;
    let (mut tenant, own_tenant) = connection(capacity, far_tenant, near_tenant);
    let (own_upper, mut upper) = connection(capacity, near_upper, far_upper);
    let shown = init(640, 480);
    let (wish, keys) = (
        client(SetEncodings::new(&[Encoding::ZRLE])),
        b"\x04\x01\0\0\0\0\0\x61".repeat(400),
    );
    let says = [tenant_opening(1), wish.clone(), keys.clone()].concat();
    let bells = b"\x02".repeat(3000);
    let shows = [hypervisor_opening(&shown), bells.clone()].concat();
    let hears = [tenant_hears(&shown), bells].concat();
    let asked = [hypervisor_hears(1), wish, keys].concat();
    let peers = async {
        let heard = tokio::join!(
            says_all_first(&mut tenant, &says, hears.len()),
            says_all_first(&mut upper, &shows, asked.len()),
        );
        tenant.shutdown().await.unwrap();
        drop(tenant);
        // To the end, which is passed on.
        let mut rest = Vec::new();
        let _ = upper.read_to_end(&mut rest).await;
        (heard, rest)
    };
    let driven = drive_session(Connection::new(patient(config())), own_tenant, Guest::new([own_upper]));
    let what = format!("{capacity} bytes, {shapes:?}");
    let both = timeout(FOR_EVER, async { tokio::join!(peers, driven) }).await;
    let ((heard, rest), (end, guest)) = both.unwrap_or_else(|_| panic!("waits: {what}"));
    assert!(heard == (hears, asked) && rest.is_empty(), "{what}");
    assert_eq!(end, End::Viewer, "{what}");
    assert_eq!(guest.unwrap().dials.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn slow_networks() {
    for capacity in CAPACITIES {
        for buffered in [false, true] {
            for (tenant, upper) in [(false, false), (true, false), (false, true), (true, true)] {
                let shape = |is_slow| Shape::new(buffered, is_slow);
                session(capacity, [shape(tenant), shape(tenant), shape(upper), shape(upper)]).await;
            }
        }
    }
}

/// Pictures to a viewer that reads slowly, and keys at the same time.
#[tokio::test(start_paused = true)]
async fn both_directions_at_once() {
    for capacity in CAPACITIES {
        let amount = if capacity == 1 { 5_000 } else { 200_000 };
        let (mut tenant, own_tenant) = duplex(capacity);
        let (own_upper, mut upper) = duplex(capacity);
        let driven = tokio::spawn(drive_session(
            Connection::new(patient(config())),
            own_tenant,
            Guest::new([own_upper]),
        ));
        let shown = init(640, 480);
        let viewer = async {
            tenant.write_all(&tenant_opening(1)).await.unwrap();
            let mut opening = vec![0; tenant_hears(&shown).len()];
            tenant.read_exact(&mut opening).await.unwrap();
            let (mut read, mut write) = tokio::io::split(tenant);
            let keys = async {
                for _ in 0..1000 {
                    write.write_all(b"\x04\x01\0\0\0\0\0\x61").await.unwrap();
                }
            };
            let pictures = async {
                let mut piece = [0; 4096];
                let mut count = 0;
                while count < amount {
                    count += read.read(&mut piece).await.unwrap();
                    sleep(Duration::from_millis(1)).await;
                }
                count
            };
            tokio::join!(keys, pictures).1
        };
        let hypervisor = async {
            upper.write_all(&hypervisor_opening(&shown)).await.unwrap();
            let mut opening = vec![0; hypervisor_hears(1).len()];
            upper.read_exact(&mut opening).await.unwrap();
            let (mut read, mut write) = tokio::io::split(upper);
            let bells = async { write.write_all(&vec![2; amount]).await.unwrap() };
            let keys = async {
                let mut keys = vec![0; 8000];
                read.read_exact(&mut keys).await.unwrap();
            };
            tokio::join!(bells, keys);
        };
        let both = timeout(FOR_EVER, async { tokio::join!(viewer, hypervisor) }).await;
        assert_eq!(both.expect("it waits").0, amount);
        let _ = driven.await.unwrap();
    }
}

/// Where the tenant is when it goes.
async fn tenant_that_goes(behind: &[u8], guest: Guest<DuplexStream>) -> (Duration, End, bool) {
    let (mut tenant, own) = duplex(1024);
    let driven = tokio::spawn(drive_session(Connection::new(patient(config())), own, guest));
    tenant.write_all(behind).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    let started = Instant::now();
    drop(tenant);
    let (end, guest) = driven.await.unwrap();
    (started.elapsed(), end, guest.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_question_is_dropped_when_the_tenant_goes() {
    let opening = tenant_opening(1);
    let slow = |hypervisors: Vec<DuplexStream>| Guest {
        think: FOR_EVER,
        ..Guest::new(hypervisors)
    };
    // While it is looked at.
    let (time, end, guest) = tenant_that_goes(&opening[..29], slow(vec![])).await;
    assert!(
        matches!(end, End::Handshake(BridgeError { side: Side::Tenant, .. })),
        "{end}"
    );
    assert!(time < Duration::from_secs(2) && !guest, "{time:?}");
    // While the hypervisor says nothing.
    let (own_upper, _upper) = duplex(1024);
    let (time, end, guest) = tenant_that_goes(&opening, Guest::new([own_upper])).await;
    assert!(
        matches!(end, End::Handshake(BridgeError { side: Side::Tenant, .. })),
        "{end}"
    );
    assert!(time < Duration::from_secs(2) && guest, "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_says_nothing_is_told_so_by_the_end() {
    let (mut tenant, own) = duplex(1024);
    let driven = tokio::spawn(drive_session(
        Connection::new(Arc::new(config())),
        own,
        Guest::<DuplexStream>::new([]),
    ));
    let started = Instant::now();
    let mut heard = Vec::new();
    tenant.read_to_end(&mut heard).await.unwrap();
    assert_eq!((heard, started.elapsed().as_secs()), (b"RFB 003.008\n".to_vec(), 60));
    drop(tenant);
    let (end, guest) = driven.await.unwrap();
    assert!(matches!(
        end,
        End::Handshake(BridgeError {
            error: HandshakeError::TimedOut(_),
            ..
        })
    ));
    assert!(guest.is_some());
}

/// The last words to a tenant reach it, and a peer that never closes does not keep its place.
#[tokio::test(start_paused = true)]
async fn last_words() {
    for (hypervisors, told) in [(0, "Authentication with the console failed"), (1, "")] {
        let (mut tenant, own) = duplex(16);
        let (own_upper, upper) = duplex(16);
        let mut guest = Guest::new(vec![own_upper]);
        guest.hypervisors.truncate(hypervisors);
        guest.enters = false;
        let driven = tokio::spawn(drive_session(Connection::new(patient(config())), own, guest));
        let _upper = tokio::spawn(async move {
            let mut upper = upper;
            let _ = upper.write_all(&hypervisor_opening(&init(1, 1))).await;
            pending::<()>().await;
            drop(upper);
        });
        tenant.write_all(&tenant_opening(1)[..29]).await.unwrap();
        let mut heard = Vec::new();
        tenant.read_to_end(&mut heard).await.unwrap();
        assert!(heard.ends_with(told.as_bytes()), "{}", heard.escape_ascii());
        let started = Instant::now();
        let (end, _) = driven.await.unwrap();
        assert!(started.elapsed() <= Duration::from_secs(1));
        assert_eq!(
            end,
            if told.is_empty() {
                End::Stopped
            } else {
                End::Unreachable
            }
        );
        drop(tenant);
    }
}

/// A hypervisor that sends without an end, and does not see that the viewer is gone, is not read for as long as it sends.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_goes_on_sending_is_left() {
    let (mut tenant, own) = duplex(1024);
    let (own_upper, mut upper) = duplex(64 << 10);
    let connection = Connection::new(patient(config()));
    let driven = tokio::spawn(drive_session(connection, own, Guest::new([own_upper])));
    tenant.write_all(&tenant_opening(1)).await.unwrap();
    upper.write_all(&hypervisor_opening(&init(1, 1))).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    drop(tenant);
    let (bells, mut sent) = ([2; 4096], 0);
    while upper.write_all(&bells).await.is_ok() {
        sent += bells.len();
        assert!(sent < 32 << 20, "{sent} bytes were read for nobody");
    }
    assert_eq!(driven.await.unwrap().0, End::Viewer);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_moves() {
    for capacity in CAPACITIES {
        let (mut tenant, own) = duplex(capacity);
        let ((own_first, mut first), (own_second, mut second)) = (duplex(capacity), duplex(capacity));
        let connection = Connection::new(patient(config()));
        let mover = connection.mover();
        let driven = tokio::spawn(drive_session(connection, own, Guest::new([own_second, own_first])));
        let shown = init(640, 480);
        let begin = async |upper: &mut DuplexStream| {
            let (mut read, mut write) = tokio::io::split(upper);
            let mut opening = vec![0; hypervisor_hears(1).len()];
            let shows = hypervisor_opening(&shown);
            let (read, written) = tokio::join!(read.read_exact(&mut opening), write.write_all(&shows));
            read.unwrap();
            written.unwrap();
            assert_eq!(opening, hypervisor_hears(1));
        };
        let viewer = async {
            tenant.write_all(&tenant_opening(1)).await.unwrap();
            let mut opening = vec![0; tenant_hears(&shown).len()];
            tenant.read_exact(&mut opening).await.unwrap();
            // A bell from the first, and one from the second.
            assert_eq!(tenant.read_u8().await.unwrap(), 2);
            mover.moved(Move::Follow);
            tenant.write_all(b"\x04\x01\0\0\0\0\0\x61").await.unwrap();
            assert_eq!(tenant.read_u8().await.unwrap(), 2);
        };
        let hypervisors = async {
            begin(&mut first).await;
            first.write_u8(2).await.unwrap();
            let mut rest = Vec::new();
            first.read_to_end(&mut rest).await.unwrap();
            begin(&mut second).await;
            // SetPixelFormat, a request for all of it, and the key, which may have gone to the first.
            let mut told = vec![0; 20 + 10];
            second.read_exact(&mut told).await.unwrap();
            assert_eq!((told[0], &told[20..22]), (0, &b"\x03\x00"[..]));
            second.write_u8(2).await.unwrap();
        };
        let both = timeout(FOR_EVER, async { tokio::join!(viewer, hypervisors) }).await;
        both.expect("it waits");
        drop(tenant);
        let (end, guest) = driven.await.unwrap();
        let causes: Vec<_> = guest.unwrap().dials.iter().map(|dial| dial.cause).collect();
        assert_eq!((end, causes), (End::Viewer, vec![Cause::Entered, Cause::Moved]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_moves_ends_it() {
    let (mut tenant, own) = duplex(64);
    let connection = Connection::new(patient(config()));
    let mover = connection.mover();
    let (own_upper, mut upper) = duplex(1024);
    let driven = tokio::spawn(drive_session(connection, own, Guest::new([own_upper])));
    upper.write_all(&hypervisor_opening(&init(1, 1))).await.unwrap();
    tenant.write_all(&tenant_opening(1)).await.unwrap();
    let mut opening = vec![0; tenant_hears(&init(1, 1)).len()];
    tenant.read_exact(&mut opening).await.unwrap();
    mover.moved(Move::End);
    assert_eq!(tenant.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(driven.await.unwrap().0, End::Moved);
}

/// The token says what may pass, also where the configuration of the listener lets everything.
#[tokio::test(start_paused = true)]
async fn what_a_tenant_may_do_is_said_by_its_handler() {
    for (filter, passes) in [(None, true), (Some(Filter::view_only()), false)] {
        let (mut tenant, own_tenant) = duplex(1 << 16);
        let (own_upper, mut upper) = duplex(1 << 16);
        let mut guest = Guest::new([own_upper]);
        guest.filter = filter;
        let driven = drive_session(Connection::new(patient(config())), own_tenant, guest);
        let (key, wish) = (
            b"\x04\x01\0\0\0\0\0\x61".to_vec(),
            client(SetEncodings::new(&[Encoding::ZRLE])),
        );
        let peers = async {
            let says = [tenant_opening(1), key.clone(), wish.clone()].concat();
            tenant.write_all(&says).await.unwrap();
            upper.write_all(&hypervisor_opening(&init(640, 480))).await.unwrap();
            let mut heard = hypervisor_hears(1);
            if passes {
                heard.extend(&key);
            }
            heard.extend(&wish);
            let mut came = vec![0; heard.len()];
            upper.read_exact(&mut came).await.unwrap();
            assert!(came == heard, "{passes}");
            drop((tenant, upper));
        };
        let ((), (end, _)) = tokio::join!(peers, driven);
        assert!(matches!(end, End::Viewer | End::Hypervisor), "{end}");
    }
}

/// The hypervisor offers VNC authentication, which this tenant's hypervisor may not be spoken to with.
#[tokio::test(start_paused = true)]
async fn what_a_hypervisor_is_spoken_to_with_is_said_by_the_handler() {
    let (mut tenant, own_tenant) = duplex(1 << 16);
    let (own_upper, mut upper) = duplex(1 << 16);
    let mut guest = Guest::new([own_upper]);
    guest.types = Some(vec![SecurityType::NONE]);
    let driven = drive_session(Connection::new(patient(config())), own_tenant, guest);
    let peers = async {
        tenant.write_all(&tenant_opening(1)).await.unwrap();
        upper.write_all(&hypervisor_opening(&init(640, 480))).await.unwrap();
        let mut rest = Vec::new();
        let _ = upper.read_to_end(&mut rest).await;
        assert!(rest.len() <= 13, "no response: {rest:?}");
    };
    let ((), (end, _)) = tokio::join!(peers, driven);
    let End::Handshake(BridgeError { side, .. }) = end else {
        panic!("{end}")
    };
    assert_eq!(side, Side::Hypervisor);
}
