//! A simulated VNC server, with a password or without, and a viewer's side of the handshake (RFC 6143 section 7).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rfb_proto::security::vnc::Password;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::Cell;
use super::browser::Browser;
use super::report::{Outcome, must};
use crate::random::random_bytes;
use crate::sync::lock;

pub(super) const VERSION: &[u8; 12] = b"RFB 003.008\n";
const NONE: u8 = 1;
const VNC: u8 = 2;
/// A key is pressed: KeyEvent, `a`.
const KEY: [u8; 8] = [4, 1, 0, 0, 0, 0, 0, 0x61];
const BELL: u8 = 2;
/// 64 x 64, 32 bits, depth 24, and the length of the name is left.
const INIT: [u8; 20] = [0, 64, 0, 64, 32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0];

/// The server, running.
pub(super) struct VncServer {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    /// `None`: there is none. Set by a monitor, as QEMU's is.
    password: Option<Cell>,
    connections: AtomicUsize,
    challenges: Mutex<Vec<[u8; 16]>>,
}

impl VncServer {
    pub(super) async fn start(password: Option<Cell>) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            password,
            connections: AtomicUsize::new(0),
            challenges: Mutex::default(),
        });
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                serving.connections.fetch_add(1, Ordering::Relaxed);
                let serving = serving.clone();
                tokio::spawn(async move { serving.serve(tcp).await });
            }
        });
        Ok(Self { address, shared })
    }

    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The challenge that was sent last.
    pub(super) fn challenge(&self) -> Option<[u8; 16]> {
        lock(&self.shared.challenges).last().copied()
    }
}

impl Shared {
    async fn serve(&self, mut tcp: TcpStream) -> Outcome<()> {
        tcp.set_nodelay(true)?;
        tcp.write_all(VERSION).await?;
        tcp.read_exact(&mut [0; 12]).await?;
        let kind = if self.password.is_some() { VNC } else { NONE };
        tcp.write_all(&[1, kind]).await?;
        must(tcp.read_u8().await? == kind, "another security type")?;
        if let Some(password) = &self.password {
            let challenge = random_bytes();
            lock(&self.challenges).push(challenge);
            tcp.write_all(&challenge).await?;
            let mut response = [0; 16];
            tcp.read_exact(&mut response).await?;
            let password = lock(password).clone();
            if password.is_empty() || !Password::new(password.as_bytes()).verify(&challenge, &response) {
                let reason = b"Authentication failed";
                tcp.write_all(&[0, 0, 0, 1, 0, 0, 0, u8::try_from(reason.len())?])
                    .await?;
                tcp.write_all(reason).await?;
                return Ok(tcp.shutdown().await?);
            }
        }
        tcp.write_all(&[0; 4]).await?;
        tcp.read_u8().await?;
        let name = b"demo";
        let init = [&INIT[..], &u32::try_from(name.len())?.to_be_bytes(), name].concat();
        tcp.write_all(&init).await?;
        // The bell for all that comes, so that the viewer sees it.
        let mut heard = [0; 1024];
        while tcp.read(&mut heard).await? != 0 {
            tcp.write_all(&[BELL]).await?;
        }
        Ok(())
    }
}

/// How a log-in came out.
pub(super) enum LogIn {
    /// Let in; the challenge, if there was one.
    In(Option<[u8; 16]>),
    /// The password was refused.
    Refused,
}

/// A viewer's side of the handshake, as noVNC does it.
pub(super) async fn log_in(browser: &mut Browser, password: Option<&str>) -> Outcome<LogIn> {
    must(browser.receive(12).await? == VERSION[..], "no RFB 3.8")?;
    browser.send(VERSION).await?;
    let kind = if password.is_some() { VNC } else { NONE };
    let types = browser.receive(2).await?;
    must(types[..] == [1, kind], format!("the security types are {types:?}"))?;
    browser.send(&[kind]).await?;
    let mut asked = None;
    if let Some(password) = password {
        let challenge: [u8; 16] = browser.receive(16).await?[..].try_into()?;
        let response = Password::new(password.as_bytes()).respond(&challenge);
        browser.send(&response).await?;
        asked = Some(challenge);
    }
    if browser.number().await? != 0 {
        return Ok(LogIn::Refused);
    }
    browser.send(&[1]).await?;
    browser.receive(INIT.len()).await?;
    let length = browser.number().await?;
    must(
        browser.receive(length as usize).await? == b"demo"[..],
        "another desktop",
    )?;
    Ok(LogIn::In(asked))
}

/// Opens a console without a password, which has to work.
pub(super) async fn desktop(browser: &mut Browser) -> Outcome<()> {
    match log_in(browser, None).await? {
        LogIn::In(_) => press(browser).await,
        LogIn::Refused => Err("the console asks for a password".into()),
    }
}

/// Presses a key, and hears the bell: both directions are open.
pub(super) async fn press(browser: &mut Browser) -> Outcome<()> {
    browser.send(&KEY).await?;
    must(browser.receive(1).await?[..] == [BELL], "another message than the bell")
}
