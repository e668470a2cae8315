//! The order of the relay's steps, when the caller answers slowly.

use std::time::Duration;

use spice_proto::ids::LinkErrorCode;
use spice_proto::link::HandshakeError;
use spice_proto::session::SessionKey;
use spice_proto::session::relay::End;
use tokio::time::{Instant, sleep};

use super::{Behaviour, DISPLAY, ID, INPUTS, LIST, LONG, MAIN, SESSION, Site, init};

const SLOW: Duration = Duration::from_secs(2);

/// INIT is held until the id is recorded: a link that comes earlier has guessed it. The other direction goes on meanwhile.
#[tokio::test(start_paused = true)]
async fn init_is_held_until_the_id_is_recorded() {
    let mut site = Site::new();
    site.plan(|plan| plan.bind = SLOW);
    let (mut viewer, mut source, _main) = site.open(MAIN, 0, 0).await;
    let began = Instant::now();
    source.say(103, &init(ID)).await;
    source.say(104, &LIST).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(site.asked(), ["bind 0x1234"]);
    let early = site.link(INPUTS, ID).await.unwrap_err();
    assert_eq!(early, HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED));
    viewer.passes(&mut source, 104, &[]).await;
    assert!(viewer.is_silent(Duration::from_millis(900)).await);
    assert_eq!(viewer.hear().await, Some((103, init(ID))));
    assert_eq!(began.elapsed(), SLOW);
    assert_eq!(site.asked(), ["bound"]);
    // What comes behind it is read now, and the channels may come.
    assert_eq!(viewer.hear().await, Some((104, LIST.to_vec())));
    site.open(INPUTS, ID, 0).await;
}

/// A message about a migration is held until the target is accepted. Connections that come meanwhile are the source's.
#[tokio::test(start_paused = true)]
async fn a_target_is_told_when_it_is_accepted() {
    let mut site = Site::new();
    site.plan(|plan| plan.target = SLOW);
    let (mut viewer, mut source, _main) = site.session().await;
    let began = Instant::now();
    let (number, body) = super::moves::begin(false);
    source.say(number, &body).await;
    source.say(106, &[9, 0, 0, 0]).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(site.asked(), ["target SemiSeamless"]);
    let (mut inputs, mut at_source, _inputs) = site.open(INPUTS, ID, 0).await;
    inputs.passes(&mut at_source, 103, &[1, 0]).await;
    viewer.passes(&mut source, 108, &[1, 0, 0, 0]).await;
    let (told, body) = viewer.hear().await.unwrap();
    assert_eq!((told, began.elapsed()), (101, SLOW));
    assert!(super::moves::is_rewritten(&body));
    // What stands behind it is not read until the viewer has answered.
    assert!(viewer.is_silent(Duration::from_millis(500)).await);
    // Its main channel at the target, and then its others.
    let (mut there, mut target, _there) = site.open(MAIN, ID, 1).await;
    let (mut inputs_there, mut inputs_target, _inputs_there) = site.open(INPUTS, ID, 1).await;
    viewer.passes(&mut source, 102, &[]).await;
    assert_eq!(viewer.hear().await, Some((106, vec![9, 0, 0, 0])));
    source.passes(&mut viewer, 112, &[]).await;
    there.passes(&mut target, 109, &[]).await;
    drop(source);
    assert_eq!(viewer.hear().await, None);
    target.say(103, &init(ID)).await;
    assert_eq!(there.hear().await, Some((103, init(ID))));
    target.say(104, &LIST).await;
    assert_eq!(there.hear().await, Some((104, LIST.to_vec())));
    inputs_there.passes(&mut inputs_target, 103, &[1, 0]).await;
    site.open(DISPLAY, ID, 1).await;
    assert_eq!(site.asked(), ["accepted", "bind 0x1234", "bound"]);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_cannot_be_recorded_is_not_shown() {
    let mut site = Site::new();
    for (key, id) in (1..).zip([0, 0xbad]) {
        let (mut viewer, mut source, relayed) = site.open(MAIN, 0, 0).await;
        source.say(103, &init(id)).await;
        assert_eq!(viewer.hear().await, None);
        assert_eq!(source.hear().await, None);
        let end = relayed.await.unwrap();
        assert!(matches!(end, End::NotBound | End::Fault { .. }), "{end}");
        assert_eq!(site.ended().await, (SessionKey::new(key), true));
    }
}

/// Answers that come after the relay has stopped waiting for them do no harm.
#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_none() {
    let mut site = Site::new();
    site.plan(|plan| plan.bind = LONG);
    let (viewer, mut source, relayed) = site.open(MAIN, 0, 0).await;
    source.say(103, &init(ID)).await;
    sleep(SLOW).await;
    drop(viewer.stream);
    assert_eq!(relayed.await.unwrap(), End::Viewer);
    assert_eq!(source.hear().await, None);
    assert_eq!(site.ended().await, (SESSION, true));

    site.plan(|plan| plan.hosts[0].0 = Behaviour::Silent);
    let began = Instant::now();
    let late = site.link(MAIN, 0).await.unwrap_err();
    assert!(
        matches!(late, HandshakeError::Closed(_) | HandshakeError::TimedOut(_)),
        "{late}"
    );
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}
