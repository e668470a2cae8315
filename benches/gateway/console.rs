//! SPICE consoles of three channels that have shown something, and say nothing now.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use spice_proto::ids::ChannelType;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::certificates::Files;
use crate::hypervisor::{KEY, LOCKS, Load, some};
use crate::viewer::{self, Session, Tls};

/// Channels of a console: each is two connections of the gateway.
pub const CHANNELS: usize = 3;
/// Consoles that are opened at the same time.
const AT_ONCE: usize = 8;
/// How long one of them may take, and a key press.
const LONGEST: Duration = Duration::from_secs(20);
/// Key presses with which a console begins.
const KEYS: usize = 5;

/// An open console.
pub struct Console {
    main: Tls,
    display: Tls,
    inputs: Tls,
}

impl Console {
    async fn open(files: &Files, to: SocketAddr, token: &str) -> io::Result<Self> {
        let Session { main, id } = viewer::session(files, to, token).await?;
        let mut display = viewer::channel(files, to, token, (ChannelType::DISPLAY, id)).await?;
        viewer::send(&mut display, &viewer::wants(Load::Some)).await?;
        let mut picture = vec![0; some().len()];
        display.read_exact(&mut picture).await?;
        let inputs = viewer::channel(files, to, token, (ChannelType::INPUTS, id)).await?;
        let mut console = Self { main, display, inputs };
        for _ in 0..KEYS {
            console.press().await?;
        }
        Ok(console)
    }

    /// A key press, and what the hypervisor says to it.
    async fn press(&mut self) -> io::Result<()> {
        viewer::send(&mut self.inputs, &KEY).await?;
        let mut locks = [0; LOCKS.len()];
        self.inputs.read_exact(&mut locks).await?;
        match locks == LOCKS {
            true => Ok(()),
            false => Err(io::Error::other("something else than the locks")),
        }
    }

    /// Its inputs channel answers, and nothing has come in the others, nor their end.
    async fn is_alive(&mut self) -> io::Result<()> {
        self.press().await?;
        for silent in [&mut self.main, &mut self.display] {
            match silent.read_u8().now_or_never() {
                None => {}
                Some(Ok(_)) => return Err(io::Error::other("a silent channel says something")),
                Some(Err(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

async fn in_time<T>(of: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(LONGEST, of).await?
}

/// Consoles that were opened.
pub struct Opened {
    pub consoles: Vec<Console>,
    /// Why there are no more, if one could not be opened.
    pub why: Option<String>,
}

/// Opens a console for each address and token, several at the same time, until one fails.
pub async fn open(files: &Files, to: impl IntoIterator<Item = (SocketAddr, String)>) -> Opened {
    let (mut to, mut opening) = (to.into_iter().fuse(), JoinSet::new());
    let (mut consoles, mut why) = (Vec::new(), None);
    loop {
        while opening.len() < AT_ONCE && why.is_none() {
            let Some((to, token)) = to.next() else { break };
            let files = files.clone();
            opening.spawn(async move { in_time(Console::open(&files, to, &token)).await });
        }
        match opening.join_next().await {
            Some(opened) => match opened.expect("a viewer") {
                Ok(console) => consoles.push(console),
                Err(error) => why = Some(error.to_string()),
            },
            None => return Opened { consoles, why },
        }
    }
}

/// Those that are alive, and why another one is not.
pub async fn alive(consoles: Vec<Console>) -> Opened {
    let (mut consoles, mut asked) = (consoles.into_iter(), JoinSet::new());
    let (mut alive, mut why) = (Vec::new(), None);
    loop {
        while asked.len() < AT_ONCE {
            let Some(mut console) = consoles.next() else { break };
            asked.spawn(async move { in_time(console.is_alive()).await.map(|()| console) });
        }
        match asked.join_next().await {
            Some(answered) => match answered.expect("a viewer") {
                Ok(console) => alive.push(console),
                Err(error) => why = Some(error.to_string()),
            },
            None => return Opened { consoles: alive, why },
        }
    }
}
