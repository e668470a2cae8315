//! What belongs to a session rather than to one of its connections: its agent.
//!
//! A session that moves to another host goes on over another main channel, and the agents on both sides go on in what
//! they said before: capabilities are not announced again, and a message may begin on one connection and end on the next.
//! In a seamless move the target's main channel has no INIT either. What ties the two together is the number of the
//! session, which the target's link message names as that of the connection.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use examples::capture::Origin;

use crate::agent::Agent;

/// Sessions that are remembered. One is forgotten where so many younger ones are known.
const MOST: usize = 1024;

/// An agent, as one connection has heard it. The next connection of the session may look at it.
pub(crate) type Shared = Rc<RefCell<Agent>>;

/// Whose session it is. The number is drawn by the server, so two clients may have the same; a proxy that was recorded
/// on both of its sides has the same session twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    client: Option<IpAddr>,
    server: Option<SocketAddr>,
}

impl Ends {
    pub(crate) fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Tcp { client, server, .. } => Self {
                client: Some(client.ip()),
                server: Some(*server),
            },
            Origin::Pair { .. } => Self {
                client: None,
                server: None,
            },
        }
    }
}

struct Session {
    id: u32,
    ends: Ends,
    agent: Shared,
}

/// The sessions of a recording.
#[derive(Clone, Default)]
pub(crate) struct Sessions(Rc<RefCell<VecDeque<Session>>>);

impl Sessions {
    /// This session is on this connection, whose agent this is.
    pub(crate) fn is_on(&self, id: u32, ends: Ends, agent: &Shared) {
        let mut sessions = self.0.borrow_mut();
        sessions.retain(|session| !Rc::ptr_eq(&session.agent, agent) && (session.id, session.ends) != (id, ends));
        let agent = agent.clone();
        sessions.push_back(Session { id, ends, agent });
        if MOST < sessions.len() {
            sessions.pop_front();
        }
    }

    /// The agent of a session that a new main channel names. Where it may be one of several, the one on the same server,
    /// which is then a proxy, or else the oldest.
    pub(crate) fn agent(&self, id: u32, ends: Ends) -> Option<Shared> {
        let sessions = self.0.borrow();
        let mut of_client = sessions
            .iter()
            .filter(|session| session.id == id && session.ends.client == ends.client);
        let same = of_client.clone().find(|session| session.ends == ends);
        let found = same.or_else(|| of_client.next())?;
        Some(found.agent.clone())
    }

    /// The session has gone on elsewhere, with what this agent knew.
    pub(crate) fn has_left(&self, agent: &Shared) {
        let mut sessions = self.0.borrow_mut();
        sessions.retain(|session| !Rc::ptr_eq(&session.agent, agent));
    }
}
