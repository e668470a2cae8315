//! A client's side of a SASL mechanism, by rsasl: it does the mechanism, spice-proto carries it.

use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SASLConfig, SASLError, Session, SessionError};
use rsasl::property::{AuthId, Password};
use spice_proto::link::client::ClientQuestion;
use spice_proto::link::sasl::MechList;
use spice_proto::link::{Buffers, ClientLink, Misuse};

use crate::secret::Secret;

/// A mechanism that sends the password itself. Only inside of TLS.
const IN_CLEAR: &[u8] = b"PLAIN";

/// Why a log-in cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Nothing that the server offers can be used.
    #[error("the server offers no usable SASL mechanism, but {0}")]
    NoMechanism(String),
    /// The mechanism found something wrong: the server does not know the password, most likely.
    #[error("SASL: {0}")]
    Mechanism(#[from] SessionError),
    /// The mechanism cannot be set up.
    #[error("SASL: {0}")]
    Sasl(#[from] SASLError),
    /// The server called it complete before its part was proved.
    #[error("the server ended the SASL exchange early")]
    Early,
    /// Without TLS, SPICE wants the mechanism to encrypt, and these cannot.
    #[error("the server wants SASL to encrypt, which takes TLS here")]
    Layer,
    /// The link is elsewhere.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// One exchange.
pub struct Login {
    config: Arc<SASLConfig>,
    /// A mechanism that must be used.
    only: Option<String>,
    encrypted: bool,
    session: Option<Session>,
    finished: bool,
}

/// What the mechanisms ask for.
struct Credentials {
    user: String,
    password: Secret,
}

impl SessionCallback for Credentials {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request
            .satisfy::<AuthId>(&self.user)?
            .satisfy::<Password>(&self.password)?;
        Ok(())
    }
}

impl Login {
    /// For one link. `only`: this mechanism and no other; `encrypted`: the connection has TLS.
    ///
    /// # Errors
    /// rsasl does not take it.
    pub fn new(user: String, password: Secret, only: Option<String>, encrypted: bool) -> Result<Self, LoginError> {
        let credentials = Credentials { user, password };
        Ok(Self {
            config: SASLConfig::builder().with_defaults().with_callback(credentials)?,
            only,
            encrypted,
            session: None,
            finished: false,
        })
    }

    /// The name of the mechanism that was chosen.
    #[must_use]
    pub fn mechanism(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.get_mechname().as_str())
    }

    /// Answers what the link asks.
    ///
    /// # Errors
    /// The mechanism fails, here or at the server. The link is then to be given up.
    pub fn answer(
        &mut self,
        link: &mut ClientLink,
        buffers: &mut Buffers,
        question: ClientQuestion,
    ) -> Result<(), LoginError> {
        match question {
            ClientQuestion::SaslStart { mechanisms } => {
                let mut session = self.choose(&mechanisms)?;
                let mut first = Secret::default();
                let words = session.are_we_first();
                if words {
                    self.finished = session.step(None, &mut *first)?.is_finished();
                }
                let name = session.get_mechname().as_bytes();
                link.sasl_start(buffers, name, words.then_some(&first))?;
                self.session = Some(session);
            }
            ClientQuestion::SaslStep { data, complete } => {
                let session = self.session.as_mut().ok_or(Misuse::NotAsked)?;
                let mut words = Secret::default();
                if !self.finished {
                    let data = data.as_ref().map(spice_proto::link::Secret::expose);
                    self.finished = session.step(data, &mut *words)?.is_finished();
                }
                match (complete, self.finished) {
                    (true, true) => link.sasl_end(false)?,
                    (true, false) => return Err(LoginError::Early),
                    (false, _) => link.sasl_step(buffers, (!words.is_empty()).then_some(&words))?,
                }
            }
            ClientQuestion::SaslLayer => return Err(LoginError::Layer),
        }
        Ok(())
    }

    fn choose(&self, offered: &MechList) -> Result<Session, LoginError> {
        let usable = |name: &&[u8]| {
            let wanted = self.only.as_ref().is_none_or(|only| only.as_bytes() == *name);
            wanted && (self.encrypted || *name != IN_CLEAR)
        };
        let names = offered
            .names()
            .filter(usable)
            .filter_map(|name| Mechname::parse(name).ok());
        SASLClient::new(self.config.clone())
            .start_suggested_iter(names)
            .map_err(|_| LoginError::NoMechanism(offered.mechlist.escape_ascii().to_string()))
    }
}
