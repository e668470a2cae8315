//! A server that is asked which guest it has.

use std::time::Duration;

use bytes::Bytes;
use spice_proto::link::Secret;
use spice_proto::link::relay::Upstream;
use spice_proto::session::relay::GuestIdentity;
use spice_proto::{DriveError, Limits, identify};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::session::{frame, host, init};
use super::streams::{Inner, line};
use super::{CAPACITIES, LONG};
use crate::pair::TICKET;

const PATIENCE: Duration = Duration::from_secs(2);

/// What the server does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Server {
    /// It answers ATTACH_CHANNELS, behind what it says.
    Answers,
    /// It never answers.
    Silent,
    /// It hangs up.
    HangsUp,
    /// It never takes the link.
    Deaf,
}

/// What it says behind its INIT, in which time it was heard, and what was heard.
async fn asked(capacity: usize, server: Server, says: &[Vec<u8>]) -> (Result<GuestIdentity, ()>, Duration) {
    let (near, far) = line(capacity, Inner::Nothing);
    let says = says.concat();
    let task = tokio::spawn(async move {
        if server == Server::Deaf {
            return sleep(LONG).await;
        }
        let mut far = host(far).await;
        // The measurement of the network comes first.
        let ping = frame(4, &[0; 3000]);
        far.stream.write_all(&[ping, init(), says].concat()).await.unwrap();
        far.stream.flush().await.unwrap();
        match server {
            Server::HangsUp => {}
            Server::Answers => {
                let mut heard = [0; 6];
                if far.stream.read_exact(&mut heard).await.is_ok() {
                    assert_eq!(heard[..], frame(104, &[]));
                    let _ = far.stream.write_all(&frame(104, &[0; 4])).await;
                    let _ = far.stream.flush().await;
                    let _ = far.stream.read(&mut heard).await;
                }
            }
            _ => sleep(LONG).await,
        }
    });
    let began = Instant::now();
    let upstream = Upstream {
        ticket: Secret::new(TICKET),
        oaep_seed: [6; 20],
    };
    let said = identify(near, upstream, &Limits::default(), PATIENCE).await;
    task.abort();
    let said = said.map_err(|error| assert!(matches!(error, DriveError::Io(_)), "{error}"));
    (said, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_server_says_which_guest_it_has() {
    let name = frame(113, b"\x04\0\0\0own\0");
    let uuid = frame(114, &[7; 16]);
    let whole = GuestIdentity {
        name: Some(Bytes::from_static(b"own")),
        uuid: Some([7; 16]),
    };
    let (only_name, only_uuid) = (
        GuestIdentity {
            uuid: None,
            ..whole.clone()
        },
        GuestIdentity {
            name: None,
            ..whole.clone()
        },
    );
    let nothing = GuestIdentity::default();
    assert!(nothing.is_empty() && !only_name.is_empty() && !only_uuid.is_empty());
    for capacity in CAPACITIES {
        for (says, expected) in [
            (vec![name.clone(), uuid.clone()], &whole),
            (vec![uuid.clone(), name.clone()], &whole),
            (vec![name.clone()], &only_name),
            (vec![uuid.clone()], &only_uuid),
            (vec![], &nothing),
            // What cannot be read says nothing.
            (vec![frame(113, &[9, 0]), frame(114, &[1])], &nothing),
        ] {
            for server in [Server::Answers, Server::Silent, Server::HangsUp] {
                let (said, took) = asked(capacity, server, &says).await;
                assert_eq!(said.as_ref(), Ok(expected), "{server:?}, {capacity}");
                let waits = server == Server::Silent && *expected != whole;
                assert_eq!(took, if waits { PATIENCE } else { Duration::ZERO }, "{server:?}");
            }
        }
    }
    let (said, took) = asked(1 << 10, Server::Deaf, &[]).await;
    assert_eq!((said, took), (Err(()), PATIENCE));
}
