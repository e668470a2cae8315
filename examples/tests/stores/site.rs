//! Three gateways on one engine, and haproxy before them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use spice_proto::ids::ChannelType;

use crate::engines::{Engine, Kind, url};
use crate::haproxy::{self, Balancer, Listener};
use crate::http::{self, Answer, request};
use crate::hypervisor::{Channel, Hypervisor, LIST, init};
use crate::line::Line;
use crate::ports::free_port;
use crate::program::{BEARER, Folder, PATIENCE, Service};
use crate::spice::Link;

pub(crate) const MAIN: ChannelType = ChannelType::MAIN;
pub(crate) const DISPLAY: ChannelType = ChannelType::DISPLAY;
pub(crate) const INPUTS: ChannelType = ChannelType::INPUTS;
pub(crate) const CURSOR: ChannelType = ChannelType::CURSOR;
/// Seconds in which a session that broke may come again.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);
const PING: [u8; 8] = [1; 8];
const PONG: [u8; 12] = [7; 12];

pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) line: Line,
    /// Those that run.
    pub(crate) gateways: Vec<(String, Service)>,
    pub(crate) host: Hypervisor,
    /// Where viewers come.
    pub(crate) spice: SocketAddr,
    pub(crate) web: SocketAddr,
    _balancer: Balancer,
    _folder: Folder,
}

impl Site {
    pub(crate) fn start(kind: Kind) -> Self {
        let engine = Engine::start(kind);
        let line = Line::to(engine.address());
        let (spice, web) = (free_port(), free_port());
        let host = Hypervisor::start();
        let store = url(kind, &line.address.to_string());
        let start = |number: usize| {
            let name = format!("gw{number}");
            let folder = Folder::new();
            folder.write("pepper", "pepper-of-this-test-pepper-of-this-test");
            let (port, at) = (spice.port(), host.port);
            let seconds = WINDOW.as_secs();
            let configuration = format!(
                "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n\
                 [public]\nhost = \"127.0.0.1\"\nspice_port = {port}\nurl = \"http://{web}\"\n\
                 [listen]\nspice = \"127.0.0.1:0\"\nweb_plain = \"127.0.0.1:0\"\nproxy_protocol = [\"127.0.0.0/8\"]\n\
                 [store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"{name}\"\n\
                 [tokens]\nreconnect_seconds = {seconds}\n\
                 [[guest]]\nid = \"vm1\"\n[[guest.console]]\nprotocol = \"spice\"\n\
                 [[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {at}\nticket_file = \"vm1.ticket\"\n"
            );
            (name, Service::start_quiet(folder, &configuration))
        };
        let gateways: Vec<_> = (1..=3).map(start).collect();
        let folder = Folder::new();
        let balancer = balancer(&folder, &gateways, [("spice", spice), ("web_plain", web)]);
        Self {
            engine,
            line,
            gateways,
            host,
            spice,
            web,
            _balancer: balancer,
            _folder: folder,
        }
    }

    /// A call of the API of the gateway at this place among those that run.
    pub(crate) fn call(&self, gateway: usize, line: &str, body: &str) -> Answer {
        let bearer = [format!("X-Auth-Token: {BEARER}")];
        request(self.gateways[gateway].1.api(), line, &bearer, body)
    }

    /// A token for one session, which is a ticket as well.
    pub(crate) fn token(&self) -> String {
        http::token(self.gateways[0].1.api())
    }

    /// A channel, at the gateway whose turn it is.
    pub(crate) fn open(&self, token: &str, kind: ChannelType, id: u32) -> Result<Channel, Link> {
        Channel::open(self.spice, token, kind, id)
    }

    /// A session with all its channels, each at the next gateway.
    pub(crate) fn session(&self, token: &str) -> Session {
        self.host.forget();
        let viewer = self
            .open(token, MAIN, 0)
            .unwrap_or_else(|link| panic!("main: {link:?}"));
        self.begun(token, viewer)
    }

    /// The same, whose main channel is linked.
    pub(crate) fn begun(&self, token: &str, mut viewer: Channel) -> Session {
        static ID: AtomicU32 = AtomicU32::new(1);
        let id = ID.fetch_add(1, Relaxed);
        let mut main = self.host.channel(MAIN, 0);
        main.passes(&mut viewer, 103, &init(id));
        main.passes(&mut viewer, 104, &LIST);
        let mut channels = vec![(viewer, main)];
        for kind in [DISPLAY, INPUTS, CURSOR] {
            let mut near = self
                .open(token, kind, id)
                .unwrap_or_else(|link| panic!("{kind:?}: {link:?}"));
            let mut far = self.host.channel(kind, id);
            if kind == DISPLAY {
                near.passes(&mut far, 101, &[0; 14]);
            }
            channels.push((near, far));
        }
        let mut session = Session {
            token: token.to_owned(),
            owner: String::new(),
            channels,
        };
        session.goes_on();
        session
    }

    /// Opens a session and looks up which gateway has it.
    pub(crate) fn owned_session(&self) -> Session {
        let before: Vec<_> = self.sessions().iter().map(|shown| shown["id"].clone()).collect();
        let mut session = self.session(&self.token());
        let began = Instant::now();
        session.owner = loop {
            let shown = self.sessions();
            if let Some(new) = shown.iter().find(|shown| !before.contains(&shown["id"])) {
                break new["gateway"].as_str().expect("a name").to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "{shown:?}");
            sleep(Duration::from_millis(50));
        };
        session
    }

    /// The open sessions, as the first gateway shows them.
    pub(crate) fn sessions(&self) -> Vec<Value> {
        let answer = self.call(0, "GET /v1/sessions", "");
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"));
        body["sessions"].as_array().expect("a list").clone()
    }

    /// Ends the gateway of this name without a chance to put anything in order.
    pub(crate) fn kill(&mut self, name: &str) {
        let place = self.gateways.iter().position(|(own, _)| own == name).expect("it runs");
        let (_, service) = self.gateways.remove(place);
        let (status, ..) = service.stop("KILL");
        assert!(!status.success());
    }

    /// So many viewers come with one token at the same moment: those that get in.
    pub(crate) fn race(&self, token: &str, viewers: usize) -> Vec<Channel> {
        self.host.forget();
        std::thread::scope(|scope| {
            let come = || scope.spawn(|| self.open(token, MAIN, 0).ok());
            let all: Vec<_> = (0..viewers).map(|_| come()).collect();
            all.into_iter()
                .filter_map(|viewer| viewer.join().expect("a viewer"))
                .collect()
        })
    }

    /// A viewer comes again and again until it is in; how long that took.
    pub(crate) fn comes_again(&self, token: &str, within: Duration) -> (Session, Duration) {
        let began = Instant::now();
        loop {
            self.host.forget();
            match self.open(token, MAIN, 0) {
                Ok(viewer) => return (self.begun(token, viewer), began.elapsed()),
                Err(link) => assert!(began.elapsed() < within, "{link:?} after {:?}", began.elapsed()),
            }
            sleep(Duration::from_millis(500));
        }
    }
}

fn balancer(folder: &Folder, gateways: &[(String, Service)], ways: [(&str, SocketAddr); 2]) -> Balancer {
    let listeners = ways.map(|(name, address)| Listener {
        name,
        address,
        gateways: gateways
            .iter()
            .map(|(_, gateway)| gateway.address(name).expect("an address"))
            .collect(),
    });
    let file = folder.write("haproxy.cfg", haproxy::configuration(&listeners));
    Balancer::start(&file, &listeners)
}

/// A session with both ends of its channels.
pub(crate) struct Session {
    pub(crate) token: String,
    /// The gateway that has it, where that was looked up.
    pub(crate) owner: String,
    pub(crate) channels: Vec<(Channel, Channel)>,
}

impl Session {
    /// A message passes in each direction on each channel.
    pub(crate) fn goes_on(&mut self) {
        for (near, far) in &mut self.channels {
            far.passes(near, 3, &PING);
            near.passes(far, 3, &PONG);
        }
    }

    /// The same on its main channel.
    pub(crate) fn main_goes_on(&mut self) {
        let (near, far) = &mut self.channels[0];
        far.passes(near, 3, &PING);
        near.passes(far, 3, &PONG);
    }

    /// Each channel that is left ends within this.
    pub(crate) fn ends(&mut self, within: Duration) {
        for (near, _) in &mut self.channels {
            near.ends(within);
        }
    }

    /// The viewer goes.
    pub(crate) fn hang_up(self) {
        for (near, _) in self.channels {
            near.hang_up();
        }
    }
}
