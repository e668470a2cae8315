#![cfg_attr(fuzzing, no_main)]
//! A console with TLS towards its viewer and towards its hypervisor, over networks as the input draws them.
//!
//! ```text
//! | capacity u16 | shape u8 | bits u8 | keys u8 | bells u8 | cut u16 |
//! ```
//!
//! Bits: 0 and 1: the subtype that the viewer is offered, 2: the hypervisor has TLS, 3: it is one of another authority, 4: it has
//! another name, 5: the viewer hangs up after so many bytes (`cut`), 6: it is not let in, 7: the gateway takes any name that the
//! authority has certified. The peers are of this crate as well: both ends know their keys, which a search cannot.
//!
//! The laws: what one side says comes out at the other, whole and in order; a hypervisor that is not trusted gets nothing of
//! the password; nothing waits for ever.
//!
//! Not searched in CI: see LAWS.md.

use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use fuzz::Input;
use rfb_proto::handshake::bridge::Upstream;
use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    BridgeConfig, Buffers, ClientConfig, ClientHandshake, Refusal, ServerConfig, ServerHandshake, Side,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Config, Dial, End};
use rfb_proto::tls::{ClientTls, ServerTls};
use rfb_proto::{
    Clock, Connection, Driven, Limits, NotDialled, PixelFormat, ProxyHandler, ServerInit, TlsStream, drive,
    drive_session,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::timeout;

use self::certificates::{Authority, HOST};
use self::slow::{Shape, Slow, connection};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/certificates.rs"]
mod certificates;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/slow.rs"]
mod slow;

fuzz::target!(check);

const NEVER: Duration = Duration::from_secs(36_000);
const PASSWORD: &[u8] = b"hypervis";
const KEY: [u8; 8] = *b"\x04\x01\0\0\0\0\0\x61";
const BELL: u8 = 2;
const SUBTYPES: [Subtype; 3] = [Subtype::X509_NONE, Subtype::X509_PLAIN, Subtype::X509_VNC];

struct Ends {
    client: ClientTls,
    server: ServerTls,
}

impl Ends {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            client: ClientTls::new(authority.pem.as_bytes(), None).expect("an authority"),
            server: ServerTls::new(authority.server().identity(), None).expect("a certificate and its key"),
        }
    }
}

/// Of the viewer's connection, of the hypervisor's, and of somebody else.
static ENDS: LazyLock<[Ends; 3]> = LazyLock::new(|| [Ends::new(), Ends::new(), Ends::new()]);

fn init() -> ServerInit {
    ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::RGB888,
        name: bytes::Bytes::from_static(b"QEMU"),
    }
}

fn limits() -> Limits {
    Limits::default().with_handshake_timeout(Duration::from_secs(3600))
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A viewer, up to its ServerInit. `None`: it is not let in.
async fn viewer(mut stream: Slow, subtype: Subtype) -> Option<(TlsStream<Slow>, Buffers)> {
    let clock = Clock::start();
    let config = ClientConfig::new(&[SecurityType::VENCRYPT])
        .with_subtypes(&[subtype])
        .with_server_name(HOST)
        .with_limits(limits());
    let (mut machine, mut buffers) = (ClientHandshake::new(clock.now(), config), Buffers::default());
    let Driven::StartTls(wanted) = drive(&mut machine, &mut buffers, &mut stream, clock).await.ok()? else {
        panic!("a subtype with TLS")
    };
    let secured = TlsStream::connect(stream, &wanted, &ENDS[0].client, &mut buffers).await;
    let mut secured = secured.expect("both know the authority");
    loop {
        match drive(&mut machine, &mut buffers, &mut secured, clock).await.ok()? {
            Driven::Ask(ClientQuestion::Plain) => {
                machine.plain(&mut buffers, b"user", b"a token").expect("it was asked")
            }
            Driven::Ask(ClientQuestion::Vnc { challenge }) => {
                let response = Password::new(b"a token").respond(&challenge);
                machine.respond(&mut buffers, response).expect("it was asked");
            }
            Driven::Done(outcome) => {
                assert_eq!(outcome.init, Some(init()));
                return Some((secured, buffers));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A hypervisor's side of the handshake. Whether it has let the gateway in.
async fn served(machine: &mut ServerHandshake, buffers: &mut Buffers, stream: &mut impl Io, clock: Clock) -> bool {
    loop {
        match drive(machine, buffers, stream, clock).await {
            Ok(Driven::Ask(ServerQuestion::Challenge)) => machine.challenge(buffers, [9; 16]).expect("it was asked"),
            Ok(Driven::Ask(ServerQuestion::Admit(ClientCredentials::Vnc { challenge, response }))) => {
                assert!(Password::new(PASSWORD).verify(&challenge, &response));
                machine.accept(buffers).expect("it was asked");
            }
            Ok(Driven::Ask(ServerQuestion::Init(_))) => machine.init(buffers, &init()).expect("it was asked"),
            Ok(Driven::Done(_)) => return true,
            _ => return false,
        }
    }
}

/// Says it all and hears all, until the other end goes.
async fn converse(stream: impl Io, mut heard: Vec<u8>, says: &[u8], expected: usize) -> Vec<u8> {
    let (mut read, mut write) = split(stream);
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

/// What a hypervisor has heard behind its handshake. `None`: it has let no client in.
async fn hypervisor(mut stream: Slow, tls: Option<&ServerTls>, says: &[u8], expected: usize) -> Option<Vec<u8>> {
    let clock = Clock::start();
    let config = match tls {
        Some(_) => ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_VNC]),
        None => ServerConfig::new(&[SecurityType::VNC]),
    };
    let mut machine = ServerHandshake::new(clock.now(), config.with_limits(limits()));
    let mut buffers = Buffers::default();
    let Some(tls) = tls else {
        let is_in = served(&mut machine, &mut buffers, &mut stream, clock).await;
        return if is_in {
            Some(converse(stream, buffers.rx.to_vec(), says, expected).await)
        } else {
            None
        };
    };
    let Ok(Driven::StartTls(_)) = drive(&mut machine, &mut buffers, &mut stream, clock).await else {
        return None;
    };
    let mut secured = TlsStream::accept(stream, tls, &mut buffers).await.ok()?;
    let is_in = served(&mut machine, &mut buffers, &mut secured, clock).await;
    if is_in {
        Some(converse(secured, buffers.rx.to_vec(), says, expected).await)
    } else {
        None
    }
}

/// The answers of a gateway.
struct Gateway {
    hypervisor: Option<Slow>,
    lets_in: bool,
    name: Option<&'static str>,
    failed: Vec<Side>,
}

impl ProxyHandler for Gateway {
    type Hypervisor = Slow;

    fn challenge(&mut self) -> [u8; 16] {
        [1; 16]
    }

    async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
        let is_right = match &shown {
            ClientCredentials::None => true,
            ClientCredentials::Vnc { challenge, response } => Password::new(b"a token").verify(challenge, response),
            ClientCredentials::Plain(shown) => shown.password.expose() == b"a token",
            other => panic!("{other:?}"),
        };
        assert!(is_right);
        if self.lets_in { Ok(()) } else { Err(Refusal::default()) }
    }

    async fn dial(&mut self, _: Dial) -> Result<(Slow, Upstream), NotDialled> {
        let mut upstream = Upstream::default().with_password(Password::new(PASSWORD));
        if let Some(name) = self.name {
            upstream = upstream.with_server_name(name);
        }
        Ok((self.hypervisor.take().ok_or(NotDialled::Unreachable)?, upstream))
    }

    fn tls_failed(&mut self, side: Side, error: &io::Error) {
        assert!(!error.to_string().is_empty());
        self.failed.push(side);
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let capacity = usize::from(u16::from_le_bytes([input.byte(), input.byte()])).max(1);
    let (shape, bits) = (input.byte(), input.byte());
    let (keys, bells) = (usize::from(input.byte()), usize::from(input.byte()));
    let cut = usize::from(u16::from_le_bytes([input.byte(), input.byte()]));
    // A handshake of TLS costs a millisecond.
    if data.is_empty() {
        return;
    }
    let is = |bit: u8| bits >> bit & 1 == 1;
    let shape = Shape {
        buffered: shape & 1 != 0,
        read: Duration::from_millis(u64::from(shape >> 1 & 3)),
        write: Duration::from_millis(u64::from(shape >> 3 & 3)),
    };
    let subtype = SUBTYPES[usize::from(bits & 3) % SUBTYPES.len()];
    let (with_tls, trusted) = (is(2), !(is(3) || is(4) && !is(7)));
    let bridge = BridgeConfig::default()
        .with_tenant_types(&[SecurityType::VENCRYPT])
        .with_tenant_subtypes(&[subtype])
        .with_hypervisor_types(&[if with_tls {
            SecurityType::VENCRYPT
        } else {
            SecurityType::VNC
        }])
        .with_hypervisor_subtypes(&[Subtype::X509_VNC])
        .with_limits(limits());
    let plain = Shape::new(false, false);
    let ((own_tenant, tenant), (own_upper, upper)) =
        (connection(capacity, shape, plain), connection(capacity, shape, plain));
    let gateway = Gateway {
        hypervisor: Some(own_upper),
        lets_in: !is(6),
        name: (!is(7)).then_some(if is(4) { "other.example" } else { HOST }),
        failed: Vec::new(),
    };
    let driven = Connection::new(Arc::new(Config::new(bridge)))
        .with_tenant_tls(ENDS[0].server.clone())
        .with_hypervisor_tls(ENDS[if is(3) { 2 } else { 1 }].client.clone());
    let (keys, bells) = (KEY.repeat(keys), vec![BELL; bells]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let run = async {
        let tenants = async {
            let (stream, buffers) = viewer(tenant, subtype).await?;
            let wants = if is(5) { bells.len().min(cut) } else { bells.len() };
            let heard = converse(stream, buffers.rx.to_vec(), &keys, wants).await;
            Some(heard)
        };
        let hypervisors = hypervisor(upper, with_tls.then_some(&ENDS[1].server), &bells, keys.len());
        tokio::join!(drive_session(driven, own_tenant, gateway), tenants, hypervisors)
    };
    let ((end, gateway), viewer, hypervisor) =
        runtime.block_on(async { timeout(NEVER, run).await.expect("it waits for ever") });
    assert!(!end.to_string().is_empty());
    let good = !is(6) && (trusted || !with_tls);
    assert_eq!(hypervisor.is_some(), good, "{end}");
    assert_eq!(viewer.is_some(), good, "{end}");
    if let (Some(to_viewer), Some(to_hypervisor)) = (viewer, hypervisor) {
        assert!(to_viewer.iter().all(|byte| *byte == BELL) && keys.starts_with(&to_hypervisor));
        assert!(
            is(5) || to_viewer.len() == bells.len(),
            "{} of {}: {end}",
            to_viewer.len(),
            bells.len()
        );
        assert!(
            matches!(
                end,
                End::Viewer | End::Hypervisor | End::NotFollowed(_) | End::Handshake(_)
            ),
            "{end}"
        );
    } else if let Some(gateway) = gateway {
        let failed = gateway.failed.contains(&Side::Hypervisor);
        assert_eq!(failed, with_tls && !trusted && !is(6), "{end}");
    }
}
