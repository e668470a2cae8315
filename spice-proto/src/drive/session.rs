//! The driver loop of a session's connections.

extern crate std;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::future::{Future, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep_until};

use super::handler::ProxyHandler;
use super::link;
use super::manager::{Connection, ManagedClaim, SessionManager};
use super::port::{Moved, Port};
use crate::frame::RecordSplitter;
use crate::link::relay::Upstream;
use crate::link::server::{Announcement, ServerQuestion};
use crate::link::{Misuse, Refusal, Side, SideBuffers};
use crate::session::relay::{Action, End, NotEntered, SessionQuestion};
use crate::session::{Entry, Relay};

/// Room for one read, once the viewer was let in: a stranger that says a byte at a time keeps the room of a read.
const READ: usize = 32 << 10;

/// An answer on its way back.
enum Answer<H> {
    Announce(Result<Announcement, Refusal>),
    Token(Result<Entry<ManagedClaim>, Refusal>),
    Refuse(Refusal),
    Dial(Option<(H, Upstream)>),
    Bind(bool),
    Target(bool),
    Identity(bool),
}

type Pending<A> = Pin<Box<dyn Future<Output = (A, Answer<<A as ProxyHandler>::Hypervisor>)> + Send>>;

/// The handler, or the answer that is waited for.
enum Desk<A: ProxyHandler> {
    Free(A),
    Busy {
        pending: Pending<A>,
        /// It is waited for also when the answer is not needed any more.
        kept: bool,
    },
    Lost,
}

impl<A: ProxyHandler + 'static> Desk<A> {
    fn ask<F>(&mut self, find: impl FnOnce(A) -> F)
    where
        F: Future<Output = (A, Answer<A::Hypervisor>)> + Send + 'static,
    {
        *self = match core::mem::replace(self, Self::Lost) {
            Self::Free(answers) => Self::Busy {
                pending: Box::pin(find(answers)),
                kept: false,
            },
            // INVARIANT: a relay asks one question at a time.
            other => other,
        };
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Answer<A::Hypervisor>> {
        let Self::Busy { pending, .. } = self else {
            return Poll::Pending;
        };
        let (answers, answer) = ready!(pending.as_mut().poll(cx));
        *self = Self::Free(answers);
        Poll::Ready(answer)
    }

    /// What was asked last is not broken off: it may be about to take a use.
    fn keep(&mut self) {
        if let Self::Busy { kept, .. } = self {
            *kept = true;
        }
    }

    /// Waits for the answer to a question that cannot be broken off.
    async fn settle(&mut self) {
        if let Self::Busy { kept: true, .. } = self {
            poll_fn(|cx| self.poll(cx)).await;
        }
    }

    /// The handler, unless a question is open.
    fn close(self) -> Option<A> {
        match self {
            Self::Free(answers) => Some(answers),
            Self::Busy { .. } | Self::Lost => None,
        }
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
struct Driver<'a, A: ProxyHandler> {
    connection: &'a mut Connection,
    desk: &'a mut Desk<A>,
    sides: SideBuffers,
    sleep: Pin<&'a mut Sleep>,
}

/// Drives a connection from its first byte to its last, and closes both streams. Gives why it ended, and the
/// handler unless a question was open.
///
/// ```no_run
/// use std::sync::Arc;
/// use spice_proto::proxy::*;
/// use tokio::net::{TcpListener, TcpStream};
///
/// async fn serve<A>(listener: TcpListener, manager: Arc<SessionManager>, config: Arc<ProxyConfig>, handler: fn() -> A)
/// where
///     A: ProxyHandler<Hypervisor = TcpStream> + 'static,
/// {
///     while let Ok((viewer, from)) = listener.accept().await {
///         let connection = manager.accept(Peer::new(from.ip(), false), config.clone());
///         tokio::spawn(async move {
///             let (end, _) = drive_session(connection, viewer, handler()).await;
///             println!("{from}: {end}");
///         });
///     }
/// }
/// ```
///
/// The future can be dropped at any time: the connection is gone from its session then, and [`SessionManager::report`]
/// tells what became of its link.
pub fn drive_session<A, T>(mut connection: Connection, tenant: T, answers: A) -> impl Future<Output = (End, Option<A>)>
where
    A: ProxyHandler + 'static,
    T: AsyncRead + AsyncWrite + Send + Unpin,
{
    // What an `async fn` is given it keeps twice: where it was given, and where it is used.
    let mut desk = Desk::Free(answers);
    let mut tenant = Port::new(tenant, link::READ);
    async move {
        let hub = connection.hub.clone();
        let sleep = pin!(sleep_until(hub.clock.instant(Duration::MAX)));
        let mut driver = Driver {
            connection: &mut connection,
            desk: &mut desk,
            sides: SideBuffers::default(),
            sleep,
        };
        let mut hypervisor: Option<Port<A::Hypervisor>> = None;
        let end = driver.run(&hub, &mut tenant, &mut hypervisor).await;
        let mut sides = driver.sides;
        let failed = connection.relay.channel().is_some() && connection.relay.outcome().is_none();
        // What the session has to know does not wait for the last words.
        drop(connection);
        if failed {
            hub.handled().await;
        }
        let close_hypervisor = async {
            if let Some(hypervisor) = &mut hypervisor {
                hypervisor.close(&mut sides.hypervisor).await;
            }
        };
        let goodbye = async { tokio::join!(tenant.close(&mut sides.tenant), close_hypervisor) };
        tokio::select! {
            _ = goodbye => {}
            () = hub.drained(end) => {}
        }
        desk.settle().await;
        (end, desk.close())
    }
}

/// Enters a connection into its session.
fn enter(hub: &SessionManager, relay: &mut Relay, entry: Entry<ManagedClaim>) -> Result<(), NotEntered> {
    let entry = match entry {
        Entry::Join(key) => Some(Entry::Join(key)),
        Entry::Elsewhere => Some(Entry::Elsewhere),
        Entry::Open(claim) => claim.used().map(Entry::Open),
    };
    // INVARIANT: a claim is used once, since that takes it.
    let entry = entry.ok_or(Misuse::NotAsked)?;
    hub.with(|now, sessions| relay.enter(now, sessions, entry))
}

impl<A: ProxyHandler + 'static> Driver<'_, A> {
    async fn run<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        hub: &Arc<SessionManager>,
        tenant: &mut Port<T>,
        hypervisor: &mut Option<Port<A::Hypervisor>>,
    ) -> End {
        let mut linked = false;
        loop {
            let action = self.connection.relay.step(hub.clock.now(), &mut self.sides);
            let (read_tenant, read_hypervisor) = match action {
                Action::Synchronize => {
                    let (relay, sides) = (&mut self.connection.relay, &mut self.sides);
                    hub.with(|now, sessions| relay.synchronize(now, sessions, sides));
                    if let (Some(channel), Desk::Free(answers)) = (relay.channel(), &mut *self.desk)
                        && let Some(announced) = relay.take_learnt()
                    {
                        answers.learnt(channel, &announced);
                    }
                    if let (false, Some(outcome), Desk::Free(answers)) = (linked, relay.outcome(), &mut *self.desk) {
                        answers.linked(outcome);
                        linked = true;
                        tenant.room = READ;
                    }
                    if let (true, None, Some(outcome)) = (self.connection.records, &tenant.cutter, relay.outcome()) {
                        // What is there are the last words of the link stage.
                        tenant.cutter = Some(RecordSplitter::new(outcome.tenant_form, sides.tenant.tx.len()));
                    }
                    continue;
                }
                Action::Ask(question) => {
                    self.ask(hub, question);
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
                Turn::Eof(side) => self.connection.relay.eof(&mut self.sides, side),
                Turn::Wake if hub.has_stopped() => {
                    let (relay, sides) = (&mut self.connection.relay, &mut self.sides);
                    hub.with(|now, sessions| relay.stop(now, sessions, sides));
                }
                Turn::Wake => self.connection.relay.wake(),
                Turn::Answer(answer) => match *answer {
                    Answer::Dial(Some((stream, upstream))) => {
                        if self.connection.relay.dialled(&mut self.sides, upstream).is_ok() {
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
        let SideBuffers {
            tenant: near,
            hypervisor: far,
        } = &mut self.sides;
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

    fn ask(&mut self, hub: &SessionManager, question: SessionQuestion) {
        let refuse = |answers: A| async move { (answers, Answer::Refuse(Refusal::Close)) };
        match question {
            SessionQuestion::Tenant(ServerQuestion::Link(request)) => {
                let dials = hub.with(|_, sessions| sessions.inquiries(&request));
                self.desk.ask(|mut answers| async move {
                    let mut shown = answers.announce(&request).await;
                    if let Ok(shown) = &mut shown {
                        for dial in &dials {
                            if let Some(known) = answers.capabilities(dial).await {
                                shown.capabilities = shown.capabilities.kept_by(&known);
                            }
                        }
                    }
                    (answers, Answer::Announce(shown))
                });
            }
            SessionQuestion::Tenant(ServerQuestion::Ticket { request, sealed }) => {
                self.desk.ask(|mut answers| async move {
                    let entry = answers.token(&request, sealed).await;
                    (answers, Answer::Token(entry))
                });
                self.desk.keep();
            }
            // SASL is not announced, so no tenant gets here.
            SessionQuestion::Tenant(_) => self.desk.ask(refuse),
            SessionQuestion::Dial(dial) => self.desk.ask(|mut answers| async move {
                let dialled = answers.dial(dial).await;
                (answers, Answer::Dial(dialled))
            }),
            SessionQuestion::Elsewhere(request) => self.desk.ask(|mut answers| async move {
                let dialled = answers.elsewhere(&request).await;
                (answers, Answer::Dial(dialled))
            }),
            SessionQuestion::BindSession { session, id } => self.desk.ask(move |mut answers| async move {
                let bound = answers.bind(session, id).await;
                (answers, Answer::Bind(bound))
            }),
            SessionQuestion::Target(asked) => self.desk.ask(|mut answers| async move {
                let accepted = answers.target(&asked).await;
                (answers, Answer::Target(accepted))
            }),
            SessionQuestion::Identity(said) => self.desk.ask(|mut answers| async move {
                let is_right = answers.identity(&said).await;
                (answers, Answer::Identity(is_right))
            }),
        }
    }

    fn answer(&mut self, hub: &Arc<SessionManager>, answer: Answer<A::Hypervisor>) -> Result<(), Misuse> {
        let (relay, sides) = (&mut self.connection.relay, &mut self.sides);
        match answer {
            Answer::Announce(Ok(shown)) => relay.tenant()?.announce(&mut sides.tenant, shown),
            Answer::Token(Ok(entry)) => {
                if let Desk::Free(answers) = &mut *self.desk
                    && let Some(policy) = answers.policy()
                {
                    relay.restrict(policy);
                }
                match enter(hub, relay, entry) {
                    Ok(()) => Ok(()),
                    Err(NotEntered::Misuse(misuse)) => Err(misuse),
                    Err(NotEntered::Reason(reason)) => {
                        let channel = relay.channel().ok_or(Misuse::NotAsked)?;
                        let hub = hub.clone();
                        self.desk.ask(move |mut answers| async move {
                            hub.handled().await;
                            let told = answers.refused(channel, reason).await;
                            (answers, Answer::Refuse(told))
                        });
                        Ok(())
                    }
                }
            }
            Answer::Announce(Err(why)) | Answer::Token(Err(why)) | Answer::Refuse(why) => relay.refuse(sides, why),
            Answer::Dial(None) => relay.unreachable(),
            Answer::Dial(Some(_)) => Ok(()),
            Answer::Bind(true) => relay.bound(sides),
            Answer::Bind(false) => relay.not_bound(),
            Answer::Identity(true) => relay.accept_identity(),
            Answer::Identity(false) => relay.refuse_identity(),
            Answer::Target(accept) => hub.with(|now, sessions| match accept {
                true => relay.accept_target(now, sessions, sides),
                false => relay.refuse_target(now, sessions, sides),
            }),
        }
    }
}
