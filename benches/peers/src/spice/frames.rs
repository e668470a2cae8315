//! Frames taken off a stream, each as bytes of its own.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::BytesMut;
use shakenfist_spice_protocol::messages::ReceiveBuffer;
use spice_client::transport::Transport;
use spice_client::wire_format::read_message;
use spice_proto::Limits;
use spice_proto::frame::{FrameReader, HeaderForm};

use super::{SHAKENFIST, SPICE_CLIENT, Sample, samples, stream};
use crate::contest::{Contest, Peer, Run, keep, run};
use crate::digest::Digest;

/// What is read at once.
const READ: usize = 64 << 10;

pub fn contests() -> Vec<Contest> {
    let contests = samples()
        .into_iter()
        .flat_map(|sample| [HeaderForm::Mini, HeaderForm::Full].map(|form| contest(&sample, form)));
    contests.collect()
}

fn contest(sample: &Sample, form: HeaderForm) -> Contest {
    let bytes = stream(&sample.frames, form);
    let (mut ours, mut digest) = (Ours::new(form), Digest::new());
    ours.frames(&bytes, |number, body| add(&mut digest, number, body));
    let (kind, peers) = match form {
        HeaderForm::Mini => (
            "mini",
            vec![
                by_shakenfist(&bytes, &digest),
                Peer::cannot(SPICE_CLIENT, "reads full headers only"),
            ],
        ),
        HeaderForm::Full => (
            "full",
            vec![
                by_spice_client(&bytes, &digest),
                Peer::cannot(SHAKENFIST, "reads mini headers only"),
            ],
        ),
    };
    Contest {
        operation: "SPICE frame taken off a stream",
        sample: format!("{}, {kind} headers, reads of 64 KiB", sample.name),
        bytes: bytes.len(),
        count: sample.frames.len() as u32,
        unit: "frame",
        limit: Some((
            "headers read by hand, and the copy into the buffer",
            by_hand(bytes.clone(), form),
        )),
        ours: run(move || ours.frames(&bytes, |_, body| keep(body))),
        peers,
    }
}

/// What a frame is, into a digest.
fn add(digest: &mut Digest, number: u16, body: &[u8]) {
    digest.add(&number.to_le_bytes());
    digest.add(body);
}

/// A connection of ours: each frame is owned.
struct Ours {
    reader: FrameReader,
    buffer: BytesMut,
}

impl Ours {
    fn new(form: HeaderForm) -> Self {
        Self {
            reader: FrameReader::new(form, &Limits::default()),
            buffer: BytesMut::with_capacity(READ),
        }
    }

    fn frames(&mut self, bytes: &[u8], mut take: impl FnMut(u16, &[u8])) {
        for chunk in bytes.chunks(READ) {
            self.buffer.extend_from_slice(chunk);
            for frame in self.reader.split(&mut self.buffer).expect("whole frames") {
                take(frame.header.number, &frame.body);
                keep(frame);
            }
        }
        assert!(self.buffer.is_empty());
    }
}

fn by_hand(bytes: Vec<u8>, form: HeaderForm) -> Run {
    // Where the size stands, and where the body begins.
    let (size_at, body_at) = match form {
        HeaderForm::Mini => (2, 6),
        HeaderForm::Full => (10, 18),
    };
    let mut buffer = Vec::with_capacity(2 * READ);
    run(move || {
        for chunk in bytes.chunks(READ) {
            buffer.extend_from_slice(chunk);
            let mut left = &buffer[..];
            while let Some(size) = left.get(size_at..size_at + 4) {
                let size = u32::from_le_bytes(size.try_into().expect("4 bytes")) as usize;
                let Some((frame, rest)) = left.split_at_checked(body_at + size) else {
                    break;
                };
                keep(frame);
                left = rest;
            }
            let taken = buffer.len() - left.len();
            buffer.drain(..taken);
        }
        assert!(buffer.is_empty());
    })
}

fn by_shakenfist(bytes: &[u8], expected: &Digest) -> Peer {
    fn frames(buffer: &mut ReceiveBuffer, bytes: &[u8], mut take: impl FnMut(u16, &[u8])) {
        for chunk in bytes.chunks(READ) {
            buffer.extend_from_slice(chunk);
            while let Some(message) = buffer.take_message(1 << 20).expect("within limits") {
                take(message.header.message_type, message.payload());
                keep(message);
            }
        }
    }
    let (mut buffer, mut digest) = (ReceiveBuffer::with_capacity(READ), Digest::new());
    frames(&mut buffer, bytes, |number, body| add(&mut digest, number, body));
    assert_eq!(digest, *expected);
    let bytes = bytes.to_vec();
    Peer::new(
        SHAKENFIST,
        run(move || frames(&mut buffer, &bytes, |_, body| keep(body))),
    )
}

/// A connection that has received all and is not written to.
struct Memory {
    bytes: Arc<[u8]>,
    at: usize,
}

#[async_trait]
impl Transport for Memory {
    async fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let len = to.len().min(READ).min(self.bytes.len() - self.at);
        to[..len].copy_from_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }

    async fn write(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn write_all(&mut self, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_connected(&self) -> bool {
        true
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn by_spice_client(bytes: &[u8], expected: &Digest) -> Peer {
    /// Until the stream ends, which is an error there.
    async fn frames(bytes: Arc<[u8]>, mut take: impl FnMut(u16, &[u8])) {
        let mut transport: Box<dyn Transport> = Box::new(Memory { bytes, at: 0 });
        while let Ok((header, body)) = read_message(&mut transport).await {
            take(header.msg_type, &body);
            keep(body);
        }
    }
    let (bytes, mut digest): (Arc<[u8]>, _) = (bytes.into(), Digest::new());
    ready(frames(Arc::clone(&bytes), |number, body| {
        add(&mut digest, number, body)
    }));
    assert_eq!(digest, *expected);
    Peer::new(
        SPICE_CLIENT,
        run(move || ready(frames(Arc::clone(&bytes), |_, body| keep(body)))),
    )
}

/// The output of a future that waits for nothing.
pub fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}
