//! Sits between viewers and a SPICE server, passes every byte on as it is, and prints what the messages are.
//!
//! ```text
//! cargo run -p spice-proto --no-default-features --example recorder -- LISTEN SERVER
//! ```
//!
//! It needs no cryptography: a ticket is seen as it is sent, sealed. Connections with TLS are not readable from here.
#![allow(
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a program, with std"
)]

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::spawn;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::frame::FrameReader;
use spice_proto::ids::ChannelType;
use spice_proto::link::watch::WatchedOutcome;
use spice_proto::link::{Sender, WatchedLink};

/// One connection: its link stage, then the frames of both directions.
struct Recording {
    link: WatchedLink,
    frames: Option<(ChannelType, [FrameReader; 2])>,
    rx: [BytesMut; 2],
}

impl Recording {
    fn new() -> Self {
        Self {
            link: WatchedLink::new(Limits::default()),
            frames: None,
            rx: [BytesMut::new(), BytesMut::new()],
        }
    }

    /// Bytes of one direction, in any pieces.
    fn received(&mut self, from: Sender, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        self.rx[from as usize].extend_from_slice(bytes);
        while self.frames.is_none() && self.link_part()? {}
        match &mut self.frames {
            None => Ok(()),
            Some((channel, readers)) => {
                for from in [Sender::Client, Sender::Server] {
                    let (reader, rx) = (&mut readers[from as usize], &mut self.rx[from as usize]);
                    while let Some(frame) = reader.decode(rx)? {
                        let name = match from {
                            Sender::Client => ClientMessage::decode(*channel, &frame)?.name(),
                            Sender::Server => ServerMessage::decode(*channel, &frame)?.name(),
                        };
                        println!("{channel} {from:?}: {name}, {} bytes", frame.header.size);
                    }
                }
                Ok(())
            }
        }
    }

    /// Takes the next part of the link stage. Whether the link has come any further.
    fn link_part(&mut self) -> Result<bool, Box<dyn Error>> {
        let due = self.link.due();
        for from in [Sender::Client, Sender::Server] {
            if let Some((part, len)) = self.link.step(from, &self.rx[from as usize])? {
                println!("link {from:?}: {}", part.name());
                drop(self.rx[from as usize].split_to(len));
                return Ok(self.is_open()?);
            }
        }
        Ok(self.is_open()? && due != self.link.due())
    }

    /// Whether the link stage goes on. When it has ended, frames may follow.
    fn is_open(&mut self) -> Result<bool, String> {
        match self.link.outcome() {
            None => Ok(true),
            Some(WatchedOutcome::Linked(linked)) => {
                let reader = FrameReader::new(linked.header_form, &Limits::default());
                self.frames = Some((linked.request.channel_type, [reader.clone(), reader]));
                Ok(false)
            }
            Some(other) => Err(format!("nothing to read behind it: {other:?}")),
        }
    }
}

/// Passes on the bytes of one direction, and shows them.
fn pass(
    from: Sender,
    mut src: TcpStream,
    mut dst: TcpStream,
    show: &mpsc::Sender<(Sender, Vec<u8>)>,
) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let n = src.read(&mut bytes)?;
        if n == 0 {
            return dst.shutdown(Shutdown::Write);
        }
        dst.write_all(&bytes[..n])?;
        // Recording may have ended.
        let _ = show.send((from, bytes[..n].to_vec()));
    }
}

fn record(client: TcpStream, server: TcpStream) -> Result<(), Box<dyn Error>> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (show, shown) = mpsc::channel();
    let (other_client, other_server, other_show) = (client.try_clone()?, server.try_clone()?, show.clone());
    spawn(move || pass(Sender::Client, client, server, &show));
    spawn(move || pass(Sender::Server, other_server, other_client, &other_show));
    let mut recording = Recording::new();
    for (from, bytes) in shown {
        recording.received(from, &bytes)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, server] = &args[..] else {
        return Err("usage: recorder LISTEN SERVER".into());
    };
    let listener = TcpListener::bind(listen)?;
    println!("{}", listener.local_addr()?);
    loop {
        let (client, from) = listener.accept()?;
        let server = TcpStream::connect(server)?;
        spawn(move || match record(client, server) {
            Ok(()) => println!("{from}: closed"),
            Err(error) => println!("{from}: {error}"),
        });
    }
}
