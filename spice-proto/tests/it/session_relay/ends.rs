//! How connections and sessions end.

use std::time::Duration;

use spice_proto::ids::LinkErrorCode;
use spice_proto::link::{HandshakeError, Refusal, Stage};
use spice_proto::session::relay::End;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use super::{Behaviour, DISPLAY, ID, INPUTS, Line, MAIN, SESSION, Site};

const A_WHILE: Duration = Duration::from_millis(500);
/// `DISPLAY_INIT`, as a relay says it.
const INIT: (u16, [u8; 14]) = (101, [0; 14]);

async fn rest(line: &mut Line) -> Vec<u8> {
    let mut bytes = line.rx.split().to_vec();
    line.stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Some messages end the QEMU process, so they do not pass, nor does anything behind them.
#[tokio::test(start_paused = true)]
async fn what_a_hypervisor_did_not_ask_for_does_not_reach_it() {
    for (channel, number, body) in [
        (MAIN, 4, &[][..]),
        (MAIN, 5, &[0; 8]),
        (MAIN, 109, &[]),
        (MAIN, 110, &[1, 0, 0, 0]),
        (INPUTS, 4, &[]),
        (DISPLAY, 5, &[0; 8]),
    ] {
        let mut site = Site::new();
        let (mut viewer, mut source, relayed) = site.session().await;
        let (mut viewer, mut source, relayed) = if channel == MAIN {
            viewer.passes(&mut source, 104, &[]).await;
            (viewer, source, relayed)
        } else {
            let (mut other, mut at_source, relayed) = site.open(channel, ID, 0).await;
            let first = if channel == DISPLAY { 101 } else { 103 };
            other
                .passes(&mut at_source, first, &[0; 14][..if first == 101 { 14 } else { 2 }])
                .await;
            at_source.passes(&mut other, 6, &[0; 12]).await;
            std::mem::forget((viewer, source));
            (other, at_source, relayed)
        };
        viewer.say(number, body).await;
        let _ = viewer.stream.write_all(&[1, 0, 4, 0, 0, 0, 1, 0, 0, 0]).await;
        assert_eq!(rest(&mut source).await, b"", "{channel} {number}");
        assert!(
            matches!(relayed.await.unwrap(), End::Fault { .. }),
            "{channel} {number}"
        );
    }
}

/// A tenant can be refused before it is shown a key, in the link reply or without a word; the next one is not.
#[tokio::test(start_paused = true)]
async fn a_tenant_is_refused_before_it_shows_anything() {
    let code = LinkErrorCode::CHANNEL_NOT_AVAILABLE;
    for (why, expected) in [
        (Refusal::Code(code), HandshakeError::Rejected(code)),
        (Refusal::Close, HandshakeError::Closed(Stage::LinkReply)),
    ] {
        let mut site = Site::new();
        site.plan(|plan| plan.denies = Some(why));
        assert_eq!(site.link(MAIN, 0).await.map(drop), Err(expected));
        site.plan(|plan| plan.denies = None);
        site.link(MAIN, 0).await.unwrap();
    }
}

/// A hypervisor that has a channel on its port with TLS only is connected to again, as the author of the proxy knows how.
#[tokio::test(start_paused = true)]
async fn a_hypervisor_on_another_port() {
    let mut site = Site::new();
    site.plan(|plan| plan.hosts[0] = (Behaviour::Accepts, Behaviour::Secured));
    let (_viewer, _source, _relayed) = site.session().await;
    let (mut viewer, mut source, _) = site.open(INPUTS, ID, 0).await;
    assert_eq!(site.asked(), ["dial TLS"]);
    source.passes(&mut viewer, 101, &[0; 2]).await;
    viewer.passes(&mut source, 101, &[1, 0, 0, 0]).await;

    site.plan(|plan| plan.accept = false);
    // Where there is no such port the channel is not there either.
    assert!(site.link(DISPLAY, ID).await.is_err());
    assert_eq!(site.asked(), ["dial TLS"]);
}

/// A display link that is closed before QEMU has handled its first message ends QEMU.
#[tokio::test(start_paused = true)]
async fn a_display_link_begins_before_it_ends() {
    let first: [(u16, &[u8]); 4] = [(101, &[1; 14]), (103, &[1]), (101, &[1; 13]), (4, &[])];
    for (number, body) in first {
        let mut site = Site::new();
        let (_main, _source, _) = site.session().await;
        let (mut viewer, mut source, relayed) = site.open(DISPLAY, ID, 0).await;
        viewer.say(number, body).await;
        let begun = (number, body.len()) == (101, 14);
        let expected = if begun { vec![1; 14] } else { INIT.1.to_vec() };
        assert_eq!(source.hear().await, Some((101, expected)));
        drop(viewer);
        assert!(source.is_silent(A_WHILE).await, "closed before it was handled");
        assert!(!relayed.is_finished());
        source.say(3, &[0; 8]).await;
        assert_eq!(source.hear().await, None);
        relayed.await.unwrap();
    }
    // The viewer says nothing, half a message, or is gone while its link is made; or the session ends.
    for how in 0..4 {
        let mut site = Site::new();
        let (main, _source, _) = site.session().await;
        let (mut viewer, mut source, relayed) = site.open(DISPLAY, ID, 0).await;
        let mut main = Some(main);
        match how {
            0 => drop(viewer),
            1 => {
                viewer.stream.write_all(&[101, 0, 14]).await.unwrap();
                drop(viewer);
            }
            2 => main = None,
            _ => site.hub.stop(),
        }
        assert_eq!(source.hear().await, Some((INIT.0, INIT.1.to_vec())), "{how}");
        assert!(source.is_silent(A_WHILE).await, "{how}");
        assert!(!relayed.is_finished(), "{how}");
        source.stream.write_all(&[3]).await.unwrap();
        assert_eq!(source.hear().await, None, "{how}");
        drop(main);
    }
    // One that answers nothing is not waited for for ever.
    let mut site = Site::new();
    let (_main, _source, _) = site.session().await;
    let (viewer, mut source, _) = site.open(DISPLAY, ID, 0).await;
    drop(viewer);
    source.hear().await.unwrap();
    assert!(source.is_silent(Duration::from_millis(1900)).await);
    assert_eq!(source.hear().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_main_channel() {
    for side in 0..2 {
        let mut site = Site::new();
        let (mut main, mut source, relayed) = site.session().await;
        let (mut inputs, mut at_source, _) = site.open(INPUTS, ID, 0).await;
        // What was said last still arrives.
        if side == 0 {
            main.say(101, &[0; 8]).await;
            drop(main);
            assert_eq!(source.hear().await, Some((101, vec![0; 8])));
            assert_eq!(source.hear().await, None);
        } else {
            source.say(106, &[0; 4]).await;
            drop(source);
            assert_eq!(main.hear().await, Some((106, vec![0; 4])));
            assert_eq!(main.hear().await, None);
        }
        assert_eq!((inputs.hear().await, at_source.hear().await), (None, None));
        let end = relayed.await.unwrap();
        assert_eq!(end, if side == 0 { End::Viewer } else { End::Hypervisor });
        assert_eq!(site.ended().await, (SESSION, true));
        site.hub
            .with(|_, sessions| assert_eq!(sessions.tracker().counts().sessions, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hypervisor_that_fails_is_no_wrong_password() {
    for behaviour in [Behaviour::Gone, Behaviour::Refuses] {
        let mut site = Site::new();
        site.plan(|plan| plan.hosts[0].0 = behaviour);
        let failed = site.link(MAIN, 0).await.unwrap_err();
        assert!(matches!(failed, HandshakeError::Closed(_)), "{failed}");
        assert_eq!(site.ended().await, (SESSION, false), "a use that was not spent");
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_links_end() {
    let mut site = Site::new();
    let (relayed, mut stream) = site.connect();
    stream.write_all(b"REDQ").await.unwrap();
    let end = relayed.await.unwrap();
    assert!(matches!(end, End::Link(_)), "{end}");
    let (relayed, _stream) = site.connect();
    sleep(A_WHILE).await;
    site.hub.stop();
    assert_eq!(relayed.await.unwrap(), End::Session);
    let (relayed, _stream) = site.connect();
    assert_eq!(relayed.await.unwrap(), End::Session, "later ones end at once");
    site.hub
        .with(|_, sessions| assert_eq!(sessions.tracker().counts().half_open, 0));
}

/// A task that is aborted leaves nothing behind.
#[tokio::test(start_paused = true)]
async fn a_driver_that_stops_early() {
    let mut site = Site::new();
    let (_viewer, _source, relayed) = site.session().await;
    let (mut inputs, _, _) = site.open(INPUTS, ID, 0).await;
    relayed.abort();
    assert_eq!(inputs.hear().await, None);
    assert_eq!(site.ended().await, (SESSION, true));
}
