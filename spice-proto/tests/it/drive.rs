//! The driver loops, over streams in memory.

#![cfg(feature = "tokio")]

use std::time::Duration;

use spice_proto::caps::Capabilities;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::{self, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{
    Buffers, HandshakeError, Refusal, RelayConfig, RelayLink, Secret, ServerLink, Side, SideBuffers, Stage,
};
use spice_proto::{Clock, DriveError, Driven, Limits, drive, drive_relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use crate::pair::{TICKET, TOKEN, client, key, open, request};

const MAIN: ChannelType = ChannelType::MAIN;

fn shown() -> Announcement {
    Announcement {
        public_key: key().public(),
        capabilities: Capabilities::spice_server(MAIN),
    }
}

fn protocol<E: std::fmt::Debug>(error: DriveError<E>) -> E {
    match error {
        DriveError::Protocol(error) => error,
        other => panic!("{other:?}"),
    }
}

/// A server for one link; says hello in the data stage.
async fn server(mut stream: DuplexStream, password: &'static [u8]) -> Result<DuplexStream, HandshakeError> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock)
            .await
            .map_err(protocol)?
        {
            Driven::Ask(ServerQuestion::Link(_)) => machine.announce(&mut buffers, shown()).unwrap(),
            Driven::Ask(ServerQuestion::Ticket { sealed, .. }) if open(&sealed).as_deref() == Some(password) => {
                machine.accept(&mut buffers).unwrap();
            }
            Driven::Ask(ServerQuestion::Ticket { .. }) => {
                machine
                    .refuse(&mut buffers, Refusal::Code(LinkErrorCode::PERMISSION_DENIED))
                    .unwrap();
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(_) => {
                stream.write_all(b"hello").await.unwrap();
                return Ok(stream);
            }
        }
    }
}

async fn connect(stream: &mut DuplexStream, password: &[u8]) -> Result<Buffers, HandshakeError> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (client(request(MAIN, 0xd, 0xf), password), Buffers::default());
    match drive(&mut machine, &mut buffers, stream, clock)
        .await
        .map_err(protocol)?
    {
        Driven::Ask(question) => panic!("{question:?}"),
        Driven::Done(_) => Ok(buffers),
    }
}

#[tokio::test]
async fn client_and_server() {
    for buffer in [1, 7, 10_000] {
        let (mut near, far) = duplex(buffer);
        let (served, linked) = tokio::join!(server(far, TICKET), async {
            let buffers = connect(&mut near, TICKET).await?;
            // Bytes of the data stage may have come with the result.
            let mut hello = buffers.rx.to_vec();
            while hello.len() < 5 {
                hello.push(near.read_u8().await.unwrap());
            }
            Ok::<_, HandshakeError>(hello)
        });
        served.unwrap();
        assert_eq!(linked.unwrap(), b"hello");

        let (mut near, far) = duplex(buffer);
        let (served, linked) = tokio::join!(server(far, TICKET), connect(&mut near, b"wrong"));
        let denied = LinkErrorCode::PERMISSION_DENIED;
        assert_eq!(served.unwrap_err(), HandshakeError::Refused(Refusal::Code(denied)));
        assert_eq!(
            linked.unwrap_err(),
            HandshakeError::Rejected(denied),
            "the refusal was flushed"
        );
    }
}

/// Relays one link to a server in memory, looking the token up for so long.
async fn relay(
    mut tenant: DuplexStream,
    look_up: Duration,
    password: &'static [u8],
) -> Result<(), (Side, HandshakeError)> {
    let clock = Clock::start();
    let mut relay = RelayLink::new(clock.now(), RelayConfig::default());
    let mut sides = SideBuffers::default();
    let mut hypervisor: Option<DuplexStream> = None;
    loop {
        let driven = drive_relay(&mut relay, &mut sides, &mut tenant, hypervisor.as_mut(), clock).await;
        match driven.map_err(protocol).map_err(|error| (error.side, error.error))? {
            Driven::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Link(_))) => {
                relay.tenant().announce(&mut sides.tenant, shown()).unwrap()
            }
            Driven::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Ticket { sealed, .. })) => {
                let until = clock.instant(relay.deadline());
                if tokio::time::timeout_at(until, tokio::time::sleep(look_up))
                    .await
                    .is_err()
                {
                    continue;
                }
                if open(&sealed).as_deref() == Some(TOKEN) {
                    let (near, far) = duplex(64);
                    tokio::spawn(server(far, password));
                    hypervisor = Some(near);
                    relay
                        .admit(
                            &mut sides,
                            Upstream {
                                ticket: Secret::new(TICKET),
                                oaep_seed: [4; 20],
                            },
                        )
                        .unwrap();
                } else {
                    relay
                        .refuse(&mut sides, Refusal::Code(LinkErrorCode::PERMISSION_DENIED))
                        .unwrap();
                }
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(_) => {
                let mut hello = sides.hypervisor.rx.to_vec();
                while hello.len() < 5 {
                    hello.push(hypervisor.as_mut().unwrap().read_u8().await.unwrap());
                }
                tenant.write_all(&hello).await.unwrap();
                return Ok(());
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn through_a_relay() {
    let (mut near, far) = duplex(10);
    let (relayed, linked) = tokio::join!(relay(far, Duration::from_secs(5), TICKET), async {
        connect(&mut near, TOKEN).await
    });
    relayed.unwrap();
    linked.unwrap();

    let (mut near, far) = duplex(10);
    let (relayed, linked) = tokio::join!(relay(far, Duration::ZERO, TICKET), connect(&mut near, b"wrong"));
    let denied = LinkErrorCode::PERMISSION_DENIED;
    assert_eq!(
        relayed,
        Err((Side::Tenant, HandshakeError::Refused(Refusal::Code(denied))))
    );
    assert_eq!(linked.unwrap_err(), HandshakeError::Rejected(denied));

    // The hypervisor has another ticket: the tenant is not told so.
    let (mut near, far) = duplex(10);
    let (relayed, linked) = tokio::join!(relay(far, Duration::ZERO, b"another"), connect(&mut near, TOKEN));
    assert_eq!(relayed, Err((Side::Hypervisor, HandshakeError::Rejected(denied))));
    assert_eq!(linked.unwrap_err(), HandshakeError::Closed(Stage::LinkResult));
}

#[tokio::test(start_paused = true)]
async fn a_slow_look_up_ends_at_the_deadline() {
    let (mut near, far) = duplex(1000);
    let (relayed, linked) = tokio::join!(relay(far, Duration::from_secs(60), TICKET), async {
        connect(&mut near, TOKEN).await
    });
    assert_eq!(relayed, Err((Side::Tenant, HandshakeError::TimedOut(Stage::Answer))));
    assert!(linked.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_ends_at_the_deadline() {
    let (near, far) = duplex(1000);
    let started = tokio::time::Instant::now();
    assert_eq!(
        server(far, TICKET).await.unwrap_err(),
        HandshakeError::TimedOut(Stage::LinkMess)
    );
    assert_eq!(started.elapsed().as_secs(), 10);
    drop(near);
}

/// A tenant that is gone ends the hypervisor's part at once; but for a display whose hypervisor has the ticket, since QEMU
/// ends when that is broken off.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_hangs_up_while_the_hypervisor_is_asked() {
    for (kind, has_ticket, answers) in [
        (MAIN, false, true),
        (MAIN, true, true),
        (ChannelType::DISPLAY, false, true),
        (ChannelType::DISPLAY, true, true),
        (ChannelType::DISPLAY, true, false),
    ] {
        let (mut near, mut far) = duplex(10_000);
        let (mut hypervisor, mut behind) = duplex(10_000);
        let clock = Clock::start();
        let mut relay = RelayLink::new(clock.now(), RelayConfig::default());
        let mut sides = SideBuffers::default();
        let relayed = async {
            loop {
                match drive_relay(&mut relay, &mut sides, &mut far, Some(&mut hypervisor), clock)
                    .await
                    .map_err(protocol)
                {
                    Ok(Driven::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Link(_)))) => {
                        relay.tenant().announce(&mut sides.tenant, shown()).unwrap()
                    }
                    Ok(Driven::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Ticket { .. }))) => {
                        relay
                            .admit(
                                &mut sides,
                                Upstream {
                                    ticket: Secret::new(TICKET),
                                    oaep_seed: [4; 20],
                                },
                            )
                            .unwrap();
                    }
                    Ok(Driven::Ask(question)) => panic!("{question:?}"),
                    Ok(Driven::Done(_)) => return (Ok(()), clock.now().as_secs()),
                    Err(error) => return (Err((error.side, error.error)), clock.now().as_secs()),
                }
            }
        };
        let hang_up = async {
            let (mut machine, mut buffers) = (client(request(kind, 0xd, 0xf), TOKEN), Buffers::default());
            let linked = drive(&mut machine, &mut buffers, &mut near, clock);
            assert!(tokio::time::timeout(Duration::from_secs(1), linked).await.is_err());
            drop(near);
        };
        let late_hypervisor = async {
            let clock = Clock::start();
            let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
            loop {
                match drive(&mut machine, &mut buffers, &mut behind, clock).await {
                    Ok(Driven::Ask(ServerQuestion::Link(_))) => {
                        if !has_ticket {
                            tokio::time::sleep(Duration::from_secs(3)).await;
                        }
                        machine.announce(&mut buffers, shown()).unwrap();
                    }
                    Ok(Driven::Ask(_)) => {
                        tokio::time::sleep(Duration::from_secs(if answers { 3 } else { 60 })).await;
                        machine.accept(&mut buffers).unwrap();
                    }
                    _ => return,
                }
            }
        };
        let late_hypervisor = tokio::time::timeout(Duration::from_secs(20), late_hypervisor);
        let (relayed, (), _) = tokio::join!(relayed, hang_up, late_hypervisor);
        let at_once = Err((Side::Tenant, HandshakeError::Closed(Stage::LinkResult)));
        let timed_out = Err((Side::Hypervisor, HandshakeError::TimedOut(Stage::LinkResult)));
        let expected = match (kind, has_ticket, answers) {
            (ChannelType::DISPLAY, true, true) => (Ok(()), 3),
            (ChannelType::DISPLAY, true, false) => (timed_out, 10),
            _ => (at_once, 1),
        };
        assert_eq!(relayed, expected, "{kind} {has_ticket} {answers}");
    }
}

/// A peer that does not take what it is sent does not keep us.
#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_ends_at_the_deadline() {
    let (mut near, far) = duplex(64);
    let started = tokio::time::Instant::now();
    let mut asked = bytes::BytesMut::new();
    request(MAIN, 0xd, 0xf).encode(&mut asked).unwrap();
    near.write_all(&asked).await.unwrap();
    // The link reply does not fit into the stream.
    assert_eq!(
        server(far, TICKET).await.unwrap_err(),
        HandshakeError::TimedOut(Stage::AuthMechanism)
    );
    assert_eq!(started.elapsed().as_secs(), 10);
}

/// A link can be driven in a task of its own.
#[test]
fn drivers_are_send() {
    fn assert_send<T: Send>(_: T) {}
    let clock = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap()
        .block_on(async { Clock::start() });
    let (mut near, mut far) = duplex(1);
    let mut relay = RelayLink::new(Duration::ZERO, RelayConfig::default());
    assert_send(drive_relay(
        &mut relay,
        &mut SideBuffers::default(),
        &mut near,
        Some(&mut far),
        clock,
    ));
}
