//! The guest's side of the agent: announces what it can, prints what the viewer's user copies, and has TEXT to paste.
//!
//! ```text
//! cargo run -p spice-proto --no-default-features --example agent -- TEXT /dev/virtio-ports/com.redhat.spice.0
//! cargo run -p spice-proto --no-default-features --example agent -- TEXT <from-server >to-server
//! ```
//!
//! What it prints goes to standard error.
#![allow(
    clippy::indexing_slicing,
    clippy::std_instead_of_core,
    reason = "a program, with std"
)]

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{Read, Write, stdin, stdout};

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{
    AnnounceCapabilities, Announced, Assembler, Clipboard, ClipboardGrab, ClipboardRequest, Message, Pieces, Receiver,
    caps,
};
use spice_proto::caps::CapabilityWords;
use spice_proto::ids::{AgentPort, ClipboardSelection, ClipboardType};

struct Agent<W> {
    port: W,
    text: String,
    announced: Announced,
    /// What the client says is one stream, and what the server says itself another.
    streams: [(AgentPort, Assembler); 2],
}

impl<W: Write> Agent<W> {
    fn new(port: W, text: String) -> Self {
        let stream = |of| (of, Assembler::new(Receiver::Guest, &Limits::default()));
        Self {
            port,
            text,
            announced: Announced::new(),
            streams: [AgentPort::CLIENT, AgentPort::SERVER].map(stream),
        }
    }

    fn say(&mut self, message: &Message) -> Result<(), Box<dyn Error>> {
        let mut bytes = BytesMut::new();
        for data in Pieces::new(message)? {
            let port = AgentPort::CLIENT;
            Chunk { port, data }.encode(&mut bytes)?;
        }
        self.port.write_all(&bytes)?;
        Ok(self.port.flush()?)
    }

    /// The first message, and the answer to the client's.
    fn announce(&mut self, request: bool) -> Result<(), Box<dyn Error>> {
        let can = [
            caps::CLIPBOARD_BY_DEMAND,
            caps::CLIPBOARD_SELECTION,
            caps::GUEST_LINEEND_LF,
        ];
        let message = AnnounceCapabilities {
            request: request.into(),
            caps: CapabilityWords::of(&can),
        };
        self.announced.by_agent(&message);
        self.say(&Message::AnnounceCapabilities(message))
    }

    fn hear(&mut self, message: Message) -> Result<(), Box<dyn Error>> {
        let agreed = self.announced.agreed();
        match message {
            Message::AnnounceCapabilities(theirs) => {
                self.announced.by_client(&theirs);
                if theirs.request != 0 {
                    self.announce(false)?;
                }
                // The forms of what follows are those that both sides know.
                let agreed = self.announced.agreed();
                if agreed.has(caps::CLIPBOARD_BY_DEMAND) {
                    self.say(&Message::ClipboardGrab(ClipboardGrab {
                        selection: agreed.selection(ClipboardSelection::CLIPBOARD),
                        serial: agreed.serial(0),
                        types: vec![ClipboardType::UTF8_TEXT],
                    }))?;
                }
            }
            Message::ClipboardRequest(asked) => {
                let has = asked.r#type == ClipboardType::UTF8_TEXT;
                self.say(&Message::Clipboard(Clipboard {
                    selection: asked.selection,
                    r#type: if has { asked.r#type } else { ClipboardType::NONE },
                    data: if has { self.text.clone().into() } else { "".into() },
                }))?;
            }
            Message::ClipboardGrab(grab) if grab.types.contains(&ClipboardType::UTF8_TEXT) => {
                let r#type = ClipboardType::UTF8_TEXT;
                let selection = grab.selection.filter(|_| agreed.has(caps::CLIPBOARD_SELECTION));
                self.say(&Message::ClipboardRequest(ClipboardRequest { selection, r#type }))?;
            }
            Message::Clipboard(copied) => eprintln!("copied: {}", copied.data.escape_ascii()),
            other => eprintln!("{}", other.name()),
        }
        Ok(())
    }

    fn run(&mut self, mut from: impl Read) -> Result<(), Box<dyn Error>> {
        self.announce(true)?;
        let (mut rx, mut bytes) = (BytesMut::new(), [0; 4 << 10]);
        loop {
            while let Some(chunk) = Chunk::decode(&mut rx)? {
                let mut heard = Vec::new();
                for (port, stream) in &mut self.streams {
                    if *port == chunk.port {
                        heard.extend(stream.frames(&chunk.data));
                    }
                }
                for frame in heard {
                    self.hear(Message::decode(&frame?, self.announced.agreed())?)?;
                }
            }
            match from.read(&mut bytes)? {
                0 => return Ok(()),
                n => rx.extend_from_slice(&bytes[..n]),
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [text] => Agent::new(stdout(), text.clone()).run(stdin()),
        [text, path] => {
            let port = OpenOptions::new().read(true).write(true).open(path)?;
            Agent::new(port.try_clone()?, text.clone()).run(port)
        }
        _ => Err("usage: agent TEXT [PORT]".into()),
    }
}
