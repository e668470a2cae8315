//! The caller's answers.

use alloc::sync::Arc;
use core::time::Duration;

use super::data::Data;
use super::linking::{Ask, Linking, Wanted};
use super::{Dial, End, Entry, NotEntered, Place, Relay, Sessions, Stage};
use crate::link::relay::Upstream;
use crate::link::{LinkMess, Misuse, Refusal, ServerLink, SideBuffers};
use crate::session::policy::Policy;
use crate::session::tracker::{Reason, Request};
#[cfg(doc)]
use {super::Config, super::Report, super::SessionQuestion, crate::link::RelayLink, crate::link::Side};

impl Relay {
    fn linking(&mut self) -> Result<&mut Linking, Misuse> {
        match &mut self.stage {
            Stage::Linking(linking) => Ok(linking),
            _ => Err(Misuse::NotAsked),
        }
    }

    fn data(&mut self) -> Result<&mut Data, Misuse> {
        match &mut self.stage {
            Stage::Data(data) => Ok(data),
            _ => Err(Misuse::NotAsked),
        }
    }

    /// The tenant's part of the link stage, to answer [`SessionQuestion::Tenant`] with its methods, on
    /// [`SideBuffers::tenant`]: what it is shown ([`ServerLink::announce`], [`ServerLink::announce_sasl`]), and all of
    /// SASL. Stepping is the relay's, and so is what lets the tenant
    /// in or refuses it: [`Relay::enter`] and [`Relay::refuse`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]: the link stage is over.
    pub fn tenant(&mut self) -> Result<&mut ServerLink, Misuse> {
        Ok(self.linking()?.link.tenant())
    }

    /// The tenant does not get the channel, or showed what opens no session, or may not join its session: as
    /// [`RelayLink::refuse`].
    ///
    /// # Errors
    /// [`Misuse::NotAsked`], or [`Misuse::RefusalSaysOk`].
    pub fn refuse(&mut self, sides: &mut SideBuffers, why: Refusal) -> Result<(), Misuse> {
        let linking = self.linking()?;
        if !linking.dial.is_none() {
            return Err(Misuse::NotAsked);
        }
        linking.link.refuse(sides, why)?;
        linking.request = None;
        Ok(())
    }

    /// The tenant showed a good token: it opens a session, or joins its own. [`SessionQuestion::Dial`] follows, and in
    /// the end [`Report::Link`] says what became of the hypervisor's ticket.
    ///
    /// # Errors
    /// [`NotEntered::Reason`]: it may not; say [`Refusal::DENIED`] with [`Relay::refuse`], as for a token that is not
    /// good. [`NotEntered::Misuse`]: it was not asked, or its time was over. A claim is given back with both:
    /// [`Report::Ended`] follows.
    pub fn enter(&mut self, now: Duration, sessions: &mut Sessions, entry: Entry) -> Result<(), NotEntered> {
        let request = match self.requested() {
            Ok(request) => request,
            Err(why) => {
                sessions.hand_back(entry);
                return Err(why);
            }
        };
        let Some(key) = entry.key() else {
            return self.hand_on(now, sessions, request);
        };
        if self.config.policy.withholds(Request::of(&request).channel) {
            sessions.hand_back(entry);
            return Err(Reason::NotAnnounced.into());
        }
        let asked = Request::of(&request);
        let (seat, admission) = sessions.admit(now, self.link, entry, asked, &self.config.endpoint)?;
        let target = sessions.with(key, |migration, _| migration.target(admission.host).cloned());
        self.place = Some(Place {
            key,
            channel: asked.channel,
            seat,
            host: admission.host,
            reported: false,
        });
        self.linking()?.dial = Ask::New(Wanted::Dial(Dial {
            session: key,
            request,
            host: admission.host,
            target: target.flatten(),
            transport: None,
        }));
        self.refresh(sessions);
        Ok(())
    }

    /// The tenant's session is another proxy's: it does not come into these sessions.
    fn hand_on(&mut self, now: Duration, sessions: &mut Sessions, request: LinkMess) -> Result<(), NotEntered> {
        // It has shown its token, and is half open no more.
        let in_time = sessions.tracker_mut().close(now, self.link).is_ok();
        if !in_time {
            return Err(Reason::Late.into());
        }
        let linking = self.linking()?;
        linking.dial = Ask::New(Wanted::Elsewhere(request));
        linking.elsewhere = true;
        self.elsewhere = true;
        Ok(())
    }

    /// What may pass on this connection, in place of [`Config::policy`](super::Config::policy): where that is known with
    /// the tenant's token only. To be called before [`Relay::enter`], and alike for all connections of a session.
    pub fn restrict(&mut self, policy: Arc<Policy>) {
        let mut config = super::Config::clone(&self.config);
        config.policy = policy;
        self.config = Arc::new(config);
    }

    /// What the tenant asks for, whose ticket is with the caller.
    fn requested(&mut self) -> Result<LinkMess, NotEntered> {
        let request = self.linking()?.request.take().ok_or(Misuse::NotAsked)?;
        self.channel = Some(request.channel_type);
        Ok(request)
    }

    /// Answers [`SessionQuestion::Dial`]: the connection to the hypervisor stands. From here on [`Side::Hypervisor`]
    /// is there.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`]: it is not wanted any more, close it.
    pub fn dialled(&mut self, sides: &mut SideBuffers, upstream: Upstream) -> Result<(), Misuse> {
        let linking = self.linking()?;
        linking.dial.answer()?;
        linking.link.admit(sides, upstream)
    }

    /// Answers [`SessionQuestion::Dial`]: there is no connection to the hypervisor.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn unreachable(&mut self) -> Result<(), Misuse> {
        let linking = self.linking()?;
        linking.dial.answer()?;
        linking.failed = Some(End::Unreachable);
        Ok(())
    }

    /// Answers [`SessionQuestion::BindSession`]: the id is recorded, and the viewer may learn it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn bound(&mut self, sides: &mut SideBuffers) -> Result<(), Misuse> {
        self.data()?.bound(sides)
    }

    /// Answers [`SessionQuestion::BindSession`]: the id cannot be recorded. The session ends.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn not_bound(&mut self) -> Result<(), Misuse> {
        self.data()?.not_bound()
    }

    /// Answers [`SessionQuestion::Target`]: that is a place of the session's guest, and it may move there. The viewer
    /// gets the address of the proxy: [`Config::endpoint`] of this connection.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn accept_target(
        &mut self,
        now: Duration,
        sessions: &mut Sessions,
        sides: &mut SideBuffers,
    ) -> Result<(), Misuse> {
        self.target(now, sessions, sides, true)
    }

    /// Answers [`SessionQuestion::Target`]: the session must not move there. The viewer gets the address of the proxy
    /// as well, is refused when it comes, and stays where it is; if the guest is gone already, the session ends.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse_target(
        &mut self,
        now: Duration,
        sessions: &mut Sessions,
        sides: &mut SideBuffers,
    ) -> Result<(), Misuse> {
        self.target(now, sessions, sides, false)
    }

    /// Answers [`SessionQuestion::Identity`]: that is the session's guest, and the viewer may learn it.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn accept_identity(&mut self) -> Result<(), Misuse> {
        self.data()?.answer_identity(true)
    }

    /// Answers [`SessionQuestion::Identity`]: that is another guest. The hypervisor is left, and its viewer gets nothing
    /// of what it said from then on. Before the viewer has said that it is connected to the target of a move, the
    /// session stays where it is; later, it ends.
    ///
    /// # Errors
    /// [`Misuse::NotAsked`].
    pub fn refuse_identity(&mut self) -> Result<(), Misuse> {
        self.data()?.answer_identity(false)?;
        self.woken = true;
        Ok(())
    }

    fn target(
        &mut self,
        now: Duration,
        sessions: &mut Sessions,
        sides: &mut SideBuffers,
        accept: bool,
    ) -> Result<(), Misuse> {
        let place = self.place.ok_or(Misuse::NotAsked)?;
        let endpoint = self.config.endpoint.clone();
        let data = self.data()?;
        data.answer_target()?;
        let told = sessions.with(place.key, |migration, tracker| {
            // The viewer comes back by the way that it came: sessions have connections on several listeners.
            migration.set_endpoint(endpoint);
            let told = if accept {
                migration.accept(now, tracker).map(Some)
            } else {
                migration.refuse(now, tracker)
            };
            let told = told.ok().flatten();
            data.told(told.as_ref(), migration.reads(tracker, place.seat), sides);
        });
        self.woken |= told.is_none();
        self.refresh(sessions);
        Ok(())
    }
}
