#![cfg_attr(fuzzing, no_main)]
//! SPICE sessions that tokens open (`TokenSessions`, `TokenProxy`): viewers, hypervisors, one or two gateways and a store that
//! fails, as the input draws them, in memory and under paused time.
//!
//! ```text
//! | settings u8 | steps, each | what u8 | which u8 | of raw viewers: length u8, what it says | |
//! ```
//!
//! Settings: bit 0: viewers may come again; bit 1: two gateways, which hand channels on to each other. The gateways and the
//! peers are those of `console-token/tests/spice`.
//!
//! The laws: a session costs one use, its further channels none; a use whose hypervisor was not reached, or refused, is given
//! back; no viewer gets in without a use, or with the number of another's session; all refusals look alike; in the end no
//! session is open, here or in the store, and no note about one is left.
//!
//! Not searched in CI: see LAWS.md.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use console_token::spice::Settings;
use console_token::{Secret, Store as _, StoreError, TokenSelector, Transition, UnixSeconds};
use fuzz::Input;
use fuzz::adapters::{random, run};
use spice_proto::channel::main::{Destination, MigrateBeginSeamless, MigrateSwitchHost};
use spice_proto::ids::ChannelType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::{sleep, timeout};

use self::failing::Mode;
use self::hypervisor::session_id;
use self::line::Line;
use self::site::{FIRST, SECOND, Site};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/spice/failing.rs"]
mod failing;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/spice/hypervisor.rs"]
mod hypervisor;
#[path = "../../../console-token/tests/spice/line.rs"]
mod line;
#[allow(dead_code, unexpected_cfgs, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/spice/site.rs"]
mod site;

fuzz::target!(check);

const MAIN: ChannelType = ChannelType::MAIN;
const INPUTS: ChannelType = ChannelType::INPUTS;
const DISPLAY: ChannelType = ChannelType::DISPLAY;
/// How all refusals look from outside.
const DENIED: Option<u32> = Some(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED.0);

/// Each link costs two keys of RSA.
const STEPS: usize = 24;
const TOKENS: usize = 2;
const SESSIONS: usize = 3;
const RECONNECT: u64 = 20;
const LONG: Duration = Duration::from_secs(3600);
/// Messages of a hypervisor that moves its guest.
const SWITCH_HOST: u16 = 111;
const SEAMLESS: u16 = 116;

struct Token {
    secret: Secret,
    uses: u32,
    /// Main channels that were let in.
    entered: u32,
    revoked: bool,
}

/// A viewer's session.
struct Session {
    of: usize,
    /// The gateway that has it.
    at: usize,
    id: u32,
    main: Line,
    channels: Vec<Line>,
}

struct World {
    sites: Vec<Site>,
    tokens: Vec<Token>,
    sessions: Vec<Session>,
    /// The store has worked all the time, no guest has moved, and no viewer comes again.
    exact: bool,
    fails: bool,
    /// Gateways that take no more viewers.
    stopped: Vec<usize>,
}

fn to(host: &str) -> Destination {
    Destination {
        port: 5900,
        sport: u16::MAX,
        host: Bytes::copy_from_slice(format!("{host}\0").as_bytes()),
        cert_subject: Bytes::new(),
    }
}

/// A hypervisor's order to move.
fn order(is_seamless: bool, host: &str) -> (u16, BytesMut) {
    let mut body = BytesMut::new();
    if is_seamless {
        let begin = MigrateBeginSeamless {
            destination: to(host),
            src_mig_version: 1,
        };
        begin.encode(&mut body).expect("it fits");
        (SEAMLESS, body)
    } else {
        let switch = MigrateSwitchHost { destination: to(host) };
        switch.encode(&mut body).expect("it fits");
        (SWITCH_HOST, body)
    }
}

impl World {
    fn new(settings: u8) -> Self {
        let reconnect = if settings & 1 == 1 { RECONNECT } else { 0 };
        let chosen = || Settings::default().with_reconnect(Duration::from_secs(reconnect));
        let sites = if settings & 2 == 0 {
            vec![Site::with(chosen())]
        } else {
            let one = Site::with(chosen().with_gateway("one"));
            let mut two = one.another(chosen().with_gateway("two"));
            // Before the same hypervisors: others would name their sessions alike.
            two.world = one.world.clone();
            one.reaches("two", &two);
            two.reaches("one", &one);
            vec![one, two]
        };
        Self {
            sites,
            tokens: Vec::new(),
            sessions: Vec::new(),
            exact: reconnect == 0,
            fails: false,
            stopped: Vec::new(),
        }
    }

    async fn issue(&mut self, which: u8) {
        let uses = u32::from(which & 3) + 1;
        self.tokens.push(Token {
            secret: self.sites[0].token(uses).await,
            uses,
            entered: 0,
            revoked: false,
        });
    }

    /// Nothing is in the way of a viewer with a use.
    fn is_good(&self, at: usize) -> bool {
        let world = &self.sites[at].world;
        let flags = [&world.wrong, &world.closed, &world.unreachable];
        !flags.iter().any(|flag| flag.load(Ordering::Relaxed)) && !self.stopped.contains(&at)
    }

    /// The main channel of a new session.
    async fn open(&mut self, of: usize, at: usize) {
        let (token, site) = (&self.tokens[of], &self.sites[at]);
        let left = site.uses_left(&token.secret).expect("limited");
        let good = self.is_good(at) && left != 0 && !token.revoked;
        let linked = site.link(MAIN, 0, token.secret.expose()).await;
        let refused = linked.as_ref().err().copied();
        let main = match linked {
            Ok(mut main) => match timeout(LONG, main.hear()).await.expect("it is told its number") {
                Some((103, body)) => Some((session_id(&body), main)),
                _ => None,
            },
            Err(code) => {
                let is_told = self.exact && !self.stopped.contains(&at);
                assert!(left != 0 || code == DENIED || !is_told, "{code:?}");
                None
            }
        };
        if self.exact {
            assert_eq!(main.is_some(), good, "{refused:?} {:?}", self.sites[at].denials());
        }
        let Some((id, mut main)) = main else { return };
        assert!(!token.revoked || self.fails, "it was revoked");
        main.say(104, &[]).await;
        self.tokens[of].entered += 1;
        self.sessions.push(Session {
            of,
            at,
            id,
            main,
            channels: Vec::new(),
        });
    }

    /// A further channel of a session, to any gateway, with any token, and perhaps another's number.
    async fn join(&mut self, which: usize, what: u8) {
        let session = &self.sessions[which];
        let of = usize::from(what >> 4 & 1) % self.tokens.len();
        let at = usize::from(what >> 5 & 1) % self.sites.len();
        let id = session.id + u32::from(what >> 6 & 1) * 77;
        let channel = if what >> 7 == 0 { INPUTS } else { DISPLAY };
        let (token, left) = (&self.tokens[of], self.sites[at].uses_left(&self.tokens[of].secret));
        let line = self.sites[at].link(channel, id, token.secret.expose()).await;
        assert_eq!(self.sites[at].uses_left(&token.secret), left, "it costs no use");
        let (is_own, is_revoked) = (of == session.of && id == session.id, token.revoked);
        let is_open = session.channels.len() < 2 && !is_revoked;
        match line {
            Ok(line) => {
                // Two hypervisors may have given the same number to two sessions.
                assert!(is_own || !self.exact, "with a token or a number that is not its own");
                self.sessions[which].channels.push(line);
            }
            Err(code) if self.exact && !is_own && !self.stopped.contains(&at) => assert_eq!(code, DENIED),
            Err(code) => {
                let good = self.exact
                    && is_own
                    && is_open
                    && session.channels.is_empty()
                    && self.is_good(session.at)
                    && self.is_good(at);
                assert!(!good || self.sites.len() == 2, "{code:?}");
            }
        }
    }

    async fn leave(&mut self, which: usize) {
        let session = self.sessions.swap_remove(which);
        drop(session.main);
        for mut line in session.channels {
            assert!(line.has_ended().await, "a channel without its main channel");
        }
    }

    async fn moves(&mut self, which: usize, what: u8) {
        self.exact = false;
        let session = &self.sessions[which];
        let host = if what & 16 == 0 { SECOND } else { FIRST };
        if what & 32 == 0 && !self.tokens[session.of].revoked {
            self.sites[0].retarget(&self.tokens[session.of].secret).await;
        }
        let (number, body) = order(what & 64 == 0, host);
        self.sites[session.at].world.first.say(number, &body);
        sleep(Duration::from_secs(1)).await;
        if what & 128 != 0 {
            // It comes again as it was told, with its number or as a new one.
            let id = if number == SEAMLESS { session.id } else { 0 };
            let text = self.tokens[session.of].secret.expose().to_owned();
            let again = self.sites[session.at].link(MAIN, id, &text).await;
            if let Ok(main) = again {
                self.sessions[which].main = main;
            }
        }
    }

    async fn revoke(&mut self, of: usize) {
        let token = &mut self.tokens[of];
        let hash = self.sites[0].sessions.hash(&token.secret);
        let revoked = self.sites[0].store.revoke(TokenSelector::Token(&hash)).await;
        assert_eq!(revoked.ok(), Some(usize::from(!token.revoked)));
        token.revoked = true;
        for site in &self.sites {
            site.sessions.attend().await;
        }
        if !self.fails {
            let mut which = 0;
            while which < self.sessions.len() {
                if self.sessions[which].of == of {
                    let main = &mut self.sessions[which].main;
                    assert!(main.has_ended().await, "a revocation ends what is open");
                    self.leave(which).await;
                } else {
                    which += 1;
                }
            }
        }
    }

    async fn replace(&mut self, of: usize) {
        self.exact = false;
        let mut bytes = [0; 32];
        random(&mut bytes);
        let (site, token) = (&self.sites[0], &mut self.tokens[of]);
        let secret = Secret::base64url(&bytes);
        let hashes = (site.sessions.hash(&token.secret), site.sessions.hash(&secret));
        let now = UnixSeconds(site.ahead.load(Ordering::Relaxed));
        match site.store.replace(&hashes.0, &hashes.1, now).await {
            Ok(_) => token.secret = secret,
            Err(StoreError::Refused(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }

    async fn pass(&self, seconds: u8) {
        for _ in 0..seconds {
            self.sites[0].ahead.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn fail(&mut self, which: u8) {
        let mode = [Mode::Works, Mode::Down, Mode::Deaf, Mode::Hangs, Mode::AppliesAndHangs][usize::from(which % 5)];
        let about: fn(&Transition) -> bool = match which >> 6 {
            0 => |_| true,
            1 => |asked| matches!(asked, Transition::Claim(_) | Transition::Resume { .. }),
            2 => |asked| matches!(asked, Transition::Release(_) | Transition::Close(_)),
            _ => |asked| matches!(asked, Transition::Bind { .. } | Transition::Join { .. }),
        };
        self.sites[0].store.set(mode, about);
        self.fails = mode != Mode::Works;
        self.exact &= !self.fails;
    }

    /// Strangers are refused, and learn no more than that.
    async fn refusals(&self, which: u8) {
        let site = &self.sites[usize::from(which) % self.sites.len()];
        let stranger = Secret::base64url(&[which; 32]);
        let shown = [stranger.expose(), "no token", ""];
        let text = shown[usize::from(which >> 1) % shown.len()];
        let (channel, id) = [(MAIN, 0), (INPUTS, 1), (INPUTS, 101), (DISPLAY, 0)][usize::from(which >> 4 & 3)];
        let refused = site.link(channel, id, text).await.err().expect("a stranger is let in");
        // A channel with a number that no session can have is refused before its ticket.
        assert!(refused == DENIED || (channel, id) == (DISPLAY, 0), "{refused:?}");
    }

    async fn raw(&self, says: &[u8]) {
        let (stream, task) = self.sites[0].connect();
        let (mut read, mut write) = split(stream);
        let mut heard = Vec::new();
        let talk = async {
            let _ = write.write_all(says).await;
            let _ = write.shutdown().await;
            let _ = read.read_to_end(&mut heard).await;
        };
        timeout(LONG, talk).await.expect("it ends");
        timeout(LONG, task).await.expect("it ends").expect("no panic");
    }

    fn compare(&self) {
        for token in &self.tokens {
            let taken = token.uses - self.sites[0].uses_left(&token.secret).expect("limited");
            if self.exact {
                assert_eq!(taken, token.entered);
            }
        }
    }

    async fn stop(&mut self, at: usize) {
        let stop = timeout(LONG, self.sites[at].sessions.stop());
        let fails = self.fails;
        if fails {
            return;
        }
        assert!(stop.await.is_ok(), "the store knows");
        self.stopped.push(at);
        let mut which = 0;
        while which < self.sessions.len() {
            if self.sessions[which].at == at {
                assert!(self.sessions[which].main.has_ended().await);
                self.leave(which).await;
            } else {
                which += 1;
            }
        }
    }

    async fn finish(&mut self) {
        self.sites[0].store.works();
        while !self.sessions.is_empty() {
            self.leave(0).await;
        }
        self.pass(5).await;
        for site in &self.sites {
            let stopped = timeout(LONG, site.sessions.stop()).await;
            assert!(stopped.is_ok() && site.sessions.count() == 0);
            let counts = site.sessions.manager().with(|_, sessions| sessions.tracker().counts());
            assert_eq!((counts.links, counts.half_open), (0, 0));
            let world = &site.world;
            let texts = [&world.denials, &world.events].map(|texts| texts.lock().expect("no panic").concat());
            let is_told = |token: &Token| texts.iter().any(|text| text.contains(token.secret.expose()));
            assert!(!self.tokens.iter().any(is_told), "a token is in a log");
        }
        self.compare();
        let site = &self.sites[0];
        for token in &self.tokens {
            if self.exact {
                assert_eq!(site.record(&token.secret).sessions().count(), 0, "nothing is open");
            }
        }
        let now = UnixSeconds(site.ahead.load(Ordering::Relaxed));
        let notes = site.store.notes("spice/", now).await.expect("it works");
        assert!(!self.exact || notes.is_empty(), "{notes:?}");
    }
}

async fn step(world: &mut World, input: &mut Input<'_>) {
    let (what, which) = (input.byte(), input.byte());
    let token = (!world.tokens.is_empty()).then(|| usize::from(which) % world.tokens.len());
    let session = (!world.sessions.is_empty()).then(|| usize::from(which) % world.sessions.len());
    let at = usize::from(what >> 4) % world.sites.len();
    match (what & 15, token, session) {
        (0, ..) if world.tokens.len() < TOKENS => world.issue(which).await,
        (1 | 2, Some(of), _) if world.sessions.len() < SESSIONS => world.open(of, at).await,
        (3 | 4, _, Some(session)) if world.sessions[session].channels.len() < 3 => world.join(session, what).await,
        (5, _, Some(session)) => world.leave(session).await,
        (6, ..) => {
            let flags = &world.sites[at].world;
            flags.wrong.store(which & 3 == 1, Ordering::Relaxed);
            flags.closed.store(which & 3 == 2, Ordering::Relaxed);
            flags.unreachable.store(which & 3 == 3, Ordering::Relaxed);
        }
        (7, _, Some(session)) => world.moves(session, what).await,
        (8, Some(of), _) => {
            if what & 16 == 0 {
                world.revoke(of).await;
            } else {
                world.replace(of).await;
            }
        }
        (9, ..) => world.pass(which & 15).await,
        (10, ..) => world.fail(which),
        (11, ..) => {
            for site in &world.sites {
                site.sessions.attend().await;
            }
        }
        (12, ..) if !world.fails && world.stopped.is_empty() => world.refusals(which).await,
        (13, ..) => world.raw(input.short_blob()).await,
        (14, ..) => world.stop(at).await,
        _ => {}
    }
    if world.exact {
        // Each end is reported at once.
        sleep(Duration::from_millis(100)).await;
        world.compare();
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let settings = input.byte();
    // A gateway costs a key.
    if data.len() < 3 {
        return;
    }
    run(async {
        let mut world = World::new(settings);
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            step(&mut world, &mut input).await;
        }
        world.finish().await;
    });
}
