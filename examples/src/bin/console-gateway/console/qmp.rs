//! QEMU's monitor (QMP), as far as a gateway needs it: tickets and console passwords are set there.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::front::tls::Stream;

/// For a whole conversation: the monitor may be with another client before.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one answer. QEMU's greeting is the longest that is asked for.
const ANSWER: u64 = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum MonitorAddress {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A monitor. It serves one client at a time.
#[derive(Debug)]
pub(crate) struct Monitor {
    address: MonitorAddress,
    one: Mutex<()>,
}

/// Which server of QEMU a password is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    Spice,
    Vnc,
}

/// Why a monitor has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonitorError {
    #[error("the monitor is not reached: {0}")]
    Io(#[from] io::Error),
    #[error("the monitor gave no answer within {} s", PATIENCE.as_secs())]
    TimedOut,
    #[error("the monitor refuses {command}: {description}")]
    Refused { command: &'static str, description: String },
}

impl Display {
    const fn name(self) -> &'static str {
        match self {
            Self::Spice => "spice",
            Self::Vnc => "vnc",
        }
    }
}

impl Monitor {
    pub(crate) fn new(address: MonitorAddress) -> Self {
        Self {
            address,
            one: Mutex::default(),
        }
    }

    /// Sets a password. What is connected stays so. `seconds`: after which it opens nothing any more.
    pub(crate) async fn set_password(
        &self,
        display: Display,
        password: &str,
        seconds: Option<u64>,
    ) -> Result<(), MonitorError> {
        let _one = self.one.lock().await;
        let talk = async {
            let mut monitor = Talk::begin(&self.address).await?;
            let protocol = display.name();
            let mut arguments = json!({"protocol": protocol, "password": password});
            if display == Display::Spice {
                arguments["connected"] = "keep".into();
            }
            monitor.command("set_password", arguments).await?;
            let time = seconds.map_or_else(|| "never".to_owned(), |seconds| format!("+{seconds}"));
            let arguments = json!({"protocol": protocol, "time": time});
            monitor.command("expire_password", arguments).await
        };
        timeout(PATIENCE, talk).await.unwrap_or(Err(MonitorError::TimedOut))
    }
}

/// A conversation with a monitor.
struct Talk(BufReader<Stream>);

impl Talk {
    async fn begin(address: &MonitorAddress) -> Result<Self, MonitorError> {
        let stream: Stream = match address {
            MonitorAddress::Unix(path) => Box::new(UnixStream::connect(path).await?),
            MonitorAddress::Tcp(address) => Box::new(TcpStream::connect(address).await?),
        };
        let mut talk = Self(BufReader::new(stream));
        loop {
            let said = talk.answer().await?;
            if said.get("QMP").is_some() {
                break;
            }
            // QEMU may still have something to say to the client before.
            if !["event", "return", "error"].iter().any(|kind| said.get(kind).is_some()) {
                return Err(io::Error::new(ErrorKind::InvalidData, "it is no monitor of QEMU").into());
            }
        }
        talk.command("qmp_capabilities", json!({})).await?;
        Ok(talk)
    }

    async fn command(&mut self, command: &'static str, arguments: Value) -> Result<(), MonitorError> {
        let mut line = zeroize::Zeroizing::new(json!({"execute": command, "arguments": arguments}).to_string());
        line.push('\n');
        self.0.get_mut().write_all(line.as_bytes()).await?;
        self.0.get_mut().flush().await?;
        loop {
            let answer = self.answer().await?;
            if answer.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = answer.get("error") {
                let text = error.get("desc").and_then(Value::as_str).unwrap_or("no reason");
                let description = text.chars().filter(|c| !c.is_control()).take(200).collect();
                return Err(MonitorError::Refused { command, description });
            }
            // An event, between command and answer.
        }
    }

    async fn answer(&mut self) -> Result<Value, MonitorError> {
        let mut line = Vec::new();
        let read = (&mut self.0).take(ANSWER).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
        }
        let answer = serde_json::from_slice(&line);
        answer.map_err(|_| io::Error::new(ErrorKind::InvalidData, "it does not speak JSON").into())
    }
}
