//! The author of the proxy, and the hypervisors that he connects to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::caps::{Capabilities, CapabilityWords};
use spice_proto::ids::ChannelType;
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, LinkMess, LinkReply, Refusal, SealedTicket, Secret, ServerLink, Transport};
use spice_proto::session::migration::Kind;
use spice_proto::session::relay::{Dial, GuestIdentity, Move};
use spice_proto::session::{Entry, Host, Policy, SessionKey};
use spice_proto::{Clock, Driven, Limits, ManagedClaim, ProxyHandler, SessionManager, drive, inquire};
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::{Arrived, LONG, Line, MAIN};
use crate::pair::{TICKET, TOKEN, key, open};

/// How a hypervisor answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Behaviour {
    Accepts,
    /// Without mini headers.
    Full,
    Refuses,
    /// It cannot be reached.
    Gone,
    /// It never answers the link message.
    Silent,
    /// It takes the channel with TLS only.
    Secured,
    /// It hangs up where its link reply is due.
    HangsUp,
    /// Its link reply says no.
    RefusesChannel,
    /// It announces nothing for its channels.
    Lacks,
    /// It announces this of all channels, and of this set for each what an older server has.
    Older(u32, Older),
    /// It reads the ticket, and then this.
    AfterTicket(After),
}

/// What a server announces that is older than the one whose capabilities are promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Older {
    /// No words at all.
    Nothing,
    /// A word of zeros.
    Zero,
    /// Some of what is promised, and a bit that is not.
    Some,
}

impl Older {
    fn announces(self, promised: &CapabilityWords) -> CapabilityWords {
        match self {
            Self::Nothing => CapabilityWords::new(),
            Self::Zero => CapabilityWords::word(0),
            Self::Some => {
                let every_other = promised.bits().step_by(2);
                every_other.fold(CapabilityWords::word(1 << 30), CapabilityWords::with)
            }
        }
    }
}

/// What a hypervisor does in the place of a result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum After {
    Nothing,
    HangsUp,
    /// A link reply that refuses, as spice-server answers what it does not take.
    Refuses,
    /// A link reply that accepts, which is no answer.
    Nonsense,
}

/// What the author of this proxy decides, and what it was asked.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) bind: Duration,
    pub(super) target: Duration,
    pub(super) accept: bool,
    /// What every tenant gets in the place of a key.
    pub(super) denies: Option<Refusal>,
    /// How the others than main behave on a host.
    pub(super) hosts: Vec<(Behaviour, Behaviour)>,
    pub(super) asked: Vec<String>,
    /// What may pass with this token, in place of what the listener lets.
    pub(super) policy: Option<Arc<Policy>>,
    /// The moves that were asked for.
    pub(super) moves: Vec<Move>,
    /// What is left of the token.
    pub(super) uses: u32,
    /// Its sessions, the last one at the end.
    pub(super) open: Vec<Open>,
    /// How long the look-up of a token takes.
    pub(super) look_up: Duration,
    /// How long connecting to a hypervisor takes.
    pub(super) dial: Duration,
    /// How long the store takes to give a use back.
    pub(super) store: Duration,
    /// Whether hypervisors are asked what they announce, and what they said.
    pub(super) inquires: bool,
    pub(super) known: HashMap<(Host, ChannelType), Capabilities>,
    /// Each inquiry that was made.
    pub(super) inquiries: Vec<(Host, ChannelType)>,
    /// The identity that is another guest's.
    pub(super) other: Option<GuestIdentity>,
    /// What was learnt of links.
    pub(super) learnt: Vec<(ChannelType, Capabilities)>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            bind: Duration::ZERO,
            target: Duration::ZERO,
            accept: true,
            denies: None,
            hosts: vec![(Behaviour::Accepts, Behaviour::Accepts); 4],
            asked: Vec::new(),
            policy: None,
            moves: Vec::new(),
            uses: u32::MAX,
            open: Vec::new(),
            look_up: Duration::ZERO,
            dial: Duration::ZERO,
            store: Duration::ZERO,
            inquires: false,
            known: HashMap::new(),
            inquiries: Vec::new(),
            other: None,
            learnt: Vec::new(),
        }
    }
}

/// A session, as the author knows it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) key: SessionKey,
    pub(super) id: Option<u32>,
    /// It was told to come again.
    pub(super) switches: bool,
}

impl Plan {
    /// How a hypervisor answers for a channel.
    fn behaviour(&self, dial: &Dial) -> Behaviour {
        let (main, others) = self.hosts[dial.host.0 as usize];
        match dial.request.channel_type {
            MAIN => main,
            _ => others,
        }
    }

    pub(super) fn open(&mut self, key: SessionKey) -> &mut Open {
        self.open.iter_mut().find(|open| open.key == key).unwrap()
    }

    /// The session that a connection belongs to, if it does not open one; the last one if it is wrong about it.
    fn joined(&mut self, request: &LinkMess) -> Option<SessionKey> {
        if (request.channel_type, request.connection_id) == (MAIN, 0) {
            let again = self.open.iter_mut().find(|open| open.switches)?;
            again.switches = false;
            return Some(again.key);
        }
        let bound = |open: &&Open| open.id == Some(request.connection_id);
        self.open.iter().find(bound).or(self.open.last()).map(|open| open.key)
    }
}

pub(super) struct Author {
    pub(super) hub: Arc<SessionManager>,
    pub(super) plan: Arc<Mutex<Plan>>,
    pub(super) dialled: mpsc::UnboundedSender<Arrived>,
}

impl Author {
    fn note(&self, what: impl Into<String>) {
        self.plan.lock().unwrap().asked.push(what.into());
    }
}

impl ProxyHandler for Author {
    type Hypervisor = DuplexStream;

    fn policy(&mut self) -> Option<Arc<Policy>> {
        self.plan.lock().unwrap().policy.clone()
    }

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        let denied = self.plan.lock().unwrap().denies;
        denied.map_or(Ok(()), Err)?;
        Ok(Announcement {
            public_key: key().public(),
            capabilities: Capabilities::spice_server(request.channel_type),
        })
    }

    async fn capabilities(&mut self, of: &Dial) -> Option<Capabilities> {
        let kind = (of.host, of.request.channel_type);
        let behaviour = {
            let mut plan = self.plan.lock().unwrap();
            if !plan.inquires || plan.known.contains_key(&kind) {
                return plan.known.get(&kind).cloned();
            }
            plan.inquiries.push(kind);
            plan.behaviour(of)
        };
        let (near, far) = duplex(1 << 10);
        tokio::spawn(serve(far, behaviour));
        let known = inquire(near, &of.request, &Limits::default()).await.ok()?;
        self.plan.lock().unwrap().known.insert(kind, known.clone());
        Some(known)
    }

    fn learnt(&mut self, channel: ChannelType, announced: &Capabilities) {
        self.plan.lock().unwrap().learnt.push((channel, announced.clone()));
    }

    async fn token(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        let good = open(&sealed).is_some_and(|token| token == TOKEN);
        let look_up = self.plan.lock().unwrap().look_up;
        sleep(look_up).await;
        let mut plan = self.plan.lock().unwrap();
        if let Some(key) = plan.joined(request).filter(|_| good) {
            return Ok(Entry::Join(key));
        }
        if !good || plan.uses == 0 || request.connection_id != 0 {
            return Err(Refusal::DENIED);
        }
        plan.uses -= 1;
        let claim = self.hub.claim();
        plan.open.push(Open {
            key: claim.key(),
            id: None,
            switches: false,
        });
        Ok(Entry::Open(claim))
    }

    async fn dial(&mut self, dial: Dial) -> Option<(DuplexStream, Upstream)> {
        assert_eq!(dial.target.is_some(), dial.host != Host(0));
        let delay = self.plan.lock().unwrap().dial;
        sleep(delay).await;
        let behaviour = self.plan.lock().unwrap().behaviour(&dial);
        let behaviour = match (behaviour, dial.transport) {
            (Behaviour::Gone, _) => return None,
            (Behaviour::Secured, Some(wanted)) => {
                self.note(format!("dial {wanted}"));
                assert_eq!(wanted, Transport::Tls);
                if !self.plan.lock().unwrap().accept {
                    return None;
                }
                Behaviour::Accepts
            }
            (behaviour, None) => behaviour,
            (behaviour, wanted) => panic!("{behaviour:?}: {wanted:?}"),
        };
        let (near, far) = duplex(1 << 20);
        let dialled = self.dialled.clone();
        let host = dial.host;
        tokio::spawn(async move {
            if behaviour == Behaviour::Silent {
                return sleep(LONG * 10).await;
            }
            if let Some((line, request)) = serve(far, behaviour).await {
                let _ = dialled.send(Arrived { host, request, line });
            }
        });
        let upstream = Upstream {
            ticket: Secret::new(TICKET),
            oaep_seed: [4; 20],
        };
        Some((near, upstream))
    }

    async fn bind(&mut self, session: SessionKey, session_id: u32) -> bool {
        self.note(format!("bind {session_id:#x}"));
        self.plan.lock().unwrap().open(session).id = Some(session_id);
        let delay = self.plan.lock().unwrap().bind;
        sleep(delay).await;
        self.note("bound");
        session_id != 0xbad
    }

    async fn identity(&mut self, said: &GuestIdentity) -> bool {
        self.note(format!("identity {said:?}"));
        self.plan.lock().unwrap().other.as_ref() != Some(said)
    }

    async fn target(&mut self, asked: &Move) -> bool {
        let kind = asked.target.kind;
        self.note(format!("target {kind:?}"));
        self.plan.lock().unwrap().moves.push(asked.clone());
        let (delay, accept) = {
            let plan = self.plan.lock().unwrap();
            (plan.target, plan.accept)
        };
        sleep(delay).await;
        self.note("accepted");
        if let (true, Kind::SwitchHost) = (accept, kind) {
            self.plan.lock().unwrap().open(asked.session).switches = true;
        }
        accept
    }
}

impl After {
    async fn happens(self, mut stream: DuplexStream) {
        let mut reply = BytesMut::new();
        let code = match self {
            Self::HangsUp => return,
            Self::Nothing => return sleep(LONG * 10).await,
            Self::Refuses => spice_proto::ids::LinkErrorCode::INVALID_DATA,
            Self::Nonsense => spice_proto::ids::LinkErrorCode::OK,
        };
        LinkReply::refusal(code).encode(&mut reply).unwrap();
        stream.write_all(&reply).await.unwrap();
    }
}

/// The hypervisor's half of a link.
pub(super) async fn serve(mut stream: DuplexStream, behaviour: Behaviour) -> Option<(Line, LinkMess)> {
    let clock = Clock::start();
    let (mut machine, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
    loop {
        match drive(&mut machine, &mut buffers, &mut stream, clock).await.ok()? {
            Driven::Ask(ServerQuestion::Link(_)) if behaviour == Behaviour::Secured => {
                let why = Refusal::Code(spice_proto::ids::LinkErrorCode::NEED_SECURED);
                machine.refuse(&mut buffers, why).unwrap();
            }
            Driven::Ask(ServerQuestion::Link(request)) => {
                let mut shown = Capabilities::spice_server(request.channel_type);
                match behaviour {
                    Behaviour::Full => shown.common = CapabilityWords::word(3),
                    Behaviour::Lacks => shown.channel = CapabilityWords::new(),
                    Behaviour::Older(common, older) => {
                        shown.common = CapabilityWords::word(common);
                        shown.channel = older.announces(&shown.channel);
                    }
                    Behaviour::HangsUp => return None,
                    Behaviour::RefusesChannel => {
                        let why = Refusal::Code(spice_proto::ids::LinkErrorCode::ERROR);
                        machine.refuse(&mut buffers, why).unwrap();
                        continue;
                    }
                    _ => {}
                }
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities: shown,
                };
                machine.announce(&mut buffers, shown).unwrap();
            }
            Driven::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                assert_eq!(open(&sealed).as_deref(), Some(TICKET));
                if let Behaviour::AfterTicket(after) = behaviour {
                    after.happens(stream).await;
                    return None;
                }
                if behaviour == Behaviour::Refuses {
                    let why = Refusal::Code(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED);
                    machine.refuse(&mut buffers, why).unwrap();
                } else {
                    machine.accept(&mut buffers).unwrap();
                }
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(outcome) => {
                let line = Line {
                    stream,
                    rx: buffers.rx,
                    form: outcome.header_form,
                };
                return Some((line, outcome.request));
            }
        }
    }
}
