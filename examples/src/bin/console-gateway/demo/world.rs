//! What takes part: the stand-ins, the guests that have their consoles there, and the gateway.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use console_token::serial::PortRange;
use console_token::web::origin::OriginRule;
use console_token::{AccessPath, MemoryStore, Protocol, Secret};
use examples::budget::Limits;
use examples::descriptors::raise_limit;
use examples::net;
use examples::vnc::Method;
use tokio::net::TcpListener;

use super::Cell;
use super::authd::{Authd, VMX};
use super::browser::Browser;
use super::certificates::{Certificates, HOST};
use super::faults::refuses_with;
use super::http::{Answer, request};
use super::hypervisor::Hypervisor;
use super::peers::{Monitor, Nova, SerialPort};
use super::report::{Outcome, must};
use super::store::Faulty;
use super::talk::digest;
use super::vnc::VncServer;
use crate::cli::Break;
use crate::config::{self, Pages, Resolve, Tokens};
use crate::console::place::{Console, Guest, Place, PlaceTls};
use crate::console::qmp::{self, MonitorAddress};
use crate::console::vv;
use crate::front::budgets::Budgets;
use crate::front::{self, Door, Speaks};
use crate::gateway::{Gateway, Live, Parts};
use crate::grant::api;
use crate::grant::clock::Clock;
use crate::grant::policy::Rules as Policy;
use crate::grant::resolve::client::Base;
use crate::operate::audit::Audit;
use crate::random::random_bytes;
use crate::serve::TOKENS;
use crate::sync::lock;

/// Life of the tokens, in seconds.
pub(super) const SHORT: u64 = 30;
/// A guest's id, where Nova's calls want one.
pub(super) const UUID: &str = "52b2e44e-e561-464c-88f3-2fc6a1ecea2b";
/// The pages that may open WebSockets, beside the gateway's own.
pub(super) const PORTAL: &str = "https://portal.demo";
/// A page of a stranger.
pub(super) const EVIL: &str = "https://evil.demo";
/// Another name of the host.
pub(super) const NODE: &str = "node1.demo";
/// The ports that are handed out to serial consoles.
pub(super) const PORTS: RangeInclusive<u16> = 10_000..=10_002;
/// Tokens that the stand-in of Nova knows: of a console, and of places where none may be.
pub(super) const KNOWN: [&str; 3] = [
    "0b7a1f5e-3c0e-4f8e-9d3f-6c1f5a0d7b21",
    "1c8b2a6f-4d1f-4a9f-8e4a-7d2a6b1e8c32",
    "2d9c3b7a-5e2a-4bab-9f5b-8e3b7c2f9d43",
];

/// A password that was not there before: 43 characters.
pub(super) fn text() -> String {
    Secret::base64url(&random_bytes()).expose().to_owned()
}

/// What stands behind the gateway.
pub(super) struct StandIns {
    pub(super) certificates: Certificates,
    /// Has a ticket that the gateway knows.
    pub(super) desktop: Hypervisor,
    pub(super) ticket: Cell,
    /// Has the ticket that its monitor has set last.
    pub(super) locked: Hypervisor,
    pub(super) locked_ticket: Cell,
    pub(super) locked_vnc: VncServer,
    pub(super) monitor: Monitor,
    pub(super) authd: Authd,
    /// Names a certificate that its console does not have.
    pub(super) liar: Authd,
    pub(super) mks_ticket: String,
    pub(super) own: VncServer,
    pub(super) other: VncServer,
    pub(super) port: SerialPort,
    nova: Nova,
}

impl StandIns {
    pub(super) async fn start(broken: Option<Break>) -> Outcome<Self> {
        let certificates = Certificates::make()?;
        let tls = || certificates.hypervisor.clone();
        let ticket = Arc::new(Mutex::new(text()));
        let (locked_ticket, password) = (Cell::default(), Cell::default());
        let sets = broken != Some(Break::SetNothing);
        let mks_ticket = text();
        let (own, other) = (VncServer::start(None).await?, VncServer::start(None).await?);
        let places = [
            (HOST.to_owned(), own.address.port()),
            (HOST.to_owned(), other.address.port()),
            ("169.254.169.254".to_owned(), 80),
        ];
        let consoles: HashMap<_, _> = KNOWN.map(ToOwned::to_owned).into_iter().zip(places).collect();
        Ok(Self {
            desktop: Hypervisor::start(&ticket, tls()).await?,
            locked: Hypervisor::start(&locked_ticket, tls()).await?,
            locked_vnc: VncServer::start(Some(password.clone())).await?,
            monitor: Monitor::start(locked_ticket.clone(), password, sets).await?,
            authd: Authd::start(&mks_ticket, true).await?,
            liar: Authd::start(&mks_ticket, broken == Some(Break::TrustConsole)).await?,
            port: SerialPort::start().await?,
            nova: Nova::start(consoles).await?,
            certificates,
            ticket,
            locked_ticket,
            mks_ticket,
            own,
            other,
        })
    }

    /// The ticket that the gateway knows, as the report shows it.
    pub(super) fn own_ticket(&self) -> String {
        digest(lock(&self.ticket).as_bytes())
    }

    fn tls(&self, hypervisor: &Hypervisor) -> Outcome<PlaceTls> {
        Ok(PlaceTls {
            port: hypervisor.address.port(),
            name: HOST.try_into()?,
            config: self.certificates.client.clone(),
        })
    }

    /// The guests that have their consoles here.
    fn guests(&self, broken: Option<Break>) -> Outcome<Vec<Arc<Guest>>> {
        let mut desktop = Place::resolved(HOST.to_owned(), None);
        desktop.tls = Some(self.tls(&self.desktop)?);
        desktop.ticket = Some(spice_proto::link::Secret::new(lock(&self.ticket).as_bytes()));

        let monitor = Arc::new(qmp::Monitor::new(MonitorAddress::Tcp(self.monitor.address)));
        let mut locked = Place::resolved(HOST.to_owned(), None);
        locked.tls = Some(self.tls(&self.locked)?);
        locked.monitor = Some(monitor.clone());
        let mut locked_vnc = vnc(&self.locked_vnc, Method::Vnc);
        locked_vnc.monitor = Some(monitor);

        let thumbprint = |authd: &Authd| authd.thumbprint.to_string();
        let other = match broken {
            Some(Break::TrustLogin) => thumbprint(&self.authd),
            _ => thumbprint(&self.liar),
        };
        let mks = |authd: &Authd, thumbprint: &str| {
            let mut place = plain(authd.address);
            let path = serde_json::json!({"ticket": self.mks_ticket, "cfgFile": VMX, "thumbprint": thumbprint});
            place.access_path = Some(AccessPath::new(path.to_string()));
            (Protocol::Mks, place)
        };
        let serial = (Protocol::Serial, plain(self.port.address));
        let closed = (Protocol::Serial, plain(self.own.address));
        Ok(vec![
            guest(UUID, "vm1", [(Protocol::Spice, desktop)]),
            guest("esx", "esx", [mks(&self.authd, &thumbprint(&self.authd))]),
            guest("esx-login", "esx-login", [mks(&self.authd, &other)]),
            guest("esx-console", "esx-console", [mks(&self.liar, &thumbprint(&self.liar))]),
            guest(
                "locked",
                "locked",
                [(Protocol::Spice, locked), (Protocol::Vnc, locked_vnc), closed],
            ),
            guest("web", "web", [(Protocol::Vnc, vnc(&self.own, Method::None))]),
            guest("other", "other", [(Protocol::Vnc, vnc(&self.other, Method::None))]),
            guest("port", "port", [serial]),
        ])
    }

    /// Where the answers of Nova may lead: to one console.
    fn resolve(&self, broken: Option<Break>) -> Outcome<Resolve> {
        let own = self.own.address.port();
        let (network, ports) = match broken {
            Some(Break::FollowResolver) => ("0.0.0.0/0", 1..=u16::MAX),
            _ => (HOST, own..=own),
        };
        let allowed = config::Allowed {
            network: network.parse()?,
            ports,
            is_special: true,
        };
        let nova = config::Nova {
            base: Base::parse(&format!("http://{}/v2.1", self.nova.address), None)?,
            token: Secret::presented(text().as_bytes())?,
            protocol: Protocol::Vnc,
        };
        Ok(Resolve {
            nova: Some(nova),
            allow: vec![allowed],
            ..Resolve::default()
        })
    }
}

fn plain(address: SocketAddr) -> Place {
    Place::resolved(HOST.to_owned(), Some(address.port()))
}

fn vnc(server: &VncServer, method: Method) -> Place {
    let mut place = plain(server.address);
    place.vnc.methods = vec![method];
    place.announced = vec![NODE.to_owned()];
    place
}

fn guest<const N: usize>(id: &str, name: &str, consoles: [(Protocol, Place); N]) -> Arc<Guest> {
    let console = |(protocol, place): (Protocol, Place)| {
        Arc::new(Console {
            protocol,
            require_tls: protocol == Protocol::Spice,
            rules: Policy::default(),
            places: vec![place.into()],
        })
    };
    Arc::new(Guest {
        id: id.to_owned(),
        name: name.to_owned(),
        hypervisor_name: None,
        consoles: consoles.map(console).into(),
    })
}

/// The gateway, and all that is around it.
pub(super) struct World {
    pub(super) peers: StandIns,
    pub(super) gateway: Arc<Gateway>,
    pub(super) spice: SocketAddr,
    pub(super) api: SocketAddr,
    pub(super) web: SocketAddr,
    pub(super) web_tls: SocketAddr,
    bearer: String,
}

/// A console that was created.
pub(super) struct Created {
    pub(super) url: String,
    pub(super) token: String,
    pub(super) fingerprint: String,
}

impl World {
    pub(super) async fn start(peers: StandIns, broken: Option<Break>) -> Outcome<Self> {
        let bind =
            || net::listen("127.0.0.1:0".parse()?).map_err(Into::<Box<dyn std::error::Error + Send + Sync>>::into);
        let (spice, web, web_tls) = (bind()?, bind()?, bind()?);
        let addresses = (spice.local_addr()?, web.local_addr()?, web_tls.local_addr()?);
        let bearer = text();
        let live = Live {
            api_token: Secret::presented(bearer.as_bytes())?,
            api_tls: None,
            viewer: vv::Viewer {
                host: HOST.to_owned(),
                port: None,
                tls_port: Some(addresses.0.port()),
                ca: Some(peers.certificates.ca.clone()),
                host_subject: Some(Certificates::host_subject()),
            },
            url: format!("http://{}", addresses.1),
            tokens: Tokens {
                ttl: SHORT,
                spice_ttl: SHORT,
                reconnect: Duration::ZERO,
            },
            rules: Policy::default(),
            spice_policy: Policy::default().spice(),
            guests: peers.guests(broken)?,
            resolve: peers.resolve(broken)?,
            pages: Pages::none(),
            serial_ports: PortRange::new(u32::from(*PORTS.start()), u32::from(*PORTS.end()) + 1)?,
            origin_rule: origin_rule(broken)?,
            proxy_protocol: Vec::new(),
            forwarded: Vec::new(),
            tls: Some(peers.certificates.gateway.clone()),
            vnc_tls: None,
            drain: Duration::ZERO,
        };
        let clock: Arc<Clock> = Arc::default();
        let gateway = Gateway::start(Parts {
            id: "demo".to_owned(),
            store: Arc::new(Faulty::new(MemoryStore::new(TOKENS), broken, UUID)),
            pepper: None,
            clock: clock.clone(),
            audit: Arc::new(Audit::open(None, clock)?),
            refuses_with: refuses_with(broken),
            live,
            gateways: None,
            budgets: Budgets::of(Limits::default(), None, raise_limit())?,
        });
        for (name, listener, speaks, secure) in [
            ("spice_tls", spice, Speaks::Spice, true),
            ("web_plain", web, Speaks::Web, false),
            ("web", web_tls, Speaks::Web, true),
        ] {
            let door = Door {
                name,
                listener,
                speaks,
                secure,
            };
            gateway.tasks.spawn(front::accept(gateway.clone(), door));
        }
        let router = api::router(gateway.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let api = listener.local_addr()?;
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            peers,
            gateway,
            spice: addresses.0,
            web: addresses.1,
            web_tls: addresses.2,
            api,
            bearer,
        })
    }

    /// A call of the API, with its token.
    pub(super) async fn call(&self, line: &str, body: &str) -> Outcome<Answer> {
        let bearer = format!("Bearer {}", self.bearer);
        request(self.api, line, &[("Authorization", &bearer)], body).await
    }

    /// A call of Nova's API, as its clients make them. `own`: the client says that it knows this gateway.
    pub(super) async fn nova(&self, version: &str, line: &str, body: &str, own: bool) -> Outcome<Answer> {
        let version = format!("compute {version}");
        let mut headers = vec![
            ("X-Auth-Token", self.bearer.as_str()),
            ("OpenStack-API-Version", version.as_str()),
        ];
        if own {
            headers.push(("X-Console-Gateway", "1"));
        }
        request(self.api, line, &headers, body).await
    }

    /// A call, which has to be answered with this status.
    pub(super) async fn answered(&self, line: &str, body: &str, status: u16) -> Outcome<Answer> {
        let answer = self.call(line, body).await?;
        let problem = format!("{line} {body} was answered with {}, not {status}", answer.status);
        must(answer.status == status, problem)?;
        Ok(answer)
    }

    /// Creates a console by the gateway's own call.
    pub(super) async fn created(&self, body: &str) -> Outcome<Created> {
        let created = self.answered("POST /v1/consoles", body, 201).await?.json()?;
        let text = |key: &str| {
            let text = created[key].as_str().map(ToOwned::to_owned);
            text.ok_or_else(|| format!("no {key} in the answer"))
        };
        Ok(Created {
            url: text("url")?,
            token: text("token")?,
            fingerprint: text("fingerprint")?,
        })
    }

    /// A token for a console.
    pub(super) async fn token(&self, body: &str) -> Outcome<String> {
        Ok(self.created(body).await?.token)
    }

    /// A browser in a console.
    pub(super) async fn browser(&self, token: &str) -> Outcome<Browser> {
        Browser::let_in(self.web, token).await
    }

    /// The open sessions, as operators see them, of one guest.
    pub(super) async fn sessions(&self, guest: &str) -> Outcome<Vec<serde_json::Value>> {
        let answer = self.answered("GET /v1/sessions", "", 200).await?.json()?;
        let open = answer["sessions"].as_array().ok_or("no list of sessions")?;
        Ok(open
            .iter()
            .filter(|session| session["guest"] == guest)
            .cloned()
            .collect())
    }

    /// Waits until a guest has no session any more.
    pub(super) async fn ended(&self, guest: &str) -> Outcome<()> {
        let ended = || {
            let mut own = self.gateway.book.own().into_iter();
            own.all(|session| session.about.guest != guest)
        };
        must(super::soon(ended).await, "the session stays in the list")
    }
}

fn origin_rule(broken: Option<Break>) -> Outcome<OriginRule> {
    let rule = OriginRule::default().with_page(PORTAL.parse()?);
    Ok(match broken {
        Some(Break::AnyOrigin) => rule.with_page(EVIL.parse()?),
        _ => rule,
    })
}
