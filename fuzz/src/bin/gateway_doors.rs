#![cfg_attr(fuzzing, no_main)]
//! The console gateway's doors for strangers: its HTTP API, its web listener, and its configuration.
//!
//! ```text
//! | what u8 | 0 configuration: text | 1 API, 2 web: piece u8, bytes of a connection; ff stands for a good token |
//! ```
//!
//! The laws: nothing answers 500; in any pieces a connection is answered alike; without the token of the API the gateway does
//! nothing and shows nothing; it makes as many tokens as it gives out; no answer has a password of a hypervisor, or a file
//! that is not to be seen; a configuration is refused with each reason on a line, twice alike.
//!
//! The gateway is compiled in: its files are those of `examples/src/bin/console-gateway`. One gateway, without listeners,
//! serves all inputs, and forgets after each: its keys for RSA take a second.
//!
//! Not searched in CI: see LAWS.md.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::{Extension, Router};
use console_token::{MemoryStore, NoteChange, Store, UnixSeconds};
use examples::budget::Limits;
use fuzz::Input;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use spice_proto::link::Refusal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use self::config::Config;
use self::front::Guestbook;
use self::front::budgets::Budgets;
use self::front::http::ApiPeer;
use self::gateway::{Bound, Gateway, Live, Parts};

#[allow(dead_code, unexpected_cfgs, unused_imports, reason = "the program uses all of it")]
#[path = "../../../examples/src/bin/console-gateway/config/mod.rs"]
mod config;
#[allow(dead_code, unexpected_cfgs, unused_imports, reason = "the program uses all of it")]
#[path = "../../../examples/src/bin/console-gateway/console/mod.rs"]
mod console;
#[allow(dead_code, unexpected_cfgs, unused_imports, reason = "the program uses all of it")]
#[path = "../../../examples/src/bin/console-gateway/front/mod.rs"]
mod front;
#[allow(dead_code, unexpected_cfgs, unused_imports, reason = "the program uses all of it")]
#[path = "../../../examples/src/bin/console-gateway/gateway.rs"]
mod gateway;
#[allow(dead_code, unexpected_cfgs, unused_imports, reason = "the program uses all of it")]
#[path = "../../../examples/src/bin/console-gateway/grant/mod.rs"]
mod grant;
#[allow(dead_code, unexpected_cfgs, unused_imports, reason = "the program uses all of it")]
#[path = "../../../examples/src/bin/console-gateway/operate/mod.rs"]
mod operate;
#[path = "../../../examples/src/bin/console-gateway/random.rs"]
mod random;
#[path = "../../../examples/src/bin/console-gateway/sync.rs"]
mod sync;

fuzz::target!(check);

/// What an input costs is bounded.
const LONGEST: usize = 8192;
/// Longer than any answer takes: time is not paused here.
const NEVER: Duration = Duration::from_secs(30);
/// The token of the API, in a file that the configuration names.
const BEARER: &str = "api-token-of-16-characters";
/// What no client may see.
const SECRETS: [&str; 3] = ["ticket-of-a-hypervisor", "pa55-w0r", "file-behind-the-pages"];

/// A gateway's configuration, with a guest for each kind of console.
const CONFIGURATION: &str = include_str!("../gateway.toml");

/// A folder with what configurations name.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gateway-doors-{}", std::process::id()));
        fs::create_dir_all(path.join("pages")).expect("a folder of our own");
        let folder = Self(path);
        for (name, text) in [
            ("api.token", BEARER),
            ("vm1.ticket", SECRETS[0]),
            ("vm1.vnc", SECRETS[1]),
            ("behind.html", SECRETS[2]),
            ("pages/vnc_lite.html", "<html>a page</html>"),
            ("pepper", "0123456789abcdef0123456789abcdef"),
            ("tokens.cfg", "one: 127.0.0.1:5900\n"),
            ("empty", ""),
        ] {
            fs::write(folder.0.join(name), text).expect("a file of our own");
        }
        for (name, text) in [
            (
                "cert.pem",
                include_str!("../../../spice-proto/tests/data/certificates/self3.pem"),
            ),
            (
                "key.pem",
                include_str!("../../../spice-proto/tests/data/certificates/server.key"),
            ),
        ] {
            fs::write(folder.0.join(name), text).expect("a file of our own");
        }
        folder
    }

    fn load(&self, text: &str) -> Result<Config, String> {
        let file = self.0.join("gateway.toml");
        fs::write(&file, text).expect("a file of our own");
        Config::load(&file).map_err(|error| error.to_string())
    }
}

struct World {
    folder: Folder,
    runtime: Runtime,
    store: Arc<MemoryStore>,
    gateway: Arc<Gateway>,
    router: Router,
    /// Tasks that run while nothing is asked.
    resting: usize,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let store = Arc::new(MemoryStore::new(100));
        let config = folder.load(CONFIGURATION).expect("a good configuration");
        let gateway = runtime.block_on(async {
            let clock: Arc<grant::clock::Clock> = Arc::default();
            let audit = operate::audit::Audit::open(None, clock.clone()).expect("there is no file");
            Gateway::start(Parts {
                id: "gw".to_owned(),
                store: store.clone(),
                pepper: None,
                clock,
                audit: Arc::new(audit),
                refuses_with: |_| Refusal::DENIED,
                live: Live::new(config, Bound::default()),
                gateways: None,
                budgets: Budgets::of(Limits::default(), None, 1024).expect("enough for a few"),
            })
        });
        let loopback: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let place = Arc::new(gateway.budgets.api.arrive(loopback.ip()));
        let router = grant::api::router(gateway.clone()).layer(Extension(ApiPeer(loopback, place)));
        Self {
            resting: runtime.metrics().num_alive_tasks(),
            folder,
            runtime,
            store,
            gateway,
            router,
        }
    }

    /// As if nothing had been said. How many tokens there were.
    fn forget(&self) -> usize {
        let (now, never) = (UnixSeconds(1 << 40), NonZeroU32::MAX);
        // What is swept is more than that: what is noted of this gateway, from time to time, is swept too.
        let tokens = self.store.len();
        self.runtime.block_on(async {
            Store::sweep(&*self.store, now, never).await.expect("it is in memory");
            for (name, _) in Store::notes(&*self.store, "", UnixSeconds(0))
                .await
                .expect("it is in memory")
            {
                let gone = Store::set_note(&*self.store, &name, UnixSeconds(0), NoteChange::remove()).await;
                gone.expect("it is in memory");
            }
        });
        tokens
    }

    /// What a connection is answered that says this, in such pieces.
    fn answered(&self, is_api: bool, says: &[u8], piece: usize) -> Vec<u8> {
        self.runtime.block_on(async {
            let (near, far) = duplex(1 << 16);
            let served = async {
                if is_api {
                    let service = TowerToHyperService::new(self.router.clone());
                    let mut http = http1::Builder::new();
                    // What was asked is answered, though the client says no more.
                    let _ = http
                        .half_close(true)
                        .serve_connection(TokioIo::new(near), service)
                        .await;
                } else {
                    let peer: SocketAddr = "127.0.0.1:1".parse().expect("an address");
                    let guest = Guestbook {
                        peer,
                        secure: true,
                        place: Arc::new(self.gateway.budgets.web.arrive(peer.ip())),
                        handed_on: false,
                    };
                    front::web::serve(self.gateway.clone(), guest, Box::new(near)).await;
                }
            };
            let talk = async { tokio::join!(served, client(far, says, piece)).1 };
            let heard = timeout(NEVER, talk).await.expect("it waits for ever");
            let rested = timeout(NEVER, self.rest()).await;
            rested.expect("what a connection began goes on for ever");
            heard
        })
    }

    /// Until all that a connection has begun has ended: a token that is made behind its end would count for the next one.
    async fn rest(&self) {
        while self.resting < self.runtime.metrics().num_alive_tasks() {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Says all of it, then ends; hears everything.
async fn client(far: DuplexStream, says: &[u8], piece: usize) -> Vec<u8> {
    let (mut read, mut write) = split(far);
    let mut heard = Vec::new();
    let says = async {
        for piece in says.chunks(piece) {
            if write.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = write.shutdown().await;
    };
    let _ = tokio::join!(says, read.read_to_end(&mut heard));
    heard
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::new()));

/// The codes of the answers of a connection. A request of HTTP/1.0 is answered with HTTP/1.0.
fn codes(heard: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(heard);
    let starts = text.match_indices("HTTP/1.");
    let code = |at: usize| text.get(at + 9..at + 12)?.parse().ok();
    starts.filter_map(|(at, _)| code(at)).collect()
}

fn connection(is_api: bool, mut input: Input<'_>) {
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    let piece = usize::from(input.byte()).max(1);
    let mut says = Vec::new();
    for byte in input.rest() {
        match byte {
            0xff => says.extend(BEARER.bytes()),
            byte => says.push(*byte),
        }
    }
    let heard = world.answered(is_api, &says, says.len().max(1));
    let tokens = world.forget();
    let told = codes(&heard);
    let text = String::from_utf8_lossy(&heard);
    assert!(!told.contains(&500), "{text}");
    assert!(!SECRETS.iter().any(|secret| text.contains(secret)), "{text}");
    let knows = says.windows(BEARER.len()).any(|window| window == BEARER.as_bytes());
    if is_api {
        let done = told.iter().filter(|code| (200..300).contains(*code)).count();
        assert!(tokens <= done, "{tokens} tokens, {done} answers");
        let open = ["/healthz", "/metrics"];
        let is_open = open
            .iter()
            .any(|path| says.windows(path.len()).any(|window| window == path.as_bytes()));
        assert!(knows || is_open || done == 0, "without its token: {text}");
    } else {
        assert_eq!(tokens, 0, "only the API makes tokens");
    }
    assert!(!text.contains(BEARER) || knows);
    let again = world.answered(is_api, &says, piece);
    world.forget();
    let again = codes(&again);
    // Whether a request that is not whole is answered before the connection ends depends on what was read with its beginning; and
    // the web listener hangs up when its client does, whatever it is about to answer.
    let common = again.len().min(told.len());
    assert_eq!(again.get(..common), told.get(..common), "{text}");
}

fn configuration(text: &str) {
    // Of files that do not end there is no reading.
    if ["/dev", "/proc", "/sys", "env:"]
        .iter()
        .any(|there| text.contains(there))
    {
        return;
    }
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    let _inside = world.runtime.enter();
    match (world.folder.load(text), world.folder.load(text)) {
        (Ok(config), Ok(_)) => {
            let live = Live::new(config, Bound::default());
            assert!(
                (1..=config::TTL_MAX).contains(&live.tokens.ttl) && !live.url.ends_with('/'),
                "{}",
                live.url
            );
            for guest in &live.guests {
                assert!(!guest.id.is_empty() && !guest.consoles.is_empty());
                for console in &guest.consoles {
                    assert!(!console.places.is_empty() && console.at(console.places.len()).is_none());
                }
            }
        }
        (Err(error), Err(again)) => {
            assert_eq!(error, again);
            assert!(
                !error.is_empty() && error.lines().all(|line| !line.is_empty()),
                "{error}"
            );
            assert!(!SECRETS.iter().any(|secret| error.contains(secret)), "{error}");
            assert!(!error.contains(BEARER) || text.contains(BEARER), "{error}");
        }
        _ => panic!("read twice, it is another"),
    }
}

/// Checks one input. The folder stays until the system clears its own.
fn check(data: &[u8]) {
    let data = &data[..data.len().min(LONGEST)];
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => configuration(&String::from_utf8_lossy(input.rest())),
        what => connection(what == 1, input),
    }
}
