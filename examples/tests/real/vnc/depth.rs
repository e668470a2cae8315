//! A client that sets depth 32, as UltraVNC's viewers do, at QEMU behind the relay.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::BytesMut;
use examples::vnc::Method;
use flate2::{Decompress, FlushDecompress};
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::framing::{Ends, Part, ServerFramer};
use rfb_proto::message::{ClientMessage, FramebufferUpdateRequest, SetEncodings, SetPixelFormat};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use super::middle::Middle;
use super::qemu::Qemu;
use crate::picture::Picture;
use crate::process::{Folder, wait_for};

/// The client, behind its handshake.
struct Client {
    stream: TcpStream,
    framer: ServerFramer,
    size: (u16, u16),
    rx: Vec<u8>,
    tight: Tight,
    screen: Vec<[u8; 3]>,
}

impl Client {
    /// Logs in without a password, with RFB 3.8.
    fn connect(server: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(server).expect("the relay");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a time limit");
        assert_eq!(take(&mut stream, 12), b"RFB 003.008\n");
        stream.write_all(b"RFB 003.008\n\x01\x01").expect("a choice");
        let types = take(&mut stream, 1)[0].into();
        take(&mut stream, types);
        assert_eq!(take(&mut stream, 4), [0; 4]);
        let mut init = take(&mut stream, 24);
        let name = u32::from_be_bytes(*init.last_chunk().expect("a length"));
        init.extend(take(&mut stream, usize::try_from(name).expect("a short name")));
        let init = ServerInit::decode_slice(&init, &Limits::default()).expect("a ServerInit");
        let size = (init.width, init.height);
        Self {
            framer: ServerFramer::new(&init, &Limits::default()),
            stream,
            size,
            rx: Vec::new(),
            tight: Tight::new(),
            screen: vec![[0; 3]; usize::from(size.0) * usize::from(size.1)],
        }
    }

    fn send(&mut self, message: impl Into<ClientMessage>) {
        let mut bytes = BytesMut::new();
        message.into().encode(&mut bytes).expect("a message");
        self.framer.client_sent(&bytes).expect("a format");
        self.stream.write_all(&bytes).expect("the relay");
    }

    /// The whole screen once more.
    fn picture(&mut self) -> Picture {
        let (width, height) = self.size;
        let (incremental, x, y) = (0, 0, 0);
        self.send(FramebufferUpdateRequest {
            incremental,
            x,
            y,
            width,
            height,
        });
        let mut payload = Vec::new();
        loop {
            let mut left = &self.rx[..];
            let before = left.len();
            let part = self.framer.next_part(&mut left).expect("a stream that is followed");
            let taken = before - left.len();
            let ends = match part {
                None => {
                    let mut bytes = [0; 16 << 10];
                    let count = self.stream.read(&mut bytes).expect("more of an update");
                    assert!(0 < count, "the relay has hung up");
                    self.rx.extend_from_slice(&bytes[..count]);
                    continue;
                }
                Some(Part::Rectangle(piece)) => {
                    payload.extend_from_slice(piece.payload);
                    if piece.ends != Ends::Nothing {
                        self.tight
                            .show(&payload, &piece.rectangle, usize::from(width), &mut self.screen);
                        payload.clear();
                    }
                    piece.ends == Ends::Update
                }
                Some(_) => false,
            };
            self.rx.drain(..taken);
            if ends {
                let width = usize::from(width);
                return Picture::new(width, usize::from(height), |x, y| self.screen[y * width + x]);
            }
        }
    }
}

/// A part of the handshake.
fn take(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).expect("a part of the handshake");
    bytes
}

/// Tight as QEMU sends it where no JPEG was asked for: its four zlib streams.
struct Tight([Decompress; 4]);

impl Tight {
    fn new() -> Self {
        Self([0; 4].map(|_| Decompress::new(true)))
    }

    fn show(&mut self, payload: &[u8], rectangle: &Rectangle, screen_width: usize, screen: &mut [[u8; 3]]) {
        assert_eq!(rectangle.encoding, Encoding::TIGHT);
        let size = [rectangle.width, rectangle.height].map(usize::from);
        let pixels = self.pixels(payload, size);
        for (row, pixels) in pixels.chunks(size[0]).enumerate() {
            let at = (usize::from(rectangle.y) + row) * screen_width + usize::from(rectangle.x);
            screen[at..at + pixels.len()].copy_from_slice(pixels);
        }
    }

    fn pixels(&mut self, payload: &[u8], [width, height]: [usize; 2]) -> Vec<[u8; 3]> {
        let (control, rest) = payload.split_first().expect("a control byte");
        for (bit, stream) in self.0.iter_mut().enumerate() {
            if control >> bit & 1 == 1 {
                stream.reset(true);
            }
        }
        let colours = |bytes: &[u8]| -> Vec<[u8; 3]> { bytes.chunks(3).map(|c| c.try_into().expect("RGB")).collect() };
        let stream = usize::from(control >> 4 & 3);
        match (control >> 4, rest) {
            (8, colour) => colours(colour).repeat(width * height),
            (0..4, data) | (4..8, [0, data @ ..]) => colours(&self.data(stream, data, width * height * 3)),
            (4..8, [1, last, rest @ ..]) => {
                let (palette, data) = rest.split_at(3 * (usize::from(*last) + 1));
                let palette = colours(palette);
                let bits = palette.len() == 2;
                let row = if bits { width.div_ceil(8) } else { width };
                let indexes = self.data(stream, data, row * height);
                let index = |x: usize, y: usize| match bits {
                    true => usize::from(indexes[y * row + x / 8] >> (7 - x % 8) & 1),
                    false => usize::from(indexes[y * row + x]),
                };
                let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
                places.map(|(x, y)| palette[index(x, y)]).collect()
            }
            other => panic!("Tight that was not asked for: {other:02x?}"),
        }
    }

    /// As they are if they are short, else a compact length and zlib.
    fn data(&mut self, stream: usize, data: &[u8], size: usize) -> Vec<u8> {
        if size < 12 {
            return data.to_vec();
        }
        let length = data.iter().take(2).take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let mut out = vec![0; size];
        let stream = &mut self.0[stream];
        let before = stream.total_out();
        stream
            .decompress(&data[length..], &mut out, FlushDecompress::Sync)
            .expect("zlib");
        assert_eq!(stream.total_out() - before, size as u64, "a whole rectangle");
        out
    }
}

/// With the client's depth and with the relay's 24: the picture is the guest's, and every byte is placed.
#[test]
#[ignore = "needs QEMU"]
fn depth_32_at_qemu_behind_the_relay() {
    let folder = Folder::new();
    let qemu = Qemu::start(&folder);
    for depth_24 in [false, true] {
        let middle = Middle::with_depth_24(qemu.address(Method::None), depth_24);
        let mut client = Client::connect(middle.address);
        client.send(SetPixelFormat::new(PixelFormat {
            depth: 32,
            ..PixelFormat::RGB888
        }));
        client.send(SetEncodings::new(&[Encoding::TIGHT]));
        // QEMU looks at the guest's screen a few times a second.
        wait_for("the guest's picture", || client.picture().is_the_guest().then_some(()));
        let seen = middle.account("depth 32");
        assert!(
            seen.counts.contains_key(&Encoding::TIGHT.to_string()),
            "{:?}",
            seen.counts
        );
        println!("depth 24 written: {depth_24}: {:?}", seen.counts);
    }
}
