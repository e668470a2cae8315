//! Gateways of one store: the channels of a session come to any of them.

use std::time::Duration;

use console_token::spice::Settings;
use console_token::{Secret, Store as _, UnixSeconds};
use tokio::time::sleep;

use crate::hypervisor::session_id;
use crate::moves::{SWITCH_HOST, switch};
use crate::site::{SECOND, Site, soon};
use crate::{DENIED, DISPLAY, INPUTS, MAIN};

/// The code that a viewer gets whose hypervisor is not reached.
const ERROR: Option<u32> = Some(1);

/// Two gateways that reach each other.
fn two() -> [Site; 2] {
    let one = Site::with(Settings::default().with_gateway("one"));
    let two = one.another(Settings::default().with_gateway("two"));
    one.reaches("two", &two);
    two.reaches("one", &one);
    [one, two]
}

/// The names of the notes.
async fn notes(site: &Site) -> Vec<String> {
    let notes = site.store.notes("spice/", UnixSeconds(1000)).await.unwrap();
    notes.into_iter().map(|(name, _)| name.into()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_handed_on_to_the_gateway_of_its_session() {
    let [one, two] = two();
    let token = one.token(1).await;
    let (id, mut main) = one.main(&token).await.unwrap();
    let mut inputs = two.link(INPUTS, id, token.expose()).await.unwrap();
    let mut display = two.link(DISPLAY, id, token.expose()).await.unwrap();
    let count = |channel| one.world.first.count(channel);
    assert_eq!((count(MAIN), count(INPUTS), count(DISPLAY)), (1, 1, 1));
    main.say(104, &[]).await;
    main.expect(104).await;
    assert_eq!((one.sessions.count(), two.sessions.count()), (1, 0));
    assert!(
        two.world
            .events
            .lock()
            .unwrap()
            .iter()
            .any(|event| event == "HandedOn(\"one\")")
    );
    assert_eq!(one.uses_left(&token), Some(0));
    assert_eq!(notes(&one).await.len(), 2);
    // Unknown tokens, other ids and a spent token are refused alike.
    let stranger = Secret::base64url(&[7; 32]);
    assert_eq!(two.link(INPUTS, id, stranger.expose()).await.err(), Some(DENIED));
    assert_eq!(two.link(INPUTS, id + 1, token.expose()).await.err(), Some(DENIED));
    assert_eq!(two.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
    drop(main);
    assert!(inputs.has_ended().await && display.has_ended().await);
    soon("the end of the notes", || one.sessions.count() == 0).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(notes(&one).await, [""; 0]);
    assert_eq!(two.link(INPUTS, id, token.expose()).await.err(), Some(DENIED));
}

/// The token is replaced while a session is open: what its viewer has opens channels everywhere, and so does the new one.
#[tokio::test(start_paused = true)]
async fn a_replaced_token_leads_to_the_same_gateway() {
    let [one, two] = two();
    let token = one.token(2).await;
    let (id, _main) = one.main(&token).await.unwrap();
    let new = Secret::base64url(&[9; 32]);
    let hashes = (one.sessions.hash(&token), one.sessions.hash(&new));
    one.store
        .replace(&hashes.0, &hashes.1, UnixSeconds(1000))
        .await
        .unwrap();
    let _inputs = two
        .link(INPUTS, id, token.expose())
        .await
        .expect("the old one, at once");
    one.sessions.attend().await;
    assert_eq!(
        two.link(INPUTS, id, new.expose()).await.err(),
        Some(DENIED),
        "it is open"
    );
    let _display = two.link(DISPLAY, id, new.expose()).await.expect("the new one");
    assert_eq!(notes(&one).await.len(), 3);
}

/// `MIGRATE_SWITCH_HOST`: the viewer comes again as for a new session, to a gateway that does not have it.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_is_sent_away_comes_again_elsewhere() {
    let [one, two] = two();
    let token = one.token(1).await;
    let mut viewer = one.open(&token).await.unwrap();
    one.retarget(&token).await;
    one.world.first.say(SWITCH_HOST, &switch(SECOND));
    viewer.main.expect(SWITCH_HOST).await;
    drop(viewer);
    let mut main = two.link(MAIN, 0, token.expose()).await.expect("it is awaited");
    let id = session_id(&main.expect(103).await);
    main.say(104, &[]).await;
    main.expect(104).await;
    let _inputs = two.link(INPUTS, id, token.expose()).await.unwrap();
    assert_eq!((id, one.sessions.count(), two.sessions.count()), (201, 1, 0));
    assert_eq!(two.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
    assert_eq!(one.uses_left(&token), Some(0));
    assert!(!notes(&one).await.iter().any(|name| name.contains("switch")));
}

/// A gateway that is gone is as a hypervisor that is not reached, and what it had is not looked for elsewhere.
#[tokio::test(start_paused = true)]
async fn an_owner_that_is_gone_is_not_reached() {
    let [one, two] = two();
    let token = one.token(2).await;
    let (id, _main) = one.main(&token).await.unwrap();
    two.world.others.lock().unwrap().clear();
    assert_eq!(two.link(INPUTS, id, token.expose()).await.err(), Some(ERROR));
    assert_eq!(one.uses_left(&token), Some(1));
}

/// Without a name of its own a gateway writes nothing, and refuses what it does not have.
#[tokio::test(start_paused = true)]
async fn gateways_without_names_keep_their_sessions() {
    let one = Site::new();
    let two = one.another(Settings::default());
    let token = one.token(1).await;
    let (id, _main) = one.main(&token).await.unwrap();
    assert_eq!(two.link(INPUTS, id, token.expose()).await.err(), Some(DENIED));
    assert_eq!(notes(&one).await, [""; 0]);
}
