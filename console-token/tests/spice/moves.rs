//! Sessions that move to another hypervisor.

use bytes::{Bytes, BytesMut};
use spice_proto::channel::main::{Destination, MigrateBegin, MigrateBeginSeamless, MigrateSwitchHost};

use crate::hypervisor::session_id;
use crate::site::{PROXY, SECOND, Site, soon};
use crate::{DENIED, INPUTS, MAIN};

pub(crate) const SWITCH_HOST: u16 = 111;
const SEAMLESS: u16 = 116;

fn to(host: &str) -> Destination {
    Destination {
        port: 5900,
        sport: u16::MAX,
        host: Bytes::copy_from_slice(format!("{host}\0").as_bytes()),
        cert_subject: Bytes::new(),
    }
}

fn seamless(host: &str) -> Vec<u8> {
    let mut body = BytesMut::new();
    let begin = MigrateBeginSeamless {
        destination: to(host),
        src_mig_version: 1,
    };
    begin.encode(&mut body).unwrap();
    body.to_vec()
}

pub(crate) fn switch(host: &str) -> Vec<u8> {
    let mut body = BytesMut::new();
    let switch = MigrateSwitchHost { destination: to(host) };
    switch.encode(&mut body).unwrap();
    body.to_vec()
}

/// The viewer gets the gateway's address whatever the hypervisor said.
fn is_sent_to_the_proxy(body: &[u8]) -> bool {
    let told = MigrateBegin::decode_slice(body).unwrap().destination;
    told.host.starts_with(PROXY.as_bytes()) && told.port == 5910
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_where_its_token_was_retargeted_to() {
    let site = Site::new();
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    site.retarget(&token).await;
    site.world.first.say(SEAMLESS, &seamless(SECOND));
    assert!(is_sent_to_the_proxy(&viewer.main.expect(SEAMLESS).await));
    // The channels come again with the same token and the same number, and get to the other hypervisor.
    let _main = site.link(MAIN, viewer.id, token.expose()).await.unwrap();
    let _inputs = site.link(INPUTS, viewer.id, token.expose()).await.unwrap();
    let there = site.world.second.links.lock().unwrap().clone();
    assert_eq!(there, [(MAIN, viewer.id), (INPUTS, viewer.id)]);
    assert_eq!(site.uses_left(&token), Some(0));
    assert_eq!(site.record(&token).sessions().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_nowhere_else() {
    for (retargeted, host) in [
        (false, SECOND),
        (true, "node3.example"),
        (true, "node1.example"),
        (false, "node1.example"),
    ] {
        let site = Site::new();
        let token = site.token(1).await;
        let mut viewer = site.open(&token).await.unwrap();
        if retargeted {
            site.retarget(&token).await;
        }
        site.world.first.say(SEAMLESS, &seamless(host));
        assert!(is_sent_to_the_proxy(&viewer.main.expect(SEAMLESS).await), "{host}");
        assert!(site.link(MAIN, viewer.id, token.expose()).await.is_err(), "{host}");
        assert_eq!(site.world.second.count(MAIN), 0, "{host}");
        let events = site.world.events.lock().unwrap();
        assert!(
            events.iter().any(|event| event.starts_with("MoveRefused")),
            "{events:?}"
        );
    }
}

/// A token that was revoked does not take its session to another host.
#[tokio::test(start_paused = true)]
async fn a_revoked_session_does_not_move() {
    use console_token::{Store as _, TokenSelector};

    let site = Site::new();
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    site.retarget(&token).await;
    let hash = site.sessions.hash(&token);
    site.store.revoke(TokenSelector::Token(&hash)).await.unwrap();
    site.world.first.say(SEAMLESS, &seamless(SECOND));
    viewer.main.expect(SEAMLESS).await;
    let events = site.world.events.lock().unwrap().clone();
    assert!(
        events.iter().any(|event| event.starts_with("MoveRefused")),
        "{events:?}"
    );
    assert!(site.link(MAIN, viewer.id, token.expose()).await.is_err());
    assert_eq!(site.world.second.count(MAIN), 0);
}

/// Two viewers with one token are sent to another host at the same moment, and both come again.
#[tokio::test(start_paused = true)]
async fn viewers_that_are_sent_away_come_again_without_a_use() {
    let site = Site::new();
    let token = site.token(2).await;
    let (mut one, mut other) = (site.open(&token).await.unwrap(), site.open(&token).await.unwrap());
    site.retarget(&token).await;
    site.world.first.say(SWITCH_HOST, &switch(SECOND));
    for viewer in [&mut one, &mut other] {
        assert!(is_sent_to_the_proxy(&viewer.main.expect(SWITCH_HOST).await));
    }
    drop((one, other));
    let again = async || {
        let mut main = site.link(MAIN, 0, token.expose()).await.unwrap();
        let number = session_id(&main.expect(103).await);
        main.say(104, &[]).await;
        main.expect(104).await;
        let inputs = site.link(INPUTS, number, token.expose()).await.unwrap();
        (number, main, inputs)
    };
    let mains = tokio::join!(again(), again());
    let mut numbers = [mains.0.0, mains.1.0];
    numbers.sort_unstable();
    assert_eq!(numbers, [201, 202]);
    assert_eq!(site.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
    assert_eq!((site.sessions.count(), site.uses_left(&token)), (2, Some(0)));
    drop(mains);
    soon("no session", || site.record(&token).sessions().count() == 0).await;
}

/// One that does not come again loses its session, and its use stays spent.
#[tokio::test(start_paused = true)]
async fn a_viewer_that_does_not_come_again_has_used_its_token() {
    let site = Site::new();
    let token = site.token(1).await;
    let mut viewer = site.open(&token).await.unwrap();
    site.retarget(&token).await;
    site.world.first.say(SWITCH_HOST, &switch(SECOND));
    viewer.main.expect(SWITCH_HOST).await;
    drop(viewer);
    soon("no session", || site.record(&token).sessions().count() == 0).await;
    assert_eq!(site.link(MAIN, 0, token.expose()).await.err(), Some(DENIED));
    assert_eq!(site.uses_left(&token), Some(0));
}
