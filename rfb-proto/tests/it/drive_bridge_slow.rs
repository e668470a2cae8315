//! [`drive_bridge`] over networks as they are: nothing waits for ever, all bytes arrive once and in order, and a side
//! that goes is noticed whichever of them is waited for.

use core::future::pending;
use core::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use rfb_proto::handshake::bridge::{AuthOrder, BridgeQuestion, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{Bridge, BridgeConfig, SideBuffers};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vnc::Password;
use rfb_proto::{BridgeDriven, Clock, Limits, drive_bridge, while_both_connected};
use tokio::io::{AsyncReadExt, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{sleep, timeout};

use crate::chain::{OWN_PASSWORD, PASSWORD, TENANT_CHALLENGE};
use crate::slow::{CAPACITIES, Shape, Slow, connection, counted, says_all_first};

const FOR_EVER: Duration = Duration::from_secs(3600);
const HYPERVISOR_CHALLENGE: [u8; 16] = *b"hyper- challenge";
/// Bytes that each side says behind the handshake.
const TAIL: usize = 3000;

fn config(auth_order: AuthOrder) -> BridgeConfig {
    BridgeConfig::default()
        .with_auth_order(auth_order)
        .with_hypervisor_types(&[SecurityType::VNC])
        .with_limits(Limits::default().with_handshake_timeout(FOR_EVER))
}

fn upstream() -> Upstream {
    Upstream::default().with_password(Password::new(OWN_PASSWORD))
}

/// What a viewer says and hears. `challenge`: the one that it answers.
fn viewer(challenge: [u8; 16]) -> (Vec<u8>, Vec<u8>) {
    let response = Password::new(PASSWORD).respond(&challenge);
    let says = [b"RFB 003.008\n\x02", &response[..], &counted(TAIL, 2)].concat();
    let hears = [b"RFB 003.008\n\x01\x02", &challenge[..], &[0; 4], &counted(TAIL, 1)].concat();
    (says, hears)
}

/// What a hypervisor says and hears.
fn hypervisor(password: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let response = Password::new(password).respond(&HYPERVISOR_CHALLENGE);
    let says = [
        b"RFB 003.008\n\x01\x02",
        &HYPERVISOR_CHALLENGE[..],
        &[0; 4],
        &counted(TAIL, 1),
    ];
    let hears = [b"RFB 003.008\n\x02", &response[..], &counted(TAIL, 2)].concat();
    (says.concat(), hears)
}

/// Between the two. Copies what follows, in both directions at once.
async fn bridge(mut tenant: Slow, mut upper: Slow, config: BridgeConfig, think: Duration) {
    let clock = Clock::start();
    let (mut bridge, mut sides) = (Bridge::new(clock.now(), config), SideBuffers::default());
    let mut connected = false;
    loop {
        let hypervisor = connected.then_some(&mut upper);
        let driven = drive_bridge(&mut bridge, &mut sides, &mut tenant, hypervisor, clock)
            .await
            .unwrap();
        let question = match driven {
            BridgeDriven::Ask(question) => question,
            BridgeDriven::Done(_) => break,
            other => panic!("{other:?}"),
        };
        let hypervisor = connected.then_some(&mut upper);
        let asking = while_both_connected(&mut bridge, &mut sides, &mut tenant, hypervisor, clock, sleep(think));
        asking.await.unwrap();
        match question {
            BridgeQuestion::Challenge => bridge.challenge(&mut sides, TENANT_CHALLENGE).unwrap(),
            BridgeQuestion::Admit(ClientCredentials::Vnc { challenge, response }) => {
                assert!(Password::new(PASSWORD).verify(&challenge, &response));
                bridge.admit(&mut sides).unwrap();
            }
            BridgeQuestion::Connect => {
                connected = true;
                bridge.connect(upstream()).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    let (from_tenant, mut to_tenant) = tokio::io::split(tenant);
    let (from_upper, mut to_upper) = tokio::io::split(upper);
    let (mut down, mut up) = (
        AsyncReadExt::chain(&sides.hypervisor.rx[..], from_upper),
        AsyncReadExt::chain(&sides.tenant.rx[..], from_tenant),
    );
    let (down, up) = (
        tokio::io::copy(&mut down, &mut to_tenant),
        tokio::io::copy(&mut up, &mut to_upper),
    );
    let _ = tokio::join!(down, up);
}

/// A viewer and a hypervisor that say all they have to say before they read anything, and a bridge between them.
async fn session(auth_order: AuthOrder, capacity: usize, shapes: [Shape; 4], think: Duration) {
    let [far_tenant, near_tenant, near_upper, far_upper] = shapes;
    let (mut tenant, own_tenant) = connection(capacity, far_tenant, near_tenant);
    let (own_upper, mut upper) = connection(capacity, near_upper, far_upper);
    let (challenge, password) = match auth_order {
        AuthOrder::Passthrough => (HYPERVISOR_CHALLENGE, PASSWORD),
        _ => (TENANT_CHALLENGE, OWN_PASSWORD),
    };
    let ((says, hears), (answers, asked)) = (viewer(challenge), hypervisor(password));
    let ends = async {
        tokio::join!(
            says_all_first(&mut tenant, &says, hears.len()),
            says_all_first(&mut upper, &answers, asked.len()),
        )
    };
    let all = async {
        tokio::select! {
            heard = ends => heard,
            () = bridge(own_tenant, own_upper, config(auth_order), think) => panic!("copied to its end"),
        }
    };
    let what = format!("{auth_order:?}, {capacity} bytes, {shapes:?}");
    let heard = timeout(FOR_EVER, all).await.unwrap_or_else(|_| panic!("waits: {what}"));
    assert!(heard == (hears, asked), "{what}");
}

const COUPLINGS: [AuthOrder; 3] = [
    AuthOrder::TenantFirst,
    AuthOrder::HypervisorFirst,
    AuthOrder::Passthrough,
];

#[tokio::test(start_paused = true)]
async fn slow_networks() {
    for auth_order in COUPLINGS {
        for capacity in CAPACITIES {
            for buffered in [false, true] {
                for (tenant, upper) in [(false, false), (true, false), (false, true), (true, true)] {
                    let shape = |is_slow| Shape::new(buffered, is_slow);
                    let shapes = [shape(tenant), shape(tenant), shape(upper), shape(upper)];
                    session(auth_order, capacity, shapes, Duration::from_millis(7)).await;
                }
            }
        }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let pause = || prop_oneof![Just(0), 1..20_u64];
    (any::<bool>(), pause(), pause()).prop_map(|(buffered, read, write)| Shape {
        buffered,
        read: Duration::from_millis(read),
        write: Duration::from_millis(write),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any capacity, any pauses.
    #[test]
    fn any_network(
        auth_order in prop::sample::select(&COUPLINGS[..]),
        capacity in prop_oneof![1..40_usize, 1..70_000_usize],
        shapes in [shape(), shape(), shape(), shape()],
        think in 0..50_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(session(auth_order, capacity, shapes, Duration::from_millis(think)));
    }
}

/// A tenant and a hypervisor of which one goes; everything takes a second.
struct Going {
    bridge: Bridge,
    sides: SideBuffers,
    tenant: DuplexStream,
    upper: DuplexStream,
    viewer: DuplexStream,
    hypervisor: DuplexStream,
    clock: Clock,
}

impl Going {
    async fn new(auth_order: AuthOrder, viewer_says: &[u8], hypervisor_says: &[u8]) -> Self {
        let ((mut viewer, tenant), (upper, mut hypervisor)) = (duplex(200), duplex(200));
        viewer.write_all(viewer_says).await.unwrap();
        hypervisor.write_all(hypervisor_says).await.unwrap();
        let clock = Clock::start();
        Self {
            bridge: Bridge::new(clock.now(), config(auth_order)),
            sides: SideBuffers::default(),
            tenant,
            upper,
            viewer,
            hypervisor,
            clock,
        }
    }

    /// The error, and what the viewer and the hypervisor were told. `goes`: the viewer.
    async fn end(mut self, open: Option<BridgeQuestion>, viewer_goes: bool) -> (String, Vec<u8>, Vec<u8>) {
        let (bridge, sides, clock) = (&mut self.bridge, &mut self.sides, self.clock);
        let mut connected = false;
        let (mut viewer, mut hypervisor) = (self.viewer, self.hypervisor);
        let leaves = async move {
            sleep(Duration::from_secs(1)).await;
            // One direction stays open, so that the last words of the bridge can be read.
            match viewer_goes {
                true => viewer.shutdown().await.unwrap(),
                false => hypervisor.shutdown().await.unwrap(),
            }
            let (mut to_viewer, mut to_hypervisor) = (Vec::new(), Vec::new());
            let both = async {
                tokio::join!(
                    viewer.read_to_end(&mut to_viewer),
                    hypervisor.read_to_end(&mut to_hypervisor)
                )
            };
            let _ = both.await;
            (to_viewer, to_hypervisor)
        };
        let drives = async move {
            let (mut tenant, mut upper) = (self.tenant, self.upper);
            loop {
                let hypervisor = connected.then_some(&mut upper);
                match drive_bridge(bridge, sides, &mut tenant, hypervisor, clock).await {
                    Ok(BridgeDriven::Ask(question)) if open.as_ref() == Some(&question) => {
                        let hypervisor = connected.then_some(&mut upper);
                        let never = pending::<()>();
                        let asking = while_both_connected(bridge, sides, &mut tenant, hypervisor, clock, never);
                        return asking.await.unwrap_err().to_string();
                    }
                    Ok(BridgeDriven::Ask(BridgeQuestion::Challenge)) => {
                        bridge.challenge(sides, TENANT_CHALLENGE).unwrap()
                    }
                    Ok(BridgeDriven::Ask(BridgeQuestion::Admit(_))) => bridge.admit(sides).unwrap(),
                    Ok(BridgeDriven::Ask(BridgeQuestion::Connect)) => {
                        connected = true;
                        bridge.connect(upstream()).unwrap();
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => return error.to_string(),
                }
            }
        };
        let (error, (to_viewer, to_hypervisor)) = tokio::join!(drives, leaves);
        assert_eq!(clock.now(), Duration::from_secs(1), "at once: {error}");
        (error, to_viewer, to_hypervisor)
    }
}

const RESPONSE: [u8; 16] = [0; 16];

fn viewer_says(with_response: bool) -> Vec<u8> {
    let response = if with_response { &RESPONSE[..] } else { &[] };
    [b"RFB 003.008\n\x02", response].concat()
}

/// The viewer goes while the bridge waits for the hypervisor, or for an answer: the hypervisor hears that there is no choice.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_goes() {
    let silent = &b""[..];
    let types = &b"RFB 003.008\n\x01\x02"[..];
    let challenged = [types, &HYPERVISOR_CHALLENGE].concat();
    type Case<'a> = (AuthOrder, bool, &'a [u8], Option<BridgeQuestion>, &'a [u8], Expect);
    let cases: [Case<'_>; 6] = [
        // While the hypervisor is silent.
        (
            AuthOrder::TenantFirst,
            true,
            silent,
            None,
            b"",
            expect!["tenant: closed by the peer while waiting for the caller's answer"],
        ),
        // While it looks at the response.
        (
            AuthOrder::TenantFirst,
            true,
            &challenged,
            None,
            b"RFB 003.008\n\x02",
            expect!["tenant: closed by the peer while waiting for the caller's answer"],
        ),
        (
            AuthOrder::HypervisorFirst,
            false,
            &challenged,
            None,
            b"RFB 003.008\n\x02",
            expect!["tenant: closed by the peer while waiting for the caller's answer"],
        ),
        // While the tenant's response is due: the hypervisor waits for a choice, or has its own.
        (
            AuthOrder::Passthrough,
            false,
            &challenged,
            None,
            b"RFB 003.008\n\x02",
            expect!["tenant: closed by the peer while waiting for VNC authentication"],
        ),
        // While it is dialled.
        (
            AuthOrder::TenantFirst,
            true,
            silent,
            Some(BridgeQuestion::Connect),
            b"",
            expect!["tenant: closed by the peer while waiting for the caller's answer"],
        ),
        (
            AuthOrder::TenantFirst,
            false,
            silent,
            Some(BridgeQuestion::Challenge),
            b"",
            expect!["tenant: closed by the peer while waiting for the caller's answer"],
        ),
    ];
    for (auth_order, with_response, says, open, told, expected) in cases {
        let going = Going::new(auth_order, &viewer_says(with_response), says).await;
        let (error, _, to_hypervisor) = going.end(open, true).await;
        expected.assert_eq(&error);
        assert!(to_hypervisor.starts_with(told), "{to_hypervisor:?}");
    }
    // The viewer has not chosen yet, and the hypervisor waits for a choice: the bridge sends it type 0, as nova does.
    let going = Going::new(AuthOrder::Passthrough, b"RFB 003.008\n", types).await;
    let (error, _, to_hypervisor) = going.end(None, true).await;
    expect!["tenant: closed by the peer while waiting for the choice of a security type"].assert_eq(&error);
    assert_eq!(to_hypervisor, b"RFB 003.008\n\0");
}

/// The hypervisor goes while the bridge waits for an answer: the viewer gets a reason, where there is room for it.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_goes() {
    let types = &b"RFB 003.008\n\x01\x02"[..];
    let accepted = [types, &HYPERVISOR_CHALLENGE, &[0; 4]].concat();
    let told = b"Authentication with the console failed";
    // It had accepted, and the caller looks at the viewer's response.
    let going = Going::new(AuthOrder::HypervisorFirst, &viewer_says(true), &accepted).await;
    let open = BridgeQuestion::Admit(ClientCredentials::Vnc {
        challenge: TENANT_CHALLENGE,
        response: RESPONSE,
    });
    let (error, to_viewer, _) = going.end(Some(open), false).await;
    expect!["hypervisor: closed by the peer while waiting for nothing"].assert_eq(&error);
    assert!(to_viewer.ends_with(told), "{to_viewer:?}");
}

/// The hypervisor goes while the viewer has to say something: the viewer hears of it when it has said that.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_goes_while_the_viewer_is_waited_for() {
    let types = &b"RFB 003.008\n\x01\x02"[..];
    let accepted = [types, &HYPERVISOR_CHALLENGE, &[0; 4]].concat();
    for (auth_order, first, says, then, told, expected) in [
        (
            AuthOrder::Passthrough,
            &b"RFB 003.008\n"[..],
            types,
            &b"\x02"[..],
            // It waits for a challenge, and there is none.
            &b"RFB 003.008\n\x01\x02"[..],
            expect!["hypervisor: closed by the peer while waiting for VNC authentication"],
        ),
        (
            AuthOrder::HypervisorFirst,
            b"RFB 003.008\n\x02",
            &accepted,
            &RESPONSE,
            b"Authentication with the console failed",
            expect!["hypervisor: closed by the peer while waiting for nothing"],
        ),
    ] {
        let Going {
            mut bridge,
            mut sides,
            mut tenant,
            mut upper,
            mut viewer,
            hypervisor,
            clock,
        } = Going::new(auth_order, first, says).await;
        let own = async move {
            let mut connected = false;
            loop {
                let hypervisor = connected.then_some(&mut upper);
                match drive_bridge(&mut bridge, &mut sides, &mut tenant, hypervisor, clock).await {
                    Ok(BridgeDriven::Ask(BridgeQuestion::Challenge)) => {
                        bridge.challenge(&mut sides, TENANT_CHALLENGE).unwrap();
                    }
                    Ok(BridgeDriven::Ask(BridgeQuestion::Connect)) => {
                        connected = true;
                        bridge.connect(upstream()).unwrap();
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => break error.to_string(),
                }
            }
        };
        let peers = async {
            sleep(Duration::from_secs(1)).await;
            drop(hypervisor);
            sleep(Duration::from_secs(1)).await;
            viewer.write_all(then).await.unwrap();
            let mut told = Vec::new();
            viewer.read_to_end(&mut told).await.unwrap();
            told
        };
        let (error, heard) = tokio::join!(own, peers);
        expected.assert_eq(&error);
        assert!(heard.ends_with(told), "{heard:?}");
        assert_eq!(clock.now(), Duration::from_secs(2));
    }
}

/// A hypervisor that takes nothing does not keep the end of a viewer from being seen, nor the viewer from being told.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_takes_nothing() {
    for viewer_goes in [true, false] {
        let (mut viewer, mut tenant) = duplex(200);
        let (mut upper, mut hypervisor) = duplex(1);
        let clock = Clock::start();
        let limits = Limits::default().with_handshake_timeout(Duration::from_secs(9));
        let config = config(AuthOrder::TenantFirst).with_limits(limits);
        let (mut bridge, mut sides) = (Bridge::new(clock.now(), config), SideBuffers::default());
        viewer.write_all(&viewer_says(true)).await.unwrap();
        let peers = async {
            // It greets, and that is all.
            hypervisor.write_all(b"RFB 003.008\n").await.unwrap();
            sleep(Duration::from_secs(1)).await;
            if viewer_goes {
                viewer.shutdown().await.unwrap();
            }
            let mut told = Vec::new();
            viewer.read_to_end(&mut told).await.unwrap();
            told
        };
        // It hangs up in the end, so that what the viewer was told has an end.
        let own = async move {
            let mut connected = false;
            loop {
                let hypervisor = connected.then_some(&mut upper);
                match drive_bridge(&mut bridge, &mut sides, &mut tenant, hypervisor, clock).await {
                    Ok(BridgeDriven::Ask(BridgeQuestion::Challenge)) => {
                        bridge.challenge(&mut sides, TENANT_CHALLENGE).unwrap();
                    }
                    Ok(BridgeDriven::Ask(BridgeQuestion::Admit(_))) => bridge.admit(&mut sides).unwrap(),
                    Ok(BridgeDriven::Ask(BridgeQuestion::Connect)) => {
                        connected = true;
                        bridge.connect(upstream()).unwrap();
                    }
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => break error.to_string(),
                }
            }
        };
        let (error, told) = tokio::join!(own, peers);
        match viewer_goes {
            true => assert!(error.starts_with("tenant: closed by the peer"), "{error}"),
            false => {
                expect!["hypervisor: timed out waiting for the security types"].assert_eq(&error);
                assert!(told.ends_with(b"Authentication with the console failed"), "{told:?}");
            }
        }
    }
}

/// Each side is refused at its first byte that is not RFB, and the other side hears of it.
#[tokio::test(start_paused = true)]
async fn not_rfb() {
    for says in [&b"HELLO\r\n"[..], b"\x15\x03\x01\x00\x02\x02F", b"RE"] {
        let (mut viewer, mut tenant) = duplex(200);
        viewer.write_all(says).await.unwrap();
        let clock = Clock::start();
        let (mut bridge, mut sides) = (
            Bridge::new(clock.now(), config(AuthOrder::TenantFirst)),
            SideBuffers::default(),
        );
        let driven = drive_bridge::<_, DuplexStream>(&mut bridge, &mut sides, &mut tenant, None, clock).await;
        let error = driven.unwrap_err().to_string();
        assert!(error.starts_with("tenant: ProtocolVersion.signature"), "{error}");
        assert!(clock.now() < Duration::from_millis(500));
    }
    let (mut viewer, mut tenant) = duplex(200);
    let (mut upper, mut hypervisor) = duplex(200);
    viewer.write_all(b"RFB 003.008\n").await.unwrap();
    hypervisor.write_all(b"SSH-2.0-O").await.unwrap();
    let clock = Clock::start();
    let (mut bridge, mut sides) = (
        Bridge::new(clock.now(), config(AuthOrder::Passthrough)),
        SideBuffers::default(),
    );
    let driven = drive_bridge::<_, DuplexStream>(&mut bridge, &mut sides, &mut tenant, None, clock).await;
    assert_eq!(driven.unwrap(), BridgeDriven::Ask(BridgeQuestion::Connect));
    bridge.connect(upstream()).unwrap();
    let driven = drive_bridge(&mut bridge, &mut sides, &mut tenant, Some(&mut upper), clock).await;
    let error = driven.unwrap_err().to_string();
    assert!(error.starts_with("hypervisor: ProtocolVersion.signature"), "{error}");
    assert!(clock.now() < Duration::from_millis(500));
    drop(tenant);
    let mut told = Vec::new();
    viewer.read_to_end(&mut told).await.unwrap();
    assert!(told.ends_with(b"Authentication with the console failed"), "{told:?}");
}
