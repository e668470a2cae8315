//! When a use of a token is spent, and whose it is.

use std::time::Duration;

use spice_proto::ids::LinkErrorCode;
use spice_proto::link::{HandshakeError, TicketOutcome};
use spice_proto::session::relay::End;
use spice_proto::session::{Entry, Host, Report, SessionKey};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{After, Behaviour, DISPLAY, ID, INPUTS, LIST, LONG, Line, MAIN, SESSION, Site, init, moves::begin};

const SECOND: Duration = Duration::from_secs(1);
const DENIED: HandshakeError = HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED);

/// What a link to such a hypervisor comes to.
const TABLE: [(Behaviour, TicketOutcome); 12] = [
    (Behaviour::Accepts, TicketOutcome::Accepted),
    (Behaviour::Full, TicketOutcome::Accepted),
    (
        Behaviour::Refuses,
        TicketOutcome::Refused(LinkErrorCode::PERMISSION_DENIED),
    ),
    (
        Behaviour::AfterTicket(After::Refuses),
        TicketOutcome::Refused(LinkErrorCode::INVALID_DATA),
    ),
    (Behaviour::AfterTicket(After::Nothing), TicketOutcome::Unknown),
    (Behaviour::AfterTicket(After::HangsUp), TicketOutcome::Unknown),
    (Behaviour::AfterTicket(After::Nonsense), TicketOutcome::Unknown),
    (Behaviour::Gone, TicketOutcome::NotSent),
    (Behaviour::Silent, TicketOutcome::NotSent),
    (Behaviour::HangsUp, TicketOutcome::NotSent),
    (Behaviour::RefusesChannel, TicketOutcome::NotSent),
    (Behaviour::Lacks, TicketOutcome::NotSent),
];

/// How the tenant's side ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Leaves {
    /// It waits for what comes.
    Never,
    /// It hangs up when it has waited so long.
    HangsUp(Duration),
    /// The task that drives it is aborted.
    Aborted(Duration),
}

impl Site {
    /// All reports about the session until it has ended, and whether its use is spent.
    async fn reports(&mut self) -> (Vec<Report>, bool) {
        let mut links = Vec::new();
        loop {
            match self.report().await {
                Report::Ended { session, spent } => {
                    assert!(
                        links
                            .iter()
                            .all(|link| matches!(link, Report::Link { session: of, .. } if *of == session))
                    );
                    assert!(
                        self.reports.as_mut().unwrap().try_recv().is_err(),
                        "told behind the end"
                    );
                    return (links, spent);
                }
                link => links.push(link),
            }
        }
    }

    /// A viewer opens a session, and leaves.
    async fn comes_and(&mut self, leaves: Leaves) {
        let (relayed, stream) = self.connect();
        let viewer = tokio::spawn(super::say_hello(stream, 0));
        match leaves {
            Leaves::Never => drop(viewer.await.unwrap()),
            Leaves::HangsUp(after) => {
                sleep(after).await;
                viewer.abort();
                drop(viewer.await);
            }
            Leaves::Aborted(after) => {
                sleep(after).await;
                relayed.abort();
            }
        }
        drop(relayed.await);
    }
}

/// Whatever a hypervisor does, the outcome of its link is reported once, and the use is given back exactly if it cannot
/// have accepted; also when the tenant goes meanwhile, or the task that drives it is aborted.
#[tokio::test(start_paused = true)]
async fn a_use_is_spent_when_a_ticket_may_have_reached_a_hypervisor() {
    let soon = SECOND / 10;
    for (behaviour, outcome) in TABLE {
        // Nothing is missed on a main channel that begins a session.
        let outcome = if behaviour == Behaviour::Lacks {
            TicketOutcome::Accepted
        } else {
            outcome
        };
        for leaves in [
            Leaves::Never,
            Leaves::HangsUp(soon),
            Leaves::Aborted(soon),
            Leaves::Aborted(SECOND),
        ] {
            let mut site = Site::new();
            site.plan(|plan| (plan.uses, plan.hosts[0].0) = (1, behaviour));
            site.comes_and(leaves).await;
            let (links, spent) = site.reports().await;
            let told = Report::Link {
                session: SESSION,
                channel: super::channel(MAIN),
                host: Host(0),
                outcome,
            };
            assert_eq!(links, [told], "{behaviour:?} {leaves:?}");
            assert_eq!(spent, outcome.spends(), "{behaviour:?} {leaves:?}");
            site.plan(|plan| plan.hosts[0].0 = Behaviour::Accepts);
            let again = site.link(MAIN, 0).await.map(drop);
            let expected = if spent { Err(DENIED) } else { Ok(()) };
            assert_eq!(again, expected, "{behaviour:?} {leaves:?}");
        }
    }
}

/// Nothing was asked of a hypervisor yet: the use is had again.
#[tokio::test(start_paused = true)]
async fn a_tenant_that_goes_early_costs_nothing() {
    for (look_up, dial) in [(3, 0), (0, 3)] {
        for leaves in [Leaves::HangsUp(SECOND), Leaves::Aborted(SECOND)] {
            let mut site = Site::new();
            site.plan(|plan| {
                (plan.uses, plan.hosts[0].0) = (1, Behaviour::Gone);
                (plan.look_up, plan.dial) = (SECOND * look_up, SECOND * dial);
            });
            site.comes_and(leaves).await;
            if (leaves, look_up) == (Leaves::Aborted(SECOND), 3) {
                // No use was taken.
                assert_eq!(site.plan.lock().unwrap().uses, 1);
                continue;
            }
            let (links, spent) = site.reports().await;
            let not_sent = |link: &Report| {
                matches!(
                    link,
                    Report::Link {
                        outcome: TicketOutcome::NotSent,
                        ..
                    }
                )
            };
            assert!(
                links.iter().all(not_sent) && links.len() <= 1 && !spent,
                "{leaves:?}: {links:?}"
            );
            assert_eq!(site.plan.lock().unwrap().uses, 1, "{leaves:?}");
        }
    }
}

/// A token's look-up that ends behind its link's time has taken a use for nothing.
#[tokio::test(start_paused = true)]
async fn a_claim_that_comes_too_late_is_given_back() {
    let mut site = Site::new();
    site.plan(|plan| (plan.uses, plan.look_up) = (1, LONG));
    assert!(site.link(MAIN, 0).await.is_err());
    let report = site.report().await;
    let (session, spent) = (SESSION, false);
    assert_eq!(report, Report::Ended { session, spent });
    site.plan(|plan| plan.look_up = Duration::ZERO);
    site.link(MAIN, 0).await.unwrap();
}

/// A tenant that a hypervisor refuses comes again at once: the use is back before the tenant is refused, however slow the
/// store is.
#[tokio::test(start_paused = true)]
async fn a_use_is_given_back_before_the_tenant_is_told() {
    for behaviour in [Behaviour::Gone, Behaviour::Refuses] {
        let mut site = Site::new();
        site.plan(|plan| {
            (plan.uses, plan.store) = (1, SECOND / 2);
            plan.hosts[0].0 = behaviour;
        });
        for _ in 0..3 {
            let failed = site.link(MAIN, 0).await.unwrap_err();
            assert!(matches!(failed, HandshakeError::Closed(_)), "{failed}");
        }
        site.plan(|plan| plan.hosts[0].0 = Behaviour::Accepts);
        site.link(MAIN, 0).await.unwrap();
    }
}

/// A viewer's session with this id: main and inputs.
async fn viewer(site: &mut Site, id: u32) -> [(Line, Line, JoinHandle<End>); 2] {
    let (mut viewer, mut source, relayed) = site.open(MAIN, 0, 0).await;
    source.say(103, &init(id)).await;
    source.say(104, &LIST).await;
    assert_eq!(viewer.hear().await, Some((103, init(id))));
    assert_eq!(viewer.hear().await.unwrap().0, 104);
    let inputs = site.open(INPUTS, id, 0).await;
    [(viewer, source, relayed), inputs]
}

/// Two uses are two sessions, each with its own connections and its own end.
#[tokio::test(start_paused = true)]
async fn two_viewers_with_one_token() {
    for first_to_end in [0, 1] {
        let mut site = Site::new();
        site.plan(|plan| plan.uses = 2);
        let mut viewers = Vec::new();
        for id in [ID, 77] {
            viewers.push(viewer(&mut site, id).await);
        }
        assert_eq!(site.link(MAIN, 0).await.map(drop).unwrap_err(), DENIED, "both are used");
        let ids = [ID, 77];
        let keys = [1, 2].map(SessionKey::new);
        drop(viewers.remove(first_to_end));
        assert_eq!(site.ended().await, (keys[first_to_end], true));
        // The other one goes on, with all that it has and may have.
        let other = 1 - first_to_end;
        let [(main, source, _), (inputs, at_source, _)] = &mut viewers[0];
        main.passes(source, 104, &[]).await;
        inputs.passes(at_source, 103, &[1, 0]).await;
        at_source.passes(inputs, 101, &[0; 2]).await;
        let (mut display, mut at_display, _) = site.open(DISPLAY, ids[other], 0).await;
        display.passes(&mut at_display, 101, &[0; 14]).await;
        // No connection joins the session that is over, and no use has come back.
        assert!(site.link(DISPLAY, ids[first_to_end]).await.is_err());
        assert_eq!(site.link(MAIN, 0).await.map(drop).unwrap_err(), DENIED);
        drop(viewers);
        assert_eq!(site.ended().await, (keys[other], true));
        assert_eq!(site.plan.lock().unwrap().uses, 0);
        site.hub
            .with(|_, sessions| assert_eq!(sessions.tracker().counts().sessions, 0));
    }
}

/// Of two that come at once, the one whose hypervisor fails has its use back, and the other one has not.
#[tokio::test(start_paused = true)]
async fn two_viewers_of_whom_one_fails() {
    let mut site = Site::new();
    site.plan(|plan| plan.uses = 2);
    let good = viewer(&mut site, ID).await;
    site.plan(|plan| plan.hosts[0].0 = Behaviour::Refuses);
    assert!(site.link(MAIN, 0).await.is_err());
    assert_eq!(site.ended().await, (SessionKey::new(2), false));
    assert_eq!(site.plan.lock().unwrap().uses, 1);
    drop(good);
    assert_eq!(site.ended().await, (SESSION, true));
    assert_eq!(site.plan.lock().unwrap().uses, 1);
}

/// Links to a migration target are told as well, each once; the session's use is spent by its first link.
#[tokio::test(start_paused = true)]
async fn links_to_a_target_are_told() {
    for (behaviour, outcome) in TABLE {
        let main_fails = [true, false];
        for main in main_fails {
            let mut site = Site::new();
            let (mut viewer, mut source, _) = site.session().await;
            site.plan(|plan| {
                let (accepts, host) = (Behaviour::Accepts, &mut plan.hosts[1]);
                *host = if main {
                    (behaviour, accepts)
                } else {
                    (accepts, behaviour)
                };
            });
            source.say(101, &begin(false).1).await;
            assert_eq!(viewer.hear().await.unwrap().0, 101);
            let first = site.link(MAIN, ID).await;
            let others = match main {
                true => None,
                false => Some(site.link(INPUTS, ID).await),
            };
            drop((first, others, viewer, source));
            let (links, spent) = site.reports().await;
            assert!(spent);
            let mut at_target: Vec<_> = links
                .iter()
                .filter_map(|link| match link {
                    Report::Link {
                        host: Host(1),
                        channel,
                        outcome,
                        ..
                    } => Some((channel.channel_type, *outcome)),
                    _ => None,
                })
                .collect();
            at_target.sort_by_key(|(channel, _)| *channel);
            let mut expected = vec![(MAIN, if main { outcome } else { TicketOutcome::Accepted })];
            expected.extend((!main).then_some((INPUTS, outcome)));
            assert_eq!(at_target, expected, "{behaviour:?}");
            assert_eq!(links.len(), expected.len() + 1, "{links:?}");
        }
    }
}

/// A claim opens a session and joins none; a key joins a session and opens none.
#[tokio::test(start_paused = true)]
async fn what_opens_and_what_joins() {
    use spice_proto::session::relay::{Action, NotEntered, SessionQuestion};
    use spice_proto::session::tracker::{self, Peer, Reason};
    use spice_proto::session::{Relay, Sessions};

    let now = Duration::ZERO;
    let config = Site::new().config;
    let mut sessions = Sessions::new(tracker::Config::default(), [1; 16]);
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
    };
    let asked = |sessions: &mut Sessions, channel, id| {
        let mut relay = Relay::new(now, sessions, peer, config.clone());
        let sides = super::hello(channel, id, &mut relay);
        (relay, sides)
    };
    let ended = |sessions: &mut Sessions| match sessions.poll_report() {
        Some(Report::Ended { session, spent: false }) => Some(session),
        None => None,
        other => panic!("{other:?}"),
    };
    // Keys that were invented, or are of a session that is over.
    for key in [SESSION, SessionKey::new(99)] {
        let (mut relay, _) = asked(&mut sessions, MAIN, 0);
        let entered = relay.enter(now, &mut sessions, Entry::Join(key));
        assert_eq!(entered, Err(NotEntered::Reason(Reason::Ended)));
        assert_eq!((relay.session(), sessions.tracker().counts().sessions), (None, 0));
        assert_eq!(ended(&mut sessions), None);
    }
    // A claim that cannot open a session is over.
    for (channel, id, reason) in [
        (INPUTS, 0, Reason::NotBound),
        (INPUTS, 7, Reason::NotBound),
        (MAIN, 7, Reason::NoMigration),
    ] {
        let (mut relay, _) = asked(&mut sessions, channel, id);
        let claim = sessions.claim();
        let key = claim.key();
        let entered = relay.enter(now, &mut sessions, Entry::Open(claim));
        assert_eq!(entered, Err(NotEntered::Reason(reason)));
        assert_eq!((ended(&mut sessions), ended(&mut sessions)), (Some(key), None));
    }
    // A claim for a relay that has not asked.
    let mut relay = Relay::new(now, &mut sessions, peer, config.clone());
    let claim = sessions.claim();
    let key = claim.key();
    assert!(matches!(
        relay.enter(now, &mut sessions, Entry::Open(claim)),
        Err(NotEntered::Misuse(_))
    ));
    assert_eq!((ended(&mut sessions), ended(&mut sessions)), (Some(key), None));
    // Two claims are two sessions, whatever token they were made for.
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (mut relay, mut sides) = asked(&mut sessions, MAIN, 0);
        let claim = sessions.claim();
        keys.push(claim.key());
        relay.enter(now, &mut sessions, Entry::Open(claim)).unwrap();
        let Action::Ask(SessionQuestion::Dial(dial)) = relay.step(now, &mut sides) else {
            panic!()
        };
        assert_eq!(dial.session, keys[keys.len() - 1]);
        // Another main channel with its key is a replay.
        let (mut second, _) = asked(&mut sessions, MAIN, 0);
        let entered = second.enter(now, &mut sessions, Entry::Join(dial.session));
        assert_eq!(entered, Err(NotEntered::Reason(Reason::Replayed)));
        std::mem::forget(relay);
    }
    assert_ne!(keys[0], keys[1]);
    assert_eq!(sessions.tracker().counts().sessions, 2);
    assert_eq!(ended(&mut sessions), None);
}
