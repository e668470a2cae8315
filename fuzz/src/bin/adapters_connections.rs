#![cfg_attr(fuzzing, no_main)]
//! Tokens coupled to connections (`TokenConnections`) over a store that fails as the input draws, against a model of what is
//! spent.
//!
//! ```text
//! | settings u8 | steps, each | what u8 | which u8 |
//! ```
//!
//! Settings: bit 0: viewers may come again, bit 1: no lease. What a step does is named in [`step`].
//!
//! The laws: a token opens no more than its uses, and exactly what the model says while the store works; a use is given back
//! exactly if no hypervisor was reached, also where answers were lost; a connection is cut only for a reason; each end is
//! reported once; in the end nothing is open.

use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use console_token::connections::{ConnectionEvent, Denial, Settings, TokenConnections, TokenUse};
use console_token::{
    AttemptId, ConsoleType, Grant, Pepper, Peppers, Refusal, Scope, Secret, Store as _, StoreError, Target, TokenHash,
    TokenSelector, Transition, UnixSeconds, Uses,
};
use fuzz::Input;
use fuzz::adapters::{random, run};
use tokio::time::{sleep, timeout};

use self::failing::{Failing, Mode};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/spice/failing.rs"]
mod failing;

fuzz::target!(check);

const STEPS: usize = 150;
const TOKENS: usize = 4;
const OPEN: usize = 8;
const RECONNECT: u64 = 20;
/// A token that lives long, and one that does not.
const TTL: [u64; 2] = [1_000_000, 30];

/// A token, and what is known of it.
struct Token {
    secret: Secret,
    hash: TokenHash,
    grant: Grant,
    uses: u32,
    /// Sessions that may have reached a hypervisor.
    reached: BTreeSet<u64>,
    /// Sessions that broke off, and until when their viewer may come again.
    broken: BTreeMap<u64, u64>,
    revoked: bool,
    /// Its name has changed, or its sessions have limits: what is left is not compared.
    other: bool,
}

/// A connection, of this token.
struct Viewer {
    of: usize,
    held: TokenUse,
    session: u64,
    /// It came again, and can once more until then.
    again: Option<u64>,
    reached: bool,
    finished: bool,
    stopped: bool,
}

struct World {
    store: Arc<Failing>,
    connections: Arc<TokenConnections>,
    clock: Arc<AtomicU64>,
    reconnect: u64,
    leased: bool,
    tokens: Vec<Token>,
    open: Vec<Viewer>,
    /// The store has worked all the time.
    clean: bool,
    ends: Arc<Mutex<Vec<AttemptId>>>,
    fails: bool,
}

fn everything(_: &Transition) -> bool {
    true
}

fn beginnings(asked: &Transition) -> bool {
    matches!(asked, Transition::Open(_) | Transition::Resume { .. })
}

fn ends(asked: &Transition) -> bool {
    matches!(
        asked,
        Transition::Release(_) | Transition::Close(_) | Transition::Suspend { .. }
    )
}

fn binds(asked: &Transition) -> bool {
    matches!(asked, Transition::Bind { .. } | Transition::Attend(_))
}

impl World {
    fn new(settings: u8) -> Self {
        let (reconnect, leased) = (if settings & 1 == 0 { 0 } else { RECONNECT }, settings & 2 == 0);
        let (store, clock) = (Arc::new(Failing::new()), Arc::new(AtomicU64::new(1000)));
        let mut chosen = Settings::default()
            .with_audience("here")
            .with_reconnect(Duration::from_secs(reconnect))
            .with_refuse_after(Duration::ZERO)
            .with_attend_every(Duration::from_secs(4))
            .with_store_timeout(Duration::from_secs(2));
        if !leased {
            chosen = chosen.with_lease(Duration::ZERO);
        }
        let now = clock.clone();
        let peppers = Peppers::new(Pepper::new(&[1; 32]).expect("long enough"));
        let now = move || UnixSeconds(now.load(Ordering::Relaxed));
        let connections = TokenConnections::new(store.clone(), peppers, now, random, chosen);
        let ends: Arc<Mutex<Vec<AttemptId>>> = Arc::default();
        let noted = ends.clone();
        tokio::spawn(connections.clone().run(move |event| {
            assert!(!format!("{event:?}").is_empty());
            if let ConnectionEvent::Closed { attempt, .. } | ConnectionEvent::Suspended { attempt, .. } = event {
                noted.lock().expect("no panic").push(attempt);
            }
        }));
        Self {
            store,
            connections,
            clock,
            reconnect,
            leased,
            tokens: Vec::new(),
            open: Vec::new(),
            clean: true,
            ends,
            fails: false,
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    async fn issue(&mut self, which: u8) {
        let target = Target::Host {
            host: "node.example".into(),
            port: Some(5900),
            tls_port: None,
        };
        let uses = u32::from(which & 3) + 1;
        let ttl = TTL[usize::from(which >> 2 & 1)];
        let mut grant = Grant::new(target, ConsoleType::NoVnc, UnixSeconds(self.now()), ttl)
            .with_uses(Uses::Limited(NonZeroU32::new(uses).expect("not 0")))
            .with_audience(if which & 0x38 == 0x38 { "there" } else { "here" })
            .with_vm("vm");
        let other = which & 0xc0 == 0xc0;
        match which >> 6 {
            1 => grant = grant.with_max_sessions(NonZeroU8::MIN),
            2 if which & 8 != 0 => grant = grant.with_scope(Scope::Exchange),
            3 => grant = grant.with_session_limit(10),
            _ => {}
        }
        let secret = self.connections.issue(&grant).await.expect("there is room");
        let hash = self.connections.hash(&secret);
        self.tokens.push(Token {
            secret,
            hash,
            grant,
            uses,
            reached: BTreeSet::new(),
            broken: BTreeMap::new(),
            revoked: false,
            other,
        });
    }

    /// Sessions of a token that have a viewer.
    fn held(&self, of: usize) -> BTreeSet<u64> {
        let held = self.open.iter().filter(|viewer| viewer.of == of);
        held.map(|viewer| viewer.session).collect()
    }

    /// Whether a viewer with this token is let in: again to a session, or to a new one. `None`: it is not known.
    fn expected(&self, of: usize) -> Option<Result<Option<u64>, ()>> {
        let token = &self.tokens[of];
        if !self.clean || token.other {
            return None;
        }
        let now = self.now();
        let (grant, held) = (&token.grant, self.held(of));
        let welcome = !token.revoked && grant.audience.as_deref() == Some("here") && grant.scope == Scope::Connection;
        let broken: Vec<u64> = token
            .broken
            .iter()
            .filter(|(_, until)| now < **until)
            .map(|(session, _)| *session)
            .collect();
        if !welcome {
            return Some(Err(()));
        }
        if let Some(session) = broken.first() {
            return Some(Ok(Some(*session)));
        }
        let taken = held.union(&token.reached).count();
        let room = held.len() < usize::from(grant.max_sessions.get());
        let good = taken < token.uses as usize && room && now < grant.expires.0;
        Some(if good { Ok(None) } else { Err(()) })
    }

    async fn enter(&mut self, of: usize, patience: Option<Duration>) {
        let expected = self.expected(of);
        if let Some(expected) = expected {
            let checked = self.connections.check(&self.tokens[of].secret).await;
            assert_eq!(checked.is_ok(), expected.is_ok(), "{checked:?}");
        }
        let entering = self.connections.enter(&self.tokens[of].secret);
        let entered = match patience {
            Some(patience) => match timeout(patience, entering).await {
                Ok(entered) => entered,
                // The viewer has gone meanwhile.
                Err(_) => return,
            },
            None => entering.await,
        };
        let held = match (entered, expected) {
            (Ok(held), Some(expected)) => {
                let session = held.session().expect("the store has answered").get();
                match expected {
                    Ok(Some(again)) => assert_eq!(session, again, "the oldest that broke off"),
                    Ok(None) => assert!(!self.tokens[of].reached.contains(&session), "a new one"),
                    Err(()) => panic!("it is let in"),
                }
                held
            }
            (Ok(held), None) => held,
            (Err(denial), expected) => {
                assert!(matches!(expected, None | Some(Err(()))), "{denial}");
                assert!(matches!(denial, Denial::Token(_)) || !self.clean, "{denial}");
                return;
            }
        };
        let session = held.session().expect("the store has answered").get();
        assert_eq!(held.grant().vm.as_deref(), Some("vm"));
        let again = self.tokens[of].broken.remove(&session);
        self.open.push(Viewer {
            of,
            held,
            session,
            again,
            reached: false,
            finished: false,
            stopped: false,
        });
        let token = &self.tokens[of];
        let taken = self.held(of).union(&token.reached).count();
        assert!(taken <= token.uses as usize, "{taken} of {} uses", token.uses);
    }

    async fn reached(&mut self, at: usize) {
        let viewer = &mut self.open[at];
        viewer.reached = true;
        let token = &mut self.tokens[viewer.of];
        token.reached.insert(viewer.session);
        let reached = viewer.held.reached().await;
        let (is_good, is_known) = (!token.revoked && !viewer.stopped, self.clean && !token.other);
        assert!(!is_known || reached.is_ok() == is_good, "{reached:?}");
    }

    /// Why it has to end, if it has to.
    async fn cut(viewer: &Viewer) -> Option<Refusal> {
        timeout(Duration::ZERO, viewer.held.ended()).await.ok()
    }

    fn assert_reason(&self, viewer: &Viewer, why: Option<Refusal>) {
        let token = &self.tokens[viewer.of];
        let reason = token.revoked || token.other || viewer.stopped || !self.clean;
        assert!(why.is_none() || reason, "{why:?}");
    }

    /// The viewer has gone.
    async fn leave(&mut self, at: usize) {
        let viewer = self.open.remove(at);
        let why = Self::cut(&viewer).await;
        self.assert_reason(&viewer, why);
        let is_cut = why.is_some_and(|why| why != Refusal::SessionClosed);
        let (now, again) = (self.now(), self.now() + self.reconnect);
        let token = &mut self.tokens[viewer.of];
        let until = match viewer.reached {
            _ if viewer.finished || is_cut || token.revoked => None,
            true => Some(again),
            false => viewer.again,
        };
        if let Some(until) = until.filter(|until| now < *until) {
            token.broken.insert(viewer.session, until);
        }
    }

    /// All connections are ended, and the store knows.
    async fn stop(&mut self) {
        let connections = self.connections.clone();
        let stop = timeout(Duration::from_secs(30), connections.stop());
        let leave = async {
            for viewer in &mut self.open {
                viewer.stopped = true;
                viewer.held.ended().await;
            }
            while !self.open.is_empty() {
                self.leave(0).await;
            }
        };
        let (stopped, ()) = tokio::join!(stop, leave);
        assert!(stopped.is_ok() || self.fails, "nothing is left, and the store knows");
    }

    /// Clock and runtime agree.
    async fn pass(&mut self, seconds: u8) {
        for _ in 0..seconds {
            self.clock.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
        }
    }

    async fn revoke(&mut self, of: usize) {
        let token = &mut self.tokens[of];
        let revoked = self.store.revoke(TokenSelector::Token(&token.hash)).await;
        assert_eq!(revoked.ok(), Some(usize::from(!token.revoked)));
        token.revoked = true;
    }

    async fn replace(&mut self, of: usize) {
        let (now, token) = (UnixSeconds(self.now()), &mut self.tokens[of]);
        let mut bytes = [0; 32];
        random(&mut bytes);
        let secret = Secret::base64url(&bytes);
        let hash = self.connections.hash(&secret);
        match self.store.replace(&token.hash, &hash, now).await {
            Ok(_) => (token.secret, token.hash) = (secret, hash),
            Err(StoreError::Refused(Refusal::Revoked | Refusal::Expired)) => {}
            Err(error) => panic!("{error}"),
        }
        token.other = true;
    }

    /// The store may go on, and ends those that may not.
    async fn attend(&mut self) {
        self.connections.attend().await;
        for viewer in &self.open {
            let why = Self::cut(viewer).await;
            self.assert_reason(viewer, why);
            let token = &self.tokens[viewer.of];
            if token.revoked && !token.other && self.clean {
                assert!(why.is_some(), "it is revoked");
            }
        }
    }

    fn fail(&mut self, which: u8) {
        let mode = [Mode::Works, Mode::Down, Mode::Deaf, Mode::Hangs, Mode::AppliesAndHangs][usize::from(which % 5)];
        let about = [everything as fn(&_) -> _, beginnings, ends, binds][usize::from(which >> 6)];
        self.store.set(mode, about);
        self.fails = mode != Mode::Works;
        self.clean &= !self.fails;
    }

    /// What the store counts is what the model does.
    fn compare(&self) {
        assert_eq!(self.connections.count(), self.open.len());
        for (of, token) in self.tokens.iter().enumerate() {
            let Some(record) = self.store.memory.record(&token.hash) else {
                continue;
            };
            let left = record.uses_left().expect("limited");
            let taken = token.uses - left;
            let reached = u32::try_from(token.reached.len()).expect("few");
            assert!(
                reached <= taken || token.other,
                "{reached} of {taken} uses were given back"
            );
            if self.clean && !token.other {
                let expected = token.reached.union(&self.held(of)).count();
                assert_eq!(taken as usize, expected);
            }
        }
    }

    async fn finish(&mut self) {
        self.store.works();
        self.fails = false;
        while !self.open.is_empty() {
            self.leave(0).await;
        }
        self.pass(5).await;
        timeout(Duration::from_secs(60), self.connections.told())
            .await
            .expect("the store works");
        assert_eq!(self.connections.count(), 0);
        self.compare();
        let told = self.ends.lock().expect("no panic").clone();
        let once: BTreeSet<AttemptId> = told.iter().copied().collect();
        assert_eq!(once.len(), told.len(), "an end is told once");
        for token in &self.tokens {
            let Some(record) = self.store.memory.record(&token.hash) else {
                continue;
            };
            let open = record.sessions().count();
            if self.reconnect == 0 && !(token.revoked || token.other) && (self.clean || !self.leased) {
                assert_eq!(open, 0, "nothing is open");
            }
            // The store took none of its connections for lost meanwhile.
            if !(token.revoked || token.other || self.leased) && token.grant.expires.0 > 100_000 {
                let taken = token.uses - record.uses_left().expect("limited");
                assert_eq!(taken as usize, token.reached.len(), "exactly what was reached");
            }
        }
        self.pass(u8::try_from(RECONNECT).expect("small")).await;
        let stopped = timeout(Duration::from_secs(60), self.connections.stop()).await;
        assert!(stopped.is_ok());
    }
}

async fn step(world: &mut World, what: u8, which: u8) {
    let token = (!world.tokens.is_empty()).then(|| usize::from(which) % world.tokens.len());
    let viewer = (!world.open.is_empty()).then(|| usize::from(which) % world.open.len());
    match (what % 16, token, viewer) {
        (0, ..) if world.tokens.len() < TOKENS => world.issue(which).await,
        (1 | 2, Some(of), _) if world.open.len() < OPEN => world.enter(of, None).await,
        (3, Some(of), _) if world.open.len() < OPEN => {
            let patience = Duration::from_millis(u64::from(what >> 4) * 200);
            world.enter(of, Some(patience)).await;
        }
        (4 | 5, _, Some(at)) => world.reached(at).await,
        (6, _, Some(at)) => {
            world.open[at].finished = true;
            world.open[at].held.finish();
        }
        (7 | 8, _, Some(at)) => world.leave(at).await,
        (9, Some(of), _) => {
            if what & 16 == 0 {
                world.revoke(of).await;
            } else {
                world.replace(of).await;
            }
        }
        (10, ..) => world.attend().await,
        (11, ..) => world.pass(which & 31).await,
        (12, ..) => world.fail(which),
        (13, _, Some(at)) => {
            let viewer = &world.open[at];
            let current = viewer.held.current().await;
            let token = &world.tokens[viewer.of];
            assert!(!token.revoked || token.other || current.is_err());
            assert!(viewer.held.fingerprint() == token.hash.fingerprint() || token.other);
        }
        (14, ..) => world.stop().await,
        (15, ..) => {
            let stranger = Secret::base64url(&[which; 32]);
            let denial = world.connections.enter(&stranger).await.expect_err("it is no token");
            assert!(
                world.fails || matches!(denial, Denial::Token(Refusal::Unknown)),
                "{denial}"
            );
        }
        _ => {}
    }
    if world.clean {
        world.connections.told().await;
    }
    if !world.fails {
        world.compare();
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    run(async {
        let mut world = World::new(input.byte());
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            let (what, which) = (input.byte(), input.byte());
            step(&mut world, what, which).await;
        }
        world.finish().await;
    });
}
