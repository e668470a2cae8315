#![cfg_attr(fuzzing, no_main)]
//! A console whose viewer and hypervisor log in with RSA-AES, Diffie-Hellman or UltraVNC's logons, over networks as the input
//! draws them: what is said behind goes through the layers of both sides.
//!
//! ```text
//! | capacity u16 | shape u8 | tenant's type u8 | hypervisor's type u8 | bits u8 | keys u8 | bells u8 |
//! ```
//!
//! Bits: 0: the user enters a wrong password, 1: the proxy shows the hypervisor one, 2: it knows the hypervisor by another key, 3: it
//! has no answer to its tenants' log-ins, 4: the hypervisor is not reached, 5: the viewer sends a byte that no layer made.
//!
//! The laws: what one side says comes out at the other, whole and in order, if both sides are authentic; no other peer is let
//! in; the hypervisor is not asked before its key is known; nothing waits for ever.
//!
//! Not searched in CI: see LAWS.md.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fuzz::Input;
use rfb_proto::handshake::bridge::{BridgeOutcome, Upstream};
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    BridgeConfig, Buffers, ClientConfig, ClientHandshake, Refusal, ServerConfig, ServerHandshake,
};
use rfb_proto::security::ard::{ArdParameters, ArdSecret};
use rfb_proto::security::ms_logon::{MsLogonIIISecret, MsLogonParameters, MsLogonSecret, PUBLIC_LEN};
use rfb_proto::security::rsa_aes::{Key, LayerStream, Pin};
use rfb_proto::security::{SecurityType, Seed};
use rfb_proto::session::relay::{Config, Dial, End};
use rfb_proto::{Clock, Connection, Driven, Limits, NotDialled, ProxyHandler, drive, drive_session};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use self::chain::{OWN_PASSWORD, OWN_USER, PASSWORD, USER, WRONG, upstream};
use self::logins::{CLIENT, SERVER};
use self::slow::{Shape, Slow, connection};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/chain.rs"]
mod chain;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/logins.rs"]
mod logins;
/// What the hypervisor shows.
mod play {
    use bytes::Bytes;
    use rfb_proto::{PixelFormat, ServerInit};

    pub(crate) fn server_init() -> ServerInit {
        ServerInit {
            width: 640,
            height: 480,
            format: PixelFormat::RGB888,
            name: Bytes::from_static(b"QEMU"),
        }
    }
}
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/slow.rs"]
mod slow;

fuzz::target!(check);

const NEVER: Duration = Duration::from_secs(36_000);
const KEY: [u8; 8] = *b"\x04\x01\0\0\0\0\0\x61";
const BELL: u8 = 2;
/// Those with a key first.
const TYPES: [SecurityType; 7] = [
    SecurityType::RA2,
    SecurityType::RA2NE,
    SecurityType::RA2_256,
    SecurityType::RA2NE_256,
    SecurityType::DIFFIE_HELLMAN,
    SecurityType::MS_LOGON_II,
    SecurityType::MS_LOGON_III,
];

/// What the proxy shows tenants, and hypervisors.
static KEYS: LazyLock<[Arc<Key>; 2]> =
    LazyLock::new(|| [5, 7].map(|byte| Arc::new(Key::generate(1024, &Seed::new([byte; 32])).expect("long enough"))));

/// Of the proxy, for its tenants.
const SEED: [u8; 32] = [6; 32];

static ARD: LazyLock<ArdSecret> = LazyLock::new(|| ArdSecret::new(&Seed::new(SEED)));

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

type Open = (Box<dyn Io>, Buffers);

fn limits() -> Limits {
    Limits::default().with_handshake_timeout(Duration::from_secs(3600))
}

/// The stream of a peer inside of its layer.
fn layered(stream: Box<dyn Io>, keys: rfb_proto::security::rsa_aes::LayerKeys, buffers: &mut Buffers) -> Box<dyn Io> {
    let layer = LayerStream::new(stream, keys, buffers);
    assert_eq!(format!("{layer:?}"), "LayerStream(..)");
    Box::new(layer)
}

/// A hypervisor. `None`: it has let no client in.
async fn hypervisor(stream: Slow, security_type: SecurityType) -> Option<Open> {
    let (clock, mut buffers) = (Clock::start(), Buffers::default());
    let mut stream: Box<dyn Io> = Box::new(stream);
    let config = ServerConfig::new(&[security_type]).with_limits(limits());
    let mut machine = ServerHandshake::new(clock.now(), config);
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await.ok()? {
            Driven::Ask(ServerQuestion::Admit(claim)) => {
                let shown = match claim {
                    ClientCredentials::Plain(shown) => Some(shown),
                    other => logins::opened(&other, &SERVER),
                };
                let is_right =
                    shown.is_some_and(|shown| &shown.user[..] == OWN_USER && shown.password.expose() == OWN_PASSWORD);
                let answered = match is_right {
                    true => machine.accept(&mut buffers),
                    false => machine.refuse(&mut buffers, Refusal::default()),
                };
                answered.expect("it was asked");
            }
            Driven::Ask(ServerQuestion::Init(_)) => {
                machine.init(&mut buffers, &play::server_init()).expect("it was asked");
            }
            Driven::Ask(question) => {
                let keys = logins::answer_client(&mut machine, &mut buffers, question, &SERVER);
                if let Some(keys) = keys.expect("it was asked") {
                    stream = layered(stream, keys, &mut buffers);
                    machine.layered().expect("it was asked");
                }
            }
            Driven::StartTls(_) => unreachable!("no type with TLS"),
            Driven::Done(_) => return Some((stream, buffers)),
        }
    }
}

/// A viewer. `None`: it is not let in.
async fn viewer(stream: Slow, security_type: SecurityType, password: &'static [u8], breaks: bool) -> Option<Open> {
    let (clock, mut buffers) = (Clock::start(), Buffers::default());
    let mut stream: Box<dyn Io> = Box::new(stream);
    let config = ClientConfig::new(&[security_type]).with_limits(limits());
    let mut machine = ClientHandshake::new(clock.now(), config);
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await.ok()? {
            Driven::Ask(question) => {
                let shown = (USER, password);
                let keys = logins::answer_server(&mut machine, &mut buffers, question, shown, &CLIENT);
                if let Some(keys) = keys.expect("it was asked") {
                    if breaks {
                        stream.write_all(&[0, 1, 0]).await.ok()?;
                    }
                    stream = layered(stream, keys, &mut buffers);
                    machine.layered().expect("it was asked");
                }
            }
            Driven::StartTls(_) => unreachable!("no type with TLS"),
            Driven::Done(outcome) => {
                assert_eq!(outcome.init, Some(play::server_init()));
                return Some((stream, buffers));
            }
        }
    }
}

/// Says it all and hears all, or until the other end goes.
async fn converse((stream, buffers): Open, says: &[u8], expected: usize) -> Vec<u8> {
    let (mut read, mut write) = split(stream);
    let mut heard = buffers.rx.to_vec();
    let says = async {
        let _ = write.write_all(says).await;
        let _ = write.flush().await;
    };
    let hears = async {
        let mut piece = [0; 512];
        while heard.len() < expected {
            match read.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(some) => heard.extend_from_slice(&piece[..some]),
            }
        }
    };
    tokio::join!(says, hears);
    heard
}

/// The answers of a proxy.
struct Proxy {
    hypervisor: Option<Slow>,
    upstream: Option<Upstream>,
    answers: bool,
    asked: usize,
    /// Log-ins of both sides that ended well.
    both: usize,
}

impl ProxyHandler for Proxy {
    type Hypervisor = Slow;

    fn challenge(&mut self) -> [u8; 16] {
        unreachable!("no type with a challenge")
    }

    fn rsa_aes(&mut self) -> Option<(Arc<Key>, Seed)> {
        self.answers.then(|| (KEYS[0].clone(), Seed::new(SEED)))
    }

    fn diffie_hellman(&mut self) -> Option<ArdParameters> {
        self.answers.then(|| ARD.parameters().clone())
    }

    fn ms_logon_ii(&mut self) -> Option<MsLogonParameters> {
        let secret = MsLogonSecret::new(&Seed::new(SEED));
        self.answers.then(|| *secret.parameters())
    }

    fn ms_logon_iii(&mut self) -> Option<[u8; PUBLIC_LEN]> {
        self.answers.then(|| MsLogonIIISecret::new(&Seed::new(SEED)).public())
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        self.asked += 1;
        let text = format!("{shown:?}");
        assert!(!text.contains("console!") && !text.contains("wrong"), "{text}");
        let shown = match shown {
            ClientCredentials::Plain(shown) => Some(shown),
            ClientCredentials::DiffieHellman(response) => ARD.open(&response),
            ClientCredentials::MsLogonII(response) => MsLogonSecret::new(&Seed::new(SEED)).open(&response),
            ClientCredentials::MsLogonIII(response) => MsLogonIIISecret::new(&Seed::new(SEED)).open(&response),
            other => panic!("{other:?}"),
        };
        match shown {
            Some(shown) if &shown.user[..] == USER && shown.password.expose() == PASSWORD => Ok(()),
            _ => Err(Refusal::default()),
        }
    }

    async fn dial(&mut self, _: Dial) -> Result<(Slow, Upstream), NotDialled> {
        assert_eq!(self.asked, 1, "the tenant is let in first");
        let stream = self.hypervisor.take().ok_or(NotDialled::Unreachable)?;
        Ok((stream, self.upstream.take().expect("dialled once")))
    }

    fn authenticated(&mut self, outcome: &BridgeOutcome) -> bool {
        assert!(!outcome.hypervisor.security.to_string().is_empty());
        self.both += 1;
        true
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let capacity = usize::from(u16::from_le_bytes([input.byte(), input.byte()])).max(1);
    let shape = input.byte();
    let [tenant_type, hypervisor_type] = [input.byte(), input.byte()].map(|at| TYPES[usize::from(at) % TYPES.len()]);
    let bits = input.byte();
    let (keys, bells) = (usize::from(input.byte()), usize::from(input.byte()));
    // A log-in costs milliseconds.
    if data.len() < 6 {
        return;
    }
    let is = |bit: u8| bits >> bit & 1 == 1;
    let has_key = |security_type: SecurityType| TYPES[..4].contains(&security_type);
    let shape = Shape {
        buffered: shape & 1 != 0,
        read: Duration::from_millis(u64::from(shape >> 1 & 3)),
        write: Duration::from_millis(u64::from(shape >> 3 & 3)),
    };
    let bridge = BridgeConfig::default()
        .with_tenant_types(&[tenant_type])
        .with_hypervisor_types(&[hypervisor_type])
        .with_limits(limits());
    let plain = Shape::new(false, false);
    let ((own_tenant, tenant), (own_upper, upper)) =
        (connection(capacity, shape, plain), connection(capacity, shape, plain));
    let pin = Pin::Key(if is(2) { &CLIENT } else { &SERVER }.key.public().clone());
    let own = upstream(OWN_USER, if is(1) { WRONG } else { OWN_PASSWORD })
        .with_seed(Seed::new([8; 32]))
        .with_rsa_aes(KEYS[1].clone(), pin);
    let proxy = Proxy {
        hypervisor: (!is(4)).then_some(own_upper),
        upstream: Some(own),
        answers: !is(3),
        asked: 0,
        both: 0,
    };
    let driven = Connection::new(Arc::new(Config::new(bridge)));
    let (keys, bells) = (KEY.repeat(keys), vec![BELL; bells]);
    // The others leave their layer before the session begins.
    let breaks = is(5) && [SecurityType::RA2, SecurityType::RA2_256].contains(&tenant_type);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let run = async {
        let tenants = async {
            let open = viewer(tenant, tenant_type, if is(0) { WRONG } else { PASSWORD }, breaks).await?;
            Some(converse(open, &keys, bells.len()).await)
        };
        let hypervisors = async {
            let open = hypervisor(upper, hypervisor_type).await?;
            Some(converse(open, &bells, keys.len()).await)
        };
        tokio::join!(drive_session(driven, own_tenant, proxy), tenants, hypervisors)
    };
    let ((end, proxy), viewer, hypervisor) =
        runtime.block_on(async { timeout(NEVER, run).await.expect("it waits for ever") });
    let enters = !is(0) && !is(3) && !breaks;
    let is_other = is(2) && has_key(hypervisor_type);
    let is_known = !is(1) && !is(4) && !is_other;
    let is_in = [hypervisor.is_some(), viewer.is_some()];
    assert_eq!(
        is_in,
        [enters && is_known; 2],
        "{tenant_type} to {hypervisor_type}: {end}"
    );
    if let (Some(to_viewer), Some(to_hypervisor)) = (viewer, hypervisor) {
        assert!(to_viewer == bells && to_hypervisor.len() <= keys.len() && keys.starts_with(&to_hypervisor));
        assert!(
            matches!(end, End::Viewer | End::Hypervisor | End::NotFollowed(_)),
            "{end}"
        );
        assert!(proxy.is_none_or(|proxy| proxy.both == 1));
    } else if let Some(proxy) = proxy {
        // It breaks when both have logged in.
        assert!(proxy.both == 0 || breaks, "{end}");
    }
}
