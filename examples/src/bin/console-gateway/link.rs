//! The link stage of one connection: who is it, and does the hypervisor take it.
//!
//! A tenant that is refused learns nothing but that: unknown, expired, spent, malformed and undecryptable
//! tokens, and channels that may not come, all get `PERMISSION_DENIED`, the same time after the ticket.

use std::time::Duration;

use console_token::Refusal as TokenRefusal;
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::relay::{RelayConfig, RelayError, RelayOutcome, Upstream};
use spice_proto::link::server::{Announcement, Question};
use spice_proto::link::{
    HandshakeError, Incompatibility, Key, LinkMess, Misuse, Refusal, RelayLink, SealedTicket, Secret, Side, Wires,
};
use spice_proto::{Clock, DriveError, Driven, drive_relay};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::Span;
use tracing::field::display;

use crate::gateway::{GOODBYE, Shared};
use crate::keys::{random, random_bytes};
use crate::rules::Rules;
use crate::sessions::{Refused, Seat};
use crate::target::DialError;
use crate::tls::Stream;
use crate::tokens::Flaw;

/// When a refusal is sent, counted from the ticket: later than any look-up takes, so that its time tells
/// nothing, and soon enough for a person.
const REFUSED_AFTER: Duration = Duration::from_millis(50);

/// A link that stands on both sides.
pub(crate) struct Linked {
    pub(crate) outcome: RelayOutcome,
    pub(crate) seat: Seat,
    pub(crate) tenant: Stream,
    pub(crate) hypervisor: Stream,
    /// What each side has sent beyond the link.
    pub(crate) wires: Wires,
}

/// Why there is no link. For our own log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error("{0}")]
    Refused(Refused),
    #[error("target not reached: {0}")]
    Dial(DialError),
    #[error("target: {0}")]
    Target(HandshakeError),
    #[error("{0}")]
    Tenant(HandshakeError),
    #[error("connection: {0}")]
    Io(std::io::Error),
    #[error("the gateway is going down")]
    Stopping,
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Brings one connection through the link stage. `tls`: the tenant's connection uses it.
pub(crate) async fn link(shared: &Shared, mut tenant: Stream, tls: bool) -> Result<Linked, LinkError> {
    let mut link = Link {
        shared,
        tls,
        relay: RelayLink::new(Duration::ZERO, RelayConfig::default()),
        wires: Wires::default(),
        key: None,
        refused: None,
        entered: None,
    };
    match link.drive(&mut tenant).await {
        Ok((outcome, Entered { seat, hypervisor })) => Ok(Linked {
            outcome,
            seat,
            tenant,
            hypervisor,
            wires: link.wires,
        }),
        Err(error) => {
            // So that what the tenant was told arrives before the end does.
            let _ = timeout(GOODBYE, tenant.shutdown()).await;
            Err(error)
        }
    }
}

/// A link in the making.
struct Link<'a> {
    shared: &'a Shared,
    tls: bool,
    relay: RelayLink,
    wires: Wires,
    /// The private half of the key that the tenant was shown.
    key: Option<Key>,
    refused: Option<Refused>,
    entered: Option<Entered>,
}

/// A tenant with a good token, and the connection to its hypervisor.
struct Entered {
    seat: Seat,
    hypervisor: Stream,
}

impl Link<'_> {
    async fn drive(&mut self, tenant: &mut Stream) -> Result<(RelayOutcome, Entered), LinkError> {
        let clock = Clock::start();
        loop {
            // Once our ticket is on its way, the hypervisor makes a channel of the connection, and QEMU does not
            // survive when a display channel ends before it has begun (see `guard`). So neither a tenant that
            // hangs up nor the gateway's own end breaks off the hypervisor's part; the data stage ends it properly.
            let begun = self.entered.is_some();
            let (relay, wires) = (&mut self.relay, &mut self.wires);
            let hypervisor = self.entered.as_mut().map(|entered| &mut entered.hypervisor);
            let driven = tokio::select! {
                biased;
                driven = drive_relay(relay, wires, tenant, hypervisor, clock) => driven,
                () = self.shared.stop.cancelled(), if !begun => return Err(LinkError::Stopping),
            };
            let question = match driven {
                Ok(Driven::Ask(question)) => question,
                Ok(Driven::Done(outcome)) => return self.done(outcome),
                Err(error) => return Err(self.failed(error)),
            };
            let until = clock.instant(self.relay.deadline());
            let stop = self.shared.stop.clone();
            let answered = tokio::select! {
                // An answer that comes too late is none: driving on then ends the link.
                answered = timeout_at(until, self.answer(question)) => answered.unwrap_or(Ok(())),
                () = stop.cancelled() => return Err(LinkError::Stopping),
            };
            answered?;
        }
    }

    async fn answer(&mut self, question: Question) -> Result<(), LinkError> {
        match question {
            Question::Link(request) => self.announce(&request).await,
            Question::Ticket { request, sealed } => self.decide(&request, sealed).await,
            // SASL is not announced, so nobody gets so far; driving on without an answer would end the link.
            Question::SaslStart { .. } | Question::SaslStep { .. } | Question::SaslLayer | Question::Admit { .. } => {
                Ok(())
            }
        }
    }

    /// A tenant asks for a channel. It is shown a key and capabilities whatever it asks for: whether it may
    /// have the channel depends on the token, which comes next.
    async fn announce(&mut self, request: &LinkMess) -> Result<(), LinkError> {
        let span = Span::current();
        span.record("channel", display(request.channel_type));
        span.record("number", request.channel_id);
        span.record("connection_id", request.connection_id);
        let key = self.shared.keys.take().await.ok_or(LinkError::Stopping)?;
        let shown = Announcement {
            public_key: key.public(),
            capabilities: self.shared.sessions.promise(request),
        };
        self.relay.announce(&mut self.wires, shown)?;
        self.key = Some(key);
        Ok(())
    }

    /// The tenant's ticket is there.
    async fn decide(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<(), LinkError> {
        let asked = Instant::now();
        let key = self.key.take().ok_or(Misuse::NotAsked)?;
        // Arithmetic at the wish of somebody who has shown nothing yet: not on the threads that move the
        // data of others.
        let opened = tokio::task::spawn_blocking(move || key.open(&sealed, &mut random));
        let opened = opened.await.map_err(|_| LinkError::Stopping)?;
        let sessions = &self.shared.sessions;
        let presented = sessions.tokens.presented(opened);
        if let Some(token) = presented.fingerprint() {
            Span::current().record("token", display(token));
        }
        let seat = match sessions.enter(&presented, request, self.tls) {
            Ok(seat) => seat,
            Err(refused) => {
                self.refused = Some(refused);
                sleep_until(asked + REFUSED_AFTER).await;
                let told = Refusal::Code(told(self.shared.rules, refused));
                return Ok(self.relay.refuse(&mut self.wires, told)?);
            }
        };
        let target = seat.session.target.clone();
        Span::current().record("target", target.name.as_str());
        // When this fails, or takes too long, the seat is dropped and the use given back.
        let hypervisor = target.dial().await.map_err(LinkError::Dial)?;
        let upstream = Upstream {
            ticket: Secret::new(target.ticket.expose()),
            oaep_seed: random_bytes(),
        };
        self.relay.admit(&mut self.wires, upstream)?;
        self.entered = Some(Entered { seat, hypervisor });
        Ok(())
    }

    fn done(&mut self, outcome: RelayOutcome) -> Result<(RelayOutcome, Entered), LinkError> {
        let entered = self.entered.take().ok_or(Misuse::NotAsked)?;
        entered.seat.linked();
        let kind = outcome.request.channel_type;
        entered.seat.session.target.learn(kind, &outcome.hypervisor);
        Ok((outcome, entered))
    }

    /// What went wrong, and what is learnt from it.
    fn failed(&mut self, error: DriveError<RelayError>) -> LinkError {
        let RelayError { side, error } = match error {
            DriveError::Protocol(error) => error,
            DriveError::Io(error) => return LinkError::Io(error),
            _ => return LinkError::Misuse(Misuse::Ended),
        };
        if let Some(refused) = self.refused {
            return LinkError::Refused(refused);
        }
        if side == Side::Tenant {
            return LinkError::Tenant(error);
        }
        if let HandshakeError::PeerIncompatible(Incompatibility::MissingCapability { set, bit }) = error
            && let Some(Entered { seat, .. }) = &self.entered
        {
            seat.session.target.lacks(seat.channel.0, set, bit);
        }
        LinkError::Target(error)
    }
}

/// What a refused tenant is told. `leak_reason` is off but for the demo.
fn told(rules: Rules, refused: Refused) -> LinkErrorCode {
    match refused {
        Refused::Token(Flaw::Token(TokenRefusal::Expired)) if rules.leak_reason => LinkErrorCode::ERROR,
        Refused::Token(Flaw::Token(TokenRefusal::Spent)) if rules.leak_reason => LinkErrorCode::INVALID_DATA,
        _ => LinkErrorCode::PERMISSION_DENIED,
    }
}
