//! A client that opens a session and its first display, and prints what the first picture on it is.
//!
//! ```text
//! cargo run -p spice-proto --example picture_head --features tokio -- SERVER PASSWORD
//! ```
//!
//! The library carries pixels and does not unpack them: what is printed is where the picture goes, how it is packed, how
//! large, and whether the head of the packed pixels says the same as the message around it.
#![allow(clippy::std_instead_of_core, clippy::expect_used, reason = "a program, with std")]

use std::error::Error;
use std::fs::File;
use std::io::Read as _;

use futures_util::{SinkExt as _, StreamExt as _};
use spice_proto::caps::{Capabilities, CapabilityWords, common as bits};
use spice_proto::channel::common::AckSync;
use spice_proto::channel::{ClientMessage, ServerMessage, common, display, main};
use spice_proto::codec::MessageCodec;
use spice_proto::frame::{AckCounter, Acknowledge};
use spice_proto::ids::ChannelType;
use spice_proto::link::{Buffers, ClientConfig, ClientLink, LinkMess, Secret};
use spice_proto::{Clock, Driven, Limits, drive};
use tokio::net::TcpStream;
use tokio_util::codec::{Framed, FramedParts};

type Channel = Framed<TcpStream, MessageCodec<ServerMessage, ClientMessage>>;
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Opens a channel. `session`: 0 for the first one, which begins a session.
async fn open(server: &str, password: &str, channel_type: ChannelType, session: u32) -> Result<Channel> {
    let mut stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let request = LinkMess {
        connection_id: session,
        channel_type,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[bits::PROTOCOL_AUTH_SELECTION, bits::AUTH_SPICE, bits::MINI_HEADER]),
            channel: CapabilityWords::default(),
        },
    };
    let mut seed = [0; 20];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let (clock, mut buffers, config) = (Clock::start(), Buffers::default(), ClientConfig::new(request));
    let mut link = ClientLink::new(clock.now(), config, Secret::new(password.as_bytes()), seed);
    match drive(&mut link, &mut buffers, &mut stream, clock).await? {
        Driven::Ask(question) => Err(format!("SASL was not announced: {question:?}").into()),
        Driven::Done(outcome) => {
            let codec = MessageCodec::client(channel_type, outcome.header_form, &Limits::default());
            let mut parts = FramedParts::new::<ClientMessage>(stream, codec);
            parts.read_buf = buffers.rx; // what came behind the link
            Ok(Framed::from_parts(parts))
        }
    }
}

/// The next message, when what it asks of every client is done: acknowledgements, and answers to pings.
async fn next(channel: &mut Channel, acks: &mut AckCounter) -> Result<ServerMessage> {
    let message = channel.next().await.ok_or("the server hung up")??;
    if acks.received() == Acknowledge::Ack {
        let ack = common::ClientMessage::Ack;
        channel.send(ClientMessage::Other(ack)).await?;
    }
    let owed = match message.common() {
        Some(common::ServerMessage::SetAck(set)) => {
            acks.set(set.window);
            let generation = set.generation;
            Some(common::ClientMessage::AckSync(AckSync { generation }))
        }
        Some(common::ServerMessage::Ping(ping)) => Some(common::ClientMessage::Pong(common::Pong {
            id: ping.id,
            timestamp: ping.timestamp,
        })),
        _ => None,
    };
    if let Some(owed) = owed {
        channel.send(ClientMessage::Other(owed)).await?;
    }
    Ok(message)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [server, password] = &args[..] else {
        return Err("usage: picture_head SERVER PASSWORD".into());
    };
    let (mut main, mut acks) = (open(server, password, ChannelType::MAIN, 0).await?, AckCounter::new());
    let session = loop {
        if let ServerMessage::Main(main::ServerMessage::Init(init)) = next(&mut main, &mut acks).await? {
            break init.session_id;
        }
    };
    main.send(ClientMessage::Main(main::ClientMessage::AttachChannels))
        .await?;
    let (mut display, mut acks) = (
        open(server, password, ChannelType::DISPLAY, session).await?,
        AckCounter::new(),
    );
    let init = display::Init {
        pixmap_cache_id: 1,
        pixmap_cache_size: 1 << 20,
        glz_dictionary_id: 1,
        glz_dictionary_window_size: 1 << 20,
    };
    let init = ClientMessage::Display(display::ClientMessage::Init(init));
    display.send(init).await?;
    loop {
        let ServerMessage::Display(message) = next(&mut display, &mut acks).await? else {
            continue;
        };
        let Some(image) = message.images().next() else {
            println!("{}", message.name());
            continue;
        };
        println!("{}: {:?}", message.name(), image.descriptor);
        match image.head()? {
            None => println!("not packed"),
            Some(head) => {
                println!("{head:?}");
                head.check(image)?;
            }
        }
        return Ok(());
    }
}
