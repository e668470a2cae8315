//! Serial ports: one user at a time, and bytes as they are.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use console_token::{AttemptId, LeaseRules, LeaseTransition, Refusal, Secret, StoreError, WhenFull};
use examples::websocket::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Opened, Refused, farewell, open, pass, shown};
use crate::front::Guestbook;
use crate::front::tls::Stream;
use crate::gateway::Gateway;
use crate::operate::book::{Entered, Why};
use crate::operate::traffic::Counted;

/// Seconds after which the seat of a gateway that has stopped is free.
const HUNG: u64 = 15;
/// How often a gateway says that the seat is taken.
const KEEP: Duration = Duration::from_secs(3);
/// For the store to learn that a seat is given up.
const GIVE_UP: Duration = Duration::from_secs(1);

/// A seat at a serial port, given up with this.
pub(crate) struct Seat {
    gateway: Arc<Gateway>,
    /// In the store. `None`: it is given up.
    name: Option<String>,
    holder: AttemptId,
}

fn rules(force: bool) -> LeaseRules {
    LeaseRules {
        leases: NonZeroU16::MIN,
        when_full: if force { WhenFull::Kick } else { WhenFull::Refuse },
        idle: None,
        hung: Some(HUNG),
    }
}

impl Seat {
    /// Takes the seat; with `force` it is taken from the viewer that has it.
    pub(crate) async fn take(gateway: &Arc<Gateway>, opened: &Opened) -> Result<Self, Refused> {
        let number = opened.found.context.number;
        let name = format!("serial/{}/{number}", opened.found.guest.id);
        let holder = opened.held.attempt();
        let (now, rules) = (gateway.clock.now(), rules(opened.found.context.force));
        let taken = gateway
            .store
            .leases(&name, now, &rules, LeaseTransition::Take(holder))
            .await;
        match taken {
            Ok(_) => Ok(Self {
                gateway: gateway.clone(),
                name: Some(name),
                holder,
            }),
            Err(StoreError::Refused(Refusal::Busy)) => Err(Refused::Taken),
            Err(error) => Err(Refused::Token(error.to_string())),
        }
    }

    /// Keeps the seat. Comes back when it was taken away.
    pub(crate) async fn keep(&self) {
        let Some(name) = &self.name else { return };
        loop {
            tokio::time::sleep(KEEP).await;
            let keep = LeaseTransition::Keep {
                holder: self.holder,
                active: true,
            };
            let now = self.gateway.clock.now();
            match self.gateway.store.leases(name, now, &rules(false), keep).await {
                Err(StoreError::Refused(_)) => return,
                Err(error) => warn!(%error, "the seat is not kept"),
                Ok(_) => {}
            }
        }
    }
}

impl Seat {
    /// Gives it up, and waits for a while until the store knows: a viewer that comes again at once finds it free.
    async fn leave(mut self) {
        if let Some(told) = self.give_up() {
            let _ = timeout(GIVE_UP, told).await;
        }
    }

    /// Once.
    fn give_up(&mut self) -> Option<JoinHandle<()>> {
        let (gateway, name, holder) = (self.gateway.clone(), self.name.take()?, self.holder);
        let tasks = gateway.tasks.clone();
        Some(tasks.spawn(async move {
            let (rules, leave) = (rules(false), LeaseTransition::Leave(holder));
            let left = gateway.store.leases(&name, gateway.clock.now(), &rules, leave);
            if let Err(error) = left.await {
                warn!(%error, "the seat is not given up");
            }
        }))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        drop(self.give_up());
    }
}

/// A serial console that is open.
pub(crate) struct Serial {
    opened: Opened,
    session: Entered,
    seat: Seat,
    port: Stream,
}

impl Serial {
    /// All that can be refused, before the viewer is let in.
    pub(crate) async fn open(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Result<Self, Refused> {
        let opened = open(gateway, guest, token).await?;
        Self::of(gateway, guest, opened).await
    }

    pub(crate) async fn of(gateway: &Arc<Gateway>, guest: &Guestbook, opened: Opened) -> Result<Self, Refused> {
        let seat = Seat::take(gateway, &opened).await?;
        if opened.found.context.force {
            displace(gateway, &opened).await;
        }
        let port = opened.at.dial(None).await?;
        let session = opened.let_in(gateway, guest).await?;
        Ok(Self {
            opened,
            session,
            seat,
            port,
        })
    }

    /// Serves the viewer to the end.
    pub(crate) async fn serve<S>(mut self, viewer: S, close: &CloseReason)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let session = self.session.clone();
        info!("serial console opened");
        let read_only = self.opened.found.rules().view_only;
        let mut viewer = Counted::new(ReadOnly::new(viewer, read_only), session.traffic.clone());
        let why = self.until_the_end(&mut viewer, &session).await;
        // The port first: many take one client at a time.
        drop(self.port);
        self.seat.leave().await;
        farewell(&mut viewer, close, why).await;
        let (to_guest, from_guest) = session.traffic.bytes();
        info!(to_guest, from_guest, why = why.map(Why::text), "serial console closed");
        if why.is_some_and(Why::is_final) {
            self.opened.held.finish();
        }
    }

    async fn until_the_end<S>(&mut self, viewer: &mut S, session: &Entered) -> Option<Why>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        tokio::select! {
            why = pass(viewer, &mut self.port, session, &self.opened.held) => why,
            () = self.seat.keep() => Some(Why::Displaced),
            () = self.opened.moves.moved() => Some(Why::Moved),
        }
    }
}

/// Ends the sessions of a port that another user has taken.
async fn displace(gateway: &Arc<Gateway>, opened: &Opened) {
    let order = crate::operate::book::Order::EndConsole {
        guest: opened.found.guest.id.clone(),
        protocol: opened.protocol().to_string(),
        number: Some(opened.found.context.number),
        why: Why::Displaced,
    };
    gateway.book.order(&order).await;
    info!(place = shown(&opened.at), "the user before is displaced");
}

/// A viewer that only looks: what it sends is read and left.
pub(crate) struct ReadOnly<S> {
    stream: S,
    is_on: bool,
}

impl<S> ReadOnly<S> {
    pub(crate) const fn new(stream: S, is_on: bool) -> Self {
        Self { stream, is_on }
    }
}

mod read_only {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::ReadOnly;

    impl<S: AsyncRead + Unpin> AsyncRead for ReadOnly<S> {
        fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            loop {
                let before = buffer.filled().len();
                ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
                if !self.is_on || buffer.filled().len() == before {
                    return Poll::Ready(Ok(()));
                }
                buffer.set_filled(before);
            }
        }
    }

    impl<S: AsyncWrite + Unpin> AsyncWrite for ReadOnly<S> {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }
}
