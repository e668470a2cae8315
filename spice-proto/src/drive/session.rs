//! The driver loop of a session's connections.

extern crate std;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Sleep, sleep, sleep_until, timeout};

use super::Clock;
use super::port::{Moved, Port};
use crate::frame::Cutter;
use crate::ids::ChannelType;
use crate::link::relay::{RelayOutcome, Upstream};
use crate::link::server::{Announcement, Question as TenantQuestion};
use crate::link::{LinkMess, Misuse, Refusal, SealedTicket, Side, Wires};
use crate::session::migration::Target;
use crate::session::relay::{Action, Config, Counts, Dial, End, NotEntered, Question};
use crate::session::tracker::{self, Link, Peer, Reason};
use crate::session::{Relay, Sessions, Token};

/// Room for one read.
const READ: usize = 32 << 10;
/// For the last words on a connection that we end.
const GOODBYE: Duration = Duration::from_secs(1);
/// For what one side still has to get when the other has hung up.
const LINGER: Duration = Duration::from_secs(30);

/// The sessions of a proxy, shared by the tasks that drive their connections.
#[derive(Debug)]
pub struct Hub {
    clock: Clock,
    shared: Mutex<Shared>,
    /// Something has changed for [`Hub::ended`].
    changed: Notify,
    /// [`Hub::stop`] was called.
    stopping: Notify,
}

#[derive(Debug)]
struct Shared {
    sessions: Sessions,
    wakers: HashMap<Link, Arc<Notify>>,
    stopped: bool,
}

impl Hub {
    /// No sessions yet. `hash_key`: random bytes.
    #[must_use]
    pub fn new(config: tracker::Config, hash_key: [u8; 16]) -> Self {
        Self {
            clock: Clock::start(),
            shared: Mutex::new(Shared {
                sessions: Sessions::new(config, hash_key),
                wakers: HashMap::new(),
                stopped: false,
            }),
            changed: Notify::new(),
            stopping: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // What a panic elsewhere left half done is one connection's.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the sessions, and wakes the connections that it concerns.
    pub fn with<T>(&self, act: impl FnOnce(Duration, &mut Sessions) -> T) -> T {
        let mut shared = self.lock();
        let before = shared.sessions.deadline();
        let done = act(self.clock.now(), &mut shared.sessions);
        while let Some(link) = shared.sessions.poll_wake() {
            if let Some(waker) = shared.wakers.get(&link) {
                waker.notify_one();
            }
        }
        if before != shared.sessions.deadline() || shared.sessions.has_ended() {
            self.changed.notify_one();
        }
        done
    }

    /// A tenant's connection has come. It counts as half open until it shows a good token.
    ///
    /// # Errors
    /// There are too many: close it.
    pub fn accept(self: &Arc<Self>, peer: Peer, config: Arc<Config>) -> Result<Connection, Reason> {
        let wake = Arc::new(Notify::new());
        let relay = self.with(|now, sessions| Relay::new(now, sessions, peer, config))?;
        let mut shared = self.lock();
        shared.wakers.insert(relay.link(), wake.clone());
        if shared.stopped {
            wake.notify_one();
        }
        drop(shared);
        Ok(Connection {
            hub: self.clone(),
            relay,
            wake,
            records: peer.secure,
        })
    }

    /// The next session that is over: its token can be given back or closed. To be awaited in a loop by one task,
    /// which also ends what is overdue. The session is forgotten, so that its token must be good for nothing any more.
    pub async fn ended(&self) -> Token {
        loop {
            let (ended, deadline) = self.with(|now, sessions| {
                sessions.expire(now);
                let ended = sessions.poll_ended();
                if let Some(token) = ended {
                    sessions.forget(token);
                }
                (ended, sessions.deadline())
            });
            if let Some(token) = ended {
                return token;
            }
            let until = self.clock.instant(deadline.unwrap_or(Duration::MAX));
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Ends all sessions and all connections that are half open. Those that come later end at once.
    pub fn stop(&self) {
        self.with(|_, sessions| sessions.end_all());
        let mut shared = self.lock();
        shared.stopped = true;
        for waker in shared.wakers.values() {
            waker.notify_one();
        }
        self.stopping.notify_waiters();
    }

    /// The time for a connection's last words is over.
    async fn parted(&self, end: End) {
        let stopping = self.stopping.notified();
        if matches!(end, End::Viewer | End::Hypervisor) && !self.has_stopped() {
            let _ = timeout(LINGER, stopping).await;
        }
        sleep(GOODBYE).await;
    }

    fn has_stopped(&self) -> bool {
        self.lock().stopped
    }
}

/// A tenant's connection in a [`Hub`]; dropped, it is gone from its session.
#[derive(Debug)]
pub struct Connection {
    hub: Arc<Hub>,
    relay: Relay,
    wake: Arc<Notify>,
    /// The tenant's stream is TLS: each message is written on its own, see [`Cutter`].
    records: bool,
}

impl Connection {
    /// What has passed on it; can be read while it is driven.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.relay.counts().clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Self { hub, relay, .. } = self;
        hub.with(|now, sessions| relay.close(now, sessions));
        hub.lock().wakers.remove(&relay.link());
    }
}

/// What the author of a proxy knows: the answers for one connection.
///
/// None has to be quick: the connection's other direction, and all other connections, go on meanwhile. What comes after
/// [`Limits::link_timeout`](crate::Limits::link_timeout) is too late for a link.
pub trait Answers: Send {
    /// A connection to a hypervisor.
    type Hypervisor: AsyncRead + AsyncWrite + Send + Unpin;

    /// A tenant asks for a channel: the key and the capabilities that it is shown. Whether it may have the channel depends
    /// on its token, which comes next.
    fn announce(&mut self, request: &LinkMess) -> impl Future<Output = Result<Announcement, Refusal>> + Send;

    /// The tenant's ticket, sealed with that key: the session that it opens or belongs to.
    fn token(
        &mut self,
        request: &LinkMess,
        sealed: SealedTicket,
    ) -> impl Future<Output = Result<Token, Refusal>> + Send;

    /// The token is good, and the connection may not join its session all the same: what the tenant is told.
    fn refused(&mut self, channel: ChannelType, reason: Reason) -> impl Future<Output = Refusal> + Send {
        async move { reason.told(channel) }
    }

    /// A connection to the hypervisor, and its ticket. `None`: there is none.
    fn dial(&mut self, dial: Dial) -> impl Future<Output = Option<(Self::Hypervisor, Upstream)>> + Send;

    /// The link stands on both sides.
    fn linked(&mut self, outcome: &RelayOutcome) {
        let _ = outcome;
    }

    /// The hypervisor has named the session. `false`: that cannot be recorded, and the session ends.
    fn bind(&mut self, session_id: u32) -> impl Future<Output = bool> + Send;

    /// The session shall move there. `false`: it must not.
    fn target(&mut self, target: &Target) -> impl Future<Output = bool> + Send;
}

/// An answer on its way back.
enum Answer<H> {
    Announce(Result<Announcement, Refusal>),
    Token(Result<Token, Refusal>),
    Refuse(Refusal),
    Dial(Option<(H, Upstream)>),
    Bind(bool),
    Target(bool),
}

type Pending<A> = Pin<Box<dyn Future<Output = (A, Answer<<A as Answers>::Hypervisor>)> + Send>>;

/// Who answers, or the answer that is waited for.
enum Desk<A: Answers> {
    Free(A),
    Busy(Pending<A>),
    Lost,
}

impl<A: Answers + 'static> Desk<A> {
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
}

/// What a turn of the loop came to.
enum Turn<H> {
    /// Bytes were moved, or time has passed.
    Step,
    Eof(Side),
    Wake,
    Answer(Box<Answer<H>>),
}

/// What is waited for beside the two streams.
struct Driver<'a, A: Answers> {
    connection: &'a mut Connection,
    desk: Desk<A>,
    wires: Wires,
    sleep: Pin<&'a mut Sleep>,
}

/// Drives a connection from its first byte to its last, and closes both streams. Gives why it ended, and who answered
/// unless a question was open.
pub async fn drive_session<A, T>(mut connection: Connection, tenant: T, answers: A) -> (End, Option<A>)
where
    A: Answers + 'static,
    T: AsyncRead + AsyncWrite + Send + Unpin,
{
    let hub = connection.hub.clone();
    let sleep = pin!(sleep_until(hub.clock.instant(Duration::MAX)));
    let mut driver = Driver {
        connection: &mut connection,
        desk: Desk::Free(answers),
        wires: Wires::default(),
        sleep,
    };
    let mut tenant = Port::new(tenant, READ);
    let mut hypervisor: Option<Port<A::Hypervisor>> = None;
    let end = driver.run(&hub, &mut tenant, &mut hypervisor).await;
    let Driver { desk, mut wires, .. } = driver;
    // What the session has to know does not wait for the last words.
    drop(connection);
    let close_hypervisor = async {
        if let Some(hypervisor) = &mut hypervisor {
            hypervisor.close(&mut wires.hypervisor).await;
        }
    };
    let goodbye = async { tokio::join!(tenant.close(&mut wires.tenant), close_hypervisor) };
    tokio::select! {
        _ = goodbye => {}
        () = hub.parted(end) => {}
    }
    match desk {
        Desk::Free(answers) => (end, Some(answers)),
        Desk::Busy(_) | Desk::Lost => (end, None),
    }
}

impl<A: Answers + 'static> Driver<'_, A> {
    async fn run<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        hub: &Hub,
        tenant: &mut Port<T>,
        hypervisor: &mut Option<Port<A::Hypervisor>>,
    ) -> End {
        let mut linked = false;
        loop {
            let action = self.connection.relay.step(hub.clock.now(), &mut self.wires);
            let (read_tenant, read_hypervisor) = match action {
                Action::Consult => {
                    let (relay, wires) = (&mut self.connection.relay, &mut self.wires);
                    hub.with(|now, sessions| relay.consult(now, sessions, wires));
                    if let (false, Some(outcome), Desk::Free(answers)) = (linked, relay.outcome(), &mut self.desk) {
                        answers.linked(outcome);
                        linked = true;
                    }
                    if let (true, None, Some(outcome)) = (self.connection.records, &tenant.cutter, relay.outcome()) {
                        // What is there are the last words of the link stage.
                        tenant.cutter = Some(Cutter::new(outcome.tenant_form, wires.tenant.tx.len()));
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
                Action::Receive { tenant, hypervisor } => (tenant, hypervisor),
            };
            let until = hub.clock.instant(self.connection.relay.deadline());
            if until != self.sleep.deadline() {
                self.sleep.as_mut().reset(until);
            }
            match self.turn(tenant, hypervisor, read_tenant, read_hypervisor).await {
                Turn::Step => {}
                Turn::Eof(side) => self.connection.relay.eof(&mut self.wires, side),
                Turn::Wake if hub.has_stopped() => {
                    let (relay, wires) = (&mut self.connection.relay, &mut self.wires);
                    hub.with(|now, sessions| relay.stop(now, sessions, wires));
                }
                Turn::Wake => self.connection.relay.wake(),
                Turn::Answer(answer) => match *answer {
                    Answer::Dial(Some((stream, upstream))) => {
                        if self.connection.relay.dialled(&mut self.wires, upstream).is_ok() {
                            *hypervisor = Some(Port::new(stream, READ));
                        }
                    }
                    // One that is not wanted any more: its time was over.
                    answer => drop(self.answer(hub, answer)),
                },
            }
        }
    }

    /// Moves bytes, or waits for whatever comes first.
    async fn turn<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        tenant: &mut Port<T>,
        hypervisor: &mut Option<Port<A::Hypervisor>>,
        read_tenant: bool,
        read_hypervisor: bool,
    ) -> Turn<A::Hypervisor> {
        let mut wake = pin!(self.connection.wake.notified());
        let Wires {
            tenant: near,
            hypervisor: far,
        } = &mut self.wires;
        let (desk, sleep) = (&mut self.desk, &mut self.sleep);
        poll_fn(|cx| {
            if wake.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Wake);
            }
            if let Poll::Ready(answer) = desk.poll(cx) {
                return Poll::Ready(Turn::Answer(Box::new(answer)));
            }
            let mut moved = false;
            match tenant.poll(cx, near, read_tenant) {
                Poll::Pending => {}
                Poll::Ready(Moved::Bytes) => moved = true,
                // A reset is the end as well.
                Poll::Ready(Moved::End | Moved::Failed(_)) => return Poll::Ready(Turn::Eof(Side::Tenant)),
            }
            let polled = match hypervisor {
                Some(hypervisor) => hypervisor.poll(cx, far, read_hypervisor),
                None if read_hypervisor => Poll::Ready(Moved::End),
                None => Poll::Pending,
            };
            match polled {
                Poll::Pending => {}
                Poll::Ready(Moved::Bytes) => moved = true,
                Poll::Ready(Moved::End | Moved::Failed(_)) => return Poll::Ready(Turn::Eof(Side::Hypervisor)),
            }
            if moved || sleep.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Turn::Step);
            }
            Poll::Pending
        })
        .await
    }

    fn ask(&mut self, question: Question) {
        let refuse = |answers: A| async move { (answers, Answer::Refuse(Refusal::Close)) };
        match question {
            Question::Tenant(TenantQuestion::Link(request)) => self.desk.ask(|mut answers| async move {
                let shown = answers.announce(&request).await;
                (answers, Answer::Announce(shown))
            }),
            Question::Tenant(TenantQuestion::Ticket { request, sealed }) => self.desk.ask(|mut answers| async move {
                let token = answers.token(&request, sealed).await;
                (answers, Answer::Token(token))
            }),
            // SASL is not announced, so nobody gets so far.
            Question::Tenant(_) => self.desk.ask(refuse),
            Question::Dial(dial) => self.desk.ask(|mut answers| async move {
                let dialled = answers.dial(dial).await;
                (answers, Answer::Dial(dialled))
            }),
            Question::BindSession(id) => self.desk.ask(move |mut answers| async move {
                let bound = answers.bind(id).await;
                (answers, Answer::Bind(bound))
            }),
            Question::Target(target) => self.desk.ask(|mut answers| async move {
                let accepted = answers.target(&target).await;
                (answers, Answer::Target(accepted))
            }),
        }
    }

    fn answer(&mut self, hub: &Hub, answer: Answer<A::Hypervisor>) -> Result<(), Misuse> {
        let (relay, wires) = (&mut self.connection.relay, &mut self.wires);
        match answer {
            Answer::Announce(Ok(shown)) => relay.announce(wires, shown),
            Answer::Announce(Err(why)) => relay.reject(wires, why),
            Answer::Token(Ok(token)) => match hub.with(|now, sessions| relay.enter(now, sessions, token)) {
                Ok(()) => Ok(()),
                Err(NotEntered::Misuse(misuse)) => Err(misuse),
                Err(NotEntered::Reason(reason)) => {
                    let channel = relay.channel().ok_or(Misuse::NotAsked)?;
                    self.desk.ask(move |mut answers| async move {
                        let told = answers.refused(channel, reason).await;
                        (answers, Answer::Refuse(told))
                    });
                    Ok(())
                }
            },
            Answer::Token(Err(why)) | Answer::Refuse(why) => relay.refuse(wires, why),
            Answer::Dial(None) => relay.unreachable(),
            Answer::Dial(Some(_)) => Ok(()),
            Answer::Bind(true) => relay.bound(wires),
            Answer::Bind(false) => relay.not_bound(),
            Answer::Target(accept) => hub.with(|now, sessions| match accept {
                true => relay.accept_target(now, sessions, wires),
                false => relay.refuse_target(now, sessions, wires),
            }),
        }
    }
}
