//! Guests, each with two places where it can be. A hypervisor says back what a viewer says, counts, and sends the viewer to the
//! other place now and then.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use spice_proto::ids::ChannelType;
use spice_proto::link::Key;
use tokio::net::{TcpListener, TcpStream};

use crate::link::Channel;

/// `MIGRATE_SWITCH_HOST`.
pub(crate) const SWITCH_HOST: u16 = 111;
/// `INIT`, and what a client answers it with.
pub(crate) const INIT: u16 = 103;
/// Which channels there are, beside the main one: inputs.
pub(crate) const CHANNELS_LIST: u16 = 104;
const LIST: [u8; 6] = [1, 0, 0, 0, 3, 0];
/// A message that passes in both directions: `SET_ACK` and `PONG` have this number.
pub(crate) const WORD: u16 = 3;

/// All guests.
pub(crate) struct Guests {
    /// The ports of each.
    pub(crate) ports: Vec<[u16; 2]>,
    key: Arc<Key>,
    ids: AtomicU32,
    open: AtomicUsize,
    /// What was heard and said on each channel of the session with this id.
    counts: Mutex<HashMap<(u32, u8), [u64; 2]>>,
}

impl Guests {
    pub(crate) async fn start(count: usize) -> Arc<Self> {
        let key = Key::generate(&mut |bytes| getrandom::fill(bytes).expect("random bytes")).expect("a key");
        let mut listeners = Vec::new();
        for _ in 0..count {
            let here = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let there = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            listeners.push([here, there]);
        }
        let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
        let guests = Arc::new(Self {
            ports: listeners.iter().map(|both| both.each_ref().map(port)).collect(),
            key: Arc::new(key),
            ids: AtomicU32::new(1),
            open: AtomicUsize::new(0),
            counts: Mutex::default(),
        });
        for [here, there] in listeners {
            let (at_here, at_there) = (port(&here), port(&there));
            tokio::spawn(guests.clone().listen(here, at_there));
            tokio::spawn(guests.clone().listen(there, at_here));
        }
        guests
    }

    async fn listen(self: Arc<Self>, listener: TcpListener, other: u16) {
        while let Ok((stream, _)) = listener.accept().await {
            let guests = self.clone();
            tokio::spawn(async move {
                guests.open.fetch_add(1, Relaxed);
                let _ = guests.serve(stream, other).await;
                guests.open.fetch_sub(1, Relaxed);
            });
        }
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// What was heard and said on a channel.
    pub(crate) fn counts(&self, id: u32, kind: ChannelType) -> [u64; 2] {
        let counts = self.counts.lock().expect("counts");
        counts.get(&(id, kind.0)).copied().unwrap_or_default()
    }

    fn count(&self, id: u32, kind: ChannelType, which: usize) {
        let mut counts = self.counts.lock().expect("counts");
        counts.entry((id, kind.0)).or_default()[which] += 1;
    }

    /// One channel. The first word of a viewer says after how many words the guest moves; 0: it does not.
    async fn serve(&self, stream: TcpStream, other: u16) -> io::Result<()> {
        let _ = stream.set_nodelay(true);
        let (request, mut channel) = Channel::accept(stream, self.key.clone()).await?;
        let kind = request.channel_type;
        let id = match request.connection_id {
            0 => self.ids.fetch_add(1, Relaxed),
            id => id,
        };
        if kind == ChannelType::MAIN && request.connection_id == 0 {
            let mut init = [0; 32];
            init[..4].copy_from_slice(&id.to_le_bytes());
            channel.say(INIT, &init).await?;
            channel.say(CHANNELS_LIST, &LIST).await?;
        }
        loop {
            let (number, body) = channel.hear().await?;
            if number != WORD {
                continue;
            }
            self.count(id, kind, 0);
            channel.say(WORD, &body[..8]).await?;
            self.count(id, kind, 1);
            // The last four bytes are a wish.
            if body[8..] == [1, 0, 0, 0] {
                channel.say(SWITCH_HOST, &destination(other)).await?;
            }
        }
    }
}

/// To a port of the loopback.
fn destination(port: u16) -> Vec<u8> {
    let host = b"127.0.0.1\0";
    let mut body = Vec::new();
    body.extend(port.to_le_bytes());
    body.extend([0, 0]);
    body.extend(10_u32.to_le_bytes());
    body.extend(20_u32.to_le_bytes());
    body.extend([0; 8]);
    body.extend(host);
    body
}
