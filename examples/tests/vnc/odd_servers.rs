//! vnc-screenshot of servers that are not as most are. Each is a thread with a script.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::message::{ClientMessage, Extensions, FramebufferUpdateRequest};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::program::Folder;

const SCREENSHOT: &str = env!("CARGO_BIN_EXE_vnc-screenshot");
const SIZE: (u16, u16) = (40, 30);

/// A server for one client, which it lets in without a password.
struct Odd {
    tcp: TcpStream,
    rx: BytesMut,
    format: PixelFormat,
}

/// What it saw.
#[derive(Debug, Default)]
struct Seen {
    formats: Vec<PixelFormat>,
    requests: Vec<FramebufferUpdateRequest>,
}

impl Odd {
    /// Starts a server with a screen of this size; `serve` goes on behind its ServerInit, and tells what it saw.
    fn start(
        size: (u16, u16),
        format: PixelFormat,
        serve: impl FnOnce(&mut Self) -> Seen + Send + 'static,
    ) -> (SocketAddr, Receiver<Seen>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, seen) = channel();
        thread::spawn(move || {
            let (tcp, _) = listener.accept().expect("a client");
            let mut odd = Self {
                tcp,
                rx: BytesMut::new(),
                format,
            };
            odd.let_in(size);
            let _ = sender.send(serve(&mut odd));
        });
        (address, seen)
    }

    fn let_in(&mut self, (width, height): (u16, u16)) {
        let mut init = BytesMut::new();
        let name = "odd".into();
        let format = self.format;
        ServerInit {
            width,
            height,
            format,
            name,
        }
        .encode(&mut init)
        .expect("it fits");
        for (said, heard) in [
            (&b"RFB 003.008\n"[..], 12),
            (b"\x01\x01", 1),
            (b"\0\0\0\0", 1),
            (&init[..], 0),
        ] {
            self.tcp.write_all(said).expect("a client");
            self.tcp.read_exact(&mut vec![0; heard]).expect("a client");
        }
    }

    /// The next message; `None`: the client has hung up.
    fn next(&mut self) -> Option<ClientMessage> {
        let limits = Limits::default();
        while ClientMessage::missing(&self.rx, &Extensions::NONE, &limits).expect("a message") != 0 {
            let mut part = [0; 1024];
            match self.tcp.read(&mut part) {
                Ok(0) | Err(_) => return None,
                Ok(length) => self.rx.extend_from_slice(&part[..length]),
            }
        }
        let message = ClientMessage::decode_slice(&self.rx, &Extensions::NONE, &limits).expect("a message");
        let _ = self.rx.split_to(message.encoded_len());
        Some(message)
    }

    fn say(&mut self, bytes: &[u8]) {
        let _ = self.tcp.write_all(bytes);
    }

    /// Answers requests until the client hangs up. `false` from `answer`: this server does.
    fn serve(&mut self, mut answer: impl FnMut(&mut Self, usize, &FramebufferUpdateRequest) -> bool) -> Seen {
        let mut seen = Seen::default();
        while let Some(message) = self.next() {
            match message {
                ClientMessage::SetPixelFormat(set) => {
                    seen.formats.push(set.format);
                    self.format = set.format;
                }
                ClientMessage::FramebufferUpdateRequest(request) => {
                    let number = seen.requests.len();
                    seen.requests.push(request);
                    if !answer(self, number, &request) {
                        break;
                    }
                }
                _ => {}
            }
        }
        seen
    }
}

/// The colour of a place: the same whatever the format, as far as it can hold it.
fn colour(x: u16, y: u16) -> [u8; 3] {
    [(x * 6) as u8, (y * 8) as u8, (x ^ y) as u8]
}

/// A rectangle of Raw, with what the screen shows there.
fn raw(format: &PixelFormat, x: u16, y: u16, width: u16, height: u16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let encoding = Encoding::RAW;
    Rectangle {
        x,
        y,
        width,
        height,
        encoding,
    }
    .encode(&mut bytes)
    .expect("it fits");
    let length = usize::from(format.bits_per_pixel / 8);
    for y in y..y + height {
        for x in x..x + width {
            let maxima = [format.red_max, format.green_max, format.blue_max];
            let shifts = [format.red_shift, format.green_shift, format.blue_shift];
            let mut value = 0;
            for ((colour, max), shift) in colour(x, y).into_iter().zip(maxima).zip(shifts) {
                value |= (u32::from(colour) * u32::from(max) / 255) << shift;
            }
            match format.big_endian {
                0 => bytes.extend_from_slice(&value.to_le_bytes()[..length]),
                _ => bytes.extend_from_slice(&value.to_be_bytes()[4 - length..]),
            }
        }
    }
    bytes.to_vec()
}

/// An update with these rectangles.
fn update(rectangles: &[Vec<u8>]) -> Vec<u8> {
    let count = u16::try_from(rectangles.len()).expect("a few").to_be_bytes();
    [&[0, 0][..], &count, &rectangles.concat()].concat()
}

/// A rectangle that is no picture, or one in another encoding.
fn other(width: u16, height: u16, encoding: Encoding, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let (x, y) = (0, 0);
    Rectangle {
        x,
        y,
        width,
        height,
        encoding,
    }
    .encode(&mut bytes)
    .expect("it fits");
    [&bytes[..], payload].concat()
}

fn format(bits_per_pixel: u8, depth: u8, big_endian: u8, maxima: [u16; 3], shifts: [u8; 3]) -> PixelFormat {
    PixelFormat {
        bits_per_pixel,
        depth,
        big_endian,
        true_colour: 1,
        red_max: maxima[0],
        green_max: maxima[1],
        blue_max: maxima[2],
        red_shift: shifts[0],
        green_shift: shifts[1],
        blue_shift: shifts[2],
        padding: [0; 3],
    }
}

/// Runs the program; `Ok`: the pixels of the picture, three bytes each.
fn take(folder: &Folder, server: SocketAddr, more: &[&str]) -> Result<(u32, u32, Vec<u8>), String> {
    let server = server.to_string();
    let arguments = [&["--security=none"], more, &[&server, "out.png"]].concat();
    folder.run(SCREENSHOT, &arguments)?;
    Ok(crate::program::pixels(&folder.path().join("out.png")))
}

/// What a picture shows that went through this format, in one or more pieces.
fn shown(format: &PixelFormat, (width, height): (u16, u16)) -> (u32, u32, Vec<u8>) {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| colour(x, y)));
    let maxima = [format.red_max, format.green_max, format.blue_max].map(u32::from);
    let through = |colour: u8, max: u32| (u32::from(colour) * max / 255 * 255 / max) as u8;
    let rgb = pixels.flat_map(|rgb| [0, 1, 2].map(|channel| through(rgb[channel], maxima[channel])));
    (width.into(), height.into(), rgb.collect())
}

/// Intel AMT has 16 bits and hangs up on any other format, and macOS was reported to: the server's own is used, and
/// none is set.
#[test]
fn the_format_of_the_server_is_kept() {
    let folder = Folder::new();
    for own in [
        format(16, 16, 0, [31, 63, 31], [11, 5, 0]),
        format(16, 16, 1, [31, 63, 31], [11, 5, 0]),
        format(16, 15, 0, [31, 31, 31], [10, 5, 0]),
        format(8, 8, 0, [7, 7, 3], [0, 3, 6]),
        format(32, 24, 1, [255, 255, 255], [16, 8, 0]),
        format(32, 24, 0, [255, 255, 255], [0, 8, 16]),
        format(32, 32, 0, [255, 255, 255], [16, 8, 0]),
        format(32, 30, 0, [1023, 1023, 1023], [20, 10, 0]),
        PixelFormat {
            true_colour: 255,
            ..PixelFormat::RGB888
        },
    ] {
        let (server, seen) = Odd::start(SIZE, own, |odd| {
            odd.serve(|odd, _, _| {
                let whole = update(&[raw(&odd.format, 0, 0, SIZE.0, SIZE.1)]);
                odd.say(&whole);
                true
            })
        });
        let picture = take(&folder, server, &[]).unwrap_or_else(|said| panic!("{own:?}: {said}"));
        assert!(picture == shown(&own, SIZE), "{own:?}");
        assert!(seen.recv().expect("the end").formats.is_empty(), "{own:?}");
    }
}

/// A format in which a pixel is no colour, or of which it is not known what one is.
#[test]
fn another_format_is_set_where_the_own_cannot_be_read() {
    let folder = Folder::new();
    for own in [
        PixelFormat {
            true_colour: 0,
            bits_per_pixel: 8,
            depth: 8,
            ..PixelFormat::RGB888
        },
        PixelFormat {
            red_max: 0,
            ..PixelFormat::RGB888
        },
        PixelFormat {
            bits_per_pixel: 24,
            ..PixelFormat::RGB888
        },
    ] {
        let (server, seen) = Odd::start(SIZE, own, |odd| {
            odd.serve(|odd, _, _| {
                let whole = update(&[raw(&odd.format, 0, 0, SIZE.0, SIZE.1)]);
                odd.say(&whole);
                true
            })
        });
        let picture = take(&folder, server, &[]).unwrap_or_else(|said| panic!("{own:?}: {said}"));
        assert!(picture == shown(&PixelFormat::RGB888, SIZE), "{own:?}");
        assert_eq!(seen.recv().expect("the end").formats, [PixelFormat::RGB888]);
    }
}

#[test]
fn a_screen_without_pixels_is_told() {
    let folder = Folder::new();
    for size in [(0, 0), (0, 30), (40, 0)] {
        let (server, _seen) = Odd::start(size, PixelFormat::RGB888, |odd| odd.serve(|_, _, _| true));
        let (width, height) = size;
        let words =
            format!("vnc-screenshot: the server's screen is {width}x{height} pixels: there is nothing to show\n");
        assert_eq!(take(&folder, server, &[]).expect_err("no pixels"), words);
    }
    // And where it loses them on the way.
    let (server, _seen) = Odd::start(SIZE, PixelFormat::RGB888, |odd| {
        odd.serve(|odd, _, _| {
            odd.say(&update(&[other(0, 0, Encoding::DESKTOP_SIZE, &[])]));
            true
        })
    });
    let said = take(&folder, server, &[]).expect_err("no pixels");
    assert!(said.contains("the server's screen is 0x0 pixels"), "{said}");
}

/// A part that never comes is asked for now and then, alone, and named at the end.
#[test]
fn what_never_comes_is_named_and_not_asked_for_all_the_time() {
    let folder = Folder::new();
    // What the server sends to each request, and how the program reports what is missing.
    let format = PixelFormat::RGB888;
    let upper = update(&[raw(&format, 0, 0, 40, 20)]);
    let holes = update(&[
        raw(&format, 0, 0, 40, 10),
        raw(&format, 0, 10, 5, 20),
        raw(&format, 8, 12, 32, 18),
    ]);
    let answers = [
        (
            upper,
            "of the screen of 40x30, 400 of 1200 pixels did not come: those of 40x10+0+20, or some of them",
        ),
        (
            holes,
            "of the screen of 40x30, 124 of 1200 pixels did not come: those of 35x20+5+10, or some of them",
        ),
        (update(&[]), "nothing of the screen of 40x30 came"),
        (Vec::new(), "nothing of the screen of 40x30 came"),
    ];
    for (answer, missing) in answers {
        let (server, seen) = Odd::start(SIZE, format, move |odd| {
            odd.serve(move |odd, _, _| {
                odd.say(&answer);
                true
            })
        });
        let begun = Instant::now();
        let said = take(&folder, server, &["--timeout=2"]).expect_err(missing);
        assert_eq!(said, format!("vnc-screenshot: no picture within 2 s: {missing}\n"));
        assert!(begun.elapsed() < Duration::from_secs(4));
        let requests = seen.recv().expect("the end").requests;
        assert!(requests.len() < 10, "{} requests", requests.len());
        let first = requests[0];
        assert_eq!(
            (first.incremental, first.x, first.y, first.width, first.height),
            (0, 0, 0, 40, 30)
        );
        if missing.contains("40x10") {
            for request in &requests[1..] {
                assert_eq!(
                    (request.incremental, request.x, request.y, request.width, request.height),
                    (0, 0, 20, 40, 10)
                );
            }
            assert!(1 < requests.len());
        }
    }
}

/// What comes in many updates, late, between other things, or cut in the middle of a pixel is put together.
#[test]
fn what_comes_in_parts_is_put_together() {
    let folder = Folder::new();
    // A row for each request.
    let (server, seen) = Odd::start(SIZE, PixelFormat::RGB888, |odd| {
        odd.serve(|odd, number, _| {
            let row = update(&[raw(&odd.format, 0, (number % 30) as u16, 40, 1)]);
            odd.say(&row);
            true
        })
    });
    assert!(take(&folder, server, &[]).expect("a picture") == shown(&PixelFormat::RGB888, SIZE));
    assert_eq!(seen.recv().expect("the end").requests.len(), 30);

    // Nothing at first, then all of it byte by byte, with a bell, a text and a pointer in between.
    let (server, seen) = Odd::start(SIZE, PixelFormat::RGB888, |odd| {
        odd.tcp.set_nodelay(true).expect("a socket");
        odd.serve(|odd, number, _| {
            if number < 2 {
                odd.say(&update(&[]));
                return true;
            }
            let pointer = other(1, 1, Encoding::CURSOR, &[1, 2, 3, 4, 0x80]);
            let whole = [
                &b"\x02\x03\0\0\0\0\0\0\x02hi"[..],
                &update(&[
                    pointer,
                    raw(&odd.format, 0, 0, 40, 30),
                    other(0, 0, Encoding::LAST_RECT, &[]),
                ]),
            ]
            .concat();
            for byte in whole {
                odd.say(&[byte]);
            }
            true
        })
    });
    assert!(take(&folder, server, &[]).expect("a picture") == shown(&PixelFormat::RGB888, SIZE));
    assert_eq!(seen.recv().expect("the end").requests.len(), 3);

    // A screen that changes its size, as that of a guest that begins: what is gone is not waited for.
    let (server, _seen) = Odd::start(SIZE, PixelFormat::RGB888, |odd| {
        odd.serve(|odd, number, _| {
            let answer = match number {
                0 => update(&[
                    raw(&odd.format, 0, 0, 40, 20),
                    other(20, 10, Encoding::DESKTOP_SIZE, &[]),
                ]),
                _ => update(&[raw(&odd.format, 0, 0, 20, 10)]),
            };
            odd.say(&answer);
            true
        })
    });
    assert!(take(&folder, server, &[]).expect("a picture") == shown(&PixelFormat::RGB888, (20, 10)));
}

#[test]
fn a_server_that_cannot_be_followed_is_told_with_what_had_come() {
    let folder = Folder::new();
    let format = PixelFormat::RGB888;
    let outside = raw(&format, 10, 10, 40, 30);
    let half = {
        let mut bytes = update(&[raw(&format, 0, 0, 40, 30)]);
        bytes.truncate(16 + 40 * 4 * 20 + 2);
        bytes
    };
    let cases: [(Vec<u8>, bool, &str); 4] = [
        (
            Vec::new(),
            false,
            "the server hung up; nothing of the screen of 40x30 came",
        ),
        (
            half,
            false,
            "the server hung up; of the screen of 40x30, 400 of 1200 pixels did not come: those of 40x10+0+20, or some of them",
        ),
        (
            update(&[other(40, 30, Encoding::COPY_RECT, &[0; 4])]),
            true,
            "the server sends CopyRect (1), which it was not asked for; nothing of the screen of 40x30 came",
        ),
        (
            update(&[outside]),
            true,
            "rectangle 40x30 at 10,10 lies outside of the framebuffer of 40x30; nothing of the screen of 40x30 came",
        ),
    ];
    for (answer, stays, words) in cases {
        let (server, _seen) = Odd::start(SIZE, format, move |odd| {
            odd.serve(move |odd, _, _| {
                odd.say(&answer);
                stays
            })
        });
        let said = take(&folder, server, &[]).expect_err(words);
        assert_eq!(said, format!("vnc-screenshot: {words}\n"));
    }
}
