//! The driver loop of a console.

extern crate std;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{Error, ErrorKind};
use std::sync::{Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep_until, timeout};

use super::Clock;
use super::handler::{NotDialled, ProxyHandler};
use super::port::{Moved, Port};
use super::wire::{Certificates, Wire};
use crate::handshake::bridge::{BridgeQuestion, Upstream};
use crate::handshake::{Bridge, Misuse, Refusal, Side, SideBuffers};
#[cfg(feature = "rsa-aes")]
use crate::security::{Seed, rsa_aes::Key};
use crate::session::Relay;
use crate::session::relay::{Action, Config, Counts, End, Move, SessionQuestion};

/// A side is read up to here while TLS begins on the other one, to see when it goes.
const AHEAD: usize = 16 << 10;
/// For the last words on a connection that we end.
const GOODBYE: Duration = Duration::from_secs(1);
/// For what one side still has to get when the other has hung up.
const LINGER: Duration = Duration::from_secs(30);

/// A tenant's connection that is to be driven.
#[derive(Debug)]
pub struct Connection {
    relay: Relay,
    clock: Clock,
    certificates: Certificates,
    moves: Arc<Moves>,
}

#[derive(Debug, Default)]
struct Moves {
    what: Mutex<Option<Move>>,
    wake: Notify,
}

impl Moves {
    fn take(&self) -> Option<Move> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Tells a connection that is being driven that its guest has moved.
#[derive(Debug, Clone)]
pub struct Mover(Arc<Moves>);

impl Mover {
    /// As [`Relay::moved`]. It does not matter whether the connection is still there.
    pub fn moved(&self, what: Move) {
        *self.0.what.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
        self.0.wake.notify_one();
    }
}

impl Connection {
    /// For a tenant that has just come. The time of its handshake begins.
    #[must_use]
    pub fn new(config: impl Into<Arc<Config>>) -> Self {
        let clock = Clock::start();
        Self {
            relay: Relay::new(clock.now(), config.into()),
            clock,
            certificates: Certificates::default(),
            moves: Arc::default(),
        }
    }

    /// TLS with the tenant, for the X509 subtypes that it is offered.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn with_tenant_tls(mut self, tls: crate::tls::ServerTls) -> Self {
        self.certificates.tenants = Some(tls);
        self
    }

    /// TLS with the hypervisor, for the X509 subtypes. Its name is that of [`Upstream::server_name`]; without one only
    /// the authority counts.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn with_hypervisor_tls(mut self, tls: crate::tls::ClientTls) -> Self {
        self.certificates.hypervisors = Some(tls);
        self
    }

    /// To tell it that its guest has moved.
    #[must_use]
    pub fn mover(&self) -> Mover {
        Mover(self.moves.clone())
    }

    /// What has passed; can be read while it is driven.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.relay.counts().clone()
    }
}

/// An answer on its way back.
enum Answer<H> {
    Admit(Result<(), Refusal>),
    Dial(Result<(H, Upstream), NotDialled>),
}

type Pending<A> = Pin<Box<dyn Future<Output = (A, Answer<<A as ProxyHandler>::Hypervisor>)> + Send>>;

/// The handler, or the answer that is waited for.
enum Desk<A: ProxyHandler> {
    Free(A),
    Busy(Pending<A>),
    Lost,
}

impl<A: ProxyHandler + 'static> Desk<A> {
    fn ask<F>(&mut self, find: impl FnOnce(A) -> F)
    where
        F: Future<Output = (A, Answer<A::Hypervisor>)> + Send + 'static,
    {
        *self = match core::mem::replace(self, Self::Lost) {
            Self::Free(answers) => Self::Busy(Box::pin(find(answers))),
            // INVARIANT: a relay asks one question at a time.
            other => other,
        };
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer<A::Hypervisor>> {
        let Self::Busy(pending) = self else {
            return Poll::Pending;
        };
        let (answers, answer) = ready!(pending.as_mut().poll(cx));
        *self = Self::Free(answers);
        Poll::Ready(answer)
    }

    fn free(&mut self) -> Option<&mut A> {
        match self {
            Self::Free(answers) => Some(answers),
            Self::Busy(_) | Self::Lost => None,
        }
    }
}

/// What a turn of the loop came to.
enum Turn<H> {
    /// Bytes were moved, or time has passed.
    Step,
    Eof(Side),
    Move,
    Answer(Box<Answer<H>>),
    /// TLS stands.
    Secured,
    /// TLS failed.
    NotSecured(Side, Error),
}

/// What is waited for on the two streams.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    tenant: bool,
    hypervisor: bool,
    /// TLS begins on this side.
    securing: Option<Side>,
}

struct Driver<'a, A: ProxyHandler> {
    connection: &'a mut Connection,
    desk: &'a mut Desk<A>,
    sides: SideBuffers,
    sleep: Pin<&'a mut Sleep>,
    /// The handler knows that both sides are in.
    told: bool,
    /// The key that the tenant is shown, until it has answered.
    #[cfg(feature = "rsa-aes")]
    rsa_aes: Option<(Arc<Key>, Seed)>,
}

/// Drives a console from its first byte to its last, and closes both streams. Gives why it ended, and the handler unless a
/// question was open.
///
/// Both directions go on at the same time, and while a question is open both sides are looked at: when the tenant goes,
/// the question is dropped. The future can be dropped at any time.
pub fn drive_session<A, T>(mut connection: Connection, tenant: T, answers: A) -> impl Future<Output = (End, Option<A>)>
where
    A: ProxyHandler + 'static,
    T: AsyncRead + AsyncWrite + Send + Unpin,
{
    // What an `async fn` is given it keeps twice: where it was given, and where it is used.
    let mut desk = Desk::Free(answers);
    let mut tenant = Port::new(Wire::Plain(tenant));
    async move {
        let sleep = pin!(sleep_until(connection.clock.instant(Duration::MAX)));
        let mut driver = Driver {
            connection: &mut connection,
            desk: &mut desk,
            sides: SideBuffers::default(),
            sleep,
            told: false,
            #[cfg(feature = "rsa-aes")]
            rsa_aes: None,
        };
        let mut hypervisor: Option<Port<Wire<A::Hypervisor>>> = None;
        let end = driver.run(&mut tenant, &mut hypervisor).await;
        let mut sides = driver.sides;
        // Also what TLS has taken, and not sent yet.
        let unsent = !tenant.is_sent(&sides.tenant)
            || hypervisor
                .as_ref()
                .is_some_and(|hypervisor| !hypervisor.is_sent(&sides.hypervisor));
        let patience = match end {
            End::Viewer | End::Hypervisor if unsent => LINGER,
            _ => GOODBYE,
        };
        let close_hypervisor = async {
            if let Some(hypervisor) = &mut hypervisor {
                hypervisor.close(&mut sides.hypervisor).await;
            }
        };
        let goodbye = async { tokio::join!(tenant.close(&mut sides.tenant), close_hypervisor) };
        // A peer that does not read in time misses it.
        let _ = timeout(patience, goodbye).await;
        match desk {
            Desk::Free(answers) => (end, Some(answers)),
            Desk::Busy(_) | Desk::Lost => (end, None),
        }
    }
}

impl<A: ProxyHandler + 'static> Driver<'_, A> {
    async fn run<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        tenant: &mut Port<Wire<T>>,
        hypervisor: &mut Option<Port<Wire<A::Hypervisor>>>,
    ) -> End {
        let clock = self.connection.clock;
        let mut securing = None;
        loop {
            let wanted = match securing {
                // The machine is stepped on when TLS stands.
                Some(side) => self.ahead(side),
                None => match self.step(clock) {
                    Action::Receive { tenant, hypervisor } => Wanted {
                        tenant,
                        hypervisor,
                        securing: None,
                    },
                    Action::StartTls { side, tls } => {
                        #[cfg(feature = "rustls")]
                        if let (Side::Hypervisor, Some(answers)) = (side, self.desk.free())
                            && let Some(own) = answers.hypervisor_tls()
                        {
                            self.connection.certificates.hypervisors = Some(own);
                        }
                        let (buffers, certificates) = (self.sides.side(side), &self.connection.certificates);
                        let started = match (side, &mut *hypervisor) {
                            (Side::Tenant, _) => tenant.stream.start_tls(&tls, certificates, buffers),
                            (Side::Hypervisor, Some(port)) => port.stream.start_tls(&tls, certificates, buffers),
                            (Side::Hypervisor, None) => Err(ErrorKind::NotConnected.into()),
                        };
                        match started {
                            Ok(()) => securing = Some(side),
                            Err(error) => self.not_secured(side, &error),
                        }
                        continue;
                    }
                    #[cfg(feature = "rsa-aes")]
                    Action::Ask(SessionQuestion::Tenant(BridgeQuestion::RsaAesLayer { side, keys })) => {
                        let buffers = self.sides.side(side);
                        let started = match (side, &mut *hypervisor) {
                            (Side::Tenant, _) => tenant.start_layer(keys, buffers),
                            (Side::Hypervisor, Some(port)) => port.start_layer(keys, buffers),
                            (Side::Hypervisor, None) => Err(ErrorKind::NotConnected.into()),
                        };
                        match started {
                            Ok(()) => self.answer_now(|bridge, _| bridge.layered()),
                            Err(error) => self.not_secured(side, &error),
                        }
                        continue;
                    }
                    Action::Ask(question) => {
                        self.ask(question);
                        continue;
                    }
                    Action::Hangup => {
                        *hypervisor = None;
                        continue;
                    }
                    Action::Done(end) => return end,
                },
            };
            if self.connection.relay.has_begun() {
                tenant.begins();
                if let Some(port) = hypervisor {
                    port.begins();
                }
            }
            let until = clock.instant(self.connection.relay.deadline());
            if until != self.sleep.deadline() {
                self.sleep.as_mut().reset(until);
            }
            match self.turn(tenant, hypervisor, wanted).await {
                // It has had its time.
                Turn::Step if securing.is_some() && self.sleep.is_elapsed() => {
                    if let Some(side) = securing.take() {
                        self.not_secured(side, &ErrorKind::TimedOut.into());
                    }
                }
                Turn::Step => {}
                Turn::Eof(side) => {
                    self.connection.relay.eof(&mut self.sides, side);
                    if side == Side::Tenant {
                        securing = None;
                    }
                }
                Turn::Move => {
                    if let Some(what) = self.connection.moves.take() {
                        self.connection.relay.moved(what);
                    }
                }
                Turn::Secured => securing = None,
                Turn::NotSecured(side, error) => {
                    securing = None;
                    self.not_secured(side, &error);
                }
                Turn::Answer(answer) => {
                    if let Some(stream) = self.answer(*answer, clock) {
                        *hypervisor = Some(Port::new(Wire::Plain(stream)));
                    }
                }
            }
        }
    }

    fn step(&mut self, clock: Clock) -> Action {
        let relay = &mut self.connection.relay;
        let action = relay.step(clock.now(), &mut self.sides);
        if let (false, Some(outcome), Some(answers)) = (self.told, relay.outcome(), self.desk.free()) {
            self.told = true;
            if !answers.authenticated(outcome) {
                relay.stop();
                return relay.step(clock.now(), &mut self.sides);
            }
        }
        action
    }

    /// What is read while TLS begins on this side: the other one, to see when it goes.
    fn ahead(&self, securing: Side) -> Wanted {
        let relay = &self.connection.relay;
        let reads = |side: Side, held: usize| securing != side && held < AHEAD && !relay.has_left(side);
        Wanted {
            tenant: reads(Side::Tenant, self.sides.tenant.rx.len()),
            hypervisor: reads(Side::Hypervisor, self.sides.hypervisor.rx.len()),
            securing: Some(securing),
        }
    }

    fn not_secured(&mut self, side: Side, error: &Error) {
        if let Some(answers) = self.desk.free() {
            answers.tls_failed(side, error);
        }
        self.connection.relay.eof(&mut self.sides, side);
    }

    /// Moves bytes, or waits for whatever comes first.
    async fn turn<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        tenant: &mut Port<Wire<T>>,
        hypervisor: &mut Option<Port<Wire<A::Hypervisor>>>,
        wanted: Wanted,
    ) -> Turn<A::Hypervisor> {
        let moves = self.connection.moves.clone();
        let mut wake = pin!(moves.wake.notified());
        let SideBuffers {
            tenant: near,
            hypervisor: far,
        } = &mut self.sides;
        let (desk, sleep) = (&mut self.desk, &mut self.sleep);
        poll_fn(|cx| {
            if wake.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Move);
            }
            if let Poll::Ready(answer) = desk.poll(cx) {
                return Poll::Ready(Turn::Answer(Box::new(answer)));
            }
            let mut moved = false;
            let polled = match wanted.securing {
                Some(side @ Side::Tenant) => secures(&mut tenant.stream, cx, side),
                Some(side @ Side::Hypervisor) => match hypervisor {
                    Some(port) => secures(&mut port.stream, cx, side),
                    None => Poll::Ready(Turn::Secured),
                },
                None => Poll::Pending,
            };
            if polled.is_ready() {
                return polled;
            }
            if wanted.securing != Some(Side::Tenant) {
                match tenant.poll(cx, near, wanted.tenant) {
                    Poll::Pending => {}
                    Poll::Ready(Moved::Bytes) => moved = true,
                    Poll::Ready(Moved::End) => return Poll::Ready(Turn::Eof(Side::Tenant)),
                }
            }
            let polled = match hypervisor {
                _ if wanted.securing == Some(Side::Hypervisor) => Poll::Pending,
                Some(hypervisor) => hypervisor.poll(cx, far, wanted.hypervisor),
                None if wanted.hypervisor && wanted.securing.is_none() => Poll::Ready(Moved::End),
                None => Poll::Pending,
            };
            match polled {
                Poll::Pending => {}
                Poll::Ready(Moved::Bytes) => moved = true,
                Poll::Ready(Moved::End) => return Poll::Ready(Turn::Eof(Side::Hypervisor)),
            }
            if moved || sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Step);
            }
            Poll::Pending
        })
        .await
    }

    fn ask(&mut self, question: SessionQuestion) {
        match question {
            SessionQuestion::Tenant(BridgeQuestion::Challenge) => {
                let Some(answers) = self.desk.free() else { return };
                let challenge = answers.challenge();
                self.answer_now(|bridge, sides| bridge.challenge(sides, challenge));
            }
            SessionQuestion::Tenant(BridgeQuestion::Admit(shown)) => self.desk.ask(|mut answers| async move {
                let admitted = answers.admit(shown).await;
                (answers, Answer::Admit(admitted))
            }),
            SessionQuestion::Dial(dial) => self.desk.ask(move |mut answers| async move {
                let dialled = answers.dial(dial).await;
                (answers, Answer::Dial(dialled))
            }),
            SessionQuestion::Name(name) => {
                let accepted = self.desk.free().is_some_and(|answers| answers.moved_to(&name));
                let relay = &mut self.connection.relay;
                // INVARIANT: it is the answer to what was asked.
                let _ = match accepted {
                    true => relay.accept_name(),
                    false => relay.refuse_name(),
                };
            }
            // INVARIANT: the relay asks for connections itself.
            SessionQuestion::Tenant(BridgeQuestion::Connect) => self.refuse(),
            SessionQuestion::Tenant(question) => self.ask_of_login(question),
        }
    }

    /// The questions of the log-ins that need a library, which the handler answers at once.
    fn ask_of_login(&mut self, question: BridgeQuestion) {
        #[allow(unused_variables, reason = "each log-in is behind a feature")]
        let Some(answers) = self.desk.free() else { return };
        match question {
            #[cfg(feature = "rsa-aes")]
            BridgeQuestion::RsaAes => match answers.rsa_aes() {
                Some((key, seed)) => {
                    self.answer_now(|bridge, sides| bridge.rsa_aes(sides, key.public(), &seed));
                    self.rsa_aes = Some((key, seed));
                }
                None => self.refuse(),
            },
            #[cfg(feature = "rsa-aes")]
            BridgeQuestion::RsaAesOpen { sealed, strength } => match self.rsa_aes.take() {
                Some((key, seed)) => {
                    let random = key.open(&sealed, strength, &seed);
                    self.answer_now(|bridge, sides| bridge.rsa_aes_open(sides, random.expose()));
                }
                None => self.refuse(),
            },
            #[cfg(feature = "ard")]
            BridgeQuestion::DiffieHellman => match answers.diffie_hellman() {
                Some(parameters) => self.answer_now(|bridge, sides| bridge.diffie_hellman(sides, &parameters)),
                None => self.refuse(),
            },
            #[cfg(feature = "ms-logon")]
            BridgeQuestion::MsLogonII => match answers.ms_logon_ii() {
                Some(parameters) => self.answer_now(|bridge, sides| bridge.ms_logon_ii(sides, &parameters)),
                None => self.refuse(),
            },
            #[cfg(feature = "ms-logon")]
            BridgeQuestion::MsLogonIII => match answers.ms_logon_iii() {
                Some(public) => self.answer_now(|bridge, sides| bridge.ms_logon_iii(sides, &public)),
                None => self.refuse(),
            },
            _ => self.refuse(),
        }
    }

    fn answer_now(&mut self, answer: impl FnOnce(&mut Bridge, &mut SideBuffers) -> Result<(), Misuse>) {
        // INVARIANT: it is the answer to what was asked. One that cannot be given, such as a value that is too long, is a
        // refusal.
        let answered = match self.connection.relay.bridge() {
            Ok(bridge) => answer(bridge, &mut self.sides),
            Err(misuse) => Err(misuse),
        };
        if answered.is_err() {
            self.refuse();
        }
    }

    fn refuse(&mut self) {
        let _ = self.connection.relay.refuse(&mut self.sides, Refusal::Close);
    }

    /// Gives the hypervisor's connection, if there is one now. An answer that is not wanted any more is dropped: its time
    /// was over.
    fn answer(&mut self, answer: Answer<A::Hypervisor>, clock: Clock) -> Option<A::Hypervisor> {
        let (relay, sides) = (&mut self.connection.relay, &mut self.sides);
        let answered: Result<Option<A::Hypervisor>, Misuse> = match answer {
            Answer::Admit(Ok(())) => relay.bridge().and_then(|bridge| bridge.admit(sides)).map(|()| None),
            Answer::Admit(Err(why)) | Answer::Dial(Err(NotDialled::Refused(why))) => {
                relay.refuse(sides, why).map(|()| None)
            }
            Answer::Dial(Err(NotDialled::Unreachable)) => relay.unreachable(sides).map(|()| None),
            Answer::Dial(Ok((stream, upstream))) => {
                if let Some(filter) = self.desk.free().and_then(ProxyHandler::filter) {
                    relay.restrict(filter);
                }
                relay.dialled(clock.now(), upstream).map(|()| Some(stream))
            }
        };
        answered.ok().flatten()
    }
}

/// Takes the handshake of TLS on.
fn secures<S, H>(stream: &mut Wire<S>, cx: &mut Context<'_>, side: Side) -> Poll<Turn<H>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.poll_handshake(cx).map(|secured| match secured {
        Ok(()) => Turn::Secured,
        Err(error) => Turn::NotSecured(side, error),
    })
}
