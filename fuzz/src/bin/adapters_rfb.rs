#![cfg_attr(fuzzing, no_main)]
//! VNC consoles that tokens open (`TokenViewer`, `drive_viewer`): viewers, hypervisors and a store that fails, as the input
//! draws them, in memory and under paused time.
//!
//! ```text
//! | settings u8 | steps, each | what u8 | which u8 | of raw viewers: length u8, what it says | |
//! ```
//!
//! Settings: bit 0: viewers may come again. In what a raw viewer says, `ff` stands for a token. The gateway and the peers are
//! those of `console-token/tests/rfb`.
//!
//! The laws: while the store works, a use is spent exactly if a hypervisor may have accepted, and else given back; no viewer
//! gets in without a use; all refusals sound alike and come after the same time; a viewer that was cut off learns nothing
//! more; in the end no connection is left, and the store knows.
//!
//! Not searched in CI: see LAWS.md.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use console_token::connections::Settings;
use console_token::rfb::ConsoleBackend;
use console_token::{ConsoleType, Grant, Secret, Store as _, TokenSelector, Transition};
use fuzz::Input;
use fuzz::adapters::{random, run};
use rfb_proto::handshake::BridgeConfig;
use rfb_proto::handshake::bridge::Upstream;
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::session::relay::{Config, Dial, Move};
use rfb_proto::{Connection, Mover, NotDialled, drive_session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use self::failing::Mode;
use self::peers::{Manners, Viewer, view};
use self::site::{FIRST, PASSWORD, SECOND, Site, target};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/spice/failing.rs"]
mod failing;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/rfb/peers.rs"]
mod peers;
#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../../console-token/tests/rfb/site.rs"]
mod site;

fuzz::target!(check);

const STEPS: usize = 40;
const TOKENS: usize = 3;
const VIEWERS: usize = 5;
const RECONNECT: u64 = 20;
/// Longer than a log-in that is waited for.
const LONG: Duration = Duration::from_secs(3600);

const MANNERS: [Manners; 6] = [
    Manners::Good,
    Manners::Mute,
    Manners::HangsUp,
    Manners::Silent,
    Manners::Foreign,
    Manners::Good,
];

struct Token {
    secret: Secret,
    uses: u32,
    /// Uses of which a hypervisor may have accepted.
    spent: u32,
    revoked: bool,
}

/// A viewer that was let in.
struct Seen {
    of: usize,
    viewer: Viewer,
    task: JoinHandle<()>,
    mover: Mover,
}

struct World {
    site: Site,
    reconnect: bool,
    tokens: Vec<Token>,
    seen: Vec<Seen>,
    /// The store has worked all the time, and no raw viewer had a token.
    clean: bool,
    fails: bool,
    manners: Manners,
    knows_password: bool,
    /// What a viewer hears that is refused; and when, while the store works.
    refusal: Option<Vec<u8>>,
    refused_after: Option<Duration>,
}

/// A backend without a hypervisor, which leaves all else to the defaults.
struct Nowhere;

impl ConsoleBackend for Nowhere {
    type Hypervisor = DuplexStream;

    async fn connect(&mut self, _: &Arc<Grant>, _: Dial) -> Result<(DuplexStream, Upstream), NotDialled> {
        Err(NotDialled::Unreachable)
    }

    fn challenge(&mut self) -> [u8; 16] {
        [3; 16]
    }
}

/// What a viewer says that logs in with Plain.
fn plain(user: &[u8], password: &[u8]) -> Vec<u8> {
    let mut said = b"RFB 003.008\n\x13\0\x02\0\0\x01\0".to_vec();
    for text in [user, password] {
        said.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
    }
    [&said[..], user, password].concat()
}

impl World {
    fn new(settings: u8) -> Self {
        let reconnect = settings & 1 == 1;
        let wanted = if reconnect { RECONNECT } else { 0 };
        let settings = Settings::default().with_reconnect(Duration::from_secs(wanted));
        Self {
            site: Site::with(settings),
            reconnect,
            tokens: Vec::new(),
            seen: Vec::new(),
            clean: true,
            fails: false,
            manners: Manners::Good,
            knows_password: true,
            refusal: None,
            refused_after: None,
        }
    }

    async fn issue(&mut self, which: u8) {
        let uses = u32::from(which & 3) + 1;
        let mut grant = self.site.grant(uses);
        if which & 0x30 == 0x30 {
            // VNC shows this console to no viewer.
            grant.console = ConsoleType::Serial;
        }
        let secret = self.site.connections.issue(&grant).await.expect("there is room");
        self.tokens.push(Token {
            secret,
            uses,
            spent: 0,
            revoked: false,
        });
    }

    fn is_open(&self) -> bool {
        let world = &self.site.world;
        !*world.closed.lock().expect("no panic") && !*world.unreachable.lock().expect("no panic")
    }

    /// A viewer comes with a token. `shown`: in the request of its WebSocket.
    async fn comes(&mut self, of: usize, shown: bool, as_user: bool) {
        let token = &self.tokens[of];
        let text = token.secret.expose().to_owned();
        let record = self.site.record(&token.secret);
        let is_vnc = record.grant().console == ConsoleType::NoVnc;
        let left = record.uses_left().expect("limited");
        let before = self.site.connections.count();
        let (coming, entered) = if shown {
            match self.site.connections.enter(&token.secret).await {
                Ok(entered) => (self.site.connect(Some(entered)), true),
                Err(denial) => {
                    assert!(left == 0 || token.revoked || self.fails, "{denial}");
                    return;
                }
            }
        } else {
            (self.site.connect(None), false)
        };
        let credentials = if as_user { (&*text, "") } else { ("nobody", &*text) };
        let viewing = view(coming.stream, (!entered).then_some(credentials));
        let viewer = timeout(LONG, viewing).await.expect("the log-in hangs");
        let open = self.is_open() && is_vnc;
        let enough = left != 0 && !token.revoked;
        let good = self.manners == Manners::Good && self.knows_password;
        if self.clean && !self.reconnect {
            assert_eq!(viewer.is_some(), open && enough && good, "{:?}", self.manners);
        }
        let token = &mut self.tokens[of];
        match viewer {
            Some(viewer) => {
                assert!(!token.revoked || self.fails || self.reconnect);
                // Another one may have ended meanwhile, behind a move.
                assert!(self.site.connections.count() <= before + 1);
                token.spent += 1;
                self.seen.push(Seen {
                    of,
                    viewer,
                    task: coming.task,
                    mover: coming.mover,
                });
            }
            None => {
                timeout(LONG, coming.task).await.expect("it ends").expect("no panic");
                // The hypervisor may have accepted, and the gateway does not know.
                let silent = self.manners == Manners::Silent && open && (enough || self.reconnect);
                token.spent += u32::from(silent);
            }
        }
    }

    /// A viewer that has no good token hears always the same, after the same time.
    async fn is_refused(&mut self, user: &[u8], password: &[u8]) {
        let coming = self.site.connect(None);
        let (asked, (mut read, mut write)) = (Instant::now(), split(coming.stream));
        let mut heard = Vec::new();
        let says = plain(user, password);
        let talk = async {
            let _ = write.write_all(&says).await;
            let _ = read.read_to_end(&mut heard).await;
        };
        timeout(LONG, talk).await.expect("a refusal is an end");
        let took = asked.elapsed();
        let expected = self.refusal.get_or_insert_with(|| heard.clone());
        assert_eq!(heard, *expected, "a refusal says nothing");
        if !self.fails {
            assert_eq!(took, *self.refused_after.get_or_insert(took));
        }
    }

    async fn refusals(&mut self, which: u8) {
        self.is_refused(b"nobody", b"not a token").await;
        let stranger = Secret::base64url(&[which; 32]);
        self.is_refused(b"", stranger.expose().as_bytes()).await;
        for at in 0..self.tokens.len() {
            let token = &self.tokens[at];
            let record = self.site.record(&token.secret);
            if (record.uses_left() == Some(0) || token.revoked) && !self.reconnect && !self.fails {
                let text = token.secret.expose().to_owned();
                self.is_refused(text.as_bytes(), b"").await;
            }
        }
    }

    /// Anything, in place of a viewer.
    async fn raw(&mut self, says: &[u8]) {
        let coming = self.site.connect(None);
        let token = self.tokens.first().map_or("", |token| token.secret.expose());
        let mut said = Vec::new();
        for byte in says {
            match byte {
                0xff => said.extend(token.bytes()),
                byte => said.push(*byte),
            }
        }
        self.clean &= !says.contains(&0xff);
        let (mut read, mut write) = split(coming.stream);
        let mut heard = Vec::new();
        let talk = async {
            let _ = write.write_all(&said).await;
            let _ = write.shutdown().await;
            let _ = read.read_to_end(&mut heard).await;
        };
        timeout(LONG, talk).await.expect("it ends");
        assert!(heard.starts_with(b"RFB 003.008\n"));
        timeout(LONG, coming.task).await.expect("it ends").expect("no panic");
    }

    /// A gateway with a driver of its own that reaches no hypervisor: it gives the use back. With VNC's response no token can
    /// be shown.
    async fn driven(&mut self, of: usize, with_vnc: bool) {
        let token = self.tokens[of].secret.expose().to_owned();
        let (kind, says) = match with_vnc {
            true => (SecurityType::VNC, [&b"RFB 003.008\n\x02"[..], &[7; 16]].concat()),
            false => (SecurityType::VENCRYPT, plain(b"", token.as_bytes())),
        };
        let bridge = BridgeConfig::default()
            .with_tenant_types(&[kind])
            .with_tenant_subtypes(&[Subtype::PLAIN])
            .with_hypervisor_types(&[SecurityType::VNC]);
        let (near, far) = duplex(4096);
        let viewer = self.site.connections.viewer(None, Nowhere);
        let uses = viewer.uses();
        let (mut read, mut write) = split(near);
        let mut heard = Vec::new();
        let talk = async {
            let _ = write.write_all(&says).await;
            let _ = read.read_to_end(&mut heard).await;
        };
        let drive = drive_session(Connection::new(Config::new(bridge)), far, viewer);
        let both = async { tokio::join!(drive, talk) };
        let ((end, viewer), ()) = timeout(LONG, both).await.expect("it ends");
        if let Some(viewer) = viewer {
            viewer.ended(&end);
            assert!(viewer.denial().is_some() || viewer.token_use().is_some(), "{end}");
            let Nowhere = viewer.backend();
            assert!(!format!("{viewer:?}").contains(&token));
        }
        uses.finish();
        assert!(!format!("{uses:?}").contains(&token));
    }

    async fn leave(&mut self, at: usize) {
        let seen = self.seen.swap_remove(at);
        drop(seen.viewer);
        timeout(LONG, seen.task).await.expect("it ends").expect("no panic");
    }

    async fn moves(&mut self, at: usize, which: u8) {
        let host = if which & 1 == 0 { FIRST } else { SECOND };
        let seen = &self.seen[at];
        let hash = self.site.connections.hash(&self.tokens[seen.of].secret);
        let one = TokenSelector::Token(&hash);
        let retargeted = self.site.store.retarget(one, ConsoleType::NoVnc, &target(host)).await;
        assert_eq!(retargeted.ok(), Some(1));
        seen.mover.moved(if which & 2 == 0 { Move::Follow } else { Move::End });
        sleep(Duration::from_secs(1)).await;
        let ends = which & 2 != 0 || self.tokens[seen.of].revoked;
        if self.clean && ends {
            let seen = &mut self.seen[at];
            timeout(LONG, seen.viewer.has_ended()).await.expect("it may not follow");
            self.leave(at).await;
        }
    }

    async fn revoke(&mut self, of: usize) {
        let token = &mut self.tokens[of];
        let hash = self.site.connections.hash(&token.secret);
        let revoked = self.site.store.revoke(TokenSelector::Token(&hash)).await;
        assert_eq!(revoked.ok(), Some(usize::from(!token.revoked)));
        token.revoked = true;
        self.site.connections.attend().await;
        if !self.fails {
            for at in (0..self.seen.len())
                .rev()
                .filter(|at| self.seen[*at].of == of)
                .collect::<Vec<_>>()
            {
                let ended = self.seen[at].viewer.has_ended();
                timeout(LONG, ended).await.expect("a revocation ends what is open");
                self.leave(at).await;
            }
        }
    }

    fn fail(&mut self, which: u8) {
        let mode = [Mode::Works, Mode::Down, Mode::Deaf, Mode::Hangs, Mode::AppliesAndHangs][usize::from(which % 5)];
        let about: fn(&Transition) -> bool = match which >> 6 {
            0 => |_| true,
            1 => |asked| matches!(asked, Transition::Open(_) | Transition::Resume { .. }),
            2 => |asked| matches!(asked, Transition::Release(_) | Transition::Close(_)),
            _ => |asked| matches!(asked, Transition::Bind { .. }),
        };
        self.site.store.set(mode, about);
        self.fails = mode != Mode::Works;
        self.clean &= !self.fails;
    }

    fn compare(&self) {
        for token in &self.tokens {
            let record = self.site.record(&token.secret);
            let taken = token.uses - record.uses_left().expect("limited");
            assert!(taken <= token.uses);
            if self.clean && self.reconnect {
                assert!(taken <= token.spent);
            } else if self.clean {
                assert_eq!(taken, token.spent, "{:?}", self.manners);
            }
        }
    }

    async fn finish(&mut self) {
        self.site.store.works();
        while !self.seen.is_empty() {
            self.leave(0).await;
        }
        sleep(Duration::from_secs(5)).await;
        let stopped = timeout(LONG, self.site.connections.stop()).await;
        assert!(stopped.is_ok() && self.site.connections.count() == 0);
        self.compare();
        for token in &self.tokens {
            if self.clean && !self.reconnect {
                assert_eq!(self.site.sessions(&token.secret), 0, "nothing is open");
            }
        }
        let world = &self.site.world;
        let texts = [&world.denials, &world.events, &world.ends].map(|texts| texts.lock().expect("no panic").concat());
        for token in &self.tokens {
            assert!(
                texts.iter().all(|text| !text.contains(token.secret.expose())),
                "a token is in a log"
            );
        }
        assert!(format!("{:?}", self.site.connections).len() < 100);
    }
}

async fn step(world: &mut World, input: &mut Input<'_>) {
    let (what, which) = (input.byte(), input.byte());
    let token = (!world.tokens.is_empty()).then(|| usize::from(which) % world.tokens.len());
    let viewer = (!world.seen.is_empty()).then(|| usize::from(which) % world.seen.len());
    match (what & 15, token, viewer) {
        (0, ..) if world.tokens.len() < TOKENS => world.issue(which).await,
        (1..=3, Some(of), _) if world.seen.len() < VIEWERS => world.comes(of, what & 16 != 0, what & 32 != 0).await,
        (4, ..) => world.refusals(which).await,
        (5, ..) => world.raw(input.short_blob()).await,
        (6, _, Some(at)) => world.leave(at).await,
        (7, _, Some(at)) => world.moves(at, which).await,
        (8, Some(of), _) => world.revoke(of).await,
        (9, ..) => {
            world.manners = MANNERS[usize::from(which) % MANNERS.len()];
            *world.site.world.manners.lock().expect("no panic") = world.manners;
        }
        (10, ..) => {
            world.knows_password = which & 1 == 0;
            let password = if world.knows_password { PASSWORD } else { b"wrong" };
            *world.site.world.password.lock().expect("no panic") = password.to_vec();
            *world.site.world.closed.lock().expect("no panic") = which & 6 == 6;
            *world.site.world.unreachable.lock().expect("no panic") = which & 24 == 24;
        }
        (11, ..) => {
            world.site.pass(u64::from(which & 15));
            sleep(Duration::from_secs(u64::from(which & 15))).await;
        }
        (12, ..) => world.fail(which),
        (13, _, Some(at)) => {
            // The viewer may be gone: its hypervisor may have refused the gateway behind a move.
            let _ = world.seen[at].viewer.types().await;
        }
        (14, Some(of), _) => world.driven(of, which & 16 != 0).await,
        _ => {}
    }
    if world.clean {
        sleep(Duration::from_millis(20)).await;
        world.site.connections.told().await;
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
            step(&mut world, &mut input).await;
        }
        world.finish().await;
        assert!(world.site.world.accepted.load(Ordering::Relaxed) <= 2 * STEPS);
    });
}
