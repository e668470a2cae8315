//! One simulated viewer: it gets tokens, works with its console, breaks off, comes again, and follows its guest.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use spice_proto::ids::ChannelType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::guests::{CHANNELS_LIST, Guests, INIT, SWITCH_HOST, WORD};
use crate::link::Channel;
use crate::program::BEARER;
use crate::site::WINDOW;

/// For one answer of the other side.
const ANSWER: Duration = Duration::from_secs(20);
/// Between two words on a channel.
const THINKS: Duration = Duration::from_millis(400);

/// What all viewers share.
pub(crate) struct Town {
    pub(crate) spice: SocketAddr,
    pub(crate) apis: Vec<SocketAddr>,
    pub(crate) guests: Arc<Guests>,
    pub(crate) figures: Figures,
    /// No session begins after this.
    pub(crate) until: Instant,
}

/// What has happened.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) sessions: AtomicU64,
    pub(crate) again: AtomicU64,
    pub(crate) moved: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(crate) rivals: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) refused: AtomicU64,
}

fn one(figure: &AtomicU64) {
    figure.fetch_add(1, Relaxed);
}

/// From 0 up to this.
fn random(below: u64) -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("random bytes");
    u64::from_le_bytes(bytes) % below
}

/// How a stretch of work ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    BreaksOff,
    Moves,
}

/// A session, as its viewer has it.
struct Session {
    id: u32,
    main: Channel,
    inputs: Channel,
    /// Words that were said and came back, on each.
    words: [u64; 2],
}

/// One viewer, until the time is over.
pub(crate) async fn lives(town: Arc<Town>, number: usize) {
    sleep(Duration::from_millis(random(5000))).await;
    while Instant::now() < town.until {
        let Some(token) = token(&town, number).await else {
            one(&town.figures.refused);
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        session(&town, &token).await;
    }
}

/// A token for a console of this guest, from some gateway.
async fn token(town: &Town, number: usize) -> Option<String> {
    let api = town.apis[usize::try_from(random(town.apis.len() as u64)).ok()?];
    let body =
        format!("{{\"guest\":\"vm{number}\",\"protocol\":\"spice\",\"type\":\"spice-html5\",\"ttl_seconds\":3600}}");
    let asked = async {
        let mut stream = TcpStream::connect(api).await?;
        let length = body.len();
        let request = format!(
            "POST /v1/consoles HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {BEARER}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        io::Result::Ok(answer)
    };
    let answer = timeout(ANSWER, asked).await.ok()?.ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    Some(body["token"].as_str()?.to_owned())
}

/// All of a session, from its token to its end, wherever it goes.
async fn session(town: &Town, token: &str) {
    let Some(mut open) = opens(town, token, true).await else {
        return;
    };
    // It has been open: from now on it must not be lost.
    loop {
        let end = match random(4) {
            0 => End::BreaksOff,
            1 => End::Moves,
            _ => End::Done,
        };
        let worked = works(town, token, &mut open, end).await;
        let again = match (worked, end) {
            (Ok(()), End::Done) => {
                open.agrees(town);
                one(&town.figures.sessions);
                return;
            }
            (Ok(()), End::Moves) => {
                open.agrees(town);
                &town.figures.moved
            }
            // Broken off, or something was killed.
            _ => &town.figures.again,
        };
        drop(open);
        open = match opens(town, token, false).await {
            Some(open) => open,
            None => return one(&town.figures.lost),
        };
        one(again);
    }
}

/// Opens a session, again and again while something is down. A first time that fails is no loss: its token may be over.
async fn opens(town: &Town, token: &str, first: bool) -> Option<Session> {
    let began = Instant::now();
    while began.elapsed() < WINDOW {
        match timeout(ANSWER, open(town, token)).await {
            Ok(Ok(session)) => return Some(session),
            _ if first && town.until < Instant::now() => return None,
            _ => one(&town.figures.refused),
        }
        sleep(Duration::from_millis(300 + random(400))).await;
    }
    None
}

async fn connect(town: &Town, token: &str, kind: ChannelType, id: u32) -> io::Result<Channel> {
    let stream = TcpStream::connect(town.spice).await?;
    stream.set_nodelay(true)?;
    Channel::open(stream, token, kind, id).await
}

async fn open(town: &Town, token: &str) -> io::Result<Session> {
    let mut main = connect(town, token, ChannelType::MAIN, 0).await?;
    let id = loop {
        let (number, body) = main.hear().await?;
        if number == INIT {
            break u32::from_le_bytes([body[0], body[1], body[2], body[3]]);
        }
    };
    while main.hear().await?.0 != CHANNELS_LIST {}
    let inputs = connect(town, token, ChannelType::INPUTS, id).await?;
    Ok(Session {
        id,
        main,
        inputs,
        words: [0; 2],
    })
}

/// Says words on both channels for a while, and hears each of them again.
async fn works(town: &Town, token: &str, open: &mut Session, end: End) -> io::Result<()> {
    let words = 10 + random(50);
    for word in 0..words {
        let moves = end == End::Moves && word + 1 == words;
        timeout(ANSWER, open.word(0, moves)).await??;
        timeout(ANSWER, open.word(1, false)).await??;
        town.figures.messages.fetch_add(2, Relaxed);
        if word == 5 && random(4) == 0 {
            // Somebody else has the token: it opens nothing beside this session, which goes on.
            let rival = timeout(ANSWER, connect(town, token, ChannelType::MAIN, 0)).await;
            let is_in = rival.is_ok_and(|rival| rival.is_ok());
            timeout(ANSWER, open.word(0, false)).await??;
            assert!(!is_in, "a token has opened two sessions");
            one(&town.figures.rivals);
        }
        sleep(THINKS).await;
    }
    if end == End::Moves {
        let sent = async {
            while open.main.hear().await?.0 != SWITCH_HOST {}
            io::Result::Ok(())
        };
        timeout(ANSWER, sent).await??;
    }
    Ok(())
}

impl Session {
    /// One word there and back; the guest may be asked to move.
    async fn word(&mut self, which: usize, moves: bool) -> io::Result<()> {
        let channel = if which == 0 { &mut self.main } else { &mut self.inputs };
        let mut body = [0; 12];
        body[..8].copy_from_slice(&self.words[which].to_le_bytes());
        body[8] = moves.into();
        channel.say(WORD, &body).await?;
        let (number, said) = channel.hear().await?;
        assert_eq!((number, &said[..]), (WORD, &body[..8]), "another word came back");
        self.words[which] += 1;
        Ok(())
    }

    /// Both ends have counted the same.
    fn agrees(&self, town: &Town) {
        for (which, kind) in [ChannelType::MAIN, ChannelType::INPUTS].into_iter().enumerate() {
            assert_eq!(town.guests.counts(self.id, kind), [self.words[which]; 2], "{kind:?}");
        }
    }
}
