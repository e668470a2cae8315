//! The gateways of the soak, which come back at the same ports, and what they hold.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::engines::{Engine, Kind, url};
use crate::guests::Guests;
use crate::haproxy::{self, Balancer, Listener};
use crate::ports::free_port;
use crate::program::{Folder, Service};

/// In which a session that broke may come again.
pub(crate) const WINDOW: Duration = Duration::from_secs(90);
const GATEWAYS: usize = 3;
/// Between two looks.
const LOOKS: Duration = Duration::from_secs(10);

/// What a gateway holds at a time after its start.
struct Look {
    at: Duration,
    memory: u64,
    descriptors: usize,
}

struct Gateway {
    configuration: String,
    api: SocketAddr,
    service: Option<Service>,
    started: Instant,
    looks: Vec<Look>,
}

pub(crate) struct Site {
    pub(crate) engine: Engine,
    pub(crate) spice: SocketAddr,
    gateways: Vec<Gateway>,
    looked: Option<Duration>,
    _balancer: Balancer,
    _folder: Folder,
}

impl Site {
    pub(crate) fn start(kind: Kind, guests: &Guests) -> Self {
        let engine = Engine::start(kind);
        let spice = free_port();
        let (apis, plains) = (
            [(); GATEWAYS].map(|()| free_port()),
            [(); GATEWAYS].map(|()| free_port()),
        );
        let mut known = String::new();
        for (number, ports) in guests.ports.iter().enumerate() {
            let _ = write!(
                known,
                "[[guest]]\nid = \"vm{number}\"\n[[guest.console]]\nprotocol = \"spice\"\n"
            );
            for port in ports {
                let _ = write!(
                    known,
                    "[[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {port}\nticket_file = \"vm1.ticket\"\n"
                );
            }
        }
        let (store, port, seconds) = (url(kind, &engine.address()), spice.port(), WINDOW.as_secs());
        let gateways = (0..GATEWAYS).map(|number| Gateway {
            configuration: format!(
                "[api]\nlisten = \"{}\"\ntoken_file = \"api.token\"\n\
                 [public]\nhost = \"127.0.0.1\"\nspice_port = {port}\n\
                 [listen]\nspice = \"{}\"\nproxy_protocol = [\"127.0.0.0/8\"]\n\
                 [store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"gw{number}\"\n\
                 [tokens]\nreconnect_seconds = {seconds}\n{known}",
                apis[number], plains[number]
            ),
            api: apis[number],
            service: None,
            started: Instant::now(),
            looks: Vec::new(),
        });
        let gateways = gateways.collect();
        let folder = Folder::new();
        let listeners = [Listener {
            name: "spice",
            address: spice,
            gateways: plains.to_vec(),
        }];
        let file = folder.write("haproxy.cfg", haproxy::configuration(&listeners));
        let mut site = Self {
            engine,
            spice,
            gateways,
            looked: None,
            _balancer: Balancer::start(&file, &listeners),
            _folder: folder,
        };
        for number in 0..GATEWAYS {
            site.start_gateway(number);
        }
        site
    }

    pub(crate) fn count(&self) -> usize {
        self.gateways.len()
    }

    pub(crate) fn apis(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| gateway.api).collect()
    }

    pub(crate) fn start_gateway(&mut self, number: usize) {
        let gateway = &mut self.gateways[number];
        let folder = Folder::new();
        folder.write("pepper", "pepper-of-this-test-pepper-of-this-test");
        let service = Service::start_quiet(folder, &gateway.configuration);
        assert!(
            !service.line.is_empty(),
            "gateway {number} does not start: {}",
            service.ended()
        );
        gateway.service = Some(service);
        gateway.started = Instant::now();
        gateway.looks.clear();
    }

    /// Ends one without a chance to put anything in order.
    pub(crate) fn kill(&mut self, number: usize) {
        let service = self.gateways[number].service.take().expect("it runs");
        let (status, ..) = service.stop("KILL");
        assert!(!status.success());
    }

    /// Looks at what each gateway holds, now and then.
    pub(crate) fn watch(&mut self, at: Duration) {
        if self.looked.is_some_and(|looked| at < looked + LOOKS) {
            return;
        }
        self.looked = Some(at);
        for gateway in &mut self.gateways {
            let Some(service) = &gateway.service else { continue };
            let id = service.id();
            let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a gateway that runs");
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
            let kilobytes: u64 = line
                .split_whitespace()
                .nth(1)
                .expect("a number")
                .parse()
                .expect("a number");
            gateway.looks.push(Look {
                at: gateway.started.elapsed(),
                memory: kilobytes << 10,
                descriptors: std::fs::read_dir(format!("/proc/{id}/fd"))
                    .expect("descriptors")
                    .count(),
            });
        }
    }

    /// What each gateway held.
    pub(crate) fn report(&self) {
        for (number, gateway) in self.gateways.iter().enumerate() {
            let mut line = String::new();
            let step = (gateway.looks.len() / 8).max(1);
            let last = gateway.looks.last();
            for Look {
                at,
                memory,
                descriptors,
            } in gateway.looks.iter().step_by(step).chain(last)
            {
                let _ = write!(line, " {:.0?} {:.1} MB {descriptors};", at, *memory as f64 / 1e6);
            }
            println!("SOAK | gateway {number}: after its start memory and descriptors{line}");
        }
    }

    /// Neither memory nor descriptors have grown since each gateway was two minutes old, or half of what it is now; and when all
    /// viewers are gone, few descriptors are left.
    pub(crate) fn is_flat(&self) {
        for (number, gateway) in self.gateways.iter().enumerate() {
            let last = gateway.looks.last().expect("a look");
            let settled = (last.at / 2).min(Duration::from_secs(120));
            let then = gateway.looks.iter().filter(|look| look.at <= settled);
            let most = then.map(|look| look.memory).max().expect("a look");
            assert!(
                last.memory <= most + most / 4,
                "gateway {number}: {most} bytes, and then {}",
                last.memory
            );
            assert!(
                last.descriptors < 64,
                "gateway {number}: {} descriptors are left",
                last.descriptors
            );
        }
    }
}
