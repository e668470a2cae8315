//! Machines against each other in memory, with tickets.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::Capabilities;
use spice_proto::link::client::ClientOutcome;
use spice_proto::link::relay::{self, RelayAction, RelayError, RelayOutcome, Upstream};
use spice_proto::link::server::{Announcement, ServerOutcome, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, Key, LinkMess, Machine, Refusal, RelayConfig, RelayLink,
    Secret, ServerLink, SideBuffers,
};

pub(crate) use crate::link_values::{NOW, random, request};

/// One key for all tests: making one takes long.
pub(crate) fn key() -> &'static Key {
    static KEY: std::sync::OnceLock<Key> = std::sync::OnceLock::new();
    KEY.get_or_init(|| Key::generate(&mut random(1)).unwrap())
}

pub(crate) fn open(sealed: &spice_proto::link::SealedTicket) -> Option<Vec<u8>> {
    key()
        .open(sealed, &mut random(2))
        .ok()
        .map(|secret| secret.expose().to_vec())
}

pub(crate) fn client(request: LinkMess, password: &[u8]) -> ClientLink {
    ClientLink::new(NOW, ClientConfig::new(request), Secret::new(password), [3; 20])
}

/// A server that announces `shown` and takes `password`.
pub(crate) struct Server {
    pub(crate) machine: ServerLink,
    pub(crate) buffers: Buffers,
    pub(crate) shown: Capabilities,
    pub(crate) password: Vec<u8>,
    pub(crate) request: Option<LinkMess>,
    pub(crate) ended: Option<Result<ServerOutcome, HandshakeError>>,
}

impl Server {
    pub(crate) fn new(shown: Capabilities, password: &[u8]) -> Self {
        let machine = ServerLink::new(NOW, Limits::default());
        Self {
            machine,
            buffers: Buffers::default(),
            shown,
            password: password.to_vec(),
            request: None,
            ended: None,
        }
    }

    /// Takes bytes, gives the answer.
    pub(crate) fn turn(&mut self, input: &[u8]) -> BytesMut {
        self.buffers.rx.extend_from_slice(input);
        while self.ended.is_none() {
            match self.machine.step(NOW, &mut self.buffers) {
                Ok(Action::Receive { .. }) => break,
                Ok(Action::Ask(ServerQuestion::Link(request))) => {
                    self.request = Some(request);
                    let shown = Announcement {
                        public_key: key().public(),
                        capabilities: self.shown.clone(),
                    };
                    self.machine.announce(&mut self.buffers, shown).unwrap();
                }
                Ok(Action::Ask(ServerQuestion::Ticket { sealed, .. })) => {
                    if open(&sealed).as_ref() == Some(&self.password) {
                        self.machine.accept(&mut self.buffers).unwrap();
                    } else {
                        let why = Refusal::Code(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED);
                        self.machine.refuse(&mut self.buffers, why).unwrap();
                    }
                }
                Ok(Action::Ask(_) | Action::Waiting) => unreachable!(),
                Ok(Action::Done(outcome)) => self.ended = Some(Ok(outcome)),
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        self.buffers.tx.split()
    }
}

/// Tenant, relay, hypervisor.
pub(crate) struct Chain {
    pub(crate) tenant: ClientLink,
    pub(crate) tenant_wire: Buffers,
    pub(crate) relay: RelayLink,
    pub(crate) sides: SideBuffers,
    pub(crate) hypervisor: Server,
    /// What the tenant is shown.
    pub(crate) shown: Capabilities,
    /// All bytes that went to the tenant, and to the hypervisor.
    pub(crate) to_tenant: Vec<u8>,
    pub(crate) to_hypervisor: Vec<u8>,
}

pub(crate) const TOKEN: &[u8] = b"token-of-the-tenant";
pub(crate) const TICKET: &[u8] = b"Pa55-w0rd";

pub(crate) struct Ended {
    pub(crate) tenant: Result<ClientOutcome, HandshakeError>,
    pub(crate) relay: Result<RelayOutcome, RelayError>,
    pub(crate) hypervisor: Option<Result<ServerOutcome, HandshakeError>>,
}

impl Chain {
    pub(crate) fn new(request: LinkMess, hypervisor: Capabilities, config: RelayConfig) -> Self {
        let shown = Capabilities::spice_server(request.channel_type);
        Self {
            tenant: client(request, TOKEN),
            tenant_wire: Buffers::default(),
            relay: RelayLink::new(NOW, config),
            sides: SideBuffers::default(),
            hypervisor: Server::new(hypervisor, TICKET),
            shown,
            to_tenant: Vec::new(),
            to_hypervisor: Vec::new(),
        }
    }

    /// Runs all three until nothing moves. `chunk` bytes are delivered at a time.
    pub(crate) fn run(mut self, chunk: usize) -> (Ended, Self) {
        let (mut tenant, mut relay) = (None, None);
        for _ in 0..10_000 {
            let before = (
                self.to_tenant.len(),
                self.to_hypervisor.len(),
                self.sides.tenant.rx.len(),
            );
            if tenant.is_none() {
                match self.tenant.step(NOW, &mut self.tenant_wire) {
                    Ok(Action::Done(outcome)) => tenant = Some(Ok(outcome)),
                    Ok(_) => {}
                    Err(error) => tenant = Some(Err(error)),
                }
            }
            let sent = self.tenant_wire.tx.len().min(chunk);
            let up = self.tenant_wire.tx.split_to(sent);
            self.sides.tenant.rx.extend_from_slice(&up);
            while relay.is_none() {
                match self.relay.step(NOW, &mut self.sides) {
                    Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Link(_)))) => {
                        let shown = Announcement {
                            public_key: key().public(),
                            capabilities: self.shown.clone(),
                        };
                        self.relay.tenant().announce(&mut self.sides.tenant, shown).unwrap();
                    }
                    Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Ticket { sealed, .. }))) => {
                        if open(&sealed).as_deref() == Some(TOKEN) {
                            let upstream = Upstream {
                                ticket: Secret::new(TICKET),
                                oaep_seed: [5; 20],
                            };
                            self.relay.admit(&mut self.sides, upstream).unwrap();
                        } else {
                            let why = Refusal::Code(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED);
                            self.relay.refuse(&mut self.sides, why).unwrap();
                        }
                    }
                    Ok(RelayAction::Receive { .. }) => break,
                    Ok(RelayAction::Ask(_) | RelayAction::Waiting) => unreachable!(),
                    Ok(RelayAction::Done(outcome)) => relay = Some(Ok(outcome)),
                    Err(error) => relay = Some(Err(error)),
                }
            }
            let sent = self.sides.hypervisor.tx.len().min(chunk);
            let up = self.sides.hypervisor.tx.split_to(sent);
            self.to_hypervisor.extend_from_slice(&up);
            let down = self.hypervisor.turn(&up);
            self.sides.hypervisor.rx.extend_from_slice(&down);
            let sent = self.sides.tenant.tx.len().min(chunk);
            let down = self.sides.tenant.tx.split_to(sent);
            self.to_tenant.extend_from_slice(&down);
            self.tenant_wire.rx.extend_from_slice(&down);
            let after = (
                self.to_tenant.len(),
                self.to_hypervisor.len(),
                self.sides.tenant.rx.len(),
            );
            let idle = up.is_empty() && before == after && self.sides.tenant.tx.is_empty();
            if idle && (relay.is_some() || self.tenant_wire.tx.is_empty()) {
                break;
            }
        }
        let tenant = tenant.unwrap_or_else(|| self.tenant.eof());
        let relay = relay.unwrap_or_else(|| self.relay.eof(&mut self.sides, spice_proto::link::Side::Hypervisor));
        (
            Ended {
                tenant,
                relay,
                hypervisor: self.hypervisor.ended.clone(),
            },
            self,
        )
    }
}
