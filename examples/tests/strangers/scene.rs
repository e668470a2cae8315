//! What stands behind the gateway, an open console, and viewers that come.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::main::ServerMessage;
use spice_proto::frame::{FrameReader, HeaderForm};
use spice_proto::ids::ChannelType;

use crate::program::{Folder, Service, TICKET};
use crate::{http, spice};

/// `spice-picture`: a hypervisor that is real enough, and small.
pub(crate) struct Picture {
    child: Child,
    pub(crate) port: u16,
}

impl Picture {
    pub(crate) fn start(folder: &Folder) -> Self {
        let picture = folder.write("picture.png", png());
        let mut command = Command::new(env!("CARGO_BIN_EXE_spice-picture"));
        command
            .arg("--listen=127.0.0.1:0")
            .arg(picture)
            .env("SPICE_PASSWORD", TICKET);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("spice-picture");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output");
        BufReader::new(stdout).read_line(&mut line).expect("an address");
        let address: SocketAddr = line.trim_end().parse().expect("an address");
        Self {
            child,
            port: address.port(),
        }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 64);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[0x55; 3 * 64 * 64]).expect("an image");
    writer.finish().expect("an end");
    bytes
}

/// A console that is open, asks for the list of channels all the time, and gets it.
pub(crate) struct Open {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u32, Duration)>,
}

impl Open {
    pub(crate) fn start(gateway: SocketAddr, token: &str) -> Self {
        let (mut stream, mut rx) = spice::open(gateway, token, ChannelType::MAIN, 0).expect("a main channel");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = spawn(move || {
            let mut reader = FrameReader::new(HeaderForm::Mini, &Limits::default());
            let (mut asked, mut slowest) = (0, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                stream
                    .write_all(&[104, 0, 0, 0, 0, 0])
                    .expect("the open console takes a question");
                // INIT may come in one read with the first answer.
                while !answered(&mut reader, &mut rx) {
                    let mut bytes = [0; 4096];
                    let n = stream.read(&mut bytes).expect("the open console answers");
                    assert_ne!(n, 0, "the open console was ended");
                    rx.extend_from_slice(&bytes[..n]);
                }
                (asked, slowest) = (asked + 1, slowest.max(began.elapsed()));
                sleep(Duration::from_millis(50));
            }
            (asked, slowest)
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> (u32, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the open console")
    }
}

/// Takes all messages that are there. `true`: one of them is a list of channels.
fn answered(reader: &mut FrameReader, rx: &mut BytesMut) -> bool {
    std::iter::from_fn(|| reader.decode(rx).expect("frames"))
        .any(|frame| frame.header.number == ServerMessage::CHANNELS_LIST)
}

/// Opens all channels of a session, as a viewer does, and leaves: how long that took.
pub(crate) fn view(service: &Service) -> Duration {
    let token = http::token(service.api());
    let began = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_spice-probe"))
        .args(["--watch=0", &service.plain().to_string()])
        .env("SPICE_PASSWORD", token)
        .output()
        .expect("spice-probe");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    began.elapsed()
}
