//! A machine with a caller that knows all answers.

use core::time::Duration;

use bytes::Bytes;
use rfb_proto::ServerInit;
use rfb_proto::handshake::client::{self, ClientOutcome};
use rfb_proto::handshake::server::{self, ClientCredentials, ServerOutcome};
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, ClientHandshake, Event, HandshakeError, Machine, Misuse, Refusal, ServerConfig,
    ServerHandshake, Tls,
};
use rfb_proto::security::vnc::Password;

#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
use crate::logins::{self, PlayerLayer};

pub(crate) const NOW: Duration = Duration::ZERO;

/// What the caller knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub(crate) user: Vec<u8>,
    /// `None`: a client shows no password, and a server lets no client in that has to show one.
    pub(crate) password: Option<Vec<u8>>,
    /// The server's.
    pub(crate) challenge: [u8; 16],
    /// The server's; a handshake waits for it if there is none.
    pub(crate) server_init: Option<ServerInit>,
    /// A client's response that no password gives.
    pub(crate) response: Option<[u8; 16]>,
    /// Mechanisms other than PLAIN: what this side says, step by step, and whether a layer is agreed on.
    pub(crate) sasl: Option<Sasl>,
    /// Judges the client instead of the password.
    pub(crate) verdict: Option<bool>,
    /// What is said to clients that are not let in.
    pub(crate) refusal: Refusal,
}

#[derive(Debug, Clone)]
pub(crate) struct Sasl {
    pub(crate) mechanism: Vec<u8>,
    pub(crate) says: Vec<Option<Vec<u8>>>,
    pub(crate) layer: bool,
    /// The server closes when it has said all that.
    pub(crate) refused: bool,
}

/// A machine of either role.
#[derive(Debug)]
pub(crate) enum Role {
    Client(Box<ClientHandshake>),
    Server(Box<ServerHandshake>),
}

/// How a machine begins.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    Client(ClientConfig),
    Server(ServerConfig),
}

impl Start {
    /// The machine, with a caller that knows these answers.
    pub(crate) fn player(&self, answers: &Answers) -> Player {
        let role = match self.clone() {
            Self::Client(config) => Role::Client(Box::new(ClientHandshake::new(NOW, config))),
            Self::Server(config) => Role::Server(Box::new(ServerHandshake::new(NOW, config))),
        };
        Player::new(role, answers.clone())
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Client(ClientOutcome),
    Server(ServerOutcome),
}

/// What a machine has come to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Now {
    /// So many bytes are needed.
    Needs(usize),
    /// TLS is to begin.
    Tls(Tls),
    /// A question that the caller has no answer to.
    Unanswered(&'static str),
    Done(Outcome),
    Failed(HandshakeError),
}

#[derive(Debug)]
pub(crate) struct Player {
    pub(crate) role: Role,
    pub(crate) buffers: Buffers,
    answers: Answers,
    pub(crate) now: Now,
    /// All that was sent.
    pub(crate) sent: Vec<u8>,
    pub(crate) events: Vec<Event>,
    sasl_step: usize,
    /// Whether the layer of a mechanism has begun, behind which nothing can be read here.
    pub(crate) layered: bool,
    /// That of RSA-AES. What is fed and sent is then inside of it.
    #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
    layer: Option<PlayerLayer>,
}

/// More steps than any handshake takes.
const STEPS: usize = 64;

impl Player {
    pub(crate) fn new(role: Role, answers: Answers) -> Self {
        let mut player = Self {
            role,
            buffers: Buffers::default(),
            answers,
            now: Now::Needs(0),
            sent: Vec::new(),
            events: Vec::new(),
            sasl_step: 0,
            layered: false,
            #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
            layer: None,
        };
        player.run();
        player
    }

    /// Gives the machine bytes. What comes when it has ended, or waits for something else, stays in `rx`.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.receive(bytes);
        if let Now::Needs(_) = self.now {
            self.run();
        }
    }

    #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
    fn receive(&mut self, bytes: &[u8]) {
        match &mut self.layer {
            Some(layer) => {
                if let Err(error) = layer.receive(bytes, &mut self.buffers.rx) {
                    self.eof();
                    self.now = Now::Failed(error.into());
                }
            }
            None => self.buffers.rx.extend_from_slice(bytes),
        }
    }

    #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
    fn receive(&mut self, bytes: &[u8]) {
        self.buffers.rx.extend_from_slice(bytes);
    }

    /// What was written goes out.
    fn send(&mut self) {
        #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
        if let Some(layer) = &mut self.layer {
            self.sent.extend_from_slice(&layer.send(&mut self.buffers.tx));
            return;
        }
        self.sent.extend_from_slice(&self.buffers.tx.split());
    }

    /// The layer of RSA-AES begins.
    #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
    fn begin_layer(&mut self, keys: rfb_proto::security::rsa_aes::LayerKeys) -> Option<Now> {
        self.send();
        let mut layer = PlayerLayer::new(keys, &mut self.buffers.rx);
        if let Err(error) = layer.receive(&[], &mut self.buffers.rx) {
            return Some(Now::Failed(error.into()));
        }
        self.layer = Some(layer);
        match &mut self.role {
            Role::Client(machine) => machine.layered().unwrap(),
            Role::Server(machine) => machine.layered().unwrap(),
        }
        None
    }

    /// The TLS handshake is over. Gives what was in `rx`: it belongs to that handshake.
    pub(crate) fn tls_is_up(&mut self) -> Vec<u8> {
        assert!(matches!(self.now, Now::Tls(_)), "{:?}", self.now);
        let surplus = self.buffers.rx.split().to_vec();
        self.run();
        surplus
    }

    /// The peer hangs up.
    pub(crate) fn eof(&mut self) {
        let error = match &mut self.role {
            Role::Client(machine) => machine.eof().err(),
            Role::Server(machine) => machine.eof().err(),
        };
        if !matches!(self.now, Now::Done(_)) {
            self.now = Now::Failed(error.expect("a handshake does not end with hanging up"));
        }
        self.poll();
    }

    pub(crate) fn max_input(&self) -> usize {
        match &self.role {
            Role::Client(machine) => machine.max_input(),
            Role::Server(machine) => machine.max_input(),
        }
    }

    fn poll(&mut self) {
        while let Some(event) = match &mut self.role {
            Role::Client(machine) => machine.poll_event(),
            Role::Server(machine) => machine.poll_event(),
        } {
            self.events.push(event);
        }
    }

    /// Steps until something is needed that is not there.
    pub(crate) fn run(&mut self) {
        for _ in 0..STEPS {
            let before = self.buffers.rx.len();
            let now = match &mut self.role {
                Role::Client(machine) => {
                    let action = machine.step(NOW, &mut self.buffers);
                    convert(action, Outcome::Client).unwrap_or_else(|question| self.answer_server(question))
                }
                Role::Server(machine) => {
                    let action = machine.step(NOW, &mut self.buffers);
                    convert(action, Outcome::Server).unwrap_or_else(|question| self.answer_client(question))
                }
            };
            assert!(self.buffers.rx.len() <= before);
            self.send();
            self.poll();
            if let Some(now) = now {
                if let Now::Needs(at_least) = now {
                    assert!(0 < at_least, "a driver that reads nothing makes no progress");
                    assert!(
                        self.buffers.rx.len() + at_least <= self.max_input(),
                        "more than the machine ever needs"
                    );
                }
                self.now = now;
                return;
            }
        }
        panic!("the machine does not end: {:?}", self.role);
    }

    /// The client's caller. `None`: answered.
    fn answer_server(&mut self, question: client::ClientQuestion) -> Option<Now> {
        let Role::Client(machine) = &mut self.role else {
            unreachable!();
        };
        let (buffers, answers) = (&mut self.buffers, &self.answers);
        match question {
            client::ClientQuestion::Choose(offered) => machine.choose(buffers, offered[0]).unwrap(),
            client::ClientQuestion::Vnc { challenge } => match (&answers.response, &answers.password) {
                (Some(response), _) => machine.respond(buffers, *response).unwrap(),
                (None, Some(password)) => {
                    let response = Password::new(password).respond(&challenge);
                    machine.respond(buffers, response).unwrap();
                }
                (None, None) => return Some(Now::Unanswered("a password")),
            },
            client::ClientQuestion::Plain => match &answers.password {
                Some(password) => machine.plain(buffers, &answers.user, password).unwrap(),
                None => return Some(Now::Unanswered("a password")),
            },
            client::ClientQuestion::Ident => machine.ident(buffers, &answers.user).unwrap(),
            client::ClientQuestion::SaslStart { mechanisms } => match (&answers.sasl, &answers.password) {
                (Some(sasl), _) => {
                    self.sasl_step = 1;
                    machine
                        .sasl_start(buffers, &sasl.mechanism, sasl.says[0].as_deref())
                        .unwrap();
                }
                (None, Some(password)) if mechanisms.offers(b"PLAIN") => {
                    let data = [b"\0", &answers.user[..], b"\0", password].concat();
                    machine.sasl_start(buffers, b"PLAIN", Some(&data)).unwrap();
                }
                _ => return Some(Now::Unanswered("a SASL mechanism")),
            },
            client::ClientQuestion::SaslStep { complete: true, .. } => {
                assert_eq!(machine.sasl_step(buffers, None), Err(Misuse::NotAsked));
                machine
                    .sasl_end(answers.sasl.as_ref().is_some_and(|sasl| sasl.layer))
                    .unwrap();
            }
            client::ClientQuestion::SaslStep { complete: false, .. } => {
                assert_eq!(machine.sasl_end(false), Err(Misuse::NotComplete));
                let says = answers.sasl.as_ref().and_then(|sasl| sasl.says.get(self.sasl_step));
                self.sasl_step += 1;
                match says {
                    Some(data) => machine.sasl_step(buffers, data.as_deref()).unwrap(),
                    None => return Some(Now::Unanswered("a SASL step")),
                }
            }
            client::ClientQuestion::SaslLayer => {
                self.layered = true;
                return Some(Now::Unanswered("a SASL layer"));
            }
            #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
            other => {
                let Some(password) = &answers.password else {
                    return Some(Now::Unanswered("a password"));
                };
                let shown = (&answers.user[..], &password[..]);
                match logins::answer_server(machine, buffers, other, shown, &logins::CLIENT) {
                    Ok(None) => {}
                    Ok(Some(keys)) => return self.begin_layer(keys),
                    Err(misuse) => return Some(Now::Failed(misuse.into())),
                }
            }
            #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
            other => panic!("{other:?}"),
        }
        None
    }

    /// The server's caller. `None`: answered.
    fn answer_client(&mut self, question: server::ServerQuestion) -> Option<Now> {
        let Role::Server(machine) = &mut self.role else {
            unreachable!();
        };
        let (buffers, answers) = (&mut self.buffers, &self.answers);
        match question {
            server::ServerQuestion::Offer { .. } => return Some(Now::Unanswered("an offer")),
            server::ServerQuestion::Challenge => machine.challenge(buffers, answers.challenge).unwrap(),
            server::ServerQuestion::Admit(claim) => {
                let is_right = match &claim {
                    ClientCredentials::None => true,
                    ClientCredentials::Vnc { challenge, response } => answers
                        .password
                        .as_ref()
                        .is_some_and(|password| Password::new(password).verify(challenge, response)),
                    ClientCredentials::Plain(shown) => {
                        answers.password.as_deref() == Some(shown.password.expose()) && shown.user == answers.user
                    }
                    ClientCredentials::Ident { user } => *user == answers.user,
                    // The exchange itself has judged.
                    ClientCredentials::Sasl => true,
                    #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
                    other => logins::opened(other, &logins::SERVER).is_some_and(|shown| {
                        answers.password.as_deref() == Some(shown.password.expose()) && shown.user == answers.user
                    }),
                    #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
                    other => panic!("{other:?}"),
                };
                match answers.verdict.unwrap_or(is_right) {
                    true => machine.accept(buffers).unwrap(),
                    false => machine.refuse(buffers, answers.refusal.clone()).unwrap(),
                }
            }
            server::ServerQuestion::SaslStart { .. } | server::ServerQuestion::SaslStep { .. }
                if answers.sasl.is_some() =>
            {
                let sasl = answers.sasl.as_ref().unwrap();
                let says = sasl.says.get(self.sasl_step).map(Option::as_deref);
                let is_last = self.sasl_step + 1 == sasl.says.len();
                self.sasl_step += 1;
                match says {
                    None => machine.refuse(buffers, Refusal::Close).unwrap(),
                    Some(says) if is_last && !sasl.refused => machine.sasl_complete(buffers, says, sasl.layer).unwrap(),
                    Some(says) => machine.sasl_reply(buffers, says).unwrap(),
                }
            }
            // PLAIN, in one step.
            server::ServerQuestion::SaslStart { data: Some(data), .. }
            | server::ServerQuestion::SaslStep { data: Some(data) } => {
                let mut parts = data.expose().split(|&byte| byte == 0).skip(1);
                let (user, password) = (parts.next(), parts.next());
                let is_right = user == Some(&answers.user[..]) && password == answers.password.as_deref();
                match is_right && password.is_some() {
                    true => machine.sasl_complete(buffers, None, false).unwrap(),
                    false => machine.refuse(buffers, Refusal::Close).unwrap(),
                }
            }
            server::ServerQuestion::SaslStart { data: None, .. } => machine.sasl_reply(buffers, None).unwrap(),
            server::ServerQuestion::SaslStep { data: None } => machine.refuse(buffers, Refusal::Close).unwrap(),
            server::ServerQuestion::SaslLayer => {
                self.layered = true;
                return Some(Now::Unanswered("a SASL layer"));
            }
            server::ServerQuestion::Init(_) => match &answers.server_init {
                Some(init) => machine.init(buffers, init).unwrap(),
                None => return Some(Now::Unanswered("a ServerInit")),
            },
            #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
            other => match logins::answer_client(machine, buffers, other, &logins::SERVER).unwrap() {
                None => {}
                Some(keys) => return self.begin_layer(keys),
            },
            #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
            other => panic!("{other:?}"),
        }
        None
    }
}

/// A question, or where the machine is; `None` there never.
fn convert<Q, O>(
    action: Result<Action<Q, O>, HandshakeError>,
    outcome: impl FnOnce(O) -> Outcome,
) -> Result<Option<Now>, Q> {
    Ok(Some(match action {
        Ok(Action::Receive { at_least }) => Now::Needs(at_least),
        Ok(Action::StartTls(tls)) => Now::Tls(tls),
        Ok(Action::Ask(question)) => return Err(question),
        Ok(Action::Waiting) => panic!("nothing is open"),
        Ok(Action::Done(ended)) => Now::Done(outcome(ended)),
        Err(error) => Now::Failed(error),
    }))
}

/// QEMU's, 640 by 480.
pub(crate) fn server_init() -> ServerInit {
    let bytes = crate::data::hex("028001e02018000100ff00ff00ff1008000000000000000451454d55");
    ServerInit::decode(&Bytes::from(bytes), &rfb_proto::Limits::default()).unwrap()
}
