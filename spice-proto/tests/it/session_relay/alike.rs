//! A tenant that is refused gets the same answer, whatever the reason is.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkReply, Refusal};
use spice_proto::session::policy::{Settings, Withheld};
use spice_proto::session::tracker::{Config, Reason, TicketFault};
use spice_proto::{ProxyHandler as _, SessionManager};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::author::{Author, Open};
use super::{DISPLAY, ID, INPUTS, LIST, Line, MAIN, SESSION, Site, moves::begin};
use crate::pair::{TOKEN, key, request};

const SECOND: Duration = Duration::from_secs(1);

/// What a connection shows that opens nothing, and the bytes and the time that it is answered with, up to the end.
async fn answered(site: &mut Site, channel: ChannelType, id: u32, token: &[u8]) -> (Vec<u8>, Duration) {
    let (relayed, mut stream) = site.connect();
    let mut asked = request(channel, 0xb, 0xf);
    asked.connection_id = id;
    let mut said = BytesMut::new();
    asked.encode(&mut said).unwrap();
    stream.write_all(&said).await.unwrap();
    let mut reply = vec![0; 16];
    stream.read_exact(&mut reply).await.unwrap();
    let size = u32::from_le_bytes(reply[12..].try_into().unwrap());
    let mut body = vec![0; size as usize];
    stream.read_exact(&mut body).await.unwrap();
    assert!(size as usize > LinkReply::MIN_LEN && body[..4] == [0; 4]);
    let sealed = key().public().seal(token, [7; 20]).unwrap();
    stream
        .write_all(&[&1_u32.to_le_bytes()[..], &sealed.0].concat())
        .await
        .unwrap();
    let began = Instant::now();
    let mut told = Vec::new();
    stream.read_to_end(&mut told).await.unwrap();
    let took = began.elapsed();
    relayed.await.unwrap();
    (told, took)
}

/// A session with its main channel and inputs, and what keeps it.
async fn running(site: &mut Site) -> (Line, Line) {
    let (viewer, source, _) = site.session().await;
    let inputs = site.open(INPUTS, ID, 0).await;
    std::mem::forget(inputs);
    (viewer, source)
}

/// Why a connection with a token that is known is refused.
#[derive(Debug, Clone, Copy)]
enum Why {
    Spent,
    Replayed,
    NotBound,
    NoConnectionId,
    WrongConnectionId,
    NotAnnounced,
    Withheld,
    Duplicate,
    NoMigration,
    RefusedTarget,
    Ended,
    OtherAddress,
    Downgrade,
    Late,
    TooManySessions,
    TooManyLinks,
}

const ALL: [Why; 16] = [
    Why::Spent,
    Why::Replayed,
    Why::NotBound,
    Why::NoConnectionId,
    Why::WrongConnectionId,
    Why::NotAnnounced,
    Why::Withheld,
    Why::Duplicate,
    Why::NoMigration,
    Why::RefusedTarget,
    Why::Ended,
    Why::OtherAddress,
    Why::Downgrade,
    Why::Late,
    Why::TooManySessions,
    Why::TooManyLinks,
];

impl Why {
    async fn answered(self) -> (Vec<u8>, Duration) {
        let mut site = Site::new();
        let config = match self {
            Self::OtherAddress => Config::default().with_one_address(true),
            Self::TooManySessions => Config::default().with_sessions(1),
            Self::TooManyLinks => Config::default().with_links(2),
            Self::Late => Config::default().with_link_timeout(2 * SECOND),
            _ => Config::default(),
        };
        site.hub = Arc::new(SessionManager::new(config, [1; 16]));
        let (mut viewer, mut source) = if let Self::NotBound = self {
            let (viewer, source, _) = site.open(MAIN, 0, 0).await;
            (viewer, source)
        } else {
            running(&mut site).await
        };
        let (mut channel, mut id) = (DISPLAY, ID);
        match self {
            Self::Spent => {
                (channel, id) = (MAIN, 0);
                site.plan(|plan| plan.uses = 0);
            }
            Self::Replayed => {
                (channel, id) = (MAIN, 0);
                site.plan(|plan| plan.open(SESSION).switches = true);
            }
            Self::NoConnectionId => id = 0,
            Self::WrongConnectionId => id = 77,
            Self::NotAnnounced => channel = ChannelType::USBREDIR,
            Self::Withheld => site.config = withholding(&mut viewer, &mut source).await,
            Self::Duplicate => channel = INPUTS,
            Self::NoMigration => channel = MAIN,
            Self::RefusedTarget => {
                channel = MAIN;
                site.plan(|plan| plan.accept = false);
                source.say(101, &begin(false).1).await;
                assert_eq!(viewer.hear().await.unwrap().0, 101);
            }
            Self::Ended => {
                drop((viewer, source));
                site.ended().await;
                let (key, id, switches) = (SESSION, Some(ID), false);
                site.plan(|plan| plan.open.push(Open { key, id, switches }));
                return answered(&mut site, channel, id.unwrap(), TOKEN).await;
            }
            Self::OtherAddress => site.peer.address = [127, 0, 0, 2].into(),
            Self::Downgrade => site.peer.secure = false,
            Self::Late => site.plan(|plan| plan.look_up = 3 * SECOND),
            Self::TooManySessions => (channel, id) = (MAIN, 0),
            Self::NotBound | Self::TooManyLinks => {}
        }
        let answered = answered(&mut site, channel, id, TOKEN).await;
        drop((viewer, source));
        answered
    }
}

/// A listener that withholds a channel which another one has let a list announce.
async fn withholding(viewer: &mut Line, source: &mut Line) -> Arc<spice_proto::session::relay::Config> {
    source.passes(viewer, 104, &LIST).await;
    let settings = Settings::default().with_withheld(vec![Withheld::Kind(DISPLAY)]);
    super::config(&settings, "proxy.example", None, 5910)
}

#[tokio::test(start_paused = true)]
async fn every_refusal_looks_the_same() {
    // A token that was never made.
    let mut site = Site::new();
    let unknown = answered(&mut site, MAIN, 0, b"unknown").await;
    assert_eq!(
        unknown,
        (vec![7, 0, 0, 0], Duration::ZERO),
        "PERMISSION_DENIED, and the end"
    );
    for (channel, id) in [(DISPLAY, ID), (MAIN, ID), (INPUTS, 0)] {
        assert_eq!(answered(&mut site, channel, id, b"unknown").await, unknown);
    }
    for why in ALL {
        let (told, took) = why.answered().await;
        assert_eq!(told, unknown.0, "{why:?}");
        let late = matches!(why, Why::Late);
        assert_eq!(took, if late { 3 * SECOND } else { unknown.1 }, "{why:?}");
    }
}

/// The answer that a handler gives which says nothing of its own.
#[tokio::test(start_paused = true)]
async fn no_reason_is_told() {
    let site = Site::new();
    let mut author = Author {
        hub: site.hub.clone(),
        plan: site.plan.clone(),
        dialled: site.dialled.clone(),
    };
    let reasons = [
        Reason::Replayed,
        Reason::NotBound,
        Reason::NoConnectionId,
        Reason::WrongConnectionId,
        Reason::NotAnnounced,
        Reason::Duplicate,
        Reason::NoMigration,
        Reason::Ended,
        Reason::OtherAddress,
        Reason::Downgrade,
        Reason::Sasl,
        Reason::Ticket(TicketFault::TooLong),
        Reason::Ticket(TicketFault::Nul),
        Reason::Ticket(TicketFault::NotUtf8),
        Reason::Late,
        Reason::TooManySessions,
        Reason::TooManyLinks,
    ];
    for reason in reasons {
        for channel in 1..=11 {
            let told = author.refused(ChannelType(channel), reason).await;
            assert_eq!(told, Refusal::DENIED, "{reason:?}");
        }
    }
}
