//! The log-in at authd, VMware's authentication daemon, behind which the console is.
//!
//! ```text
//! client                              authd
//!   | <----------------------- 220 ...  |
//!   | ============ TLS ================ |   the certificate has the ticket's thumbprint
//!   | USER ticket --------------------> |
//!   | <----------------------- 331 ...  |
//!   | PASS ticket --------------------> |
//!   | <----------------------- 230 ...  |
//!   | THUMBPRINT random --------------> |   16 characters: base64 of 12 random bytes
//!   | <--------------- 200 thumbprint   |   of the console's certificate, with colons
//!   | CONNECT cfgFile mks ------------> |
//!   | <----------------------- 200 ...  |
//!   | ============ TLS ================ |   a new one, on the bare connection; the certificate has that thumbprint
//!   | random -------------------------> |   so that the console knows the log-in
//!   | bytes <-------------------> bytes |
//! ```
//! Lines end in CR LF; a reply is three digits and, behind a space, text. Nova's proxy takes what one `recv(1024)` gives
//! for a reply and waits for it as long as it takes; here a line is a line, with a limit, and all of it has a deadline.
//!
//! [`Login`] does no I/O. A driver moves bytes between the connection and the [`Buffers`], calls `step` with the time,
//! and does what the [`Action`] says:
//!
//! 1. flush `tx` first, after every `step`, and call [`Buffers::sent`], which overwrites what was sent;
//! 2. [`Action::Receive`]: read at least so many bytes more, until `deadline()` at the latest;
//! 3. [`Action::StartTls`]: do a TLS handshake as the client, on the TCP connection itself. The first layer is left
//!    where the second begins: drop it without closing it, which would send an alert. Then give the peer's
//!    certificate to [`Login::secured`] and step again;
//! 4. [`Action::Waiting`]: TLS has not been reported yet; step again when it is, or at the deadline;
//! 5. [`Action::Done`]: flush `tx`; the rest is between the console and its viewer.
//!
//! The peer hung up: call `eof`. An error is terminal.
//!
//! ```
//! use std::io::{Error, Read, Write};
//! use std::time::Instant;
//!
//! use console_token::webmks::{Action, Login, LoginError, Tls, Buffers};
//!
//! /// A connection that TLS can be put around, once and once again.
//! trait Connection: Read + Write {
//!     /// Does the handshake, and gives the peer's certificate (DER).
//!     fn start_tls(&mut self, tls: Tls) -> Result<Vec<u8>, Error>;
//! }
//!
//! /// Logs in. The connection's own time-outs keep it from waiting past `login.deadline()`.
//! fn log_in(connection: &mut impl Connection, mut login: Login, started: Instant) -> Result<(), Error> {
//!     let mut buffers = Buffers::default();
//!     loop {
//!         let action = login.step(started.elapsed(), &mut buffers).map_err(Error::other)?;
//!         connection.write_all(&buffers.tx)?;
//!         buffers.sent(buffers.tx.len());
//!         match action {
//!             Action::Receive { .. } => {
//!                 let mut buffer = [0; 1024];
//!                 match connection.read(&mut buffer)? {
//!                     0 => return login.eof().map(|_| ()).map_err(Error::other),
//!                     n => buffers.rx.extend_from_slice(&buffer[..n]),
//!                 }
//!             }
//!             Action::StartTls(tls) => {
//!                 let certificate = connection.start_tls(tls)?;
//!                 login.secured(&mut buffers, &certificate).map_err(Error::other)?;
//!             }
//!             Action::Waiting => unreachable!("TLS is reported at once"),
//!             Action::Done(_) => return Ok(()),
//!         }
//!     }
//! }
//! ```

use alloc::string::String;
use core::{fmt, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use nom::{
    IResult, Parser as _,
    bytes::complete::{tag, take_while_m_n},
    combinator::{all_consuming, map_res, opt, rest},
    sequence::preceded,
};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Buffers, MksTicket, Thumbprint};

/// What the driver does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Read at least so many bytes more into `rx`.
    Receive {
        /// Further bytes; never 0.
        at_least: usize,
    },
    /// Do a TLS handshake as the client, then call [`Login::secured`].
    StartTls(Tls),
    /// [`Login::secured`] has not been called yet.
    Waiting,
    /// The console is connected.
    Done(Outcome),
}

/// A TLS handshake to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tls {
    /// Which of the two.
    pub layer: TlsLayer,
    /// What the peer's certificate must have. [`Login::secured`] checks it; a verifier that checks it during the
    /// handshake gives up sooner. Nothing else of the certificate counts: no name, no authority, no date.
    pub thumbprint: Thumbprint,
}

/// One of the two layers of TLS, which follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsLayer {
    /// The first, for the log-in.
    Login,
    /// The second, for the console.
    Console,
}

impl fmt::Display for TlsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "the log-in",
            Self::Console => "the console",
        })
    }
}

/// A log-in that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What authd named for the console, and what its certificate has.
    pub thumbprint: Thumbprint,
}

/// Time and room that a log-in has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginConfig {
    /// For all of it, both TLS handshakes included: 10 s. A tenant waits for it.
    pub timeout: Duration,
    /// Bytes of one reply, its end included: 1024, which is what Nova's proxy reads.
    pub max_reply: usize,
}

impl Default for LoginConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            max_reply: 1024,
        }
    }
}

impl LoginConfig {
    /// Sets [`LoginConfig::timeout`].
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`LoginConfig::max_reply`].
    #[must_use]
    pub fn with_max_reply(mut self, max_reply: usize) -> Self {
        self.max_reply = max_reply;
        self
    }
}

/// What is due in a log-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The reply 220, before anything was sent.
    Greeting,
    /// The caller's TLS handshake.
    Tls(TlsLayer),
    /// The reply 331 to USER.
    User,
    /// The reply 230 to PASS.
    Password,
    /// The reply 200 to THUMBPRINT.
    Thumbprint,
    /// The reply 200 to CONNECT.
    Connect,
    /// Nothing: the console is connected, or the log-in has failed.
    Ended,
}

impl Stage {
    /// The code that authd goes on with.
    const fn expected(self) -> Option<u16> {
        match self {
            Self::Greeting => Some(220),
            Self::User => Some(331),
            Self::Password => Some(230),
            Self::Thumbprint | Self::Connect => Some(200),
            Self::Tls(_) | Self::Ended => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Greeting => f.write_str("the greeting"),
            Self::Tls(layer) => write!(f, "TLS for {layer}"),
            Self::User => f.write_str("the reply to USER"),
            Self::Password => f.write_str("the reply to PASS"),
            Self::Thumbprint => f.write_str("the reply to THUMBPRINT"),
            Self::Connect => f.write_str("the reply to CONNECT"),
            Self::Ended => f.write_str("nothing"),
        }
    }
}

/// Why a log-in failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// What came is not a reply of authd.
    #[error("{stage}: {error}")]
    Decode {
        /// What was due.
        stage: Stage,
        /// What is wrong with it.
        error: ReplyError,
    },
    /// The peer did what the protocol does not allow.
    #[error("peer misbehaved: {0}")]
    PeerMisbehaved(Misbehaviour),
    /// authd refused. After USER or PASS the ticket is not valid, or not any more.
    #[error("rejected by authd in {stage}: {code}")]
    Rejected {
        /// What was due.
        stage: Stage,
        /// The code that came, 0 to 999.
        code: u16,
    },
    /// Time ran out.
    #[error("timed out waiting for {0}")]
    TimedOut(Stage),
    /// The peer hung up.
    #[error("closed by the peer while waiting for {0}")]
    Closed(Stage),
    /// The caller's mistake. The log-in is as it was.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// What is wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// Its line has no end within [`LoginConfig::max_reply`].
    #[error("a line above the limit of {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// A line feed without a carriage return in front of it.
    #[error("a line that does not end in CR LF")]
    LineEnd,
    /// It does not begin with three digits and, unless that is all, a space.
    #[error("no three-digit code")]
    Code,
    /// The reply to THUMBPRINT has none in it.
    #[error("no thumbprint")]
    Thumbprint,
}

/// What a peer must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// It sent bytes behind the reply that TLS begins after: they would be taken for bytes inside of TLS.
    #[error("bytes in front of TLS for {0}")]
    BytesBeforeTls(TlsLayer),
    /// Its certificate does not have the thumbprint that was named.
    #[error("another certificate for {0}")]
    WrongCertificate(TlsLayer),
}

/// The caller's mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// [`Login::secured`] where no TLS was asked for.
    #[error("TLS was not asked for")]
    NotAsked,
    /// [`Login::secured`] with bytes in `rx`: the layer that they came in is gone.
    #[error("bytes in rx while TLS starts")]
    BytesInWire,
    /// The outcome was handed out already.
    #[error("the log-in has ended")]
    Ended,
}

#[derive(Debug)]
enum State {
    /// A reply is due; and what the next certificate must have, as far as that is known.
    Reply(Stage, Thumbprint),
    /// TLS is to be asked for.
    StartTls(Tls),
    /// TLS was asked for.
    Tls(Tls),
    Over(Outcome),
    Done,
    Failed(LoginError),
}

/// A log-in at authd, as the client.
#[derive(Debug)]
pub struct Login {
    config: LoginConfig,
    ticket: MksTicket,
    random: Random,
    deadline: Duration,
    state: State,
}

/// What the console's client names itself with.
struct Random(Zeroizing<String>);

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(redacted)")
    }
}

impl Login {
    /// For a connection to host and port of the token that stands at `now`, which is the time since any fixed
    /// moment. `random` must be fresh, and from a cryptographically secure source.
    #[must_use]
    pub fn new(now: Duration, config: LoginConfig, ticket: MksTicket, random: &[u8; 12]) -> Self {
        Self {
            deadline: now.saturating_add(config.timeout),
            config,
            random: Random(Zeroizing::new(STANDARD.encode(random))),
            state: State::Reply(Stage::Greeting, ticket.thumbprint),
            ticket,
        }
    }

    /// What is due.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match &self.state {
            State::Reply(stage, _) => *stage,
            State::StartTls(tls) | State::Tls(tls) => Stage::Tls(tls.layer),
            State::Over(_) | State::Done | State::Failed(_) => Stage::Ended,
        }
    }

    /// Uses what is in `rx`, writes to `tx`, says what it needs.
    ///
    /// # Errors
    /// The log-in failed. Later calls give the same error; after [`Action::Done`] it is [`Misuse::Ended`].
    pub fn step(&mut self, now: Duration, buffers: &mut Buffers) -> Result<Action, LoginError> {
        let ended = matches!(self.state, State::Over(_) | State::Done | State::Failed(_));
        if !ended && self.deadline <= now {
            return Err(self.fail(LoginError::TimedOut(self.stage())));
        }
        loop {
            match self.state {
                State::Reply(stage, thumbprint) => match self.take_reply(stage, thumbprint, buffers) {
                    Ok(Taken::Reply(next)) => self.state = next,
                    Ok(Taken::Missing(at_least)) => return Ok(Action::Receive { at_least }),
                    Err(error) => return Err(self.fail(error)),
                },
                State::StartTls(tls) => {
                    self.state = State::Tls(tls);
                    return Ok(Action::StartTls(tls));
                }
                State::Tls(_) => return Ok(Action::Waiting),
                State::Over(outcome) => {
                    self.state = State::Done;
                    return Ok(Action::Done(outcome));
                }
                State::Done => return Err(Misuse::Ended.into()),
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// Answers [`Action::StartTls`]: the handshake is done, and this is the peer's certificate (DER). From here on
    /// `rx` and `tx` hold the plaintext inside.
    ///
    /// # Errors
    /// [`Misbehaviour::WrongCertificate`], which ends the log-in: nothing of the ticket is sent.
    /// [`Misuse::NotAsked`], [`Misuse::BytesInWire`].
    pub fn secured(&mut self, buffers: &mut Buffers, certificate: &[u8]) -> Result<(), LoginError> {
        let State::Tls(tls) = self.state else {
            return Err(Misuse::NotAsked.into());
        };
        if !buffers.rx.is_empty() {
            return Err(Misuse::BytesInWire.into());
        }
        if Thumbprint::of(certificate) != tls.thumbprint {
            let error = Misbehaviour::WrongCertificate(tls.layer);
            return Err(self.fail(LoginError::PeerMisbehaved(error)));
        }
        self.state = match tls.layer {
            TlsLayer::Login => {
                buffers.put(&["USER ", self.ticket.ticket.expose(), CR_LF]);
                State::Reply(Stage::User, tls.thumbprint)
            }
            TlsLayer::Console => {
                buffers.put(&[&self.random.0]);
                State::Over(Outcome {
                    thumbprint: tls.thumbprint,
                })
            }
        };
        Ok(())
    }

    /// Step again at this time at the latest; the step then returns [`LoginError::TimedOut`].
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// The peer hung up, which is always an error.
    ///
    /// # Errors
    /// [`LoginError::Closed`], or what had gone wrong before.
    pub fn eof(&mut self) -> Result<Outcome, LoginError> {
        match self.state {
            State::Failed(error) => Err(error),
            State::Done => Err(Misuse::Ended.into()),
            _ => Err(self.fail(LoginError::Closed(self.stage()))),
        }
    }

    /// The most that `rx` needs to hold: a driver need not read on beyond it.
    #[must_use]
    pub const fn max_input(&self) -> usize {
        self.config.max_reply
    }

    fn fail(&mut self, error: LoginError) -> LoginError {
        self.state = State::Failed(error);
        error
    }

    /// Takes a reply off `rx`, and answers it.
    fn take_reply(&self, stage: Stage, thumbprint: Thumbprint, buffers: &mut Buffers) -> Result<Taken, LoginError> {
        let malformed = |error| LoginError::Decode { stage, error };
        let limit = self.config.max_reply;
        let window = buffers.rx.get(..limit.min(buffers.rx.len())).unwrap_or_default();
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            if limit <= window.len() {
                return Err(malformed(ReplyError::TooLong { limit }));
            }
            let at_least = if window.ends_with(b"\r") { 1 } else { 2 };
            return Ok(Taken::Missing(at_least.min(limit.saturating_sub(window.len()))));
        };
        let line = buffers.take(end.saturating_add(1));
        let line = line.strip_suffix(CR_LF.as_bytes());
        let line = line.ok_or_else(|| malformed(ReplyError::LineEnd))?;
        let (_, (code, text)) = reply(line).map_err(|_| malformed(ReplyError::Code))?;
        if stage.expected() != Some(code) {
            return Err(LoginError::Rejected { stage, code });
        }
        let start_tls = |layer| match buffers.rx.is_empty() {
            true => Ok(State::StartTls(Tls { layer, thumbprint })),
            false => Err(LoginError::PeerMisbehaved(Misbehaviour::BytesBeforeTls(layer))),
        };
        Ok(Taken::Reply(match stage {
            Stage::Greeting => start_tls(TlsLayer::Login)?,
            Stage::User => {
                buffers.put(&["PASS ", self.ticket.ticket.expose(), CR_LF]);
                State::Reply(Stage::Password, thumbprint)
            }
            Stage::Password => {
                buffers.put(&["THUMBPRINT ", &self.random.0, CR_LF]);
                State::Reply(Stage::Thumbprint, thumbprint)
            }
            Stage::Thumbprint => {
                let text = core::str::from_utf8(text.unwrap_or_default()).unwrap_or_default();
                let thumbprint = text.trim().parse().map_err(|_| malformed(ReplyError::Thumbprint))?;
                buffers.put(&["CONNECT ", &self.ticket.cfg_file, " mks", CR_LF]);
                State::Reply(Stage::Connect, thumbprint)
            }
            Stage::Connect => start_tls(TlsLayer::Console)?,
            // INVARIANT: a state that waits for a reply is none of these.
            Stage::Tls(_) | Stage::Ended => return Err(Misuse::Ended.into()),
        }))
    }
}

/// What came of looking for a reply.
enum Taken {
    /// It is there, and leads to this.
    Reply(State),
    /// At least so many bytes are missing.
    Missing(usize),
}

/// The end of a command. The parts of one have no control characters: [`MksTicket`] sees to that.
const CR_LF: &str = "\r\n";

/// The code of a reply, and the text behind it.
fn reply(line: &[u8]) -> IResult<&[u8], (u16, Option<&[u8]>)> {
    let digits = take_while_m_n(3, 3, |byte: u8| byte.is_ascii_digit());
    let code = map_res(digits, |digits| {
        core::str::from_utf8(digits).unwrap_or_default().parse()
    });
    all_consuming((code, opt(preceded(tag(" "), rest)))).parse(line)
}
