//! A whole SPICE proxy: a viewer that shows TOKEN as its password gets the hypervisor's session, with PASSWORD there.
//! `cargo run -p spice-proto --example minimal_proxy --features tokio -- LISTEN HYPERVISOR TOKEN PASSWORD`
#![allow(clippy::restriction, reason = "a program, with std")]
use spice_proto::proxy::*;
use std::{env::args, fs::File, io::Read as _, sync::Arc};
use tokio::net::{TcpListener, TcpStream};
struct Handler {
    manager: Arc<SessionManager>,
    args: Arc<[String; 4]>,
    key: Option<Key>,
}
impl ProxyHandler for Handler {
    type Hypervisor = TcpStream;
    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        let key = self.key.insert(Key::generate(&mut random).map_err(|_| Refusal::Close)?);
        Ok(Announcement::spice_server(key.public(), request.channel_type))
    }
    async fn capabilities(&mut self, of: &Dial) -> Option<Capabilities> {
        let stream = TcpStream::connect(&self.args[1]).await.ok()?;
        inquire(stream, &of.request, &Limits::default()).await.ok()
    }
    async fn token(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        let shown = self.key.take().and_then(|key| key.open(&sealed, &mut random).ok());
        let right = shown == Some(Secret::new(self.args[2].as_bytes()));
        match (request.connection_id, self.manager.named(request.connection_id).first()) {
            (0, _) if right => Ok(Entry::Open(self.manager.claim())),
            (_, Some(session)) if right => Ok(Entry::Join(*session)), // opened with the one token there is
            _ => Err(Refusal::DENIED),
        }
    }
    async fn dial(&mut self, _: Dial) -> Option<(TcpStream, Upstream)> {
        let stream = TcpStream::connect(&self.args[1]).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some((stream, Upstream::new(Secret::new(self.args[3].as_bytes()), &mut random)))
    }
}
fn random(bytes: &mut [u8]) {
    let source = File::open("/dev/urandom").and_then(|mut source| source.read_exact(bytes));
    source.expect("random bytes");
}
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn core::error::Error>> {
    let args = Vec::from_iter(args().skip(1));
    let args: Arc<[String; 4]> = Arc::new(args.try_into().map_err(|_| "LISTEN HYPERVISOR TOKEN PASSWORD")?);
    let listener = TcpListener::bind(&args[0]).await?;
    let (local, mut hash_key) = (listener.local_addr()?, [0; 16]);
    random(&mut hash_key);
    let manager = Arc::new(SessionManager::new(TrackerConfig::default(), hash_key));
    tokio::spawn(manager.clone().run(|report| println!("{report:?}")));
    let endpoint = Endpoint::new(&local.ip().to_string(), local.port().try_into().ok(), None, None)?;
    let config = Arc::new(ProxyConfig::new(Arc::new(Policy::new(&Settings::default())), endpoint));
    println!("{local}");
    loop {
        let (viewer, from) = listener.accept().await?;
        viewer.set_nodelay(true)?;
        let connection = manager.accept(Peer::new(from.ip(), false), config.clone());
        let (manager, args, key) = (manager.clone(), args.clone(), None);
        tokio::spawn(drive_session(connection, viewer, Handler { manager, args, key }));
    }
}
