//! What the policy does to messages on their way.

use spice_proto::agent::{Clipboard, Message as AgentMessage, Pieces};
use spice_proto::channel::main::ChannelsList;
use spice_proto::ids::{ChannelType, ClipboardType};
use spice_proto::session::Policy;
use spice_proto::session::policy::{Directions, Settings, Withheld};
use spice_proto::session::relay::End;

use super::{Behaviour, ID, INPUTS, MAIN, Site, init};

const USBREDIR: ChannelType = ChannelType::USBREDIR;

#[tokio::test(start_paused = true)]
async fn channels_that_are_withheld_are_struck_and_refused() {
    let mut site = Site::with(&Settings::default().with_withheld(vec![Withheld::Kind(USBREDIR)]));
    let (mut viewer, mut source, _) = site.open(MAIN, 0, 0).await;
    source.say(103, &init(ID)).await;
    let mut list = vec![4, 0, 0, 0, 9, 0, 2, 0, 9, 1, 3, 0];
    source.say(104, &list).await;
    source.say(106, &[1, 0, 0, 0]).await;
    assert_eq!(viewer.hear().await.unwrap().0, 103);
    list = vec![2, 0, 0, 0, 2, 0, 3, 0];
    assert_eq!(viewer.hear().await, Some((104, list.clone())));
    assert_eq!(ChannelsList::decode_slice(&list).unwrap().channels.len(), 2);
    assert_eq!(viewer.hear().await.unwrap().0, 106);
    assert!(site.link(USBREDIR, ID).await.is_err());
    site.open(INPUTS, ID, 0).await;
}

/// A list has announced the channel, and it is refused all the same where it is withheld: the list came through a listener
/// with another policy.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_withheld_is_refused_although_it_was_announced() {
    for withheld in [
        Withheld::Kind(USBREDIR),
        Withheld::Channel(spice_proto::channel::main::ChannelId {
            channel_type: USBREDIR,
            id: 0,
        }),
    ] {
        let mut site = Site::new();
        let (mut viewer, mut source, _) = site.open(MAIN, 0, 0).await;
        source.say(103, &init(ID)).await;
        source.say(104, &[2, 0, 0, 0, 9, 0, 3, 0]).await;
        assert_eq!(viewer.hear().await.unwrap().0, 103);
        assert_eq!(viewer.hear().await, Some((104, vec![2, 0, 0, 0, 9, 0, 3, 0])));
        let open = site.config.clone();
        let strict = Settings::default().with_withheld(vec![withheld]);
        site.config = super::config(&strict, "proxy.example", None, 5910);
        assert!(site.link(USBREDIR, ID).await.is_err());
        assert!(site.hypervisors.try_recv().is_err(), "nothing is dialled");
        site.open(INPUTS, ID, 0).await;
        // Where it is not withheld it is linked.
        site.config = open;
        site.open(USBREDIR, ID, 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_may_only_look_changes_nothing() {
    let mut site = Site::with(&Settings::default().with_view_only(true));
    let (_viewer, _source, _) = site.session().await;
    let (mut viewer, mut source, relayed) = site.open(INPUTS, ID, 0).await;
    for number in [103, 101, 111] {
        viewer.say(number, &[0; 12]).await;
    }
    // An acknowledgement passes.
    viewer.passes(&mut source, 1, &[0; 4]).await;
    source.passes(&mut viewer, 101, &[0; 2]).await;
    drop(viewer);
    relayed.await.unwrap();
}

/// The token says what may pass, also where the listener lets everything.
#[tokio::test(start_paused = true)]
async fn a_token_can_let_less_pass() {
    let mut site = Site::new();
    let strict = Settings::default()
        .with_view_only(true)
        .with_withheld(vec![Withheld::Kind(USBREDIR)]);
    site.plan.lock().unwrap().policy = Some(Policy::new(&strict).into());
    let (mut viewer, mut source, _) = site.open(MAIN, 0, 0).await;
    source.say(103, &init(ID)).await;
    source.say(104, &[2, 0, 0, 0, 9, 0, 3, 0]).await;
    assert_eq!(viewer.hear().await.unwrap().0, 103);
    assert_eq!(
        viewer.hear().await,
        Some((104, vec![1, 0, 0, 0, 3, 0])),
        "USBREDIR is struck"
    );
    assert!(site.link(USBREDIR, ID).await.is_err());
    let (mut viewer, mut source, _) = site.open(INPUTS, ID, 0).await;
    viewer.say(101, &[0; 4]).await;
    viewer.passes(&mut source, 1, &[0; 4]).await;
}

/// Agent data that are left out: their sender gets its token back, and the viewer's count goes on.
#[tokio::test(start_paused = true)]
async fn clipboards_that_are_off() {
    let mut site = Site::with(&Settings::default().with_clipboard(Directions::NONE));
    let (mut viewer, mut source, _) = site.session().await;
    let clipboard = AgentMessage::Clipboard(Clipboard {
        selection: None,
        r#type: ClipboardType::UTF8_TEXT,
        data: vec![0x61; 30].into(),
    });
    for body in Pieces::new(&clipboard).unwrap() {
        viewer.say(107, &body).await;
        assert_eq!(viewer.hear().await, Some((110, vec![1, 0, 0, 0])));
        source.say(109, &body).await;
        assert_eq!(source.hear().await, Some((108, vec![1, 0, 0, 0])));
        assert_eq!(viewer.hear().await.unwrap().0, 7, "a NOTIFY in its place");
    }
    viewer.passes(&mut source, 104, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_too_large_or_unknown_ends_the_connection() {
    for (number, size) in [(106, 100), (200, 0), (5000, 4)] {
        let mut site = Site::new();
        let (mut viewer, mut source, relayed) = site.session().await;
        viewer.say(number, &vec![0; size]).await;
        assert_eq!(source.hear().await, None);
        assert!(matches!(relayed.await.unwrap(), End::Rule { .. }), "{number}");
    }
    // Of a server, something harmless takes the place of what has no layout.
    let mut site = Site::new();
    let (mut viewer, mut source, _) = site.session().await;
    source.say(200, &[1; 100]).await;
    assert_eq!(viewer.hear().await.unwrap().0, 7);
    source.say(200, &vec![1; 200_000]).await;
    source.say(106, &[1, 0, 0, 0]).await;
    let heard = viewer.hear().await;
    assert!(heard.is_none(), "an unknown message of 200 kB: {heard:?}");
}

/// A hypervisor without mini headers: messages are looked at, held and replaced all the same, and counted by serials.
#[tokio::test(start_paused = true)]
async fn headers_are_bridged() {
    let settings = Settings::default().with_withheld(vec![Withheld::Kind(USBREDIR)]);
    let mut site = Site::with(&settings);
    site.plan(|plan| plan.hosts[0] = (Behaviour::Full, Behaviour::Full));
    let (mut viewer, mut source, _) = site.session().await;
    assert_eq!((viewer.form.len(), source.form.len()), (6, 18));
    source.passes(&mut viewer, 4, &vec![3; 250_000]).await;
    viewer.passes(&mut source, 3, &[3; 12]).await;
    source.say(104, &[1, 0, 0, 0, 9, 0]).await;
    assert_eq!(viewer.hear().await, Some((104, vec![0; 4])));
    let (number, body) = super::moves::begin(true);
    source.say(number, &body).await;
    assert_eq!(viewer.hear().await.unwrap().0, 116);
    viewer.passes(&mut source, 103, &[]).await;
}
